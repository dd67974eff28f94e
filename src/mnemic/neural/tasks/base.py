"""What a task is: batches from a generator of random numbers, and the questions that a trained model is asked.

A task is a frozen dataclass: its fields are its settings. ``tests`` gives it at other lengths or difficulties, ``at``
gives what a training that is part done should see (a curriculum).
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mnemic.errors import InputError
from mnemic.neural.tasks.words import Words

if TYPE_CHECKING:
    from mnemic.neural.runner import Model


@dataclass(frozen=True)
class Batch:
    """``tokens`` [B, T]; ``targets`` [B, T]: what should be said when the token at the same place was read; ``mask``
    [B, T]: true where that counts. ``meta`` name -> [B, T] of whole numbers that say what kind of question it is
    (a distance, a depth). Sequences are padded at the end, where nothing counts."""

    tokens: Tensor
    targets: Tensor
    mask: Tensor
    meta: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Batch:
        meta = {name: each.to(device) for name, each in self.meta.items()}
        return Batch(self.tokens.to(device), self.targets.to(device), self.mask.to(device), meta)


def generator(purpose: str, seed: int, index: int = 0) -> np.random.Generator:
    """Random numbers for the ``index``-th batch: those for ``train`` and those for ``test`` never meet."""
    return np.random.default_rng([zlib.crc32(purpose.encode()), seed, index])


def collate(rows: Sequence[Mapping[str, Sequence[int]]], pad: int = 0) -> Batch:
    """Rows of different lengths as a batch. A row has ``tokens``, ``targets`` (-1 where nothing counts) and, of the
    same length, what goes into ``meta``."""
    longest = max(len(row["tokens"]) for row in rows)
    made = {name: np.full((len(rows), longest), pad if name == "tokens" else -1, np.int64) for name in rows[0]}
    for n, row in enumerate(rows):
        for name, values in row.items():
            made[name][n, : len(values)] = values
    tensors = {name: torch.from_numpy(each) for name, each in made.items()}
    mask = tensors["targets"] >= 0
    meta = {name: each for name, each in tensors.items() if name not in ("tokens", "targets")}
    return Batch(tensors["tokens"], tensors["targets"].clamp(min=0), mask, meta)


@dataclass(frozen=True)
class Task(ABC):
    """See the module. ``name`` is its name in the registry; ``by`` are the ``meta`` that answers are grouped by;
    ``headline`` the number that runs are compared by: ``accuracy``, ``exact`` or ``nats``."""

    name: ClassVar[str]
    by: ClassVar[tuple[str, ...]] = ()
    labels: ClassVar[Mapping[str, Sequence[str]]] = {}
    headline: ClassVar[str] = "accuracy"

    @property
    @abstractmethod
    def vocab(self) -> int:
        """How many tokens there are. The same for all of ``tests`` and ``at``."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """The accuracy of guessing among the answers that the question allows."""

    @abstractmethod
    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        """One sequence, as :func:`collate` takes it; the same for the same state of ``rng``."""

    def sample(self, batch: int, rng: np.random.Generator) -> Batch:
        """``batch`` sequences."""
        return collate([self.row(rng) for _ in range(batch)])

    def tests(self) -> Mapping[str, Task]:
        """What is asked after training: label -> this task, perhaps longer or harder. The first is the one whose
        score is the headline."""
        return {"trained": self}

    def at(self, done: float) -> Task:
        """What to train on when the share ``done`` of a training is over."""
        return self

    def held_out(self) -> Task:
        """The same task on data that training never draws: itself, where all data is made; another split of files."""
        return self

    def evaluate(
        self, model: Model, *, seed: int = 0, batch: int = 32, batches: int = 4, segment: int | None = None
    ) -> dict[str, Any]:
        """How well ``model`` does on fresh data: for every test ``accuracy`` (of answer tokens), ``exact`` (sequences
        with every answer right; whole answers as a reader that writes them itself would give them, for one wrong
        token ends it), ``nats`` (mean loss) and ``n`` (answer tokens), together and ``by`` kind.

        ``segment`` tokens are read at a time, so that any length fits. The model is left in the mode it was in.
        """
        from mnemic.neural.runner import SegmentRunner

        runner = SegmentRunner(model, segment)
        found = {}
        for index, (label, task) in enumerate(self.tests().items()):
            tallies: dict[tuple[str, int], _Tally] = {}
            whole = _Tally()
            for n in range(batches):
                drawn = task.held_out().sample(batch, generator("test", seed, index * 10_000 + n))
                nats, right = runner.judge(drawn)
                whole.add(nats, right, drawn.mask)
                for name in task.by:
                    for value in set(drawn.meta[name][drawn.mask].tolist()):
                        chosen = drawn.mask & (drawn.meta[name] == value)
                        tallies.setdefault((name, value), _Tally()).add(nats, right, chosen)
            found[label] = whole.told() | {
                "by": {
                    name: {task._label(name, value): tallies[name, value].told() for value in _sorted(tallies, name)}
                    for name in task.by
                }
            }
        first = next(iter(found.values()))
        return {"headline": first[self.headline], "metric": self.headline, "chance": self.chance, "tests": found}

    def _label(self, name: str, value: int) -> str:
        return self.labels[name][value] if name in self.labels else str(value)


class WordTask(Task):
    """A task whose tokens are words, those of ``lexicon``."""

    lexicon: ClassVar[Words]

    @property
    def words(self) -> Words:
        return self.lexicon

    @property
    def vocab(self) -> int:
        return len(self.words)


@dataclass
class _Tally:
    tokens: int = 0
    right: int = 0
    rows: int = 0
    whole: int = 0
    nats: float = 0.0

    def add(self, nats: Tensor, right: Tensor, mask: Tensor) -> None:
        asked = mask.any(1)
        self.tokens += int(mask.sum())
        self.right += int((right & mask).sum())
        self.rows += int(asked.sum())
        self.whole += int(((right | ~mask).all(1) & asked).sum())
        self.nats += float(nats[mask].double().sum())

    def told(self) -> dict[str, Any]:
        return {
            "accuracy": round(self.right / self.tokens, 5) if self.tokens else math.nan,
            "exact": round(self.whole / self.rows, 5) if self.rows else math.nan,
            "nats": round(self.nats / self.tokens, 5) if self.tokens else math.nan,
            "n": self.tokens,
        }


def _sorted(tallies: Mapping[tuple[str, int], _Tally], name: str) -> list[int]:
    return sorted(value for each, value in tallies if each == name)


def bucket(distance: int) -> int:
    """The power of two at or below a distance: what distances are grouped by."""
    return 1 << max(0, distance.bit_length() - 1)


def multiples(first: int, factor: int, most: int) -> list[int]:
    """``first``, ``factor`` times it, and so on up to ``most``: what a task is tested at. 0 stays alone."""
    found = [first]
    while found[-1] and found[-1] * factor <= most:
        found.append(found[-1] * factor)
    return found


DEPTHS = ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %")
"""The labels of fifths of a text, by which answers are grouped."""


def at_least(**bounds: tuple[float, float]) -> None:
    """Raises :class:`InputError` for the first setting (name=(value, least)) that is too small."""
    for name, (value, least) in bounds.items():
        if value < least:
            raise InputError(f"{name} must be at least {least:g}, not {value:g}")
