"""Two normal distributions by expectation maximisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.steps.associate import accepted, mixture, mixture_reference


def two_groups(seed: int, low: int = 24, high: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate((rng.normal(0.2, 0.05, low), rng.normal(0.8, 0.05, high)))


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_plain_loops(seed: int) -> None:
    values = two_groups(seed)
    fit = mixture(values, iterations=8, tolerance=-1.0)
    assert fit is not None
    shares, means, variances = mixture_reference(values.tolist(), 8)
    np.testing.assert_allclose(fit.shares, shares, rtol=1e-8)
    np.testing.assert_allclose(fit.means, means, rtol=1e-8)
    np.testing.assert_allclose(fit.variances, variances, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_what_stands_out_is_accepted(seed: int) -> None:
    assert accepted(two_groups(seed)).tolist() == [False] * 24 + [True] * 6


def test_the_number_accepted_follows_the_data_not_a_threshold() -> None:
    for high in (2, 6, 12):
        values = 0.01 * two_groups(1, high=high) + 5  # the same picture at another scale
        assert accepted(values).sum() == high


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.5, 0.5], [0.0] * 30])
def test_where_nothing_can_be_told_apart_nothing_is_accepted(values: list[float]) -> None:
    assert not accepted(values).any()


def test_a_wide_upper_component_does_not_claim_the_lowest() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate((rng.normal(2, 0.01, 40), rng.normal(3, 4, 20)))
    fit = mixture(values)
    assert fit is not None
    assert fit.high[values.argmin()] > 0.99  # what the mixture alone would accept
    taken = accepted(values)
    assert not taken[values.argmin()]
    assert taken[values.argmax()]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_it_is_finite_and_does_not_depend_on_the_order(values: list[float], random: object) -> None:
    taken = accepted(values)
    assert taken.shape == (len(values),)
    fit = mixture(values)
    if fit is not None:
        assert np.isfinite(fit.means).all()
        assert ((fit.high >= 0) & (fit.high <= 1 + 1e-9)).all()
        assert fit.means[0] <= fit.means[1]
    assert sorted(np.array(values)[taken]) == pytest.approx(sorted(np.array(values)[::-1][accepted(values[::-1])]))
