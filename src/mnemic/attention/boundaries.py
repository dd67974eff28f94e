"""Moving the boundaries of events to where keys part (EM-LLM, arXiv 2407.09450, section 3.2).

Tokens are nodes of a graph whose weights are the dot products of their keys. For every boundary, the stretch around it
is split in two at every place, and the best split becomes the boundary: by modularity (how much more weight lies inside
the parts than would by chance) or by conductance (how little is cut). With prefix sums a stretch of n tokens costs
n x n once and then nothing for each place.
"""

from __future__ import annotations

import torch
from torch import Tensor

MEASURES = ("modularity", "conductance")


def refine(keys: Tensor, begins: list[int], shortest: int, measure: str) -> list[int]:
    """``begins`` (ascending, in tokens of ``keys`` [heads, n, D]) moved; each stays between its neighbours, at least
    ``shortest`` tokens after the one before. Boundaries closer than that are dropped."""
    n = keys.shape[1]
    moved: list[int] = []
    last = 0
    for b in begins:
        if b - last < shortest:
            continue
        half = (b - last) // 2
        start, end = max(0, last - half), min(n, b + half)
        stretch = keys[:, start:end]
        weights = torch.einsum("hid,hjd->ij", stretch, stretch)
        places = torch.arange(last + shortest, b + 1, device=keys.device) - start
        places = places[(places > 0) & (places < end - start)]
        if len(places):
            worth = splits(weights, measure)[places]
            last = int(places[int(worth.argmax())]) + start
        else:
            last = b
        moved.append(last)
    return moved


def splits(weights: Tensor, measure: str) -> Tensor:
    """How good it is to split a graph ``weights`` [n, n], symmetric, before node t, for t = 0 to n - 1 (more is better;
    NaN never occurs)."""
    n = len(weights)
    degree = weights.sum(1)
    total = degree.sum()
    left = torch.cat((degree.new_zeros(1), degree.cumsum(0)[: n - 1]))  # degrees of the nodes before t
    inside = torch.tril(weights, -1).sum(1) * 2 + weights.diagonal()
    within = torch.cat((inside.new_zeros(1), inside.cumsum(0)[: n - 1]))  # weight among the nodes before t
    beyond = total - 2 * left + within  # among the others
    tiny = torch.finfo(weights.dtype).tiny
    if measure == "modularity":
        scale = total if abs(float(total)) > tiny else total.new_tensor(1.0)
        return (within + beyond - (left**2 + (total - left) ** 2) / scale) / (2 * scale.abs())
    volume = torch.minimum(left.abs(), (total - left).abs()).clamp_min(tiny)
    return -(left - within) / volume


def splits_reference(weights: Tensor, measure: str) -> Tensor:
    """:func:`splits` as the formulas are written, one place after another."""
    n = len(weights)
    degree, total = weights.sum(1), weights.sum()
    worth = []
    for t in range(n):
        parts = [range(t), range(t, n)]
        if measure == "modularity":
            inside = weights.new_zeros(())
            for part in parts:
                for i in part:
                    for j in part:
                        inside = inside + weights[i, j] - degree[i] * degree[j] / total
            worth.append(inside / (2 * total.abs()))
        else:
            cut = weights[:t, t:].sum()
            volume = min(degree[:t].sum().abs(), degree[t:].sum().abs())
            worth.append(-cut / max(volume, weights.new_tensor(torch.finfo(weights.dtype).tiny)))
    return torch.stack([torch.as_tensor(w) for w in worth])
