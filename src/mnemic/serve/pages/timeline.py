"""The timeline of a space: what was true when, and what took its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mnemic.serve.pages import kit, lanes, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.lanes import Bar, Lane, Subject
from mnemic.serve.pages.markup import Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Record
from mnemic.text.steps import render

MOST = 3000
"""Facts that are read for the page."""
SUBJECTS = 8
"""Subjects shown at once; the others by name."""
LANES = 24
"""Lanes shown of a subject."""
ROWS = 8
"""Rows shown of a lane."""
BINS = 96
KINDS = (Kind.FACT, Kind.PREFERENCE, Kind.EVENT, Kind.PROFILE, Kind.SUMMARY)


@dataclass(frozen=True)
class Times:
    """What the page needs of a space."""

    facts: list[Record]
    sessions: list[datetime]
    start: datetime
    end: datetime
    more: bool


def load(memory: Memory) -> Times:
    """The dated facts, in every version, and the stretch of time that the conversations span."""
    facts: list[Record] = []
    cursor: str | None = None
    while True:
        page, cursor = memory.space.scan(Filter(kinds=KINDS), cursor)
        facts += page
        if cursor is None or len(facts) >= MOST:
            break
    sessions = [at for _, at in memory.space.sessions() if at is not None]
    now = memory.clock()
    said = [at for at in (*sessions, *(fact.at for fact in facts)) if at is not None and at <= now]
    start = min(said, default=now - timedelta(days=30))
    start = min(start, now - timedelta(days=7)) - (now - start) / 40
    return Times(facts[:MOST], sessions, start, now, cursor is not None)


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    times = await visit.use(Scope.READ, load)
    found = lanes.subjects(times.facts, times.start, times.end)
    chosen = query.get("subject", "")
    shown = [each for each in found if each.name == chosen] if chosen else found[:SUBJECTS]
    with kit.box("page"):
        with kit.heading(
            "Timeline", "What was true when, as the conversations tell it. A newer value ends the one before."
        ):
            if shown:
                kit.show(_zooming(), classes="flow")
        if not found:
            kit.empty(
                "timeline",
                "No dated facts yet",
                "Facts are found in what was said when the memory reflects. Nothing leaves this machine for it.",
                kit.link("Let it reflect", visit.url("/health"), kind="primary", symbol="spark"),
            )
            return
        kit.show(_people(found, chosen, visit), name="nav", classes="flow people", aria_label="Subjects")
        kit.show(chart(shown, times, visit), name="section", classes="card tl-card", aria_label="Timeline")
        if changed := _changed(shown, visit):
            kit.show(tag("h2", "What changed"), changed, name="section", classes="card")
        if times.more:
            kit.show(kit.notice(f"Only the first {MOST:,} facts are shown.", "warn"))


def _zooming() -> Markup:
    buttons = (("minus", "Show a longer time", "out"), ("plus", "Show more detail", "in"))
    return join(
        tag(
            "button",
            icon(symbol, 18),
            type="button",
            class_="btn round",
            title=label,
            aria_label=label,
            data_stretch=way,
        )
        for symbol, label, way in buttons
    )


def _people(found: list[Subject], chosen: str, visit: Visit) -> Markup:
    everybody = tag(
        "a", "Everybody", href=visit.url("/timeline"), class_="chip", aria_current="true" if not chosen else None
    )
    others = [
        tag(
            "a",
            tag("span", render.name(each.name)),
            tag("span", str(each.count), class_="muted num"),
            href=visit.url("/timeline", subject=each.name),
            class_="chip",
            aria_current="true" if each.name == chosen else None,
        )
        for each in found[:40]
    ]
    return join([everybody, *others])


def chart(shown: list[Subject], times: Times, visit: Visit) -> Markup:
    """Axis, conversations and the lanes of every subject, in one grid that scrolls sideways when it is zoomed."""
    marks = lanes.ticks(times.start, times.end)

    def at(moment: datetime) -> str:
        return f"{lanes.place(moment, times.start, times.end):.3f}%"

    axis = [
        tag(
            "span",
            tick.label,
            class_=f"tick z{tick.zoom}{' strong' if tick.strong else ''}",
            style=f"left:{at(tick.at)}",
        )
        for tick in marks
        if lanes.place(tick.at, times.start, times.end) < 93  # there stands "now"
    ]
    grid = [
        tag("i", class_=f"line z{tick.zoom}{' strong' if tick.strong else ''}", style=f"left:{at(tick.at)}")
        for tick in marks
    ]
    counts = lanes.histogram(times.sessions, times.start, times.end, BINS)
    most = max(*counts, 3)
    talk = [
        tag(
            "i",
            style=f"left:{100 * place / BINS:.2f}%;width:{100 / BINS:.2f}%;height:{8 + 22 * count / most:.0f}px",
            title=words.count(count, "conversation"),
        )
        for place, count in enumerate(counts)
        if count
    ]
    return tag(
        "div",
        tag(
            "div",
            tag(
                "div",
                tag("div", class_="tl-label"),
                tag("div", axis, tag("span", "now", class_="tick now"), class_="tl-track"),
                class_="tl-row tl-axis",
            ),
            tag(
                "div",
                tag("div", "conversations", class_="tl-label"),
                tag("div", talk, class_="tl-track tl-talk"),
                class_="tl-row",
            ),
            [_subject(each, times, visit) for each in shown],
            tag("div", grid, class_="tl-grid", aria_hidden="true"),
            class_="tl-inner",
        ),
        class_="tl",
        data_zoom=1,
        tabindex=0,
    )


def _subject(subject: Subject, times: Times, visit: Visit) -> Markup:
    rest = len(subject.lanes) - LANES
    return tag(
        "section",
        tag("h2", tag("span", render.name(subject.name)), class_="tl-subject"),
        [_lane(lane, times, visit) for lane in subject.lanes[:LANES]],
        tag("p", f"and {rest} more", class_="small muted tl-subject") if rest > 0 else None,
    )


def _lane(lane: Lane, times: Times, visit: Visit) -> Markup:
    rows = min(lane.rows, ROWS)
    hidden = sum(bar.row >= ROWS for bar in lane.bars)
    return tag(
        "div",
        tag(
            "div",
            render.name(lane.name),
            tag("span", f" +{hidden}", class_="muted", title=f"{hidden} more are not shown") if hidden else None,
            class_="tl-label",
        ),
        tag(
            "div",
            [_mark(bar, times, visit) for bar in lane.bars if bar.row < ROWS],
            class_="tl-track",
            style=f"--rows:{rows}",
        ),
        class_="tl-row",
    )


def _mark(bar: Bar, times: Times, visit: Visit) -> Markup:
    """A bar, or a dot with its label; leads to the memory."""
    left = lanes.place(bar.start, times.start, times.end)
    label = render.name(bar.label)
    when = f"on {words.day(bar.start)}" if bar.moment else words.span(bar.record.valid)
    told = f"{render.name(bar.record.text)} ({when}{'' if bar.current else ', then replaced'})"
    if bar.moment:
        look = f"moment{' flip' if bar.flip else ''}"
        style = f"left:max({left:.3f}%, 8px)"
    else:
        right = lanes.place(bar.end, times.start, times.end) if bar.end else 100.0
        look = f"bar{' past' if bar.end else ' open'}{' before' if bar.start < times.start else ''}"
        style = f"left:{left:.3f}%;width:{max(right - left, 0.4):.3f}%"
    return tag(
        "a",
        tag("span", label),
        href=visit.url("/memory", id=bar.record.id),
        class_=f"{look} k-{bar.record.kind}{'' if bar.current else ' replaced'}",
        style=f"{style};--row:{bar.row}",
        title=told,
        aria_label=told,
    )


def _changed(shown: list[Subject], visit: Visit) -> Markup | None:
    """Every value that took the place of another, the latest first."""
    bars = {bar.record.id: bar for subject in shown for lane in subject.lanes for bar in lane.bars}
    rows = []
    for bar in sorted(bars.values(), key=lambda bar: bar.start.timestamp(), reverse=True):
        old = bars.get(bar.record.supersedes or "")
        if old is None:
            continue
        subject = str(bar.record.fields.get("subject") or bar.record.speaker or "")
        rows.append(
            tag(
                "li",
                tag("span", words.day(bar.start), class_="muted nowrap num"),
                tag("span", tag("b", render.name(subject)), " ", lanes.lane_of(bar.record), class_="nowrap"),
                tag(
                    "span",
                    tag("a", render.name(old.label), href=visit.url("/memory", id=old.record.id), class_="was"),
                    icon("arrow", 16),
                    tag("a", render.name(bar.label), href=visit.url("/memory", id=bar.record.id), class_="is"),
                    class_="flow",
                ),
            )
        )
    return tag("ul", rows[:50], class_="changed") if rows else None
