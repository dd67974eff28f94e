"""The SQLite store: the conformance suite for a file and for memory, and what only SQLite can get wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conformance import SpaceConformance
from spaces import HOUR, START, Clock, HashDense, HashSparse, MakeSpace, hits, opened, plan, put, turn

import mnemic
from mnemic.errors import ConflictError
from mnemic.text import opening
from mnemic.text.plan import SearchPlan
from mnemic.text.record import Batch
from mnemic.text.store import sqlite as sqlite_module
from mnemic.text.store.base import Encoders
from mnemic.text.store.sqlite import SqliteSpace


class TestFile(SpaceConformance):
    @pytest.fixture
    def make_space(self, tmp_path: Path, clock: Clock) -> Iterator[MakeSpace]:
        yield from opened(
            lambda name, encoders: SqliteSpace(
                str(tmp_path / f"{name}.db"), encoders, name=name, clock=clock, durability="normal"
            )
        )


class TestMemory(SpaceConformance):
    persistent = False

    @pytest.fixture
    def make_space(self, clock: Clock) -> Iterator[MakeSpace]:
        yield from opened(lambda name, encoders: SqliteSpace(":memory:", encoders, name=name, clock=clock))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "space.db")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET op = 'x'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE seq = 1",
        "REPLACE INTO audit VALUES (1, 0, 'x', '[]', '{}')",
    ],
)
def test_the_audit_is_append_only(path: str, statement: str) -> None:
    space = SqliteSpace(path, Encoders())
    put(space, turn("a", "tea"))
    before = list(space.changes())
    space.close()
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute(statement)
    db.close()
    space = SqliteSpace(path, Encoders())
    assert list(space.changes()) == before
    space.close()


def test_full_durability_is_the_default(path: str) -> None:
    full, normal = SqliteSpace(path, Encoders()), SqliteSpace(path, Encoders(), durability="normal")
    ask = "PRAGMA synchronous"
    assert full._db.write(lambda db: db.execute(ask).fetchone()[0]) == 2
    assert normal._db.write(lambda db: db.execute(ask).fetchone()[0]) == 1
    assert full._db.write(lambda db: db.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"
    full.close()
    normal.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Encoders(), Encoders(HashSparse(), HashDense())),
        (Encoders(HashSparse(), HashDense()), Encoders()),
        (Encoders(dense=HashDense(16)), Encoders(HashSparse(), HashDense(32))),
    ],
)
def test_reencoding_gives_what_writing_with_the_new_encoders_would(
    tmp_path: Path, before: Encoders, after: Encoders
) -> None:
    space, other = SqliteSpace(str(tmp_path / "a.db"), before), SqliteSpace(str(tmp_path / "b.db"), after)
    turns = [turn(f"t{i}", f"word{i} tea", at=i, session=f"s{i % 9}") for i in range(700)]
    for each in (space, other):
        put(each, *turns)
        each.purge(["t650"])
    hits(space, "tea")
    told: list[tuple[int, int]] = []
    assert space.reencode(after, lambda *progress: told.append(progress)) == 699
    assert told == [(500, 699), (699, 699)]
    text = "word7 tea"
    query = plan(
        text,
        sparse=after.sparse.encode([text])[0] if after.sparse else None,
        dense=after.dense.encode_query(text) if after.dense else None,
        as_of=None,
    )
    ours, theirs = space.search(query), other.search(query)
    assert (ours.sparse is None, ours.vectors is None) == (after.sparse is None, after.dense is None)
    assert space.id_of(ours.item.tolist()) == other.id_of(theirs.item.tolist())
    if ours.sparse is not None and theirs.sparse is not None:
        np.testing.assert_array_equal(ours.sparse.weights, theirs.sparse.weights)
        assert ours.sparse.weights.any()
    if ours.vectors is not None and theirs.vectors is not None:
        np.testing.assert_array_equal(ours.vectors, theirs.vectors)
        assert ours.vectors.any()
    space.close()
    again = SqliteSpace(str(tmp_path / "a.db"), after)
    np.testing.assert_array_equal(again.search(query).length, theirs.length)
    for each in (again, other):
        each.close()


def test_a_space_that_was_left_half_encoded_can_be_searched_and_encoded_again(path: str) -> None:
    """Vectors may be missing for some keys: when encoding anew was interrupted."""
    encoders = Encoders(HashSparse(), HashDense())
    space = SqliteSpace(path, Encoders())
    put(space, *(turn(f"t{i}", f"word{i} tea", at=i, session="s") for i in range(10)))
    space.encoders = encoders
    put(space, *(turn(f"u{i}", f"word{i} tea", at=i, session="s") for i in range(10)))
    space.reset_index()
    query = plan("word3", sparse=HashSparse().encode(["word3"])[0], dense=HashDense().encode_query("word3"))
    c = space.search(query)
    assert c.sparse is not None
    matched = c.item[(c.sparse.weights > 0).any(axis=1)]
    assert space.id_of(matched.tolist()) == ["u3"]
    space.reencode(encoders)
    c = space.search(query)
    assert c.sparse is not None
    assert set(space.id_of(c.item[(c.sparse.weights > 0).any(axis=1)].tolist())) == {"t3", "u3"}
    space.close()


def test_a_text_without_words_has_empty_vectors(path: str) -> None:
    space = SqliteSpace(path, Encoders(HashSparse(), HashDense()))
    put(space, turn("a", "!!!"), turn("b", "tea"), turn("c", ""))
    query = plan("tea", sparse=HashSparse().encode(["tea"])[0], dense=HashDense().encode_query("tea"))
    for _ in range(2):
        c = space.search(query)
        assert c.sparse is not None
        assert space.id_of(c.item[(c.sparse.weights > 0).any(axis=1)].tolist()) == ["b"]
        space.reset_index()
    space.close()


@pytest.mark.parametrize("part", [sqlite_module.PART, 7])
def test_an_index_that_followed_equals_one_that_was_loaded(
    path: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "PART", part)
    rng = np.random.default_rng(3)
    clock = Clock()
    space = SqliteSpace(path, Encoders(HashSparse(), HashDense()), clock=clock)
    alive: list[str] = []
    moments = []
    for step in range(150):
        moments.append(clock.forward())
        id = f"t{step}"
        what = int(rng.integers(0, 10))
        taken = alive.pop(int(rng.integers(len(alive)))) if what >= 6 and alive else None
        if taken is None:
            said = " ".join(f"w{n}" for n in rng.integers(0, 12, 4))
            put(space, turn(id, said, at=float(rng.integers(0, 40)) + step / 1000, session=f"s{rng.integers(0, 4)}"))
            alive.append(id)
        elif what == 6:
            (old,) = space.get([taken])
            put(space, turn(id, "w1 revised", at=old.at, session=old.session), retire={taken: id})
            alive.append(id)
        elif (
            what == 7 and not space.get([taken])[0].supersedes
        ):  # else its predecessor comes back into the session on loading
            space.purge([taken])
        elif what == 8:
            space.write(Batch(forget=[taken]))
        else:
            space.write(Batch(archive=[taken]))
        space.search(plan("w1 w2"))
    fresh = SqliteSpace(path, space.encoders)
    for options in (
        {},
        {"as_of": moments[75]},
        {"valid_at": START + 20 * HOUR},
        {"exact": 0, "depth": 1000, "hops": 2},
    ):
        query = plan(
            "w1 w2 w3 revised never",
            sparse=HashSparse().encode(["w1 w2"])[0],
            dense=HashDense().encode_query("w3"),
            **options,  # type: ignore[arg-type]
        )
        ours, theirs = by_id(space, query), by_id(fresh, query)
        assert ours == theirs, options
        assert len(ours) > 5
    space.close()
    fresh.close()


def by_id(space: SqliteSpace, query: SearchPlan) -> dict[str, object]:
    """The candidates without the numbers that an index gives out as it likes."""
    c = space.search(query)
    names = [*space.id_of(c.item.tolist()), None]
    assert c.lexical is not None
    assert c.sparse is not None
    assert c.vectors is not None
    found: dict[str, object] = {
        "": (c.count, c.session_count, c.mean_length, c.lexical.df.tolist(), c.sparse.df.tolist())
    }
    for i, name in enumerate(names[:-1]):
        session = None
        if c.session[i] >= 0:
            s = c.session[i]
            session = (
                c.lexical.sessions[s].tolist(),
                c.sparse.sessions[s].tolist(),
                c.session_length[s],
                c.session_at[s],
            )
        found[str(name)] = (
            c.eligible[i],
            names[c.previous[i]],
            names[c.following[i]],
            session,
            c.first[i],
            c.length[i],
            c.words[i],
            c.at[i],
            c.lexical.weights[i].tolist(),
            c.sparse.weights[i].tolist(),
            c.vectors[i].tolist(),
        )
    return found


def test_a_rebuilt_space_takes_no_writes_from_those_who_had_it_open(tmp_path: Path) -> None:
    at = tmp_path / "m.db"
    with mnemic.open(at, encoders="lexical") as before:
        before.remember("I keep bees.", speaker="Ana")
        opening.rebuild(at)
        with pytest.raises(ConflictError, match="open it again"):
            before.remember("I keep hens.", speaker="Ana")
    with mnemic.open(at) as again:
        again.remember("I keep hens.", speaker="Ana")
        assert again.stats()["records"] == 2


def test_a_rebuild_that_was_broken_off_is_told_and_mended(tmp_path: Path) -> None:
    at = tmp_path / "m.db"
    with mnemic.open(at, encoders="lexical") as memory:
        memory.remember("I keep bees.", speaker="Ana")
        memory.space.set_meta(epoch=opening.REBUILDING + "x")
    with pytest.raises(ConflictError, match="mnemic rebuild"):
        mnemic.open(at)
    opening.rebuild(at)
    with mnemic.open(at) as memory:
        assert memory.recall("bees").hits
