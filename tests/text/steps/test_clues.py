"""What to search by beside the question: its topics, sentences that match, rare words, a wish for an overview."""

from __future__ import annotations

import pytest

import mnemic
from mnemic.text.plan import Filter, Query
from mnemic.text.steps.clues import Clues, matching, rare, retrieve, subject, topics, wants_overview
from mnemic.text.steps.summarise import Sentence


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Summarise the meeting.", True),
        ("Give me a summary of what Ana said.", True),
        ("Can you recap, please?", True),
        ("tl;dr", True),
        ("What were the main points of the talk?", True),
        ("What are the key themes in the book?", True),
        ("What is the summit called?", False),
        ("What was the main course?", False),
        ("When did she paint the lake?", False),
        ("", False),
    ],
)
def test_who_asks_for_the_whole(question: str, wanted: bool) -> None:
    assert wants_overview(question) == wanted


def test_what_an_overview_is_to_be_of() -> None:
    assert subject("Summarise the main points of the regatta").split() == ["the", "of", "the", "regatta"]


def test_topics_are_the_rarest_words_that_occur_as_they_are_written() -> None:
    df = {"kiln": 2.0, "garden": 40.0, "neighbour": 9.0}
    assert topics("Did the neighbours' kilns and the Garden of zebras matter?", df, 100) == [
        "kilns",
        "neighbours",
        "garden",
    ]
    assert topics("Did the neighbours' kilns and the Garden of zebras matter?", df, 100, most=1) == ["kilns"]
    assert topics("", df, 100) == []


def test_rare_words_are_not_those_of_the_question_nor_numbers() -> None:
    df = {"okafor": 1.0, "porcelain": 3.0, "kiln": 1.0, "day": 50.0}
    texts = ["Okafor lent the kiln that day.", "The porcelain was by Okafor, 1999, that day."]
    assert rare(texts, ["kiln"], df, 100, 2) == ["okafor", "lent"]
    assert "kiln" not in rare(texts, ["kiln"], df, 100, 20)
    assert "1999" not in rare(texts, [], df, 100, 20)
    assert rare([], [], df, 100) == []


def test_sentences_match_by_the_information_they_share() -> None:
    pool = [
        Sentence("The garden was green and the house was old and large.", None, "a", 0),
        Sentence("Okafor lent the kiln.", None, "b", 1),
        Sentence("Okafor went home.", None, "c", 2),
    ]
    weights = {"kiln": 0.6, "okafor": 0.3, "garden": 0.1}
    assert [s.source for s in matching(pool, weights, 5)] == ["b", "c", "a"]
    assert [s.source for s in matching(pool, {"kiln": 1.0}, 5)] == ["b"]
    assert [s.source for s in matching(pool, weights, 1)] == ["b"]


def test_clues_are_queries_without_repeats() -> None:
    assert Clues(["a b", "c d"], ["a b"], "c d e").queries() == ["a b", "c d", "c d e"]
    assert Clues(draft="").queries() == []


def test_a_clue_retrieves_the_best_turns_inside_the_filter(memory: mnemic.Memory) -> None:
    memory.remember(
        [mnemic.Turn(f"Kiln {'red ' * (i % 3)}number {i}.", "Ana" if i % 2 else "Ben", id=f"t{i}") for i in range(9)]
    )
    query = Query("?", 5, memory.clock(), filter=Filter(speakers=["Ana"]))
    found = retrieve(query, "red kiln", memory.env, 2)
    assert len(found) == 2
    assert max(found.values()) == 1.0
    assert {int(id[1:]) % 2 for id in found} == {1}
    assert retrieve(query, "zebra", memory.env, 2) == {}
