"""``mnemic train``: train a small model around a memory layer on a task, or compare layers on it."""

from __future__ import annotations

import json as json_
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.errors import InputError
from mnemic.lazy import torch_needed
from mnemic.neural import tasks

if TYPE_CHECKING:
    from mnemic.neural.compare import Shape
    from mnemic.neural.tasks.base import Task
    from mnemic.neural.train import Progress as Told
    from mnemic.neural.train import Training

_TASK = "TASK"
_UNITS = {"s": 1, "m": 60, "h": 3600}


class _Tasks(TyperGroup):
    """A group in which any other word is the name of a task: ``mnemic train mqar``."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, _TASK)


app = typer.Typer(
    cls=_Tasks, help="Train small models around memory layers: mnemic train TASK, compare, list.", no_args_is_help=True
)
Budget = Annotated[
    str | None,
    typer.Option("--budget", help="The most time that a training may take, such as 90s, 10m or 1h; evaluation extra."),
]
Steps = Annotated[int, typer.Option("--steps", help="Steps of a training.", min=1)]
Seed = Annotated[int, typer.Option("--seed", help="What is drawn at random is drawn from this.", min=0)]
LayerSets = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE of the layer, or LAYER.NAME=VALUE where there are several."),
]
TaskSets = Annotated[list[str] | None, typer.Option("--task-set", help="NAME=VALUE of the task, such as pairs=16.")]
TrainSets = Annotated[
    list[str] | None,
    typer.Option("--train-set", help="NAME=VALUE of the training, such as lr=0.001, batch=64 or segment=128."),
]
Width = Annotated[int, typer.Option("--width", help="Features of the model.", min=1)]
Depth = Annotated[int, typer.Option("--layers", help="Blocks of the model.", min=1)]
Conv = Annotated[
    int, typer.Option("--conv", help="Tokens that the convolution before each memory reads; 0 is none.", min=0)
]
Device = Annotated[str, typer.Option("--device", help="Where it runs, as torch names it: cpu, cuda.")]


@app.command(_TASK)
def train(
    context: typer.Context,
    layer: Annotated[str, typer.Option("--layer", help="A layer that `mnemic train list` shows, or none.")],
    budget: Budget = None,
    steps: Steps = 1500,
    seed: Seed = 0,
    setting: LayerSets = None,
    task_setting: TaskSets = None,
    training_setting: TrainSets = None,
    width: Width = 64,
    layers: Depth = 2,
    conv: Conv = 2,
    device: Device = "cpu",
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder of the run: log, checkpoints, model; none is kept without.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")] = False,
    json: o.Json = False,
) -> None:
    """Train on the task of this name, and evaluate on fresh data. The task comes in the place of TASK."""
    name = str(context.info_name)
    task = _task(name, task_setting)
    training = _training(steps, budget, seed, training_setting)
    shape = _shape(width, layers, conv, 4, device, [layer], setting)
    model = shape.build(layer, task.vocab, seed=seed)
    trainer = _load("train").Trainer(model, task, training, out=out, about=_about())
    with _bar(f"{name}, {layer}", steps) as told:
        log = trainer.run(resume=resume, progress=told)
    if json:
        show.print_json(log)
        return
    result = log["result"]
    metric, score = result["metric"], _load("compare").score
    chance = "" if metric == "nats" else f"; chance {score(result['chance'], metric)}"
    show.out.print(
        f"{name} with {layer}: {metric} {score(result['headline'], metric)}{chance}; {log['parameters']:,} parameters, "
        f"{log['state_bytes']:,} bytes of state, {log['steps']:,} steps in {log['seconds']:.0f} s",
        markup=False,
    )
    rows = [(label, "all", *_numbers(each)) for label, each in result["tests"].items()]
    rows += [
        (label, f"{by} {value}", *_numbers(each))
        for label, test in result["tests"].items()
        for by, values in test["by"].items()
        for value, each in values.items()
    ]
    show.table(("test", "answers", "accuracy", "exact", "nats", "n"), rows)
    if out is not None:
        show.out.print(f"kept in {out}", markup=False, style="dim")


@app.command("compare")
def compare(
    task_name: Annotated[str, typer.Argument(metavar="TASK", help="A task that `mnemic train list` shows.")],
    out: Annotated[Path, typer.Option("--out", help="The folder of the comparison; one that is there goes on.")],
    layer: Annotated[list[str], typer.Option("--layer", help="A layer; give the option for each.")],
    controls: Annotated[
        str, typer.Option("--controls", help="Joined by commas, of none, window, full, and layers; or an empty text.")
    ] = "none,window,full,gated-deltanet",
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of each, from --seed on.", min=1)] = 3,
    budget: Budget = None,
    steps: Steps = 1500,
    seed: Seed = 0,
    setting: LayerSets = None,
    task_setting: TaskSets = None,
    training_setting: TrainSets = None,
    width: Width = 64,
    layers: Depth = 2,
    conv: Conv = 2,
    device: Device = "cpu",
    reach: Annotated[int, typer.Option("--reach", help="Tokens that the control called window sees.", min=1)] = 4,
    plot: Annotated[bool, typer.Option("--plot/--no-plot", help="Draw scores and curves.")] = True,
    json: o.Json = False,
) -> None:
    """Train several layers and controls on the same data and steps, and tell the mean and its interval over seeds."""
    task = _task(task_name, task_setting)
    training = _training(steps, budget, seed, training_setting)
    shape = _shape(width, layers, conv, reach, device, layer, setting)
    chosen = [each.strip() for each in controls.split(",") if each.strip()]
    made = _load("compare")
    if plot:
        _load("plot").needed()
    with _bar("", steps) as told:

        def watch(name: str, number: int) -> Told:
            return lambda step, loss: told(step, loss, f"{name}, seed {number}")

        result = made.compare(
            task, layer, training=training, out=out, seeds=seeds, shape=shape, controls=chosen, about=_about(),
            watch=watch,
        )  # fmt: skip
    if plot:
        _load("plot").bars(result["rows"], out / "scores.svg")
        _load("plot").curves(result["runs"], out / "curves.svg")
    (out / "compare.md").write_text(made.markdown(result["rows"]), "utf-8")
    if json:
        show.print_json(result)
        return
    rows = result["rows"]
    show.table(made.columns(rows), [made.cells(row) for row in rows], title=f"{task_name}: {rows[0]['metric']}")
    show.out.print(f"kept in {out}", markup=False, style="dim")


@app.command("list")
def list_(json: o.Json = False) -> None:
    """The tasks and the layers that can be named."""
    known: Mapping[str, Any] = _load("registry").LAYERS
    if json:
        show.print_json(
            {
                "tasks": [{"name": n, "about": e.about, "paper": e.paper} for n, e in tasks.TASKS.items()],
                "layers": [{"name": n, "about": e.about, "paper": e.paper} for n, e in known.items()],
            }
        )
        return
    show.table(("task", "what it asks", "from"), [(n, e.about, e.paper) for n, e in tasks.TASKS.items()])
    show.table(("layer", "what it remembers", "from"), [(n, e.about, e.paper) for n, e in known.items()])


def seconds(text: str) -> float:
    """A time such as ``90s``, ``10m`` or ``1.5h``; a number alone is seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if not found or float(found[1]) == 0:
        raise InputError(f"--budget takes a time such as 90s, 10m or 1h, not {text!r}")
    return float(found[1]) * _UNITS[found[2] or "s"]


def pairs(settings: Sequence[str] | None, option: str) -> dict[str, str]:
    """NAME=VALUE texts as a dict."""
    found = {}
    for each in settings or []:
        key, equals, text = each.partition("=")
        if not equals:
            raise InputError(f"{option} takes NAME=VALUE, not {each!r}")
        found[key.strip()] = text.strip()
    return found


def value(text: str) -> Any:
    """A number, true, false, none, or the text itself."""
    if text.lower() in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[text.lower()]
    try:
        return json_.loads(text)
    except ValueError:
        return text


def _load(module: str) -> Any:
    """A module of the floor; MissingExtraError without torch."""
    with torch_needed("mnemic train"):
        import_module("torch")
        return import_module(f"mnemic.neural.{module}")


def _task(name: str, settings: Sequence[str] | None) -> Task:
    given = pairs(settings, "--task-set")
    _load("tasks.base")
    return tasks.make(name, given)


def _training(steps: int, budget: str | None, seed: int, settings: Sequence[str] | None) -> Training:
    given = {key: value(text) for key, text in pairs(settings, "--train-set").items()}
    limit = {"seconds": seconds(budget)} if budget is not None else {}
    made: Training = _load("train").training({"steps": steps, "seed": seed, **limit, **given})
    return made


def _shape(
    width: int, depth: int, conv: int, reach: int, device: str, names: Sequence[str], settings: Sequence[str] | None
) -> Shape:
    """``NAME=VALUE`` goes to every named layer, ``LAYER.NAME=VALUE`` to that one."""
    each: dict[str, dict[str, Any]] = {}
    for key, text in pairs(settings, "--set").items():
        of, dot, name = key.rpartition(".")
        for layer in [of] if dot else names:
            each.setdefault(layer, {})[name] = value(text)
    made: Shape = _load("compare").Shape(
        d_model=width, n_layers=depth, conv=conv, reach=reach, device=device, settings=each
    )
    return made


def _about() -> dict[str, Any]:
    from mnemic.bench import machine

    return {"machine": machine.describe(), "load": machine.load()}


def _numbers(told: Mapping[str, Any]) -> list[str]:
    return [f"{100 * told['accuracy']:.1f}", f"{100 * told['exact']:.1f}", f"{told['nats']:.3f}", f"{told['n']:,}"]


@contextmanager
def _bar(what: str, steps: int) -> Iterator[Any]:
    """A progress bar on standard error with the loss; yields what is told (step, loss, perhaps what is trained)."""
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    silent = not show.err.is_terminal
    with Progress(*parts, TextColumn("{task.fields[loss]}"), console=show.err, disable=silent) as bar:
        line = bar.add_task(what, total=steps, loss="")
        yield lambda step, loss, name=what: bar.update(line, completed=step, loss=f"loss {loss:.3f}", description=name)
