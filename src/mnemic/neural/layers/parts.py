"""What several layers are made of: pieces of a stream, projections in the number type of the work, plain attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.layers.attention import rotate
from mnemic.neural.state import MemState


def pieces(seen: int, tokens: int, chunk: int) -> Iterator[tuple[slice, bool]]:
    """The next ``tokens`` of a stream of which ``seen`` are past, cut where chunks end: each piece lies in one chunk,
    and is told with whether that chunk ends with it."""
    start = 0
    while start < tokens:
        stop = min(tokens, start + chunk - (seen + start) % chunk)
        yield slice(start, stop), (seen + stop) % chunk == 0
        start = stop


def nested(prefix: str, state: MemState) -> dict[str, Tensor]:
    """The tensors of an inner layer's state, to be kept in an outer one."""
    return {f"{prefix}.{name}": tensor for name, tensor in state.tensors.items()}


def inner(prefix: str, kind: str, state: MemState, chunk: int = 1) -> MemState:
    """The state of the inner layer ``kind`` that an outer one keeps under ``prefix``."""
    start = prefix + "."
    held: Mapping[str, Tensor] = {
        name.removeprefix(start): tensor for name, tensor in state.tensors.items() if name.startswith(start)
    }
    return MemState(kind, chunk, held, state.seen)


class Linear(nn.Linear):
    """A projection that works in the number type of what it is given, whatever its own: states stay fp32 in a bf16
    model."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class Norm(nn.Module):
    """Root-mean-square norm over the last axis, in the number type of what it is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * self.weight.to(x.dtype)


class FeedForward(nn.Module):
    """Two layers with a GELU between, ``wider`` times as wide inside."""

    def __init__(self, width: int, wider: int = 4) -> None:
        super().__init__()
        self.up = Linear(width, wider * width)
        self.down = Linear(wider * width, width)

    def forward(self, x: Tensor) -> Tensor:
        down: Tensor = self.down(functional.gelu(self.up(x)))
        return down


def head_width(features: int, heads: int, multiple: int = 1) -> int:
    """How many ``features`` each of ``heads`` has. Raises :class:`InputError` unless it is a ``multiple``."""
    if heads < 1 or features % (heads * multiple):
        raise InputError(
            f"{features} features cannot be shared by {heads} heads"
            + (": choose a divisor" if multiple == 1 else f" of a width that {multiple} divides: choose other heads")
        )
    return features // heads


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, T, H D] -> [B, H, T, D]."""
    return x.reshape(*x.shape[:-1], heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, H, T, D] -> [B, T, H D]."""
    return x.transpose(1, 2).flatten(2)


def weights_of(scores: Tensor, seen: Tensor) -> Tensor:
    """Softmax of ``scores`` [..., S] over what is ``seen`` (it broadcasts); zeros where nothing is."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~seen, lowest).softmax(-1) * seen


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Softmax attention [B, H, T, D] of ``q`` over those of ``k``, ``v`` [B, H, S, D] that are ``seen`` (it broadcasts
    against [B, H, T, S]). A query that sees nothing finds zeros."""
    return weights_of(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, seen) @ v


class Attention(nn.Module):
    """Multi-head attention of ``x`` [B, T, d] over ``memory`` [B, S, d]; with positions where they are given."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        head_width(d_model, heads, 2)
        self.heads = heads
        self.q = Linear(d_model, d_model, bias=False)
        self.k = Linear(d_model, d_model, bias=False)
        self.v = Linear(d_model, d_model, bias=False)
        self.out = Linear(d_model, d_model, bias=False)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        seen: Tensor,
        x_places: Tensor | None = None,
        memory_places: Tensor | None = None,
    ) -> Tensor:
        """``seen`` broadcasts against [B, H, T, S]; ``x_places`` [T] turn queries, ``memory_places`` [S] keys."""
        q, k, v = (split_heads(f(a), self.heads) for f, a in ((self.q, x), (self.k, memory), (self.v, memory)))
        q = q if x_places is None else rotate(q, x_places)
        k = k if memory_places is None else rotate(k, memory_places)
        out: Tensor = self.out(join_heads(attend(q, k, v, seen)))
        return out


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """[queries, keys]: the last query sees all keys, each earlier one as many fewer."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
