"""What derived records rest on, and working again through turns when some of it is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

import mnemic
from mnemic import Kind, Turn
from mnemic.errors import LanguageError
from mnemic.text.record import Batch, Record
from mnemic.text.steps.mending import Mending, bearing, resting_on, standing
from mnemic.text.store.base import Job


def fill(memory: mnemic.Memory, count: int) -> None:
    memory.remember([Turn(f"Number {i} is here.", id=f"t{i}") for i in range(count)])


def run(memory: mnemic.Memory, cursor: str | None, *, stop: int | None = None) -> tuple[list[str], str, bool]:
    """The ids worked through from ``cursor`` on, the cursor then, and whether the space was torn."""
    working = Mending(Job(1, "reflect", cursor=cursor), memory.env, size=1)
    seen = []
    for (turn,) in working:
        seen.append(turn.id)
        if len(seen) == stop:
            break
    return seen, working.cursor, working.torn


def note(id: str, *sources: str) -> Record:
    return Record(id, Kind.NOTE, "A note.", sources=sources)


def test_what_is_new_is_worked_through_once(memory: mnemic.Memory) -> None:
    fill(memory, 3)
    seen, cursor, torn = run(memory, None)
    assert (seen, torn) == (["t0", "t1", "t2"], False)
    memory.remember(Turn("New.", id="new"))
    assert run(memory, cursor)[::2] == (["new"], False)


@pytest.mark.parametrize("how", ["erase", "forget", "revise"])
def test_after_a_tear_everything_comes_again_once(memory: mnemic.Memory, how: str) -> None:
    fill(memory, 3)
    cursor = run(memory, None)[1]
    if how == "revise":
        memory.revise("t0", "Number 7 is here.")
    else:
        memory.forget("t0", erase=how == "erase")
    seen, cursor, torn = run(memory, cursor)
    assert torn
    assert {"t1", "t2"} <= set(seen)
    assert run(memory, cursor)[::2] == ([], False)


def test_a_run_that_breaks_off_goes_on_where_it_was(memory: mnemic.Memory) -> None:
    fill(memory, 4)
    cursor = run(memory, None)[1]
    memory.forget("t0", erase=True)
    seen, cursor, _ = run(memory, cursor, stop=2)
    assert seen == ["t1", "t2"]
    assert run(memory, cursor)[0] == ["t3"]


def test_skipped_turns_stay_new_also_through_a_tear(memory: mnemic.Memory) -> None:
    fill(memory, 3)
    working = Mending(Job(1, "reflect"), memory.env)
    for page in working:
        assert all(map(working.new, page))
        working.skip(page[:1], LanguageError("no"))
    memory.forget("t2", erase=True)
    again = Mending(Job(1, "reflect", cursor=working.cursor), memory.env, size=1)
    pages = iter(again)
    (first,) = next(pages)
    assert (first.id, again.new(first)) == ("t0", True)
    third = Mending(Job(1, "reflect", cursor=again.cursor), memory.env, size=1)
    assert [(turn.id, third.new(turn)) for (turn,) in third] == [("t0", False), ("t1", False)]


def test_what_stands_has_all_its_sources(memory: mnemic.Memory) -> None:
    fill(memory, 5)
    records = [note("n0", "t0", "t1"), note("n1", "t1"), note("n2", "t2", "gone"), note("n3", "t3"), note("n4", "t4")]
    memory.forget("t0")
    memory.revise("t3", "It never was so.")
    memory.revise("t4", "It changed.", at=memory.clock() + timedelta(days=3))
    assert bearing(["t0", "t1", "t3", "t4", "gone"], memory.space) == {"t1", "t4"}
    assert [r.id for r in standing(records, memory.space)] == ["n1", "n4"]
    assert standing([], memory.space) == []


def test_what_rests_on_turns_is_found_in_any_state(memory: mnemic.Memory) -> None:
    fill(memory, 3)
    new = note("mine-2", "t0", "t1")
    memory.space.write(
        Batch([note("mine-1", "t0"), new, note("other", "t0"), note("mine-3", "t2")], {"mine-1": "mine-2"})
    )
    assert {r.id for r in resting_on(["t0"], "mine-", memory.space)} == {"mine-1", "mine-2"}
    assert resting_on(["mine-1"], "mine-", memory.space) == []
