"""What every request passes first: who asks, from where, how much and how often.

Pure ASGI, for HTTP and websockets alike, in front of REST, MCP, the proxy and the pages:

* The Host header must be a name of this server: a page elsewhere cannot reach it under a name of its own (DNS
  rebinding).
* Who asks is told by a bearer token or by the cookie of a login. Everything but a few open paths needs one of them.
* What is allowed by a cookie, or without tokens at all, is refused to pages of other origins (CSRF).
* Bodies are bounded, requests are counted per token, answers carry the headers that browsers want.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemic.errors import ForbiddenError, LimitError, MnemicError, UnauthorizedError
from mnemic.serve import problems, wire
from mnemic.serve.config import Config, is_loopback
from mnemic.serve.logins import COOKIE, Logins
from mnemic.serve.tokens import LOCAL, Principal, Tokens

OPEN = re.compile(r"/healthz|/readyz|/login|/favicon\.ico|/static/.*|/_nicegui/(?!client/).*", re.DOTALL)
"""Paths that need no token: none of them tells anything about memories."""
PROBES = frozenset(["/healthz", "/readyz"])
UPLOADS = re.compile(r"/api/spaces/[^/]+/import|/_nicegui/client/.+", re.DOTALL)
"""Paths that take files."""
API = re.compile(r"/(api|v1|mcp|healthz|readyz|metrics)(/.*)?", re.DOTALL)
"""Paths that programs ask for; the others are pages."""
SAFE = frozenset(["GET", "HEAD", "OPTIONS", "TRACE"])
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
# The pages are made by a library whose templates are compiled in the browser; everything is served from here.
_PAGES = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_PROGRAMS = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_log = logging.getLogger("mnemic.access")


def principal_of(request: HTTPConnection | Scope) -> Principal:
    """Who asks. Raises :class:`UnauthorizedError` where nobody said so."""
    scope = request.scope if isinstance(request, HTTPConnection) else request
    found = scope.get("state", {}).get("principal")
    if not isinstance(found, Principal):
        raise UnauthorizedError("this needs a token: send the header 'Authorization: Bearer mnk_...'")
    return found


class Gate:
    """The middleware. ``app`` is what is behind it."""

    def __init__(self, app: ASGIApp, *, config: Config, tokens: Tokens, logins: Logins) -> None:
        self.app = app
        self.config = config
        self.tokens = tokens
        self.logins = logins
        self.rates = Rates(config.limits.rate, config.limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        raw = scope.get("raw_path") or b""
        if raw.startswith(b"/api/"):
            scope["path"] = wire.segments(raw)
        limits = self.config.limits
        passing = _Passing(scope, receive, send, limits.upload if UPLOADS.fullmatch(scope["path"]) else limits.body)
        try:
            self._admit(scope, passing.headers)
            passing.measure()
        except MnemicError as error:
            await passing.refuse(error)
        else:
            try:
                await self.app(scope, passing.receive, passing.send)
            except Exception:
                if not passing.refused:  # else it fell over a body that was cut off, and that has been answered
                    await passing.fail()
                    raise  # for the log
        finally:
            passing.log()

    def _admit(self, scope: Scope, headers: Headers) -> None:
        """Put the principal into the scope, or raise."""
        host = headers.get("host", "")
        if not self._here(host):
            raise MisdirectedError(f"this server does not go by the name {host!r}: start it with --allow-host NAME")
        address = f"address {(scope.get('client') or ('',))[0]}"
        try:
            principal, ambient = self._who(headers)
        except UnauthorizedError:
            self.rates.take(address)
            raise
        if ambient and not _from_here(scope, headers):
            raise ForbiddenError("this came from a page of another origin: open the pages of this server itself")
        if principal is not LOCAL and scope["path"] not in PROBES:
            self.rates.take(principal.id if principal is not None else address)
        if principal is not None:
            scope.setdefault("state", {})["principal"] = principal
        elif not OPEN.fullmatch(scope["path"]):
            principal_of(scope)

    def _here(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        names = {each.lower() for each in (self.config.host, *self.config.hosts)}
        return found is not None and (is_loopback(found[1]) or found[1].strip("[]") in names)

    def _who(self, headers: Headers) -> tuple[Principal | None, bool]:
        """Who asks, and whether a browser says so by itself, for whichever page it shows."""
        if not self.config.auth:
            return LOCAL, True
        given = headers.get("authorization")
        if given is not None:
            scheme, _, secret = given.partition(" ")
            found = self.tokens.check(secret.strip()) if scheme.lower() == "bearer" else None
            if found is None:
                raise UnauthorizedError("this token is not known, or expired: mnemic token create makes one")
            return found, False
        cookie = cookie_of(headers)
        return (self.logins.principal(cookie) if cookie else None), True


_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d+)?")


class MisdirectedError(MnemicError):
    """The Host header names another server."""


def cookie_of(headers: Mapping[str, str]) -> str | None:
    """The value of the login cookie."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None else None


def _from_here(scope: Scope, headers: Headers) -> bool:
    """Whether no page of another origin is behind this; other ports of this machine are other origins too.

    Such a page may only lead a browser here, as a link does: it gets to see nothing of what comes back.
    """
    site = headers.get("sec-fetch-site", "none")
    reads = scope["type"] == "http" and scope["method"] in SAFE
    if site not in ("same-origin", "none") and not (reads and headers.get("sec-fetch-mode") == "navigate"):
        return False
    origin, host = headers.get("origin"), headers.get("host", "")
    return reads or origin is None or origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


class Rates:
    """A token bucket for each caller: ``rate`` requests a second, ``burst`` at once."""

    KEPT = 10_000

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, now: float | None = None) -> None:
        """Count one request. Raises :class:`LimitError` that says how long to wait."""
        now = time.monotonic() if now is None else now
        with self._lock:
            left, at = self._left.get(caller, (float(self.burst), now))
            left = min(self.burst, left + (now - at) * self.rate)
            short = left < 1
            self._left[caller] = (left if short else left - 1, now)
            self._left.move_to_end(caller)
            if len(self._left) > self.KEPT:
                self._left.popitem(last=False)
        if short:
            raise LimitError(f"more than {self.rate:g} requests a second: wait a moment", (1 - left) / self.rate)


class _Passing:
    """One request on its way through: counts what it sends, dresses what it gets."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self.scope = scope
        self.path: str = scope["path"]  # what is behind may change it in place
        self.headers = Headers(scope=scope)
        self.refused = False
        self.status = 0
        self._receive = receive
        self._send = send
        self._since = time.perf_counter()
        self._limit = limit
        self._taken = 0

    def measure(self) -> None:
        """Raises :class:`LimitError` if the body is announced to be too long."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > self._limit):
            raise self._too_large()

    def _too_large(self) -> LimitError:
        return LimitError(f"the body is over {self._limit:,} bytes: send less at once")

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if self._taken > self._limit:
                await self.refuse(self._too_large())
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self.refused:
            return
        if message["type"] == "http.response.start":
            self._dress(message)
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    def _dress(self, message: Message) -> None:
        self.status = message["status"]
        headers = MutableHeaders(scope=message)
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        programs = API.fullmatch(self.path)
        headers.setdefault("Content-Security-Policy", _PROGRAMS if programs else _PAGES)
        headers.setdefault("Cache-Control", "no-store")

    async def refuse(self, error: MnemicError) -> None:
        """Answer in place of what is behind."""
        if self.refused or self.status:  # the answer has begun: it can only be broken off
            self.refused = True
            return
        response: Response
        wants_page = self.scope["type"] == "http" and "text/html" in self.headers.get("accept", "")
        if isinstance(error, MisdirectedError):
            response = problems.problem(421, str(error), error="InputError")
        elif isinstance(error, UnauthorizedError) and wants_page and not API.fullmatch(self.path):
            asked = self.path + "?" * bool(query := self.scope["query_string"].decode("latin-1")) + query
            response = RedirectResponse("/login?" + urlencode({"next": asked}), 303)
        else:
            response = problems.of(error)
        await self._answer(response, 1008)

    async def fail(self) -> None:
        """Answer for what nobody foresaw."""
        if not self.status:
            await self._answer(problems.unexpected(), 1011)

    async def _answer(self, response: Response, code: int) -> None:
        if self.scope["type"] == "websocket":
            self.status = response.status_code
            await self._send({"type": "websocket.close", "code": code})
        else:
            await response(self.scope, self._receive, self.send)
        self.refused = True

    def log(self) -> None:
        """One line. Neither query strings, which hold questions, nor headers, which hold tokens."""
        principal: Any = self.scope.get("state", {}).get("principal")
        _log.info(
            "%s %s %s %d %.1f ms",
            principal.id if principal is not None else "-",
            self.scope.get("method", "WS"),
            self.path.encode("unicode_escape").decode(),
            self.status,
            1000 * (time.perf_counter() - self._since),
        )
