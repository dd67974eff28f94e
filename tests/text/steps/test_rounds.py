"""Rounds: what was said with the reply to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

import mnemic
from mnemic import Turn
from mnemic.text.record import Kind, Record
from mnemic.text.steps.rounds import rounds, rounds_with, turns_of

START = datetime(2024, 3, 1, tzinfo=UTC)


def talk(*lines: tuple[str, str | None, str]) -> list[Record]:
    """Speaker, role and text of each turn."""
    return [
        Record(
            f"t{n}", Kind.TURN, text, at=START + timedelta(minutes=n), speaker=who, role=role, session="s", position=n
        )
        for n, (who, role, text) in enumerate(lines)
    ]


def ids(found: list[tuple[Record, ...]]) -> list[list[str]]:
    return [[turn.id for turn in each] for each in found]


def test_with_a_model_a_round_is_a_users_turn_and_all_until_the_next() -> None:
    said = talk(
        ("m", "assistant", "Hello!"),
        ("u", "user", "My boiler is old."),
        ("m", "assistant", "How old is it?"),
        ("m", "tool", "{}"),
        ("u", "user", "Ten years."),
        ("u", "user", "And loud."),
    )
    assert ids(rounds(said)) == [["t0"], ["t1", "t2", "t3"], ["t4"], ["t5"]]


def test_between_people_a_question_and_its_reply_are_a_round() -> None:
    said = talk(
        ("Ana", None, "Where is the key?"),
        ("Ben", None, "In the drawer."),
        ("Ben", None, "Do you need it?"),
        ("Ben", None, "I can bring it."),
        ("Ana", None, "Yes?"),
        ("Ben", None, "Coming!"),
    )
    assert ids(rounds(said)) == [["t0", "t1"], ["t2"], ["t3"], ["t4", "t5"]]


def test_turns_are_put_in_the_order_they_were_said() -> None:
    said = talk(("Ana", None, "Where is it?"), ("Ben", None, "Here."))
    assert ids(rounds(said[::-1])) == [["t0", "t1"]]
    assert rounds([]) == []


people = st.tuples(st.sampled_from(["Ana", "Ben"]), st.none(), st.sampled_from(["What?", "That."]))
chats = st.tuples(st.just("x"), st.sampled_from(["user", "assistant", "tool"]), st.just("What?"))


@settings(max_examples=60, deadline=None)
@given(st.lists(people | chats, max_size=12))
def test_every_turn_is_in_one_round_and_rounds_keep_the_order(lines: list[tuple[str, str | None, str]]) -> None:
    said = talk(*lines)
    assert [turn.id for each in rounds(said) for turn in each] == [turn.id for turn in said]


@settings(max_examples=60, deadline=None)
@given(st.lists(people | chats, min_size=1, max_size=12))
def test_a_turn_that_is_added_changes_the_last_round_at_most(lines: list[tuple[str, str | None, str]]) -> None:
    assert ids(rounds(talk(*lines)))[:-2] == ids(rounds(talk(*lines[:-1])))[: len(rounds(talk(*lines))) - 2]


def test_the_rounds_of_some_turns_are_read_from_their_sessions(memory: mnemic.Memory) -> None:
    memory.remember(
        [
            Turn(text, who, START + timedelta(hours=place), session, id=f"{session}{place}")
            for session in ("a", "b")
            for place, (who, text) in enumerate([("Ana", "Why?"), ("Ben", "So."), ("Ana", "Fine.")])
        ]
    )
    memory.forget("b2")
    space = memory.space
    assert [t.id for t in turns_of("b", space)] == ["b0", "b1"]
    assert ids(rounds_with(space.get(["a1"]), space)) == [["a0", "a1"]]
    assert ids(rounds_with(space.get(["a2", "b0", "b2"]), space)) == [["a2"], ["b0", "b1"]]
    memory.revise("a1", "Because.")
    revised = memory.history("a1")[-1].id
    assert ids(rounds_with(space.get([revised]), space)) == [["a0", revised]]
