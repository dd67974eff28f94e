"""The plots of a report, as SVG that takes its text colour from the page and so suits dark and light."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mnemic.bench import report
from mnemic.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#3b82d6", "#e07b39", "#2fa572", "#b25bb0", "#a08a2c", "#d8505a", "#4aa8b8", "#8b8f99")
"""Told apart on white and on black, and by most colour-blind readers."""
_INK = "#010203"  # drawn with, then replaced by the colour of the page's text
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
}


def figures(result: report.Result, names: Sequence[str], salt: str) -> list[tuple[str, str]]:
    """(title, SVG) of every plot that the result has numbers for."""
    systems = result["systems"]
    found = []
    for field, cuts, title, label in (
        ("ranks", report.KS, "Evidence found by number of turns", "turns (k)"),
        ("tokens", report.TOKENS, "Evidence found by tokens of prompt", "tokens"),
    ):
        curves = [(s["label"], report.curve(s, field, cuts)) for s in systems]
        if any(values for _, values in curves):
            found.append((title, _draw(partial(_lines, curves=curves, cuts=cuts, label=label), salt + field)))
    if names:
        timed = [s for s in systems if report.timed(s)]
        if timed:
            scatter = partial(_scatter, systems=timed, metric=names[0])
            found.append((f"{names[0]} against latency", _draw(scatter, salt + "ms")))
        groups = report.groups(result, names[0])
        if len(groups) > 1:
            bars = partial(_bars, systems=systems, metric=names[0], groups=groups)
            found.append((f"{names[0]} by type of question", _draw(bars, salt + "type")))
    return found


def _draw(paint: Any, salt: str) -> str:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError('plots need matplotlib: pip install "mnemic[bench]"') from error
    with rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        paint(figure.add_subplot())
        kept = io.StringIO()
        figure.savefig(kept, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = kept.getvalue()
    return svg[svg.index("<svg") :].replace(_INK, "currentColor")


def _lines(axes: Axes, curves: Sequence[tuple[str, Sequence[float]]], cuts: Sequence[int], label: str) -> None:
    for colour, (name, values) in zip(_cycle(curves), curves, strict=True):
        if values:
            axes.plot(cuts, [100 * v for v in values], color=colour, marker="o", markersize=3.5, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(cuts, [str(cut) for cut in cuts])
    axes.minorticks_off()
    axes.set(xlabel=label, ylabel="% of evidence", ylim=(0, 102))
    axes.legend(loc="lower right")


def _scatter(axes: Axes, systems: Sequence[Mapping[str, Any]], metric: str) -> None:
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    for colour, system in zip(_cycle(systems), systems, strict=True):
        score = report.score(system, metric)
        if score is not None and score["value"] is not None:
            latency = system["latency_ms"]
            axes.plot([latency["p50"], latency["p95"]], [100 * score["value"]] * 2, color=colour, alpha=0.5)
            axes.plot(latency["p50"], 100 * score["value"], "o", color=colour, label=system["label"])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.minorticks_off()
    axes.set(xlabel="ms per recall: p50 (dot) to p95", ylabel=f"{metric}, %")
    axes.margins(0.15)
    axes.legend(loc="best")


def _bars(axes: Axes, systems: Sequence[Mapping[str, Any]], metric: str, groups: Sequence[str]) -> None:
    step = 0.8 / len(systems)
    for n, (colour, system) in enumerate(zip(_cycle(systems), systems, strict=True)):
        for row, group in enumerate(groups):
            score = report.score(system, metric, group)
            if score is None or score["value"] is None:
                continue
            low, high = (
                bound if bound is not None else score["value"] for bound in score["clustered"] or score["interval"]
            )
            place = row + (n - (len(systems) - 1) / 2) * step
            axes.barh(
                place, 100 * score["value"], step * 0.9, color=colour, label=system["label"] if row == 0 else None
            )
            axes.plot([100 * low, 100 * high], [place, place], color=_INK, linewidth=1)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel=f"{metric}, %", xlim=(0, 102))
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.2), ncols=2)


def _cycle(items: Sequence[Any]) -> list[str]:
    return [COLOURS[n % len(COLOURS)] for n in range(len(items))]
