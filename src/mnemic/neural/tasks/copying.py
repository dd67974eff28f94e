"""Copying what was shown (selective copying: Mamba, arXiv 2312.00752, section 3.1).

    selective   . . c . . a . b . |  c a b        symbols among blanks, to be said in the order they came
    permuted    3 c . . 1 a . 2 b |  a b c        symbols after their place numbers, to be said by number

After the bar the model reads the symbol that it should have said before, so that each answer is asked by itself. In
Mamba's version it reads bars alone; ours is the easier one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mnemic.errors import InputError
from mnemic.neural.tasks.base import Task, at_least

_BLANK, _BAR = 0, 1


@dataclass(frozen=True)
class Copying(Task):
    """``items`` symbols out of ``symbols`` in a text of ``length`` tokens before the bar; ``permuted`` gives each its
    place number. ``most`` is the largest number of items that the vocabulary has numbers for."""

    name: ClassVar[str] = "copying"
    by: ClassVar[tuple[str, ...]] = ("place",)
    headline: ClassVar[str] = "accuracy"

    items: int = 8
    symbols: int = 16
    length: int = 64
    permuted: bool = False
    most: int = 16

    def __post_init__(self) -> None:
        at_least(items=(self.items, 1), symbols=(self.symbols, 2))
        if self.items > self.most:
            raise InputError(f"{self.items} items need as many place numbers: set most to {self.items}")
        if self.length < self.items * self._width:
            raise InputError(f"{self.items} items do not fit into {self.length} tokens: set length higher")

    @property
    def _width(self) -> int:
        return 2 if self.permuted else 1

    @property
    def vocab(self) -> int:
        return 2 + self.symbols + self.most

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def tests(self) -> dict[str, Task]:
        found: dict[str, Task] = {f"{self.length} tokens": self}
        found |= {f"{n * self.length} tokens": replace(self, length=n * self.length) for n in (2, 4)}
        if 2 * self.items <= self.most:
            found[f"{2 * self.items} items"] = replace(self, items=2 * self.items, length=2 * self.length)
        return found

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        chosen = (2 + rng.integers(self.symbols, size=self.items)).tolist()
        order = rng.permutation(self.items).tolist() if self.permuted else list(range(self.items))
        # A slot is a blank or an item with its number; each item takes one of them.
        slots = self.length - (self._width - 1) * self.items
        taken = dict(zip(np.sort(rng.permutation(slots)[: self.items]).tolist(), order, strict=True))
        text: list[int] = []
        for slot in range(slots):
            if slot not in taken:
                text.append(_BLANK)
                continue
            item = taken[slot]
            text += [2 + self.symbols + item, chosen[item]] if self.permuted else [chosen[item]]
        silent = [-1] * len(text)
        return {
            "tokens": [*text, _BAR, *chosen],
            "targets": [*silent, *chosen, -1],
            "place": [*silent, *range(self.items), -1],
        }
