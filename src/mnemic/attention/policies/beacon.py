"""MemoRAG's compressive memory (Qian et al., WWW 2025, arXiv 2409.05591, section 2.2): windows condensed into beacons.

After every window of ``stride`` tokens the model reads k = stride / ratio tokens that are no words: their embeddings,
and what is added to the projections of queries, keys and values where they are read, are trained
(:mod:`mnemic.attention.beacon_training`), the model itself is not. A beacon sees the beacons of earlier windows, the
whole window, and the beacons before it. Then only the keys and values of the beacons stay, in every layer.

The beacons stand at the end of their window, as the paper has it; its code strews them between the tokens instead. That
each of the k has an embedding of its own is an interpretation (the code has one for all, told apart by where they
stand). A beacon's key is stored without a position, and read at its slot.

A text may be read in any pieces: beacons are read when a window is full, by themselves. What is held grows by k for a
window; a text of more than ratio times the model's length reaches positions that the model was not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy, fingerprint
from mnemic.attention.beacon_weights import BeaconWeights
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policies.windowed import Windowed
from mnemic.attention.segment import Segment
from mnemic.errors import ConflictError, InputError


@dataclass(frozen=True)
class Beacon(Windowed):
    """``weights`` are trained ones or the file that holds them; ``ratio`` is one of those they were trained for
    (default: the smallest, which forgets least)."""

    weights: BeaconWeights | str | None = None
    ratio: int | None = None

    name = "beacon"
    paper = "MemoRAG, arXiv 2409.05591 (its memory: beacon tokens, as in Activation Beacon, arXiv 2401.03462)"

    def __post_init__(self) -> None:
        if isinstance(self.weights, str):
            object.__setattr__(self, "weights", BeaconWeights.load(self.weights))
        if self.weights is not None and self.ratio is not None and self.ratio not in self._weights.ratios:
            told = ", ".join(map(str, self._weights.ratios))
            raise InputError(f"these beacons were trained for the ratios {told}, not {self.ratio}")

    @property
    def _weights(self) -> BeaconWeights:
        if not isinstance(self.weights, BeaconWeights):
            raise InputError(
                "beacon needs trained weights: give weights=FILE, make some with mnemic.attention.beacon_training, or "
                "use beacon-standin, which needs none"
            )
        return self.weights

    @property
    def stride(self) -> int:
        return self._weights.stride

    @property
    def count(self) -> int:
        """Beacons of a window."""
        return self.stride // (self.ratio or min(self._weights.ratios))

    def check(self, anatomy: Anatomy) -> None:
        weights = self._weights
        if weights.fingerprint != fingerprint(anatomy.model):
            raise ConflictError("these beacons were trained with another model: train them with this one")
        if self.stride + self.count > anatomy.window:
            raise InputError(
                f"a window of {self.stride} and {self.count} beacons are more than the {anatomy.window} tokens that "
                "this model was trained for: train beacons with a smaller stride"
            )
        weights.to(anatomy.model.device)

    def own(self, row: Row) -> Tensor | None:
        if len(row.layers[0].tape("local")) < self.stride:
            return None
        return self._weights.embedding[: self.count].to(row.anatomy.model.dtype)

    def reading(self, anatomy: Anatomy) -> AbstractContextManager[None]:
        return self._weights.added(anatomy)

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        local = layer.tape("local")
        if len(local) > self.stride:  # these were the beacons
            places = torch.arange(1, self.count + 1, device=pos.device) * (self.stride // self.count) - 1
            at = local.pos[0] + places
            self.close(layer, local.k[:, self.stride :], local.v[:, self.stride :], at)

    def settings(self) -> dict[str, Any]:
        return {"weights": self._weights.digest, "ratio": self.ratio}
