"""The colours of the pages, light and dark, and which of them stand on which."""

from __future__ import annotations

LIGHT = {
    "paper": "#f6f4ef",  # the page
    "surface": "#ffffff",  # cards
    "sunken": "#efece5",  # wells, bars' ground
    "hover": "#f1eee8",
    "line": "#e4e0d7",
    "border": "#8b8579",  # of fields: has to be seen
    "ink": "#1f1c17",
    "muted": "#605a4e",
    "accent": "#0c6b5b",
    "accent-soft": "#dcefe9",
    "on-accent": "#ffffff",
    "mark": "#fdedb8",
    "marker": "#ffe08a",
    "on-marker": "#3b2e00",
    "danger": "#b3261e",
    "danger-soft": "#fbe6e3",
    "on-danger": "#ffffff",
    "warn": "#855300",
    "warn-soft": "#fcefd2",
    "added": "#d3f0dc",
    "on-added": "#0b4a25",
    "removed": "#fbdcd8",
    "on-removed": "#7a1710",
    "words": "#2f6db5",
    "meaning": "#12806d",
    "people": "#7a50c7",
    "time": "#b26a00",
    "form": "#7d776a",
    "turn": "#605a4e",
    "fact": "#0c6b5b",
    "preference": "#6b3fbd",
    "event": "#8f5400",
    "summary": "#2359a3",
    "note": "#a02c5a",
    "other": "#605a4e",
}
DARK = {
    "paper": "#121210",
    "surface": "#1b1b18",
    "sunken": "#262521",
    "hover": "#24231f",
    "line": "#2f2e29",
    "border": "#7d786c",
    "ink": "#ece9e1",
    "muted": "#aca697",
    "accent": "#63cdb6",
    "accent-soft": "#153a33",
    "on-accent": "#04211b",
    "mark": "#51441a",
    "marker": "#f3cd62",
    "on-marker": "#2e2400",
    "danger": "#ff9086",
    "danger-soft": "#43201c",
    "on-danger": "#370a06",
    "warn": "#eab764",
    "warn-soft": "#3a2c10",
    "added": "#173d26",
    "on-added": "#a9eabf",
    "removed": "#4a1f1b",
    "on-removed": "#ffbfb8",
    "words": "#6ea8ea",
    "meaning": "#45bda5",
    "people": "#b394f2",
    "time": "#e2a443",
    "form": "#979181",
    "turn": "#aca697",
    "fact": "#63cdb6",
    "preference": "#bda2f7",
    "event": "#e2a443",
    "summary": "#86b5f1",
    "note": "#f08fb5",
    "other": "#aca697",
}
KINDS = ("turn", "fact", "preference", "event", "summary", "note", "other")
LEGS = ("words", "meaning", "people", "time", "form")

TEXT = 4.5
"""Contrast of text to its ground (WCAG 2.2, 1.4.3 AA)."""
SHAPE = 3.0
"""Contrast of what has to be seen and is no text: borders of fields, bars, dots (1.4.11 AA)."""
PAIRS: tuple[tuple[str, str, float], ...] = (
    *((text, ground, TEXT) for text in ("ink", "muted") for ground in ("paper", "surface", "sunken", "hover")),
    *((text, ground, TEXT) for text in ("accent", "danger") for ground in ("paper", "surface", "hover")),
    ("accent", "accent-soft", TEXT),
    ("ink", "accent-soft", TEXT),
    ("on-accent", "accent", TEXT),
    ("on-marker", "marker", TEXT),
    ("ink", "mark", TEXT),
    ("danger", "danger-soft", TEXT),
    ("ink", "danger-soft", TEXT),
    ("on-danger", "danger", TEXT),
    ("warn", "warn-soft", TEXT),
    ("warn", "surface", TEXT),
    ("ink", "warn-soft", TEXT),
    ("on-added", "added", TEXT),
    ("on-removed", "removed", TEXT),
    *((kind, ground, TEXT) for kind in KINDS for ground in ("surface", "paper")),
    *((leg, ground, SHAPE) for leg in LEGS for ground in ("surface", "sunken")),
    ("border", "surface", SHAPE),
    ("border", "paper", SHAPE),
)
"""Foreground, ground, and the contrast they must have, in both themes."""


def css() -> str:
    """The colours as variables: those of the system's theme, unless the page's root names one."""
    dark = _variables(DARK)
    return (
        f":root{{color-scheme:light;{_variables(LIGHT)}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}"
    )


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours ``#rrggbb``, 1 to 21 (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())
