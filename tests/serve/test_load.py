"""A short run of the load benchmark: a server that is killed under its clients loses nothing and errs to nobody."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_a_killed_server_keeps_what_it_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import load

    out = tmp_path / "load.json"
    chosen = "--spaces 20 --turns 100 --clients 5 --seconds 5 --kill --encoders lexical".split()
    found = load.main([*chosen, "--out", str(out)])["figures"]
    assert found["errors"] == 0, found["first errors"]
    kept = found["kept"]
    assert kept["acknowledged"] > 0
    assert (kept["missing"], kept["stored twice"], kept["damaged files"]) == (0, 0, 0)
    assert found["verbs"]["recall"]["calls"] > 0
    assert found["server"]["away after the kill s"] > 0
    assert "| turns missing | 0 |" in out.with_suffix(".md").read_text("utf-8")


def test_the_check_finds_what_is_missing_and_doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import load

    import mnemic

    with mnemic.open(tmp_path, "space-0", encoders="lexical") as memory:
        ids = memory.remember(["one", "two", "two", "three"], session=load.SESSION).ids
    receipts = [("space-0", ids[0], "one"), ("space-0", ids[1], "two"), ("space-0", "lost", "four")]
    assert load.check(tmp_path, receipts) == {
        "acknowledged": 3,
        "missing": 1,
        "stored twice": 1,
        "stored without a receipt": 1,
        "damaged files": 0,
    }
