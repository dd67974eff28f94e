"""How many of the ranked records to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mnemic.text.plan import Hit
from mnemic.text.steps.render import count_tokens, line


def by_gap(scores: Sequence[float], *, least: int = 1, most: int | None = None, buffer: int = 0) -> int:
    """How many of ``scores``, best first, lie before the widest gap between neighbours, and ``buffer`` more.

    At least ``least`` and at most ``most`` of them, as far as there are so many. Where no score differs from the next,
    there is no gap, and all are kept. Ties: the first of the widest gaps.
    """
    most = len(scores) if most is None else min(most, len(scores))
    gaps = [(scores[i - 1] - scores[i], -i) for i in range(max(least, 1), most)]
    widest, place = max(gaps, default=(0.0, 0))
    return min(most, -place + buffer) if widest > 0 else most


def within(hits: Sequence[Hit], budget: int | None, told: Callable[[Hit], str] = line) -> int:
    """How many of ``hits``, in this order, fit whole into ``budget`` tokens, ``told`` being the text of one."""
    if budget is None:
        return len(hits)
    left = budget
    for place, hit in enumerate(hits):
        left -= count_tokens(told(hit))
        if left < 0:
            return place
    return len(hits)
