"""The ways of Titans to put a memory beside attention (arXiv 2501.00663, section 4), each a layer itself.

Attention over near tokens is the short-term memory, a :class:`NeuralMemory` the long-term one, and a few learned tokens
that stand before everything are the persistent one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.attention import WindowAttention, rotate
from mnemic.neural.layers.neural_memory import NeuralMemory
from mnemic.neural.layers.parts import (
    Linear,
    Norm,
    head_width,
    inner,
    join_heads,
    nested,
    pieces,
    split_heads,
    weights_of,
)
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState

Settings = Mapping[str, Any]


class _Block(MemoryLayer):
    """A memory behind ``n_persistent`` learned tokens, which it has written before the first token comes: its chunks
    are counted from the first of them."""

    memory: MemoryLayer

    def __init__(
        self,
        d_model: int,
        *,
        memory: MemoryLayer | Settings | None = None,
        chunk: int = 64,
        n_persistent: int = 4,
    ) -> None:
        super().__init__()
        if isinstance(memory, MemoryLayer):
            self.memory = memory
        else:
            self.memory = NeuralMemory(d_model, **{"chunk": chunk, **(memory or {})})
        if self.memory.d_model != d_model:
            raise InputError(f"the memory has {self.memory.d_model} features and the block {d_model}: make them equal")
        self.d_model, self.variant = d_model, self.memory.variant
        self.chunk, self.exact_chunking = self.memory.chunk, self.memory.exact_chunking
        self.persistent = nn.Parameter(torch.randn(n_persistent, d_model) * d_model**-0.5) if n_persistent else None

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        begun = self.memory.init_state(batch, device=like.device, dtype=like.dtype)
        if self.persistent is not None:
            begun = self.memory.write(self.persistent.to(like.dtype).expand(batch, -1, -1), begun)
        return nested("memory", begun)

    def lengths(self, seen: int) -> Mapping[str, int]:
        before = 0 if self.persistent is None else len(self.persistent)
        return {f"memory.{name}": length for name, length in self.memory.lengths(seen + before).items()}

    def _memory_state(self, state: MemState) -> MemState:
        """The memory's own state, which has seen the persistent tokens too."""
        before = 0 if self.persistent is None else len(self.persistent)
        held = inner("memory", self.memory.state_kind, state, self.memory.state_chunk)
        return replace(held, seen=state.seen + before)


class LMMBlock(_Block):
    """The memory alone (LMM): y = M(P || x)."""

    kind: ClassVar[str] = "lmm"

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        y, after, aux = self.memory(x, self._memory_state(state), mask=there, write=write, read=read)
        return y, state.after(x.shape[1], **nested("memory", after)) if write else state, aux


class _Beside(_Block):
    """A memory and attention to the last ``window`` tokens with the persistent ones before them."""

    def __init__(
        self,
        d_model: int,
        *,
        memory: MemoryLayer | Settings | None = None,
        chunk: int = 64,
        n_persistent: int = 4,
        heads: int = 4,
        window: int = 64,
    ) -> None:
        super().__init__(d_model, memory=memory, chunk=chunk, n_persistent=n_persistent)
        self.attention = WindowAttention(d_model, heads=heads, window=window)
        self.attention.prefix = self.persistent

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        near = self.attention.init_state(batch, device=like.device, dtype=like.dtype)
        return {**super().initial(batch, like), **nested("attention", near)}

    def _near(self, state: MemState) -> MemState:
        return inner("attention", self.attention.kind, state)


class MAGBlock(_Beside):
    """Memory as a gate: y = norm(SWA(P || x)) * sigmoid(norm(M(P || x))), projected.

    The norms have learned weights. Interpretation: of the two branches, which the paper multiplies after a
    non-linearity, only the memory's passes it."""

    kind: ClassVar[str] = "mag"

    def __init__(
        self,
        d_model: int,
        *,
        memory: MemoryLayer | Settings | None = None,
        chunk: int = 64,
        n_persistent: int = 4,
        heads: int = 4,
        window: int = 64,
    ) -> None:
        super().__init__(d_model, memory=memory, chunk=chunk, n_persistent=n_persistent, heads=heads, window=window)
        self.norm_near, self.norm_far = Norm(d_model), Norm(d_model)
        self.to_out = Linear(d_model, d_model, bias=False)

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        far, memory, aux = self.memory(x, self._memory_state(state), mask=there, write=write, read=read)
        near, attention, _ = self.attention(x, self._near(state), mask=there, write=write, read=read)
        y = self.to_out(self.norm_near(near) * self.norm_far(far).sigmoid()) if read else torch.zeros_like(x)
        after = state.after(x.shape[1], **nested("memory", memory), **nested("attention", attention))
        return y, after if write else state, aux


class MALBlock(_Beside):
    """Memory as a layer: attention over what the memory answers, y = SWA(P || x + M(P || x)).

    Interpretation: the residual around every layer that the paper speaks of is here around the memory too."""

    kind: ClassVar[str] = "mal"

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        """As :meth:`MemoryLayer.run`. The memory is read also with ``read`` false: the attention keeps what it
        answers."""
        far, memory, aux = self.memory(x, self._memory_state(state), mask=there, write=write)
        y, attention, _ = self.attention(x + far, self._near(state), mask=there, write=write, read=read)
        after = state.after(x.shape[1], **nested("memory", memory), **nested("attention", attention))
        return y, after if write else state, aux


class MACBlock(_Block):
    """Memory as a context, in segments of ``chunk`` tokens S with the memory's weights W of the segment's start:

        h = M(S; W),  a = attention within [P || h || S],  W' = the weights after writing a,  y = a * sigmoid(M(a; W))

    ``causal`` (the default, a deviation): token i sees h_j and S_j for j <= i alone, and the gate reads W. As published
    (``causal=False``) every token sees all h of its segment, and the gate reads W' (their eq. 25): both look ahead
    inside the segment. Then whole segments are read at a time; the last one of a stream may be shorter.

    The memory takes gradients at the start of its segment and answers from there, without a convolution, which would
    mix x and a. Interpretations: what the memory takes of a is normed, as the input of every layer is; the gate is
    normed and passes a sigmoid, as in MAG; h_j has the place of S_j, and persistent tokens have none. State: the
    memory's, and of the open segment the keys and values of h and S, ``hk``, ``hv``, ``k``, ``v`` [B, H, n, D] with
    n < chunk, and which tokens are there, ``live`` [B, n].
    """

    kind: ClassVar[str] = "mac"
    memory: NeuralMemory

    def __init__(
        self,
        d_model: int,
        *,
        memory: Settings | None = None,
        chunk: int = 64,
        n_persistent: int = 4,
        heads: int = 4,
        causal: bool = True,
    ) -> None:
        settings = {"conv": 0, "read": "chunk_start", **(memory or {})}
        super().__init__(d_model, memory=settings, chunk=chunk, n_persistent=0)
        if self.memory.exact_chunking or self.memory.chunk != chunk or self.memory.conv:
            raise InputError(
                "the memory of MAC writes by segments: leave exact, read, chunk and conv of it as they are"
            )
        self.heads, self.causal, self.width = heads, causal, head_width(d_model, heads)
        self.to_q, self.to_k, self.to_v, self.to_out = (Linear(d_model, d_model, bias=False) for _ in range(4))
        self.prefix = nn.Parameter(torch.randn(n_persistent, d_model) * d_model**-0.5) if n_persistent else None
        self.norm_in, self.norm = Norm(d_model), Norm(d_model)

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        empty = wide(like).new_zeros(batch, self.heads, 0, self.width)
        near = {**dict.fromkeys(("hk", "hv", "k", "v"), empty), "live": like.new_zeros(batch, 0, dtype=torch.bool)}
        return {**super().initial(batch, like), **near}

    def lengths(self, seen: int) -> Mapping[str, int]:
        near = dict.fromkeys(("hk", "hv", "k", "v", "live"), seen % self.chunk)
        return {**super().lengths(seen), **near}

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        """As :meth:`MemoryLayer.run`. With ``write`` false the weights read are those of the moment."""
        if not self.causal and state.seen % self.chunk:
            raise InputError(
                f"as published, mac reads whole segments of {self.chunk} tokens, and {state.seen} are none: begin a "
                "new stream, or use causal=True"
            )
        given, memory, outs, surprises = state, self._memory_state(state), [], []
        for piece, ends in pieces(state.seen, x.shape[1], self.chunk):
            now, live = x[:, piece], there[:, piece]
            h = self.memory.recall(now, memory, at_chunk_start=write)
            a, near = self._attend(now, h, live, state)
            start = memory
            if write:
                _, memory, aux = self.memory(self.norm_in(a), memory, mask=live, read=False)
                surprises.append(aux.surprise)
            if read and self.causal:
                outs.append(self._gated(a, start, at_chunk_start=write))
            elif read:
                outs.append(self._gated(a, memory))
            if ends:  # nothing of a segment but the memory outlasts it
                near = {name: tensor[:, :, :0] if name != "live" else tensor[:, :0] for name, tensor in near.items()}
            state = state.after(now.shape[1], **near)
        y = torch.cat(outs, 1) if read else torch.zeros_like(x)
        if not write:
            return y, given, Aux(written=torch.zeros_like(there))
        told = [each for each in surprises if each is not None]
        return y, state.after(0, **nested("memory", memory)), Aux(torch.cat(told, 1) if told else None, there)

    def _gated(self, a: Tensor, memory: MemState, *, at_chunk_start: bool = False) -> Tensor:
        gate: Tensor = self.norm(self.memory.recall(self.norm_in(a), memory, at_chunk_start=at_chunk_start))
        return a * gate.sigmoid()

    def _attend(self, x: Tensor, h: Tensor, live: Tensor, state: MemState) -> tuple[Tensor, dict[str, Tensor]]:
        """``x`` [B, n, d] attending to what it sees of its segment, and the segment's tokens with ``x`` and ``h``."""
        new = {"hk": self.to_k(h), "hv": self.to_v(h), "k": self.to_k(x), "v": self.to_v(x)}
        near = {n: torch.cat((state[n], split_heads(wide(each), self.heads)), 2) for n, each in new.items()}
        near["live"] = torch.cat((state["live"], live), 1)
        count, asked = near["live"].shape[1], x.shape[1]
        places = torch.arange(count, device=x.device)
        past = near["live"][:, None, None] & (places <= places[count - asked :, None])  # [B, 1, n, count]
        recalled = past if self.causal else near["live"][:, None, None].expand_as(past)
        q = split_heads(wide(self.to_q(x)), self.heads)
        with exactly(x):
            turned = rotate(q, places[count - asked :])
            scores = [turned @ rotate(near[n], places).transpose(-1, -2) for n in ("hk", "k")]
            values, seen = [near["hv"], near["v"]], [recalled, past]
            if self.prefix is not None:
                pk, pv = (split_heads(wide(of(self.prefix))[None], self.heads) for of in (self.to_k, self.to_v))
                scores.append(q @ pk.transpose(-1, -2))
                values.append(pv.expand(x.shape[0], -1, -1, -1))
                seen.append(past.new_ones(1, 1, 1, pk.shape[2]).expand(*past.shape[:3], -1))
            weights = weights_of(torch.cat(scores, -1) * self.width**-0.5, torch.cat(seen, -1))
            a = weights @ torch.cat(values, 2)
        out: Tensor = self.to_out(join_heads(a).to(x.dtype))
        return out, near
