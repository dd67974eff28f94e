"""In what order recalled records stand in a prompt: as they are ranked, as they were said, or the best at both ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from mnemic.text.plan import Hit

T = TypeVar("T")


def edges(ranked: Sequence[T]) -> list[T]:
    """``ranked``, best first, from both ends inwards: 1, 3, 5, ..., 6, 4, 2.

    Long-context models overlook the middle of their input ("Long-Context LLMs Meet RAG", arXiv 2410.05983, section
    4.1). Of k places, odd rank i gets (i + 1) / 2, even rank i gets k + 1 - i / 2.
    """
    return [*ranked[::2], *reversed(ranked[1::2])]


def edges_reference(ranked: Sequence[T]) -> list[T]:
    """The same by the paper's formula, place by place, for tests."""
    k = len(ranked)
    placed: dict[int, T] = {}
    for i, each in enumerate(ranked, 1):
        placed[(i + 1) // 2 if i % 2 else k + 1 - i // 2] = each
    return [placed[place] for place in range(1, k + 1)]


def chronological(hits: Sequence[Hit]) -> list[Hit]:
    """``hits`` as they were said, undated ones last."""
    return sorted(hits, key=lambda h: (h.at is None, h.at.timestamp() if h.at else 0.0, h.record.position))


def score(hits: Sequence[Hit]) -> list[Hit]:
    """``hits`` as they are ranked."""
    return list(hits)


ORDERS: dict[str, Callable[[Sequence[Hit]], list[Hit]]] = {
    "score": score,
    "chronological": chronological,
    "edges": edges,
}

_SEQUENCE = re.compile(
    r"(?i)\b(?:when|before|after|since|until|first|last|latest|earli\w+|recent\w*|order|sequence|how (?:long|old|often)"
    r"|how many (?:times|days|weeks|months|years)|now|current\w*|still|these days|used to|previous\w*|chang\w+"
    r"|no longer|any ?more|originally|at first|over time)\b"
)


def asks_for_sequence(question: str) -> bool:
    """Whether what came before what matters: the question is about times, an order, or what holds by now."""
    return bool(_SEQUENCE.search(question))
