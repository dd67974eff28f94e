"""Layers side by side: the same backbone, data and steps, several seeds, and controls that say what a score means.

* ``none``: the first layer's model with its memories never read; the same parameters. What needs no memory.
* ``window``: attention that is shorter than the distance of the answers. What is near.
* ``full``: attention to everything, whose state grows. What attention reaches at this size in this time.
* ``gated-deltanet``: a strong and cheap memory (arXiv 2412.06464).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mnemic.errors import InputError
from mnemic.neural.backbone import Backbone
from mnemic.neural.tasks.base import Task
from mnemic.neural.train import Progress, Trainer, Training

CONTROLS = ("none", "window", "full", "gated-deltanet")
NEAR: dict[str, dict[str, Any]] = {
    **{
        name: {"chunk": 16}
        for name in ("titans-lmm", "omeganet", "dla", "titans-mac", "rmt", "rxt", "pmi-wm", "pmi-ltm")
    },
    **{name: {"chunk": 16, "window": 8} for name in ("titans-mag", "titans-mal")},
    "memmamba": {"chunk": 16, "pool": 16, "top": 4},
    "cmr": {"chunk": 8, "window": 8, "pool": 16, "top": 4},
    "hmt": {"chunk": 8, "sensory": 4},
    "resonance": {"chunk": 8, "window": 8},
    "longmem": {"window": 8},
}
"""Settings for texts of some tens of tokens. Many layers bring attention of their own, over a window or within a chunk;
with the 64 tokens of their defaults it would answer in place of the memory. Two blocks of these reach less than 33
tokens, the shortest distance in the recall task."""
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""Student's t at 97.5 % for 1 to 15 degrees of freedom; beyond, 1.96 + 2.5 / n is right to a hundredth."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The backbone that everything is compared in: ``conv`` is the width of the convolution before each memory (0:
    none), ``reach`` that of the control called ``window``. With ``parameters`` the feed-forward parts are made so wide
    that every model has about as many. ``settings`` of layers by their names go before those of :data:`NEAR`, which are
    left out where ``near`` is false. ``device`` is torch's name of where it runs.
    """

    d_model: int = 64
    n_layers: int = 2
    conv: int = 2
    parameters: int | None = None
    reach: int = 4
    near: bool = True
    device: str = "cpu"
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def build(self, name: str, vocab: int, *, base: str = "gated-deltanet", seed: int = 0) -> Backbone:
        """The model of a layer or a control; ``none`` is that of ``base`` without its memory.

        Raises :class:`InputError` for a device that is not there, and for fewer ``parameters`` than the layer has."""
        layer = base if name == "none" else name
        given = {"window": {"window": self.reach}, **(NEAR if self.near else {})}.get(layer, {})
        settings = {**given, **self.settings.get(layer, {})}

        def made(hidden: int | None) -> Backbone:
            return Backbone(
                vocab, self.d_model, self.n_layers, layer, settings,
                conv=self.conv or None, reading=name != "none", hidden=hidden, seed=seed,
            )  # fmt: skip

        model = made(None)
        if self.parameters is not None:
            unit = self.n_layers * (2 * self.d_model + 1)  # what one more hidden feature costs in every block
            hidden = 2 * self.d_model + round((self.parameters - model.parameters_count) / unit)
            if hidden < 1:
                least = model.parameters_count - unit * (2 * self.d_model - 1)
                raise InputError(f"{name} has at least {least:,} parameters, not {self.parameters:,}: give more")
            model = made(hidden)
        try:
            return model.to(torch.device(self.device))
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"{self.device} cannot be used ({str(error).splitlines()[0]}): use cpu") from error


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean, None of fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    spread = math.sqrt(sum((each - mean) ** 2 for each in values) / (n - 1) / n)
    t = _T[n - 2] if n - 2 < len(_T) else 1.96 + 2.5 / (n - 1)
    return mean - t * spread, mean + t * spread


def run(
    task: Task,
    name: str,
    *,
    training: Training,
    shape: Shape,
    out: Path,
    base: str = "gated-deltanet",
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """One run in the folder ``out``: done before (with the same settings), gone on with, or begun; its log."""
    model = shape.build(name, task.vocab, base=base, seed=training.seed)
    trainer = Trainer(model, task, training, out=out, about=about)
    kept = out / "run.json"
    if kept.exists():
        told: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        if told["result"] is not None:
            wanted = json.loads(json.dumps(trainer.log("")))
            if any(told[key] != wanted[key] for key in ("task", "model", "training")):
                raise InputError(f"{out} holds a run with other settings: name another folder")
            return told
    return trainer.run(resume=(out / "checkpoint.json").exists(), progress=progress)


def compare(
    task: Task,
    layers: Sequence[str],
    *,
    training: Training,
    out: str | Path,
    seeds: int = 3,
    shape: Shape | None = None,
    controls: Sequence[str] = CONTROLS,
    about: Mapping[str, Any] | None = None,
    watch: Callable[[str, int], Progress | None] | None = None,
) -> dict[str, Any]:
    """Runs of every layer and control for ``seeds`` seeds from that of ``training``; a comparison as JSON can hold it.

    Each run has a folder in ``out``, so that a comparison that was broken off goes on. ``watch`` is called with (name,
    seed) before each run and gives what is told its progress. Raises :class:`InputError` for no layer and no seed.
    """
    if not layers or seeds < 1:
        raise InputError("a comparison needs a layer and a seed: give one of each or more")
    out, shape = Path(out), shape or Shape()
    names = list(dict.fromkeys([*layers, *controls]))
    runs: list[dict[str, Any]] = []
    for seed in range(training.seed, training.seed + seeds):
        for name in names:
            log = run(
                task, name, training=replace(training, seed=seed), shape=shape, out=out / f"{name}-{seed}",
                base=layers[0], about=about, progress=watch(name, seed) if watch else None,
            )  # fmt: skip
            runs.append({"name": name, "seed": seed, **log})
    made = {
        "task": {"name": task.name, **asdict(task)}, "shape": asdict(shape), "training": asdict(training),
        "seeds": seeds, "base": layers[0], "rows": summary(runs), "runs": runs,
    }  # fmt: skip
    (out / "compare.json").write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    return made


def summary(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for every name: the headline's mean and interval over seeds, what it cost, and the mean of each test."""
    rows = []
    for name in dict.fromkeys(each["name"] for each in runs):
        mine = [each for each in runs if each["name"] == name]
        scores = [each["result"]["headline"] for each in mine]
        metric = mine[0]["result"]["metric"]
        rows.append(
            {
                "name": name,
                "metric": metric,
                "mean": _mean(scores),
                "interval": _within(interval(scores), metric),
                "seeds": len(mine),
                "chance": mine[0]["result"]["chance"],
                "parameters": mine[0]["parameters"],
                "state_bytes": mine[0]["state_bytes"],
                "steps": _mean([each["steps"] for each in mine]),
                "seconds": _mean([each["seconds"] for each in mine]),
                "step_ms": _mean([each["step_ms"] for each in mine]),
                "load": max((each["about"].get("load") or [0])[0] for each in mine) or None,
                "tests": {
                    label: _mean([each["result"]["tests"][label][metric] for each in mine])
                    for label in mine[0]["result"]["tests"]
                },
            }
        )
    return rows


COLUMNS = ("layer", "score", "95 % interval", "parameters", "state bytes", "steps", "train s", "step ms", "load")


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of :func:`summary` as texts for :data:`COLUMNS` and a column for every test beyond the first."""
    low_high = row["interval"]
    return [
        row["name"],
        score(row["mean"], row["metric"]),
        f"{score(low_high[0], row['metric'])} to {score(low_high[1], row['metric'])}" if low_high else "one seed",
        f"{row['parameters']:,}",
        f"{row['state_bytes']:,}",
        f"{row['steps']:.0f}",
        f"{row['seconds']:.0f}",
        f"{row['step_ms']:.1f}",
        f"{row['load']:.1f}" if row["load"] is not None else "",
        *(score(each, row["metric"]) for each in list(row["tests"].values())[1:]),
    ]


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [*COLUMNS, *list(rows[0]["tests"])[1:]]


def score(value: float, metric: str) -> str:
    """A share in percent, a loss in nats."""
    return f"{value:.3f}" if metric == "nats" else f"{100 * value:.1f}"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table."""
    head = columns(rows)
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(cells(row))} |" for row in rows)]) + "\n"


def _within(bounds: tuple[float, float] | None, metric: str) -> tuple[float, float] | None:
    """An interval of shares ends where shares end."""
    return bounds if bounds is None or metric == "nats" else (max(0.0, bounds[0]), min(1.0, bounds[1]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
