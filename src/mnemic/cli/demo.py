"""``mnemic demo``: a conversation of eight months remembered, and questions about it answered."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mnemic import demo as conversation
from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.text import opening
from mnemic.text.plan import Recall


def demo(
    store: Annotated[Path, typer.Option("--store", "-s", help="Where the demo keeps its memory.")] = Path(".demo"),
    k: o.K = 3,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run stored.")] = False,
    json: o.Json = False,
) -> None:
    """Remember a conversation and ask about it."""
    if fresh and "demo" in opening.spaces(store):
        opening.drop(store, "demo")
    turns = conversation.turns()
    with opening.open(store, "demo") as memory:
        with show.progress("remembering", len(turns)) as advance:
            done = memory.ingest(turns, progress=advance)
        memory.reflect()
        legs = " + ".join(leg if leg == "lexical" else name for leg, name in memory.space.encoders.names().items())
        if not json:
            first, last = turns[0].at, turns[-1].at
            show.out.rule("[bold]Mnemic[/bold]")
            show.out.print(
                f"{done.stored} turns remembered, {done.skipped} were there already · {first:%d %B %Y} to "
                f"{last:%d %B %Y} · encoders: {legs} · no language model, no server, no key\n",
                markup=False,
            )
        told = []
        for question in conversation.questions():
            found = memory.recall(question.question, k=k, now=question.now)
            if json:
                told.append({"question": question.question, **show.recall_json(found)})
            else:
                _print(question.question, found, memory.ask(question.question, k=k, now=question.now).text)
    if json:
        show.print_json(told)


def _print(question: str, found: Recall, answer: str) -> None:
    show.out.print(Text.assemble(("? ", "bold yellow"), (question, "bold")))
    for h in found.hits:
        line = Text.assemble(
            f"  [{h.n}] ", (f"{h.at:%a %d %b %Y}" if h.at else "undated", "green"), " ", (h.speaker or "", "bold")
        )
        line.append(f" {h.score:5.2f}  ", "dim")
        line.append(textwrap.shorten(h.text, 150, placeholder="…"))
        show.out.print(line)
    show.out.print(Text.assemble(("  = ", "bold cyan"), textwrap.shorten(answer, 220, placeholder="…")))
    show.out.print(Text(f"  confidence {found.confidence:.2f} · {found.trace['ms']:.1f} ms\n", "dim"))
