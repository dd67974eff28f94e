"""Chat with memory: every answer stands beside what was recalled for it, and cites it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from nicegui import ui
from nicegui.events import GenericEventArguments

from mnemic.serve.pages import exchange, kit, pieces, words
from mnemic.serve.pages.exchange import Chat, Exchange
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Child, Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.language.answer import Answer
from mnemic.text.language.cues import date
from mnemic.text.memory import Memory
from mnemic.text.plan import Hit, Recall
from mnemic.text.record import new_id
from mnemic.text.steps import render

AT_ONCE = 5
"""Recalled memories that are shown before more are asked for."""
_CITED = re.compile(r"\s*\[(\d{1,6}(?:\s*,\s*\d{1,6})*)\]")
_SENTENCE = re.compile(r"\S.*?\[\d{1,6}(?:\s*,\s*\d{1,6})*\]|\S.*\Z", re.DOTALL)


class Talk:
    """The page."""

    def __init__(self, visit: Visit, session: str, earlier: list[Chat]) -> None:
        self.visit = visit
        self.session = session
        self.count = 0
        self.may_write = visit.may(Scope.WRITE)
        language = visit.service.config.language
        self.by = language.name if language is not None else None
        with kit.box("page chat"):
            with kit.heading("Chat"):
                self.head = kit.show()
                kit.fill(self.head, self._menu(earlier), kit.link("New chat", visit.url("/chat"), symbol="plus"))
                self.head.classes("flow")
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
            js_handler="(e) => { if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) "
            "{ e.preventDefault(); emit() } }",
        )
        self.send.on("click", visit.doing(self.say), args=[])

    def _how(self) -> Child:
        if self.by is None:
            return "Answers quote your memory; no language model is used."
        return join(["Answers are worded by ", tag("b", self.by), " from your memory."])

    def _menu(self, earlier: list[Chat]) -> Markup | None:
        if not earlier:
            return None
        listed = [
            tag(
                "a",
                tag("span", each.title, class_="name"),
                tag("span", words.day(each.at), class_="small muted nowrap"),
                href=self.visit.url("/chat", session=each.session),
                aria_current="true" if each.session == self.session else None,
            )
            for each in earlier
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
            tag(
                "p",
                f"It holds {words.count(turns, 'turn')}. Every answer shows what was recalled for it, and where "
                "that was said.",
            ),
            tag(
                "div",
                [tag("button", each, type="button", class_="chip outline", data_ask=each) for each in asked],
                class_="flow",
            ),
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
            kit.show(self.drawn(done), name="article", classes="exchange", data_exchange=self.count)

    async def say(self) -> None:
        said = (self.line.value or "").strip()
        if not said or self.send.props.get("disabled"):
            return
        self.line.set_value("")
        kit.busy(self.send, True)
        self.start.set_visibility(False)
        asked = exchange.is_question(said)
        self.count += 1
        with self.talk:
            place = kit.show(self._pending(said, None), name="article", classes="exchange", data_exchange=self.count)
            place.props["aria-busy"] = "true"
        self._scroll(place.html_id)
        try:
            recall, now = await self.visit.use(Scope.READ, lambda memory: self._find(memory, said))
            kit.fill(place, self._pending(said, recall))
            answered = (
                await self.visit.use(Scope.READ, lambda memory: self._answer(memory, said, recall, now))
                if asked
                else None
            )
            done = Exchange(said, recall, answered)
            kept = self.may_write and bool(self.keeping.value)
            if kept:
                who = self.visit.who()
                await self.visit.use(Scope.WRITE, lambda memory: exchange.keep(memory, self.session, done, who))
            kit.fill(place, self.drawn(done, kept=kept))
            ui.run_javascript(f"mnemic.say({str(len(recall.hits))!r} + ' memories recalled')")
        except BaseException:
            kit.fill(place, self._pending(said, None, failed=True))
            self.line.set_value(self.line.value or said)
            raise
        finally:
            place.props["aria-busy"] = "false"
            kit.busy(self.send, False)
            self._scroll(place.html_id)

    def _find(self, memory: Memory, said: str) -> tuple[Recall, datetime]:
        with self.visit.service.metrics.verb("recall"):
            return exchange.find(memory, said)

    def _answer(self, memory: Memory, said: str, recall: Recall, now: datetime) -> Answer:
        with self.visit.service.metrics.verb("ask"):
            return exchange.answer(memory, said, recall, now)

    def _scroll(self, id: str) -> None:
        ui.run_javascript(f"mnemic.bottom({id!r})")

    # -- what an exchange looks like -------------------------------------------------------------------------

    def drawn(self, done: Exchange, *, kept: bool = False) -> Markup:
        """Question and answer, and beside them what was recalled."""
        if done.answer is None:
            told = (
                "Remembered."
                if kept
                else "Not remembered: remembering is off."
                if self.may_write and done.recall.query
                else None
            )
            reply = tag("div", icon("check" if kept else "eye", 18), told, class_="noted") if told else None
        else:
            reply = tag("div", self._reply(done.answer, done.recall), self._foot(done), class_="reply")
        cited = set(done.answer.citations) if done.answer is not None else set()
        title = "Recalled" if done.answer is not None else "Related"
        return join([tag("div", _you(done.said), reply, class_="turns"), self._margin(done.recall, cited, title)])

    def _pending(self, said: str, recall: Recall | None, *, failed: bool = False) -> Markup:
        step = "Recalling" if recall is None else f"{self.by} is writing" if self.by else "Reading"
        wait = tag("div", tag("span", f"{step} …"), class_="reply waiting", role="status")
        if failed:
            wait = kit.notice("This was not answered. Send it again, or ask in other words.", "bad")
        return join([tag("div", _you(said), wait, class_="turns"), self._margin(recall, set()) if recall else None])

    def _reply(self, told: Answer, recall: Recall) -> Markup:
        if not told.found:
            return tag("p", told.text)
        hits = {hit.n: hit for hit in recall.hits}
        if told.by != "extract":
            return tag("p", self._cited(told.text, hits))
        return join(self._extract(part, hits) for part in _SENTENCE.findall(told.text) or [told.text])

    def _extract(self, part: str, hits: Mapping[int, Hit]) -> Markup:
        """A quoted sentence: who said it and when stands below it, where the answer has it in front."""
        number = _CITED.search(part)
        hit = hits.get(int(number[1].split(",")[0])) if number else None
        head = (
            ", ".join(filter(None, (render.name(hit.speaker or hit.record.role or ""), date(hit.at) if hit.at else "")))
            if hit
            else ""
        )
        before, found, quote = part.partition(f"{head}: ")
        if hit is None or not head or not found:
            return tag("p", self._cited(part, hits), class_="extract")
        return tag(
            "figure",
            tag("b", before.strip(), class_="dated") if before.strip() else None,
            tag("blockquote", self._cited(quote, hits)),
            tag("figcaption", " · ".join(filter(None, (render.name(hit.speaker or ""), words.weekday(hit.at))))),
            class_="extract",
        )

    def _cited(self, text: str, hits: Mapping[int, Hit]) -> Markup:
        """``text`` with every citation [n] as a link to the memory it names."""
        parts: list[Child] = []
        at = 0
        for found in _CITED.finditer(text):
            parts.append(pieces.quoted(text[at : found.start()]))
            for number in found[1].split(","):
                hit = hits.get(int(number))
                parts.append(
                    tag(
                        "a",
                        number.strip(),
                        href=self.visit.url("/memory", id=hit.id),
                        class_="cite",
                        data_cite=number.strip(),
                        title=words.short(hit.text, 120),
                        aria_label=f"Memory {number.strip()}",
                    )
                    if hit
                    else tag("span", number.strip(), class_="cite gone", title="This memory is no longer there")
                )
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

    def _margin(self, recall: Recall, cited: set[int], title: str = "Recalled") -> Markup:
        if not recall.hits:
            nothing = tag("p", "Nothing was recalled.", class_="small muted") if recall.query else None
            return tag("aside", nothing, class_="margin", aria_label="Recalled")
        most = max(hit.score for hit in recall.hits)
        lines = [pieces.hit_line(hit, self.visit.url, most, cited=hit.n in cited) for hit in recall.hits]
        first = max([AT_ONCE, *cited])
        rest = (
            tag("details", tag("summary", f"{len(lines) - first} more"), lines[first:], class_="more-recalls")
            if lines[first:]
            else None
        )
        took = f" in {recall.trace['ms']:.0f} ms" if "ms" in recall.trace else ""
        more = pieces.go("Why these", self.visit.url("/search", q=recall.query)) if recall.query else None
        return tag(
            "aside",
            tag(
                "div", tag("h3", f"{title} {len(recall.hits)}", tag("span", took, class_="muted")), more, class_="apart"
            ),
            tag("div", lines[:first], rest, class_="recalls"),
            class_="margin",
            aria_label="Recalled",
        )


def _you(said: str) -> Markup:
    return tag("div", pieces.quoted(said), class_="you said")


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    asked = query.get("session", "")
    session = asked if asked.startswith(exchange.PREFIX) else new_id(exchange.PREFIX)

    def load(memory: Memory) -> tuple[list[Exchange], list[Chat], int, list[str]]:
        before = exchange.again(memory, session) if asked else []
        turns = int(memory.stats()["kinds"].get("turn", 0))
        return before, exchange.chats(memory), turns, [] if before else exchange.examples(memory)

    done, earlier, turns, questions = await visit.use(Scope.READ, load)
    page = Talk(visit, session, earlier)
    for each in done:
        page.show(each)
    if not done:
        page.welcome(turns, questions)
    page.line.set_value(query.get("q", ""))
