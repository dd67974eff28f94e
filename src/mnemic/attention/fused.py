"""Segment attention by the fused kernels of torch: the same numbers as :func:`mnemic.attention.segment.reference`.

``sdpa`` needs one call for all segments, although each turns the queries to positions of its own: queries of every
turning stand side by side in the channels, a key fills those of its own turning and leaves the others zero, so that
their dot product is the right one and the softmax is the joint one. (Joining separate calls by their log-sum-exps, as
``merged`` does, would need sums that the public function keeps to itself.) Most policies turn queries in two ways, the
price is then twice the channels for the dot products.

``flex`` calls flex attention for each segment and joins the parts by log-sum-exp. Compiled, for CUDA; elsewhere torch
computes it plainly, which is for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from mnemic.attention.rope import Rope
from mnemic.attention.segment import Segment, joined, spread


def sdpa(q: Tensor, segments: Sequence[Segment], rope: Rope, scale: float) -> Tensor:
    """The output [H, L, D] of ``q`` [H, L, D] in one call of scaled_dot_product_attention."""
    width, hk = q.shape[-1], segments[0].k.shape[0]
    turnings: list[Tensor | int] = []
    place = []
    for segment in segments:
        same = [i for i, known in enumerate(turnings) if _equal(known, segment.q_pos)]
        place.append(same[0] if same else len(turnings))
        turnings += [] if same else [segment.q_pos]
    queries = torch.cat([rope.apply(q, turning) for turning in turnings], dim=-1)
    keys, values = [], []
    for segment, at in zip(segments, place, strict=True):
        k, v = whole(segment, rope, width)
        keys.append(torch.nn.functional.pad(k, (at * width, (len(turnings) - 1 - at) * width)))
        values.append(v)
    mask = _mask(segments, q.shape[0] // hk, q)
    out = scaled_dot_product_attention(
        queries[None], torch.cat(keys, dim=1)[None], torch.cat(values, dim=1)[None],
        attn_mask=None if mask is None else mask[None], scale=scale, enable_gqa=q.shape[0] != hk,
    )[0]  # fmt: skip
    return out if mask is None else out.nan_to_num(0.0)  # kernels differ on queries that see nothing


def flex(q: Tensor, segments: Sequence[Segment], rope: Rope, scale: float) -> Tensor:
    """The output [H, L, D], a call of flex attention for each segment."""
    attend = _compiled() if q.is_cuda else flex_attention
    parts = []
    for segment in segments:
        k, v = whole(segment, rope, q.shape[-1])
        turned = rope.apply(q, segment.q_pos)
        groups = q.shape[0] // k.shape[0]
        mask = _mask([segment], groups, q)
        bias = None if mask is None else _additive(mask, q.shape[0])
        out, aux = attend(
            turned[None], k[None], v[None], score_mod=None if bias is None else _adding(bias), scale=scale,
            enable_gqa=groups > 1, return_aux=AuxRequest(lse=True),
        )  # fmt: skip
        lse = aux.lse[0].to(torch.float32)
        if bias is not None:
            lse = lse.masked_fill(torch.isneginf(bias).all(-1), -torch.inf)
        grouped = out[0].to(torch.float32).nan_to_num(0.0).unflatten(0, (-1, groups))
        parts.append((grouped, lse.unflatten(0, (-1, groups))))
    return joined(parts).to(q.dtype)


def whole(segment: Segment, rope: Rope, width: int) -> tuple[Tensor, Tensor]:
    """Keys, turned, and values [Hk, n, D] with zeros in the channels that the segment does without."""
    return spread(segment.turned(rope), segment.channels, width), spread(segment.v, segment.value_channels, width)


def _mask(segments: Sequence[Segment], groups: int, q: Tensor) -> Tensor | None:
    """What is added to or seen of the logits of all segments [H or 1, L, n]; None where all is seen as it is."""
    if all(segment.visible is None and segment.bias is None for segment in segments):
        return None
    biased = any(segment.bias is not None for segment in segments)
    hk, length = q.shape[0] // groups, q.shape[1]
    parts = []
    for segment in segments:
        n = len(segment)
        seen = torch.ones(1, 1, 1, n, dtype=torch.bool, device=q.device) if segment.visible is None else segment.visible
        part = seen
        if biased:
            part = torch.zeros(1, device=q.device) if segment.bias is None else segment.bias
            part = torch.where(seen, part.to(torch.float32), -torch.inf)
        parts.append(part.expand(*part.shape[:2], length, n))
    shape = [max(part.shape[i] for part in parts) for i in (0, 1)]
    if shape != [1, 1]:
        shape = [hk, groups]
    mask = torch.cat([part.expand(*shape, length, part.shape[-1]) for part in parts], dim=-1).flatten(0, 1)
    return mask.to(q.dtype) if biased else mask


def _additive(mask: Tensor, heads: int) -> Tensor:
    added = mask if mask.is_floating_point() else torch.where(mask, 0.0, -torch.inf)
    return added.expand(heads, -1, -1)


def _adding(bias: Tensor) -> Callable[..., Tensor]:
    def change(score: Tensor, _: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score + bias[head, query, key]

    return change


@cache
def _compiled() -> Any:
    return torch.compile(flex_attention, dynamic=True)


def _equal(a: Tensor | int, b: Tensor | int) -> bool:
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    return a is b or (a.shape == b.shape and bool(torch.equal(a, b)))
