"""An inverted index that only grows: term -> keys and weights, in a few sorted segments.

Adding is cheap because new postings form a small segment of their own; segments merge whenever the newer one
has reached half the size of the older, so there are never more than about log2(n) of them (the
logarithmic method of Bentley and Saxe, as Lucene uses it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats

LARGEST = 65504.0
"""The largest weight kept: what a half float holds."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings sorted by term: those of ``terms[i]`` lie at ``starts[i]:starts[i + 1]``."""

    terms: NDArray[np.int32]
    starts: NDArray[np.int64]
    keys: NDArray[np.int32]
    weights: NDArray[np.float16]

    @classmethod
    def build(cls, terms: NDArray[np.int32], keys: NDArray[np.int32], weights: NDArray[np.float16]) -> Segment:
        # A stable sort keeps each term's keys in the order they came, and is a linear radix sort on 16 bits.
        narrow = terms.astype(np.uint16) if len(terms) and terms.max() < 1 << 16 else terms
        order = np.argsort(narrow, kind="stable")
        ordered = terms[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else np.zeros(0)
        return cls(
            ordered[starts.astype(np.int64)],
            np.append(starts, len(ordered)).astype(np.int64),
            keys[order],
            weights[order],
        )

    def flat_terms(self) -> NDArray[np.int32]:
        return np.repeat(self.terms, np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class Found:
    """Postings of some query terms, flat [P]: ``owner`` indexes the query's terms."""

    owner: NDArray[np.int32]
    keys: NDArray[np.int32]
    weights: Floats

    def among(self, keys: NDArray[np.bool_] | None) -> Found:
        """Only those of the marked ``keys``; all of them for None."""
        if keys is None:
            return self
        kept = keys[self.keys]
        return Found(self.owner[kept], self.keys[kept], self.weights[kept])


class Postings:
    """Append-only postings of one leg."""

    def __init__(self) -> None:
        self._segments: tuple[Segment, ...] = ()

    def add(self, terms: NDArray[np.int32], keys: NDArray[np.int32], weights: Floats) -> None:
        """Add flat postings [P]. Keys must be larger than all keys added before."""
        if not len(terms):
            return
        narrow = np.minimum(weights, LARGEST).astype(np.float16)
        segments = [*self._segments, Segment.build(terms, keys.astype(np.int32), narrow)]
        while len(segments) > 1 and 2 * len(segments[-1].keys) >= len(segments[-2].keys):
            newer, older = segments.pop(), segments.pop()
            segments.append(
                Segment.build(
                    np.concatenate((older.flat_terms(), newer.flat_terms())),
                    np.concatenate((older.keys, newer.keys)),
                    np.concatenate((older.weights, newer.weights)),
                )
            )
        self._segments = tuple(segments)  # one assignment: readers in other threads see the old or the new list

    def find(self, terms: NDArray[np.int32]) -> Found:
        """All postings of ``terms`` [T] (no repeats), those of one segment after another."""
        owners: list[int] = []
        keys: list[NDArray[np.int32]] = []
        weights: list[NDArray[np.float16]] = []
        for segment in self._segments:
            places = np.searchsorted(segment.terms, terms)
            places[places == len(segment.terms)] = 0
            for owner in np.flatnonzero(segment.terms[places] == terms):
                low, high = segment.starts[places[owner]], segment.starts[places[owner] + 1]
                owners.append(int(owner))
                keys.append(segment.keys[low:high])
                weights.append(segment.weights[low:high])
        if not owners:
            return Found(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))
        lengths = [len(k) for k in keys]
        return Found(
            np.repeat(np.array(owners, np.int32), lengths),
            np.concatenate(keys),
            np.concatenate(weights).astype(np.float32),
        )

    def __len__(self) -> int:
        return sum(len(segment.keys) for segment in self._segments)
