"""The data model: a turn is what was said, a record is what is stored, a batch is what is written at once."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from mnemic.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Kind(StrEnum):
    """What a record is. Turns are said; every other kind is derived and cites the turns it came from."""

    TURN = "turn"
    FACT = "fact"
    PREFERENCE = "preference"
    EVENT = "event"
    SUMMARY = "summary"
    NOTE = "note"
    OUTLINE = "outline"
    PROFILE = "profile"
    PROCEDURE = "procedure"
    RESOURCE = "resource"
    VAULT = "vault"

    @classmethod
    def parse(cls, value: str) -> Kind:
        """The kind named ``value``; raises :class:`InputError` that lists the kinds there are."""
        try:
            return cls(value)
        except ValueError:
            raise InputError(f"unknown kind {value!r}: use one of {', '.join(cls)}") from None


class State(StrEnum):
    """Where a record stands in its life. Only ``active`` records are recalled unless the query says otherwise."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    ARCHIVED = "archived"
    FORGOTTEN = "forgotten"


def to_datetime(value: datetime | str | float | None) -> datetime | None:
    """An aware datetime from a datetime, an ISO 8601 string or epoch seconds. A time without a zone is UTC."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InputError(f"cannot read the time {value!r}: give ISO 8601, such as 2023-05-08T13:56") from None
    elif isinstance(value, int | float):
        try:
            value = EPOCH + timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise InputError(f"the time {value!r} is outside the years 1 to 9999") from None
    if not isinstance(value, datetime):
        raise InputError(f"a time is a datetime, an ISO 8601 string or epoch seconds, not {type(value).__name__}")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def to_micros(at: datetime) -> int:
    """Microseconds since 1970 in UTC: how the store keeps time. Works from year 1 to 9999 in any zone."""
    offset = at.utcoffset() or timedelta()
    return (at.replace(tzinfo=None) - EPOCH.replace(tzinfo=None) - offset) // timedelta(microseconds=1)


def from_micros(micros: int, offset_minutes: int = 0) -> datetime:
    """The aware datetime ``micros`` after 1970, shown in the zone it was said in."""
    wall = EPOCH.replace(tzinfo=None) + timedelta(microseconds=micros, minutes=offset_minutes)
    return wall.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)) if offset_minutes else UTC)


def new_id(prefix: str = "") -> str:
    """A fresh id that sorts by time of making: 10 characters of milliseconds, 16 random ones."""
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    return prefix + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def digest(*parts: str, size: int = 10) -> str:
    """A name that follows from ``parts``: ``size`` bytes in hexadecimal. Ids of derived records are made of it, so that
    deriving the same twice is harmless."""
    return blake2b("\0".join(parts).encode(), digest_size=size).hexdigest()


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open span of world time ``[start, end)``; ``None`` is open."""

    start: datetime | None = None
    end: datetime | None = None

    def __contains__(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True)
class Span:
    """A marked stretch ``text[start:end]``; ``label`` says what was found there (``password``, ``card``, ...)."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing somebody said, as the caller hands it in.

    ``role`` is ``user`` / ``assistant`` / ``system`` / ``tool`` in chats with a model and ``None`` between
    people. ``caption`` describes a picture shared with the turn. ``id`` makes writing idempotent: the same id
    with the same content is stored once, with other content it is refused.
    """

    text: str
    speaker: str | None = None
    at: datetime | None = None
    session: str | None = None
    role: str | None = None
    caption: str | None = None
    id: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """One text under which a record can be found. ``text`` is what every encoder of the space encodes."""

    text: str
    name: str = "text"


@dataclass(frozen=True, slots=True)
class Link:
    """A typed, weighted edge between two records."""

    source: str
    target: str
    kind: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """What the store holds. A turn is a record of kind ``turn``; derived records cite turns in ``sources``.

    ``at`` is when it was said; ``valid`` when it was true in the world; ``recorded`` when the store learnt it.
    ``keys`` is what it is found by; without keys the text itself is the key. ``position`` orders the turns of a
    session (a revision keeps the position of what it revises).
    """

    id: str
    kind: Kind
    text: str
    at: datetime | None = None
    valid: Interval = field(default_factory=Interval)
    recorded: datetime | None = None
    speaker: str | None = None
    role: str | None = None
    session: str | None = None
    caption: str | None = None
    sources: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[Span, ...] = ()
    state: State = State.ACTIVE
    supersedes: str | None = None
    superseded_by: str | None = None
    version: int = 1
    position: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes: all of it, or none.

    ``retire`` maps an id to the id that supersedes it; ``forget`` hides ids; ``archive`` puts ids out of the
    way. ``cursor`` is committed with the batch so that a job resumes exactly after it.
    """

    puts: Sequence[Record] = ()
    retire: Mapping[str, str] = field(default_factory=dict)
    forget: Sequence[str] = ()
    archive: Sequence[str] = ()
    links: Sequence[Link] = ()
    unlink: Sequence[Link] = ()
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a write. ``seq`` is the store's sequence number after it; everything up to it is durable.

    ``ids`` were stored or touched, ``duplicates`` were already there, ``secrets`` counts masked spans;
    ``pending`` is true while an erase still waits for the last reader before the bytes are gone from disk.
    """

    seq: int
    ids: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    secrets: int = 0
    pending: bool = False
    at: datetime | None = None
