"""The tasks by name: what memory is trained on and asked about, all of it made from a seed.

This import pulls no torch; a task is loaded when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from mnemic.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from mnemic.neural.tasks.base import Task


@dataclass(frozen=True)
class Entry:
    """``home`` is ``module:Class`` under this package, ``paper`` where the task comes from, ``about`` one line."""

    home: str
    paper: str
    about: str


TASKS: dict[str, Entry] = {
    "mqar": Entry(
        "mqar:Mqar", "Zoology, arXiv 2312.04927", "many key-value pairs, then each key is asked: overwriting, noise"
    ),
    "passkey": Entry("passkey:Passkey", "arXiv 2305.16300", "a number hidden in filler, by length and depth"),
    "babilong": Entry(
        "babilong:Babilong", "BABILong, arXiv 2406.10149", "who and what is where: facts of toy worlds among filler"
    ),
    "copying": Entry("copying:Copying", "Mamba, arXiv 2312.00752", "selective copy among blanks, and copy in order"),
    "book": Entry("book:Book", "", "a generated book whose characters keep their traits: does later text get cheaper?"),
    "dialogues": Entry("dialogues:Dialogues", "", "facts told, changed and asked about, by distance in turns"),
    "clevr": Entry(
        "clevr:Clevr", "Sort-of-CLEVR, arXiv 1706.01427", "scenes of coloured shapes: questions on one object, on pairs"
    ),
    "listops": Entry("listops:ListOps", "arXiv 1804.06028", "nested lists of MIN, MAX, MED and SM, worked out"),
}


def make(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """The task called ``name``; ``settings`` may be texts, as a command line gives them.

    Raises :class:`NotFoundError` for an unknown name and :class:`InputError` for a setting that it has not."""
    if name not in TASKS:
        raise NotFoundError(f"there is no task {name!r}: use one of {', '.join(TASKS)}")
    module, _, cls = TASKS[name].home.partition(":")
    made: type[Task] = getattr(import_module(f"mnemic.neural.tasks.{module}"), cls)
    hints = get_type_hints(made)
    known = [field.name for field in fields(made)]
    for each in settings or {}:
        if each not in known:
            raise InputError(f"{name} has no setting {each!r}: its settings are {', '.join(known)}")
    return made(**{each: _value(each, value, hints[each]) for each, value in (settings or {}).items()})


def _value(name: str, value: Any, kind: Any) -> Any:
    """``value`` as its field declares it; texts are read."""
    kinds = [each for each in get_args(kind) if each is not type(None)] or [kind]
    if not isinstance(value, str) or kinds[0] is str:
        return value
    try:
        if kinds[0] is bool:
            return {"true": True, "false": False}[value.lower()]
        return kinds[0](value)
    except (KeyError, ValueError):
        wanted = "true or false" if kinds[0] is bool else kinds[0].__name__
        raise InputError(f"{value!r} is no value for {name}: give {wanted}") from None
