"""Ward's method against plain loops, and groups that grow.

Tolerance of the incremental way, measured on five round groups of 40 points (spread 0.06 to 0.08 in eight dimensions,
centres on a sphere, ten seeds): taken in by tens, 95 % or more of the pairs are together or apart as they are when all
points come at once. Groups as wide as the distance ``near`` are split by the order of arrival: for them it is no
substitute.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.steps.cluster import Cluster, components, enough, grow, trimmed, ward, ward_reference


def blobs(seed: int, groups: int = 5, each: int = 40, spread: float = 0.07) -> tuple[np.ndarray, np.ndarray]:
    """Points in eight dimensions around ``groups`` centres, shuffled, and which centre each is of."""
    rng = np.random.default_rng(seed)
    centres = np.eye(8)[:groups]
    truth = rng.permutation(np.repeat(np.arange(groups), each))
    return centres[truth] + rng.normal(0, spread, (len(truth), 8)), truth


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the pairs on which two labellings agree (Rand index)."""
    same = (a[:, None] == a[None, :]) == (b[:, None] == b[None, :])
    n = len(a)
    return float((same.sum() - n) / (n * (n - 1)))


def labelled(clusters: list[Cluster], outliers: list[str], n: int) -> np.ndarray:
    labels = np.full(n, -1)
    for c, cluster in enumerate(clusters):
        labels[[int(id) for id in cluster.members]] = c
    for c, id in enumerate(outliers, len(clusters)):
        labels[int(id)] = c
    assert (labels >= 0).all()
    return labels


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("cut", [0.3, 1.0, 2.5])
def test_ward_agrees_with_plain_loops(seed: int, cut: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.6, (24, 3))
    assert ward(x, cut).tolist() == ward_reference(x.tolist(), cut)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 20), st.floats(0.01, 4))
def test_a_wider_cut_only_joins(seed: int, n: int, cut: float) -> None:
    x = np.random.default_rng(seed).normal(size=(n, 2))
    fine, coarse = ward(x, cut), ward(x, 2 * cut)
    assert fine.shape == (n,)
    assert all(len(set(coarse[fine == label])) == 1 for label in set(fine.tolist()))
    order = np.random.default_rng(seed).permutation(n)
    again = ward(x[order], cut)
    assert ((again[:, None] == again) == (fine[order][:, None] == fine[order])).all()


def test_the_distance_is_that_of_two_points_and_grows_with_the_sizes() -> None:
    assert ward([[0.0], [0.99]], 1.0).tolist() == [0, 0]
    assert ward([[0.0], [1.0]], 1.0).tolist() == [0, 1]
    pairs = [[0.0], [0.0], [0.8], [0.8]]  # 0.8 * sqrt(2 * 2 * 2 / 4) = 1.13
    assert ward(pairs, 1.0).tolist() == [0, 0, 1, 1]
    assert ward(pairs, 1.2).tolist() == [0, 0, 0, 0]
    assert ward(np.zeros((0, 3)), 1.0).tolist() == []
    assert ward(np.ones((6, 3)), 1.0).tolist() == [0] * 6


@pytest.mark.parametrize("seed", range(10))
def test_claim_known_groups_are_found_at_once_and_in_parts(seed: int) -> None:
    x, truth = blobs(seed)
    points = {str(i): x[i] for i in range(len(x))}
    whole = labelled(*grow([], points), len(x))
    assert agreement(whole, truth) > 0.95
    clusters: list[Cluster] = []
    pool: list[str] = []
    for start in range(0, len(x), 10):
        part = [*pool, *map(str, range(start, start + 10))]
        clusters, pool = grow(clusters, {id: points[id] for id in part})
    assert agreement(labelled(clusters, pool, len(x)), whole) > 0.95
    for cluster in clusters:  # the centres that are carried along are the means of what they stand for
        np.testing.assert_allclose(cluster.centre, x[[int(id) for id in cluster.members]].mean(axis=0), atol=1e-9)


def test_without_groups_none_are_found() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 64))
    x /= np.linalg.norm(x, axis=1, keepdims=True)  # every two about 1.4 apart
    clusters, pool = grow([], {str(i): x[i] for i in range(60)})
    assert clusters == []
    assert len(pool) == 60


def test_centres_that_come_close_are_joined_in_chains() -> None:
    assert components([[0.0], [0.4], [5.0], [0.8]], 0.5).tolist() == [0, 0, 1, 0]
    a, b = Cluster(("a", "b"), np.array([0.0])), Cluster(("c",), np.array([0.4]))
    (one,), pool = grow([a, b], {})
    assert one.members == ("a", "b", "c")
    assert one.centre[0] == pytest.approx(0.4 / 3)
    assert pool == []


def test_small_clusters_and_far_points_are_left_out() -> None:
    assert enough([100, 10, 9, 2]) == [True, True, False, False]
    assert enough([2, 1]) == [True, False]
    assert enough([]) == []
    x = np.array([[0.0]] * 9 + [[1.0]])
    assert trimmed(x, np.arange(10)).tolist() == list(range(9))
    assert trimmed(x, np.array([9])).tolist() == [9]
