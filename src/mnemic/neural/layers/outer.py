"""PMI's long-term memory (arXiv 2310.09297): outer products of what passes through its working memory.

Beside the slots of :class:`~mnemic.neural.layers.slots.CompetitiveWrite` there are ``segments`` long-term matrices.
Tokens read both; what the long term says is corrected by the working memory, and the two are mixed:

    out = alpha U_w + (1 - alpha) attention(U_l -> slots)

* ``collapsed=False`` (ours): L_j <- keep_j L_j + sum over slots of (W1 M~)(W2 M')^T, a true outer product [d, rank];
  the segments differ in how long they keep; a matrix that outgrows ``bound`` (Frobenius) is scaled back. A token reads
  the mean of L_j W x.
* ``collapsed=True``: as the published code does it. A slot of the long term is summed over its features and multiplies
  M~, L_j <- norm(L_j + (sum_d L_j) M~) with L [segments, slots, d]: of the outer product a number times a vector is
  left. Tokens attend to the mean over the segments.

Published, both memories flow upward through the layers and all tokens read what all wrote: ``causal=False``, for one
layer. Here they flow through time, chunk by chunk, and beside them tokens attend to their own chunk (``local``).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import InputError
from mnemic.neural.layers.parts import Attention, Linear, Norm
from mnemic.neural.layers.slots import CompetitiveWrite, LocalAttention
from mnemic.neural.layers.turns import Memory, TurnMemory


class OuterProductMemory(TurnMemory):
    """State: ``slots`` [B, S, d] and ``long`` [B, m, d, rank], collapsed [B, m, S, d]."""

    kind: ClassVar[str] = "outer"

    def __init__(
        self,
        d_model: int,
        *,
        slots: int = 8,
        segments: int = 5,
        rank: int = 16,
        chunk: int = 64,
        heads: int = 4,
        top: int | None = 5,
        alpha: float = 0.5,
        bound: float = 16.0,
        collapsed: bool = False,
        local: bool = True,
        causal: bool = True,
    ) -> None:
        super().__init__()
        if min(slots, segments, rank, chunk) < 1 or (top is not None and top < 1):
            raise InputError("slots, segments, rank, chunk and top are at least 1")
        if not 0 <= alpha <= 1 or bound <= 0:
            raise InputError("alpha is a share between 0 and 1, bound is above 0")
        self.d_model, self.chunk, self.causal = d_model, chunk, causal
        self.alpha, self.bound, self.collapsed = alpha, bound, collapsed
        self.local = LocalAttention(d_model, heads) if local else None
        self.start = nn.Parameter(torch.eye(slots, d_model))
        self.writer = CompetitiveWrite(d_model, top)
        self.working, self.corrected = Attention(d_model, heads), Attention(d_model, heads)
        if collapsed:
            self.long_start = nn.Parameter(torch.randn(segments, slots, d_model) * d_model**-0.5)
            self.long_norm = Norm(d_model)
            self.long = Attention(d_model, heads)
        else:
            self.long_start = nn.Parameter(torch.zeros(segments, d_model, rank))
            self.left, self.right = Linear(d_model, d_model, bias=False), Linear(d_model, rank, bias=False)
            self.ask, self.found = Linear(d_model, rank, bias=False), Norm(d_model)
            # segment j forgets half, a quarter, an eighth, ... of what it holds with each chunk
            self.keep = nn.Parameter(torch.logit(1 - 0.5 ** torch.arange(1, segments + 1)))

    def blank(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        return {
            "slots": self.start.to(like).expand(batch, -1, -1),
            "long": self.long_start.to(like).expand(batch, -1, -1, -1),
        }

    def answer(self, text: Tensor, there: Tensor, memory: Memory, first: int) -> Tensor:
        x, slots, long = text[:, first:], memory["slots"], memory["long"].mean(1)
        all_of_them = there.new_ones(1)
        if self.collapsed:
            recalled = self.long(x, long, all_of_them)
        else:
            recalled = self.found(self.ask(x) @ long.transpose(1, 2))
        working = self.working(x, slots, all_of_them)
        corrected = self.corrected(recalled, slots, all_of_them)
        y: Tensor = self.alpha * working + (1 - self.alpha) * corrected
        return y if self.local is None else y + self.local(text, there, first)

    def update(self, text: Tensor, there: Tensor, memory: Memory) -> Memory:
        worked, slots = self.writer(text, there, memory["slots"])
        long = memory["long"]
        if self.collapsed:
            return {"slots": slots, "long": self.long_norm(long + long.sum(-1, keepdim=True) * worked[:, None])}
        grown = self.left(worked).transpose(1, 2) @ self.right(slots)
        keep = torch.sigmoid(self.keep.to(long.dtype))[:, None, None]
        long = keep * long + grown[:, None]
        size = long.flatten(2).norm(dim=-1)[..., None, None].clamp_min(1e-12)
        return {"slots": slots, "long": long * (self.bound / size).clamp_max(1.0)}
