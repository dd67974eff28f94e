"""Between records and the rows of a SQL table: the one place that knows how a record is laid out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import numpy as np

from mnemic.errors import InputError
from mnemic.text.encode.base import SparseVector
from mnemic.text.record import Interval, Key, Kind, Record, Span, State, from_micros, to_micros
from mnemic.text.steps.traits import traits
from mnemic.text.store.columns import NEVER, TIMES, Items, Row

COLUMNS = (
    "rid, id, seq, version, kind, text, speaker, role, session, caption, at, zone, valid_from, valid_to, recorded, "
    "supersedes, superseded_by, retired, ended, forgotten, archived, sources, fields, meta, secrets, keys"
)


def zone_of(at: datetime | None) -> int:
    """The offset from UTC in minutes."""
    offset = at.utcoffset() if at is not None else None
    return round(offset.total_seconds() / 60) if offset else 0


def _shown(micros: int, zone: int) -> datetime:
    """A moment in the zone of the turn, unless its calendar ends before: then in UTC."""
    try:
        return from_micros(micros, zone)
    except OverflowError:
        return from_micros(micros)


def dump(value: Any, what: str) -> str:
    """``value`` as compact JSON; an error that names what cannot be stored."""
    if not value and isinstance(value, dict | list):  # most columns of most turns
        return "{}" if isinstance(value, dict) else "[]"
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be JSON (strings, numbers, lists, dicts): {error}") from None


def digest(record: Record) -> bytes:
    """What makes two writes of one id the same: what was said, by whom, and what it rests on; not when it came."""
    told = [
        record.kind, record.text, record.speaker, record.role, record.caption, list(record.sources),
        dump(dict(record.fields), "fields"),
    ]  # fmt: skip
    return blake2b(dump(told, "the record").encode("utf-8", "surrogatepass"), digest_size=16).digest()


def item_values(record: Record, seq: int, recorded: int) -> dict[str, Any]:
    """The columns of a new item."""
    at = None if record.at is None else to_micros(record.at)
    seen = traits(record.text)
    start = record.valid.start or record.at
    return {
        "id": record.id,
        "seq": seq,
        "version": record.version,
        "kind": str(record.kind),
        "text": record.text,
        "speaker": record.speaker,
        "role": record.role,
        "session": record.session,
        "caption": record.caption,
        "at": at,
        "zone": zone_of(record.at or start),
        "valid_from": None if start is None else to_micros(start),
        "valid_to": None if record.valid.end is None else to_micros(record.valid.end),
        "recorded": recorded,
        "supersedes": record.supersedes,
        "archived": recorded if record.state == State.ARCHIVED else None,
        "question": int(seen.question),
        "time_word": int(seen.time_word),
        "words": seen.words,
        "names": seen.names,
        "reaction": int(seen.reaction),
        "sources": dump(list(record.sources), "sources"),
        "fields": dump(dict(record.fields), "fields"),
        "meta": dump(dict(record.meta), "meta"),
        "secrets": dump([[s.start, s.end, s.label] for s in record.secrets], "secrets"),
        "keys": dump([[k.name, k.text] for k in record.keys], "keys"),
    }


def record_of(row: Mapping[str, Any], as_of: int | None = None) -> Record:
    """The record in ``row``, in the state it had at ``as_of`` (microseconds; None: now)."""

    def past(moment: int | None) -> bool:
        return moment is not None and (as_of is None or moment <= as_of)

    zone = row["zone"]
    retired = past(row["retired"])
    end = row["ended"] if retired else row["valid_to"]
    state = (
        State.FORGOTTEN
        if past(row["forgotten"])
        else State.SUPERSEDED
        if retired
        else State.ARCHIVED
        if past(row["archived"])
        else State.ACTIVE
    )
    return Record(
        id=row["id"],
        kind=Kind(row["kind"]),
        text=row["text"],
        at=None if row["at"] is None else from_micros(row["at"], zone),
        valid=Interval(
            None if row["valid_from"] is None else _shown(row["valid_from"], zone),
            None if end is None else _shown(end, zone),
        ),
        recorded=from_micros(row["recorded"]),
        speaker=row["speaker"],
        role=row["role"],
        session=row["session"],
        caption=row["caption"],
        sources=tuple(json.loads(row["sources"])),
        keys=tuple(Key(text, name) for name, text in json.loads(row["keys"])),
        fields=json.loads(row["fields"]),
        meta=json.loads(row["meta"]),
        secrets=tuple(Span(*span) for span in json.loads(row["secrets"])),
        state=state,
        supersedes=row["supersedes"],
        superseded_by=row["superseded_by"] if retired else None,
        version=row["version"],
        position=row["rid"],
    )


def index_row(first: Sequence[Any], keys: Sequence[Sequence[Any]], dense: int) -> Row:
    """An item and its keys as the index sees them, with vectors of ``dense`` numbers; the plain way. ``first`` and
    ``keys`` are in the order of INDEX_COLUMNS."""
    (id, kind, at, valid_from, valid_to, ended, recorded, retired, forgotten, archived,
     speaker, role, session, supersedes, question, time_word, words, names, reaction, *_) = first  # fmt: skip
    # A key may lack its vectors while the space is being encoded anew: then it has no terms, and no direction.
    return Row(
        id=id,
        kind=kind,
        at=math.nan if at is None else at / 1e6,
        valid_from=math.nan if valid_from is None else valid_from / 1e6,
        valid_to=NEVER if valid_to is None else valid_to / 1e6,
        ended=NEVER if ended is None else ended / 1e6,
        recorded=recorded / 1e6,
        retired=NEVER if retired is None else retired / 1e6,
        forgotten=NEVER if forgotten is None else forgotten / 1e6,
        archived=NEVER if archived is None else archived / 1e6,
        speaker=speaker,
        role=role,
        session=session,
        supersedes=supersedes,
        question=bool(question),
        time_word=bool(time_word),
        words=words,
        names=names,
        reaction=bool(reaction),
        tokens=[k[-4] for k in keys],
        sparse_terms=[np.frombuffer(k[-3] or b"", np.uint16) for k in keys],
        sparse_weights=[np.frombuffer(k[-2] or b"", np.float16) for k in keys],
        dense=[np.frombuffer(k[-1] or bytes(4 * dense), np.float32) for k in keys] if dense else [],
    )


def index_items(rows: Sequence[Sequence[Any]], dense: int) -> Items:
    """What :func:`index_row` makes of these rows (at least one), item by item, made column by column."""
    columns = list(zip(*rows, strict=True))
    rids = np.array(columns[RID])
    starts = np.flatnonzero(np.concatenate(([True], rids[1:] != rids[:-1])))
    if len(starts) < len(rows):  # the rows of an item's further keys repeat the item
        columns[:RID] = zip(*(rows[start][:RID] for start in starts.tolist()), strict=True)
    times = np.array(columns[2:10], np.float64) / 1e6  # None becomes NaN
    times[_ENDLESS] = np.where(np.isnan(times[_ENDLESS]), NEVER, times[_ENDLESS])
    tokens, terms, weights, vectors = columns[-4:]
    # A key may lack its vectors while the space is being encoded anew: then it has no terms, and no direction.
    packed = b"".join(vector or bytes(4 * dense) for vector in vectors) if dense else b""
    return Items(
        ids=columns[0],
        kinds=columns[1],
        times=times,
        speakers=columns[10],
        roles=columns[11],
        sessions=columns[12],
        supersedes=columns[13],
        question=np.array(columns[14], bool),
        time_word=np.array(columns[15], bool),
        words=np.array(columns[16], np.float32),
        names=np.array(columns[17], np.int8),
        reaction=np.array(columns[18], bool),
        keys=np.diff(np.append(starts, len(rows))),
        tokens=tokens,
        postings=np.array([len(each or b"") // 2 for each in terms], np.int64),
        terms=np.frombuffer(b"".join(filter(None, terms)), np.uint16),
        weights=np.frombuffer(b"".join(filter(None, weights)), np.float16),
        vectors=np.frombuffer(packed, np.float32).reshape(-1, dense) if dense else None,
    )


INDEX_COLUMNS = (
    "i.id, i.kind, i.at, i.valid_from, i.valid_to, i.ended, i.recorded, i.retired, i.forgotten, i.archived, "
    "i.speaker, i.role, i.session, i.supersedes, i.question, i.time_word, i.words, i.names, i.reaction, "
    "i.rid, k.tokens, s.terms, s.weights, d.vector"
)
RID = 19
"""Where the item's row id stands among INDEX_COLUMNS."""
_ENDLESS = [TIMES.index(name) for name in ("valid_to", "ended", "retired", "forgotten", "archived")]


def pack_sparse(vector: SparseVector) -> tuple[bytes, bytes]:
    """Terms as 16-bit numbers (vocabularies below 65,536), weights as half floats: 4 bytes a term."""
    return vector.terms.astype(np.uint16).tobytes(), vector.weights.astype(np.float16).tobytes()
