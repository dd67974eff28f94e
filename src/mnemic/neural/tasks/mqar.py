"""Multi-query associative recall (Zoology, arXiv 2312.04927, section 3), with overwriting, noise and delay.

    k1 v1 k2 v2 ... | filler | k2 v2 k1 v1 ...

Pairs are shown, a gap of filler goes by, then every key is asked in another order; at an asked key the answer is its
value. The gap is longer than the window of the attention beside the memory, so that only the memory can answer.
Zoology spreads its questions over the whole text; here they stand at the end, so that the distance is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mnemic.errors import InputError
from mnemic.neural.tasks.base import Task, at_least, bucket


@dataclass(frozen=True)
class Mqar(Task):
    """``pairs`` keys out of ``keys``, values out of ``values``, ``gap`` filler tokens out of ``fillers``.

    ``overwrite``: the share of keys that are bound again, later, to another value: the latest counts. ``repeats``: how
    often every pair is shown; ``noise``: the chance that a showing has a wrong value (drawn anew each time), while the
    answer is the true one. ``delay``: filler tokens between a key and its value.
    """

    name: ClassVar[str] = "mqar"
    by: ClassVar[tuple[str, ...]] = ("distance", "overwritten")
    labels: ClassVar[dict[str, tuple[str, ...]]] = {"overwritten": ("once", "again")}

    pairs: int = 8
    gap: int = 32
    keys: int = 16
    values: int = 16
    fillers: int = 8
    overwrite: float = 0.0
    repeats: int = 1
    noise: float = 0.0
    delay: int = 0

    def __post_init__(self) -> None:
        at_least(
            pairs=(self.pairs, 1), gap=(self.gap, 0), values=(self.values, 2), fillers=(self.fillers, 1),
            repeats=(self.repeats, 1), delay=(self.delay, 0),
        )  # fmt: skip
        if self.keys < self.pairs:
            raise InputError(f"{self.pairs} pairs need as many keys, not {self.keys}: set keys higher")
        if not 0 <= self.overwrite <= 1 or not 0 <= self.noise < 1:
            raise InputError("overwrite must be from 0 to 1, noise from 0 to below 1")

    @property
    def vocab(self) -> int:
        return self.keys + self.values + self.fillers

    @property
    def chance(self) -> float:
        return 1 / self.values

    def tests(self) -> dict[str, Task]:
        """Half and twice the pairs, and four times the gap."""
        found: dict[str, Task] = {f"{self.pairs} pairs": self}
        for pairs in (self.pairs // 2, self.pairs * 2):
            if 1 <= pairs <= self.keys:
                found[f"{pairs} pairs"] = replace(self, pairs=pairs)
        if self.gap:
            found[f"gap {4 * self.gap}"] = replace(self, gap=4 * self.gap)
        return found

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        keys = rng.permutation(self.keys)[: self.pairs]
        true = rng.integers(self.values, size=self.pairs)
        again = rng.permutation(self.pairs)[: round(self.overwrite * self.pairs)]
        shown: list[tuple[int, int]] = []
        for _ in range(self.repeats):
            shown += [(int(n), int(self._noisy(true[n], rng))) for n in rng.permutation(self.pairs)]
        true[again] = (true[again] + rng.integers(1, self.values, size=len(again))) % self.values
        for _ in range(self.repeats if len(again) else 0):
            shown += [(int(n), int(self._noisy(true[n], rng))) for n in rng.permutation(again)]
        tokens: list[int] = []
        last: dict[int, int] = {}
        for n, value in shown:
            last[n] = len(tokens)
            tokens += [int(keys[n]), *self._filler(self.delay, rng), self.keys + value]
        tokens += self._filler(self.gap, rng)
        row: dict[str, list[int]] = {name: [-1] * len(tokens) for name in ("targets", "distance", "overwritten")}
        for n in rng.permutation(self.pairs).tolist():
            row["targets"] += [self.keys + int(true[n]), *[-1] * (self.delay + 1)]
            row["distance"] += [bucket(len(tokens) - last[n]), *[-1] * (self.delay + 1)]
            row["overwritten"] += [int(n in again), *[-1] * (self.delay + 1)]
            tokens += [int(keys[n]), *self._filler(self.delay, rng), self.keys + int(true[n])]
        return {"tokens": tokens, **row}

    def _noisy(self, value: int, rng: np.random.Generator) -> int:
        wrong = self.noise > 0 and rng.random() < self.noise
        return int(value + rng.integers(1, self.values)) % self.values if wrong else int(value)

    def _filler(self, count: int, rng: np.random.Generator) -> list[int]:
        return (self.keys + self.values + rng.integers(self.fillers, size=count)).tolist() if count else []
