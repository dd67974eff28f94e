"""What all doors share: the spaces, the tokens and what runs in the background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.types import Scope as AsgiScope

from mnemic.serve.config import Config
from mnemic.serve.logins import Logins
from mnemic.serve.spaces import Spaces
from mnemic.serve.tokens import Principal, Scope, Tokens
from mnemic.text.forgetting import Preview
from mnemic.text.memory import Memory
from mnemic.text.record import Receipt

if TYPE_CHECKING:
    from mnemic.serve.jobs import Jobs
    from mnemic.serve.metrics import Metrics


@dataclass
class Service:
    """One server's state. ``app.state.service`` holds it."""

    config: Config
    spaces: Spaces
    tokens: Tokens
    logins: Logins
    jobs: Jobs
    metrics: Metrics

    @contextmanager
    def use(self, principal: Principal, space: str, *scopes: Scope, make: bool = False) -> Iterator[Memory]:
        """The memory of ``space``, if ``principal`` has all of ``scopes`` there.

        Raises :class:`ForbiddenError` before anything is looked up, then :class:`NotFoundError`.
        """
        for scope in scopes:
            principal.need(space, scope)
        with self.spaces.use(space, make=make) as memory:
            yield memory

    def drop(self, principal: Principal, space: str) -> None:
        """Delete ``space`` with its jobs and their files."""
        principal.need(space, Scope.ADMIN)
        self.jobs.drop(space)
        self.spaces.drop(space)

    def forget(
        self, principal: Principal, space: str, what: str | Sequence[str], *, erase: bool = False, preview: bool = False
    ) -> Receipt | Preview:
        """Forget as :meth:`Memory.forget` does; exports that hold what was erased go too.

        A preview shows text, so it takes the right to read as well.
        """
        scopes = (Scope.FORGET, Scope.READ) if preview else (Scope.FORGET,)
        with self.use(principal, space, *scopes) as memory:
            done = memory.forget(what, erase=erase, preview=preview)
        if erase and not preview:
            self.jobs.outdate(space)
        return done


def service_of(request: HTTPConnection | AsgiScope) -> Service:
    """The service of the application that handles ``request``."""
    scope = request.scope if isinstance(request, HTTPConnection) else request
    service = scope["app"].state.service
    if not isinstance(service, Service):
        raise TypeError("app.state.service is no Service")
    return service
