"""Open information extraction by rule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic import demo
from mnemic.text.steps.triples import Triple, sentence, slot_of, triples

SAID = datetime(2024, 5, 2, tzinfo=UTC)


def read(text: str, speaker: str | None = "Ana") -> list[Triple]:
    return triples(text, speaker=speaker, said=SAID)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("My sister sold the boat.", "Ana's sister sold the boat."),
        ("I bought a lamp and Ben sold a tent.", "Ben sold a tent."),
        ("The kiln was lent to me by Ben.", "The kiln was lent to them by Ben."),
        ("Ana's won the race.", "Ana has won the race."),
        ("I've been looking into counselling as a career.", "Ana has been looking into counselling."),
        ("Yeah, I'm learning the cello now!", "Ana is learning the cello."),
        ("I wanna learn Polish.", "Ana wants to learn Polish."),
        ("We're gonna sell the van.", "Ana is going to sell the van."),
        ("Our neighbours have two boats, but they never sail.", "Ana's neighbours have two boats."),
        ("My boss hates the new logo.", "Ana's boss hates the new logo."),
        ("I carry my flute everywhere.", "Ana carries their flute everywhere."),
        ("I applied to three agencies.", "Ana applied to three agencies."),
        ("Setbacks are chances.", "Setbacks are chances."),
    ],
)
def test_plain_statements_are_read(text: str, told: str) -> None:
    assert told in [triple.text for triple in read(text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Where did I leave the keys?",
        "If I win the race, I will dance.",
        "I would like a new kayak.",
        "I think the boat sank.",
        "It broke the mast.",
        "They sold it.",
        "Glad you like it!",
        "Let's paint the shed!",
        "Don't be scared of the dog.",
        "Running boosts your mood.",
        "I guess.",
        "猫の名前はミソです。",
        "🙂 🙂",
        "[shares an image: a boat on the lake]",
        "a " * 4000,
    ],
)
def test_what_states_nothing_on_its_own_gives_nothing(text: str) -> None:
    assert read(text) == []


def test_facts_keep_their_relation_and_whether_they_have_one_value() -> None:
    (lives,) = read("I live in Porto.")
    assert (lives.slot, lives.tail, lives.functional, lives.fact) == (("ana", "live in"), "Porto", True, True)
    moved = read("I moved to Lisbon last month.")[0]
    assert moved.slot == lives.slot
    assert moved.start is not None
    assert moved.start.month == 4
    (likes,) = read("I love hiking.")
    assert not likes.functional


def test_negation_is_kept_and_does_not_change_the_slot() -> None:
    (yes,), (no,) = read("I carry a knife."), read("I don't carry a knife.")
    assert (yes.negated, no.negated) == (False, True)
    assert yes.slot == no.slot
    assert no.text == "Ana does not carry a knife."


def test_one_thing_is_told_once() -> None:
    assert len(read("I live in Porto. I live in Porto! Yes, I live in Porto.")) == 1
    assert [t.text for t in read("I bought a kayak.")] == ["Ana has a kayak."]


def test_tails_are_joined_to_one_sentence() -> None:
    assert sentence("ana", "likes", ["hiking"], fact=True) == "Ana likes hiking."
    assert sentence("Ana", "is learning", ["Polish", "the cello", "judo"], fact=False) == (
        "Ana is learning Polish, the cello and judo."
    )
    assert sentence("Ana", "likes", ["tea"], fact=True, ended=True) == "Ana no longer likes tea."


def test_slots_are_plain() -> None:
    assert slot_of("The Kiln", "was lent to") == slot_of("kiln", "had been lent to") == ("kiln", "lent to")
    assert slot_of("Ana", "is") != slot_of("Ana", "has")


def test_the_demo_conversation_gives_many_clear_triples() -> None:
    found = [t for turn in demo.turns() for t in triples(turn.text, speaker=turn.speaker, said=turn.at)]
    assert len(found) > 150
    assert all(t.head and t.tail and t.text.endswith(".") for t in found)
    assert not [t for t in found if t.head.lower() in ("it", "they", "you", "this")]


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200), st.sampled_from([None, "", "Ana", "\u202e"]))
def test_nothing_makes_it_fail(text: str, speaker: str | None) -> None:
    for triple in triples("I have " + text, speaker=speaker, said=None):
        assert triple.text
        assert len(triple.tail) <= len(text) + 40
