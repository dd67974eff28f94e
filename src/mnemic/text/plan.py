"""What reading asks for and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats, SparseVector
from mnemic.text.record import Kind, Record

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records may be hits. Empty fields do not restrict; within a field any value matches.

    ``since`` / ``until`` bound the time it was said, half open. ``meta`` asks for equality of each given key.
    ``phrase`` asks for these words, stemmed, next to each other in this order; ``words`` for all of its content
    words anywhere.
    """

    kinds: Sequence[Kind] = ()
    speakers: Sequence[str] = ()
    sessions: Sequence[str] = ()
    roles: Sequence[str] = ()
    ids: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    phrase: str | None = None
    words: str | None = None
    archived: bool = False


def every(page: Callable[[str | None], tuple[Sequence[Record], str | None]]) -> Iterator[Record]:
    """All records that a scan brings, page by page: ``every(lambda at: space.scan(wanted, at))``."""
    cursor: str | None = None
    while True:
        found, cursor = page(cursor)
        yield from found
        if cursor is None:
            return


@dataclass(frozen=True, slots=True)
class Query:
    """A question as a system sees it. ``now`` is when it is asked: relative dates count from it."""

    text: str
    k: int
    now: datetime
    budget: int | None = None
    valid_at: datetime | None = None
    as_of: datetime | None = None
    filter: Filter = field(default_factory=Filter)


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What a space is asked to bring: candidates of every leg that is given, with their neighbours.

    ``terms`` are stems for the lexical leg, ``sparse`` and ``dense`` the encoded query. Spaces of at most
    ``exact`` keys are scored whole, larger ones by the best ``depth`` of each leg; ``hops`` is how many
    neighbours in the session come along on either side. ``boost`` lists spans of time whose turns are
    candidates whatever they match.
    """

    terms: Sequence[str] = ()
    sparse: SparseVector | None = None
    dense: Floats | None = None
    filter: Filter = field(default_factory=Filter)
    valid_at: datetime | None = None
    as_of: datetime | None = None
    depth: int = 300
    hops: int = 4
    exact: int = 2500
    boost: Sequence[tuple[datetime, datetime]] = ()


@dataclass(frozen=True, slots=True)
class Matches:
    """What one weighted-term leg found. C slots (candidates and their neighbours), S sessions, T query terms.

    ``weights`` [C, T] the slot's own term weights (counts in the lexical leg); ``sessions`` [S, T] the sum
    (lexical) or maximum (sparse) over each session; ``df`` [T] in how many keys of the space the term occurs,
    ``session_df`` in how many sessions (lexical leg only, else zeros); ``query`` [T] the query's weight of each term.
    """

    query: Floats
    weights: Floats
    sessions: Floats
    df: Floats
    session_df: Floats


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates with everything a ranker may use, in columns: C slots, S sessions.

    Slots are keys. ``eligible`` [C] marks those that may be hits; the others are context. ``previous`` /
    ``following`` [C] are the slots of the neighbouring turns of the session, -1 where there is none or it was
    not brought along. ``session`` [C] indexes the S sessions, -1 for records outside any. ``length`` [C] is in
    stems, ``words`` [C] in words; ``at`` [C] and ``session_at`` [S] are epoch seconds (NaN unknown).
    """

    item: Ints
    eligible: Bools
    previous: Ints
    following: Ints
    session: Ints
    speaker: Ints
    is_turn: Bools
    assistant: Bools
    question: Bools
    time_word: Bools
    first: Bools
    length: Floats
    words: Floats
    names: NDArray[np.int8]
    reaction: Bools
    at: NDArray[np.float64]
    session_at: NDArray[np.float64]
    session_length: Floats
    speakers: tuple[str, ...]
    count: int
    mean_length: float
    session_count: int
    lexical: Matches | None
    sparse: Matches | None
    vectors: Floats | None
    dense: Floats | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """One recalled record. ``n`` is its citation number in ``Recall.text``; ``legs`` the score's parts."""

    n: int
    id: str
    kind: Kind
    text: str
    score: float
    speaker: str | None
    at: datetime | None
    session: str | None
    sources: tuple[str, ...]
    record: Record
    legs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recall:
    """What a query brought back, best first. Empty hits are an answer: nothing relevant is stored.

    ``text`` is ready for a prompt: cited ``[n]``, inside the budget. ``confidence`` in [0, 1] is the
    calibrated probability that the hits hold an answer. ``trace`` says what ran and for how many milliseconds.
    ``used`` are the ids whose use a system wants the space to remember. ``advice`` is how a language model should go
    about ``text``, where a system's paper says so: ``ask`` passes it on.
    """

    query: str
    hits: tuple[Hit, ...]
    text: str
    confidence: float
    trace: Mapping[str, Any] = field(default_factory=dict)
    used: tuple[str, ...] = ()
    advice: str = ""

    def __iter__(self) -> Any:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)
