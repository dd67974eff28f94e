"""Long sequences in segments: states are carried on, gradients some segments back, and nothing else is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.state import MemState
from mnemic.neural.tasks.base import Batch


class Model(Protocol):
    """What a runner, a trainer and a task need of a model; :class:`mnemic.neural.backbone.Backbone` has it."""

    training: bool

    @property
    def device(self) -> torch.device: ...
    def __call__(
        self, tokens: Tensor, states: Sequence[MemState] | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, list[MemState]]: ...
    def train(self, mode: bool = True) -> object: ...


class SegmentRunner:
    """Reads sequences ``segment`` tokens at a time (None: at once).

    Gradients go back over ``tbptt`` segments: after as many, the loss so far is propagated and the states are cut off
    from what made them. With ``tbptt`` at least the number of segments nothing is truncated.
    """

    def __init__(self, model: Model, segment: int | None = None, tbptt: int = 1) -> None:
        if (segment is not None and segment < 1) or tbptt < 1:
            raise InputError("segment and tbptt must be at least 1")
        self.model, self.segment, self.tbptt = model, segment, tbptt

    def backward(self, batch: Batch) -> float:
        """Adds the gradients of the mean loss over the answers of ``batch`` to the model's parameters; the loss."""
        batch = batch.to(self.model.device)
        count = batch.mask.sum().clamp(min=1)
        states: list[MemState] | None = None
        pending: list[Tensor] = []
        total = 0.0
        pieces = list(self._pieces(batch.tokens.shape[1]))
        for n, piece in enumerate(pieces, 1):
            logits, states = self.model(batch.tokens[:, piece], states)
            if batch.mask[:, piece].any():
                nats = _nats(logits, batch.targets[:, piece])
                pending.append((nats * batch.mask[:, piece]).sum() / count)
            if n % self.tbptt == 0 or n == len(pieces):
                if pending:
                    loss = torch.stack(pending).sum()
                    loss.backward()  # type: ignore[no-untyped-call]
                    total += loss.item()
                    pending.clear()
                states = [state.detach() for state in states]
        return total

    @torch.no_grad()
    def judge(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss [B, T] in nats of each target, and whether it was the likeliest token [B, T]; on the CPU."""
        nats, right = [], []
        for start, logits in self._read([batch.tokens]):
            targets = batch.targets[:, start : start + logits.shape[1]].to(logits.device)
            nats.append(_nats(logits, targets).cpu())
            right.append((logits.argmax(-1) == targets).cpu())
        return torch.cat(nats, 1), torch.cat(right, 1)

    @torch.no_grad()
    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """The logits [B, t, vocab] of one text that comes in ``pieces`` [B, n] of any size, at most a segment at a
        time. Nothing is kept but the states, so the text may be of any length."""
        for _, logits in self._read(pieces):
            yield logits

    def _read(self, pieces: Iterable[Tensor]) -> Iterator[tuple[int, Tensor]]:
        """(place of the first token, logits). Read in evaluation mode; the model is left in the mode that it was in."""
        states: list[MemState] | None = None
        at = 0
        for tokens in pieces:
            for piece in self._pieces(tokens.shape[1]):
                mode = self.model.training
                self.model.train(False)
                try:
                    with torch.no_grad():
                        logits, states = self.model(tokens[:, piece].to(self.model.device), states)
                finally:
                    self.model.train(mode)
                yield at, logits
                at += logits.shape[1]

    def _pieces(self, length: int) -> Iterator[slice]:
        size = self.segment or max(length, 1)
        for start in range(0, length, size):
            yield slice(start, min(start + size, length))


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")
