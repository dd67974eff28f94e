"""The ledger: what was decided about a space, append-only, each entry chained to the one before by its hash.

A file of its own beside the space, so that it outlives it. Entries hold ids, numbers and names, never text. A chain
shows that nothing inside it was changed; that nothing was cut off its end shows only against a ``head`` that was
written down elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mnemic.errors import StoreError

_TABLES = (
    "CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,"
    " body TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entries"
    " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entries"
    " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
)
GENESIS = "0" * 64


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision. ``hash`` covers everything here and the hash of the entry before."""

    seq: int
    at: str
    kind: str
    body: Mapping[str, Any]
    hash: str


class Ledger:
    """The ledger in the file ``path``, made on the first entry. Safe from several processes."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.path = path
        self.clock = clock

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Add an entry; it is durable on return."""
        told = json.dumps(body, sort_keys=True, ensure_ascii=False, default=str)
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")  # so that two writers never chain to the same entry
            row = db.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
            seq, before = (row[0] + 1, row[1]) if row else (1, GENESIS)
            at = self.clock().isoformat()
            made = _hash(before, seq, at, kind, told)
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (seq, at, kind, told, made))
            db.execute("COMMIT")
        return Entry(seq, at, kind, json.loads(told), made)

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        return [Entry(seq, at, kind, json.loads(body), made) for seq, at, kind, body, made in self._rows()]

    def last(self, kind: str) -> Entry | None:
        """The newest entry of this kind."""
        return next((entry for entry in reversed(self.entries()) if entry.kind == kind), None)

    def head(self) -> str:
        """The hash of the newest entry: write it down elsewhere, and pass it to :meth:`verify` later."""
        rows = list(self._rows())
        return str(rows[-1][4]) if rows else GENESIS

    def verify(self, head: str | None = None) -> int:
        """The number of entries, if the chain holds ``head`` and is whole; else raises :class:`StoreError`."""
        before, seen, count = GENESIS, head in (None, GENESIS), 0
        for count, (seq, at, kind, body, made) in enumerate(self._rows(), 1):
            if seq != count or made != _hash(before, seq, at, kind, body):
                raise StoreError(
                    f"the ledger {self.path} was changed: entry {count} does not follow from what stands before it. "
                    "Trust nothing from there on; restore the file from a backup"
                )
            before, seen = made, seen or made == head
        if not seen:
            raise StoreError(
                f"the ledger {self.path} does not hold the entry {head}: its end was cut off, or it is another"
            )
        return count

    def _rows(self) -> Iterator[tuple[int, str, str, str, str]]:
        if not self.path.exists():
            return
        with self._open() as db:
            yield from db.execute("SELECT seq, at, kind, body, hash FROM entries ORDER BY seq")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None, timeout=30)) as db:
                db.execute("PRAGMA synchronous = FULL")
                for statement in _TABLES:
                    db.execute(statement)
                yield db
        except sqlite3.Error as error:
            raise StoreError(
                f"the ledger {self.path} cannot be used ({error}): check the file and its folder"
            ) from error


def _hash(before: str, *parts: object) -> str:
    return hashlib.sha256(json.dumps([before, *parts], ensure_ascii=False).encode()).hexdigest()
