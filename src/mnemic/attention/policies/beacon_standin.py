"""A stand-in for beacons without training: of every full window some of its own tokens stay. Not MemoRAG's memory.

It reads and stores as :mod:`mnemic.attention.policies.beacon` does, so that all around it can be used with any model;
what a trained beacon would gather from a window it does not have. Rules:

* ``mass``: the tokens that were attended to most, summed over heads and over the tokens of their window that came after
  and themselves (H2O's score, arXiv 2306.14048, within a window); each layer chooses by itself. Tokens at a window's
  beginning were seen by more queries, which favours them.
* ``even``: the last of every ``ratio`` tokens.
* ``nothing``: none. The control of the others, and of trained beacons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policies.windowed import Windowed
from mnemic.attention.segment import Segment
from mnemic.errors import InputError

RULES = ("mass", "even", "nothing")


@dataclass(frozen=True)
class BeaconStandIn(Windowed):
    """Of every ``stride`` tokens stride / ``ratio`` stay, chosen by ``rule``."""

    stride: int = 2048
    ratio: int = 4
    rule: str = "mass"

    name = "beacon-standin"
    paper = "no paper: stands in for the trained memory of MemoRAG, arXiv 2409.05591"

    def __post_init__(self) -> None:
        if self.ratio < 1 or self.stride < 1 or self.stride % self.ratio:
            raise InputError(f"the stride must be a multiple of the ratio: {self.stride} is none of {self.ratio}")
        if self.rule not in RULES:
            raise InputError(f"there is no rule {self.rule!r}: use one of {', '.join(RULES)}")

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"mass"} if self.rule == "mass" else ())

    def check(self, anatomy: Anatomy) -> None:
        if self.stride > anatomy.window:
            raise InputError(
                f"lower the stride: this model was trained for {anatomy.window} tokens, not for {self.stride}"
            )

    def limit(self) -> int | None:
        return self.stride if self.rule == "nothing" else None

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        local = layer.tape("local")
        if mass is not None:
            got, before = mass[0].sum(0), layer.extra.get("score")
            if before is not None:
                got = torch.cat((got[: len(before)] + before, got[len(before) :]))
            layer.extra["score"] = got
        if len(local) == self.stride:
            self.close(layer, *local.take(self.chosen(layer, local.pos)))
            layer.extra.pop("score", None)

    def chosen(self, layer: Layer, pos: Tensor) -> Tensor:
        """Which tokens [m] of a full window stay, in their order."""
        if self.rule == "mass":
            score: Tensor = layer.extra["score"]
            return score.topk(self.stride // self.ratio).indices.sort().values
        every = torch.arange(self.ratio - 1, self.stride, self.ratio, device=pos.device)
        return every if self.rule == "even" else every[:0]
