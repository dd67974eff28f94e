"""LM-Infinite (Han et al., NAACL 2024, arXiv 2308.16137); as a variant StreamingLLM (Xiao et al., arXiv 2309.17453).

Lambda-shaped attention: a query reads the last ``window`` tokens where they stand, and the first ``sinks`` tokens of
the text, which soak up attention that has nowhere to go. Beyond the window a sink appears at one constant distance
(the distance ceiling), so that no angle occurs that the model was not trained on. What lies between is forgotten: the
model stays fluent at any length, and does not know what was said there.

``slots`` is StreamingLLM's placement instead: tokens stand at their slots in the cache, so that the sinks move up to
the window's edge and everything is counted from there.

``middle`` is LM-Infinite's optional mode for downstream tasks: all keys are kept, and in the layers from
``middle_from`` on the last query of a forward also reads the ``middle`` keys of the forgotten stretch that match it
best, at the ceiling's distance. It is no constant-memory method any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policy import Policy
from mnemic.attention.segment import Segment, causal
from mnemic.errors import InputError


@dataclass(frozen=True)
class LambdaWindow(Policy):
    """``window`` tokens are read where they stand, ``sinks`` first tokens at the distance ``ceiling`` (default: the
    window). ``middle`` and ``middle_from``: see the module; the paper uses 5 keys from the 5th layer on."""

    window: int = 4096
    sinks: int = 10
    ceiling: int | None = None
    slots: bool = False
    middle: int = 0
    middle_from: int = 5

    name = "lambda"
    paper = "LM-Infinite, arXiv 2308.16137 (with slots: StreamingLLM, arXiv 2309.17453)"

    def __post_init__(self) -> None:
        if self.window < 1 or self.sinks < 0 or self.middle < 0:
            raise InputError("window must be at least 1 token, sinks and middle not negative")
        if self.middle and self.slots:
            raise InputError("middle needs keys where they stand: leave out slots")

    def check(self, anatomy: Anatomy) -> None:
        if self.window + self.sinks > anatomy.window:
            raise InputError(
                f"a window of {self.window} and {self.sinks} sinks are more than the {anatomy.window} tokens that this "
                "model was trained for: choose a smaller window"
            )

    def chunk_free(self) -> bool:
        return not self.middle  # which is for the last query of a forward

    def limit(self) -> int | None:
        return None if self.middle else self.window + self.sinks

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        sink, local = layer.take_in(k, v, pos, self.sinks)
        found = []
        if len(local):
            near = causal(pos, local.pos, self.window)
            found.append(Segment(local.k, local.v, pos, local.pos, near, at=local.pos))
        if len(sink):
            found += self._sinks(sink.k, sink.v, sink.pos, pos)
        if self.middle and layer.index >= self.middle_from and len(local):
            chosen = self._middle(row, local.k, local.v, local.pos, q, pos)
            found += [chosen] if chosen is not None else []
        return found

    def _sinks(self, k: Tensor, v: Tensor, at: Tensor, pos: Tensor) -> list[Segment]:
        """The sinks twice: where they stand for queries inside the window, at the ceiling for those beyond."""
        near = causal(pos, at, self.window)
        far = (pos[:, None] - at[None, :] >= self.window)[None, None]
        segments = [Segment(k, v, pos, at, near, at=at, tag="sink")]
        if bool(far.any()):
            if self.slots:  # the window's first token stands right after the sinks
                behind = self.window + self.sinks - 1
                segments.append(Segment(k, v, behind, at, far, at=at, tag="sink"))
            else:
                segments.append(Segment(k, v, self.ceiling or self.window, 0, far, at=at, tag="sink"))
        return segments

    def _middle(self, row: Row, k: Tensor, v: Tensor, at: Tensor, q: Tensor, pos: Tensor) -> Segment | None:
        """The best keys outside the window of the last query."""
        outside = torch.nonzero(pos[-1] - at >= self.window).flatten()
        if not len(outside):
            return None
        turned = row.anatomy.rope.apply(q[:, -1:], self.ceiling or self.window)
        groups = turned[:, 0].reshape(k.shape[0], -1, k.shape[2])
        scores = torch.einsum("hgd,hnd->hn", groups, k[:, outside])
        best = scores.sum(0).topk(min(self.middle, len(outside))).indices.sort().values
        chosen = outside[best]
        last = torch.zeros(len(pos), dtype=torch.bool, device=pos.device)
        last[-1] = True
        visible = last[None, None, :, None].expand(1, 1, -1, len(chosen))
        far = self.ceiling or self.window
        return Segment(k[:, chosen], v[:, chosen], far, 0, visible, at=at[chosen], tag="middle")

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        local = layer.tape("local")
        if not self.middle and len(local) > self.window:
            local.drop_front(len(local) - self.window)
