"""Spreading activation over a graph: personalised PageRank by power iteration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


def pagerank(
    count: int,
    sources: Sequence[int] | NDArray[np.intp],
    targets: Sequence[int] | NDArray[np.intp],
    seeds: ArrayLike,
    *,
    damping: float = 0.85,
    weights: ArrayLike | None = None,
    tolerance: float = 1e-10,
    iterations: int = 200,
) -> Doubles:
    """Where a walker is in the long run [count], summing to one (Haveliwala 2002; undirected edges).

    At each step it follows an edge with probability ``damping``, in proportion to ``weights`` [E], and else starts
    anew at one of the ``seeds`` [count, non-negative], in proportion to their values; from a node without edges it
    always starts anew. A small ``damping`` stays near the seeds. All zero where there is no seed.
    """
    start = np.asarray(seeds, np.float64)
    if start.sum() <= 0:
        return np.zeros(count)
    start = start / start.sum()
    ends, others = np.asarray(sources, np.intp), np.asarray(targets, np.intp)
    strength = np.ones(len(ends)) if weights is None else np.asarray(weights, np.float64)
    tail, head = np.concatenate((ends, others)), np.concatenate((others, ends))
    strength = np.concatenate((strength, strength))
    degree = np.bincount(tail, strength, count)
    share = strength / degree[tail] if len(tail) else strength
    stuck = degree == 0
    rank: Doubles = start
    for _ in range(iterations):
        moved = np.bincount(head, share * rank[tail], count) + rank[stuck].sum() * start
        following = (1 - damping) * start + damping * moved
        change = float(np.abs(following - rank).sum())
        rank = following
        if change < tolerance:
            break
    return rank


def pagerank_reference(
    count: int, edges: Sequence[tuple[int, int, float]], seeds: ArrayLike, damping: float
) -> Doubles:
    """The same by solving the linear system: slow and obvious, for tests."""
    start = np.asarray(seeds, np.float64)
    start = start / start.sum()
    matrix = np.zeros((count, count))
    for source, target, weight in edges:
        matrix[target, source] += weight
        matrix[source, target] += weight
    for node in range(count):
        total = matrix[:, node].sum()
        matrix[:, node] = matrix[:, node] / total if total else start
    solved: Doubles = np.linalg.solve(np.eye(count) - damping * matrix, (1 - damping) * start)
    return solved
