"""Contextual Memory Reweaving (Dillon et al. 2025, arXiv 2502.02046): an interpretation.

The paper gives no equations; what follows is a design of our own after its description: states of several layers are
captured, reconstructed later, and woven into the tokens that match them, with no parameters but the model's own.

* Capture: after each forward, in ``apart`` layers spread over the model, the ``share`` of the new tokens that was most
  relevant (surprising, and attended to, each standardised) is kept; of more than ``states`` the least relevant go, old
  ones sooner.
* Reconstruction: a hidden state h asks the captured ones through the layer's own norm and projections of queries and
  keys, without positions: r is their mean under that attention, over the states of this layer and of earlier ones,
  which count the less the farther they are.
* Weaving: h + g strength |h| / |r| (r - its part along h), where the gate g opens only if some state is alike.

With ``strength`` zero nothing of this runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.compose import Modifier
from mnemic.attention.policy import Hook
from mnemic.attention.segment import Segment
from mnemic.attention.surprise import surprisals
from mnemic.errors import InputError


@dataclass(frozen=True)
class Reweave(Modifier):
    """``strength`` of what is woven in; ``apart``: how many layers weave; ``states`` captured in each, a ``share`` of
    every forward; ``balance`` of surprisal against attention; ``fade`` per forward; ``reach`` in layers; ``warmth`` of
    the attention; the gate opens around the cosine ``likeness`` with ``softness``."""

    strength: float = 0.05
    apart: int = 4
    states: int = 256
    share: float = 0.25
    balance: float = 0.5
    fade: float = 0.98
    reach: float = 8.0
    warmth: float = 1.0
    likeness: float = 0.5
    softness: float = 0.1

    name = "reweave"
    paper = "an interpretation of Contextual Memory Reweaving, arXiv 2502.02046, which gives no equations"
    needs = frozenset({"mass", "logits"})
    resists = frozenset({"beacon"})  # whose tokens stand nowhere in the text

    def __post_init__(self) -> None:
        if min(self.apart, self.states) < 1 or min(self.strength, self.reach, self.warmth, self.softness) < 0:
            raise InputError("apart and states must be at least 1, strengths and widths not negative")
        if not (0 < self.share <= 1 and 0 <= self.balance <= 1 and 0 <= self.fade <= 1):
            raise InputError("share is in (0, 1], balance and fade between 0 and 1")

    @property
    def silent(self) -> bool:
        return not self.strength

    def check(self, anatomy: Anatomy) -> None:
        if not hasattr(anatomy.blocks[0].self_attn, "q_proj"):
            raise InputError(
                f"reweave asks through projections of queries and keys, which a {anatomy.family} model keeps in one "
                "matrix: use a model with separate ones"
            )

    def places(self, anatomy: Anatomy) -> list[int]:
        """The layers that weave."""
        step = -(-anatomy.layers // self.apart)
        return list(range(0, anatomy.layers, step))

    def hooks(self, anatomy: Anatomy) -> dict[int, Hook]:
        def at(index: int) -> Hook:
            def weave(hidden: Tensor, row: Row) -> Tensor:
                woven = self.woven(hidden, row, index)
                # What is captured is what the layer is given, once the forward has told which tokens matter.
                row.layers[index].extra["entering"] = woven.detach().clone()
                return woven

            return weave

        return {index: at(index) for index in self.places(anatomy)}

    def woven(self, hidden: Tensor, row: Row, index: int) -> Tensor:
        """``hidden`` [L, d] with what layer ``index`` reconstructs for it."""
        states, weights = [], []
        for place in self.places(row.anatomy):
            if place <= index and "captured" in row.layers[place].extra:
                held: Tensor = row.layers[place].extra["captured"]
                states.append(held)
                weights.append(held.new_full((len(held),), -(index - place) / self.reach))
        if not states:
            return hidden
        memory, prior = torch.cat(states), torch.cat(weights)
        scores = self.asked(row.anatomy.blocks[index], hidden, memory) / self.warmth + prior
        found = scores.softmax(-1).mean(0).to(memory.dtype) @ memory
        h, r = hidden.to(torch.float32), found.to(torch.float32)
        across = r - h * ((r * h).sum(-1, keepdim=True) / h.square().sum(-1, keepdim=True).clamp_min(1e-12))
        unit = torch.nn.functional.normalize
        alike = (unit(h, dim=-1) @ unit(memory.to(torch.float32), dim=-1).T).amax(-1, keepdim=True)
        gate = torch.sigmoid((alike - self.likeness) / self.softness)
        size = rms(h) / rms(r).clamp_min(1e-12)
        return (h + gate * self.strength * size * across).to(hidden.dtype)

    def asked(self, block: Any, hidden: Tensor, memory: Tensor) -> Tensor:
        """Logits [H, L, m] of ``hidden`` over ``memory`` through the layer's own projections, without positions."""
        attention = block.self_attn
        width = attention.head_dim
        q = attention.q_proj(block.input_layernorm(hidden)).unflatten(-1, (-1, width)).transpose(0, 1)
        k = attention.k_proj(block.input_layernorm(memory)).unflatten(-1, (-1, width)).transpose(0, 1)
        if hasattr(attention, "q_norm"):
            q, k = attention.q_norm(q), attention.k_norm(k)
        k = k.repeat_interleave(q.shape[0] // k.shape[0], dim=0)
        logits: Tensor = (q @ k.transpose(-1, -2)).to(torch.float32) * width**-0.5
        return logits

    # -- capture ---------------------------------------------------------------------------------------------

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor], q: Tensor, pos: Tensor
    ) -> None:
        if "entering" not in layer.extra:
            return
        got = torch.zeros(len(pos), device=q.device)
        for segment, received in zip(segments, mass, strict=True):
            if segment.at is not None and len(segment):
                new = segment.at >= pos[0]
                got.index_add_(0, segment.at[new] - pos[0], received.mean(0)[new])
        layer.extra["received"] = got

    def after_forward(self, row: Row, ids: Tensor, logits: Tensor) -> None:
        surprise = standard(surprisals(row, ids, logits))
        for place in self.places(row.anatomy):
            extra = row.layers[place].extra
            entering, received = extra.pop("entering"), extra.pop("received")
            relevance = self.balance * surprise + (1 - self.balance) * standard(received)
            best = relevance.topk(max(1, int(self.share * len(ids)))).indices.sort().values
            states, worth = entering[best], relevance[best]
            if "captured" in extra:
                states = torch.cat((extra["captured"], states))
                # Relevance is about zero: fading towards its least, not towards zero, or low ones would gain.
                faded = (extra["relevance"] - LEAST) * self.fade + LEAST
                worth = torch.cat((faded, worth))
            if len(states) > self.states:
                kept = worth.topk(self.states).indices.sort().values
                states, worth = states[kept], worth[kept]
            extra["captured"], extra["relevance"] = states, worth


LEAST = -4.0
"""Standard deviations: what relevance fades to."""


def standard(values: Tensor) -> Tensor:
    """``values`` less their mean over their standard deviation; zeros where they do not differ."""
    spread = values.std(correction=0)
    return (values - values.mean()) / spread if float(spread) > 1e-12 else torch.zeros_like(values)


def rms(x: Tensor) -> Tensor:
    """Root mean square over the last axis, which is kept."""
    return x.square().mean(-1, keepdim=True).sqrt()
