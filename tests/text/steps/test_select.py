"""Where reading stops: at the widest gap, inside the bounds, inside the budget."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.plan import Hit
from mnemic.text.record import Kind, Record
from mnemic.text.steps.assemble import hit
from mnemic.text.steps.render import count_tokens, line, pack
from mnemic.text.steps.select import by_gap, within


def test_it_stops_before_the_widest_gap() -> None:
    assert by_gap([9.0, 8.9, 8.7, 4.0, 3.9, 1.8]) == 3
    assert by_gap([9.0, 8.9, 8.7, 4.0, 3.9, 1.8], least=4) == 5
    assert by_gap([9.0, 8.9, 8.7, 4.0, 3.9, 1.8], most=2) == 1
    assert by_gap([9.0, 8.9, 8.7, 4.0, 3.9, 1.8], buffer=2) == 5


def test_without_a_gap_all_are_kept() -> None:
    assert by_gap([]) == 0
    assert by_gap([1.0]) == 1
    assert by_gap([1.0, 1.0, 1.0]) == 3
    assert by_gap([3.0, 2.0], least=5) == 2


scores = st.lists(st.floats(-10, 10), max_size=40).map(lambda found: sorted(found, reverse=True))


@settings(max_examples=60, deadline=None)
@given(scores, st.integers(1, 12), st.integers(0, 6))
def test_it_keeps_to_its_bounds(found: list[float], least: int, buffer: int) -> None:
    kept = by_gap(found, least=least, buffer=buffer)
    assert min(least, len(found)) <= kept <= len(found)


@settings(max_examples=60, deadline=None)
@given(scores, st.integers(1, 12))
def test_no_gap_inside_the_bounds_is_wider(found: list[float], least: int) -> None:
    kept = by_gap(found, least=least)
    gaps = [found[i - 1] - found[i] for i in range(least, len(found))]
    if kept < len(found):
        assert found[kept - 1] - found[kept] == max(gaps)


def told(texts: list[str]) -> list[Hit]:
    return [hit(n, Record(f"t{n}", Kind.TURN, text), 1.0) for n, text in enumerate(texts, 1)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc \n", min_size=1, max_size=60), max_size=8), st.integers(1, 120))
def test_what_is_within_the_budget_is_what_packing_does_not_cut(texts: list[str], budget: int) -> None:
    hits = told(texts)
    count = within(hits, budget)
    assert sum(count_tokens(line(h)) for h in hits[:count]) <= budget
    assert pack(hits[:count], budget)[1] == count
    assert within(hits, None) == len(hits)
