"""Importers: files that other programs wrote, read as turns.

Every format is one module of the same shape: ``read(path, *, tally=None, ...)`` yields
:class:`~mnemic.text.record.Turn`, ``sniff(path)`` says whether a file looks like the format, ``count(path)`` estimates
the number of turns. Modules are loaded when they are used. Reading streams: a file that breaks in the middle raises
:class:`~mnemic.errors.InputError` after the turns before the break (only ``jsonl`` is checked whole first). Times
without a zone are UTC; formats that write a device's wall clock take ``zone``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from mnemic.errors import InputError
from mnemic.text.importers import source
from mnemic.text.importers.turns import Tally
from mnemic.text.record import Turn

__all__ = ["FORMATS", "Format", "Tally", "count", "detect", "read"]


class Importer(Protocol):
    """What a module of this package offers."""

    def read(self, path: Path, *, tally: Tally | None = None, **options: Any) -> Iterator[Turn]:
        """The turns in the file."""

    def sniff(self, path: Path) -> bool:
        """Whether the file looks like the format; never raises."""

    def count(self, path: Path) -> int | None:
        """About how many turns, None where counting is not cheap."""


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table of formats. ``extensions`` are the usual ones, they do not restrict."""

    name: str
    description: str
    extensions: tuple[str, ...]

    def load(self) -> Importer:
        """The module that reads the format."""
        return cast(Importer, import_module(f"{__name__}.{self.name}"))


# In the order in which a file of unknown format is tried: the most particular first, free text last.
FORMATS = {
    f.name: f
    for f in (
        Format("jsonl", "JSON lines, one turn a line", (".jsonl", ".ndjson", ".jsonl.gz")),
        Format("chatgpt", "ChatGPT data export (zip or conversations.json)", (".zip", ".json")),
        Format("claude", "Claude data export (zip or conversations.json)", (".zip", ".json")),
        Format("longmemeval", "LongMemEval benchmark questions", (".json", ".json.gz")),
        Format("locomo", "LoCoMo benchmark conversations", (".json", ".json.gz")),
        Format("telegram", "Telegram Desktop JSON export", (".json",)),
        Format("discord", "Discord channel exported as JSON", (".json",)),
        Format("mbox", "Mail in an mbox file", (".mbox", ".mbx")),
        Format("markdown", "Markdown notes, a file or a folder", (".md", ".markdown")),
        Format("chat", "Chat log: WhatsApp, IRC, or lines of 'Name: text'", (".txt", ".log", ".zip")),
    )
}


def detect(path: Path) -> str:
    """The name of the format of ``path``; raises InputError where it cannot be told."""
    path = Path(path)
    if not path.is_dir():
        source.check(path)
    for format in FORMATS.values():
        if (format.name == "markdown" or not path.is_dir()) and format.load().sniff(path):
            return format.name
    # An extension that only one format has decides, so that a damaged file is reported by the importer it belongs to.
    ending = path.name.lower()
    fits = [f.name for f in FORMATS.values() if ending.endswith(f.extensions)] if not path.is_dir() else []
    if len(fits) == 1:
        return fits[0]
    raise InputError(f"{path}: the format is not recognised; name it, one of: {', '.join(FORMATS)}")


def read(path: Path, format: str | None = None, *, tally: Tally | None = None, **options: Any) -> Iterator[Turn]:
    """The turns in ``path``, read as ``format`` (None: detected).

    ``options`` are those of the format's own ``read``; ``tally`` counts what was yielded and skipped. Raises
    InputError for an unknown format or option at once, and while reading where the file is not of the format.
    """
    path = Path(path)
    importer = _named(format if format is not None else detect(path)).load()
    known = [p for p in inspect.signature(importer.read).parameters if p not in ("path", "tally")]
    if wrong := [option for option in options if option not in known]:
        raise InputError(f"{wrong[0]!r} is no option of this format: it takes {', '.join(known) or 'none'}")
    return importer.read(path, tally=tally, **options)


def count(path: Path, format: str | None = None) -> int | None:
    """About how many turns ``path`` holds, options aside; None where counting would take long."""
    path = Path(path)
    return _named(format if format is not None else detect(path)).load().count(path)


def _named(name: str) -> Format:
    if name not in FORMATS:
        raise InputError(f"unknown format {name!r}: use one of {', '.join(FORMATS)}")
    return FORMATS[name]
