"""Forgetting, with a look at what goes before it goes, and a receipt after it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.concurrency import run_in_threadpool

from mnemic.serve.pages import kit, pieces, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.text.forgetting import Preview
from mnemic.text.record import Receipt, Record

LISTED = 200
"""Memories of a preview that are shown; all of them are counted."""


class Forgetting:
    """The page. What is named is kept by id, so that exactly what was looked at is forgotten."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.preview: Preview | None = None
        self.named: list[str] = []
        self.left: set[str] = set()
        self.known: dict[str, Record] = {}
        self.erase = False
        with kit.box("page narrow"):
            kit.head("Forget", "Choose what should go. You see all of it before anything happens.")
            with kit.box("flow forget-ask"):
                self.line = kit.field(
                    "What to forget", hidden_label=True, placeholder="Words that the memories hold, or an id"
                )
                kit.button("Show what would go", visit.doing(self.ask), symbol="eye")
            self.line.on("keydown.enter", visit.doing(self.ask), args=[])
            self.body = ui.element("div").classes("stack")
        self.hint()

    def hint(self) -> None:
        with self.body:
            kit.empty(
                "forget",
                "Nothing is chosen",
                "Words name every memory that has all of them. From a memory's own page, its id is filled in.",
            )

    async def ask(self) -> None:
        """Look up what is named, all of it chosen."""
        said = (self.line.value or "").strip()
        if not said:
            return
        found = await self.look(said, erase=False)
        self.named, self.left, self.erase = [record.id for record in found.named], set(), False
        self.known = {}
        self.body.clear()
        if not self.named:
            with self.body:
                kit.empty(
                    "search", "No memory has all of these words", "Nothing would be forgotten. Fewer words name more."
                )
            return
        with self.body:
            self._ways()
            self.list = kit.show(classes="card going")
            self.list.on(
                "click",
                self.visit.doing(self.pick),
                js_handler="(e) => { const box = e.target.closest('input[data-id]'); if (box) emit(box.dataset.id) }",
            )
            with kit.box("apart forget-do"):
                self.sum = kit.show(classes="muted")
                self.do = kit.button("Forget", self.visit.doing(self.confirm), kind="danger")
        self.show(found)

    def _ways(self) -> None:
        """Two ways to go, as two large choices."""
        told = {
            "forget": (
                "eye",
                "Forget",
                "Never recalled again. The text stays in the file; “as known on” an earlier day still shows it.",
            ),
            "erase": (
                "erase",
                "Erase for good",
                "Every version, and whatever cites it, leaves the indexes and the bytes of the file. Nobody can "
                "bring it back.",
            ),
        }

        ways = [
            tag(
                "label",
                tag("input", type="radio", name="way", value=name, checked=name == "forget", class_="sr"),
                tag("span", icon(symbol, 20), class_="list-icon"),
                tag("span", tag("b", title), tag("span", text, class_="small muted")),
                class_=f"way {name}",
            )
            for name, (symbol, title, text) in told.items()
        ]

        async def change(event: GenericEventArguments) -> None:
            self.erase = event.args == "erase"
            await self.again()

        kit.show(ways, classes="ways", role="radiogroup", aria_label="How").on(
            "change",
            self.visit.doing(change),
            js_handler="(e) => { const way = e.target.closest('input[name=way]'); if (way) emit(way.value) }",
        )

    async def look(self, what: str | Sequence[str], *, erase: bool) -> Preview:
        """What would go. Changes nothing."""
        who, service, space = self.visit.who(), self.visit.service, self.visit.space
        found = await run_in_threadpool(service.forget, who, space, what, erase=erase, preview=True)
        assert isinstance(found, Preview)
        return found

    def chosen(self) -> list[str]:
        return [id for id in self.named if id not in self.left]

    async def again(self) -> None:
        """The preview for what is still chosen."""
        chosen = self.chosen()
        self.show(await self.look(chosen, erase=self.erase) if chosen else Preview((), ()))

    async def pick(self, event: GenericEventArguments) -> None:
        id = str(event.args)
        if id in self.named:
            self.left ^= {id}
            await self.again()
            ui.run_javascript(f"mnemic.focus('id', {json.dumps(id)})")

    def show(self, preview: Preview) -> None:
        """The memories named, to be picked, and what goes with them."""
        self.preview = preview
        self.known |= {record.id: record for record in preview.named}
        versions = [record for record in preview.named if record.id not in self.named]
        rows = [self._choice(self.known[id]) for id in self.named[:LISTED] if id in self.known]
        more = len(self.named) - LISTED
        kit.fill(
            self.list,
            tag("h2", f"Named ({len(self.chosen()):,})"),
            tag("ul", rows, class_="goings"),
            tag(
                "p",
                f"and {words.count(more, 'more memory', 'more memories')}, all of them chosen",
                class_="small muted",
            )
            if more > 0
            else None,
            _with("Other versions of them", versions, self.visit),
            _with("Derived from them, so it goes too", list(preview.derived), self.visit),
        )
        count = len(preview)
        kit.fill(self.sum, f"{words.count(count, 'memory', 'memories')} would go" + (" for good" if self.erase else ""))
        kit.fill(
            self.do,
            icon("erase" if self.erase else "forget", 18),
            tag("span", f"{'Erase' if self.erase else 'Forget'} {count:,}"),
        )
        kit.enable(self.do, count > 0)

    def _choice(self, record: Record) -> Markup:
        return tag(
            "li",
            tag(
                "label",
                tag("input", type="checkbox", checked=record.id not in self.left, data_id=record.id),
                tag("span", pieces.text(record), pieces.meta(record, self.visit.url), class_="stack tight"),
            ),
        )

    async def confirm(self) -> None:
        """Ask once more, in so many words; erasing wants the word typed."""
        assert self.preview is not None
        count, erase = len(self.preview), self.erase
        noun = words.count(count, "memory", "memories")
        with self.visit.client, kit.dialog(f"{'Erase' if erase else 'Forget'} {noun}?") as asked:
            if erase:
                kit.show(
                    kit.notice(
                        "This cannot be undone, not even from the file. Exports and backups that you made stay.",
                        "bad",
                    )
                )
                typed = kit.field("Type erase to go on")
            else:
                kit.show(
                    "They will not be recalled again. Their text stays in the file, under the days before today.",
                    classes="muted",
                )
            with kit.box("dialog-foot"):
                kit.button("Keep them", kind="plain").on("click", lambda: asked.submit(False), args=[])
                go = kit.button(f"{'Erase' if erase else 'Forget'} {noun}", kind="danger")
                go.on("click", lambda: asked.submit(True), args=[])
            if erase:
                kit.enable(go, False)
                typed.on_value_change(lambda e: kit.enable(go, (e.value or "").strip().lower() == "erase"))
        sure = await asked
        word = erase and (typed.value or "").strip().lower() != "erase"
        asked.delete()
        if not sure or word:
            return
        who, service, space = self.visit.who(), self.visit.service, self.visit.space
        receipt = await run_in_threadpool(service.forget, who, space, self.chosen(), erase=erase)
        assert isinstance(receipt, Receipt)
        self.receipt(receipt, erase=erase)

    def receipt(self, done: Receipt, *, erase: bool) -> None:
        """Proof of what happened."""
        self.line.set_value("")
        self.preview = None
        rows = [
            ("What", f"{words.count(len(done.ids), 'memory', 'memories')} {'erased' if erase else 'forgotten'}"),
            ("Entry in the audit", f"{done.seq:,}"),
            ("When", words.stamp(done.at or self.visit.service.config.clock())),
        ]
        if erase:
            rows.append(
                (
                    "On disk",
                    "waits until another reader lets go of the old state"
                    if done.pending
                    else "the bytes are overwritten",
                )
            )
        self.body.clear()
        with self.body:
            kit.show(
                tag("div", tag("span", icon("check", 22), class_="art"), tag("h2", "Done"), class_="flow"),
                tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in rows], class_="facts"),
                tag(
                    "details",
                    tag("summary", "Show the ids"),
                    tag("code", "\n".join(done.ids[:1000]), class_="ids"),
                    class_="small",
                ),
                tag("p", "The audit keeps ids, times and counts, never text.", class_="small muted"),
                name="section",
                classes="card receipt",
                role="status",
            )


def _with(title: str, records: list[Record], visit: Visit) -> Markup | None:
    """What goes without having been named."""
    if not records:
        return None
    rows = [
        tag("li", pieces.text(record), pieces.meta(record, visit.url), class_="stack tight")
        for record in records[:LISTED]
    ]
    return join([tag("h2", f"{title} ({len(records):,})"), tag("ul", rows, class_="goings")])


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    page = Forgetting(visit)
    if asked := query.get("id", ""):
        page.line.set_value(asked)
        await page.ask()
