"""The frame around every page: where one can go, which space is shown, theme, keys, and who is logged in."""

# Annotations are evaluated here: NiceGUI looks for PageArguments among them.
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from nicegui import Client, PageArguments, ui
from starlette.requests import Request

from mnemic.errors import MnemicError, NotFoundError, UnauthorizedError
from mnemic.serve.logins import COOKIE
from mnemic.serve.pages import kit
from mnemic.serve.pages.icons import icon, logo
from mnemic.serve.pages.markup import Markup, join, tag, url
from mnemic.serve.pages.visit import Visit, words
from mnemic.serve.tokens import EVERY, Scope

Build = Callable[[Visit, Mapping[str, str]], Awaitable[None]]


@dataclass(frozen=True)
class Page:
    """A page: its address, its name, what builds it, and the scope it takes. ``key`` goes there after ``g``.

    Pages without a symbol are reached from others, not from the navigation; ``under`` is where they belong.
    """

    path: str
    name: str
    build: Build
    scope: Scope = Scope.READ
    symbol: str | None = None
    key: str = ""
    under: str = ""
    missing: Build | None = None


class Shell:
    """The frame of one open page. Its pages are swapped inside it, so that going from one to another is quick."""

    def __init__(self, visit: Visit, pages: tuple[Page, ...], path: str) -> None:
        self.visit = visit
        self.pages = pages
        self.path = path
        kit.show("Skip to the content", name="a", classes="skip", href="#main")
        kit.show("", classes="sr", id="live", aria_live="polite")
        with kit.box("app"):
            with kit.box("top", "header"):
                self.top = kit.show()
            with kit.box("side", "aside"):
                self.side = kit.show(classes="rail")
            with kit.box("main", "main", id="main", tabindex=-1):
                inside = ui.sub_pages({page.path: self._builder(page) for page in pages})
            with kit.box("bottom"):
                self.bottom = kit.show()
        self._keys()
        # Whoever goes somewhere gets that page as it is now, even if it is the one that is shown.
        visit.client.sub_pages_router.on_path_changed(lambda _: inside.refresh())

    def _builder(self, page: Page) -> Callable[[PageArguments], Awaitable[None]]:
        async def build(args: PageArguments) -> None:
            self.path = page.path
            await self._fill(page, dict(args.query_parameters))

        return build

    async def _fill(self, page: Page, asked: Mapping[str, str]) -> None:
        visit = self.visit
        try:
            exists = await visit.enter(asked.get("space"))
            await self.draw()
            ui.page_title(f"{page.name} · {visit.space} · Mnemic")
            visit.who().need(visit.space, page.scope)
            if exists:
                await page.build(visit, asked)
            elif page.missing is not None and visit.may(Scope.WRITE):
                await page.missing(visit, asked)
            else:
                raise NotFoundError(f"there is no space {visit.space!r} yet")
            ui.run_javascript(f"mnemic.arrived({json.dumps(page.name)})")
        except UnauthorizedError as error:
            visit.tell(error)
        except MnemicError as error:
            with kit.box("page"):
                kit.failed(words(error), "/")

    async def draw(self) -> None:
        """Show where we are: the navigation, and the space."""
        spaces = await self.visit.spaces()
        here = next((page for page in self.pages if page.path == self.path), self.pages[0])
        kit.fill(self.side, self._side(here, spaces))
        kit.fill(self.top, self._brand(), self._switch(here, spaces), _tool("theme-next", "Change the theme", _THEME))
        kit.fill(self.bottom, self._bottom(here))

    # -- parts -----------------------------------------------------------------------------------------------

    def _brand(self) -> Markup:
        return tag(
            "a", logo(), tag("span", "Mnemic"), href=self.visit.url("/"), class_="brand", aria_label="Mnemic, start"
        )

    def _side(self, here: Page, spaces: list[str]) -> Markup:
        leave = tag(
            "form",
            tag("button", icon("leave", 19), type="submit", class_="tool", title="Log out", aria_label="Log out"),
            method="post",
            action="/logout",
        )
        return join(
            [
                self._brand(),
                self._switch(here, spaces),
                tag("nav", self._links(here), class_="nav", aria_label="Main"),
                tag(
                    "div",
                    tag("span", self.visit.who().name, class_="who", title="Logged in as this token"),
                    _tool("keys", "Keys", icon("keys", 19)),
                    _tool("theme-next", "Change the theme", _THEME),
                    leave if self.visit.service.config.auth else None,
                    class_="foot",
                ),
            ]
        )

    def _links(self, here: Page) -> Markup:
        return join(self._link(page, here, keyed=True) for page in self._shown())

    def _shown(self) -> list[Page]:
        return [page for page in self.pages if page.symbol and self.visit.may(page.scope)]

    def _link(self, page: Page, here: Page, *, keyed: bool = False) -> Markup:
        current = page.path in (here.path, here.under)
        return tag(
            "a",
            icon(page.symbol or "right", 20),
            tag("span", page.name),
            href=self.visit.url(page.path),
            aria_current="page" if current else None,
            data_go=page.key if keyed else None,
            title=f"{page.name} (g {page.key})" if keyed else None,
        )

    def _switch(self, here: Page, spaces: list[str]) -> Markup:
        space = self.visit.space
        # A page about one thing has no twin in another space.
        path = here.under or here.path
        listed = [
            tag(
                "a",
                _tile(each),
                tag("span", each, class_="name"),
                icon("check", 16) if each == space else None,
                href=url(path, space=each),
                aria_current="true" if each == space else None,
            )
            for each in spaces
        ]
        return tag(
            "details",
            tag(
                "summary",
                _tile(space),
                tag("span", space, class_="name"),
                icon("down", 16),
                aria_label=f"Space {space}, change",
            ),
            tag("div", listed or tag("p", "There is no space yet.", class_="small muted"), self._new(), class_="sheet"),
            class_="switch",
        )

    def _new(self) -> Markup | None:
        """Where a new space is named; it begins with the first thing that is stored in it."""
        if not self.visit.who().may(EVERY, Scope.WRITE):
            return None
        name = tag(
            "input",
            name="space",
            placeholder="New space …",
            aria_label="Name of a new space",
            required=True,
            maxlength=200,
        )
        return tag("form", icon("plus", 18), name, method="get", action="/chat", class_="new-space")

    def _bottom(self, here: Page) -> Markup:
        shown = self._shown()
        first, rest = shown[:4], shown[4:]
        inside = any(page.path in (here.path, here.under) for page in rest)
        leave = tag("form", tag("button", icon("leave", 20), "Log out", type="submit"), method="post", action="/logout")
        more = tag(
            "details",
            tag("summary", icon("more", 22), tag("span", "More"), aria_label="More pages"),
            tag(
                "div",
                [self._link(page, here) for page in rest],
                tag("hr") if rest else None,
                tag("button", _THEME, "Change the theme", type="button", data_theme_next=True),
                leave if self.visit.service.config.auth else None,
                class_="sheet",
            ),
            class_="menu",
            data_here=inside,
        )
        return tag("nav", [self._link(page, here) for page in first], more, aria_label="Pages")

    def _keys(self) -> None:
        rows = [
            ("Search", ("/",)),
            *((page.name, ("g", page.key)) for page in self.pages if page.key),
            ("This list", ("?",)),
        ]
        told = [(tag("dt", name), tag("dd", join((tag("kbd", key) for key in keys), " "))) for name, keys in rows]
        kit.show(
            tag(
                "div",
                tag("h2", "Keys"),
                tag("button", icon("close", 20), type="button", class_="tool", data_close=True, aria_label="Close"),
                class_="apart",
            ),
            tag("dl", told),
            name="dialog",
            classes="keys",
            id="keys",
            aria_label="Keys",
        )


_THEME = tag(
    "span",
    tag("span", icon("system", 19), class_="theme-system"),
    tag("span", icon("sun", 19), class_="theme-light"),
    tag("span", icon("moon", 19), class_="theme-dark"),
)


def _tool(data: str, label: str, inside: Markup) -> Markup:
    return tag("button", inside, type="button", class_="tool", title=label, aria_label=label, **{f"data-{data}": True})


def _tile(space: str) -> Markup:
    return tag("span", space[:1] or "·", class_="tile", aria_hidden="true")


def frame(pages: tuple[Page, ...]) -> Callable[[Request, Client], None]:
    """The builder of the frame, for NiceGUI."""

    def build(request: Request, client: Client) -> None:
        visit = Visit(request.scope["state"]["service"], request.cookies.get(COOKIE), client)

        def broken(_: Exception) -> None:
            visit.tell("Something went wrong here that should not; the server's log says what.")

        client.on_exception(broken)
        quasar = client.content.parent_slot
        if quasar is not None:  # it calls everything, the navigation too, the main part of the page
            quasar.parent.props["role"] = "presentation"
        Shell(visit, pages, urlsplit(str(request.url)).path)

    return build
