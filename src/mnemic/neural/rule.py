"""The inner rule: how a token's gradient changes the fast weights.

    S_t = mom_t S_{t-1} - sum_{i in the last c tokens} rate_t gamma_i grad loss_i(W_ref)
    W_t = keep_t W_{t-1} + S_t

with W_ref the weights at the start of the token's chunk (Titans, arXiv 2501.00663, sections 3.1 and 3.2; windows c > 1
are the Omega rule of ATLAS, arXiv 2505.23735). Losses of M(k) against v are halved, so that their gradient at a matrix
is (M(k) - v) k. With ``newton_schulz`` the weights take the orthogonalised momentum instead (ATLAS), see
:class:`InnerRule`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.fast import Factors, FastNet
from mnemic.neural.layers.parts import Linear
from mnemic.neural.scan import Gates, Shares, shares

LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "l2": (lambda out, v: 0.5 * (out - v).square().sum(-1), lambda out, v: out - v),
    "dot": (lambda out, v: -(out * v).sum(-1), lambda out, v: -v),
    "huber": (
        lambda out, v: functional.huber_loss(out, v, reduction="none").sum(-1),
        lambda out, v: (out - v).clamp(-1, 1),
    ),
}
"""Name -> (loss [...] of an output and a value [..., D], its gradient by the output)."""


class InnerRule(nn.Module):
    """Gates for every token and head, learned from the token, and what they do.

    ``rate`` None makes the inner learning rate a gate below ``max_rate``, a number fixes it. ``momentum`` and
    ``forget`` say whether there is an S that lasts and whether weights decay. ``window`` c tokens are written at each
    step, each with a gate gamma of its own (interpretation: the paper's gamma may depend on both tokens, the one
    written and the one of the step; here it depends on the one written).

    ``newton_schulz`` > 0 is the number of iterations that orthogonalise S. The write is then not linear in gradients
    any more, and the paper materialises S for every token. Here S is orthogonalised once every ``cadence`` tokens, and
    stands for the momenta of all of them:  W_end = (prod keep) W_start + (sum rate_t keep_{t+1}..keep_end) NS(S_end).
    A cadence of 1 is the rule of the paper. The rate belongs to this step alone: S takes gradients as they are.

    ``limit`` is a deviation: at the end of a chunk a matrix whose entries have a larger root mean square than that is
    scaled back to it. Gradients at one anchor add up over a chunk of tokens that resemble each other, and without a
    limit a repeated token takes the weights of a deep memory to infinity. None leaves the rule as published.
    """

    def __init__(
        self,
        d_model: int,
        heads: int,
        *,
        loss: str,
        momentum: bool,
        forget: bool,
        window: int,
        newton_schulz: int,
        rate: float | None,
        max_rate: float,
        limit: float | None,
    ) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise InputError(f"there is no inner loss {loss!r}: use one of {', '.join(LOSSES)}")
        if window < 1 or newton_schulz < 0:
            raise InputError("window must be at least 1, newton_schulz at least 0")
        if newton_schulz and not momentum:
            raise InputError("Newton-Schulz is applied to the momentum: set momentum=True")
        self.heads, self.loss, self.window, self.newton_schulz = heads, loss, window, newton_schulz
        self.fixed, self.max_rate, self.limit = rate or 0.0, max_rate, limit
        self.rate = None if rate is not None else _gate(d_model, heads, 0.05)
        self.mom = _gate(d_model, heads, 0.5) if momentum else None
        self.forget = _gate(d_model, heads, 0.001) if forget else None
        self.gamma = _gate(d_model, heads, 0.5) if window > 1 else None

    def gates(self, x: Tensor, there: Tensor) -> Gates:
        """The gates of ``x`` [B, T, d], in the number type of states; ``there`` [B, T] says what is written."""
        live = there.to(x.dtype)[:, None].expand(-1, self.heads, -1)

        def gate(of: Linear) -> Tensor:
            raw: Tensor = of(x)
            return raw.transpose(1, 2)

        rate = live * (self.fixed if self.rate is None else self.max_rate * gate(self.rate).sigmoid())
        log_mom = None if self.mom is None else live * functional.logsigmoid(gate(self.mom))
        log_keep = None if self.forget is None else live * functional.logsigmoid(-gate(self.forget))
        gamma = live if self.gamma is None else live * gate(self.gamma).sigmoid()
        return Gates(rate, gamma, live, log_mom, log_keep)

    def write(self, net: FastNet, memory: Memory, k: Tensor, v: Tensor, gates: Gates) -> tuple[Stretch, Memory, Tensor]:
        """``k`` [B, H, n, in] and ``v`` [B, H, n, out] of n tokens inside one chunk (and inside one block of the
        cadence) written to ``memory``: what gives the weights after each token, the memory after them, and the loss
        of each token [B, n] at the anchor, the mean over heads."""
        n, old_gamma, past = k.shape[2], None, None
        if memory.past is not None:
            old_k, old_v, old_gamma = memory.past
            k, v = torch.cat((old_k, k), 2), torch.cat((old_v, v), 2)
            gamma = torch.cat((old_gamma, gates.gamma), -1)
            past = (k[:, :, n:], v[:, :, n:], gamma[..., n:])
        loss, slope = LOSSES[self.loss]
        out, factors = net.factors(memory.anchor or memory.weights, k, lambda out: slope(out, v))
        surprise = loss(out, v)[..., -n:].mean(1)
        # orthogonalised momenta take gradients as they are: the rate is of the step, and weights decay in its own time
        used = replace(gates, rate=gates.live, log_keep=None) if self.newton_schulz else gates
        stretch = Stretch(memory.weights, memory.momentum, factors, shares(used, old_gamma, self.window))
        after = replace(memory, momentum=stretch.last_momentum(), past=past)
        if memory.open is None:
            return stretch, replace(after, weights=stretch.last_weights()), surprise
        log_keep = torch.zeros_like(gates.rate) if gates.log_keep is None else gates.log_keep
        kept = log_keep.sum(-1)
        taken = (gates.rate * (kept[..., None] - log_keep.cumsum(-1)).exp()).sum(-1)
        pending = torch.stack((memory.open[..., 0] + kept, memory.open[..., 1] * kept.exp() + taken), -1)
        return stretch, replace(after, open=pending), surprise

    def written(self, memory: Memory) -> list[Tensor]:
        """The weights with all that was written, an open block of the cadence included."""
        if memory.open is None:
            return memory.weights
        kept, taken = memory.open[..., 0, None, None].exp(), memory.open[..., 1, None, None]
        pairs = zip(memory.weights, memory.momentum, strict=True)
        return [kept * w + taken * orthogonalised(s, self.newton_schulz) for w, s in pairs]

    def close(self, memory: Memory) -> Memory:
        """The memory at the end of a block of the cadence."""
        if memory.open is None:
            return memory
        return replace(memory, weights=self.written(memory), open=torch.zeros_like(memory.open))

    def limited(self, weights: list[Tensor]) -> list[Tensor]:
        """``weights`` at the end of a chunk."""
        if self.limit is None:
            return weights
        most = self.limit**2
        return [w * (most / w.square().mean((-1, -2), keepdim=True).clamp_min(most)).sqrt() for w in weights]


@dataclass(frozen=True)
class Memory:
    """A memory taken apart. ``weights`` now; ``momentum`` of the same shapes, empty where the rule has none; ``anchor``
    the weights at the start of the open chunk, empty where they are ``weights`` or nobody asks for them; ``past`` keys,
    values and gammas of the window's earlier tokens; ``open`` [B, H, 2] the logarithm of what is kept of ``weights``
    and the summed rate since the last orthogonalised step, while ``weights`` wait for its end."""

    weights: list[Tensor]
    momentum: list[Tensor]
    anchor: list[Tensor]
    past: tuple[Tensor, Tensor, Tensor] | None = None
    open: Tensor | None = None


@dataclass(frozen=True)
class Stretch:
    """Tokens written inside one chunk: products with the weights after each of them, which are never made."""

    weights: Sequence[Tensor]
    momentum: Sequence[Tensor]
    factors: Factors
    shares: Shares

    def product(self, index: int, x: Tensor) -> Tensor:
        """Row t of ``x`` [B, H, n, in] times matrix ``index`` as it is after token t."""
        inputs, signals = self.factors[index]
        y = self.shares.weights[..., None] * (x @ self.weights[index])
        if self.shares.momentum is not None:
            y = y + self.shares.momentum[..., None] * (x @ self.momentum[index])
        return y - ((x @ inputs.transpose(-1, -2)) * self.shares.gradients) @ signals

    def last_weights(self) -> list[Tensor]:
        """The matrices after the last token."""
        made = []
        for index, (matrix, (inputs, signals)) in enumerate(zip(self.weights, self.factors, strict=True)):
            new = self.shares.weights[..., -1, None, None] * matrix
            if self.shares.momentum is not None:
                new = new + self.shares.momentum[..., -1, None, None] * self.momentum[index]
            made.append(new - _summed(inputs, signals, self.shares.gradients[..., -1, :]))
        return made

    def last_momentum(self) -> list[Tensor]:
        """The momenta after the last token."""
        if self.shares.mom_momentum is None or self.shares.mom_gradients is None:
            return []
        kept, shares = self.shares.mom_momentum[..., None, None], self.shares.mom_gradients
        pairs = zip(self.momentum, self.factors, strict=True)
        return [kept * s - _summed(inputs, signals, shares) for s, (inputs, signals) in pairs]


def orthogonalised(x: Tensor, steps: int) -> Tensor:
    """Newton-Schulz iterations that bring the singular values of each matrix [..., a, b] near 1, as in Muon (Jordan et
    al., 2024): X <- P X with P = a + b A + c A A and A = X X^T. A matrix of zeros stays one.

    All P are polynomials of the first A, so that A <- P A P: the iterations run on the smaller side of X alone."""
    tall = x.shape[-2] > x.shape[-1]
    x = x.transpose(-1, -2) if tall else x
    x = x / (x.square().sum((-1, -2), keepdim=True) + 1e-14).sqrt()
    eye = torch.eye(x.shape[-2], device=x.device, dtype=x.dtype)
    gram, total = x @ x.transpose(-1, -2), eye
    for _ in range(steps):
        step = 3.4445 * eye - 4.7750 * gram + 2.0315 * gram @ gram
        total, gram = step @ total, step @ gram @ step
    x = total @ x
    return x.transpose(-1, -2) if tall else x


def _summed(inputs: Tensor, signals: Tensor, shares: Tensor) -> Tensor:
    """The gradients of a matrix, each an outer product, summed with ``shares`` [B, H, p]."""
    return (inputs * shares[..., None]).transpose(-1, -2) @ signals


def _gate(d_model: int, heads: int, start: float) -> Linear:
    """A gate for each head that begins near ``start`` for every token."""
    made = Linear(d_model, heads)
    with torch.no_grad():
        made.weight.mul_(0.5)
        made.bias.fill_(math.log(start / (1 - start)))
    return made
