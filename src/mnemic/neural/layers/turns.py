"""Memories that are read through a chunk and written when it is over: what slots, segments and outer products share.

While a chunk is open its tokens are kept, so that what is read and written is a function of the chunk and not of how
its tokens came in.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from mnemic.errors import InputError
from mnemic.neural.layer import Aux, MemoryLayer, Result
from mnemic.neural.layers.parts import pieces
from mnemic.neural.precision import exactly, wide
from mnemic.neural.state import MemState

Memory = Mapping[str, Tensor]


class TurnMemory(MemoryLayer):
    """Reads :meth:`answer` while a chunk goes on and writes :meth:`update` after it. A chunk of padding alone writes
    nothing.

    With ``causal`` false the published order is kept: a chunk is looked at first (:meth:`preview`), and its tokens read
    what that gave, which knows of later ones. Such a layer takes whole chunks; only the last may be shorter.

    State: what :meth:`blank` names, and the open chunk: ``open`` [B, n, d] and ``there`` [B, n].
    """

    exact_chunking = False

    @abstractmethod
    def blank(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        """The memory of ``batch`` sequences before the first chunk, of the kind and on the device of ``like``."""

    @abstractmethod
    def answer(self, text: Tensor, there: Tensor, memory: Memory, first: int) -> Tensor:
        """Outputs [B, n - first, d] of the tokens from ``first`` on of the open chunk ``text`` [B, n, d]."""

    @abstractmethod
    def update(self, text: Tensor, there: Tensor, memory: Memory) -> Memory:
        """The memory after a chunk ``text`` [B, n, d] of which ``there`` [B, n] are no padding."""

    def preview(self, text: Tensor, there: Tensor, memory: Memory) -> Memory:
        """What the tokens of ``text`` read in the published order."""
        return self.update(text, there, memory)

    def settle(self, text: Tensor, there: Tensor, memory: Memory, previewed: Memory) -> Memory:
        """In the published order, the memory after a chunk whose tokens read ``previewed``."""
        return previewed

    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        like = wide(like)
        there = like.new_zeros(batch, 0, dtype=torch.bool)
        return {**self.blank(batch, like), "open": like.new_zeros(batch, 0, self.d_model), "there": there}

    def lengths(self, seen: int) -> Mapping[str, int]:
        return dict.fromkeys(("open", "there"), seen % self.chunk)

    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        if not self.causal and state.seen % self.chunk:
            raise InputError(
                f"{self.kind} with causal=False reads a chunk before it answers, and {state.seen} tokens are no whole "
                f"chunks of {self.chunk}: give whole chunks, of which only the last of the stream may be shorter"
            )
        memory: Memory = {name: each for name, each in state.tensors.items() if name not in ("open", "there")}
        text, live = state["open"], state["there"]
        answers = []
        with exactly(x):
            for piece, closes in pieces(state.seen, x.shape[1], self.chunk):
                first = text.shape[1]
                text = torch.cat((text, wide(x[:, piece]) * there[:, piece, None]), 1)
                live = torch.cat((live, there[:, piece]), 1)
                readable = memory if self.causal else self.preview(text, live, memory)
                if read:
                    answers.append(self.answer(text, live, readable, first))
                if closes:
                    memory = self._written(text, live, memory, readable) if write else memory
                    text, live = text[:, :0], live[:, :0]
        y = torch.cat(answers, 1).to(x.dtype) if read else torch.zeros_like(x)
        # contiguous, so that a state from a file gives the same bits
        kept = {name: each.contiguous() for name, each in {**memory, "open": text, "there": live}.items()}
        after = state.after(x.shape[1], **kept) if write else state
        return y, after, Aux(written=there & write)

    def _written(self, text: Tensor, there: Tensor, memory: Memory, readable: Memory) -> Memory:
        if self.causal:
            fresh = self.update(text, there, memory)
        else:
            fresh = self.settle(text, there, memory, readable)
        some = there.any(1)
        return {
            name: torch.where(some.view(-1, *[1] * (old.dim() - 1)), fresh[name].to(old.dtype), old)
            for name, old in memory.items()
        }
