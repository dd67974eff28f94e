"""Facts scattered among filler (BABILong, arXiv 2406.10149, section 2): a question at the end needs one to three.

Stories come from :mod:`mnemic.neural.tasks.worlds`, or from the files of the bAbI tasks in a folder that you name.
BABILong hides its facts in books; here the filler is generated. A training goes from short to long texts: a sixteenth
of the length, a quarter, all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from mnemic.errors import InputError, NotFoundError
from mnemic.neural.tasks import babi, filler, worlds
from mnemic.neural.tasks.base import DEPTHS, Task, WordTask, at_least, multiples
from mnemic.neural.tasks.words import Words
from mnemic.neural.tasks.worlds import Story


@dataclass(frozen=True)
class Babilong(WordTask):
    """``kind`` 1 to 3 (qa1 to qa3), ``facts`` sentences of a story in a text of ``length`` tokens; 0 is no filler.

    ``folder`` names the bAbI files: training draws from ``qaN_*_train.txt``, tests from ``qaN_*_test.txt`` (perhaps
    with ``.gz``), and ``kind`` goes from 1 to 20. Stories of files have the facts that they have.
    """

    lexicon: ClassVar[Words] = Words([*filler.WORDS, *worlds.WORDS])
    name: ClassVar[str] = "babilong"
    by: ClassVar[tuple[str, ...]] = ("depth",)
    labels: ClassVar[dict[str, tuple[str, ...]]] = {"depth": DEPTHS}

    kind: int = 1
    facts: int = 8
    length: int = 256
    longest: int = 4096
    folder: str | None = None
    split: str = "train"

    def __post_init__(self) -> None:
        at_least(facts=(self.facts, 2 * self.kind if self.folder is None else 1), length=(self.length, 0))
        if not 1 <= self.kind <= (3 if self.folder is None else 20):
            raise InputError("kind goes from 1 to 3, with a folder of bAbI files to 20")
        if self.split not in ("train", "test"):
            raise InputError(f"split is train or test, not {self.split!r}")

    @property
    def words(self) -> Words:
        return self.lexicon if self.folder is None else _lexicon(self.folder, self.kind)

    @property
    def chance(self) -> float:
        """One of the places, which never change; of files, one of the answers that their training stories have."""
        if self.folder is None:
            return 1 / len(worlds.PLACES)
        return 1 / len({each.answer for each in _stories(self.folder, self.kind, "train")})

    def at(self, done: float) -> Task:
        share = 16 if done < 0.25 else 4 if done < 0.5 else 1
        return replace(self, length=self.length // share)

    def tests(self) -> dict[str, Task]:
        lengths = multiples(self.length, 4, self.longest)
        return {f"{length} tokens": replace(self, length=length) for length in lengths}

    def held_out(self) -> Task:
        return replace(self, split="test")

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        if self.folder is None:
            story = worlds.story(self.kind, self.facts, rng)
        else:
            stories = _stories(self.folder, self.kind, self.split)
            story = stories[int(rng.integers(len(stories)))]
        needed = sum(map(len, story.facts)) + len(story.question)
        between = filler.sentences(rng, self.length - needed)
        places = np.sort(rng.integers(len(between) + 1, size=len(story.facts)))
        text: list[str] = []
        last = 0  # where the last fact ends
        facts = iter(zip(places.tolist(), story.facts, strict=True))
        place, fact = next(facts)
        for n in range(len(between) + 1):
            while place == n:
                text += fact
                last = len(text)
                place, fact = next(facts, (-1, ()))
            text += between[n] if n < len(between) else []
        depth = min(4, 5 * last // (len(text) + 1))
        text += story.question
        silent = len(text) - 1
        return {
            "tokens": self.words.read(text),
            "targets": [-1] * silent + self.words.read([story.answer]),
            "depth": [-1] * silent + [depth],
        }


@cache
def _lexicon(folder: str, kind: int) -> Words:
    """The words of the filler, and of both splits: the vocabulary is closed, as it is for every task here."""
    stories = [each for split in ("train", "test") for each in _stories(folder, kind, split)]
    used = {word for each in stories for sentence in (*each.facts, each.question, (each.answer,)) for word in sentence}
    return Words([*filler.WORDS, *sorted(used)])


@cache
def _stories(folder: str, kind: int, split: str) -> list[Story]:
    found = sorted(Path(folder).glob(f"qa{kind}_*_{split}.txt*"))
    if not found:
        raise NotFoundError(
            f"{folder} holds no qa{kind}_*_{split}.txt: name the folder of the bAbI files (task_1-20, en)"
        )
    return [
        Story(tuple(_words(fact) for _, fact in each.statements), _words(each.question), each.answer.lower())
        for each in babi.read(found[0])
    ]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().replace(".", " .").replace("?", " ?").split())
