"""An OpenAI-compatible proxy that remembers: chat completions and responses get what is relevant from memory put
before what the user says; what was said is remembered when the answer is through. All else under ``/v1`` is passed on.

The chat comes first. An answer goes through byte for byte as it comes; writing waits for its end; and when memory
fails, the request goes on without it, with a note in the answer's headers and a warning in the log.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, unquote

import httpx
from fastapi import APIRouter, FastAPI, Request, Response

from mnemic.errors import ForbiddenError, InputError, MnemicError, NotFoundError
from mnemic.serve import problems, proxy_chat, proxy_responses
from mnemic.serve.config import Config
from mnemic.serve.gate import principal_of
from mnemic.serve.proxy_sessions import (
    Asked,
    Block,
    Link,
    Sessions,
    digest,
    new_session,
    plain,
    recall,
    stored_session,
)
from mnemic.serve.proxy_stream import Answer, Reader, Relay, connection, failure
from mnemic.serve.service import Service
from mnemic.serve.spaces import LONGEST, checked
from mnemic.serve.tokens import EVERY, PREFIX, Principal, Scope
from mnemic.text.language.openai import address
from mnemic.text.memory import MAX_TEXT, PAUSE
from mnemic.text.record import State, Turn

T = TypeVar("T")
PATIENCE = 5.0
"""Seconds that a request waits for memory before it goes on without."""
TIMEOUT = httpx.Timeout(connect=10.0, read=600.0, write=60.0, pool=10.0)
"""Seconds for the upstream; ``read`` bounds the wait for the next bytes, the first ones included."""
COMPUTING = re.compile(
    r"POST (chat/completions|responses(/input_tokens|/compact)?|completions|embeddings|moderations|audio/\w+"
    r"|images/\w+|rerank|score|tokenize|detokenize)|(GET|HEAD) models(/.+)?"
)
"""What every token may ask for with the server's own key: what computes."""
_OWN = frozenset({"host", "content-length", "authorization", "cookie", "origin", "referer", "accept-encoding"})
_PRIVATE = ("x-mnemic-", "x-upstream-", "x-forwarded-", "forwarded", "x-real-ip", "sec-fetch-")
_URL = "%/?:@!$&'()*+,;=~[]"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_log = logging.getLogger("mnemic.serve")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Proxy(app.state.service) as proxy:
        app.state.proxy = proxy
        yield


router = APIRouter(prefix="/v1", lifespan=_lifespan, include_in_schema=False)


@router.post("/chat/completions")
async def chat_completions(request: Request) -> Response:
    return await _answered(request, proxy_chat)


@router.post("/responses")
async def responses(request: Request) -> Response:
    return await _answered(request, proxy_responses)


@router.api_route("/{path:path}", methods=_METHODS)
async def other(request: Request) -> Response:
    return await _answered(request, None)


async def _answered(request: Request, dialect: Dialect | None) -> Response:
    proxy: Proxy = request.app.state.proxy
    try:
        return await proxy.answer(request, dialect)
    except MnemicError as error:
        return failure(problems.of(error).status_code, str(error), type(error).__name__)


class Dialect(Protocol):
    """One of the APIs that are answered with memory: :mod:`.proxy_chat`, :mod:`.proxy_responses`."""

    def read(self, body: Mapping[str, Any]) -> Asked: ...
    def quote(self, body: Mapping[str, Any], blocks: Mapping[int, str]) -> dict[str, Any]: ...
    @property
    def Reader(self) -> Callable[[], Reader]: ...  # noqa: N802


@dataclass
class Exchange:
    """One question with memory: where it belongs, what is quoted for it, and what was not done, and why."""

    space: str
    asked: Asked
    at: datetime
    reads: bool
    writes: bool
    session: str = ""
    marks: list[str] = field(default_factory=list)
    block: Block | None = None
    tokens: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def link(self) -> Link:
        return Link(self.session, self.marks[self.asked.question[1] - 1], self.at)

    def headers(self) -> dict[str, str]:
        told = {"X-Mnemic-Space": quote(self.space), "X-Mnemic-Session": quote(self.session)}
        told["X-Mnemic-Recalled"] = ",".join(map(quote, self.block.ids)) if self.block else ""
        told["X-Mnemic-Tokens"] = str(self.tokens)
        return told | ({"X-Mnemic-Note": "; ".join(self.notes)} if self.notes else {})


class Proxy:
    """One server's proxy; its lifetime is that of the application."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.config: Config = service.config
        self.upstream = address(self.config.upstream) if self.config.upstream else None
        self.sessions = Sessions(self.config.budget)
        self.client = httpx.AsyncClient(
            timeout=TIMEOUT, limits=httpx.Limits(max_connections=None, max_keepalive_connections=64)
        )
        # One thread: what is said in one conversation is written in the order it was said.
        self._writing = ThreadPoolExecutor(1, "mnemic-proxy")

    async def __aenter__(self) -> Proxy:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is still to be written, then let go."""
        await asyncio.to_thread(self._writing.shutdown)
        await self.client.aclose()

    # -- a request -------------------------------------------------------------------------------------------

    async def answer(self, request: Request, dialect: Dialect | None) -> Response:
        """The upstream's answer to ``request``. Raises :class:`MnemicError` when the request is not allowed."""
        principal = principal_of(request)
        url = self._url(request)
        headers = self._headers(request, principal)
        content = await request.body()
        exchange: Exchange | None = None
        told: dict[str, str] = {}
        if dialect is not None:
            try:
                body = json.loads(content)
                asked = dialect.read(body if isinstance(body, dict) else {})
            except (ValueError, RecursionError) as error:  # the upstream will say what is wrong with it
                told = {"X-Mnemic-Note": f"no memory: the body cannot be read ({type(error).__name__})"}
            else:
                exchange = self._exchange(request, principal, body, asked)
                if asked.question[1]:
                    content = await self._with_memory(exchange, request, body, content, dialect)
                told = exchange.headers()
        sent = self.client.build_request(request.method, url, headers=headers, content=content or None)
        if dialect is None or exchange is None or not exchange.session:
            return Relay(self.client, sent, told)
        return Relay(self.client, sent, told, reader=dialect.Reader(), finished=partial(self._finish, exchange))

    def _url(self, request: Request) -> httpx.URL:
        if self.upstream is None:
            raise NotFoundError("this server has no upstream: start it with --upstream http://localhost:11434/v1")
        path = _path(request)
        if any(step in (".", "..") for step in re.split(r"[/\\]", unquote(path))):
            raise NotFoundError("the upstream's paths have no steps upwards")
        query = "&".join(part for part in request.url.query.split("&") if PREFIX not in part)
        raw = f"{self.upstream.raw_path.decode().rstrip('/')}/{path}" + (f"?{query}" if query else "")
        return self.upstream.copy_with(raw_path=quote(raw, safe=_URL).encode())

    def _headers(self, request: Request, principal: Principal) -> list[tuple[bytes, bytes]]:
        """What goes upstream: the caller's headers but for those meant for this server, and a key.

        The server's key pays for what computes; what lists, reads or changes what is kept upstream is for whoever
        brings a key, and for administrators.
        """
        own = _OWN | connection(request.headers)
        passed = [
            (name, value)
            for name, value in request.headers.raw
            if (plain := name.decode("latin-1")) not in own
            and not plain.startswith(_PRIVATE)
            and PREFIX.encode() not in value
        ]
        passed.append((b"accept-encoding", b"identity"))
        given = request.headers.get("x-upstream-authorization", "").strip()
        what = f"{request.method} {_path(request)}"
        if not given and not COMPUTING.fullmatch(what) and not principal.may(EVERY, Scope.ADMIN):
            raise ForbiddenError(
                f"{what} may touch what others keep upstream: send a key of your own as X-Upstream-Authorization, "
                "or use a token with 'admin' in all spaces"
            )
        if not given and self.config.upstream_key_env:
            given = os.environ.get(self.config.upstream_key_env, "").strip()
        if given:
            passed.append((b"authorization", (given if " " in given else f"Bearer {given}").encode()))
        return passed

    def _exchange(self, request: Request, principal: Principal, body: Mapping[str, Any], asked: Asked) -> Exchange:
        space = self._space(request, principal, body)
        reads, writes = principal.may(space, Scope.READ), principal.may(space, Scope.WRITE)
        if not reads and not writes:
            principal.need(space, Scope.READ)
        notes = [] if reads else ["not recalled: the token does not grant 'read' here"]
        notes += [] if writes else ["not remembered: the token does not grant 'write' here"]
        wants = [request.headers.get(f"x-mnemic-{verb}", "on").lower() != "off" for verb in ("recall", "remember")]
        return Exchange(space, asked, self.config.clock(), reads and wants[0], writes and wants[1], notes=notes)

    def _space(self, request: Request, principal: Principal, body: Mapping[str, Any]) -> str:
        """The space that is named; else the only one of the token; else the user's; else the default."""
        if named := unquote(request.headers.get("x-mnemic-space", "")):
            return checked(named)
        if len(principal.grants) == 1 and EVERY not in principal.grants:
            return next(iter(principal.grants))
        for name in ("user", "safety_identifier"):
            if isinstance(user := body.get(name), str) and user.strip():
                space = f"user-{user.strip()}"
                short = space.isprintable() and len(space) <= LONGEST
                return space if short else f"user-{hashlib.sha256(user.encode('utf-8', 'replace')).hexdigest()}"
        return self.config.space

    # -- memory ----------------------------------------------------------------------------------------------

    async def _with_memory(
        self, exchange: Exchange, request: Request, body: dict[str, Any], content: bytes, dialect: Dialect
    ) -> bytes:
        """The body to send: with everything quoted so far at its place, and what is recalled for the question."""
        asked, space = exchange.asked, exchange.space
        known = self.sessions.find(space, asked, exchange.at)
        named = unquote(request.headers.get("x-mnemic-session", ""))
        if len(named) > LONGEST or not named.isprintable():
            raise InputError(f"the name of a session has up to {LONGEST} printable characters")
        exchange.session = named or (known.session if known else await self._session(exchange))
        exchange.marks = asked.marks(known.mark if known and asked.stateful else "")
        self.sessions.asks(space, exchange.session, asked, exchange.marks, exchange.at)
        if not exchange.reads:
            return content
        blocks = self.sessions.blocks(space, exchange.session)
        quoted = dict(blocks) if asked.stateful else {mark: blocks[mark] for mark in exchange.marks if mark in blocks}
        read = await self._safely(exchange, "not recalled", self._read, exchange, quoted)
        if read is None:
            return content
        exchange.block, stale = read
        self.sessions.settle(space, exchange.session, exchange.link.mark, exchange.block, stale)
        blocks = self.sessions.blocks(space, exchange.session)
        placed = {
            each.place: blocks[mark]
            for each, mark in zip(asked.said, exchange.marks, strict=True)
            if each.role == "user" and mark in blocks and blocks[mark].text
        }
        if not placed:
            return content
        try:
            texts = {place: block.text for place, block in placed.items()}
            told = json.dumps(dialect.quote(body, texts), allow_nan=False)
        except ValueError:
            exchange.notes.append("not recalled: the body holds a number that JSON cannot")
            exchange.block = None
            return content
        exchange.tokens = sum(block.tokens for block in placed.values())
        self.service.metrics.injected(exchange.tokens)
        return told.encode()

    async def _session(self, exchange: Exchange) -> str:
        """The session of a conversation that is not known here: the one it is stored in, else a new one."""
        asked, found = exchange.asked, None
        if asked.conversation:
            return asked.conversation
        if asked.question[0]:
            found = await self._safely(exchange, "not found again", self._stored, exchange)
        return found or new_session(asked.opening, exchange.at)

    def _stored(self, exchange: Exchange) -> str | None:
        with self.service.spaces.use(exchange.space) as memory:
            return stored_session(memory, exchange.asked.opening)

    def _read(self, exchange: Exchange, quoted: Mapping[str, Block]) -> tuple[Block, set[str]]:
        """What is to be quoted for the question; and the marks at which nothing must be quoted any more.

        What was recalled for the question in the last half hour is not recalled again. A quotation goes when
        something in it was forgotten, revised or erased since.
        """
        asked, mark = exchange.asked, exchange.link.mark
        start, end = asked.question
        question = "\n".join(each.text for each in asked.said[start:end]).strip()
        with self.service.spaces.use(exchange.space) as memory, self.service.metrics.verb("recall"):
            ids = [id for block in quoted.values() for id in block.ids]
            active = {record.id for record in memory.get(ids) if record.state == State.ACTIVE}
            stale = {each for each, block in quoted.items() if not active.issuperset(block.ids)}
            before = quoted.get(mark)
            if before and mark not in stale and (not asked.last or exchange.at - before.at < PAUSE):
                return before, stale
            if not question:
                return Block("", (), 0, exchange.at), stale
            block = recall(
                memory,
                question,
                budget=self.config.budget,
                now=exchange.at,
                known={id for each, block in quoted.items() if each not in {mark, *stale} for id in block.ids},
                held={plain(each.text) for each in asked.said},
                session=exchange.session if asked.stateful else None,
            )
            return block, stale

    async def _safely(self, exchange: Exchange, what: str, call: Callable[..., T], *given: Any) -> T | None:
        """``call`` in a thread, or None if it fails or takes too long: the chat goes on."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(call, *given), PATIENCE)
        except NotFoundError:  # nothing was ever remembered here
            return None
        except Exception as error:  # noqa: BLE001  told in a header and in the log
            reason = f"no answer within {PATIENCE:g} s" if isinstance(error, TimeoutError) else type(error).__name__
            exchange.notes.append(f"{what}: {reason}; the server's log says more")
            _log.warning("the proxy goes on without memory of %r: %s", exchange.space, error, exc_info=True)
            return None

    # -- afterwards ------------------------------------------------------------------------------------------

    def _finish(self, exchange: Exchange, answer: Answer) -> None:
        """The answer is through: remember the question and the answer."""
        self.sessions.answered(exchange.space, exchange.link, exchange.asked, answer.text, answer.id)
        if exchange.writes:
            self._writing.submit(self._write, exchange, answer, self.config.clock())

    def _write(self, exchange: Exchange, answer: Answer, ended: datetime) -> None:
        """Runs in the writing thread, where nobody waits for it: what goes wrong is logged."""
        try:
            turns = self._turns(exchange, answer, ended)
            if not turns:
                return
            with self.service.spaces.use(exchange.space, make=True) as memory, self.service.metrics.verb("remember"):
                stored = {record.id: record.at for record in memory.get([turn.id or "" for turn in turns])}
                fresh = []
                for turn in turns:
                    before = stored.get(turn.id or "")
                    if turn.id in stored:
                        if not exchange.asked.last or before is None or exchange.at - before < PAUSE:
                            continue  # a repetition: a retry, another answer, the way back from a tool
                        turn = replace(turn, id=f"{turn.id}-{exchange.at:%Y%m%dT%H%M%S}")
                    fresh.append(turn)
                if fresh:
                    self.service.metrics.wrote(len(memory.remember(fresh).ids))
        except Exception:  # noqa: BLE001  told in the log, with the traceback
            _log.exception("what was said in %r, session %r, is not remembered", exchange.space, exchange.session)

    def _turns(self, exchange: Exchange, answer: Answer, ended: datetime) -> list[Turn]:
        """The question and the answer as turns; their ids say what was said where in which session."""
        start, end = exchange.asked.question
        asked = zip(exchange.asked.said[start:end], exchange.marks[start:end], strict=True)
        turns = [
            _turn(exchange, said.text, said.speaker, "user", exchange.at, digest(exchange.session, mark))
            for said, mark in asked
        ]
        id = digest(exchange.session, exchange.link.mark, plain(answer.text))
        meta: dict[str, Any] = {"model": answer.model} if answer.model else {}
        meta |= {} if answer.whole else {"broken_off": True}
        turns.append(_turn(exchange, answer.text, "", "assistant", ended, id, meta))
        return [part for turn in turns if turn.text.strip() for part in _parts(turn)]


def _path(request: Request) -> str:
    """What follows ``/v1/``, as it was sent: an escaped slash in the name of a model stays one."""
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return raw.decode("latin-1").partition("/v1/")[2].partition("?")[0]


def _turn(
    exchange: Exchange,
    text: str,
    speaker: str,
    role: str,
    at: datetime,
    id: str,
    meta: Mapping[str, Any] | None = None,
) -> Turn:
    return Turn(
        text, speaker or None, at, exchange.session, role, id=f"chat:{id}", meta={"source": "proxy", **(meta or {})}
    )


def _parts(turn: Turn) -> list[Turn]:
    """``turn`` in pieces that a store takes."""
    if len(turn.text) <= MAX_TEXT:
        return [turn]
    cuts = range(0, len(turn.text), MAX_TEXT)
    return [replace(turn, text=turn.text[at : at + MAX_TEXT], id=f"{turn.id}~{n}") for n, at in enumerate(cuts, 1)]
