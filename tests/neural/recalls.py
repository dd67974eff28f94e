"""Layers with identity projections and pairs to store in them: what they recall they wrote, for nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mnemic.neural import registry
from mnemic.neural.layer import MemoryLayer


@dataclass(frozen=True)
class Recall:
    """Pairs to store and to ask for. ``stored`` [1, N, d] is written by ``layer``, ``asked`` [1, N, d] read, and row n
    of the answer [..., : wanted.shape[-1]] should be nearest to row n of ``wanted`` [N, m]. ``off`` is the same layer
    with its rate at zero, where it has a rate."""

    layer: MemoryLayer
    stored: Tensor
    asked: Tensor
    wanted: Tensor
    off: MemoryLayer | None = None


def one_hots() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One-hot keys [8, 8], the projections [8, 16] on the first and the second half of a token, and tokens [8, 16]."""
    eye, none = torch.eye(8), torch.zeros(8, 8)
    return eye, torch.cat((eye, none), 1), torch.cat((none, eye), 1), torch.cat((eye, eye.roll(3, 1)), 1)


def neural_recall(name: str, rate: float = 1.0, **settings: Any) -> Callable[[], Recall]:
    """Tokens are [key | value]: eight one-hot keys, each with the one-hot of another as its value."""

    def build() -> Recall:
        eye, first, second, pairs = one_hots()

        def made(rate: float) -> MemoryLayer:
            torch.manual_seed(0)
            shape = {"heads": 1, "d_head": 8, "conv": 0, "rate": rate, **settings}
            layer: Any = registry.make(name, 16, **shape)
            with torch.no_grad():
                layer.to_qkv.weight.copy_(torch.cat((first, first, second)))
                layer.to_out.weight.copy_(first.T)
                for gate, bias in ((layer.rule.mom, -2.0), (layer.rule.forget, -5.0), (layer.rule.gamma, 0.0)):
                    if gate is not None:
                        gate.weight.zero_()
                        gate.bias.fill_(bias)
            return layer

        return Recall(made(rate), pairs[None], (pairs * first.sum(0))[None], eye.roll(3, 1), made(0.0))

    return build


def kernel_recall(name: str) -> Callable[[], Recall]:
    """As :func:`neural_recall`, in one head of 16 features of which keys and values use 8."""

    def build() -> Recall:
        eye, first, second, pairs = one_hots()
        none = torch.zeros(8, 16)
        layer: Any = registry.make(name, 16, heads=1)
        with torch.no_grad():
            layer.to_qkv.weight.copy_(torch.cat((first, none, first, none, second, none)))
            layer.to_out.weight.copy_(torch.eye(16))
        return Recall(layer, pairs[None], (pairs * first.sum(0))[None], eye.roll(3, 1))

    return build
