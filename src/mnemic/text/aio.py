"""The same verbs awaitable: every public method of ``Memory`` run in a thread, generated and not copied.

The store releases the interpreter lock while it waits for the disk, and numpy while it scores, so threads are
what helps; an event loop of its own would add nothing.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from mnemic.text import opening
from mnemic.text.memory import Memory


class _Awaitable:
    """Wraps a memory. The verbs are added below; their signatures are those of :class:`Memory`."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.memory.close)


def _in_thread(verb: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(verb):

        @functools.wraps(verb)
        async def stream(self: _Awaitable, *args: Any, **options: Any) -> AsyncIterator[Any]:
            lines: Iterator[Any] = verb(self.memory, *args, **options)
            end = object()
            while (line := await asyncio.to_thread(next, lines, end)) is not end:
                yield line

        return stream

    @functools.wraps(verb)
    async def call(self: _Awaitable, *args: Any, **options: Any) -> Any:
        return await asyncio.to_thread(verb, self.memory, *args, **options)

    return call


VERBS = tuple(name for name, verb in vars(Memory).items() if inspect.isfunction(verb) and not name.startswith("_"))

if TYPE_CHECKING:

    class AsyncMemory(_Awaitable):
        """See :class:`Memory`: the same verbs, awaitable."""

        def __getattr__(self, verb: str) -> Callable[..., Any]: ...
else:
    AsyncMemory = type(
        "AsyncMemory",
        (_Awaitable,),
        {
            "__doc__": "The verbs of Memory, awaitable.",
            "__module__": __name__,
            **{name: _in_thread(getattr(Memory, name)) for name in VERBS},
        },
    )


@functools.wraps(opening.open)
async def aopen(*args: Any, **options: Any) -> AsyncMemory:
    return AsyncMemory(await asyncio.to_thread(opening.open, *args, **options))
