"""Policies keep tokens, modifiers change how what is kept is read: one of the former with any of the latter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policy import FullAttention, Hook, Policy
from mnemic.attention.segment import Segment
from mnemic.errors import InputError


class Modifier(ABC):
    """Something that keeps no tokens of its own: a bias on them, a change of hidden states. ``silent`` says that its
    strength is zero; then nothing of it runs."""

    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    resists: ClassVar[frozenset[str]] = frozenset()
    """Names of policies that it cannot be combined with."""

    @property
    @abstractmethod
    def silent(self) -> bool: ...

    def check(self, anatomy: Anatomy) -> None:
        """Raise :class:`InputError` if it cannot work on this model."""
        return

    def modify(self, layer: Layer, row: Row, segments: list[Segment], q: Tensor, pos: Tensor) -> list[Segment]:
        """The segments as they are to be read."""
        return segments

    def mix(self, layer: Layer, row: Row, out: Tensor, q: Tensor, pos: Tensor) -> Tensor:
        """The output of the attention as it goes on."""
        return out

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor], q: Tensor, pos: Tensor
    ) -> None:
        """After one layer has attended; ``mass`` is per segment [H, n]."""
        return

    def after_forward(self, row: Row, ids: Tensor, logits: Tensor) -> None:
        """After all layers, as for a policy."""
        return

    def hooks(self, anatomy: Anatomy) -> dict[int, Hook]:
        """As for a policy."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The settings as they are saved beside a session."""
        return asdict(self) if is_dataclass(self) else {}


class Compose(Policy):
    """``Compose(policy, *modifiers)``: the policy keeps tokens, the modifiers act in the order given.

    Raises :class:`InputError` for what cannot be right: two policies that keep tokens, a modifier twice, a modifier
    that a policy's storage does not fit.
    """

    paper = ""

    def __init__(self, *parts: Policy | Modifier) -> None:
        keepers = [part for part in parts if isinstance(part, Policy)]
        self.modifiers = [part for part in parts if isinstance(part, Modifier)]
        if len(keepers) > 1:
            names = " and ".join(part.name for part in keepers)
            raise InputError(f"{names} both decide which tokens are kept: take one of them, and modifiers")
        self.base = keepers[0] if keepers else FullAttention()
        if isinstance(self.base, Compose):
            self.modifiers = [*self.base.modifiers, *self.modifiers]
            self.base = self.base.base
        names_of = [m.name for m in self.modifiers]
        if len(set(names_of)) < len(names_of):
            raise InputError(f"a modifier is given twice: {', '.join(sorted(names_of))}")
        for modifier in self.modifiers:
            if self.base.name in modifier.resists:
                raise InputError(f"{modifier.name} cannot be combined with {self.base.name}: see its documentation")
        self.acting = [m for m in self.modifiers if not m.silent]

    @property
    def name(self) -> str:  # type: ignore[override]
        return "+".join([self.base.name, *(m.name for m in self.modifiers)])

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return self.base.needs.union(*(m.needs for m in self.acting))

    @property
    def frozen(self) -> bool:  # type: ignore[override]
        return self.base.frozen

    @property
    def holds_all(self) -> bool:  # type: ignore[override]
        return self.base.holds_all

    def check(self, anatomy: Anatomy) -> None:
        self.base.check(anatomy)
        for modifier in self.modifiers:
            modifier.check(anatomy)

    def chunk_free(self) -> bool:
        return self.base.chunk_free() and not self.acting

    def limit(self) -> int | None:
        return self.base.limit()

    def chunk_limit(self) -> int | None:
        return self.base.chunk_limit()

    def room(self, row: Row) -> int | None:
        return self.base.room(row)

    def own(self, row: Row) -> Tensor | None:
        return self.base.own(row)

    def reading(self, anatomy: Anatomy) -> AbstractContextManager[None]:
        return self.base.reading(anatomy)

    def begin_prefill(self, row: Row) -> None:
        self.base.begin_prefill(row)

    def before_forward(self, row: Row, new: int) -> None:
        self.base.before_forward(row, new)

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        found = self.base.segments(layer, row, q, k, v, pos)
        for modifier in self.acting:
            found = modifier.modify(layer, row, found, q, pos)
        return found

    def mix(self, layer: Layer, row: Row, out: Tensor, q: Tensor, pos: Tensor) -> Tensor:
        out = self.base.mix(layer, row, out, q, pos)
        for modifier in self.acting:
            out = modifier.mix(layer, row, out, q, pos)
        return out

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        for modifier in self.acting:
            modifier.after_attention(layer, row, segments, mass or [], q, pos)
        self.base.after_attention(layer, row, segments, mass, q, pos)

    def after_forward(self, row: Row, ids: Tensor, logits: Tensor) -> None:
        for modifier in self.acting:
            modifier.after_forward(row, ids, logits)
        self.base.after_forward(row, ids, logits)

    def end_prefill(self, row: Row) -> None:
        self.base.end_prefill(row)

    def hooks(self, anatomy: Anatomy) -> dict[int, Hook]:
        found = self.base.hooks(anatomy)
        for modifier in self.acting:
            for index, hook in modifier.hooks(anatomy).items():
                found[index] = chained(found[index], hook) if index in found else hook
        return found

    def settings(self) -> dict[str, Any]:
        return {self.base.name: self.base.settings(), **{m.name: m.settings() for m in self.modifiers}}


def chained(first: Hook, second: Hook) -> Hook:
    """Both, one after the other."""
    return lambda hidden, row: second(first(hidden, row), row)


def composed(policy: Policy | Modifier) -> Policy:
    """``policy``; a modifier by itself reads all tokens."""
    return Compose(policy) if isinstance(policy, Modifier) else policy
