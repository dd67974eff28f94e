"""One open page of a browser: whose it is, which space it shows, and the only way to a memory.

Whoever looks is asked for anew at every step, so that a logout, a revoked token or a changed grant works at once;
and no handler reaches a memory but through :meth:`Visit.use`, which checks the scope it names.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from nicegui import Client, ui
from starlette.concurrency import run_in_threadpool

from mnemic.errors import MnemicError, ModelError, StoreError, UnauthorizedError
from mnemic.serve.pages.markup import url
from mnemic.serve.service import Service
from mnemic.serve.tokens import LOCAL, Principal, Scope
from mnemic.text.memory import Memory

T = TypeVar("T")
_log = logging.getLogger("mnemic.serve")


class Visit:
    """What a page's handlers hold on to. ``space`` is the one that is shown."""

    def __init__(self, service: Service, cookie: str | None, client: Client) -> None:
        self.service = service
        self.client = client
        self.space = ""
        self._cookie = cookie

    def who(self) -> Principal:
        """Who looks. Raises :class:`UnauthorizedError` once the login has ended."""
        if not self.service.config.auth:
            return LOCAL
        found = self.service.logins.principal(self._cookie) if self._cookie else None
        if found is None:
            raise UnauthorizedError("this login has ended: log in again")
        return found

    def may(self, scope: Scope) -> bool:
        """Whether ``scope`` is granted in the space that is shown."""
        return self.who().may(self.space, scope)

    async def use(self, scope: Scope, work: Callable[[Memory], T], *, make: bool = False) -> T:
        """What ``work`` makes of the space's memory, in a thread; raises before that unless ``scope`` is granted."""
        principal, space = self.who(), self.space
        principal.need(space, scope)

        def run() -> T:
            with self.service.use(principal, space, scope, make=make) as memory:
                return work(memory)

        return await run_in_threadpool(run)

    async def spaces(self) -> list[str]:
        """The spaces in which anything is granted."""
        return self.who().sees(await run_in_threadpool(self.service.spaces.names))

    async def enter(self, asked: str | None) -> bool:
        """Show the space ``asked``, or the first that there is to see. Returns whether it exists."""
        seen = await self.spaces()
        usual = self.service.config.space
        self.space = asked or (usual if usual in seen or not seen else seen[0])
        return self.space in seen

    def url(self, path: str, **query: str | int | None) -> str:
        """The address of another page of the same space."""
        return url(path, space=self.space, **query)

    def doing(self, work: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """``work`` as a handler: what goes wrong on purpose is told in the page."""

        @wraps(work)
        async def handler(*given: Any) -> None:
            try:
                await work(*given)
            except MnemicError as error:
                self.tell(error)

        return handler

    def tell(self, what: str | MnemicError) -> None:
        """A short message at the edge of the page; whoever is logged out is led to the login."""
        if isinstance(what, UnauthorizedError):
            self.client.open("/login")
            return
        bad = isinstance(what, MnemicError)
        if not self.client.is_deleted:
            with self.client:
                ui.notify(
                    words(what) if isinstance(what, MnemicError) else what,
                    position="bottom",
                    classes="toast bad" if bad else "toast",
                    timeout=9000 if bad else 3500,
                    close_button="Close" if bad else False,
                )


def words(error: MnemicError) -> str:
    """The error as a page may tell it: what names files of this machine stays in the log."""
    if isinstance(error, StoreError | ModelError):
        _log.error("%s: %s", type(error).__name__, error)
        return "The store cannot be used just now; the server's log says why."
    told = str(error)
    return told[:1].upper() + told[1:]
