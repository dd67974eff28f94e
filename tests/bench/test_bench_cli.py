"""``mnemic bench`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mnemic.cli.bench import app
from mnemic.errors import LanguageError

runner = CliRunner()


def test_list_names_suites_systems_and_controls():
    told = json.loads(runner.invoke(app, ["list", "--json"], catch_exceptions=False).stdout)
    assert {"locomo", "longmemeval", "temporal", "generated"} <= {suite["name"] for suite in told["suites"]}
    assert "mnemic" in told["systems"]
    assert told["controls"] == ["random", "recent", "bm25"]
    assert "locomo" in runner.invoke(app, ["list"], catch_exceptions=False).stdout


def test_run_report_and_card(tmp_path: Path):
    out, page, cards = tmp_path / "r.json", tmp_path / "r.html", tmp_path / "card.json"
    asked = ["run", "generated", "--system", "bm25", "--system", "recent", "--limit", "2", "--json", str(out)]
    ran = runner.invoke(app, asked, catch_exceptions=False)
    assert ran.exit_code == 0
    assert "| bm25 |" in ran.stdout
    assert [system["label"] for system in json.loads(out.read_text())["systems"]] == ["bm25", "recent"]
    told = runner.invoke(app, ["report", str(out)], catch_exceptions=False)
    assert told.stdout == ran.stdout
    pytest.importorskip("matplotlib")
    runner.invoke(app, ["report", str(out), "--html", str(page), "--title", "T"], catch_exceptions=False)
    assert "<title>T</title>" in page.read_text()
    shown = runner.invoke(
        app,
        ["card", "--system", "bm25", "--rounds", "1", "--result", str(out), "--json", str(cards)],
        catch_exceptions=False,
    )
    assert shown.stdout.startswith("# Evaluation card: bm25")
    assert "Correctness on generated" in shown.stdout
    assert json.loads(cards.read_text())["label"] == "bm25"


def test_a_model_is_only_reached_for_where_it_is_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MNEMIC_MODEL", "m")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    asked = ["run", "generated", "--system", "recent", "--limit", "1"]
    assert runner.invoke(app, asked, catch_exceptions=False).exit_code == 0
    with pytest.raises(LanguageError, match="OPENAI_API_KEY"):
        runner.invoke(app, [*asked, "--answer"], catch_exceptions=False)
