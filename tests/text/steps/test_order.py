"""Orders of a prompt: edges by the formula, chronology, and which question wants a sequence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.plan import Hit
from mnemic.text.record import Kind, Record
from mnemic.text.steps.assemble import hit
from mnemic.text.steps.order import ORDERS, asks_for_sequence, chronological, edges, edges_reference

START = datetime(2024, 3, 1, tzinfo=UTC)


def said(n: int, days: int | None) -> Hit:
    at = None if days is None else START + timedelta(days=days)
    return hit(n, Record(f"t{n}", Kind.TURN, "x", at=at, position=n), 1.0)


def test_edges_of_six() -> None:
    assert edges([1, 2, 3, 4, 5, 6]) == [1, 3, 5, 6, 4, 2]
    assert edges([1, 2, 3]) == [1, 3, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(), max_size=60))
def test_edges_are_the_formula(ranked: list[int]) -> None:
    assert edges(ranked) == edges_reference(ranked)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60))
def test_of_two_passages_the_better_one_is_never_further_from_an_edge(k: int) -> None:
    laid = edges(list(range(k)))
    depth = {rank: min(place, k - 1 - place) for place, rank in enumerate(laid)}
    assert all(depth[rank] <= depth[rank + 1] for rank in range(k - 1))


def test_chronological_puts_the_undated_last_and_equal_times_by_their_place() -> None:
    hits = [said(1, None), said(2, 5), said(4, 3), said(3, 3)]
    assert [h.n for h in chronological(hits)] == [3, 4, 2, 1]
    assert [h.n for h in ORDERS["score"](hits)] == [1, 2, 4, 3]


@pytest.mark.parametrize(
    ("question", "sequence"),
    [
        ("When did Ana move?", True),
        ("What did she do after the trip?", True),
        ("Where does he live now?", True),
        ("How many days passed between the two visits?", True),
        ("What is the name of Ana's dog?", False),
        ("Which books does she like?", False),
    ],
)
def test_questions_about_times_and_changes_want_a_sequence(question: str, sequence: bool) -> None:
    assert asks_for_sequence(question) is sequence
