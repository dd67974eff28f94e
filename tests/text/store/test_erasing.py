"""Erasing erases: every byte of every file, also while somebody reads, in the end."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from spaces import HashDense, HashSparse, every, hits, ids, put, turn

from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Filter
from mnemic.text.record import Key, Kind, Record, Span
from mnemic.text.store.base import Encoders
from mnemic.text.store.sqlite import SqliteSpace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "space.db"


def make(path: Path | str, **options: Any) -> SqliteSpace:
    return SqliteSpace(str(path), options.pop("encoders", Encoders()), **options)


SECRET = "Quuxplovering vortzblimished at Zyxgrunthaven"


def grams(text: str) -> set[bytes]:
    """All runs of six bytes of the words of ``text``, as said, in lower case and stemmed."""
    words = [*text.split(), *text.lower().split(), *tokens(text)]
    return {word.encode()[i : i + 6] for word in words for i in range(len(word) - 5)}


def left(path: Path, sought: set[bytes]) -> dict[str, list[bytes]]:
    """Which of ``sought`` still stand in which of the store's files."""
    found = {}
    for file in path.parent.glob(path.name + "*"):
        data = file.read_bytes()
        found[file.name] = sorted(g for g in sought if g in data)
    return {name: hits for name, hits in found.items() if hits}


def with_secret(path: Path) -> tuple[SqliteSpace, set[bytes]]:
    """A space with much else in it, and the secret in every place that holds text or what is made of it."""
    encoders = Encoders(HashSparse(), HashDense())
    space = make(path, encoders=encoders)
    for i in range(60):
        put(space, *(turn(f"t{i}-{j}", f"quuxplain vortz{i} zyxgrun{j} talk", session=f"s{i}") for j in range(5)))
    put(
        space,
        turn("secret", SECRET, session="s1", speaker="Ann", caption=f"picture of {SECRET}", meta={"note": SECRET}),
        Record("derived", Kind.FACT, SECRET, keys=(Key(SECRET), Key(f"also {SECRET}")), fields={"value": SECRET}),
        turn("long", f"{SECRET} filler " * 800),
        links=[],
    )
    for i in range(60, 80):
        put(space, turn(f"t{i}", f"quuxplain vortz{i} talk", session=f"s{i}"))
    hits(space, "quuxplovering")
    sql = "SELECT vector FROM dense JOIN keys USING (kid) JOIN items USING (rid) WHERE id IN ("
    sql += "'secret', 'derived', 'long')"
    vectors = space._db.write(lambda db: db.execute(sql).fetchall())
    assert len(vectors) == 4
    sought = grams(SECRET) | {bytes(row[0])[:24] for row in vectors}
    sought -= grams(" ".join(f"quuxplain vortz{i} zyxgrun{i} talk" for i in range(80)))
    assert left(path, sought)
    return space, sought


def test_purging_erases_every_byte(path: Path) -> None:
    space, sought = with_secret(path)
    assert len(left(path, sought)) >= 1
    receipt = space.purge(["secret", "derived", "long"])
    assert not receipt.pending
    assert left(path, sought) == {}
    assert not space.stats()["erasure_pending"]
    assert len(every(space)) == 320 == len(hits(space, "quuxplain"))
    put(space, turn("more", "quuxplain again"))
    space.close()
    assert left(path, sought) == {}


def test_purging_one_of_two_that_share_words_keeps_the_other_whole(path: Path) -> None:
    space = make(path)
    put(space, turn("a", SECRET), turn("b", SECRET))
    space.purge(["a"])
    assert hits(space, SECRET) == {"b"}
    assert ids(every(space, Filter(phrase=SECRET))) == ["b"]
    space.purge(["b"])
    assert left(path, grams(SECRET)) == {}
    space.close()


@pytest.mark.parametrize("finish", ["write", "open", "purge"])
def test_a_reader_elsewhere_keeps_an_erasure_pending_until_it_is_gone(path: Path, finish: str) -> None:
    space, sought = with_secret(path)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM items WHERE id = 'secret'").fetchone()[0] == 1
    begun = time.monotonic()
    receipt = space.purge(["secret", "derived", "long"])
    assert time.monotonic() - begun < 5
    assert receipt.pending
    assert space.stats()["erasure_pending"]
    assert space.get(["secret"]) == []
    assert hits(space, "quuxplovering") == set()
    put(space, turn("between", "quuxplain"))
    assert space.stats()["erasure_pending"]
    assert left(path, sought)
    reader.execute("COMMIT")
    reader.close()
    if finish == "write":
        put(space, turn("after", "quuxplain"))
    elif finish == "purge":
        assert not space.purge(["t3-1"]).pending
    else:
        # The handle that purged is not the one that finishes: as after a crash.
        other = make(path, encoders=space.encoders)
        assert not other.stats()["erasure_pending"]
        other.close()
    assert not space.stats()["erasure_pending"]
    assert left(path, sought) == {}
    space.close()
    assert left(path, sought) == {}


def test_a_reader_of_the_same_space_is_waited_for_too(path: Path) -> None:
    space, sought = with_secret(path)
    lines = space.export()
    next(lines)
    assert space.purge(["secret", "derived", "long"]).pending
    assert sum(line.get("item", {}).get("id") == "secret" for line in lines) == 1  # it still sees its own moment
    put(space, turn("after", "quuxplain"))
    assert left(path, sought) == {}
    space.close()


def test_masked_secrets_reach_no_index(path: Path) -> None:
    space = make(path, encoders=Encoders(HashSparse(), HashDense()))
    put(space, turn("a", "my password is Quuxplover99! ok", secrets=(Span(15, 28, "password"),)))
    told = space._db.write(lambda db: db.execute("SELECT tokens FROM keys").fetchall())
    assert "quux" not in told[0][0]
    assert hits(space, "quuxplover99") == set()
    space.close()
