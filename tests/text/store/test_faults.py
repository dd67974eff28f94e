"""Bad files, full disks, locks, odd values: an error that says what to do, and nothing lost."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spaces import START, Clock, eligible, every, hits, ids, plan, put, turn

import mnemic
from mnemic.errors import InputError, MnemicError, StoreError
from mnemic.text.plan import Filter
from mnemic.text.record import Batch, Interval
from mnemic.text.store import connection, schema
from mnemic.text.store.base import Encoders
from mnemic.text.store.sqlite import SqliteSpace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "space.db"


def make(path: Path | str, **options: Any) -> SqliteSpace:
    return SqliteSpace(str(path), options.pop("encoders", Encoders()), **options)


def filled(path: Path, count: int = 300) -> None:
    space = make(path, durability="normal")
    for start in range(0, count, 50):
        put(space, *(turn(f"t{i}", f"word{i} tea " * 9, session=f"s{i % 5}", at=i) for i in range(start, start + 50)))
    space.close()


# -- files that are no store ------------------------------------------------------------------------------------------


def text_file(path: Path) -> None:
    path.write_text("Dear diary,\n" * 500)


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE meta (key TEXT, value TEXT)")


def other_with_id(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA application_id = 252006674")
        db.execute("CREATE TABLE x (y)")


def other_with_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version = 1")


def other_in_wal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE items (id)")


def newer(path: Path) -> None:
    make(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (text_file, "not a Mnemic store"),
        (other_database, "another application"),
        (other_with_id, "another application"),
        (other_with_version, "another application"),
        (other_in_wal, "another application"),
        (newer, "newer Mnemic.*upgrade"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_store_of_ours_is_refused_untouched(
    path: Path, build: Callable[[Path], None], says: str, read_only: bool
) -> None:
    build(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError, match=says):
            make(path, read_only=read_only)
    assert path.read_bytes() == before
    assert not schema.is_store(path) or build is newer


def test_an_empty_file_becomes_a_store_but_is_none_to_read(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match="not a Mnemic store"):
        make(path, read_only=True)
    make(path).close()
    assert schema.is_store(path)
    make(path, read_only=True).close()


def test_a_path_that_cannot_be_opened(tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "no" / "such" / "folder.db"):
        with pytest.raises(StoreError, match=str(bad)):
            make(bad)
    with pytest.raises(StoreError):
        make(tmp_path / "absent.db", read_only=True)
    assert not (tmp_path / "absent.db").exists()


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c?mode=memory#ü'\""
    folder.mkdir()
    space = make(folder / "x&y=z.db")
    put(space, turn("a", "tea"))
    space.close()
    assert schema.is_store(folder / "x&y=z.db")
    assert ids(every(make(folder / "x&y=z.db", read_only=True))) == ["a"]


# -- damage -----------------------------------------------------------------------------------------------------------


def use_all(path: Path) -> None:
    """Every way to use a space; each may raise, but only a MnemicError."""
    uses: list[Callable[[SqliteSpace], object]] = [
        every,
        lambda s: s.search(plan("tea word7")),
        lambda s: s.get([f"t{i}" for i in range(300)]),
        lambda s: list(s.export()),
        lambda s: list(s.changes()),
        lambda s: put(s, turn("new", "a new turn")),
        lambda s: every(s, Filter(words="tea")),
        lambda s: s.purge(["t9"]),
        lambda s: s.stats(),
    ]
    try:
        space = make(path, durability="normal")
    except MnemicError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    for use in uses:
        try:
            use(space)
        except MnemicError as error:
            assert len(str(error)) > 20  # noqa: PT017
    space.close()


def read_all(path: Path) -> None:
    space = make(path)
    try:
        every(space)
        space.search(plan("tea"))
    finally:
        space.close()


@pytest.mark.parametrize("kept", [100, 4096, 20_000, 100_000, 200_000])
def test_a_truncated_file_is_an_error_that_says_so(path: Path, kept: int) -> None:
    filled(path)
    whole = path.read_bytes()
    assert len(whole) > 250_000
    path.write_bytes(whole[:kept])
    with pytest.raises(StoreError, match=r"space\.db.*(malformed|not a|disk image|another)"):
        read_all(path)
    path.write_bytes(whole[:kept])
    use_all(path)


def test_garbled_files_raise_nothing_but_our_errors(path: Path) -> None:
    filled(path)
    whole = path.read_bytes()
    rng = random.Random(4)
    for _ in range(12):
        garbled = bytearray(whole)
        for _ in range(rng.randint(1, 12)):
            place = rng.randrange(0, len(whole) - 400)
            garbled[place : place + 400] = rng.randbytes(400)
        path.write_bytes(bytes(garbled))
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        use_all(path)


# -- reading only -----------------------------------------------------------------------------------------------------


def test_read_only_reads_everything_and_changes_nothing(path: Path) -> None:
    filled(path)
    before = path.read_bytes()
    space = make(path, read_only=True)
    assert len(every(space)) == 300 == len(hits(space, "tea"))
    assert space.history("t1")[0].id == "t1"
    assert space.stats()["records"] == 300
    assert len(list(space.export())) == 300
    for act in (
        lambda: put(space, turn("a", "x")),
        lambda: space.purge(["t1"]),
        lambda: space.enqueue("derive"),
        lambda: space.set_meta(a="b"),
        lambda: space.restore([]),
    ):
        with pytest.raises(StoreError, match="read-only"):
            act()
    space.close()
    assert path.read_bytes() == before
    log = path.with_name("space.db-wal")
    assert not log.exists() or log.stat().st_size == 0


def test_a_memory_opened_read_only_recalls(path: Path) -> None:
    with mnemic.open(path, encoders="lexical") as memory:
        memory.remember("the key lies under the third stone", speaker="Ann")
    with mnemic.open(path, read_only=True) as memory:
        assert memory.recall("where is the key").hits[0].text.endswith("third stone")
        with pytest.raises(StoreError, match="read-only"):
            memory.remember("more")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anything")
def test_a_file_without_permission_to_write(path: Path) -> None:
    filled(path, 50)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with pytest.raises(StoreError, match="permissions"):
            put(make(path), turn("a", "x"))
    finally:
        path.parent.chmod(0o755)


# -- room and locks ---------------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_the_write_and_keeps_the_rest(path: Path) -> None:
    space = make(path)
    put(space, turn("a", "tea"))
    pages = space._db.write(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    space._db.write(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 3}").fetchone(), alone=True)
    stored = ["a"]

    def fill() -> None:
        for i in range(100):
            put(space, turn(f"b{i}", f"word{i} " * 500))
            stored.append(f"b{i}")

    with pytest.raises(StoreError, match=r"full.*free some room"):
        fill()
    before = space.stats()["seq"]
    with pytest.raises(StoreError, match="full"):
        put(space, turn("big", "long " * 50_000))
    assert ids(every(space)) == stored
    assert eligible(space) == set(stored)
    assert space.stats()["seq"] == before
    space._db.write(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone(), alone=True)
    put(space, turn("big", "long " * 50_000))
    assert hits(space, "long") == {"big"}
    space.close()


def test_a_limit_on_the_file_size_in_another_process(path: Path) -> None:
    """The nearest to a disk that is really full: the system refuses to make the files longer."""
    resource = pytest.importorskip("resource")
    del resource
    script = """
import resource, sys
from mnemic.errors import StoreError
from mnemic.text.record import Batch, Kind, Record
from mnemic.text.store.base import Encoders
from mnemic.text.store.sqlite import SqliteSpace
space = SqliteSpace(sys.argv[1], Encoders())
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
done = 0
try:
    while True:
        space.write(Batch(puts=[Record(f"t{done}", Kind.TURN, f"word{done} " * 900)]))
        done += 1
except StoreError as error:
    print(done, str(error).isascii() and len(str(error)) > 30)
for _ in range(2):
    try:
        space.write(Batch(puts=[Record("more", Kind.TURN, "x " * 90_000)]))
    except StoreError:
        pass
    assert len(space.scan(__import__("mnemic.text.plan").text.plan.Filter())[0]) == done
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    count, told = done.stdout.split()
    assert (done.returncode, told) == (0, "True"), done.stderr
    assert int(count) > 5
    space = make(path)
    assert len(every(space)) == int(count)
    put(space, turn("after", "tea"))
    assert hits(space, "tea") == {"after"}
    space.close()


def test_a_lock_held_by_another_is_waited_for_then_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY", 0.3)
    space = make(path)
    put(space, turn("a", "tea"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    with pytest.raises(StoreError, match=r"locked.*another process"):
        put(space, turn("b", "milk"))
    assert 0.2 < time.monotonic() - begun < 5
    assert hits(space, "tea") == {"a"}  # reading goes on
    again = make(path)  # and so does opening
    assert ids(every(again)) == ["a"]
    again.close()
    other.execute("COMMIT")
    other.close()
    put(space, turn("b", "milk"))
    assert eligible(space) == {"a", "b"}
    space.close()


# -- values at the edges ----------------------------------------------------------------------------------------------


def test_nul_bytes_are_kept(path: Path) -> None:
    space = make(path)
    text = "tea\0milk \0\0 end"
    put(space, turn("a\0b", text, speaker="A\0nn", session="s\0", meta={"k": "v\0w"}))
    space.close()
    space = make(path)
    (record,) = space.get(["a\0b"])
    assert (record.text, record.speaker, record.session, record.meta) == (text, "A\0nn", "s\0", {"k": "v\0w"})
    assert hits(space, "tea") == hits(space, "milk") == {"a\0b"}
    assert ids(every(space, Filter(words="end"))) == ["a\0b"]
    assert json.loads(json.dumps(list(space.export())))[0]["item"]["text"] == text
    space.purge(["a\0b"])
    assert every(space) == []
    space.close()


def test_lone_surrogates(path: Path) -> None:
    with mnemic.open(path, encoders="lexical") as memory:
        (id,) = memory.remember("half \ud83d of a smile \udc00", speaker="A\ud800nn").ids
        (record,) = memory.get(id)
        assert (record.text, record.speaker) == ("half \ufffd of a smile \ufffd", "A\ufffdnn")
        assert memory.recall("smile \ud83d").hits[0].id == id
    space = make(path)
    for bad in (
        turn("x", "a\ud800"),
        turn("\ud800", "x"),
        turn("x", "x", meta={"a": "\ud800"}),
        turn("x", "x", session="\udfff"),
    ):
        with pytest.raises(InputError):
            put(space, bad)
    assert len(every(space)) == 1
    space.close()


FAR = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(1, 1, 1, 5, tzinfo=timezone(timedelta(hours=-12))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-12))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=14))),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1890, 6, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))),
]


@pytest.mark.parametrize("at", FAR, ids=str)
def test_times_from_year_1_to_9999(path: Path, at: datetime) -> None:
    space = make(path)
    put(space, turn("far", "tea", at=at, session="s"), turn("near", "tea", at=0, session="s"))
    (record,) = space.get(["far"])
    assert record.at == at
    assert record.valid.start == at
    wanted = ["far", "near"] if at < START else ["near", "far"]
    c = space.search(plan("tea"))
    assert space.id_of(c.item[np.argsort(c.at)].tolist()) == wanted
    assert ids(every(space, Filter(since=at, until=START) if at < START else Filter(since=at))) == ["far"]
    assert hits(space, "tea", valid_at=at) >= {"far"}
    ((name, began),) = space.sessions()
    assert name == "s"
    assert began is not None
    lines = list(space.export())
    copy = make(":memory:")
    copy.restore(lines)
    assert copy.get(["far"])[0].at == at
    space.close()
    copy.close()


def test_an_end_of_time_in_another_zone(path: Path) -> None:
    here = timezone(timedelta(hours=10))
    ever = Interval(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    west = timezone(timedelta(hours=-10))
    space = make(path)
    put(
        space,
        turn("e", "tea", at=START.astimezone(here), valid=ever),
        turn("w", "tea", at=START.astimezone(west), valid=ever),
    )
    for record in space.get(["e", "w"]):
        assert record.valid == ever
    assert hits(space, "tea", valid_at=datetime(5000, 1, 1, tzinfo=UTC)) == {"e", "w"}
    space.close()


def test_naive_times_are_utc_beside_aware_ones(path: Path) -> None:
    with mnemic.open(path, encoders="lexical", clock=Clock()) as memory:
        naive = memory.remember("tea at nine", at=datetime(2024, 5, 1, 9)).ids[0]
        aware = memory.remember("tea at eight", at=datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2)))).ids[0]
        text = memory.remember("tea at ten", at="2024-05-01T10:00").ids[0]
        said = {record.id: record.at for record in memory.get([naive, aware, text])}
        assert said[naive] == datetime(2024, 5, 1, 9, tzinfo=UTC)
        assert said[aware] == datetime(2024, 5, 1, 8, tzinfo=UTC)
        found = [hit.id for hit in memory.recall("tea", filter=Filter(since=datetime(2024, 5, 1, 9))).hits]
        assert set(found) == {naive, text}
        assert len(memory.recall("tea", valid_at=datetime(2024, 5, 1, 8, 30)).hits) == 1
        assert len(memory.recall("tea", as_of=datetime(2020, 1, 1)).hits) == 0


def test_a_million_characters(path: Path) -> None:
    long = ("The quick brown fox said something unusual. " * 25_000)[:1_000_000]
    with mnemic.open(path, encoders="lexical") as memory:
        (id,) = memory.remember(long).ids
        memory.remember("the fox is away")
        assert memory.get(id)[0].text == long
        found = memory.recall("what did the quick fox say", budget=200)
        assert {hit.id for hit in found.hits} >= {id}
        assert all(np.isfinite(hit.score) for hit in found.hits)
        with pytest.raises(InputError, match="1,000,001"):
            memory.remember(long + "x")
        memory.remember("x" * 1_000_000)
        memory.remember("漢" * 200_000)
        assert memory.recall("漢漢").hits
        memory.forget(id, erase=True)
    data = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"unusu" not in data


def test_ten_thousand_turns_in_one_batch(path: Path) -> None:
    space = make(path)
    turns = [turn(f"t{i}", f"word{i} common{i % 10}", at=i / 60, session=f"s{i // 20}") for i in range(10_000)]
    receipt = space.write(Batch(puts=turns))
    assert len(receipt.ids) == 10_000
    assert len(list(space.changes())) == 1
    assert hits(space, "word9999") == {"t9999"}
    assert len(hits(space, "common3", exact=1 << 30)) == 1000
    again = space.write(Batch(puts=[*turns, turn("one", "more")]))
    assert (len(again.duplicates), again.ids) == (10_000, ("one",))
    bad = [
        *(turn(f"n{i}", "new") for i in range(5000)),
        turn("t5", "conflict"),
        *(turn(f"m{i}", "new") for i in range(99)),
    ]
    with pytest.raises(MnemicError):
        space.write(Batch(puts=bad))
    assert len(every(space)) == 10_001
    space.close()
