"""What probes say about a memory, and the thresholds that are set before they are asked.

The measures are those that "Memory in LLMs: Mechanisms, Evaluation and Evolution" (arXiv 2509.18868, DMM-Gov) sets
defaults for; the defaults are illustrative by its authors' own words. No language model judges: support is containment
(:mod:`mnemic.text.steps.support`), freshness is the order of a value and the ones before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from mnemic.bench import metrics
from mnemic.errors import InputError
from mnemic.govern.probe import Probe
from mnemic.text.language.answer import answer_with, extract
from mnemic.text.memory import Memory
from mnemic.text.plan import Query, Recall
from mnemic.text.steps.support import supported

K = 5
BUDGET = 2000
"""Tokens of recalled text from which a language model answers."""
RECALL, COVERAGE, UNSUPPORTED = "recall at 5", "citation coverage", "unsupported"
FRESHNESS, CONFLICTS, REFUSAL = "freshness", "conflicts handled at 5", "refusal"
LESS_IS_MORE = frozenset({UNSUPPORTED})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a memory must reach. All are shares; ``unsupported`` is the most that is allowed, the others the least.

    ``refusal`` has no default in the survey. ``drawdown`` is by how much a change may worsen any measure.
    """

    recall: float = 0.85
    coverage: float = 0.85
    unsupported: float = 0.05
    freshness: float = 0.80
    conflicts: float = 0.80
    refusal: float = 0.0
    drawdown: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise InputError(f"the threshold {field.name} is a share between 0 and 1, not {value}")

    @classmethod
    def parse(cls, given: Sequence[str]) -> Thresholds:
        """From ``name=share`` texts, as the command line takes them."""
        names = {field.name for field in fields(cls)}
        values: dict[str, float] = {}
        for text in given:
            name, _, value = text.partition("=")
            if name not in names:
                raise InputError(f"{text!r} sets no threshold: use NAME=SHARE with one of {', '.join(sorted(names))}")
            try:
                values[name] = float(value)
            except ValueError:
                raise InputError(f"{text!r} gives no number for the threshold {name}") from None
        return cls(**values)

    def of(self, measure: str) -> float:
        names = (RECALL, COVERAGE, UNSUPPORTED, FRESHNESS, CONFLICTS, REFUSAL)
        values = (self.recall, self.coverage, self.unsupported, self.freshness, self.conflicts, self.refusal)
        return dict(zip(names, values, strict=True))[measure]


@dataclass(frozen=True, slots=True)
class Measure:
    """A share over ``n`` probes with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    n: int

    def told(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Breach:
    """A measure on the wrong side of its threshold, or worse than ``before`` by more than the drawdown."""

    measure: str
    value: float
    limit: float
    before: float | None = None

    def __str__(self) -> str:
        side = "above" if self.measure in LESS_IS_MORE else "below"
        since = "" if self.before is None else f" (it was {self.before:.3f})"
        return f"{self.measure} is {self.value:.3f}, {side} {self.limit:.3f}{since}"


Measures = Mapping[str, Measure]


def measure(memory: Memory, probes: Sequence[Probe], seed: int = 0) -> dict[str, Measure]:
    """Every measure that ``probes`` say something about; the others are left out. Use is not logged."""
    values: dict[str, list[float]] = {}
    for probe in probes:
        now = probe.now or memory.clock()
        # Not memory.recall: probes are no use of a memory, by which systems decide what to forget.
        found = memory.system.read(Query(probe.question, K, now, budget=BUDGET), memory.env)
        for name, value in {**_ranked(probe, found), **_answered(probe, found, now, memory)}.items():
            values.setdefault(name, []).append(value)
    return {name: Measure(metrics.mean(v), *metrics.interval(v, seed=seed), len(v)) for name, v in values.items()}


def _ranked(probe: Probe, found: Recall) -> dict[str, float]:
    if not probe.gold:
        return {}
    cited = [set(hit.sources) | {hit.id} for hit in found.hits[:K]]
    gold, stale = set(probe.gold), set(probe.stale)
    values = {RECALL: metrics.recall(set().union(*cited), probe.gold)}
    if stale:
        new = _first(cited, lambda ids: bool(ids & gold))
        old = _first(cited, lambda ids: bool(ids & stale) and not ids & gold)
        values[CONFLICTS] = float(new < old)
        if min(new, old) < math.inf:
            values[FRESHNESS] = float(new < old)
    return values


def _first(cited: Sequence[set[str]], wanted: Callable[[set[str]], bool]) -> float:
    return next((place for place, ids in enumerate(cited) if wanted(ids)), math.inf)


def _answered(probe: Probe, found: Recall, now: datetime, memory: Memory) -> dict[str, float]:
    if memory.language is not None:
        answer = answer_with(memory.language, probe.question, found, now)
    else:
        answer = extract(probe.question, found, now)
    if not probe.gold:
        return {REFUSAL: float(not answer.found)}
    if not answer.sentences:
        return {}
    held = [bool(s.sources) and supported(s.text, memory.get(s.sources)) for s in answer.sentences]
    return {
        COVERAGE: metrics.mean([float(bool(s.sources)) for s in answer.sentences]),
        UNSUPPORTED: 1.0 - metrics.mean([float(each) for each in held]),
    }


def breaches(now: Measures, thresholds: Thresholds, before: Measures | None = None) -> list[Breach]:
    """Where ``now`` misses ``thresholds``, or falls behind ``before``. Point estimates decide."""
    found = []
    for name, measured in now.items():
        sign = -1 if name in LESS_IS_MORE else 1
        limit = thresholds.of(name)
        earlier = before[name].value if before and name in before else None
        if sign * measured.value < sign * limit:
            found.append(Breach(name, measured.value, limit))
        elif earlier is not None and sign * (earlier - measured.value) > thresholds.drawdown + 1e-9:
            found.append(Breach(name, measured.value, earlier - sign * thresholds.drawdown, earlier))
    return found
