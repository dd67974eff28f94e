"""The shares that old weights and new gradients have in weights that decay: small triangular matrices over tokens.

The recurrence, for n tokens whose gradients g_i are known,

    S_t = mom_t S_{t-1} - sum over the window of t: rate_t gamma_i g_i
    W_t = keep_t W_{t-1} + S_t

is linear in S_0, W_0 and g, so that W_t is a weighted sum of them. Products of gates are exponentials of differences of
summed logarithms: dividing one product by another would overflow where gates close.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gates:
    """What n tokens say about their own writing, each [B, H, n], zero resp. one (log 0) where a token is not there.

    ``rate`` the inner learning rate; ``log_mom`` and ``log_keep`` logarithms of what is kept of the momentum and of the
    weights, None where there is none or all is kept; ``gamma`` how much a token counts in the windows that it lies in;
    ``live`` whether it is there (1 or 0)."""

    rate: Tensor
    gamma: Tensor
    live: Tensor
    log_mom: Tensor | None
    log_keep: Tensor | None

    def part(self, piece: slice) -> Gates:
        def cut(gate: Tensor | None) -> Tensor | None:
            return None if gate is None else gate[..., piece]

        rest = (cut(self.log_mom), cut(self.log_keep))
        return Gates(self.rate[..., piece], self.gamma[..., piece], self.live[..., piece], *rest)


@dataclass(frozen=True)
class Shares:
    """Row t of each: what W_t is made of, and (``mom_``, the last row alone) S_n.

    ``weights`` [B, H, n] of W_0; ``momentum`` [B, H, n] of S_0; ``gradients`` [B, H, n, p + n] of -g_i, where p tokens
    before these are still in windows; ``mom_momentum`` [B, H] and ``mom_gradients`` [B, H, p + n] in S_n."""

    weights: Tensor
    gradients: Tensor
    momentum: Tensor | None
    mom_momentum: Tensor | None
    mom_gradients: Tensor | None


def decay(log_gate: Tensor) -> Tensor:
    """[..., n] logarithms of gates -> [..., n, n]: at (t, s) the product of those after s up to t; 0 for s > t."""
    total = log_gate.cumsum(-1)
    later = torch.ones(total.shape[-1], total.shape[-1], dtype=torch.bool, device=total.device).triu(1)
    return (total[..., :, None] - total[..., None, :]).masked_fill(later, float("-inf")).exp()


def band(tokens: int, past: int, window: int, device: torch.device) -> Tensor:
    """[tokens, past + tokens]: whether a token lies in the window of a step; ``past`` tokens were before the first."""
    back = torch.arange(past, past + tokens, device=device)[:, None] - torch.arange(past + tokens, device=device)
    return (back >= 0) & (back < window)


def shares(gates: Gates, old_gamma: Tensor | None = None, window: int = 1) -> Shares:
    """The shares that ``gates`` [B, H, n] give; ``old_gamma`` [B, H, p] is of the p tokens before, still in windows."""

    def of_gradients(of_steps: Tensor) -> Tensor:
        """[..., n, n] shares of steps -> [..., n, p + n] shares of the gradients that the steps are made of."""
        if old_gamma is None:  # windows of one token: each step is its own token's
            return of_steps * (gates.rate * gates.gamma)[..., None, :]
        gamma = torch.cat((old_gamma, gates.gamma), -1)
        near = band(gates.rate.shape[-1], old_gamma.shape[-1], window, gamma.device)
        return of_steps @ (gates.rate[..., :, None] * gamma[..., None, :] * near)

    log_keep = torch.zeros_like(gates.rate) if gates.log_keep is None else gates.log_keep
    held = decay(log_keep) * gates.live[..., None, :]  # a token that is not there adds no momentum to the weights
    weights = log_keep.cumsum(-1).exp()
    if gates.log_mom is None:
        return Shares(weights, of_gradients(held), None, None, None)
    carried = gates.log_mom.cumsum(-1).exp()
    momenta = of_gradients(decay(gates.log_mom))
    momentum = (held @ carried[..., None]).squeeze(-1)
    return Shares(weights, held @ momenta, momentum, carried[..., -1], momenta[..., -1, :])
