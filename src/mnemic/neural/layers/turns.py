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
from mnemic.neural.layer import Aux, MemoryLayer
from mnemic.neural.layers.parts import pieces, seen_mask
from mnemic.neural.precision import exactly, inner_dtype, wide
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

    def init_state(
        self, batch: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MemState:
        weight = next(self.parameters())
        like = torch.zeros((), device=device or weight.device, dtype=inner_dtype(dtype or weight.dtype))
        opened = like.new_zeros(batch, 0, self.d_model)
        there = torch.zeros(batch, 0, dtype=torch.bool, device=like.device)
        return MemState(self.state_kind, self.state_chunk, {**self.blank(batch, like), "open": opened, "there": there})

    def lengths(self, seen: int) -> Mapping[str, int]:
        return dict.fromkeys(("open", "there"), seen % self.chunk)

    def forward(
        self,
        x: Tensor,
        state: MemState | None = None,
        *,
        mask: Tensor | None = None,
        write: bool = True,
        read: bool = True,
    ) -> tuple[Tensor, MemState, Aux]:
        state = self.begin(x, state)
        if not self.causal and state.seen % self.chunk:
            raise InputError(
                f"{self.kind} with causal=False reads a chunk before it answers, and {state.seen} tokens are no whole "
                f"chunks of {self.chunk}: give whole chunks, of which only the last of the stream may be shorter"
            )
        keep = seen_mask(x, mask)
        memory: Memory = {name: each for name, each in state.tensors.items() if name not in ("open", "there")}
        text, there = state["open"], state["there"]
        answers = []
        with exactly(x):
            for piece, closes in pieces(state.seen, x.shape[1], self.chunk):
                first = text.shape[1]
                text = torch.cat((text, wide(x[:, piece]) * keep[:, piece, None]), 1)
                there = torch.cat((there, keep[:, piece]), 1)
                readable = memory if self.causal else self.preview(text, there, memory)
                if read:
                    answers.append(self.answer(text, there, readable, first))
                if closes:
                    memory = self._written(text, there, memory, readable) if write else memory
                    text, there = text[:, :0], there[:, :0]
        y = torch.cat(answers, 1).to(x.dtype) if read else torch.zeros_like(x)
        # contiguous, so that a state from a file gives the same bits
        kept = {name: each.contiguous() for name, each in {**memory, "open": text, "there": there}.items()}
        after = state.after(x.shape[1], **kept) if write else state
        return y, after, Aux(written=keep & write)

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
