"""One memory: what it says, what it rests on, what rests on it, and how it came to say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nicegui import ui
from nicegui.element import Element

from mnemic.errors import NotFoundError
from mnemic.serve.pages import diff, kit, pieces, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.memory import Memory, masked
from mnemic.text.record import Record, State
from mnemic.text.steps import render
from mnemic.text.store.base import Used

CITING = 30
"""Memories shown that rest on this one."""


@dataclass(frozen=True)
class Seen:
    """A memory with what belongs to it."""

    record: Record
    versions: list[Record]
    sources: list[Record]
    citing: list[Record]
    used: Used | None


def look(memory: Memory, id: str) -> Seen:
    """Raises NotFoundError, also for what was forgotten: it is shown to nobody."""
    found = memory.get(id) if id else []
    if not found or found[0].state == State.FORGOTTEN:
        raise NotFoundError("this memory is not there: it was never stored here, or it was forgotten")
    record = found[0]
    links = memory.space.neighbours([id], ["cites"])
    citing = sorted({link.source for link in links if link.target == id})[:CITING]
    return Seen(
        record,
        [each for each in memory.history(id) if each.state != State.FORGOTTEN],
        [each for each in memory.get(record.sources) if each.state != State.FORGOTTEN],
        [masked(each) for each in memory.space.get(citing) if each.state != State.FORGOTTEN],
        memory.space.usage([id]).get(id),
    )


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    id = query.get("id", "")
    seen = await visit.use(Scope.READ, lambda memory: look(memory, id))
    record = seen.record
    with kit.box("page"):
        kit.show(
            tag("a", icon("back", 17), "Back", href=visit.url("/search"), class_="btn plain small", data_back=True),
            classes="backward",
        )
        with kit.box("columns"):
            with kit.box("stack"):
                with kit.box("card memory", "article"):
                    kit.show(
                        tag("div", pieces.kind(record.kind), pieces.state(record), class_="flow"),
                        tag("h1", "Memory", class_="sr"),
                        classes="apart",
                    )
                    said = kit.show(pieces.text(record), name="blockquote", classes="statement")
                    form = ui.element("div").classes("editor")
                    kit.show(pieces.meta(record, visit.url, link=False, named=False))
                    _actions(visit, seen, said, form)
                if record.sources:
                    kit.show(
                        tag("h2", "Rests on"),
                        [_quote(each, visit, turn=True) for each in seen.sources]
                        or tag("p", "Its sources are gone.", class_="muted"),
                        name="section",
                        classes="card",
                    )
                if len(seen.versions) > 1:
                    kit.show(
                        tag("h2", "History"), history(seen.versions, record.id, visit), name="section", classes="card"
                    )
                if seen.citing:
                    kit.show(
                        tag("h2", f"What rests on it ({len(seen.citing)})"),
                        [_quote(each, visit) for each in seen.citing],
                        name="section",
                        classes="card",
                    )
            kit.show(_about(seen, visit), classes="stack")


def _actions(visit: Visit, seen: Seen, said: ui.html, form: Element) -> None:
    """What can be done with the memory. ``form`` takes the place of what it says while that is revised."""
    record = seen.record
    current = record.superseded_by is None
    writes, forgets = visit.may(Scope.WRITE) and current, visit.may(Scope.FORGET)
    form.set_visibility(False)
    with kit.box("memory-actions"):
        if record.session or record.sources:
            where = visit.url("/session", turn=record.sources[0] if record.sources else record.id)
            kit.show(kit.link("See it in its conversation", where, kind="small", symbol="sessions"))
        kit.show(kit.link("Graph", visit.url("/graph", id=record.id), kind="small", symbol="graph"))
        if writes:
            edit = kit.button("Revise", kind="small", symbol="edit")
        if forgets:
            kit.show(kit.link("Forget", visit.url("/forget", id=record.id), kind="small warn", symbol="forget"))
    if not writes:
        return
    with form:
        text = kit.area("New text", value=record.text, rows=2)
        with kit.box("flow"):
            how = kit.choice(
                "What happened",
                {"wrong": "It was wrong: it never was so", "changed": "The world changed: it was so until then"},
                "wrong",
            )
            with kit.box("labelled") as dated:
                when = kit.field("Changed on", kind="date", value=visit.service.config.clock().date().isoformat())
            dated.bind_visibility_from(how, "value", value="changed")
        with kit.box("flow"):

            async def save() -> None:
                at = when.value or None if how.value == "changed" else None
                done = await visit.use(Scope.WRITE, lambda memory: memory.revise(record.id, text.value or "", at=at))
                visit.tell("Revised. The old version stays in the history.")
                ui.navigate.to(visit.url("/memory", id=done.ids[0]))

            kit.button("Save the new version", visit.doing(save), kind="primary")
            cancel = kit.button("Cancel", kind="plain")

    def turn(on: bool) -> None:
        form.set_visibility(on)
        said.set_visibility(not on)
        edit.set_visibility(not on)

    edit.on("click", lambda: turn(True), args=[])
    cancel.on("click", lambda: turn(False), args=[])


def _quote(record: Record, visit: Visit, *, turn: bool = False) -> Markup:
    href = visit.url("/session", turn=record.id) if turn else visit.url("/memory", id=record.id)
    return tag(
        "div",
        tag("a", pieces.text(record), href=href, class_="hit-text"),
        pieces.meta(record, visit.url),
        pieces.state(record),
        class_="quoted",
    )


def history(versions: list[Record], id: str, visit: Visit) -> Markup:
    """Every version, the newest first, with what changed in it."""
    rows = []
    for place in reversed(range(len(versions))):
        version, before = versions[place], versions[place - 1] if place else None
        text = render.visible(version.text)
        shown = changes(render.visible(before.text), text) if before else pieces.quoted(version.text)
        rows.append(
            tag(
                "li",
                tag(
                    "div",
                    tag("b", f"Version {place + 1}"),
                    tag("span", f"true {words.span(version.valid)}"),
                    tag("span", f"learnt {words.stamp(version.recorded)}") if version.recorded else None,
                    tag("span", "shown above", class_="chip good")
                    if version.id == id
                    else tag("a", "open", href=visit.url("/memory", id=version.id)),
                    class_="meta",
                ),
                tag("div", shown, class_="said"),
                class_="current" if version.superseded_by is None else None,
            )
        )
    return tag("ol", rows, class_="versions")


def changes(old: str, new: str) -> Markup:
    """The new text with what went struck out and what came marked."""
    names = {"removed": "del", "added": "ins"}
    return join(tag(names[change], text) if change in names else text for change, text in diff.words(old, new))


def _about(seen: Seen, visit: Visit) -> Markup:
    record = seen.record
    rows: list[tuple[str, Markup | str]] = [
        ("True", words.span(record.valid)),
        ("Said", words.stamp(record.at)),
        ("Learnt", words.stamp(record.recorded)),
    ]
    if record.speaker:
        rows.append(
            (
                "Speaker" if record.role is None else "Speaker, role",
                ", ".join(filter(None, (render.name(record.speaker), record.role))),
            )
        )
    if record.session:
        rows.append(("Conversation", tag("a", render.name(record.session), href=visit.url("/session", turn=record.id))))
    for name in ("subject", "relation", "value", "certainty"):
        if name in record.fields:
            rows.append(
                (name.capitalize(), words.short(render.visible(str(record.fields[name])).replace("_", " "), 80))
            )
    if record.version > 1:
        rows.append(("Version", str(record.version)))
    rows.append(
        (
            "Recalled",
            f"{words.count(seen.used.count, 'time')}, last {words.day(seen.used.last)}"
            if seen.used
            else "not yet counted",
        )
    )
    rows += [
        (f"{render.name(str(key))[:24]}", words.short(render.visible(str(value)), 80))
        for key, value in list(record.meta.items())[:6]
        if key not in ("recalled", "citations")
    ]
    copy = tag(
        "button",
        icon("copy", 16),
        type="button",
        class_="tool",
        title="Copy the id",
        aria_label="Copy the id",
        data_copy=record.id,
    )
    return tag(
        "section",
        tag("h2", "About"),
        tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in rows], class_="facts"),
        tag("div", tag("code", record.id), copy, class_="identity"),
        class_="card",
    )
