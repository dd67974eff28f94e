"""What a memory system is: three functions over shared steps. Everything it may touch is in ``Env``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

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
    """A published way of remembering.

    ``write`` gets the turns of one remember call as the store will hold them (secrets marked) and returns only what
    it derives from them; the engine stores the turns themselves. ``read`` answers a query. ``reflect`` works
    off a job in batches, each committed together with its cursor, so that a crash resumes after the last one.
    """

    name: str

    def write(self, turns: Sequence[Record], env: Env) -> Batch: ...

    def read(self, query: Query, env: Env) -> Recall: ...

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]: ...
