"""Memory inside attention: policies that decide which keys and values a transformer reads.

>>> import mnemic.attention as attention                                                   # doctest: +SKIP
>>> with attention.attach(model, attention.LambdaWindow(window=2048)) as session:          # doctest: +SKIP
...     session.prefill(ids)
...     session.generate(max_new_tokens=20)

Names come from where they live on first use: this import pulls no torch. They need the extra ``[torch]``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mnemic.errors import MissingExtraError

if TYPE_CHECKING:
    from mnemic.attention.beacon_weights import BeaconWeights
    from mnemic.attention.blob import KVBlob, inject
    from mnemic.attention.compose import Compose, Modifier
    from mnemic.attention.policies.beacon import Beacon
    from mnemic.attention.policies.beacon_standin import BeaconStandIn
    from mnemic.attention.policies.block_retrieval import BlockRetrieval
    from mnemic.attention.policies.channel_prune import ChannelPrune
    from mnemic.attention.policies.event_retrieval import EventRetrieval
    from mnemic.attention.policies.gated_bank import GatedBank
    from mnemic.attention.policies.hierarchical_topk import HierarchicalTopK
    from mnemic.attention.policies.lambda_window import LambdaWindow
    from mnemic.attention.policies.resonance import Resonance
    from mnemic.attention.policies.reweave import Reweave
    from mnemic.attention.policies.surprisal_eviction import SurprisalEviction
    from mnemic.attention.policy import FullAttention, Policy
    from mnemic.attention.remembering import Remembering, clues
    from mnemic.attention.sample import Sampling
    from mnemic.attention.session import Session, attach
    from mnemic.attention.speculate import SpeculativeDecoder, Transfer

_HOMES = {
    "attach": "mnemic.attention.session",
    "Session": "mnemic.attention.session",
    "Policy": "mnemic.attention.policy",
    "FullAttention": "mnemic.attention.policy",
    "ChannelPrune": "mnemic.attention.policies.channel_prune",
    "HierarchicalTopK": "mnemic.attention.policies.hierarchical_topk",
    "GatedBank": "mnemic.attention.policies.gated_bank",
    "Resonance": "mnemic.attention.policies.resonance",
    "Reweave": "mnemic.attention.policies.reweave",
    "Compose": "mnemic.attention.compose",
    "Modifier": "mnemic.attention.compose",
    "KVBlob": "mnemic.attention.blob",
    "inject": "mnemic.attention.blob",
    "Sampling": "mnemic.attention.sample",
    "SpeculativeDecoder": "mnemic.attention.speculate",
    "Transfer": "mnemic.attention.speculate",
    "LambdaWindow": "mnemic.attention.policies.lambda_window",
    "SurprisalEviction": "mnemic.attention.policies.surprisal_eviction",
    "BlockRetrieval": "mnemic.attention.policies.block_retrieval",
    "Beacon": "mnemic.attention.policies.beacon",
    "BeaconStandIn": "mnemic.attention.policies.beacon_standin",
    "BeaconWeights": "mnemic.attention.beacon_weights",
    "Remembering": "mnemic.attention.remembering",
    "clues": "mnemic.attention.remembering",
    "EventRetrieval": "mnemic.attention.policies.event_retrieval",
}

__all__ = [
    "Beacon",
    "BeaconStandIn",
    "BeaconWeights",
    "BlockRetrieval",
    "ChannelPrune",
    "Compose",
    "EventRetrieval",
    "FullAttention",
    "GatedBank",
    "HierarchicalTopK",
    "KVBlob",
    "LambdaWindow",
    "Modifier",
    "Policy",
    "Remembering",
    "Resonance",
    "Reweave",
    "Sampling",
    "Session",
    "SpeculativeDecoder",
    "SurprisalEviction",
    "Transfer",
    "attach",
    "clues",
    "inject",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnemic.attention' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name in ("torch", "transformers", "safetensors"):
            raise MissingExtraError(
                f"mnemic.attention needs {error.name}: install it with: pip install 'mnemic[torch]'"
            ) from error
        raise


def __dir__() -> list[str]:
    return sorted(__all__)
