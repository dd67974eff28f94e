"""Synaptic resonance: attention whose way of comparing is rewritten by what it was used for. An interpretation.

No equations of "Exploring Synaptic Resonance in Large Language Models" (arXiv 2502.10699) could be had; this is a
design of our own after its description, synaptic weights beside self-attention that strengthen with relevance. Every
head has a Hebbian matrix A beside its window attention:

    score(t, i) = (rotated q_t . rotated k_i + strength q_t^T A k_i) / sqrt(D)
    k*_t = sum_i weight(t, i) k_i                       what t attended to, under the scores above
    rho_t = sigmoid(w [x_t, H_t])                       resonance, H_t the entropy of the weights over log window
    A <- lam A + rho_t q_t k*_t^T  for each t, lam learned

with q and k at unit length in the second term and in the write. A is constant inside a chunk and bounded in norm when
the chunk is over. With ``strength`` zero this is window attention, exactly.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.attention import WindowAttention, rotate
from mnemic.neural.layers.parts import Linear, inner, nested, pieces, weights_of
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState


class HebbianResonance(MemoryLayer):
    """Window attention over ``window`` tokens in ``heads`` heads of width D, and a matrix of norm at most ``bound`` for
    each, which starts with ``keep`` of itself left after every token.

    State: ``matrix`` [B, H, D, D], constant in a chunk; ``growing``, what it will be; the window's under ``near``.
    """

    kind: ClassVar[str] = "resonance"
    exact_chunking = False

    def __init__(
        self,
        d_model: int,
        *,
        heads: int = 4,
        window: int = 64,
        chunk: int = 64,
        strength: float = 1.0,
        keep: float = 0.99,
        bound: float = 4.0,
    ) -> None:
        super().__init__()
        if chunk < 1 or not 0 < keep < 1 or bound <= 0:
            raise InputError("chunk is at least 1, keep between 0 and 1, bound above 0")
        self.near = WindowAttention(d_model, heads=heads, window=window)
        self.d_model, self.heads, self.window, self.chunk = d_model, heads, window, chunk
        self.strength, self.bound = strength, bound
        self.keep = nn.Parameter(torch.full((heads,), keep).logit())
        self.relevance = Linear(d_model, heads)
        self.entropy = nn.Parameter(torch.zeros(heads))

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        near = self.near.init_state(batch, device=like.device, dtype=like.dtype)
        width = self.d_model // self.heads
        blank = wide(like).new_zeros(batch, self.heads, width, width)
        return {**nested("near", near), "matrix": blank, "growing": blank}

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        near = inner("near", self.near.kind, state)
        past = self.window - 1
        split = self.near.split
        q, k, v = (split(to(x)) for to in (self.near.to_q, self.near.to_k, self.near.to_v))
        k, v = torch.cat((near["k"], k), 2), torch.cat((near["v"], v), 2)
        live = torch.cat((near["live"], there), 1)
        felt = wide(self.relevance(x)).transpose(1, 2)  # [B, H, T]
        matrix, growing = state["matrix"], state["growing"]
        found, rhos = [], []
        with exactly(x):
            for piece, closes in pieces(state.seen, x.shape[1], self.chunk):
                keys = slice(piece.start, piece.stop + past)
                out, rho, pairs = self._piece(
                    q[:, :, piece], k[:, :, keys], v[:, :, keys], live[:, keys], felt[:, :, piece], matrix
                )
                found.append(out)
                rhos.append(rho)
                if write:
                    growing = self._grown(growing, rho, pairs, there[:, piece])
                if write and closes:
                    size = growing.flatten(2).norm(dim=-1)[..., None, None].clamp_min(1e-12)
                    matrix = growing = growing * (self.bound / size).clamp_max(1.0)
        gates = {"resonance": torch.cat(rhos, 2).transpose(1, 2)}
        y = torch.zeros_like(x)
        if read:
            y = self.near.to_out(torch.cat(found, 2).transpose(1, 2).flatten(2).to(x.dtype))
        if not write:
            return y, state, Aux(written=torch.zeros_like(there), gates=gates)
        kept = live[:, None, x.shape[1] :, None].to(k.dtype)
        tail = {"k": k[:, :, x.shape[1] :] * kept, "v": v[:, :, x.shape[1] :] * kept, "live": live[:, x.shape[1] :]}
        after = {f"near.{name}": each.contiguous() for name, each in tail.items()}
        after |= {"matrix": matrix.contiguous(), "growing": growing.contiguous()}
        return y, state.after(x.shape[1], **after), Aux(written=there, gates=gates)

    def _piece(
        self, q: Tensor, k: Tensor, v: Tensor, live: Tensor, felt: Tensor, matrix: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Queries [B, H, T, D] of one chunk over the T + window - 1 keys that they may see -> outputs, resonances
        [B, H, T], and the unit queries and mean keys that are to be associated."""
        count, asked = k.shape[2], q.shape[2]
        places = torch.arange(count, device=q.device)
        back = places[count - asked :, None] - places
        seen = (back >= 0) & (back < self.window) & (live[:, None, None] | (back == 0))
        unit_q, unit_k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        scores = rotate(q, places[count - asked :]) @ rotate(k, places).transpose(-1, -2)
        if self.strength:
            scores = scores + self.strength * (unit_q @ matrix @ unit_k.transpose(-1, -2))
        weights = weights_of(scores * q.shape[-1] ** -0.5, seen)
        spread = -(weights * weights.clamp_min(1e-12).log()).sum(-1) / math.log(max(2, self.window))
        rho = torch.sigmoid(felt + self.entropy.to(q.dtype)[:, None] * spread)
        return weights @ v, rho, (unit_q, weights @ unit_k)

    def _grown(self, growing: Tensor, rho: Tensor, pairs: tuple[Tensor, Tensor], there: Tensor) -> Tensor:
        """``growing`` after the tokens of a piece: those that are not ``there`` neither write nor let it fade."""
        unit_q, mean_k = pairs
        told = there[:, None].to(rho.dtype)  # [B, 1, T]
        fade = told * functional.logsigmoid(self.keep.to(rho.dtype))[:, None]
        left = (fade.sum(-1, keepdim=True) - fade.cumsum(-1)).exp()
        written = (unit_q * (left * rho * told)[..., None]).transpose(-1, -2) @ mean_k
        return fade.sum(-1).exp()[..., None, None] * growing + written
