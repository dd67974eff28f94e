"""The spaces of a store, opened when they are asked for and closed when others need the room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mnemic.errors import ConflictError, InputError, NotFoundError, StoreError
from mnemic.serve.config import Config
from mnemic.serve.tokens import EVERY
from mnemic.text import opening
from mnemic.text.memory import Memory
from mnemic.text.store.schema import is_store
from mnemic.text.store.sqlite import SqliteSpace

PATIENCE = 30.0
"""Seconds that dropping a space, and closing them all, wait for those who are using one."""
LONGEST = 200
"""Characters in the name of a space."""


@dataclass(eq=False)
class _Open:
    """One open memory. ``pins`` is how many are using it; only at zero may it be closed."""

    name: str
    pins: int = 0
    memory: Memory | None = None
    file: tuple[int, int] | None = None
    opening: threading.Lock = field(default_factory=threading.Lock)


class Spaces:
    """Memories by the name of their space. Thread-safe.

    At most ``limits.open_spaces`` stay open, the least recently used are closed first; one that is in use is never
    closed. A space that another process rebuilt or replaced is opened again.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._changed = threading.Condition()
        self._dropping: set[str] = set()
        self._closed = False

    @contextmanager
    def use(self, name: str, *, make: bool = False) -> Iterator[Memory]:
        """The memory of the space ``name``, kept open as long as the block runs.

        Raises :class:`NotFoundError` if there is no such space, unless it is to be made.
        """
        entry = self._pin(name)
        try:
            with entry.opening:
                if entry.memory is None:
                    entry.memory, entry.file = self._opened(name, make=make)
            yield entry.memory
        finally:
            self._unpin(entry)

    def names(self) -> list[str]:
        """The spaces there are, sorted."""
        return opening.spaces(self.config.store)

    def make(self, name: str, *, system: str | None = None, encoders: str | None = None) -> None:
        """Make the space; a no-op where it exists with this system. Raises :class:`ConflictError` otherwise."""
        with self.alone(name, wait=False):
            self._make(name, system=system, encoders=encoders).close()

    def drop(self, name: str) -> None:
        """Delete the space with all its files, when nobody uses it any more. Raises :class:`NotFoundError`."""
        with self.alone(name):
            self._file(name)
            opening.drop(self.config.store, name)

    def close(self) -> None:
        """Close all memories, waiting for those who use them; nothing can be opened afterwards."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not any(entry.pins for entry in self._open.values()), PATIENCE)
            entries = list(self._open.values())
            self._open.clear()
        for entry in entries:
            _close(entry)

    # -- the table of open memories --------------------------------------------------------------------------

    def _pin(self, name: str) -> _Open:
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or name not in self._dropping, PATIENCE):
                raise ConflictError(f"the space {name!r} is being changed: try again")
            if self._closed:
                raise StoreError("the server is shutting down: try again when it is back")
            entry = self._open.get(name)
            if entry is not None and entry.memory is not None and self._stale(entry.memory, entry.file):
                del self._open[name]  # whoever uses it finishes with it; then it is closed
                if not entry.pins:
                    _close(entry)
                entry = None
            if entry is None:
                entry = self._open[name] = _Open(name)
            self._open.move_to_end(name)
            entry.pins += 1
            return entry

    def _unpin(self, entry: _Open) -> None:
        with self._changed:
            entry.pins -= 1
            here = self._open.get(entry.name) is entry
            gone = []
            if not entry.pins and (entry.memory is None or not here):
                gone.append(entry)
                if here:
                    del self._open[entry.name]
            idle = [each for each in self._open.values() if not each.pins]
            for each in idle[: max(0, len(self._open) - self.config.limits.open_spaces)]:
                gone.append(self._open.pop(each.name))
            self._changed.notify_all()
        for each in gone:
            _close(each)

    @contextmanager
    def alone(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Nobody opens ``name`` while the block runs; with ``wait`` nobody has it open either.

        Raises :class:`ConflictError` when those who use it do not finish.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: name not in self._dropping, PATIENCE):
                raise ConflictError(f"the space {name!r} is being changed: try again")
            self._dropping.add(name)
            try:
                entry = self._open.get(name)
                if wait and entry is not None:
                    if not self._changed.wait_for(lambda: not entry.pins, PATIENCE):
                        raise ConflictError(f"the space {name!r} is in use: stop its jobs, or wait, and try again")
                    if self._open.get(name) is entry:
                        del self._open[name]
                        _close(entry)
            except BaseException:
                self._dropping.discard(name)
                self._changed.notify_all()
                raise
        try:
            yield
        finally:
            with self._changed:
                self._dropping.discard(name)
                self._changed.notify_all()

    # -- files -----------------------------------------------------------------------------------------------

    def _file(self, name: str) -> Path:
        """The file of the space. Raises :class:`NotFoundError`, in words that tell nothing about the machine."""
        if not name:
            raise InputError("a space needs a name")
        file = Path(str(opening.locate(self.config.store, name, make=None)))
        if not is_store(file):
            raise NotFoundError(f"there is no space {name!r}: make it first, or check its name")
        return file

    def _opened(self, name: str, *, make: bool) -> tuple[Memory, tuple[int, int]]:
        if not make:
            self._file(name)
        memory = self._make(name)
        at = Path(memory.space.path).stat() if isinstance(memory.space, SqliteSpace) else None
        return memory, (at.st_dev, at.st_ino) if at else (0, 0)

    def _make(self, name: str, *, system: str | None = None, encoders: str | None = None) -> Memory:
        recorded = opening.recorded_system(self.config.store, name)
        if recorded is None:
            checked(name)
        wanted = encoders or ("auto" if recorded else self.config.encoders)
        return opening.open(
            self.config.store,
            name,
            system or recorded or self.config.system,
            encoders=wanted if wanted in ("auto", "lexical") else [each.strip() for each in wanted.split(",")],
            language=self.config.language,
            clock=self.config.clock,
        )

    def _stale(self, memory: Memory, file: tuple[int, int] | None) -> bool:
        """Whether the file under an open memory is another one by now: dropped, made anew, or rebuilt."""
        space = memory.space
        if not isinstance(space, SqliteSpace):
            return False
        try:
            at = Path(space.path).stat()
        except FileNotFoundError:
            return True
        return (at.st_dev, at.st_ino) != file or space.get_meta("epoch") != space.epoch


def checked(name: str) -> str:
    """``name`` if a new space may be called so: any text that is no path to somewhere else and no pattern."""
    if not name or name in (EVERY, ".", "..") or len(name) > LONGEST or not name.isprintable():
        raise InputError(f"{name[:LONGEST]!r} is no name for a space: use up to {LONGEST} printable characters")
    return name


def _close(entry: _Open) -> None:
    if entry.memory is not None:
        entry.memory.close()
