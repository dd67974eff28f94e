"""Core blocks: full at nine tenths, rewritten to half, and what stays then."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.steps.blocks import Line, full, kept, size

LINES = st.lists(
    st.builds(
        Line, st.uuids().map(str), st.text("ab ", min_size=1, max_size=40), st.integers(0, 3), st.integers(0, 99)
    ),
    max_size=30,
    unique_by=lambda line: line.id,
)


def test_a_block_is_full_at_nine_tenths() -> None:
    assert not full([Line("a", "x" * 88)], 100)  # with its line break 89
    assert full([Line("a", "x" * 89)], 100)
    assert not full([], 100)


def test_of_lines_that_say_the_same_the_newest_stays_then_the_most_used_then_the_newest() -> None:
    lines = [
        Line("old", "I like figs", 0, 0),
        Line("used", "I live in Porto", 5, 1),
        Line("new", "I LIKE figs", 0, 2),
        Line("other", "I have a cat", 0, 3),
    ]
    assert [line.id for line in kept(lines, 100)] == ["used", "new", "other"]
    assert [line.id for line in kept(lines, 30)] == ["used", "other"]
    assert [line.id for line in kept(lines, 16)] == ["used"]
    assert [line.id for line in kept(lines, 14)] == ["other"]  # what does not fit is passed over
    assert kept(lines, 0) == []


@given(LINES, st.integers(0, 400))
def test_what_stays_fits_and_keeps_its_order(lines: list[Line], room: int) -> None:
    found = kept(lines, room)
    assert size(found) <= room
    assert set(found) <= set(lines)
    assert [line.place for line in found] == sorted(line.place for line in found)
    assert len({line.text for line in found}) == len(found)
