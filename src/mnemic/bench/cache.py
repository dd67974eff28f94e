"""Encodings kept on disk by text and encoder version, so that a second run over the same turns costs seconds.

Only what is written to a space is looked up; queries are always encoded afresh (:meth:`live`), so that their time
is measured honestly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
import platformdirs

from mnemic.text.encode.base import DenseEncoder, Floats, SparseEncoder, SparseVector

_BLOCK = 500  # keys of one lookup: below SQLite's limit on parameters


def folder() -> Path:
    """Where encodings are kept unless the caller says otherwise."""
    return Path(platformdirs.user_cache_dir("mnemic")) / "bench"


class Shelf:
    """The encodings of one encoder: a SQLite file of text hash -> bytes. Safe to share between processes."""

    def __init__(self, name: str, version: str, where: Path | None = None) -> None:
        where = where or folder()
        where.mkdir(parents=True, exist_ok=True)
        digest = blake2b(f"{name}@{version}".encode(), digest_size=6).hexdigest()
        safe = "".join(c if c.isalnum() or c in "-." else "_" for c in name)[:60]
        self.path = where / f"{safe}-{digest}.sqlite"
        self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.execute("create table if not exists encoding (key blob primary key, value blob) without rowid")
        self.hits = self.misses = 0

    def fill(self, texts: Sequence[str], make: Callable[[Sequence[str]], Sequence[bytes]]) -> list[bytes]:
        """The encoding of every text; those that are missing are made, all at once, and kept."""
        keys = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        known: dict[bytes, bytes] = {}
        for start in range(0, len(keys), _BLOCK):
            block = keys[start : start + _BLOCK]
            marks = ",".join("?" * len(block))
            known.update(self._db.execute(f"select key, value from encoding where key in ({marks})", block))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        self.hits += len(keys) - len(missing)
        self.misses += len(missing)
        if missing:
            made = dict(zip(missing, make(list(missing.values())), strict=True))
            self._db.executemany("insert or ignore into encoding values (?, ?)", made.items())
            known.update(made)
        return [known[key] for key in keys]

    def close(self) -> None:
        self._db.close()


class _Cached:
    """The name, version and dimension of an encoder, with a shelf beside it."""

    def __init__(self, inner: SparseEncoder | DenseEncoder, where: Path | None = None) -> None:
        self.name, self.version, self.dim = inner.name, inner.version, inner.dim
        self.shelf = Shelf(inner.name, inner.version, where)
        self._live = False

    @contextmanager
    def live(self) -> Iterator[None]:
        """While inside, nothing is looked up or kept."""
        self._live = True
        try:
            yield
        finally:
            self._live = False


class CachedSparse(_Cached):
    """A sparse encoder with a shelf. Terms and weights are kept as they are, so results do not change by a bit."""

    def __init__(self, inner: SparseEncoder, where: Path | None = None) -> None:
        super().__init__(inner, where)
        self._inner = inner

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        if self._live:
            return self._inner.encode(texts)
        return [_unpacked(kept) for kept in self.shelf.fill(texts, self._made)]

    def _made(self, texts: Sequence[str]) -> list[bytes]:
        return [v.terms.astype("<i4").tobytes() + v.weights.astype("<f4").tobytes() for v in self._inner.encode(texts)]


class CachedDense(_Cached):
    """A dense encoder with a shelf."""

    def __init__(self, inner: DenseEncoder, where: Path | None = None) -> None:
        super().__init__(inner, where)
        self._inner = inner

    def encode(self, texts: Sequence[str]) -> Floats:
        if self._live:
            return self._inner.encode(texts)
        kept = self.shelf.fill(
            texts, lambda missing: [row.astype("<f4").tobytes() for row in self._inner.encode(missing)]
        )
        return np.frombuffer(b"".join(kept), "<f4").reshape(len(texts), self.dim).astype(np.float32)

    def encode_query(self, text: str) -> Floats:
        return self._inner.encode_query(text)


def _unpacked(kept: bytes) -> SparseVector:
    half = len(kept) // 2
    return SparseVector(
        np.frombuffer(kept[:half], "<i4").astype(np.int32), np.frombuffer(kept[half:], "<f4").astype(np.float32)
    )
