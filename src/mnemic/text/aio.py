"""The same verbs awaitable: every public method of ``Memory`` run in a thread, generated and not copied.

The store releases the interpreter lock while it waits for the disk, and numpy while it scores, so threads are
what helps; an event loop of its own would add nothing.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self

from mnemic.text import opening
from mnemic.text.memory import Memory


class Awaitable:
    """Wraps a memory; :func:`awaitable` adds its verbs. ``threads`` bounds how many run at once (None: as
    :func:`asyncio.to_thread` does)."""

    def __init__(self, memory: Any, *, threads: int | None = None) -> None:
        self.memory = memory
        self._pool = None if threads is None else ThreadPoolExecutor(threads, "mnemic-client")

    async def _run(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        work = functools.partial(copy_context().run, call, *args, **options)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self.memory.close)


def _in_thread(verb: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(verb):

        @functools.wraps(verb)
        async def stream(self: Awaitable, *args: Any, **options: Any) -> AsyncIterator[Any]:
            lines: Iterator[Any] = verb(self.memory, *args, **options)
            end = object()
            while (line := await self._run(next, lines, end)) is not end:
                yield line

        return stream

    @functools.wraps(verb)
    async def call(self: Awaitable, *args: Any, **options: Any) -> Any:
        return await self._run(verb, self.memory, *args, **options)

    return call


def awaitable(memory: type, name: str, module: str) -> type:
    """A class ``name`` with every public method of ``memory``, awaitable."""
    verbs = {each: verb for each, verb in vars(memory).items() if inspect.isfunction(verb) and not each.startswith("_")}
    told = {"__doc__": f"The verbs of {memory.__name__}, awaitable.", "__module__": module}
    return type(name, (Awaitable,), {**told, **{each: _in_thread(verb) for each, verb in verbs.items()}})


if TYPE_CHECKING:

    class AsyncMemory(Awaitable):
        """See :class:`Memory`: the same verbs, awaitable."""

        def __getattr__(self, verb: str) -> Callable[..., Any]: ...
else:
    AsyncMemory = awaitable(Memory, "AsyncMemory", __name__)


@functools.wraps(opening.open)
async def aopen(*args: Any, **options: Any) -> AsyncMemory:
    return AsyncMemory(await asyncio.to_thread(opening.open, *args, **options))
