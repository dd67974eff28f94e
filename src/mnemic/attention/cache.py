"""Where keys and values are kept: un-rotated, one sequence at a time, cheap to fork.

A :class:`Tape` grows at its end and loses tokens at its front or anywhere; forks share its buffer until one of them
writes. A :class:`Layer` is what one layer of one sequence holds, a :class:`Row` is one sequence. Nothing in them is
changed in place except through their methods, so that a copy costs a few references.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mnemic.attention.anatomy import Anatomy

SLACK = 256
"""Tokens a buffer has room for beyond what it holds when it is made anew."""


class _Buffer:
    """Keys, values and positions with room to grow. ``filled`` is how far any tape has written."""

    def __init__(self, k: Tensor, v: Tensor, pos: Tensor, filled: int) -> None:
        self.k, self.v, self.pos, self.filled = k, v, pos, filled


class Tape:
    """Tokens in the order they were seen: ``k``, ``v`` [Hk, n, D] un-rotated, ``pos`` [n] where they stood."""

    def __init__(self) -> None:
        self._buffer: _Buffer | None = None
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def k(self) -> Tensor:
        return self._held.k[:, self._start : self._end]

    @property
    def v(self) -> Tensor:
        return self._held.v[:, self._start : self._end]

    @property
    def pos(self) -> Tensor:
        return self._held.pos[self._start : self._end]

    @property
    def _held(self) -> _Buffer:
        if self._buffer is None:
            raise IndexError("an empty tape has no keys yet")
        return self._buffer

    @property
    def nbytes(self) -> int:
        """Bytes of its buffer, the room to grow included."""
        b = self._buffer
        return 0 if b is None else b.k.nbytes + b.v.nbytes + b.pos.nbytes

    def append(self, k: Tensor, v: Tensor, pos: Tensor) -> None:
        """Add tokens at the end: ``k``, ``v`` [Hk, m, D], ``pos`` [m]."""
        m = k.shape[1]
        b = self._buffer
        if b is None or b.filled != self._end or b.k.shape[1] < self._end + m:
            n = len(self)
            room = n + m + max(SLACK, (n + m) // 4)
            fresh = _Buffer(
                k.new_empty((k.shape[0], room, k.shape[2])), v.new_empty((v.shape[0], room, v.shape[2])),
                pos.new_empty(room), n,
            )  # fmt: skip
            if b is not None:
                fresh.k[:, :n], fresh.v[:, :n], fresh.pos[:n] = self.k, self.v, self.pos
            self._buffer, self._start, self._end = fresh, 0, n
            b = fresh
        end = self._end + m
        b.k[:, self._end : end], b.v[:, self._end : end], b.pos[self._end : end] = k, v, pos
        b.filled = self._end = end

    def drop_front(self, count: int) -> None:
        """Forget the oldest ``count`` tokens."""
        self._start += count
        if len(self) and self._start > max(SLACK, 2 * len(self)):  # let go of a buffer that is mostly forgotten
            self.keep(torch.arange(len(self), device=self.k.device))

    def take(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and positions of the tokens at ``index``, copied."""
        return self.k[:, index], self.v[:, index], self.pos[index]

    def keep(self, index: Tensor) -> None:
        """Forget all but the tokens at ``index`` (ascending)."""
        k, v, pos = self.take(index)
        self._buffer, self._start, self._end = None, 0, 0
        if len(index):
            self.append(k, v, pos)

    def fork(self) -> Tape:
        """A tape with the same tokens; what either gets from now on, the other does not see."""
        return copy(self)

    def state(self) -> dict[str, Tensor]:
        return {"k": self.k, "v": self.v, "pos": self.pos} if len(self) else {}

    @classmethod
    def restored(cls, state: dict[str, Tensor]) -> Tape:
        tape = cls()
        if state:
            tape.append(state["k"], state["v"], state["pos"])
        return tape


class Grown(Tape):
    """A tape that gradients pass through: what it holds is never written over, but made anew when it grows."""

    def append(self, k: Tensor, v: Tensor, pos: Tensor) -> None:
        if len(self):
            k, v, pos = torch.cat((self.k, k), 1), torch.cat((self.v, v), 1), torch.cat((self.pos, pos))
        self._buffer, self._start, self._end = _Buffer(k, v, pos, len(pos)), 0, len(pos)


@dataclass
class Layer:
    """What one layer of one sequence holds. ``tapes`` are named groups of tokens (``local``, ``sink``, ...);
    ``extra`` is the policy's own state: tensors, numbers, texts, and lists and dicts of them, which are replaced and
    never changed in place; or an object with ``fork`` and ``state`` such as :class:`mnemic.attention.blocks.Blocks`."""

    index: int
    tapes: dict[str, Tape] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def tape(self, name: str = "local") -> Tape:
        return self.tapes.setdefault(name, Tape())

    def take_in(self, k: Tensor, v: Tensor, pos: Tensor, sinks: int) -> tuple[Tape, Tape]:
        """Append new tokens: the first ``sinks`` of the text to the tape ``sink``, all others to ``local``; both."""
        sink, local = self.tape("sink"), self.tape("local")
        first = max(0, sinks - int(pos[0]))
        if first:
            sink.append(k[:, :first], v[:, :first], pos[:first])
        if first < len(pos):
            local.append(k[:, first:], v[:, first:], pos[first:])
        return sink, local

    @property
    def resident(self) -> int:
        """Tokens held for attention."""
        return sum(len(tape) for tape in self.tapes.values()) + sum(
            int(getattr(value, "resident", 0)) for value in self.extra.values()
        )

    @property
    def nbytes(self) -> int:
        return sum(tape.nbytes for tape in self.tapes.values()) + _bytes(self.extra)

    def fork(self) -> Layer:
        extra = {name: value.fork() if hasattr(value, "fork") else value for name, value in self.extra.items()}
        return Layer(self.index, {name: tape.fork() for name, tape in self.tapes.items()}, extra)

    def state(self) -> dict[str, Any]:
        extra = {name: value.state() if hasattr(value, "state") else value for name, value in self.extra.items()}
        return {"tapes": {name: tape.state() for name, tape in self.tapes.items()}, "extra": extra}

    @classmethod
    def restored(cls, index: int, state: dict[str, Any]) -> Layer:
        tapes = {name: Tape.restored(told) for name, told in state["tapes"].items()}
        return cls(index, tapes, dict(state["extra"]))


@dataclass
class Row:
    """One sequence: ``ids`` it has seen, its layers, and what policies keep for all layers in ``extra``.

    ``last`` [V] are the logits after its last token. ``anatomy`` is that of the model it is read by.
    """

    anatomy: Anatomy
    layers: list[Layer]
    ids: list[int] = field(default_factory=list)
    last: Tensor | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """Tokens so far: the position of the next one."""
        return len(self.ids)

    def fork(self) -> Row:
        layers = [layer.fork() for layer in self.layers]
        return Row(self.anatomy, layers, list(self.ids), self.last, dict(self.extra))

    def state(self) -> dict[str, Any]:
        told = {"ids": list(self.ids), "extra": self.extra, "layers": [layer.state() for layer in self.layers]}
        return told if self.last is None else {**told, "last": self.last}

    @classmethod
    def new(cls, anatomy: Anatomy) -> Row:
        return cls(anatomy, [Layer(i) for i in range(anatomy.layers)])

    @classmethod
    def restored(cls, anatomy: Anatomy, state: dict[str, Any]) -> Row:
        layers = [Layer.restored(i, told) for i, told in enumerate(state["layers"])]
        return cls(anatomy, layers, [int(id) for id in state["ids"]], state.get("last"), dict(state["extra"]))


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_bytes, value))
    return int(getattr(value, "nbytes", 0))
