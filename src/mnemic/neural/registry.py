"""The layers by name, for command lines, result files and the tests that every layer must pass."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mnemic.errors import InputError, NotFoundError
from mnemic.neural.layer import MemoryLayer


@dataclass(frozen=True)
class Entry:
    """One named layer: ``home`` is ``module:Class`` under ``mnemic.neural``, ``settings`` what the name fixes,
    ``paper`` where it comes from, ``about`` one line on what it remembers and how."""

    home: str
    paper: str
    about: str
    settings: Mapping[str, Any] = field(default_factory=dict)


LAYERS: dict[str, Entry] = {
    "window": Entry("layers.attention:WindowAttention", "", "the last tokens, by softmax attention"),
    "full": Entry("layers.attention:FullAttention", "", "every token, by softmax attention; its state grows"),
    "titans-lmm": Entry(
        "layers.neural_memory:NeuralMemory", "arXiv 2501.00663", "pairs, by a network trained on them as they come"
    ),
    "ttt": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2407.04620",
        "pairs, by gradient steps of a matrix with a residual (without its inner layer norm)",
        {"net": "linear", "residual": True, "momentum": False, "forget": False, "chunk": 16, "max_rate": 1.0},
    ),
    "linear-attention": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2006.16236",
        "sums of outer products of keys and values (identity features; normed instead of divided)",
        {
            "net": "linear",
            "loss": "dot",
            "momentum": False,
            "forget": False,
            "rate": 1.0,
            "learned_start": False,
            "conv": 0,
        },
    ),
    "deltanet": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2406.06484",
        "the latest value of each key, by the delta rule, exactly",
        {
            "net": "linear",
            "momentum": False,
            "forget": False,
            "exact": True,
            "max_rate": 1.0,
            "learned_start": False,
        },
    ),
    "gated-deltanet": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2412.06464",
        "the latest value of each key, by the delta rule with forgetting, exactly",
        {"net": "linear", "momentum": False, "exact": True, "max_rate": 1.0, "learned_start": False},
    ),
    "omeganet": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2505.23735",
        "windows of pairs, by a network trained on each window",
        {"momentum": False, "window": 4, "features": "poly2"},
    ),
    "atlas": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2505.23735",
        "windows of pairs, by a network whose momentum is made orthogonal",
        {"window": 4, "features": "poly2", "newton_schulz": 5, "chunk": 16, "max_rate": 0.1},
    ),
    "atlas-plus": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2505.23735",
        "as atlas, with a gated network",
        {"net": "gated", "window": 4, "features": "poly2", "newton_schulz": 5, "chunk": 16, "max_rate": 0.1},
    ),
    "dla": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2505.23735",
        "sums of products as linear attention's, in a deep network",
        {"loss": "dot", "momentum": False},
    ),
    "swla": Entry(
        "layers.neural_memory:NeuralMemory",
        "arXiv 2505.23735",
        "linear attention that writes windows of tokens at each step",
        {"net": "linear", "loss": "dot", "momentum": False, "window": 4, "learned_start": False},
    ),
    "titans-mac": Entry("blocks:MACBlock", "arXiv 2501.00663", "as titans-lmm; its answers are context for attention"),
    "titans-mag": Entry("blocks:MAGBlock", "arXiv 2501.00663", "as titans-lmm; its answers gate attention"),
    "titans-mal": Entry("blocks:MALBlock", "arXiv 2501.00663", "as titans-lmm; attention reads its answers"),
    "deeptransformer": Entry(
        "layers.kernel:KernelMemory",
        "arXiv 2505.23735",
        "every pair, by undivided exponential attention (the linear case); its state grows",
        {"delta": False},
    ),
    "dot": Entry(
        "layers.kernel:KernelMemory", "arXiv 2505.23735", "every pair, by the delta rule on attention; its state grows"
    ),
    "ssm": Entry("layers.ssm:SelectiveSSM", "arXiv 2405.21060", "a decaying state for each head, chosen by the token"),
    "memmamba": Entry(
        "layers.pool:StatePoolMemory",
        "arXiv 2510.03279",
        "state spaces that keep notes of a few tokens, within and across layers",
    ),
    "cmr": Entry(
        "layers.pool:StatePoolMemory",
        "an interpretation of arXiv 2502.02046, which gives no equations",
        "window attention, and states of several layers that are captured and woven in again",
        {"carrier": "window", "across": "all", "replace": "priority"},
    ),
    "hmt": Entry(
        "layers.segment:SegmentMemory",
        "arXiv 2405.06067",
        "memory embeddings of segments in a queue, recalled with a summary",
    ),
    "rmt": Entry(
        "layers.segment:SegmentMemory",
        "arXiv 2207.06881",
        "memory embeddings handed from one segment to the next",
        {"recall": 0, "sensory": 0},
    ),
    "rxt": Entry(
        "layers.slots:SlotMemory",
        "arXiv 2510.03561 (patent application P.453260 claimed)",
        "slots that attend to each turn when it is over",
    ),
    "pmi-wm": Entry(
        "layers.slots:SlotMemory",
        "arXiv 2310.09297",
        "slots for which the tokens of a chunk compete",
        {"writer": "competitive"},
    ),
    "pmi-ltm": Entry(
        "layers.outer:OuterProductMemory",
        "arXiv 2310.09297",
        "outer products of what passes through slots, corrected by them",
    ),
    "resonance": Entry(
        "layers.resonance:HebbianResonance",
        "an interpretation of arXiv 2502.10699, whose equations could not be had",
        "window attention and a Hebbian matrix that changes how queries and keys compare",
    ),
    "longmem": Entry(
        "layers.bank:KVBankMemory",
        "arXiv 2306.07174",
        "window attention beside a bank of chunks of what left it; its state grows up to its capacity",
    ),
}


def make(name: str, d_model: int, **settings: Any) -> MemoryLayer:
    """The layer called ``name`` over ``d_model`` features.

    Raises :class:`NotFoundError` for an unknown name and :class:`InputError` for a setting that it has not."""
    if name not in LAYERS:
        raise NotFoundError(f"there is no layer {name!r}: use one of {', '.join(LAYERS)}")
    entry = LAYERS[name]
    module, _, cls = entry.home.partition(":")
    made = getattr(import_module(f"mnemic.neural.{module}"), cls)
    known = list(inspect.signature(made.__init__).parameters)[2:]
    for each in settings:
        if each not in known:
            raise InputError(f"{name} has no setting {each!r}: its settings are {', '.join(known)}")
    layer: MemoryLayer = made(d_model, **{**entry.settings, **settings})
    return layer
