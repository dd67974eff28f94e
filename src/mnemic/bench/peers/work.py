"""What every peer is given: the same turns, the same questions, the same vectors."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemic.bench import machine
from mnemic.bench.cache import CachedDense
from mnemic.bench.suite import Question
from mnemic.bench.suites.locomo import LoCoMo
from mnemic.errors import InputError
from mnemic.text.encode.base import DenseEncoder
from mnemic.text.record import Kind, Record, Turn
from mnemic.text.steps import secrets
from mnemic.text.store.base import key_text


@dataclass(frozen=True)
class Asked:
    """A question, the conversation it is about, and when it is asked (ISO 8601): right after the last turn."""

    question: Question
    scope: str
    now: str


@dataclass(frozen=True)
class Work:
    """``turns`` are what a worker's ``add`` takes: ``text`` is the one text that every peer stores and encodes
    (``speaker: text [shares an image: caption]``), ``scope`` the conversation. ``vectors`` is float32 [texts, dim]."""

    turns: Sequence[Mapping[str, Any]]
    asked: Sequence[Asked]
    texts: Sequence[str] = ()
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def session_of(self) -> dict[str, str]:
        return {turn["id"]: turn["session"] for turn in self.turns}


def locomo(data: Path | None, *, conversations: int, questions: int, seed: int) -> Work:
    """The first ``conversations`` of LoCoMo and ``questions`` drawn from theirs of categories 1 to 4 that have
    evidence. Without vectors. Raises InputError where the file is missing."""
    loaded = LoCoMo().load(data, limit=conversations, seed=seed)
    turns = [shown(turn, case.id) for case in loaded.cases for turn in case.turns]
    everything = []
    for case in loaded.cases:
        last = max(turn.at for turn in case.turns if turn.at is not None) + timedelta(seconds=1)
        everything += [Asked(q, case.id, last.isoformat()) for q in case.questions if q.answerable and q.gold]
    if not everything:
        raise InputError("these conversations have no question with evidence: name LoCoMo's own file with --data")
    drawn = sorted(random.Random(seed).sample(range(len(everything)), min(questions, len(everything))))
    about = {
        "data": {path.name: machine.digest(path) for path in loaded.files},
        "conversations": [case.id for case in loaded.cases],
        "turns": len(turns),
        "questions": len(drawn),
        "questions with evidence": len(everything),
        "seed": seed,
    }
    return Work(turns, [everything[i] for i in drawn], about=about)


def encoded(work: Work, encoder: DenseEncoder, *, cache: Path | None = None) -> Work:
    """``work`` with the vectors of all its texts and questions; those of turns are kept on disk between runs."""
    said = [turn["text"] for turn in work.turns]
    questions = [asked.question.text for asked in work.asked]
    shelf = encoder if isinstance(encoder, CachedDense) else CachedDense(encoder, cache)
    texts = list(dict.fromkeys([*said, *questions]))
    vectors = np.ascontiguousarray(shelf.encode(texts), np.float32)
    about = {**work.about, "encoder": f"{encoder.name} {encoder.version}"}
    return Work(work.turns, work.asked, texts, vectors, about)


def shown(turn: Turn, scope: str) -> dict[str, Any]:
    """A turn as the workers get it."""
    record = Record(
        turn.id or "",
        Kind.TURN,
        turn.text,
        speaker=turn.speaker,
        caption=turn.caption,
        secrets=tuple(secrets.find(turn.text)),
    )
    return {
        "id": turn.id,
        "text": key_text(record),
        "scope": scope,
        "session": turn.session,
        "at": turn.at.isoformat() if turn.at else "",
        "speaker": turn.speaker,
        "said": turn.text,
        "caption": turn.caption,
    }
