"""Context- and time-sensitive memory (Alonso et al., arXiv 2406.00057): the table of utterances before their meaning.

"What did we discuss two sessions ago?" is like no turn in particular: similarity finds anything. So a question is
answered in four steps:

* Disambiguation: a question that points to what was said before it ("what did we talk about then?") is made whole.
* Routing: does it need metadata (when, in which session, by whom), content, or both?
* Metadata: a chain of ``f_value`` and ``f_between`` narrows the table of utterances (:mod:`mnemic.text.steps.table`).
* Content: the most similar of the rows that are left, or of all where no metadata was asked for. A question about
  metadata alone brings all rows that are left, in order, as far as ``k`` reaches.

Nothing is derived: the table is the store. What was said before a question are the lines of the query before its last
one; in a query of one line, the turns said at most ``Settings.pause`` minutes before ``now``.

Without a language model a grammar does the first three steps (:mod:`mnemic.text.steps.chains`). With one, the model
does, in one structured call where the paper makes up to twelve; a plan that cannot be used is asked for once more, then
the grammar's is used, and ``trace["unusable"]`` says why.

The paper narrows the table whenever a question speaks of a time. People also date what happened ("what did she paint
last May?"), which is told at another time: a chain is made where a question is about the conversation itself, and
elsewhere turns of that time come first, the others after them (``Settings.told_then``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mnemic.errors import InputError, LanguageError
from mnemic.text.plan import Bools, Candidates, Filter, Query, Recall, SearchPlan
from mnemic.text.record import Batch, Kind, Record, State
from mnemic.text.steps import assemble, rank, similarity
from mnemic.text.steps.chains import Route, in_time, route
from mnemic.text.steps.confidence import confidence, signals
from mnemic.text.steps.dates import TimeRange, fallback
from mnemic.text.steps.planning import planned
from mnemic.text.steps.render import shown
from mnemic.text.steps.table import Table
from mnemic.text.steps.trace import Clock
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

WHOLE = 1 << 62
"""More keys than any space has: the table is looked at whole."""
LEFT = 0.01
"""Score of a row that a chain left, for that alone."""
NONE = "\0"
"""No record's id."""
TOLD_THEN = ("first", "only", "any")


@dataclass(frozen=True, slots=True)
class Settings:
    """``context`` earlier lines at most disambiguate a question, said at most ``pause`` minutes before it, the paper's
    gap between sessions. ``told_then`` says what becomes of turns from outside a time that dates an event: they come
    after those inside (``first``), not at all (``only``, as in the paper), or the time is ignored (``any``)."""

    context: int = 6
    pause: float = 20.0
    told_then: str = "first"
    depth: int = 300
    exact: int = 2500


class Timetables:
    """The table of utterances first, their meaning second. See the module's docstring."""

    name = "timetables"
    kind = "memory"
    paper = "Toward Conversational Agents with Context and Time Sensitive Long-term Memory (2024), arXiv 2406.00057"
    good_at = "questions about the conversation itself: when, in which session, by whom, and in reply to what"
    cost = "write: nothing derived; read: the whole table and one search, or one model call more; reflect: nothing"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        if self.settings.told_then not in TOLD_THEN:
            raise InputError(f"told_then is one of {', '.join(TOLD_THEN)}, not {self.settings.told_then!r}")

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        yield from ()

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        wanted = query.filter if query.filter.kinds else replace(query.filter, kinds=[Kind.TURN])
        c = env.space.search(SearchPlan(filter=wanted, valid_at=query.valid_at, as_of=query.as_of, exact=WHOLE))
        table = Table.of(c, query.now)
        clock.lap("table")
        trace: dict[str, Any] = {"system": self.name, "rows": len(table)}
        rows, found = self.narrow(query, self.route(query, table, env, trace), table, trace)
        left = c.item[table.slot[rows]]
        clock.lap("route")
        trace |= {"question": found.text, "chain": [step.told() for step in found.chain], "left": len(left)}
        trace |= {"needs": [need for need, there in (("metadata", found.chain), ("content", found.content)) if there]}
        if found.chain:
            wanted = replace(wanted, ids=env.space.id_of(left.tolist()) or [NONE])
        if found.content or not found.chain:
            return self.search(query, found, wanted, env, clock, trace)
        slots = table.slot[rows][: query.k]
        hits = assemble.collect(env.space, query, c, slots, np.ones(len(c.item), np.float32), {})
        clock.lap("collect")
        return assemble.recall(query, hits, 0.5 if trace.get("widened") else float(bool(hits)), clock, trace)

    # -- disambiguation and routing ------------------------------------------------------------------------------

    def route(self, query: Query, table: Table, env: Env, trace: dict[str, Any]) -> Route:
        """The question made whole, and the chain it needs: by the language model where there is one that can."""
        lines = [line.strip() for line in query.text.splitlines() if line.strip()] or [""]
        question, before = lines[-1], lines[:-1] or self.before(query, env)
        before = before[-self.settings.context :] if self.settings.context else []
        if env.language is not None:
            try:
                return planned(env.language, question, before, query.now, table)
            except LanguageError as error:
                trace["unusable"] = str(error)
        return route(question, query.now, before=before, dates=table.starts, speakers=table.present)

    def before(self, query: Query, env: Env) -> list[str]:
        """The last turns said before the question, oldest first; none after a pause."""
        since = query.now - min(timedelta(minutes=self.settings.pause), query.now - _EARLIEST)
        recent, _ = env.space.scan(Filter(kinds=[Kind.TURN], since=since, until=query.now))
        said = sorted(
            (turn.at or query.now, turn.position, shown(turn)) for turn in recent if turn.state == State.ACTIVE
        )
        return [text for _, _, text in said if text.strip() != query.text.strip()]

    # -- metadata ------------------------------------------------------------------------------------------------

    def narrow(self, query: Query, found: Route, table: Table, trace: dict[str, Any]) -> tuple[Bools, Route]:
        """The rows that the chain leaves. Where there are none because nothing was said at that time, the nearest time
        at which something was said is taken."""
        rows = table.narrowed(found.chain)
        if not rows.any() and found.asked.hard:
            meant = in_time(found.asked.ranges)
            nearest = in_time(fallback(found.asked, query.now, table.starts).ranges)
            chain = (*nearest, *(step for step in found.chain if step not in meant))
            if nearest != meant and (again := table.narrowed(chain)).any():
                trace["widened"] = True
                return again, replace(found, chain=chain)
        return rows, found

    # -- content -------------------------------------------------------------------------------------------------

    def search(
        self, query: Query, found: Route, wanted: Filter, env: Env, clock: Clock, trace: dict[str, Any]
    ) -> Recall:
        """The most similar turns among those that ``wanted`` lets through; after a chain, all of these count."""
        s = self.settings
        asked = replace(query, text=found.words if found.content else query.text)
        c = env.space.search(similarity.plan(asked, env.encoders, wanted, depth=s.depth, exact=s.exact))
        own = similarity.own(c, c.eligible | c.is_turn)
        scores, may = similarity.scaled(own), own > 0
        if found.chain:
            scores, may = scores + np.float32(LEFT), np.ones(len(own), bool)
        then = inside(c, found.near)
        if s.told_then != "any" and (may & then & c.eligible).any():
            scores = scores + then if s.told_then == "first" else scores
            may = may if s.told_then == "first" else may & then
        slots = assemble.best(c, scores.astype(np.float32), query.k, may)
        legs = {"ml": c.vectors @ c.dense} if c.vectors is not None and c.dense is not None else {}
        sure = confidence(signals(c, scores, legs), rank.variant(c)) if len(slots) else 0.0
        hits = assemble.collect(env.space, query, c, slots, scores, {similarity.leg(c): own})
        clock.lap("search")
        trace |= {"leg": similarity.leg(c), "candidates": len(c.item), "exact": c.exact}
        return assemble.recall(query, hits, sure, clock, trace)


def inside(c: Candidates, ranges: Sequence[TimeRange]) -> Bools:
    """Which slots [C] were said in one of ``ranges``."""
    found = np.zeros(len(c.item), bool)
    for each in ranges:
        found |= (c.at >= each.start.timestamp()) & (c.at < each.end.timestamp())
    return found


_EARLIEST = datetime.min.replace(tzinfo=UTC)
