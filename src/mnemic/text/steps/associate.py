"""Which candidates are close enough to be linked, decided by the candidates themselves.

Instead of a threshold, the similarities are taken for a mixture of two normal distributions, the related and the
others (MemGAS, "From Single to Multi-Granularity", section on memory association).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnemic.text.plan import Bools

Doubles = NDArray[np.float64]
FLOOR = 1e-6
"""Least variance of a component, as a share of the variance of all values."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Two components, that of the lower mean first. ``high`` [n] is each value's probability of the higher one."""

    shares: Doubles
    means: Doubles
    variances: Doubles
    high: Doubles


def mixture(values: ArrayLike, *, iterations: int = 200, tolerance: float = 1e-8) -> Mixture | None:
    """Fit two normal components to ``values`` [n] by expectation maximisation, begun by halving at the mean.

    None where there is nothing to tell apart: fewer than two values, or all the same.
    """
    x = np.asarray(values, np.float64)
    spread = float(x.var()) if len(x) else 0.0
    if len(x) < 2 or spread <= 1e-18:
        return None
    high = (x > x.mean()).astype(np.float64)
    before = -math.inf
    for _ in range(iterations):
        weight = np.array([(1 - high).sum(), high.sum()])
        share = weight / len(x)
        safe = np.maximum(weight, 1e-12)
        mean = np.array([((1 - high) * x).sum(), (high * x).sum()]) / safe
        variance = np.array([((1 - high) * (x - mean[0]) ** 2).sum(), (high * (x - mean[1]) ** 2).sum()]) / safe
        variance = np.maximum(variance, FLOOR * spread)
        log = np.log(np.maximum(share, 1e-300)) - 0.5 * (
            np.log(2 * math.pi * variance) + (x[:, None] - mean) ** 2 / variance
        )
        top = log.max(axis=1)
        total = top + np.log(np.exp(log - top[:, None]).sum(axis=1))
        high = np.exp(log[:, 1] - total)
        likelihood = float(total.mean())
        if likelihood - before < tolerance:
            break
        before = likelihood
    if mean[0] > mean[1]:
        share, mean, variance, high = share[::-1], mean[::-1], variance[::-1], 1 - high
    return Mixture(share, mean, variance, high)


def accepted(values: ArrayLike) -> Bools:
    """Which ``values`` [n] belong to the component of the higher mean.

    A wide upper component also claims values far below the lower one; those are not accepted. Where nothing can be
    told apart, nothing is.
    """
    x = np.asarray(values, np.float64)
    fit = mixture(x)
    if fit is None:
        return np.zeros(len(x), bool)
    taken: Bools = (fit.high > 0.5) & (x > fit.means[0])
    return taken


def mixture_reference(values: Sequence[float], iterations: int) -> tuple[list[float], list[float], list[float]]:
    """Shares, means and variances after so many rounds, in plain loops: slow and obvious, for tests."""
    n = len(values)
    middle = sum(values) / n
    spread = sum((x - middle) ** 2 for x in values) / n
    high = [1.0 if x > middle else 0.0 for x in values]
    shares, means, variances = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    for _ in range(iterations):
        for part in (0, 1):
            mine = [h if part else 1 - h for h in high]
            total = sum(mine)
            shares[part] = total / n
            means[part] = sum(w * x for w, x in zip(mine, values, strict=True)) / total
            squares = sum(w * (x - means[part]) ** 2 for w, x in zip(mine, values, strict=True))
            variances[part] = max(squares / total, FLOOR * spread)
        for i, x in enumerate(values):
            density = [
                shares[p]
                * math.exp(-((x - means[p]) ** 2) / (2 * variances[p]))
                / math.sqrt(2 * math.pi * variances[p])
                for p in (0, 1)
            ]
            high[i] = density[1] / sum(density)
    return shares, means, variances
