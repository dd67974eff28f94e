"""The memory systems and the readers by name. A new one is one file here and one line in the table.

A name may join readers to the memory they read: ``longrag+hema`` is HEMA read through LongRAG.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, cast

from mnemic.errors import InputError, NotFoundError
from mnemic.text.systems.base import Env, Reader, Reading, System, is_reader, memory_of

__all__ = ["DEFAULT", "SYSTEMS", "Env", "Reader", "Reading", "System", "describe", "make", "memory_of", "over", "parse"]

DEFAULT = "mnemic"
"""The memory of a space that was made without saying which."""
SYSTEMS: dict[str, str] = {
    "mnemic": "mnemic.text.systems.mnemic:Mnemic",
    "hema": "mnemic.text.systems.hema:Hema",
    "memgas": "mnemic.text.systems.memgas:MemGas",
    "amem": "mnemic.text.systems.amem:AMem",
    "tim": "mnemic.text.systems.tim:Tim",
    "memalpha": "mnemic.text.systems.memalpha:MemAlpha",
    "memorag": "mnemic.text.systems.memorag:MemoRag",
    "memos": "mnemic.text.systems.memos:MemOs",
    "mirix": "mnemic.text.systems.mirix:Mirix",
    "lpm": "mnemic.text.systems.lpm:Lpm",
    "scm": "mnemic.text.systems.scm:Scm",
    "longmemeval": "mnemic.text.systems.longmemeval:LongMemEval",
    "longrag": "mnemic.text.systems.longrag:LongRag",
    "outline": "mnemic.text.systems.structure:Outlining",
    "structure": "mnemic.text.systems.structure:Structure",
    "timetables": "mnemic.text.systems.timetables:Timetables",
}


def parse(name: str) -> tuple[Sequence[str], str | None]:
    """The readers that ``name`` joins, outermost first, and the memory they read; None where it names readers only.

    Raises :class:`NotFoundError` with the names there are, :class:`InputError` for parts in the wrong place.
    """
    parts = name.split("+")
    kinds = [is_reader(_class(part)) for part in parts]
    last = None if kinds[-1] else parts.pop()
    if not all(kinds[: len(parts)]):
        raise InputError(f"{name!r} joins a memory to another: the parts before the last are readers ({_readers()})")
    return parts, last


def make(name: str, *, recorded: str | None = None) -> System:
    """The system called ``name`` with its default settings. A reader alone reads the memory ``recorded``, the one that
    a space was made with (none yet: :data:`DEFAULT`). Raises as :func:`parse` does."""
    readers, memory = parse(name)
    made: System = _class(memory)() if memory else _recorded(recorded)
    for reader in reversed(readers):
        made = Reading(_class(reader)(), made)
    return made


def over(system: str | System | Reader, recorded: str | None) -> System:
    """The system that a caller asks for: by name as :func:`make` does, an object as it is, a reader over the memory
    ``recorded``."""
    if isinstance(system, str):
        return make(system, recorded=recorded)
    if is_reader(system):
        return Reading(cast("Reader", system), _recorded(recorded))
    return cast("System", system)


def describe() -> list[dict[str, str]]:
    """For every system its ``name``, ``kind`` (memory, reader or governor), ``paper``, what it is ``good_at``, and what
    it ``cost`` to write, read and reflect."""
    return [
        {
            "name": name,
            "kind": getattr(system, "kind", "memory"),
            "paper": getattr(system, "paper", ""),
            "good_at": getattr(system, "good_at", ""),
            "cost": getattr(system, "cost", ""),
        }
        for name, system in ((name, _class(name)) for name in sorted(SYSTEMS))
    ]


def _class(name: str) -> Any:
    if name not in SYSTEMS:
        raise NotFoundError(f"no system is called {name!r}: there are {', '.join(sorted(SYSTEMS))}")
    module, _, cls = SYSTEMS[name].partition(":")
    return getattr(import_module(module), cls)


def _recorded(name: str | None) -> System:
    """The memory that a space says it was made with, which may be none of the table."""
    if name is not None and name not in SYSTEMS:
        raise NotFoundError(
            f"the space was made by {name!r}, a system of your own: give it with its reader, Reading(reader, memory)"
        )
    made: System = _class(name or DEFAULT)()
    return made


def _readers() -> str:
    return ", ".join(name for name in sorted(SYSTEMS) if is_reader(_class(name)))
