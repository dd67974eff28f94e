"""Conversations: which there are, and one of them with the turn that was looked for in the middle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from nicegui import ui

from mnemic.errors import NotFoundError
from mnemic.serve.pages import kit, pieces, words
from mnemic.serve.pages.exchange import PREFIX
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Markup, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Record, State
from mnemic.text.steps import render

PAGE = 30
"""Conversations on one page of the list."""
AROUND = 60
"""Turns shown before and after the one that was looked for."""
FIRST = 2 * AROUND
MOST = 20_000
"""Turns of one conversation that are looked through for its place."""


@dataclass(frozen=True)
class Listed:
    """A conversation in the list: what it begins with."""

    name: str
    at: datetime | None
    first: Record | None


async def listing(visit: Visit, query: Mapping[str, str]) -> None:
    """All conversations, the latest first."""
    asked = query.get("page", "1")
    page = max(1, int(asked)) if asked.isdecimal() and len(asked) < 7 else 1
    found, count = await visit.use(Scope.READ, lambda memory: _listed(memory, page))
    with kit.box("page narrow"):
        kit.head("Conversations", f"{words.count(count, 'conversation')}, the latest first." if count else None)
        if not count:
            kit.empty(
                "sessions",
                "No conversation yet",
                "What is said in a chat, or imported from a file, appears here.",
                kit.link("Import a file", visit.url("/import"), kind="primary", symbol="import"),
            )
            return
        kit.show([_row(each, visit) for each in found], name="ol", classes="list")
        before = (
            tag("a", icon("back", 17), "Later", href=visit.url("/sessions", page=page - 1), class_="btn small")
            if page > 1
            else tag("span")
        )
        after = (
            tag("a", "Earlier", icon("arrow", 17), href=visit.url("/sessions", page=page + 1), class_="btn small")
            if page * PAGE < count
            else None
        )
        if page > 1 or after:
            kit.show(
                before,
                tag("span", f"Page {page} of {-(-count // PAGE)}", class_="small muted"),
                after,
                classes="apart pager",
            )


def _listed(memory: Memory, page: int) -> tuple[list[Listed], int]:
    sessions = memory.space.sessions()
    latest = sessions[::-1][(page - 1) * PAGE : page * PAGE]
    found = []
    for name, at in latest:
        first, _ = memory.scan(Filter(kinds=[Kind.TURN], sessions=[name], archived=True), limit=1)
        found.append(Listed(name, at, first[0] if first else None))
    return found, len(sessions)


def _row(each: Listed, visit: Visit) -> Markup:
    chat = each.name.startswith(PREFIX)
    first = each.first
    speaker = tag("b", f"{render.name(first.speaker)}: ") if first and first.speaker else None
    return tag(
        "li",
        tag(
            "a",
            tag("span", icon("chat" if chat else "quote", 19), class_="list-icon"),
            tag(
                "span",
                tag("span", words.weekday(first.at if first else each.at), class_="list-title"),
                tag(
                    "span",
                    speaker,
                    words.short(render.shown(first), 120) if first else "Nothing is left of it.",
                    class_="list-text",
                ),
            ),
            tag("span", "Chat" if chat else render.name(each.name), class_="small muted nowrap"),
            href=visit.url("/chat", session=each.name) if chat else visit.url("/session", id=each.name),
        ),
    )


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    """One conversation. ``turn`` is lit up and in sight; without it, the conversation begins at its beginning."""
    wanted = query.get("turn", "")
    name, turns, start, count = await visit.use(
        Scope.READ, lambda memory: _window(memory, query.get("id", ""), wanted, query.get("from", ""))
    )
    with kit.box("page narrow"):
        dated = [turn.at for turn in turns if turn.at]
        with kit.heading(
            words.weekday(dated[0]) if dated else render.name(name),
            f"Conversation {render.name(name)} · {words.count(count, 'turn')}",
        ):
            if name.startswith(PREFIX):
                kit.show(kit.link("Go on with this chat", visit.url("/chat", session=name), symbol="chat"))
        earlier = visit.url("/session", id=name, **{"from": str(max(0, start - FIRST))}) if start > 0 else None
        later = (
            visit.url("/session", id=name, **{"from": str(start + len(turns))}) if start + len(turns) < count else None
        )
        if earlier:
            kit.show(tag("a", "Earlier turns", href=earlier, class_="btn small"), classes="center pager")
        kit.show(transcript(turns, visit, wanted), name="ol", classes="transcript")
        if later:
            kit.show(tag("a", "Later turns", href=later, class_="btn small"), classes="center pager")
    if any(turn.id == wanted for turn in turns):
        ui.run_javascript("mnemic.reveal('here')")


def _window(memory: Memory, name: str, wanted: str, start: str) -> tuple[str, list[Record], int, int]:
    """The conversation, the turns to show of it, where they begin, and how many it has."""
    if wanted and not name:
        found = memory.get(wanted)
        if not found or found[0].state == State.FORGOTTEN:
            raise NotFoundError("this turn is no longer there: it was forgotten, or erased")
        if found[0].session is None:
            return "no session", found, 0, 1
        name = found[0].session
    turns: list[Record] = []
    cursor: str | None = None
    while len(turns) < MOST:
        page, cursor = memory.scan(Filter(kinds=[Kind.TURN], sessions=[name], archived=True), cursor=cursor)
        turns += page
        if cursor is None:
            break
    turns.sort(key=lambda turn: (turn.position, turn.version))
    if wanted:  # a version that is no longer current stands in its place
        turns += [turn for turn in memory.get(wanted) if turn.id not in {each.id for each in turns}]
        turns.sort(key=lambda turn: (turn.position, turn.version))
    if not turns:
        raise NotFoundError(f"there is no conversation {name!r} here")
    place = next((at for at, turn in enumerate(turns) if turn.id == wanted), None)
    begin = (
        max(0, place - AROUND)
        if place is not None
        else min(int(start), len(turns) - 1)
        if start.isdecimal() and len(start) < 9
        else 0
    )
    return name, turns[begin : begin + FIRST + 1], begin, len(turns)


def transcript(turns: list[Record], visit: Visit, wanted: str) -> list[Markup]:
    """The turns as bubbles: one side for each of two speakers, one day after the other."""
    sides: dict[str | None, int] = {}
    rows: list[Markup] = []
    for day, said in groupby(turns, key=lambda turn: turn.at.date() if turn.at else None):
        group = list(said)
        if day is not None and (rows or (turns[-1].at and turns[-1].at.date() != day)):
            rows.append(tag("li", tag("span", words.weekday(group[0].at)), class_="day"))
        for speaker, block in groupby(group, key=lambda turn: turn.speaker):
            side = sides.setdefault(speaker, len(sides) % 2)
            rows += [
                _bubble(turn, visit, side, first=place == 0, here=turn.id == wanted) for place, turn in enumerate(block)
            ]
    return rows


def _bubble(turn: Record, visit: Visit, side: int, *, first: bool, here: bool) -> Markup:
    old = turn.state == State.SUPERSEDED
    return tag(
        "li",
        tag("div", render.name(turn.speaker or turn.role or "somebody"), class_="by") if first else None,
        tag(
            "a",
            pieces.text(turn),
            tag("span", "no longer current · " if old else None, words.clock(turn.at), class_="at"),
            href=visit.url("/memory", id=turn.id),
            class_="bubble",
        ),
        class_=f"turn side-{side}{' here' if here else ''}{' old' if old else ''}{' first' if first else ''}",
        id="here" if here else None,
        aria_current="true" if here else None,
    )
