"""A-MEM (Xu et al. 2025, arXiv 2502.12110): notes that link themselves to others and make them evolve.

* Note: for every turn its keywords, tags and a sentence of context. It is found by content, context, keywords and tags
  as one text.
* Links: the five notes most like a new one are its neighbours; those that belong to it are linked to it.
* Evolution: a new note may change the context and the tags of its neighbours. The paper overwrites them; here the new
  version supersedes the old one, so that ``history`` and ``as_of`` still show what a note said before.
* Reading: the notes most like the question, then the notes that are linked to those.

All of this happens in ``reflect``, one turn a batch, in the order they were stored. With a language model a note takes
two calls, as in the published code: one that describes, one that links and evolves. Without one, keywords are those of
TF-IDF, the context is what was said or asked right before, tags are the first keyword and the kinds of facts that the
turn states; neighbours are linked at a cosine of 0.5 or two shared keywords, and get the tags that two of the group
have.

A hit is the turn that a note is about; the notes themselves are brought by ``Filter(kinds=["note"])``, and one that a
model wrote stands beside its turn in ``Recall.text``. Linked turns follow the k best, five at most. A note cites all
that it was made from: where some of that was forgotten it is not read, and the next reflect makes it again. An
evolution by a model starts from what the neighbours were described as first, so that a note rests on no more than the
model saw. Left out: in the published code a model turns the question into keywords; it also counts retrievals but does
not use the counts (``Space.usage`` has them here).

Links and evolution by rule add nothing on LoCoMo, where what helps is the context (tests/text/systems/test_amem.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnemic.errors import LanguageError
from mnemic.text.encode.lexical import stems, tokens
from mnemic.text.language.base import Language
from mnemic.text.language.cues import sentences
from mnemic.text.plan import Filter, Hit, Query, Recall
from mnemic.text.record import Batch, Interval, Key, Kind, Link, Record, State, digest
from mnemic.text.steps import assemble, citing, notes, similarity
from mnemic.text.steps.extract import extract
from mnemic.text.steps.keywords import frequencies, keywords
from mnemic.text.steps.mending import Mending, bearing, resting_on, standing
from mnemic.text.steps.notes import Note
from mnemic.text.steps.render import name, shown
from mnemic.text.steps.summarise import cut_to
from mnemic.text.steps.trace import Clock
from mnemic.text.steps.vectors import cosines, vectors
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

PREFIX = "amem-"
LINK = "amem"
"""The kind of links between turns: from the later one to its neighbour."""
TAGS = {
    "lives_in": "home", "from": "home", "works_at": "work", "job": "work", "status": "relationship",
    "partner": "relationship", "has": "family", "studies": "study", "owns": "possession", "pet": "pet",
    "likes": "taste", "dislikes": "taste", "favourite": "taste", "prefers": "taste", "diet": "health",
    "allergy": "health", "plans": "plan", "did": "event", "birthday": "birthday",
}  # fmt: skip
"""The tag of a turn that states a fact of this relation."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The paper's values; the last three lines are this implementation's own.

    ``neighbours`` looked at for each new note; ``link`` and ``evolve`` switch the paper's two modules off (its
    ablation). ``alike`` is the cosine, ``shared`` the number of keywords at which neighbours are linked by rule; at
    most ``most`` keywords and as many tags are kept.

    ``beyond`` linked turns follow the k best of a recall. ``before`` tokens of the context by rule; ``content`` tokens
    of a turn are shown to a model.
    """

    neighbours: int = 5
    link: bool = True
    evolve: bool = True
    alike: float = 0.5
    shared: int = 2
    most: int = 8
    beyond: int = 5
    before: int = 40
    content: int = 400
    depth: int = 300
    exact: int = 2500


class AMem:
    """Notes that link themselves to others and make them evolve. See the module's docstring."""

    name = "amem"
    kind = "memory"
    paper = "A-MEM, Agentic Memory for LLM Agents (Xu et al. 2025), arXiv 2502.12110"
    good_at = "questions whose answer lies one link away from their words; notes that change as more is learnt"
    cost = "write: nothing derived; read: one search and its links; reflect: two searches or two model calls a turn"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """One batch for each turn: its note, its links, and the new versions of its neighbours."""
        working = Mending(job, env, size=1)
        for (turn,) in working:
            try:
                batch = self.take_in(turn, env)
            except LanguageError as error:
                working.skip([turn], error)
                batch = Batch()
            yield replace(batch, cursor=working.cursor)
        yield Batch(cursor=working.cursor)
        working.close()

    def take_in(self, turn: Record, env: Env) -> Batch:
        """What the space learns from ``turn``: nothing if its note stands already."""
        if not bearing([turn.id], env.space):
            return Batch()
        mine = [note for note in resting_on([turn.id], PREFIX, env.space) if note.fields["turn"] == turn.id]
        active = [note for note in mine if note.state == State.ACTIVE]
        if standing(active, env.space):
            return Batch()
        first = self.describe(turn, env)
        near = self.near(turn, first, env)
        linked, note, changed = self.settle(turn, first, near, env)
        # A note made again must not be taken for one of the same words that was superseded.
        made = stored(turn, note, first, model=env.language is not None, origin=sorted(old.id for old in mine))
        if active:
            made = replace(made, supersedes=active[-1].id, version=active[-1].version + 1)
        puts, retire = [made], {old.id: made.id for old in active}
        about = {other.id: other for other in env.space.get([str(old.fields["turn"]) for old, _ in changed])}
        for old, new in changed:
            first, model = described(old), bool(old.fields["model"])
            version = stored(about[old.fields["turn"]], new, first, model=model, origin=[old.id])
            begins = max((at for at in (old.valid.start, turn.at) if at is not None), default=None)
            version = replace(version, valid=Interval(begins, None), supersedes=old.id, version=old.version + 1)
            puts.append(version)
            retire[old.id] = version.id
        return Batch(puts, retire, links=[Link(turn.id, other, LINK, weight) for other, weight in linked.items()])

    def describe(self, turn: Record, env: Env) -> Note:
        """Note construction: keywords, context, tags."""
        s = self.settings
        if env.language is not None:
            return notes.describe(env.language, turn, most=s.most, content=s.content)
        text = shown(turn)
        words = keywords([text], *frequencies([text], env.space), s.most)
        relations = [fact.relation.split(":")[0] for fact in extract(text, speaker=turn.speaker, said=turn.at)]
        kinds = [TAGS[r] for relation in relations if (r := "has" if relation.startswith("has_") else relation) in TAGS]
        before, context = self.before(turn, env)
        return Note(context, tuple(words), tuple(dict.fromkeys([*words[:1], *kinds]))[: s.most], before)

    def before(self, turn: Record, env: Env) -> tuple[tuple[str, ...], str]:
        """The turn before in the session that asks or tells something, and what it says, as one sentence of context."""
        if turn.session is None:
            return (), ""
        wanted = Filter(kinds=[Kind.TURN], sessions=[turn.session])
        page, _ = env.space.scan(wanted, str(max(0, turn.position - 200)), 200)
        for other in reversed([t for t in page if t.position < turn.position and t.state == State.ACTIVE]):
            told = [piece for piece in sentences(shown(other)) if tokens(piece)]
            asked = [piece for piece in told if piece.endswith(("?", "？"))]
            if told:
                who, does = name(other.speaker or other.role or "somebody"), "asked" if asked else "said"
                context = f"After {who} {does}: {asked[-1] if asked else max(told, key=len)}"
                return (other.id,), cut_to(context, self.settings.before)
        return (), ""

    def near(self, turn: Record, note: Note, env: Env) -> list[tuple[Record, float]]:
        """The notes most like this one with their cosines, best first."""
        s = self.settings
        told = note.index(turn)
        wanted = Filter(kinds=[Kind.NOTE])
        query = Query(told, s.neighbours, env.clock(), filter=wanted)
        c = env.space.search(similarity.plan(query, env.encoders, wanted, depth=s.depth, exact=s.exact))
        scores = similarity.own(c, c.eligible)
        slots = assemble.best(c, scores, s.neighbours + 1, scores > 0)
        found = standing(env.space.get(env.space.id_of([int(n) for n in c.item[slots]])), env.space)
        found = [other for other in found if other.fields["turn"] != turn.id][: s.neighbours]
        if not found:
            return []
        theirs = vectors([other.keys[0].text for other in found], env.encoders)
        alike = cosines(vectors([told], env.encoders), theirs)[0]
        return [(found[i], round(float(alike[i]), 4)) for i in np.argsort(-alike, kind="stable")]

    def settle(
        self, turn: Record, note: Note, near: Sequence[tuple[Record, float]], env: Env
    ) -> tuple[dict[str, float], Note, list[tuple[Record, Note]]]:
        """Link generation and memory evolution: linked turn -> cosine, the new note, and the neighbours that change."""
        s = self.settings
        if not near or not (s.link or s.evolve):
            return {}, note, []
        if env.language is not None:
            linked, note, changed = self.settle_with(env.language, turn, note, near, env)
        else:
            mine = set(stems(note.keywords))
            group = [
                (r, a) for r, a in near if a >= s.alike or len(mine & set(stems(r.fields["keywords"]))) >= s.shared
            ]
            linked = {str(other.fields["turn"]): alike for other, alike in group}
            note, changed = self.share_tags(turn, note, [other for other, _ in group])
        return linked if s.link else {}, note, changed if s.evolve else []

    def share_tags(self, turn: Record, note: Note, group: Sequence[Record]) -> tuple[Note, list[tuple[Record, Note]]]:
        """Evolution by rule: what two of the group are tagged with, all of them are."""
        members = [note, *map(Note.of, group)]
        ids = [turn.id, *(str(other.fields["turn"]) for other in group)]
        having = Counter(tag for each in members for tag in each.tags)
        grown = []
        for own, each in zip(ids, members, strict=True):
            new = [tag for tag, count in having.items() if count > 1 and tag not in each.tags]
            new = new[: max(0, self.settings.most - len(each.tags))]
            givers = [id for id, other in zip(ids, members, strict=True) if set(new) & set(other.tags) and id != own]
            grown.append(replace(each, tags=(*each.tags, *new), rests=tuple(dict.fromkeys((*each.rests, *givers)))))
        changed = [
            (old, new) for old, was, new in zip(group, members[1:], grown[1:], strict=True) if new.tags != was.tags
        ]
        return grown[0], changed

    def settle_with(
        self, language: Language, turn: Record, note: Note, near: Sequence[tuple[Record, float]], env: Env
    ) -> tuple[dict[str, float], Note, list[tuple[Record, Note]]]:
        """Evolution by a model. It sees the neighbours as they were described first, which rests on little else."""
        s = self.settings
        firsts = [described(other) for other, _ in near]
        turns = {t.id: t for t in env.space.get([str(other.fields["turn"]) for other, _ in near])}
        seen = [turns[str(other.fields["turn"])] for other, _ in near]
        shown_ = list(zip(seen, firsts, strict=True))
        found = notes.evolve(language, turn, note, shown_, most=s.most, content=s.content)
        linked = {seen[place].id: near[place][1] for place in found.connected}
        rests = dict.fromkeys((turn.id, *(t.id for t in seen), *(id for first in firsts for id in first.rests)))
        changed = []
        for place, (context, tags) in found.neighbours.items():
            others = tuple(id for id in rests if id != seen[place].id)
            changed.append((near[place][0], replace(firsts[place], context=context, tags=tags, rests=others)))
        if found.tags is not None and s.evolve:
            note = replace(note, tags=found.tags, rests=tuple(id for id in rests if id != turn.id))
        return linked, note, changed

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        found = citing.find(query, env, (Kind.NOTE,), PREFIX, depth=s.depth, exact=s.exact)
        clock.lap("search")
        trace: dict[str, Any] = {"system": self.name, **found.trace()}
        if query.filter.kinds and Kind.TURN not in query.filter.kinds:
            return assemble.recall(query, citing.direct(query, found), found.confidence(), clock, trace)
        noted = {str(note.fields["turn"]): (score, note) for note, score in reversed(found.derived)}
        by_note = {id: score for id, (score, _) in noted.items()}
        scores = {id: max(found.turns.get(id, 0.0), by_note.get(id, 0.0)) for id in {**found.turns, **by_note}}
        hits = citing.hits(query, found, scores, env, {found.leg: found.turns, "note": by_note})
        clock.lap("collect")
        linked = self.linked(query, hits, env)
        clock.lap("links")
        trace["linked"] = [h.id for h in linked]
        beside = [self.beside(h, noted[h.id][1]) if h.id in noted else h for h in (*hits, *linked)]
        told = assemble.recall(query, beside, found.confidence(), clock, trace)
        used = () if query.as_of else tuple(h.id for h in hits)
        return replace(told, hits=(*hits, *linked), used=used)

    def linked(self, query: Query, hits: Sequence[Hit], env: Env) -> list[Hit]:
        """The turns linked to ``hits``, the strongest links of the best hits first; none under a filter, which they
        might not pass."""
        if query.filter != Filter() or query.valid_at is not None or not hits:
            return []
        scores = {h.id: h.score for h in hits}
        reached: dict[str, float] = {}
        for link in env.space.neighbours(list(scores), [LINK]):
            for one, other in ((link.source, link.target), (link.target, link.source)):
                if one in scores and other not in scores:
                    reached[other] = max(scores[one] * link.weight, reached.get(other, 0.0))
        best = sorted(reached, key=lambda id: (-reached[id], id))[: self.settings.beyond]
        turns = [turn for turn in env.space.get(best, query.as_of) if turn.state == State.ACTIVE]
        places = enumerate(turns, len(hits) + 1)
        return [assemble.hit(n, turn, reached[turn.id], {"link": round(reached[turn.id], 4)}) for n, turn in places]

    def beside(self, hit: Hit, note: Record) -> Hit:
        """``hit`` with the note that a model wrote about it."""
        return replace(hit, text=f"{hit.text}\n{note.text}") if note.fields["model"] else hit


def stored(turn: Record, note: Note, first: Note, *, model: bool, origin: Sequence[str]) -> Record:
    """The record of a note. It bears the speaker, session and time of its turn, so that it passes the filters that the
    turn passes. Its id follows from what it says and from ``origin``, the ids of the notes before it. ``first`` is what
    it said before it was connected to any other."""
    fields = {
        "turn": turn.id,
        "context": note.context,
        "keywords": list(note.keywords),
        "tags": list(note.tags),
        "model": model,
        "first": [first.context, list(first.tags), list(first.rests)],
    }
    sources = (turn.id, *note.rests)
    return Record(
        id=f"{PREFIX}{digest(turn.id, size=8)}-{digest(json.dumps([fields, sources, *origin]), size=8)}",
        kind=Kind.NOTE,
        text=note.text(),
        at=turn.at,
        valid=turn.valid,
        speaker=turn.speaker,
        role=turn.role,
        session=turn.session,
        sources=sources,
        keys=(Key(note.index(turn)),),
        fields=fields,
        meta=turn.meta,
    )


def described(record: Record) -> Note:
    """A stored note as it was described first."""
    context, tags, rests = record.fields["first"]
    return Note(context, tuple(record.fields["keywords"]), tuple(tags), tuple(rests))
