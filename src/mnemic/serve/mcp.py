"""MCP: the memory's tools and resources for any MCP client, over HTTP and over standard streams.

One server object serves both. Who asks is taken from each request anew, never from a session: over HTTP every request
stands alone, so nothing of one token can reach another. Calls to the memory run in threads.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, get_args
from urllib.parse import quote, unquote

import anyio
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

import mnemic
from mnemic.adapters.tools import INSTRUCTIONS, Tools
from mnemic.errors import MnemicError, NotFoundError
from mnemic.serve.tokens import Principal, Scope
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Record, State
from mnemic.text.steps.render import QUOTATION, count_tokens, name, quoted, shown, when

if TYPE_CHECKING:
    from mnemic.serve.service import Service

HEADER = "x-mnemic-space"
"""The HTTP header that names the space where a tool call does not; percent-encoded where it is not ASCII."""
RECENT = 2000
"""Tokens of the newest turns that the resource of a space shows."""
_URI = re.compile(r"mnemic://([^/?#]+)(?:/([^/?#]+))?/?")
_log = logging.getLogger(__name__)

T = TypeVar("T")
Context = ServerRequestContext[Any, Any]
Spaced = Annotated[str | None, Field(description="The space, that is which memory; leave it out for the usual one.")]


class Doors(Protocol):
    """What the server needs of the spaces it serves: see :class:`mnemic.serve.spaces.Spaces`."""

    def use(self, name: str, *, make: bool = False) -> AbstractContextManager[Memory]: ...
    def names(self) -> list[str]: ...


@dataclass(frozen=True)
class Verb:
    """A tool: what a caller needs to use it, and how it is called and answered."""

    scope: Scope
    tool: Tool
    arguments: type[BaseModel]
    answer: TypeAdapter[Any]


def verbs(*, spaced: bool) -> dict[str, Verb]:
    """The tools by their names; ``spaced`` ones can name their space."""
    return {
        each.tool.name: each
        for each in (
            _verb("remember", "Remember", Scope.WRITE, spaced),
            _verb("recall", "Recall", Scope.READ, spaced, read_only_hint=True),
            _verb("ask", "Ask the memory", Scope.READ, spaced, read_only_hint=True),
            _verb("revise", "Revise a memory", Scope.WRITE, spaced),
            _verb("forget", "Forget", Scope.FORGET, spaced, destructive_hint=True, idempotent_hint=True),
            _verb("history", "History of a memory", Scope.READ, spaced, read_only_hint=True),
        )
    }


def _verb(name: str, title: str, scope: Scope, spaced: bool, **hints: bool) -> Verb:
    signature = inspect.signature(getattr(Tools, name), eval_str=True)
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for parameter in list(signature.parameters.values())[1:]
    }
    if spaced:
        fields["space"] = (Spaced, None)
    arguments = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    answer: TypeAdapter[Any] = TypeAdapter(get_args(signature.return_annotation)[0])
    quiet = {"destructive_hint": False, "idempotent_hint": hints.get("read_only_hint", False), "open_world_hint": False}
    tool = Tool(
        name=name,
        title=title,
        description=inspect.getdoc(getattr(Tools, name)),
        input_schema=arguments.model_json_schema(),
        output_schema=answer.json_schema(mode="serialization"),
        annotations=ToolAnnotations(title=title, **{"read_only_hint": False, **quiet, **hints}),
    )
    return Verb(scope, tool, arguments, answer)


class Handlers:
    """Answers the requests of MCP clients. ``who`` tells who sent one; ``space`` is the usual space."""

    def __init__(
        self,
        spaces: Doors,
        space: str,
        who: Callable[[Request | None], Principal],
        *,
        spaced: bool = True,
        service: Service | None = None,
    ) -> None:
        self.spaces = spaces
        self.space = space
        self.who = who
        self.verbs = verbs(spaced=spaced)
        self.service = service

    def server(self) -> Server[Any]:
        return Server(
            "mnemic",
            title="Mnemic",
            version=mnemic.__version__,
            description="Long-term memory: what was said, word for word, with who said it and when.",
            instructions=INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read_resource,
        )

    # -- tools -----------------------------------------------------------------------------------------------

    async def list_tools(self, ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        """The tools that the caller may use in some space."""
        principal = self.who(ctx.request)
        return ListToolsResult(
            tools=[v.tool for v in self.verbs.values() if any(principal.may(s, v.scope) for s in principal.grants)]
        )

    async def call_tool(self, ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        verb = self.verbs.get(params.name)
        if verb is None:
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name!r}: use one of {', '.join(self.verbs)}")
        try:
            arguments = verb.arguments.model_validate(params.arguments or {})
            return await _in_thread(self._call, ctx.request, verb, dict(arguments))
        except ValidationError as error:
            return _failed("; ".join(map(_fault, error.errors(include_url=False, include_input=False))))
        except MnemicError as error:
            return _failed(str(error))

    def _call(self, request: Request | None, verb: Verb, arguments: dict[str, Any]) -> CallToolResult:
        called = arguments.pop("space", None)
        scopes = [verb.scope]
        if verb.scope is Scope.FORGET and not arguments["confirm"]:  # a preview shows text
            scopes.append(Scope.READ)
        with self._measured(verb), self.memory(request, scopes, called) as memory:
            told = getattr(Tools(memory), verb.tool.name)(**arguments)
            if self.service is not None and arguments.get("erase") and told.data.done:
                self.service.jobs.outdate(memory.space.name)
        return CallToolResult(
            content=[TextContent(text=told.text)], structured_content=verb.answer.dump_python(told.data, mode="json")
        )

    def _measured(self, verb: Verb) -> AbstractContextManager[Any]:
        return nullcontext() if self.service is None else self.service.metrics.verb(verb.tool.name)

    @contextmanager
    def memory(self, request: Request | None, scopes: Sequence[Scope], called: str | None = None) -> Iterator[Memory]:
        """The memory a request is about: the space ``called``, else that of its header, else the usual one.

        A space that a person set up is made when it is first used by somebody who may write; one that a model called
        by name must exist.
        """
        principal = self.who(request)
        header = request.headers.get(HEADER) if request is not None else None
        space = called or unquote(header or "") or self.space
        for scope in scopes:
            principal.need(space, scope)
        try:
            with self.spaces.use(space, make=not called and principal.may(space, Scope.WRITE)) as memory:
                yield memory
        except NotFoundError as error:
            seen = principal.sees(self.spaces.names())
            if space in seen:
                raise
            others = f"use one of {', '.join(map(repr, seen))}" if seen else "there is none yet that you may use"
            raise NotFoundError(f"there is no space {space!r}: {others}") from error

    # -- resources -------------------------------------------------------------------------------------------

    async def list_resources(self, ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        """The spaces that the caller may read."""
        names = await _in_thread(self.spaces.names)
        principal = self.who(ctx.request)
        return ListResourcesResult(
            resources=[
                Resource(
                    uri=f"mnemic://{quote(space, safe='')}",
                    name=space,
                    title=f"Memory {space!r}",
                    description="How much it holds, and what was remembered last.",
                    mime_type="text/plain",
                )
                for space in names
                if principal.may(space, Scope.READ)
            ]
        )

    async def list_templates(self, ctx: Context, params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        told = (
            ("mnemic://{space}", "space", "A space", "How much it holds, and what was remembered last."),
            ("mnemic://{space}/{id}", "memory", "A memory", "One memory with who said it, when, and its sources."),
        )
        return ListResourceTemplatesResult(
            resource_templates=[
                ResourceTemplate(uri_template=uri, name=name, title=title, description=what, mime_type="text/plain")
                for uri, name, title, what in told
            ]
        )

    async def read_resource(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        uri = str(params.uri)
        parts = _URI.fullmatch(uri)
        if parts is None:
            raise MCPError(INVALID_PARAMS, f"{uri!r} is no memory: give mnemic://SPACE or mnemic://SPACE/ID")
        space, id = unquote(parts[1]), unquote(parts[2] or "")
        try:
            text = await _in_thread(self._read, ctx.request, space, id)
        except MnemicError as error:
            raise MCPError(INVALID_PARAMS, str(error), {"uri": uri}) from error
        return ReadResourceResult(contents=[TextResourceContents(uri=params.uri, mime_type="text/plain", text=text)])

    def _read(self, request: Request | None, space: str, id: str) -> str:
        with self.memory(request, [Scope.READ], space) as memory:
            return one(memory, id) if id else overview(memory)


def one(memory: Memory, id: str) -> str:
    """A memory as text: what it says, who said it, when, and what it rests on."""
    found = next((record for record in memory.get(id) if record.state != State.FORGOTTEN), None)
    if found is None:
        raise NotFoundError(f"no memory has the id {id!r}: see recall for the ids there are")
    return f"{quoted(_line(found))}\n{QUOTATION}\nKind: {found.kind}. State: {found.state}. " + (
        f"Rests on: {', '.join(found.sources)}." if found.sources else f"Version: {found.version}."
    )


def overview(memory: Memory) -> str:
    """How much a space holds, and the turns of its latest sessions, as many as fit."""
    stats = memory.stats()
    kinds = ", ".join(f"{kind}: {count}" for kind, count in stats["kinds"].items()) or "nothing yet"
    told = f"The memory {stats['space']!r} holds {kinds}; conversations: {stats['sessions']}."
    lines: list[str] = []
    left = RECENT
    for session, _ in reversed(memory.space.sessions()[-5:]):
        turns, _ = memory.scan(Filter(kinds=[Kind.TURN], sessions=[session]))
        for turn in reversed(turns):
            line = _line(turn)
            left -= count_tokens(line)
            if left < 0:
                break
            lines.append(line)
    if not lines:
        return told
    newest = "\n".join(reversed(lines))
    return f"{told} Last remembered, oldest first:\n{quoted(newest)}\n{QUOTATION}"


def _line(record: Record) -> str:
    text = shown(record).replace("\n", "\n    ")
    return f"{record.id} {when(record.at)} {name(record.speaker or record.role or 'somebody')}: {text}"


async def _in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """``call`` in a thread. What goes wrong unexpectedly is logged, and told to the client in no more than that."""
    try:
        return await anyio.to_thread.run_sync(partial(call, *arguments))
    except MnemicError:
        raise
    except Exception as error:
        _log.exception("an MCP request failed")
        raise MCPError(INTERNAL_ERROR, "this is a fault of the memory server: its log tells more") from error


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=message)], is_error=True)


def _fault(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    return f"{where}: {error['msg']}" if where else str(error["msg"])


# -- transports ----------------------------------------------------------------------------------------------


def attach(app: Starlette, service: Service) -> AbstractAsyncContextManager[None]:
    """Serve MCP at ``/mcp`` (streamable HTTP). What is returned runs as long as the application does."""
    from mnemic.serve.gate import principal_of  # the standard streams start faster without what it needs

    def who(request: Request | None) -> Principal:
        return principal_of(request if request is not None else {})

    handlers = Handlers(service.spaces, service.config.space, who, service=service)
    # Without sessions: a request needs nothing that an earlier one left behind, so a token is checked each time, and
    # neither a restart nor a second server behind the same address loses anything.
    manager = StreamableHTTPSessionManager(
        handlers.server(), json_response=True, stateless=True, max_request_body_size=service.config.limits.body
    )
    app.router.routes.append(Route("/mcp", StreamableHTTPASGIApp(manager), methods=["POST"], include_in_schema=False))
    return manager.run()


async def serve_stdio(handlers: Handlers) -> None:
    """Serve one client over standard input and output until it closes them."""
    server = handlers.server()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
