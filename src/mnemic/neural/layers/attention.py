"""Attention to the last tokens, and to all of them: the short-term memory beside the others, and the control.

Keys are kept as they were before rotation and turned by their place within what is read together: only differences of
places count, and angles stay small however long the stream is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState


def rotate(x: Tensor, places: Tensor, base: float = 10_000.0) -> Tensor:
    """``x`` [..., n, D] with channel c and c + D/2 turned by ``places`` [n] (RoFormer, arXiv 2104.09864)."""
    half = x.shape[-1] // 2
    rates = base ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angles = places.to(x.dtype)[:, None] * rates
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class WindowAttention(MemoryLayer):
    """Causal softmax attention to the last ``window`` tokens, the token itself among them.

    ``n_prefix`` learned tokens without a place are visible to all (the persistent memory of Titans, arXiv 2501.00663,
    section 3.3). The state is the last ``window - 1`` keys and values [B, H, window - 1, D] and which of them are
    there.
    """

    kind: ClassVar[str] = "window"
    window: int | None

    def __init__(self, d_model: int, *, heads: int = 4, window: int = 64, n_prefix: int = 0) -> None:
        if window < 1:
            raise InputError(f"a window holds at least the token itself, so it cannot be {window}")
        super().__init__()
        self._build(d_model, heads, window, n_prefix)

    def _build(self, d_model: int, heads: int, window: int | None, n_prefix: int) -> None:
        if d_model % (2 * heads):
            raise InputError(f"{d_model} features do not split into {heads} heads of an even width")
        self.d_model, self.heads, self.window = d_model, heads, window
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))
        self.prefix = nn.Parameter(torch.randn(n_prefix, d_model) * d_model**-0.5) if n_prefix else None

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        kept = 0 if self.window is None else self.window - 1
        empty = wide(like).new_zeros(batch, self.heads, kept, self.d_model // self.heads)
        return {"k": empty, "v": empty, "live": like.new_zeros(batch, kept, dtype=torch.bool)}

    def lengths(self, seen: int) -> Mapping[str, int]:
        return dict.fromkeys(("k", "v", "live"), seen) if self.window is None else {}

    def split(self, x: Tensor) -> Tensor:
        """[..., n, d] -> heads [..., H, n, d / H], in the type of states."""
        return wide(x).reshape(*x.shape[:-1], self.heads, -1).transpose(-2, -3)

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        """As :meth:`MemoryLayer.run`. Tokens of one call see each other also with ``write`` false."""
        k = torch.cat((state["k"], self.split(self.to_k(x))), 2)
        v = torch.cat((state["v"], self.split(self.to_v(x))), 2)
        live = torch.cat((state["live"], there), 1)
        y = self._attend(x, k, v, live) if read else torch.zeros_like(x)
        if not write:
            return y, state, Aux(written=torch.zeros_like(there))
        first = 0 if self.window is None else live.shape[1] - (self.window - 1)
        # what is not there is zeroed, so that equal pasts are equal states
        kept = live[:, first:, None].to(k.dtype)[:, None]
        after = state.after(x.shape[1], k=k[:, :, first:] * kept, v=v[:, :, first:] * kept, live=live[:, first:])
        return y, after, Aux(written=there)

    def _attend(self, x: Tensor, k: Tensor, v: Tensor, live: Tensor) -> Tensor:
        """The outputs of ``x`` [B, T, d], whose keys are the last T of ``k`` [B, H, n, D]."""
        length, past = x.shape[1], live.shape[1] - x.shape[1]
        block = length if self.window is None else max(self.window, 64)  # blocks keep the work linear in T
        q = self.split(self.to_q(x))
        outs = []
        for begin in range(0, length, block):
            end = min(begin + block, length)
            first = 0 if self.window is None else max(0, past + begin + 1 - self.window)
            keys = slice(first, past + end)
            outs.append(self._block(q[:, :, begin:end], k[:, :, keys], v[:, :, keys], live[:, keys]))
        y: Tensor = self.to_out(torch.cat(outs, 2).transpose(1, 2).flatten(2).to(x.dtype))
        return y

    def _block(self, q: Tensor, k: Tensor, v: Tensor, live: Tensor) -> Tensor:
        count, asked = k.shape[2], q.shape[2]
        places = torch.arange(count, device=q.device)
        back = places[count - asked :, None] - places  # how far back each key is
        near = (back >= 0) if self.window is None else (back >= 0) & (back < self.window)
        # a token that is not there sees itself: its output means nothing, but a softmax over nothing is no number
        seen = near & (live[:, None, None] | (back == 0))
        with exactly(q):
            turned = rotate(q, places[count - asked :]) @ rotate(k, places).transpose(-1, -2)
            scores = (turned * q.shape[-1] ** -0.5).masked_fill(~seen, float("-inf"))
            if self.prefix is not None:
                pk, pv = self.split(self.to_k(self.prefix)), self.split(self.to_v(self.prefix))
                scores = torch.cat((q @ pk.transpose(-1, -2) * q.shape[-1] ** -0.5, scores), -1)
                v = torch.cat((pv.expand(v.shape[0], -1, -1, -1), v), 2)
            y: Tensor = scores.softmax(-1) @ v
            return y


class FullAttention(WindowAttention):
    """Causal softmax attention to every token: the control. Its state GROWS by one key and value a token."""

    kind: ClassVar[str] = "full"

    def __init__(self, d_model: int, *, heads: int = 4, n_prefix: int = 0) -> None:
        MemoryLayer.__init__(self)
        self._build(d_model, heads, None, n_prefix)
