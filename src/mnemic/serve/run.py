"""Running the server: its socket, what it prints, its logs, and an end that loses nothing."""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TextIO

import uvicorn

from mnemic.errors import InputError, StoreError
from mnemic.serve.app import build
from mnemic.serve.config import Config, is_loopback
from mnemic.serve.service import Service
from mnemic.serve.tokens import EVERY, Scope
from mnemic.text import opening, systems
from mnemic.text.language.openai import address

GRACE = 30
"""Seconds that requests in flight have to finish when the server stops."""
_SECRET = re.compile(r"mnk_[\w-]+")


@dataclass(frozen=True)
class Address:
    """Where a server listens. ``token`` is the one made on the first start; ``login`` a link that logs in once."""

    url: str
    token: str | None = None
    login: str | None = None

    def told(self, config: Config) -> str:
        """What a user needs to know, token and the MCP configuration included."""
        doors = [
            ("pages", self._pages(config)),
            ("REST", f"{self.url}/api (described by /api/openapi.json)"),
            ("MCP", f"{self.url}/mcp"),
            ("proxy", f"{self.url}/v1" + (f" in front of {config.upstream}" if config.upstream else "")),
        ]
        if not config.auth:
            doors.append(("token", "none needed (--no-auth): every program on this machine may read and erase"))
        elif self.token:
            doors.append(("token", f"{self.token} (for everything; shown this once)"))
        else:
            doors.append(("token", "made before; another one: mnemic token create NAME --grant SPACE:read,write"))
        if not is_loopback(config.host):
            doors.append(("note", "not encrypted: put a proxy with TLS in front; other names need --allow-host"))
        lines = [f"Mnemic serves {config.store}", *(f"  {door:<6} {where}" for door, where in doors)]
        return "\n".join([*lines, "", "For an MCP client:", json.dumps(self.mcp(config), indent=2)])

    def _pages(self, config: Config) -> str:
        if not config.pages:
            return "off (--no-pages)"
        return f"{self.login} (logs in once)" if self.login else f"{self.url}/"

    def mcp(self, config: Config) -> dict[str, object]:
        """What an MCP client's configuration wants to hold."""
        server: dict[str, object] = {"type": "http", "url": f"{self.url}/mcp"}
        if config.auth:
            server["headers"] = {"Authorization": f"Bearer {self.token or 'mnk_...'}"}
        return {"mcpServers": {"mnemic": server}}


def serve(config: Config, *, say: Callable[[Address], None], quiet: bool = False) -> None:
    """Serve until a signal says to stop. ``say`` is told where, once requests are answered.

    Logs go to standard error; ``quiet`` leaves out those of requests.
    """
    log(sys.stderr, quiet=quiet)
    with _bound(config) as (server, sock, found):
        server.on_started = lambda: say(found)
        with suppress(KeyboardInterrupt):  # Ctrl-C is how a server is stopped
            server.run(sockets=[sock])


@contextmanager
def running(config: Config) -> Iterator[Address]:
    """A server in a thread of this process, for as long as the block runs. ``port=0`` takes a free one."""
    with _bound(config) as (server, sock, found):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="mnemic-serve", daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise StoreError("the server did not start: its log says why")
            time.sleep(0.005)
        try:
            yield found
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """Says when it is ready."""

    on_started: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.on_started is not None:
            self.on_started()


@contextmanager
def _bound(config: Config) -> Iterator[tuple[_Server, socket.socket, Address]]:
    """A server that can start at once: what is wrong with its configuration is told here."""
    systems.make(config.system)
    if config.upstream is not None:
        address(config.upstream)
    wanted = config.encoders
    opening.choose(wanted if wanted in ("auto", "lexical") else [name.strip() for name in wanted.split(",")])
    try:
        config.store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot use {config.store} ({error}): choose another folder") from error
    with _listen(config) as sock:
        config = replace(config, port=sock.getsockname()[1])
        app = build(config)
        service: Service = app.state.service
        service.jobs.resume()
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # the gate writes one that holds no questions
                server_header=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        try:
            yield server, sock, _address(service)
        finally:  # again, if the server ran
            service.jobs.close()
            service.spaces.close()


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen on {config.host} port {config.port} ({error}): is a server running there? choose another "
            "with --port"
        ) from error


def _address(service: Service) -> Address:
    config = service.config
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    url = f"http://[{host}]:{config.port}" if ":" in host else f"http://{host}:{config.port}"
    if not config.auth:
        return Address(url)
    token = None if service.tokens.all() else service.tokens.create("admin", {EVERY: [Scope.ADMIN]})
    return Address(url, token, f"{url}/login?token={service.logins.ticket()}" if config.pages else None)


class _Scrubbed(logging.Formatter):
    """Whoever logs what: no token gets into a log."""

    def format(self, record: logging.LogRecord) -> str:
        return _SECRET.sub("mnk_***", super().format(record))


def log(to: TextIO, *, quiet: bool = False) -> logging.Handler:
    """Send all logs to ``to``."""
    handler = logging.StreamHandler(to)
    handler.setFormatter(_Scrubbed("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("uvicorn", "httpx", "mcp", *(["mnemic.access"] if quiet else [])):
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler
