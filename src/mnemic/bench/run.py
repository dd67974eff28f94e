"""Running suites: one space for each haystack, every question asked, outcomes kept so that a broken run goes on.

What is finished is appended to ``<out>.items.jsonl`` case by case, under a fingerprint of everything that could
change it: code, data, settings. A second run with the same fingerprint asks nothing again. Neither file holds any
text of the data, only ids.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from mnemic.bench import machine, metrics
from mnemic.bench.contender import Contender, Subject, contender
from mnemic.bench.suite import Case, Data, Item, Question, Score, Suite
from mnemic.bench.suites import make
from mnemic.errors import InputError
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.record import Turn
from mnemic.text.steps.render import count_tokens, line

FORMAT = 1
MANY = 20
"""Gold turns above which a result file keeps counts in place of ranks."""
Progress = Callable[[str, int, int], None]
"""Called with the contender's label, the cases done and all cases."""


class Responder(Protocol):
    """Makes an answer to a question asked at some time from its recall, and judges it: (answer, right or None).

    ``about`` goes into the result and its fingerprint.
    """

    @property
    def about(self) -> Mapping[str, Any]: ...

    def __call__(
        self, memory: Subject, question: Question, found: Recall, now: datetime | None
    ) -> tuple[str | None, bool | None]: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How a suite is run. ``k`` overrides the case's own; ``reflect`` lets the system work before it is asked."""

    limit: int | None = None
    seed: int = 0
    k: int | None = None
    reflect: bool = False


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


def run(
    suite: str | Suite,
    contenders: Sequence[str | Contender],
    data: Path | str | None = None,
    *,
    settings: Settings | None = None,
    out: Path | None = None,
    cache: Path | bool = True,
    responder: Responder | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run ``contenders`` over ``suite`` with the files under ``data``; with ``out``, write the result there.

    Deterministic but for times. Raises InputError where data is missing, NotFoundError for unknown names.
    """
    settings = settings or Settings()
    made = make(suite) if isinstance(suite, str) else suite
    before = machine.load()
    loaded = made.load(Path(data) if data is not None else None, limit=settings.limit, seed=settings.seed)
    digests = {path.name: machine.digest(path) for path in loaded.files}
    answers = dict(responder.about) if responder else None
    outcomes = []
    for each in contenders:
        subject = contender(each, cache=cache)
        key = [FORMAT, made.name, dict(subject.about), asdict(settings), answers, digests, machine.code()]
        journal = Journal(out, _fingerprint(key)) if out else None
        outcomes.append(_measure(made, subject, loaded, settings, journal, responder, progress))
    about = {
        "name": made.name,
        "about": made.about,
        "licence": made.licence,
        "headline": list(made.headline),
        "files": digests,
        "cases": len(loaded.cases),
        "notes": dict(loaded.notes),
    }
    result = Result(
        about,
        settings,
        {
            "answers": answers,
            "versions": machine.versions(),
            "machine": {**machine.describe(), "load_before": before, "load_after": machine.load()},
        },
        outcomes,
    )
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(dumps(result.to_json()), encoding="utf-8")
    return result


def _measure(
    suite: Suite,
    subject: Contender,
    data: Data,
    settings: Settings,
    journal: Journal | None,
    responder: Responder | None,
    progress: Progress | None,
) -> Outcome:
    items: list[Item] = []
    costs: list[Cost] = []
    for done, case in enumerate(data.cases):
        kept = journal.read(case) if journal else None
        if kept is None:
            kept = play(suite, subject, case, settings, responder)
            if journal:
                journal.write(case, *kept)
        items += kept[0]
        costs.append(kept[1])
        if progress:
            progress(subject.label, done + 1, len(data.cases))
    return Outcome(subject.label, subject.about, items, costs, suite.score(items), subject.cached())


def play(
    suite: Suite, subject: Contender, case: Case, settings: Settings, responder: Responder | None = None
) -> tuple[list[Item], Cost]:
    """Remember one haystack, ask its questions."""
    memory = subject.open()
    try:
        began = time.perf_counter()
        memory.remember(list(case.turns))
        cost = Cost(len(case.turns), _since(began))
        if settings.reflect and isinstance(memory, Memory):
            began = time.perf_counter()
            memory.reflect()
            cost.reflect_ms = _since(began)
        if isinstance(memory, Memory):
            cost.bytes = int(memory.stats().get("bytes", 0))
        session_of = {turn.id or "": turn.session or "" for turn in case.turns}
        items = []
        with subject.asking():
            for number, question in enumerate(case.questions):
                now = question.now or _after(case.turns)
                k = settings.k or case.k
                if number == 0:  # once for the index, so that what follows is the time of a recall and nothing else
                    began = time.perf_counter()
                    memory.recall(question.text, k=k, now=now)
                    cost.cold_ms = _since(began)
                began = time.perf_counter()
                found = memory.recall(question.text, k=k, now=now)
                ms = _since(began)
                response: str | None = None
                judged: bool | None = None
                if responder:
                    response, judged = responder(memory, question, found, now)
                elif isinstance(memory, Memory):
                    response = suite.respond(memory, question, found)
                items.append(_item(question, case, found, session_of, ms, response, judged))
        return items, cost
    finally:
        memory.close()


def _item(
    question: Question, case: Case, found: Recall, session_of: Mapping[str, str], ms: float,
    response: str | None, judged: bool | None,
) -> Item:  # fmt: skip
    ranked = [[id for id in hit.sources if id in session_of] for hit in found.hits]
    return Item(
        question=question,
        case=case.id,
        ranked=ranked,
        places=_places(ranked, session_of),
        costs=[count_tokens(line(hit)) for hit in found.hits],
        confidence=found.confidence,
        ms=round(ms, 3),
        response=response,
        judged=judged,
    )


def _places(ranked: Sequence[Sequence[str]], session_of: Mapping[str, str]) -> list[list[str]]:
    """The sessions of each hit's turns."""
    return [metrics.distinct(session_of[id] for id in ids) for ids in ranked]


def _since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def _after(turns: Sequence[Turn]) -> datetime | None:
    dates = [turn.at for turn in turns if turn.at is not None]
    return max(dates) + timedelta(seconds=1) if dates else None


def _fingerprint(parts: Sequence[Any]) -> str:
    return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()


class Journal:
    """The cases that are done, one JSON line each; lines of other fingerprints are left alone."""

    def __init__(self, out: Path, fingerprint: str) -> None:
        self.path = out.with_name(out.name + ".items.jsonl")
        self.fingerprint = fingerprint
        self._known = {line["case"]: line for line in self._lines() if line["fingerprint"] == fingerprint}

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        for text in self.path.read_text("utf-8").split("\n"):
            try:
                line = json.loads(text) if text else None
            except ValueError:  # the run was killed while it wrote this line: the case is simply run again
                continue
            if line:
                yield line

    def read(self, case: Case) -> tuple[list[Item], Cost] | None:
        """What was kept of ``case``, None where it was not finished."""
        line = self._known.get(case.id)
        if line is None or [row["id"] for row in line["items"]] != [question.id for question in case.questions]:
            return None
        session_of = {turn.id or "": turn.session or "" for turn in case.turns}
        items = [
            Item(question, case.id, places=_places(row["ranked"], session_of), **{name: row[name] for name in _KEPT})
            for question, row in zip(case.questions, line["items"], strict=True)
        ]
        return items, Cost(**line["cost"])

    def write(self, case: Case, items: Sequence[Item], cost: Cost) -> None:
        """Keep ``case`` for good."""
        rows = [{"id": item.question.id} | {name: getattr(item, name) for name in _KEPT} for item in items]
        line = {"fingerprint": self.fingerprint, "case": case.id, "cost": asdict(cost), "items": rows}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            if file.seek(0, 2):
                file.seek(-1, 2)
                if file.read() != b"\n":  # a line that was cut short must not swallow this one
                    file.write(b"\n")
            file.write(json.dumps(line).encode() + b"\n")


_KEPT = ("ranked", "costs", "confidence", "ms", "response", "judged")


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
