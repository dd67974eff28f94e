"""Keeping the items of other libraries: any JSON, its words where they are searched and masked, the rest in ``meta``.

What a memory says is its text: only that is indexed, and only there are secrets masked. So the strings of an item are
taken out of it and become the text, one below the other, and ``meta`` keeps what is left with the places they came
from. Put back together, the item is what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mnemic.errors import InputError, StoreError
from mnemic.text.record import Record
from mnemic.text.steps import secrets

Path = tuple[str | int, ...]
"""Where in an item something is: keys and places."""
BARE = frozenset({"text", "content", "memory"})
"""Keys that need not be told before what they hold."""


SHOWN = 200
"""Characters told of an item without words."""


def name_of(path: Path) -> str:
    """The key that what is at ``path`` goes by."""
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def split(item: Any, *, wanted: Callable[[Path], bool]) -> tuple[str, dict[str, Any]]:
    """The text of ``item``, and what has to be kept beside it.

    The text has the strings whose places are ``wanted`` and those with secrets, each after its key; then the numbers
    that are wanted. An item without any of these is told as the beginning of its JSON.
    """
    scalars = list(_scalars(item))
    strings = [
        (path, value)
        for path, value in scalars
        if isinstance(value, str) and value.strip() and (wanted(path) or secrets.find(_labelled(path, value)))
    ]
    others = [
        _labelled(path, json.dumps(value))
        for path, value in scalars
        if not isinstance(value, str) and value is not None and wanted(path)
    ]
    pieces = [_labelled(path, value) for path, value in strings]
    if others:
        pieces.append("; ".join(others))
    rule = 3
    while any("-" * rule in piece for piece in pieces):
        rule += 1
    taken = {path for path, _ in strings}
    rest = json.dumps(_without(item, taken, ()), ensure_ascii=False)  # a string: meta does not keep the order of keys
    kept = {"rest": rest, "places": [list(path) for path, _ in strings], "rule": rule}
    return _ruled(rule).join(pieces) or json.dumps(item, ensure_ascii=False)[:SHOWN], kept


def joined(record: Record, kept: Mapping[str, Any]) -> Any:
    """The item that ``split`` took apart, from the record and what was kept. Masked secrets stay masked."""
    rest, places = json.loads(kept["rest"]), [tuple(place) for place in kept["places"]]
    pieces = record.text.split(_ruled(kept["rule"]))
    if places and not len(places) <= len(pieces) <= len(places) + 1:
        raise StoreError(f"the memory {record.id!r} holds no item any more: was it revised by hand?")
    for place, piece in zip(places, pieces, strict=False):
        label = _labelled(place, "")
        rest = _with(rest, place, piece.removeprefix(label))
    return rest


def _ruled(rule: int) -> str:
    return f"\n{'-' * rule}\n"


def _labelled(path: Path, value: str) -> str:
    key = name_of(path)
    return value if not key or key in BARE else f"{key}: {value}"


def _scalars(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(key, str):
                raise InputError(f"the keys of an item must be strings, not {type(key).__name__}")
            yield from _scalars(each, (*path, key))
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from _scalars(each, (*path, place))
    else:
        yield path, value


def _without(value: Any, taken: set[Path], path: Path) -> Any:
    """A copy of ``value`` with None in the places that were taken out."""
    if path in taken:
        return None
    if isinstance(value, Mapping):
        return {key: _without(each, taken, (*path, key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without(each, taken, (*path, place)) for place, each in enumerate(value)]
    return value


def _with(value: Any, place: Sequence[str | int], piece: str) -> Any:
    """A copy of ``value`` with ``piece`` at ``place``."""
    if not place:
        return piece
    step, *further = place
    if isinstance(value, list):
        return [_with(each, further, piece) if n == step else each for n, each in enumerate(value)]
    return {key: _with(each, further, piece) if key == step else each for key, each in value.items()}
