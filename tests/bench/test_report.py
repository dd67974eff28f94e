"""Reports are made of result files alone: tables, curves, and a page that needs nothing from outside."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mnemic.bench import report
from mnemic.bench.result import dumps, keep
from mnemic.bench.run import Settings, run
from mnemic.errors import InputError


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("bench") / "generated.json"
    run("generated", ["mnemic@lexical", "bm25", "recent"], settings=Settings(limit=3), out=out)
    return json.loads(out.read_text())


def system(*ranks: list[int | None], tokens: list[list[int | None]] | None = None, **flags: Any) -> dict[str, Any]:
    items = [
        {"id": f"q{n}", "case": f"c{n}", "ranks": row, "tokens": (tokens or ranks)[n], **flags}
        for n, row in enumerate(ranks)
    ]
    return {"label": "x", "items": items}


def test_curves_are_means_of_shares():
    two = system([1, 4], [None])
    assert report.curve(two, "ranks", (1, 3, 4)) == [0.25, 0.25, 0.5]
    assert report.curve(system([1], tokens=[[300]]), "tokens", (256, 512)) == [0.0, 1.0]
    assert report.curve(system([1], scored=False), "ranks", (1,)) == []
    assert report.curve(system([1], answerable=False), "ranks", (1,)) == []


def test_differences_are_paired_by_question():
    gap, low, high = report.difference(system([1], [20], [3]), system([1], [20], [None])) or (0, 0, 0)
    assert gap == pytest.approx(1 / 3)
    assert low <= gap <= high
    assert report.difference(system([1]), {"items": []}) is None


def test_markdown_has_every_system_and_its_conditions(result: dict[str, Any]):
    text = report.markdown([result])
    assert text.startswith("## generated")
    for label in ("mnemic@lexical", "bm25", "recent"):
        assert re.search(rf"^\| {label} \| \d+\.\d \[", text, re.MULTILINE)
    for told in ("seed 0", "cores", "bootstrap", "3 cases", result["versions"]["code"]):
        assert told in text
    assert "paired" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[:5]}) == 1


def test_page_is_self_contained_and_fits_dark_and_light(result: dict[str, Any]):
    pytest.importorskip("matplotlib")
    page = report.html([result, result], title="Two <runs>")
    assert page.count("<svg") == 8
    assert "Two &lt;runs&gt;" in page
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    assert "#010203" not in page
    assert not re.search(r"<(?:script|link|img)\b", page)
    outside = set(re.findall(r'(?:href|src)="([^"#][^"]*)"', page))
    assert not outside


def test_plots_are_the_same_every_time(result: dict[str, Any]):
    pytest.importorskip("matplotlib")
    assert report.html([result]) == report.html([result])


def test_results_without_ranks_are_reported_all_the_same(result: dict[str, Any]):
    pytest.importorskip("matplotlib")
    bare = json.loads(json.dumps(result))
    for each in bare["systems"]:
        for item in each["items"]:
            item.pop("ranks", None)
            item.pop("tokens", None)
    assert report.html([bare]).count("<svg") == 2
    assert "paired" not in report.markdown([bare])


def test_scores_that_could_not_be_computed_are_dashes(result: dict[str, Any]):
    broken = json.loads(json.dumps(result))
    for each in broken["systems"]:
        for score in each["scores"]:
            score |= {"interval": [None, None], "clustered": None}
        each["scores"][0]["value"] = None
    assert " - |" in report.markdown([broken])


def test_json_has_no_nan():
    text = dumps({"a": {"b": {"c": float("nan")}}, "d": [{"e": (1.0, float("inf"))}], "f": []})
    assert json.loads(text) == {"a": {"b": {"c": None}}, "d": [{"e": [1.0, None]}], "f": []}
    assert text.endswith("}\n")


def test_a_compressed_result_is_the_same_result(result: dict[str, Any], tmp_path: Path):
    plain, small = tmp_path / "deep" / "a.json", tmp_path / "deep" / "a.json.gz"
    for path in (plain, small):
        keep(result, path)
    assert report.load([plain]) == report.load([small])
    assert small.stat().st_size < plain.stat().st_size
    before = small.read_bytes()
    keep(result, small)
    assert small.read_bytes() == before  # no time in it: the same result is the same file
    small.write_bytes(before[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        report.load([small])


def test_files_that_are_no_results_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no result file"):
        report.load([tmp_path / "none.json"])
    (tmp_path / "other.json").write_text('{"mnemic_bench": 99}')
    with pytest.raises(InputError, match="format"):
        report.load([tmp_path / "other.json"])
    (tmp_path / "torn.json").write_text('{"mnemic')
    with pytest.raises(InputError, match="cannot be read"):
        report.load([tmp_path / "torn.json"])
