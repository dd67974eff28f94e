"""What a run gives back: outcomes with their conditions, and the file they are kept in.

A result file holds ids and numbers, no text of the data, so that it can be shared whatever the data's licence.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.suite import Item, Score
from mnemic.errors import InputError

FORMAT = 1
MANY = 20
"""Gold turns above which a result file keeps counts in place of ranks."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a suite is run. ``k`` overrides the case's own; ``reflect`` lets the system work before it is asked;
    ``budget`` is one more number of tokens inside which the evidence is looked for."""

    limit: int | None = None
    seed: int = 0
    k: int | None = None
    reflect: bool = False
    budget: int | None = None


@dataclass(slots=True)
class Cost:
    """What one case took. ``ingest_ms`` includes encoding unless it came from the cache; ``cold_ms`` is the first
    question of the space, which builds the index; ``bytes`` is the store's size."""

    turns: int
    ingest_ms: float
    reflect_ms: float = 0.0
    cold_ms: float = 0.0
    bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    """One contender on one suite."""

    label: str
    about: Mapping[str, Any]
    items: Sequence[Item]
    costs: Sequence[Cost]
    scores: Sequence[Score]
    cached: Mapping[str, int] = field(default_factory=dict)

    def latency(self) -> dict[str, float]:
        """Milliseconds of a recall in a warm space, and of the first one."""
        warm, cold = [item.ms for item in self.items], [cost.cold_ms for cost in self.costs]
        found = {f"p{q}": metrics.percentile(warm, q) for q in (50, 95, 99)}
        return {"n": len(warm), "mean": metrics.mean(warm), **found, "cold_p50": metrics.percentile(cold, 50)}

    def score(self, metric: str, group: str = "all") -> Score:
        """The score of a metric in a group. Raises InputError that lists what there is."""
        for score in self.scores:
            if (score.metric, score.group) == (metric, group):
                return score
        known = sorted({f"{score.metric} [{score.group}]" for score in self.scores})
        raise InputError(f"no score {metric!r} [{group}]: there are {', '.join(known)}")


@dataclass(frozen=True)
class Result:
    """A suite's outcome for every contender, with the conditions under which it holds."""

    suite: Mapping[str, Any]
    settings: Settings
    conditions: Mapping[str, Any]
    outcomes: Sequence[Outcome]

    def __getitem__(self, label: str) -> Outcome:
        return next(outcome for outcome in self.outcomes if outcome.label == label)

    def to_json(self) -> dict[str, Any]:
        """The result file: plain values only, no text of the data."""
        return {
            "mnemic_bench": FORMAT,
            "suite": dict(self.suite),
            "configuration": asdict(self.settings),
            **self.conditions,
            "systems": [_outcome(outcome) for outcome in self.outcomes],
        }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    costs = outcome.costs
    return {
        "label": outcome.label,
        **outcome.about,
        "scores": [asdict(score) for score in outcome.scores],
        "latency_ms": {name: round(value, 3) for name, value in outcome.latency().items()},
        "ingest": {
            "turns": sum(cost.turns for cost in costs),
            "ms": round(sum(cost.ingest_ms for cost in costs), 1),
            "reflect_ms": round(sum(cost.reflect_ms for cost in costs), 1),
            "bytes": sum(cost.bytes for cost in costs),
            "encodings": dict(outcome.cached),
        },
        "items": [compact(item) for item in outcome.items],
    }


def dumps(value: Any, depth: int = 0) -> str:
    """JSON with a line for each entry of the outer levels, so that result files can be read and compared."""
    if depth < 3 and isinstance(value, dict) and value:
        pad = " " * (depth + 1)
        body = ",\n".join(f"{pad}{json.dumps(key)}: {dumps(each, depth + 1)}" for key, each in value.items())
        return "{\n" + body + "\n" + " " * depth + "}" + "\n" * (depth == 0)
    if depth < 5 and isinstance(value, list) and value and isinstance(value[0], dict):
        pad = " " * (depth + 1)
        return "[\n" + ",\n".join(pad + dumps(each, depth + 1) for each in value) + "\n" + " " * depth + "]"
    return json.dumps(_finite(value), allow_nan=False)


def keep(value: Any, path: Path) -> None:
    """Write :func:`dumps` of ``value``, compressed where ``path`` ends in .gz; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = dumps(value).encode("utf-8")
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def kept(path: Path) -> Any:
    """What :func:`keep` wrote. Raises OSError or ValueError where it cannot be read."""
    data = path.read_bytes()
    try:
        return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except (EOFError, zlib.error) as error:
        raise ValueError(f"the compressed file is damaged: {error}") from error


def _finite(value: Any) -> Any:
    """``value`` with null for what is not a number: JSON has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def compact(item: Item) -> dict[str, Any]:
    """One item as the result file keeps it: at which rank, and after how many tokens, each piece of evidence came.

    ``ranks`` and ``session_ranks`` are 1-based, None where it did not come at all; ``tokens`` are those up to and
    including the hit that brought it. Where gold is a whole stretch of conversation, its counts stand for it.
    """
    place = {id: rank for rank, id in enumerate(item.turns, 1)}
    session = {id: rank for rank, id in enumerate(item.sessions, 1)}
    spent: dict[str, int] = {}
    total = 0
    for ids, cost in zip(item.ranked, item.costs, strict=True):
        total += cost
        for id in ids:
            spent.setdefault(id, total)
    question = item.question
    row: dict[str, Any] = {
        "id": question.id,
        "case": item.case,
        "category": question.category,
        "returned": len(item.turns),
        "confidence": item.confidence,
        "ms": item.ms,
    }
    if len(question.gold) > MANY:
        row |= {"gold": len(question.gold), "found": len(place.keys() & set(question.gold))}
    else:
        row["ranks"] = [place.get(id) for id in question.gold]
        row["session_ranks"] = [session.get(id) for id in question.sessions]
        row["tokens"] = [spent.get(id) for id in question.gold]
    flags = {"answerable": question.answerable, "scored": question.scored}
    row |= {name: value for name, value in flags.items() if not value}
    if item.judged is not None:
        row["judged"] = item.judged
    return row
