"""The delta rule without approximation: gradients at the weights of the moment, many tokens at once.

    W_t = keep_t W_{t-1} + rate_t k_t (v_t - keep_t k_t W_{t-1})

is the gated delta rule (Gated DeltaNet, arXiv 2412.06464), with keep = 1 the delta rule (DeltaNet, arXiv 2406.06484):
the gradient of |k W - v|^2 / 2 at the weights after forgetting. The errors of a block of tokens follow from each other
by a triangular system, so that the size of a block changes the speed alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mnemic.neural.scan import Gates, decay


def delta_block(w: Tensor, q: Tensor, k: Tensor, v: Tensor, gates: Gates) -> tuple[Tensor, Tensor, Tensor]:
    """``q``, ``k`` [B, H, n, in] and ``v`` [B, H, n, out] after the weights ``w`` [B, H, in, out]: the outputs q_t W_t,
    the weights after the last token, and the errors v_t - keep_t k_t W_{t-1} [B, H, n, out]."""
    log_keep = torch.zeros_like(gates.rate) if gates.log_keep is None else gates.log_keep
    between = decay(log_keep)
    kept = log_keep.cumsum(-1).exp()[..., None]
    on_each_other = (k @ k.transpose(-1, -2) * between * gates.rate[..., None, :]).tril(-1)
    system = on_each_other + torch.eye(k.shape[2], device=k.device, dtype=k.dtype)
    errors = torch.linalg.solve_triangular(system, v - kept * (k @ w), upper=False, unitriangular=True)
    steps = gates.rate[..., None] * errors
    y = kept * (q @ w) + (q @ k.transpose(-1, -2) * between) @ steps
    last = kept[..., -1:, :] * w + (k * between[..., -1, :, None]).transpose(-1, -2) @ steps
    return y, last, errors
