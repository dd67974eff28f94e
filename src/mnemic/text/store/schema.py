"""The SQLite schema as numbered migrations: append a function, never edit one that was released."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from mnemic.errors import StoreError

APPLICATION_ID = 0x4D4E454D
"""``MNEM`` in the file's header: tells a Mnemic store from any other SQLite file."""

MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = []


def migration(function: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
    MIGRATIONS.append(function)
    return function


@migration
def m001_initial(db: sqlite3.Connection) -> None:
    # Times are microseconds since 1970 UTC with the speaker's offset in minutes beside them. Vectors live in
    # rowid tables: WITHOUT ROWID tables spill such rows to overflow pages. AUTOINCREMENT, because a cursor is a
    # rid: that of an erased item is never given to another.
    for statement in (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE items (
            rid INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            seq INTEGER NOT NULL,
            version INTEGER NOT NULL,
            kind TEXT NOT NULL,
            text TEXT NOT NULL,
            speaker TEXT, role TEXT, session TEXT, caption TEXT,
            at INTEGER, zone INTEGER NOT NULL,
            valid_from INTEGER, valid_to INTEGER,
            recorded INTEGER NOT NULL,
            supersedes TEXT, superseded_by TEXT,
            retired INTEGER, ended INTEGER, forgotten INTEGER, archived INTEGER,
            question INTEGER NOT NULL, time_word INTEGER NOT NULL, words INTEGER NOT NULL,
            names INTEGER NOT NULL, reaction INTEGER NOT NULL,
            sources TEXT NOT NULL, fields TEXT NOT NULL, meta TEXT NOT NULL, secrets TEXT NOT NULL, keys TEXT NOT NULL,
            digest BLOB NOT NULL)""",
        "CREATE INDEX items_seq ON items (seq)",
        "CREATE INDEX items_session ON items (session, at) WHERE session IS NOT NULL",
        "CREATE INDEX items_at ON items (at)",
        "CREATE INDEX items_kind ON items (kind) WHERE kind <> 'turn'",
        "CREATE TABLE keys (kid INTEGER PRIMARY KEY, rid INTEGER NOT NULL, name TEXT NOT NULL, tokens TEXT NOT NULL)",
        "CREATE INDEX keys_rid ON keys (rid)",
        "CREATE TABLE sparse (kid INTEGER PRIMARY KEY, terms BLOB NOT NULL, weights BLOB NOT NULL)",
        "CREATE TABLE dense (kid INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
        """CREATE VIRTUAL TABLE fts USING fts5 (
            tokens, content='keys', content_rowid='kid',
            tokenize="unicode61 remove_diacritics 0 categories 'L* N* M*'")""",
        """CREATE TABLE links (source TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, weight REAL NOT NULL,
            PRIMARY KEY (source, kind, target)) WITHOUT ROWID""",
        "CREATE INDEX links_target ON links (target, kind)",
        """CREATE TABLE audit (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, op TEXT NOT NULL, ids TEXT NOT NULL,
            detail TEXT NOT NULL)""",
        """CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
        """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
        """CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE seq = new.seq)
            BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
        "CREATE TABLE usage (id TEXT PRIMARY KEY, count INTEGER NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE receipts (key TEXT PRIMARY KEY, receipt TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE jobs (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, cursor TEXT,
            attempts INTEGER NOT NULL, leased_until INTEGER NOT NULL, retry_at INTEGER NOT NULL, error TEXT)""",
    ):
        db.execute(statement)


def prepare(db: sqlite3.Connection, path: str, patience: float = 30.0) -> None:
    """Create or migrate the schema; refuse a file of another application or of a newer Mnemic.

    The tables are made before the file is switched to WAL, so that its header names the application at once.
    """
    if _header(db, path) != (APPLICATION_ID, len(MIGRATIONS)):
        db.execute("PRAGMA page_size = 8192")
        db.execute("BEGIN IMMEDIATE")
        try:
            for number in range(check(db, path, new=True), len(MIGRATIONS)):
                MIGRATIONS[number](db)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    deadline = time.monotonic() + patience
    while True:  # SQLite does not wait for the lock that this needs
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def check(db: sqlite3.Connection, path: str, *, new: bool = False) -> int:
    """The version of the schema in the file; 0 for an empty one, if it may be ``new``."""
    found, version = _header(db, path)
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if found == 0 and not version and not tables:
        if new:
            return 0
        raise StoreError(f"{path} is empty, not a Mnemic store: check the path")
    if found != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another application: choose another path")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer Mnemic (schema {version}, this one knows {len(MIGRATIONS)}): "
            "upgrade with: pip install --upgrade mnemic"
        )
    if version < len(MIGRATIONS) and not new:
        raise StoreError(f"{path} was written by an older Mnemic: open it for writing once, so that it is upgraded")
    return version


def _header(db: sqlite3.Connection, path: str) -> tuple[int, int]:
    try:
        return db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise StoreError(f"{path} is not a Mnemic store: choose another path") from error
        raise


def is_store(path: Path) -> bool:
    """Whether the file's header carries Mnemic's application id. Reads 72 bytes."""
    try:
        with path.open("rb") as file:
            header = file.read(72)
    except OSError:
        return False
    return header[:15] == b"SQLite format 3" and header[68:72] == APPLICATION_ID.to_bytes(4, "big")
