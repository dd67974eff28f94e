"""Memory embeddings handed from segment to segment around a decoder: HMT and, as its special case, RMT.

HMT (arXiv 2405.06067, NAACL 2025). With T a learned prompt, M the queue of the last ``recall`` memory embeddings and a
segment of ``chunk`` tokens:

    q = decoder([T, tokens, T]) at the end                       the summary that asks
    p = softmax((q Wq)(M Wk)^T / sqrt(d)) M                      recall (no projection of values)
    decoder([p, last ``sensory`` tokens of the segment before, tokens, p])  -> outputs, and at the end m, which joins M

Published (``causal=False``), q summarises the first half of the segment that is about to be read: its first tokens know
of later ones. The causal default (ours) asks with a summary of the whole segment BEFORE, which is all that is known.

RMT (arXiv 2207.06881) is the case without recall and sensory memory: p is the m of the segment before, of ``slots``
embeddings.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import InputError
from mnemic.neural.layers.decoder import Decoder
from mnemic.neural.layers.parts import Linear, weights_of
from mnemic.neural.layers.turns import Memory, TurnMemory


class SegmentMemory(TurnMemory):
    """``decoder`` is any causal module from embeddings [B, n, d] and which of them are there [B, n] to hidden states
    [B, n, d]; without one a small one is built, of ``layers`` layers with ``heads`` heads. ``summarised`` is the share
    of a segment that the published form asks with.

    State: ``prompt`` [B, slots, d], ``queue`` [B, recall, d] with ``queued``, ``sensory`` [B, sensory, d] with
    ``sensed``. The open segment is read anew with every piece of it.
    """

    kind: ClassVar[str] = "segment"

    def __init__(
        self,
        d_model: int,
        *,
        chunk: int = 64,
        recall: int = 100,
        sensory: int = 8,
        slots: int = 1,
        layers: int = 2,
        heads: int = 4,
        summarised: float = 0.5,
        decoder: nn.Module | None = None,
        causal: bool = True,
    ) -> None:
        super().__init__()
        if min(chunk, slots) < 1 or recall < 0 or not 0 <= sensory <= chunk or not 0 < summarised <= 1:
            raise InputError(
                "chunk and slots are at least 1, recall is not negative, sensory at most a chunk, summarised in (0, 1]"
            )
        if recall and slots > 1:
            raise InputError("recall finds one embedding: use slots=1 with it, or recall=0 for more")
        if not causal and not recall:
            raise InputError("without recall nothing is read ahead: leave causal as it is")
        self.d_model, self.chunk, self.causal = d_model, chunk, causal
        self.recalled, self.sensory, self.slots, self.summarised = recall, sensory, slots, summarised
        self.decoder = Decoder(d_model, layers=layers, heads=heads) if decoder is None else decoder
        self.first = nn.Parameter(torch.randn(slots, d_model))
        if recall:
            self.summary = nn.Parameter(torch.randn(1, d_model))
            self.q, self.k = Linear(d_model, d_model, bias=False), Linear(d_model, d_model, bias=False)

    def blank(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        def flags(count: int) -> Tensor:
            return torch.zeros(batch, count, dtype=torch.bool, device=like.device)

        return {
            "prompt": self.first.to(like).expand(batch, -1, -1),
            "queue": like.new_zeros(batch, self.recalled, self.d_model),
            "queued": flags(self.recalled),
            "sensory": like.new_zeros(batch, self.sensory, self.d_model),
            "sensed": flags(self.sensory),
        }

    def answer(self, text: Tensor, there: Tensor, memory: Memory, first: int) -> Tensor:
        hidden = self._decoded([memory["prompt"], memory["sensory"], text], [None, memory["sensed"], there])
        return hidden[:, hidden.shape[1] - text.shape[1] + first :]

    def update(self, text: Tensor, there: Tensor, memory: Memory) -> Memory:
        after = self._remembered(text, there, memory)
        if not self.recalled:
            return after
        return {**after, "prompt": self._recall(self._summary(text, there), after, memory["prompt"])}

    def preview(self, text: Tensor, there: Tensor, memory: Memory) -> Memory:
        half = max(1, int(self.summarised * self.chunk))
        asked = self._summary(text[:, :half], there[:, :half])
        return {**memory, "prompt": self._recall(asked, memory, memory["prompt"])}

    def settle(self, text: Tensor, there: Tensor, memory: Memory, previewed: Memory) -> Memory:
        return {**self._remembered(text, there, previewed), "prompt": memory["prompt"]}

    def _decoded(self, parts: list[Tensor], there: list[Tensor | None]) -> Tensor:
        flags = [
            part.new_ones(part.shape[:2], dtype=torch.bool) if flag is None else flag
            for part, flag in zip(parts, there, strict=True)
        ]
        hidden: Tensor = self.decoder(torch.cat(parts, 1), torch.cat(flags, 1))
        return hidden

    def _remembered(self, text: Tensor, there: Tensor, memory: Memory) -> dict[str, Tensor]:
        """What is handed on when a segment is over: its memory embedding, in the queue too, and its last tokens."""
        prompt = memory["prompt"]
        hidden = self._decoded([prompt, memory["sensory"], text, prompt], [None, memory["sensed"], there, None])
        made = hidden[:, -self.slots :]
        after = {"prompt": made, "queue": memory["queue"], "queued": memory["queued"]}
        if self.recalled:
            after["queue"] = torch.cat((memory["queue"], made), 1)[:, 1:]
            after["queued"] = torch.cat((memory["queued"], there.new_ones(len(there), 1)), 1)[:, 1:]
        last = text.shape[1] - self.sensory
        return {**after, "sensory": text[:, last:], "sensed": there[:, last:]}

    def _summary(self, text: Tensor, there: Tensor) -> Tensor:
        """[B, 1, d]"""
        prompt = self.summary.to(text.dtype).expand(len(text), -1, -1)
        return self._decoded([prompt, text, prompt], [None, there, None])[:, -1:]

    def _recall(self, asked: Tensor, memory: Memory, otherwise: Tensor) -> Tensor:
        """The embedding [B, 1, d] that ``asked`` finds in the queue, or ``otherwise`` while that is empty."""
        queue, queued = memory["queue"], memory["queued"]
        scores = self.q(asked) @ self.k(queue).transpose(1, 2) * self.d_model**-0.5
        found = weights_of(scores, queued[:, None]) @ queue
        return torch.where(queued.any(1)[:, None, None], found, otherwise)
