"""A server inside the test: its application without a socket, its service, and clients with tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from mnemic.serve.app import build
from mnemic.serve.config import Config
from mnemic.serve.service import Service
from mnemic.serve.tokens import Scope

HERE = "http://127.0.0.1:8377"


@dataclass
class Served:
    """``http`` has a token for everything."""

    app: FastAPI
    http: TestClient

    @property
    def service(self) -> Service:
        return self.app.state.service

    def token(self, **grants: Iterable[Scope]) -> str:
        """A token for these spaces; ``every`` stands for all of them."""
        return self.service.tokens.create("test", {"*" if at == "every" else at: of for at, of in grants.items()})

    def client(self, token: str | None = None, **headers: str) -> TestClient:
        """A client with this token, or with none; what goes wrong in the server is an answer, not an exception."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        made = TestClient(self.app, base_url=HERE, headers=headers, raise_server_exceptions=False)
        made.portal = self.http.portal  # one event loop for all: what a page began goes on after its request
        return made

    def remember(self, *turns: Any, space: str = "default", **options: Any) -> list[str]:
        """Put these into a space; their ids."""
        with self.service.spaces.use(space, make=True) as memory:
            return list(memory.remember(turns, **options).ids)


@contextmanager
def serving(store: Path, **config: Any) -> Iterator[Served]:
    """A running application, lexical only and without pages unless ``config`` says otherwise."""
    app = build(Config(store, **{"encoders": "lexical", "pages": False, **config}))
    with TestClient(app, base_url=HERE) as http:
        served = Served(app, http)
        if app.state.service.config.auth:
            http.headers["Authorization"] = f"Bearer {served.token(every=[Scope.ADMIN])}"
        yield served
