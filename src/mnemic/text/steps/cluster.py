"""Grouping points as they come: the nearest centre, a pool for what fits nowhere, Ward's method for the pool.

Ward's method joins the two clusters whose union adds the least variance (Ward 1963). Distances are those of SciPy and
scikit-learn: sqrt(2 |A| |B| / (|A| + |B|)) times the distance of the centres, which for two points is their distance.
The incremental part is Second-Me's (its layer L1), which clusters one's notes that way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnemic.text.plan import Ints

Doubles = NDArray[np.float64]


def ward(points: ArrayLike, cut: float) -> Ints:
    """The cluster of each of ``points`` [n, d] when clusters are joined as long as they are closer than ``cut``;
    numbered by their first members. Takes O(n^2) time and memory (a chain of nearest neighbours, Murtagh 1983)."""
    x = np.asarray(points, np.float64)
    n = len(x)
    root = np.arange(n)
    if n < 2:
        return root
    squares = (x * x).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares[None, :] - 2 * (x @ x.T), 0.0)
    np.fill_diagonal(apart, np.inf)
    size, open_, limit = np.ones(n), np.ones(n, bool), cut * cut
    chain: list[int] = []
    while open_.any():
        if not chain:
            chain = [int(open_.argmax())]
        last = chain[-1]
        other = int(apart[last].argmin())
        if not apart[last, other] < limit:  # nor will it ever be: a union is no closer to it than its nearer part
            open_[last] = False
            apart[last], apart[:, last] = np.inf, np.inf
            chain.pop()
        elif len(chain) < 2 or apart[last, chain[-2]] > apart[last, other]:
            chain.append(other)
        else:
            a, b = sorted((last, chain[-2]))
            chain = chain[:-2]
            joined = (size + size[a]) * apart[a] + (size + size[b]) * apart[b] - size * apart[a, b]
            joined /= size + size[a] + size[b]
            size[a] += size[b]
            open_[b] = False
            joined[[a, b]] = np.inf
            apart[a], apart[:, a] = joined, joined
            apart[b], apart[:, b] = np.inf, np.inf
            root[root == b] = a
    return _numbered(root)


def ward_reference(points: Sequence[Sequence[float]], cut: float) -> list[int]:
    """The same in plain loops: the closest pair of clusters is joined until none is closer than ``cut``."""
    groups = [[i] for i in range(len(points))]

    def height(a: list[int], b: list[int]) -> float:
        centres = [[sum(points[i][d] for i in g) / len(g) for d in range(len(points[0]))] for g in (a, b)]
        return math.sqrt(2 * len(a) * len(b) / (len(a) + len(b))) * math.dist(*centres)

    while len(groups) > 1:
        pairs = [(height(a, b), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups) if i < j]
        least, i, j = min(pairs)
        if least >= cut:
            break
        groups[i] += groups.pop(j)
    groups.sort(key=min)
    return [next(n for n, group in enumerate(groups) if i in group) for i in range(len(points))]


def components(centres: ArrayLike, limit: float) -> Ints:
    """The connected component of each of ``centres`` [n, d], those closer than ``limit`` being connected."""
    x = np.asarray(centres, np.float64)
    root = np.arange(len(x))
    for i in range(len(x)):
        for j in np.flatnonzero(np.linalg.norm(x[:i] - x[i], axis=1) < limit):
            root[root == root[i]] = root[j]
    return _numbered(root)


def _numbered(roots: Ints) -> Ints:
    _, first, place = np.unique(roots, return_index=True, return_inverse=True)
    labels: Ints = np.argsort(np.argsort(first))[place].astype(np.int64)
    return labels


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """Points that belong together: their names, and their mean ``centre`` [d]."""

    members: tuple[str, ...]
    centre: Doubles

    def joined(self, other: Cluster) -> Cluster:
        """Both as one, the members of ``self`` first."""
        mine, theirs = len(self.members), len(other.members)
        centre = (self.centre * mine + other.centre * theirs) / (mine + theirs)
        return Cluster((*self.members, *other.members), centre)


def grow(
    clusters: Sequence[Cluster], points: Mapping[str, Doubles], *, near: float = 0.5, cut: float = 1.0
) -> tuple[list[Cluster], list[str]]:
    """``clusters`` after ``points`` (name -> vector [d], oldest first), and the names of those that fit nowhere.

    A point joins the nearest centre if it is closer than ``near``; the others are clustered by Ward's method up to
    ``cut``, where the points that lie far from their new centre are left out (:func:`trimmed`), and of the new
    clusters those stay that have :func:`enough` members. Clusters whose centres are closer than ``near`` are joined.
    """
    grown = list(clusters)
    pool: list[str] = []
    for id, point in points.items():
        apart = [float(np.linalg.norm(cluster.centre - point)) for cluster in grown]
        nearest = int(np.argmin(apart)) if apart else -1
        if apart and apart[nearest] < near:
            grown[nearest] = grown[nearest].joined(Cluster((id,), np.asarray(point, np.float64)))
        else:
            pool.append(id)
    if pool:
        x = np.array([points[id] for id in pool], np.float64)
        labels = ward(x, cut)
        groups = [trimmed(x, np.flatnonzero(labels == label)) for label in range(int(labels.max()) + 1)]
        kept = enough([len(group) for group in groups])
        groups = [group for group, stays in zip(groups, kept, strict=True) if stays]
        grown += [Cluster(tuple(pool[i] for i in group), x[group].mean(axis=0)) for group in groups]
        taken = {int(i) for group in groups for i in group}
        pool = [id for i, id in enumerate(pool) if i not in taken]
    if not grown:
        return [], pool
    joined: dict[int, Cluster] = {}
    for label, cluster in zip(components([c.centre for c in grown], near).tolist(), grown, strict=True):
        joined[label] = joined[label].joined(cluster) if label in joined else cluster
    return list(joined.values()), pool


def trimmed(points: Doubles, group: Ints) -> Ints:
    """``group`` without the points farther from its centre than the mean and two standard deviations."""
    apart = np.linalg.norm(points[group] - points[group].mean(axis=0), axis=1)
    inside: Ints = group[apart <= apart.mean() + 2 * apart.std() + 1e-9]
    return inside


def enough(sizes: Sequence[int], least: int = 2) -> list[bool]:
    """Which clusters have at least ``least`` members and as many as the square root of the largest's."""
    bar = max(float(least), math.sqrt(max(sizes, default=0)))
    return [size >= bar for size in sizes]
