"""The awaitable verbs: the same as those of a memory, in threads."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import mnemic
from mnemic import AsyncMemory, Memory, Turn
from mnemic.errors import InputError, StoreError

VERBS = [name for name, verb in vars(Memory).items() if callable(verb) and not name.startswith("_")]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_has_every_verb() -> None:
    assert set(VERBS) >= {"remember", "recall", "ask", "get", "revise", "forget", "history", "reflect", "stats"}
    assert [name for name in vars(AsyncMemory) if not name.startswith("_")] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_signatures_and_documentation_are_the_same(verb: str) -> None:
    ours, theirs = getattr(AsyncMemory, verb), getattr(Memory, verb)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)
    assert inspect.iscoroutinefunction(ours) or inspect.isasyncgenfunction(ours)


def test_opens_like_open() -> None:
    assert inspect.signature(mnemic.aopen).parameters == inspect.signature(mnemic.open).parameters


def test_does_what_the_verbs_do(tmp_path: Path) -> None:
    async def work() -> None:
        async with await mnemic.aopen(tmp_path, encoders="lexical") as memory:
            (id,) = (await memory.remember("The heron nests by the weir.", speaker="Ana")).ids
            assert (await memory.recall("heron", k=1)).hits[0].id == id
            assert "weir" in (await memory.ask("Where does the heron nest?")).text
            (new,) = set((await memory.revise(id, "The heron nests by the mill.")).ids) - {id}
            assert [record.id for record in await memory.history(id)] == [id, new]
            assert (await memory.get(new))[0].version == 2
            assert await memory.reflect() == {"derived": 0, "superseded": 0}
            assert len(await memory.forget("heron", preview=True)) == 2
            await memory.forget("heron", erase=True)
            assert (await memory.stats())["records"] == 0
            assert (await memory.ingest([Turn("one"), Turn("two")])).stored == 2
        with pytest.raises(StoreError, match="closed"):
            await memory.stats()

    run(work())


def test_errors_come_through() -> None:
    async def work() -> None:
        async with await mnemic.aopen(":memory:", encoders="lexical") as memory:
            with pytest.raises(InputError, match="no text"):
                await memory.remember("")
            with pytest.raises(TypeError, match="unexpected"):
                await memory.recall("x", colour="blue")

    run(work())


@pytest.mark.parametrize("where", ["file", ":memory:"])
def test_many_at_once(tmp_path: Path, where: str) -> None:
    async def work() -> None:
        path = tmp_path if where == "file" else where
        async with await mnemic.aopen(path, encoders="lexical", durability="normal") as memory:
            receipts = await asyncio.gather(*(memory.remember(f"heron number {i}", session="s") for i in range(20)))
            assert sorted(receipt.seq for receipt in receipts) == list(range(1, 21))
            found = await asyncio.gather(*(memory.recall(f"number {i}", k=1) for i in range(20)))
            assert [recall.hits[0].text for recall in found] == [f"heron number {i}" for i in range(20)]

    run(work())


def test_the_loop_stays_free() -> None:
    class Slow:
        name = "slow"

        def complete(self, *_: Any, **__: Any) -> Any:
            time.sleep(0.3)
            raise TimeoutError

    async def work() -> int:
        ticks = 0
        async with await mnemic.aopen(":memory:", encoders="lexical", language=Slow()) as memory:
            await memory.remember("heron")
            asking = asyncio.create_task(memory.ask("heron"))
            while not asking.done():
                await asyncio.sleep(0.01)
                ticks += 1
            assert asking.exception() is not None
        return ticks

    assert run(work()) >= 5


@pytest.mark.parametrize("where", ["file", ":memory:"])
def test_export_streams(tmp_path: Path, where: str) -> None:
    async def work() -> None:
        async with await mnemic.aopen(tmp_path if where == "file" else where, encoders="lexical") as memory:
            await memory.remember([f"heron number {i}" for i in range(50)])
            lines = [line async for line in memory.export()]
            assert lines == list(memory.memory.export())
            stream = memory.export()
            assert "mnemic" in await anext(stream)
            await anext(stream)
            await memory.remember("one more, while the export is being read")
            assert len([line async for line in stream]) == 49, "an export is one state of the store"
            async for _ in memory.export():
                break  # and one that is left half-way holds nothing
            receipt = await memory.forget("heron", erase=True)
            assert not receipt.pending

    run(work())


def test_cancelling_does_no_harm(tmp_path: Path) -> None:
    async def work() -> None:
        async with await mnemic.aopen(tmp_path, encoders="lexical") as memory:
            tasks = [asyncio.create_task(memory.remember(f"heron number {i}", session="s")) for i in range(20)]
            await asyncio.sleep(0.01)
            for task in tasks[::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            kept = [id for each in done if not isinstance(each, BaseException) for id in each.ids]
            assert len(kept) >= 10
            assert len(await memory.get(kept)) == len(kept)

            async def drain() -> None:
                async for _ in memory.export():
                    pass

            reading = asyncio.create_task(drain())
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert (await memory.remember("still here")).ids
            assert memory.memory.space.check() is None

    run(work())
