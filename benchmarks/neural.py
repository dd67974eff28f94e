"""Memory layers trained side by side on small tasks, each run at most some minutes on one thread.

    python benchmarks/neural.py run --experiments mqar --layers all
    python benchmarks/neural.py run --experiments overwrite,passkey --layers linear-attention,deltanet,titans-lmm
    python benchmarks/neural.py table

Every experiment has a file of results, ``benchmarks/results/neural/NAME.json``; a run that is in it is not done again.
The controls are ``none`` (gated-deltanet's model that reads no memory), ``window``, ``full`` and ``gated-deltanet``
itself, whose state is as large here as that of Titans. All models have the same number of parameters: what a layer does
not need goes into the feed-forward parts. Data are made from the seed; all layers see the same ones in the same order.
Sizes were tried out with seed 100.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from mnemic.bench import machine
from mnemic.neural import plot
from mnemic.neural.compare import CONTROLS, Shape, markdown, summary
from mnemic.neural.registry import LAYERS
from mnemic.neural.tasks import make
from mnemic.neural.train import Trainer, Training

RESULTS = Path(__file__).parent / "results" / "neural"
TABLE = Path(__file__).parent / "neural.md"


@dataclass(frozen=True)
class Experiment:
    """A task with its settings, and what it shows. ``training`` replaces settings of :class:`Training`."""

    shows: str
    task: str
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


FEW = {"pairs": 4, "keys": 8, "values": 8}
SHAPE = Shape(parameters=266_000, settings={"gated-deltanet": {"d_head": 56}})
EXPERIMENTS = {
    "mqar": Experiment("four pairs beyond the window: is there a memory at all", "mqar", FEW),
    "many": Experiment("eight of 16 keys: how much fits into the state", "mqar"),
    "overwrite": Experiment(
        "half the keys are bound again, and the latest value counts: it takes a rule that unlearns",
        "mqar",
        {**FEW, "overwrite": 0.5},
    ),
    "noise": Experiment(
        "every pair is shown three times, a fifth of the showings is wrong: windows of pairs average",
        "mqar",
        {**FEW, "repeats": 3, "noise": 0.2},
    ),
    "delay": Experiment("the value comes three tokens after its key: momentum carries", "mqar", {**FEW, "delay": 3}),
    "passkey": Experiment(
        "three digits in filler, trained at 96 tokens", "passkey", {"digits": 3, "length": 96, "longest": 1536}
    ),
    "babilong1": Experiment("where is a person: one fact", "babilong", {"length": 128, "longest": 512}),
    "babilong2": Experiment(
        "where is a thing that was carried: two facts", "babilong", {"kind": 2, "length": 128, "longest": 512}
    ),
    "copying": Experiment("eight symbols among blanks, in order", "copying"),
    "permuted": Experiment("eight symbols by their place numbers", "copying", {"permuted": True}),
    "book": Experiment("the loss of a book whose characters keep their traits", "book"),
    "dialogues": Experiment("facts told and changed, asked turns later", "dialogues", {"turns": 16, "longest": 64}),
    "clevr": Experiment("questions about one thing and about pairs", "clevr"),
    "listops": Experiment("nested lists worked out", "listops", {"depth": 2, "length": 48}),
}


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    named = arguments.experiments.split(",") if arguments.experiments else list(EXPERIMENTS)
    for name in named:
        if name not in EXPERIMENTS:
            sys.exit(f"there is no experiment {name!r}: use {', '.join(EXPERIMENTS)}")
    layers = list(LAYERS) if arguments.layers == "all" else list(filter(None, arguments.layers.split(",")))
    works = [
        (name, layer, seed)
        for seed in range(arguments.first, arguments.first + arguments.seeds)
        for name in named
        for layer in dict.fromkeys([*CONTROLS, *layers])
    ]
    with Progress() as bar:
        task = bar.add_task("runs", total=len(works))
        for each in works:
            bar.update(task, description=" ".join(map(str, each)))
            _one(*each, arguments)
            bar.advance(task)


def _one(name: str, layer: str, seed: int, arguments: argparse.Namespace) -> None:
    experiment, path = EXPERIMENTS[name], RESULTS / f"{name}.json"
    told = json.loads(path.read_text("utf-8")) if path.exists() else {"experiment": name, "runs": []}
    task = make(experiment.task, experiment.settings)
    training = replace(
        Training(
            steps=arguments.steps, seconds=60 * arguments.minutes, batch=16, seed=seed, log_every=20, test_batches=4
        ),
        **experiment.training,
    )
    wanted = json.loads(json.dumps({"task": {"name": task.name, **asdict(task)}, "training": asdict(training)}))
    for each in told["runs"]:
        if any({**each[part], "seed": seed} != {**wanted[part], "seed": seed} for part in wanted):
            sys.exit(f"{path} holds runs with other settings: give those again, or move it away")
        if (each["name"], each["seed"]) == (layer, seed):
            return
    trainer = Trainer(SHAPE.build(layer, task.vocab, seed=seed), task, training, about={"load": machine.load()})
    log = trainer.run()
    told |= {"command": "python benchmarks/neural.py " + " ".join(sys.argv[1:]), "machine": machine.describe()}
    told["runs"].append({"name": layer, "seed": seed, **log})
    RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n", "utf-8")


def table() -> str:
    """All results as Markdown, and a picture of the scores of each experiment beside it."""
    lines = [
        "# Memory layers on small tasks",
        "",
        "Made by `python benchmarks/neural.py table`. Scores are in percent of the first test (of the book nats, where",
        "less is better), with Student's 95 % interval over seeds (shares end at 0 and 100); the columns at the end",
        "are further tests, longer or harder than what was trained on. Runs end after their steps or their time,",
        "whichever is first, so on a busy machine (load) slow layers may have seen fewer steps. `none` reads no",
        "memory, `window` sees too little, the state of `full` grows with the text: its bytes are those after one",
        "sequence.",
    ]
    for name, experiment in EXPERIMENTS.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        told = json.loads(path.read_text("utf-8"))
        rows, first = summary(told["runs"]), told["runs"][0]
        rows.sort(key=lambda row: [*CONTROLS, *LAYERS].index(row["name"]))
        training, model = first["training"], first["model"]
        chance = "" if rows[0]["metric"] == "nats" else f" Chance is {100 * rows[0]['chance']:.2g} %."
        settings = ", ".join(f"{key}={value}" for key, value in first["task"].items() if key != "name")
        about = [
            f"{experiment.shows[0].upper()}{experiment.shows[1:]}. The score is {rows[0]['metric']}.{chance}",
            f"Task {experiment.task} ({settings}); width {model['d_model']}, {model['n_layers']} blocks, batch",
            f"{training['batch']}, at most {training['steps']} steps and {training['seconds']:.0f} s;",
            f"{told['machine']['processor']}, one thread.",
        ]
        lines += ["", f"## {name}", "", *about, "", markdown(rows).rstrip(), "", f"![scores](neural-{name}.svg)"]
        plot.bars(rows, TABLE.with_name(f"neural-{name}.svg"))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--experiments", default="", help="joined by commas; all by default")
    parser.add_argument("--layers", default="", help="joined by commas, or all; beside the controls")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=4, help="the most that one run may train")
    arguments = parser.parse_args()
    if arguments.what == "table":
        TABLE.write_text(table(), "utf-8")
    else:
        run(arguments)


if __name__ == "__main__":
    main()
