"""JSON lines: one object a line with the fields of :class:`~mnemic.text.record.Turn`.

``text`` is required; ``speaker``, ``at`` (ISO 8601 or epoch seconds; without a zone UTC), ``session``, ``role``
(user, assistant, system, tool), ``caption``, ``id`` and ``meta`` (an object) are optional or null. Fields of any
other name go to ``meta``. An id may come again only on an equal line. The whole file is checked before the
first turn is handed out, so a bad line means that nothing was imported; ``skip_bad`` leaves bad lines out instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from mnemic.errors import InputError
from mnemic.text.importers.source import ANY, ENCODING, MAX_ITEM, documents, fail, head, occurrences, plain_name
from mnemic.text.importers.turns import ROLES, Tally, finish, jsonable, moment, string
from mnemic.text.record import Turn

_TEXTS = ("text", "speaker", "session", "role", "caption", "id")
_NOTHING = "nothing of this file was imported: correct the line, or leave bad lines out with --skip-bad (skip_bad=True)"


class _BadLineError(ValueError):
    """What is wrong with one line."""


def sniff(path: Path) -> bool:
    """Whether the first line is a JSON object with a text."""
    first = head(path).lstrip().split("\n", 1)[0]
    try:
        item = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(item, dict) and isinstance(item.get("text"), str)


def count(path: Path) -> int | None:
    """About how many lines there are."""
    return occurrences(path, b"\n")


def read(path: Path, *, skip_bad: bool = False, tally: Tally | None = None) -> Iterator[Turn]:
    """The turns, one a line. Raises InputError with the number of the first bad line unless ``skip_bad``."""
    tally = Tally() if tally is None else tally
    if not skip_bad:
        for _ in _turns(path, False, None):
            pass
    yield from finish(_turns(path, skip_bad, tally), "jsonl", plain_name(path), tally)


def _turns(path: Path, skip_bad: bool, tally: Tally | None) -> Iterator[Turn]:
    ids: dict[str, tuple[int, bytes]] = {}
    with documents(path, ANY, "file") as found:
        for _, file in found:
            number = 0
            while line := file.readline(MAX_ITEM + 1):
                number += 1
                try:
                    turn = _turn(line, number == 1)
                    if turn is not None and turn.id is not None:
                        _check_id(turn.id, number, line, ids)
                except _BadLineError as error:
                    if len(line) > MAX_ITEM or not skip_bad:  # the rest of an endless line is no line of its own
                        raise fail(path, f"line {number}", str(error), _NOTHING) from None
                    if tally is not None:
                        tally.skip("bad line")
                    continue
                if turn is not None:
                    yield turn


def _check_id(id: str, number: int, line: bytes, ids: dict[str, tuple[int, bytes]]) -> None:
    mark = blake2b(line.strip(), digest_size=8).digest()
    first, before = ids.setdefault(id, (number, mark))
    if before != mark:
        raise _BadLineError(f"the id {id[:80]!r} is that of line {first}, which says something else")


def _turn(line: bytes, first: bool) -> Turn | None:
    if len(line) > MAX_ITEM:
        raise _BadLineError(f"the line is longer than {MAX_ITEM >> 20} MiB")
    try:
        text = line.decode("utf-8-sig" if first else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise _BadLineError(f"byte {error.start + 1} of it is not UTF-8 text: {ENCODING}") from None
    if not text:
        return None
    try:
        item = json.loads(text, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        half = "" if line.endswith(b"\n") else " (the last line, cut off?)"
        raise _BadLineError(f"this is not JSON{half}: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise _BadLineError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise _BadLineError(f"this JSON cannot be read: {error}") from None
    if not isinstance(item, dict):
        raise _BadLineError("this is not a JSON object with a field text")
    return _fields(item)


def _fields(item: dict[str, Any]) -> Turn:
    for key in _TEXTS:
        if not isinstance(item.get(key), str) and (key == "text" or item.get(key) is not None):
            raise _BadLineError(f"the field {key} must be text" if key in item else f"the field {key} is missing")
    if item.get("role") is not None and item["role"] not in ROLES:
        raise _BadLineError(f"the role {item['role'][:40]!r} is none of {', '.join(ROLES)}")
    meta = item.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise _BadLineError("the field meta must be a JSON object")
    at = moment(item.get("at"))
    if at is None and item.get("at") is not None:
        raise _BadLineError(f"cannot read the time {str(item['at'])[:40]!r}: give ISO 8601, such as 2023-05-08T13:56")
    other = {k: v for k, v in item.items() if k not in (*_TEXTS, "at", "meta")}
    try:
        extra = jsonable({**other, **(meta or {})})
    except InputError as error:
        raise _BadLineError(str(error)) from None
    id = string(item.get("id")) or None
    return Turn(
        text=item["text"], speaker=item.get("speaker"), at=at, session=item.get("session"), role=item.get("role"),
        caption=item.get("caption"), id=id, meta=extra,
    )  # fmt: skip
