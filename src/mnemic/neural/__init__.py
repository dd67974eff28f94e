"""Layers that memorise at test time: one interface, and the architectures of the literature as layers with names.

>>> import mnemic.neural as neural                                                         # doctest: +SKIP
>>> layer = neural.make("gated-deltanet", 64)                                              # doctest: +SKIP
>>> y, state, aux = layer(x)                                                               # doctest: +SKIP

Names come from where they live on first use: this import pulls no torch. They need the extra ``[torch]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemic.lazy import names

if TYPE_CHECKING:
    from mnemic.neural.backbone import Backbone
    from mnemic.neural.blocks import LMMBlock, MACBlock, MAGBlock, MALBlock
    from mnemic.neural.fast import FastNet, GatedMLPFast, LinearFast, MLPFast
    from mnemic.neural.features import Identity, Poly2
    from mnemic.neural.layer import Aux, MemoryLayer
    from mnemic.neural.layers.attention import FullAttention, WindowAttention
    from mnemic.neural.layers.bank import KVBankMemory
    from mnemic.neural.layers.kernel import KernelMemory
    from mnemic.neural.layers.neural_memory import NeuralMemory
    from mnemic.neural.layers.outer import OuterProductMemory
    from mnemic.neural.layers.pool import StatePoolMemory
    from mnemic.neural.layers.resonance import HebbianResonance
    from mnemic.neural.layers.segment import SegmentMemory
    from mnemic.neural.layers.sidenet import SideNet
    from mnemic.neural.layers.slots import SlotMemory
    from mnemic.neural.layers.ssm import SelectiveSSM
    from mnemic.neural.layers.turns import TurnMemory
    from mnemic.neural.registry import LAYERS, Entry, make
    from mnemic.neural.rule import InnerRule
    from mnemic.neural.runner import SegmentRunner
    from mnemic.neural.state import MemState
    from mnemic.neural.train import Trainer, Training

_HOMES = {
    "Aux": "layer",
    "Backbone": "backbone",
    "Entry": "registry",
    "FastNet": "fast",
    "FullAttention": "layers.attention",
    "GatedMLPFast": "fast",
    "HebbianResonance": "layers.resonance",
    "Identity": "features",
    "InnerRule": "rule",
    "KVBankMemory": "layers.bank",
    "KernelMemory": "layers.kernel",
    "LAYERS": "registry",
    "LMMBlock": "blocks",
    "LinearFast": "fast",
    "MACBlock": "blocks",
    "MAGBlock": "blocks",
    "MALBlock": "blocks",
    "MLPFast": "fast",
    "MemState": "state",
    "MemoryLayer": "layer",
    "NeuralMemory": "layers.neural_memory",
    "OuterProductMemory": "layers.outer",
    "Poly2": "features",
    "SegmentMemory": "layers.segment",
    "SegmentRunner": "runner",
    "SelectiveSSM": "layers.ssm",
    "SideNet": "layers.sidenet",
    "SlotMemory": "layers.slots",
    "StatePoolMemory": "layers.pool",
    "Trainer": "train",
    "Training": "train",
    "TurnMemory": "layers.turns",
    "WindowAttention": "layers.attention",
    "make": "registry",
}

__all__ = [
    "LAYERS",
    "Aux",
    "Backbone",
    "Entry",
    "FastNet",
    "FullAttention",
    "GatedMLPFast",
    "HebbianResonance",
    "Identity",
    "InnerRule",
    "KVBankMemory",
    "KernelMemory",
    "LMMBlock",
    "LinearFast",
    "MACBlock",
    "MAGBlock",
    "MALBlock",
    "MLPFast",
    "MemState",
    "MemoryLayer",
    "NeuralMemory",
    "OuterProductMemory",
    "Poly2",
    "SegmentMemory",
    "SegmentRunner",
    "SelectiveSSM",
    "SideNet",
    "SlotMemory",
    "StatePoolMemory",
    "Trainer",
    "Training",
    "TurnMemory",
    "WindowAttention",
    "make",
]

__getattr__ = names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
