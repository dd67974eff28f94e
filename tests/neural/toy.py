"""A memory layer for tests of what is around layers: a running mean that fades, token by token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mnemic.neural.layer import Aux, MemoryLayer
from mnemic.neural.state import MemState


class Fading(MemoryLayer):
    """m <- keep m + (1 - keep) W x; the output is V m."""

    kind = "fading"

    def __init__(self, d_model: int, *, keep: float = 0.9) -> None:
        super().__init__()
        self.d_model, self.keep = d_model, keep
        self.inner, self.outer = nn.Linear(d_model, d_model, bias=False), nn.Linear(d_model, d_model, bias=False)

    def init_state(self, batch: int, *, device: Any = None, dtype: Any = None) -> MemState:
        return MemState(self.kind, 1, {"mean": torch.zeros(batch, self.d_model, device=device, dtype=dtype)})

    def forward(
        self,
        x: Tensor,
        state: MemState | None = None,
        *,
        mask: Tensor | None = None,
        write: bool = True,
        read: bool = True,
    ) -> tuple[Tensor, MemState, Aux]:
        state = self.begin(x, state)
        mean, means = state["mean"], []
        for t, each in enumerate(self.inner(x).unbind(1)):
            fresh = self.keep * mean + (1 - self.keep) * each
            mean = fresh if mask is None else torch.where(mask[:, t, None], fresh, mean)
            means.append(mean)
        y = self.outer(torch.stack(means, 1)) if read else torch.zeros_like(x)
        return y, state.after(x.shape[1], mean=mean if write else state["mean"]), Aux()
