"""What the server tells Prometheus: how much is asked, how long it takes, what is open.

Labels are doors, routes (patterns, not paths), verbs and states. Names of spaces, tokens and models are never among
them: they are private, and there may be any number.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemic.serve.gate import principal_of
from mnemic.serve.jobs import Jobs, JobState
from mnemic.serve.service import service_of
from mnemic.serve.spaces import Spaces
from mnemic.serve.tokens import EVERY
from mnemic.serve.tokens import Scope as Permission

router = APIRouter()
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Bounds of the buckets of latencies."""
DOORS = {"api": "rest", "v1": "proxy", "mcp": "mcp", "healthz": "health", "readyz": "health", "metrics": "health"}
"""The first step of a path, and the door it belongs to; every other one is a page."""


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self, spaces: Spaces, jobs: Jobs) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(_Standing(spaces, jobs))
        self._requests = Counter(
            "mnemic_requests",
            "HTTP requests answered.",
            ["door", "route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "mnemic_verb_seconds",
            "How long a verb took inside the server, without waiting for a thread and without the network.",
            ["verb", "outcome"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._turns = Counter("mnemic_turns_written", "Turns stored, imports included.", registry=self.registry)
        self._tokens = Counter(
            "mnemic_proxy_tokens_injected",
            "Tokens of memory that the proxy put before what was asked.",
            registry=self.registry,
        )
        jobs.on_written = self.wrote

    @contextmanager
    def verb(self, name: str) -> Iterator[None]:
        """Time what runs inside as the verb ``name``."""
        began = time.perf_counter()
        outcome = "error"
        try:
            yield
            outcome = "ok"
        finally:
            self._seconds.labels(name, outcome).observe(time.perf_counter() - began)

    def wrote(self, turns: int) -> None:
        """Count ``turns`` that were stored."""
        self._turns.inc(turns)

    def injected(self, tokens: int) -> None:
        """Count ``tokens`` of memory that the proxy put into a prompt."""
        self._tokens.inc(tokens)

    def asgi(self, app: ASGIApp) -> ASGIApp:
        """``app`` with its HTTP requests counted. To be put around everything else."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            scope = dict(scope)  # what is behind writes into it, and the server that runs us logs its own
            status = 500

            async def noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, noted)
            finally:
                door = DOORS.get(scope["path"].split("/", 2)[1], "pages")
                self._requests.labels(door, _route(scope, door), _method(scope), str(status)).inc()

        return counted

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All figures in the text format that ``accept`` prefers, and its content type."""
        encode, kind = choose_encoder(accept)
        return encode(self.registry), kind


class _Standing(Collector):
    """Figures that are looked up when they are asked for."""

    def __init__(self, spaces: Spaces, jobs: Jobs) -> None:
        self.spaces = spaces
        self.jobs = jobs

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("mnemic_open_spaces", "Spaces that are open.", value=len(self.spaces))
        states = GaugeMetricFamily("mnemic_jobs", "Jobs of the last day by state.", labels=["state"])
        jobs = self.jobs.all()
        for state in JobState:
            states.add_metric([state], sum(job.state == state for job in jobs))
        yield states


def _route(scope: Scope, door: str) -> str:
    """The pattern of the route that answered; what no route answered, and what pages do, is one each."""
    if door == "pages":
        return "pages"
    pattern: Any = getattr(scope.get("route"), "path", None)
    return pattern if isinstance(pattern, str) else "none"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """For admins of everything; a server without tokens, which only this machine reaches, takes everybody for one."""
    principal_of(request).need(EVERY, Permission.ADMIN)
    body, kind = service_of(request).metrics.exposition(request.headers.get("accept", ""))
    return Response(body, media_type=kind)
