"""What an audit of memorisation (:mod:`mnemic.bench.memorization`) found: replies, scores, differences, the report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from mnemic.bench import metrics
from mnemic.bench.masked import Text
from mnemic.bench.report import table
from mnemic.bench.suite import EVERY, Score, average

if TYPE_CHECKING:
    from mnemic.bench.memorization import Plan

FORMAT = 1
PLAIN, TOLD = "plain", "told"
BEFORE, BETWEEN, AFTER, BEYOND = "before", "between", "after", "beyond"
"""Where a date lies: up to the boundary (or the cutoff), between it and the cutoff, after the cutoff, yet to come."""
ANSWERED, DECLINED, UNPARSABLE = "answered", "declined", "unparsable"
ROUNDS = 2000
"""Permutations of a test."""
_POOLED = (ANSWERED, DECLINED, UNPARSABLE, "exact", "near", "last value near", "direction", "rose")
"""What can be averaged over series: errors have other units in each."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One question about a figure and what came of it. ``values`` are the measures that apply to it.

    ``cluster`` is its place and year: figures of one year are not independent.
    """

    series: str
    place: str
    mode: str
    day: date
    outcome: str
    values: Mapping[str, float]

    @property
    def group(self) -> str:
        return self.place if self.mode == PLAIN else f"{self.place}, {TOLD}"

    @property
    def cluster(self) -> str:
        return f"{self.place} {self.day.year}"


@dataclass(frozen=True, slots=True)
class Guess:
    """One masked text and what came of it: ``place`` is before or after the cutoff, or the control ``invented``."""

    place: str
    outcome: str
    right: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference of a measure between two groups of one series (or all), its interval and permutation p."""

    metric: str
    series: str
    first: str
    second: str
    value: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Audit:
    """The audit of one model."""

    model: str
    plan: Plan
    replies: Sequence[Reply]
    guesses: Sequence[Guess]
    scores: Mapping[str, Sequence[Score]]
    gaps: Sequence[Gap]
    conditions: Mapping[str, Any]

    def score(self, series: str, metric: str, group: str) -> Score | None:
        """The score of a series (``all`` for all of them; ``masked`` for the texts) in a group; None without items."""
        return next((s for s in self.scores.get(series, ()) if (s.metric, s.group) == (metric, group)), None)

    def to_json(self) -> dict[str, Any]:
        """The result file. It holds errors and marks, no text and no value of a series."""
        plan = {key: str(value) if isinstance(value, date) else value for key, value in asdict(self.plan).items()}
        return {
            "mnemic_memorization": FORMAT,
            "model": self.model,
            "plan": plan,
            **self.conditions,
            "scores": [{"series": name, **asdict(score)} for name, scores in self.scores.items() for score in scores],
            "differences": [asdict(gap) for gap in self.gaps],
            "replies": [asdict(reply) | {"day": str(reply.day)} for reply in self.replies],
            "guesses": [asdict(guess) for guess in self.guesses],
        }

    def markdown(self) -> str:
        """The report."""
        return _markdown(self)


# -- counting --------------------------------------------------------------------------------------------------------


def scored(
    replies: Sequence[Reply], guesses: Sequence[Guess], texts: Sequence[Text], seed: int
) -> dict[str, list[Score]]:
    """Every measure by series and group, and over all series where units are the same; the texts under ``masked``."""
    rows: dict[str, dict[tuple[str, str], list[tuple[float, str]]]] = {}
    for reply in replies:
        for metric, value in reply.values.items():
            for series in (EVERY, reply.series) if metric in _POOLED else (reply.series,):
                rows.setdefault(series, {}).setdefault((metric, reply.group), []).append((value, reply.cluster))
    for n, guess in enumerate(guesses):
        for metric, right in (("right", guess.right), *((o, guess.outcome == o) for o in (DECLINED, UNPARSABLE))):
            rows.setdefault("masked", {}).setdefault((metric, guess.place), []).append((float(right), str(n)))
    if texts:
        common, _ = Counter(text.entity for text in texts).most_common(1)[0]
        rows["masked"]["most common entity", EVERY] = [(float(text.entity == common), "") for text in texts]
    return {
        series: [average(metric, group, found, seed=seed) for (metric, group), found in table.items()]
        for series, table in rows.items()
    }


def gaps(replies: Sequence[Reply], seed: int) -> list[Gap]:
    """What the audit compares: before against after and against the control, and told against not told (paired)."""
    pairs = [(BEFORE, AFTER), (BEFORE, BEYOND), (BETWEEN, f"{BETWEEN}, {TOLD}")]
    found = []
    for series in (EVERY, *dict.fromkeys(reply.series for reply in replies)):
        for metric in ("near", "exact") if series == EVERY else ("near", "exact", "error"):
            for first, second in pairs:
                sides = [
                    [r for r in replies if r.group == group and series in (EVERY, r.series) and metric in r.values]
                    for group in (first, second)
                ]
                if min(map(len, sides)) >= 2:
                    compare = _paired if second.startswith(first) else _apart
                    value, low, high, p = compare(metric, sides[0], sides[1], seed)
                    if not math.isnan(value):
                        found.append(Gap(metric, series, first, second, value, (low, high), p))
    return found


_Test = tuple[float, float, float, float]
"""A difference, its interval's ends, and p."""


def _apart(metric: str, ours: Sequence[Reply], theirs: Sequence[Reply], seed: int) -> _Test:
    """Years are drawn and change sides whole: figures of one year are not independent of each other."""
    a, b = ([reply.values[metric] for reply in side] for side in (ours, theirs))
    clusters = ([reply.cluster for reply in ours], [reply.cluster for reply in theirs])
    return *metrics.unpaired(a, b, clusters, seed=seed), metrics.permutation(a, b, clusters, seed=seed, rounds=ROUNDS)


def _paired(metric: str, ours: Sequence[Reply], theirs: Sequence[Reply], seed: int) -> _Test:
    """The figures that both sides have a value for; years change sign whole."""
    other = {(reply.series, reply.day): reply.values[metric] for reply in theirs}
    both = [reply for reply in ours if (reply.series, reply.day) in other]
    a, b = [reply.values[metric] for reply in both], [other[reply.series, reply.day] for reply in both]
    clusters = [reply.cluster for reply in both]
    gap = metrics.paired(a, b, clusters, seed=seed)
    return *gap, metrics.flips(a, b, clusters, seed=seed, rounds=ROUNDS)


# -- telling ---------------------------------------------------------------------------------------------------------


def _markdown(made: Audit) -> str:
    plan = made.plan
    told = f"# Memorisation audit: {made.model}\n\nCutoff {plan.cutoff}, asked {plan.today}" + (
        f", told to know nothing after {plan.boundary}" if plan.boundary else ""
    )
    parts = [told + f"; {plan.n} figures a series and place, seed {plan.seed}."]
    groups = list(dict.fromkeys(reply.group for reply in made.replies))
    if groups:
        heads = ["place", "n", "exact", "near", "last value near", "direction", "rose", DECLINED, UNPARSABLE]
        rows = [[g, str(_n(made, g)), *(_cell(made, EVERY, m, g) for m in heads[2:])] for g in groups]
        parts += ["## Dated figures, all series", table(heads, rows)]
        head = ["series", *(f"{group} (last value)" for group in groups)]
        series = [name for name in made.scores if name not in (EVERY, "masked")]
        rows = [
            [
                name,
                *(
                    f"{_cell(made, name, 'error', g, 2)} ({_cell(made, name, 'last value error', g, 2, 0)})"
                    for g in groups
                ),
            ]
            for name in series
        ]
        parts += ["Mean absolute error (of levels: percent of the true value; of rates: hundredths of a point):"]
        parts += [table(head, rows)]
    if made.gaps:
        rows = [
            [g.metric, g.series, f"{g.first} - {g.second}", f"{100 * g.value:+.1f} [{100 * g.interval[0]:+.1f}, "
             f"{100 * g.interval[1]:+.1f}]", f"{g.p:.4f}"]
            for g in made.gaps
        ]  # fmt: skip
        parts += ["## Differences", table(["measure", "series", "groups", "difference", "p"], rows)]
        parts += [
            "p: whole years change groups (for the same questions: signs) by lot; few years leave it little power."
        ]
    if made.guesses:
        places = list(dict.fromkeys(guess.place for guess in made.guesses))
        heads = ["place", "n", "right", DECLINED, UNPARSABLE]
        rows = [
            [p, str(sum(g.place == p for g in made.guesses)), *(_cell(made, "masked", m, p) for m in heads[2:])]
            for p in places
        ]
        base = _cell(made, "masked", "most common entity", EVERY)
        parts += ["## Masked entities", table(heads, rows), f"Always naming the most common entity: {base}."]
    parts += [
        "Percent with 95 % bootstrap intervals, by year where years have several questions. `beyond` are dates yet to "
        "come with invented values, `invented` texts about companies that do not exist: what is hit there is guessed. "
        "What is not recalled was not elicited; that does not show it is not known."
    ]
    return "\n\n".join(parts) + "\n"


def _n(made: Audit, group: str) -> int:
    return sum(reply.group == group for reply in made.replies)


def _cell(made: Audit, series: str, metric: str, group: str, places: int = 1, interval: int = 1) -> str:
    found = made.score(series, metric, group)
    if found is None:
        return "-"
    low, high = found.clustered or found.interval
    told = f"{100 * found.value:.{places}f}"
    return f"{told} [{100 * low:.{places}f}, {100 * high:.{places}f}]" if interval and found.n > 1 else told
