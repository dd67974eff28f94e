"""LongMem's memory bank (Wang et al., NeurIPS 2023, arXiv 2306.07174), read by one layer of a frozen model.

All layers read a window. In one layer, tokens that left the window go into a bank: chunks of ``chunk`` tokens, known
by the mean of their keys, the oldest leaving when it is full. There every query, in every head, finds the chunks that
match it best and attends to them by themselves; the two outputs are mixed by a gate for each head:

    out = (1 - g) local + g memory

Two softmaxes, not one: what is recalled does not compete with what is near. The paper trains a side network that learns
to use this; that is the neural floor's. Here the gate is a constant (or a tensor of one for each head, if you have
trained it): with a frozen model that never learnt to use it, a small one.

The bank's keys carry no position; queries are turned to ``angle`` (the window by default, as InfLLM does), since a
rotary model never asks without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policies.lambda_window import LambdaWindow
from mnemic.attention.segment import Segment
from mnemic.errors import InputError


@dataclass(frozen=True)
class GatedBank(LambdaWindow):
    """``chunks`` of ``chunk`` tokens are read from a bank of ``capacity`` tokens in layer ``layer`` (default: the one
    three quarters up, the paper's 18th of 24), with the weight ``gate`` or one for each head."""

    chunk: int = 4
    chunks: int = 16
    capacity: int = 65_536
    layer: int | None = None
    gate: float | tuple[float, ...] = 0.1
    angle: int | None = None

    name = "longmem"
    paper = "LongMem, arXiv 2306.07174 (its bank and gate; without the trained side network)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.chunk, self.chunks) < 1 or self.capacity < self.chunk or self.middle:
            raise InputError(
                "chunk and chunks must be at least 1, capacity at least a chunk; middle is another policy's"
            )
        if not all(0 <= g <= 1 for g in self.gates):
            raise InputError("a gate is a share between 0 and 1")

    @property
    def gates(self) -> tuple[float, ...]:
        return self.gate if isinstance(self.gate, tuple) else (self.gate,)

    def check(self, anatomy: Anatomy) -> None:
        super().check(anatomy)
        if len(self.gates) not in (1, anatomy.heads):
            raise InputError(f"give one gate, or one for each of the {anatomy.heads} heads, not {len(self.gates)}")
        if self.layer is not None and not 0 <= self.layer < anatomy.layers:
            raise InputError(f"there is no layer {self.layer}: the model has {anatomy.layers}")

    def limit(self) -> int | None:
        return self.window + self.sinks + self.capacity

    def chunk_free(self) -> bool:
        return False  # tokens enter the bank when a forward ends

    def reads(self, layer: Layer, row: Row) -> bool:
        """Whether this layer has the bank."""
        return layer.index == (3 * row.anatomy.layers // 4 if self.layer is None else self.layer)

    def mix(self, layer: Layer, row: Row, out: Tensor, q: Tensor, pos: Tensor) -> Tensor:
        bank = layer.tapes.get("bank")
        if bank is None or len(bank) < self.chunk:
            return out
        recalled = self.recall(row.anatomy.rope.apply(q, self.angle or self.window), bank.k, bank.v)
        gate = torch.tensor(self.gates, device=q.device, dtype=torch.float32)[:, None, None]
        return ((1 - gate) * out + gate * recalled).to(out.dtype)

    def recall(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The output [H, L, D] of turned queries over the chunks of the bank [Hk, n, D] that match each of them."""
        hk, count, width = k.shape[0], k.shape[1] // self.chunk, k.shape[2]
        keys = k[:, : count * self.chunk].reshape(hk, count, self.chunk, width)
        values = v[:, : count * self.chunk].reshape(hk, count, self.chunk, width)
        grouped = q.reshape(hk, -1, width)  # queries of a group, one after another
        scores = grouped @ keys.mean(2).transpose(1, 2)
        best = scores.topk(min(self.chunks, count), dim=-1).indices
        head = torch.arange(hk, device=q.device)[:, None, None]
        near_k = keys[head, best].flatten(2, 3)
        near_v = values[head, best].flatten(2, 3)
        weights = (torch.einsum("hqd,hqnd->hqn", grouped, near_k).to(torch.float32) * width**-0.5).softmax(-1)
        return torch.einsum("hqn,hqnd->hqd", weights.to(near_v.dtype), near_v).reshape(q.shape)

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        local = layer.tape("local")
        leaving = len(local) - self.window
        if leaving > 0 and self.reads(layer, row):
            bank = layer.tape("bank")
            bank.append(local.k[:, :leaving], local.v[:, :leaving], local.pos[:leaving])
            over = len(bank) - self.capacity
            if over > 0:  # whole chunks leave, so that the others stay as they were
                bank.drop_front(-(-over // self.chunk) * self.chunk)
        super().after_attention(layer, row, segments, mass, q, pos)
