"""Personalised PageRank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.steps.propagate import pagerank, pagerank_reference

edges = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7), st.floats(0.1, 3.0)).filter(lambda e: e[0] != e[1]), max_size=20
)


@settings(max_examples=80, deadline=None)
@given(edges, st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8), st.sampled_from([0.0, 0.1, 0.5, 0.85]))
def test_it_agrees_with_the_linear_system(
    links: list[tuple[int, int, float]], seeds: list[float], damping: float
) -> None:
    if sum(seeds) < 1e-6:
        seeds[0] = 1.0
    found = pagerank(
        8, [e[0] for e in links], [e[1] for e in links], seeds, damping=damping, weights=[e[2] for e in links]
    )
    np.testing.assert_allclose(found, pagerank_reference(8, links, seeds, damping), atol=1e-8)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0).all()


def test_a_small_damping_stays_near_the_seeds() -> None:
    chain = ([0, 1, 2], [1, 2, 3])
    near = pagerank(5, *chain, [1, 0, 0, 0, 0], damping=0.1)
    far = pagerank(5, *chain, [1, 0, 0, 0, 0], damping=0.9)
    assert near[0] > 0.85
    assert list(near[:4]) == sorted(near[:4], reverse=True)
    assert near[4] == far[4] == 0.0
    assert far[3] > 50 * near[3]


def test_without_seeds_there_is_nothing() -> None:
    assert pagerank(3, [0], [1], [0, 0, 0]).tolist() == [0, 0, 0]
    assert pagerank(0, [], [], []).tolist() == []


def test_without_links_the_seeds_keep_their_shares() -> None:
    assert pagerank(3, [], [], [1, 3, 0]).tolist() == pytest.approx([0.25, 0.75, 0.0])
