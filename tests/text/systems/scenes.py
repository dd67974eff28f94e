"""Small conversations and a scripted language model for the tests of the systems."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

import mnemic
from mnemic import Turn
from mnemic.text.encode.base import Floats
from mnemic.text.encode.lexical import tokens
from mnemic.text.language.base import Completion, Message
from mnemic.text.memory import Memory

START = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
TOPICS = (
    ("garden", "tomato", "greenhouse", "compost", "seedling"),
    ("sailing", "harbour", "anchor", "regatta", "spinnaker"),
    ("violin", "orchestra", "concerto", "rehearsal", "conductor"),
    ("bakery", "sourdough", "oven", "croissant", "flour"),
    ("telescope", "comet", "observatory", "eclipse", "nebula"),
    ("marathon", "sneakers", "stadium", "stopwatch", "hurdles"),
    ("pottery", "kiln", "glaze", "studio", "porcelain"),
    ("chess", "bishop", "tournament", "gambit", "endgame"),
)


def topical(count: int, per_session: int = 20) -> list[Turn]:
    """``count`` turns between Ana and Ben; each session keeps to one topic, every sentence says a number of its own."""
    turns = []
    for i in range(count):
        session, place = divmod(i, per_session)
        words = TOPICS[session % len(TOPICS)]
        a, b = words[i % 5], words[(i + 1 + place // 5) % 5]
        turns.append(
            Turn(
                f"Item number {i} concerns the {a} next to the {b} of our neighbour.",
                speaker=("Ana", "Ben")[i % 2],
                at=START + timedelta(days=session, minutes=place),
                session=f"day {session}",
                id=f"t{i}",
            )
        )
    return turns


def picture(memory: Memory) -> list[Any]:
    """Everything a space holds, in an order that does not depend on how it came there; no times of writing."""
    items, links = [], []
    for line in memory.space.export():
        if "item" in line:
            item = {k: v for k, v in line["item"].items() if k not in ("recorded", "retired", "archived", "forgotten")}
            marks = [line["item"][k] is not None for k in ("retired", "archived", "forgotten")]
            items.append([json.dumps(item, sort_keys=True, default=str), marks])
        else:
            links.append(line["link"])
    return [sorted(items), sorted(links)]


class Stop(Exception):
    """A crash in the middle of reflecting."""


def reflect_until(memory: Memory, batches: int) -> None:
    """Reflect, and crash after so many batches were committed."""
    seen = 0

    def progress(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen >= batches:
            raise Stop

    with suppress(Stop):
        memory.reflect(progress=progress)


class Scripted:
    """A language model that answers with what ``reply`` makes of the messages; raises it if it is an exception."""

    name = "scripted"

    def __init__(self, reply: Callable[[Sequence[Message]], str | Exception]) -> None:
        self.reply = reply
        self.asked: list[str] = []

    def complete(
        self, messages: Sequence[Message], *, schema: Any = None, max_tokens: int = 512, temperature: float = 0.0
    ) -> Completion:
        self.asked.append("\n".join(message.content for message in messages))
        reply = self.reply(messages)
        if isinstance(reply, Exception):
            raise reply
        return Completion(reply, 1, 1, 0.0)


class Hashed:
    """A dense encoder that is a bag of words in 64 dimensions."""

    name, version, dim = "hashed", "1", 64

    def encode(self, texts: Sequence[str]) -> Floats:
        found = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(found, texts, strict=True):
            for stem in tokens(text):
                row[sum(stem.encode()) % self.dim] += 1
            row /= np.linalg.norm(row) or 1
        return found

    def encode_query(self, text: str) -> Floats:
        return self.encode([text])[0]


HOSTILE: tuple[str | Exception, ...] = (
    "",
    "I would rather not.",
    "{",
    "[1, 2]",
    '{"summary": null, "keywords": null}',
    '{"summary": ["a"], "keywords": [1]}',
    '{"summary": "   ", "keywords": "x"}',
    '{"summary": ' * 2000,
    RuntimeError("the server is on fire"),
)


def opened(system: object, **more: Any) -> Memory:
    return mnemic.open(":memory:", system=system, **{"encoders": "lexical", "clock": lambda: START, **more})  # type: ignore[arg-type]


def said(session: str, day: int, *texts: str, speaker: str = "Ana") -> list[Turn]:
    """Turns of one session, a minute apart; their ids are ``SESSION:PLACE``."""
    start = START + timedelta(days=day)
    return [
        Turn(text, speaker, start + timedelta(minutes=i), session, id=f"{session}:{i}") for i, text in enumerate(texts)
    ]
