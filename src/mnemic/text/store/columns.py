"""The columns that the index of a space is made of: growing tables, names as numbers, and the row a store hands in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats
from mnemic.text.plan import Bools, Ints
from mnemic.text.record import Kind

T = TypeVar("T")
KIND_CODES: dict[str, int] = {kind: code for code, kind in enumerate(Kind)}
NEVER = np.inf
"""A time that does not come: an item that is not retired, not forgotten, still valid."""
PRESENT = 1e300
"""The store's present state, in seconds: later than every recorded time, before NEVER."""

ITEM = np.dtype(
    [
        ("at", "f8"),
        ("valid_from", "f8"),
        ("valid_to", "f8"),
        ("ended", "f8"),
        ("recorded", "f8"),
        ("retired", "f8"),
        ("forgotten", "f8"),
        ("archived", "f8"),
        ("alive", "?"),
        ("kind", "i1"),
        ("role", "i4"),
        ("question", "?"),
        ("time_word", "?"),
        ("session", "i4"),
        ("speaker", "i4"),
        ("previous", "i4"),
        ("following", "i4"),
        ("place", "i4"),
        ("first_key", "i4"),
        ("words", "f4"),
        ("names", "i1"),
        ("reaction", "?"),
    ]
)
KEY = np.dtype([("item", "i4"), ("length", "f4")])


TIMES = ("at", "valid_from", "valid_to", "ended", "recorded", "retired", "forgotten", "archived")
"""The times of an item, in the order in which rows and batches hold them."""


class Row(NamedTuple):
    """One stored item with its keys. Times in epoch seconds, NaN unknown."""

    id: str
    kind: str
    at: float
    valid_from: float
    valid_to: float
    ended: float
    recorded: float
    retired: float
    forgotten: float
    archived: float
    speaker: str | None
    role: str | None
    session: str | None
    supersedes: str | None
    question: bool
    time_word: bool
    words: int
    names: int
    reaction: bool
    tokens: Sequence[str]
    sparse_terms: Sequence[NDArray[np.integer[Any]]]
    sparse_weights: Sequence[NDArray[np.floating[Any]]]
    dense: Sequence[Floats]


_NONE = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Items:
    """Stored items with their keys in columns, as the store hands them to the index: N items, K keys, P postings.

    ``times`` [8, N] are those of :data:`TIMES` in epoch seconds. ``keys`` [N] counts the keys of each item, ``tokens``
    [K] are their stems. ``terms`` and ``weights`` [P] are the sparse vectors of the keys one after another,
    ``postings`` [K] their lengths. ``vectors`` is [K, dim], None without a dense encoder.
    """

    ids: Sequence[str]
    kinds: Sequence[str]
    times: NDArray[np.float64]
    speakers: Sequence[str | None]
    roles: Sequence[str | None]
    sessions: Sequence[str | None]
    supersedes: Sequence[str | None]
    question: Bools
    time_word: Bools
    words: Floats
    names: NDArray[np.int8]
    reaction: Bools
    keys: Ints
    tokens: Sequence[str]
    postings: Ints
    terms: NDArray[np.integer[Any]]
    weights: NDArray[np.floating[Any]]
    vectors: Floats | None

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Items:
        """The plain way: from rows, one by one."""

        def flat(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([_NONE, *parts])

        return cls(
            ids=[row.id for row in rows],
            kinds=[row.kind for row in rows],
            times=np.array([[getattr(row, name) for row in rows] for name in TIMES], np.float64),
            speakers=[row.speaker for row in rows],
            roles=[row.role for row in rows],
            sessions=[row.session for row in rows],
            supersedes=[row.supersedes for row in rows],
            question=np.array([row.question for row in rows], bool),
            time_word=np.array([row.time_word for row in rows], bool),
            words=np.array([row.words for row in rows], np.float32),
            names=np.array([row.names for row in rows], np.int8),
            reaction=np.array([row.reaction for row in rows], bool),
            keys=np.array([len(row.tokens) for row in rows], np.int64),
            tokens=[text for row in rows for text in row.tokens],
            postings=np.array(
                [len(terms) for row in rows for terms in (row.sparse_terms or [_NONE] * len(row.tokens))], np.int64
            ),
            terms=flat(terms for row in rows for terms in row.sparse_terms).astype(np.int32),
            weights=flat(weights for row in rows for weights in row.sparse_weights),
            vectors=np.array([vector for row in rows for vector in row.dense], np.float32) if rows[0].dense else None,
        )

    def only(self, wanted: Bools) -> Items:
        """Those items that are ``wanted`` [N], with their keys."""
        keys = np.repeat(wanted, self.keys)
        postings = np.repeat(keys, self.postings)

        def some(values: Sequence[T], mask: Bools) -> list[T]:
            return list(compress(values, mask.tolist()))

        return Items(
            ids=some(self.ids, wanted),
            kinds=some(self.kinds, wanted),
            times=self.times[:, wanted],
            speakers=some(self.speakers, wanted),
            roles=some(self.roles, wanted),
            sessions=some(self.sessions, wanted),
            supersedes=some(self.supersedes, wanted),
            question=self.question[wanted],
            time_word=self.time_word[wanted],
            words=self.words[wanted],
            names=self.names[wanted],
            reaction=self.reaction[wanted],
            keys=self.keys[wanted],
            tokens=some(self.tokens, keys),
            postings=self.postings[keys],
            terms=self.terms[postings],
            weights=self.weights[postings],
            vectors=None if self.vectors is None else self.vectors[keys],
        )


class Table:
    """A structured array that grows by doubling. ``view()`` is the filled part, sharing memory."""

    def __init__(self, dtype: np.dtype[Any], width: int | None = None) -> None:
        self._shape = () if width is None else (width,)
        self._data = np.zeros((64, *self._shape), dtype)
        self.count = 0

    def grow(self, extra: int) -> NDArray[Any]:
        """Room for ``extra`` more rows; returns the new rows, zeroed."""
        wanted = self.count + extra
        if wanted > len(self._data):
            bigger = np.zeros((max(wanted, 2 * len(self._data)), *self._shape), self._data.dtype)
            bigger[: self.count] = self._data[: self.count]
            self._data = bigger
        rows = self._data[self.count : wanted]
        self.count = wanted
        return rows

    def view(self) -> NDArray[Any]:
        return self._data[: self.count]


class Names:
    """Strings to small numbers and back; None is -1."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str | None, int] = {None: -1}

    def codes(self, names: Sequence[str | None]) -> Ints:
        """The numbers [names], given out in the order of first sight."""
        for name in dict.fromkeys(names):
            if name is not None and name not in self._codes:
                self._codes[name] = len(self.names)
                self.names.append(name)
        return np.fromiter(map(self._codes.__getitem__, names), np.int64, len(names))

    def get(self, name: str) -> int:
        """The number of ``name``, -1 if it was never given one."""
        return self._codes.get(name, -1)

    def find(self, names: Iterable[str]) -> list[int]:
        return [self._codes[name] for name in names if name in self._codes]

    def __len__(self) -> int:
        return len(self.names)
