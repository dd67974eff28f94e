"""Comparisons: the same data and steps for all, runs that are kept, intervals, tables and plots."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mnemic.errors import InputError, MissingExtraError
from mnemic.neural import compare as comparing
from mnemic.neural import plot
from mnemic.neural.backbone import Backbone
from mnemic.neural.compare import NEAR, Shape, cells, columns, compare, interval, markdown, summary
from mnemic.neural.registry import LAYERS
from mnemic.neural.runner import SegmentRunner
from mnemic.neural.tasks import make
from mnemic.neural.tasks.base import generator
from mnemic.neural.train import Training

TASK = make("mqar", {"pairs": 2, "gap": 4, "keys": 4, "values": 4, "fillers": 2})
SMALL = Shape(d_model=16, n_layers=1, settings={"window": {"heads": 2}, "full": {"heads": 2}})
SHORT = Training(steps=3, batch=2, log_every=1)


def compared(out: Path, **options: Any) -> dict[str, Any]:
    given = {"training": SHORT, "seeds": 2, "shape": SMALL, "controls": ("none", "window")} | options
    return compare(TASK, ["full"], out=out, **given)


def test_everything_runs_on_the_same_seeds_and_steps(tmp_path: Path) -> None:
    told = []
    made = compared(tmp_path, watch=lambda name, seed: told.append((name, seed)))
    assert told == [(name, seed) for seed in (0, 1) for name in ("full", "none", "window")]
    rows = {row["name"]: row for row in made["rows"]}
    assert list(rows) == ["full", "none", "window"]
    assert {row["steps"] for row in rows.values()} == {3}
    assert rows["none"]["parameters"] == rows["full"]["parameters"]
    assert {run["model"]["seed"] for run in made["runs"]} == {0, 1}
    window = next(run for run in made["runs"] if run["name"] == "window")
    assert window["model"]["settings"] == {"window": SMALL.reach, "heads": 2}
    assert next(run for run in made["runs"] if run["name"] == "none")["model"]["reading"] is False
    assert json.loads((tmp_path / "compare.json").read_text()) == json.loads(json.dumps(made))


def test_a_comparison_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = compared(tmp_path, seeds=1)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/run.json")}
    more = compared(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "a run was done again"
    assert [run["seed"] for run in more["runs"]] == [0, 0, 0, 1, 1, 1]
    assert json.dumps(more["runs"][:3]) == json.dumps(first["runs"])
    with pytest.raises(InputError, match="other settings"):
        compared(tmp_path, training=replace(SHORT, steps=4))


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    from mnemic.neural.train import Trainer

    Trainer(SMALL.build("full", TASK.vocab), TASK, SHORT, out=tmp_path / "full-0").run(until=2)
    steps: list[int] = []
    compared(tmp_path, seeds=1, controls=(), watch=lambda name, seed: lambda step, loss: steps.append(step))
    assert steps == [3]


def test_a_comparison_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        compare(TASK, [], training=SHORT, out=tmp_path)
    with pytest.raises(InputError):
        compared(tmp_path, seeds=0)


def test_the_interval_is_students() -> None:
    """Three values: the mean plus and minus 4.303 standard errors."""
    low, high = interval([0.8, 0.9, 0.7]) or (math.nan, math.nan)
    half = 4.303 * statistics.stdev([0.8, 0.9, 0.7]) / math.sqrt(3)
    assert (low, high) == (pytest.approx(0.8 - half), pytest.approx(0.8 + half))
    assert interval([0.5]) is None
    assert interval([0.5] * 40) == (pytest.approx(0.5), pytest.approx(0.5))
    wide, narrow = interval([0.0, 1.0] * 8), interval([0.0, 1.0] * 9)
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def run(name: str, headline: float, metric: str = "accuracy", **more: Any) -> dict[str, Any]:
    tests = {"short": {metric: headline}, "long": {metric: headline / 2}}
    return {
        "name": name, "parameters": 1000, "state_bytes": 2048, "steps": 10, "seconds": 1.0, "step_ms": 100.0,
        "about": {"load": [1.5, 1.0, 1.0]}, "curve": [{"step": 1, "loss": 2.0}, {"step": 10, "loss": 1.0}],
        "result": {"headline": headline, "metric": metric, "chance": 0.1, "tests": tests},
    } | more  # fmt: skip


def test_a_row_has_the_mean_over_seeds_and_what_it_cost() -> None:
    rows = summary([run("a", 0.5), run("b", 1.0), run("a", 0.7)])
    assert [(row["name"], row["mean"], row["seeds"]) for row in rows] == [("a", pytest.approx(0.6), 2), ("b", 1.0, 1)]
    assert rows[0]["tests"] == {"short": pytest.approx(0.6), "long": pytest.approx(0.3)}
    assert columns(rows)[-1] == "long"
    assert cells(rows[1]) == ["b", "100.0", "one seed", "1,000", "2,048", "10", "1", "100.0", "1.5", "50.0"]
    lines = markdown(rows).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {len(columns(rows)) + 1}
    (row,) = summary([run("a", 1.25, "nats")])
    assert cells(row)[1] == "1.250"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plots_are_drawn(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [run("alpha", 0.5), run("beta", 1.0), run("alpha", 0.7)]
    curves = plot.curves(runs, tmp_path / f"curves.{suffix}")
    bars = plot.bars(summary(runs), tmp_path / f"bars.{suffix}")
    for path in (curves, bars):
        assert path.stat().st_size > 2000
        if suffix == "svg":
            text = path.read_text("utf-8")
            assert text.count(">alpha</text>") == 1
            assert "beta" in text
    if suffix == "svg":
        plot.bars(summary(runs), tmp_path / "again.svg")
        assert (tmp_path / "again.svg").read_text("utf-8") == bars.read_text("utf-8"), "a plot is not reproducible"


def test_plots_say_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        plot.curves([run("a", 0.5)], tmp_path / "x.gif")
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"mnemic\[bench\]"):
        plot.bars(summary([run("a", 0.5)]), tmp_path / "x.svg")


def influence(model: Backbone, length: int) -> list[float]:
    """How much the last token's logits depend on each token's embedding."""
    embedded: list[torch.Tensor] = []
    model.embed.register_forward_hook(lambda *of: embedded.append(of[2].retain_grad() or of[2]))
    logits, _ = model(torch.arange(length)[None] % 10)
    logits[0, -1].square().sum().backward()
    assert embedded[0].grad is not None
    return embedded[0].grad[0].abs().amax(-1).tolist()


@pytest.mark.parametrize("name", ["none", "window"])
def test_controls_see_less_than_the_distance_of_recall(name: str) -> None:
    """Two blocks of a convolution over 2 tokens, and in the second case a window of 4, reach 2 and 8 tokens back."""
    back = {"none": 2, "window": 8}[name]
    seen = influence(Shape(d_model=32).build(name, 10), 40)
    assert all(each > 0 for each in seen[-1 - back :])
    assert all(each == 0 for each in seen[: -1 - back])
    assert back < make("mqar").gap
    assert all(each > 0 for each in influence(Shape(d_model=32).build("full", 10), 40))


def test_layers_get_what_keeps_their_own_attention_short_unless_told_otherwise() -> None:
    for name, settings in NEAR.items():
        assert Shape(d_model=32, n_layers=1).build(name, 10).config["settings"] == settings
    shape = Shape(d_model=32, n_layers=1, settings={"titans-mag": {"window": 5}})
    assert shape.build("titans-mag", 10).config["settings"] == {"chunk": 16, "window": 5}
    assert replace(shape, near=False).build("titans-mag", 10).config["settings"] == {"window": 5}
    assert replace(shape, near=False).build("window", 10).config["settings"] == {"window": 4}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_trains_in_segments_as_in_the_whole(name: str) -> None:
    """Two chunks and some, so that chunked memories have been written and read."""
    batch = make("mqar", {"pairs": 4, "gap": 32}).sample(2, generator("train", 0))
    model = Shape(d_model=32, n_layers=1).build(name, 40)
    whole = SegmentRunner(model).backward(batch)
    assert any(each.grad is not None and each.grad.abs().sum() > 0 for each in model.blocks[0].memory.parameters())
    model.zero_grad()
    assert SegmentRunner(model, 7, 2).backward(batch) == pytest.approx(whole, abs=1e-4)


def test_controls_are_those_that_the_docs_name() -> None:
    assert comparing.CONTROLS == ("none", "window", "full", "gated-deltanet")
    for name in comparing.CONTROLS:
        Shape(d_model=16, n_layers=1, settings={"gated-deltanet": {"heads": 2}}).build(name, 10)


@pytest.mark.parametrize("name", ["window", "deltanet", "titans-mag", "memmamba"])
def test_models_can_be_made_equally_large(name: str) -> None:
    shape = Shape(d_model=32, parameters=125_000)
    count = shape.build(name, 20).parameters_count
    assert abs(count - 125_000) <= shape.n_layers * (2 * shape.d_model + 1) / 2
    with pytest.raises(InputError, match="give more"):
        replace(shape, parameters=5_000).build(name, 20)
