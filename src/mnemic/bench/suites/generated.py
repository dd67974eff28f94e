"""A benchmark that needs no data: conversations made by rule (:mod:`mnemic.bench.generate`), for checks and examples.

Questions by category, evidence recall as for LoCoMo; ``newest first`` is whether the newest value of what changed
stands above every older one; needles lie at ten depths of a long conversation.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from mnemic.bench.generate import conversation, needle
from mnemic.bench.suite import Base, Data, Item, Measure, Score, any_turn, budgets, recall_at, refusal, tabulate

CONVERSATIONS = 12
DEPTHS = 10


class Generated(Base):
    """``generated``: made anew from the seed."""

    name = "generated"
    about = "facts, updates, aliases, dates and needles in conversations made by rule"
    licence = "made by the benchmark itself"
    headline = ("recall@5", "recall@1", "newest first", "recall in 256 tokens", "AUROC")

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        cases = [conversation(f"conversation {n}", random.Random(f"{seed}:c:{n}")) for n in range(CONVERSATIONS)]
        cases += [
            needle(f"needle {n}", random.Random(f"{seed}:n:{n}"), depth=n % DEPTHS / (DEPTHS - 1))
            for n in range(3 * DEPTHS)
        ]
        return Data(cases[:limit])

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {f"recall@{k}": recall_at(k) for k in (1, 5, 10)}
        measures |= {"any@1": any_turn(1), "newest first": newest_first} | budgets()
        found = tabulate([item for item in items if item.question.answerable], measures)
        return found + refusal(items)


def newest_first(item: Item) -> float | None:
    """1 where the newest value of an update is ranked above every older one; None for other questions."""
    old = set(item.question.meta.get("old", ()))
    if not old:
        return None
    gold = set(item.question.gold)
    first = next((id for id in item.turns if id in old | gold), None)
    return float(first in gold)
