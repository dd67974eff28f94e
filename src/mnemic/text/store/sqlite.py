"""The default store: one SQLite file per space, nothing to install and nothing to run.

Durable by default (WAL, ``synchronous=FULL``, group commit), safe from threads and from several processes, and
searched through an index in memory that follows the file by sequence number.
"""

from __future__ import annotations

import gc
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from mnemic.errors import ConflictError, InputError, NotFoundError
from mnemic.text.plan import Bools, Candidates, Filter, SearchPlan
from mnemic.text.record import EPOCH, Batch, Kind, Link, Receipt, Record, from_micros, to_micros
from mnemic.text.store.base import Change, EncodedKey, Encoders, Job, Prepared, encode_keys
from mnemic.text.store.connection import Connection, truncate
from mnemic.text.store.index import Index
from mnemic.text.store.jobs import SqliteJobs, move_cursor
from mnemic.text.store.rows import (
    COLUMNS,
    INDEX_COLUMNS,
    RID,
    digest,
    dump,
    index_items,
    item_values,
    pack_sparse,
    record_of,
)
from mnemic.text.store.snapshot import SqliteSnapshots
from mnemic.text.store.sql import audit, conditions, fetch, last, marks, parts, receipt_of, remove
from mnemic.text.store.transfer import SqliteTransfer
from mnemic.text.store.usage import SqliteUsage, UsageLog

PART = 20_000
"""Rows that are loaded into the index at once."""
_FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH).total_seconds()
_LAST = (datetime.max.replace(tzinfo=UTC, microsecond=0) - EPOCH).total_seconds()


def utc_now() -> datetime:
    return datetime.now(UTC)


_Sessions = tuple[list[tuple[str, float]], list[tuple[str, datetime | None]]]
"""What the index says, and the same with datetimes: made once for each state of the index."""


class SqliteSpace(SqliteJobs, SqliteSnapshots, SqliteTransfer, SqliteUsage):
    """One space in one file. ``path`` may be ``:memory:``."""

    def __init__(
        self,
        path: str,
        encoders: Encoders,
        *,
        name: str = "default",
        durability: str = "full",
        read_only: bool = False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = name
        self.path = path
        self.encoders = encoders
        self.clock = clock
        self.epoch: str | None = None
        self._db = Connection(path, durability=durability, read_only=read_only)
        self._index = self._new_index()
        self._sessions: _Sessions | None = None
        self._uses = UsageLog()
        self._erasing = not read_only and self.get_meta("erasure_pending") is not None
        if self._erasing:
            self.finish_erasure()

    def _new_index(self) -> Index:
        return Index(self.encoders.dense.dim if self.encoders.dense is not None else None)

    def reset_index(self) -> None:
        """Forget what is in memory; the next search loads it again. To be called when ``encoders`` changed."""
        self.epoch = self.get_meta("epoch")
        self._index = self._new_index()

    # -- writing ---------------------------------------------------------------------------------------------

    def write(
        self,
        batch: Batch,
        *,
        op: str = "write",
        idempotency_key: str | None = None,
        expected_version: int | None = None,
        job: Job | None = None,
    ) -> Receipt:
        """Commit ``batch`` whole or not at all, with its audit row; durable and searchable on return.

        A record whose id is stored with the same content is a duplicate and skipped; with other content the
        whole batch is refused (:class:`ConflictError`). ``idempotency_key`` makes a repeated call return the
        first receipt. ``expected_version`` is the sequence number the caller last saw. ``job`` has its cursor
        moved to ``batch.cursor`` in the same transaction.
        """
        return self.commit(
            self.prepare(batch), op=op, idempotency_key=idempotency_key, expected_version=expected_version, job=job
        )

    def prepare(self, batch: Batch) -> Prepared:
        """Encode what ``batch`` brings that is not stored yet. Safe to run in several threads, in any order."""
        with self._db.read() as db:
            known = self._known(db, batch.puts)
        fresh = [record for record in batch.puts if known.get(record.id) is None]
        keys = encode_keys(fresh, self.encoders)
        return Prepared(batch, {record.id: key for record, key in zip(fresh, keys, strict=True)})

    def commit(
        self,
        prepared: Prepared,
        *,
        op: str = "write",
        idempotency_key: str | None = None,
        expected_version: int | None = None,
        job: Job | None = None,
    ) -> Receipt:
        """Write what was prepared; see :meth:`write`."""
        batch = prepared.batch

        def run(db: sqlite3.Connection) -> Receipt:
            if idempotency_key is not None:
                row = db.execute("SELECT receipt FROM receipts WHERE key = ?", (idempotency_key,)).fetchone()
                if row:
                    return receipt_of(row[0])
            epoch = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
            if (epoch[0] if epoch else None) != self.epoch:
                raise ConflictError(f"the space {self.name!r} was rebuilt since it was opened: open it again")
            now_at = last(db)
            if expected_version is not None and expected_version != now_at:
                raise ConflictError(f"the space is at {now_at}, not at {expected_version}: read again and retry")
            seq, at = now_at + 1, to_micros(self.clock())
            stored, duplicates = self._put(db, batch.puts, prepared.keys, seq, at)
            touched = [*stored, *self._retire(db, batch.retire, seq, at)]
            touched += self._mark(db, "forgotten", batch.forget, seq, at)
            touched += self._mark(db, "archived", batch.archive, seq, at)
            self._link(db, batch)
            if job is not None:
                move_cursor(db, job, batch.cursor)
            if not (touched or batch.links or batch.unlink or idempotency_key):
                return Receipt(now_at, (), tuple(duplicates), at=from_micros(at))
            counts = {"put": len(stored), "retire": len(batch.retire), "forget": len(batch.forget)}
            detail = {k: v for k, v in counts.items() if v}
            audit(db, seq, at, op, list(dict.fromkeys(touched)), detail)
            fresh = set(stored)
            masked = sum(len(r.secrets) for r in batch.puts if r.kind == Kind.TURN and r.id in fresh)
            receipt = Receipt(seq, tuple(dict.fromkeys(touched)), tuple(duplicates), secrets=masked, at=from_micros(at))
            if idempotency_key is not None:
                body = dump([seq, receipt.ids, receipt.duplicates, receipt.secrets, at], "the receipt")
                db.execute("INSERT INTO receipts VALUES (?, ?)", (idempotency_key, body))
            return receipt

        receipt = self._db.write(run)
        if self._erasing:
            self.finish_erasure()
        return receipt

    def _known(self, db: sqlite3.Connection, puts: Sequence[Record]) -> dict[str, bytes]:
        known: dict[str, bytes] = {}
        for part in parts([record.id for record in puts]):
            known.update(db.execute(f"SELECT id, digest FROM items WHERE id IN ({marks(part)})", part))
        return known

    def _put(
        self,
        db: sqlite3.Connection,
        puts: Sequence[Record],
        encoded: Mapping[str, Sequence[EncodedKey]],
        seq: int,
        at: int,
    ) -> tuple[list[str], list[str]]:
        known = self._known(db, puts)
        rid = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'items'").fetchone()[0]
        kid = db.execute("SELECT coalesce(max(kid), 0) FROM keys").fetchone()[0]
        stored: list[str] = []
        duplicates: list[str] = []
        items, keys, sparse, dense = [], [], [], []
        for record in puts:
            told = digest(record)
            if (before := known.get(record.id)) is not None:
                if before != told:
                    raise ConflictError(
                        f"id {record.id!r} is already stored with other content: give another id, or use revise"
                    )
                duplicates.append(record.id)
                continue
            known[record.id] = told
            stored.append(record.id)
            rid += 1
            items.append({"rid": rid, "digest": told, **item_values(record, seq, at)})
            # Not prepared only if it was erased in the meantime: then it is encoded here, on the writer's time.
            for key in encoded.get(record.id) or encode_keys([record], self.encoders)[0]:
                kid += 1
                keys.append((kid, rid, key.name, key.tokens))
                if key.sparse is not None:
                    sparse.append((kid, *pack_sparse(key.sparse)))
                if key.dense is not None:
                    dense.append((kid, key.dense.tobytes()))
        if items:
            names = list(items[0])
            holes = ", ".join(":" + name for name in names)
            db.executemany(f"INSERT INTO items ({', '.join(names)}) VALUES ({holes})", items)
            db.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", keys)
            db.executemany("INSERT INTO fts (rowid, tokens) VALUES (?, ?)", [(k[0], k[3]) for k in keys])
            db.executemany("INSERT INTO sparse VALUES (?, ?, ?)", sparse)
            db.executemany("INSERT INTO dense VALUES (?, ?)", dense)
            cites = [(item["id"], source) for item in items for source in json.loads(item["sources"])]
            db.executemany("INSERT OR IGNORE INTO links VALUES (?, 'cites', ?, 1.0)", cites)
        return stored, duplicates

    def _retire(self, db: sqlite3.Connection, retire: Mapping[str, str], seq: int, at: int) -> list[str]:
        """Old values end where the new ones begin; a correction (no later beginning) leaves them no validity."""
        for old, new in retire.items():
            found = dict(
                db.execute("SELECT id, coalesce(valid_from, at) FROM items WHERE id IN (?, ?)", (old, new)).fetchall()
            )
            if old == new or old not in found or new not in found:
                raise NotFoundError(f"cannot supersede {old!r} by {new!r}: both must be stored, and differ")
            if db.execute("SELECT retired FROM items WHERE id = ?", (new,)).fetchone()[0] is not None:
                raise ConflictError(f"{new!r} was superseded itself: supersede by its newest version (see history)")
            starts = found[old], found[new]
            ended = max(s for s in (*starts, None) if s is not None) if any(s is not None for s in starts) else at
            db.execute(
                "UPDATE items SET retired = ?, ended = min(?, coalesce(valid_to, ?)), superseded_by = ?, seq = ? "
                "WHERE id = ? AND retired IS NULL",
                (at, ended, ended, new, seq, old),
            )
            if not db.execute("SELECT changes()").fetchone()[0]:
                raise ConflictError(f"{old!r} was superseded before: revise its newest version (see history)")
            db.execute("UPDATE items SET seq = ?, supersedes = ? WHERE id = ?", (seq, old, new))
        return list(retire)

    def _mark(self, db: sqlite3.Connection, column: str, ids: Sequence[str], seq: int, at: int) -> list[str]:
        touched: list[str] = []
        for part in parts(ids):
            sql = (
                f"UPDATE items SET {column} = ?, seq = ? WHERE {column} IS NULL AND id IN ({marks(part)}) RETURNING id"
            )
            touched += [row[0] for row in db.execute(sql, (at, seq, *part)).fetchall()]
        return touched

    def _link(self, db: sqlite3.Connection, batch: Batch) -> None:
        db.executemany(
            "INSERT INTO links VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET weight = excluded.weight",
            [(link.source, link.kind, link.target, link.weight) for link in batch.links],
        )
        db.executemany(
            "DELETE FROM links WHERE source = ? AND kind = ? AND target = ?",
            [(link.source, link.kind, link.target) for link in batch.unlink],
        )

    def purge(self, ids: Sequence[str]) -> Receipt:
        """Delete ``ids`` from every table and index, and their bytes from the files.

        The receipt is ``pending`` while a reader elsewhere still holds the old pages; the next write or
        opening finishes the job, and ``stats()["erasure_pending"]`` says so until then.
        """

        def run(db: sqlite3.Connection) -> Receipt:
            seq, at = last(db) + 1, to_micros(self.clock())
            gone = remove(db, ids)
            if gone:
                audit(db, seq, at, "purge", gone, {"purge": len(gone)})
            return Receipt(seq if gone else seq - 1, tuple(gone), at=from_micros(at))

        receipt = self._db.write(run)
        return replace(receipt, pending=self._finish(bool(receipt.ids)))

    def _finish(self, erased: bool) -> bool:
        """After something was removed: whether its bytes still wait to be overwritten."""
        self._erasing = self._erasing or erased
        return erased and not self.finish_erasure(wait=1.0)

    def finish_erasure(self, wait: float = 0.0) -> bool:
        """Truncate the write-ahead log, where deleted pages may linger. False while a reader holds it, after ``wait``
        seconds."""
        if self._db.write(partial(truncate, wait=wait), alone=True):
            self.set_meta(erasure_pending=None)
            self._db.write(partial(truncate, wait=0.0), alone=True)
            self._erasing = False
        return not self._erasing

    # -- reading ---------------------------------------------------------------------------------------------

    def get(self, ids: Sequence[str], as_of: datetime | None = None) -> list[Record]:
        """The records with these ids, in this order; ids that are not stored (or were not yet) are left out."""
        with self._db.read() as db:
            return self._get(db, ids, None if as_of is None else to_micros(as_of))

    def _get(self, db: sqlite3.Connection, ids: Sequence[str], as_of: int | None = None) -> list[Record]:
        found: dict[str, Record] = {}
        for part in parts(ids):
            for row in fetch(db, f"SELECT {COLUMNS} FROM items WHERE id IN ({marks(part)})", part):
                if as_of is None or row["recorded"] <= as_of:
                    found[row["id"]] = record_of(row, as_of)
        return [found[id] for id in ids if id in found]

    def history(self, id: str) -> list[Record]:
        """All versions in the chain of ``id``, oldest first."""
        with self._db.read() as db:
            chain = self._get(db, [id])
            if not chain:
                raise NotFoundError(f"no memory has the id {id!r}: it was never stored here, or was erased")
            seen = {id}  # a restored file may hold a circle
            for step in ("supersedes", "superseded_by"):
                chain.reverse()
                while (
                    (beside := getattr(chain[-1], step)) and beside not in seen and (found := self._get(db, [beside]))
                ):
                    seen.add(beside)
                    chain += found
            return chain

    def search(self, plan: SearchPlan) -> Candidates:
        """Candidates of every leg of ``plan``, from one state of the store."""
        index = self._index
        with index.lock, self._db.read() as db:
            self._follow(db, index)
            return index.search(plan, self._allowed(db, plan.filter, index))

    def id_of(self, numbers: Sequence[int]) -> list[str]:
        """The ids behind ``Candidates.item``."""
        ids = self._index.ids
        return [ids[n] for n in numbers]

    def sessions(self) -> list[tuple[str, datetime | None]]:
        """The sessions with the time of their first turn (UTC), in time order; undated ones first."""
        with self._index.lock, self._db.read() as db:
            self._follow(db, self._index)
            starts = self._index.session_starts()
            if self._sessions is None or self._sessions[0] is not starts:  # the index makes a new list after a write
                # A zone may put a time up to a day outside the years that UTC can show.
                moments = [None if at == -math.inf else min(max(at, _FIRST), _LAST) for _, at in starts]
                named = [
                    (name, None if at is None else EPOCH + timedelta(seconds=at))
                    for (name, _), at in zip(starts, moments, strict=True)
                ]
                self._sessions = (starts, named)
            return list(self._sessions[1])

    def _follow(self, db: sqlite3.Connection, index: Index) -> None:
        """Bring the index to the state of the store."""
        newest = last(db)
        if newest != index.seq:
            # Loading makes many small objects that all stay: looking for garbage among them takes a fifth of the time.
            collecting = gc.isenabled()
            gc.disable()
            try:
                self._load(db, index)
            finally:
                if collecting:
                    gc.enable()
            if not index.seq:  # the whole file went through the connection's cache, and is not needed there again
                db.execute("PRAGMA shrink_memory")
            index.seq = newest

    def _load(self, db: sqlite3.Connection, index: Index) -> None:
        """Take over what was written since the index was filled."""
        gone = db.execute("SELECT ids FROM audit WHERE seq > ? AND op = 'purge'", (index.seq,)).fetchall()
        for (ids,) in gone:
            index.drop(json.loads(ids))
        dense = self.encoders.dense.dim if self.encoders.dense is not None else 0
        # New items have the highest rids, so this order appends them and refreshes the others on the way.
        found = db.execute(
            f"SELECT {INDEX_COLUMNS} FROM items i JOIN keys k ON k.rid = i.rid LEFT JOIN sparse s ON s.kid = k.kid "
            "LEFT JOIN dense d ON d.kid = k.kid WHERE i.seq > ? ORDER BY i.rid, k.kid",
            (index.seq,),
        )
        rows: list[Sequence[Any]] = []
        while more := found.fetchmany(PART):
            rows += more
            whole = len(rows)
            while whole and rows[whole - 1][RID] == rows[-1][RID]:  # the last item may have further keys
                whole -= 1
            if whole:
                index.take(index_items(rows[:whole], dense))
            rows = rows[whole:]
        if rows:
            index.take(index_items(rows, dense))

    def _allowed(self, db: sqlite3.Connection, filter: Filter, index: Index) -> Bools | None:
        """What the index has no columns for: ids, meta, phrases and words."""
        mask = index.numbers(filter.ids) if filter.ids else None
        where, values = conditions(Filter(meta=filter.meta, phrase=filter.phrase, words=filter.words))
        if where:
            found = db.execute(f"SELECT id FROM items WHERE {' AND '.join(where)}", values)
            passed = index.numbers(row[0] for row in found)
            mask = passed if mask is None else mask & passed
        return mask

    def scan(self, filter: Filter, cursor: str | None = None, limit: int = 1000) -> tuple[list[Record], str | None]:
        """Records that pass ``filter`` in the order they were stored, and the cursor of the next page."""
        where, values = conditions(filter)
        where += ["rid > ?", "forgotten IS NULL"] + ([] if filter.archived else ["archived IS NULL"])
        try:
            values.append(int(cursor or 0))
        except ValueError:
            raise InputError(f"{cursor!r} is no cursor: pass back what the page before gave") from None
        sql = f"SELECT {COLUMNS} FROM items WHERE {' AND '.join(where)} ORDER BY rid LIMIT ?"
        with self._db.read() as db:
            rows = list(fetch(db, sql, [*values, limit]))
        return [record_of(row) for row in rows], str(rows[-1]["rid"]) if len(rows) == limit else None

    def neighbours(self, ids: Sequence[str], kinds: Sequence[str] = (), depth: int = 1) -> list[Link]:
        """The links within ``depth`` steps of ``ids``, in either direction, of the given kinds (all if none)."""
        found: dict[tuple[str, str, str], Link] = {}
        frontier, seen = list(ids), set(ids)
        kind_sql = f"AND kind IN ({marks(kinds)})" if kinds else ""
        with self._db.read() as db:
            for _ in range(depth):
                reached: list[str] = []
                for part in parts(frontier):
                    for side in ("source", "target"):
                        where = f"{side} IN ({marks(part)}) {kind_sql}"
                        sql = f"SELECT source, target, kind, weight FROM links WHERE {where}"
                        for row in db.execute(sql, (*part, *kinds)):
                            found[row[:3]] = Link(*row)
                            reached += row[:2]
                frontier = [id for id in dict.fromkeys(reached) if id not in seen]
                seen.update(frontier)
        return list(found.values())

    def changes(self, since: int = 0) -> Iterator[Change]:
        """The audit after ``since``, oldest first."""
        while True:
            with self._db.read() as db:
                rows = db.execute("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT 1000", (since,)).fetchall()
            for seq, at, op, ids, detail in rows:
                yield Change(seq, from_micros(at), op, tuple(json.loads(ids)), json.loads(detail))
                since = seq
            if len(rows) < 1000:
                return

    # -- the rest --------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Counts by kind and state, bytes, jobs with their last errors, and the sequence number."""
        with self._db.read() as db:
            kinds = dict(
                db.execute("SELECT kind, count(*) FROM items WHERE forgotten IS NULL AND retired IS NULL GROUP BY kind")
            )
            total, forgotten, superseded, sessions = db.execute(
                "SELECT count(*), count(forgotten), count(retired), count(DISTINCT session) FROM items"
            ).fetchone()
            pages, size = (db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "page_size"))
            jobs = db.execute("SELECT kind, attempts, error FROM jobs ORDER BY id").fetchall()
            return {
                "space": self.name,
                "seq": last(db),
                "records": total,
                "kinds": kinds,
                "forgotten": forgotten,
                "superseded": superseded,
                "sessions": sessions,
                "links": db.execute("SELECT count(*) FROM links").fetchone()[0],
                "bytes": pages * size,
                "encoders": self.encoders.names(),
                "erasure_pending": db.execute("SELECT 1 FROM meta WHERE key = 'erasure_pending'").fetchone()
                is not None,
                "jobs": [{"kind": kind, "attempts": attempts, "error": error} for kind, attempts, error in jobs],
            }

    def derived(self) -> list[str]:
        """The ids of all records that are no turns, in every state."""
        with self._db.read() as db:
            return [row[0] for row in db.execute("SELECT id FROM items WHERE kind <> 'turn' ORDER BY rid")]

    def check(self) -> str | None:
        """What is wrong with the file, None if nothing is: its pages, and that every table tells the same story."""
        with self._db.read() as db:
            said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if said != "ok":
                return str(said)
            for fault, sql in (
                ("items without keys", "SELECT count(*) FROM items WHERE rid NOT IN (SELECT rid FROM keys)"),
                ("keys without items", "SELECT count(*) FROM keys WHERE rid NOT IN (SELECT rid FROM items)"),
                ("vectors without keys", "SELECT count(*) FROM sparse WHERE kid NOT IN (SELECT kid FROM keys)"),
                ("vectors without keys", "SELECT count(*) FROM dense WHERE kid NOT IN (SELECT kid FROM keys)"),
            ):
                if count := db.execute(sql).fetchone()[0]:
                    return f"{count} {fault}"
        return None

    def get_meta(self, key: str) -> str | None:
        with self._db.read() as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, **values: str | None) -> None:
        """Set these entries, or delete those that are None, in one transaction."""

        def run(db: sqlite3.Connection) -> None:
            for key, value in values.items():
                if value is None:
                    db.execute("DELETE FROM meta WHERE key = ?", (key,))
                else:
                    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

        self._db.write(run)

    def close(self) -> None:
        self.settle_usage()
        self._db.close()
