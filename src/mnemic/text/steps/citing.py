"""Finding turns through what cites them: derived records match the question, and the turns they cite are the hits.

One search brings turns and derived records. A system says how much a record's match counts for its turns; what comes
out are turns that may be cited, inside the query's filter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnemic.text.encode.base import Floats
from mnemic.text.plan import Candidates, Filter, Hit, Query
from mnemic.text.record import Kind, Record, State
from mnemic.text.steps import assemble, rank, similarity
from mnemic.text.steps.confidence import confidence, signals
from mnemic.text.steps.mending import standing
from mnemic.text.systems.base import Env


@dataclass(frozen=True, slots=True)
class Found:
    """What one search brought. Scores are similarities divided by the largest, which is ``scale``: ``turns`` id ->
    score, ``derived`` the best derived records that stand, with theirs, best first. ``leg`` is what they were compared
    by."""

    turns: Mapping[str, float]
    derived: Sequence[tuple[Record, float]]
    candidates: Candidates
    own: Floats
    scale: float

    @property
    def leg(self) -> str:
        return similarity.leg(self.candidates)

    def confidence(self) -> float:
        """The calibrated confidence, judged by the turns alone."""
        c = replace(self.candidates, eligible=self.candidates.eligible & self.candidates.is_turn)
        if not (self.own[c.eligible] > 0).any():
            return 0.0
        legs = {"ml": c.vectors @ c.dense} if c.vectors is not None and c.dense is not None else {}
        return confidence(signals(c, self.own, legs), rank.variant(c))

    def trace(self) -> dict[str, object]:
        return {"leg": self.leg, "candidates": len(self.candidates.item), "exact": self.candidates.exact}


def find(
    query: Query,
    env: Env,
    kinds: Collection[Kind],
    prefix: str,
    *,
    most: int | None = None,
    depth: int = 300,
    exact: int = 2500,
) -> Found:
    """Turns and derived records of ``kinds`` whose ids begin with ``prefix``, at most ``most`` of these (a few more
    than ``query.k``).

    Derived records take part where they pass the query's filter themselves: they bear session, speaker and time of a
    turn. They do not where it names ids or words, of which they know nothing.
    """
    asked = query.filter
    wanted = set(asked.kinds) or {Kind.TURN, *kinds}
    if asked.ids or asked.phrase or asked.words:
        wanted &= set(asked.kinds) or {Kind.TURN}
    plan = similarity.plan(query, env.encoders, replace(asked, kinds=sorted(wanted)), depth=depth, exact=exact)
    c = env.space.search(plan)
    raw = similarity.own(c, c.is_turn) + similarity.own(c, ~c.is_turn)
    own, scale = similarity.scaled(raw), float(raw.max(initial=0.0)) or 1.0
    turns = np.flatnonzero(c.is_turn & c.eligible & (own > 0))
    ids = env.space.id_of([int(n) for n in c.item[turns]])
    scores: dict[str, float] = {}
    for id, score in zip(ids, own[turns].tolist(), strict=True):
        scores[id] = max(score, scores.get(id, 0.0))
    slots = assemble.best(c, own, most or query.k + 10, ~c.is_turn & (own > 0))
    by_id = dict(zip(env.space.id_of([int(n) for n in c.item[slots]]), own[slots].tolist(), strict=True))
    records = [r for r in env.space.get(list(by_id), query.as_of) if r.id.startswith(prefix)]
    return Found(scores, [(r, by_id[r.id]) for r in standing(records, env.space)], c, own, scale)


def hits(
    query: Query, found: Found, scores: Mapping[str, float], env: Env, legs: Mapping[str, Mapping[str, float]]
) -> list[Hit]:
    """The ``query.k`` best turns by ``scores``; ties: older first. A turn that the search did not bring is among them
    only where the query has no filter that it might not pass."""
    unfiltered = query.filter == Filter() and query.valid_at is None
    ids = sorted((id for id in scores if unfiltered or id in found.turns), key=lambda id: -scores[id])
    kept: list[Record] = []
    while ids and len(kept) < query.k:
        part, ids = ids[: query.k + 5], ids[query.k + 5 :]
        for turn in env.space.get(part, query.as_of):
            if turn.kind == Kind.TURN and (turn.state == State.ACTIVE or turn.id in found.turns):
                kept.append(turn)
    kept = sorted(kept, key=lambda turn: (-scores[turn.id], turn.position))[: query.k]
    made = []
    for n, turn in enumerate(kept, 1):
        parts = {name: round(leg[turn.id], 4) for name, leg in legs.items() if leg.get(turn.id)}
        made.append(assemble.hit(n, turn, scores[turn.id], parts))
    return made


def direct(query: Query, found: Found) -> list[Hit]:
    """The derived records themselves, for a query that asks for their kinds."""
    best = found.derived[: query.k]
    return [assemble.hit(n, record, score, {found.leg: round(score, 4)}) for n, (record, score) in enumerate(best, 1)]
