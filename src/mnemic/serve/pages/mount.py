"""Putting the pages on an application."""

from __future__ import annotations

from fastapi import FastAPI
from nicegui import Client, ui
from nicegui import app as pages_app
from nicegui.staticfiles import CacheControlledStaticFiles
from starlette.routing import Mount

from mnemic.serve.pages import (
    assets,
    chat,
    forgetting,
    graph,
    health,
    imports,
    login,
    memory,
    search,
    session,
    timeline,
)
from mnemic.serve.pages.guard import Guard, watch_sockets
from mnemic.serve.pages.shell import Page, frame
from mnemic.serve.service import Service
from mnemic.serve.tokens import Scope

PAGES = (
    Page("/chat", "Chat", chat.build, symbol="chat", key="c", missing=imports.welcome),
    Page("/search", "Search", search.build, symbol="search", key="s", missing=imports.welcome),
    Page("/timeline", "Timeline", timeline.build, symbol="timeline", key="t", missing=imports.welcome),
    Page("/graph", "Graph", graph.build, symbol="graph", key="g", missing=imports.welcome),
    Page("/sessions", "Conversations", session.listing, symbol="sessions", key="v", missing=imports.welcome),
    Page("/import", "Import", imports.build, Scope.READ, symbol="import", key="i", missing=imports.build),
    Page("/forget", "Forget", forgetting.build, Scope.FORGET, symbol="forget", key="f", missing=imports.welcome),
    Page("/health", "Health", health.build, symbol="health", key="h", missing=imports.welcome),
    Page("/memory", "Memory", memory.build, under="/search"),
    Page("/session", "Conversation", session.build, under="/sessions"),
    Page("/", "Chat", chat.build, under="/chat", missing=imports.welcome),
)
PATIENCE = 30.0
"""Seconds for which a page is kept when its browser is gone: a phone that slept for a moment finds it as it was."""

YEAR = 365 * 24 * 3600


def mount(app: FastAPI, service: Service) -> None:
    """NiceGUI has one application for each process: a second call mounts it anew."""
    app.include_router(login.router)
    app.mount("/static", CacheControlledStaticFiles(directory=assets.FOLDER, max_cache_age=YEAR))
    pages_app.user_middleware.clear()
    pages_app.middleware_stack = None
    pages_app.remove_route("/favicon.ico")  # of an earlier call; those of pages are replaced by themselves
    for page in PAGES:
        ui.page(page.path, title="Mnemic", language="en-US")(frame(PAGES))
    if str(assets.head()) not in Client.shared_head_html:
        ui.add_head_html(str(assets.head()), shared=True)
    ui.run_with(
        app,
        title="Mnemic",
        favicon=assets.FAVICON,
        dark=None,
        language="en-US",
        tailwind=False,
        reconnect_timeout=PATIENCE,
        show_welcome_message=False,
    )
    # What NiceGUI adds beside compression needs every request in a task of its own, and is not needed here.
    pages_app.user_middleware[:] = [
        each for each in pages_app.user_middleware if getattr(each.cls, "__name__", "") == "GZipMiddleware"
    ]
    watch_sockets()
    pages_app.exception_handlers[404] = login.missing
    mounted = app.router.routes[-1]
    assert isinstance(mounted, Mount)
    mounted.app = Guard(mounted.app, service)
