"""The graph of a space: what cites what, what took the place of what, and what the system linked."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nicegui import ui
from nicegui.events import GenericEventArguments

from mnemic.serve.pages import kit, layout, pieces, words
from mnemic.serve.pages.drawing import ABOUT, HUBS, MOST, STEP, WITHIN, Drawing, Node
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope

_LINKS = {"cites": "rests on", "supersedes": "took the place of", "about": "is about", "in": "was said in"}


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
    elif node.look == "hub":
        href = visit.url("/graph", id=node.id)
    else:
        href = visit.url("/memory", id=node.id)
    holder = node.look in HUBS
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
