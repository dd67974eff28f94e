"""HTML as text that is escaped where it is made: whatever is not already markup cannot become any."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from markupsafe import Markup, escape

__all__ = ["Child", "Markup", "join", "tag", "url"]

Child = str | int | float | Markup | None | Iterable["Child"]
"""What may stand inside an element: text (escaped), markup, nothing, or several of these."""
_VOID = frozenset(["area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"])


def tag(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """The element ``name``. Attributes that are None or False are left out, True ones have no value.

    A trailing underscore of an attribute is dropped (``class_``), the others become hyphens (``aria_label``).
    """
    told = [
        Markup(" ") + _name(key) + ("" if value is True else Markup('="{}"').format(value))
        for key, value in attributes.items()
        if value is not None and value is not False
    ]
    head = Markup("<{}{}>").format(Markup(name), Markup("").join(told))
    return head if name in _VOID else head + join(children) + Markup("</{}>").format(Markup(name))


def join(children: Iterable[Child], between: str = "") -> Markup:
    """Several children as one markup."""
    return escape(between).join(_markup(child) for child in children if child is not None)


def url(path: str, /, **query: str | int | None) -> str:
    """``path`` with a query; parameters that are None or empty are left out."""
    asked = urlencode({key.rstrip("_"): value for key, value in query.items() if value not in (None, "")})
    return f"{path}?{asked}" if asked else path


def _markup(child: Child) -> Markup:
    if isinstance(child, str | int | float):
        return escape(child)
    return join(child or ())


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
