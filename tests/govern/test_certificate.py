"""Certificates: they hold where the store forgot, and do not where something is left."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mnemic
from mnemic.cli.app import run
from mnemic.errors import NotFoundError
from mnemic.govern import certificate
from mnemic.govern.dmm import Governor
from mnemic.govern.probe import Probe

START = datetime(2024, 1, 6, tzinfo=UTC)
SECRET = "My grandmother hid a sapphire brooch behind the loose tile in Trieste."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    said = [
        SECRET,
        "I live in Lisbon near the river.",
        "The tomatoes in the greenhouse are ripe already.",
        "Our choir rehearses every Thursday evening.",
        "The ferry to the island was late again.",
    ]
    with mnemic.open(tmp_path / "m.db", encoders="lexical") as memory:
        memory.remember(
            [mnemic.Turn(text, "Ana", START + timedelta(days=i), f"s{i}", id=f"t{i}") for i, text in enumerate(said)]
        )
        memory.reflect()
    return tmp_path / "m.db"


@pytest.fixture
def governor(path: Path) -> Governor:
    probes = [Probe("Where are Ana's tomatoes?", ("t2",)), Probe("When does Ana's choir rehearse?", ("t3",))]
    made = Governor(path, probes=[*probes, Probe("Where is the brooch?", ("t0",))])
    made.register()
    return made


def found(made: certificate.Certificate) -> dict[str, int]:
    return {check.name: check.found for check in made.checks}


def test_an_erasure_is_looked_for_in_every_way_and_certified(governor: Governor, path: Path) -> None:
    made = certificate.forget(governor, "t0", reason="asked to", approved_by="the owner")
    assert made.holds
    assert made.target == ("t0",)
    assert all(check.tried > 0 and check.found == 0 for check in made.checks)
    assert {check.grade for check in made.checks} == {"verbatim", "semantic", "adversarial"}
    assert made.regression == {"kept": 1.0, "probes": 2.0}
    assert made.audit["reason"] == "asked to"
    told = json.dumps(made.told()) + governor.ledger.path.read_bytes().decode("utf-8", "replace")
    assert not [word for word in SECRET.split() if len(word) > 4 and word.strip(".") in told]
    assert governor.ledger.verify(str(made.audit["hash"])) == made.audit["entry"]
    with mnemic.open(path) as memory:
        assert memory.get("t0") == []


def test_what_was_derived_goes_along_and_is_certified_too(governor: Governor, path: Path) -> None:
    made = certificate.forget(governor, "t1")
    assert made.derived
    assert made.holds


def test_bytes_left_in_a_file_of_the_space_are_found(governor: Governor, path: Path) -> None:
    path.with_name(path.name + "-leak").write_text(f"xx{SECRET}xx")
    made = certificate.forget(governor, "t0")
    assert not made.holds
    scanned = made.checks[0]
    assert "bytes" in scanned.name
    assert scanned.found >= scanned.tried - 2


def test_a_store_that_only_pretends_to_erase_is_found_out(governor: Governor, monkeypatch: pytest.MonkeyPatch) -> None:
    forget = mnemic.Memory.forget

    def pretend(self: mnemic.Memory, what: object, *, erase: bool = False, preview: bool = False) -> object:
        return forget(self, what, erase=erase and preview, preview=preview)  # type: ignore[arg-type]

    monkeypatch.setattr(mnemic.Memory, "forget", pretend)
    made = certificate.forget(governor, "t0")
    assert not made.holds
    counts = found(made)
    assert counts["by id, now and before"] == 2
    assert counts["its history"] == 1
    assert counts["lines of an export"] >= 1
    assert counts["parts of it, shuffled; the past, the archived"] > 0
    assert made.checks[0].found > 0


def test_somebody_else_who_said_the_same_is_named_not_erased(governor: Governor, path: Path) -> None:
    with mnemic.open(path) as memory:
        memory.remember(mnemic.Turn("Ana's " + SECRET[3:], "Ben", START, "s9", id="echo"))
    made = certificate.forget(governor, "t0")
    assert made.elsewhere == ("echo",)
    assert made.holds
    with mnemic.open(path) as memory:
        assert memory.get("echo")


def test_hiding_is_certified_for_what_it_is(governor: Governor, path: Path) -> None:
    made = certificate.forget(governor, "t0", erase=False)
    assert made.holds
    assert "still in the file" in made.method
    assert "as_of" in made.rollback
    with mnemic.open(path) as memory:
        assert memory.recall("sapphire brooch", as_of=made.window[0]).hits


def test_nothing_to_forget_is_an_error_and_no_entry(governor: Governor) -> None:
    with pytest.raises(NotFoundError):
        certificate.forget(governor, "xylophone quartets")
    assert [entry.kind for entry in governor.ledger.entries()] == ["register"]


def test_the_command_line_governs(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probes = tmp_path / "probes.jsonl"
    probes.write_text('{"question": "When does Ana\'s choir rehearse?", "gold": ["t3"]}\n')
    common = ["--probes", str(probes), "--store", str(path)]
    assert run(["govern", "monitor", *common]) == 1
    assert "register" in capsys.readouterr().err
    assert run(["govern", "register", *common]) == 0
    assert run(["govern", "monitor", *common]) == 0
    assert run(["govern", "reflect", *common, "--dry-run"]) == 0
    assert run(["govern", "rebuild", "--system", "memgas", *common]) == 0
    out = tmp_path / "certificate.json"
    assert run(["govern", "forget", "t0", *common, "--certificate", str(out), "--approved-by", "the owner"]) == 0
    assert json.loads(out.read_text())["holds"] is True
    assert run(["govern", "audit", "--store", str(path), "--json"]) == 0
    told = capsys.readouterr().out
    kinds = [entry["kind"] for entry in json.loads(told[told.rindex('[\n  {\n    "seq"') :])]
    assert kinds == ["register", "monitor", "admit", "admit", "apply", "monitor", "forget"]
    assert run(["govern", "audit", "--store", str(path), "--head", "f" * 64]) == 1
