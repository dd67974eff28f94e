"""Taking a SQLite space out and in again: export, restore, and encoding anew."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from mnemic.errors import ConflictError, InputError
from mnemic.text.record import Batch, Link, Record, to_micros
from mnemic.text.store.base import EncodedKey, Encoders, encode_keys
from mnemic.text.store.connection import Connection
from mnemic.text.store.index import Index
from mnemic.text.store.rows import COLUMNS, pack_sparse, record_of
from mnemic.text.store.sql import audit, fetch, last

PAGE = 500
_STATES = ("recorded", "zone", "valid_to", "supersedes", "superseded_by", "retired", "ended", "forgotten", "archived")
_TEXTS = ("id", "kind", "text", "speaker", "role", "session", "caption", "supersedes", "superseded_by")
_TIMES = ("at", "zone", "valid_from", "valid_to", "recorded", "retired", "ended", "forgotten", "archived")
_NEEDED = ("id", "kind", "text", "recorded", "zone")


def read_export(lines: Iterable[str], name: str) -> Iterator[dict[str, Any]]:
    """What :meth:`SqliteTransfer.export` wrote as JSON lines into the file ``name``, its header first.

    Raises :class:`InputError` for anything else, before or while reading.
    """
    header = False
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}, line {number} is not JSON ({error}): nothing was restored") from None
        if not isinstance(line, dict):
            raise InputError(f"{name}, line {number} is no JSON object: nothing was restored")
        header = header or (line.get("mnemic") == 1 and "system" in line)
        if not header:
            break
        yield line
    if not header:
        raise InputError(f"{name} is not an export of Mnemic: it has no header line")


class SqliteTransfer(ABC):
    """Part of the space: the ways in and out that are no conversation."""

    name: str
    encoders: Encoders
    clock: Callable[[], datetime]
    _db: Connection
    _index: Index

    @abstractmethod
    def _put(
        self,
        db: sqlite3.Connection,
        puts: Sequence[Record],
        encoded: Mapping[str, Sequence[EncodedKey]],
        seq: int,
        at: int,
    ) -> tuple[list[str], list[str]]: ...

    @abstractmethod
    def _link(self, db: sqlite3.Connection, batch: Batch) -> None: ...

    @abstractmethod
    def _new_index(self) -> Index: ...

    def export(self) -> Iterator[dict[str, Any]]:
        """Every item (all states, in order) and link as plain dicts: what :meth:`restore` takes."""
        with self._db.read() as db:
            if not self._db.shared:
                yield from _lines(db)  # one snapshot for as long as it takes
                return
            lines = list(_lines(db))
        yield from lines

    def restore(self, lines: Iterable[Mapping[str, Any]]) -> int:
        """Take over what :meth:`export` gave, states and times included, in one transaction. Into an empty space only.

        Returns the number of items. Raises :class:`InputError` (not an export) and :class:`ConflictError`; then nothing
        is stored.
        """
        items: list[dict[str, Any]] = []
        links: list[Link] = []
        try:
            for line in lines:
                if "item" in line:
                    items.append(dict(line["item"]))
                elif "link" in line:
                    source, target, kind, weight = line["link"]
                    links.append(Link(str(source), str(target), str(kind), float(weight)))
            records = [_record(item) for item in items]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"this is not an export of Mnemic: {type(error).__name__}: {error}") from error
        keys = encode_keys(records, self.encoders)
        encoded = {record.id: key for record, key in zip(records, keys, strict=True)}

        def run(db: sqlite3.Connection) -> int:
            if db.execute("SELECT 1 FROM items LIMIT 1").fetchone():
                raise ConflictError(f"the space {self.name!r} is not empty: restore into a new one")
            seq, at = last(db) + 1, to_micros(self.clock())
            self._put(db, records, encoded, seq, at)
            db.executemany(f"UPDATE items SET {', '.join(f'{c} = :{c}' for c in _STATES)} WHERE id = :id", items)
            self._link(db, Batch(links=links))
            if items:
                audit(db, seq, at, "restore", [], {"put": len(items)})
            return len(items)

        return self._db.write(run)

    def reencode(self, encoders: Encoders, progress: Callable[[int, int], None] | None = None) -> int:
        """Encode every key again with ``encoders``, page by page; the texts are in the store already."""
        with self._db.read() as db:
            total = db.execute("SELECT count(*) FROM items").fetchone()[0]
        done, position = 0, 0
        page = f"SELECT {COLUMNS} FROM items WHERE rid > ? ORDER BY rid LIMIT ?"
        while True:
            with self._db.read() as db:
                rows = list(fetch(db, page, [position, PAGE]))
            if not rows:
                break
            position = rows[-1]["rid"]
            encoded = encode_keys([record_of(row) for row in rows], encoders)
            self._db.write(partial(_replace_vectors, rids=[row["rid"] for row in rows], encoded=encoded))
            done += len(rows)
            if progress:
                progress(done, total)
        self.encoders = encoders
        self._index = self._new_index()
        return done


def _record(item: Mapping[str, Any]) -> Record:
    """The record of an exported item; raises KeyError, TypeError or ValueError for what is none."""
    for kind, names in ((str, _TEXTS), (int, _TIMES)):
        for name in names:
            if not isinstance(item[name], kind) and (item[name] is not None or name in _NEEDED):
                raise TypeError(f"{name} is {item[name]!r}")
    return record_of({"rid": 0, "seq": 0, **item})


def _lines(db: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for row in fetch(db, "SELECT * FROM items ORDER BY rid", []):
        yield {"item": {k: v for k, v in row.items() if k not in ("rid", "seq", "digest")}}
    for link in db.execute("SELECT source, target, kind, weight FROM links ORDER BY 1, 3, 2"):
        yield {"link": list(link)}


def _replace_vectors(db: sqlite3.Connection, rids: Sequence[int], encoded: Sequence[Sequence[EncodedKey]]) -> None:
    for rid, keys in zip(rids, encoded, strict=True):
        kids = [row[0] for row in db.execute("SELECT kid FROM keys WHERE rid = ? ORDER BY kid", (rid,))]
        for kid, key in zip(kids, keys, strict=True):
            db.execute("DELETE FROM sparse WHERE kid = ?", (kid,))
            db.execute("DELETE FROM dense WHERE kid = ?", (kid,))
            if key.sparse is not None:
                db.execute("INSERT INTO sparse VALUES (?, ?, ?)", (kid, *pack_sparse(key.sparse)))
            if key.dense is not None:
                db.execute("INSERT INTO dense VALUES (?, ?)", (kid, key.dense.tobytes()))
