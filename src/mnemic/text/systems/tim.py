"""TiM, Think-in-Memory (Liu et al. 2023, arXiv 2311.08719): what was concluded is kept, in buckets of a hash.

* A thought is one sentence that states a triple of head, relation and tail. ``reflect`` draws thoughts from the turns
  (post-thinking), so that nothing has to be concluded again, and otherwise, when it is recalled.
* A thought's bucket is F(x) = argmax [xR ; -xR] of its vector x (:mod:`mnemic.text.steps.lsh`).
* Inserting puts a thought into its bucket; forgetting takes out what a newer thought contradicts; merging makes one
  thought of those about the same head.
* Recalling looks into the question's bucket and takes the five thoughts most like it.

The paper stores thoughts alone; here the turns are stored as ever and every thought cites its own. A hit is a turn, k
of them, by its own similarity and that of the thoughts that cite it; the thoughts follow and begin ``Recall.text``.
``Settings.turns = False`` recalls thoughts only, as published.

Left open by the paper, and chosen here: x is the space's dense vector, without one a random projection to 256 numbers
of the learned sparse or stem vector (:mod:`mnemic.text.steps.vectors`); the paper takes it from the language model. b
is 64; one bucket, as published, misses more than half of what is close, so 8 are looked into (``probes``). A language
model states the thoughts of 20 turns in one call, and cleans the buckets that they fell into; without one they are read
by rule (:mod:`mnemic.text.steps.triples`). By rule, a thought contradicts another of the same head and relation if
these can have one tail only, or if one denies the other; the newer one holds. Tails of other relations are joined. What
is the same but for little (cosine above 0.92) is kept once, the longer one. The paper does all this inside a bucket;
but "lives in Porto" and "lives in Lisbon" mostly fall into different ones, so it is done for a head and relation
wherever they are (``everywhere``).

Nothing is deleted: what was forgotten or merged is superseded. What is left of a merged thought when one of its turns
is forgotten is drawn up again by the next reflect, and not recalled before.

The hash saves nothing here: the index compares a whole space in a millisecond or two, and the paper's own gain over
140 thoughts is a tenth of a millisecond. Looking into all buckets (``probes=0``) takes no longer and finds no less.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnemic.errors import LanguageError
from mnemic.text.encode.base import Floats
from mnemic.text.language.base import Language
from mnemic.text.plan import Query, Recall
from mnemic.text.record import Batch, Kind, Link, Record, State
from mnemic.text.steps import assemble, citing, similarity, thoughts
from mnemic.text.steps.bands import DUPLICATE, Band, judge
from mnemic.text.steps.lsh import Hash
from mnemic.text.steps.mending import Mending, bearing, in_force, resting_on, standing
from mnemic.text.steps.render import pack
from mnemic.text.steps.thoughts import PREFIX, Thought
from mnemic.text.steps.trace import Clock
from mnemic.text.steps.vectors import Vectors, cosines, projected, vectors
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

BUCKET, TOPIC = "bucket", "topic"
"""The kinds of links from a bucket, and from a head and relation, to the thoughts that are in it now."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``thoughts`` recalled (the paper's main table) and ``buckets`` of the hash (the paper gives no number).

    ``probes`` buckets are looked into for a question; 1 is the paper's, 0 looks into all. ``everywhere`` looks for
    contradictions and for what can be merged by head and relation in all buckets; off, in the thought's own bucket, as
    in the paper. ``turns`` off recalls thoughts alone, as in the paper.

    ``alike`` is the cosine above which two thoughts of one head are the same; a merged thought has ``most`` tails.
    ``pull``: a turn gets so much of the score of the best thought that cites it. ``projection`` and ``seed`` make the
    hash where there is no dense encoder. ``page`` turns go into one batch, and into one call of a language model.
    """

    thoughts: int = 5
    buckets: int = 64
    probes: int = 8
    everywhere: bool = True
    turns: bool = True
    alike: float = DUPLICATE
    most: int = 8
    pull: float = 0.5
    projection: int = 256
    seed: int = 0
    page: int = 20
    depth: int = 300
    exact: int = 2500


class Tim:
    """Thoughts in the buckets of a hash. See the module's docstring."""

    name = "tim"
    kind = "memory"
    paper = "TiM, Think-in-Memory (Liu et al. 2023), arXiv 2311.08719"
    good_at = "what was concluded once stays concluded: facts as short sentences, the newest value of each"
    cost = "write: nothing derived; read: two searches; reflect: rules, or a model call for 20 turns and one a bucket"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """Post-thinking: one batch for each page of turns, with what it inserts, forgets and merges."""
        working = Mending(job, env, size=self.settings.page)
        for page in working:
            table = Table(self.settings, env)
            try:
                for thought, before in self.conclude(page, working, env):
                    table.insert(thought, before)
                if env.language is not None:
                    for bucket in sorted(table.touched):
                        table.clean(bucket, env.language)
                batch = table.batch()
            except LanguageError as error:
                working.skip(page, error)
                batch = Batch()
            yield replace(batch, cursor=working.cursor)
        yield Batch(cursor=working.cursor)
        working.close()

    def conclude(self, page: Sequence[Record], working: Mending, env: Env) -> list[tuple[Thought, list[str]]]:
        """The thoughts of ``page`` that no thought in force says yet, each with the ids of the records that said it
        before: what was merged into a thought that fell with another of its turns comes up again here."""
        counting = bearing([turn.id for turn in page], env.space)
        turns = {turn.id: turn for turn in page if turn.id in counting}
        before: dict[str, list[Record]] = {}
        for record in resting_on(list(turns), PREFIX, env.space):
            if len(record.sources) == len(record.fields["tails"]) == 1:
                before.setdefault(Thought.of(record).key, []).append(record)
        drawn = [Thought.of(records[0]) for records in before.values()]
        fresh = [turn for turn in turns.values() if working.new(turn)]
        if env.language is None:
            drawn += [thought for turn in fresh for thought in thoughts.by_rule(turn)]
        elif fresh:
            drawn += thoughts.with_model(env.language, fresh)
        missing = []
        for thought in {thought.key: thought for thought in drawn}.values():
            records = before.get(thought.key, [])
            if not any(in_force(record, env.space) for record in records):
                missing.append((thought, sorted(record.id for record in records)))
        return missing

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        found = citing.find(query, env, (), PREFIX, depth=s.depth, exact=s.exact)
        recalled, probed, compared = self.recall(query, found.scale, env)
        clock.lap("search")
        trace: dict[str, Any] = {"system": self.name, **found.trace(), "buckets": probed, "compared": compared}
        kinds = query.filter.kinds
        if not s.turns or (kinds and Kind.TURN not in kinds):
            best = recalled[: query.k]
            hits = [assemble.hit(n, record, score, {found.leg: score}) for n, (record, score) in enumerate(best, 1)]
            return assemble.recall(query, hits, found.confidence(), clock, trace)
        pulled: dict[str, float] = {}
        for record, score in reversed(recalled):
            pulled.update((source, s.pull * score) for source in record.sources)
        scores = {id: found.turns.get(id, 0.0) + pulled.get(id, 0.0) for id in {**found.turns, **pulled}}
        hits = citing.hits(query, found, scores, env, {found.leg: found.turns, "thought": pulled})
        beside = [] if kinds else recalled[: s.thoughts]
        told = [assemble.hit(n, record, score) for n, (record, score) in enumerate(beside, len(hits) + 1)]
        clock.lap("collect")
        text, packed = pack([*told, *hits], query.budget)
        clock.lap("render")
        trace |= {"packed": packed, "thoughts": [h.id for h in told], "ms": clock.total(), "laps": clock.laps}
        return Recall(query.text, (*hits, *told), text, round(found.confidence(), 4), trace)

    def recall(self, query: Query, scale: float, env: Env) -> tuple[list[tuple[Record, float]], list[int], int]:
        """The thoughts most like the question with their similarities in units of ``scale``; the buckets that were
        looked into (none where all were), and how many thoughts that left to be compared."""
        s = self.settings
        kinds = query.filter.kinds
        if kinds and Kind.FACT not in kinds and Kind.TURN not in kinds:
            return [], [], 0
        probed: list[int] = []
        inside = list(query.filter.ids)
        if s.probes and query.as_of is None and query.valid_at is None and not inside:
            dense = env.encoders.dense
            asked = dense.encode_query(query.text)[None] if dense else vectors([query.text], env.encoders)
            x = projected(asked, s.projection, s.seed)
            probed = hash_of(x, s).probes(x, s.probes)[0].tolist() if x.any() else []
            links = env.space.neighbours([bucket_name(bucket) for bucket in probed], [BUCKET])
            inside = [link.target for link in links]
            if not inside:
                return [], probed, 0
        wanted = replace(query.filter, kinds=[Kind.FACT], ids=inside)
        c = env.space.search(similarity.plan(query, env.encoders, wanted, depth=s.depth, exact=s.exact))
        own = similarity.own(c, c.eligible) / np.float32(scale)
        slots = assemble.best(c, own, max(query.k, s.thoughts) + 5, own > 0)
        ids = env.space.id_of([int(n) for n in c.item[slots]])
        score = dict(zip(ids, own[slots].tolist(), strict=True))
        records = [r for r in env.space.get(ids, query.as_of) if r.id.startswith(PREFIX)]
        best = [(record, round(score[record.id], 4)) for record in standing(records, env.space)]
        return best, probed, int(c.eligible.sum()) if not probed else len(inside)


class Table:
    """The buckets that a page of turns touches, as they are in the space and as the page changes them."""

    def __init__(self, settings: Settings, env: Env) -> None:
        self.settings, self.env = settings, env
        self.touched: set[int] = set()
        self._members: dict[str, dict[str, Record]] = {}
        self._vectors: dict[str, Vectors] = {}
        self._puts: list[Record] = []
        self._retire: dict[str, str] = {}
        self._archive: list[str] = []
        self._links: list[Link] = []
        self._unlink: list[Link] = []

    def batch(self) -> Batch:
        """What the page changes."""
        return Batch(self._puts, self._retire, (), self._archive, self._links, self._unlink)

    def insert(self, thought: Thought, before: Sequence[str] = ()) -> None:
        """Put ``thought`` into its bucket, then forget and merge: what it contradicts, unless that is newer; what it
        makes one sentence with; what is nearly the same. ``before`` are the ids of records that said it before."""
        record = self.put(thought, before)
        for other in self.rivals(record):
            theirs = Thought.of(other)
            old, new, before_, after = (
                (other, record, theirs, thought) if older(other, record) else (record, other, thought, theirs)
            )
            left = before_.without(after)
            if left is None:
                self.drop(old, new)
            elif left != before_:  # what is left rests on the denial too
                rest = tuple(dict.fromkeys((*left.sources, *after.sources)))
                self.drop(old, self.put(replace(left, start=new.valid.start, sources=rest), (old.id, new.id)))
            if old is record and left != before_:
                return
        for other in self.rivals(record):
            first, last = (other, record) if older(other, record) else (record, other)
            if Thought.of(first).joins(Thought.of(last), self.settings.most):
                joined = self.put(Thought.of(first).joined(Thought.of(last)), (first.id, last.id))
                self.drop(last, joined)
                self.drop(first, joined)  # last, so that the history goes back along the longer chain
                record = joined
                break
        for other in self.same(record):
            shorter, longer = sorted((other, record), key=lambda r: (len(r.text), r.id))
            self.drop(shorter, longer)
            if shorter is record:
                return

    def clean(self, bucket: int, language: Language) -> None:
        """Forgetting and merging by a language model, inside one bucket, where it holds several thoughts of a head."""
        inside = sorted(self.members(bucket_name(bucket), BUCKET), key=lambda r: (*moment(r), r.id))
        heads = Counter(Thought.of(record).slot[0] for record in inside)
        inside = [record for record in inside if heads[Thought.of(record).slot[0]] > 1][-thoughts.MOST :]
        if not inside:
            return
        found = thoughts.clean(language, [Thought.of(record) for record in inside])
        for old, new in found.forget:
            self.drop(inside[old], inside[new])
        for group, wording in found.merge:
            joined = Thought.of(inside[group[0]])
            for place in group[1:]:
                joined = joined.joined(Thought.of(inside[place]))
            record = self.put(replace(joined, wording=wording), [inside[place].id for place in group])
            for place in reversed(group):
                self.drop(inside[place], record)

    def put(self, thought: Thought, before: Sequence[str]) -> Record:
        x = projected(self.vector(thought.text), self.settings.projection, self.settings.seed)
        bucket = int(hash_of(x, self.settings).bucket(x)[0])
        record = thought.record(bucket, before)
        self._puts.append(record)
        for place, kind in places(record):
            self._here(place, kind)[record.id] = record
            self._links.append(Link(place, record.id, kind))
        self.touched.add(bucket)
        return record

    def drop(self, old: Record, new: Record) -> None:
        """``old`` is superseded by ``new`` and leaves its bucket."""
        self._retire[old.id] = new.id
        self._leave(old)

    def rivals(self, record: Record) -> list[Record]:
        """The thoughts of the same head that ``record`` may contradict or be merged with."""
        (bucket, _), (topic, _) = places(record)
        if self.settings.everywhere:
            found = self.members(topic, TOPIC)
        else:
            found = [other for other in self.members(bucket, BUCKET) if places(other)[1][0] == topic]
        return [other for other in found if other.id != record.id]

    def same(self, record: Record) -> list[Record]:
        """The thoughts of its bucket and head that say the same but for little."""
        mine = Thought.of(record)
        found = []
        for other in self.members(places(record)[0][0], BUCKET):
            theirs = Thought.of(other)
            if other.id != record.id and theirs.slot[0] == mine.slot[0]:
                cosine = float(cosines(self.vector(mine.text), self.vector(theirs.text))[0, 0])
                one, alike = mine.one_value or theirs.one_value, self.settings.alike
                if judge(mine.text, theirs.text, cosine, exclusive=one, conflict=alike) == Band.DUPLICATE:
                    found.append(other)
        return found

    def members(self, place: str, kind: str) -> list[Record]:
        return list(self._here(place, kind).values())

    def vector(self, text: str) -> Vectors:
        if text not in self._vectors:
            self._vectors[text] = vectors([text], self.env.encoders)
        return self._vectors[text]

    def _here(self, place: str, kind: str) -> dict[str, Record]:
        """What is in a bucket or about a topic now; what rests on turns that are gone is put away."""
        if place not in self._members:
            space = self.env.space
            stored = space.get([link.target for link in space.neighbours([place], [kind]) if link.source == place])
            active = [record for record in stored if record.state == State.ACTIVE and record.id not in self._retire]
            kept = standing(active, space)
            self._members[place] = {record.id: record for record in kept}
            for record in active:
                if record not in kept and record.id not in self._archive:
                    self._archive.append(record.id)
                    self._leave(record)
        return self._members[place]

    def _leave(self, record: Record) -> None:
        for place, kind in places(record):
            self._members.get(place, {}).pop(record.id, None)
            self._unlink.append(Link(place, record.id, kind))


def places(record: Record) -> tuple[tuple[str, str], tuple[str, str]]:
    """Where links to a thought begin, with their kinds: its bucket and its topic."""
    topic = f"{PREFIX}{TOPIC}-{Thought.of(record).topic}"
    return (bucket_name(record.fields["bucket"]), BUCKET), (topic, TOPIC)


def bucket_name(bucket: int) -> str:
    return f"{PREFIX}{BUCKET}-{bucket}"


def hash_of(x: Floats, settings: Settings) -> Hash:
    return Hash(x.shape[1], settings.buckets, settings.seed)


def moment(record: Record) -> tuple[float, float]:
    """When a thought began to hold, and when it was said."""
    start, said = (-math.inf if at is None else at.timestamp() for at in (record.valid.start, record.at))
    return max(start, said) if start == -math.inf else start, said


def older(a: Record, b: Record) -> bool:
    """Whether ``a`` began no later than ``b``, which came after it."""
    return moment(a) <= moment(b)
