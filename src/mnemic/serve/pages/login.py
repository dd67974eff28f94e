"""Logging in: a token, or the link that the server printed, for a cookie. Plain HTML: it must work before all else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mnemic.serve import problems
from mnemic.serve.logins import COOKIE, IDLE
from mnemic.serve.pages import assets
from mnemic.serve.pages.icons import icon, logo
from mnemic.serve.pages.markup import Markup, tag
from mnemic.serve.service import service_of
from mnemic.serve.tokens import Principal

router = APIRouter(include_in_schema=False)


@router.get("/login")
def form(request: Request, token: str = "", next: str = "/") -> Response:
    """The form; with the ``token`` of a login link, the page itself. A link works once."""
    service = service_of(request)
    if not service.config.auth:
        return RedirectResponse("/", 303)
    if token:
        found = service.logins.redeem(token)
        if found is not None:
            return _let_in(request, found, next)
        return _form(next, "This link was used already, or is too old. Enter a token, or start the server again.", 401)
    return _form(next)


@router.post("/login")
def enter(request: Request, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    """A token for a cookie."""
    found = service_of(request).tokens.check(token.strip())
    if found is None:
        return _form(next, "This token is not known, or it has expired.", 401)
    return _let_in(request, found, next)


@router.post("/logout")
def leave(request: Request) -> Response:
    """The end of the login, in all windows at once."""
    service_of(request).logins.close(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, path="/")
    return response


async def missing(request: Request, error: Exception) -> Response:
    """The page for an address that nobody answers for."""
    if "text/html" not in request.headers.get("accept", ""):
        return problems.problem(404, "there is nothing at this address", error="NotFoundError")
    told = (
        tag("h1", "Nothing is here"),
        tag("p", "This address leads to no page.", class_="muted"),
        tag("p", tag("a", "Back to the start", href="/", class_="btn primary")),
    )
    return _page("Not found", tag("main", tag("div", logo(44), class_="login-mark"), *told, class_="login"), 404)


def inside(next: str) -> str:
    """``next`` if it is an address of this server, else the start: nobody is sent elsewhere by a link."""
    ours = next.startswith("/") and not next.startswith(("//", "/\\", "/login", "/logout")) and next.isprintable()
    return next if ours else "/"


def _let_in(request: Request, principal: Principal, next: str) -> Response:
    response = RedirectResponse(inside(next), 303)
    response.set_cookie(
        COOKIE,
        service_of(request).logins.open(principal),
        max_age=int(IDLE),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


def _form(next: str, wrong: str = "", status: int = 200) -> HTMLResponse:
    """The page. After a wrong token the field is named with what was wrong."""
    problem = (
        tag("p", icon("alert", 18), tag("span", wrong), class_="wrong", id="wrong", role="alert") if wrong else None
    )
    body = tag(
        "main",
        tag("div", logo(44), class_="login-mark"),
        tag("h1", "Mnemic"),
        tag("p", "Enter an access token to open your memory.", class_="muted"),
        tag(
            "form",
            tag("label", "Token", for_="token"),
            tag(
                "input",
                id="token",
                name="token",
                type="password",
                placeholder="mnk_…",
                autocomplete="current-password",
                required=True,
                autofocus=True,
                spellcheck="false",
                aria_describedby="wrong" if wrong else None,
                aria_invalid="true" if wrong else None,
            ),
            problem,
            tag("input", type="hidden", name="next", value=inside(next)),
            tag("button", "Open", type="submit", class_="btn primary"),
            method="post",
            action="/login",
        ),
        tag(
            "p",
            "Make one with ",
            tag("code", "mnemic token create"),
            ", or open the link that ",
            tag("code", "mnemic serve"),
            " printed.",
            class_="small muted",
        ),
        class_="login",
    )
    return _page("Log in", body, status)


def _page(title: str, body: Markup, status: int) -> HTMLResponse:
    page = Markup("<!doctype html>") + tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("title", f"{title} · Mnemic"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            assets.head(fonts=True),
        ),
        tag("body", body),
        lang="en",
    )
    return HTMLResponse(str(page), status, headers={"Cache-Control": "no-store"})
