"""What the pages are put together from: buttons, fields, cards, empty and waiting states."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nicegui import ui
from nicegui.element import Element

from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Child, Markup, join, tag

Handler = Callable[..., Awaitable[None]]


def show(*children: Child, name: str = "div", classes: str = "", **attributes: str | int) -> ui.html:
    """Markup in the page, as the element ``name``. It was escaped when it was made, and is cleaned once more there."""
    made = ui.html(str(join(children)), tag=name, sanitize=True)
    if classes:
        made.classes(classes)
    for key, value in attributes.items():
        made.props[key.rstrip("_").replace("_", "-")] = value
    return made


def fill(made: ui.html, *children: Child) -> None:
    """Put other markup into ``made``."""
    if not made.is_deleted:
        made.set_content(str(join(children)))


@contextmanager
def box(classes: str, name: str = "div", **attributes: str | int) -> Iterator[Element]:
    """An element that holds others."""
    with ui.element(name).classes(classes) as made:
        for key, value in attributes.items():
            made.props[key.rstrip("_").replace("_", "-")] = value
        yield made


def button(
    label: str,
    work: Handler | None = None,
    *,
    kind: str = "",
    symbol: str | None = None,
    bare: bool = False,
    **attributes: str | int,
) -> ui.html:
    """A button that shows that it is busy while ``work`` runs, and cannot be pressed again until then."""
    inside = [icon(symbol, 18)] if symbol else []
    made = show(
        *inside, None if bare else tag("span", label), name="button", classes=f"btn {kind}", type="button", **attributes
    )
    if bare:
        made.props["aria-label"] = made.props["title"] = label
    if work is not None:
        run = work

        async def press() -> None:
            busy(made, True)
            try:
                await run()
            finally:
                busy(made, False)

        made.on("click", press, args=[])
    return made


def busy(made: Element, on: bool) -> None:
    """Show that ``made`` is at work."""
    if made.is_deleted:
        return
    made.classes(add="busy" if on else "", remove="" if on else "busy")
    made.props.set_bool("disabled", on)


def enable(made: Element, on: bool) -> None:
    made.props.set_bool("disabled", not on)


def link(label: str, href: str, *, kind: str = "", symbol: str | None = None) -> Markup:
    """A link that looks like a button."""
    return tag("a", icon(symbol, 18) if symbol else None, tag("span", label), href=href, class_=f"btn {kind}".strip())


def head(title: str, told: str | None = None) -> None:
    """The heading of a page that has no actions beside it."""
    show(tag("div", tag("h1", title), tag("p", told) if told else None), classes="head", name="header")


@contextmanager
def heading(title: str, told: str | None = None) -> Iterator[None]:
    """The heading of a page; what is made inside stands beside it."""
    with box("head", "header"):
        show(tag("h1", title), tag("p", told) if told else None)
        with box("head-actions"):
            yield


def field(label: str, *, value: str = "", hidden_label: bool = False, kind: str = "text", **options: Any) -> ui.input:
    """A line of text with its label above it."""
    with box("labelled"):
        if not hidden_label:
            show(label, name="span", classes="label", aria_hidden="true")
        made = ui.input(value=value, **options).props("borderless dense hide-bottom-space").classes("field")
    made.props["aria-label"] = label
    made.props["type"] = kind
    return made


def area(label: str, *, value: str = "", rows: int = 1, **options: Any) -> ui.textarea:
    """Several lines of text; grows with them, in browsers that know how, from ``rows`` lines on."""
    made = ui.textarea(value=value, **options).props("borderless dense hide-bottom-space").classes("field area")
    made.props["aria-label"] = label
    made.props["rows"] = rows
    return made


def choice(
    label: str, options: Sequence[str] | dict[Any, str], value: Any, *, hidden_label: bool = False, **rest: Any
) -> ui.select:
    """One of several, or several of them."""
    with box("labelled"):
        if not hidden_label:
            show(label, name="span", classes="label", aria_hidden="true")
        given = options if isinstance(options, dict) else list(options)
        made = (
            ui.select(given, value=value, **rest)
            .props("borderless dense options-dense hide-bottom-space")
            .classes("field")
        )
    made.props["aria-label"] = label
    return made


def switch(label: str, value: bool, on_change: Callable[..., Any] | None = None) -> ui.switch:
    return ui.switch(label, value=value, on_change=on_change).props("dense").classes("toggle")


def empty(symbol: str, title: str, told: Child, *actions: Markup, first: bool = False) -> ui.html:
    """What a page shows where there is nothing to show yet, and what to do about it."""
    return show(
        tag("div", icon(symbol, 28), class_="art"),
        tag("h1" if first else "h2", title),
        tag("p", told),
        tag("div", *actions, class_="flow") if actions else None,
        classes="empty",
    )


def bones(rows: int = 6) -> ui.html:
    """A place held for what is on its way."""
    return show([tag("div") for _ in range(rows)], classes="bones", role="status", aria_label="Loading")


def notice(text: Child, kind: str = "", symbol: str = "alert") -> Markup:
    return tag("div", icon(symbol, 20), tag("div", text), class_=f"notice {kind}".strip(), role="status")


def failed(told: str, home: str) -> ui.html:
    """A page that could not be shown."""
    return empty("lock", "This page cannot be shown", told, link("Back to the start", home), first=True)


@contextmanager
def dialog(title: str) -> Iterator[ui.dialog]:
    """A dialog with a heading; open it with ``.open()`` or await it."""
    with ui.dialog() as made, box("dialog", role="dialog", aria_label=title):
        show(title, name="h2")
        yield made
