"""What changed from one version to the next, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

Change = Literal["same", "removed", "added"]
MOST = 4000
"""Words of a text that are compared; beyond, the whole text counts as changed."""
_PIECE = re.compile(r"\s+|\w+|[^\w\s]")


def words(old: str, new: str) -> list[tuple[Change, str]]:
    """The stretches of both texts in order: what stayed, what went, what came.

    What stayed and what went make up ``old``, what stayed and what came make up ``new``.
    """
    before, after = _PIECE.findall(old), _PIECE.findall(new)
    if max(len(before), len(after)) > MOST:
        return _told([("removed", old), ("added", new)]) if old != new else _told([("same", old)])
    found: list[tuple[Change, str]] = []
    for op, i, j, m, n in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if op == "equal":
            found.append(("same", "".join(before[i:j])))
        else:
            found += [("removed", "".join(before[i:j])), ("added", "".join(after[m:n]))]
    return _told(_joined(found))


def _joined(parts: list[tuple[Change, str]]) -> list[tuple[Change, str]]:
    """A blank alone between two changes belongs to both: a phrase that was replaced reads as a phrase."""
    out: list[tuple[Change, str]] = []
    for place, (change, text) in enumerate(parts):
        between = 0 < place < len(parts) - 1 and parts[place - 1][0] != "same" and parts[place + 1][0] != "same"
        out += (
            [("removed", text), ("added", text)]
            if change == "same" and text.isspace() and between
            else [(change, text)]
        )
    merged: list[tuple[Change, str]] = []
    run: dict[Change, str] = {"removed": "", "added": ""}
    for change, text in [*out, ("same", "")]:
        if change == "same":
            merged += [(kind, run[kind]) for kind in ("removed", "added")]
            run = {"removed": "", "added": ""}
            merged.append((change, text))
        else:
            run[change] += text
    return merged


def _told(parts: list[tuple[Change, str]]) -> list[tuple[Change, str]]:
    return [(change, text) for change, text in parts if text]
