"""What a policy is: which keys the queries of a layer read, and what is done with the tokens afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

from torch import Tensor

from mnemic.attention.anatomy import Anatomy
from mnemic.attention.cache import Layer, Row
from mnemic.attention.segment import Segment, causal

Hook = Callable[[Tensor, Row], Tensor]


class Policy(ABC):
    """A memory policy: settings only. All state lives in the :class:`Row` and its layers, so that sessions can be
    forked, cropped and saved without the policy's help.

    ``needs`` may hold ``mass`` (the attention that keys received is handed to :meth:`after_attention`) and ``logits``
    (those of every token are handed to :meth:`after_forward`). ``frozen`` says that it stores rotated
    keys, which cannot be moved; ``holds_all`` that every token is in the tape ``local``, so that stored ones may be put
    there.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    frozen: ClassVar[bool] = False
    holds_all: ClassVar[bool] = False

    def check(self, anatomy: Anatomy) -> None:
        """Raise :class:`InputError` if the policy cannot work on this model."""
        return

    def chunk_free(self) -> bool:
        """Whether the result does not depend on how a prompt is cut into chunks."""
        return True

    def limit(self) -> int | None:
        """The most tokens that stay resident in a layer between forwards; None: no bound."""
        return None

    def chunk_limit(self) -> int | None:
        """The most tokens that one forward may bring; None: any number. Longer texts are read in pieces."""
        return None

    def begin_prefill(self, row: Row) -> None:
        """A text is about to be read: a new turn, if there were some before."""
        return

    def room(self, row: Row) -> int | None:
        """How many tokens, at least 1, the model may read next in one call; None: any number. A forward that brings
        more is read in several calls."""
        return None

    def own(self, row: Row) -> Tensor | None:
        """Tokens of the policy's own [m, d], embedded, that the model reads after those it has just read: they pass
        through ``segments`` and ``after_attention`` like others, and belong to no text. All rows that have some have
        the same number."""
        return None

    def reading(self, anatomy: Anatomy) -> AbstractContextManager[None]:
        """What holds while the policy's own tokens are read."""
        return nullcontext()

    def before_forward(self, row: Row, new: int) -> None:
        """Before ``new`` tokens go through the model: make room, decay."""
        return

    @abstractmethod
    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        """Take in the new tokens (``k``, ``v`` [Hk, L, D] at ``pos`` [L]) and say what their un-rotated queries
        ``q`` [H, L, D] read."""

    def after_attention(
        self, layer: Layer, row: Row, segments: Sequence[Segment], mass: list[Tensor] | None, q: Tensor, pos: Tensor
    ) -> None:
        """After one layer has attended: score, form blocks, evict. ``mass`` is per segment [H, n]."""
        return

    def after_forward(self, row: Row, ids: Tensor, logits: Tensor) -> None:
        """After all layers: ``ids`` [L] went in, ``logits`` came out: [L, V] if ``needs`` has ``logits``, else [1, V]
        of the last token."""
        return

    def end_prefill(self, row: Row) -> None:
        """The prompt is read; what follows is generated."""
        return

    def mix(self, layer: Layer, row: Row, out: Tensor, q: Tensor, pos: Tensor) -> Tensor:
        """The output of a layer's attention [H, L, D] as it goes on."""
        return out

    def hooks(self, anatomy: Anatomy) -> dict[int, Hook]:
        """For layers by index: a function over the hidden states [L, d] of a row that enter them."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The settings as they are saved beside a session."""
        return asdict(self) if is_dataclass(self) else {}


class FullAttention(Policy):
    """Every token is kept and read where it stands: the model as it is. The reference of all other policies."""

    name = "full"
    paper = "Vaswani et al. 2017, arXiv 1706.03762"
    holds_all = True

    def segments(self, layer: Layer, row: Row, q: Tensor, k: Tensor, v: Tensor, pos: Tensor) -> list[Segment]:
        tape = layer.tape()
        tape.append(k, v, pos)
        return [Segment(tape.k, tape.v, pos, tape.pos, causal(pos, tape.pos), at=tape.pos)]
