"""Rotary positions (RoFormer, arXiv 2104.09864), applied when keys are read and not when they are stored.

A key that is stored un-rotated can be read at any position: where it was said, at a slot of a short cache, or at one
fixed far distance. Angles are computed in float32: in half precision neighbouring positions beyond a few thousand
would fall together.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Rope:
    """The rotation of one model.

    ``inv_freq`` [r/2] are its frequencies, of which the first ``r`` channels of a head are turned (r < D where only
    part of a head is rotary). The halves of those channels belong together, as in Llama: channel c with c + r/2.
    The model's own scaling of rotated vectors is in the vectors already.
    """

    def __init__(self, inv_freq: Tensor) -> None:
        self.inv_freq = inv_freq.detach().to(torch.float32)

    @property
    def dim(self) -> int:
        """The rotated channels of a head."""
        return 2 * int(self.inv_freq.shape[0])

    def apply(self, x: Tensor, positions: Tensor | int, channels: Tensor | None = None) -> Tensor:
        """``x`` [..., n, D] turned to ``positions`` ([n], or one for all). Returns the dtype of ``x``.

        ``channels`` [Hk, c] says which channels of a head ``x`` [Hk, n, c] holds, where those are not all: the first
        halves of pairs, then their second halves.
        """
        if isinstance(positions, int):
            if positions == 0:
                return x
            positions = torch.full((1,), positions, device=x.device)
        frequencies = self.inv_freq.to(x.device)
        if channels is not None:
            frequencies = frequencies[channels[:, : channels.shape[1] // 2]][:, None]
        angles = positions.to(torch.float32)[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        half = frequencies.shape[-1]
        wide = x.to(torch.float32)
        a, b, rest = wide[..., :half], wide[..., half : 2 * half], wide[..., 2 * half :]
        return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1).to(x.dtype)

    def unapply(self, x: Tensor, positions: Tensor | int) -> Tensor:
        """The inverse of :meth:`apply`."""
        return self.apply(x, -positions)
