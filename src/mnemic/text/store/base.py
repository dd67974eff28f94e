"""What a store offers: spaces, one for each tenant, each with the same handful of operations.

A store persists and keeps the order of writes; the index over a space (``index.py``) is fed by ``changes`` and
is the same code for every store, so two stores give equal candidates for equal content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from mnemic.text.encode.base import DenseEncoder, Floats, SparseEncoder, SparseVector
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Candidates, Filter, SearchPlan
from mnemic.text.record import Batch, Key, Link, Receipt, Record
from mnemic.text.steps.secrets import masked


@dataclass(frozen=True, slots=True)
class Encoders:
    """The encoders a space declares. The lexical one is always there; the others are optional."""

    sparse: SparseEncoder | None = None
    dense: DenseEncoder | None = None

    def names(self) -> dict[str, str]:
        """Leg -> ``name@version``: what the space records and compares on opening."""
        legs = {"sparse": self.sparse, "dense": self.dense}
        return {"lexical": "stems@1"} | {leg: f"{e.name}@{e.version}" for leg, e in legs.items() if e is not None}


@dataclass(frozen=True, slots=True)
class EncodedKey:
    """A key as every encoder of the space sees it."""

    name: str
    tokens: str
    sparse: SparseVector | None
    dense: Floats | None


def key_text(record: Record) -> str:
    """What a record without keys of its own is found by: ``speaker: text [shares an image: caption]``, no secrets."""
    text, caption = masked(record.text, record.caption, record.secrets)
    if record.speaker:
        text = f"{record.speaker}: {text}"
    return f"{text} [shares an image: {caption}]" if caption else text


def encode_keys(records: Sequence[Record], encoders: Encoders) -> list[list[EncodedKey]]:
    """The encoded keys of each record: one pass of each encoder over all the keys of the batch."""
    keys = [(i, key) for i, record in enumerate(records) for key in record.keys or (Key(key_text(record)),)]
    texts = [key.text for _, key in keys]
    sparse = encoders.sparse.encode(texts) if encoders.sparse and texts else [None] * len(texts)
    dense = encoders.dense.encode(texts) if encoders.dense and texts else [None] * len(texts)
    encoded: list[list[EncodedKey]] = [[] for _ in records]
    for (i, key), sparse_vector, dense_vector in zip(keys, sparse, dense, strict=True):
        encoded[i].append(EncodedKey(key.name, " ".join(tokens(key.text)), sparse_vector, dense_vector))
    return encoded


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch with the encoded keys of its new records by id: ready to be committed."""

    batch: Batch
    keys: Mapping[str, Sequence[EncodedKey]]


@dataclass(frozen=True, slots=True)
class Job:
    """Work to be done off the user's path. ``cursor`` is where the last committed batch stopped."""

    id: int
    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """How a memory was used: by how many recalls, and when last."""

    count: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write, as the audit keeps it: ids and counts, never text."""

    seq: int
    at: datetime
    op: str
    ids: tuple[str, ...]
    detail: Mapping[str, Any]


class Space(Protocol):
    """One tenant's memory. Every method is safe from several threads; writes are atomic and durable on return."""

    name: str
    encoders: Encoders

    def write(
        self,
        batch: Batch,
        *,
        op: str = "write",
        idempotency_key: str | None = None,
        expected_version: int | None = None,
        job: Job | None = None,
    ) -> Receipt: ...
    def prepare(self, batch: Batch) -> Prepared: ...
    def commit(
        self,
        prepared: Prepared,
        *,
        op: str = "write",
        idempotency_key: str | None = None,
        expected_version: int | None = None,
        job: Job | None = None,
    ) -> Receipt: ...
    def get(self, ids: Sequence[str], as_of: datetime | None = None) -> list[Record]: ...
    def history(self, id: str) -> list[Record]: ...
    def search(self, plan: SearchPlan) -> Candidates: ...
    def id_of(self, numbers: Sequence[int]) -> list[str]: ...
    def sessions(self) -> list[tuple[str, datetime | None]]: ...
    def scan(self, filter: Filter, cursor: str | None = None, limit: int = 1000) -> tuple[list[Record], str | None]: ...
    def neighbours(self, ids: Sequence[str], kinds: Sequence[str] = (), depth: int = 1) -> list[Link]: ...
    def changes(self, since: int = 0) -> Iterator[Change]: ...
    def log_use(self, ids: Sequence[str]) -> None: ...
    def usage(self, ids: Sequence[str] = (), since: datetime | None = None) -> dict[str, Used]: ...
    def purge(self, ids: Sequence[str]) -> Receipt: ...
    def enqueue(self, kind: str, payload: Mapping[str, Any] | None = None) -> Job: ...
    def schedule(self, kind: str) -> None: ...
    def claim_jobs(
        self, kinds: Sequence[str] = (), limit: int = 1, lease: float = 60.0, *, retry: bool = False
    ) -> list[Job]: ...
    def ack(self, job: Job, *, error: str | None = None, again: bool = False) -> None: ...
    def stats(self) -> dict[str, Any]: ...
    def check(self) -> str | None: ...
    def get_meta(self, key: str) -> str | None: ...
    def set_meta(self, **values: str | None) -> None: ...
    def export(self) -> Iterator[dict[str, Any]]: ...
    def restore(self, lines: Iterable[Mapping[str, Any]]) -> int: ...
    def close(self) -> None: ...


class Store(Protocol):
    """A place that holds spaces."""

    def space(self, name: str, encoders: Encoders) -> Space: ...
    def spaces(self) -> list[str]: ...
    def drop(self, name: str) -> None: ...
    def close(self) -> None: ...
