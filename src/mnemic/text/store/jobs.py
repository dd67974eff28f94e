"""The job queue inside a SQLite space: leases, retries with growing pauses, cursors that commit with the work."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mnemic.errors import ConflictError
from mnemic.text.store.base import Job
from mnemic.text.store.connection import Connection
from mnemic.text.store.rows import dump
from mnemic.text.store.sql import marks

LEASE = 60.0
"""Seconds a claimed job is its worker's; each batch that it commits renews the lease."""
_NEW_JOB = "INSERT INTO jobs (kind, payload, attempts, leased_until, retry_at) VALUES (?, ?, 0, 0, 0)"


class SqliteJobs:
    """Part of the space: work that any process which opens it may claim."""

    _db: Connection

    def enqueue(self, kind: str, payload: Mapping[str, Any] | None = None) -> Job:
        """Put a job into the queue."""
        body = dump(dict(payload or {}), "the payload")
        id = self._db.write(lambda db: db.execute(_NEW_JOB + " RETURNING id", (kind, body)).fetchone()[0])
        return Job(id, kind, json.loads(body))

    def schedule(self, kind: str) -> None:
        """Have one standing job of this kind: it keeps its cursor from one run to the next."""

        def run(db: sqlite3.Connection) -> None:
            if not db.execute("SELECT 1 FROM jobs WHERE kind = ?", (kind,)).fetchone():
                db.execute(
                    "INSERT INTO jobs (kind, payload, attempts, leased_until, retry_at) VALUES (?, '{}', 0, 0, 0)",
                    (kind,),
                )

        self._db.write(run)

    def unschedule(self, kind: str) -> None:
        """Take the jobs of this kind away: the next run starts from the beginning."""
        self._db.write(lambda db: db.execute("DELETE FROM jobs WHERE kind = ?", (kind,)).rowcount)

    def claim_jobs(
        self, kinds: Sequence[str] = (), limit: int = 1, lease: float = LEASE, *, retry: bool = False
    ) -> list[Job]:
        """Take up to ``limit`` free jobs for ``lease`` seconds; one not acknowledged by then is free again.

        ``retry`` also takes those that are waiting after an error.
        """
        now = int(time.time() * 1e6)
        kind_sql = f"AND kind IN ({marks(kinds)})" if kinds else ""
        sql = (
            "UPDATE jobs SET attempts = attempts + 1, leased_until = ? WHERE id IN "
            f"(SELECT id FROM jobs WHERE leased_until <= ? AND retry_at <= ? {kind_sql} ORDER BY id LIMIT ?) "
            "RETURNING id, kind, payload, cursor, attempts, error"
        )
        values = (now + int(lease * 1e6), now, 1 << 62 if retry else now, *kinds, limit)
        rows = self._db.write(lambda db: db.execute(sql, values).fetchall())
        return [Job(id, kind, json.loads(body), *rest) for id, kind, body, *rest in sorted(rows, key=lambda r: r[0])]

    def ack(self, job: Job, *, error: str | None = None, again: bool = False) -> None:
        """Finish a job; or keep it with its cursor for another run (``again``); or give it back with its ``error``,
        to be claimed again after 2**attempts seconds, an hour at most. Whoever lost the lease changes nothing."""

        def run(db: sqlite3.Connection) -> None:
            if error is not None:
                pause = int(min(2.0 ** min(job.attempts, 12), 3600) * 1e6)
                db.execute(
                    "UPDATE jobs SET error = ?, leased_until = 0, retry_at = ? WHERE id = ? AND attempts = ?",
                    (error[:2000], int(time.time() * 1e6) + pause, job.id, job.attempts),
                )
            elif again:
                db.execute(
                    "UPDATE jobs SET error = NULL, leased_until = 0, retry_at = 0, attempts = 0 "
                    "WHERE id = ? AND attempts = ?",
                    (job.id, job.attempts),
                )
            else:
                db.execute("DELETE FROM jobs WHERE id = ? AND attempts = ?", (job.id, job.attempts))

        self._db.write(run)


def move_cursor(db: sqlite3.Connection, job: Job, cursor: str | None) -> None:
    """Record how far ``job`` came, in the transaction of the batch that brought it there; renews its lease.

    Raises :class:`ConflictError` when the lease ran out and another worker has the job, which tells by ``attempts``.
    """
    until = int((time.time() + LEASE) * 1e6)
    moved = db.execute(
        "UPDATE jobs SET cursor = coalesce(?, cursor), leased_until = ? WHERE id = ? AND attempts = ?",
        (cursor, until, job.id, job.attempts),
    )
    if not moved.rowcount:
        raise ConflictError(f"the job {job.id} ({job.kind}) is no longer this worker's: claim it again")
