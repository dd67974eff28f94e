"""ThinK (Xu et al., ICLR 2025, arXiv 2407.21018): keys lose the channels that say least.

When a prompt has been read, every channel of a key is judged by how much it can move the attention of the last
``observed`` queries: mean square of the queries there times mean square of the keys (the norm of what the channel adds
to the attention matrix). The ``ratio`` of channels that are worth least is cut out of all keys but the last ``recent``
ones. What is kept is gathered, so that memory is really saved; later queries multiply only those channels. The choice
is made once, per key-value head (queries of a group count together); later keys are whole until the next prompt.

``values`` prunes values too, by the norm of what a channel adds to the output; the paper finds that weaker. Channels
are cut from rotated keys, whose place is thereby fixed; with ``pairwise`` the two channels that turn into each other
stay or go together, and keys can still be moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policy import Policy
from mnemic.attention.segment import Segment, causal, logits
from mnemic.errors import InputError


@dataclass(frozen=True)
class ChannelPrune(Policy):
    """The published settings: 0.4 of the channels, the last 32 keys whole, judged by the last 32 queries."""

    ratio: float = 0.4
    recent: int = 32
    observed: int = 32
    values: float = 0.0
    pairwise: bool = False

    name = "think"
    paper = "ThinK, arXiv 2407.21018"

    def __post_init__(self) -> None:
        if not (0 <= self.ratio < 1 and 0 <= self.values < 1):
            raise InputError("ratio and values are shares of the channels, from 0 up to 1")
        if self.recent < 0 or self.observed < 1:
            raise InputError("recent must not be negative, observed at least 1 query")

    def check(self, anatomy: Anatomy) -> None:
        if self.pairwise and anatomy.rope.dim != anatomy.head_dim:
            raise InputError("pairwise needs heads that are rotary in all channels, which this model's are not")

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        local, short = layer.tape("local"), layer.tape("pruned")
        local.append(k, v, pos)
        found = [Segment(local.k, local.v, pos, local.pos, causal(pos, local.pos), at=local.pos)]
        if len(short):
            at = short.pos if self.pairwise else None
            kept, values = layer.extra["channels"], layer.extra.get("value_channels")
            found.append(Segment(short.k, short.v, pos, at, None, None, kept, values, short.pos, "pruned"))
        return found

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        before: Tensor | None = layer.extra.get("queries")
        seen = q if before is None else torch.cat((before, q), dim=1)
        layer.extra["queries"] = seen[:, -self.observed :].clone()

    def end_prefill(self, row: Row) -> None:
        for layer in row.layers:
            self.prune(layer, row)

    def prune(self, layer: Layer, row: Row) -> None:
        """Cut channels out of all keys of a layer but the recent ones."""
        local = layer.tape("local")
        old = len(local) - self.recent
        if old < 1 or not (self.ratio or self.values):
            return
        rope = row.anatomy.rope
        k, v, at = local.k[:, :old], local.v[:, :old], local.pos[:old]
        turned = rope.apply(k, at)
        if "channels" not in layer.extra:
            queries = layer.extra["queries"]
            where = torch.arange(row.seen - queries.shape[1], row.seen, device=k.device)
            layer.extra["channels"] = self.judge(rope.apply(queries, where), turned)
            if self.values:
                seen = Segment(local.k, local.v, where, local.pos, causal(where, local.pos))
                weights = logits(queries, seen, rope, row.anatomy.head_dim**-0.5).softmax(-1)
                layer.extra["value_channels"] = best(weighted(weights, local.v), self.values)
        kept = layer.extra["channels"][:, None].expand(-1, old, -1)
        short = (k if self.pairwise else turned).gather(-1, kept)
        if "value_channels" in layer.extra:
            v = v.gather(-1, layer.extra["value_channels"][:, None].expand(-1, old, -1))
        layer.tape("pruned").append(short, v, at)
        local.keep(torch.arange(old, len(local), device=k.device))

    def judge(self, q: Tensor, k: Tensor) -> Tensor:
        """The channels to keep [Hk, c], ascending, for rotated queries [H, t, D] and keys [Hk, n, D]."""
        strength = q.to(torch.float32).square().mean(1).reshape(k.shape[0], -1, k.shape[2]).mean(1)
        worth = strength * k.to(torch.float32).square().mean(1)
        if not self.pairwise:
            return best(worth, self.ratio)
        half = worth.shape[1] // 2
        first = best(worth[:, :half] + worth[:, half:], self.ratio)
        return torch.cat((first, first + half), dim=1)


def best(worth: Tensor, ratio: float) -> Tensor:
    """The channels [Hk, c] of the highest ``worth`` [Hk, D], ascending, ``ratio`` of them left out (rounded down)."""
    width = worth.shape[1]
    return worth.topk(width - int(ratio * width), dim=1).indices.sort(dim=1).values


def weighted(weights: Tensor, v: Tensor) -> Tensor:
    """How much each value channel [Hk, D] adds to the outputs: mean square under attention [Hk, G, t, n]."""
    squares = weights.square().sum(2).mean(1)
    return torch.einsum("hn,hnd->hd", squares, v.to(torch.float32).square())
