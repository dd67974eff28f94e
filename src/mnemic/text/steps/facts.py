"""Facts as records: derived from turns with provenance and validity, newer values superseding older ones.

A fact never replaces its turn: it cites it, stands beside it in a recall, and can be derived again at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mnemic.text.encode.lexical import fold, tokens
from mnemic.text.plan import Filter, Hit, Query, SearchPlan, every
from mnemic.text.record import Batch, Interval, Kind, Record, State, digest
from mnemic.text.steps.assemble import hit
from mnemic.text.steps.extract import Fact, extract, relation_of, same_value
from mnemic.text.steps.reading import read_facts
from mnemic.text.steps.render import shown
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

PAGE = 200
"""Turns read by rule for each committed batch."""
READ = 20
"""Turns shown to a language model at once."""
KINDS = (Kind.FACT, Kind.PREFERENCE)
_PREFERENCES = ("likes", "dislikes", "prefers", "favourite")


def derive(job: Job, env: Env) -> Iterator[Batch]:
    """Batches of facts from the turns after the job's cursor: read by the language model if there is one, else by rule.

    Running it again over the same turns adds nothing.
    """
    current = {
        _slot(record): record for record in _stored(env) if record.state == State.ACTIVE and record.valid.end is None
    }
    cursor = job.cursor
    while True:
        turns, following = env.space.scan(Filter(kinds=[Kind.TURN]), cursor, PAGE if env.language is None else READ)
        if not turns:
            return
        puts: list[Record] = []
        retire: dict[str, str] = {}
        usable = [turn for turn in turns if turn.role != "assistant" and not _corrected(turn)]
        if env.language is not None:
            told = read_facts(env.language, usable)
        else:
            told = [(f, turn) for turn in usable for f in extract(shown(turn), speaker=turn.speaker, said=turn.at)]
        found = [(fact, record_of(fact, turn)) for fact, turn in told]
        done = {record.id for record in env.space.get([record.id for _, record in found])}
        for fact, record in found:
            if record.id in done:
                continue
            done.add(record.id)
            before = current.get(_slot(record))
            if before is None:
                current[_slot(record)] = record
            elif not fact.functional or _same(before, fact):
                continue
            elif _starts(record) < _starts(before):  # learnt late: it was true until the value we know began
                record = replace(record, valid=Interval(record.valid.start, before.valid.start))
                if before.supersedes is None:
                    retire[record.id] = before.id
                    current[_slot(record)] = replace(before, supersedes=record.id)
            else:
                retire[before.id] = record.id
                current[_slot(record)] = record = replace(record, supersedes=before.id)
            puts.append(record)
        cursor = str(turns[-1].position)
        yield Batch(puts=puts, retire=retire, cursor=cursor)
        if following is None:
            return


def record_of(fact: Fact, turn: Record) -> Record:
    """The record of ``fact``, its id a function of what it says and where, so that deriving twice is harmless."""
    preference = fact.relation.split(":")[0] in _PREFERENCES
    return Record(
        id="fact-" + digest(turn.id, fact.subject, fact.relation, fold(fact.value)),
        kind=Kind.PREFERENCE if preference else Kind.FACT,
        text=fact.text,
        at=turn.at,
        valid=Interval(fact.start or turn.at, None),
        speaker=fact.subject,
        sources=(turn.id,),
        fields={
            "subject": fact.subject,
            "relation": fact.relation,
            "value": fact.value,
            "ended": fact.ended,
            "functional": fact.functional,
            "certainty": round(fact.confidence, 3),
        },
    )


def _corrected(turn: Record) -> bool:
    """Whether ``turn`` was revised because it never was so."""
    start, end = turn.valid.start, turn.valid.end
    return turn.state == State.SUPERSEDED and start is not None and end is not None and end <= start


def _same(before: Record, fact: Fact) -> bool:
    return bool(before.fields["ended"]) == fact.ended and same_value(str(before.fields["value"]), fact.value)


def _slot(record: Record) -> tuple[str, ...]:
    """Facts in one slot exclude each other: all values of a functional relation, else the very same value."""
    slot = (fold(str(record.fields["subject"])), str(record.fields["relation"]))
    return slot if record.fields["functional"] else (*slot, fold(str(record.fields["value"])))


def _starts(record: Record) -> float:
    at = record.valid.start or record.at
    return at.timestamp() if at is not None else float("-inf")


def _stored(env: Env) -> Iterator[Record]:
    found = every(lambda at: env.space.scan(Filter(kinds=list(KINDS)), at))
    return (record for record in found if "relation" in record.fields)


def ahead(query: Query, hits: list[Hit], env: Env) -> list[Hit]:
    """``hits`` with the fact that answers the question, if one does, in front, followed by the turn it cites.

    Asked about now: the newest value. About before: the one it superseded. About the beginning: the first. With
    ``query.valid_at``: the value that was valid then.
    """
    kinds = set(query.filter.kinds) or {Kind.TURN, *KINDS}
    relation, subject, tense = relation_of(query.text)
    if relation is None or not kinds & set(KINDS):
        return hits
    found = _find(relation, subject, query, hits, env)
    if found is None:
        return hits
    if tense in ("before", "first") and query.valid_at is None:
        chain = env.space.get([record.id for record in env.space.history(found.id)], query.as_of)
        hidden = {State.FORGOTTEN} if query.filter.archived else {State.FORGOTTEN, State.ARCHIVED}
        earlier = [r for r in chain if r.id != found.id and r.state not in hidden and not r.fields.get("ended")]
        if not earlier:
            return hits
        found = earlier[0] if tense == "first" else earlier[-1]
    elif query.valid_at is None and (found.fields.get("ended") or _revised(found, query, env)):
        return hits
    if found.kind not in kinds or not _passes(found, query, env):
        return hits
    score = hits[0].score if hits else 0.0
    cited = [h for h in hits if h.id in found.sources]
    if not cited and Kind.TURN in kinds:
        cited = [hit(0, turn, score) for turn in env.space.get(found.sources, query.as_of)]
    kept = [h for h in hits if h.id not in (found.id, *found.sources)]
    front = [hit(0, found, score, {"fact": 1.0}), *cited, *kept][: query.k]
    return [replace(h, n=n) for n, h in enumerate(front, 1)]


def _revised(fact: Record, query: Query, env: Env) -> bool:
    """Whether what ``fact`` cites has newer versions, which the next reflect will read."""
    return all(turn.state == State.SUPERSEDED for turn in env.space.get(fact.sources, query.as_of))


def _passes(fact: Record, query: Query, env: Env) -> bool:
    """Whether the turns that ``fact`` cites are what the query's filter lets through."""
    wanted = replace(query.filter, kinds=(), ids=())
    if query.filter.ids and not {fact.id, *fact.sources} & set(query.filter.ids):
        return False
    if wanted == Filter():
        return True
    passed, _ = env.space.scan(replace(wanted, ids=fact.sources))
    return {record.id for record in passed} == set(fact.sources)


def _find(relation: str, subject: str | None, query: Query, hits: list[Hit], env: Env) -> Record | None:
    """The live fact of this relation and subject; without a subject, that of whoever the best hits quote."""
    words = tokens(f"{subject or ''} {relation.replace('_', ' ').replace(':', ' ')} {query.text}")
    plan = SearchPlan(terms=words, filter=Filter(kinds=KINDS), valid_at=query.valid_at, as_of=query.as_of)
    c = env.space.search(plan)
    ids = env.space.id_of([int(n) for n in c.item[c.eligible]])
    facts = [record for record in env.space.get(ids, query.as_of) if record.fields.get("relation") == relation]
    if subject is not None:
        facts = [record for record in facts if fold(str(record.fields["subject"])) == fold(subject)]
    else:
        order = {h.speaker: h.n for h in reversed(hits)}
        facts.sort(key=lambda record: order.get(str(record.fields["subject"]), len(hits) + 1))
        facts = [record for record in facts if record.fields["subject"] == facts[0].fields["subject"]]
    return max(facts, key=_starts, default=None)
