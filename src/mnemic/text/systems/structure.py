"""Structurization (StruXGPT, NeurIPS 2024, arXiv 2407.16434): a scope, aspects, and the sentences under each.

People do not read a text sentence by sentence, they put its content in order first. The paper has a model lay a
structure over a context (scope, aspects, descriptions) before another reads it. Two uses of that here, both lossless:
aspects are ranges of sentences (:mod:`mnemic.text.steps.outline`), and nothing is worded anew.

* A memory, ``structure``. ``reflect`` lays an outline over each session, one record of kind ``outline`` for each
  aspect: its heading, and a key of the heading with all its sentences. A turn's score is its own similarity plus
  ``Settings.pull`` times that of its aspect, so that it is found by what the talk around it was about. What is recalled
  is told under the headings of its aspects, in the order it was said.
* A reader, ``outline``, which tells what any memory recalls that way; the structure is made while reading.

Aspects change where the text has headings or list markers, else in the valleys of cohesion; their names are keywords
with the words around them. With a language model they are the model's, repaired so that no sentence is lost; an outline
that cannot be used leaves a session to the next ``reflect``, and while reading to the rules (``trace["unusable"]``).

A session that changed gets a new outline. Long turns are told as aspects of their own. The paper's gains are in the
answers of language models, which nothing here measures; what is measured is the key (docs/systems.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnemic.errors import LanguageError
from mnemic.text.plan import Hit, Query, Recall
from mnemic.text.record import Batch, Key, Kind, Record, State, digest
from mnemic.text.steps import citing
from mnemic.text.steps.keywords import frequencies
from mnemic.text.steps.mending import Mending, resting_on
from mnemic.text.steps.order import chronological
from mnemic.text.steps.outline import Aspect, Outline, outlined, pieces, written
from mnemic.text.steps.render import count_tokens, line, name, pack, shown
from mnemic.text.steps.rounds import turns_of
from mnemic.text.steps.select import within
from mnemic.text.steps.trace import Clock
from mnemic.text.steps.vectors import vectors
from mnemic.text.store.base import Encoders, Job
from mnemic.text.systems.base import Env, System

PREFIX = "outline-"
PAPER = "Structurization / StruXGPT (NeurIPS 2024), arXiv 2407.16434"
Part = tuple[str, Sequence[Hit]]
"""A heading and what stands under it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``pull`` of the aspect on its turns. Outlines: ``width`` sentences are compared on either side of a gap, aspects
    have ``least`` of them, a valley is ``deep`` standard deviations deeper than the mean; ``stretch`` sentences are
    shown to a language model at once. A recalled text over ``longer`` tokens is told in aspects of its own."""

    pull: float = 1.0
    width: int = 4
    least: int = 6
    deep: float = 0.5
    stretch: int = 120
    longer: int = 200
    depth: int = 300
    exact: int = 2500


class Structure:
    """The memory: sessions outlined, turns found through their aspects. See the module's docstring."""

    name = "structure"
    kind = "memory"
    paper = PAPER
    good_at = "long talks and documents: turns found by what the talk around them is about, told under headings"
    cost = "write: nothing derived; read: one search; reflect: an outline a session by rule, or a model call or two"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """One batch for each session of a page whose outline does not tell of the turns that it has now."""
        working = Mending(job, env, size=200 if env.language is None else 20)
        for page in working:
            for session in dict.fromkeys(turn.session for turn in page):
                mine = [turn for turn in page if turn.session == session]
                turns = turns_of(session, env.space) if session is not None else mine
                try:
                    batch = self.take_in([turn for turn in turns if turn.state == State.ACTIVE], env)
                except LanguageError as error:
                    working.skip(mine, error)
                else:
                    if batch.puts:
                        yield batch
            yield Batch(cursor=working.cursor)
        yield Batch(cursor=working.cursor)
        working.close()

    def take_in(self, turns: Sequence[Record], env: Env) -> Batch:
        """The outline of a session's ``turns``; nothing where it has one."""
        state = digest(*(turn.id for turn in turns))
        known = resting_on([turn.id for turn in turns], PREFIX, env.space)
        old = [record for record in known if record.state == State.ACTIVE]
        whole = old and all(r.fields["turns"] == state and r.fields["of"] == len(old) for r in old)
        if not turns or whole:
            return Batch()
        told = [(piece, turn) for turn in turns for piece in pieces(shown(turn))]
        found = self.outline([piece for piece, _ in told], env)
        puts = []
        for place, aspect in enumerate(found.aspects):
            origin = [state, str(place), *sorted(record.id for record in known)]
            place_of = {"turns": state, "of": len(found.aspects), "start": aspect.start, "end": aspect.end}
            puts.append(self.record(found.scope, aspect, told[aspect.start : aspect.end], place_of, origin))
        retire = {}
        for record in old:
            if same := [new for new in puts if set(new.sources) & set(record.sources)]:
                retire[record.id] = same[0].id
        return Batch(puts, retire, archive=[record.id for record in old])

    def outline(self, told: Sequence[str], env: Env) -> Outline:
        """By rule, or by the language model stretch by stretch, scopes and aspects joined."""
        s = self.settings
        df, count = frequencies(told, env.space, sessions=True)
        if env.language is None:
            given = vectors(told, env.encoders)
            return outlined(told, given, df, count, width=s.width, least=s.least, deep=s.deep)
        scopes, aspects = [], []
        for at in range(0, len(told), s.stretch):
            part = written(env.language, told[at : at + s.stretch])
            scopes.append(part.scope)
            aspects += [Aspect(a.name, a.start + at, a.end + at) for a in part.aspects]
        return Outline("; ".join(dict.fromkeys(filter(None, scopes))), tuple(aspects))

    def record(
        self,
        scope: str,
        aspect: Aspect,
        told: Sequence[tuple[str, Record]],
        place: dict[str, Any],
        origin: Sequence[str],
    ) -> Record:
        """The record of an aspect, its id a function of what it says and of the session it is in."""
        heading = ": ".join(part for part in dict.fromkeys((scope, aspect.name)) if part)
        said = [f"{name(turn.speaker)}: {piece}" if turn.speaker else piece for piece, turn in told]
        key = "\n".join([heading, *said])
        turns = list(dict.fromkeys(turn.id for _, turn in told))
        first = told[0][1]
        return Record(
            id=PREFIX + digest(key, *turns, *origin),
            kind=Kind.OUTLINE,
            text=heading,
            at=first.at,
            session=first.session,
            sources=tuple(turns),
            keys=(Key(key, "aspect"),),
            fields={"scope": scope, "aspect": aspect.name, **place},
        )

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        found = citing.find(query, env, [Kind.OUTLINE], PREFIX, most=query.k + 30, depth=s.depth, exact=s.exact)
        clock.lap("search")
        drawn: dict[str, float] = {}
        headings: dict[str, str] = {}
        for record, score in found.derived:
            for id in record.sources:
                drawn.setdefault(id, score)
                headings.setdefault(id, record.text)
        scores = {id: found.turns.get(id, 0.0) + s.pull * drawn.get(id, 0.0) for id in {**found.turns, **drawn}}
        scores = {id: score for id, score in scores.items() if score > 0}
        legs = {found.leg: found.turns, "aspect": drawn}
        direct = query.filter.kinds and Kind.TURN not in query.filter.kinds
        hits = citing.direct(query, found) if direct else citing.hits(query, found, scores, env, legs)
        clock.lap("rank")

        chosen = hits[: within(hits, query.budget)]
        groups: dict[tuple[str | None, str], list[Hit]] = {}
        for hit in chronological(chosen):
            groups.setdefault((hit.session, headings.get(hit.id, "")), []).append(hit)
        text, packed = told(
            "", [(heading, group) for (_, heading), group in groups.items()], hits, query.budget, s.longer
        )
        clock.lap("render")
        trace: dict[str, Any] = {"system": self.name, **found.trace(), "aspects": len(found.derived)}
        trace |= {"packed": packed, "ms": clock.total(), "laps": clock.laps}
        return Recall(query.text, tuple(hits), text, round(found.confidence() if hits else 0.0, 4), trace)


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """As :class:`Settings`, for recalled texts instead of sentences."""

    width: int = 2
    least: int = 1
    deep: float = 0.5
    longer: int = 200


class Outlining:
    """The reader: what a memory recalls, under headings. See the module's docstring."""

    name = "outline"
    kind = "reader"
    paper = PAPER
    good_at = "many recalled turns on several subjects: told under headings, nothing lost"
    cost = "read: rules over the hits and one look at word counts, or a model call; some 10 tokens a heading"

    def __init__(self, settings: ReaderSettings | None = None) -> None:
        self.settings = settings or ReaderSettings()

    def read(self, query: Query, memory: System, env: Env) -> Recall:
        found = memory.read(query, env)
        ordered = chronological(found.hits[: within(found.hits, query.budget)])
        trace: dict[str, Any] = {"reader": self.name}
        outline = self.outline([shown_by(hit) for hit in ordered], env, trace)
        parts = [(aspect.name, ordered[aspect.start : aspect.end]) for aspect in outline.aspects]
        scope = outline.scope if len(parts) > 1 else ""
        text, packed = told(scope, parts, found.hits, query.budget, self.settings.longer)
        trace |= {"parts": len(parts), "packed": packed}
        return replace(found, text=text, trace={**found.trace, **trace})

    def outline(self, texts: Sequence[str], env: Env, trace: dict[str, Any]) -> Outline:
        """The structure of ``texts``, each taken for a sentence; by the language model where there is one that can."""
        s = self.settings
        if env.language is not None and len(texts) > 1:
            try:
                return written(env.language, texts)
            except LanguageError as error:
                trace["unusable"] = str(error)
        df, count = frequencies(texts, env.space, sessions=True)
        return outlined(texts, vectors(texts, Encoders()), df, count, width=s.width, least=s.least, deep=s.deep)


def told(scope: str, parts: Sequence[Part], ranked: Sequence[Hit], budget: int | None, longer: int) -> tuple[str, int]:
    """Scope, numbered headings, and under each its citations word for word, in ``budget`` tokens; and how many these
    are. The last ``ranked`` ones are left out where headings make the text too long."""
    kept = [hit.n for _, group in parts for hit in group]
    opening = f"What follows is about {name(scope)}." if scope else ""
    for count in range(len(kept), 0, -1):
        there = {hit.n for hit in ranked if hit.n in kept}
        lines = [opening] if opening else []
        for number, (heading, group) in enumerate(parts, 1):
            cited = [line(spread(hit, longer)) for hit in group if hit.n in there]
            lines += [f"{number}. {name(heading)}", *cited] if cited and heading else cited
        text = "\n".join(lines)
        if budget is None or count_tokens(text) <= budget:
            return text, count
        kept.remove(max(kept))
    return pack(ranked[:1], budget)


def spread(hit: Hit, longer: int) -> Hit:
    """A long text as its aspects, one a line, with all its sentences in their order."""
    if count_tokens(hit.text) <= longer:
        return hit
    told = pieces(hit.text)
    found = outlined(told, vectors(told, Encoders()), {}, 1, width=4, least=3, deep=0.5)
    lines = [f"- {' '.join(told[a.start : a.end])}" for a in found.aspects]
    return replace(hit, text="\n".join(lines))


def shown_by(hit: Hit) -> str:
    return f"{hit.speaker}: {hit.text}" if hit.speaker else hit.text
