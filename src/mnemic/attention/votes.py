"""How the queries of a forward elect which blocks of the far past are read.

Queries are turned to the distance at which blocks are read, where keys stand un-rotated.
"""

from __future__ import annotations

import torch
from torch import Tensor

VOTES = ("peak", "mean")
VOTERS = 64
"""Queries of one forward that vote for peaks: its last ones. A question is no longer, and a text that is merely read
need not be searched with every token."""


def known_by(vote: str, k: Tensor, mass: Tensor, count: int) -> Tensor:
    """The keys [h, r, D] that represent a block in elections by ``vote``: of its keys ``k`` [Hk, m, D] those of the
    ``count`` tokens that received most attention ``mass`` [H, m].

    For ``mean`` every head has its own, and their mean is kept; for ``peak`` the heads of a group share them, and the
    best one stands for those that a short block has not.
    """
    groups, size = len(mass) // len(k), k.shape[1]
    if vote == "mean":
        k = k.repeat_interleave(groups, dim=0)
    else:
        mass = mass.reshape(len(k), groups, size).sum(dim=1)
    best = mass.topk(min(count, size), dim=-1).indices
    found = k.gather(1, best[..., None].expand(-1, -1, k.shape[2]))
    if vote == "mean":
        return found.mean(dim=1, keepdim=True)
    return torch.cat((found, found[:, :1].expand(-1, max(0, count - size), -1)), dim=1)


def mean(q: Tensor, representative: Tensor) -> Tensor:
    """InfLLM's votes [n] (arXiv 2402.04617): the dot products of the mean query, summed over heads, for queries ``q``
    [H, L, D] and ``representative`` [H, n, 1, D]."""
    return torch.einsum("hd,hnrd->n", q.mean(dim=1).to(torch.float32), representative.to(torch.float32))


def peak(q: Tensor, representative: Tensor, sinks: Tensor | None = None) -> Tensor:
    """The largest share of attention [n], from 0 to 1, that any key of a block would get from any head of any query.

    ``q`` [H, L, D], ``representative`` [Hk, n, r, D]. A head spreads its attention over the representatives of all
    blocks and the ``sinks`` [Hk, s, D], which take what a head that seeks nothing gives away.
    """
    kv, n, r, width = representative.shape
    asking = q[:, -VOTERS:].reshape(kv, -1, width)  # the queries of a group of heads, one after another
    logits = torch.matmul(asking, representative.flatten(1, 2).transpose(1, 2))
    if sinks is not None:
        logits = torch.cat((torch.matmul(asking, sinks.transpose(1, 2)), logits), dim=-1)
    shares = logits.to(torch.float32).mul_(width**-0.5).softmax(dim=-1)[..., -n * r :]
    return shares.amax(dim=1).view(kv, n, r).amax(dim=(0, 2))
