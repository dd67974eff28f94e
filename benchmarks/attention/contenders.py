"""The policies that are compared, every one with the same budget of tokens that a query may read, and the controls."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.cache import Row
from mnemic.attention.policies.surprisal_eviction import SurprisalEviction
from mnemic.attention.policy import Policy
from mnemic.attention.registry import make


def contenders(budget: int) -> dict[str, Policy]:
    """Name -> policy. ``full``, ``hip`` and ``think`` keep every token, ``beacon-standin`` one of sixteen; the
    tables say what is resident."""
    half, whole = str(budget // 2), str(budget)
    block = {"window": half, "sinks": "16", "block": "64", "blocks": str(budget // 128 - 1), "piece": "256"}
    near = {"window": str(budget - 10), "sinks": "10"}
    return {
        "full": make("full"),
        "streaming": make("streaming", {"window": str(budget - 4), "sinks": "4"}),
        "lambda": make("lambda", near),
        "surprisal": make("surprisal", {"capacity": whole}),
        "random": Random(capacity=budget),
        "infllm": make("infllm", block),
        "infllm-mean": make("infllm", {**block, "vote": "mean", "representatives": "4"}),
        "emllm": make("emllm", {**block, "memory": str(budget // 2 - 16), "shortest": "4"}),
        "hip": make("hip", {"keys": half, "window": str(budget // 2 - 16)}),
        "think": make("think", {"ratio": "0.4"}),
        "longmem": make("longmem", {"window": str(budget - 64 - 4), "sinks": "4"}),
        "beacon-standin": make("beacon-standin", {"stride": half, "ratio": "16"}),
        "lambda+resonance": make("lambda+resonance", near),
        "lambda+reweave": make("lambda+reweave", near),
    }


@dataclass(frozen=True)
class Random(SurprisalEviction):
    """The control of SirLLM: as many tokens of the past are kept, but any, instead of those that surprised."""

    name = "random"

    def measured(self, row: Row, ids: Tensor, logits: Tensor) -> Tensor:
        rng = random.Random(row.seen)
        return torch.tensor([rng.random() for _ in range(len(ids))])


@dataclass(frozen=True)
class Interval(SurprisalEviction):
    """The other control of SirLLM: tokens of the past at even distances."""

    name = "interval"

    def measured(self, row: Row, ids: Tensor, logits: Tensor) -> Tensor:
        # The bits of a place in reverse (van der Corput): the largest of them lie evenly, however many are kept.
        places = range(row.seen - len(ids), row.seen)
        return torch.tensor([int(f"{place:020b}"[::-1], 2) / 2**20 for place in places])
