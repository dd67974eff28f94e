"""What a suite is: data turned into cases, and outcomes turned into scores.

A case is one haystack with its questions. The runner remembers its turns in a space of their own, asks every
question and hands the outcomes back as :class:`Item`; what is measured on them is the suite's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from mnemic.bench import metrics
from mnemic.errors import InputError
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.record import Turn

BUDGETS = (256, 1024, 4096)
"""Tokens of ``Recall.text`` inside which the evidence is looked for."""
EVERY = "all"
"""The group that holds every item of a measure."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. ``gold`` are the ids of the turns that answer it, ``sessions`` those of their sessions.

    ``now`` is when it is asked (None: right after the last turn). ``scored`` is false where the benchmark leaves the
    question out of its retrieval metrics; ``answerable`` is false where nothing stored answers it.
    """

    id: str
    text: str
    category: str
    gold: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    now: datetime | None = None
    answer: str | None = None
    options: tuple[str, ...] = ()
    answerable: bool = True
    scored: bool = True
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One haystack: every turn has an id and a session. ``k`` is how many hits each question asks for."""

    id: str
    turns: Sequence[Turn]
    questions: Sequence[Question]
    k: int = 50


@dataclass(frozen=True, slots=True)
class Data:
    """What a suite loaded. ``files`` are fingerprinted by the runner; ``notes`` counts what was dropped and why."""

    cases: Sequence[Case]
    files: Sequence[Path] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """What came back for one question.

    ``ranked`` [hits] holds, best first, the ids of the turns that each hit is or cites; ``places`` [hits] the sessions
    of those turns; ``costs`` [hits] the tokens of each hit's line in ``Recall.text``. ``ms`` is the time of one recall
    in a warm space; ``score`` that of the best hit, 0 without one (systems scale theirs as they like).
    """

    question: Question
    case: str
    ranked: Sequence[Sequence[str]]
    places: Sequence[Sequence[str]]
    costs: Sequence[int]
    confidence: float
    ms: float
    response: str | None = None
    judged: bool | None = None
    score: float = 0.0

    @cached_property
    def turns(self) -> list[str]:
        """The distinct turns in order of rank: a hit that cites several counts as several."""
        return metrics.distinct(id for ids in self.ranked for id in ids)

    @cached_property
    def sessions(self) -> list[str]:
        """The distinct sessions in order of their best turn (a session scores what its best turn scores)."""
        return metrics.distinct(session for ids in self.places for session in ids)

    def within(self, budget: int) -> list[str]:
        """The distinct turns of the hits that fit whole into ``budget`` tokens, best first, as a prompt is packed."""
        spent = 0
        found: list[str] = []
        for ids, cost in zip(self.ranked, self.costs, strict=True):
            spent += cost
            if spent > budget:
                break
            found.extend(ids)
        return metrics.distinct(found)


def sessions_of(ranked: Sequence[Sequence[str]], session_of: Mapping[str, str]) -> list[list[str]]:
    """The distinct sessions of each hit's turns, as :attr:`Item.places`."""
    return [metrics.distinct(session_of[id] for id in ids) for ids in ranked]


Measure = Callable[[Item], float | None]
"""What one item is worth on one metric; None leaves the item out."""


@dataclass(frozen=True, slots=True)
class Score:
    """One number of a report: ``value`` over ``n`` items of ``group`` with 95 % bootstrap intervals.

    ``interval`` resamples questions, ``clustered`` whole cases (None where every case has one question, and where there
    is but one case): questions about one conversation are not independent, so the latter is the one that speaks about
    new conversations.
    """

    metric: str
    group: str
    value: float
    n: int
    interval: tuple[float, float]
    clustered: tuple[float, float] | None = None


class Suite(Protocol):
    """One benchmark. ``name`` may carry a variant after a colon; ``licence`` is a note for the user of the data;
    ``headline`` are the metrics that a report shows, the most telling one first; ``conditions`` the groups
    (``all/NAME``, and ``TYPE/NAME`` for each type of question) that it shows in tables of their own, where a suite asks
    the same under several conditions."""

    name: str
    about: str
    licence: str

    @property
    def headline(self) -> tuple[str, ...]: ...

    @property
    def conditions(self) -> tuple[str, ...]: ...

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        """The cases. ``limit`` keeps the first so many cases. Raises InputError where ``data`` lacks the files."""

    def respond(self, memory: Memory, question: Question, found: Recall) -> str | None:
        """An answer made without a language model, where the suite knows a rule for one; else None."""

    def score(self, items: Sequence[Item]) -> list[Score]:
        """The suite's metrics over all items, each by group."""


class Base:
    """What most suites share: no rule for answers, and a licence note."""

    name = ""
    about = ""
    licence = ""
    headline: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()

    def respond(self, memory: Memory, question: Question, found: Recall) -> str | None:
        return None


def tabulate(
    items: Sequence[Item],
    measures: Mapping[str, Measure],
    *,
    groups: Callable[[Item], Iterable[str]] | None = None,
    seed: int = 0,
) -> list[Score]:
    """Means of every measure over all items and by group (the question's category), with intervals."""
    scores: list[Score] = []
    for metric, measure in measures.items():
        values: dict[str, list[tuple[float, str]]] = {}
        for item in items:
            value = measure(item)
            if value is not None:
                for group in (EVERY, *(groups(item) if groups else (item.question.category,))):
                    values.setdefault(group, []).append((value, item.case))
        scores += [average(metric, group, rows, seed=seed) for group, rows in values.items()]
    return scores


def average(metric: str, group: str, rows: Sequence[tuple[float, str]], *, seed: int = 0) -> Score:
    """The mean of (value, cluster) ``rows`` with its intervals; a single cluster has no interval over clusters."""
    values, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    clustered = 1 < len(set(clusters)) < len(clusters)
    return Score(
        metric,
        group,
        metrics.mean(values),
        len(values),
        metrics.interval(values, seed=seed),
        metrics.interval(values, clusters, seed=seed) if clustered else None,
    )


def refusal(items: Sequence[Item], *, seed: int = 0) -> list[Score]:
    """AUROC of the confidence on answerable against unanswerable questions, and its calibration error."""
    sure = [item.confidence for item in items]
    truth = [item.question.answerable for item in items]
    cases = [item.case for item in items]
    if len(set(truth)) < 2:
        return []
    scores = []
    for name, of in (("AUROC", metrics.auroc), ("ECE", metrics.ece)):
        clustered = len(set(cases)) < len(cases)
        scores.append(
            Score(
                name,
                "refusal",
                of(sure, truth),
                len(items),
                metrics.resampled(of, sure, truth, seed=seed),
                metrics.resampled(of, sure, truth, clusters=cases, seed=seed) if clustered else None,
            )
        )
    return scores


def recall_at(k: int) -> Measure:
    """Share of the gold turns among the first k turns, of answerable questions that have gold."""
    return lambda item: metrics.recall(item.turns[:k], item.question.gold) if _retrieval(item) else None


def recall_within(budget: int) -> Measure:
    """Share of the gold turns inside the first ``budget`` tokens of ``Recall.text``."""
    return lambda item: metrics.recall(item.within(budget), item.question.gold) if _retrieval(item) else None


def any_turn(k: int) -> Measure:
    """1 where one gold turn is among the first k turns."""
    return lambda item: metrics.hit_any(item.turns[:k], item.question.gold) if _retrieval(item) else None


def any_session(k: int) -> Measure:
    """1 where one gold session is among the first k sessions."""
    return lambda item: metrics.hit_any(item.sessions[:k], item.question.sessions) if _retrieval(item) else None


def all_sessions(k: int) -> Measure:
    """1 where every gold session is among the first k sessions."""
    return lambda item: metrics.hit_all(item.sessions[:k], item.question.sessions) if _retrieval(item) else None


def budgets() -> dict[str, Measure]:
    """The share of evidence inside each of the budgets."""
    return {f"recall in {budget} tokens": recall_within(budget) for budget in BUDGETS}


def _retrieval(item: Item) -> bool:
    question = item.question
    return question.scored and question.answerable and bool(question.gold)


def required(data: Path | None, suite: str, *names: str) -> list[Path]:
    """The files called ``names`` under ``data``, or in its folder ``suite``; each may be gzipped (``.gz``)."""
    if data is None:
        raise InputError(f"the suite {suite!r} reads files of yours: name their folder with --data")
    found = []
    for name in names:
        tries = [folder / (name + end) for folder in (data / suite, data) for end in (".gz", "")]
        match = next((path for path in tries if path.exists()), None)
        if match is None:
            raise InputError(f"{data} holds no {suite}/{name}(.gz): name the folder that does with --data")
        found.append(match)
    return found
