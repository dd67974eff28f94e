"""The files of the bAbI tasks (Weston et al., arXiv 1502.05698), read. They are the user's own; this needs no torch."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mnemic.errors import InputError


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with the statements before it, each with its line number; ``support`` are line numbers."""

    statements: tuple[tuple[int, str], ...]
    question: str
    answer: str
    support: tuple[int, ...]


def read(path: Path) -> Iterator[Problem]:
    """The questions of one file. A line is ``N text`` or ``N question<tab>answer<tab>N N``; N = 1 begins a story.

    Raises :class:`InputError` for a file that is none of them.
    """
    story: list[tuple[int, str]] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for line in file:
                number, _, rest = line.rstrip("\n").partition(" ")
                if number == "1":
                    story = []
                text, *asked = rest.split("\t")
                if asked:
                    answer, support = asked
                    yield Problem(tuple(story), text.strip(), answer, tuple(map(int, support.split())))
                else:
                    story.append((int(number), text))
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path} cannot be read as bAbI ({error}): obtain the file again") from error
