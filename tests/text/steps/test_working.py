"""Working through turns: pages, what was skipped, and where a run goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mnemic
from mnemic.errors import LanguageError
from mnemic.text.record import Batch
from mnemic.text.steps.working import Working
from mnemic.text.store.base import Job


def ids(working: Working) -> list[list[str]]:
    return [[turn.id for turn in page] for page in working]


def fill(memory: mnemic.Memory, count: int) -> None:
    memory.remember([mnemic.Turn(f"Number {i} is here.", id=f"t{i}") for i in range(count)])


def test_pages_go_on_after_the_cursor(memory: mnemic.Memory) -> None:
    fill(memory, 5)
    working = Working(Job(1, "reflect"), memory.env, size=2)
    pages = iter(working)
    assert [turn.id for turn in next(pages)] == ["t0", "t1"]
    again = Working(Job(1, "reflect", cursor=working.cursor), memory.env, size=2)
    assert ids(again) == [["t2", "t3"], ["t4"]]
    again.close()
    assert ids(Working(Job(1, "reflect", cursor=again.cursor), memory.env)) == []


def test_skipped_turns_come_first_in_the_next_run_and_fail_this_one(memory: mnemic.Memory) -> None:
    fill(memory, 4)
    working = Working(Job(1, "reflect"), memory.env, size=2)
    for page in working:
        working.skip(page[:1], LanguageError("the answer was empty"))
    with pytest.raises(LanguageError, match=r"2 turns .* the answer was empty"):
        working.close()
    memory.remember("Something new.", idempotency_key=None)
    again = Working(Job(1, "reflect", cursor=working.cursor), memory.env, size=1)
    pages = ids(again)
    assert pages[:2] == [["t0"], ["t2"]]
    assert len(pages) == 3
    again.close()


def test_what_waits_survives_a_run_that_breaks_off_while_retrying(memory: mnemic.Memory) -> None:
    fill(memory, 3)
    first = Working(Job(1, "reflect"), memory.env)
    for page in first:
        first.skip(page, LanguageError("no"))
    second = Working(Job(1, "reflect", cursor=first.cursor), memory.env, size=1)
    pages = iter(second)
    assert next(pages)[0].id == "t0"
    assert ids(Working(Job(1, "reflect", cursor=second.cursor), memory.env)) == [["t1", "t2"]]


def test_what_was_erased_meanwhile_is_not_worked_on(memory: mnemic.Memory) -> None:
    fill(memory, 2)
    first = Working(Job(1, "reflect"), memory.env)
    for page in first:
        first.skip(page, LanguageError("no"))
    memory.forget("t0", erase=True)
    memory.forget("t1")
    assert ids(Working(Job(1, "reflect", cursor=first.cursor), memory.env)) == []


def test_a_reflect_whose_system_skips_keeps_its_job_open(memory: mnemic.Memory) -> None:
    class Picky:
        name = "mnemic"
        answers = False

        def write(self, turns: object, env: object) -> Batch:
            return Batch()

        read = None

        def reflect(self, job: Job, env: mnemic.text.systems.Env) -> Iterator[Batch]:  # type: ignore[name-defined]
            working = Working(job, env, size=1)
            for page in working:
                if page[0].id == "t1" and not self.answers:
                    working.skip(page, LanguageError("the answer was empty"))
                yield Batch(cursor=working.cursor)
            working.close()

    fill(memory, 3)
    picky = Picky()
    memory.system = picky  # type: ignore[assignment]
    with pytest.raises(LanguageError, match="1 turns"):
        memory.reflect()
    assert "the answer was empty" in memory.stats()["jobs"][0]["error"]
    picky.answers = True
    memory.reflect()
    assert not [job for job in memory.stats()["jobs"] if job["error"]]
