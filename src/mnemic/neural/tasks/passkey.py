"""Passkey retrieval (Landmark Attention, arXiv 2305.16300, section 4): a number hidden in filler, asked at the end.

    a train left the station . ... the pass key is 4 0 7 2 9 . ... what is the pass key ? 4 0 7 2 9

Words are tokens; the filler is made by a small grammar. Digits are asked one after the other, each after the true ones
before it: ``exact`` is what a model that writes the whole number by itself would get.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mnemic.neural.tasks.base import DEPTHS, Task, WordTask, at_least, multiples
from mnemic.neural.tasks.filler import WORDS, sentences
from mnemic.neural.tasks.words import Words

_TOLD, _ASKED = "the pass key is".split(), "what is the pass key ?".split()
_LEXICON = Words([*WORDS, *_TOLD, *_ASKED, ".", *"0123456789"])


@dataclass(frozen=True)
class Passkey(WordTask):
    """``length`` tokens with a number of ``digits`` at any depth; tested at that length, at four times it, and so on
    up to ``longest``."""

    lexicon: ClassVar[Words] = _LEXICON
    name: ClassVar[str] = "passkey"
    by: ClassVar[tuple[str, ...]] = ("depth",)
    labels: ClassVar[dict[str, tuple[str, ...]]] = {"depth": DEPTHS}
    headline: ClassVar[str] = "exact"

    length: int = 128
    digits: int = 5
    longest: int = 2048

    def __post_init__(self) -> None:
        at_least(digits=(self.digits, 1), length=(self.length, 2 * self.digits + len(_TOLD) + len(_ASKED) + 1))

    @property
    def chance(self) -> float:
        """Of the whole number."""
        return 0.1**self.digits

    def tests(self) -> dict[str, Task]:
        lengths = multiples(self.length, 4, self.longest)
        return {f"{length} tokens": replace(self, length=length) for length in lengths}

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        number = [str(digit) for digit in rng.integers(10, size=self.digits)]
        told = [*_TOLD, *number, "."]
        room = self.length - len(told) - len(_ASKED) - self.digits
        filler = sentences(rng, room)
        at = int(rng.integers(len(filler) + 1))
        before, after = [word for each in filler[:at] for word in each], [word for each in filler[at:] for word in each]
        text = [*before, *told, *after, *_ASKED, *number]
        depth = min(4, 5 * len(before) // max(1, len(before) + len(after)))
        answers = _LEXICON.read(number)
        silent = len(text) - self.digits - 1
        return {
            "tokens": _LEXICON.read(text),
            "targets": [-1] * silent + answers + [-1],
            "depth": [-1] * silent + [depth] * self.digits + [-1],
        }
