"""Probes: questions with what a healthy memory brings back for them. They are chosen before anything is measured."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from mnemic.errors import InputError
from mnemic.text.encode.lexical import tokens
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter, every
from mnemic.text.record import Kind, Record, State, to_datetime
from mnemic.text.steps.render import shown

WORDS = 5
"""How many of its longest words ask for a turn in a probe made from it."""
_MARKS = ".,;:!?\"'()"
LEAST = 8
"""Content words a turn needs for a probe to be made from it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """``gold`` are the ids of the turns that answer ``question``: none if nothing stored does. ``stale`` are those of
    values that no longer hold: they must not come first. ``now`` is when it is asked."""

    question: str
    gold: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    now: datetime | None = None


def load(path: Path) -> list[Probe]:
    """Probes from a JSONL file: ``{"question": ..., "gold": [...], "stale": [...], "now": ...}`` a line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the probes {path}: {error}") from None
    return [_probe(line, f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]


def _probe(line: str, where: str) -> Probe:
    try:
        told = json.loads(line)
        question, gold, stale = told["question"], told.get("gold", []), told.get("stale", [])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where} is no probe ({type(error).__name__}: {error}): give an object with a question"
        ) from None
    if not isinstance(question, str) or not all(isinstance(ids, list) for ids in (gold, stale)):
        raise InputError(f"{where}: question is a text, gold and stale are lists of ids")
    return Probe(question, tuple(map(str, gold)), tuple(map(str, stale)), to_datetime(told.get("now")))


def digest(probes: Iterable[Probe]) -> str:
    """The fingerprint of ``probes``, by which a ledger tells whether they were changed."""
    told = json.dumps([asdict(probe) for probe in probes], default=str, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def sample(memory: Memory, count: int = 40, seed: int = 0) -> list[str]:
    """Ids of turns that say enough to be asked for, drawn by lot: what probes can be made of without anybody's help."""
    said = every(lambda at: memory.space.scan(Filter(kinds=[Kind.TURN]), at))
    turns = [t.id for t in said if t.state == State.ACTIVE and len(set(tokens(shown(t)))) >= LEAST]
    return sorted(random.Random(seed).sample(turns, min(count, len(turns))))


def of_turns(memory: Memory, ids: Sequence[str]) -> list[Probe]:
    """For each of the turns a question made of its longest words: the same for as long as the turn is there.

    They tell whether a change loses what was found before it. How good a memory is they do not tell, since a question
    made of a turn's own words is an easy one, and of outdated values they know nothing.
    """
    return [_asking(turn) for turn in memory.get(list(ids)) if turn.state == State.ACTIVE]


def _asking(turn: Record) -> Probe:
    words = list(dict.fromkeys(word.strip(_MARKS) for word in shown(turn).split() if tokens(word)))
    chosen = set(sorted(words, key=lambda word: (-len(word), words.index(word)))[:WORDS])
    asked = " ".join(word for word in words if word in chosen)
    return Probe(f"{turn.speaker}: {asked}" if turn.speaker else asked, (turn.id,))
