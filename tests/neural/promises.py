"""What each layer promises: how tests make it small, what does not apply to it and why, what it is held against.

Add a line to a table for a layer of yours; every name in ``registry.LAYERS`` is tested, with or without one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from definitions import OTHERS
from other_recalls import OTHER_RECALLS
from recalls import Recall, kernel_recall, neural_recall
from references import kernel_memory, mac, mag, mal, neural_memory, window_attention
from torch import Tensor

from mnemic.neural import registry
from mnemic.neural.layer import MemoryLayer

D = 8
"""Features of the layers under test."""

SMALL: dict[str, dict[str, Any]] = {
    "window": {"heads": 2, "window": 5, "n_prefix": 2},
    "full": {"heads": 2},
    "titans-lmm": {"heads": 2, "chunk": 4, "hidden": 6},
    "ttt": {"heads": 2, "chunk": 4},
    "linear-attention": {"heads": 2, "chunk": 4},
    "deltanet": {"heads": 2, "chunk": 4},
    "gated-deltanet": {"heads": 2, "chunk": 4},
    "omeganet": {"heads": 2, "chunk": 4, "window": 3, "hidden": 6},
    "atlas": {"heads": 2, "chunk": 4, "window": 3, "hidden": 6},
    "atlas-plus": {"heads": 2, "chunk": 4, "window": 3, "hidden": 6, "read": "chunk_start"},
    "dla": {"heads": 2, "chunk": 4, "hidden": 6},
    "swla": {"heads": 2, "chunk": 4, "window": 3},
    "titans-mac": {"heads": 2, "chunk": 4, "n_persistent": 2, "memory": {"heads": 2, "hidden": 6}},
    "titans-mag": {"heads": 2, "chunk": 4, "n_persistent": 2, "window": 3, "memory": {"heads": 2, "hidden": 6}},
    "titans-mal": {"heads": 2, "chunk": 4, "n_persistent": 2, "window": 3, "memory": {"heads": 2, "hidden": 6}},
    "deeptransformer": {"heads": 2},
    "dot": {"heads": 2},
    "ssm": {"heads": 2, "width": 4, "chunk": 4},
    "memmamba": {"heads": 2, "chunk": 3, "pool": 3, "width": 4, "top": 2, "trigger": 0.4},
    "cmr": {"heads": 2, "chunk": 3, "pool": 3, "width": 4, "top": 2, "window": 3},
    "hmt": {"heads": 2, "chunk": 2, "recall": 3, "sensory": 1, "layers": 1},
    "rmt": {"heads": 2, "chunk": 4, "slots": 2, "layers": 1},
    "rxt": {"heads": 2, "chunk": 4, "slots": 3},
    "pmi-wm": {"heads": 2, "chunk": 4, "slots": 3, "top": 2},
    "pmi-ltm": {"heads": 2, "chunk": 4, "slots": 3, "segments": 2, "rank": 4, "top": 2},
    "resonance": {"heads": 2, "chunk": 4, "window": 3, "bound": 0.5},
    "longmem": {"heads": 2, "chunk": 2, "window": 2, "top": 2, "capacity": 6, "detach": False},
}
"""Name -> the settings that make it small. Give ``chunk`` (4 is good) where the layer has one."""

TESTS = ("batch", "causality", "step", "split", "naive", "surprise", "gradient", "recall", "short")
TESTS += ("roundtrip", "eval", "detach", "mask")

NO_INNER_LOSS = "it has no inner loss, so that nothing surprises it"
NO_ERROR = "its loss has no error: the gradient is the value, whatever was there"
BLOCK = "its memory is titans-lmm's, and what reaches the output passes an attention that is not trained"
READS_TOKENS = "it keeps tokens and writes no association: a query finds the token itself, whatever its place"
LEARNS_TO_WRITE = "what it writes and where it looks is learned: untrained it recalls nothing"

EXEMPT: dict[str, dict[str, str]] = {
    "window": {"surprise": NO_INNER_LOSS, "recall": READS_TOKENS},
    "full": {"surprise": NO_INNER_LOSS, "recall": READS_TOKENS},
    "linear-attention": {"surprise": NO_ERROR},
    "swla": {"surprise": NO_ERROR},
    "titans-mac": {"recall": BLOCK},
    "titans-mag": {"recall": BLOCK},
    "titans-mal": {"recall": BLOCK},
    "deeptransformer": {"surprise": NO_ERROR},
    "ssm": {"surprise": NO_INNER_LOSS},
    "memmamba": {"surprise": NO_INNER_LOSS},
    "cmr": {"surprise": NO_INNER_LOSS},
    "hmt": {"surprise": NO_INNER_LOSS, "recall": LEARNS_TO_WRITE},
    "rmt": {"surprise": NO_INNER_LOSS, "recall": LEARNS_TO_WRITE},
    "rxt": {"surprise": NO_INNER_LOSS},
    "pmi-wm": {"surprise": NO_INNER_LOSS, "recall": LEARNS_TO_WRITE},
    "pmi-ltm": {"surprise": NO_INNER_LOSS, "recall": LEARNS_TO_WRITE},
    "resonance": {"surprise": NO_INNER_LOSS, "recall": LEARNS_TO_WRITE},
    "longmem": {"surprise": NO_INNER_LOSS},
}
"""Name -> test -> why it does not apply."""

NAIVE: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "window": window_attention,
    "full": window_attention,
    "titans-lmm": neural_memory,
    "ttt": neural_memory,
    "linear-attention": neural_memory,
    "deltanet": neural_memory,
    "gated-deltanet": neural_memory,
    "omeganet": neural_memory,
    "atlas": neural_memory,
    "atlas-plus": neural_memory,
    "dla": neural_memory,
    "swla": neural_memory,
    "titans-mac": mac,
    "titans-mag": mag,
    "titans-mal": mal,
    "deeptransformer": kernel_memory,
    "dot": kernel_memory,
    **OTHERS,
}
"""Name -> (the layer with chunk 1, x [B, T, D]) -> y [B, T, D]: its definition, token after token, slow and obvious."""


RECALL: dict[str, Callable[[], Recall]] = {
    "titans-lmm": neural_recall("titans-lmm", hidden=64),
    "ttt": neural_recall("ttt"),
    "linear-attention": neural_recall("linear-attention"),
    "deltanet": neural_recall("deltanet"),
    "gated-deltanet": neural_recall("gated-deltanet"),
    "omeganet": neural_recall("omeganet", hidden=64, chunk=1),
    "atlas": neural_recall("atlas", rate=0.3, hidden=64, chunk=4),
    "atlas-plus": neural_recall("atlas-plus", rate=0.3, hidden=64, chunk=4),
    "dla": neural_recall("dla", hidden=64),
    "swla": neural_recall("swla"),
    "deeptransformer": kernel_recall("deeptransformer"),
    "dot": kernel_recall("dot"),
    **OTHER_RECALLS,
}
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
