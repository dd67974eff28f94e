"""What may be done to a space under governance, and how each is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mnemic.errors import InputError, LanguageError
from mnemic.text import opening
from mnemic.text.language.base import Language
from mnemic.text.memory import Memory
from mnemic.text.record import Turn
from mnemic.text.store.sqlite import SqliteSpace


@dataclass(frozen=True, slots=True)
class Place:
    """A space by where it lies. ``open`` gives it with the system that it records."""

    path: Path
    space: str = "default"
    language: Language | None = None

    @property
    def file(self) -> Path:
        return Path(opening.locate(self.path, self.space, make=False))

    def open(self) -> Memory:
        system = opening.recorded_system(self.path, self.space) or "mnemic"
        return opening.open(self.path, self.space, system, language=self.language)


class Change(Protocol):
    """``do`` changes the space at a place and says what it did; ``undo`` takes that back, given the snapshot that was
    taken before (``did`` is empty where ``do`` broke off). ``about`` goes into the ledger: names and numbers only."""

    @property
    def about(self) -> Mapping[str, Any]: ...

    def do(self, place: Place) -> Mapping[str, Any]: ...

    def undo(self, place: Place, did: Mapping[str, Any], snapshot: Path) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Reflect:
    """The system works over what is new. Undone, derived records stand as they stood; what people wrote stays.

    What a language model gave nothing usable about is left to the next reflect, as ever: that is no failure here.
    """

    @property
    def about(self) -> Mapping[str, Any]:
        return {"change": "reflect"}

    def do(self, place: Place) -> Mapping[str, Any]:
        with place.open() as memory:
            try:
                return memory.reflect()
            except LanguageError as error:
                return {"left": str(error)}

    def undo(self, place: Place, did: Mapping[str, Any], snapshot: Path) -> Mapping[str, Any]:
        with place.open() as memory:
            return {"records": len(store(memory).revert(snapshot).ids)}


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Another system, or other encoders, derive everything again. Undone, the ones before do."""

    system: str | None = None
    encoders: str | Sequence[str] = "auto"

    @property
    def about(self) -> Mapping[str, Any]:
        return {"change": "rebuild", "system": self.system, "encoders": self.encoders}

    def do(self, place: Place) -> Mapping[str, Any]:
        return opening.rebuild(place.path, place.space, system=self.system, encoders=self.encoders)

    def undo(self, place: Place, did: Mapping[str, Any], snapshot: Path) -> Mapping[str, Any]:
        with Place(snapshot).open() as before:
            used = before.space.encoders
            legs = [encoder.name for encoder in (used.sparse, used.dense) if encoder is not None]
            system = before.system.name
        return opening.rebuild(place.path, place.space, system=system, encoders=legs or "lexical")


@dataclass(frozen=True, slots=True)
class Remember:
    """New turns, from a source that is not trusted yet. Undone, they are forgotten (not erased: that is another
    decision)."""

    turns: Sequence[Turn]
    source: str = "unknown"

    def __post_init__(self) -> None:
        if any(turn.id is None for turn in self.turns):
            raise InputError("turns that are admitted need ids, so that the same ones can be taken back")

    @property
    def about(self) -> Mapping[str, Any]:
        return {"change": "remember", "turns": len(self.turns), "source": self.source}

    def do(self, place: Place) -> Mapping[str, Any]:
        with place.open() as memory:
            return {"ids": list(memory.remember(list(self.turns)).ids)}  # all of them or, if it raises, none

    def undo(self, place: Place, did: Mapping[str, Any], snapshot: Path) -> Mapping[str, Any]:
        with place.open() as memory:
            there = [turn.id for turn in memory.get(did.get("ids", []))]
            if there:
                memory.forget(there)
        return {"forgotten": len(there)}


def store(memory: Memory) -> SqliteSpace:
    """The space as one that can be copied and reverted."""
    if not isinstance(memory.space, SqliteSpace):
        raise InputError(f"governance needs a store with snapshots, which {type(memory.space).__name__} has not")
    return memory.space
