"""Who may do what: tokens with scopes in spaces, kept as hashes in one file."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mnemic.errors import ForbiddenError, InputError, NotFoundError, StoreError
from mnemic.serve import disk
from mnemic.text.opening import utc_now
from mnemic.text.record import to_datetime

PREFIX = "mnk_"
EVERY = "*"
"""In place of a space's name: all of them, those to come included."""


class Scope(StrEnum):
    """What a token may do in a space. ``admin`` implies the others."""

    READ = "read"
    WRITE = "write"
    FORGET = "forget"
    ADMIN = "admin"

    @classmethod
    def parse(cls, value: str) -> Scope:
        try:
            return cls(value)
        except ValueError:
            raise InputError(f"unknown scope {value!r}: use one of {', '.join(cls)}") from None


@dataclass(frozen=True)
class Principal:
    """Who is asking. ``grants`` maps the name of a space, or ``*`` for all, to the scopes there."""

    id: str
    name: str
    grants: Mapping[str, frozenset[Scope]]

    def may(self, space: str, scope: Scope) -> bool:
        """Whether ``scope`` is granted in ``space``; ``*`` asks about all spaces at once."""
        granted = self.grants.get(space, frozenset()) | self.grants.get(EVERY, frozenset())
        return scope in granted or Scope.ADMIN in granted

    def need(self, space: str, scope: Scope) -> None:
        """Raise :class:`ForbiddenError` unless ``scope`` is granted: the same words whether the space exists or not."""
        if not self.may(space, scope):
            where = "all spaces" if space == EVERY else f"the space {space!r}"
            raise ForbiddenError(f"this token does not grant {scope.value!r} in {where}: ask for one that does")

    def sees(self, spaces: Iterable[str]) -> list[str]:
        """Those of ``spaces`` in which anything is granted, in their order."""
        return [space for space in spaces if self.grants.get(space) or self.grants.get(EVERY)]


LOCAL = Principal("local", "local", {EVERY: frozenset(Scope)})
"""Whoever sits at this machine: the standard streams, and a server without tokens."""


@dataclass(frozen=True)
class TokenInfo:
    """What is known about a token; the secret itself is not."""

    id: str
    name: str
    grants: Mapping[str, tuple[Scope, ...]]
    made: datetime
    expires: datetime | None = None


@dataclass(frozen=True)
class _Stored:
    info: TokenInfo
    digest: bytes
    principal: Principal = field(init=False)

    def __post_init__(self) -> None:
        grants = {space: frozenset(scopes) for space, scopes in self.info.grants.items()}
        object.__setattr__(self, "principal", Principal(self.info.id, self.info.name, grants))

    def valid(self, now: datetime) -> bool:
        return self.info.expires is None or now < self.info.expires


class Tokens:
    """The tokens in one file: SHA-256 of 256 random bits each, readable by its owner only, replaced atomically.

    The file is read again whenever it changed, so a token that another process revokes is refused at once.
    Safe to share between threads; writers of several processes take turns.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._known: dict[str, _Stored] = {}

    def create(self, name: str, grants: Mapping[str, Iterable[Scope]], *, expires: datetime | None = None) -> str:
        """A new token. The secret returned is shown once: only its hash is kept."""
        return self.issue(name, grants, expires=expires)[0]

    def issue(
        self, name: str, grants: Mapping[str, Iterable[Scope]], *, expires: datetime | None = None
    ) -> tuple[str, TokenInfo]:
        """A new token, and what is known about it afterwards."""
        settled = {space: tuple(s for s in Scope if s in set(scopes)) for space, scopes in grants.items()}
        if not settled or not all(settled.values()):
            raise InputError("a token needs at least one scope in at least one space (* for all)")
        made, ends = self._clock(), to_datetime(expires)
        if ends is not None and ends <= made:
            raise InputError(f"a token that expired at {ends.isoformat()} would be of no use")
        secret = PREFIX + secrets.token_urlsafe(32)
        info = TokenInfo(secrets.token_hex(6), name, settled, made, ends)
        with self._writing() as known:
            known[info.id] = _Stored(info, _digest(secret))
        return secret, info

    def all(self) -> list[TokenInfo]:
        """The tokens there are, oldest first, expired ones included."""
        return [stored.info for stored in self._read().values()]

    def revoke(self, id: str) -> None:
        """Raises :class:`NotFoundError`."""
        with self._writing() as known:
            if known.pop(id, None) is None:
                raise NotFoundError(f"no token has the id {id!r}: see mnemic token list")

    def check(self, secret: str) -> Principal | None:
        """The owner of ``secret``, None if there is none or it expired. A wrong one takes as long as a right one."""
        given, found = _digest(secret), None
        for stored in self._read().values():
            if hmac.compare_digest(stored.digest, given):
                found = stored
        return found.principal if found is not None and found.valid(self._clock()) else None

    def principal(self, id: str) -> Principal | None:
        """The owner of the token with this id as long as it is valid."""
        stored = self._read().get(id)
        return stored.principal if stored is not None and stored.valid(self._clock()) else None

    def _read(self) -> dict[str, _Stored]:
        with self._lock:
            try:
                at = self.path.stat()
            except FileNotFoundError:
                self._seen, self._known = None, {}
                return self._known
            stamp = (at.st_mtime_ns, at.st_size, at.st_ino)
            if stamp != self._seen:
                self._known = _load(self.path)
                self._seen = stamp
            return self._known

    @contextmanager
    def _writing(self) -> Iterator[dict[str, _Stored]]:
        """The tokens to be changed, alone among all processes; stored when the block ends without an error."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with disk.alone(self.path.with_name(self.path.name + ".lock")):
            known = dict(self._read())
            yield known
            told = {"mnemic": 1, "tokens": [_row(stored) for stored in known.values()]}
            disk.write(self.path, json.dumps(told, indent=1))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _row(stored: _Stored) -> dict[str, Any]:
    info = stored.info
    return {
        "id": info.id,
        "name": info.name,
        "sha256": stored.digest.hex(),
        "grants": {space: list(scopes) for space, scopes in info.grants.items()},
        "made": info.made.isoformat(),
        "expires": info.expires and info.expires.isoformat(),
    }


def _load(path: Path) -> dict[str, _Stored]:
    try:
        found = [_stored(row) for row in json.loads(path.read_text("utf-8"))["tokens"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"cannot read the tokens in {path} ({type(error).__name__}: {error}): restore the file, or delete it "
            "and make new tokens"
        ) from error
    return {stored.info.id: stored for stored in found}


def _stored(row: Mapping[str, Any]) -> _Stored:
    grants = {str(space): tuple(Scope(scope) for scope in scopes) for space, scopes in row["grants"].items()}
    expires = datetime.fromisoformat(row["expires"]) if row["expires"] else None
    info = TokenInfo(str(row["id"]), str(row["name"]), grants, datetime.fromisoformat(row["made"]), expires)
    return _Stored(info, bytes.fromhex(row["sha256"]))
