"""Forgetting by salience: what is old and has not been used goes first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable


def salience(
    age: float, used: bool, *, scale: float = 1.0, decay: float = 0.002, bonus: float = 0.5, inverted: bool = False
) -> float:
    """``scale`` * exp(-``decay`` * ``age``) + ``bonus`` if ``used`` lately (HEMA, semantic forgetting; age in turns).

    ``inverted`` grants the bonus to what was *not* used, as the paper prints the formula; its own text says otherwise.
    """
    return scale * math.exp(-decay * age) + (bonus if used != inverted else 0.0)


def least_salient(
    memories: Iterable[tuple[str, float, bool]],
    count: int,
    *,
    scale: float = 1.0,
    decay: float = 0.002,
    bonus: float = 0.5,
    inverted: bool = False,
) -> list[str]:
    """The ids of the ``count`` least salient of ``memories`` (id, age, used), given oldest first; ties: older first.

    Reads no further than it must: nothing younger can be less salient than its age alone makes it.
    """
    if count < 1:
        return []
    kept: list[tuple[float, int, str]] = []  # a heap of the lowest so far, the highest of them on top
    for place, (id, age, used) in enumerate(memories):
        if len(kept) == count and scale * math.exp(-decay * age) >= -kept[0][0]:
            break
        worth = salience(age, used, scale=scale, decay=decay, bonus=bonus, inverted=inverted)
        entry = (-worth, -place, id)
        if len(kept) < count:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    return [id for _, _, id in sorted(kept, key=lambda e: (-e[0], -e[1]))]
