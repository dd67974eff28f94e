"""What counts as held by its sources."""

from __future__ import annotations

import mnemic
from mnemic.text.steps.support import supported


def test_support_is_judged_by_the_cited_turns(memory: mnemic.Memory) -> None:
    memory.remember("I sold the red bicycle to Tom.", speaker="Ann", at="2024-05-08", session="s")
    (hit,) = memory.recall("bicycle").hits
    assert supported("Ann, 8 May 2024: I sold the red bicycle to Tom. [1]", [hit.record])
    assert not supported("Ann sold the green car to Peter. [1]", [hit.record])
    assert not supported("Ann sold the red bicycle.", [])
