"""A few vectors as the memory: read by attention while a chunk goes on, rewritten when it is over.

Two architectures are settings of one layer; in both the memory flows through TIME here, chunk by chunk.

* The short-term memory of the Reactive Transformer (arXiv 2510.03561). THE AUTHORS CLAIM A PATENT APPLICATION,
  P.453260, on this architecture: this is an independent implementation after the paper's description, made only when
  ``rxt`` is named; ask someone who knows before you use it commercially. A chunk is a turn. Tokens attend to their own
  turn and to the slots; after the turn an encoder reads it both ways, the slots attend to that, and a gate mixes old
  and new. Ours: one layer has the slots of one layer, so that of its write variants ``simple`` and ``self`` (slots
  attend to each other first) are here, and those that mix the slots of several layers are not; slots start from learned
  vectors.
* The working memory of PMI (arXiv 2310.09297; :class:`CompetitiveWrite`): tokens compete, of each slot's attention only
  the ``top`` largest weights are kept. Published, this memory flows upward through the layers, and all tokens read what
  all have written: ``causal=False`` is that, for one layer. Ours: beside the memory, tokens attend to those before them
  in their chunk (``local``), which a memory of earlier chunks alone cannot tell.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural.layers.decoder import Block
from mnemic.neural.layers.parts import Attention, Linear, Norm, causal_mask, weights_of
from mnemic.neural.layers.turns import Memory, TurnMemory


class SlotMemory(TurnMemory):
    """``slots`` vectors, written by ``writer``: ``gated`` (with ``gate`` sigmoid or tanh, ``gate_by`` slot, element or
    linear, ``variant`` simple or self) or ``competitive`` (with ``top``). State: ``slots`` [B, S, d]."""

    kind: ClassVar[str] = "slots"

    def __init__(
        self,
        d_model: int,
        *,
        slots: int = 8,
        chunk: int = 64,
        heads: int = 4,
        writer: str = "gated",
        gate: str = "sigmoid",
        gate_by: str = "slot",
        variant: str = "simple",
        top: int | None = 5,
        local: bool = True,
        causal: bool = True,
    ) -> None:
        super().__init__()
        if min(slots, chunk) < 1 or (top is not None and top < 1):
            raise InputError("slots, chunk and top are at least 1")
        if writer not in ("gated", "competitive"):
            raise InputError(f"{writer!r} is no writer: use gated or competitive")
        self.d_model, self.chunk, self.causal, self.variant = d_model, chunk, causal, writer
        self.local = LocalAttention(d_model, heads) if local else None
        self.query, self.memory = Norm(d_model), Norm(d_model)
        self.cross = Attention(d_model, heads)
        if writer == "gated":
            self.start = nn.Parameter(torch.randn(slots, d_model))
            self.writer: GatedWrite | CompetitiveWrite = GatedWrite(d_model, slots, heads, gate, gate_by, variant)
        else:
            self.start = nn.Parameter(torch.eye(slots, d_model))
            self.writer = CompetitiveWrite(d_model, top)

    def blank(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        return {"slots": self.start.to(like).expand(batch, -1, -1)}

    def answer(self, text: Tensor, there: Tensor, memory: Memory, first: int) -> Tensor:
        x, slots = text[:, first:], self.memory(memory["slots"])
        near = torch.zeros_like(x) if self.local is None else self.local(text, there, first)
        # RxT turns queries by their place in the turn; PMI has no positions
        places = torch.arange(first, text.shape[1], device=x.device) if isinstance(self.writer, GatedWrite) else None
        all_of_them = there.new_ones(1)
        far: Tensor = self.cross(self.query(x + near), slots, all_of_them, places)
        return near + far

    def update(self, text: Tensor, there: Tensor, memory: Memory) -> Memory:
        return {"slots": self.writer(text, there, memory["slots"])[-1]}


class LocalAttention(nn.Module):
    """Tokens attend to those before them in their chunk, with positions."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(d_model, heads)

    def forward(self, text: Tensor, there: Tensor, first: int) -> Tensor:
        """The outputs of the tokens from ``first`` on of the chunk ``text`` [B, n, d]."""
        x = text[:, first:]
        places = torch.arange(text.shape[1], device=x.device)
        seen = there[:, None, None] & causal_mask(x.shape[1], len(places), x.device)
        near: Tensor = self.attention(x, text, seen, places[first:], places)
        return near


class GatedWrite(nn.Module):
    """The slots attend to an encoding of the turn, and a gate mixes:

    sigmoid: (1 - G) M + G U, tanh: (1 - G) M + (1 + G) U; G is learned for each slot (``slot``), w_s mean(M + U)
    (``element``), or a linear function of all slots' means (``linear``)."""

    def __init__(self, d_model: int, slots: int, heads: int, gate: str, gate_by: str, variant: str) -> None:
        super().__init__()
        if gate not in ("sigmoid", "tanh") or gate_by not in ("slot", "element", "linear"):
            raise InputError("gate is sigmoid or tanh, gate_by is slot, element or linear")
        if variant not in ("simple", "self"):
            raise InputError(
                f"{variant!r} is no variant that one layer can have: use simple or self (slots of several layers are "
                "mixed in variants that this layer does not offer)"
            )
        self.gate, self.gate_by = gate, gate_by
        self.encoder = Block(d_model, heads, causal=False)
        self.among = Attention(d_model, heads) if variant == "self" else None
        self.slots, self.turn = Norm(d_model), Norm(d_model)
        self.attention = Attention(d_model, heads)
        self.weight = nn.Parameter(torch.zeros(slots, slots) if gate_by == "linear" else torch.zeros(slots, 1))

    def encode(self, text: Tensor, there: Tensor) -> Tensor:
        """What the encoder makes of a turn [B, n, d]: [B, n, d]."""
        encoded: Tensor = self.encoder(text, there)
        return encoded

    def forward(self, text: Tensor, there: Tensor, slots: Tensor) -> tuple[Tensor]:
        encoded = self.turn(self.encode(text, there))
        if self.among is not None:
            asked = self.slots(slots)
            slots = slots + self.among(asked, asked, there.new_ones(1))
        fresh = self.attention(self.slots(slots), encoded, there[:, None, None])
        return (self.mix(slots, fresh),)

    def mix(self, slots: Tensor, fresh: Tensor) -> Tensor:
        weight = self.weight.to(slots.dtype)
        means = (slots + fresh).mean(-1, keepdim=True)  # [B, S, 1]
        logits = {"slot": lambda: weight, "element": lambda: weight * means, "linear": lambda: weight @ means}
        opened = logits[self.gate_by]()
        if self.gate == "sigmoid":
            g = torch.sigmoid(opened)
            return (1 - g) * slots + g * fresh
        g = torch.tanh(opened)
        return (1 - g) * slots + (1 + g) * fresh


class CompetitiveWrite(nn.Module):
    """PMI's writing: each slot takes its ``top`` tokens (None: all), a feed-forward part works on that, and input and
    forget gates decide, as in the relational memory core that the authors build on:

    U = top(softmax(Q M K H^T)) V H, not renormalised;  M~ = norm(M + U), M~ = norm(M~ + MLP M~);
    M' = i tanh(M~) + f M, with i and f from the mean of relu(w H) and from tanh(M). Ours: root-mean-square norms."""

    def __init__(self, d_model: int, top: int | None) -> None:
        super().__init__()
        self.top = top
        self.q, self.k, self.v = (Linear(d_model, d_model, bias=False) for _ in range(3))
        self.first, self.second = Norm(d_model), Norm(d_model)
        self.up, self.down = Linear(d_model, d_model), Linear(d_model, d_model)
        self.heard = nn.Parameter(torch.ones(d_model))
        self.input, self.own = Linear(d_model, 2 * d_model), Linear(d_model, 2 * d_model, bias=False)
        with torch.no_grad():  # what is known is kept at first
            self.input.bias.copy_(torch.cat((torch.zeros(d_model), torch.ones(d_model))))

    def forward(self, text: Tensor, there: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """The worked-on slots M~ and the next slots M', both [B, S, d]."""
        scores = self.q(slots) @ self.k(text).transpose(1, 2) * slots.shape[-1] ** -0.5
        weights = weights_of(scores, there[:, None])
        if self.top is not None and self.top < weights.shape[-1]:
            best = weights.topk(self.top, -1)
            weights = torch.zeros_like(weights).scatter(-1, best.indices, best.values)
        worked = self.first(slots + weights @ self.v(text))
        worked = self.second(worked + self.down(functional.relu(self.up(worked))))
        count = there.sum(1).clamp_min(1)[:, None, None]
        heard = (functional.relu(self.heard.to(text.dtype) * text) * there[..., None]).sum(1, keepdim=True) / count
        take, keep = torch.sigmoid(self.input(heard) + self.own(torch.tanh(slots))).chunk(2, -1)
        return worked, take * torch.tanh(worked) + keep * slots
