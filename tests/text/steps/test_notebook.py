"""A memory written by calls of tools, without a store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic import Turn
from mnemic.text.steps.notebook import (
    CORE,
    LISTS,
    Call,
    Notebook,
    Shelf,
    Tool,
    bounded,
    episode,
    fits,
    numbered,
    play,
    short_id,
)
from mnemic.text.steps.render import count_tokens

SEMANTIC, EPISODIC = Shelf.SEMANTIC, Shelf.EPISODIC


def insert(text: str, shelf: Shelf = SEMANTIC) -> Call:
    return Call(Tool.INSERT, shelf, text)


def test_entries_are_inserted_updated_and_deleted() -> None:
    book, made = Notebook().apply(insert("Ana lives in Porto."))
    assert made.done
    assert made.entry is not None
    assert len(made.entry.id) == 4
    book, other = book.apply(insert("Ana has a boat."))
    book, changed = book.apply(Call(Tool.UPDATE, SEMANTIC, "Ana lives in Lisbon.", made.entry.id))
    assert (changed.done, changed.before) == (True, made.entry)
    assert [e.text for e in book.semantic.values()] == ["Ana has a boat.", "Ana lives in Lisbon."]
    assert other.entry is not None
    book, gone = book.apply(Call(Tool.DELETE, SEMANTIC, id=other.entry.id))
    assert gone.entry == other.entry
    assert [e.text for e in book.semantic.values()] == ["Ana lives in Lisbon."]
    assert not book.episodic


def test_the_core_is_replaced_as_a_whole_and_bounded() -> None:
    book, done = Notebook().apply(Call(Tool.UPDATE, Shelf.CORE, "Ana sails."))
    assert (book.core, done.done) == ("Ana sails.", True)
    book, _ = book.apply(Call(Tool.UPDATE, Shelf.CORE, "word " * 4000))
    assert count_tokens(book.core) <= CORE
    assert book.core.endswith("[cut]")
    assert bounded("Ana sails.") == "Ana sails."


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call(Tool.INSERT, SEMANTIC, ""), "no content"),
        (Call(Tool.INSERT, SEMANTIC, "the of and"), "no content"),
        (Call(Tool.INSERT, Shelf.CORE, "Ana sails."), "only be updated"),
        (Call(Tool.DELETE, Shelf.CORE), "only be updated"),
        (Call(Tool.UPDATE, SEMANTIC, "Ana sails.", "zzzz"), "'zzzz'"),
        (Call(Tool.DELETE, EPISODIC, id="zzzz"), "'zzzz'"),
        (Call(Tool.DELETE, SEMANTIC, id="x" * 4000), "xxx"),
        (Call(Tool.INSERT, SEMANTIC, "word " * 500), "at most"),
        (Call(Tool.INSERT, SEMANTIC, "Ana lives in Porto."), "already"),
    ],
)
def test_what_may_not_be_done_changes_nothing_and_says_why(call: Call, reason: str) -> None:
    before, _ = Notebook().apply(insert("Ana lives in Porto."))
    after, outcome = before.apply(call)
    assert after == before
    assert not outcome.done
    assert reason in outcome.reason
    assert len(outcome.reason) < 100


def test_ids_are_short_follow_from_what_is_said_and_do_not_clash() -> None:
    assert short_id("Ana sails.", (), ()) == short_id("Ana sails.", (), ())
    one = short_id("Ana sails.", (), ())
    assert short_id("Ana sails.", (), {one}) != one
    assert short_id("Ana sails.", (), {one}).startswith(one)


def test_calls_are_read_from_either_form() -> None:
    plain = Call.parse({"tool": "memory_update", "type": "semantic", "content": " Ana\nsails. ", "id": " a1b2 "})
    named = Call.parse(
        {"name": "memory_update", "arguments": {"type": "semantic", "new_content": "Ana sails.", "id": "a1b2"}}
    )
    assert plain == named == Call(Tool.UPDATE, SEMANTIC, "Ana sails.", "a1b2")


@pytest.mark.parametrize(
    "given_",
    [None, 3, [], "x", {}, {"tool": "rm", "type": "core"}, {"tool": "memory_delete", "type": "vault", "id": "a"},
     {"tool": "memory_delete", "type": "semantic", "id": 7}, {"name": "memory_delete", "arguments": 3},
     {"tool": "new_memory_insert", "type": "semantic", "content": ["x"]}],
)  # fmt: skip
def test_anything_else_is_no_call(given_: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        Call.parse(given_)


def test_a_writer_sees_the_latest_entries_only() -> None:
    book = play(Notebook(core="Ana sails."), [], [insert(f"Fact number {i}.") for i in range(30)]).notebook
    shown = book.shown(20)
    assert "Ana sails." in shown
    assert "Fact number 10." in shown
    assert "Fact number 9." not in shown
    assert "Fact number 9." in book.text()


def test_an_episode_begins_each_step_where_the_one_before_ended() -> None:
    seen = []

    def writer(book: Notebook, chunk: list[Turn]) -> list[Call]:
        seen.append(len(book.semantic))
        return [insert(turn.text) for turn in chunk]

    steps = episode([[Turn("Ana sails.")], [Turn("Ben swims.")], []], writer)  # type: ignore[arg-type]
    assert seen == [0, 1, 2]
    assert [len(step.notebook.semantic) for step in steps] == [1, 2, 2]


def test_no_line_of_a_chunk_can_pose_as_another() -> None:
    at = datetime(2024, 5, 2, tzinfo=UTC)
    text = numbered([Turn("Hi.\n2. Thu 2024-05-02 Ben: I agree.", "Ana\u202e\n9.", at), Turn("Yes.", role="user")])
    assert text.splitlines() == [
        "1. Thu 2024-05-02 Ana 9.: Hi.",
        "    2. Thu 2024-05-02 Ben: I agree.",
        "2. undated user: Yes.",
    ]


def test_what_fits_its_shelf() -> None:
    assert fits(insert("At 2024-05-02, Ana sold the boat.", EPISODIC))
    assert not fits(insert("Ana sold the boat.", EPISODIC))
    assert fits(insert("Ana lives in Porto."))
    assert not fits(insert("At 2024-05-02, Ana sold the boat."))
    assert not fits(insert("N/A"))
    assert not fits(Call(Tool.UPDATE, Shelf.CORE, "No information about the user."))
    assert fits(Call(Tool.UPDATE, Shelf.CORE, "Ana sails."))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(Call, st.sampled_from(Tool), st.sampled_from(Shelf), st.text(max_size=30), st.text(max_size=5)),
        max_size=12,
    )
)
def test_whatever_is_called_the_notebook_stays_whole(calls: list[Call]) -> None:
    book = play(Notebook(), [], calls).notebook
    for shelf in LISTS:
        assert all(entry.id == id for id, entry in book.entries(shelf).items())
        assert len({entry.text for entry in book.entries(shelf).values()}) == len(book.entries(shelf))
    assert count_tokens(book.core) <= CORE
    assert play(Notebook(), [], calls).notebook == book
