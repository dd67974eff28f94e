"""The default system: no language model, milliseconds, and the conversation itself as the best retriever.

Writing derives nothing: the turn is searchable as it is. Reading brings candidates of every leg the space has,
and ranks them with one linear score over windows of neighbouring turns, sessions, speakers and dates
(``steps/rank.py``). Time expressions in the question prefer turns softly; only when the question is about the
conversation itself ("what did we talk about last week") do they filter. Reflecting finds dated facts by rule; a
question about one of them ("where does she live now") is answered by the fact beside the turns it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from mnemic.text.encode.base import Floats
from mnemic.text.encode.lexical import fold, tokens
from mnemic.text.plan import Bools, Candidates, Query, Recall, SearchPlan
from mnemic.text.record import Batch, Kind, Record
from mnemic.text.steps import anchors, assemble, facts, rank
from mnemic.text.steps.confidence import confidence, signals
from mnemic.text.steps.dates import TimeQuery, TimeRange, anchored, fallback, parse_question
from mnemic.text.steps.trace import Clock
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env


@dataclass(frozen=True, slots=True)
class Settings:
    """``chat`` switches the features that fit conversations (speakers, questions, openings) and ``facts`` the
    facts ahead of the turns; ``depth`` and ``exact`` are the candidates per leg and the size up to which a space is
    scored whole."""

    chat: bool = True
    facts: bool = True
    depth: int = 300
    exact: int = 2500


@dataclass(frozen=True, slots=True)
class Look:
    """What the system sees before it ranks: the question's time, the candidates, its cues, and every feature [C].

    ``widened``: nothing was said in the stretch asked about, so that the nearest one was taken.
    """

    asked: TimeQuery
    candidates: Candidates
    cues: rank.Cues
    legs: dict[str, Floats]
    widened: bool


class Mnemic:
    """Conversations, recalled in milliseconds without a language model; facts by rule."""

    name = "mnemic"
    kind = "memory"
    paper = "this package; docs/recall.md"
    good_at = "conversations: recall in milliseconds without a language model, and facts by rule"
    cost = "write: nothing derived; read: one search; reflect: rules, or one model call for 20 turns"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        seen = self.look(query, env, clock)
        c, weights = seen.candidates, rank.weights(rank.variant(seen.candidates)).score
        scores = rank.score(seen.legs, weights)
        if seen.asked.hard and not seen.asked.content:  # the question is a stretch of time: all in it, in order
            slots = assemble.best(c, -np.argsort(np.argsort(c.at, kind="stable")).astype(np.float32), query.k)
            scores = np.where(c.eligible, 1.0, 0.0).astype(np.float32)
            sure = (0.5 if seen.widened else 1.0) if len(slots) else 0.0
        else:
            slots = assemble.best(c, scores, query.k, evidence(seen.legs))
            found = signals(c, scores, seen.legs, seen.cues, weights)
            sure = confidence(found, rank.variant(c)) if len(slots) else 0.0
        clock.lap("rank")
        parts = {name: coefficient * seen.legs[name] for name, coefficient in weights.items() if name in seen.legs}
        hits = assemble.collect(env.space, query, c, slots, scores, parts)
        if self.settings.facts:
            hits = facts.ahead(query, hits, env)
        clock.lap("collect")
        trace: dict[str, Any] = {"system": self.name, "weights": rank.weights(rank.variant(c)).version}
        trace |= {"candidates": len(c.item), "exact": c.exact}
        if seen.asked.ranges:
            trace["range"] = [[r.start.isoformat(), r.end.isoformat()] for r in seen.asked.ranges]
            trace |= {"range_filters": seen.asked.hard, "range_widened": seen.widened}
        return assemble.recall(query, hits, sure, clock, trace)

    def look(self, query: Query, env: Env, clock: Clock | None = None) -> Look:
        """Understand the question and bring its candidates with their features: everything that is ranked."""
        clock = clock or Clock()
        sessions = env.space.sessions()
        dates = [at for _, at in sessions if at is not None]
        asked = self.understand(query, dates, env)
        clock.lap("understand")
        c = env.space.search(self.plan(query, asked, sessions, env))
        widened = bool(asked.hard and asked.ranges and not c.eligible.any())
        if widened:
            asked = fallback(asked, query.now, dates)
            c = env.space.search(self.plan(query, asked, sessions, env))
        clock.lap("search")
        cues = self.cues(query, asked, c)
        return Look(asked, c, cues, rank.features(c, cues), widened)

    def understand(self, query: Query, dates: Sequence[datetime], env: Env) -> TimeQuery:
        """The question's time expressions, an anchor event ("the week before the trip") resolved to its date."""
        asked = parse_question(query.text, query.now, dates=dates)
        if asked.hard and asked.anchor and not asked.ranges and asked.sessions is None:
            event = self.event(asked.anchor, query, env)
            if event is not None:
                return anchored(asked, event, query.now)
        return asked

    def event(self, anchor: str, query: Query, env: Env) -> TimeRange | None:
        """When ``anchor`` happened, by the turns that speak of it; ``None`` where none does."""
        only = query.filter if query.filter.kinds else replace(query.filter, kinds=[Kind.TURN])
        plan = SearchPlan(terms=anchors.terms(anchor), filter=only, as_of=query.as_of, valid_at=query.valid_at)
        c = env.space.search(plan)
        slots, weights = anchors.near(c, rank.features(c, rank.Cues(chat=self.settings.chat)))
        hits = assemble.collect(env.space, query, c, slots, weights, {})
        return anchors.date(anchor, [anchors.Said(h.text, h.at, h.session, h.score) for h in hits if h.at])

    def plan(
        self, query: Query, asked: TimeQuery, sessions: Sequence[tuple[str, datetime | None]], env: Env
    ) -> SearchPlan:
        """What to ask the space for. Only a question about the conversation itself filters by time."""
        narrowed = query.filter
        if asked.hard and asked.ranges:
            since, until = min(r.start for r in asked.ranges), max(r.end for r in asked.ranges)
            if narrowed.since is not None:
                since = max(since, narrowed.since)
            if narrowed.until is not None:
                until = min(until, narrowed.until)
            narrowed = replace(narrowed, since=since, until=until)
        if asked.hard and asked.sessions is not None:
            dated = [(name, at) for name, at in sessions if at is not None]
            meant = [dated[i][0] for i in asked.sessions.pick([at for _, at in dated])]
            narrowed = replace(narrowed, sessions=[s for s in meant if s in (narrowed.sessions or meant)] or ["\0"])
        if not narrowed.kinds:
            narrowed = replace(narrowed, kinds=[Kind.TURN])
        sparse, dense = env.encoders.sparse, env.encoders.dense
        text = asked.rest if asked.hard and asked.content else query.text
        return SearchPlan(
            terms=tokens(text),
            sparse=rank.strongest(sparse.encode([text])[0]) if sparse is not None else None,
            dense=dense.encode_query(text) if dense is not None else None,
            filter=narrowed,
            valid_at=query.valid_at,
            as_of=query.as_of,
            depth=self.settings.depth,
            exact=self.settings.exact,
        )

    def cues(self, query: Query, asked: TimeQuery, c: Candidates) -> rank.Cues:
        ranges = [(r.start, r.end) for r in asked.ranges if r.start <= query.now]
        return rank.Cues(
            speakers=named(query.text, c.speakers),
            when=asked.when,
            naming=rank.asks_for_name(query.text),
            mine=rank.asks_about_me(query.text),
            told=rank.asks_what_was_told(query.text),
            ranges=ranges,
            dated=dated(query.text, asked) if ranges and not asked.hard else (),
            chat=self.settings.chat,
        )

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        yield from facts.derive(job, env)


def dated(question: str, asked: TimeQuery) -> tuple[int, ...]:
    """The places of the question's terms that belong to its time expression alone."""
    rest = set(tokens(asked.rest))
    return tuple(place for place, term in enumerate(dict.fromkeys(tokens(question))) if term not in rest)


def evidence(legs: dict[str, Floats]) -> Bools:
    """Slots that match at all: structure alone is no reason to be recalled."""
    matched: Bools = np.zeros(len(legs["len"]), bool)
    for name in ("bmw", "spw", "ml"):
        if name in legs:
            matched = matched | (legs[name] > 0)
    return matched


def named(question: str, speakers: Sequence[str]) -> tuple[int, ...]:
    """Which of ``speakers`` the question names, by whole name or first name."""
    text = fold(question)
    found = []
    for code, name in enumerate(speakers):
        folded = fold(name).strip()
        forms = {folded, folded.split()[0]} if folded else set()
        if any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text) for form in forms):
            found.append(code)
    return tuple(found)
