"""Small SQL helpers that the parts of the SQLite store share."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnemic.errors import InputError
from mnemic.text.encode.lexical import quote, tokens
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Receipt, from_micros, to_micros
from mnemic.text.store.rows import dump

CHUNK = 500
"""How many ids go into one IN (...) list."""


def last(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()[0])


def audit(db: sqlite3.Connection, seq: int, at: int, op: str, ids: list[str], detail: Mapping[str, Any]) -> None:
    db.execute(
        "INSERT INTO audit VALUES (?, ?, ?, ?, ?)", (seq, at, op, dump(ids, "ids"), dump(dict(detail), "detail"))
    )


def receipt_of(body: str) -> Receipt:
    seq, ids, duplicates, secrets, at = json.loads(body)
    return Receipt(seq, tuple(ids), tuple(duplicates), secrets=secrets, at=from_micros(at))


def marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def parts(values: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), CHUNK):
        yield list(values[start : start + CHUNK])


def fetch(db: sqlite3.Connection, sql: str, values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    cursor = db.execute(sql, values)
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def remove(db: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    """Delete ``ids`` from every table, their bytes still to be overwritten; which of them there were."""
    gone: list[str] = []
    for part in parts(ids):
        rows = db.execute(f"SELECT rid, id FROM items WHERE id IN ({marks(part)})", part).fetchall()
        rids = [row[0] for row in rows]
        gone += [row[1] for row in rows]
        kids = db.execute(f"SELECT kid, tokens FROM keys WHERE rid IN ({marks(rids)})", rids).fetchall()
        db.executemany("INSERT INTO fts (fts, rowid, tokens) VALUES ('delete', ?, ?)", kids)
        for table in ("keys", "sparse", "dense"):
            db.executemany(f"DELETE FROM {table} WHERE kid = ?", [(kid,) for kid, _ in kids])
        db.execute(f"DELETE FROM items WHERE rid IN ({marks(rids)})", rids)
        db.execute(f"DELETE FROM usage WHERE id IN ({marks(part)})", part)
        for side in ("source", "target"):
            db.execute(f"DELETE FROM links WHERE {side} IN ({marks(part)})", part)
    if gone:
        db.execute("INSERT INTO fts (fts) VALUES ('optimize')")
        db.execute("INSERT OR REPLACE INTO meta VALUES ('erasure_pending', '1')")
    return gone


def conditions(filter: Filter) -> tuple[list[str], list[Any]]:
    """SQL for the parts of ``filter`` that are set."""
    where: list[str] = []
    values: list[Any] = []
    for column, wanted in (
        ("kind", [str(Kind.parse(kind)) for kind in filter.kinds]),
        ("speaker", filter.speakers),
        ("session", filter.sessions),
        ("role", filter.roles),
        ("id", filter.ids),
    ):
        if wanted:
            where.append(f"{column} IN (SELECT value FROM json_each(?))")
            values.append(dump(list(wanted), f"the {column} filter"))
    if filter.since is not None:
        where.append("at >= ?")
        values.append(to_micros(filter.since))
    if filter.until is not None:
        where.append("at < ?")
        values.append(to_micros(filter.until))
    for key, value in filter.meta.items():
        where.append("EXISTS (SELECT 1 FROM json_each(items.meta) m WHERE m.key = ? AND m.value IS ?)")
        values += [key, value if isinstance(value, str | int | float | None) else dump(value, "the meta filter")]
    for text, whole in ((filter.phrase, True), (filter.words, False)):
        if text is not None:
            stems = tokens(text)
            if not stems:
                raise InputError(f"{text[:80]!r} has no searchable word: give a content word")
            where.append("rid IN (SELECT rid FROM keys WHERE kid IN (SELECT rowid FROM fts WHERE fts MATCH ?))")
            values.append(quote([" ".join(stems)] if whole else stems, joiner=" AND "))
    return where, values
