"""InfLLM (Xiao et al., NeurIPS 2024, arXiv 2402.04617): a window, and blocks of the far past that match the question.

The last ``window`` tokens are read where they stand. What leaves the window is gathered; once there is enough of it, it
is cut into blocks of ``block`` tokens, which are put away (:mod:`mnemic.attention.blocks`). A block is known by its
``representatives`` tokens that received most attention while they were in the window: the mean of their keys. For every
forward, in every layer, the queries' mean votes with all its heads for the ``blocks`` that match best, and those are
read, together with the first ``sinks`` tokens and what is not yet in a block. All that is farther than the window
appears at one distance, the window's length.

One selection serves all queries of a forward, so that what a prompt reads depends on how it is cut (the paper uses
pieces of 512).

``slots`` is a deviation: retrieved tokens stand in their order right behind the window instead of all at one place. A
small model that cannot tell apart what stands at one place finds more with it, if enough blocks are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.blocks import TIERS, Blocks
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policy import Policy
from mnemic.attention.segment import Segment, causal
from mnemic.errors import InputError


@dataclass(frozen=True)
class BlockRetrieval(Policy):
    """The published configuration; the paper's headline runs read 96 (Mistral) or 32 (Llama 3) blocks.

    ``tier`` and ``cached``: see :mod:`mnemic.attention.blocks`. ``piece`` is the most tokens of one forward. ``slots``:
    see the module.
    """

    window: int = 4096
    sinks: int = 128
    block: int = 128
    blocks: int = 16
    representatives: int = 4
    piece: int = 512
    tier: str = "memory"
    cached: int = 32
    slots: bool = False

    name = "infllm"
    paper = "InfLLM, arXiv 2402.04617"
    needs = frozenset({"mass"})

    def __post_init__(self) -> None:
        if (
            min(self.window, self.block, self.blocks, self.representatives, self.piece, self.cached) < 1
            or self.sinks < 0
        ):
            raise InputError("sizes must be at least 1, sinks not negative")
        if self.tier not in TIERS:
            raise InputError(f"there is no tier {self.tier!r}: use one of {', '.join(TIERS)}")

    def check(self, anatomy: Anatomy) -> None:
        if self.window + (self.retrieved if self.slots else 0) >= anatomy.window:
            what = "the window and what is retrieved" if self.slots else "the window"
            raise InputError(f"{what} must be shorter than the {anatomy.window} tokens this model was trained for")

    @property
    def retrieved(self) -> int:
        """The most tokens that a query reads of the far past."""
        return self.blocks * self.block

    def chunk_free(self) -> bool:
        return False

    def chunk_limit(self) -> int | None:
        return self.piece

    def limit(self) -> int | None:
        if self.tier == "memory":
            return None
        return self.sinks + self.window + self.block + self.cached * self.block

    # -- reading ---------------------------------------------------------------------------------------------

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        sink, local = layer.take_in(k, v, pos, self.sinks)
        found = []
        for tape, tag in ((local, "local"), (sink, "sink")):
            if len(tape):
                near = causal(pos, tape.pos, self.window)
                found.append(Segment(tape.k, tape.v, pos, tape.pos, near, at=tape.pos, tag=tag))
                # Only what is out of the window of the last query can be out of the window of any.
                count = int((tape.pos <= pos[-1] - self.window).sum())
                if count:
                    at = tape.pos[:count]
                    far = (pos[:, None] - at[None] >= self.window)[None, None]
                    found.append(
                        Segment(tape.k[:, :count], tape.v[:, :count], self.window, 0, far, at=at, tag="remainder")
                    )
        chosen = self.choose(layer, row.anatomy.rope.apply(q, self.window).mean(dim=1))
        if chosen:
            held = self.held(layer)
            keys, values = held.take(chosen, q.device)
            at = torch.cat([torch.arange(*held.spans[i], device=q.device) for i in chosen])
            # Behind the window, the last of them at its edge; or all at the edge.
            q_pos, k_pos = (
                (self.window + len(at) - 1, torch.arange(len(at), device=at.device)) if self.slots else (self.window, 0)
            )
            found.append(Segment(keys, values, q_pos, k_pos, at=at, tag="retrieved"))
        return found

    def choose(self, layer: Layer, query: Tensor) -> list[int]:
        """The blocks to read for the mean query [H, D], in the order of the text."""
        scores = self.held(layer).scores(query)
        return sorted(scores.topk(min(self.blocks, len(scores))).indices.tolist())

    def held(self, layer: Layer) -> Blocks:
        """The blocks of a layer."""
        found = layer.extra.get("blocks")
        if not isinstance(found, Blocks):
            found = Blocks.restored(found or {}, self.tier, self.cached)
            layer.extra["blocks"] = found
        return found

    # -- remembering -----------------------------------------------------------------------------------------

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        if mass is None or not len(layer.tape("local")):
            return
        got = mass[0]  # of the local tape, read where it stands
        before = layer.extra.get("score")
        if before is not None:
            got = torch.cat((got[:, : before.shape[1]] + before, got[:, before.shape[1] :]), dim=1)
        layer.extra["score"] = got

    def after_forward(self, row: Row, ids: Tensor, logits: Tensor) -> None:
        sizes = self.cuts(row, len(ids))
        if sizes:
            for layer in row.layers:
                for size in sizes:
                    self.put_away(layer, size)

    def cuts(self, row: Row, new: int) -> list[int]:
        """How many of the oldest tokens outside the window make the next blocks."""
        return [self.block] * ((len(row.layers[0].tape("local")) - self.window) // self.block)

    def put_away(self, layer: Layer, size: int) -> None:
        """Make a block of the oldest ``size`` tokens, known by those that were attended to most."""
        tape, score = layer.tape("local"), layer.extra["score"]
        k, v, at = tape.k[:, :size], tape.v[:, :size], tape.pos
        groups = score.shape[0] // k.shape[0]
        best = score[:, :size].topk(min(self.representatives, size), dim=-1).indices
        keys = k.repeat_interleave(groups, dim=0)
        representative = keys.gather(1, best[..., None].expand(-1, -1, k.shape[2])).mean(dim=1)
        self.held(layer).append(k, v, representative, (int(at[0]), int(at[size - 1]) + 1))
        tape.drop_front(size)
        layer.extra["score"] = score[:, size:]
