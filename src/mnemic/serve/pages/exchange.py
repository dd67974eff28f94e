"""A chat with memory, apart from how it looks: what is asked, answered and kept.

An answer is what :meth:`Memory.ask` gives, in two steps, so that what was recalled can be shown while it is worded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from mnemic.serve.pages import words
from mnemic.serve.tokens import LOCAL, Principal
from mnemic.text.language.answer import Answer, answer_with, extract
from mnemic.text.language.cues import date, sentences
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter, Recall, SearchPlan
from mnemic.text.record import Batch, Kind, Record, State, Turn
from mnemic.text.steps import render
from mnemic.text.steps.assemble import hit

PREFIX = "chat-"
"""Sessions with this prefix were made here, and can be gone on with."""
RECALLED = 8
"""Memories recalled for an answer."""
BUDGET = 2000
"""Tokens of memory that a language model is shown."""
LISTED = 12
"""Earlier chats that are offered."""
LATEST = 200
"""Turns of an earlier chat that are shown again."""
_ASKED = {
    "lives_in": "Where does {} live now?",
    "works_at": "Where does {} work?",
    "prefers:drink": "What does {} like to drink?",
    "likes": "What does {} like?",
    "dislikes": "What does {} dislike?",
    "job": "What does {} do for a living?",
    "plans": "What does {} plan to do?",
    "pet": "Does {} have a pet?",
}
"""Relation of a fact -> a question that it answers."""
_QUESTION = re.compile(
    r"[?？]\s*$|^\s*(?:who|whom|whose|what|which|when|where|why|how|is|are|was|were|am|do|does|did|has|have|had|can|could"
    r"|will|would|should|tell me|remind me|show me|list|summari[sz]e)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Exchange:
    """A message and what came of it. ``answer`` is None for something that was only told."""

    said: str
    recall: Recall
    answer: Answer | None


@dataclass(frozen=True)
class Chat:
    """A chat that was made here: its session, its first words, and when it began."""

    session: str
    title: str
    at: datetime | None


def is_question(text: str) -> bool:
    """Whether something is asked, rather than told: then it is answered."""
    return bool(_QUESTION.search(text))


def only_asks(text: str) -> bool:
    """Whether a message holds nothing but questions."""
    return all(is_question(sentence) for sentence in sentences(text))


def find(memory: Memory, said: str) -> tuple[Recall, datetime]:
    """What the memory holds on what was said, and the moment for which it was looked up."""
    now = memory.clock()
    return memory.recall(said, k=RECALLED, budget=BUDGET, now=now), now


def answer(memory: Memory, said: str, recall: Recall, now: datetime) -> Answer:
    """What :meth:`Memory.ask` answers from this recall."""
    if memory.language is not None:
        return answer_with(memory.language, said, recall, now)
    return extract(said, recall, now)


def keep(memory: Memory, session: str, done: Exchange, who: Principal) -> None:
    """Remember both turns. The reply tells in its meta what it rests on: ids, never text.

    A question and its answer hold nothing that was not there before, yet the next time they would be found in place
    of what they quote. They are archived: part of the conversation, and out of the way of recalls. A message that
    also tells something stays where it can be found.
    """
    turns = [Turn(done.said, speaker(memory, who), session=session, role="user", meta={"app": "chat"})]
    if done.answer is not None:
        told = {
            "app": "chat",
            "by": done.answer.by,
            "confidence": done.answer.confidence,
            "recalled": [[hit.id, hit.score] for hit in done.recall.hits],
            "citations": list(done.answer.citations),
        }
        turns.append(Turn(done.answer.text, "Mnemic", session=session, role="assistant", meta=told))
    receipt = memory.remember(turns, at=memory.clock())
    if done.answer is not None:
        said, replied = receipt.ids
        memory.space.write(Batch(archive=[said, replied] if only_asks(done.said) else [replied]), op="archive")


def again(memory: Memory, session: str) -> list[Exchange]:
    """A chat as it was, with what is still there of what its answers rested on."""
    turns: list[Record] = []
    cursor: str | None = None
    while True:
        page, cursor = memory.scan(Filter(kinds=[Kind.TURN], sessions=[session], archived=True), cursor=cursor)
        turns = [*turns, *page][-LATEST:]
        if cursor is None:
            break
    found: list[Exchange] = []
    for turn in sorted(turns, key=lambda turn: turn.position):
        if turn.role != "assistant":
            found.append(Exchange(render.shown(turn), Recall("", (), "", 0.0), None))
        elif found:
            found[-1] = replace(found[-1], recall=_recalled(memory, turn), answer=_told(turn))
    return found


def speaker(memory: Memory, principal: Principal) -> str:
    """The name under which somebody speaks: as the memory knows it, where it does."""
    name = "User" if principal is LOCAL else principal.name
    known = {each.casefold(): each for each in memory.space.search(SearchPlan()).speakers if each}
    return known.get(name.casefold(), name)


def _recalled(memory: Memory, turn: Record) -> Recall:
    """What a reply says that it rests on. Anybody may have written that: what does not fit is left out."""
    rows = turn.meta.get("recalled")
    listed = [(row[0], float(row[1])) for row in rows if _is_row(row)][:50] if isinstance(rows, list) else []
    there = {record.id: record for record in memory.get([id for id, _ in listed])}
    hits = [
        replace(hit(n, there[id], score), score=score)
        for n, (id, score) in enumerate(listed, 1)
        if id in there and there[id].state != State.FORGOTTEN
    ]
    return Recall("", tuple(hits), "", _share(turn.meta.get("confidence")))


def _is_row(row: object) -> bool:
    return isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and _is_number(row[1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and -1e9 < value < 1e9


def _told(turn: Record) -> Answer:
    given = turn.meta.get("citations")
    cited = tuple(n for n in given if isinstance(n, int)) if isinstance(given, list) else ()
    by: Literal["language", "extract"] = "language" if turn.meta.get("by") == "language" else "extract"
    return Answer(render.shown(turn), cited, (), _share(turn.meta.get("confidence")), by)


def _share(value: Any) -> float:
    return min(max(float(value), 0.0), 1.0) if _is_number(value) else 0.0


def chats(memory: Memory) -> list[Chat]:
    """The latest chats made here."""
    latest = [(name, at) for name, at in memory.space.sessions() if name.startswith(PREFIX)][: -LISTED - 1 : -1]
    found = []
    for name, at in latest:
        page, _ = memory.scan(Filter(kinds=[Kind.TURN], sessions=[name], archived=True), limit=1)
        if page:
            found.append(Chat(name, words.short(render.shown(page[0]), 60), at))
    return found


def examples(memory: Memory) -> list[str]:
    """Questions that this memory can answer: about its facts, and about when something was last said."""
    page, _ = memory.scan(Filter(kinds=[Kind.FACT, Kind.PREFERENCE]), limit=500)
    facts = {str(fact.fields.get("relation")): str(fact.fields["subject"]) for fact in page if "subject" in fact.fields}
    asked = [_ASKED[relation].format(render.name(facts[relation])) for relation in _ASKED if relation in facts]
    dated = [at for _, at in memory.space.sessions() if at is not None]
    month = date(dated[-1]).partition(" ")[2] if dated else ""
    return [*asked[:3], *([f"What did we talk about in {month}?"] if month else [])]
