"""The columns that the index of a space is made of: growing tables, names as numbers, and the row a store hands in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats
from mnemic.text.plan import Ints
from mnemic.text.record import Kind

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


class Row(NamedTuple):
    """One stored item with its keys, as the store hands it to the index. Times in epoch seconds, NaN unknown."""

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
    """Strings to small numbers and back."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, name: str | None) -> int:
        """The number of ``name``, given out on first sight; -1 for None."""
        if name is None:
            return -1
        code = self._codes.setdefault(name, len(self.names))
        if code == len(self.names):
            self.names.append(name)
        return code

    def codes(self, names: Sequence[str]) -> Ints:
        """The numbers [names], given out on first sight."""
        for name in set(names) - self._codes.keys():
            self.code(name)
        return np.fromiter(map(self._codes.__getitem__, names), np.int64, len(names))

    def get(self, name: str) -> int:
        """The number of ``name``, -1 if it was never given one."""
        return self._codes.get(name, -1)

    def find(self, names: Iterable[str]) -> list[int]:
        return [self._codes[name] for name in names if name in self._codes]

    def __len__(self) -> int:
        return len(self.names)
