"""A small language model around any memory layer: the slot that all layers are compared in.

A block is, in this order and each with a residual around a normalised input: a convolution over ``conv`` tokens
(optional; it lets a memory see what stands next to each other, and is too short to answer for it), the memory, and a
feed-forward part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mnemic.errors import ConflictError, InputError
from mnemic.neural import registry
from mnemic.neural.layer import MemoryLayer
from mnemic.neural.layers.conv import ShortConv
from mnemic.neural.state import MemState

_FORMAT = "1"
Factory = Callable[[int], MemoryLayer]


class Backbone(nn.Module):
    """Tokens in, logits out, one state for every layer that remembers.

    ``layer`` is a name of :data:`mnemic.neural.registry.LAYERS` with its ``settings``, or a function from ``d_model``
    to a layer (such a model can be saved, but is loaded only with that function at hand). ``conv`` is the width of
    the short convolution before each memory, None for none. ``reading`` false makes the control that has the same
    parameters and neither writes nor reads its memories. ``hidden`` is the width of the feed-forward part (default:
    twice ``d_model``); ``tied`` takes the embedding for the output too. First weights are drawn from ``seed``, whatever
    was drawn before.
    """

    def __init__(
        self,
        vocab: int,
        d_model: int = 64,
        n_layers: int = 2,
        layer: str | Factory = "gated-deltanet",
        settings: Mapping[str, Any] | None = None,
        *,
        conv: int | None = None,
        reading: bool = True,
        hidden: int | None = None,
        tied: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if vocab < 1 or d_model < 1 or n_layers < 1 or (conv is not None and conv < 1):
            raise InputError("vocab, d_model, n_layers and conv must be at least 1")
        if settings and not isinstance(layer, str):
            raise InputError("settings go with the name of a layer: a function makes its layer ready")
        self.config: dict[str, Any] = {
            "vocab": vocab, "d_model": d_model, "n_layers": n_layers,
            "layer": layer if isinstance(layer, str) else None, "settings": dict(settings or {}), "conv": conv,
            "reading": reading, "hidden": hidden, "tied": tied, "seed": seed,
        }  # fmt: skip
        self.reading = reading
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embed = nn.Embedding(vocab, d_model)
            nn.init.normal_(self.embed.weight, std=d_model**-0.5)
            self.blocks = nn.ModuleList(
                _Block(
                    d_model,
                    ShortConv(d_model, width=conv) if conv else None,
                    registry.make(layer, d_model, **(settings or {})) if isinstance(layer, str) else layer(d_model),
                    hidden or 2 * d_model,
                )
                for _ in range(n_layers)
            )
            self.norm = nn.RMSNorm(d_model)
            self.head = None if tied else nn.Linear(d_model, vocab, bias=False)

    @property
    def memories(self) -> Iterator[MemoryLayer]:
        """The layers that have a state, in the order of the states."""
        for block in self.blocks:
            assert isinstance(block, _Block)
            if block.local is not None:
                yield block.local
            yield block.memory

    @property
    def device(self) -> torch.device:
        return self.embed.weight.device

    @property
    def parameters_count(self) -> int:
        return sum(each.numel() for each in self.parameters())

    def init_states(self, batch: int) -> list[MemState]:
        """The states before the first token."""
        dtype = self.embed.weight.dtype
        return [memory.init_state(batch, device=self.device, dtype=dtype) for memory in self.memories]

    def forward(
        self, tokens: Tensor, states: Sequence[MemState] | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, list[MemState]]:
        """``tokens`` [B, T] after ``states`` -> logits [B, T, vocab] and the states after them.

        ``mask`` [B, T]: tokens that are false are written nowhere and their logits mean nothing.
        """
        if tokens.dim() != 2:
            raise InputError(f"the model reads tokens [batch, time], not {list(tokens.shape)}")
        before = list(states) if states is not None else self.init_states(len(tokens))
        if len(before) != sum(1 for _ in self.memories):
            raise InputError(f"{len(before)} states do not fit this model: begin with its own init_states()")
        x, after = self.embed(tokens), list[MemState]()
        for block in self.blocks:
            assert isinstance(block, _Block)
            x = block(x, before, after, mask, self.reading)
        x = self.norm(x)
        return (self.head(x) if self.head is not None else functional.linear(x, self.embed.weight)), after

    def step(self, tokens: Tensor, states: Sequence[MemState]) -> tuple[Tensor, list[MemState]]:
        """One token of each sequence [B] -> logits [B, vocab] and the next states."""
        logits, after = self(tokens[:, None], states)
        return logits[:, 0], after

    @torch.no_grad()
    def state_bytes(self, tokens: int) -> int:
        """Bytes that one sequence's states take after ``tokens`` tokens (for attention they grow, for memories not)."""
        states = self.init_states(1)
        for start in range(0, tokens, 1024):
            piece = torch.zeros(1, min(1024, tokens - start), dtype=torch.long, device=self.device)
            _, states = self(piece, states)
        return sum(state.nbytes for state in states)

    def save(self, path: str | Path) -> None:
        """Weights and configuration as one safetensors file."""
        about = {"mnemic": _FORMAT, "backbone": json.dumps(self.config)}
        # copies, because blocks may share a parameter, which the format refuses
        save_file(
            {
                name: each.detach().clone(memory_format=torch.contiguous_format)
                for name, each in self.state_dict().items()
            },
            str(path),
            about,
        )

    @classmethod
    def load(cls, path: str | Path, layer: Factory | None = None) -> Backbone:
        """The model that :meth:`save` wrote; ``layer`` where it was made with a function.

        Raises :class:`InputError` where ``path`` holds none and :class:`ConflictError` where the weights do not fit.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dict
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} cannot be read as a model ({error}): name one that was saved") from error
        if about.get("mnemic") != _FORMAT or "backbone" not in about:
            raise InputError(f"{path} is no model of this version: save one with Backbone.save")
        config = json.loads(about["backbone"])
        made_of = config.pop("layer") or layer
        if made_of is None:
            raise InputError(f"{path} was made with a function for its layers: give it as layer=")
        model = cls(**config, layer=made_of)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise ConflictError(f"the weights of {path} do not fit the layers they name: {error}") from error
        return model


class _Block(nn.Module):
    def __init__(self, d_model: int, local: MemoryLayer | None, memory: MemoryLayer, hidden: int) -> None:
        super().__init__()
        self.local, self.memory = local, memory
        self.norms = nn.ModuleList(nn.RMSNorm(d_model) for _ in range(3 if local is not None else 2))
        self.feed = nn.Sequential(nn.Linear(d_model, hidden), nn.GELU(), nn.Linear(hidden, d_model))

    def forward(
        self, x: Tensor, before: list[MemState], after: list[MemState], mask: Tensor | None, reading: bool
    ) -> Tensor:
        """Takes the states of this block off the front of ``before`` and puts the next ones at the end of ``after``."""
        *norms, last = self.norms
        layers = [self.memory] if self.local is None else [self.local, self.memory]
        for norm, layer in zip(norms, layers, strict=True):
            state = before.pop(0)
            if layer is self.memory and not reading:
                after.append(state)
                continue
            y, state, _ = layer(norm(x), state, mask=mask)
            x = x + y
            after.append(state)
        fed: Tensor = self.feed(last(x))
        return x + fed
