"""Memories over infinitely many features, as the quadratic forms that they have: the references of ATLAS's family.

With the exponential kernel as feature map (phi*, ATLAS, arXiv 2505.23735) a matrix memory has no finite state. Written
out in its pairs it is attention without division: DeepTransformer sums the values with the weights exp(q.k), Dot stores
of each value only what the memory did not answer already, which is the delta rule in that space.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.parts import Linear, Norm, head_width, join_heads, split_heads
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState


class KernelMemory(MemoryLayer):
    """y_t = sum_{i <= t} exp(s (q_t.k_i - 1)) u_i for unit q and k, quadratic in the length.

    ``delta`` false: u_i = rate_i v_i (the linear case of DeepTransformers). ``delta`` true: u_i = rate_i (v_i - what
    the memory before i answers to k_i) (Dot, with a window of one token), by one triangular system. Interpretations:
    the sharpness s > 0 is learned for each head, from sqrt(d_head); the constant factor exp(-s) makes k(x, x) = 1, so
    that rates below 2 are stable; the rate is a gate below 1 of the token.

    The state GROWS by one key and one u for each token: ``k`` and ``u`` [B, H, seen, d_head].
    """

    kind: ClassVar[str] = "kernel"

    def __init__(self, d_model: int, *, heads: int = 4, delta: bool = True) -> None:
        super().__init__()
        self.d_model, self.heads, self.delta = d_model, heads, delta
        self.variant = "delta" if delta else "sum"
        self.width = head_width(d_model, heads)
        self.to_qkv = Linear(d_model, 3 * d_model, bias=False)
        self.to_rate = Linear(d_model, heads)
        self.log_sharpness = nn.Parameter(torch.full((heads,), self.width**0.5).log())
        self.norm = Norm(self.width)
        self.to_out = Linear(d_model, d_model, bias=False)

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        empty = wide(like).new_zeros(batch, self.heads, 0, self.width)
        return {"k": empty, "u": empty}

    def lengths(self, seen: int) -> Mapping[str, int]:
        return {"k": seen, "u": seen}

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        with exactly(x):
            q, k, v = (split_heads(part, self.heads) for part in wide(self.to_qkv(x)).chunk(3, -1))
            q, k = (functional.normalize(each, dim=-1, eps=1e-6) for each in (q, k))
            if not write:
                y = self._answer(x, self.kernel(q, state["k"]) @ state["u"]) if read else torch.zeros_like(x)
                return y, state, Aux(written=torch.zeros_like(there))
            rate = there.to(k.dtype)[:, None] * self.to_rate(wide(x)).sigmoid().transpose(1, 2)  # [B, H, T]
            errors = v
            if self.delta:
                system = self.kernel(k, k).tril(-1) * rate[..., None, :]
                system = system + torch.eye(x.shape[1], device=x.device, dtype=k.dtype)
                known = v - self.kernel(k, state["k"]) @ state["u"]
                errors = torch.linalg.solve_triangular(system, known, upper=False, unitriangular=True)
            keys, stored = torch.cat((state["k"], k), 2), torch.cat((state["u"], rate[..., None] * errors), 2)
            y = torch.zeros_like(x)
            if read:
                y = self._answer(x, self.kernel(q, keys).tril(state["k"].shape[2]) @ stored)
        surprise = 0.5 * errors.square().sum(-1).mean(1) if self.delta else None
        told = Aux(surprise=surprise, written=there, gates={"rate": rate.transpose(1, 2)})
        return y, state.after(x.shape[1], k=keys, u=stored), told

    def kernel(self, q: Tensor, k: Tensor) -> Tensor:
        """[B, H, T, D] and [B, H, S, D] -> [B, H, T, S]."""
        sharpness = self.log_sharpness.to(q.dtype).exp()[:, None, None]
        return (sharpness * (q @ k.transpose(-1, -2) - 1)).exp()

    def _answer(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.to_out(join_heads(self.norm(y)).to(x.dtype))
        return out
