"""Connections to one SQLite file: one writer thread that commits in groups, and a pool of readers."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from mnemic.errors import InputError, StoreError
from mnemic.text.store import schema

T = TypeVar("T")
GROUP = 64
"""Writes that may share one commit. Waiting writes gather while the commit before them is on its way to disk."""
BUSY = 30.0
"""Seconds to wait for another process that holds the write lock."""
_Task = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]", bool]


def explain(error: sqlite3.Error, path: str) -> StoreError:
    """The store error for what SQLite said, with what to do."""
    said = str(error)
    advice = {
        "full": "free some room; what was acknowledged is safe",
        "readonly": "check the permissions of the file and its folder, or open it with read_only=True",
        "read-only": "check the permissions of the file and its folder, or open it with read_only=True",
        "locked": "another process holds the store: wait for it, or stop it",
        "not a database": "it is not a Mnemic store: choose another path",
        "malformed": "restore it from an export or a backup",
        "disk I/O": "check the disk; what was acknowledged before is safe",
        "unable to open": "check that the folder exists and may be written",
    }
    hint = next((text for word, text in advice.items() if word in said), "see the cause above")
    return StoreError(f"{path}: {said}: {hint}")


def blame(error: BaseException, path: str) -> BaseException:
    """What the caller is told: an input error for what SQLite cannot hold."""
    if isinstance(error, OverflowError | UnicodeError) or (
        isinstance(error, sqlite3.Error) and "binding" in str(error)
    ):
        return InputError(f"a value cannot be stored or looked for: {error}")
    return explain(error, path) if isinstance(error, sqlite3.Error) else error


def truncate(db: sqlite3.Connection, wait: float) -> bool:
    """Move everything from the write-ahead log into the file and empty the log; False while a reader holds it."""
    db.execute(f"PRAGMA busy_timeout = {int(wait * 1000)}")
    try:
        return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")


class Connection:
    """All access to one file. ``read`` gives a snapshot; ``write`` runs a function in the writer's transaction.

    ``:memory:`` keeps one connection, which readers and the writer share under a lock.
    """

    def __init__(self, path: str, *, durability: str = "full", read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.shared = path == ":memory:"
        """Whether readers and the writer are one connection: then no reading may last."""
        self._durability = durability
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._free: list[sqlite3.Connection] = []
        self._closed = False
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        try:
            self._writer = self._connect()
        except sqlite3.Error as error:
            raise explain(error, path) from error
        try:
            if read_only:
                schema.check(self._writer, path)
            else:
                schema.prepare(self._writer, path, BUSY)
            self._writer.execute("SELECT count(*) FROM meta").fetchone()
        except BaseException as error:
            self._writer.close()
            if isinstance(error, sqlite3.Error):
                raise explain(error, path) from error
            raise

    def _connect(self) -> sqlite3.Connection:
        if self.shared:
            db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            uri = Path(self.path).absolute().as_uri() + ("?mode=ro" if self.read_only else "")
            db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY)
        # FULL makes every acknowledged commit survive power loss; NORMAL only a crash of the process.
        db.execute(f"PRAGMA synchronous = {'NORMAL' if self._durability == 'normal' else 'FULL'}")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cache_size = -8000")
        return db

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise StoreError(f"{self.path} was opened before a fork: open it again in the child process")
        if self._closed:
            raise StoreError(f"{self.path} is closed: open it again")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction: everything read through it is one state of the store."""
        self._check()
        if self.shared:
            with self._lock:
                self._check()
                try:
                    yield self._writer
                except (sqlite3.Error, UnicodeEncodeError) as error:
                    raise blame(error, self.path) from error
            return
        with self._lock:
            db = self._free.pop() if self._free else None
        try:
            if db is None:
                db = self._connect()
                db.execute("PRAGMA query_only = ON")
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise blame(error, self.path) from error
        finally:
            if db is not None:
                with self._lock:
                    if self._closed:
                        db.close()
                    else:
                        self._free.append(db)

    def write(self, task: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """Run ``task`` in a transaction on the writer thread and return when it is durable.

        A task that raises is rolled back by itself; the others of its group are committed. ``alone`` runs it
        outside any transaction (for checkpoints).
        """
        return self.post(task, alone=alone).result()

    def post(self, task: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> Future[T]:
        """Like :meth:`write`, but returns at once: the future says when it is durable, or why it is not."""
        if self.read_only:
            raise StoreError(f"{self.path} was opened read-only: open it for writing first")
        self._check()  # before the lock, which a fork may have left held
        future: Future[T] = Future()
        with self._lock:  # so that nothing is queued behind the stop mark of close()
            self._check()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"mnemic-writer {self.path}", daemon=True)
                self._thread.start()
            self._tasks.put((task, future, alone))
        return future

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group = [self._tasks.get()]
            while len(group) < GROUP and not self._tasks.empty():
                group.append(self._tasks.get())
            stopping = None in group
            tasks = [task for task in group if task is not None]
            with self._lock if self.shared else threading.Lock():
                self._commit([(run, future) for run, future, alone in tasks if not alone])
                for run, future, alone in tasks:
                    if alone:
                        self._settle(future, run)

    def _settle(self, future: Future[Any], run: Callable[[sqlite3.Connection], Any]) -> None:
        try:
            future.set_result(run(self._writer))
        except BaseException as error:  # noqa: BLE001  the caller gets it, whatever it is
            future.set_exception(blame(error, self.path))

    def _commit(self, tasks: list[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]]) -> None:
        if not tasks:
            return
        db = self._writer
        done: list[tuple[Future[Any], Any]] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            for run, future in tasks:
                db.execute("SAVEPOINT task")
                try:
                    result = run(db)
                except BaseException as error:
                    if not db.in_transaction:  # SQLite gave up the whole of it: a full disk, an I/O error
                        raise
                    db.execute("ROLLBACK TO task")
                    db.execute("RELEASE task")
                    future.set_exception(blame(error, self.path))
                    continue
                db.execute("RELEASE task")
                done.append((future, result))
            db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  every waiting caller gets it
            with suppress(sqlite3.Error):  # the first error is the one to tell
                if db.in_transaction:
                    db.execute("ROLLBACK")
            for _, future in tasks:
                if not future.done():
                    future.set_exception(blame(error, self.path))
            return
        for future, result in done:
            future.set_result(result)

    def close(self) -> None:
        """Finish the queued writes and close every connection. Closing twice is fine."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._thread is not None:
                self._tasks.put(None)
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            for db in (*self._free, self._writer):
                db.close()
            self._free.clear()
