"""MemoRAG (Qian et al., WWW 2025, arXiv 2409.05591): a memory of everything that answers nothing and only writes clues.

* Global memory: the conversation in blocks of 4,096 tokens, of each a gist of at most 512 (the released code's lite
  mode). What was said since the last full block has a gist too, which is made again as it grows.
* Clues: from the memory and the question come sentences that the evidence may hold, simpler questions, and a draft of
  the answer. Each is a query of its own, beside the question.
* Retrieval: three turns for each clue; the union is read in the order of the conversation.
* Overview: asked for one, the memory lists key points and each of them is retrieved.

The gists are never hits (``Filter(kinds=["summary"])`` brings them) and a draft is never shown: whatever the memory
makes up is held against what was said. With a language model, gists and clues are written by it, one call for each
block and one for each question; one that gives no usable clues is overruled by the rules, and the trace says so.

Without one, a gist is the sentences closest to the centre of their block, and clues are pseudo-relevance feedback on
gists: the gist sentences that best match the question, and the question with the rarest words of these. The paper's own
ablation has nearly all of the gain in training the memory to write clues; a rule that cannot know what is not written
down reaches only what shares a word with a gist sentence that shares one with the question. On LoCoMo that gains
nothing (docs/systems.md).

The paper's memory proper, compressed keys and values of a long-context model, is a port here: :class:`GlobalMemory`.

In a :class:`Recall` the hits are in order of rank, at most k: a turn's score is its similarity to the question plus
``Settings.pull`` times that to the clue it was retrieved for, weighted by how well the clue matched. ``Recall.text`` is
in the order of the conversation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

from mnemic.errors import LanguageError
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Filter, Query, Recall
from mnemic.text.record import Batch, Kind, Record, State, digest
from mnemic.text.steps import assemble, citing, clues, similarity
from mnemic.text.steps.clues import Clues, wants_overview
from mnemic.text.steps.keywords import frequencies
from mnemic.text.steps.mending import Mending, bearing, standing
from mnemic.text.steps.order import chronological
from mnemic.text.steps.rank import idf
from mnemic.text.steps.render import count_tokens, pack, shown
from mnemic.text.steps.select import within
from mnemic.text.steps.summarise import Sentence, abstract, centroid, cut_to, split, textrank, told, unpacked
from mnemic.text.steps.trace import Clock
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

PREFIX = "memorag-"
GISTS = Filter(kinds=[Kind.SUMMARY])


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the conversation: its ``id`` stays the same as long as its ``turns`` do."""

    id: str
    turns: tuple[str, ...]


@runtime_checkable
class GlobalMemory(Protocol):
    """A model that has read everything and writes clues from what it remembers of it (the paper, section 2.2).

    ``blocks`` are the whole conversation in order, ``load`` gives the text of one. An implementation keeps what it made
    of a block by the block's id (compressed keys and values, say) and drops what is no longer among ``blocks``: a block
    with a forgotten turn has another id. Raises :class:`LanguageError` when it cannot write any.
    """

    @property
    def name(self) -> str: ...

    def clues(self, question: str, blocks: Sequence[Block], load: Callable[[Block], str]) -> Clues: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the paper and its code; the last two lines are this implementation's own.

    ``block`` tokens are remembered as a gist of ``gist`` tokens; ``each`` clue retrieves so many turns. ``clues`` off
    is plain retrieval.

    ``most`` clues of a kind; ``pull`` is the weight of what a clue retrieves; ``view`` tokens of gists are shown to a
    model, the most similar ones; ``gists`` are looked into for clues by rule; ``rare`` words are added to the question.
    """

    block: int = 4096
    gist: int = 512
    each: int = 3
    clues: bool = True
    most: int = 5
    pull: float = 0.15
    view: int = 6000
    gists: int = 20
    rare: int = 5
    depth: int = 300
    exact: int = 2500
    page: int = 200


class MemoRag:
    """A global memory that only writes clues. See the module's docstring."""

    name = "memorag"
    kind = "memory"
    paper = "MemoRAG (Qian et al., WWW 2025), arXiv 2409.05591"
    good_at = "questions that do not say what to look for, and overviews: clues from a memory of the whole"
    cost = (
        "write: nothing derived; read: a search for each clue, with a model one call; reflect: one call for 4k tokens"
    )

    def __init__(self, settings: Settings | None = None, memory: GlobalMemory | None = None) -> None:
        self.settings = settings or Settings()
        self.memory = memory

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, turns: Sequence[Record], env: Env) -> Batch:
        return Batch()

    def reflect(self, job: Job, env: Env) -> Iterator[Batch]:
        """A gist for each block that is full, one batch for each page of turns, and last one for what is left over.

        The cursor holds the turns that do not fill a block yet. A block of which a turn is gone is made again of the
        others; the blocks around it stay.
        """
        told_so_far = json.loads(job.cursor) if job.cursor else {}
        working = Mending(replace(job, cursor=told_so_far.get("working")), env, size=self.settings.page)
        stored = gists(env)
        good = {gist.id: gist for gist in standing(stored, env.space)}
        full = {id for gist in good.values() if gist.fields["full"] for id in gist.sources}
        waiting = [] if working.torn else env.space.get(told_so_far.get("waiting", []))
        pool = [turn for turn in waiting if turn.state == State.ACTIVE]
        taken = {turn.id for turn in pool}
        room = self.settings.block - sum(map(cost, pool))
        archive = [gist.id for gist in stored if gist.id not in good]
        for page in working:
            puts: list[Record] = []
            for turn in page:
                if turn.state == State.ACTIVE and turn.id not in full and turn.id not in taken:
                    pool.append(turn)
                    taken.add(turn.id)
                    room -= cost(turn)
                if pool and (room <= 0 or turn.id in full):
                    puts += self.gist(pool, working, env, full=True)
                    pool, room = [], self.settings.block
            cursor = {"working": working.cursor, "waiting": [turn.id for turn in pool]}
            yield Batch(puts, archive=archive, cursor=json.dumps(cursor))
            archive = []
        pool.sort(key=lambda turn: turn.position)
        rest = [gist for gist in good.values() if not gist.fields["full"]]
        ids = [gist.id for gist in rest]
        if [gist.sources for gist in rest] != [tuple(turn.id for turn in pool)] * bool(pool):
            made = self.gist(pool, working, env, full=False, origin=ids) if pool else []
            if pool and not made:  # skipped: these turns come again by themselves
                pool, ids = [], []
            yield Batch(made, dict.fromkeys(ids, made[0].id) if made else {}, archive=[*archive, *ids])
        elif archive:
            yield Batch(archive=archive)
        cursor = {"working": working.cursor, "waiting": [turn.id for turn in pool]}
        yield Batch(cursor=json.dumps(cursor))
        working.close()

    def gist(
        self, turns: Sequence[Record], working: Mending, env: Env, *, full: bool, origin: Sequence[str] = ()
    ) -> list[Record]:
        """The gist of a block, if anything in it tells something; none where the model gives nothing usable."""
        turns = sorted(turns, key=lambda turn: turn.position)
        pool = [sentence for place, turn in enumerate(turns) for sentence in split(turn, place, self.settings.gist)]
        kept: Sequence[Sentence] = ()
        if env.language is not None:
            try:
                text = abstract(env.language, "", cut_to(worded(turns), 2 * self.settings.block), self.settings.gist)
            except LanguageError as error:
                working.skip(turns, error)
                return []
        else:
            kept = centroid(pool, self.settings.gist)
            text = told(kept) or cut_to(worded(turns), self.settings.gist)
        record = Record(
            id=PREFIX + digest(str(full), text, *origin, *(turn.id for turn in turns)),
            kind=Kind.SUMMARY,
            text=text,
            at=turns[0].at,
            sources=tuple(turn.id for turn in turns),
            fields={"full": full, "sentences": [sentence.packed() for sentence in kept]},
        )
        return [record]

    # -- reading ---------------------------------------------------------------------------------------------

    def read(self, query: Query, env: Env) -> Recall:
        clock = Clock()
        s = self.settings
        direct = bool(query.filter.kinds) and Kind.TURN not in query.filter.kinds
        kinds = [Kind.SUMMARY] if direct else []
        found = citing.find(query, env, kinds, PREFIX, depth=s.depth, exact=s.exact)
        clock.lap("search")
        sure = found.confidence()
        trace: dict[str, Any] = {"system": self.name, **found.trace()}
        if direct:
            return assemble.recall(query, citing.direct(query, found), sure, clock, trace)
        whole = wants_overview(query.text)
        written, by = self.clues(query, found, whole, env) if s.clues else (Clues(), "nobody")
        clock.lap("clues")
        pulled: dict[str, float] = {}
        asked = information(found, query.text)
        for clue in written.queries():
            brought = clues.retrieve(query, clue, env, s.each, depth=s.depth, exact=s.exact)
            # A rule's clue is worth what of the question it has; what a model writes needs none of its words.
            weight = sum(asked.get(stem, 0.0) for stem in set(tokens(clue))) if by.startswith("rules") else 1.0
            for id, score in brought.items():
                pulled[id] = max(pulled.get(id, 0.0), (1.0 if whole else weight) * score)
        scores = {id: found.turns.get(id, 0.0) + s.pull * pulled.get(id, 0.0) for id in {**found.turns, **pulled}}
        if whole and pulled:
            scores = {id: 10 * pulled[id] + scores[id] for id in pulled}
        hits = citing.hits(query, found, scores, env, {found.leg: found.turns, "clue": pulled})
        clock.lap("retrieve")
        count = within(hits, query.budget)
        text, packed = pack(chronological(hits[: max(count, 1)]), query.budget)
        clock.lap("render")
        trace |= {"clues": written.queries(), "clues_by": by, "overview": whole}
        trace |= {"packed": packed, "ms": clock.total(), "laps": clock.laps}
        return Recall(query.text, tuple(hits), text, round(sure if hits else 0.0, 4), trace)

    def clues(self, query: Query, found: citing.Found, whole: bool, env: Env) -> tuple[Clues, str]:
        """The clues for a question, and who wrote them."""
        stored = gists(env, query.as_of) if whole or self.memory is not None else self.like(query, env)
        try:
            if self.memory is not None:
                whole_ones = in_order(standing(stored, env.space), env)
                blocks = [Block(digest(*gist.sources), gist.sources) for gist in whole_ones]
                written = self.memory.clues(query.text, blocks, lambda block: worded(env.space.get(block.turns)))
                return written, self.memory.name
            if env.language is not None:
                seen = stored or gists(env, query.as_of)[::-1]  # where none is like the question, the newest
                return clues.ask(env.language, query.text, self.notes(seen, env), self.settings.most), "language"
        except LanguageError as error:
            return self.by_rule(query, found, stored, whole, env), f"rules, since: {error}"
        return self.by_rule(query, found, stored, whole, env), "rules"

    def like(self, query: Query, env: Env) -> list[Record]:
        """The gists most like the question, best first. A memory of everything knows no filter."""
        s = self.settings
        c = env.space.search(similarity.plan(query, env.encoders, GISTS, depth=s.depth, exact=s.exact))
        own = similarity.own(c, ~c.is_turn)
        slots = assemble.best(c, own, s.gists, own > 0)
        stored = env.space.get(env.space.id_of([int(n) for n in c.item[slots]]), query.as_of)
        return [gist for gist in stored if gist.id.startswith(PREFIX)]

    def notes(self, stored: Sequence[Record], env: Env) -> str:
        """What a model is shown of the memory: as many of ``stored`` as fit, in the order of the conversation."""
        left = self.settings.view
        kept = []
        for gist in standing(stored, env.space):
            left -= count_tokens(gist.text)
            if left < 0:
                break
            kept.append(gist)
        return "\n".join(f"- {gist.text}" for gist in in_order(kept, env))

    def by_rule(self, query: Query, found: citing.Found, stored: Sequence[Record], whole: bool, env: Env) -> Clues:
        """Gist sentences that match the question, and the question with their rarest words; for an overview the gist
        sentences that the others are most like."""
        s = self.settings
        asked = information(found, query.text)
        if whole:
            pool = living(sentences_of(in_order(stored, env), env), env)
            about = {stem: asked[stem] for stem in tokens(clues.subject(query.text)) if stem in asked}
            on_it = {sentence.text for sentence in clues.matching(pool, about, len(pool))}
            pool = [sentence for sentence in pool if sentence.text in on_it] or pool
            points = max(1, -(-query.k // s.each))
            spread = [chosen for part in parts(pool, points) for chosen in textrank(part, 1)]
            return Clues([sentence.text for sentence in spread])
        chosen = clues.matching(sentences_of(stored, env), asked, 2 * s.most)
        chosen = living(chosen, env)[: s.most]
        texts = [sentence.text for sentence in chosen]
        words = clues.rare(texts, list(asked), *frequencies(texts, env.space), s.rare) if s.rare else []
        return Clues(texts, [f"{query.text} {' '.join(words)}"] if words else [])


def information(found: citing.Found, question: str) -> dict[str, float]:
    """The stems of the question with their idf in the space, as shares of one."""
    m = found.candidates.lexical
    if m is None:
        return {}
    weights = idf(max(found.candidates.count, 1), m.df)
    shares = (weights / max(float(weights.sum()), 1e-9)).tolist()
    return dict(zip(dict.fromkeys(tokens(question)), shares, strict=True))


def gists(env: Env, as_of: datetime | None = None) -> list[Record]:
    """The gists that count now, or did at the moment that the query is about."""
    found: list[Record] = []
    cursor: str | None = None
    while True:
        page, cursor = env.space.scan(replace(GISTS, archived=as_of is not None), cursor)
        page = [gist for gist in page if gist.id.startswith(PREFIX)]
        if as_of is not None:
            page = env.space.get([gist.id for gist in page], as_of)
        found += [gist for gist in page if gist.state == State.ACTIVE]
        if cursor is None:
            return found


def in_order(stored: Sequence[Record], env: Env) -> list[Record]:
    """Gists in the order of the conversation."""
    firsts = {turn.id: turn.position for turn in env.space.get([gist.sources[0] for gist in stored])}
    return sorted(stored, key=lambda gist: firsts.get(gist.sources[0], 0))


def sentences_of(stored: Sequence[Record], env: Env) -> list[Sentence]:
    """The sentences of gists; those of a gist in prose bear its id, and are left out where a turn of it is gone."""
    prose = {gist.id for gist in standing([gist for gist in stored if not gist.fields["sentences"]], env.space)}
    kept = ([*unpacked(gist.fields["sentences"]), *(split(gist, 0) if gist.id in prose else ())] for gist in stored)
    return [sentence for sentences in kept for sentence in sentences]


def living(sentences: Sequence[Sentence], env: Env) -> list[Sentence]:
    """Those of ``sentences`` whose turn, or gist, still counts."""
    alive = bearing([sentence.source for sentence in sentences], env.space)
    return [sentence for sentence in sentences if sentence.source in alive]


def parts(pool: Sequence[Sentence], count: int) -> list[Sequence[Sentence]]:
    """``pool`` cut into ``count`` stretches of about the same length, none of them empty."""
    edges = [round(len(pool) * i / count) for i in range(count + 1)]
    return [pool[a:b] for a, b in pairwise(edges) if b > a]


def worded(turns: Sequence[Record]) -> str:
    return "\n".join(f"{turn.speaker or turn.role or 'unknown'}: {shown(turn)}" for turn in turns)


def cost(turn: Record) -> int:
    return count_tokens(shown(turn))
