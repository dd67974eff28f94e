"""Nested key-value lookup (Packer et al., MemGPT, 2023; records of Liu et al. 2023): 140 pairs of UUIDs a case.

At level n the value of one key is itself a key, n - 1 times over, and only the last value is the answer. One recall
can bring the first pair; the answer needs a lookup for each level, which the rule here does: recall the key, read the
value next to it, and go on while the value is a key. Exact match of the last value, by level.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.suite import Base, Case, Data, Item, Measure, Question, Score, required, tabulate
from mnemic.text.importers.source import ANY, documents, lines
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.record import Turn

LEVELS = 6
PER_LEVEL = 25
_PAIR = re.compile(r"The value of (\S+) is (\S+)\.")


class NestedKV(Base):
    """``nested-kv``: ``PER_LEVEL`` cases of each level."""

    name = "nested-kv"
    about = "exact lookup of UUIDs, 1 to 6 lookups deep among 140 pairs"
    licence = "Apache-2.0"
    headline = ("exact", "first pair@1")

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        names = [f"random_orderings_100_samples_140_indices_{level}_levels.jsonl" for level in range(1, LEVELS + 1)]
        paths = required(data, "nested-kv", "kv-retrieval-140_keys.jsonl", *names)
        records = _rows(paths[0], PER_LEVEL)
        chains = [_rows(path, PER_LEVEL) for path in paths[1:]]
        # Level by level in turn, so that a limit keeps some of each.
        cases = [
            _case(f"{level}/{n}", level, record["ordered_kv_records"], chain[n])
            for n, record in enumerate(records)
            for level, chain in enumerate(chains, 1)
            if n < len(chain)
        ]
        return Data(cases[:limit], paths)

    def respond(self, memory: Memory, question: Question, found: Recall) -> str | None:
        key, seen = str(question.meta["key"]), set()
        value: str | None = None
        while key not in seen:
            seen.add(key)
            pairs = dict(_PAIR.findall("\n".join(hit.text for hit in found.hits[:5])))
            if key not in pairs:
                return value
            value = key = pairs[key]
            found = memory.recall(f"What is the value of {key}?", k=5)
        return value

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {
            "first pair@1": lambda item: metrics.hit_any(item.turns[:1], item.question.gold[:1]),
        }
        if any(item.response is not None for item in items):
            measures["exact"] = lambda item: float(item.response == item.question.answer)
        return tabulate(items, measures)


def _case(name: str, level: int, pairs: Sequence[tuple[str, str]], chain: Sequence[int]) -> Case:
    """Make the value of each pair of ``chain`` the key of the next one."""
    values: dict[int, str] = {n: value for n, (_, value) in enumerate(pairs)}
    for here, following in pairwise(chain):
        values[here] = pairs[following][0]
    turns = [
        Turn(f"The value of {key} is {values[n]}.", id=str(n), session="pairs") for n, (key, _) in enumerate(pairs)
    ]
    key = pairs[chain[0]][0]
    question = Question(
        id=name,
        text=f"What is the value of {key}?",
        category=f"level {level}",
        gold=tuple(str(n) for n in chain),
        answer=values[chain[-1]],
        meta={"key": key},
    )
    return Case(name, turns, [question], k=10)


def _rows(path: Path, count: int) -> list[Any]:
    with documents(path, ANY, "file") as found:
        _, file = next(found)
        rows: list[Mapping[str, Any]] = []
        for _, text in lines(path, file):
            rows.append(json.loads(text))
            if len(rows) == count:
                break
        return rows
