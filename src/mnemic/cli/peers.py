"""``mnemic bench peers``: other memories that need no language model, measured beside Mnemic on this machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mnemic import models
from mnemic.bench.peers import chosen, compare, encoded, locomo
from mnemic.text.encode.dense import MiniLM

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="MNEMIC_DATA", help="The folder that holds LoCoMo's file, or a folder of such folders."
    ),
]


def peers(
    data: Data = None,
    peer: Annotated[
        list[str] | None, typer.Option("--peer", help="Only this row; may be repeated.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Only the first so many conversations.", min=1)] = 3,
    questions: Annotated[int, typer.Option("--questions", help="How many questions to draw.", min=1)] = 200,
    seed: Annotated[int, typer.Option("--seed", help="The questions are drawn from this.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Write the result here, and beside it as Markdown (.md).")] = Path(
        "peers.json"
    ),
    environments: Annotated[
        Path | None,
        typer.Option("--environments", help="Folder of the peers' virtual environments; default: the user's cache."),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds one call of a peer may take.", min=1)] = 600.0,
) -> None:
    """Install peers (pinned, about 2 GB, once), then measure size, memory, times and recall of each on LoCoMo.

    Installing uses your pip settings; measuring uses no network. A peer that does not run is a row with the reason.
    """
    entries = chosen(peer)
    work = locomo(data, conversations=limit, questions=questions, seed=seed)
    console = Console(stderr=True)
    for name in ("splade-tiny", "minilm"):
        models.pull(name)
    encoder = MiniLM()
    with console.status("encoding the turns") as status:
        given = encoded(work, encoder)
        result = compare(
            given,
            entries,
            command=_command(limit, questions, seed, peer),
            encoder=encoder,
            where=environments,
            out=out,
            timeout=timeout,
            progress=lambda name, doing: status.update(f"{name}: {doing}"),
        )
    typer.echo(result.markdown(), nl=False)


def _command(limit: int, questions: int, seed: int, peer: list[str] | None) -> str:
    """How to repeat this run; the folder of the data is the reader's."""
    words = ["mnemic", "bench", "peers", "--data", "DIR"]
    words += ["--limit", str(limit), "--questions", str(questions), "--seed", str(seed)]
    for name in peer or ():
        words += ["--peer", name]
    return shlex.join(words)
