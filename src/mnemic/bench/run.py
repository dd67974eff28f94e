"""Running suites: one space for each haystack, every question asked, outcomes kept so that a broken run goes on.

What is finished is appended to ``<out>.items.jsonl`` case by case, under a fingerprint of everything that could
change it: code, data, settings. A second run with the same fingerprint asks nothing again. That file is a cache: it
holds answers, where there are any, which may quote the data; the result itself does not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from mnemic.bench import machine
from mnemic.bench.contender import Contender, Subject, contender
from mnemic.bench.journal import Journal
from mnemic.bench.result import FORMAT, Cost, Outcome, Result, Settings, keep
from mnemic.bench.suite import BUDGETS, Case, Data, Item, Question, Suite, recall_within, sessions_of, tabulate
from mnemic.bench.suites import make
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.record import Turn
from mnemic.text.steps.render import count_tokens, line

__all__ = ["Outcome", "Progress", "Responder", "Result", "Settings", "play", "run"]

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
        key = [
            FORMAT,
            made.name,
            subject.label,
            dict(subject.about),
            asdict(settings),
            answers,
            digests,
            machine.code(),
        ]
        journal = Journal(out, _fingerprint(key)) if out else None
        outcomes.append(_measure(made, subject, loaded, settings, journal, responder, progress))
    about = {
        "name": made.name,
        "about": made.about,
        "licence": made.licence,
        "headline": list(made.headline),
        "conditions": list(made.conditions),
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
        keep(result.to_json(), out)
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
    scores = suite.score(items)
    if settings.budget is not None and settings.budget not in BUDGETS:
        scores += tabulate(items, {f"recall in {settings.budget} tokens": recall_within(settings.budget)})
    return Outcome(subject.label, subject.about, items, costs, scores, subject.cached())


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
        places=sessions_of(ranked, session_of),
        costs=[count_tokens(line(hit)) for hit in found.hits],
        confidence=found.confidence,
        ms=round(ms, 3),
        response=response,
        judged=judged,
        score=found.hits[0].score if found.hits else 0.0,
    )


def _since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def _after(turns: Sequence[Turn]) -> datetime | None:
    dates = [turn.at for turn in turns if turn.at is not None]
    return max(dates) + timedelta(seconds=1) if dates else None


def _fingerprint(parts: Sequence[Any]) -> str:
    return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()
