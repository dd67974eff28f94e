"""What the tests of a store share: records in few words, encoders without a model, and how spaces are made."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mnemic.text.encode.base import Floats, SparseVector
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Candidates, Filter, SearchPlan
from mnemic.text.record import Batch, Kind, Record
from mnemic.text.steps import rank
from mnemic.text.store.base import Encoders, Space

START = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOSTILE = [
    '"',
    '""',
    "*",
    "NEAR(",
    "NEAR(a b, 2)",
    "AND",
    "a AND",
    "OR OR",
    "NOT x",
    "col:",
    "tokens:cat",
    "^cat",
    "cat*",
    "-",
    "(",
    "';--",
    "a\0b",
    "\\",
    "{a b}:",
    "+",
    "cat + dog",
    "%_",
    "\ufeff",
    "C++",
    "what's",
    'a"b',
]

MakeSpace = Callable[..., Space]


class Clock:
    """Stands still until it is told to move on."""

    def __init__(self) -> None:
        self.now = START + 365 * DAY

    def __call__(self) -> datetime:
        return self.now

    def forward(self, step: timedelta = HOUR) -> datetime:
        self.now += step
        return self.now


class HashSparse:
    """A sparse encoder without a model: each stem is a term, heavier when it comes more often."""

    name, version, dim = "hash-sparse", "1", 4096

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        found = []
        for text in texts:
            terms, counts = np.unique([zlib.crc32(t.encode()) % self.dim for t in tokens(text)], return_counts=True)
            found.append(SparseVector(terms.astype(np.int32), np.sqrt(counts).astype(np.float32)))
        return found


class HashDense:
    """A dense encoder without a model: the sum of one fixed random vector for each stem."""

    name, version = "hash-dense", "1"

    def __init__(self, dim: int = 16) -> None:
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> Floats:
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for token in tokens(text):
                row += np.random.default_rng(zlib.crc32(token.encode())).standard_normal(self.dim)
            row /= max(float(np.linalg.norm(row)), 1e-9)
        return rows

    def encode_query(self, text: str) -> Floats:
        return self.encode([text])[0]


def turn(id: str, text: str, **more: Any) -> Record:
    """A turn as short as a test can write it; ``at`` may be hours after START."""
    at = more.pop("at", 0)
    said = START + at * HOUR if isinstance(at, int | float) else at
    return Record(id=id, kind=more.pop("kind", Kind.TURN), text=text, at=said, **more)


def put(space: Space, *records: Record, **more: Any) -> None:
    space.write(Batch(puts=records, **more))


def plan(query: str, **more: Any) -> SearchPlan:
    return SearchPlan(terms=tokens(query), **more)


def hits(space: Space, query: str, **more: Any) -> set[str]:
    """The ids that match ``query`` by a word and may be recalled."""
    c = space.search(plan(query, **more))
    assert c.lexical is not None
    matched = c.eligible & (c.lexical.weights > 0).any(axis=1)
    return set(space.id_of([int(n) for n in c.item[matched]]))


def eligible(space: Space, **more: Any) -> set[str]:
    """The ids that may be recalled, whatever they match."""
    c = space.search(SearchPlan(**more))
    return set(space.id_of([int(n) for n in c.item[c.eligible]]))


def every(space: Space, filter: Filter | None = None, limit: int = 1000) -> list[Record]:
    """All pages of a scan."""
    found: list[Record] = []
    cursor: str | None = None
    while True:
        page, cursor = space.scan(filter or Filter(), cursor, limit)
        found += page
        if cursor is None:
            return found


def ids(records: Iterable[Record]) -> list[str]:
    return [record.id for record in records]


def ranked(space: Space, c: Candidates, k: int) -> list[str]:
    scores = rank.score(rank.features(c, rank.Cues()), rank.weights(rank.variant(c)).score)
    scores = np.where(c.eligible, scores, -np.inf)
    return space.id_of([int(c.item[i]) for i in np.lexsort((c.item, -scores))[:k]])


def same(space: Space, state: list[Any]) -> None:
    """Nothing was written since ``state`` was taken."""
    assert picture(space) == state


def picture(space: Space) -> list[Any]:
    """Everything that can be read of a space."""
    records = every(space, Filter(archived=True))
    found = ids(records)
    return [records, sorted(map(str, space.neighbours(found))), list(space.changes()), eligible(space), space.stats()]


def chain(space: Space, id: str, **more: Any) -> list[str]:
    """The visible turns of the session of ``id``, from its first to its last, as the candidates thread them."""
    c = space.search(SearchPlan(exact=1 << 30, **more))
    names = space.id_of([int(n) for n in c.item])
    at = names.index(id)
    while c.previous[at] >= 0:
        assert c.following[c.previous[at]] == at
        at = int(c.previous[at])
    found = [names[at]]
    while c.following[at] >= 0:
        assert c.previous[c.following[at]] == at
        at = int(c.following[at])
        found.append(names[at])
    return found


def together(run: Callable[[int], object], count: int) -> None:
    """``run(0..count-1)`` in as many threads at once; the first error is raised."""
    errors: list[BaseException] = []
    gate = threading.Barrier(count)

    def guarded(i: int) -> None:
        try:
            gate.wait()
            run(i)
        except BaseException as error:  # noqa: BLE001  raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def opened(make: Callable[[str, Encoders], Space]) -> Iterator[MakeSpace]:
    """A ``make_space`` over ``make``, and at the end everything it opened closed."""
    spaces: list[Space] = []

    def make_space(name: str = "default", *, encoders: Encoders | None = None) -> Space:
        spaces.append(make(name, encoders or Encoders()))
        return spaces[-1]

    yield make_space
    for space in spaces:
        space.close()


class SpaceFixtures:
    """Fixtures of the suite in ``conformance.py``; a store overrides ``make_space``."""

    persistent = True

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def make_space(self, clock: Clock) -> MakeSpace:
        raise NotImplementedError("a store's test class says how its spaces are made")

    @pytest.fixture
    def space(self, make_space: MakeSpace) -> Space:
        return make_space()

    @pytest.fixture
    def twice(self, make_space: MakeSpace) -> tuple[Space, Space]:
        """Two handles on one space, as two processes would have them."""
        if not self.persistent:
            pytest.skip("this space cannot be opened twice")
        return make_space("shared"), make_space("shared")
