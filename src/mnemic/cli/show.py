"""How results look in a terminal, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mnemic.text.plan import Hit, Recall
from mnemic.text.steps.render import name, visible, when

out = Console(highlight=False, soft_wrap=True)  # whoever reads the output breaks the lines, not we
err = Console(stderr=True, highlight=False)
WIDE = 1000
"""Columns of a table that goes to a file or a pipe, where a folded id could not be found again."""


def plain(value: Any) -> Any:
    """``value`` as what JSON can hold: dataclasses as dicts, times as ISO 8601."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    return value


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def error(message: str, *, kind: str = "Error", as_json: bool = False) -> None:
    if as_json:
        sys.stderr.write(json.dumps({"error": kind, "message": message}, ensure_ascii=False) + "\n")
    else:
        err.print(Text.assemble(("error: ", "bold red"), visible(message)), soft_wrap=True)


def recall_json(found: Recall) -> dict[str, Any]:
    hits = [
        {
            "n": h.n, "id": h.id, "kind": h.kind.value, "text": h.text, "score": h.score, "speaker": h.speaker,
            "at": h.at, "session": h.session, "sources": h.sources, "legs": h.legs,
        }
        for h in found.hits
    ]  # fmt: skip
    return {
        "query": found.query,
        "confidence": found.confidence,
        "hits": hits,
        "text": found.text,
        "trace": found.trace,
    }


def print_recall(found: Recall) -> None:
    """The hits with who, when and score, then confidence and time."""
    if not found.hits:
        out.print(Text("Nothing relevant is stored.", style="yellow"))
    for h in found.hits:
        out.print(_hit(h))
    out.print(Text(f"confidence {found.confidence:.2f} · {found.trace.get('ms', 0):.1f} ms", style="dim"))


def _hit(h: Hit) -> Text:
    head = Text.assemble((f"[{h.n}] ", "bold cyan"), (when(h.at), "green"))
    if h.kind != "turn":
        head.append(f" ({h.kind})", "magenta")
    if h.speaker:
        head.append(f" {name(h.speaker)}", "bold")
    head.append(f"  {h.score:.2f}", "dim")
    head.append(f"  {h.id}\n", "dim")
    head.append("    " + h.text.replace("\n", "\n    "))
    return head


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]], title: str | None = None) -> None:
    """A plain table that folds rather than cuts; as wide as its cells where no terminal bounds it."""
    made = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*(Text(visible(str(cell)), overflow="fold") for cell in row))
    (out if out.is_terminal else Console(width=WIDE)).print(made, soft_wrap=False)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Any]:
    """A progress bar on standard error; yields a function that is told how much is done."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=not err.is_terminal,
        disable=not err.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
