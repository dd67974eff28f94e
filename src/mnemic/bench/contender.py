"""Who is measured: anything that can remember turns and recall them, opened fresh for every haystack.

A contender is named ``[READER+]SYSTEM[@ENCODERS]``: ``mnemic``, ``mnemic@lexical``, ``mnemic@splade-tiny+minilm``,
``longrag+hema@lexical``; or it is a control (:mod:`mnemic.bench.controls`), which says what a number is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

from mnemic.bench import controls
from mnemic.bench.cache import CachedDense, CachedSparse
from mnemic.errors import InputError
from mnemic.text import opening, systems
from mnemic.text.encode.base import DenseEncoder
from mnemic.text.language.base import Language
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.record import Turn
from mnemic.text.store.base import Encoders
from mnemic.text.systems.base import System


class Subject(Protocol):
    """One open haystack. :class:`mnemic.Memory` is one; a peer needs a thin adapter."""

    def remember(self, what: list[Turn], /) -> Any: ...
    def recall(self, query: str, /, *, k: int, now: datetime | None) -> Recall: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Contender:
    """``open`` makes an empty space; ``about`` says in the result what ran; ``encoders`` names leg -> name@version."""

    label: str
    open: Callable[[], Subject]
    about: Mapping[str, Any] = field(default_factory=dict)
    encoders: Encoders = field(default_factory=Encoders)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While questions are asked: cached encoders encode for real."""
        with ExitStack() as stack:
            for encoder in (self.encoders.sparse, self.encoders.dense):
                if isinstance(encoder, CachedSparse | CachedDense):
                    stack.enter_context(encoder.live())
            yield

    def cached(self) -> dict[str, int]:
        """How many encodings came from the shelf and how many were made."""
        shelves = [
            e.shelf for e in (self.encoders.sparse, self.encoders.dense) if isinstance(e, CachedSparse | CachedDense)
        ]
        return {"hits": sum(s.hits for s in shelves), "misses": sum(s.misses for s in shelves)} if shelves else {}


def contender(
    spec: str | Contender, *, cache: Path | bool = True, language: Language | None = None, system: System | None = None
) -> Contender:
    """The contender called ``spec``. ``cache`` is a folder for encodings, True for the user's cache, False for none.

    ``system`` replaces the system that ``spec`` names (the name stays as the label): a tuned one, say. Raises
    NotFoundError for an unknown name.
    """
    if isinstance(spec, Contender):
        return spec
    name, _, legs = spec.partition("@")
    if name in controls.CONTROLS and system is None:
        if legs:
            raise InputError(f"{name} is a control and takes no encoders: leave out @{legs}")
        made = controls.CONTROLS[name]
        return Contender(spec, made, {"control": (made.__doc__ or "").split("\n")[0]})
    made_system = system or systems.make(name)
    encoders = opening.choose(legs.split("+") if legs and legs not in ("auto", "lexical") else legs or "auto")
    if cache:
        encoders = shelved(encoders, cache if isinstance(cache, Path) else None)

    def fresh() -> Memory:
        # The same object serves every space: a system keeps what it knows in the space, not in itself.
        return opening.open(":memory:", system=made_system, encoders=encoders, language=language, clock=_clock)

    about = {
        "system": made_system.name,
        "encoders": encoders.names(),
        "settings": repr(getattr(made_system, "settings", "")),
        "language": language.name if language else None,
    }
    return Contender(spec, cast("Callable[[], Subject]", fresh), about, encoders)


def everybody(legs: str = "") -> list[str]:
    """The specs of all memories and readers with the encoders ``legs``, and of the control they are held against."""
    return [*(f"{name}@{legs}" if legs else name for name in systems.SYSTEMS), "bm25"]


def _clock() -> datetime:
    """The same moment for every run: turns of a benchmark that have no date must not take today's."""
    return datetime(2024, 1, 1, tzinfo=UTC)


def shelved(encoders: Encoders, where: Path | None = None) -> Encoders:
    """``encoders`` with a cache on disk in front of each."""
    sparse, dense = encoders.sparse, encoders.dense
    return Encoders(
        CachedSparse(sparse, where) if sparse is not None and not isinstance(sparse, CachedSparse) else sparse,
        CachedDense(dense, where) if isinstance(dense, DenseEncoder) and not isinstance(dense, CachedDense) else dense,
    )
