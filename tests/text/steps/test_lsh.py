"""Cross-polytope hashing: how many comparisons it saves, and what that costs in recall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.errors import InputError
from mnemic.text.encode.base import Floats
from mnemic.text.steps.lsh import Hash, bucket_reference


def unit(x: np.ndarray) -> Floats:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def near_pairs(count: int, cosine: float, dim: int = 64) -> tuple[Floats, Floats]:
    """``count`` random unit vectors, and for each a query at exactly this cosine."""
    rng = np.random.default_rng(5)
    x = unit(rng.standard_normal((count, dim)))
    aside = rng.standard_normal((count, dim))
    aside = unit(aside - (aside * x).sum(axis=1, keepdims=True) * x)
    return x, unit(cosine * x + np.sqrt(1 - cosine**2) * aside)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_it_agrees_with_plain_loops(dim: int, half: int, seed: int) -> None:
    hashed = Hash(dim, 2 * half, seed)
    x = np.random.default_rng(seed).standard_normal((3, dim)).astype(np.float32)
    found = [bucket_reference(row.tolist(), hashed.directions.tolist()) for row in x]
    assert hashed.bucket(x).tolist() == found


def test_opposite_vectors_are_in_opposite_buckets() -> None:
    hashed = Hash(16, 10)
    x, _ = near_pairs(50, 0.9, 16)
    assert ((hashed.bucket(x) + 5) % 10 == hashed.bucket(-x)).all()
    np.testing.assert_array_equal(hashed.bucket(7 * x), hashed.bucket(x))


def test_probes_begin_with_the_bucket_and_end_with_all_of_them() -> None:
    hashed = Hash(16, 12, seed=3)
    x, _ = near_pairs(20, 0.9, 16)
    assert (hashed.probes(x, 1)[:, 0] == hashed.bucket(x)).all()
    assert (np.sort(hashed.probes(x, 99), axis=1) == np.arange(12)).all()
    np.testing.assert_array_equal(hashed.probes(x, 3), Hash(16, 12, seed=3).probes(x, 3))


@pytest.mark.parametrize("buckets", [0, 1, 3, -2])
def test_buckets_come_in_pairs(buckets: int) -> None:
    with pytest.raises(InputError, match="even"):
        Hash(8, buckets)


def test_claim_one_bucket_saves_most_comparisons_and_misses_much_and_probing_restores_it() -> None:
    """4,000 vectors, queries at cosine 0.8 to one of them each, 64 buckets."""
    x, queries = near_pairs(4000, 0.8)
    hashed = Hash(64, 64, seed=1)
    home = hashed.bucket(x)
    size = np.bincount(home, minlength=64)
    found, compared = {}, {}
    for count in (1, 4, 8, 16, 64):
        probed = hashed.probes(queries, count)
        found[count] = float((probed == home[:, None]).any(axis=1).mean())
        compared[count] = float(size[probed].sum(axis=1).mean()) / len(x)
    assert 0.30 < found[1] < 0.50
    assert compared[1] < 0.04
    assert found[8] > 0.80
    assert compared[8] < 0.20
    assert found[16] > 0.92
    assert found[64] == compared[64] == 1.0
    assert list(found.values()) == sorted(found.values())
