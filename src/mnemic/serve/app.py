"""Putting the doors together: one application for REST, MCP, the proxy and the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match, Mount
from starlette.types import Scope

import mnemic
from mnemic.serve import files, jobs_api, mcp, metrics, problems, proxy, rest
from mnemic.serve.config import Config
from mnemic.serve.gate import API, Gate
from mnemic.serve.jobs import Jobs
from mnemic.serve.logins import Logins
from mnemic.serve.metrics import Metrics
from mnemic.serve.service import Service
from mnemic.serve.spaces import Spaces
from mnemic.serve.tokens import Tokens


def build(config: Config) -> FastAPI:
    """The application. Nothing is opened before it starts; it closes everything when it stops."""
    service = assemble(config)
    app = FastAPI(
        title="Mnemic",
        summary="Long-term memory for language models.",
        version=mnemic.__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,  # what they show is loaded from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        responses={"default": _PROBLEM},
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = service
    app.state.contexts = [mcp.attach(app, service)]
    problems.install(app)
    app.include_router(rest.health)
    app.include_router(metrics.router)
    for door in (rest, jobs_api, files, proxy):
        app.include_router(door.router, dependencies=[Depends(_BEARER)])
    if config.pages:
        from mnemic.serve import pages

        pages.attach(app, service)
        mounted = app.router.routes.pop()
        if not isinstance(mounted, Mount):
            raise TypeError("the pages are not mounted last")
        app.router.routes.append(_Pages(mounted.path, app=mounted.app, name=mounted.name))
    app.add_middleware(partial(Gate, config=config, tokens=service.tokens, logins=service.logins))
    app.add_middleware(service.metrics.asgi)
    _describe(app)
    return app


def assemble(config: Config) -> Service:
    """What the doors share."""
    spaces = Spaces(config)
    tokens = Tokens(config.tokens, config.clock)
    jobs = Jobs(config, spaces)
    return Service(config, spaces, tokens, Logins(tokens), jobs, Metrics(spaces, jobs))


class _Pages(Mount):
    """The mount of the pages at ``/``. What programs ask for in vain is not for them: it is a 404 or a 405 there."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.NONE, {}) if API.fullmatch(scope["path"]) else super().matches(scope)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.config.store.mkdir(parents=True, exist_ok=True)
    await run_in_threadpool(service.jobs.resume)
    try:
        async with AsyncExitStack() as stack:
            for context in app.state.contexts:
                await stack.enter_async_context(context)
            yield
    finally:
        await run_in_threadpool(service.jobs.close)
        await run_in_threadpool(service.spaces.close)


_BEARER = HTTPBearer(auto_error=False, description="A token that `mnemic token create` made.")
_PROBLEM: dict[str, Any] = {
    "description": "What went wrong, and what to do about it.",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _describe(app: FastAPI) -> None:
    """Let the description hold what problems look like."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            told = plain()
            schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            told["components"]["schemas"].update(**schema.pop("$defs", {}), Problem=schema)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
