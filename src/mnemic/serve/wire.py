"""What goes over the wire: the library's own dataclasses, and the arguments of the verbs as models.

Answers are the dataclasses of the library, written by pydantic's adapters as they are. Only what has no class there
is defined here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, wraps
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, get_type_hints
from urllib.parse import unquote

from anyio import CapacityLimiter, to_thread
from fastapi import Path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Json,
    Tag,
    TypeAdapter,
    with_config,
)
from starlette.responses import Response

from mnemic.serve.tokens import Scope
from mnemic.text.memory import MAX_QUERY
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Turn, to_datetime

T = TypeVar("T")
P = ParamSpec("P")
MOST = 1000
"""Hits, ids and items that one request may ask for."""
DEPTH = 4
"""Steps along links that one request may ask for."""
_SLASH = "\udc2f"
_STRICT = ConfigDict(extra="forbid")

with_config(_STRICT)(Turn)
with_config(_STRICT)(Filter)


def segments(raw: bytes) -> str:
    """A path from its raw form, in which an encoded slash stays apart from those between the segments.

    It becomes a lone surrogate, which no other path can hold; :data:`Name` and :data:`Id` turn it back.
    """
    return unquote(re.sub("%2f", _SLASH, raw.decode("ascii", "replace"), flags=re.IGNORECASE))


def _segment(given: Any) -> Any:
    return given.replace(_SLASH, "/") if isinstance(given, str) else given


Moment = Annotated[
    datetime,
    BeforeValidator(to_datetime),
    Field(description="ISO 8601; a time without a zone is UTC.", examples=["2024-03-02T09:30:00+01:00"]),
]
Name = Annotated[str, BeforeValidator(_segment), Path(description="The name of a space.", examples=["default"])]
Id = Annotated[str, BeforeValidator(_segment), Path(description="The id of a memory.")]


class _Body(BaseModel):
    model_config = _STRICT


def _sort(given: Any) -> str:
    return "text" if isinstance(given, str) else "turn"


Said = Annotated[Annotated[str, Tag("text")] | Annotated[Turn, Tag("turn")], Discriminator(_sort)]


class Remember(_Body):
    """Turns, and defaults for those that do not say otherwise."""

    turns: list[Said] = Field(examples=[["I adopted a beagle called Pim."]])
    speaker: str | None = None
    at: Moment | None = None
    session: str | None = None
    role: str | None = None
    meta: dict[str, Any] | None = None


class _Reading(_Body):
    k: int = Field(10, ge=1, le=MOST, description="How many hits.")
    budget: int | None = Field(None, ge=1, le=1_000_000, description="Tokens that the recalled text may take.")
    now: Moment | None = None
    valid_at: Moment | None = None
    as_of: Moment | None = None
    filter: Filter | None = None


class Query(_Reading):
    """What to recall: the arguments of ``Memory.recall``."""

    query: str = Field(max_length=MAX_QUERY, examples=["What is the name of Ana's dog?"])


class Question(_Reading):
    """What to answer: the arguments of ``Memory.ask``."""

    question: str = Field(max_length=MAX_QUERY, examples=["What is the name of Ana's dog?"])


class Wanted(_Body):
    """Memories by id, as they are or as they were."""

    ids: list[str] = Field(max_length=MOST)
    as_of: Moment | None = None
    secrets: bool = Field(False, description="In clear; takes the scope admin.")


class Revise(_Body):
    """The new text. With ``at`` the world changed then; without it the old text was wrong."""

    text: str
    at: Moment | None = None


class Forget(_Body):
    """Ids, one id, or a query: every record that has all of its content words."""

    what: str | Annotated[list[str], Field(max_length=MOST)]
    erase: bool = Field(False, description="Remove the text from every index and file.")
    preview: bool = Field(False, description="Change nothing; tell what would go.")


class Paging(_Body):
    """Which page: ``cursor`` is what ``next`` of the page before said."""

    cursor: str | None = Field(None, max_length=500)
    limit: int = Field(100, ge=1, le=MOST)


class Listing(Paging):
    """Which memories, in the order they were stored."""

    kinds: list[Kind] = []
    speakers: list[str] = []
    sessions: list[str] = []
    roles: list[str] = []
    ids: list[str] = Field([], max_length=MOST)
    since: Moment | None = None
    until: Moment | None = None
    phrase: str | None = None
    words: str | None = None
    meta: Json[dict[str, Any]] = Field({}, description="A JSON object: equality of each of its keys.")
    archived: bool = False
    secrets: bool = Field(False, description="In clear; takes the scope admin.")

    def filter(self) -> Filter:
        return Filter(
            self.kinds, self.speakers, self.sessions, self.roles, self.ids, self.since, self.until, self.meta,
            self.phrase, self.words, self.archived,
        )  # fmt: skip


class Linked(Paging):
    """From which memories, and how far."""

    id: list[str] = Field(min_length=1, max_length=MOST)
    kind: list[str] = Field([], max_length=50)
    depth: int = Field(1, ge=1, le=DEPTH)


class NewSpace(_Body):
    """How a new space remembers; what is left out is the server's default."""

    system: str | None = None
    encoders: str | None = Field(default=None, examples=["auto", "lexical", "splade-tiny,minilm"])


class NewToken(_Body):
    """A token to be made. ``*`` in place of a space's name means all of them."""

    name: str = Field(min_length=1, max_length=100)
    grants: dict[str, list[Scope]] = Field(min_length=1, max_length=MOST, examples=[{"default": ["read", "write"]}])
    expires: Moment | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items, and the cursor of the next page; null where there is none."""

    items: list[T] = field(default_factory=list)
    next: str | None = None


def told(status: int = 200, *, threads: int = 0) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Let a verb's result be written in the thread that ran it, not on the event loop.

    A slow verb has ``threads`` of its own, so that others do not wait for one.
    """

    def around(verb: Callable[P, Any]) -> Callable[P, Any]:
        shape: TypeAdapter[Any] = TypeAdapter(get_type_hints(verb)["return"])

        @wraps(verb)
        def run(*args: P.args, **options: P.kwargs) -> Response:
            return Response(shape.dump_json(verb(*args, **options)), status_code=status, media_type="application/json")

        if not threads:
            return run
        limiter = CapacityLimiter(threads)

        @wraps(verb)
        async def apart(*args: P.args, **options: P.kwargs) -> Response:
            return await to_thread.run_sync(partial(run, *args, **options), limiter=limiter)

        return apart

    return around


def options(body: BaseModel, *without: str) -> Mapping[str, Any]:
    """The fields of ``body`` that were given, as arguments of a verb."""
    return {name: getattr(body, name) for name in body.model_fields_set if name not in without}
