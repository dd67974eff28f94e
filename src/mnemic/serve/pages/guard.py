"""Every message of a browser is held against the page it belongs to.

NiceGUI knows a page by a random id that every message names. The gate has said who sends; here it is checked that it
is the same one who was given the page, so that an id that leaked is of no use to anybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import nicegui
from nicegui import Client, core
from socketio.exceptions import ConnectionRefusedError as Refused  # type: ignore[import-untyped]
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemic.serve.service import Service
from mnemic.serve.tokens import Principal

UPLOADS = "/_nicegui/client/"
FILES = f"/_nicegui/{nicegui.__version__}/"
KEPT = "public, max-age=31536000, immutable"
"""For files whose address holds their version."""


class Guard:
    """What stands between the gate and NiceGUI: hands the service on, and lets nobody upload into another's page."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["service"] = self.service
        path = scope.get("path", "")
        if path.startswith(UPLOADS) and not same(path[len(UPLOADS) :].partition("/")[0], _principal(scope)):
            await Response(status_code=404)(scope, receive, send)
            return
        scope.pop("endpoint", None)  # NiceGUI shows a page for what is not found only if nobody else claims the address

        async def cached(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Cache-Control"] = KEPT
            await send(message)

        await self.app(scope, receive, cached if path.startswith(FILES) else send)


def watch_sockets() -> None:
    """Put the check before NiceGUI's own handlers of messages; again is harmless."""
    handlers: dict[str, Callable[..., Any]] = core.sio.handlers["/"]
    for name in ("connect", "handshake", "event", "javascript_response", "ack", "log"):
        if not hasattr(handlers[name], "guarded"):
            handlers[name] = _guarded(name, handlers[name])


def same(client_id: str, principal: Principal | None) -> bool:
    """Whether the page with this id was given to ``principal``."""
    client = Client.instances.get(client_id)
    return client is not None and principal is not None and owner(client) == principal.id


def owner(client: Client) -> str | None:
    """The id of whoever was given the page."""
    found = _principal(client.request.scope)
    return found.id if found is not None else None


def _principal(scope: Any) -> Principal | None:
    found = scope.get("state", {}).get("principal")
    return found if isinstance(found, Principal) else None


def _guarded(name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """``handler`` of the socket message ``name``, called only for messages about the sender's own pages."""

    async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> Any:
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("client_id", [""])[0]
        if asked in Client.instances and not same(asked, _principal(environ.get("asgi.scope", {}))):
            raise Refused("this page was given to somebody else")
        return await _result(handler(sid, environ, auth))

    async def message(sid: str, told: Any) -> Any:
        environ = core.sio.get_environ(sid) or {}
        if not isinstance(told, dict) or not same(
            str(told.get("client_id")), _principal(environ.get("asgi.scope", {}))
        ):
            return False
        return await _result(handler(sid, told))

    guarded: Callable[..., Any] = connect if name == "connect" else message
    guarded.guarded = True  # type: ignore[attr-defined]
    return guarded


async def _result(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value
