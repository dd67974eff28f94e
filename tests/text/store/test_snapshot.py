"""Going back to a snapshot: what one operation did is undone, what others wrote stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mnemic
from mnemic.errors import InputError, StoreError
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, State
from mnemic.text.store.sqlite import SqliteSpace

SAID = [
    mnemic.Turn("I live in Lisbon.", "Ana", id="a", at="2024-01-01T10:00", session="s1"),  # type: ignore[arg-type]
    mnemic.Turn("I work as a baker.", "Ana", id="b", at="2024-01-01T10:01", session="s1"),  # type: ignore[arg-type]
]
NEWS = [
    mnemic.Turn("I moved, I live in Ghent now.", "Ana", id="c", at="2024-05-01T10:00", session="s2")  # type: ignore[arg-type]
]


@pytest.fixture(params=["mnemic", "hema", "memgas"])
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def space(tmp_path: Path, system: str) -> Iterator[Memory]:
    with mnemic.open(tmp_path / "m.db", system=system, encoders="lexical") as memory:
        yield memory


def store(memory: Memory) -> SqliteSpace:
    assert isinstance(memory.space, SqliteSpace)
    return memory.space


def picture(memory: Memory) -> list[Any]:
    """What is alive, and all links; rows that are only history are told by their marks."""
    lines = []
    for line in memory.space.export():
        if "item" in line:
            item = line["item"]
            marks = [item[name] is not None for name in ("retired", "archived", "forgotten")]
            lines.append(json.dumps([item["id"], item["text"], item["superseded_by"], marks]))
        else:
            lines.append(json.dumps(line["link"]))
    return sorted(lines)


def test_a_revert_undoes_a_reflect_and_another_reflect_does_it_again(space: Memory, tmp_path: Path) -> None:
    space.remember(SAID)
    space.reflect()
    space.remember(NEWS)
    before = picture(space)
    store(space).snapshot(tmp_path / "old")
    space.reflect()
    after = picture(space)
    assert after != before
    store(space).revert(tmp_path / "old")
    assert picture(space) == before
    assert store(space).check() is None
    space.reflect()
    assert [line for line in picture(space) if '"t' not in line] == [line for line in after if '"t' not in line]


def test_turns_and_revisions_written_meanwhile_stay(tmp_path: Path) -> None:
    with mnemic.open(tmp_path / "m.db", encoders="lexical") as memory:
        memory.remember(SAID)
        store(memory).snapshot(tmp_path / "old")
        memory.reflect()
        fact = next(r for r in memory.space.scan(Filter(kinds=[Kind.FACT]))[0] if "Lisbon" in r.text)
        revised = memory.revise(fact.id, "Ana lives in Porto.").ids[0]
        memory.remember(NEWS)
        memory.forget("b")
        store(memory).revert(tmp_path / "old")
        states = {r.id: r.state for r in memory.get(["a", "b", "c", fact.id, revised])}
        assert states == {
            "a": State.ACTIVE,
            "b": State.FORGOTTEN,
            "c": State.ACTIVE,
            fact.id: State.SUPERSEDED,
            revised: State.ACTIVE,
        }
        assert [r.id for r in memory.space.scan(Filter(kinds=[Kind.FACT]))[0]] == [fact.id, revised]
        assert memory.recall("Where does Ana live?", k=1).hits
        assert memory.reflect()["derived"] >= 1


def test_what_was_erased_meanwhile_does_not_come_back(space: Memory, tmp_path: Path) -> None:
    space.remember(SAID)
    space.reflect()
    store(space).snapshot(tmp_path / "old")
    space.remember(NEWS)
    space.reflect()
    space.forget("a", erase=True)
    store(space).revert(tmp_path / "old")
    assert "a" not in {id for line in picture(space) for id in json.loads(line) if isinstance(id, str)}
    assert b"Lisbon" not in (tmp_path / "m.db").read_bytes()


def test_an_open_handle_sees_the_reverted_state(tmp_path: Path) -> None:
    with (
        mnemic.open(tmp_path / "m.db", encoders="lexical") as memory,
        mnemic.open(tmp_path / "m.db", encoders="lexical") as other,
    ):
        memory.remember(SAID)
        store(memory).snapshot(tmp_path / "old")
        memory.reflect()
        assert Kind.FACT in {hit.kind for hit in other.recall("Where does Ana live?").hits}
        store(memory).revert(tmp_path / "old")
        assert {hit.kind for hit in other.recall("Where does Ana live?").hits} == {Kind.TURN}


def test_a_snapshot_of_another_space_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with mnemic.open(tmp_path / "m.db", encoders="lexical") as memory:
        memory.remember(SAID)
        with mnemic.open(tmp_path / "n.db", encoders="lexical") as other:
            other.remember(["Something else.", "And more."])
            store(other).snapshot(tmp_path / "theirs")
        before = picture(memory)
        with pytest.raises(StoreError, match="no snapshot of the space"):
            store(memory).revert(tmp_path / "theirs")
        (tmp_path / "broken").write_text("not a database" * 99)
        for bad in ("broken", "absent"):
            with pytest.raises(StoreError, match="no snapshot"):
                store(memory).revert(tmp_path / bad)
        with pytest.raises(InputError, match="exists already"):
            store(memory).snapshot(tmp_path / "n.db")
        assert picture(memory) == before
