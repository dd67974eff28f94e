"""SirLLM (Yao et al., ACL 2024, arXiv 2405.12528): what surprised the model is remembered, the rest is let go.

Every token has a surprisal -ln P(x_t | x_<t), the same for all layers. When a forward would not fit into the capacity,
the first ``sinks`` tokens and those of the highest surprisal stay, in their order; positions are slots of the cache, as
in StreamingLLM, so that none occurs that the model was not trained on. After each turn all surprisals are multiplied by
``decay``, those of the turn itself included (the paper's order): memories fade unless they were striking.

Here a turn begins with each ``prefill``. Where the paper expects the caller to leave room for the answer, single tokens
are evicted for it. The paper does not say what the first token of a turn counts as; it is judged by the logits that
came before it. ``released`` stores what the published code does instead of the surprisal
(:func:`mnemic.attention.surprise.repetition`), to compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policy import Policy
from mnemic.attention.segment import Segment, causal
from mnemic.attention.surprise import repetition, surprisals
from mnemic.errors import InputError


@dataclass(frozen=True)
class SurprisalEviction(Policy):
    """``capacity`` tokens, of which ``sinks`` first and ``recent`` last ones always stay (the paper: none recent);
    ``decay`` per turn was tuned in the paper for each model and task (1.0, 0.9, 0.7)."""

    capacity: int = 1024
    sinks: int = 4
    recent: int = 0
    decay: float = 1.0
    released: bool = False

    name = "surprisal"
    paper = "SirLLM, arXiv 2405.12528"
    needs = frozenset({"logits"})

    def __post_init__(self) -> None:
        if self.sinks < 0 or self.recent < 0 or self.capacity < self.sinks + self.recent + 2:
            raise InputError("capacity must hold the sinks, the recent tokens and at least two more")
        if not 0 <= self.decay <= 1:
            raise InputError(f"decay is between 0 and 1, not {self.decay}")

    def check(self, anatomy: Anatomy) -> None:
        if self.capacity > anatomy.window:
            raise InputError(f"the capacity is more than the {anatomy.window} tokens this model was trained for")

    def chunk_free(self) -> bool:
        return False

    def limit(self) -> int | None:
        return self.capacity

    def chunk_limit(self) -> int | None:
        return max(1, (self.capacity - self.sinks - self.recent) // 2)

    def begin_prefill(self, row: Row) -> None:
        if row.seen and self.decay < 1:
            row.extra["surprisal"] = row.extra["surprisal"] * self.decay

    def before_forward(self, row: Row, new: int) -> None:
        e: Tensor = row.extra.get("surprisal", torch.zeros(0))
        n = len(e)
        if n + new <= self.capacity:
            return
        keep = torch.zeros(n, dtype=torch.bool, device=e.device)
        keep[: self.sinks] = True
        keep[n - self.recent :] = True
        room = self.capacity - new - int(keep.sum())
        free = torch.nonzero(~keep).flatten()
        # Stable and from behind, so that of equals the later one stays.
        order = torch.argsort(e[free].flip(0), descending=True, stable=True)
        keep[free.flip(0)[order[: max(0, room)]]] = True
        index = torch.nonzero(keep).flatten()
        row.extra["surprisal"] = e[index]
        for layer in row.layers:
            layer.tape().keep(index)

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        tape = layer.tape()
        tape.append(k, v, pos)
        slots = torch.arange(len(tape), device=pos.device)
        own = slots[-len(pos) :]
        return [Segment(tape.k, tape.v, own, slots, causal(own, slots), at=tape.pos)]

    def after_forward(self, row: Row, ids: Tensor, logits: Tensor) -> None:
        found = self.measured(row, ids, logits)
        held = row.extra.get("surprisal")
        row.extra["surprisal"] = found if held is None else torch.cat((held, found))

    def measured(self, row: Row, ids: Tensor, logits: Tensor) -> Tensor:
        """What the tokens ``ids`` [L], just read, are kept by [L]: those with the most stay."""
        return (repetition if self.released else surprisals)(row, ids, logits)
