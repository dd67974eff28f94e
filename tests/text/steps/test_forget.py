"""What is forgotten first."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.steps.forget import least_salient, salience


def test_the_formula() -> None:
    assert salience(0, used=False) == 1.0
    assert salience(0, used=True) == 1.5
    assert salience(500, used=True) == math.exp(-1) + 0.5
    assert salience(0, used=False, inverted=True) == 1.5
    assert salience(0, used=True, inverted=True) == 1.0


def test_old_and_unused_goes_first() -> None:
    memories = [("a", 900.0, True), ("b", 800.0, False), ("c", 700.0, False), ("d", 0.0, False)]
    assert least_salient(memories, 2) == ["b", "c"]
    assert least_salient(memories, 2, inverted=True) == ["a", "b"]
    assert least_salient(memories, 0) == []
    assert len(least_salient(memories, 9)) == 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), max_size=60), st.integers(0, 10), st.booleans())
def test_stopping_early_changes_nothing(drawn: list[tuple[int, bool]], count: int, inverted: bool) -> None:
    memories = [(str(i), float(age), used) for i, (age, used) in enumerate(sorted(drawn, reverse=True))]
    order = sorted(range(len(memories)), key=lambda i: (salience(*memories[i][1:], inverted=inverted), i))
    assert least_salient(memories, count, inverted=inverted) == [memories[i][0] for i in order[:count]]


def test_it_reads_no_further_than_it_must() -> None:
    read = 0

    def memories():  # type: ignore[no-untyped-def]
        nonlocal read
        for age in range(10_000, 0, -1):
            read += 1
            yield str(age), float(age), False

    assert least_salient(memories(), 5) == ["10000", "9999", "9998", "9997", "9996"]
    assert read == 6
