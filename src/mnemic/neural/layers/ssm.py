"""A selective state space with one decay for each head, as in Mamba-2 (Dao and Gu 2024, arXiv 2405.21060, section 6-7).

    h_t = a_t h_{t-1} + dt_t x_t b_t^T        y_t = h_t c_t + D x_t        a_t = exp(-dt_t A)

h is [P, N] for each head, ``b`` and ``c`` are shared by the heads, everything is a function of the token. Inside a
chunk the recurrence is a masked product of matrices (:func:`scan_chunked`), exact whatever the chunk:
:func:`scan` says the same token by token.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.parts import Linear, Norm, head_width
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState


def scan(u: Tensor, log_a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The recurrence as it is written: inputs ``u`` [B, T, H, P], logarithms of the decay ``log_a`` [B, T, H], ``b``
    and ``c`` [B, T, N], the state ``h`` [B, H, P, N] -> outputs [B, T, H, P] and the last state."""
    found = []
    for t in range(u.shape[1]):
        h = log_a[:, t, :, None, None].exp() * h + u[:, t, :, :, None] * b[:, t, None, None, :]
        found.append((h * c[:, t, None, None, :]).sum(-1))
    return torch.stack(found, 1), h


def scan_chunked(
    u: Tensor, log_a: Tensor, b: Tensor, c: Tensor, h: Tensor, chunk: int, *, write: bool = True
) -> tuple[Tensor, Tensor]:
    """The same as :func:`scan` in chunks. Without ``write`` all tokens read ``h`` as it is."""
    if not write:
        return torch.einsum("btn,bhpn->bthp", c, h), h
    found = []
    for u_, log_, b_, c_ in zip(*(torch.split(each, chunk, 1) for each in (u, log_a, b, c)), strict=True):
        sums = log_.cumsum(1)
        apart = (sums[:, :, None] - sums[:, None]).permute(0, 3, 1, 2)  # what remains at t of i
        later = torch.ones(apart.shape[-2:], dtype=torch.bool, device=u.device).triu(1)
        weights = apart.masked_fill(later, -torch.inf).exp() * (c_ @ b_.transpose(1, 2))[:, None]
        near = torch.einsum("bhti,bihp->bthp", weights, u_)
        far = torch.einsum("btn,bhpn,bth->bthp", c_, h, sums.exp())
        found.append(near + far)
        left = (sums[:, -1:] - sums).exp()
        h = sums[:, -1, :, None, None].exp() * h + torch.einsum("bth,bthp,btn->bhpn", left, u_, b_)
    return torch.cat(found, 1), h


class SelectiveSSM(MemoryLayer):
    """``wider`` d_model features in ``heads`` heads, each with a state of ``width`` numbers for a feature; ``conv``
    tokens enter a depthwise convolution before (1: none); ``chunk`` is a matter of speed."""

    kind: ClassVar[str] = "ssm"

    def __init__(
        self,
        d_model: int,
        *,
        heads: int = 4,
        width: int = 16,
        wider: int = 2,
        conv: int = 4,
        chunk: int = 64,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
    ) -> None:
        super().__init__()
        if min(width, wider, conv, chunk) < 1 or not 0 < dt_min <= dt_max:
            raise InputError("width, wider, conv and chunk are at least 1, and 0 < dt_min <= dt_max")
        inside = wider * d_model
        self.d_model, self.heads, self.width, self.chunk = d_model, heads, width, chunk
        self.head = head_width(inside, heads)
        self.inside, self.mixed = inside, inside + 2 * width
        self.enter = Linear(d_model, inside + self.mixed + heads, bias=False)
        self.conv = nn.Parameter(torch.empty(self.mixed, conv).uniform_(-1, 1) * conv**-0.5)
        self.conv_bias = nn.Parameter(torch.zeros(self.mixed))
        # Steps between dt_min and dt_max, evenly in logarithms over the heads, and decay rates of 1, 2, 3, ...
        steps = torch.exp(torch.linspace(math.log(dt_min), math.log(dt_max), heads))
        self.dt_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))
        self.log_rate = nn.Parameter(torch.arange(1, heads + 1).to(torch.get_default_dtype()).log())
        self.skip = nn.Parameter(torch.ones(heads))
        self.norm = Norm(inside)
        self.leave = Linear(inside, d_model, bias=False)

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        h = wide(like).new_zeros(batch, self.heads, self.head, self.width)
        return {"h": h, "conv": h.new_zeros(batch, self.conv.shape[1] - 1, self.mixed)}

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        entered = wide(self.enter(x))
        with exactly(x):
            found, after, aux = self._mixed(entered, state, there, write)
        y = self.leave(found).to(x.dtype) if read else torch.zeros_like(x)
        return y, after, aux

    def _mixed(self, entered: Tensor, state: MemState, there: Tensor, write: bool) -> tuple[Tensor, MemState, Aux]:
        gate, mixed, dt = torch.split(entered, [self.inside, self.mixed, self.heads], -1)
        mixed, tail = self._convolved(mixed * there[..., None], state["conv"])
        u, b, c = torch.split(mixed, [self.inside, self.width, self.width], -1)
        u = u.reshape(*u.shape[:2], self.heads, self.head)
        dt = functional.softplus(dt + self.dt_bias.to(dt.dtype)) * there[..., None]  # a step of 0 leaves the state
        log_a = -dt * self.log_rate.to(dt.dtype).exp()
        found, h = scan_chunked(u * dt[..., None], log_a, b, c, state["h"], self.chunk, write=write)
        y = (found + self.skip.to(u.dtype)[:, None] * u).flatten(2)
        after = state.after(entered.shape[1], h=h.contiguous(), conv=tail.contiguous()) if write else state
        aux = Aux(written=there & write, gates={"lr": dt, "keep": log_a.exp()})
        return self.norm(y * functional.silu(gate)), after, aux

    def _convolved(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` [B, T, m] through the convolution that ``tail``, the tokens before, opens; and the next tail."""
        long = torch.cat((tail, x), 1)
        weights, bias = self.conv.to(x.dtype)[:, None], self.conv_bias.to(x.dtype)
        out = functional.conv1d(long.transpose(1, 2), weights, bias, groups=self.mixed).transpose(1, 2)
        return functional.silu(out), long[:, x.shape[1] :]
