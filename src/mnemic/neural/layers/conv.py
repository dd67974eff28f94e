"""A short causal convolution for each channel: what stands side by side, by weights that are the same everywhere.

Recurrent memories bring one (Titans, arXiv 2501.00663, section 4.4; Mamba-2, arXiv 2405.21060). In front of any layer
it lets a token know its neighbour, which attention alone finds slowly: see ``docs/neural-training.md``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.state import MemState


class ShortConv(MemoryLayer):
    """y_t = sum_i w_i x_{t-i} over the last ``width`` tokens, channel by channel. State: ``tail`` [B, width - 1, d]."""

    kind: ClassVar[str] = "conv"

    def __init__(self, d_model: int, *, width: int = 2) -> None:
        super().__init__()
        if width < 1:
            raise InputError(f"a convolution reaches over at least 1 token, not {width}")
        self.d_model, self.width = d_model, width
        self.taps = nn.Parameter(torch.randn(d_model, width) * width**-0.5)

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        return {"tail": like.new_zeros(batch, self.width - 1, self.d_model)}

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        known = torch.cat((state["tail"].to(x.dtype), x * there[..., None]), 1)
        y = torch.zeros_like(x)
        if read:
            taps = self.taps.flip(1)[:, None].to(x.dtype)
            y = functional.conv1d(known.transpose(1, 2), taps, groups=self.d_model).transpose(1, 2)
        if not write:
            return y, state, Aux(written=torch.zeros_like(there))
        return y, state.after(x.shape[1], tail=known[:, x.shape[1] :]), Aux(written=there)
