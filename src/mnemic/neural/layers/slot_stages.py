"""The stages that train a Reactive Transformer (arXiv 2510.03561), in short form, as losses over a small model.

1. :func:`joint_loss`: the encoder guesses masked tokens, the decoder predicts the next one while it reads what the
   encoder made of the same text, cut off from gradients and with noise, in place of the slots.
2. :func:`memory_loss`: the write learns to mix old slots and the new turn, (1 - w) M + w E in direction, where w falls
   from turn to turn. Ours: E, [n, d], is averaged over as many spans as there are slots.
3. :func:`unrolled_loss`: a conversation turn by turn, each predicted with the slots that the turns before have left,
   with gradients through all of them; the write alone is trained first, then everything (:func:`train_only`).

The paper's last stage, reinforcement learning, is left out. See the note on a patent application in ``slots.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.layers.parts import FeedForward, Linear, Norm
from mnemic.neural.layers.slots import GatedWrite, SlotMemory


class Reactive(nn.Module):
    """One layer of each kind between an embedding and two heads: ``memory`` decodes, encodes and remembers, ``feed``
    follows it, ``head`` predicts tokens and ``guess`` masked ones. A turn is up to ``memory.chunk`` tokens; ``vocab``
    counts one more for the mask."""

    def __init__(self, vocab: int, d_model: int, *, slots: int = 16, turn: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.vocab, self.d_model = vocab, d_model
        self.embed = nn.Embedding(vocab + 1, d_model)
        self.memory = SlotMemory(d_model, slots=slots, chunk=turn, heads=heads, variant="self")
        self.before, self.between, self.last = Norm(d_model), Norm(d_model), Norm(d_model)
        self.feed = FeedForward(d_model)
        self.head, self.guess = Linear(d_model, vocab), Linear(d_model, vocab)

    @property
    def writer(self) -> GatedWrite:
        assert isinstance(self.memory.writer, GatedWrite)
        return self.memory.writer

    def heard(self, tokens: Tensor) -> Tensor:
        """What the memory layer is given: [B, n] -> [B, n, d]."""
        out: Tensor = self.before(self.embed(tokens))
        return out

    def decode(self, tokens: Tensor, slots: Tensor) -> Tensor:
        """Logits [B, n, vocab] of a turn [B, n], read with ``slots`` [B, S, d]."""
        there = torch.ones_like(tokens, dtype=torch.bool)
        x = self.embed(tokens) + self.memory.answer(self.heard(tokens), there, {"slots": slots}, 0)
        logits: Tensor = self.head(self.last(x + self.feed(self.between(x))))
        return logits

    def encode(self, tokens: Tensor) -> Tensor:
        """What the write attends to of a turn: [B, n, d]."""
        return self.writer.encode(self.heard(tokens), torch.ones_like(tokens, dtype=torch.bool))

    def remember(self, tokens: Tensor, slots: Tensor) -> Tensor:
        """The slots after a turn."""
        there = torch.ones_like(tokens, dtype=torch.bool)
        return self.memory.update(self.heard(tokens), there, {"slots": slots})["slots"]


def joint_loss(
    model: Reactive, tokens: Tensor, *, hidden: float = 0.15, noise: float = 0.1, decoder: float = 1.0,
    encoder: float = 1.0, generator: torch.Generator | None = None,
) -> Tensor:  # fmt: skip
    """Stage 1 on texts [B, n]: a share ``hidden`` of the tokens is masked for the encoder; ``noise`` is the standard
    deviation of what is added to what the decoder reads."""
    if not 0 < hidden < 1:
        raise InputError("hidden is a share between 0 and 1")
    masked = torch.rand(tokens.shape, generator=generator, device=tokens.device) < hidden
    masked[:, 0] |= ~masked.any(1)  # of every text something is to be guessed
    encoded = model.encode(tokens.masked_fill(masked, model.vocab))
    guessed = functional.cross_entropy(model.guess(encoded)[masked], tokens[masked])
    drawn = torch.randn(encoded.shape, generator=generator, device=encoded.device, dtype=encoded.dtype)
    logits = model.decode(tokens, encoded.detach() + noise * drawn)
    return decoder * _next(logits, tokens) + encoder * guessed


def memory_loss(model: Reactive, turns: Sequence[Tensor], *, first: float = 0.9, last: float = 0.5) -> Tensor:
    """Stage 2 on a conversation of turns [B, n]: minus the cosine of the slots after each turn and
    (1 - w) M + w E, averaged; w goes from ``first`` to ``last`` over the turns."""
    batch = len(_some(turns)[0])
    slots = model.memory.start.expand(batch, -1, -1)
    losses = []
    for n, turn in enumerate(turns):
        w = first + (last - first) * n / max(1, len(turns) - 1)
        told = functional.adaptive_avg_pool1d(model.encode(turn).transpose(1, 2), slots.shape[1]).transpose(1, 2)
        wanted = ((1 - w) * slots + w * told).detach()
        slots = model.remember(turn, slots)
        losses.append(-functional.cosine_similarity(slots, wanted, dim=-1).mean())
        slots = slots.detach()
    return torch.stack(losses).mean()


def unrolled_loss(
    model: Reactive, turns: Sequence[Tensor], *, generator: torch.Generator | None = None, random: bool = True
) -> Tensor:
    """Stage 3 on a conversation of turns [B, n]: the loss of each turn given the slots that those before have left.
    They start from noise, as published, or with ``random`` false from the learned start."""
    batch = len(_some(turns)[0])
    slots = model.memory.start.expand(batch, -1, -1)
    if random:
        slots = torch.randn(slots.shape, generator=generator, device=slots.device, dtype=slots.dtype)
    losses = []
    for turn in turns:
        losses.append(_next(model.decode(turn, slots), turn))
        slots = model.remember(turn, slots)
    return torch.stack(losses).mean()


def train_only(model: Reactive, *, write: bool) -> Iterable[nn.Parameter]:
    """The parameters to be trained: those of the write alone, without its encoder, or (``write`` false) all. The others
    want no gradients from now on."""
    frozen = write
    model.requires_grad_(not frozen)
    if frozen:
        for name, part in model.writer.named_children():
            part.requires_grad_(name != "encoder")
        model.writer.weight.requires_grad_(True)
    return [each for each in model.parameters() if each.requires_grad]


def _some(turns: Sequence[Tensor]) -> Sequence[Tensor]:
    if not turns:
        raise InputError("a conversation has at least one turn")
    return turns


def _next(logits: Tensor, tokens: Tensor) -> Tensor:
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
