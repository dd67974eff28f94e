"""Chat with memory: every answer stands beside what was recalled for it, and cites it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from mnemic.serve.pages import kit, pieces, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Child, Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.language.answer import Answer, answer_with, extract
from mnemic.text.memory import MAX_QUERY, Memory
from mnemic.text.plan import Filter, Hit, Recall
from mnemic.text.record import Batch, Kind, Record, Turn, new_id
from mnemic.text.steps import render

PREFIX = "chat-"
"""Sessions with this prefix were made here, and can be gone on with."""
RECALLED = 8
"""Memories recalled for an answer."""
BUDGET = 2000
"""Tokens of memory that a language model is shown."""
AT_ONCE = 5
"""Of these, how many are shown before more are asked for."""
LISTED = 12
"""Earlier chats in the menu."""
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
_CITED = re.compile(r"\s*\[(\d{1,6}(?:\s*,\s*\d{1,6})*)\]")


@dataclass(frozen=True)
class Exchange:
    """A message and what came of it. ``answer`` is None for something that was only told."""

    said: str
    recall: Recall
    answer: Answer | None


def is_question(text: str) -> bool:
    """Whether something is asked, rather than told: then it is answered."""
    return bool(_QUESTION.search(text))


def find(memory: Memory, said: str) -> tuple[Recall, datetime]:
    """What the memory holds on what was said, and the moment for which it was looked up."""
    now = memory.clock()
    return memory.recall(said, k=RECALLED, budget=BUDGET, now=now), now


def answer(memory: Memory, said: str, recall: Recall, now: datetime) -> Answer:
    """What :meth:`Memory.ask` answers from this recall."""
    if memory.language is not None:
        return answer_with(memory.language, said, recall, now)
    return extract(said, recall, now)


def keep(memory: Memory, session: str, done: Exchange, name: str) -> None:
    """Remember both turns. The reply tells in its meta what it rests on: ids, never text.

    A question and its answer hold nothing that was not there before, yet the next time they would be found in place
    of what they quote. They are archived: part of the conversation, and out of the way of recalls.
    """
    turns = [Turn(done.said, name, session=session, role="user", meta={"app": "chat"})]
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
        memory.space.write(Batch(archive=receipt.ids), op="archive")


def again(memory: Memory, session: str) -> list[Exchange]:
    """A chat as it was, with what is still there of what its answers rested on."""
    page, _ = memory.scan(Filter(kinds=[Kind.TURN], sessions=[session], archived=True), limit=400)
    turns = sorted(page, key=lambda turn: turn.position)
    found: list[Exchange] = []
    for turn in turns:
        if turn.role != "assistant":
            found.append(Exchange(render.shown(turn), Recall("", (), "", 0.0), None))
        elif found:
            found[-1] = replace(found[-1], recall=_recalled(memory, turn), answer=_told(turn))
    return found


def _recalled(memory: Memory, turn: Record) -> Recall:
    listed = [(str(id), float(score)) for id, score in turn.meta.get("recalled", ())]
    there = {record.id: record for record in memory.get([id for id, _ in listed])}
    hits = tuple(
        Hit(n, id, there[id].kind, render.shown(there[id]), score, there[id].speaker, there[id].at, there[id].session,
            there[id].sources or (id,), there[id])
        for n, (id, score) in enumerate(listed, 1)
        if id in there
    )  # fmt: skip
    return Recall("", hits, "", float(turn.meta.get("confidence", 0.0)))


def _told(turn: Record) -> Answer:
    by: Any = turn.meta.get("by", "extract")
    return Answer(render.shown(turn), tuple(turn.meta.get("citations", ())), (), float(turn.meta.get("confidence", 0.0)), by)


def chats(memory: Memory) -> list[tuple[str, str, datetime | None]]:
    """The latest chats made here: session, first words, when."""
    latest = [(name, at) for name, at in memory.space.sessions() if name.startswith(PREFIX)][: -LISTED - 1 : -1]
    found = []
    for name, at in latest:
        page, _ = memory.scan(Filter(kinds=[Kind.TURN], sessions=[name], archived=True), limit=1)
        if page:
            found.append((name, words.short(render.shown(page[0]), 60), at))
    return found


def examples(memory: Memory) -> list[str]:
    """Questions that this memory can answer: about its facts, and about when something was last said."""
    page, _ = memory.scan(Filter(kinds=[Kind.FACT, Kind.PREFERENCE]), limit=500)
    facts = {str(fact.fields.get("relation")): str(fact.fields.get("subject")) for fact in page if fact.fields.get("subject")}
    asked = [pattern.format(render.name(facts[relation])) for relation, pattern in _ASKED.items() if relation in facts][:3]
    dated = [at for _, at in memory.space.sessions() if at is not None]
    return [*asked, *([f"What did we talk about in {dated[-1]:%B %Y}?"] if dated else [])]


class Talk:
    """The page."""

    def __init__(self, visit: Visit, session: str, earlier: list[tuple[str, str, datetime | None]]) -> None:
        self.visit = visit
        self.session = session
        self.count = 0
        self.may_write = visit.may(Scope.WRITE)
        language = visit.service.config.language
        self.by = language.name if language is not None else None
        with kit.box("page chat"):
            with kit.heading("Chat"):
                self.head = kit.show()
                kit.fill(self.head, self._menu(earlier), kit.link("New chat", visit.url("/chat", new=1), symbol="plus"))
                self.head.classes("row")
            self.talk = ui.element("div").classes("talk").props('role="log" aria-label="Conversation"')
            with self.talk:
                self.start = kit.show()
            with kit.box("composer"):
                with kit.box("composer-box"):
                    self.line = kit.area("Message", placeholder="Ask, or tell something new …")
                    self.send = kit.button("Send", kind="primary round", symbol="send", bare=True)
                with kit.box("composer-foot"):
                    if self.may_write:
                        self.keeping = kit.switch("Remember this chat", True)
                    kit.show(self._how(), classes="small muted")
        # Plain Enter sends, with Shift it breaks the line.
        self.line.on(
            "keydown",
            visit.doing(self.say),
            args=[],
            js_handler="(e) => { if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) { e.preventDefault(); emit() } }",
        )
        self.send.on("click", visit.doing(self.say), args=[])

    def _how(self) -> Child:
        if self.by is None:
            return "Answers quote your memory; no language model is used."
        return join(["Answers are worded by ", tag("b", self.by), " from your memory."])

    def _menu(self, earlier: list[tuple[str, str, datetime | None]]) -> Markup | None:
        if not earlier:
            return None
        listed = [
            tag(
                "a",
                tag("span", title, class_="name"),
                tag("span", words.day(at), class_="small muted nowrap"),
                href=self.visit.url("/chat", session=name),
                aria_current="true" if name == self.session else None,
            )
            for name, title, at in earlier
        ]
        return tag(
            "details",
            tag("summary", icon("history", 18), tag("span", "Earlier chats"), icon("down", 15), class_="btn plain"),
            tag("div", listed, class_="sheet to-right"),
            class_="menu earlier",
        )

    def welcome(self, turns: int, asked: list[str]) -> None:
        """An empty chat says what can be done in it."""
        kit.fill(
            self.start,
            tag("div", icon("spark", 28), class_="art"),
            tag("h2", "Talk to your memory"),
            tag("p", f"It holds {words.count(turns, 'turn')}. Every answer shows what was recalled for it, and where that was said."),
            tag("div", [tag("button", each, type="button", class_="chip outline", data_ask=each) for each in asked], class_="row"),
        )
        self.start.classes("empty")

        async def ask(event: GenericEventArguments) -> None:
            self.line.set_value(str(event.args))
            await self.say()

        self.start.on(
            "click",
            self.visit.doing(ask),
            js_handler="(e) => { const ask = e.target.closest('[data-ask]'); if (ask) emit(ask.dataset.ask) }",
        )

    def show(self, done: Exchange) -> None:
        """An exchange that is finished."""
        self.count += 1
        with self.talk:
            kit.show(self.exchange(done), name="article", classes="exchange", data_exchange=self.count)

    async def say(self) -> None:
        said = (self.line.value or "").strip()[:MAX_QUERY]
        if not said or self.send.props.get("disabled"):
            return
        self.line.set_value("")
        kit.busy(self.send, True)
        self.start.set_visibility(False)
        asked = is_question(said)
        self.count += 1
        with self.talk:
            place = kit.show(self._pending(said, None), name="article", classes="exchange", data_exchange=self.count)
            place.props["aria-busy"] = "true"
        self._scroll(place.html_id)
        try:
            recall, now = await self.visit.use(Scope.READ, lambda memory: self._find(memory, said))
            kit.fill(place, self._pending(said, recall))
            answered = await self.visit.use(Scope.READ, lambda memory: self._answer(memory, said, recall, now)) if asked else None
            done = Exchange(said, recall, answered)
            kept = self.may_write and bool(self.keeping.value)
            if kept:
                name = self.visit.who().name
                await self.visit.use(Scope.WRITE, lambda memory: keep(memory, self.session, done, name))
            kit.fill(place, self.exchange(done, kept=kept))
            ui.run_javascript(f"mnemic.say({str(len(recall.hits))!r} + ' memories recalled')")
        except BaseException:
            kit.fill(place, self._pending(said, None, failed=True))
            raise
        finally:
            place.props["aria-busy"] = "false"
            kit.busy(self.send, False)
            self._scroll(place.html_id)

    def _find(self, memory: Memory, said: str) -> tuple[Recall, datetime]:
        with self.visit.service.metrics.verb("recall"):
            return find(memory, said)

    def _answer(self, memory: Memory, said: str, recall: Recall, now: datetime) -> Answer:
        with self.visit.service.metrics.verb("ask"):
            return answer(memory, said, recall, now)

    def _scroll(self, id: str) -> None:
        ui.run_javascript(f"mnemic.bottom({id!r})")

    # -- what an exchange looks like -------------------------------------------------------------------------

    def exchange(self, done: Exchange, *, kept: bool = False) -> Markup:
        """Question and answer, and beside them what was recalled."""
        if done.answer is None:
            told = "Remembered." if kept else "Not remembered: remembering is off." if self.may_write and done.recall.query else None
            reply = tag("div", icon("check" if kept else "eye", 18), told, class_="noted") if told else None
        else:
            reply = tag("div", self._reply(done.answer, done.recall), self._foot(done), class_="reply")
        cited = set(done.answer.citations) if done.answer is not None else set()
        return join([tag("div", _you(done.said), reply, class_="turns"), self._margin(done.recall, cited)])

    def _pending(self, said: str, recall: Recall | None, *, failed: bool = False) -> Markup:
        step = "Recalling" if recall is None else f"{self.by} is writing" if self.by else "Reading"
        wait = tag("div", tag("span", f"{step} …"), class_="reply waiting", role="status")
        if failed:
            wait = kit.notice("This was not answered. The message is kept here: send it again.", "bad")
        return join([tag("div", _you(said), wait, class_="turns"), self._margin(recall, set()) if recall else None])

    def _reply(self, told: Answer, recall: Recall) -> Markup:
        if not told.found:
            return tag("p", told.text)
        hits = {hit.n: hit for hit in recall.hits}
        if told.by != "extract":
            return tag("p", self._cited(told.text, hits))
        parts = [sentence.text for sentence in told.sentences] or [told.text]
        return join(tag("p", self._cited(part, hits), class_="extract") for part in parts)

    def _cited(self, text: str, hits: Mapping[int, Hit]) -> Markup:
        """``text`` with every citation [n] as a link to the memory it names."""
        parts: list[Child] = []
        at = 0
        for found in _CITED.finditer(text):
            parts.append(pieces.quoted(text[at : found.start()]))
            for number in found[1].split(","):
                hit = hits.get(int(number))
                parts.append(
                    tag("a", number.strip(), href=self.visit.url("/memory", id=hit.id), class_="cite", data_cite=number.strip(),
                        title=words.short(hit.text, 120), aria_label=f"Memory {number.strip()}")
                    if hit
                    else tag("span", number.strip(), class_="cite gone", title="This memory is no longer there")
                )  # fmt: skip
            at = found.end()
        return join([*parts, pieces.quoted(text[at:])])

    def _foot(self, done: Exchange) -> Markup:
        told = done.answer
        assert told is not None
        look, rated = pieces.rated(told.confidence)
        by = "quoted from memory" if told.by == "extract" else f"worded by {self.by or 'a language model'}"
        return tag(
            "div",
            tag("span", f"{round(100 * told.confidence)}%", class_=f"chip {look}", title=rated),
            tag("span", by) if told.found else None,
            class_="reply-foot",
        )

    def _margin(self, recall: Recall, cited: set[int]) -> Markup:
        if not recall.hits:
            nothing = tag("p", "Nothing was recalled.", class_="small muted") if recall.query else None
            return tag("aside", nothing, class_="margin", aria_label="Recalled")
        most = max(hit.score for hit in recall.hits)
        lines = [pieces.hit_line(hit, self.visit.url, most, cited=hit.n in cited) for hit in recall.hits]
        first = max([AT_ONCE, *cited])
        rest = tag("details", tag("summary", f"{len(lines) - first} more"), lines[first:], class_="more-recalls") if lines[first:] else None
        took = f" in {recall.trace['ms']:.0f} ms" if "ms" in recall.trace else ""
        more = pieces.go("Why these", self.visit.url("/search", q=recall.query)) if recall.query else None
        return tag(
            "aside",
            tag("div", tag("h3", f"Recalled {len(recall.hits)}", tag("span", took, class_="muted")), more, class_="apart"),
            tag("div", lines[:first], rest, class_="recalls"),
            class_="margin",
            aria_label="Recalled",
        )


def _you(said: str) -> Markup:
    return tag("div", pieces.quoted(said), class_="you said")


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    asked = query.get("session", "")
    session = asked if asked.startswith(PREFIX) else new_id(PREFIX)

    def load(memory: Memory) -> tuple[list[Exchange], list[tuple[str, str, datetime | None]], int, list[str]]:
        before = again(memory, session) if asked else []
        return before, chats(memory), int(memory.stats()["kinds"].get("turn", 0)), examples(memory) if not before else []

    done, earlier, turns, questions = await visit.use(Scope.READ, load)
    page = Talk(visit, session, earlier)
    for each in done:
        page.show(each)
    if not done:
        page.welcome(turns, questions)
    if question := query.get("q"):
        page.line.set_value(question)
