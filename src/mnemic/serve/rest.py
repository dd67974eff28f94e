"""REST: every verb of a memory under ``/api``, and what goes with them: spaces, tokens, health."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request

from mnemic.errors import InputError, NotFoundError
from mnemic.serve import wire
from mnemic.serve.gate import principal_of
from mnemic.serve.service import Service, service_of
from mnemic.serve.tokens import Principal, Scope, TokenInfo
from mnemic.serve.wire import Id, Moment, Name, Page, told
from mnemic.text.forgetting import Preview
from mnemic.text.language.answer import Answer
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.record import Link, Receipt, Record
from mnemic.text.store.base import Change

T = TypeVar("T")
PART = 50
BYTES = 8 << 20
"""A page of memories ends when its texts are longer than this, whatever its limit; read ``PART`` at a time."""


@dataclass(frozen=True)
class Caller:
    """Who asks, and what for."""

    service: Service
    principal: Principal

    @contextmanager
    def use(self, verb: str, space: str, *scopes: Scope, make: bool = False) -> Iterator[Memory]:
        with self.service.use(self.principal, space, *scopes, make=make) as memory, self.service.metrics.verb(verb):
            yield memory


async def _caller(request: Request) -> Caller:
    return Caller(service_of(request), principal_of(request))


By = Annotated[Caller, Depends(_caller)]
Paging = Annotated[wire.Paging, Query()]
Once = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        description="A repeated call with the same key stores nothing and gives the first receipt.",
    ),
]
Clear = Annotated[bool, Query(description="Secrets in clear; takes the scope admin.")]
health = APIRouter(tags=["health"])
router = APIRouter(prefix="/api")


def _reading(secrets: bool) -> tuple[Scope, ...]:
    return (Scope.READ, Scope.ADMIN) if secrets else (Scope.READ,)


def paged(items: Sequence[T], paging: wire.Paging) -> Page[T]:
    """One page of what is already here: its cursor is a place in it."""
    try:
        start = int(paging.cursor or 0)
    except ValueError:
        raise InputError(f"{paging.cursor!r} is no cursor: pass back what 'next' of the page before said") from None
    end = start + paging.limit
    return Page(list(items[max(start, 0) : end]), str(end) if end < len(items) else None)


# -- spaces --------------------------------------------------------------------------------------------------


@router.get("/spaces", tags=["spaces"])
@told()
def list_spaces(by: By, paging: Paging) -> Page[str]:
    """The names of the spaces that the token grants something in."""
    return paged(by.principal.sees(by.service.spaces.names()), paging)


@router.put("/spaces/{space}", tags=["spaces"], status_code=204)
def make_space(space: Name, by: By, body: wire.NewSpace | None = None) -> None:
    """Make a space. Nothing happens where it exists as wanted."""
    by.principal.need(space, Scope.WRITE)
    wanted = body or wire.NewSpace()
    by.service.spaces.make(space, system=wanted.system, encoders=wanted.encoders)


@router.get("/spaces/{space}", tags=["spaces"])
@told()
def stats(space: Name, by: By) -> dict[str, Any]:
    """Counts, bytes, system and encoders of a space."""
    with by.use("stats", space, Scope.READ) as memory:
        return memory.stats()


@router.delete("/spaces/{space}", tags=["spaces"], status_code=204)
def drop(space: Name, by: By) -> None:
    """Delete a space with everything in it, its jobs included."""
    by.service.drop(by.principal, space)


# -- writing -------------------------------------------------------------------------------------------------


@router.post("/spaces/{space}/turns", tags=["writing"], status_code=201)
@told(201)
def remember(space: Name, body: wire.Remember, by: By, once: Once = None) -> Receipt:
    """Store turns, verbatim: all of them or none. Durable and searchable when this answers. Makes the space."""
    with by.use("remember", space, Scope.WRITE, make=True) as memory:
        receipt = memory.remember(body.turns, **wire.options(body, "turns"), idempotency_key=once)
    by.service.metrics.wrote(len(receipt.ids))
    return receipt


@router.put("/spaces/{space}/memories/{id}", tags=["writing"])
@told()
def revise(space: Name, id: Id, body: wire.Revise, by: By) -> Receipt:
    """Replace what a memory says; the old version stays in its history."""
    with by.use("revise", space, Scope.WRITE) as memory:
        return memory.revise(id, body.text, at=body.at)


@router.post("/spaces/{space}/forget", tags=["writing"])
@told()
def forget(space: Name, body: wire.Forget, by: By) -> Receipt | Preview:
    """Forget by ids or by a query; ``erase`` removes the text; ``preview`` only tells what would go."""
    with by.service.metrics.verb("forget"):
        return by.service.forget(by.principal, space, body.what, erase=body.erase, preview=body.preview)


# -- reading -------------------------------------------------------------------------------------------------


@router.post("/spaces/{space}/recall", tags=["reading"])
@told()
def recall(space: Name, body: wire.Query, by: By) -> Recall:
    """The memories that answer a query best, cited, with a calibrated confidence."""
    with by.use("recall", space, Scope.READ) as memory:
        return memory.recall(**wire.options(body))


@router.post("/spaces/{space}/ask", tags=["reading"])
@told(threads=16)  # a language model may take a minute
def ask(space: Name, body: wire.Question, by: By) -> Answer:
    """An answer with citations: by the server's language model if it has one, else the best sentences."""
    with by.use("ask", space, Scope.READ) as memory:
        return memory.ask(**wire.options(body))


@router.post("/spaces/{space}/get", tags=["reading"])
@told()
def get_several(space: Name, body: wire.Wanted, by: By) -> list[Record]:
    """Memories by id, in this order; those that are not stored are left out."""
    with by.use("get", space, *_reading(body.secrets)) as memory:
        return memory.get(body.ids, secrets=body.secrets, as_of=body.as_of)


@router.get("/spaces/{space}/memories", tags=["reading"])
@told()
def list_memories(space: Name, by: By, wanted: Annotated[wire.Listing, Query()]) -> Page[Record]:
    """The memories that pass a filter, in the order they were stored. A page may be shorter than its limit."""
    found: list[Record] = []
    cursor = wanted.cursor
    with by.use("scan", space, *_reading(wanted.secrets)) as memory:
        while len(found) < wanted.limit and sum(len(record.text) for record in found) < BYTES:
            part = min(PART, wanted.limit - len(found))
            page, cursor = memory.scan(wanted.filter(), cursor=cursor, limit=part, secrets=wanted.secrets)
            found += page
            if cursor is None:
                break
    return Page(found, cursor)


@router.get("/spaces/{space}/memories/{id}", tags=["reading"])
@told()
def get(space: Name, id: Id, by: By, as_of: Moment | None = None, secrets: Clear = False) -> Record:
    """One memory, as it is or as it was."""
    with by.use("get", space, *_reading(secrets)) as memory:
        for record in memory.get(id, secrets=secrets, as_of=as_of):
            return record
    raise NotFoundError(f"no memory has the id {id!r}" + (" at that time" if as_of else ""))


@router.get("/spaces/{space}/memories/{id}/history", tags=["reading"])
@told()
def history(space: Name, id: Id, by: By) -> list[Record]:
    """All versions of a memory, oldest first."""
    with by.use("history", space, Scope.READ) as memory:
        return memory.history(id)


@router.get("/spaces/{space}/links", tags=["reading"])
@told()
def links(space: Name, by: By, wanted: Annotated[wire.Linked, Query()]) -> Page[Link]:
    """The links around memories, in either direction."""
    with by.use("links", space, Scope.READ) as memory:
        return paged(memory.space.neighbours(wanted.id, wanted.kind, wanted.depth), wanted)


@router.get("/spaces/{space}/changes", tags=["reading"])
@told()
def changes(
    space: Name,
    by: By,
    since: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=wire.MOST)] = 100,
) -> Page[Change]:
    """The audit: every write after the sequence number ``since``, oldest first. ``next`` is the ``since`` to go on."""
    with by.use("changes", space, Scope.READ) as memory:
        found = list(islice(memory.space.changes(since), limit + 1))
    return Page(found[:limit], str(found[limit - 1].seq) if len(found) > limit else None)


# -- tokens --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MadeToken:
    """A new token. ``token`` is shown this once: only its hash is kept."""

    token: str
    info: TokenInfo


def _administers(principal: Principal, info: TokenInfo) -> bool:
    return all(principal.may(space, Scope.ADMIN) for space in info.grants)


@router.get("/tokens", tags=["tokens"])
@told()
def list_tokens(by: By, paging: Paging) -> Page[TokenInfo]:
    """The tokens of the spaces that the caller administers; never their secrets."""
    return paged([info for info in by.service.tokens.all() if _administers(by.principal, info)], paging)


@router.post("/tokens", tags=["tokens"], status_code=201)
@told(201)
def make_token(body: wire.NewToken, by: By) -> MadeToken:
    """Make a token, for spaces that the caller administers."""
    for space in body.grants:
        by.principal.need(space, Scope.ADMIN)
    return MadeToken(*by.service.tokens.issue(body.name, body.grants, expires=body.expires))


@router.delete("/tokens/{id}", tags=["tokens"], status_code=204)
def revoke_token(id: Id, by: By) -> None:
    """Revoke a token; it is refused from now on, and its logins end."""
    known = {info.id: info for info in by.service.tokens.all()}
    if id not in known or not _administers(by.principal, known[id]):
        raise NotFoundError(f"no token of the spaces that you administer has the id {id!r}")
    by.service.tokens.revoke(id)


# -- health --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Health:
    status: str


@health.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health("ok")


@health.get("/readyz")
@told()
def readyz(request: Request) -> Health:
    """Memories can be opened: the store is there, and the server is not shutting down."""
    service_of(request).spaces.check()
    return Health("ready")
