"""Open spaces: bounded, never closed under anybody's hands, and never the wrong file."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mnemic
from mnemic.errors import ConflictError, InputError, NotFoundError, StoreError
from mnemic.serve import spaces as module
from mnemic.serve.config import Config, Limits
from mnemic.serve.spaces import LONGEST, Spaces, checked
from mnemic.text import opening


@pytest.fixture
def spaces(tmp_path: Path) -> Iterator[Spaces]:
    made = Spaces(Config(tmp_path / "store", encoders="lexical", limits=Limits(open_spaces=2)))
    yield made
    made.close()


def put(spaces: Spaces, name: str, text: str) -> None:
    with spaces.use(name, make=True) as memory:
        memory.remember(text)


def said(spaces: Spaces, name: str) -> list[str]:
    with spaces.use(name) as memory:
        return [record.text for record in memory.scan()[0]]


def test_a_space_is_there_once_it_was_made(spaces: Spaces, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no space 'a'") as error, spaces.use("a"):
        pass
    assert str(tmp_path) not in str(error.value)
    assert spaces.names() == []
    put(spaces, "a", "The boat leaves at nine.")
    assert spaces.names() == ["a"]
    assert said(spaces, "a") == ["The boat leaves at nine."]


def test_no_more_stay_open_than_may(spaces: Spaces) -> None:
    for name in "abcd":
        put(spaces, name, name)
        assert len(spaces) <= 2
    assert [said(spaces, name) for name in "abcd"] == [["a"], ["b"], ["c"], ["d"]]


def test_what_is_in_use_is_not_closed_however_many_others_are_opened(spaces: Spaces) -> None:
    with ExitStack() as stack:
        used = [stack.enter_context(spaces.use(name, make=True)) for name in "abc"]
        for name in "defg":
            put(spaces, name, name)
        for memory in used:
            memory.remember("Still open.")
    assert len(spaces) == 2
    assert said(spaces, "a") == ["Still open."]


def test_one_memory_serves_all_who_ask_for_the_same_space(spaces: Spaces) -> None:
    with spaces.use("a", make=True) as one, spaces.use("a") as other:
        assert one is other


def test_threads_that_fight_over_few_places_lose_nothing(spaces: Spaces) -> None:
    names = "abcde"

    def work(seed: int) -> list[tuple[str, str]]:
        chance, done = random.Random(seed), []
        for turn in range(12):
            name = chance.choice(names)
            put(spaces, name, f"{seed} said {turn}")
            done.append((name, f"{seed} said {turn}"))
        return done

    with ThreadPoolExecutor(6) as pool:
        done = [pair for pairs in pool.map(work, range(6)) for pair in pairs]
    for name in names:
        assert sorted(said(spaces, name)) == sorted(text for where, text in done if where == name)
    assert len(spaces) <= 2


def test_a_space_that_another_process_replaced_is_opened_again(spaces: Spaces) -> None:
    put(spaces, "a", "old")
    store = spaces.config.store
    mnemic.drop(store, "a")
    with pytest.raises(NotFoundError), spaces.use("a"):
        pass
    with mnemic.open(store, "a", encoders="lexical") as memory:
        memory.remember("new")
    assert said(spaces, "a") == ["new"]
    put(spaces, "a", "newer")  # into the file that is there, not into the one that is gone
    with mnemic.open(store, "a") as memory:
        assert [record.text for record in memory.scan()[0]] == ["new", "newer"]


def test_whoever_uses_the_old_file_finishes_with_it(spaces: Spaces) -> None:
    put(spaces, "a", "old")
    with spaces.use("a") as before:
        mnemic.drop(spaces.config.store, "a")
        put(spaces, "a", "new")
        assert before.scan()[0][0].text == "old"
        assert said(spaces, "a") == ["new"]


def test_a_space_that_another_process_rebuilt_is_opened_again(spaces: Spaces) -> None:
    put(spaces, "a", "The boat leaves at nine.")
    opening.rebuild(spaces.config.store, "a", system="hema")
    put(spaces, "a", "The boat leaves at ten.")
    with spaces.use("a") as memory:
        assert memory.system.name == "hema"


def test_making_is_done_once_and_never_as_something_else(spaces: Spaces) -> None:
    spaces.make("a", system="hema")
    spaces.make("a", system="hema")
    spaces.make("a")
    with pytest.raises(ConflictError):
        spaces.make("a", system="mnemic")
    with spaces.use("a") as memory:
        assert memory.system.name == "hema"
    with pytest.raises(NotFoundError):
        spaces.make("b", system="no such system")
    assert spaces.names() == ["a"]


def test_a_space_held_alone_is_open_nowhere_and_asked_for_in_vain(spaces: Spaces) -> None:
    put(spaces, "a", "x")
    with spaces.alone("a"):
        assert len(spaces) == 0
        for asked in (spaces.use("a"), spaces.alone("a")):
            with pytest.raises(ConflictError, match="wait"), asked:
                pass
        put(spaces, "b", "others are not held up")
    assert said(spaces, "a") == ["x"]


def test_dropping_waits_for_whoever_uses_the_space(spaces: Spaces) -> None:
    using, go = threading.Event(), threading.Event()

    def use() -> None:
        with spaces.use("a", make=True) as memory:
            using.set()
            go.wait(10)
            memory.remember("In time.")

    with ThreadPoolExecutor(2) as pool:
        user = pool.submit(use)
        using.wait(10)
        dropping = pool.submit(spaces.drop, "a")
        with pytest.raises(TimeoutError):
            dropping.result(0.1)
        go.set()
        user.result(10)
        dropping.result(10)
    assert spaces.names() == []
    with pytest.raises(NotFoundError):
        spaces.drop("a")


def test_what_is_used_for_too_long_is_not_dropped(spaces: Spaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with spaces.use("a", make=True) as memory:
        with pytest.raises(ConflictError, match="in use"):
            spaces.drop("a")
        memory.remember("Unharmed.")
    assert said(spaces, "a") == ["Unharmed."]


def test_closing_waits_for_work_in_flight_and_lets_nothing_new_in(tmp_path: Path) -> None:
    spaces = Spaces(Config(tmp_path, encoders="lexical"))
    using, go = threading.Event(), threading.Event()

    def use() -> None:
        with spaces.use("a", make=True) as memory:
            using.set()
            go.wait(10)
            memory.remember("In time.")

    with ThreadPoolExecutor(2) as pool:
        user = pool.submit(use)
        using.wait(10)
        closing = pool.submit(spaces.close)
        while not spaces._closed:
            pass
        with pytest.raises(StoreError, match="shutting down"), spaces.use("a"):
            pass
        with pytest.raises(StoreError, match="shutting down"):
            spaces.check()
        go.set()
        user.result(10)
        closing.result(10)
    with mnemic.open(tmp_path, "a") as memory:
        assert [record.text for record in memory.scan()[0]] == ["In time."]


def test_an_opening_that_fails_leaves_nothing_behind(spaces: Spaces) -> None:
    spaces.config.store.mkdir()
    (spaces.config.store / "a.db").write_bytes(b"SQLite format 3\0" + bytes(52) + b"MNEM" + bytes(200))
    with pytest.raises(StoreError), spaces.use("a"):
        pass
    assert len(spaces) == 0


@pytest.mark.parametrize("name", ["", "*", ".", "..", "a\nb", "a\x00", "x" * (LONGEST + 1), "\ud800"])
def test_some_names_are_none(spaces: Spaces, name: str) -> None:
    for call in (lambda: spaces.make(name), lambda: put(spaces, name, "x")):
        with pytest.raises(InputError):
            call()
    assert spaces.names() == []


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=LONGEST))
@example("../../etc")
@example("a/b")
@example("Ana's ☕ %2F con")
def test_every_other_name_is_kept_as_it_is_inside_the_store(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    try:
        checked(name)
    except InputError:
        return
    root = tmp_path_factory.mktemp("names")
    spaces = Spaces(Config(root / "store", encoders="lexical"))
    put(spaces, name, "x")
    assert spaces.names() == [name]
    assert [path for path in root.rglob("*") if path.parent != root / "store"] == [root / "store"]
    spaces.close()


def test_readiness_tells_a_store_that_is_gone(spaces: Spaces) -> None:
    with pytest.raises(StoreError):
        spaces.check()
    put(spaces, "a", "x")
    spaces.check()
