"""Opening, naming, listing, dropping and rebuilding spaces."""

from __future__ import annotations

import json
import logging
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mnemic
from mnemic import Memory, Turn
from mnemic.errors import ConflictError, InputError, MnemicError, NotFoundError, StoreError
from mnemic.text import opening
from mnemic.text.encode.base import SparseVector
from mnemic.text.store.base import Encoders

NAMES = [
    "default",
    "a/b",
    "../up",
    "..",
    ".hidden",
    "a.b.db",
    "a b",
    "😀 space",
    "Ünï",
    "日本語",
    "x" * 300,
    "x" * 299 + "y",
    "😀" * 300,
    "con",
    "CON",
    "nul",
    "lpt1",
    "twin",
    "Twin",
    "TWIN",
    "100%",
    "%41",
    "a%%b",
    "tab\tnew\nline",
]


class Letters:
    """A sparse encoder over the first letters of words: enough to have another leg."""

    name, version, vocabulary = "letters", "1", 26

    def encode(self, texts: Any) -> list[SparseVector]:
        found = []
        for text in texts:
            terms = sorted({string.ascii_lowercase.index(c) for c in text.lower() if c in string.ascii_lowercase})
            found.append(SparseVector(np.array(terms, np.int32), np.ones(len(terms), np.float32)))
        return found


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Letters:
    """The encoder, to be had by its name."""
    made = Letters()
    monkeypatch.setattr(opening, "encoder_named", lambda name: {"letters": made}[name])
    return made


def lexical(path: Path, space: str = "default", **options: Any) -> Memory:
    return mnemic.open(path, space, encoders="lexical", **options)


class TestNames:
    def test_every_name_is_a_space_of_its_own(self, tmp_path: Path) -> None:
        for name in NAMES:
            with lexical(tmp_path, name, durability="normal") as memory:
                memory.remember(f"I am number {NAMES.index(name)}.")
        listed = mnemic.spaces(tmp_path)
        assert listed == sorted(NAMES)
        assert all(file.parent == tmp_path for file in tmp_path.rglob("*"))
        for name in NAMES:
            with lexical(tmp_path, name, read_only=True) as memory:
                assert memory.stats()["records"] == 1
                assert memory.recall("number").hits[0].text == f"I am number {NAMES.index(name)}."

    def test_file_names_suit_every_file_system(self) -> None:
        files = [opening.file_name(name) for name in NAMES]
        assert len({file.casefold() for file in files}) == len(files)
        for file in files:
            assert len(file) + len(".db-wal") <= 255
            assert set(file) <= set(string.ascii_lowercase + string.ascii_uppercase + string.digits + "-_%")
            assert file not in ("con", "nul", "lpt1", "", ".", "..")

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_two_names_never_share_a_file(self, one: str, two: str) -> None:
        same = opening.file_name(one).casefold() == opening.file_name(two).casefold()
        assert same == (one == two)

    def test_what_is_no_name_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="needs a name"):
            lexical(tmp_path, "")
        with pytest.raises(InputError, match="no name"):
            lexical(tmp_path, "lone \ud800")
        assert list(tmp_path.iterdir()) == []


class TestPaths:
    def test_one_file_is_one_space(self, tmp_path: Path) -> None:
        file = tmp_path / "deep" / "er" / "one.db"
        with lexical(file) as memory:
            memory.remember("heron")
        assert mnemic.spaces(file) == ["default"]
        with pytest.raises(InputError, match="give a folder"):
            lexical(file, "other")
        mnemic.drop(file, "default")
        assert mnemic.spaces(file) == []
        assert list(file.parent.iterdir()) == []

    def test_memory_lives_as_long_as_the_object(self) -> None:
        with mnemic.open(":memory:", encoders="lexical") as memory:
            memory.remember("heron")
        with mnemic.open(":memory:", encoders="lexical") as memory:
            assert memory.stats()["records"] == 0
        assert mnemic.spaces(":memory:") == []

    @pytest.mark.parametrize(
        "path",
        ["file", "file/below", "file/below/one.db", "folder.db", "nul\0", "x" * 5000, "x" * 300 + ".db", "notes.db"],
        ids=["file", "below a file", "file below a file", "folder", "nul byte", "long", "long file", "not a database"],
    )
    def test_a_path_of_no_use_is_a_clear_error(self, tmp_path: Path, path: str) -> None:
        (tmp_path / "file").write_text("I am a file, and stay as I am.")
        (tmp_path / "notes.db").write_text("I am a file with the wrong name, and stay as I am." * 100)
        (tmp_path / "folder.db").mkdir()
        for read_only in (False, True):
            with pytest.raises(MnemicError, match=r"choose another path|give|no path|a store is|check"):
                lexical(tmp_path / path, read_only=read_only)
        assert (tmp_path / "file").read_text() == "I am a file, and stay as I am."
        assert "stay as I am" in (tmp_path / "notes.db").read_text()

    def test_reading_what_is_not_there_makes_nothing(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none", tmp_path / "none.db", tmp_path):
            with pytest.raises(NotFoundError, match="there is no space"):
                lexical(path, read_only=True)
        with pytest.raises(NotFoundError):
            mnemic.drop(tmp_path, "none")
        with pytest.raises(NotFoundError):
            opening.rebuild(tmp_path, "none")
        assert list(tmp_path.iterdir()) == []

    def test_read_only_reads_and_does_not_write(self, tmp_path: Path) -> None:
        with lexical(tmp_path) as memory:
            (id,) = memory.remember("The heron nests.").ids
        with lexical(tmp_path, read_only=True) as memory:
            assert memory.recall("heron").hits[0].id == id
            for write in (
                lambda m: m.remember("more"),
                lambda m: m.revise(id, "less"),
                lambda m: m.forget(id),
                lambda m: m.forget(id, erase=True),
                lambda m: m.reflect(),
            ):
                with pytest.raises(StoreError, match="read-only"):
                    write(memory)
            assert memory.stats()["records"] == 1

    def test_dropping_takes_only_that_space(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            with lexical(tmp_path, name) as memory:
                memory.remember(name)
        (tmp_path / "three.db").write_text("not ours")
        mnemic.drop(tmp_path, "one")
        with pytest.raises(NotFoundError, match="nothing was deleted"):
            mnemic.drop(tmp_path, "three")
        assert mnemic.spaces(tmp_path) == ["two"]
        assert (tmp_path / "three.db").exists()

    def test_closed_is_closed(self, tmp_path: Path) -> None:
        memory = lexical(tmp_path)
        memory.close()
        memory.close()
        for verb in (lambda: memory.remember("x"), lambda: memory.recall("x"), lambda: memory.stats()):
            with pytest.raises(StoreError, match="closed"):
                verb()

    def test_durability_is_one_of_two(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="'full' or 'normal'"):
            lexical(tmp_path, durability="none")


class TestTwoAtOnce:
    def test_two_memories_on_one_file_see_each_other(self, tmp_path: Path) -> None:
        with lexical(tmp_path) as one, lexical(tmp_path) as two, lexical(tmp_path, read_only=True) as reader:
            (a,) = one.remember("heron alder").ids
            (b,) = two.remember("heron birch").ids
            for memory in (one, two, reader):
                assert {hit.id for hit in memory.recall("heron")} == {a, b}
            two.forget(a)
            one.revise(b, "heron cedar")
            for memory in (one, two, reader):
                assert [hit.text for hit in memory.recall("heron")] == ["heron cedar"]
            with pytest.raises(ConflictError):
                two.revise(b, "heron dogwood")


class TestSettling:
    def test_another_system_is_refused(self, tmp_path: Path) -> None:
        lexical(tmp_path, system="hema").close()
        for read_only in (False, True):
            with pytest.raises(ConflictError, match=r"'hema'.*rebuild"):
                lexical(tmp_path, system="mnemic", read_only=read_only)
        with pytest.raises(NotFoundError, match="there are"):
            lexical(tmp_path, system="hippocampus")
        lexical(tmp_path, system="hema").close()
        assert opening.recorded_system(tmp_path, "default") == "hema"
        assert opening.recorded_system(tmp_path, "other") is None

    def test_other_encoders_are_refused(self, tmp_path: Path, letters: Letters) -> None:
        mnemic.open(tmp_path, "sparse", encoders=["letters"]).close()
        lexical(tmp_path, "words").close()
        for space, encoders in (("sparse", "lexical"), ("words", "letters"), ("words", Encoders(sparse=letters))):
            with pytest.raises(ConflictError, match="auto"):
                mnemic.open(tmp_path, space, encoders=encoders)
        for space, legs in (("sparse", {"lexical", "sparse"}), ("words", {"lexical"})):
            with mnemic.open(tmp_path, space, encoders="auto") as memory:
                assert set(memory.stats()["encoders"]) == legs
        letters.version = "2"
        with pytest.raises(ConflictError, match="letters 1, not with sparse letters 2"):
            mnemic.open(tmp_path, "sparse", encoders="auto")

    def test_one_encoder_of_a_kind(self, tmp_path: Path, letters: Letters) -> None:
        with pytest.raises(InputError, match="one of each kind"):
            mnemic.open(tmp_path, encoders=["letters", "letters"])

    def test_an_encoder_there_is_not_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(MnemicError, match="elephant"):
            mnemic.open(tmp_path, encoders=["elephant"])

    def test_without_weights_it_says_once_that_words_only_count(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(opening.models, "installed", lambda name: None)
        monkeypatch.setattr(opening, "_told", False)
        with caplog.at_level(logging.WARNING, "mnemic"):
            for _ in range(2):
                with mnemic.open(":memory:") as memory:
                    assert memory.stats()["encoders"] == {"lexical": "stems@1"}
        assert [record.message for record in caplog.records if "models pull" in record.message] == [
            "no encoder is installed, so memories are found by their words only; "
            "for better recall run: mnemic models pull splade-tiny"
        ]


class TestRebuild:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        with lexical(tmp_path) as memory:
            memory.remember(
                [
                    Turn("I live in Lisbon.", "Ana", id="a", session="s", at=None),
                    Turn("I moved to Porto.", "Ana", id="b", session="s"),
                    Turn("Herons eat fish.", "Ben", id="c", session="t"),
                ]
            )
            memory.reflect()
            memory.revise("c", "Herons eat frogs.")
        return tmp_path

    def test_to_another_encoder(self, store: Path, letters: Letters) -> None:
        told: list[tuple[int, int]] = []
        done = opening.rebuild(store, encoders=["letters"], progress=lambda made, total: told.append((made, total)))
        assert done["encoders"] == {"sparse": ["letters", "1"]}
        assert told[-1] == (6, 6)
        with mnemic.open(store, encoders="auto") as memory:
            assert memory.space.encoders.sparse is letters
            assert memory.recall("zzf").hits, "found by its letters"
            assert memory.recall("Where does Ana live?").hits[0].text == "Ana lives in Porto."
            assert [v.text for v in memory.history("c")] == ["Herons eat fish.", "Herons eat frogs."]
        opening.rebuild(store, encoders="lexical")
        with lexical(store) as memory:
            assert memory.recall("zzf").hits == ()
            assert memory.recall("herons").hits[0].text == "Herons eat frogs."

    def test_to_another_system_and_back(self, store: Path) -> None:
        with lexical(store) as memory:
            turns = json.dumps([line for line in memory.export() if line.get("item", {}).get("kind") == "turn"])
        done = opening.rebuild(store, system="hema", encoders="lexical")
        assert done["system"] == "hema"
        with lexical(store, system="hema") as memory:
            assert memory.recall("herons").hits
        opening.rebuild(store, system="mnemic", encoders="lexical")
        with lexical(store) as memory:
            assert memory.recall("Where does Ana live?").hits[0].text == "Ana lives in Porto."
            assert turns == json.dumps([line for line in memory.export() if line.get("item", {}).get("kind") == "turn"])

    def test_twice_is_the_same(self, store: Path) -> None:
        first = opening.rebuild(store, encoders="lexical")
        assert opening.rebuild(store, encoders="lexical") == first
        with lexical(store) as memory:
            assert memory.stats()["kinds"] == {"turn": 3, "fact": 1}
            assert memory.space.check() is None
