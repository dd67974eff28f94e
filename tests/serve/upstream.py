"""A stand-in for an OpenAI-compatible server, and a way to run an application on a port of this machine."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from openai import OpenAI

from mnemic import Record
from mnemic.serve.app import build
from mnemic.serve.config import Config
from mnemic.serve.proxy_sessions import Sessions
from mnemic.serve.service import Service
from mnemic.serve.tokens import Scope


@dataclass
class Seen:
    """A request as it arrived. ``closed`` is set when its answer ended before it was through."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: bytes
    closed: threading.Event = field(default_factory=threading.Event)

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Upstream:
    """Answers what it is told to, in words or in bytes, and keeps what it was asked.

    ``reply`` is the answer, or makes it from a request's body. ``status`` other than 200 makes it an error.
    ``raw`` are pieces of an event stream sent as they are; a float among them is a pause, None breaks the stream off.
    """

    reply: str | Callable[[dict[str, Any]], str] = "Hello!"
    status: int = 200
    raw: list[bytes | float | None] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    message: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    count: int = 0

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    def app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Response:
            seen = await self._note(request)
            if self.status != 200:
                return self._failing()
            return self._answer(seen, self._chat(seen.json), self._chunks(seen.json))

        @app.post("/v1/responses")
        async def responses(request: Request) -> Response:
            seen = await self._note(request)
            if self.status != 200:
                return self._failing()
            whole = self._response(seen.json)
            return self._answer(seen, whole, self._events(whole))

        @app.get("/v1/models")
        async def models(request: Request) -> Response:
            await self._note(request)
            model = {"id": "fake", "object": "model", "created": 1, "owned_by": "nobody"}
            return JSONResponse({"object": "list", "data": [model]}, headers=self.headers)

        @app.post("/v1/embeddings")
        async def embeddings(request: Request) -> Response:
            await self._note(request)
            data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
            usage = {"prompt_tokens": 1, "total_tokens": 1}
            return JSONResponse({"object": "list", "data": data, "model": "fake", "usage": usage})

        @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        async def other(request: Request) -> Response:
            seen = await self._note(request)
            return Response(seen.content or b"nothing", self.status, {"x-path": seen.path, **self.headers})

        return app

    async def _note(self, request: Request) -> Seen:
        raw = request.scope["raw_path"].decode()
        seen = Seen(request.method, raw, request.url.query, dict(request.headers), await request.body())
        self.seen.append(seen)
        self.count += 1
        return seen

    def _failing(self) -> Response:
        error = {"error": {"message": "no", "type": "invalid_request_error", "param": "model", "code": "bad"}}
        return JSONResponse(error, self.status, headers=self.headers)

    def _answer(self, seen: Seen, whole: Any, events: list[bytes]) -> Response:
        if not seen.json.get("stream") and not self.raw:
            return JSONResponse(whole, headers=self.headers)
        pieces = self.raw or list[bytes | float | None](events)

        async def stream() -> AsyncIterator[bytes]:
            try:
                for piece in pieces:
                    if piece is None:
                        raise ConnectionError("broken off")
                    if isinstance(piece, float):
                        await asyncio.sleep(piece)
                    else:
                        yield piece
            except BaseException:
                seen.closed.set()
                raise

        return StreamingResponse(stream(), media_type="text/event-stream", headers=self.headers)

    def _text(self, body: dict[str, Any]) -> str:
        return self.reply if isinstance(self.reply, str) else self.reply(body)

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        choices = []
        for index in range(body.get("n") or 1):
            message = {"role": "assistant", "content": self._text(body) + " again" * index, **self.message}
            choices.append({"index": index, "message": message, "finish_reason": "stop", "logprobs": None})
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        head = {"id": f"chatcmpl-{self.count}", "object": "chat.completion", "created": 1, "model": "fake-1"}
        return {**head, "choices": choices, "usage": usage}

    def _chunks(self, body: dict[str, Any]) -> list[bytes]:
        head = {"id": f"chatcmpl-{self.count}", "object": "chat.completion.chunk", "created": 1, "model": "fake-1"}
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word} for word in pieces(self._text(body))]
        if self.message:
            deltas = [{"role": "assistant", **self.message}]
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        return [sse({**head, "choices": [choice]}) for choice in choices] + [b"data: [DONE]\n\n"]

    def _response(self, body: dict[str, Any]) -> dict[str, Any]:
        part = {"type": "output_text", "text": self._text(body), "annotations": []}
        item = {
            "id": f"msg_{self.count}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        usage = {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 12,
        }
        return {
            "id": f"resp_{self.count}",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": "fake-1",
            "output": [{"id": "rs_1", "type": "reasoning", "summary": []}, item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }

    def _events(self, whole: dict[str, Any]) -> list[bytes]:
        item = whole["output"][1]
        at = {"item_id": item["id"], "output_index": 1, "content_index": 0}
        events = [{"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}]
        for word in pieces(item["content"][0]["text"]):
            events.append({"type": "response.output_text.delta", "delta": word, "logprobs": [], **at})
        events.append({"type": "response.completed", "response": whole})
        return [
            f"event: {each['type']}\n".encode() + sse({**each, "sequence_number": n}) for n, each in enumerate(events)
        ]


def pieces(text: str) -> list[str]:
    """``text`` word by word, blanks kept."""
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


def sse(data: Any) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


@contextmanager
def running(app: Any, *, grace: float = 5.0) -> Iterator[tuple[str, uvicorn.Server]]:
    """The address of ``app`` and its server while it runs in a thread; on leaving it shuts down as on a signal."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=grace, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the server did not start")
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


START = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass
class Stage:
    """A server with its proxy before a stand-in, as tests use it."""

    url: str
    app: Any
    upstream: Upstream
    token: str
    server: uvicorn.Server
    clock: Clock

    @property
    def service(self) -> Service:
        return self.app.state.service

    def client(self, token: str | None = None) -> OpenAI:
        """OpenAI's own client, talking to the proxy."""
        return _client().with_options(base_url=f"{self.url}/v1", api_key=token or self.token)

    def ask(self, *said: str, token: str | None = None, **options: Any) -> Any:
        """The answer to ``said``: what the user and the assistant say in turn, beginning with the user."""
        messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
        create = self.client(token).chat.completions.with_raw_response.create
        return create(model="fake", messages=messages, **options)

    def http(self, method: str, path: str, token: str | None = None, **options: Any) -> httpx.Response:
        """The answer to any request."""
        headers = {"Authorization": f"Bearer {token or self.token}", **options.pop("headers", {})}
        return HTTP.request(method, self.url + path, headers=headers, **options)

    def reset(self) -> None:
        """Forget everything, as if it had just been started on an empty folder."""
        self.through()
        for space in self.service.spaces.names():
            self.service.spaces.drop(space)
        self.clock.now = START
        self.app.state.proxy.sessions = Sessions(self.service.config.budget)
        for each in fields(Upstream):
            setattr(self.upstream, each.name, getattr(Upstream(), each.name))

    def through(self) -> None:
        """Wait until all that was asked is answered, and all that was said is written."""
        deadline = time.monotonic() + 20
        while self.server.server_state.tasks and time.monotonic() < deadline:
            time.sleep(0.002)
        self.app.state.proxy._writing.submit(lambda: None).result()

    def grant(self, **grants: Iterable[Scope]) -> str:
        """A token for these spaces; ``every`` stands for all of them."""
        return self.service.tokens.create("test", {"*" if at == "every" else at: of for at, of in grants.items()})

    def remember(self, *turns: str, space: str = "default", session: str = "before") -> list[str]:
        """Put these into a space; their ids."""
        with self.service.spaces.use(space, make=True) as memory:
            return list(memory.remember(turns, session=session, role="user", at="2024-01-05").ids)

    def records(self, count: int, space: str = "default") -> list[Record]:
        """What the proxy remembered, once all that was asked is through: ``count`` records."""
        self.through()
        found = []
        if space in self.service.spaces.names():
            with self.service.spaces.use(space) as memory:
                found = [record for record in memory.scan()[0] if record.meta.get("source") == "proxy"]
        assert len(found) == count, [record.text for record in found]
        return found


HTTP = httpx.Client(verify=False, timeout=30)


@cache
def _client() -> OpenAI:
    return OpenAI(base_url="http://nowhere", api_key="none", max_retries=0)


@contextmanager
def stage(store: Path, **config: Any) -> Iterator[Stage]:
    """A server on the loopback whose proxy has a stand-in behind it, lexical only."""
    upstream, clock = Upstream(), Clock()
    with running(upstream.app()) as (behind, _):
        given: dict[str, Any] = {
            "upstream": f"{behind}/v1",
            "encoders": "lexical",
            "pages": False,
            "clock": clock,
            **config,
        }
        app = build(Config(store, **given))
        with running(app) as (url, server):
            token = app.state.service.tokens.create("all", {"*": list(Scope)})
            yield Stage(url, app, upstream, token, server, clock)


@pytest.fixture(scope="module")
def running_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage for all the tests of a module that import it."""
    with stage(tmp_path_factory.mktemp("store")) as opened:
        yield opened


def contents(served: Stage) -> list[Any]:
    """What the messages of the last request say, as the upstream saw it."""
    return [message["content"] for message in served.upstream.last.json["messages"]]
