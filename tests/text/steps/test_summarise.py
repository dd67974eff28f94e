"""Summaries that keep sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.errors import LanguageError
from mnemic.text.language.base import Completion
from mnemic.text.record import Kind, Record, Span
from mnemic.text.steps.render import count_tokens
from mnemic.text.steps.summarise import Sentence, abstract, centroid, split, textrank, told, unpacked


def sentence(text: str, place: int = 0, speaker: str | None = None) -> Sentence:
    return Sentence(text, speaker, f"t{place}", place)


GARDEN = [
    sentence("The tomato plants in the garden need water every evening.", 0),
    sentence("Water the tomato plants in the garden in the evening heat.", 1),
    sentence("Every garden with tomato plants needs much water.", 2),
    sentence("My cousin bought a red motorcycle yesterday.", 3),
]


def test_the_centre_is_what_most_sentences_are_about() -> None:
    assert GARDEN[3] not in centroid(GARDEN, 30)
    assert GARDEN[3] not in textrank(GARDEN, 2)


def test_recency_lets_the_new_in() -> None:
    assert GARDEN[3] in centroid(GARDEN, 30, now=3, recency=2.0, half_life=1.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc de fg hij klm .", min_size=1, max_size=120), max_size=12), st.integers(5, 60))
def test_the_budget_is_kept_and_nothing_is_made_up(texts: list[str], budget: int) -> None:
    pool = [sentence(text, place, "Ana") for place, text in enumerate(texts)]
    chosen = centroid(pool, budget)
    assert count_tokens(told(chosen)) <= budget
    assert all(s in pool for s in chosen)
    assert [s.place for s in chosen] == sorted(s.place for s in chosen)


def test_told_names_a_speaker_once_in_a_row() -> None:
    pool = [sentence("One.", 0, "Ana"), sentence("Two.", 1, "Ana"), sentence("Three.", 2, "Ben")]
    assert told(pool) == "Ana: One. Two. Ben: Three."


def test_split_leaves_out_what_tells_nothing() -> None:
    turn = Record("t", Kind.TURN, "Hi there! How are you? I planted forty tulip bulbs near the fence.", speaker="Ana")
    assert [s.text for s in split(turn, 0)] == ["I planted forty tulip bulbs near the fence."]


def test_split_masks_secrets_and_cuts() -> None:
    text = "The alarm password of the garage door is hunter2 forever and ever."
    turn = Record("t", Kind.TURN, text, secrets=(Span(41, 48, "password"),))
    (found,) = split(turn, 0, 12)
    assert "hunter2" not in found.text
    assert found.cost <= 12


def test_sentences_survive_storing() -> None:
    assert unpacked([s.packed() for s in GARDEN]) == GARDEN


class Scripted:
    """A language model that says what a test tells it to."""

    name = "scripted"

    def __init__(self, *replies: str | Exception) -> None:
        self.replies = list(replies)
        self.asked: list[str] = []

    def complete(self, messages, *, schema=None, max_tokens=512, temperature=0.0):  # type: ignore[no-untyped-def]
        self.asked.append("\n".join(m.content for m in messages))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return Completion(reply, 1, 1, 0.0)


def test_abstract_cuts_what_is_too_long() -> None:
    found = abstract(Scripted('{"summary": "' + "word " * 500 + '"}'), "", "Ana: hello", 60)
    assert count_tokens(found) <= 60


@pytest.mark.parametrize("reply", ["", "no", '{"summary": 3}', '{"summary": "  "}', '{"other": "x"}', "[]"])
def test_abstract_refuses_what_is_no_summary(reply: str) -> None:
    with pytest.raises(LanguageError):
        abstract(Scripted(reply), "", "Ana: hello", 60)
