"""InfLLM (Xiao et al., NeurIPS 2024, arXiv 2402.04617): a window, and blocks of the far past that match the question.

The last ``window`` tokens are read where they stand. What leaves the window is gathered; once there is enough of it,
it is cut into blocks of ``block`` tokens, which are put away (:mod:`mnemic.attention.blocks`). A block is known by the
keys of its ``representatives`` tokens that received most attention while they were in the window. In every forward the
queries elect the ``blocks`` that match best, and those are read, together with the first ``sinks`` tokens and what is
not yet in a block. All that is farther than the window appears at one distance, the window's length.

How they vote is a setting (:mod:`mnemic.attention.votes`). ``vote="mean"`` is the paper's: in every layer by itself,
the mean of all queries and heads against the mean of a block's representatives. The default, ``"peak"``, is a
deviation: one election for all layers, in which the single head that would attend to a block most speaks for it. Votes
fade from forward to forward, and none is kept when the next text or question begins. On a model of 135 million
parameters the heads that know where to look are few, and a mean drowns them (``benchmarks/attention.md``). It needs
more representatives; the paper has four.

One selection serves all queries of a forward, so that what a prompt reads depends on how it is cut (the paper uses
pieces of 512).
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
from mnemic.attention.votes import VOTES, known_by, mean, peak
from mnemic.errors import InputError


@dataclass(frozen=True)
class BlockRetrieval(Policy):
    """Sizes are the published ones; the paper's headline runs read 96 (Mistral) or 32 (Llama 3) blocks.

    ``tier`` and ``cached``: see :mod:`mnemic.attention.blocks`. ``piece`` is the most tokens of one forward. ``fade``
    is what is left of a vote of one forward in the next (``peak`` alone).
    """

    window: int = 4096
    sinks: int = 128
    block: int = 128
    blocks: int = 16
    representatives: int = 8
    piece: int = 512
    tier: str = "memory"
    cached: int = 32
    vote: str = "peak"
    fade: float = 0.9

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
        if self.vote not in VOTES:
            raise InputError(f"there is no vote {self.vote!r}: use one of {', '.join(VOTES)}")
        if not 0 <= self.fade <= 1:
            raise InputError("fade is what is left of a vote, from 0 to 1")

    def check(self, anatomy: Anatomy) -> None:
        if self.window >= anatomy.window:
            raise InputError(f"the window must be shorter than the {anatomy.window} tokens this model was trained for")

    def chunk_free(self) -> bool:
        return False

    def chunk_limit(self) -> int | None:
        return self.piece

    def limit(self) -> int | None:
        if self.tier == "memory":
            return None
        return self.sinks + self.window + self.block + self.cached * self.block

    def begin_prefill(self, row: Row) -> None:
        row.extra.pop("votes", None)  # what the text before was about says nothing about what is asked now

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
        held = self.held(layer)
        known = held.representative
        if known is not None:
            chosen = self.choose(layer, self.scores(layer, row, row.anatomy.rope.apply(q, self.window), known))
            keys, values = held.take(chosen, q.device)
            at = torch.cat([torch.arange(*held.spans[i], device=q.device) for i in chosen])
            found.append(Segment(keys, values, self.window, 0, at=at, tag="retrieved"))
        return found

    def scores(self, layer: Layer, row: Row, q: Tensor, known: Tensor) -> Tensor:
        """The votes [n] that the blocks, ``known`` by keys [h, n, r, D], get from queries ``q`` [H, L, D], which are
        turned to the window's length."""
        if self.vote == "mean":
            return mean(q, known)
        sinks = layer.tape("sink")
        found = peak(q, known, sinks.k if len(sinks) else None)
        # Lower layers of this forward and all of those before it have voted too; blocks made since have no votes yet.
        before: Tensor = row.extra.get("votes", found[:0])
        found = torch.cat((torch.maximum(before, found[: len(before)]), found[len(before) :]))
        row.extra["votes"] = found
        return found

    def choose(self, layer: Layer, scores: Tensor) -> list[int]:
        """The blocks to read by their ``scores`` [n], in the order of the text."""
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
        if "votes" in row.extra:
            row.extra["votes"] = row.extra["votes"] * self.fade
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
        tape, score = layer.tape("local"), layer.extra["score"][:, :size]
        k, v, at = tape.k[:, :size], tape.v[:, :size], tape.pos
        known = known_by(self.vote, k, score, self.representatives)
        self.held(layer).append(k, v, known, (int(at[0]), int(at[size - 1]) + 1))
        tape.drop_front(size)
        layer.extra["score"] = layer.extra["score"][:, size:]
