"""The log of what recalls brought back: late, small, and never in the way of a read."""

from __future__ import annotations

import logging
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

import mnemic
from mnemic.errors import StoreError
from mnemic.text.record import Batch, Kind, Record
from mnemic.text.store import usage
from mnemic.text.store.base import Encoders, Used
from mnemic.text.store.sqlite import SqliteSpace


def stored(path: Path, *ids: str, **more: object) -> SqliteSpace:
    space = SqliteSpace(str(path / "s.db"), Encoders(), **more)  # type: ignore[arg-type]
    space.write(Batch(puts=[Record(id, Kind.TURN, f"turn {id}") for id in ids]))
    return space


def rows(path: Path) -> int:
    db = sqlite3.connect(path / "s.db")
    try:
        return int(db.execute("SELECT count(*) FROM usage").fetchone()[0])
    finally:
        db.close()


def test_counts_and_times(tmp_path: Path, clock) -> None:  # type: ignore[no-untyped-def]
    space = stored(tmp_path, "a", "b", "c", clock=clock)
    first = clock()
    space.log_use(["a", "b"])
    later = clock.forward(hours=1)
    space.log_use(["a"])
    assert space.usage() == {"a": Used(2, later), "b": Used(1, first)}
    assert space.usage(["b", "c"]) == {"b": Used(1, first)}
    assert set(space.usage(since=first + timedelta(minutes=1))) == {"a"}
    space.close()


def test_a_use_is_no_write_until_it_is_asked_for(tmp_path: Path) -> None:
    space = stored(tmp_path, "a")
    before = space.stats()["seq"]
    for _ in range(usage.FLUSH - 1):
        space.log_use(["a"])
    assert rows(tmp_path) == 0
    space.log_use(["a"])
    space.set_meta(after="it")  # the writer works in order: what was posted before is done
    assert rows(tmp_path) == 1
    assert space.stats()["seq"] == before
    space.close()


def test_closing_writes_what_waits_and_opening_finds_it(tmp_path: Path) -> None:
    space = stored(tmp_path, "a")
    space.log_use(["a"])
    space.close()
    space.close()
    again = SqliteSpace(str(tmp_path / "s.db"), Encoders(), read_only=True)
    assert again.usage()["a"].count == 1
    again.log_use(["a"])
    assert again.usage()["a"].count == 1
    again.close()


def test_what_is_erased_has_no_usage(tmp_path: Path) -> None:
    space = stored(tmp_path, "a", "b")
    space.log_use(["a", "b", "never stored"])
    assert set(space.usage()) == {"a", "b"}
    space.log_use(["a"])
    space.purge(["a"])
    assert set(space.usage()) == {"b"}
    space.close()


def test_a_failure_is_told_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    space = stored(tmp_path, "a")

    def fails(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(usage, "_write", fails)
    with caplog.at_level(logging.WARNING, logger="mnemic"):
        space.log_use(["a"] * usage.FLUSH)
        space.set_meta(after="it")
        space.log_use(["a"])
        space.close()
    assert caplog.text.count("the disk is full") == 2


def test_a_recall_on_a_store_opened_for_reading_works(tmp_path: Path) -> None:
    with mnemic.open(tmp_path / "m.db", system="hema", encoders="lexical") as memory:
        memory.remember("The kiln is red.")
    with mnemic.open(tmp_path / "m.db", system="hema", encoders="lexical", read_only=True) as memory:
        found = memory.recall("kiln")
        assert found.used == (found.hits[0].id,)
        assert memory.space.usage() == {}
