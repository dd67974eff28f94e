"""ListOps (Nangia and Bowman, arXiv 1804.06028): nested lists of digits, worked out to one digit.

    [max 2 9 [min 4 7 ] 0 ] =  9

Operations are the largest, the smallest, the median (the lower middle of an even count) and the sum modulo ten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mnemic.neural.tasks.base import Task, WordTask, at_least
from mnemic.neural.tasks.words import Words

OPERATIONS: dict[str, Callable[[list[int]], int]] = {
    "[max": max,
    "[min": min,
    "[med": lambda values: sorted(values)[(len(values) - 1) // 2],
    "[sm": lambda values: sum(values) % 10,
}
_LEXICON = Words([*OPERATIONS, "]", "=", *"0123456789"])


@dataclass(frozen=True)
class ListOps(WordTask):
    """Lists at most ``depth`` deep with 2 to ``items`` items each, of at most ``length`` tokens; an item is a list
    itself with the chance ``nested``."""

    lexicon: ClassVar[Words] = _LEXICON
    name: ClassVar[str] = "listops"
    by: ClassVar[tuple[str, ...]] = ("depth",)

    depth: int = 3
    items: int = 4
    length: int = 96
    nested: float = 0.3

    def __post_init__(self) -> None:
        at_least(depth=(self.depth, 1), items=(self.items, 2), length=(self.length, 4 + self.items))

    @property
    def chance(self) -> float:
        """One of ten digits. Answers are not equally frequent: always saying the most frequent one finds more."""
        return 0.1

    def tests(self) -> dict[str, Task]:
        deeper = replace(self, depth=self.depth + 2, length=2 * self.length)
        return {f"depth {self.depth}": self, f"depth {self.depth + 2}": deeper}

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        while True:
            text, value, depth = self._list(rng, self.depth)
            if len(text) < self.length:
                break
        silent = [-1] * len(text)
        return {
            "tokens": _LEXICON.read([*text, "="]),
            "targets": [*silent, *_LEXICON.read([str(value)])],
            "depth": [*silent, depth],
        }

    def _list(self, rng: np.random.Generator, deepest: int) -> tuple[list[str], int, int]:
        """Its tokens, value and depth."""
        name = list(OPERATIONS)[int(rng.integers(len(OPERATIONS)))]
        text, values, depth = [name], list[int](), 1
        for _ in range(int(rng.integers(2, self.items + 1))):
            if deepest > 1 and rng.random() < self.nested:
                inner, value, below = self._list(rng, deepest - 1)
                depth = max(depth, below + 1)
            else:
                value = int(rng.integers(10))
                inner = [str(value)]
            text += inner
            values.append(value)
        return [*text, "]"], OPERATIONS[name](values), depth
