"""AI-native memory (Shang et al. 2024, arXiv 2406.18312) as Second-Me has it: conclusions about a person, in layers.

* L0: the raw turns, searched as ever.
* L1: what somebody keeps coming back to. Their turns are clustered as they come (:mod:`mnemic.text.steps.cluster`); a
  cluster is a *shade* of the person: keywords, and the sentences at its centre. The more a shade weighs, the surer it
  is: shade i of n has the confidence 5 - floor(5 i / n).
* Biography: a text over all shades, in the third person for a reader and in the second for the person.
* L2: a model of one's own, trained on L0 and L1. Here it is a port (:class:`Personal`), called when a biography
  changed.
* Reading: the biography, the shades that match, and the turns. A hit is a turn; shades and biography follow and begin
  ``Recall.text``.

The paper's claim is that one must keep conclusions, since finding and concluding in one go fails in long contexts. What
is kept here is as good as what drew it: without a language model a shade quotes, and concludes nothing.

Writing derives nothing; all of this happens in ``reflect``, from the turns of each speaker but assistants. With a
language model every shade that grew takes one call (name and description), every biography one. Without one the
keywords are those of c-TF-IDF (Grootendorst 2022: what the shade says and the others do not) and the biography is a
template.

What differs. Second-Me clusters notes; a turn of a chat is shorter, and turns with fewer than three content words
take no part. Its distances (join below 0.5, Ward up to 1.0) are for dense vectors; those of words lie farther apart,
so that turns join below 0.7 (chosen on made-up turns, not on a benchmark). Words alone split what is one topic into
three or so shades, each of them pure; how near that comes to clustering all at once is measured in
tests/text/systems/test_lpm.py. The pool holds the last 400 turns that fit nowhere, so that reflecting stays quick;
older ones are only in L0. Second-Me's search leaves out what is less alike than 0.7; no encoder here makes such
cosines, so nothing is left out, and the order of the hits is that of plain similarity: the layers above add to
``Recall.text``, not to recall. A shade and a biography cite every turn they were made from, and fall with any; the next
reflect forms them again from what is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mnemic.errors import LanguageError
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Filter, Query, Recall
from mnemic.text.record import Batch, Kind, Link, Record, State, digest
from mnemic.text.steps import assemble, citing
from mnemic.text.steps.cluster import Cluster, Doubles, enough, grow
from mnemic.text.steps.keywords import keywords, stem_counts
from mnemic.text.steps.mending import Mending, bearing, standing
from mnemic.text.steps.render import count_tokens, pack, shown
from mnemic.text.steps.shades import (
    PREFIX,
    addressed,
    asked_about,
    biographies,
    describe,
    person_of,
    renewed,
    shade_of,
    shades_of,
)
from mnemic.text.steps.summarise import abstract, split
from mnemic.text.steps.trace import Clock
from mnemic.text.steps.vectors import projected, vectors
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

ANCHOR, BIOGRAPHY = "lpm", "biography"
"""Where the links to the present biographies begin, and their kind."""
POOL = "pool"
"""The kind of links from a person to the turns that fit nowhere yet."""
LEAST = 3
"""Content words a turn needs to be clustered."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The first three are the published values, the others this implementation's own.

    A turn joins the nearest shade below a distance of ``near``, Ward's method joins up to ``cut``. ``levels`` of
    confidence.

    ``word_near`` stands for ``near`` where the space has no dense encoder. ``pool`` turns wait for a shade. A shade has
    ``words`` keywords and quotes ``quotes`` sentences; ``summary`` tokens of a text by a model. ``shades`` are told in
    a biography, ``beside`` stand beside a recall. ``page`` turns go into one batch.
    """

    near: float = 0.5
    cut: float = 1.0
    levels: int = 5
    word_near: float = 0.7
    projection: int = 256
    pool: int = 400
    words: int = 5
    quotes: int = 2
    summary: int = 80
    shades: int = 8
    beside: int = 2
    page: int = 200
    depth: int = 300
    exact: int = 2500


@runtime_checkable
class Personal(Protocol):
    """L2: a model that has taken in what is known about one person. It cannot forget: it is trained anew."""

    def absorb(self, person: str, biography: str, shades: Sequence[str]) -> None:
        """Train on what L1 concludes about ``person``, in place of what was absorbed before."""
        ...

    def speak(self, person: str, question: str) -> str | None:
        """What the model of ``person`` has to say to ``question``; None for nothing."""
        ...


class Lpm:
    """A person in layers: turns, shades, a biography. See the module's docstring."""

    name = "lpm"
    kind = "memory"
    paper = "AI-native Memory / Second-Me (Shang et al. 2024), arXiv 2406.18312"
    good_at = "who somebody is: what they keep coming back to as shades, and a biography in the third and second person"
    cost = "write: nothing derived; read: one search; reflect: clustering, or a model call for each shade that grew"

    def __init__(self, settings: Settings | None = None, personal: Personal | None = None) -> None:
        self.settings = settings or Settings()
        self.personal = personal

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """One batch for each page of turns, with the shades that grew; then one with the biographies that changed."""
        working = Mending(job, env, size=self.settings.page)
        for page in working:
            try:
                batch = self.take_in(page, env)
            except LanguageError as error:
                working.skip(page, error)
                batch = Batch()
            yield replace(batch, cursor=working.cursor)
        try:
            batch = self.write_down(env)
        except LanguageError as error:
            yield Batch(cursor=working.cursor)
            raise LanguageError(f"no biography was written; the next reflect tries again. {error}") from error
        yield replace(batch, cursor=working.cursor)
        if self.personal is not None:
            for record in batch.puts:
                person = str(record.fields["person"])
                self.personal.absorb(person, record.text, [shade.text for shade in self.present(env, person)])
        working.close()

    def take_in(self, page: Sequence[Record], env: Env) -> Batch:
        """The shades of everybody who speaks in ``page``, after it."""
        counting = bearing([turn.id for turn in page], env.space)
        people: dict[str, list[Record]] = {}
        for turn in page:
            if turn.id in counting and turn.role != "assistant" and len(set(tokens(shown(turn)))) >= LEAST:
                people.setdefault(person_of(turn), []).append(turn)
        changes = [self.regroup(person, turns, env) for person, turns in people.items()]
        return Batch(
            [record for change in changes for record in change.puts],
            {old: new for change in changes for old, new in change.retire.items()},
            (),
            [id for change in changes for id in change.archive],
            [link for change in changes for link in change.links],
            [link for change in changes for link in change.unlink],
        )

    def regroup(self, person: str, fresh: Sequence[Record], env: Env) -> Batch:
        """L1: the clusters of ``person`` after ``fresh`` turns, and the shades that are told anew for it."""
        s, anchor = self.settings, PREFIX + digest(person)
        stored = shades_of(env.space, person)
        shades = standing(stored, env.space)
        fallen = [shade for shade in stored if shade not in shades]
        grouped = {member for shade in shades for member in shade.fields["members"]}
        links = [link for link in env.space.neighbours([anchor], [POOL]) if link.source == anchor]
        waiting = [link.target for link in links] + [id for shade in fallen for id in shade.fields["members"]]
        counting = bearing(waiting, env.space)
        pool = {turn.id: turn for turn in (*env.space.get(sorted(counting)), *fresh) if turn.id not in grouped}
        order = sorted(pool.values(), key=lambda turn: turn.position)
        old = [Cluster(tuple(shade.fields["members"]), np.array(shade.fields["centre"])) for shade in shades]
        near = s.near if env.encoders.dense is not None else s.word_near
        clusters, left = grow(old, self.points(order, env), near=near, cut=s.cut)
        before = dict(zip([cluster.members for cluster in old], shades, strict=True))
        kept = {before[cluster.members].id for cluster in clusters if cluster.members in before}
        changed = [cluster for cluster in clusters if cluster.members not in before]
        puts: list[Record] = []
        retire: dict[str, str] = {}
        archive = [shade.id for shade in fallen]
        for cluster, record in zip(changed, self.told(person, changed, clusters, env), strict=True):
            parts = [shade for shade in shades if set(shade.fields["members"]) <= set(cluster.members)]
            record = replace(record, supersedes=parts[0].id, version=parts[0].version + 1) if parts else record
            puts.append(record)
            retire.update((part.id, record.id) for part in reversed(parts))
        archive += [shade.id for shade in shades if shade.id not in kept]
        now, then = left[-s.pool :], {link.target for link in links}
        return Batch(
            puts, retire, (), archive,
            [Link(anchor, id, POOL) for id in now if id not in then],
            [Link(anchor, id, POOL) for id in sorted(then - set(now))],
        )  # fmt: skip

    def points(self, turns: Sequence[Record], env: Env) -> Mapping[str, Doubles]:
        """Turn -> unit vector."""
        texts = [shown(turn) for turn in turns]
        found = projected(vectors(texts, env.encoders), self.settings.projection, 0)
        return {turn.id: row.astype(np.float64) for turn, row in zip(turns, found, strict=True)}

    def told(self, person: str, changed: Sequence[Cluster], clusters: Sequence[Cluster], env: Env) -> list[Record]:
        """The shades of the ``changed`` ones of ``clusters``."""
        if not changed:
            return []
        s = self.settings
        turns = {t.id: t for t in env.space.get([id for cluster in clusters for id in cluster.members])}
        texts = [[shown(turns[id]) for id in cluster.members if id in turns] for cluster in clusters]
        df: Counter[str] = Counter(stem for each in texts for stem in set(stem_counts(each)))
        found = []
        for cluster in changed:
            members = [turns[id] for id in cluster.members]
            said = [shown(turn) for turn in members]
            points = self.points(members, env)
            by_distance = sorted(
                members, key=lambda t: (float(np.linalg.norm(points[t.id] - cluster.centre)), t.position)
            )
            quotes = [max(pieces, key=lambda p: len(p.vector)).text for t in by_distance if (pieces := split(t, 0))]
            quotes = list(dict.fromkeys(quotes))[: s.quotes]
            # A single shade has no others to stand out from: then what it says most often.
            words = keywords(said, df if len(clusters) > 1 else {}, max(len(clusters), 2), s.words)
            title, text = ", ".join(words), " ".join(quotes)
            if env.language is not None:
                title, text = describe(env.language, person, by_distance[:20], s.summary)
            found.append(renewed(shade_of(person, cluster, members, title, text, words), env.space))
        return found

    def write_down(self, env: Env) -> Batch:
        """The biographies that are not those of the present shades: shades of enough turns, the weightiest first."""
        people: dict[str, list[Record]] = {}
        for shade in self.present(env):
            people.setdefault(str(shade.fields["person"]), []).append(shade)
        stored = biographies(env.space, ANCHOR)
        puts, retire, kept = [], {}, set()
        for person, shades in people.items():
            ranked, bio = self.weightiest(shades), stored.get(person)
            ids = [shade.id for shade in ranked]
            if bio is not None and bio.fields["shades"] == ids and standing([bio], env.space):
                kept.add(bio.id)
                continue
            record = self.biography(person, ranked, bio, env)
            puts.append(record)
            if bio is not None:
                retire[bio.id] = record.id
        gone = [bio.id for bio in stored.values() if bio.id not in kept]
        return Batch(
            puts, retire, (), gone,
            [Link(ANCHOR, record.id, BIOGRAPHY) for record in puts],
            [Link(ANCHOR, id, BIOGRAPHY) for id in gone],
        )  # fmt: skip

    def present(self, env: Env, person: str | None = None) -> list[Record]:
        """The shades that stand."""
        return standing(shades_of(env.space, person), env.space)

    def weightiest(self, shades: Sequence[Record]) -> list[Record]:
        """The shades a biography tells: those of at least the square root of the largest's turns, largest first."""
        sizes = enough([len(shade.fields["members"]) for shade in shades])
        ranked = [shade for shade, stays in zip(shades, sizes, strict=True) if stays]
        return sorted(ranked, key=lambda shade: (-len(shade.fields["members"]), shade.id))[: self.settings.shades]

    def biography(self, person: str, shades: Sequence[Record], before: Record | None, env: Env) -> Record:
        """What is known about ``person``, in the third person; fields ``second`` and ``confidence`` beside it."""
        n, levels = len(shades), self.settings.levels
        sure = [levels - levels * i // n for i in range(n)]
        topics = "; ".join(str(shade.fields["title"]) for shade in shades)
        lines = [
            f"{shade.fields['title']} ({c} of {levels}): {shade.fields['told']}"
            for shade, c in zip(shades, sure, strict=True)
        ]
        third = "\n".join((f"{person} keeps coming back to: {topics}.", *lines))
        second = "\n".join((f"You keep coming back to: {topics}.", *lines))
        if env.language is not None:
            third = abstract(env.language, "", f"About {person}:\n" + "\n".join(lines), 2 * self.settings.summary)
            second = addressed(env.language, person, third, 2 * self.settings.summary)
        sources = tuple(dict.fromkeys(source for shade in shades for source in shade.sources))
        fields = {
            "lpm": "biography",
            "person": person,
            "second": second,
            "confidence": sure,
            "shades": [shade.id for shade in shades],
        }
        record = Record(
            id=f"{PREFIX}biography-{digest(person, third, second, *(shade.id for shade in shades))}",
            kind=Kind.PROFILE,
            text=third,
            at=max((shade.at for shade in shades if shade.at is not None), default=None),
            speaker=person,
            sources=sources,
            fields=fields,
            supersedes=before.id if before else None,
            version=before.version + 1 if before else 1,
        )
        return renewed(record, env.space)

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        found = citing.find(query, env, (Kind.PROFILE,), PREFIX, depth=s.depth, exact=s.exact)
        clock.lap("search")
        trace: dict[str, Any] = {"system": self.name, **found.trace()}
        kinds = query.filter.kinds
        if kinds and Kind.TURN not in kinds:
            return assemble.recall(query, citing.direct(query, found), found.confidence(), clock, trace)
        hits = citing.hits(query, found, found.turns, env, {found.leg: found.turns})
        plain = not kinds and query.filter == Filter() and query.as_of is None and query.valid_at is None
        stored = biographies(env.space, ANCHOR) if plain else {}
        bios = {person: bio for person, bio in stored.items() if bio.state == State.ACTIVE}
        person = asked_about(query.text, hits[0].speaker, bios) if hits else None
        person = person if person is not None and standing([bios[person]], env.space) else None
        matching = [(r, score) for r, score in found.derived if r.fields["lpm"] == "shade"][: s.beside]
        beside = [(bios[person], 0.0)] if person else []
        beside += matching if not kinds else []
        told = [assemble.hit(n, record, score) for n, (record, score) in enumerate(beside, len(hits) + 1)]
        trace["person"] = person
        if self.personal is not None and person is not None:
            trace["l2"] = self.personal.speak(person, query.text)
        clock.lap("collect")
        # What is concluded must not crowd out what was said: it gets half of the budget at most.
        ahead, _ = pack(told, None if query.budget is None else query.budget // 2)
        text, packed = pack(hits, None if query.budget is None else query.budget - count_tokens(ahead))
        clock.lap("render")
        trace |= {"packed": packed, "beside": [h.id for h in told], "ms": clock.total(), "laps": clock.laps}
        used = () if query.as_of else tuple(h.id for h in hits)
        whole = "\n".join(part for part in (ahead, text) if part)
        return Recall(query.text, (*hits, *told), whole, round(found.confidence(), 4), trace, used)
