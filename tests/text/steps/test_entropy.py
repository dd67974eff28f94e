"""Granularities weighed by how sure they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mnemic.text.steps.entropy import entropies, weights

SHARP, FLAT = [1.0, *[0.0] * 19], [0.5] * 20


def test_entropy_of_known_distributions() -> None:
    scores = np.array([SHARP, FLAT]).T
    sharp, flat = entropies(scores, 0.01)
    assert sharp == pytest.approx(0.0, abs=1e-9)
    assert flat == pytest.approx(math.log(20))


def test_the_sure_granularity_weighs_most() -> None:
    found = weights(np.array([SHARP, FLAT, FLAT, FLAT]).T, 0.2)
    assert found[0] == pytest.approx(1.0, abs=1e-6)


def test_the_published_form_turns_the_order_round() -> None:
    half = [1.0] * 10 + [0.0] * 10
    scores = np.array([SHARP, half, FLAT, FLAT]).T
    right, published = weights(scores, 0.2), weights(scores, 0.2, inverted=True)
    assert right[0] > right[1] > right[2]
    assert published[0] < published[1] < published[2]


@pytest.mark.parametrize("scores", [np.zeros((0, 4)), np.ones((1, 4)), np.zeros((9, 4))])
def test_where_none_is_surer_all_weigh_the_same(scores: np.ndarray) -> None:
    assert weights(scores, 0.2).tolist() == pytest.approx([0.25] * 4)


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_weights_are_shares(scores: np.ndarray) -> None:
    found = weights(scores, 0.2)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= -1e-6).all()
