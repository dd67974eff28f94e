"""What a memory system is: three functions over shared steps. Everything it may touch is in ``Env``.

A reader is less: one function, which reads what any memory recalls in its own way. :class:`Reading` makes a system of
the two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from mnemic.text.language.base import Language
from mnemic.text.plan import Query, Recall
from mnemic.text.record import Batch, Record
from mnemic.text.store.base import Encoders, Job, Space


@dataclass(frozen=True, slots=True)
class Env:
    """What a system may touch. ``space`` is for reading: writes are returned as batches.

    ``language`` is None unless the user configured a model; a system must work without one.
    """

    space: Space
    encoders: Encoders
    clock: Callable[[], datetime]
    language: Language | None = None
    random: random.Random = field(default_factory=lambda: random.Random(0))


class System(Protocol):
    """A published way of remembering. What ``mnemic systems`` shows of it are its class attributes ``kind``, ``paper``,
    ``good_at`` and ``cost``, each one line.

    ``write`` gets the turns of one remember call as the store will hold them (secrets marked) and returns only what
    it derives from them; the engine stores the turns themselves. ``read`` answers a query. ``reflect`` works
    off a job in batches, each committed together with its cursor, so that a crash resumes after the last one.
    """

    name: str

    def write(self, turns: Sequence[Record], env: Env) -> Batch: ...

    def read(self, query: Query, env: Env) -> Recall: ...

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]: ...


class Reader(Protocol):
    """A published way of reading what a memory recalls: how much of it, in what order, told how. Its ``kind`` is
    ``reader``, and it changes nothing stored.

    ``read`` answers a query out of what ``memory.read`` answers, which it may ask for more than the query does.
    """

    name: str

    def read(self, query: Query, memory: System, env: Env) -> Recall: ...


class Reading:
    """A memory read through a reader: a system that writes and reflects as the memory does.

    Called ``READER+MEMORY``. A space records the name of the memory alone (:func:`memory_of`), so that it can be opened
    with any reader and without one.
    """

    kind = "memory"

    def __init__(self, reader: Reader, memory: System) -> None:
        self.reader, self.memory = reader, memory
        self.name = f"{reader.name}+{memory.name}"

    @property
    def settings(self) -> dict[str, Any]:
        """Name -> settings of either part."""
        return {part.name: getattr(part, "settings", None) for part in (self.reader, self.memory)}

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return self.memory.write(turns, env)

    def read(self, query: Query, env: Env) -> Recall:
        return self.reader.read(query, self.memory, env)

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        return self.memory.reflect(job, env)


def memory_of(system: System) -> System:
    """What writes and reflects in ``system``: ``system`` itself, or the memory under its readers."""
    while isinstance(system, Reading):
        system = system.memory
    return system


def is_reader(given: object) -> bool:
    """Whether ``given`` says of itself that it is a reader."""
    return getattr(given, "kind", "memory") == "reader"
