"""The memory cube of MemOS (arXiv 2507.03724): what is known about a memory, whatever floor it lives on.

A cube is a header and a payload. The payload is a text, keys and values that a model attends to, or a change of a
model's weights; the header says the same of all three: where it came from, who may use it and until when, how it was
used, and where it stands in its life. This module knows no floor, and every floor may use it.

The paper tells of the states in two places, once with ``expired`` and once without, and ``frozen`` in passing; the
table :data:`TRANSITIONS` is how they are read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, Self, runtime_checkable

from mnemic.errors import ConflictError, InputError


class Form(StrEnum):
    """What a payload is: records, a cache of keys and values, or weights."""

    TEXT = "text"
    ACTIVATION = "activation"
    PARAMETRIC = "parametric"


class Life(StrEnum):
    """Where a memory stands in its life."""

    GENERATED = "generated"
    ACTIVATED = "activated"
    MERGED = "merged"
    ARCHIVED = "archived"
    EXPIRED = "expired"
    FROZEN = "frozen"


_ENDS = frozenset((Life.MERGED, Life.ARCHIVED, Life.EXPIRED, Life.FROZEN))
TRANSITIONS: Mapping[Life, frozenset[Life]] = {
    Life.GENERATED: _ENDS | {Life.ACTIVATED},  # used again and again
    Life.ACTIVATED: _ENDS,
    Life.ARCHIVED: frozenset((Life.ACTIVATED, Life.MERGED, Life.EXPIRED)),  # used after all; or a newer value came
    Life.MERGED: frozenset(),  # what it went into goes on living
    Life.EXPIRED: frozenset(),
    Life.FROZEN: frozenset((Life.ACTIVATED,)),  # thawed by whoever froze it; nothing else changes it
}
"""State -> the states it may change to. A memory is born ``generated``."""


@dataclass(frozen=True, slots=True)
class Descriptive:
    """What a memory is: when it was made and last used, where it came from (``origin``: ids or addresses), what kind of
    memory it is (``type``), and what made it (``model``: a model's name, or ``rule``)."""

    created: datetime | None = None
    last_used: datetime | None = None
    origin: tuple[str, ...] = ()
    type: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Governance:
    """Who may read it (nobody named: everyone who may read the space), from when on it does not hold any more, how much
    it matters beside others, what is sensitive in it, and a mark by which a copy can be told."""

    readers: tuple[str, ...] = ()
    expires: datetime | None = None
    priority: int = 0
    sensitivity: tuple[str, ...] = ()
    watermark: str = ""


@dataclass(frozen=True, slots=True)
class Behavioural:
    """How it was used: by how many recalls; ``fingerprint`` of what it was made from; which ``version`` it is, and the
    ids of the cubes ``before`` it, which it came out of."""

    uses: int = 0
    fingerprint: str = ""
    version: int = 1
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """The header of the cube ``id``. Frozen as a value: each change is a new header."""

    id: str
    form: Form = Form.TEXT
    life: Life = Life.GENERATED
    descriptive: Descriptive = field(default_factory=Descriptive)
    governance: Governance = field(default_factory=Governance)
    behavioural: Behavioural = field(default_factory=Behavioural)

    def to(self, life: Life) -> Self:
        """The header in the state ``life``; :class:`ConflictError` where :data:`TRANSITIONS` does not allow that."""
        if life not in TRANSITIONS[self.life]:
            allowed = ", ".join(sorted(TRANSITIONS[self.life])) or "nothing: it is final"
            raise ConflictError(f"the cube {self.id!r} is {self.life} and cannot become {life}, only {allowed}")
        return replace(self, life=life)

    def expired(self, now: datetime) -> bool:
        """Whether it does not hold any more at ``now``. What is frozen holds for ever."""
        expires = self.governance.expires
        return self.life == Life.EXPIRED or (self.life != Life.FROZEN and expires is not None and expires <= now)

    def packed(self) -> dict[str, Any]:
        """As JSON: without the id, times as ISO 8601, empty values left out."""
        told: dict[str, Any] = {"form": str(self.form), "life": str(self.life)}
        for part in ("descriptive", "governance", "behavioural"):
            told[part] = {name: _plain(value) for name, value in asdict(getattr(self, part)).items() if value}
        return told

    @classmethod
    def unpacked(cls, id: str, told: Mapping[str, Any]) -> Self:
        """The header that :meth:`packed` told. Raises :class:`InputError` for anything else."""
        try:
            parts = {
                name: kind(**{key: _value(key, value) for key, value in told.get(name, {}).items()})
                for name, kind in _PARTS.items()
            }
            return cls(id, Form(told["form"]), Life(told["life"]), **parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the header of the cube {id!r} cannot be read: {error}") from error


_PARTS: Mapping[str, Any] = {"descriptive": Descriptive, "governance": Governance, "behavioural": Behavioural}
_TIMES = frozenset(("created", "last_used", "expires"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _value(key: str, value: Any) -> Any:
    if key in _TIMES:
        return datetime.fromisoformat(value)
    return tuple(map(str, value)) if isinstance(value, list) else value


@runtime_checkable
class ActivationPort(Protocol):
    """What turns texts into keys and values of a model, so that they need not be read again for every prompt."""

    @property
    def model(self) -> str:
        """The model that the cache fits, by name and revision."""
        ...

    def hold(self, header: Header, text: str) -> None:
        """Compute and keep the cache of ``text``, in place of what is held for ``header.id``."""
        ...

    def drop(self, id: str) -> None:
        """Let go of the cache held for ``id``; nothing happens if there is none."""
        ...


@runtime_checkable
class ParametricPort(Protocol):
    """What writes memories that no longer change into weights, and reads them back."""

    @property
    def model(self) -> str:
        """The model that the weights belong to, by name and revision."""
        ...

    def distil(self, header: Header, texts: Sequence[str]) -> None:
        """Train the weights of the cube ``header.id`` on ``texts``."""
        ...

    def offload(self, id: str) -> Sequence[str]:
        """The texts that the weights of ``id`` were trained on; the weights are let go of."""
        ...
