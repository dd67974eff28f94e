"""Rows of a SQL table as items of the index: column by column they are what they are one by one."""

from __future__ import annotations

from dataclasses import fields
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.encode.base import SparseVector
from mnemic.text.record import Batch, Key, Kind, Record
from mnemic.text.store import sqlite
from mnemic.text.store.base import Encoders
from mnemic.text.store.columns import Items
from mnemic.text.store.rows import INDEX_COLUMNS, RID, index_items, index_row, pack_sparse
from mnemic.text.store.sqlite import SqliteSpace

DIM = 3
micros = st.none() | st.integers(-(2**56), 2**56)
name = st.none() | st.sampled_from(["Ana", "Ben", ""])


@st.composite
def vectors(draw: st.DrawFn) -> tuple[bytes | None, bytes | None, bytes | None]:
    terms = sorted(draw(st.sets(st.integers(0, 2**16 - 1), max_size=4)))
    packed = pack_sparse(SparseVector(np.array(terms, np.int32), np.arange(len(terms), dtype=np.float32)))
    sparse = draw(st.sampled_from([packed, (None, None)]))
    return *sparse, draw(st.sampled_from([None, np.arange(DIM, dtype=np.float32).tobytes()]))


@st.composite
def table(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Some items with one to three keys each, as the store's query gives them."""
    rows = []
    for rid in range(1, draw(st.integers(1, 6)) + 1):
        times = [draw(micros) for _ in range(8)]
        times[4] = draw(st.integers(0, 2**56))  # the store always knows when it learnt of an item
        flags = [draw(st.integers(0, 1)), draw(st.integers(0, 1)), draw(st.integers(0, 300)), draw(st.integers(0, 9))]
        item = (
            f"t{rid}", draw(st.sampled_from(list(Kind))).value, *times, draw(name), draw(name), draw(name), draw(name),
            *flags, draw(st.integers(0, 1)), rid,
        )  # fmt: skip
        rows += [
            (*item, draw(st.sampled_from(["", "tea", "tea oil tea"])), *draw(vectors()))
            for _ in range(draw(st.integers(1, 3)))
        ]
    return rows


def plainly(rows: list[tuple[Any, ...]], dense: int) -> Items:
    grouped = [list(keys) for _, keys in groupby(rows, key=lambda row: row[RID])]
    return Items.of([index_row(keys[0], keys, dense) for keys in grouped])


def assert_equal(ours: Items, theirs: Items) -> None:
    for each in fields(Items):
        mine, other = getattr(ours, each.name), getattr(theirs, each.name)
        if isinstance(other, np.ndarray):
            np.testing.assert_array_equal(mine, other, each.name)
        else:
            assert (None if mine is None else list(mine)) == (None if other is None else list(other)), each.name


@given(table(), st.sampled_from([0, DIM]))
def test_columns_are_what_the_rows_are(rows: list[tuple[Any, ...]], dense: int) -> None:
    assert_equal(index_items(rows, dense), plainly(rows, dense))


@given(table(), st.data())
def test_some_of_them_are_what_they_would_be_alone(rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    whole = index_items(rows, DIM)
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole.ids), max_size=len(whole.ids))), bool)
    kept = [row for row in rows if wanted[row[RID] - 1]]
    if kept:
        assert_equal(whole.only(wanted), index_items(kept, DIM))


@pytest.mark.parametrize("part", [1, 2, 3, 100])
def test_items_with_several_keys_are_loaded_whole(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PART", part)
    space = SqliteSpace(":memory:", Encoders())
    keys = tuple(Key(f"key {n}") for n in range(3))
    space.write(Batch(puts=[Record(f"t{n}", Kind.NOTE, "note", keys=keys[: 1 + n % 3]) for n in range(7)]))
    taken: list[list[str]] = []
    take = space._index.take
    monkeypatch.setattr(space._index, "take", lambda items: (taken.append(list(items.ids)), take(items)))
    space.sessions()
    assert [id for ids in taken for id in ids] == [f"t{n}" for n in range(7)]
    assert space._index.keys.count == sum(1 + n % 3 for n in range(7))
    space.close()


def test_the_row_id_stands_where_it_is_said_to() -> None:
    assert INDEX_COLUMNS.split(", ")[RID] == "i.rid"
