"""``mnemic bench memorization``: what a language model recalls that it should not need to, or not be able to."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mnemic.bench import masked, series
from mnemic.bench.memorization import Plan, audit
from mnemic.cli import options as o
from mnemic.errors import InputError


def memorization(
    cutoff: Annotated[str, typer.Option("--cutoff", help="The last day the model is said to know (ISO 8601).")],
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    boundary: Annotated[
        str | None, typer.Option("--boundary", help="Tell the model to know nothing after this earlier day, too.")
    ] = None,
    today: Annotated[str | None, typer.Option("--today", help="The day of asking; default: the clock's.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", envvar="MNEMIC_DATA", help="The folder that holds the public series (econ)."),
    ] = None,
    own: Annotated[
        list[Path] | None,
        typer.Option("--series", help="A series of yours, CSV with date and value; repeatable.", show_default=False),
    ] = None,
    texts: Annotated[
        Path | None, typer.Option("--texts", help="Texts to mask: lines of JSON with text, entity, aliases, date.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Figures to ask for, of each series and place.", min=2)] = 30,
    seed: Annotated[int, typer.Option("--seed", help="What is drawn at random is drawn from this.")] = 0,
    tokens: Annotated[int, typer.Option("--tokens", help="Room for a reply, thoughts included.", min=8)] = 512,
    out: Annotated[Path | None, typer.Option("--json", help="Write the result here (.gz: compressed).")] = None,
) -> None:
    """Audit a model's memory: dated figures before and after its cutoff, instructed boundaries, masked entities."""
    plan = Plan(
        _day(cutoff), _day(today) if today else date.today(), _day(boundary) if boundary else None, n, seed, tokens
    )
    language = o.language(model, base_url)
    if language is None:
        raise InputError("the audit needs a model to ask: name it with --model (and --base-url)")
    found = [series.read(path) for path in own or ()]
    if data is not None and not own:
        found = series.known(data)[0]
    with Console(stderr=True).status("asking") as status:
        made = audit(
            language,
            plan,
            found,
            masked.read(texts) if texts else [],
            out=out,
            progress=lambda done, of: status.update(f"asked: {done} of {of}"),
        )
    typer.echo(made.markdown(), nl=False)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no date: write it as 2023-10-31") from None
