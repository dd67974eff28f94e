"""The evaluation card: what a memory is good for and what not, on one page.

Panels after the minimal card of the survey "Memory in LLMs" (arXiv 2509.18868): correctness, faithfulness of
citations, robustness to position, timeliness, refusal, cost; each number with a bootstrap interval and the regime it
was measured in. *Offline*: everything is remembered, then asked. *Online*: the store is asked between writes, while
values change. The third regime, without retrieval, needs a language model to answer from its own weights: there is
nothing to measure without one, and the card says so.

The streams are generated (:mod:`mnemic.bench.generate`); scores of real benchmarks are quoted from result files.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mnemic.bench import generate, machine, metrics, report
from mnemic.bench.contender import Contender, Subject, contender
from mnemic.bench.run import Settings, play
from mnemic.bench.suite import Case, Item, Score, recall_at, refusal, tabulate
from mnemic.bench.suites.generated import Generated, newest_first
from mnemic.text.memory import Memory
from mnemic.text.steps.support import SHARE, supported

DEPTHS = 11
MIDDLE = (0.3, 0.7)
"""Depths that count as the middle of a haystack."""
ABSENT = "no retrieval: needs a language model, not measured"


@dataclass(frozen=True, slots=True)
class Panel:
    """One aspect in one regime. ``note`` says how to read it."""

    name: str
    regime: str
    scores: Sequence[Score]
    note: str = ""


@dataclass(frozen=True)
class Card:
    """The panels of one system, and the conditions they hold under."""

    label: str
    about: Mapping[str, Any]
    seed: int
    panels: Sequence[Panel]
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return {"mnemic_card": 1, **asdict(self)}

    def markdown(self) -> str:
        """A table for each panel."""
        parts = [f"# Evaluation card: {self.label}"]
        for panel in self.panels:
            rows = [_shown(score) for score in panel.scores]
            table = report.table(["measure", "of", "value", "95 % interval", "n"], rows)
            parts += [f"## {panel.name} ({panel.regime})", *([panel.note] if panel.note else []), table]
        parts.append(f"Regime without retrieval: {ABSENT.partition(': ')[2]}.")
        told = self.conditions
        reflected = ", after reflecting" if self.about["reflected"] else ""
        parts.append(
            f"Seed {self.seed}{reflected}; {told['machine']['processor']}; Mnemic {told['versions']['mnemic']}."
        )
        return "\n\n".join(parts) + "\n"


def card(
    spec: str | Contender,
    *,
    seed: int = 0,
    rounds: int = 5,
    reflect: bool = False,
    results: Sequence[report.Result] = (),
    progress: Callable[[str], None] | None = None,
) -> Card:
    """Measure ``spec``. ``rounds`` scales every stream; with ``reflect`` the system reflects after every write.

    ``results`` are result files whose headline scores of this system are quoted.
    """
    subject = contender(spec)
    settings = Settings(seed=seed, reflect=reflect)
    steps: list[Callable[[], Iterable[Panel]]] = [
        lambda: _questions(subject, settings, rounds),
        lambda: [_position(subject, settings, rounds)],
        lambda: [_live(subject, settings, rounds)],
        lambda: _quoted(subject.label, results),
    ]
    panels: list[Panel] = []
    for step in steps:
        for panel in step():
            panels.append(panel)
            if progress:
                progress(panel.name)
    conditions = {"machine": machine.describe(), "versions": machine.versions(), "load": machine.load()}
    about = {**subject.about, "reflected": reflect}
    return Card(subject.label, about, seed, panels, conditions)


def _questions(subject: Contender, settings: Settings, rounds: int) -> Iterable[Panel]:
    """Correctness, faithfulness, timeliness, refusal and cost, all on the same conversations."""
    suite = Generated()
    cases = [
        generate.conversation(f"conversation {n}", random.Random(f"{settings.seed}:{n}")) for n in range(2 * rounds)
    ]
    played = [play(suite, subject, case, settings) for case in cases]
    items = [item for found, _ in played for item in found]
    known = [item for item in items if item.question.answerable]
    yield Panel("Correctness", "offline", tabulate(known, {"recall@1": recall_at(1), "recall@5": recall_at(5)}))
    cited = [score for case in cases[:rounds] for score in _citations(subject, case, settings.reflect)]
    if cited:
        note = (
            "A sentence is supported when the turns it cites hold "
            f"{100 * SHARE:.0f} % of its content words; a citation is right when it is evidence of the question."
        )
        yield Panel("Faithfulness of citations", "offline", _faithful(cited, settings.seed), note)
    yield Panel(
        "Timeliness",
        "offline",
        [s for s in tabulate(known, {"newest first": newest_first, "outdated at 1": _outdated}) if s.group == "all"],
        "The newest value above every older one; an outdated value in first place.",
    )
    yield Panel("Refusal", "offline", refusal(items), "AUROC of the confidence on answerable against unanswerable.")
    costs = [cost for _, cost in played]
    measured = {
        "recall, ms p50": [item.ms for item in items],
        "recall, ms p95": [item.ms for item in items],
        "prompt tokens of 10 hits": [float(sum(item.costs[:10])) for item in items],
        "write, ms per turn": [cost.ingest_ms / cost.turns for cost in costs],
        "stored bytes per turn": [cost.bytes / cost.turns for cost in costs if cost.bytes],
    }
    yield Panel("Cost", "offline", [_cost(name, values) for name, values in measured.items() if values])


def _outdated(item: Item) -> float | None:
    old = item.question.meta.get("old", ())
    return metrics.hit_any(item.turns[:1], old) if old else None


@dataclass(frozen=True, slots=True)
class _Cited:
    """What was wrong or right with one answer: shares in [0, 1]."""

    case: str
    covered: float
    supported: float
    right: float


def _citations(subject: Contender, case: Case, reflect: bool) -> list[_Cited]:
    """The answers to the answerable questions of ``case``, taken apart."""
    memory = subject.open()
    try:
        memory.remember(list(case.turns))
        if not isinstance(memory, Memory):
            return []
        if reflect:
            memory.reflect()
        found = []
        for question in case.questions:
            answer = memory.ask(question.text, k=10, now=case.turns[-1].at)
            if not question.answerable or not answer.sentences:
                continue
            cited = [sentence for sentence in answer.sentences if sentence.sources]
            sources = {id for sentence in cited for id in sentence.sources}
            gold = set(question.gold) | set(question.meta["old"])
            found.append(
                _Cited(
                    case.id,
                    len(cited) / len(answer.sentences),
                    metrics.mean([float(supported(s.text, memory.get(s.sources))) for s in cited]) if cited else 0.0,
                    metrics.precision(sorted(sources), sorted(gold)),
                )
            )
        return found
    finally:
        memory.close()


_FAITHFUL = {"sentences cited": "covered", "sentences supported": "supported", "citations right": "right"}


def _faithful(cited: Sequence[_Cited], seed: int) -> list[Score]:
    cases = [each.case for each in cited]
    return [
        _mean(name, "all", [getattr(each, field) for each in cited], cases, seed)
        for name, field in (
            ("sentences cited", "covered"),
            ("sentences supported", "supported"),
            ("citations right", "right"),
        )
    ]


def _position(subject: Contender, settings: Settings, rounds: int) -> Panel:
    """Whether a fact is found wherever it stands in a long conversation."""
    suite = Generated()
    items: list[Item] = []
    for step in range(DEPTHS):
        depth = step / (DEPTHS - 1)
        for n in range(rounds):
            case = generate.needle(f"{depth:.1f}/{n}", random.Random(f"{settings.seed}:{step}:{n}"), depth=depth)
            items += play(suite, subject, case, replace(settings, k=10))[0]

    def at(item: Item) -> list[str]:
        return [f"depth {item.question.meta['depth']:.1f}"]

    scores = tabulate(items, {"recall@1": recall_at(1)}, groups=at, seed=settings.seed)
    drop, low, high = metrics.unpaired(*_split(items), seed=settings.seed)
    scores.append(Score("drop in the middle", "all", drop, len(items), (low, high)))
    return Panel("Position", "offline", scores, "One fact in 300 turns of small talk; depth 0 is oldest.")


def _split(items: Sequence[Item]) -> tuple[list[float], list[float]]:
    """Recall@1 of the items outside the middle, and in it."""
    inner: list[float] = []
    outer: list[float] = []
    for item in items:
        middle = MIDDLE[0] <= item.question.meta["depth"] <= MIDDLE[1]
        (inner if middle else outer).append(metrics.recall(item.turns[:1], item.question.gold))
    return outer, inner


def _live(subject: Contender, settings: Settings, rounds: int) -> Panel:
    """Updates arriving one by one, the question asked after each: is the newest value first, at once?"""
    fresh: list[float] = []
    stale: list[float] = []
    waits: list[float] = []
    cases: list[str] = []
    for n in range(4 * rounds):
        rng = random.Random(f"{settings.seed}:live:{n}")
        memory: Subject = subject.open()
        try:
            turns, question = generate.updates(rng, 5)
            old: list[str] = []
            for turn in turns:
                began = time.perf_counter()
                memory.remember([turn])
                if settings.reflect and isinstance(memory, Memory):
                    memory.reflect()
                if not turn.meta.get("value"):
                    continue
                found = memory.recall(question, k=20, now=turn.at)
                waits.append(1000 * (time.perf_counter() - began))
                ranking = metrics.distinct(id for hit in found.hits for id in hit.sources)
                first = next((id for id in ranking if id == turn.id or id in old), None)
                if old:
                    fresh.append(float(first == turn.id))
                    stale.append(float(first in old))
                    cases.append(str(n))
                old.append(turn.id or "")
        finally:
            memory.close()
    scores = [
        _mean("newest first", "all", fresh, cases, settings.seed),
        _mean("outdated first", "all", stale, cases, settings.seed),
        _cost("write and read again, ms p50", waits),
    ]
    note = "Asked as soon as each update is written. What is missing to 100 is values that were not found at all."
    return Panel("Timeliness", "online", scores, note)


def _quoted(label: str, results: Sequence[report.Result]) -> Iterable[Panel]:
    """The headline scores of result files in which this system took part."""
    for result in results:
        for system in result["systems"]:
            if system["label"] == label:
                scores = [found for name in result["suite"]["headline"] if (found := report.score(system, name))]
                yield Panel(f"Correctness on {result['suite']['name']}", "offline", [_thawed(s) for s in scores])


def _thawed(score: Mapping[str, Any]) -> Score:
    interval, clustered = score["interval"], score["clustered"]
    low, high = clustered or interval
    return Score(score["metric"], score["group"], score["value"], score["n"], (low, high))


def _mean(metric: str, group: str, values: Sequence[float], cases: Sequence[str], seed: int) -> Score:
    return Score(metric, group, metrics.mean(values), len(values), metrics.interval(values, cases, seed=seed))


def _cost(name: str, values: Sequence[float]) -> Score:
    """A percentile, or the mean, of numbers that are no shares."""
    quantile = {"p50": 50.0, "p95": 95.0}.get(name[-3:])
    if quantile is None:
        return Score(name, "cost", metrics.mean(values), len(values), metrics.interval(values))
    bounds = metrics.percentile_interval(values, quantile)
    return Score(name, "cost", metrics.percentile(values, quantile), len(values), bounds)


def _shown(score: Score) -> list[str]:
    """The cells of a row: shares as percent, costs as they are."""
    scale, digits = (1, 2) if score.group == "cost" else (100, 1)
    low, high = score.clustered or score.interval
    value, start, end = (f"{scale * number:.{digits}f}" for number in (score.value, low, high))
    return [score.metric, score.group, value, f"{start} to {end}", str(score.n)]
