"""MemOS (Li et al. 2025, arXiv 2507.03724): memories in cubes with a life, kept in tiers by how they are used.

* Cube: a fact with the header of :mod:`mnemic.cube`. A cube is generated, activated when it is used again and again,
  merged into another, archived when it is cold, expired after its time, or frozen (``meta={"frozen": True}`` on its
  turn), which keeps it as it is.
* Conflicts: a new cube is compared with the five most like it, from a cosine of 0.8 on. What contradicts or repeats an
  older one is fused with it: both go into a third (``merged_to``), which inherits their links.
* Scheduler: the working tier holds the 20 most important cubes; of the long-term and the user tier the least used are
  archived as soon as four fifths of 1,500 and 480 are taken.
* Reorganiser: 20 cubes or more that belong to nothing are clustered; five or more that are close get a summary above
  them (``aggregate_to``).
* Reading: turns and cubes are searched together; cubes are ordered by importance, 0.9 relevance + 0.05 min(0.05
  keywords, 5) + 0.05 min(0.05 uses, 2), and five of them stand before the turns in ``Recall.text``.

Writing derives nothing; all of this happens in ``reflect``. A language model reads the facts (20 turns a call), judges
conflicts and words the summaries; without one these are the rules of :mod:`mnemic.text.steps.extract`, the bands of
:mod:`mnemic.text.steps.bands`, where the newer one holds, and sentences of the cubes. Other values of what has one
only (where somebody lives) are in conflict whatever their cosine: in a space without a dense encoder it is low.

What differs. The turns themselves are in no tier: they stay and are the hits, a cube lifting the turns it cites. A cube
that went into another is superseded, not archived, so that ``valid_at`` and ``history`` still find it. What was
archived is found with ``Filter(archived=True)``, and one that is used so is activated again. In the published code the
oldest go when a tier is full; here what was used is spared. The weights of importance count once. Left out: the paths
for preferences, tools, skills and the internet, and the model that reads a question into a call; access lists are kept
in the header but nobody is asked for a name yet.

Other floors: :class:`~mnemic.cube.ActivationPort` holds the working tier as one numbered text. It is called by
``reflect`` when that text changed; what was forgotten since stays in what it holds until then. What was published of
parametric memory writes a placeholder; here it is a port, and nothing calls it yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnemic.cube import ActivationPort, Behavioural, Descriptive, Form, Header, Life
from mnemic.errors import LanguageError
from mnemic.text.encode.lexical import fold, tokens
from mnemic.text.plan import Filter, Query, Recall
from mnemic.text.record import Batch, Kind, Link, Record, State, digest
from mnemic.text.steps import assemble, citing, cubes, similarity
from mnemic.text.steps.bands import CONFLICT, DUPLICATE, Band
from mnemic.text.steps.cluster import ward
from mnemic.text.steps.cubes import (
    AGGREGATE_TO,
    ANCHOR,
    MERGED_TO,
    PREFIX,
    SLOT,
    all_of,
    begins,
    header_of,
    inherited,
    sealed,
    slot,
)
from mnemic.text.steps.extract import extract
from mnemic.text.steps.mending import Mending, bearing, resting_on, standing
from mnemic.text.steps.reading import read_facts
from mnemic.text.steps.render import pack, shown
from mnemic.text.steps.summarise import abstract, centroid, split, told
from mnemic.text.steps.trace import Clock
from mnemic.text.steps.vectors import cosines, projected, vectors
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

WORKING, COLD, DONE = "working", "cold", "done"
"""The kinds of links from the scheduler to the working tier, to cold cubes, and to what was done last."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The published values; the last two lines are this implementation's own.

    ``working``, ``long_term`` and ``user`` cubes are in the three tiers at most, the last two being cut back to
    ``share`` of that. ``alike`` is the cosine from which two of the ``neighbours`` may be in conflict, ``same`` from
    which they say the same. ``nodes`` cubes that belong to nothing make the reorganiser work; a summary needs
    ``members``, and is of ``summary`` tokens. ``memories`` cubes stand before the turns.

    ``often`` recalls activate a cube. After ``ttl`` days it expires (None: never). ``pull``: a turn gets so much of the
    score of the best cube that cites it. ``cut`` is the distance up to which the reorganiser joins (Ward).
    ``page`` turns go into one batch, and into one call of a language model.
    """

    working: int = 20
    long_term: int = 1500
    user: int = 480
    share: float = 0.8
    alike: float = CONFLICT
    same: float = DUPLICATE
    neighbours: int = 5
    nodes: int = 20
    members: int = 5
    memories: int = 5
    summary: int = 60
    often: int = 2
    ttl: float | None = None
    pull: float = 0.5
    cut: float = 1.0
    projection: int = 256
    page: int = 20
    depth: int = 300
    exact: int = 2500


class MemOs:
    """Memory as cubes that live, in tiers. See the module's docstring."""

    name = "memos"
    kind = "memory"
    paper = "MemOS, A Memory OS for AI System (Li et al. 2025), arXiv 2507.03724"
    good_at = (
        "facts with a life of their own: the newest value holds, what is used stays at hand, what is cold is put away"
    )
    cost = "write: nothing derived; read: one search; reflect: rules, or a model call for 20 turns and one a conflict"

    def __init__(self, settings: Settings | None = None, activation: ActivationPort | None = None) -> None:
        self.settings = settings or Settings()
        self.activation = activation

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """One batch for each page of turns, with its cubes and what they are fused with; then the scheduler's, the
        reorganiser's, and the activation memory's."""
        working = Mending(job, env, size=self.settings.page)
        for page in working:
            table = Table(self.settings, env)
            try:
                for record in self.read_in(page, working, env):
                    table.insert(record)
                batch = table.batch()
            except LanguageError as error:
                working.skip(page, error)
                batch = Batch()
            yield replace(batch, cursor=working.cursor)
        yield replace(self.schedule(env), cursor=working.cursor)
        try:
            batch = self.reorganise(env)
        except LanguageError as error:
            yield Batch(cursor=working.cursor)
            raise LanguageError(f"no summaries were made; the next reflect tries again. {error}") from error
        yield replace(batch, cursor=working.cursor)
        yield replace(self.activate(env), cursor=working.cursor)
        working.close()

    def read_in(self, page: Sequence[Record], working: Mending, env: Env) -> list[Record]:
        """MemReader: the cubes of ``page`` that are not there yet, or fell with another turn."""
        counting = bearing([turn.id for turn in page], env.space)
        turns = {turn.id: turn for turn in page if turn.id in counting and turn.role != "assistant"}
        before: dict[str, list[Record]] = {}
        for record in resting_on(list(turns), PREFIX, env.space):
            if len(record.sources) == 1 and "key" in record.fields:
                before.setdefault(str(record.fields["key"]), []).append(record)
        ttl = self.settings.ttl
        if env.language is None:
            stated = [(fact, t) for t in turns.values() for fact in extract(shown(t), speaker=t.speaker, said=t.at)]
            drawn = [cubes.cube(fact, turn, model="rule", ttl=ttl) for fact, turn in stated]
        else:
            fresh = [turn for turn in turns.values() if working.new(turn)]
            stated = read_facts(env.language, fresh)
            drawn = [cubes.cube(fact, turn, model=env.language.name, ttl=ttl) for fact, turn in stated]
            drawn += [records[0] for records in before.values()]
        missing = []
        for key, record in {str(record.fields["key"]): record for record in drawn}.items():
            fallen = before.get(key, [])
            if not any(cubes.settled(old, env.space) for old in fallen):
                missing.append(cubes.reborn(record, sorted(old.id for old in fallen)) if fallen else record)
        return missing

    def schedule(self, env: Env) -> Batch:
        """MemScheduler: what was used is activated, what is full is cut back, what does not stand or hold is put away;
        the working tier is set anew."""
        s, now = self.settings, env.clock()
        stored = [record for record in all_of(Kind.FACT, env.space) if record.state in (State.ACTIVE, State.ARCHIVED)]
        alive = {record.id for record in standing(stored, env.space)}
        lives = {record.id: header_of(record, now) for record in stored}
        usage = env.space.usage()
        cold = {link.target: link.weight for link in env.space.neighbours([ANCHOR], [COLD]) if link.source == ANCHOR}
        puts, retire, archive = [], {}, []
        links, unlink = [], []
        present: list[tuple[Record, Header]] = []
        for record in stored:
            header, used = lives[record.id], usage.get(record.id)
            if record.id not in alive or header.expired(now):
                archive += [record.id] if record.state == State.ACTIVE else []
                continue
            count = used.count if used else 0
            woken = header.life == Life.ARCHIVED and count > cold.get(record.id, count)
            total = header.behavioural.uses + count
            last = used.last if used else header.descriptive.last_used
            header = replace(
                header,
                descriptive=replace(header.descriptive, last_used=last),
                behavioural=replace(header.behavioural, uses=total),
            )
            if woken or (header.life == Life.GENERATED and total >= s.often):
                new = cubes.version_of(record, header.to(Life.ACTIVATED))
                puts.append(new)
                retire[record.id] = new.id
                added, removed = inherited([(record, new)], env.space)
                links += added
                unlink += [*removed, *([Link(ANCHOR, record.id, COLD)] if woken else [])]
                record, header = new, header_of(new, now)
            if header.life != Life.ARCHIVED:
                present.append((record, header))
        for tier, cap in (("long-term", s.long_term), ("user", s.user)):
            inside = [pair for pair in present if pair[1].descriptive.type == tier]
            movable = sorted((pair for pair in inside if pair[1].life != Life.FROZEN), key=worth)
            for record, header in movable[: max(0, len(inside) - int(s.share * cap))]:
                header.to(Life.ARCHIVED)
                archive.append(record.id)
                count = usage[record.id].count if record.id in usage else 0
                links.append(Link(ANCHOR, record.id, COLD, float(count)))
        gone = set(archive)
        hot = sorted((pair for pair in present if pair[0].id not in gone), key=worth, reverse=True)[: s.working]
        weights = {record.id: round(importance(0.0, 0, header.behavioural.uses), 4) for record, header in hot}
        before = {link.target: link.weight for link in linked(WORKING, env)}
        links += [Link(ANCHOR, id, WORKING, w) for id, w in weights.items() if before.get(id) != w]
        unlink += [Link(ANCHOR, id, WORKING) for id in before if id not in weights]
        return Batch(puts, retire, (), archive, links, unlink)

    def reorganise(self, env: Env) -> Batch:
        """MemReorganiser: summaries whose members changed are made again, and cubes without one are clustered."""
        s, now = self.settings, env.clock()
        stored = [r for r in all_of(Kind.FACT, env.space) if r.state in (State.ACTIVE, State.ARCHIVED)]
        nodes = {r.id: r for r in standing(stored, env.space) if not header_of(r, now).expired(now)}
        parents = [record for record in all_of(Kind.SUMMARY, env.space) if record.state == State.ACTIVE]
        bound = env.space.neighbours([parent.id for parent in parents], [AGGREGATE_TO])
        puts, retire, archive, links, taken = [], {}, [], [], set()
        for parent in parents:
            ids = sorted(link.source for link in bound if link.target == parent.id and link.source in nodes)
            if ids == parent.fields["children"] and standing([parent], env.space):
                taken |= set(ids)
            elif len(ids) >= s.members:
                new = self.above([nodes[id] for id in ids], env, before=parent)
                puts.append(new)
                retire[parent.id] = new.id
                links += [Link(id, new.id, AGGREGATE_TO) for id in ids]
                taken |= set(ids)
            else:
                archive.append(parent.id)
        orphans = [record for id, record in nodes.items() if id not in taken and record.state == State.ACTIVE]
        mark = f"{PREFIX}orphans-{digest(*sorted(record.id for record in orphans))}"
        last = [link for link in linked(DONE, env) if link.target.startswith(f"{PREFIX}orphans-")]
        if len(orphans) < s.nodes or mark in {link.target for link in last}:
            return Batch(puts, retire, (), archive, links)
        labels = ward(projected(vectors([r.text for r in orphans], env.encoders), s.projection, 0), s.cut)
        for label in range(int(labels.max()) + 1):
            members = [orphans[i] for i in np.flatnonzero(labels == label)]
            if len(members) >= s.members:
                new = self.above(members, env)
                puts.append(new)
                links += [Link(record.id, new.id, AGGREGATE_TO) for record in members]
        return Batch(puts, retire, (), archive, [*links, Link(ANCHOR, mark, DONE)], last)

    def above(self, members: Sequence[Record], env: Env, before: Record | None = None) -> Record:
        """The summary of ``members``, in place of the one ``before``."""
        s = self.settings
        members = sorted(members, key=lambda record: (begins(record), record.id))
        if env.language is not None:
            text = abstract(env.language, "", "\n".join(record.text for record in members), s.summary)
        else:
            pool = [s_ for n, r in enumerate(members) for s_ in split(replace(r, speaker=None), n, s.summary)]
            text = told(centroid(pool, s.summary)) or members[-1].text
        speakers = {record.speaker for record in members}
        sources = tuple(dict.fromkeys(source for record in members for source in record.sources))
        model = "rule" if env.language is None else env.language.name
        record = Record(
            id="",
            kind=Kind.SUMMARY,
            text=text,
            at=max((record.at for record in members if record.at is not None), default=None),
            speaker=members[0].speaker if len(speakers) == 1 else None,
            sources=sources,
            fields={"children": sorted(record.id for record in members)},
            supersedes=before.id if before else None,
            version=before.version + 1 if before else 1,
        )
        used = Behavioural(version=record.version, before=(before.id,) if before else ())
        return sealed(
            record, Header("", descriptive=Descriptive(record.at, None, sources, "long-term", model), behavioural=used)
        )

    def activate(self, env: Env) -> Batch:
        """Activation memory: the working tier as one numbered text, held by the port if it changed."""
        if self.activation is None:
            return Batch()
        hot = sorted(self.working(env), key=lambda record: (begins(record), record.id))
        text = "\n".join(f"{n}. {record.text}" for n, record in enumerate(hot, 1))
        mark = f"{PREFIX}held-{digest(self.activation.model, text)}"
        last = [link for link in linked(DONE, env) if link.target.startswith(f"{PREFIX}held-")]
        if mark in {link.target for link in last}:
            return Batch()
        origin = tuple(record.id for record in hot)
        header = Header(
            f"{PREFIX}activation",
            Form.ACTIVATION,
            descriptive=Descriptive(env.clock(), None, origin, "working", self.activation.model),
        )
        if hot:
            self.activation.hold(header, text)
        else:
            self.activation.drop(header.id)
        return Batch(links=[Link(ANCHOR, mark, DONE)], unlink=last)

    def working(self, env: Env) -> list[Record]:
        """The working tier, the most important first."""
        found = sorted(linked(WORKING, env), key=lambda link: (-link.weight, link.target))
        stored = env.space.get([link.target for link in found])
        return standing([record for record in stored if record.state == State.ACTIVE], env.space)

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        found = citing.find(query, env, (Kind.FACT, Kind.SUMMARY), PREFIX, depth=s.depth, exact=s.exact)
        clock.lap("search")
        best = self.ranked(query, found.derived, env)
        found = replace(found, derived=best)
        trace: dict[str, Any] = {"system": self.name, **found.trace()}
        kinds = query.filter.kinds
        if kinds and Kind.TURN not in kinds:
            told_ = assemble.recall(query, citing.direct(query, found), found.confidence(), clock, trace)
            return replace(told_, used=() if query.as_of else tuple(h.id for h in told_.hits))
        pulled: dict[str, float] = {}
        for record, score in reversed(best):
            if record.kind == Kind.FACT:
                pulled.update((source, max(s.pull * score, pulled.get(source, 0.0))) for source in record.sources)
        scores = {id: found.turns.get(id, 0.0) + pulled.get(id, 0.0) for id in {**found.turns, **pulled}}
        hits = citing.hits(query, found, scores, env, {found.leg: found.turns, "cube": pulled})
        beside = [] if kinds else best[: s.memories]
        cubes_ = [assemble.hit(n, record, score) for n, (record, score) in enumerate(beside, len(hits) + 1)]
        clock.lap("collect")
        text, packed = pack([*cubes_, *hits], query.budget)
        clock.lap("render")
        trace |= {"packed": packed, "cubes": [h.id for h in cubes_], "ms": clock.total(), "laps": clock.laps}
        used = () if query.as_of else tuple(h.id for h in (*hits, *cubes_))
        return Recall(query.text, (*hits, *cubes_), text, round(found.confidence(), 4), trace, used)

    def ranked(self, query: Query, derived: Sequence[tuple[Record, float]], env: Env) -> list[tuple[Record, float]]:
        """Cubes with their importance for the question, best first; what has expired is none. Their uses are those
        known to the last reflect: asking the store for newer ones would make it write on the way of a question."""
        now, asked = env.clock(), set(tokens(query.text))
        hot = {link.target: link.weight for link in linked(WORKING, env)}
        found = []
        for record, score in derived:
            header = Header.unpacked(record.id, record.fields["cube"])
            if query.as_of is None and header.expired(now):
                continue
            used = hot.get(record.id, importance(0.0, 0, header.behavioural.uses))
            relevant = importance(score, len(asked & set(tokens(record.text))), 0)
            found.append((record, round(relevant + used, 4)))
        return sorted(found, key=lambda pair: (-pair[1], pair[0].position))


class Table:
    """The cubes that a page of turns touches, as the page changes them."""

    def __init__(self, settings: Settings, env: Env) -> None:
        self.settings, self.env = settings, env
        self._puts: dict[str, Record] = {}
        self._retire: dict[str, str] = {}
        self._links: list[Link] = []
        self._unlink: list[Link] = []
        self._usage = env.space.usage()

    def batch(self) -> Batch:
        """What the page changes."""
        return Batch(list(self._puts.values()), self._retire, (), (), self._links, self._unlink)

    def insert(self, record: Record) -> None:
        """Store a cube, fused with what it contradicts or repeats."""
        s = self.settings
        self._put(record)
        for other, cosine in self.rivals(record):
            if other.id in self._retire:
                continue
            old, new = sorted((other, record), key=begins)
            text: str | None = None
            if self.env.language is not None:
                band, text = cubes.resolve(self.env.language, old, new)
            else:
                band = cubes.compare(old, new, cosine, conflict=s.alike, duplicate=s.same)
            if band == Band.INDEPENDENT:
                continue
            lives = [self._life(each) for each in (old, new)]
            record = cubes.fused(old, new, band, text, lives)
            self._put(record)
            for part in (new, old):  # the older last, so that the history goes back along it
                self._retire[part.id] = record.id
                self._links.append(Link(part.id, record.id, MERGED_TO))
                self._unlink += [Link(slot(part), part.id, SLOT), Link(ANCHOR, part.id, COLD)]
            added, removed = inherited([(old, record), (new, record)], self.env.space)
            self._links += added
            self._unlink += removed

    def rivals(self, record: Record) -> list[tuple[Record, float]]:
        """The cubes of the same subject that ``record`` may be in conflict with, and their cosines: those close enough,
        and the other values of what has one value."""
        s, space = self.settings, self.env.space
        wanted = Filter(kinds=[Kind.FACT], archived=True)
        query = Query(record.text, s.neighbours, self.env.clock(), filter=wanted)
        c = space.search(similarity.plan(query, self.env.encoders, wanted, depth=s.depth, exact=s.exact))
        scores = similarity.own(c, c.eligible)
        near = space.id_of([int(n) for n in c.item[assemble.best(c, scores, s.neighbours, scores > 0)]])
        alternatives = [link.target for link in space.neighbours([slot(record)], [SLOT])]
        stored = space.get(list(dict.fromkeys((*near, *alternatives))))
        found = [*standing([r for r in stored if r.id.startswith(PREFIX)], space), *self._puts.values()]
        subject = fold(str(record.fields["subject"]))
        found = [
            other
            for other in {other.id: other for other in found}.values()
            if other.id != record.id
            and other.id not in self._retire
            and other.state in (State.ACTIVE, State.ARCHIVED)
            and fold(str(other.fields["subject"])) == subject
            and Life.FROZEN not in (self._life(other).life, self._life(record).life)
            and not self._life(other).expired(self.env.clock())
        ]
        if not found:
            return []
        mine, theirs = vectors([record.text], self.env.encoders), vectors([r.text for r in found], self.env.encoders)
        alike = cosines(mine, theirs)[0].tolist()
        one = bool(record.fields["functional"])
        return [(o, a) for o, a in zip(found, alike, strict=True) if a >= s.alike or (one and slot(o) == slot(record))]

    def _put(self, record: Record) -> None:
        self._puts[record.id] = record
        self._links.append(Link(slot(record), record.id, SLOT))

    def _life(self, record: Record) -> Header:
        header = header_of(record, self.env.clock())
        used = self._usage.get(record.id)
        if used is None:
            return header
        return replace(
            header,
            descriptive=replace(header.descriptive, last_used=used.last),
            behavioural=replace(header.behavioural, uses=header.behavioural.uses + used.count),
        )


def importance(relevance: float, keywords: int, uses: int) -> float:
    """The published weights: relevance in [0, 1], words that are the question's, recalls so far."""
    return 0.9 * relevance + 0.05 * min(0.05 * keywords, 5) + 0.05 * min(0.05 * uses, 2)


def worth(pair: tuple[Record, Header]) -> tuple[Any, ...]:
    """By what cubes are ordered where no question is asked: the least needed first."""
    record, header = pair
    last = header.descriptive.last_used
    used = last.timestamp() if last else float("-inf")
    hot = header.life in (Life.ACTIVATED, Life.FROZEN)
    return hot, importance(0.0, 0, header.behavioural.uses), used, begins(record), record.id


def linked(kind: str, env: Env) -> list[Link]:
    return [link for link in env.space.neighbours([ANCHOR], [kind]) if link.source == ANCHOR]
