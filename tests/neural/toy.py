"""A memory layer for tests of what is around layers: a running mean that fades, token by token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.state import MemState


class Fading(MemoryLayer):
    """m <- keep m + (1 - keep) W x; the output is V m."""

    kind = "fading"

    def __init__(self, d_model: int, *, keep: float = 0.9) -> None:
        super().__init__()
        self.d_model, self.keep = d_model, keep
        self.inner, self.outer = nn.Linear(d_model, d_model, bias=False), nn.Linear(d_model, d_model, bias=False)

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        return {"mean": like.new_zeros(batch, self.d_model)}

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        mean, means = state["mean"], []
        for t, each in enumerate(self.inner(x).unbind(1)):
            fresh = self.keep * mean + (1 - self.keep) * each
            mean = torch.where(there[:, t, None], fresh, mean)
            means.append(mean)
        y = self.outer(torch.stack(means, 1)) if read else torch.zeros_like(x)
        return y, state.after(x.shape[1], mean=mean if write else state["mean"]), Aux()
