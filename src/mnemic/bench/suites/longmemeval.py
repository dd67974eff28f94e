"""LongMemEval: chat assistants' memory over some 50 sessions (Wu et al., ICLR 2025), measured as its code does.

The official index holds user turns only; gold are the user turns marked ``has_answer`` and the sessions that hold
one, so questions whose answer the assistant gave have no gold and are left out, as are the ``_abs`` ones (they
measure refusal, apart). ``longmemeval:both`` indexes both sides and keeps the assistant's marked turns as gold.

Haystacks: the evidence sessions among ``DISTRACTORS`` sessions of other chats, drawn and dated at random between the
oldest evidence and the question, all sorted by date. ``longmemeval:samples`` and ``longmemeval:samples-both`` use
complete haystacks as published.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.suite import (
    Base,
    Case,
    Data,
    Item,
    Measure,
    Question,
    Score,
    all_sessions,
    any_session,
    budgets,
    recall_at,
    refusal,
    required,
    tabulate,
)
from mnemic.errors import InputError
from mnemic.text.importers.source import ANY, json_items
from mnemic.text.record import Turn

DISTRACTORS = 45
SEED = 7
"""What the run's seed is added to for drawing haystacks."""
VARIANTS = ("", "both", "samples", "samples-both")
_STEM = re.compile(r"^(?:answer_)?(.+?)(?:_\d+)?$")


@dataclass(frozen=True, slots=True)
class Session:
    """One chat of a haystack."""

    id: str
    at: datetime
    turns: Sequence[Mapping[str, Any]]


class LongMemEval(Base):
    """See the module's docstring for the variants."""

    about = "session and turn retrieval over haystacks of 48 chat sessions; refusal of unanswerable questions"
    licence = "LongMemEval is MIT"
    headline = ("session all@5", "session any@5", "session ndcg@10", "turn all@10", "recall in 1024 tokens", "AUROC")

    def __init__(self, variant: str = "") -> None:
        if variant not in VARIANTS:
            raise InputError(f"longmemeval has no variant {variant!r}: there are {', '.join(VARIANTS[1:])}")
        self.name = "longmemeval" + (f":{variant}" if variant else "")
        self._both = variant.endswith("both")
        self._samples = variant.startswith("samples")

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        names = (
            ["longmemeval_s_samples.json"] if self._samples else ["longmemeval_oracle.json", "distractor_sessions.json"]
        )
        paths = required(data, "longmemeval", *names)
        pool: dict[str, Any] = {} if self._samples else next(json_items(paths[1], ANY, "file"))
        notes: Counter[str] = Counter()
        cases = []
        for number, entry in enumerate(json_items(paths[0], ANY, "file")):
            if limit is not None and number >= limit:
                break
            cases.append(self._case(entry, haystack(entry, pool, SEED + seed), notes))
        return Data(cases, paths, notes)

    def _case(self, entry: Mapping[str, Any], sessions: Sequence[Session], notes: Counter[str]) -> Case:
        gold: list[str] = []
        where: list[str] = []
        turns = []
        for session in sessions:
            for n, said in enumerate(session.turns, 1):
                if said["role"] != "user" and not self._both:
                    continue
                id = f"{session.id}_{n}"
                turns.append(Turn(said["content"], at=session.at, session=session.id, role=said["role"], id=id))
                if said.get("has_answer"):
                    gold.append(id)
                    where.append(session.id)
        name = str(entry["question_id"])
        abstains = name.endswith("_abs")
        notes["abstention questions"] += abstains
        if not gold and not abstains:
            notes[f"without gold: {entry['question_type']}"] += 1
        question = Question(
            id=name,
            text=entry["question"],
            category=entry["question_type"],
            gold=() if abstains else tuple(gold),
            sessions=() if abstains else tuple(metrics.distinct(where)),
            now=moment(entry["question_date"]),
            answer=str(entry["answer"]),
            answerable=not abstains,
            scored=bool(gold) and not abstains,
        )
        return Case(name, turns, [question])

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {}
        for k in (1, 3, 5, 10, 30, 50):
            measures[f"session any@{k}"] = any_session(k)
            measures[f"session all@{k}"] = all_sessions(k)
            measures[f"session ndcg@{k}"] = _ndcg_session(k)
        for k in (5, 10, 30, 50):
            measures[f"turn any@{k}"] = _turn(k, metrics.hit_any)
            measures[f"turn all@{k}"] = _turn(k, metrics.hit_all)
            measures[f"turn ndcg@{k}"] = _ndcg_turn(k)
        measures |= {f"recall@{k}": recall_at(k) for k in (5, 10)} | budgets()
        if any(item.judged is not None for item in items):
            measures["judged"] = lambda item: None if item.judged is None else float(item.judged)
        found = tabulate([item for item in items if item.question.scored], measures)
        return found + refusal([item for item in items if item.question.scored or not item.question.answerable])


def haystack(entry: Mapping[str, Any], pool: Mapping[str, Any], seed: int) -> list[Session]:
    """The sessions of one question, oldest first: its own and ``DISTRACTORS`` drawn from ``pool``.

    Sessions of the pool that share the id stem of an evidence session are of the same invented user and might hold
    the answer: they are not drawn.
    """
    given = zip(entry["haystack_session_ids"], entry["haystack_dates"], entry["haystack_sessions"], strict=True)
    sessions = [Session(id, moment(date), turns) for id, date, turns in given]
    if pool:
        rng = random.Random(f"{seed}:{entry['question_id']}")
        related = {_stem(session.id) for session in sessions}
        first = min(session.at for session in sessions)
        span = max(moment(entry["question_date"]), max(session.at for session in sessions)) - first
        minutes = max(1, span // timedelta(minutes=1))
        for id in rng.sample([id for id in sorted(pool) if _stem(id) not in related], DISTRACTORS):
            sessions.append(Session(id, first + timedelta(minutes=rng.randrange(minutes)), pool[id]))
    return sorted(sessions, key=lambda session: (session.at, session.id))


def moment(date: str) -> datetime:
    """``2023/05/20 (Sat) 02:21`` as UTC."""
    return datetime.strptime(f"{date[:10]} {date[-5:]}", "%Y/%m/%d %H:%M").replace(tzinfo=UTC)


def _stem(id: str) -> str:
    match = _STEM.match(id)
    return match[1] if match else id


def _ndcg_session(k: int) -> Measure:
    return lambda item: metrics.ndcg(item.sessions, item.question.sessions, k)


def _ndcg_turn(k: int) -> Measure:
    return lambda item: metrics.ndcg(item.turns, item.question.gold, k)


def _turn(k: int, of: Any) -> Measure:
    return lambda item: of(item.turns[:k], item.question.gold)
