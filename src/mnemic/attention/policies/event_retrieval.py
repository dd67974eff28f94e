"""EM-LLM (Fountas et al., ICLR 2025, arXiv 2407.09450): InfLLM with episodes, as people remember them.

Blocks are events of different lengths. A new one begins where a token surprises: its surprisal exceeds the mean of
the tokens in the window before by ``gamma`` standard deviations. Boundaries are then moved so that what is alike
stays together (:mod:`mnemic.attention.boundaries`: modularity or conductance of the similarity of keys). Two buffers
are read: events that match the question, up to ``memory`` tokens, and, in a share ``contiguity`` of them, the
neighbours of events that were recalled, which stay for a while: what happened next comes to mind too.

Deviations: the published code cuts one token before the surprising one, this cuts at it. Tokens that the model writes
itself may open events too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.boundaries import MEASURES, refine
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policies.block_retrieval import BlockRetrieval
from mnemic.attention.surprise import surprisals
from mnemic.errors import InputError


@dataclass(frozen=True)
class EventRetrieval(BlockRetrieval):
    """Events of ``shortest`` to ``block`` tokens (longer ones are split, shorter ones joined to the next). ``refine``
    is ``modularity``, ``conductance`` or ``none``; keys of the layers from ``refine_from`` on are compared (the paper:
    20; None: the upper third)."""

    memory: int = 2048
    shortest: int = 8
    gamma: float = 1.0
    refine: str = "modularity"
    refine_from: int | None = None
    contiguity: float = 0.3

    name = "emllm"
    paper = "EM-LLM, arXiv 2407.09450"
    needs = frozenset({"mass", "logits"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.shortest <= self.block:
            raise InputError("the shortest event has at least 1 token and at most as many as a block")
        if not 0 <= self.contiguity < 1:
            raise InputError("contiguity is a share of the memory from 0 up to 1")
        if self.refine not in (*MEASURES, "none"):
            raise InputError(f"there is no refinement {self.refine!r}: use {', '.join(MEASURES)} or none")

    def limit(self) -> int | None:
        if self.tier == "memory":
            return None
        return self.sinks + self.window + 2 * self.block + self.cached * self.block

    # -- reading ---------------------------------------------------------------------------------------------

    def choose(self, layer: Layer, scores: Tensor) -> list[int]:
        held = self.held(layer)
        size = [end - start for start, end in held.spans]
        near = int(self.contiguity * self.memory)
        similar: list[int] = []
        left = self.memory - near
        for i in scores.argsort(descending=True, stable=True).tolist():
            if size[i] > left and (not similar or size[i] - left >= left):  # taken only if that comes closer
                break
            similar.append(i)
            left -= size[i]
            if left <= 0:
                break
        queue: list[int] = [i for i in layer.extra.get("queue", []) if i not in similar]
        for i in similar:
            for neighbour in (i + 1, i - 1):
                if 0 <= neighbour < len(held) and neighbour not in similar and neighbour not in queue:
                    queue.append(neighbour)
        while queue and sum(size[i] for i in queue) > near:
            queue.pop(0)
        layer.extra["queue"] = queue
        return sorted({*similar, *queue})

    # -- remembering -----------------------------------------------------------------------------------------

    def after_forward(self, row: Row, ids: Tensor, logits: Tensor) -> None:
        self.mark(row, surprisals(row, ids, logits))
        super().after_forward(row, ids, logits)

    def mark(self, row: Row, found: Tensor) -> None:
        """Find the events that begin among the new tokens, whose surprisals are ``found`` [L]."""
        start = row.seen - len(found)
        before: Tensor = row.extra.get("surprisal", found[:0])
        known = before[-self.window :] if len(before) else found
        mean, spread = known.mean(), known.std(correction=0)
        begins = (torch.nonzero(found > mean + self.gamma * spread).flatten() + start).tolist()
        last: list[int] = row.extra.get("events", [])
        if self.refine != "none" and begins:
            begins = self.refined(row, begins, last[-1] if last else self.sinks)
        row.extra["events"] = [*last, *begins]
        row.extra["surprisal"] = torch.cat((before, found))[-self.window :]

    def refined(self, row: Row, begins: list[int], since: int) -> list[int]:
        """``begins`` moved to where keys part; ``since`` is where the event before them began."""
        layers = row.layers[len(row.layers) * 2 // 3 if self.refine_from is None else self.refine_from :]
        at = layers[0].tape("local").pos if layers and len(layers[0].tape("local")) else torch.zeros(0)
        if not len(at):
            return begins
        first = max(since, int(at[0]))
        keys = [layer.tape("local").k[:, first - int(at[0]) :].to(torch.float32) for layer in layers]
        stacked = torch.cat(keys, dim=0)
        inside = [b - first for b in begins if b > first]
        moved = refine(stacked, inside, self.shortest, self.refine)
        return [b for b in begins if b <= first] + [b + first for b in moved]

    def cuts(self, row: Row, new: int) -> list[int]:
        """The events that lie outside the window whole."""
        tape = row.layers[0].tape("local")
        if len(tape) <= self.window:
            return []
        start = int(tape.pos[0])
        end = start + len(tape) - self.window
        sizes: list[int] = []
        events: list[int] = row.extra.get("events", [])
        for begin in [*(b for b in events if start < b <= end), None]:
            if begin is None:  # the event goes on inside the window; if it is long, its beginning is cut off
                while end - start >= self.block:
                    sizes.append(self.block)
                    start += self.block
                break
            if begin - start < self.shortest:
                continue
            while begin - start > self.block:
                sizes.append(self.block)
                start += self.block
            sizes.append(begin - start)
            start = begin
        row.extra["events"] = [b for b in events if b > start]
        return sizes
