"""Plots of trainings, as SVG or PNG by the name of the file; they need the extra ``[bench]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemic.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "mnemic", "font.size": 9, "axes.grid": True, "grid.alpha": 0.2,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
}  # fmt: skip


def curves(runs: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """The training loss by step of every run: a colour for each ``name``, a line for each seed."""
    names = list(dict.fromkeys(str(each.get("name", "loss")) for each in runs))

    def paint(axes: Axes) -> None:
        for each in runs:
            name = str(each.get("name", "loss"))
            points = [(point["step"], point["loss"]) for point in each["curve"]]
            first = each is next(other for other in runs if str(other.get("name", "loss")) == name)
            axes.plot(
                *zip(*points, strict=True), color=f"C{names.index(name)}", linewidth=1.2, alpha=0.8,
                label=name if first else None,
            )  # fmt: skip
        axes.set(xlabel="step", ylabel="training loss, nats")
        axes.legend(loc="best")

    return _draw(paint, path, 3.4)


def bars(rows: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """The headline of every row of a comparison with its interval; a dotted line is chance."""
    metric = rows[0]["metric"]
    scale = 1.0 if metric == "nats" else 100.0

    def paint(axes: Axes) -> None:
        for place, row in enumerate(rows):
            axes.barh(place, scale * row["mean"], 0.7, color="C0")
            if row["interval"]:
                axes.plot([scale * each for each in row["interval"]], [place, place], color="black", linewidth=1.2)
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        if metric != "nats":
            axes.axvline(scale * rows[0]["chance"], color="black", linestyle=":", linewidth=1)
            axes.set_xlim(0, 102)
        axes.set(xlabel="loss, nats" if metric == "nats" else f"{metric}, %")

    return _draw(paint, path, 0.8 + 0.35 * len(rows))


def needed() -> None:
    """Raises :class:`MissingExtraError` where matplotlib is not installed: before the hours of training."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError('plots need matplotlib: pip install "mnemic[bench]"')


def _draw(paint: Callable[[Axes], None], path: str | Path, height: float) -> Path:
    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"a plot is written as .svg or .png, not {path.name}")
    needed()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(5.6, height), layout="constrained")
        paint(figure.add_subplot())
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path
