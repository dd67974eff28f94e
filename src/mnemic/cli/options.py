"""Options that many commands share, and opening the memory they name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_data_dir

from mnemic.errors import InputError
from mnemic.text import opening
from mnemic.text.language.base import Language
from mnemic.text.memory import Memory

Store = Annotated[
    Path | None,
    typer.Option(
        "--store", "-s", envvar="MNEMIC_STORE", help="A folder of spaces, or one FILE.db.", show_default=False
    ),
]
Space = Annotated[str, typer.Option("--space", envvar="MNEMIC_SPACE", help="The space inside the folder.")]
System = Annotated[
    str | None,
    typer.Option("--system", help="How the space remembers; only to make a new one.", show_default=False),
]
Reader = Annotated[
    str | None,
    typer.Option("--reader", help="Read through this reader, such as longrag (see `mnemic systems`)."),
]
Encoders = Annotated[
    str,
    typer.Option("--encoders", help="auto, lexical, or names joined by commas (splade-tiny,minilm)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Now = Annotated[str | None, typer.Option("--now", help="When the question is asked (ISO 8601); default: now.")]
ValidAt = Annotated[str | None, typer.Option("--valid-at", help="Ask about this moment of the world.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Answer as the store would have answered then.")]
K = Annotated[int, typer.Option("-k", help="How many hits.", min=1)]
Budget = Annotated[int | None, typer.Option("--budget", help="Tokens that the recalled text may take.", min=1)]
Model = Annotated[
    str | None,
    typer.Option("--model", envvar="MNEMIC_MODEL", help="A language model at an OpenAI-compatible endpoint."),
]
BaseUrl = Annotated[str | None, typer.Option("--base-url", envvar="MNEMIC_BASE_URL", help="The endpoint's address.")]


def store_path(store: Path | None) -> Path:
    """Where memories are kept when no store is named: the user's data folder."""
    return store if store is not None else Path(user_data_dir("mnemic", appauthor=False))


def language(model: str | None, base_url: str | None) -> Language | None:
    """The configured language model, None if there is none. Its key comes from OPENAI_API_KEY."""
    if model is None:
        if base_url is not None:
            raise InputError("--base-url needs --model: name the model to ask there")
        return None
    from mnemic.text.language.openai import connect

    return connect(model, base_url)


def open_memory(
    store: Path | None,
    space: str,
    system: str | None = None,
    encoders: str = "auto",
    *,
    read_only: bool = False,
    model: Language | None = None,
) -> Memory:
    """The memory that the shared options name, opened with the system its space records."""
    path = store_path(store)
    wanted = encoders if encoders in ("auto", "lexical") else [name.strip() for name in encoders.split(",")]
    named = system or opening.recorded_system(path, space) or "mnemic"
    return opening.open(path, space, named, encoders=wanted, language=model, read_only=read_only)


def read_text(source: Path) -> str:
    """The text of a file, or of standard input for ``-``; :class:`InputError` for what cannot be read as UTF-8."""
    try:
        return (sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()).decode()
    except UnicodeDecodeError as error:
        told = "standard input" if str(source) == "-" else str(source)
        raise InputError(f"{told} is not UTF-8 text ({error}): convert it first") from None
    except OSError as error:
        raise InputError(f"cannot read {source}: {error}") from None
