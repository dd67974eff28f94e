"""HiP (Lee et al., ICLR 2025, arXiv 2406.09827): every key is kept, a few are read, found by a search in a tree.

Neighbouring keys have similar scores, so a stretch of keys can be judged by the one in its middle. For each block of
queries and each head the past is cut into ``keys / step`` equal stretches; each is split in two, halves are judged by
their middle key (the best score over the block's queries), the better half of the halves stays; and so on until a
stretch is ``step`` keys long. That takes log2(T step / keys) rounds. Read are the keys of the stretches that are left,
the first ``sinks``, and the last ``window``; the first ``dense`` layers read everything.

Keys stand where they were said: unlike windows, this does not go beyond the length that a model was trained for. While
tokens are generated, a search serves ``refresh`` steps. Memory is not saved, keys are read less. The quality claims of
the paper are for a dense prefill: set ``prefill`` to ``dense`` for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.cache import Layer, Row
from mnemic.attention.policy import Policy
from mnemic.attention.segment import Segment, causal
from mnemic.errors import InputError


@dataclass(frozen=True)
class HierarchicalTopK(Policy):
    """The paper's defaults. ``keys`` of them are read per block of ``queries`` queries."""

    keys: int = 512
    queries: int = 32
    step: int = 2
    sinks: int = 16
    window: int = 256
    dense: int = 3
    refresh: int = 8
    prefill: str = "sparse"

    name = "hip"
    paper = "HiP, arXiv 2406.09827"
    holds_all = True

    def __post_init__(self) -> None:
        if min(self.keys, self.queries, self.step, self.window, self.refresh) < 1 or min(self.sinks, self.dense) < 0:
            raise InputError("sizes must be at least 1, sinks and dense not negative")
        if self.keys % self.step or self.refresh > self.window:
            raise InputError("keys must be a multiple of step, and refresh at most the window, or keys would be missed")
        if self.prefill not in ("sparse", "dense"):
            raise InputError(f"prefill is sparse or dense, not {self.prefill!r}")

    def chunk_free(self) -> bool:
        return False  # blocks of queries begin where a forward does

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        tape = layer.tape()
        tape.append(k, v, pos)
        seen = causal(pos, tape.pos)
        if layer.index >= self.dense and not (self.prefill == "dense" and len(pos) > 1):
            near = causal(pos, tape.pos, self.window) | (tape.pos < self.sinks)[None, None, None]
            seen = seen & (near | self.mask(layer, row, q, pos))
        return [Segment(tape.k, tape.v, pos, tape.pos, seen, at=tape.pos)]

    def mask(self, layer: Layer, row: Row, q: Tensor, pos: Tensor) -> Tensor:
        """What the search found, as visibility [Hk, G, L, n]."""
        tape = layer.tape()
        n, hk = len(tape), tape.k.shape[0]
        if len(pos) == 1 and (held := layer.extra.get("mask")) is not None and layer.extra["age"] < self.refresh:
            layer.extra["age"] = layer.extra["age"] + 1
            grown: Tensor = pad(held, n)
            return grown.reshape(hk, -1, 1, n)
        rope = row.anatomy.rope
        turned, keys = rope.apply(q, pos), rope.apply(tape.k, tape.pos)
        found = torch.zeros(q.shape[0], len(pos), n, dtype=torch.bool, device=q.device)
        for start in range(0, len(pos), self.queries):
            block = turned[:, start : start + self.queries]
            chosen = search(block, keys, int(pos[start]) + block.shape[1], self.keys, self.step)
            found[:, start : start + self.queries] = pad(chosen, n)[:, None]
        layer.extra["mask"], layer.extra["age"] = found[:, -1], 1
        return found.reshape(hk, -1, len(pos), n)


def pad(mask: Tensor, n: int) -> Tensor:
    """``mask`` [H, m] with nothing found up to ``n``."""
    return torch.nn.functional.pad(mask, (0, n - mask.shape[1]))


def search(q: Tensor, keys: Tensor, length: int, count: int, step: int) -> Tensor:
    """Which of the first ``length`` keys are chosen, bool [H, length], for a block of rotated queries ``q`` [H, b, D]
    over rotated ``keys`` [Hk, n, D]: about ``count`` of them, in stretches of ``step``."""
    heads = q.shape[0]
    found = torch.zeros(heads, length, dtype=torch.bool, device=q.device)
    if length <= count:
        return ~found
    stretches = count // step
    edges = torch.linspace(0, length, stretches + 1, device=q.device).round().long()
    start, end = edges[:-1].expand(heads, -1), edges[1:].expand(heads, -1)
    group = torch.arange(heads, device=q.device) // (heads // keys.shape[0])
    while int((end - start).max()) > step:
        middle = (start + end + 1) // 2
        starts, ends = torch.cat((start, middle), 1), torch.cat((middle, end), 1)
        judged = ((starts + ends) // 2).clamp_max(length - 1)
        scores = torch.einsum("hbd,hcd->hbc", q, keys[group[:, None], judged]).amax(1)
        scores = scores.masked_fill(ends <= starts, float("-inf"))
        best = scores.topk(stretches, dim=1).indices
        start, end = starts.gather(1, best), ends.gather(1, best)
    for offset in range(step):
        at = start + offset
        inside = at < end
        found |= torch.zeros_like(found).scatter(1, at.clamp_max(length - 1), inside)
    return found
