"""Memory inside attention: policies that decide which keys and values a transformer reads.

>>> import mnemic.attention as attention                                                   # doctest: +SKIP
>>> with attention.attach(model, attention.LambdaWindow(window=2048)) as session:          # doctest: +SKIP
...     session.prefill(ids)
...     session.generate(max_new_tokens=20)

Names come from where they live on first use: this import pulls no torch. They need the extra ``[torch]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemic.lazy import names

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
    "attach": "session",
    "Session": "session",
    "Policy": "policy",
    "FullAttention": "policy",
    "ChannelPrune": "policies.channel_prune",
    "HierarchicalTopK": "policies.hierarchical_topk",
    "GatedBank": "policies.gated_bank",
    "Resonance": "policies.resonance",
    "Reweave": "policies.reweave",
    "Compose": "compose",
    "Modifier": "compose",
    "KVBlob": "blob",
    "inject": "blob",
    "Sampling": "sample",
    "SpeculativeDecoder": "speculate",
    "Transfer": "speculate",
    "LambdaWindow": "policies.lambda_window",
    "SurprisalEviction": "policies.surprisal_eviction",
    "BlockRetrieval": "policies.block_retrieval",
    "Beacon": "policies.beacon",
    "BeaconStandIn": "policies.beacon_standin",
    "BeaconWeights": "beacon_weights",
    "Remembering": "remembering",
    "clues": "remembering",
    "EventRetrieval": "policies.event_retrieval",
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

__getattr__ = names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
