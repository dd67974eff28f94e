"""The pages' own files, and what goes into the head of every page. Nothing comes from another host."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path

import nicegui

from mnemic.serve.pages import theme
from mnemic.serve.pages.markup import Markup, join, tag

FOLDER = Path(__file__).parent / "static"
FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="9" fill="#0c6b5b"/>'
    '<path d="M8 23v-7.5a4 4 0 0 1 8 0V23M16 15.5a4 4 0 0 1 8 0V23" fill="none" stroke="#fff" stroke-width="2.6" '
    'stroke-linecap="round"/><circle cx="16" cy="7.6" r="1.9" fill="#ffe08a"/></svg>'
)
_EARLY = "try{const t=localStorage.getItem('mnemic-theme');if(t)document.documentElement.dataset.theme=t}catch{}"
"""Before anything is painted, so that the page does not flash in the other theme."""


@cache
def address(name: str) -> str:
    """Where the file is served; the address changes with what is in it, so that it can be kept for ever."""
    return f"/static/{name}?v={blake2b((FOLDER / name).read_bytes(), digest_size=6).hexdigest()}"


def head(*, fonts: bool = False) -> Markup:
    """Colours, style and script; ``fonts`` where NiceGUI does not bring them along."""
    sheets = [f"/_nicegui/{nicegui.__version__}/static/fonts.css"] if fonts else []
    return join(
        [
            tag("meta", name="theme-color", content=theme.LIGHT["paper"], media="(prefers-color-scheme: light)"),
            tag("meta", name="theme-color", content=theme.DARK["paper"], media="(prefers-color-scheme: dark)"),
            tag("script", Markup(_EARLY)),
            tag("style", Markup(theme.css())),
            *(
                tag("link", rel="stylesheet", href=sheet)
                for sheet in (*sheets, address("base.css"), address("pages.css"))
            ),
            tag("script", src=address("pages.js"), defer=True),
        ]
    )
