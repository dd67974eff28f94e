"""What goes when a memory is forgotten: its other versions, and what was derived from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnemic.text.record import Record
from mnemic.text.store.base import Space


@dataclass(frozen=True, slots=True)
class Preview:
    """What ``forget`` would take away: the records named, and those derived from them."""

    named: tuple[Record, ...]
    derived: tuple[Record, ...]

    def __len__(self) -> int:
        return len(self.named) + len(self.derived)


def going(space: Space, named: Sequence[Record], *, erase: bool) -> Preview:
    """What goes with ``named``.

    Forgotten, a memory takes along what cites nothing else. Erased, it takes along all of its versions and
    everything that cites it at all, directly or through others: a summary quotes what it cites, and what rests on
    other turns too is derived again from those.
    """
    whole = versions(space, named) if erase else list(named)
    return Preview(tuple(whole), tuple(derived(space, whole, any_source=erase)))


def versions(space: Space, records: Sequence[Record]) -> list[Record]:
    """``records`` with all other versions of each, without repeats."""
    found: dict[str, Record] = {}
    for record in records:
        chain = space.history(record.id) if record.supersedes or record.superseded_by else [record]
        found.update((version.id, version) for version in chain)
    return list(found.values())


def derived(space: Space, named: Sequence[Record], *, any_source: bool = False) -> list[Record]:
    """What cites nothing but ``named`` (or, with ``any_source``, any of them), directly or through others."""
    gone = {record.id for record in named}
    found: list[Record] = []
    frontier = list(gone)
    while frontier:
        links = space.neighbours(frontier, ["cites"])
        citing = space.get(sorted({link.source for link in links} - gone))
        fresh = [r for r in citing if set(r.sources) & gone and (any_source or set(r.sources) <= gone)]
        found += fresh
        frontier = [record.id for record in fresh]
        gone.update(frontier)
    return found
