"""The memory systems by name. A new one is one file here and one line in the table."""

from __future__ import annotations

from importlib import import_module

from mnemic.errors import NotFoundError
from mnemic.text.systems.base import Env, System

__all__ = ["SYSTEMS", "Env", "System", "make"]

SYSTEMS: dict[str, str] = {
    "mnemic": "mnemic.text.systems.mnemic:Mnemic",
    "hema": "mnemic.text.systems.hema:Hema",
    "memgas": "mnemic.text.systems.memgas:MemGas",
}


def make(name: str) -> System:
    """The system called ``name`` with its default settings. Raises :class:`NotFoundError` with the names there are."""
    if name not in SYSTEMS:
        raise NotFoundError(f"no system is called {name!r}: there are {', '.join(sorted(SYSTEMS))}")
    module, _, cls = SYSTEMS[name].partition(":")
    system: System = getattr(import_module(module), cls)()
    return system


def describe() -> list[dict[str, str]]:
    """For every system its name, kind (memory, reader or governor), paper, and what it is good at."""
    rows = []
    for name, home in sorted(SYSTEMS.items()):
        module, _, cls = home.partition(":")
        system = getattr(import_module(module), cls)
        rows.append(
            {
                "name": name,
                "kind": getattr(system, "kind", "memory"),
                "paper": getattr(system, "paper", ""),
                "about": (system.__doc__ or "").strip().split("\n")[0],
            }
        )
    return rows
