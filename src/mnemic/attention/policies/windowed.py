"""What condenses: a text is read window by window, and of a full window only a few keys and values stay.

Windows are counted from the beginning of the text. Tokens of the open window are read as they are; what is kept of
earlier ones is read by everything after. Positions are slots: what is kept stands at 0, 1, 2, ..., the open window
right behind it (as in MemoRAG's code), so that a text of n tokens takes no more positions than n / ratio and a window.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from mnemic.attention.cache import Layer, Row
from mnemic.attention.policy import Policy
from mnemic.attention.segment import Segment, causal


class Windowed(Policy):
    """The tape ``local`` holds the open window, the tape ``memory`` what is kept of those before it."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """Tokens of a window."""

    def room(self, row: Row) -> int | None:
        return self.stride - len(row.layers[0].tape("local"))

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        local, memory = layer.tape("local"), layer.tape("memory")
        local.append(k, v, pos)
        slots = torch.arange(len(memory) + len(local), device=pos.device)
        asking, held, near = slots[-len(pos) :], slots[: len(memory)], slots[len(memory) :]
        found = [Segment(local.k, local.v, asking, near, causal(asking, near), at=local.pos)]
        if len(memory):
            found.append(Segment(memory.k, memory.v, asking, held, at=memory.pos, tag="memory"))
        return found

    @staticmethod
    def close(layer: Layer, k: Tensor, v: Tensor, at: Tensor) -> None:
        """The window is full: ``k``, ``v`` [Hk, m, D], standing for the places ``at`` [m], are what stays of it."""
        local = layer.tape("local")
        if len(at):
            layer.tape("memory").append(k, v, at)
        local.drop_front(len(local))
