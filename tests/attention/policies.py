"""The policies that the invariants are tested on: with room for everything, and with little room."""

from __future__ import annotations

import torch
from models import tiny

from mnemic.attention.beacon_weights import BeaconWeights
from mnemic.attention.compose import Compose
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


def beacons(stride: int = 16, ratios: tuple[int, ...] = (4,), rank: int | None = None) -> BeaconWeights:
    """Beacons for the tiny model, as different from anything it has as trained ones would be."""
    made = BeaconWeights.untrained(tiny(), stride=stride, ratios=ratios, rank=rank)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return made


INFINITE: dict[str, Policy] = {
    "full": FullAttention(),
    "lambda": LambdaWindow(window=200, sinks=4),
    "streaming": LambdaWindow(window=200, sinks=4, slots=True),
    "lambda-middle": LambdaWindow(window=200, sinks=4, middle=5, middle_from=0),
    "surprisal": SurprisalEviction(capacity=250),
    "hip": HierarchicalTopK(keys=128, window=16, dense=1),
    "think": ChannelPrune(ratio=0.0),
    "longmem": GatedBank(window=200, sinks=4, gate=0.5),
    "resonance": Compose(FullAttention(), Resonance(strength=0.0)),
    "infllm": BlockRetrieval(window=150, sinks=4, block=8, blocks=99),
    "emllm": EventRetrieval(window=150, sinks=4, block=16, shortest=3, memory=999),
    "beacon-standin": BeaconStandIn(stride=16, ratio=1),
    "beacon-standin-open": BeaconStandIn(stride=200),
}
SMALL: dict[str, Policy] = {
    "full": FullAttention(),
    "lambda": LambdaWindow(window=24, sinks=4),
    "streaming": LambdaWindow(window=24, sinks=4, slots=True),
    "lambda-middle": LambdaWindow(window=24, sinks=4, middle=5, middle_from=1),
    "surprisal": SurprisalEviction(capacity=40, sinks=2, decay=0.9),
    "hip": HierarchicalTopK(keys=24, queries=8, sinks=2, window=8, dense=1, refresh=4),
    "think": ChannelPrune(ratio=0.4, recent=8, observed=8),
    "think-both": ChannelPrune(ratio=0.4, recent=8, observed=8, values=0.3),
    "think-pairs": ChannelPrune(ratio=0.4, recent=8, observed=8, pairwise=True),
    "longmem": GatedBank(window=24, sinks=4, gate=0.5, capacity=32, layer=1),
    "resonance": Compose(FullAttention(), Resonance(strength=0.5)),
    "resonance-pathway": Compose(LambdaWindow(window=24, sinks=4), Resonance(strength=0.3, pathway=0.2)),
    "reweave": Compose(LambdaWindow(window=24, sinks=4), Reweave(strength=0.3, states=16)),
    "infllm-resonance": Compose(
        BlockRetrieval(window=24, sinks=4, block=8, blocks=3, representatives=2, piece=16), Resonance(strength=0.5)
    ),
    "infllm": BlockRetrieval(window=24, sinks=4, block=8, blocks=3, representatives=2, piece=16),
    "infllm-mean": BlockRetrieval(window=24, sinks=4, block=8, blocks=3, representatives=2, piece=16, vote="mean"),
    "infllm-disk": BlockRetrieval(window=24, sinks=4, block=8, blocks=3, piece=16, tier="disk", cached=4),
    "emllm": EventRetrieval(window=24, sinks=4, block=12, shortest=3, memory=40, piece=16, refine_from=1),
    "emllm-plain": EventRetrieval(window=24, block=12, shortest=3, memory=30, refine="none", contiguity=0.0),
    "beacon": Beacon(beacons()),
    "beacon-low-rank": Beacon(beacons(stride=12, ratios=(2, 6), rank=3), ratio=6),
    "beacon-standin": BeaconStandIn(stride=16, ratio=4),
    "beacon-standin-even": BeaconStandIn(stride=12, ratio=3, rule="even"),
    "beacon-standin-nothing": BeaconStandIn(stride=16, rule="nothing"),
    "beacon-standin-resonance": Compose(BeaconStandIn(stride=16, ratio=4), Resonance(strength=0.5)),
}
UNBOUNDED = {
    *("full", "lambda-middle", "hip", "think", "think-both", "think-pairs", "resonance"),
    *(
        "infllm",
        "infllm-mean",
        "infllm-resonance",
        "emllm",
        "emllm-plain",
    ),  # their blocks are in memory; on disk they have a bound
    *("beacon", "beacon-low-rank"),  # grow by a few tokens for each window: tests/attention/test_beacon.py
    *("beacon-standin", "beacon-standin-even", "beacon-standin-resonance"),
}
"""Those of ``SMALL`` that keep everything, so that no budget can be exceeded."""
CHUNK_FREE = {
    *("full", "lambda", "streaming", "think", "think-both", "think-pairs"),
    *("beacon", "beacon-low-rank"),  # windows are counted from the text's beginning
    *("beacon-standin", "beacon-standin-even", "beacon-standin-nothing"),
}
"""Those whose result does not depend on how a prompt is cut."""
