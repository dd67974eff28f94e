"""Locality-sensitive hashing for the angle: alike vectors mostly fall into one bucket.

F(x) = argmax [xR ; -xR] with a random matrix R [d, b / 2], b buckets: a vector's bucket is the random direction, or its
opposite, that it is closest to (TiM, arXiv 2311.08719, section 3; cross-polytope hashing with a plain Gaussian matrix
in place of a rotation, Andoni et al. 2015). One bucket misses much of what is close: several of the best scores are
probed (multi-probe, Lv et al. 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mnemic.errors import InputError
from mnemic.text.encode.base import Floats
from mnemic.text.plan import Ints


@dataclass(frozen=True)
class Hash:
    """A hash of vectors with ``dim`` numbers into ``buckets`` (an even number); the same ``seed`` gives the same."""

    dim: int
    buckets: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.buckets < 2 or self.buckets % 2:
            raise InputError(f"a hash has an even number of buckets, 2 at least, not {self.buckets}")

    @cached_property
    def directions(self) -> Floats:
        """R [dim, buckets / 2]."""
        drawn = np.random.default_rng(self.seed).standard_normal((self.dim, self.buckets // 2))
        return drawn.astype(np.float32)

    def scores(self, x: Floats) -> Floats:
        """[xR ; -xR] of each row [n, buckets]."""
        along = x @ self.directions
        return np.concatenate((along, -along), axis=1)

    def bucket(self, x: Floats) -> Ints:
        """The bucket of each row [n]."""
        found: Ints = self.scores(x).argmax(axis=1)
        return found

    def probes(self, x: Floats, count: int) -> Ints:
        """The ``count`` best buckets of each row, best first [n, count]; the first is :meth:`bucket`."""
        return np.argsort(-self.scores(x), axis=1, kind="stable")[:, : max(1, min(count, self.buckets))]


def bucket_reference(x: list[float], directions: list[list[float]]) -> int:
    """The bucket of one vector in plain loops: slow and obvious, for tests."""
    along = [sum(a * row[j] for a, row in zip(x, directions, strict=True)) for j in range(len(directions[0]))]
    both = along + [-value for value in along]
    return both.index(max(both))
