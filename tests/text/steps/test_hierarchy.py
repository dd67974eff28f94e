"""Hierarchical summarising ends, whatever is summarised, and what is added at the end leaves closed groups alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.steps.hierarchy import Place, climb, groups

COSTS = st.lists(st.integers(0, 3000), max_size=60)


def test_groups_by_hand() -> None:
    assert groups([3, 3, 3, 3, 3], 6) == [(0, 2), (2, 4), (4, 5)]
    assert groups([9, 9, 1, 1, 1, 1], 4) == [(0, 2), (2, 6)]  # two at least, however dear
    assert groups([9, 1, 1], 4) == [(0, 2), (2, 3)]
    assert groups([1], 4) == [(0, 1)]
    assert groups([], 4) == []


@given(COSTS, st.integers(0, 4000))
def test_groups_cover_everything_in_order_and_fit_but_for_pairs(costs: list[int], limit: int) -> None:
    found = groups(costs, limit)
    assert [place for a, b in found for place in range(a, b)] == list(range(len(costs)))
    assert all(b - a >= 2 for a, b in found[:-1])
    assert all(sum(costs[a:b]) <= limit or b - a == 2 for a, b in found if b - a > 1)


@given(COSTS, st.integers(0, 4000), st.integers(0, 5000))
def test_climbing_ends_in_log2_levels_however_long_the_summaries_are(costs: list[int], limit: int, made: int) -> None:
    merges: list[Place] = []

    def merge(parts: Sequence[tuple[int, int]], place: Place) -> tuple[int, int]:
        assert len(parts) >= 2
        merges.append(place)
        return made, sum(count for _, count in parts)  # the cost, and how many leaves are in it

    top = climb([(cost, 1) for cost in costs], lambda part: part[0], limit, merge)
    assert top == (None if not costs else (costs[0], 1) if len(costs) == 1 else (made, len(costs)))
    assert len(merges) < max(len(costs), 1)
    assert all(place.level <= math.log2(len(costs)) for place in merges)
    assert [place.top for place in merges].count(True) == (len(costs) > 1)


@given(COSTS, COSTS, st.integers(0, 4000))
def test_what_is_added_at_the_end_leaves_closed_groups_as_they_are(old: list[int], new: list[int], limit: int) -> None:
    def closed(costs: list[int]) -> set[tuple[int, ...]]:
        kept: set[tuple[int, ...]] = set()

        def merge(parts: Sequence[tuple[int, ...]], place: Place) -> tuple[int, ...]:
            leaves = tuple(leaf for part in parts for leaf in part)
            if place.closed:
                kept.add(leaves)
            return leaves

        climb([(i,) for i in range(len(costs))], lambda part: min(sum(costs[i] for i in part), 900), limit, merge)
        return kept

    assert closed(old) <= closed([*old, *new])
