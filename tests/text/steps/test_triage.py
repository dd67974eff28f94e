"""Raw, summary or nothing: what fits, what is given up first, and that it always ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.steps.triage import Form, Item, fit, greedy

RAW, SUMMARY, DROP = Form.RAW, Form.SUMMARY, Form.DROP
ITEMS = st.lists(
    st.builds(Item, st.integers(1, 2000), st.none() | st.integers(0, 2500), st.sampled_from(Form)), max_size=25
)


def total(items: list[Item], forms: list[Form]) -> int:
    return sum(item.cost(form) for item, form in zip(items, forms, strict=True))


@given(ITEMS, st.integers(0, 6000))
def test_it_ends_within_the_budget_or_with_the_best_alone(items: list[Item], budget: int) -> None:
    forms = fit(items, budget)
    assert len(forms) == len(items)
    assert total(items, forms) <= budget or forms[1:] == [DROP] * (len(items) - 1)
    assert not items or forms[0] is not DROP


@given(ITEMS, st.integers(0, 6000))
def test_what_fits_raw_stays_raw_and_nothing_is_swapped_for_a_dearer_summary(items: list[Item], budget: int) -> None:
    forms = fit(items, budget)
    if sum(item.raw for item in items) <= budget:
        assert forms == [RAW] * len(items)
    assert all(item.cost(form) <= item.raw for item, form in zip(items, forms, strict=True))
    assert all(item.shrinks for item, form in zip(items, forms, strict=True) if form is SUMMARY)


@given(ITEMS, st.integers(0, 3000), st.integers(0, 3000))
def test_a_larger_budget_never_gives_up_what_a_smaller_one_kept(items: list[Item], low: int, more: int) -> None:
    rank = {DROP: 0, SUMMARY: 1, RAW: 2}
    before, after = fit(items, low), fit(items, low + more)
    assert all(rank[a] >= rank[b] for a, b in zip(after, before, strict=True))


def test_rounds_by_hand() -> None:
    items = [Item(100, 10, DROP), Item(100, 10, DROP), Item(100, 10, SUMMARY), Item(100, 10, RAW), Item(100, None, RAW)]
    assert fit(items, 500) == [RAW] * 5
    assert fit(items, 499) == [RAW, DROP, SUMMARY, RAW, RAW]  # 310
    assert fit(items, 309) == [RAW, DROP, SUMMARY, SUMMARY, RAW]  # the last has no summary: 220
    assert fit(items, 219) == [SUMMARY, DROP, SUMMARY, SUMMARY, RAW]  # 130
    assert fit(items, 129) == [SUMMARY, DROP, SUMMARY, SUMMARY, DROP]
    assert fit(items, 25) == [SUMMARY, DROP, SUMMARY, DROP, DROP]
    assert fit(items, 1) == [SUMMARY, DROP, DROP, DROP, DROP]
    assert greedy([100, 50, 100], 160) == [RAW, RAW, DROP]
    assert greedy([100, 500, 10], 160) == [RAW, DROP, DROP]
