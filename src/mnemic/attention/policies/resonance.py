"""Synaptic Resonance (Applegarth et al. 2025): an interpretation.

The paper gives no equations; what follows is a design of our own after its description, evolving weights beside
self-attention that strengthen what keeps being relevant.

Every kept token has a resonance rho, zero at first, in each layer and key-value head. After each forward it moves by
``rate`` times its novelty, the attention it received over the mean, minus one; and decays:

    rho <- clip((1 - decay) rho + rate (a / mean(a) - 1), 0, top)

The logits of the next queries are raised by ``strength`` rho. Tokens that keep being used resonate, others fade.

``pathway`` adds a Hebbian matrix for each head, W <- (1 - decay) W + rate sum_j a_j v_j k_j^T over unit keys,
un-rotated, bounded in norm; the output of a query is moved by ``pathway`` W q / |q|.

With ``strength`` and ``pathway`` zero nothing of this runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mnemic.attention.cache import Layer, Row
from mnemic.attention.compose import Modifier
from mnemic.attention.segment import Segment
from mnemic.errors import InputError


@dataclass(frozen=True)
class Resonance(Modifier):
    """``strength`` of the bias, ``pathway`` of the matrix; ``rate`` and ``decay`` per forward, ``top`` bounds rho and
    ``bound`` the norm of the matrix."""

    strength: float = 0.5
    pathway: float = 0.0
    rate: float = 0.5
    decay: float = 0.02
    top: float = 2.0
    bound: float = 1.0

    name = "resonance"
    paper = "an interpretation of Synaptic Resonance (Applegarth et al. 2025), which gives no equations"
    needs = frozenset({"mass"})
    resists = frozenset({"beacon"})  # whose tokens stand nowhere in the text

    def __post_init__(self) -> None:
        if min(self.strength, self.pathway, self.rate, self.top, self.bound) < 0 or not 0 <= self.decay <= 1:
            raise InputError("strengths, rate and bounds are not negative, decay is between 0 and 1")

    @property
    def silent(self) -> bool:
        return not self.strength and not self.pathway

    def modify(self, layer: Layer, row: Row, segments: list[Segment], q: Tensor, pos: Tensor) -> list[Segment]:
        rho: Tensor | None = layer.extra.get("rho")
        if rho is None or not self.strength:
            return segments
        return [self._raised(segment, rho) for segment in segments]

    def _raised(self, segment: Segment, rho: Tensor) -> Segment:
        if segment.at is None or not len(segment):
            return segment
        known = segment.at < rho.shape[1]
        raised = rho[:, segment.at.clamp_max(rho.shape[1] - 1)] * known * self.strength
        bias = raised[:, None, None, :]
        return replace(segment, bias=bias if segment.bias is None else segment.bias + bias)

    def mix(self, layer: Layer, row: Row, out: Tensor, q: Tensor, pos: Tensor) -> Tensor:
        w: Tensor | None = layer.extra.get("pathway")
        if w is None or not self.pathway:
            return out
        unit = torch.nn.functional.normalize(q.to(torch.float32), dim=-1)
        grouped = unit.reshape(w.shape[0], -1, *unit.shape[1:])
        moved = torch.einsum("hij,hglj->hgli", w, grouped).flatten(0, 1)
        return out + (self.pathway * moved).to(out.dtype)

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor], q: Tensor, pos: Tensor
    ) -> None:
        heads = segments[0].k.shape[0]
        seen = int(pos[-1]) + 1
        got = torch.zeros(heads, seen, device=q.device)
        for segment, received in zip(segments, mass, strict=True):
            if segment.at is not None and len(segment):
                got.index_add_(1, segment.at, received.reshape(heads, -1, received.shape[1]).mean(1))
        mean = got.mean(1, keepdim=True).clamp_min(1e-12)
        before: Tensor | None = layer.extra.get("rho")
        rho = torch.zeros_like(got)
        if before is not None:
            rho[:, : before.shape[1]] = before
        layer.extra["rho"] = ((1 - self.decay) * rho + self.rate * (got / mean - 1)).clamp(0, self.top)
        if self.pathway:
            self._strengthen(layer, segments, got / got.sum(1, keepdim=True).clamp_min(1e-12))

    def _strengthen(self, layer: Layer, segments: Sequence[Segment], share: Tensor) -> None:
        w: Tensor | None = layer.extra.get("pathway")
        for segment in segments[:1]:  # the tokens that stand where they were said
            if segment.at is None or not len(segment) or segment.channels is not None:
                return
            keys = torch.nn.functional.normalize(segment.k.to(torch.float32), dim=-1)
            weighed = segment.v.to(torch.float32) * share[:, segment.at, None]
            grown = torch.einsum("hni,hnj->hij", weighed, keys)
            w = self.rate * grown if w is None else (1 - self.decay) * w + self.rate * grown
            norm = w.flatten(1).norm(dim=1)[:, None, None].clamp_min(1e-12)
            layer.extra["pathway"] = w * (self.bound / norm).clamp_max(1.0)
