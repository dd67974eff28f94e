"""One row: install, start, add turn by turn, ask, measure; then once more, adding everything in large calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mnemic import models
from mnemic.bench import machine, metrics
from mnemic.bench.peers.catalogue import Entry
from mnemic.bench.peers.environment import Environment, PeerError, provide
from mnemic.bench.peers.work import Work
from mnemic.bench.peers.worker import Worker
from mnemic.bench.suite import EVERY, Item, any_session, recall_at, tabulate

K = 50
"""Hits asked for: enough that ten sessions are among them."""
PAGE = 256
"""Turns in one call of the second pass."""
Progress = Callable[[str, str], None]
"""Told the row's name and what is being done."""


@dataclass
class Row:
    """One measured entry; ``reason`` says why there are no numbers. Times in ms, memory and sizes in MB (10^6 bytes).

    ``add_ms`` and ``search_ms`` hold p50, p95 and n; ``first_ms`` is the slowest first search of a conversation, not
    in ``search_ms``. ``bulk_s`` are the seconds for all turns in calls of 256. ``open_ms`` is the faster of two starts
    (the first one compiles). ``resident_mb`` is with all turns added, ``idle_mb`` before the first. ``each`` is
    recall@10 question by question, in the order of the questions.
    """

    name: str
    note: str
    durable: bool
    pinned: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    packages: int | None = None
    install_mb: float | None = None
    weights_mb: float = 0.0
    open_ms: float | None = None
    idle_mb: float | None = None
    resident_mb: float | None = None
    add_ms: Mapping[str, float] | None = None
    add_s: float | None = None
    bulk_s: float | None = None
    first_ms: float | None = None
    search_ms: Mapping[str, float] | None = None
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    each: Sequence[float] = ()
    refused: Sequence[str] = ()
    reason: str = ""
    load_before: Sequence[float] | None = None
    load_after: Sequence[float] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    entry: Entry,
    work: Work,
    *,
    where: Path | None = None,
    timeout: float = 600.0,
    bulk: bool = True,
    progress: Progress | None = None,
) -> Row:
    """The row of ``entry``. What a peer fails at is the row's ``reason``; what was measured until then stays."""
    tell = progress or (lambda name, doing: None)
    row = Row(entry.name, entry.note, entry.durable, load_before=machine.load())
    try:
        interpreter = _installed(row, entry, where, tell)
        with Worker(entry.adapter, entry.variant, interpreter=interpreter, timeout=timeout) as worker:
            tell(entry.name, "adding turn by turn")
            row.open_ms = round(worker.open(), 1)
            worker.know(work.texts, work.vectors)
            row.idle_mb = _rounded(worker.resident())
            times = [worker.add([turn]) for turn in work.turns]
            row.add_ms, row.add_s = spread(times), round(sum(times) / 1000, 4)
            row.resident_mb = _rounded(worker.resident())
            tell(entry.name, "searching")
            _search(row, work, worker)
            row.refused = worker.close()
        if bulk:
            tell(entry.name, f"adding {PAGE} at a time")
            with Worker(entry.adapter, entry.variant, interpreter=interpreter, timeout=timeout) as worker:
                row.open_ms = round(min(row.open_ms, worker.open()), 1)
                worker.know(work.texts, work.vectors)
                pages = [work.turns[i : i + PAGE] for i in range(0, len(work.turns), PAGE)]
                row.bulk_s = round(sum(worker.add(page) for page in pages) / 1000, 4)
                worker.close()
    except PeerError as error:
        row.reason = str(error)
    row.load_after = machine.load()
    return row


def spread(times: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and number of ``times``."""
    low, high = (round(metrics.percentile(times, q), 3) for q in (50, 95))
    return {"p50": low, "p95": high, "n": len(times)}


def _installed(row: Row, entry: Entry, where: Path | None, tell: Progress) -> str | None:
    """The interpreter to run under, None for ours; fills in sizes and versions."""
    row.weights_mb = round(sum(models.get(name).size for name in entry.models) / 1e6, 1)
    made: Environment | None = None
    if entry.steps:
        tell(entry.name, "installing")
        row.pinned = [each for step in entry.steps for each in step]
        made = provide(entry.environment, entry.steps, where)
        row.install_mb, row.packages = round((made.size + entry.source) / 1e6, 1), len(made.packages)
        row.versions = {"python": made.python, **made.packages}
    if entry.own or made is None:
        row.versions = machine.versions()
        return None
    return made.interpreter


def _search(row: Row, work: Work, worker: Worker) -> None:
    session_of = work.session_of
    for scope, asked in {asked.scope: asked for asked in work.asked}.items():
        _, ms = worker.search(asked.question.text, K, scope, asked.now)
        row.first_ms = round(max(row.first_ms or 0.0, ms), 2)
    items, times = [], []
    for asked in work.asked:
        found, ms = worker.search(asked.question.text, K, asked.scope, asked.now)
        strange = [id for id in found if id not in session_of]
        if strange:
            raise PeerError(f"search: {strange[0]!r} is no turn that was added")
        times.append(ms)
        ranked = [[id] for id in metrics.distinct(found)]
        places = [[session_of[id]] for (id,) in ranked]
        items.append(Item(asked.question, asked.scope, ranked, places, [0] * len(ranked), 0.0, ms))
    row.search_ms = spread(times)
    row.scores = scores(items)
    row.each = [round(metrics.recall(item.turns[:10], item.question.gold), 4) for item in items]


def scores(items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """Metric -> value in percent, its 95 % bootstrap interval over questions, and the number of questions."""
    measures = {f"recall@{k}": recall_at(k) for k in (5, 10, 20)} | {"session any@10": any_session(10)}
    return {
        score.metric: {
            "value": round(100 * score.value, 1),
            "interval": [round(100 * end, 1) for end in score.interval],
            "n": score.n,
        }
        for score in tabulate(items, measures)
        if score.group == EVERY
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
