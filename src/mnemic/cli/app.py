"""Putting the commands together, and turning errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

import typer

from mnemic.cli import attend, data, demo, mcp, serve, show, verbs, weights
from mnemic.errors import InputError, MnemicError

app = typer.Typer(
    name="mnemic",
    help="Long-term memory for language models: remember turns, recall them cited and dated, in milliseconds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
INTERRUPTED = 130
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "remember": verbs.remember,
    "recall": verbs.recall,
    "ask": verbs.ask,
    "get": verbs.get,
    "revise": verbs.revise,
    "forget": verbs.forget,
    "history": verbs.history,
    "reflect": verbs.reflect,
    "stats": verbs.stats,
    "import": data.import_,
    "export": data.export,
    "restore": data.restore,
    "rebuild": data.rebuild,
    "serve": serve.serve,
    "mcp": mcp.mcp,
    "spaces": data.spaces,
    "systems": data.systems,
    "doctor": data.doctor,
    "attend": attend.attend,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(weights.app, name="models")
app.add_typer(serve.app, name="token")


GROUPS = {"bench": "mnemic.cli.bench", "govern": "mnemic.cli.govern", "train": "mnemic.cli.train"}
"""Groups of commands whose imports are dear: loaded when they are called, or when help is."""


def load(names: Iterable[str] = GROUPS) -> None:
    """Add these groups to the command line, if they are not there yet."""
    there = {group.name for group in app.registered_groups}
    for name in names:
        if name in GROUPS and name not in there:
            app.add_typer(import_module(GROUPS[name]).app, name=name)


@app.callback(invoke_without_command=True)
def version(
    shown: bool = typer.Option(False, "--version", help="Show the version and exit.", is_eager=True),
) -> None:
    if shown:
        import mnemic

        typer.echo(mnemic.__version__)
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run the command line with these arguments; returns the exit code."""
    as_json = "--json" in arguments
    load(GROUPS if not arguments or arguments[0] in ("-h", "--help") else arguments[:1])
    try:
        code = _call(arguments)
        sys.stdout.flush()
    except MnemicError as error:
        show.error(str(error), kind=type(error).__name__, as_json=as_json)
        return 2 if isinstance(error, InputError) else 1
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        show.error(f"{error}: check the path and its permissions", kind="OSError", as_json=as_json)
        return 1
    if code == INTERRUPTED:
        show.error("interrupted: what was acknowledged is stored", kind="Interrupted", as_json=as_json)
    return code


def _call(arguments: Sequence[str]) -> int:
    """The exit code of the command; a reader of our output that went away is a BrokenPipeError."""
    try:
        app(list(arguments))
    except SystemExit as finished:
        if isinstance(finished.__context__, BrokenPipeError):
            raise finished.__context__ from None
        return finished.code if isinstance(finished.code, int) else int(finished.code is not None)
    return 0
