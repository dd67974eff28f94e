"""Processes that die and processes that share: what was acknowledged is there, whole, whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from spaces import eligible, every, hits, plan, put, together, turn

import mnemic
from mnemic.errors import StoreError
from mnemic.text.plan import Filter
from mnemic.text.record import Batch, State
from mnemic.text.store.base import Encoders
from mnemic.text.store.sqlite import SqliteSpace

KILLS = 12
PRELUDE = """
import json, sys, time
from mnemic.text.plan import Filter, SearchPlan
from mnemic.text.record import Batch, Kind, Record
from mnemic.text.store.base import Encoders
from mnemic.text.store.sqlite import SqliteSpace
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
def say(*what):
    sys.stdout.write(json.dumps(what) + "\\n")
    sys.stdout.flush()
def turn(id, text):
    return Record(id, Kind.TURN, text, session=name)
"""
WRITER = """
space = SqliteSpace(path, Encoders())
say("open")
for i in range(count):
    ids = [f"{name}-{i}-{j}" for j in range(1 + i % 4)]
    retire = {f"{name}-{i - 1}-0": ids[0]} if i % 5 == 4 else {}
    forget = [f"{name}-{i - 2}-0"] if i % 7 == 6 else []
    space.write(Batch(puts=[turn(id, f"common word{i}") for id in ids], retire=retire, forget=forget))
    say("write", ids, list(retire), forget)
    if i % 10 == 0:
        gone = f"{name}-{i}-0"
        space.purge([gone])
        say("purge", gone)
space.close()
"""
READER = """
space = SqliteSpace(path, Encoders())
say("open")
last = 0
while last < count:
    c = space.search(SearchPlan(terms=["common"], exact=1 << 30))
    records, _ = space.scan(Filter(), limit=100_000)
    assert len(c.item) <= len(records), (len(c.item), len(records))  # the scan came later
    assert c.lexical is None or (c.lexical.weights > 0).all()
    groups = {}
    for record in records:
        groups.setdefault(record.id.rsplit("-", 1)[0], []).append(record.id)
    for group, ids in groups.items():  # a batch is seen whole or not at all
        assert len(ids) == 1 + int(group.rsplit("-", 1)[1]) % 4, ids
    assert len(records) >= last
    last = len(records)
say("read", last)
space.close()
"""


def child(script: str, path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + script, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def consistent(path: Path) -> None:
    """Every item has its keys, every key its words in the full-text index, and the file is sound."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        items, keyed, keys, words = (
            db.execute(sql).fetchone()[0]
            for sql in (
                "SELECT count(*) FROM items",
                "SELECT count(DISTINCT k.rid) FROM keys k JOIN items i ON i.rid = k.rid",
                "SELECT count(*) FROM keys",
                "SELECT count(*) FROM fts_docsize",
            )
        )
        assert items == keyed == keys == words
        db.execute("INSERT INTO fts (fts, rank) VALUES ('integrity-check', 1)")
        seqs = [row[0] for row in db.execute("SELECT seq FROM audit ORDER BY seq")]
        assert seqs == list(range(1, len(seqs) + 1))
    finally:
        db.close()


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(9)
    path = tmp_path / "space.db"
    stored: set[str] = set()
    superseded: set[str] = set()
    forgotten: set[str] = set()
    purged: set[str] = set()
    acknowledged = 0
    for kill in range(KILLS):
        process = child(WRITER, path, f"k{kill}", 1_000_000)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randint(1, 40))]
        time.sleep(rng.random() * 0.02)
        process.kill()
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        lines += rest.splitlines(keepends=True)
        for line in lines:
            if not line.endswith("\n"):
                continue
            what, *told = json.loads(line)
            if what == "write":
                acknowledged += 1
                stored.update(told[0])
                superseded.update(told[1])
                forgotten.update(told[2])
            elif what == "purge":
                purged.add(told[0])
        consistent(path)
        space = SqliteSpace(str(path), Encoders())
        found = {record.id: record for record in space.get(sorted(stored))}
        assert not purged & set(found)
        # A purge that was on its way when the process died may have been finished or not.
        purged.update(id for id in stored - set(found) if id.startswith(f"k{kill}-") and id.endswith("0-0"))
        assert not stored - purged - set(found)
        for id in superseded & set(found):
            assert found[id].superseded_by is not None
        for id in forgotten & set(found):
            assert found[id].state == State.FORGOTTEN
        visible = {record.id for record in every(space, limit=100_000) if record.state == State.ACTIVE}
        assert hits(space, "common", exact=1 << 30) == visible
        space.close()
    assert acknowledged > 3 * KILLS


@pytest.mark.slow
def test_two_writers_and_two_readers_as_processes(tmp_path: Path) -> None:
    path = tmp_path / "space.db"
    batches = 60
    script = WRITER.replace("if i % 10 == 0", "if False").replace("if i % 7 == 6 else []", "if False else []")
    total = 2 * sum(1 + i % 4 for i in range(batches))
    writers = [child(script, path, name, batches) for name in "ab"]
    readers = [child(READER, path, name, total) for name in "cd"]
    for process in (*writers, *readers):
        told, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        if process in writers:
            assert told.count("write") == batches
        else:
            assert json.loads(told.splitlines()[-1]) == ["read", total]
    consistent(path)
    space = SqliteSpace(str(path), Encoders())
    assert len(every(space)) == total
    assert len(list(space.changes())) == 2 * batches
    space.close()


def test_many_processes_may_create_one_space_at_once(tmp_path: Path) -> None:
    path, gate = tmp_path / "space.db", tmp_path / "go"
    script = f"""
import os
say("ready")
while not os.path.exists({str(gate)!r}):
    time.sleep(0.0005)
space = SqliteSpace(path, Encoders())
space.write(Batch(puts=[turn(name, "common")]))
space.close()
"""
    processes = [child(script, path, f"p{i}", 0) for i in range(5)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    gate.touch()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    consistent(path)
    space = SqliteSpace(str(path), Encoders())
    assert eligible(space) == {f"p{i}" for i in range(5)}
    space.close()


def test_a_store_is_known_by_its_file_while_its_maker_still_holds_it(tmp_path: Path) -> None:
    space = SqliteSpace(str(tmp_path / "space.db"), Encoders())
    put(space, turn("a", "tea"))
    reader = SqliteSpace(str(tmp_path / "space.db"), Encoders(), read_only=True)
    assert hits(reader, "tea") == {"a"}
    assert mnemic.spaces(tmp_path) == ["space"] if hasattr(mnemic, "spaces") else True
    put(space, turn("b", "tea"))
    assert hits(reader, "tea") == {"a", "b"}
    reader.close()
    space.close()


def test_many_threads_on_one_memory(tmp_path: Path) -> None:
    with mnemic.open(tmp_path, encoders="lexical") as memory:
        receipts: list[str] = []

        def run(i: int) -> None:
            for j in range(6):
                said = f"thread {i} bought {['apples', 'pears', 'plums'][j % 3]} number {i * 100 + j}"
                receipts.extend(memory.remember(said, speaker=f"S{i}", session=f"s{i}", at="2024-05-01").ids)
                assert receipts
                found = memory.recall(f"what number {i * 100 + j} was bought", k=50)
                assert any(hit.text.endswith(f"number {i * 100 + j}") for hit in found)
                if j % 3 == 2:
                    memory.forget([receipts[0]])
                memory.stats()

        together(run, 8)
        assert len(set(receipts)) == 48
        assert len(memory.get(receipts)) == 48
    consistent(tmp_path / "default.db")


def in_a_fork(run: Callable[[], None], patience: int = 10) -> int:
    """The exit status of a forked child that does ``run``: 0 for well, killed by its alarm if it hangs."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(patience)
        try:
            run()
        except BaseException:  # noqa: BLE001  the status tells
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("held", [False, True])
def test_a_fork_is_noticed(tmp_path: Path, held: bool) -> None:
    space = SqliteSpace(str(tmp_path / "space.db"), Encoders())
    put(space, turn("a", "tea"))
    hits(space, "tea")
    done = threading.Event()
    started = threading.Event()

    def hold() -> None:
        with space._db._lock:
            started.set()
            done.wait(20)

    def use() -> None:
        for act in (lambda: put(space, turn("b", "milk")), lambda: space.get(["a"]), lambda: space.search(plan("tea"))):
            with pytest.raises(StoreError, match="fork"):
                act()
        space.close()  # leaves the parent's connections alone

    def start_anew() -> None:
        own = SqliteSpace(str(tmp_path / "space.db"), Encoders())
        put(own, turn("c", "salt"))
        own.close()

    if held:  # by another thread, which the child does not have
        threading.Thread(target=hold, daemon=True).start()
        started.wait(20)
    assert in_a_fork(use) == 0
    assert in_a_fork(start_anew) == 0
    done.set()
    put(space, turn("d", "rye"))
    assert eligible(space) == {"a", "c", "d"}
    space.close()
    consistent(tmp_path / "space.db")


@pytest.mark.parametrize("file", ["space.db", ":memory:"])
def test_closing_while_others_write_and_read(tmp_path: Path, file: str) -> None:
    for attempt in range(5):
        path = file if file == ":memory:" else str(tmp_path / f"{attempt}{file}")
        space = SqliteSpace(path, Encoders(), durability="normal")
        put(space, turn("first", "common"))
        acknowledged: list[str] = []
        refused: list[StoreError] = []

        def write(
            i: int,
            space: SqliteSpace = space,
            acknowledged: list[str] = acknowledged,
            refused: list[StoreError] = refused,
        ) -> None:
            for j in range(10_000):
                try:
                    if i == 0:
                        time.sleep(0.005 + 0.01 * attempt)  # noqa: B023
                        space.close()
                    elif i == 1:
                        space.search(plan("common"))
                        space.get(["first"])
                    elif i == 2:
                        list(space.export())
                        space.scan(Filter())
                    else:
                        put(space, turn(f"{i}-{j}", "common"))
                        acknowledged.append(f"{i}-{j}")
                except StoreError as error:
                    assert "closed" in str(error)  # noqa: PT017
                    refused.append(error)
                    return
                if i == 0:
                    return

        together(write, 6)
        assert len(refused) == 5
        if path != ":memory:":
            consistent(Path(path))
            again = SqliteSpace(path, Encoders())
            assert {record.id for record in again.get(acknowledged)} == set(acknowledged)
            again.close()


def test_a_group_of_writes_shares_its_commit(tmp_path: Path) -> None:
    """Waiting writes gather: with the disk held up, many of them need few commits."""
    space = SqliteSpace(str(tmp_path / "space.db"), Encoders())
    commits: list[str] = []
    space._db.write(lambda db: db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None))
    gate = threading.Event()
    blocker = space._db.post(lambda db: gate.wait(10))
    threads = [threading.Thread(target=put, args=(space, turn(f"t{i}", "x"))) for i in range(20)]
    for thread in threads:
        thread.start()
    while space._db._tasks.qsize() < 20:
        time.sleep(0.001)
    gate.set()
    blocker.result(10)
    for thread in threads:
        thread.join()
    assert len(every(space)) == 20
    assert len(commits) <= 3
    assert len(list(space.changes())) == 20
    space.write(Batch())
    space.close()
