"""The ledger: append-only, chained, safe from several writers, and it notices what was done to it."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.errors import StoreError
from mnemic.govern.ledger import GENESIS, Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "space.ledger")
    for n in range(4):
        made.append("step", {"n": n})
    return made


def tamper(ledger: Ledger, sql: str) -> None:
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("DROP TRIGGER no_update")
        db.execute("DROP TRIGGER no_delete")
        db.execute(sql)
        db.commit()


def test_a_ledger_that_nobody_wrote_to_is_empty_and_whole(tmp_path: Path) -> None:
    empty = Ledger(tmp_path / "none.ledger")
    assert (empty.entries(), empty.head(), empty.verify(), empty.last("step")) == ([], GENESIS, 0, None)
    assert not (tmp_path / "none.ledger").exists()


def test_entries_come_back_in_order_and_the_chain_holds(ledger: Ledger) -> None:
    assert [entry.body["n"] for entry in ledger.entries()] == [0, 1, 2, 3]
    assert ledger.verify() == 4
    last = ledger.last("step")
    assert last is not None
    assert last.body["n"] == 3


@pytest.mark.parametrize("sql", ["UPDATE entries SET body = '{}' WHERE seq = 2", "DELETE FROM entries"])
def test_entries_can_not_be_changed_through_the_file_as_it_is(ledger: Ledger, sql: str) -> None:
    with closing(sqlite3.connect(ledger.path)) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET body = '{\"n\": 9}' WHERE seq = 2",
        "UPDATE entries SET at = '2020-01-01' WHERE seq = 4",
        "UPDATE entries SET kind = 'other' WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 1",
        "UPDATE entries SET seq = 9 WHERE seq = 4",
    ],
)
def test_what_was_changed_behind_its_back_is_noticed(ledger: Ledger, sql: str) -> None:
    tamper(ledger, sql)
    with pytest.raises(StoreError, match="was changed"):
        ledger.verify()


def test_a_cut_end_shows_against_a_head_kept_elsewhere(ledger: Ledger) -> None:
    head = ledger.head()
    assert ledger.verify(head) == 4
    ledger.append("step", {"n": 4})
    assert ledger.verify(head) == 5
    tamper(ledger, "DELETE FROM entries WHERE seq >= 4")
    assert ledger.verify() == 3
    with pytest.raises(StoreError, match="cut off"):
        ledger.verify(head)


def test_many_writers_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "space.ledger"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Ledger(path).append("step", {"n": n}), range(40)))
    assert Ledger(path).verify() == 40
    assert {entry.body["n"] for entry in Ledger(path).entries()} == set(range(40))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers() | st.none()), max_size=5))
def test_any_body_round_trips(tmp_path_factory: pytest.TempPathFactory, bodies: list[dict[str, object]]) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("l") / "l.ledger")
    for body in bodies:
        try:
            ledger.append("step", body)
        except UnicodeEncodeError:  # lone surrogates are no text
            return
    assert [dict(entry.body) for entry in ledger.entries()] == bodies
    assert ledger.verify() == len(bodies)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "space.ledger"
    path.write_text("something else entirely, and long enough to be read as a header " * 3)
    with pytest.raises(StoreError, match="cannot be used"):
        Ledger(path).append("step", {})
