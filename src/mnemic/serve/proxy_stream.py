"""The way of an answer through the proxy: bytes pass as they come, while what they say is read on the side."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

LARGEST = 32 << 20
"""Bytes of one event, or of an answer that is no stream, up to which it is read on the side."""
_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    "upgrade".split()
)
# What belongs to the origin that the client talks to, which is this server and not the one behind it.
_OWN = _HOP | {"set-cookie", "strict-transport-security", "alt-svc", "server", "date"}
_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
_log = logging.getLogger("mnemic.serve")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said. ``whole`` is False if it was broken off; ``id`` and ``model`` are the upstream's, if any."""

    text: str
    whole: bool
    id: str = ""
    model: str = ""


class Reader(Protocol):
    """Reads an answer: ``event`` for each event of a stream, ``body`` for one that came in one piece."""

    def event(self, data: Mapping[str, Any]) -> None: ...
    def body(self, data: Mapping[str, Any]) -> None: ...
    def answer(self) -> Answer: ...


class Events:
    """The ``data`` of server-sent events from bytes in pieces of any size (WHATWG HTML, 9.2.6)."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The events that ``chunk`` completes. Raises ValueError for one that is too large."""
        self._rest += chunk
        if len(self._rest) + self._size > LARGEST:
            raise ValueError("an event is too large")
        at = 0
        for end in _END.finditer(self._rest):
            line, at = self._rest[at : end.start()], end.end()
            if line:
                name, _, value = line.partition(b":")
                if name == b"data":
                    self._data.append(value.removeprefix(b" "))
                    self._size += len(value)
            elif self._data:
                yield b"\n".join(self._data).decode("utf-8", "replace")
                self._data, self._size = [], 0
        self._rest = self._rest[at:]


class Tee:
    """Feeds a reader from the bytes of a response; whatever they hold, it never raises."""

    def __init__(self, reader: Reader, response: httpx.Response) -> None:
        self.reader = reader
        self._streamed = response.headers.get("content-type", "").startswith("text/event-stream")
        self._events = Events()
        self._body = bytearray()
        self._failed = False

    def feed(self, chunk: bytes) -> None:
        if self._failed:
            return
        try:
            if self._streamed:
                for data in self._events.feed(chunk):
                    if data.startswith("{"):  # and not [DONE], or what else a server may say to itself
                        self.reader.event(json.loads(data))
            else:
                self._body += chunk
                if len(self._body) > LARGEST:
                    raise ValueError("the answer is too large")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            self._give_up(error)

    def end(self) -> Answer:
        """What was said, as far as it came."""
        if not self._streamed and not self._failed:
            try:
                if isinstance(found := json.loads(self._body), dict):
                    self.reader.body(found)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                self._give_up(error)
        return self.reader.answer()

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        self._body.clear()
        _log.warning("the upstream's answer cannot be read to its end, so not all of it is remembered: %s", error)


class Relay(Response):
    """Sends a request upstream and its answer back, byte for byte.

    ``reader`` reads along; ``finished`` gets what was said as soon as the last byte is here, also when the stream
    broke off, but not when the upstream refused or could not be reached. When the client goes away, the upstream's
    connection is closed.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        request: httpx.Request,
        headers: Mapping[str, str],
        *,
        reader: Reader | None = None,
        finished: Callable[[Answer], None] | None = None,
    ) -> None:
        super().__init__()
        self._client, self._request, self._told = client, request, headers
        self._reader, self._finished = reader, finished
        self._tee: Tee | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pump = asyncio.ensure_future(self._pump(scope, receive, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            pump.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)
            self._end()
        if not pump.cancelled():
            pump.result()

    def _end(self) -> None:
        if self._tee is not None and self._finished is not None:
            tee, self._tee = self._tee, None
            self._finished(tee.end())

    async def _pump(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._client.send(self._request, stream=True)
        except httpx.TimeoutException as error:
            await self._fail(504, f"did not answer in time ({type(error).__name__})")(scope, receive, send)
            return
        except httpx.HTTPError as error:
            await self._fail(502, f"cannot be reached ({type(error).__name__}: {error})")(scope, receive, send)
            return
        try:
            if response.has_redirect_location:
                await self._fail(502, "redirects elsewhere: give its final address")(scope, receive, send)
            else:
                await self._pass(response, send)
        finally:
            await response.aclose()

    async def _pass(self, response: httpx.Response, send: Send) -> None:
        if self._reader is not None and response.is_success:
            self._tee = Tee(self._reader, response)
        # It was asked not to compress; if it does, the content is unpacked here and stays the same.
        packed = response.headers.get("content-encoding", "identity").lower() != "identity"
        own = _OWN | connection(response.headers) | ({"content-encoding", "content-length"} if packed else set())
        head = [
            (name.lower(), value)
            for name, value in response.headers.raw
            if (plain := name.decode("latin-1").lower()) not in own
            and not plain.startswith(("access-control-", "x-mnemic-"))
        ]
        head += [(name.lower().encode(), value.encode("latin-1")) for name, value in self._told.items()]
        await send({"type": "http.response.start", "status": response.status_code, "headers": head})
        try:
            async for chunk in response.aiter_bytes() if packed else response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if self._tee is not None:
                    self._tee.feed(chunk)
        except httpx.HTTPError as error:
            # The client sees the break as it would without us: the body ends without its end.
            _log.warning("the upstream %s broke off its answer: %s", self._request.url.host, type(error).__name__)
            return
        self._end()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _fail(self, status: int, what: str) -> JSONResponse:
        where = f"{self._request.url.scheme}://{self._request.url.netloc.decode('ascii')}"
        told = f"the upstream {where} {what}; check that it runs, and the address given as --upstream"
        _log.warning("%s", told)
        return failure(status, told, "upstream_timeout" if status == 504 else "upstream_unreachable", self._told)


def string(value: Any) -> str:
    """``value`` if it is a text: servers put all sorts of things where a text should be."""
    return value if isinstance(value, str) else ""


def failure(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as OpenAI's clients expect it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers=dict(headers or {}))


def connection(headers: Mapping[str, str]) -> frozenset[str]:
    """The headers that are for one hop only (RFC 9110, 7.6.1): the known ones, and those named by ``Connection``."""
    return _HOP | {name.strip().lower() for name in headers.get("connection", "").split(",")}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
