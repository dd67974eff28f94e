"""The spaces of a store, opened when they are asked for and closed when others need the room."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mnemic.errors import ConflictError, InputError, NotFoundError, StoreError
from mnemic.serve import disk
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
FILES = 8
"""Files that an open space holds: its database and log, once for writing and once for each reader at work."""
SPARE = 256
"""Files left for connections, uploads and the rest."""
AT_ONCE = 2
"""Recalls, and encodings of what is remembered, that are worked on at once; the others wait in line. Most of them holds
the interpreter lock: more of them would take time from each other, and from the event loop."""

_log = logging.getLogger("mnemic.serve")
STOPPING = "the server is shutting down: try again when it is back"


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
        self._held: set[str] = set()
        self._closed = False
        self._pace = threading.BoundedSemaphore(AT_ONCE)
        self._most = config.limits.open_spaces
        room = (disk.files(FILES * self._most + SPARE) - SPARE) // FILES
        if room < self._most:
            self._most = max(room, 1)
            _log.warning("only %d spaces are kept open: raise the limit of open files (ulimit -n)", self._most)

    @contextmanager
    def use(self, name: str, *, make: bool = False) -> Iterator[Memory]:
        """The memory of the space ``name``, kept open as long as the block runs.

        Raises :class:`NotFoundError` if there is no such space, unless it is to be made.
        """
        with self._pinned(name) as entry:
            with entry.opening:
                if entry.memory is None:
                    entry.memory, entry.file = self._opened(name, make=make)
            yield entry.memory

    def names(self) -> list[str]:
        """The spaces there are, sorted."""
        return opening.spaces(self.config.store)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def make(self, name: str, *, system: str | None = None, encoders: str | None = None) -> None:
        """Make the space; nothing happens where it exists as wanted. Raises :class:`ConflictError` otherwise."""
        with self._pinned(name) as entry, entry.opening:
            self._make(name, system=system, encoders=encoders).close()

    def drop(self, name: str) -> None:
        """Delete the space with all its files, when nobody uses it any more. Raises :class:`NotFoundError`."""
        with self.alone(name):
            self._file(name)
            opening.drop(self.config.store, name)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Nobody has the space open while the block runs; whoever asks for it meanwhile gets a ConflictError.

        Waits for those who are using it. Raises :class:`ConflictError` when they do not finish.
        """
        with self._changed:
            self._available(name)
            self._held.add(name)
            entry = self._open.get(name)
            if entry is not None and not self._changed.wait_for(lambda: not entry.pins, PATIENCE):
                self._held.discard(name)
                raise ConflictError(f"the space {name!r} is in use: stop its jobs, or wait, and try again")
            if entry is not None:
                self._open.pop(name, None)
        try:
            if entry is not None:
                _close(entry)
            yield
        finally:
            with self._changed:
                self._held.discard(name)

    def check(self) -> None:
        """Raise :class:`StoreError` if memories cannot be opened at all."""
        if self._closed:
            raise StoreError(STOPPING)
        if not os.access(self.config.store, os.R_OK | os.W_OK | os.X_OK):
            raise StoreError(f"{self.config.store} cannot be read and written: check that it is there, and its owner")

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

    @contextmanager
    def _pinned(self, name: str) -> Iterator[_Open]:
        """The entry of ``name``, which is neither closed nor thrown out while the block runs."""
        entry = self._pin(name)
        while self._stale(entry):
            with self._changed:
                if self._open.get(name) is entry:
                    del self._open[name]
            self._unpin(entry)
            entry = self._pin(name)
        try:
            yield entry
        finally:
            self._unpin(entry)

    def _pin(self, name: str) -> _Open:
        with self._changed:
            self._available(name)
            entry = self._open.setdefault(name, _Open(name))
            self._open.move_to_end(name)
            entry.pins += 1
            return entry

    def _unpin(self, entry: _Open) -> None:
        with self._changed:
            entry.pins -= 1
            gone = self._surplus(entry)
            self._changed.notify_all()
        for each in gone:
            _close(each)

    def _available(self, name: str) -> None:
        if self._closed:
            raise StoreError(STOPPING)
        if name in self._held:
            raise ConflictError(f"the space {name!r} is being rebuilt or dropped: wait, and try again")

    def _surplus(self, entry: _Open) -> list[_Open]:
        """What is to be closed after ``entry`` was let go of: itself if nobody can find it any more, and the oldest."""
        gone = []
        here = self._open.get(entry.name) is entry
        if not entry.pins and (entry.memory is None or not here):
            gone.append(entry)
            if here:
                del self._open[entry.name]
        idle = [each for each in self._open.values() if not each.pins]
        for each in idle[: max(0, len(self._open) - self._most)]:
            gone.append(self._open.pop(each.name))
        return gone

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
        memory.pace = self._pace
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

    def _stale(self, entry: _Open) -> bool:
        """Whether the file under an open memory is another one by now: dropped, made anew, or rebuilt."""
        if entry.memory is None or not isinstance(space := entry.memory.space, SqliteSpace):
            return False
        try:
            at = Path(space.path).stat()
        except FileNotFoundError:
            return True
        return (at.st_dev, at.st_ino) != entry.file or space.get_meta("epoch") != space.epoch


def checked(name: str) -> str:
    """``name`` if a new space may be called so: any text that is no path to somewhere else and no pattern."""
    if not name or name in (EVERY, ".", "..") or len(name) > LONGEST or not name.isprintable():
        raise InputError(f"{name[:LONGEST]!r} is no name for a space: use up to {LONGEST} printable characters")
    return name


def _close(entry: _Open) -> None:
    if entry.memory is not None:
        entry.memory.close()
