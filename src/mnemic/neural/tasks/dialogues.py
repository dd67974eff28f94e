"""Dialogues in turns: facts are told, changed and asked about.

    u my car is red . ok .   u nice day . ok .   u my car is blue . ok .   u which car ? blue .

Only the newest value counts. Answers are grouped by how many turns ago it was told, and by whether it had changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mnemic.errors import InputError
from mnemic.neural.tasks.base import Task, WordTask, at_least, bucket, multiples
from mnemic.neural.tasks.words import Words

TOPICS = "car cat town team tea song coat boat desk lamp hat bike".split()
VALUES = "red blue green black white gold grey pink old new tiny huge loud calm warm cold".split()
_SMALL_TALK = ("nice day today .", "i slept well .", "it rains again .", "time flies fast .")
TURN = 8
"""Tokens of every turn, both sides together."""
_LEXICON = Words(
    ["u", *"my is which ? . ok hm".split(), *TOPICS, *VALUES, *(word for line in _SMALL_TALK for word in line.split())]
)


@dataclass(frozen=True)
class Dialogues(WordTask):
    """``turns`` of eight tokens about ``topics``; ``tell`` and ``ask`` are the shares of turns that tell (or change) a
    fact and that ask for one, the rest is small talk."""

    lexicon: ClassVar[Words] = _LEXICON
    name: ClassVar[str] = "dialogues"
    by: ClassVar[tuple[str, ...]] = ("turns", "changed")
    labels: ClassVar[dict[str, tuple[str, ...]]] = {"changed": ("told once", "changed")}

    turns: int = 24
    topics: int = 6
    tell: float = 0.35
    ask: float = 0.35
    longest: int = 96

    def __post_init__(self) -> None:
        at_least(turns=(self.turns, 2), topics=(self.topics, 1))
        if self.topics > len(TOPICS):
            raise InputError(f"there are {len(TOPICS)} topics, not {self.topics}")
        if self.tell <= 0 or self.ask <= 0 or self.tell + self.ask > 1:
            raise InputError("tell and ask must be above 0 and at most 1 together")

    @property
    def chance(self) -> float:
        return 1 / len(VALUES)

    def tests(self) -> dict[str, Task]:
        counts = multiples(self.turns, 2, self.longest)
        return {f"{count} turns": replace(self, turns=count) for count in counts}

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        topics = [TOPICS[n] for n in rng.permutation(len(TOPICS))[: self.topics]]
        told: dict[str, tuple[str, int, bool]] = {}  # value, turn, whether it had another before
        text: list[str] = []
        row: dict[str, list[int]] = {"targets": [], "turns": [], "changed": []}
        for turn in range(self.turns):
            choice = rng.random()
            answer, back, changed = "", -1, False
            # The first turn tells and the last one asks, so that every dialogue has an answer.
            if turn == 0 or (choice < self.tell and turn < self.turns - 1):
                topic = topics[int(rng.integers(len(topics)))]
                value = VALUES[int(rng.integers(len(VALUES)))]
                before = told.get(topic)
                told[topic] = (value, turn, before is not None and (before[2] or before[0] != value))
                text += ["u", "my", topic, "is", value, ".", "ok", "."]
            elif choice < self.tell + self.ask or turn == self.turns - 1:
                topic = sorted(told)[int(rng.integers(len(told)))]
                answer, when, changed = told[topic]
                back = bucket(turn - when)
                text += ["u", "which", topic, "?", answer, ".", "hm", "."]
            else:
                text += ["u", *_SMALL_TALK[int(rng.integers(len(_SMALL_TALK)))].split(), "ok", ".", "."]
            at = 3  # the question mark, after which the answer is due
            for name, entry in (
                ("targets", _LEXICON.read([answer])[0] if answer else -1),
                ("turns", back),
                ("changed", int(changed) if answer else -1),
            ):
                row[name] += [*[-1] * at, entry, *[-1] * (TURN - at - 1)]
        return {"tokens": _LEXICON.read(text), **row}
