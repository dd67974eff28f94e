"""The graph of a space: what cites what, what took the place of what, and what the system linked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nicegui import ui
from nicegui.events import GenericEventArguments

from mnemic.errors import NotFoundError
from mnemic.serve.pages import kit, layout, pieces, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Record, State
from mnemic.text.steps import render

MOST = 80
"""Nodes that are drawn at once."""
BEGIN = 14
"""Derived memories that an overview begins with."""
STEP = 14
"""Nodes that an expansion adds at most."""
LABELLED = 26
"""Up to this many nodes every turn shows its words; in larger drawings it is a dot until looked at."""
ABOUT, WITHIN = "subject:", "session:"
"""Prefixes of the nodes that are no memories: whom facts are about, and conversations."""
_LINKS = {"cites": "rests on", "supersedes": "took the place of", "about": "is about", "in": "was said in"}


@dataclass(frozen=True, slots=True)
class Node:
    """A memory, or what holds several together. ``more`` is how many neighbours are not drawn."""

    id: str
    look: str
    label: str
    told: str
    more: int = 0

    @property
    def box(self) -> layout.Point:
        """Width and height."""
        if not self.label:
            return (28.0, 28.0)
        if self.look in ("subject", "session"):
            return (max(58.0, 8.4 * len(self.label) + 30), 38.0)
        return (7.0 * len(self.label) + 42, 34.0)


@dataclass
class Drawing:
    """What is drawn so far. It only grows: what is placed stays in its place."""

    focus: str = ""
    opened: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], float] = field(default_factory=dict)
    places: dict[str, layout.Point] = field(default_factory=dict)
    full: bool = False

    def begin(self, memory: Memory, focus: str) -> None:
        """Around ``focus``; without it, around what was derived last."""
        self.focus = focus
        if focus.startswith((ABOUT, WITHIN)):
            self.open(memory, focus)
            return
        if focus:
            found = _shown(memory.get(focus))
            if not found:
                raise NotFoundError("this memory is not there: it was never stored here, or it was forgotten")
            self._add(memory, found)
            self.open(memory, focus)
            return
        derived, _ = memory.scan(Filter(kinds=[kind for kind in Kind if kind != Kind.TURN]))
        first = sorted(
            derived,
            key=lambda record: (record.valid.end is None, record.at is not None, record.at and record.at.timestamp()),
        )[-BEGIN:]
        self._add(memory, first)
        for record in first:
            self._add(memory, _shown(memory.get(record.sources[:2])))
            if record.supersedes:
                self._add(memory, _shown(memory.get(record.supersedes)))
        self._settle(memory)

    def open(self, memory: Memory, id: str) -> None:
        """Add the neighbours of a node."""
        if id not in self.opened:
            self.opened.append(id)
        self._add(memory, _beside(memory, id)[:STEP])
        self._settle(memory)

    def _add(self, memory: Memory, records: Iterable[Record]) -> None:
        for record in records:
            if record.id in self.records:
                continue
            if len(self.records) >= MOST - 12:  # room for what holds them together
                self.full = True
                return
            self.records[record.id] = record

    def _settle(self, memory: Memory) -> None:
        """The nodes and edges of what is known, and places for what has none yet."""
        self.edges = {}
        ids = list(self.records)
        for link in memory.space.neighbours(ids):
            if link.source in self.records and link.target in self.records:
                self.edges[link.source, link.target, link.kind] = link.weight
        holding: dict[str, str] = {}
        for record in self.records.values():
            if record.supersedes in self.records:
                self.edges[record.id, record.supersedes or "", "supersedes"] = 1.0
        held: dict[str, list[str]] = {}
        for record in self.records.values():
            if holder := _holder(record):
                held.setdefault(holder, []).append(record.id)
        for holder, ids in held.items():
            if holder.startswith(ABOUT) or len(ids) > 1 or self.focus in (holder, *ids):  # it holds something together
                holding[holder] = holder.partition(":")[2]
                self.edges |= {(id, holder, "about" if holder.startswith(ABOUT) else "in"): 1.0 for id in ids}
        crowded = len(self.records) > LABELLED
        self.nodes = {
            id: _node(record, self._hidden(memory, id), crowded and id != self.focus)
            for id, record in self.records.items()
        }
        for id, name in holding.items():
            look = "subject" if id.startswith(ABOUT) else "session"
            more = self._hidden(memory, id)
            self.nodes[id] = Node(
                id, look, words.short(render.name(name), 22) or "?", f"{look.capitalize()} {render.name(name)}", more
            )
        boxes = {id: node.box for id, node in self.nodes.items()}
        self.places = layout.settle(boxes, [(a, b) for a, b, _ in self.edges], self.places)

    def _hidden(self, memory: Memory, id: str) -> int:
        return sum(record.id not in self.records for record in _beside(memory, id))


def _beside(memory: Memory, id: str) -> list[Record]:
    """What a node is linked to."""
    if id.startswith(ABOUT):
        subject = id[len(ABOUT) :]
        page, _ = memory.scan(Filter(kinds=[Kind.FACT, Kind.PREFERENCE, Kind.EVENT]))
        return [record for record in page if str(record.fields.get("subject") or "") == subject]
    if id.startswith(WITHIN):
        page, _ = memory.scan(Filter(kinds=[Kind.TURN], sessions=[id[len(WITHIN) :]]), limit=2 * STEP)
        return page
    found = memory.get(id)
    if not found:
        return []
    ends = {end for link in memory.space.neighbours([id]) for end in (link.source, link.target)}
    ends |= {end for end in (found[0].supersedes, found[0].superseded_by) if end}
    return _shown(memory.get(sorted(ends - {id})))


def _holder(record: Record) -> str | None:
    """The node that a memory hangs on: whom a fact is about, in which conversation a turn was said."""
    if subject := record.fields.get("subject"):
        return f"{ABOUT}{subject}"
    return f"{WITHIN}{record.session}" if record.kind == Kind.TURN and record.session else None


def _shown(records: list[Record]) -> list[Record]:
    return [record for record in records if record.state != State.FORGOTTEN]


def _node(record: Record, more: int, small: bool) -> Node:
    text = render.shown(record)
    look = (
        f"k-{record.kind}"
        if str(record.kind) in ("turn", "fact", "preference", "event", "summary", "note")
        else "k-other"
    )
    label = "" if small and record.kind == Kind.TURN else words.short(text, 26)
    if record.state != State.ACTIVE:
        look += " old"
    said = (
        f"{render.name(record.speaker)}, {words.day(record.at)}: "
        if record.speaker and record.kind == Kind.TURN
        else ""
    )
    return Node(record.id, look, label, f"{said}{words.short(text, 220)}", more)


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    drawing = Drawing()
    await visit.use(Scope.READ, lambda memory: drawing.begin(memory, query.get("id", "")))
    with kit.box("page"):
        with kit.heading(
            "Graph",
            "Facts, the turns they rest on, and what took the place of what. Open a node, or press + to see more.",
        ):
            if drawing.nodes:
                kit.show(_zooming(), classes="flow")
        if not drawing.nodes:
            kit.empty(
                "graph",
                "Nothing is linked yet",
                "Links appear when the memory reflects: facts are found, and tied to the turns they were read from.",
                kit.link("Let it reflect", visit.url("/health"), kind="primary", symbol="spark"),
            )
            return
        if drawing.focus:
            kit.show(
                tag("a", icon("back", 16), "Whole graph", href=visit.url("/graph"), class_="chip"),
                classes="flow people",
            )
        with kit.box("card board", data_board="1", data_key=drawing.focus or "all"):
            board = kit.show(picture(drawing, visit))
        told = kit.show(legend(drawing))

        async def opened(event: GenericEventArguments) -> None:
            await visit.use(Scope.READ, lambda memory: drawing.open(memory, str(event.args)))
            kit.fill(board, picture(drawing, visit))
            kit.fill(told, legend(drawing))
            ui.run_javascript(f"mnemic.focus('node', {json.dumps(str(event.args))})")
            if drawing.full:
                visit.tell(f"The drawing holds its {MOST} nodes: open one of them to go on from there.")

        board.on(
            "click",
            visit.doing(opened),
            js_handler="(e) => { const more = e.target.closest('[data-expand]');"
            " if (more) { e.preventDefault(); e.stopPropagation(); emit(more.dataset.expand) } }",
        )


def _zooming() -> Markup:
    buttons = (("minus", "Smaller", "out"), ("fit", "Everything", "fit"), ("plus", "Larger", "in"))
    return join(
        tag("button", icon(symbol, 18), type="button", class_="btn round", title=label, aria_label=label, data_zoom=way)
        for symbol, label, way in buttons
    )


def picture(drawing: Drawing, visit: Visit) -> Markup:
    """The drawing as SVG."""
    left = min(x - drawing.nodes[id].box[0] / 2 for id, (x, _) in drawing.places.items()) - 30
    right = max(x + drawing.nodes[id].box[0] / 2 for id, (x, _) in drawing.places.items()) + 30
    top = min(y for _, y in drawing.places.values()) - 50
    low = max(y for _, y in drawing.places.values()) + 50
    width, height = max(right - left, 820.0), max(low - top, 440.0)
    left, top = (left + right - width) / 2, (top + low - height) / 2
    return tag(
        "svg",
        tag("defs", _arrow("arrow", ""), _arrow("arrow-strong", "strong")),
        tag("g", [_edge(drawing, *ends) for ends in drawing.edges]),
        tag("g", [_drawn(node, drawing, visit) for node in drawing.nodes.values()]),
        class_="drawing",
        viewBox=f"{left:.0f} {top:.0f} {width:.0f} {height:.0f}",
        preserveAspectRatio="xMidYMid meet",
        role="group",
        aria_label=f"Graph of {len(drawing.nodes)} nodes and {len(drawing.edges)} links",
    )


def _arrow(id: str, look: str) -> Markup:
    return tag(
        "marker",
        tag("path", d="M0 0L8 4L0 8z", class_=f"arrow {look}".strip()),
        id=id,
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=7,
        markerHeight=7,
        orient="auto-start-reverse",
    )


def _edge(drawing: Drawing, source: str, target: str, kind: str) -> Markup:
    (x1, y1), (x2, y2) = drawing.places[source], drawing.places[target]
    x2, y2 = _border((x1, y1), (x2, y2), drawing.nodes[target])
    strong = kind == "supersedes"
    look = "supersedes" if strong else "cites" if kind == "cites" else "holds" if kind in ("about", "in") else "other"
    head = None if look == "holds" else f"url(#{'arrow-strong' if strong else 'arrow'})"
    return tag(
        "path",
        tag("title", _LINKS.get(kind, kind)),
        d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}",
        class_=f"edge {look}",
        marker_end=head,
    )


def _border(start: layout.Point, end: layout.Point, node: Node) -> layout.Point:
    """Where a line from ``start`` meets the box around ``end``."""
    dx, dy = start[0] - end[0], start[1] - end[1]
    half_width, half_height = node.box[0] / 2, node.box[1] / 2
    if not node.label:
        half_width = half_height = 11
    reach = min(half_width / abs(dx) if dx else 9e9, half_height / abs(dy) if dy else 9e9, 1.0)
    return end[0] + dx * reach, end[1] + dy * reach


def _drawn(node: Node, drawing: Drawing, visit: Visit) -> Markup:
    x, y = drawing.places[node.id]
    width, height = node.box
    if node.look == "subject":
        href = visit.url("/timeline", subject=node.id[len(ABOUT) :])
    elif node.look == "session":
        href = visit.url("/session", id=node.id[len(WITHIN) :])
    else:
        href = visit.url("/memory", id=node.id)
    holder = node.look in ("subject", "session")
    if node.label:
        shape = join(
            [
                tag(
                    "rect",
                    x=-width / 2,
                    y=-height / 2,
                    width=width,
                    height=height,
                    rx=height / 2 if node.look == "subject" else 10,
                ),
                None if holder else tag("circle", cx=-width / 2 + 17, cy=0, r=4),
                tag(
                    "text",
                    node.label,
                    x=0 if holder else -width / 2 + 29,
                    y=5,
                    text_anchor="middle" if holder else "start",
                ),
            ]
        )
        edge = width / 2
    else:
        shape = join(
            [
                tag("circle", r=8, class_="dot-node"),
                tag("text", words.short(node.told, 40), x=0, y=-16, text_anchor="middle", class_="aside"),
            ]
        )
        edge = 10.0
    more = (
        tag(
            "g",
            tag("circle", r=10),
            tag("path", d="M-4 0H4M0 -4V4"),
            tag("title", f"Show {words.count(min(node.more, STEP), 'neighbour')}"),
            class_="more",
            transform=f"translate({edge:.1f} {-min(height / 2, edge):.1f})",
            data_expand=node.id,
            tabindex=0,
            role="button",
            aria_label=f"Show {words.count(min(node.more, STEP), 'neighbour')} of {node.told[:60]}",
        )
        if node.more and not drawing.full
        else None
    )
    here = " here" if node.id == drawing.focus else ""
    return tag(
        "g",
        tag("a", tag("title", node.told), shape, href=href, aria_label=node.told, data_node=node.id),
        more,
        class_=f"node {node.look}{here}",
        transform=f"translate({x:.1f} {y:.1f})",
    )


def legend(drawing: Drawing) -> Markup:
    """What is drawn, in words."""
    kinds = dict.fromkeys(
        record.kind for record in sorted(drawing.records.values(), key=lambda record: str(record.kind))
    )
    links = dict.fromkeys(kind for _, _, kind in drawing.edges)
    look = {"cites": "cites", "supersedes": "supersedes", "about": "holds", "in": "holds"}
    return tag(
        "div",
        [pieces.kind(kind) for kind in kinds],
        [
            tag("span", tag("i", class_=f"stroke {look.get(kind, 'other')}"), _LINKS.get(kind, kind.replace("_", " ")))
            for kind in links
        ],
        tag("span", words.count(len(drawing.nodes), "node"), class_="num"),
        class_="meta graph-legend",
    )
