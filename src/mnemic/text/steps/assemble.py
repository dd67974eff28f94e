"""From scored candidates to a recall: the best records once each, cited, within the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnemic.text.encode.base import Floats
from mnemic.text.plan import Bools, Candidates, Hit, Ints, Query, Recall
from mnemic.text.record import Record
from mnemic.text.steps.render import pack, shown
from mnemic.text.steps.trace import Clock
from mnemic.text.store.base import Space


def best(c: Candidates, scores: Floats, k: int, allowed: Bools | None = None) -> Ints:
    """The slots of the ``k`` best eligible records; of a record with several keys, its best key. Ties: older first."""
    usable = c.eligible if allowed is None else c.eligible & allowed
    places = np.flatnonzero(usable)
    order = places[np.lexsort((c.item[places], -scores[places]))]
    _, firsts = np.unique(c.item[order], return_index=True)
    return order[np.sort(firsts)[:k]]


def hit(n: int, record: Record, score: float, legs: Mapping[str, float] | None = None) -> Hit:
    """``record`` as the ``n``-th hit, its text masked for showing."""
    return Hit(
        n=n,
        id=record.id,
        kind=record.kind,
        text=shown(record),
        score=round(float(score), 4),
        speaker=record.speaker,
        at=record.at,
        session=record.session,
        sources=record.sources or (record.id,),
        record=record,
        legs=legs or {},
    )


def collect(
    space: Space, query: Query, c: Candidates, slots: Sequence[int] | Ints, scores: Floats, legs: Mapping[str, Floats]
) -> list[Hit]:
    """Hits for ``slots`` in this order, read from the store in the state the query asks for."""
    ids = space.id_of([int(c.item[s]) for s in slots])
    records = {record.id: record for record in space.get(ids, query.as_of)}
    hits: list[Hit] = []
    for slot, id in zip(slots, ids, strict=True):
        if id in records:  # it may have been erased since the search
            parts = {name: round(float(values[slot]), 4) for name, values in legs.items() if values[slot]}
            hits.append(hit(len(hits) + 1, records[id], float(scores[slot]), parts))
    return hits


def recall(query: Query, hits: Sequence[Hit], confidence: float, clock: Clock, trace: Mapping[str, Any]) -> Recall:
    """The finished recall: text packed into the query's budget."""
    text, packed = pack(hits, query.budget)
    clock.lap("render")
    told = {**trace, "packed": packed, "ms": clock.total(), "laps": clock.laps}
    return Recall(query.text, tuple(hits), text, round(confidence, 4), told)
