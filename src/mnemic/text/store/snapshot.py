"""A copy of a SQLite space as it is now, and going back to one without losing what others wrote since."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mnemic.errors import InputError, StoreError
from mnemic.text.record import Receipt, to_micros
from mnemic.text.store.connection import Connection
from mnemic.text.store.sql import audit, last, remove

_MARKS = ("retired", "ended", "superseded_by", "archived")
"""The columns that a reflect changes on records that others wrote."""
_NEVER = (None,) * len(_MARKS)


@dataclass(slots=True)
class _Writes:
    """Who wrote what since a snapshot: ``made`` maps new ids to the operation that put them, ``touched`` are the ids
    that the operation in question put or marked, ``kept`` those that another marked after they were there."""

    made: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    purged: set[str] = field(default_factory=set)


class SqliteSnapshots(ABC):
    """Part of the space: taking a snapshot and reverting to it."""

    name: str
    clock: Callable[[], datetime]
    _db: Connection

    @abstractmethod
    def _finish(self, erased: bool) -> bool: ...

    def snapshot(self, to: Path) -> int:
        """Copy the space, in one state, into the new file ``to``; the sequence number of that state."""
        if to.exists():
            raise InputError(f"{to} exists already: give a new file for the snapshot")
        with self._db.read() as db, closing(sqlite3.connect(to)) as copy:
            db.backup(copy)
            return last(copy)

    def revert(self, snapshot: Path, op: str = "reflect") -> Receipt:
        """Take back what writes of ``op`` did since ``snapshot``, in one transaction; what others wrote stays.

        Records that it put are removed; those that it superseded or archived stand as they stood; links and the
        place its job had reached are as they were. A record that somebody revised meanwhile is kept. Raises
        :class:`StoreError` for a snapshot of another space.
        """
        with _reading(snapshot) as old:
            since = last(old)

            def run(db: sqlite3.Connection) -> Receipt:
                first = "SELECT at, op, ids FROM audit WHERE seq = ?"
                if db.execute(first, (since,)).fetchone() != old.execute(first, (since,)).fetchone():
                    raise StoreError(f"{snapshot} is no snapshot of the space {self.name!r}: nothing was changed")
                writes = _writes(db, old, since, op)
                theirs = {id for id, maker in writes.made.items() if maker != op}
                doomed = writes.made.keys() - theirs - _outlived(db, theirs)
                seq, at = last(db) + 1, to_micros(self.clock())
                restored = [id for id in sorted(writes.touched - doomed) if _unmark(db, old, id, doomed, writes, seq)]
                links = {link for link in _links(old) if not writes.purged & {link[0], link[2]}}
                gone = remove(db, sorted(doomed))
                _relink(db, links, theirs)
                kept = old.execute("SELECT cursor FROM jobs WHERE kind = ?", (op,)).fetchone()
                db.execute("UPDATE jobs SET cursor = ? WHERE kind = ?", (kept[0] if kept else None, op))
                audit(db, seq, at, "purge", gone, {"purge": len(gone)})
                audit(db, seq + 1, at, "revert", restored, {"op": op, "since": since})
                return Receipt(seq + 1, (*gone, *restored))

            # The snapshot is read on the writer's thread, where the transaction is.
            receipt = self._db.write(run)
        return Receipt(receipt.seq, receipt.ids, pending=self._finish(bool(receipt.ids)))


@contextmanager
def _reading(snapshot: Path) -> Iterator[sqlite3.Connection]:
    if not snapshot.is_file():
        raise StoreError(f"there is no snapshot {snapshot}: nothing was changed")
    with closing(sqlite3.connect(f"{snapshot.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)) as db:
        try:
            last(db)
        except sqlite3.Error as error:
            raise StoreError(f"{snapshot} is no snapshot ({error}): nothing was changed") from error
        yield db


def _writes(db: sqlite3.Connection, old: sqlite3.Connection, since: int, op: str) -> _Writes:
    there = {row[0] for row in old.execute("SELECT id FROM items")}
    found = _Writes()
    for maker, body in db.execute("SELECT op, ids FROM audit WHERE seq > ? ORDER BY seq", (since,)):
        ids = json.loads(body)
        if maker == "purge":
            found.purged.update(ids)
            continue
        for id in ids:
            new = id not in there and id not in found.made
            if new:
                found.made[id] = maker
            if maker == op:
                found.touched.add(id)
            elif not new:
                found.kept.add(id)
    return found


def _outlived(db: sqlite3.Connection, theirs: set[str]) -> set[str]:
    """Records that one of ``theirs`` supersedes by now: the newer version would lose its history."""
    return {row[0] for id in theirs for row in db.execute("SELECT id FROM items WHERE superseded_by = ?", (id,))}


def _unmark(
    db: sqlite3.Connection, old: sqlite3.Connection, id: str, doomed: set[str], writes: _Writes, seq: int
) -> bool:
    """Give a record the marks it had; whether that changed anything."""
    sql = f"SELECT {', '.join(_MARKS)} FROM items WHERE id = ?"
    now = db.execute(sql, (id,)).fetchone()
    if now is None:
        return False
    before = old.execute(sql, (id,)).fetchone() or _NEVER
    then = before[:3] if now[2] in doomed else now[:3]
    then += (now[3],) if id in writes.kept else before[3:]
    if then == now:
        return False
    holes = ", ".join(f"{column} = ?" for column in _MARKS)
    db.execute(f"UPDATE items SET {holes}, seq = ? WHERE id = ?", (*then, seq, id))
    return True


def _links(db: sqlite3.Connection) -> set[tuple[str, str, str, float]]:
    return set(db.execute("SELECT source, kind, target, weight FROM links"))


def _relink(db: sqlite3.Connection, links: set[tuple[str, str, str, float]], theirs: set[str]) -> None:
    """Have the ``links`` of the snapshot again, and those of what others wrote since."""
    added = [link for link in _links(db) - links if not theirs & {link[0], link[2]}]
    db.executemany("DELETE FROM links WHERE source = ? AND kind = ? AND target = ?", [link[:3] for link in added])
    db.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?)", links)
