"""A book with characters: language modelling in which remembering pays, and shows by position.

    ana the potter of ghent rests . ben the baker of cork walks . ... ana the potter of ghent sings .

A book draws its cast and their traits anew. A trait can only be guessed where its character comes first; afterwards
it is known to who remembers. So the loss of ``again`` words is what memory buys, and the loss by ``position`` falls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mnemic.errors import InputError
from mnemic.neural.tasks.base import Task, WordTask, at_least, bucket, multiples
from mnemic.neural.tasks.words import Words

NAMES = "ana ben cora dov ella finn gita hugo ines jon kaia luis mara nils olga paul".split()
TRAITS = {
    "the": "potter baker sailor miller tailor doctor painter weaver".split(),
    "of": "ghent cork porto malmo graz trier lugo brno".split(),
    "with": "dog cat owl fox hen goat crow hare".split(),
}
_DEEDS = "rests walks sings waits laughs reads".split()
_LEXICON = Words([*NAMES, *TRAITS, *(word for words in TRAITS.values() for word in words), *_DEEDS, "."])
_PLAIN, _FIRST, _AGAIN = range(3)


@dataclass(frozen=True)
class Book(WordTask):
    """A book of ``length`` tokens with a cast of ``cast`` out of 16 names. Every word is predicted."""

    lexicon: ClassVar[Words] = _LEXICON
    name: ClassVar[str] = "book"
    by: ClassVar[tuple[str, ...]] = ("word", "position")
    labels: ClassVar[dict[str, tuple[str, ...]]] = {"word": ("plain", "first", "again")}
    headline: ClassVar[str] = "nats"

    length: int = 256
    cast: int = 8
    longest: int = 1024

    def __post_init__(self) -> None:
        at_least(length=(self.length, 2), cast=(self.cast, 1))
        if self.cast > len(NAMES):
            raise InputError(f"there are {len(NAMES)} names, so the cast cannot be {self.cast}")

    @property
    def chance(self) -> float:
        """Of a trait, for who does not know the character."""
        return 1 / len(TRAITS["the"])

    def tests(self) -> dict[str, Task]:
        lengths = multiples(self.length, 2, self.longest)
        return {f"{length} tokens": replace(self, length=length) for length in lengths}

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        cast = [NAMES[n] for n in rng.permutation(len(NAMES))[: self.cast]]
        known = {who: {link: words[int(rng.integers(len(words)))] for link, words in TRAITS.items()} for who in cast}
        text: list[str] = []
        kinds: list[int] = []
        told: set[tuple[str, str]] = set()
        while len(text) < self.length + 1:
            who = cast[int(rng.integers(len(cast)))]
            sentence, kind = [who], [_PLAIN]
            for link, trait in known[who].items():
                if rng.random() < 0.6:
                    sentence += [link, trait]
                    kind += [_PLAIN, _AGAIN if (who, link) in told else _FIRST]
                    told.add((who, link))
            text += [*sentence, _DEEDS[int(rng.integers(len(_DEEDS)))], "."]
            kinds += [*kind, _PLAIN, _PLAIN]
        tokens = _LEXICON.read(text[: self.length + 1])
        return {
            "tokens": tokens[:-1],
            "targets": tokens[1:],
            "word": kinds[1 : self.length + 1],
            "position": [bucket(n) for n in range(1, self.length + 1)],
        }
