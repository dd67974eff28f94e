"""``mnemic mcp``: the memory for MCP clients that start their servers themselves."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnemic.cli import options as o
from mnemic.errors import MissingExtraError, NotFoundError
from mnemic.text.language.base import Language
from mnemic.text.opening import SUFFIX

if TYPE_CHECKING:
    from mnemic.serve.mcp import Doors
    from mnemic.text.memory import Memory


def mcp(
    store: o.Store = None,
    space: o.Space = "default",
    all_spaces: Annotated[
        bool, typer.Option("--all-spaces", help="Let the client name other spaces of the folder too.")
    ] = False,
    system: o.System = None,
    encoders: o.Encoders = "auto",
    model: o.Model = None,
    base_url: o.BaseUrl = None,
) -> None:
    """Serve one space to an MCP client over standard input and output, until the client closes them."""
    if importlib.util.find_spec("mcp") is None:
        raise MissingExtraError("MCP needs its SDK; run: pip install 'mnemic[serve]'")
    from mnemic.serve.tokens import LOCAL, Principal, Scope

    mine = LOCAL if all_spaces else Principal(LOCAL.id, LOCAL.name, {space: frozenset(Scope)})
    with _doors(o.store_path(store).expanduser(), space, system, encoders, o.language(model, base_url)) as doors:
        with doors.use(space, make=True):  # what is wrong with the store is told before the client talks to us
            pass
        import anyio

        from mnemic.serve.mcp import Handlers, serve_stdio

        anyio.run(serve_stdio, Handlers(doors, space, lambda _: mine, spaced=all_spaces))


@contextmanager
def _doors(store: Path, space: str, system: str | None, encoders: str, language: Language | None) -> Iterator[Doors]:
    """The spaces at ``store``: those of a folder, opened as they are asked for, or the one in a file."""
    if store.suffix == SUFFIX:
        with o.open_memory(store, space, system, encoders) as memory:
            memory.language = language
            yield _One(memory)
        return
    from mnemic.serve.config import Config
    from mnemic.serve.spaces import Spaces

    spaces = Spaces(Config(store, space=space, system=system or "mnemic", encoders=encoders, language=language))
    try:
        yield spaces
    finally:
        spaces.close()


class _One:
    """A file that is one space."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def names(self) -> list[str]:
        return [self.memory.space.name]

    @contextmanager
    def use(self, name: str, *, make: bool = False) -> Iterator[Memory]:
        if name != self.memory.space.name:
            raise NotFoundError(f"there is no space {name!r} in a file that is one space")
        yield self.memory
