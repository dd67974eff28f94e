"""What every memory layer is: tokens and a state in, tokens and the next state out.

One function of the past in three forms that must agree: a whole sequence at once (:meth:`MemoryLayer.forward`), any
split of it, and token by token (:meth:`MemoryLayer.step`). Writing and reading can be had apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from mnemic.errors import ConflictError, InputError
from mnemic.neural.state import MemState


@dataclass(frozen=True)
class Aux:
    """What a layer tells beside its output: ``surprise`` [B, T] (the inner loss or its gradient's size, where the layer
    has one), ``written`` [B, T] (true where a token was written), ``gates`` name -> [B, T, ...]."""

    surprise: Tensor | None = None
    written: Tensor | None = None
    gates: Mapping[str, Tensor] = field(default_factory=dict)


Result = tuple[Tensor, MemState, Aux]
"""Outputs [B, T, d], the state after them, and what is told beside."""


def seen_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """``mask`` [B, T] as booleans; all true without one."""
    if mask is None:
        return x.new_ones(x.shape[:2], dtype=torch.bool)
    if mask.shape != x.shape[:2]:
        raise InputError(f"a mask has one entry for each token, {list(x.shape[:2])}, not {list(mask.shape)}")
    return mask.to(torch.bool)


class MemoryLayer(nn.Module, ABC):
    """A layer over [B, T, d_model] with a memory for each sequence.

    ``kind`` is its name in states and in the registry. ``chunk`` is how many tokens share the weights that their
    gradients are taken at; ``exact_chunking`` is true where that is a matter of speed alone (the state then says 1).
    ``causal`` is false for published forms that read the future: they are for tasks where that is allowed. ``variant``
    says which layer of its kind this is, where a state of another one has the same shapes and would be misread.

    A layer is written as :meth:`initial` and :meth:`run`.
    """

    kind: ClassVar[str]
    d_model: int
    chunk: int = 1
    exact_chunking: bool = True
    causal: bool = True
    variant: str = ""
    _shapes: Mapping[str, tuple[int, ...]] | None = None

    @abstractmethod
    def initial(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        """The tensors [B, ...] of a state before the first token, on the device of the scalar ``like``, which has the
        number type of the inputs: states are in ``wide(like)``'s."""

    @abstractmethod
    def run(self, x: Tensor, state: MemState, there: Tensor, *, write: bool, read: bool) -> Result:
        """What :meth:`forward` promises of ``x`` [B, T, d], with ``state`` and mask given and checked: ``there`` [B, T]
        is true where a token is no padding."""

    def init_state(
        self, batch: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MemState:
        """The state before the first token of inputs of ``dtype``; device and type are those of the weights unless they
        are given. It may depend on learned weights, and gradients flow into them."""
        like = next(self.parameters(), torch.zeros(())).new_zeros((), device=device, dtype=dtype)
        return MemState(self.state_kind, self.state_chunk, self.initial(batch, like))

    def forward(
        self,
        x: Tensor,
        state: MemState | None = None,
        *,
        mask: Tensor | None = None,
        write: bool = True,
        read: bool = True,
    ) -> Result:
        """``x`` [B, T, d] -> output [B, T, d], the state after it, and what is told beside.

        ``mask`` [B, T]: tokens that are false (padding) write nothing and nobody reads them; their own output means
        nothing. ``write`` false leaves what is remembered as it was; ``read`` false gives zeros and saves the reading.
        Any T >= 1 is allowed, also beyond or below the chunk size, and any split of a sequence gives the same.

        Raises :class:`InputError` for an input, and :class:`ConflictError` for a state, that is not this layer's.
        """
        return self.run(x, self.begin(x, state), seen_mask(x, mask), write=write, read=read)

    def step(self, x: Tensor, state: MemState) -> tuple[Tensor, MemState]:
        """One token [B, d] -> its output [B, d] and the next state: the same as :meth:`forward` on it."""
        y, state, _ = self.forward(x[:, None], state)
        return y[:, 0], state

    def write(self, x: Tensor, state: MemState, *, mask: Tensor | None = None) -> MemState:
        """The state after ``x`` [B, T, d] is written."""
        _, state, _ = self.forward(x, state, mask=mask, read=False)
        return state

    def read(self, q: Tensor, state: MemState) -> Tensor:
        """What ``q`` [B, T, d] finds in ``state``, which stays as it is."""
        y, _, _ = self.forward(q, state, write=False)
        return y

    @property
    def state_chunk(self) -> int:
        """The chunk size that a state is bound to: 1 where chunking changes nothing."""
        return 1 if self.exact_chunking else self.chunk

    @property
    def state_kind(self) -> str:
        """What states call this layer."""
        return f"{self.kind} ({self.variant})" if self.variant else self.kind

    def lengths(self, seen: int) -> Mapping[str, int]:
        """How long the tensors of a state that grow are after ``seen`` tokens: name -> n, for [B, ..., n, D] and for
        flags [B, n]. Tensors that are not named keep their shape."""
        return {}

    def begin(self, x: Tensor, state: MemState | None) -> MemState:
        """``state`` checked against this layer and ``x`` [B, T, d], or the one before the first token."""
        if x.dim() != 3 or x.shape[-1] != self.d_model or x.shape[1] < 1:
            raise InputError(f"a {self.kind} layer reads [batch, tokens, {self.d_model}], not {list(x.shape)}")
        if state is None:
            return self.init_state(x.shape[0], device=x.device, dtype=x.dtype)
        state.check(self.state_kind, self.state_chunk, x.shape[0])
        self._fit(state)
        return state

    def _fit(self, state: MemState) -> None:
        """Raises :class:`ConflictError` unless ``state`` has the tensors, and their shapes, of this layer's own."""
        if self._shapes is None:  # they follow from the settings, and are found out once
            with torch.no_grad():
                begun = self.init_state(1)
            self._shapes = {name: tuple(tensor.shape[1:]) for name, tensor in begun.tensors.items()}
        wanted = dict(self._shapes)
        for name, length in self.lengths(state.seen).items():
            shape = wanted[name]
            wanted[name] = (*shape[:-2], length, shape[-1]) if len(shape) > 1 else (length,)
        held = {name: tuple(tensor.shape[1:]) for name, tensor in state.tensors.items()}
        if held == wanted:
            return
        name = next(each for each in [*wanted, *held] if wanted.get(each) != held.get(each))
        has, takes = (list(each[name]) if name in each else "nothing" for each in (held, wanted))
        raise ConflictError(
            f"this state is of another {self.state_kind} layer, with {has} for {name} in a sequence and not {takes}: "
            "make the layer with the settings it had, or begin with init_state()"
        )
