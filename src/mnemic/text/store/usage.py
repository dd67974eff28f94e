"""Which memories were used, how often and when last: a hint kept beside the records, never in a reader's way.

Uses gather in memory and reach the file when usage is asked for, with every 256th use, and on closing; a crash may
lose the last of them. A space opened read-only keeps none.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime

from mnemic.errors import StoreError
from mnemic.text.record import from_micros, to_micros
from mnemic.text.store.base import Used
from mnemic.text.store.connection import Connection
from mnemic.text.store.sql import marks, parts

FLUSH = 256
"""Uses that wait in memory before they are written without being asked for."""
_log = logging.getLogger("mnemic")
_ADD = (
    "INSERT INTO usage SELECT id, ?, ? FROM items WHERE id = ? "
    "ON CONFLICT DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)"
)


class UsageLog:
    """Uses that wait to be written: id -> (how often, when last in microseconds)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[int, int]] = {}
        self._total = 0

    def add(self, ids: Sequence[str], at: int) -> bool:
        """Note a use of each of ``ids``; true when so many wait that they should be written (said once)."""
        with self._lock:
            for id in ids:
                self._waiting[id] = (self._waiting.get(id, (0, 0))[0] + 1, at)
            before, self._total = self._total, self._total + len(ids)
            return before < FLUSH <= self._total

    def take(self) -> dict[str, tuple[int, int]]:
        """All that waits, which then waits no more."""
        with self._lock:
            taken, self._waiting, self._total = self._waiting, {}, 0
            return taken


class SqliteUsage:
    """Part of the space: the log of what recalls brought back."""

    clock: Callable[[], datetime]
    _db: Connection
    _uses: UsageLog

    def log_use(self, ids: Sequence[str]) -> None:
        """Note that ``ids`` were used now. Returns at once and never fails for the store's sake."""
        if not self._db.read_only and ids and self._uses.add(ids, to_micros(self.clock())):
            try:
                self._db.post(lambda db: _write(db, self._uses.take())).add_done_callback(_report)
            except StoreError as error:
                _tell(error)

    def usage(self, ids: Sequence[str] = (), since: datetime | None = None) -> dict[str, Used]:
        """How each of ``ids`` (of all, if none are given) was used; only those used at ``since`` or later."""
        self.flush_usage()
        after = -(1 << 62) if since is None else to_micros(since)
        found: dict[str, Used] = {}
        with self._db.read() as db:
            for part in parts(ids) if ids else [[]]:
                among = f"AND id IN ({marks(part)})" if part else ""
                sql = f"SELECT id, count, last FROM usage WHERE last >= ? {among} ORDER BY id"
                found.update(
                    (id, Used(count, from_micros(last))) for id, count, last in db.execute(sql, (after, *part))
                )
        return found

    def flush_usage(self) -> None:
        """Write the uses that wait in memory."""
        if not self._db.read_only:
            taken = self._uses.take()
            if taken:
                self._db.write(lambda db: _write(db, taken))

    def settle_usage(self) -> None:
        """Write the uses that wait, if that can be done: a hint is no reason for closing to fail."""
        try:
            self.flush_usage()
        except StoreError as error:
            _tell(error)


def _write(db: sqlite3.Connection, taken: dict[str, tuple[int, int]]) -> None:
    db.executemany(_ADD, [(count, last, id) for id, (count, last) in taken.items()])


def _report(done: Future[None]) -> None:
    if (error := done.exception()) is not None:
        _tell(error)


def _tell(error: BaseException) -> None:
    _log.warning("the use of memories could not be noted: %s", error)
