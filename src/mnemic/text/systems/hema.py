"""HEMA (Ahn 2025, arXiv 2504.16754): a running summary in view, every turn in a vector memory behind it.

* Compact memory: S_t = summarise(S_{t-1}, u_t), at most 60 tokens. After every 100 turns S_t is kept as a block, and
  the blocks so far are summarised once more (a summary of summaries), so that what was said long ago is not lost in
  a thousand rewritings.
* Vector memory: one chunk for each turn, found by cosine; in a space without a dense encoder by its learned sparse
  or BM25 scores (:mod:`mnemic.text.steps.similarity`).
* Prompt: compact memory, retrieved turns, the last two turns, within 3,500 tokens; the least similar turns are left
  out.
* Semantic forgetting: every 100 turns the 0.5 % least salient turns leave the index. They are archived, not erased.

Writing derives nothing; all of this happens in ``reflect``, whose whole state is the newest compact record.

In a :class:`Recall` the turns come first, at most k of them; then, beyond k, the compact memory (kind ``summary``) and
the last turns, so that ``Recall.text``, which begins with the compact memory, can cite them. They are left out where a
filter or a past moment is asked about.

What the paper leaves open, or has no model for here: the extractive summariser stands in for its Distil-PEGASUS; with
a language model S is updated 20 turns at a time; both levels are shown. The paper prints the salience bonus with
the opposite sign of its text; the text is followed unless ``Settings.printed_sign``. The calibration of
``Recall.confidence`` was fitted on the default system's ranking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from mnemic.text.plan import Candidates, Filter, Hit, Query, Recall, every
from mnemic.text.record import Batch, Kind, Link, Record, State, digest, to_micros
from mnemic.text.steps import assemble, rank, similarity
from mnemic.text.steps.confidence import confidence, signals
from mnemic.text.steps.forget import least_salient
from mnemic.text.steps.render import count_tokens, line, pack, shown
from mnemic.text.steps.summarise import Sentence, abstract, centroid, split, told, unpacked
from mnemic.text.steps.trace import Clock
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

ANCHOR = "hema"
"""Where the links to the present compact records begin."""
_LIVING = (State.ACTIVE, State.ARCHIVED)


@dataclass(frozen=True, slots=True)
class Settings:
    """The paper's values. The last line is this implementation's own.

    ``summary`` tokens of each summary; ``every`` turns between summaries of summaries and between forgettings;
    ``limit`` tokens of the prompt where the query gives no budget; ``tail`` last turns in the prompt. Salience is
    ``scale`` * exp(-``decay`` * age in turns) + ``bonus`` for a turn recalled in the last ``every`` turns; the lowest
    ``share`` of the turns is forgotten. ``printed_sign`` gives the bonus to the turns that were not recalled.

    ``two_levels`` off leaves the summary of summaries out. ``stride`` turns go into one call of a language model.
    ``recency`` and ``half_life`` (turns) are the extractive summariser's bonus for new sentences. ``blocks`` is how
    many blocks a language model is shown.
    """

    summary: int = 60
    every: int = 100
    limit: int = 3500
    tail: int = 2
    scale: float = 1.0
    decay: float = 0.002
    bonus: float = 0.5
    share: float = 0.005
    printed_sign: bool = False
    two_levels: bool = True
    stride: int = 20
    recency: float = 0.5
    half_life: float = 25.0
    blocks: int = 20
    depth: int = 300
    exact: int = 2500


@dataclass(frozen=True, slots=True)
class Summary:
    """S with what it was made of: its ``sentences`` (none where a language model wrote it) and ``sources``."""

    text: str = ""
    sentences: Sequence[Sentence] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the summaries reach: after ``turns`` turns, the last at ``position``; ``faded`` of them forgotten.

    ``since`` is when the store learnt the first turn after the last block; ``recent`` the ids of the last turns;
    ``origin`` tells the records of this run through the conversation from those of a run before an erasure, ``stale``.
    ``summary`` is S, ``long`` the sentences of all the blocks.
    """

    turns: int = 0
    position: int = 0
    faded: int = 0
    since: datetime | None = None
    recent: tuple[str, ...] = ()
    origin: str = ""
    compact: Record | None = None
    gist: Record | None = None
    summary: Summary = Summary()
    blocks: tuple[Record, ...] = ()
    long: tuple[Sentence, ...] = ()
    stale: tuple[str, ...] = ()


class Hema:
    """Two memories, one in view and one behind. See the module's docstring."""

    name = "hema"
    kind = "memory"
    paper = "HEMA (Ahn 2025), arXiv 2504.16754"
    good_at = "long dialogues whose gist must stay in view: a running summary, and the turns behind it"
    cost = "write: nothing derived; read: one search; reflect: an extract, or one model call for 20 turns"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """One batch for every stretch of turns up to the next hundred: S, and there the block, gist and forgetting."""
        every = self.settings.every
        state = self.resume(env)
        while True:
            wanted = Filter(kinds=[Kind.TURN], archived=True)
            turns, _ = env.space.scan(wanted, str(state.position), every - state.turns % every)
            if not turns:
                return
            batch, state = self.advance(state, turns, int(job.cursor or 0), env)
            yield batch

    def advance(self, state: Progress, turns: Sequence[Record], seen: int, env: Env) -> tuple[Batch, Progress]:
        """The batch that brings the memories from ``state`` past ``turns``, and the state after it. Turns up to the
        position ``seen`` went through this before; what was to be forgotten then is not made more by telling them anew.
        """
        reached = state.turns + len(turns)
        boundary = reached % self.settings.every == 0
        summary = self.fold(state, [t for t in turns if t.state in _LIVING], env)
        since = state.since or turns[0].recorded
        forgotten = (
            self.fade(turns[-1].position, reached - state.faded, since, env)
            if boundary and turns[-1].position > seen
            else []
        )
        recent = (*state.recent, *(turn.id for turn in turns))[-self.settings.tail :] if self.settings.tail else ()
        after = replace(
            state,
            turns=reached,
            position=turns[-1].position,
            faded=state.faded + len(forgotten),
            since=None if boundary else since,
            recent=recent,
        )
        puts, retire = [], {}
        if boundary and self.settings.two_levels and summary.text:
            block = record("block", after, summary, turns[-1])
            blocks = (*state.blocks, block)
            long = (*state.long, *summary.sentences)
            gist = record("gist", after, self.condense(blocks, long, state.gist, env), turns[-1])
            after = replace(after, gist=gist, blocks=blocks, long=long)
            puts += [block, gist]
        compact = record("compact", after, summary, turns[-1])
        after = replace(after, compact=compact, summary=summary, stale=())
        puts.append(compact)
        links, unlink = [], []
        for level, old, new in (("compact", state.compact, compact), ("gist", state.gist, after.gist)):
            if new is not None and new is not old:
                links.append(Link(ANCHOR, new.id, level))
                if old is not None:
                    retire[old.id] = new.id
                    unlink.append(Link(ANCHOR, old.id, level))
        archive = [*forgotten, *state.stale, *retire]  # what was superseded must not be in the way of what counts
        return Batch(puts, retire, (), archive, links, unlink, cursor=str(max(seen, after.position))), after

    def fold(self, state: Progress, turns: Sequence[Record], env: Env) -> Summary:
        """S after ``turns``: their sentences against those of S before; or what the language model makes of both."""
        s = self.settings
        before = state.summary
        if env.language is not None:
            text, fresh = before.text, before.sources
            if state.turns % s.every == 0:  # the last block answers for what came before it
                fresh = tuple(block.id for block in state.blocks[-1:])
            for start in range(0, len(turns), s.stride):
                part = turns[start : start + s.stride]
                news = "\n".join(f"{turn.speaker or turn.role or 'unknown'}: {shown(turn)}" for turn in part)
                text = abstract(env.language, text, news, s.summary)
            return Summary(text, (), tuple(dict.fromkeys((*fresh, *(turn.id for turn in turns)))))
        kept: Sequence[Sentence] = before.sentences
        for place, turn in enumerate(turns, state.turns + 1):
            if fresh_sentences := split(turn, place, s.summary):
                pool = [*kept, *fresh_sentences]
                kept = centroid(pool, s.summary, now=place, recency=s.recency, half_life=s.half_life)
        return extract_of(kept)

    def condense(self, blocks: Sequence[Record], long: Sequence[Sentence], gist: Record | None, env: Env) -> Summary:
        """The summary of summaries: over all the blocks. A language model sees the last ones and the gist before."""
        if env.language is None:
            return extract_of(centroid(long, self.settings.summary))
        before = restored(gist, env).text if len(blocks) > self.settings.blocks else ""
        news = "\n".join(block.text for block in blocks[-self.settings.blocks :])
        return Summary(abstract(env.language, before, news, self.settings.summary), (), tuple(b.id for b in blocks))

    def fade(self, position: int, living: int, since: datetime | None, env: Env) -> list[str]:
        """The turns to forget: the lowest share of the ``living`` ones up to ``position``, by salience.

        An age is counted in positions of the store, which a turn shares with derived records: a few percent more
        than turns.
        """
        s = self.settings
        count = int(s.share * living)
        if count < 1:
            return []
        used = env.space.usage(since=since)

        def memories() -> Iterator[tuple[str, float, bool]]:
            for turn in every(lambda at: env.space.scan(Filter(kinds=[Kind.TURN]), at)):
                if turn.position > position:
                    return
                if turn.state == State.ACTIVE:
                    yield turn.id, float(position - turn.position), turn.id in used

        return least_salient(memories(), count, scale=s.scale, decay=s.decay, bonus=s.bonus, inverted=s.printed_sign)

    def resume(self, env: Env) -> Progress:
        """Where the last committed batch stopped. Where a record of it is missing, everything begins anew."""
        current = compacts(env)
        compact = current.get("compact")
        summaries = every(lambda at: env.space.scan(Filter(kinds=[Kind.SUMMARY]), at))
        blocks = [r for r in summaries if r.fields.get("level") == "block" and r.state == State.ACTIVE]
        whole = (
            compact is not None and int(compact.fields["blocks"]) == len(blocks) and ("gist" in current) >= bool(blocks)
        )
        if compact is None or not whole:
            stale = tuple(sorted(r.id for r in (*blocks, *current.values())))
            faded = max((int(r.fields["faded"]) for r in (*blocks, *current.values())), default=0)
            return Progress(faded=faded, origin=digest(*stale) if stale else "", stale=stale)
        told_so_far = compact.fields
        since = told_so_far["since"]
        return Progress(
            turns=int(told_so_far["turns"]),
            position=int(told_so_far["position"]),
            faded=int(told_so_far["faded"]),
            since=None if since is None else datetime.fromisoformat(since),
            recent=tuple(told_so_far["recent"]),
            origin=str(told_so_far["origin"]),
            compact=compact,
            gist=current.get("gist"),
            summary=restored(compact, env),
            blocks=tuple(blocks),
            long=tuple(sentence for block in blocks for sentence in restored(block, env).sentences),
        )

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        wanted = query.filter if query.filter.kinds else replace(query.filter, kinds=[Kind.TURN])
        c = env.space.search(similarity.plan(query, env.encoders, wanted, depth=s.depth, exact=s.exact))
        clock.lap("search")
        scores = similarity.own(c, c.eligible | c.is_turn)
        slots = assemble.best(c, scores, query.k, scores > 0)
        legs = {"ml": c.vectors @ c.dense} if c.vectors is not None and c.dense is not None else {}
        sure = confidence(signals(c, scores, legs), rank.variant(c)) if len(slots) else 0.0
        clock.lap("rank")
        retrieved = assemble.collect(env.space, query, c, slots, scores, {similarity.leg(c): scores})
        plain = query.filter == Filter() and query.valid_at is None
        compact = self.compact(query, env) if plain else []
        tail = self.tail(c, env) if plain and query.as_of is None else []
        tail = [turn for turn in tail if turn.id not in {h.id for h in retrieved}]
        extra = [assemble.hit(n, r, 0.0) for n, r in enumerate([*compact, *tail], len(retrieved) + 1)]
        clock.lap("collect")
        text, packed = self.prompt(retrieved, extra[: len(compact)], extra[len(compact) :], query.budget or s.limit)
        clock.lap("render")
        trace = {
            "system": self.name,
            "leg": similarity.leg(c),
            "candidates": len(c.item),
            "exact": c.exact,
            "packed": packed,
            "compact": [r.id for r in compact],
            "tail": [r.id for r in tail],
            "ms": clock.total(),
            "laps": clock.laps,
        }
        used = tuple(h.id for h in retrieved[:packed]) if query.as_of is None else ()
        return Recall(query.text, (*retrieved, *extra), text, round(sure, 4), trace, used)

    def prompt(
        self, retrieved: Sequence[Hit], compact: Sequence[Hit], tail: Sequence[Hit], limit: int
    ) -> tuple[str, int]:
        """Compact memory, retrieved turns, tail in ``limit`` tokens, and how many retrieved turns are in it.

        The paper only ever drops retrieved turns; where ``limit`` is so small that the rest would crowd them out, it
        gets a third of it at most.
        """
        ahead, _ = pack(compact, limit // 3)
        last = ""
        if tail and sum(count_tokens(line(h)) for h in tail) <= limit // 3:
            last, _ = pack(tail, None)
        middle, packed = pack(retrieved, limit - count_tokens(ahead) - count_tokens(last))
        return "\n".join(part for part in (ahead, middle, last) if part), packed

    def compact(self, query: Query, env: Env) -> list[Record]:
        """The summaries as they may be shown: the long view first, without what was forgotten or revised since."""
        current = compacts(env)
        found: list[Record] = []
        for level in ("gist", "compact"):
            stored = current.get(level)
            if stored is not None and query.as_of is not None:
                versions = [r for r in env.space.history(stored.id) if r.recorded and r.recorded <= query.as_of]
                stored = versions[-1] if versions else None
            summary = restored(stored, env)
            if stored is not None and summary.text and summary.text not in {r.text for r in found}:
                found.append(replace(stored, text=summary.text, sources=summary.sources))
        return found

    def tail(self, c: Candidates, env: Env) -> list[Record]:
        """The last turns of the dialogue, oldest first; none while more turns than a page wait to be reflected on."""
        count = self.settings.tail
        if not count:
            return []
        compact = compacts(env).get("compact")
        if compact is not None:
            waiting, more = env.space.scan(Filter(kinds=[Kind.TURN]), str(compact.fields["position"]))
            ids = [] if more else [*compact.fields["recent"], *(turn.id for turn in waiting)]
        else:
            ids = env.space.id_of([int(n) for n in np.unique(c.item[c.is_turn])[-count:]]) if c.exact else []
        return [turn for turn in env.space.get(ids[-count:]) if turn.state == State.ACTIVE]


def compacts(env: Env) -> dict[str, Record]:
    """The present compact records by level: ``compact`` and ``gist``."""
    links = [link for link in env.space.neighbours([ANCHOR], ["compact", "gist"]) if link.source == ANCHOR]
    found = {record.id: record for record in env.space.get([link.target for link in links])}
    present = {id for id, record in found.items() if record.state == State.ACTIVE}
    return {link.kind: found[link.target] for link in links if link.target in present}


def restored(stored: Record | None, env: Env) -> Summary:
    """What still holds of a stored summary: sentences whose turn was forgotten, erased or revised are left out; a
    summary in prose that cites such a turn is left out whole."""
    if stored is None:
        return Summary()
    sentences = unpacked(stored.fields["sentences"])
    cited = {s.source for s in sentences} | set(stored.sources)
    alive = {r.id for r in env.space.get(sorted(cited)) if r.state in _LIVING}
    if sentences:
        return extract_of([s for s in sentences if s.source in alive])
    return Summary(stored.text, (), stored.sources) if cited <= alive else Summary()


def extract_of(sentences: Sequence[Sentence]) -> Summary:
    return Summary(told(sentences), sentences, tuple(dict.fromkeys(s.source for s in sentences)))


def record(level: str, state: Progress, summary: Summary, last: Record) -> Record:
    """The record of a summary, its id a function of what it says and of where it stands."""
    fields = {
        "level": level,
        "turns": state.turns,
        "position": state.position,
        "faded": state.faded,
        "since": None if state.since is None else state.since.isoformat(),
        "recent": list(state.recent),
        "origin": state.origin,
        "blocks": len(state.blocks),
        "sentences": [sentence.packed() for sentence in summary.sentences],
    }
    at = "" if last.at is None else str(to_micros(last.at))
    told_by = (state.origin, str(state.turns), str(state.position), at, summary.text, *summary.sources)
    return Record(
        id=f"hema-{level}-{digest(*told_by)}",
        kind=Kind.SUMMARY,
        text=summary.text,
        at=last.at,
        sources=summary.sources,
        fields=fields,
    )
