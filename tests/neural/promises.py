"""What each layer promises: how tests make it small, what does not apply to it and why, what it is held against.

Add a line to a table for a layer of yours; every name in ``registry.LAYERS`` is tested, with or without one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from references import window_attention
from torch import Tensor

from mnemic.neural import registry
from mnemic.neural.layer import MemoryLayer

D = 8
"""Features of the layers under test."""

SMALL: dict[str, dict[str, Any]] = {
    "window": {"heads": 2, "window": 5, "n_prefix": 2},
    "full": {"heads": 2},
}
"""Name -> the settings that make it small. Give ``chunk`` (4 is good) where the layer has one."""

TESTS = ("batch", "causality", "step", "split", "naive", "surprise", "gradient", "recall", "short")
TESTS += ("roundtrip", "eval", "detach", "mask")

NO_INNER_LOSS = "it has no inner loss, so that nothing surprises it"
READS_TOKENS = "it keeps tokens and writes no association: a query finds the token itself, whatever its place"

EXEMPT: dict[str, dict[str, str]] = {
    "window": {"surprise": NO_INNER_LOSS, "recall": READS_TOKENS},
    "full": {"surprise": NO_INNER_LOSS, "recall": READS_TOKENS},
}
"""Name -> test -> why it does not apply."""

NAIVE: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "window": window_attention,
    "full": window_attention,
}
"""Name -> (the layer with chunk 1, x [B, T, D]) -> y [B, T, D]: its definition, token after token, slow and obvious."""


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


RECALL: dict[str, Callable[[], Recall]] = {}
"""Name -> a layer with identity projections and pairs with orthonormal keys."""


def small(name: str, **settings: Any) -> MemoryLayer:
    """The layer in float64, the same at each call, with no parameter left at zero: a closed gate would hide faults."""
    torch.manual_seed(0)
    layer = registry.make(name, D, **{**SMALL.get(name, {}), **settings}).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return layer


def tokens(length: int, batch: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(batch, length, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
