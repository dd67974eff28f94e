"""How much to trust each granularity for one query: the surer its distribution, the larger its weight."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


def entropies(scores: ArrayLike, temperature: float) -> Doubles:
    """Entropy in nats [G] of softmax(score / ``temperature``) over the rows of ``scores`` [n, G]."""
    x = np.asarray(scores, np.float64) / temperature
    x = x - x.max(axis=0, keepdims=True, initial=-np.inf) if len(x) else x
    p = np.exp(x)
    p = p / p.sum(axis=0, keepdims=True) if len(x) else p
    found: Doubles = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=0)
    return found


def weights(scores: ArrayLike, temperature: float, *, inverted: bool = False) -> Doubles:
    """The weight of each granularity [G], summing to one, for similarities ``scores`` [n, G] of n memories.

    w = (1 - H / ln n) / sum: a granularity whose similarities single out a few memories weighs more than one that
    finds all alike (MemGAS, entropy router). Equal weights where none singles out anything. ``inverted`` leaves the
    entropy in nats, as the published code does: for more than a few memories 1 - H is negative for every
    granularity, and the least certain one weighs most.
    """
    x = np.asarray(scores, np.float64)
    n, granularities = x.shape
    entropy = entropies(x, temperature)
    if not inverted:
        entropy = entropy / math.log(n) if n > 1 else np.zeros(granularities)
    sure = 1 - entropy
    total = float(sure.sum())
    if abs(total) < 1e-9:
        return np.full(granularities, 1 / granularities)
    found: Doubles = sure / total
    return found
