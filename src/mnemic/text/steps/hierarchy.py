"""Summarising what is longer than a model reads: groups that fit, a summary of each, and again until one is left.

The book and meeting mode of SCM (arXiv 2304.13343). Groups are filled from the left, so that what is added at the end
changes the last group of each level and no other: a summary of a closed group can be kept for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group stands: its ``level``, from 0; ``closed``, if nothing added later can change it; ``top``, if it is
    the last one, of which nothing more is made."""

    level: int
    closed: bool
    top: bool


def groups(costs: Sequence[int], limit: int) -> list[tuple[int, int]]:
    """Half-open stretches of ``costs``, each with as many as cost ``limit`` at most together; but two at least, so that
    every level is shorter than the one below. Only the last may be of one."""
    found: list[tuple[int, int]] = []
    start, spent = 0, 0
    for place, cost in enumerate(costs):
        if place - start >= 2 and spent + cost > limit:
            found.append((start, place))
            start, spent = place, 0
        spent += cost
    return [*found, (start, len(costs))] if costs else []


def climb(
    leaves: Sequence[T], cost: Callable[[T], int], limit: int, merge: Callable[[Sequence[T], Place], T]
) -> T | None:
    """What ``merge`` makes of all ``leaves`` in the end; None of none, and a single leaf as it is.

    ``merge`` gets groups of two and more that cost ``limit`` at most, unless two alone cost more. However dear what it
    gives back, this ends: n leaves take at most n - 1 merges in log2(n) + 1 levels.
    """
    row = list(leaves)
    level = 0
    while len(row) > 1:
        parts = groups([cost(each) for each in row], limit)
        last = len(parts) - 1
        row = [
            merge(row[a:b], Place(level, place < last, last == 0)) if b - a > 1 else row[a]
            for place, (a, b) in enumerate(parts)
        ]
        level += 1
    return row[0] if row else None
