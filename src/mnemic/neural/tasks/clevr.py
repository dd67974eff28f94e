"""Sort-of-CLEVR (Relation Networks, arXiv 1706.01427, section 4.2) as tokens instead of pixels.

A scene is six things, one of each colour, square or round, at places of a grid; each is told by four tokens: colour,
shape, column, row. Then come questions, each a colour and what is asked. Three are about one thing (its shape, is it in
the left half, is it in the upper half), three about pairs (the shape of the nearest, of the farthest, how many have its
shape, itself counted). Published scenes are pictures of 75 x 75 pixels; a grid of 12 takes their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mnemic.neural.tasks.base import WordTask, at_least
from mnemic.neural.tasks.words import Words

GRID = 12
COLOURS = "red green blue orange grey yellow".split()
SHAPES = "square round".split()
SINGLE = ("shape?", "left?", "up?")
PAIRS = ("nearest?", "farthest?", "count?")
_COUNTS = [f"n{n}" for n in range(1, len(COLOURS) + 1)]
_LEXICON = Words(
    [*COLOURS, *SHAPES, *(f"x{n}" for n in range(GRID)), *(f"y{n}" for n in range(GRID)), *SINGLE, *PAIRS,
     "yes", "no", *_COUNTS, "|"]
)  # fmt: skip


@dataclass(frozen=True)
class Clevr(WordTask):
    """A scene and ``questions`` about it, half of them about pairs on average."""

    lexicon: ClassVar[Words] = _LEXICON
    name: ClassVar[str] = "clevr"
    by: ClassVar[tuple[str, ...]] = ("relational", "question")
    labels: ClassVar[dict[str, tuple[str, ...]]] = {
        "relational": ("one thing", "pairs"), "question": tuple(q.rstrip("?") for q in (*SINGLE, *PAIRS))
    }  # fmt: skip

    questions: int = 8

    def __post_init__(self) -> None:
        at_least(questions=(self.questions, 1))

    @property
    def chance(self) -> float:
        """Five kinds of question have two answers, counting has six."""
        return (5 / 2 + 1 / 6) / 6

    def row(self, rng: np.random.Generator) -> dict[str, list[int]]:
        places = rng.permutation(GRID * GRID)[: len(COLOURS)]
        shapes = rng.integers(2, size=len(COLOURS))
        scene = np.stack((places % GRID, places // GRID), 1)
        text: list[str] = []
        for n in rng.permutation(len(COLOURS)):
            text += [COLOURS[n], SHAPES[shapes[n]], f"x{scene[n, 0]}", f"y{scene[n, 1]}"]
        text.append("|")
        row: dict[str, list[int]] = {name: [-1] * len(text) for name in ("targets", "relational", "question")}
        for _ in range(self.questions):
            kind, answer = -1, None
            while answer is None:  # questions without one answer are drawn again
                kind, about = int(rng.integers(6)), int(rng.integers(len(COLOURS)))
                answer = _answer(kind, about, shapes, scene)
            text += [COLOURS[about], (*SINGLE, *PAIRS)[kind], answer]
            row["targets"] += [-1, *_LEXICON.read([answer]), -1]
            row["relational"] += [-1, int(kind >= len(SINGLE)), -1]
            row["question"] += [-1, kind, -1]
        return {"tokens": _LEXICON.read(text), **row}


def _answer(kind: int, about: int, shapes: np.ndarray, scene: np.ndarray) -> str | None:
    """None where two things are equally near or far and differ in shape."""
    if kind == 0:
        return SHAPES[int(shapes[about])]
    if kind in (1, 2):
        return "yes" if scene[about, kind - 1] < GRID // 2 else "no"
    if kind == 5:
        return _COUNTS[int((shapes == shapes[about]).sum()) - 1]
    others = np.arange(len(COLOURS)) != about
    far = ((scene - scene[about]) ** 2).sum(1)[others]
    found: np.ndarray = shapes[others][far == (far.min() if kind == 3 else far.max())]
    return SHAPES[int(found[0])] if (found == found[0]).all() else None
