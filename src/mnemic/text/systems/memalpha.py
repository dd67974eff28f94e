"""Mem-alpha (Wang et al. 2025, arXiv 2509.25911): core, semantic and episodic memory, written by calls of tools.

* Core: one paragraph of at most 512 tokens. Semantic: lasting facts. Episodic: what happened, each with its time.
* ``reflect`` hands a writer a chunk of turns, the core, and the latest 20 entries of each list; the writer inserts,
  updates and deletes (:mod:`mnemic.text.steps.notebook`). The paper trains the writer with reinforcement learning; the
  environment and its four rewards are here as a library (:mod:`mnemic.text.rewards`), a trained model is not. The
  writer is the language model of the space, or, without one, rules.
* Reading: the core, and the 20 best entries of each list.

Turns are stored as ever; an entry cites those that bear it out. A hit is a turn, k of them, by its own similarity and
that of the best entry which cites it; entries and core follow. ``Recall.text`` begins with the core, which takes a
quarter of the budget at most, then has entries and turns in the order of their scores.

By rule, a statement of what is so ("lives in", "likes", "is", "has") becomes a semantic entry, one of what was done an
episodic one with the date of its turn; what contradicts an entry of the same head and relation that has one value,
denies it, or is at a cosine above 0.85 to it, updates it; the core is made of the most central sentences so far.

Nothing is deleted for good: an update supersedes, a delete archives. An entry by a model must name turns of the chunk
that share a word with it; the core by a model cites all turns that went into it, and begins anew, from central
sentences, when those are more than ``Settings.cited``. What falls with a forgotten turn comes up again from the others
at the next reflect.

The published search tool ignores which method it is asked for and always runs BM25; here the space's strongest encoder
compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnemic.errors import LanguageError
from mnemic.text.plan import Filter, Hit, Query, Recall, every
from mnemic.text.record import Batch, Interval, Kind, Link, Record, State, Turn, digest
from mnemic.text.steps import assemble, citing, writer
from mnemic.text.steps.mending import Mending, bearing, in_force, resting_on, standing
from mnemic.text.steps.notebook import LISTS, Call, Entry, Notebook, Outcome, Shelf, Tool, play
from mnemic.text.steps.render import count_tokens, line, pack, shown
from mnemic.text.steps.summarise import cut_to, told, unpacked
from mnemic.text.steps.thoughts import Thought
from mnemic.text.steps.trace import Clock
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

PREFIX = "memalpha-"
ANCHOR = "memalpha"
"""Where the link to the present core begins."""
CORE = "core"
LEAST = 8
"""Tokens of the core that are worth showing."""
KINDS = {Shelf.CORE: Kind.PROFILE, Shelf.SEMANTIC: Kind.FACT, Shelf.EPISODIC: Kind.EVENT}


@dataclass(frozen=True, slots=True)
class Settings:
    """``latest`` entries of each list are shown to the writer and ``recalled`` ones to the reader (the paper).

    ``page`` turns make a chunk; ``alike`` is the cosine from which the writer by rule takes an entry for the same.
    ``pull``: a turn gets so much of the score of the best entry that cites it. A core by a model that rests on more
    than ``cited`` turns begins anew.
    """

    latest: int = 20
    recalled: int = 20
    page: int = 20
    alike: float = 0.85
    pull: float = 0.5
    cited: int = 400
    depth: int = 300
    exact: int = 2500


class MemAlpha:
    """Core, semantic and episodic memory, written by calls of tools. See the module's docstring."""

    name = "memalpha"
    kind = "memory"
    paper = "Mem-alpha (Wang et al. 2025), arXiv 2509.25911"
    good_at = "a short picture of a person: who they are, lasting facts, dated events; and rewards to train a writer by"
    cost = "write: nothing derived; read: one search; reflect: rules, or one model call for 20 turns"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """One batch for each chunk of turns: what the writer's calls change."""
        working = Mending(job, env, size=self.settings.page)
        shelves = Shelves(self.settings, env)
        for page in working:
            try:
                batch = shelves.take_in(page, [turn for turn in page if working.new(turn)])
            except LanguageError as error:
                working.skip(page, error)
                batch = shelves.batch()
            yield replace(batch, cursor=working.cursor)
        yield replace(shelves.batch(), cursor=working.cursor)
        working.close()

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        most = max(query.k, 4 * s.recalled)
        kinds = (Kind.FACT, Kind.EVENT)
        found = citing.find(query, env, kinds, PREFIX, most=most, depth=s.depth, exact=s.exact)
        clock.lap("search")
        trace: dict[str, Any] = {"system": self.name, **found.trace()}
        asked = query.filter.kinds
        if asked and Kind.TURN not in asked:
            return assemble.recall(query, citing.direct(query, found), found.confidence(), clock, trace)
        entries = [e for kind in kinds for e in [e for e in found.derived if e[0].kind == kind][: s.recalled]]
        pulled: dict[str, float] = {}
        for record, score in sorted(entries, key=lambda e: e[1]):
            pulled.update((source, s.pull * score) for source in record.sources)
        scores = {id: found.turns.get(id, 0.0) + pulled.get(id, 0.0) for id in {**found.turns, **pulled}}
        hits = citing.hits(query, found, scores, env, {found.leg: found.turns, "entry": pulled})
        beside = sorted(entries, key=lambda e: -e[1])
        noted = [assemble.hit(n, record, score) for n, (record, score) in enumerate(beside, len(hits) + 1)]
        core = core_of(env, query) if query.filter == Filter() and query.valid_at is None else None
        first = [] if core is None else [assemble.hit(len(hits) + len(noted) + 1, core, 0.0)]
        clock.lap("collect")
        short = [self.shortened(h, query.budget) for h in first]
        text, packed = pack(
            [*(h for h in short if h.text), *sorted([*hits, *noted], key=lambda h: (-h.score, h.n))], query.budget
        )
        clock.lap("render")
        trace |= {"packed": packed, "entries": [h.id for h in noted], "ms": clock.total(), "laps": clock.laps}
        return Recall(query.text, (*hits, *noted, *first), text, round(found.confidence(), 4), trace)

    def shortened(self, hit: Hit, budget: int | None) -> Hit:
        """The core, in a line of a quarter of the budget at most; without text where that is next to nothing."""
        if budget is None:
            return hit
        room = budget // 4 - (count_tokens(line(hit)) - count_tokens(hit.text))
        return replace(hit, text=cut_to(hit.text, room) if room >= LEAST else "")


class Shelves:
    """The notebook of a space while it is being written: every entry with its record, and what is to be committed."""

    def __init__(self, settings: Settings, env: Env) -> None:
        self.settings, self.env = settings, env
        self._records: dict[tuple[Shelf, str], Record] = {}
        self._puts: list[Record] = []
        self._retire: dict[str, str] = {}
        self._archive: list[str] = []
        self._links: list[Link] = []
        self._unlink: list[Link] = []
        self._core: Record | None = None
        lists: dict[Shelf, dict[str, Entry]] = {shelf: {} for shelf in LISTS}
        known: dict[str, Thought] = {}
        every = list(stored(env))
        active = [record for record in every if record.state == State.ACTIVE]
        kept = {record.id for record in standing(active, env.space)}
        for record in active:
            shelf = Shelf(record.fields["shelf"])
            if record.id not in kept:
                self._archive.append(record.id)
                self._unlink += [Link(ANCHOR, record.id, CORE)] if shelf == Shelf.CORE else []
            elif shelf == Shelf.CORE:
                self._core = record
            else:
                entry = Entry(record.fields["name"], record.text, record.sources)
                lists[shelf][entry.id] = entry
                self._records[shelf, entry.id] = record
                if record.fields["thought"]:
                    known[record.text] = Thought.unpacked(record.fields["thought"])
        core = self._core
        before = [record.id for record in every if record.fields["shelf"] == Shelf.CORE]
        # A core that is made again must not be taken for one of the same words that was superseded.
        self._origin = str(core.fields["origin"]) if core else digest(*sorted(before)) if before else ""
        self.notebook = Notebook(core.text if core else "", lists[Shelf.SEMANTIC], lists[Shelf.EPISODIC])
        pool = unpacked(core.fields["sentences"]) if core else []
        place = int(core.fields["turns"]) if core else 0
        self.rules = writer.Rules(pool, known, place=place, alike=settings.alike)

    def batch(self) -> Batch:
        """What is to be committed, once."""
        made = Batch(self._puts, self._retire, (), self._archive, self._links, self._unlink)
        self._puts, self._retire, self._archive, self._links, self._unlink = [], {}, [], [], []
        return made

    def take_in(self, page: Sequence[Record], fresh: Sequence[Record]) -> Batch:
        """What the writer makes of the turns of ``page`` that are ``fresh``; of the others, what fell with another turn
        and is borne out by them alone."""
        counting = bearing([turn.id for turn in page], self.env.space)
        turns = {turn.id: turn for turn in page if turn.id in counting}
        chunk = [said(turn) for turn in fresh if turn.id in turns]
        core_rests: tuple[str, ...] = ()
        if self.env.language is None:
            calls = self.rules(self.notebook, chunk)
        else:
            core_rests = self.rebase()
            latest = self.settings.latest
            calls = writer.ask(self.env.language, self.notebook, chunk, latest=latest) if chunk else []
        again, before = self.again(list(turns))
        step = play(self.notebook, chunk, [*again, *calls])
        for outcome in step.outcomes:
            if outcome.call.shelf == Shelf.CORE and outcome.done:
                by_model = self.env.language is not None
                if by_model:
                    self.rules.core(chunk)
                rests = (*core_rests, *(turn.id or "" for turn in chunk)) if by_model else outcome.call.turns
                self.write_core(step.notebook.core, tuple(dict.fromkeys(rests)), page[-1], model=by_model)
            else:
                self.write(outcome, turns, before.get((outcome.call.shelf, outcome.call.content), []))
        self.notebook = step.notebook
        late = [said(turn) for turn in turns.values() if turn not in fresh and turn.position > self.reached]
        if late and (call := self.rules.core(late)) is not None:  # the core fell, and is made again
            self.write_core(call.content, call.turns, page[-1], model=False)
        return self.batch()

    @property
    def reached(self) -> int:
        """The position of the last turn that went into the core."""
        return int(self._core.fields["position"]) if self._core else 0

    def rebase(self) -> tuple[str, ...]:
        """The turns that the core rests on; a core by a model that rests on too many begins anew from sentences."""
        if self._core is None:
            return ()
        if self._core.fields["model"] and len(self._core.sources) > self.settings.cited:
            self.notebook = replace(self.notebook, core=told(self.rules.pool))
            return tuple(dict.fromkeys(sentence.source for sentence in self.rules.pool))
        return self._core.sources

    def again(self, ids: Sequence[str]) -> tuple[list[Call], dict[tuple[Shelf, str], list[str]]]:
        """The entries that one of the turns ``ids`` bears out alone and that are in force no more, as calls; and the
        ids of the records that said the same before."""
        before: dict[tuple[Shelf, str, tuple[str, ...]], list[Record]] = {}
        for record in resting_on(ids, PREFIX, self.env.space):
            shelf = Shelf(record.fields["shelf"])
            if shelf != Shelf.CORE and len(record.sources) == 1:
                before.setdefault((shelf, record.text, record.sources), []).append(record)
        calls, told_before = [], {}
        for (shelf, text, turns), records in before.items():
            if not any(in_force(record, self.env.space) for record in records):
                if records[0].fields["thought"]:
                    self.rules.known[text] = Thought.unpacked(records[0].fields["thought"])
                calls.append(Call(Tool.INSERT, shelf, text, turns=turns))
                told_before[shelf, text] = sorted(record.id for record in records)
        return calls, told_before

    def write(self, outcome: Outcome, turns: Mapping[str, Record], before: Sequence[str]) -> None:
        """The records that an outcome of a list makes."""
        call, entry = outcome.call, outcome.entry
        if entry is None:
            return
        if call.tool == Tool.DELETE:
            self._archive.append(self._records.pop((call.shelf, entry.id)).id)
        elif outcome.done:
            record = self.record(call.shelf, entry, turns, before)
            if outcome.before is not None:
                old = self._records.pop((call.shelf, outcome.before.id))
                record = replace(record, supersedes=old.id, version=old.version + 1)
                self._retire[old.id] = record.id
            self._puts.append(record)
            self._records[call.shelf, entry.id] = record
        elif not set(call.turns) <= set(entry.turns):  # said again by another turn, which bears it out alone one day
            there = self._records[call.shelf, entry.id]
            if there.supersedes is None:
                twin = self.record(call.shelf, replace(entry, turns=call.turns), turns, [there.id])
                self._puts.append(twin)
                self._retire[twin.id] = there.id
                self._records[call.shelf, entry.id] = replace(there, supersedes=twin.id)

    def record(self, shelf: Shelf, entry: Entry, turns: Mapping[str, Record], before: Sequence[str]) -> Record:
        """The record of an entry; its id follows from what it says, its turns and the ids ``before`` it."""
        cited = [turns[id] for id in entry.turns]
        at = max((turn.at for turn in cited if turn.at is not None), default=None)
        thought = self.rules.known.get(entry.text) if shelf == Shelf.SEMANTIC else None
        fields = {"shelf": str(shelf), "name": entry.id, "thought": thought.packed() if thought else None}
        return Record(
            id=f"{PREFIX}{shelf}-{digest(entry.id, entry.text, *entry.turns, *before)}",
            kind=KINDS[shelf],
            text=entry.text,
            at=at,
            valid=Interval(at, None),
            speaker=cited[0].speaker if len({turn.speaker for turn in cited}) == 1 else None,
            session=cited[0].session if len({turn.session for turn in cited}) == 1 else None,
            sources=entry.turns,
            fields=fields,
        )

    def write_core(self, text: str, rests: tuple[str, ...], last: Record, *, model: bool) -> None:
        """A new version of the core."""
        old = self._core
        fields = {
            "shelf": str(Shelf.CORE),
            "sentences": [sentence.packed() for sentence in self.rules.pool],
            "turns": self.rules.place,
            "position": last.position,
            "model": model,
            "origin": self._origin,
        }
        id = f"{PREFIX}{CORE}-{digest(text, str(last.position), *rests, old.id if old else '', self._origin)}"
        record = Record(id, KINDS[Shelf.CORE], text, last.at, sources=rests, fields=fields)
        if old is not None:
            self._retire[old.id] = id
            self._unlink.append(Link(ANCHOR, old.id, CORE))
            record = replace(record, supersedes=old.id, version=old.version + 1)
        self._puts.append(record)
        self._links.append(Link(ANCHOR, id, CORE))
        self._core = record
        self.notebook = replace(self.notebook, core=text)


def said(turn: Record) -> Turn:
    """A turn as a writer gets it."""
    return Turn(shown(turn), turn.speaker, turn.at, turn.session, turn.role, id=turn.id)


def stored(env: Env) -> Iterator[Record]:
    """All entries and cores in any state, in the order they were stored."""
    wanted = Filter(kinds=list(KINDS.values()), archived=True)
    return (record for record in every(lambda at: env.space.scan(wanted, at)) if record.id.startswith(PREFIX))


def core_of(env: Env, query: Query) -> Record | None:
    """The core, as it was at ``query.as_of``; None where it rests on a turn that is gone."""
    links = [link for link in env.space.neighbours([ANCHOR], [CORE]) if link.source == ANCHOR]
    found = [record for record in env.space.get([link.target for link in links]) if record.state == State.ACTIVE]
    if found and query.as_of is not None:
        found = [r for r in env.space.history(found[0].id) if r.recorded and r.recorded <= query.as_of]
    return next(iter(standing(found[-1:], env.space)), None)
