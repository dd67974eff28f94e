"""The icons of the pages: strokes on a grid of 24, in the colour of the text around them."""

from __future__ import annotations

from mnemic.serve.pages.markup import Markup, tag

_PATHS = {
    "chat": "M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 "
    "4v-4A2.5 2.5 0 0 1 4 13.5z",
    "search": "M10.5 17.5a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20.5 20.5l-5-5",
    "timeline": "M3.5 7h9M8.5 12h10M12.5 17h8M3.5 3.5v17",
    "graph": "M6 8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM18 11.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 "
    "5zM9 20.5a2.5 2.5 0 1 0 "
    "0-5 2.5 2.5 0 0 0 0 5zM8.4 6.6l7.2 1.8M6.4 8.5l2 7M16.4 11l-5.6 5.2",
    "import": "M12 3.5v11M7.5 10.5L12 15l4.5-4.5M4 15v3.5A2 2 0 0 0 6 20.5h12a2 2 0 0 0 2-2V15",
    "export": "M12 15V4M7.5 8L12 3.5 16.5 8M4 15v3.5A2 2 0 0 0 6 20.5h12a2 2 0 0 0 2-2V15",
    "forget": "M4.5 6.5h15M9 6.5V4.5h6v2M6.5 6.5l.8 12a2 2 0 0 0 2 1.9h5.4a2 2 0 0 0 2-1.9l.8-12M10 10.5v6M14 10.5v6",
    "health": "M3 12.5h4l2.5-7 4.5 13 2.5-6H21",
    "sessions": "M4 5.5h16M4 12h16M4 18.5h10",
    "sun": "M12 16.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM12 2v2M12 20v2M4.2 4.2l1.4 1.4M18.4 "
    "18.4l1.4 1.4M2 12h2M20 12h2"
    "M4.2 19.8l1.4-1.4M18.4 5.6l1.4-1.4",
    "moon": "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
    "system": "M4 5h16v11H4zM9 20h6M12 16v4",
    "keys": "M3.5 7.5A1.5 1.5 0 0 1 5 6h14a1.5 1.5 0 0 1 1.5 1.5v9A1.5 1.5 0 0 1 19 18H5a1.5 1.5 0 0 1-1.5-1.5z"
    "M7 10h.01M10.3 10h.01M13.7 10h.01M17 10h.01M8 14.5h8",
    "leave": "M9.5 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h3.5M15 8l4.5 4-4.5 4M19 12H9.5",
    "more": "M5 12h.01M12 12h.01M19 12h.01",
    "close": "M6 6l12 12M18 6L6 18",
    "check": "M5 12.5l4.5 4.5L19 7",
    "plus": "M12 5v14M5 12h14",
    "minus": "M5 12h14",
    "down": "M6 9.5l6 6 6-6",
    "right": "M9.5 6l6 6-6 6",
    "back": "M19 12H5M11 6l-6 6 6 6",
    "arrow": "M5 12h14M13 6l6 6-6 6",
    "send": "M12 19.5V5M6 11l6-6 6 6",
    "edit": "M4.5 19.5l1-4.5L16 4.5 19.5 8 9 18.5zM13.5 7l3.5 3.5",
    "history": "M4 12a8 8 0 1 0 2.4-5.7L4 8.5M4 4v4.5h4.5M12 8v4.5l3 2",
    "link": "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1",
    "filter": "M4 6h16M7 12h10M10 18h4",
    "quote": "M9.5 7C6.5 7.5 5 9.5 5 13v4h5v-5H7.5M18.5 7c-3 .5-4.5 2.5-4.5 6v4h5v-5h-2.5",
    "spark": "M12 3.5l1.9 5.6 5.6 1.9-5.6 1.9L12 18.5l-1.9-5.6L4.5 11l5.6-1.9zM19 17v4M17 19h4",
    "clock": "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7.5V12l3 2",
    "person": "M12 11.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5c.8-4 3.7-6 7.5-6s6.7 2 7.5 6",
    "space": "M12 3.5l8 4-8 4-8-4zM4 12l8 4 8-4M4 16.5l8 4 8-4",
    "file": "M6.5 3.5h7l4.5 4.5v12.5h-11.5zM13.5 3.5V8H18",
    "alert": "M12 4L2.8 19.5h18.4zM12 10v4.5M12 17h.01",
    "lock": "M6 11h12v9.5H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
    "fit": "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
    "retry": "M20 12a8 8 0 1 1-2.4-5.7L20 8.5M20 4v4.5h-4.5",
    "eye": "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
    "erase": "M8.5 20h11M14 5.5l5 5-8.5 8.5h-3L4 15.5zM9.5 10l5 5",
    "copy": "M9 9h10.5v10.5H9zM5.5 15h-1V4.5H15v1",
}


def icon(name: str, size: int = 20) -> Markup:
    """The icon ``name``; whoever shows it says in words what it is for, so it is hidden from screen readers."""
    return tag(
        "svg",
        tag("path", d=_PATHS[name]),
        class_="icon",
        width=size,
        height=size,
        viewBox="0 0 24 24",
        fill="none",
        stroke="currentColor",
        stroke_width=1.7,
        stroke_linecap="round",
        stroke_linejoin="round",
        aria_hidden="true",
    )


def logo(size: int = 28) -> Markup:
    """Two arches that make an m: what was said, and what is remembered of it."""
    return tag(
        "svg",
        tag("rect", x=0, y=0, width=32, height=32, rx=9, fill="var(--accent)"),
        tag(
            "path",
            d="M8 23v-7.5a4 4 0 0 1 8 0V23M16 15.5a4 4 0 0 1 8 0V23",
            fill="none",
            stroke="var(--on-accent)",
            stroke_width=2.6,
            stroke_linecap="round",
        ),
        tag("circle", cx=16, cy=7.6, r=1.9, fill="var(--marker)"),
        width=size,
        height=size,
        viewBox="0 0 32 32",
        aria_hidden="true",
    )
