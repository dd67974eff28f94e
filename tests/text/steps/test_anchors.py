"""Events dated from the turns that speak of them: whole conversations with known days, then the rules one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from events import HELD_OUT, TUNED, Scene

import mnemic
from mnemic.demo import questions, turns
from mnemic.text.steps.anchors import Said, date
from mnemic.text.memory import Memory
from mnemic.text.plan import Query
from mnemic.text.steps.dates import TimeRange
from mnemic.text.systems.mnemic import Mnemic

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


def weeks(scene: Scene) -> list[tuple[str, datetime, datetime]]:
    """Questions about the weeks around the event, and those weeks counted from its written days."""
    first, after = scene.day("first"), scene.day("last") + timedelta(days=1)
    return [
        (f"What did we talk about in the week before {scene.event}?", first - timedelta(days=7), first),
        (f"What did we talk about in the week after {scene.event}?", after, after + timedelta(days=7)),
    ]


def right(scene: Scene) -> list[bool]:
    """For each question about the scene whether exactly that week is understood."""
    with mnemic.open(":memory:", encoders="lexical") as memory:
        memory.remember(scene.turns())
        return [asked(memory, question) == (TimeRange(start, end),) for question, start, end in weeks(scene)]


def asked(memory: Memory, question: str) -> tuple[TimeRange, ...]:
    system = memory.system
    assert isinstance(system, Mnemic)
    return system.understand(Query(question, 10, NOW), [], memory.env).ranges
