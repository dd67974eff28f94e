"""The default system as its user sees it: the right turn first, honest about time, people and what it does not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import mnemic
from mnemic import Filter, Turn
from mnemic.text.encode.base import SparseEncoder
from mnemic.text.systems.mnemic import Mnemic, Settings

START = datetime(2024, 5, 6, 18, 0, tzinfo=UTC)  # a Monday

CHATS = {
    "garden": [
        ("Ana", "The tomatoes are coming up in the greenhouse."),
        ("Ben", "Lovely! Did you plant basil too?"),
        ("Ana", "Yes, three pots by the door."),
    ],
    "doctor": [
        ("Ben", "I saw the doctor about my shoulder."),
        ("Ana", "What did she say?"),
        ("Ben", "Six weeks without climbing."),
    ],
    "film": [
        ("Ana", "We watched a film about lighthouse keepers."),
        ("Ben", "Was it any good?"),
        ("Ana", "Slow but beautiful."),
    ],
}


def talk() -> list[Turn]:
    return [
        Turn(text, speaker=who, at=START + timedelta(days=7 * week, minutes=n), session=name, id=f"{name}-{n}")
        for week, (name, lines) in enumerate(CHATS.items())
        for n, (who, text) in enumerate(lines)
    ]


NOW = START + timedelta(days=20)


@pytest.fixture
def talked(memory: mnemic.Memory) -> mnemic.Memory:
    memory.remember(talk())
    return memory


def ids(found: mnemic.Recall) -> list[str]:
    return [hit.id for hit in found.hits]


def test_the_turn_that_answers_comes_first(talked: mnemic.Memory) -> None:
    assert ids(talked.recall("What film did Ana watch?", now=NOW))[0] == "film-0"


def test_an_answer_without_the_words_is_found_through_its_question(talked: mnemic.Memory) -> None:
    assert "doctor-2" in ids(talked.recall("What did the doctor say about Ben's shoulder?", now=NOW, k=3))


def test_a_question_about_the_conversation_is_filtered_by_its_time(talked: mnemic.Memory) -> None:
    found = talked.recall("What did we talk about on 13 May?", now=NOW)
    assert ids(found) == ["doctor-0", "doctor-1", "doctor-2"]
    assert found.trace["range_filters"]


def test_an_ordinary_question_is_only_nudged_by_its_time(talked: mnemic.Memory) -> None:
    found = talked.recall("Which film did Ana see last year?", now=NOW)
    assert "film-0" in ids(found)
    assert not found.trace.get("range_filters", False)


def test_sessions_can_be_asked_for_by_number(talked: mnemic.Memory) -> None:
    assert set(ids(talked.recall("What did we discuss in our first session?", now=NOW))) == {
        "garden-0", "garden-1", "garden-2",
    }  # fmt: skip


def test_the_week_before_an_event_is_found_by_finding_the_event(memory: mnemic.Memory) -> None:
    at = datetime(2024, 6, 3, 12, 0, tzinfo=UTC)
    memory.remember(
        [
            Turn("Our wedding is on Saturday the 15th of June.", speaker="Ana", at=at, session="a", id="plan"),
            Turn("The cake is ordered.", speaker="Ana", at=at + timedelta(days=8), session="b", id="before"),
            Turn("What a wedding that was!", speaker="Ana", at=at + timedelta(days=14), session="c", id="after"),
        ]
    )
    found = memory.recall("What did we talk about in the week before the wedding?", now=at + timedelta(days=30))
    assert ids(found) == ["before"]


def test_what_shares_no_word_with_the_store_finds_nothing(talked: mnemic.Memory) -> None:
    found = talked.recall("quantum chromodynamics", now=NOW)
    assert not found.hits
    assert found.confidence == 0.0
    assert not talked.ask("quantum chromodynamics", now=NOW).found


def test_confidence_tells_the_answered_from_the_unanswered(talked: mnemic.Memory) -> None:
    known = talked.recall("What film did Ana watch about lighthouse keepers?", now=NOW).confidence
    unknown = talked.recall("What is the name of Ben's brother in Canada?", now=NOW).confidence
    assert known > 0.5 > unknown


def test_a_question_about_the_wrong_person_is_less_sure(talked: mnemic.Memory) -> None:
    right = talked.recall("What did the doctor say about Ben's shoulder?", now=NOW).confidence
    wrong = talked.recall("What did the doctor say about Ana's shoulder?", now=NOW).confidence
    assert right > wrong


def test_every_hit_says_what_its_score_is_made_of(talked: mnemic.Memory) -> None:
    best = talked.recall("What film did Ana watch?", now=NOW).hits[0]
    assert sum(best.legs.values()) == pytest.approx(best.score, abs=1e-3)


def test_a_large_space_is_scored_on_candidates_with_the_same_best_hits() -> None:
    turns = [
        Turn(f"note {n} about {w} and {w}s", speaker="Ana", session=f"s{n // 10}", id=f"{w}{n}")
        for n, w in enumerate(["tea", "boat", "moon", "cat", "lamp"] * 60)
    ]
    tops = []
    for exact in (10**6, 0):
        with mnemic.open(":memory:", encoders="lexical", system=Mnemic(Settings(exact=exact, depth=50))) as memory:
            memory.remember(turns)
            found = memory.recall("note 151 about the boat", k=3)
            tops.append(ids(found))
            assert found.trace["exact"] is (exact > 0)
    assert tops[0][0] == tops[1][0] == "boat151"


def test_filters_narrow_hits_but_not_their_windows(talked: mnemic.Memory) -> None:
    found = talked.recall("the doctor and the shoulder", now=NOW, filter=Filter(speakers=["Ana"]))
    assert {hit.speaker for hit in found.hits} == {"Ana"}
    assert ids(found)[0] == "doctor-1"


@pytest.mark.model
def test_other_words_are_found_with_the_default_encoder(splade: SparseEncoder) -> None:
    with mnemic.open(":memory:", encoders=["splade-tiny"]) as memory:
        memory.remember(talk())
        memory.remember(Turn("I finally adopted a beagle puppy.", speaker="Ben", at=START, session="pets", id="pet"))
        assert ids(memory.recall("Does Ben have a dog?", now=NOW))[0] == "pet"
