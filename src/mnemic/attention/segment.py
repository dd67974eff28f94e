"""Segment attention: queries attend to several groups of keys, each at positions of its own, in one joint softmax.

Every policy of this floor is a choice of segments. ``reference`` is the definition: logits of all segments side by
side, one softmax, one sum. ``merged`` computes each segment alone and joins the parts by their log-sum-exps, which is
the same number without ever holding all logits (Milakov and Gimelshein 2018, arXiv 1805.02867; FlashAttention's merge).
``sdpa`` and ``flex`` are fused kernels of torch (:mod:`mnemic.attention.fused`).

Shapes: H query heads over Hk key-value heads (G = H / Hk share one), L queries, n keys of a segment, D channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.rope import Rope

BACKENDS = ("reference", "merged", "sdpa", "flex")


@dataclass(frozen=True)
class Segment:
    """Keys that are attended together.

    ``k``, ``v`` [Hk, n, D], un-rotated. Queries are turned to ``q_pos`` ([L], or one position for all), keys to
    ``k_pos`` ([n], or one for all; None: they are rotated already and stay so). ``visible`` is bool, broadcastable to
    [Hk, G, L, n]: which query sees which key (None: all). ``bias``, broadcast likewise, is added to the logits.
    ``channels`` [Hk, c] restricts the dot product to these channels, which are all that ``k`` [Hk, n, c] holds;
    ``value_channels`` says likewise which channels ``v`` holds; the others are zero. ``at`` [n] are the places
    of the keys in the text, wherever they are read. ``tag`` says what the segment is.
    """

    k: Tensor
    v: Tensor
    q_pos: Tensor | int
    k_pos: Tensor | int | None
    visible: Tensor | None = None
    bias: Tensor | None = None
    channels: Tensor | None = None
    value_channels: Tensor | None = None
    at: Tensor | None = None
    tag: str = "local"

    def __len__(self) -> int:
        return int(self.k.shape[1])

    def turned(self, rope: Rope) -> Tensor:
        """The keys [Hk, n, D], turned to where they are read."""
        return self.k if self.k_pos is None else rope.apply(self.k, self.k_pos, self.channels)


def causal(q_pos: Tensor, k_pos: Tensor, window: int | None = None) -> Tensor:
    """Visibility [1, 1, L, n] of keys at ``k_pos`` [n] to queries at ``q_pos`` [L]: not after, and nearer than
    ``window``."""
    distance = q_pos[:, None] - k_pos[None, :]
    seen = distance >= 0
    if window is not None:
        seen = seen & (distance < window)
    return seen[None, None]


def attend(
    q: Tensor, segments: Sequence[Segment], rope: Rope, scale: float, *, backend: str = "reference", mass: bool = False
) -> tuple[Tensor, list[Tensor] | None]:
    """The output [H, L, D] for un-rotated queries ``q`` [H, L, D] and, if ``mass`` is asked for, the attention that
    each key received, summed over queries: for each segment [H, n], float32.

    A query that sees no key at all gets zeros.
    """
    used = [segment for segment in segments if len(segment)]
    if not used:
        return torch.zeros_like(q), [] if mass else None
    if backend == "reference" or mass:
        out, weights = reference(q, used, rope, scale)
        if not mass:
            return out, None
        sums = iter([w.sum(dim=-2).flatten(0, 1) for w in weights])
        empty = torch.zeros(q.shape[0], 0, device=q.device)
        return out, [next(sums) if len(segment) else empty for segment in segments]
    if backend == "merged":
        return merged(q, used, rope, scale), None
    from mnemic.attention import fused  # it builds on this module, and flex attention is slow to import

    return (fused.sdpa if backend == "sdpa" else fused.flex)(q, used, rope, scale), None


def logits(q: Tensor, segment: Segment, rope: Rope, scale: float) -> Tensor:
    """The logits [Hk, G, L, n] of one segment in float32, what is not visible at minus infinity."""
    grouped = rope.apply(q, segment.q_pos).reshape(len(segment.k), -1, *q.shape[1:])
    if segment.channels is not None:
        index = segment.channels[:, None, None, :].expand(*grouped.shape[:3], -1)
        grouped = grouped.gather(-1, index)
    found = torch.matmul(grouped, segment.turned(rope)[:, None].transpose(-1, -2)).to(torch.float32)
    # In place: this is the largest tensor of all, and no gradient asks what was there before.
    found.mul_(scale)
    if segment.bias is not None:
        found.add_(segment.bias)
    if segment.visible is not None:
        found.masked_fill_(~segment.visible, float("-inf"))
    return found


def reference(q: Tensor, segments: Sequence[Segment], rope: Rope, scale: float) -> tuple[Tensor, list[Tensor]]:
    """Output [H, L, D] and the weights of each segment [Hk, G, L, n]: all logits side by side, one softmax."""
    parts = [logits(q, segment, rope, scale) for segment in segments]
    weights = (torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]).softmax(dim=-1)
    blind = weights[..., :1].isnan()  # a softmax over nothing is not a number anywhere: the first weight tells
    if bool(blind.any()):
        weights = weights.masked_fill(blind, 0.0)
    split = torch.split(weights, [part.shape[-1] for part in parts], dim=-1)
    out = torch.stack([_summed(w, s, q.shape[-1]) for w, s in zip(split, segments, strict=True)]).sum(0)
    return out.flatten(0, 1), list(split)


def merged(q: Tensor, segments: Sequence[Segment], rope: Rope, scale: float) -> Tensor:
    """Output [H, L, D], segment by segment: each part is weighted by the share of the softmax that lies in it."""
    return joined(_alone(q, segment, rope, scale) for segment in segments).to(q.dtype)


def joined(parts: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """The joint output [H, L, D] of parts: the output [Hk, G, L, D] of each by itself, float32, and the log-sum-exp of
    its logits [Hk, G, L], minus infinity where nothing was seen."""
    parts = iter(parts)
    out, total = next(parts)
    for part, lse in parts:
        both = torch.logaddexp(total, lse)
        keep = torch.where(both == -torch.inf, 0.0, (total - both).exp())
        add = torch.where(both == -torch.inf, 0.0, (lse - both).exp())
        out, total = out * keep[..., None] + part * add[..., None], both
    return out.flatten(0, 1)


def _alone(q: Tensor, segment: Segment, rope: Rope, scale: float) -> tuple[Tensor, Tensor]:
    """One segment by itself: its output [Hk, G, L, D] in float32 and the log-sum-exp of its logits [Hk, G, L]."""
    found = logits(q, segment, rope, scale)
    lse = found.logsumexp(dim=-1)
    weights = (found - lse.masked_fill(lse == -torch.inf, 0.0)[..., None]).exp()
    return _summed(weights, segment, q.shape[-1]).to(torch.float32), lse


def _summed(weights: Tensor, segment: Segment, width: int) -> Tensor:
    """The values of a segment [Hk, G, L, D], weighted by ``weights`` [Hk, G, L, n]."""
    return spread(torch.matmul(weights.to(segment.v.dtype), segment.v[:, None]), segment.value_channels, width)


def spread(x: Tensor, channels: Tensor | None, width: int) -> Tensor:
    """``x`` [Hk, ..., c] of ``channels`` [Hk, c] alone (None: of all) as [Hk, ..., width], with zeros elsewhere."""
    if channels is None:
        return x
    index = channels.view(len(channels), *[1] * (x.dim() - 2), -1).expand_as(x)
    return x.new_zeros(*x.shape[:-1], width).scatter(-1, index, x)
