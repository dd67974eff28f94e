"""``mnemic bench``: run benchmarks, make reports of their results, and the evaluation card of a system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mnemic.bench.answers import Answering
from mnemic.bench.card import card as make_card
from mnemic.bench.contender import contender, everybody
from mnemic.bench.controls import CONTROLS
from mnemic.bench.report import html, load, markdown
from mnemic.bench.run import Settings, run
from mnemic.bench.suites import SUITES, make
from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.cli.memorization import memorization
from mnemic.cli.peers import peers
from mnemic.cli.study import study
from mnemic.text.systems import SYSTEMS

app = typer.Typer(help="Measure memory systems: run a suite, report, evaluation card.", no_args_is_help=True)
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="MNEMIC_DATA", help="The folder that holds the suite's files, or a folder of such folders."
    ),
]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        help="\\[READER+]SYSTEM\\[@ENCODERS], such as mnemic@splade-tiny+minilm or longrag+hema@lexical, or a control "
        "(bm25, recent, random), or all\\[@ENCODERS].",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="What is drawn at random is drawn from this.")]


@app.command("list")
def list_(json: o.Json = False) -> None:
    """The suites and what each measures, the systems and the controls."""
    suites = [make(name) for name in SUITES]
    if json:
        rows = [{"name": s.name, "about": s.about, "licence": s.licence, "headline": s.headline} for s in suites]
        show.print_json({"suites": rows, "systems": list(SYSTEMS), "controls": list(CONTROLS)})
        return
    show.table(("suite", "measures", "licence of the data"), [(s.name, s.about, s.licence) for s in suites])
    show.out.print(f"systems: {', '.join(SYSTEMS)}; controls: {', '.join(CONTROLS)}", markup=False)


@app.command("run")
def run_(
    suite: Annotated[str, typer.Argument(help="A suite that `mnemic bench list` shows, NAME or NAME:VARIANT.")],
    data: Data = None,
    system: Systems = None,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the result here (.gz: compressed); a broken run goes on.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Only the first so many cases.", min=1)] = None,
    seed: Seed = 0,
    k: Annotated[int | None, typer.Option("-k", help="Hits to ask for; default: what the suite needs.", min=1)] = None,
    reflect: Annotated[bool, typer.Option("--reflect", help="Let the system reflect before it is asked.")] = False,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Say too what share of the evidence fits into so many tokens.", min=1)
    ] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Keep encodings of turns on disk.")] = True,
    answer: Annotated[
        bool, typer.Option("--answer", help="Answer the questions too; a --model words the answers and judges them.")
    ] = False,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
) -> None:
    """Run a suite and print its table. Data stays where it is: results hold ids and numbers, no text."""
    language = o.language(model, base_url) if answer or reflect else None
    named = [each for name in system or ["mnemic", "bm25"] for each in _expanded(name)]
    subjects = [contender(name, cache=cache, language=language) for name in named]
    with _bars() as tell:
        result = run(
            suite,
            subjects,
            data,
            settings=Settings(limit, seed, k, reflect, budget),
            out=out,
            responder=Answering(language) if answer else None,
            progress=tell,
        )
    typer.echo(markdown([result.to_json()]), nl=False)


def _expanded(name: str) -> list[str]:
    spec, _, legs = name.partition("@")
    return everybody(legs) if spec == "all" else [name]


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files, in the order of the report.")],
    page: Annotated[Path | None, typer.Option("--html", help="Write a page with plots here.")] = None,
    title: Annotated[str, typer.Option("--title", help="The page's title.")] = "Mnemic benchmarks",
) -> None:
    """Tables of result files as Markdown; with --html also one self-contained page."""
    found = load(results)
    if page is not None:
        page.write_text(html(found, title), encoding="utf-8")
    typer.echo(markdown(found), nl=False)


@app.command()
def card(
    system: Annotated[str, typer.Option("--system", help="SYSTEM\\[@ENCODERS].")] = "mnemic",
    results: Annotated[
        list[Path] | None, typer.Option("--result", help="Result files whose scores of this system are quoted.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write the card here.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="How much to measure; intervals shrink with it.", min=1)] = 5,
    reflect: Annotated[bool, typer.Option("--reflect", help="Let the system reflect after every write.")] = False,
    seed: Seed = 0,
) -> None:
    """The evaluation card: correctness, citations, position, timeliness, refusal, cost."""
    with Console(stderr=True).status("measuring") as status:
        made = make_card(
            system,
            seed=seed,
            rounds=rounds,
            reflect=reflect,
            results=load(results or []),
            progress=lambda name: status.update(f"measured: {name}"),
        )
    if out is not None:
        out.write_text(json.dumps(made.to_json(), indent=1) + "\n", encoding="utf-8")
    typer.echo(made.markdown(), nl=False)


@contextmanager
def _bars() -> Iterator[Any]:
    """A progress bar for each contender, on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def tell(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done)

        yield tell


app.command("peers")(peers)
app.command("study")(study)
app.command("memorization")(memorization)
