"""LongMem's bank (Wang et al., NeurIPS 2023, arXiv 2306.07174): keys and values of the past, found by chunks.

A token attends to the last ``window`` tokens. What has left the window is in a bank of at most ``capacity`` tokens, in
chunks of ``chunk`` (4), each known by the mean of its keys; a query finds the ``top`` chunks that match it best, in
every head by itself, and attends to their tokens. Two softmaxes, mixed by a gate for each head:

    out = sigmoid(g) local + (1 - sigmoid(g)) recalled

As published, gradients do not flow into the bank (``detach``). Keys of the bank carry no position. Where the bank is
still empty the output is the local one. :class:`~mnemic.neural.layers.sidenet.SideNet` is the network that the paper
trains around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.attention import rotate
from mnemic.neural.layers.parts import Linear, head_width, join_heads, split_heads, weights_of
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState

_BLOCK = 64
"""Queries that are answered together: what they find is [B, H, queries, top, chunk, D]."""


class KVBankMemory(MemoryLayer):
    """``heads`` heads of width D; ``gate`` is where g starts.

    State: ``k`` and ``v`` [B, H, n, D] of the window and of the bank, one tape, and ``live`` [B, n]; whole chunks leave
    at its beginning, so that n stays below capacity + window + chunk.
    """

    kind: ClassVar[str] = "bank"
    exact_chunking = False

    def __init__(
        self,
        d_model: int,
        *,
        heads: int = 4,
        window: int = 64,
        chunk: int = 4,
        top: int = 16,
        capacity: int = 65_536,
        gate: float = 0.0,
        detach: bool = True,
    ) -> None:
        super().__init__()
        if min(window, chunk, top) < 1 or capacity < chunk:
            raise InputError("window, chunk and top are at least 1, capacity at least a chunk")
        head_width(d_model, heads, 2)
        self.d_model, self.heads, self.window, self.chunk = d_model, heads, window, chunk
        self.top, self.capacity, self.detached = top, capacity // chunk * chunk, detach
        self.to_q, self.to_k, self.to_v, self.to_out = (Linear(d_model, d_model, bias=False) for _ in range(4))
        self.gate = nn.Parameter(torch.full((heads,), gate))

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        empty = wide(like).new_zeros(batch, self.heads, 0, self.d_model // self.heads)
        return {"k": empty, "v": empty, "live": like.new_zeros(batch, 0, dtype=torch.bool)}

    def lengths(self, seen: int) -> Mapping[str, int]:
        return dict.fromkeys(("k", "v", "live"), seen - self.first_kept(seen))

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        y, after = self.mixed(x, state, there, write=write, read=read)
        return y, after, Aux(written=there & write)

    def mixed(
        self,
        x: Tensor,
        state: MemState,
        there: Tensor,
        *,
        bank: tuple[Tensor, Tensor] | None = None,
        write: bool = True,
        read: bool = True,
    ) -> tuple[Tensor, MemState]:
        """Outputs and the state; the keys and values [B, H, T, D] that go into the bank may be given. Then the state
        has them as ``bank_k`` and ``bank_v``, and of its own no more than the window needs."""
        q, k, v = (split_heads(wide(to(x)), self.heads) for to in (self.to_q, self.to_k, self.to_v))
        new = {"k": k, "v": v} | ({} if bank is None else {"bank_k": bank[0], "bank_v": bank[1]})
        kept = there[:, None, :, None]
        tape = {name: torch.cat((state[name], each * kept), 2) for name, each in new.items()}
        live = torch.cat((state["live"], there), 1)
        y = torch.zeros_like(x)
        if read:
            past = (tape["k"], tape["v"]) if bank is None else (tape["bank_k"], tape["bank_v"])
            with exactly(x):
                found = self._joint(q, (tape["k"], tape["v"]), past, live, state.seen)
            y = self.to_out(join_heads(found).to(x.dtype))
        if not write:
            return y, state
        first = self.first_kept(state.seen + x.shape[1]) - self.first_kept(state.seen)
        starts = dict.fromkeys(tape, first)
        if bank is not None:
            starts["k"] = starts["v"] = max(0, tape["k"].shape[2] - (self.window - 1))
        after = {name: each[:, :, starts[name] :].contiguous() for name, each in tape.items()}
        return y, state.after(x.shape[1], **after, live=live[:, first:].contiguous())

    def first_kept(self, seen: int) -> int:
        """The place of the first token on the tape after ``seen``: the bank's, as the next token would read it."""
        return self._bank(seen)[0] * self.chunk

    def _bank(self, place: int) -> tuple[int, int]:
        """The chunks (first, end) that the token at ``place`` finds in the bank: whole ones that left its window."""
        end = max(0, place + 1 - self.window) // self.chunk
        return max(0, end - self.capacity // self.chunk), end

    def _joint(
        self, q: Tensor, near: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor], live: Tensor, seen: int
    ) -> Tensor:
        """Outputs of queries [B, H, T, D], of which the first comes after ``seen`` tokens. Keys and values of the
        window and of the bank end with the last query's."""
        start = self.first_kept(seen)  # the place where the bank and ``live`` begin
        shift = live.shape[1] - near[0].shape[2]  # the window's may begin later
        bank_k, bank_v = (each.detach() for each in past) if self.detached else past
        gate = torch.sigmoid(self.gate.to(q.dtype))[:, None, None]
        found = []
        for first in range(0, q.shape[2], _BLOCK):
            asked = q[:, :, first : first + _BLOCK]
            places = torch.arange(seen + first, seen + first + asked.shape[2], device=q.device)
            low, high = max(0, seen + first + 1 - self.window - start), seen + first + asked.shape[2] - start
            k, v = (each[:, :, low - shift : high - shift] for each in near)
            out = self._local(asked, k, v, live[:, low:high], places - start - low)
            end = self._bank(seen + first + asked.shape[2] - 1)[1] * self.chunk - start
            if end > 0:
                recalled, some = self._recalled(
                    asked, bank_k[:, :, :end], bank_v[:, :, :end], live[:, :end], places, start
                )
                out = torch.where(some, gate * out + (1 - gate) * recalled, out)
            found.append(out)
        return torch.cat(found, 2)

    def _local(self, q: Tensor, k: Tensor, v: Tensor, live: Tensor, places: Tensor) -> Tensor:
        """Window attention; ``places`` [T] of the queries among the keys."""
        at = torch.arange(k.shape[2], device=q.device)
        back = places[:, None] - at
        seen = (back >= 0) & (back < self.window) & (live[:, None, None] | (back == 0))
        scores = rotate(q, places) @ rotate(k, at).transpose(-1, -2) * q.shape[-1] ** -0.5
        return weights_of(scores, seen) @ v

    def _recalled(
        self, q: Tensor, k: Tensor, v: Tensor, live: Tensor, places: Tensor, start: int
    ) -> tuple[Tensor, Tensor]:
        """What queries [B, H, T, D] at ``places`` find in the whole chunks [B, H, n, D] from place ``start`` on, and
        whether there was anything for them [B, 1, T, 1]."""
        batch, heads, _, width = k.shape
        keys, values = (each.reshape(batch, heads, -1, self.chunk, width) for each in (k, v))
        alive = live.reshape(batch, -1, self.chunk)  # [B, N, chunk]
        count = alive.shape[1]
        means = keys.sum(3) / alive.sum(-1).clamp_min(1)[:, None, :, None]
        # the chunks that each token finds, as _bank says them
        end = (places + 1 - self.window).clamp_min(0) // self.chunk
        at = torch.arange(count, device=q.device) + start // self.chunk
        open_ = (at < end[:, None]) & (at >= end[:, None] - self.capacity // self.chunk)
        visible = open_ & alive.any(-1)[:, None]  # [B, T, N]
        match = (q @ means.transpose(2, 3)).masked_fill(~visible[:, None], -torch.inf)
        best = match.topk(min(self.top, count), -1).indices  # [B, H, T, K]
        b = torch.arange(batch, device=q.device)[:, None, None, None]
        h = torch.arange(heads, device=q.device)[:, None, None]
        seen = visible[:, None].expand_as(match).gather(3, best)[..., None] & alive[b, best]
        near_k, near_v = keys[b, h, best].flatten(3, 4), values[b, h, best].flatten(3, 4)
        scores = (near_k @ q[..., None])[..., 0] * width**-0.5
        weights = weights_of(scores, seen.flatten(3))
        return (weights[..., None, :] @ near_v)[..., 0, :], visible.any(-1)[:, None, :, None]
