"""Readers over memories: how they are named and opened, what a space records, what they leave alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from scenes import START, opened, picture, topical

import mnemic
from mnemic.bench.contender import contender
from mnemic.cli.app import run
from mnemic.errors import ConflictError, InputError, NotFoundError
from mnemic.text import opening, systems
from mnemic.text.plan import Query, Recall
from mnemic.text.steps.render import count_tokens
from mnemic.text.systems import Env, Reading, System, memory_of
from mnemic.text.systems.hema import Hema
from mnemic.text.systems.longrag import LongRag, Settings


class Backwards:
    """A reader that turns the hits round."""

    name, kind = "backwards", "reader"

    def read(self, query: Query, memory: System, env: Env) -> Recall:
        found = memory.read(query, env)
        return replace(found, hits=found.hits[::-1])


def at(path: Path, system: object, **more: object) -> mnemic.Memory:
    return mnemic.open(path, system=system, encoders="lexical", clock=lambda: START, **more)  # type: ignore[arg-type]


# -- names ---------------------------------------------------------------------------------------------------------


def test_names_join_readers_to_a_memory() -> None:
    assert systems.parse("hema") == ([], "hema")
    assert systems.parse("longrag") == (["longrag"], None)
    assert systems.parse("longrag+hema") == (["longrag"], "hema")
    assert systems.make("longrag").name == "longrag+mnemic"
    assert systems.make("longrag", recorded="hema").name == "longrag+hema"
    assert systems.make("longrag+hema", recorded="mnemic").name == "longrag+hema"
    assert memory_of(systems.make("longrag+longrag+hema")).name == "hema"


@pytest.mark.parametrize("name", ["", "hippocampus", "longrag+", "+hema", "longrag+hippocampus", "long rag"])
def test_a_part_there_is_not_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="longrag"):
        at(tmp_path / "x", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["hema+longrag", "hema+mnemic", "longrag+hema+mnemic"])
def test_a_memory_over_a_memory_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"readers \(.*longrag"):
        systems.make(name)


def test_every_system_says_what_it_is_good_at_and_what_it_costs() -> None:
    rows = systems.describe()
    assert [row["name"] for row in rows] == sorted(systems.SYSTEMS)
    for row in rows:
        assert list(row) == ["name", "kind", "paper", "good_at", "cost"]
        assert row["kind"] in ("memory", "reader")
        assert all(value and "\n" not in value and len(value) <= 120 for value in row.values()), row
    assert {row["name"]: row["kind"] for row in rows}["longrag"] == "reader"


# -- opening -------------------------------------------------------------------------------------------------------


def test_a_space_records_its_memory_and_opens_with_any_reader(tmp_path: Path) -> None:
    with at(tmp_path, "longrag+hema") as memory:
        memory.remember(topical(30))
        memory.reflect()
        assert memory.stats()["system"] == "longrag+hema"
        assert next(memory.export())["system"] == "hema"
    assert opening.recorded_system(tmp_path, "default") == "hema"
    for system in ("hema", "longrag", "longrag+hema", LongRag(), Backwards(), Hema(), Reading(Backwards(), Hema())):
        for read_only in (True, False):
            with at(tmp_path, system, read_only=read_only) as memory:
                assert memory_of(memory.system).name == "hema"
                assert memory.recall("compost", k=3).hits
    with pytest.raises(ConflictError, match="'hema', not 'mnemic'"):
        at(tmp_path, "longrag+mnemic")


def test_a_reader_alone_makes_a_space_of_the_default_system(tmp_path: Path) -> None:
    at(tmp_path, "longrag").close()
    assert opening.recorded_system(tmp_path, "default") == systems.DEFAULT
    with at(tmp_path, LongRag(Settings(least=3))) as memory:
        assert memory.system.name == "longrag+mnemic"
        assert memory.system.settings["longrag"].least == 3  # type: ignore[attr-defined]


def test_a_reader_over_a_system_that_is_in_no_table_needs_to_be_told_which(tmp_path: Path) -> None:
    class Own(Hema):
        name = "own"

    at(tmp_path, Own()).close()
    for reader in ("longrag", LongRag()):
        with pytest.raises(NotFoundError, match=r"made by 'own'.*Reading\(reader, memory\)"):
            at(tmp_path, reader)
    with at(tmp_path, Reading(LongRag(), Own())) as memory:
        assert memory.system.name == "longrag+own"


def test_what_is_stored_does_not_depend_on_the_reader() -> None:
    with opened("hema") as plain, opened(Reading(LongRag(), Hema())) as read:
        for memory in (plain, read):
            memory.remember(topical(130))
            memory.reflect()
            memory.recall("Which item concerns the spinnaker?", k=20)
        assert picture(plain) == picture(read)


def test_the_reader_reads_what_the_memory_recalls() -> None:
    with opened("mnemic") as plain, opened(Backwards()) as read:
        for memory in (plain, read):
            memory.remember(topical(30))
        expected = [h.id for h in plain.recall("compost greenhouse", k=5).hits]
        assert [h.id for h in read.recall("compost greenhouse", k=5).hits] == expected[::-1]


def test_a_rebuild_changes_the_memory_and_never_minds_the_reader(tmp_path: Path) -> None:
    with at(tmp_path, "longrag") as memory:
        memory.remember(topical(30))
    assert opening.rebuild(tmp_path, system="longrag+hema", encoders="lexical")["system"] == "hema"
    assert opening.rebuild(tmp_path, system="longrag", encoders="lexical")["system"] == "hema"
    assert opening.rebuild(tmp_path, encoders="lexical")["system"] == "hema"
    with at(tmp_path, "longrag") as memory:
        assert memory.system.name == "longrag+hema"


@pytest.mark.parametrize("name", [name for name in systems.SYSTEMS if systems.parse(name)[1]])
def test_every_reader_reads_every_memory(name: str) -> None:
    question = "Which item concerns the spinnaker next to the regatta?"
    with opened(name) as memory:
        memory.remember(topical(60))
        memory.reflect()
        plain = memory.system
        stored, best = picture(memory), memory.recall(question, k=12).hits
        for reader in (name for name in systems.SYSTEMS if not systems.parse(name)[1]):
            memory.system = systems.make(f"{reader}+{name}")
            found = memory.recall(question, k=12)
            assert [h.n for h in found.hits] == list(range(1, len(found.hits) + 1))
            ranked = [h.id for h in found.hits if h.score]
            assert ranked == [h.id for h in best if h.score][: len(ranked)], "the order of rank stays"
            cited = [int(n) for n in re.findall(r"(?m)^\[(\d+)\]", found.text)]
            assert sorted(cited) == [h.n for h in found.hits], "every hit is told, and nothing else"
            assert count_tokens(memory.recall(question, k=12, budget=250).text) <= 250
            assert memory.recall("zebra quagga", k=3).confidence <= 0.5
        memory.system = plain
        assert picture(memory) == stored


def test_the_page_of_systems_tells_of_each() -> None:
    page = (Path(__file__).parents[3] / "docs" / "systems.md").read_text("utf-8")
    for row in systems.describe():
        assert f"| [`{row['name']}`](#{row['name']}) | {row['kind']} |" in page
        assert f"\n### {row['name']}\n" in page


# -- bench and command line ----------------------------------------------------------------------------------------


def test_a_contender_may_be_read_through_a_reader() -> None:
    made = contender("longrag+hema@lexical", cache=False)
    assert (made.label, made.about["system"]) == ("longrag+hema@lexical", "longrag+hema")
    assert "least=10" in made.about["settings"]
    assert "decay=0.002" in made.about["settings"]
    memory = made.open()
    try:
        memory.remember(topical(40))
        found = memory.recall("Which item concerns the spinnaker?", k=30, now=None)
        assert (found.trace["system"], found.trace["reader"]) == ("hema", "longrag")
    finally:
        memory.close()


def test_the_command_line_reads_through_a_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", str(tmp_path), "--json"]
    for text in ("The boiler was repaired.", "The boiler is old."):
        assert run(["remember", text, "--system", "longrag+hema", "--encoders", "lexical", *store]) == 0
    capsys.readouterr()
    assert run(["recall", "boiler", "--reader", "longrag", *store]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["trace"]["system"], told["trace"]["reader"]) == ("hema", "longrag")
    assert run(["recall", "boiler", *store]) == 0
    assert "reader" not in json.loads(capsys.readouterr().out)["trace"]
    assert run(["ask", "What about the boiler?", "--reader", "longrag", *store]) == 0
    assert run(["recall", "boiler", "--reader", "mnemic", *store]) == 1
    assert "rebuild" in capsys.readouterr().err
    assert run(["systems"]) == 0
    shown = capsys.readouterr().out
    assert "good at" in shown
    assert "reader" in shown
    assert systems.describe()[0]["cost"] in shown
