"""Errors as ``application/problem+json`` (RFC 9457): the same shape from every door.

``error`` names the class in :mod:`mnemic.errors`, so that a client can raise it again; ``detail`` is its message.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from mnemic.errors import (
    ConflictError,
    ForbiddenError,
    InputError,
    LanguageError,
    LimitError,
    MissingExtraError,
    MnemicError,
    ModelError,
    NotFoundError,
    StoreError,
    UnauthorizedError,
)

MEDIA_TYPE = "application/problem+json"
STATUS: dict[type[MnemicError], HTTPStatus] = {
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    ModelError: HTTPStatus.SERVICE_UNAVAILABLE,
    LanguageError: HTTPStatus.BAD_GATEWAY,
    MissingExtraError: HTTPStatus.NOT_IMPLEMENTED,
    MnemicError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LONGEST = 1000
"""Characters of a message: some repeat what was sent."""
_log = logging.getLogger("mnemic.serve")


class Fault(BaseModel):
    """One thing that is wrong with a request, and where."""

    where: str = Field(examples=["body.turns.0.text"])
    what: str


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    type: str = Field(examples=["urn:mnemic:problem:NotFoundError"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str
    error: str = Field(description="The class of the error in mnemic.errors.", examples=["NotFoundError"])
    errors: list[Fault] | None = None


def problem(
    status: int,
    detail: str,
    *,
    error: str = "MnemicError",
    errors: Sequence[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for a problem."""
    told = Problem(
        type=f"urn:mnemic:problem:{error}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail[:LONGEST],
        error=error,
        errors=None if errors is None else list(errors),
    )
    # What callers sent may hold halves of characters, which UTF-8 cannot.
    body = json.dumps(told.model_dump(exclude_none=True), ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )
    return Response(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of(error: MnemicError) -> Response:
    """The response for an error of the library."""
    name = type(error).__name__
    if isinstance(error, LimitError):
        if error.retry_after is None:
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error), error=name)
        headers = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
        return problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), error=name, headers=headers)
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    detail = str(error)
    if isinstance(error, StoreError | ModelError):  # their messages name files of this machine
        _log.error("%s: %s", name, error)
        detail = "the store cannot be used just now: nothing was stored; the server's log says why"
    headers = {"WWW-Authenticate": 'Bearer realm="mnemic"'} if isinstance(error, UnauthorizedError) else {}
    return problem(status, detail, error=name, headers=headers)


def install(app: FastAPI) -> None:
    """Let every error of ``app`` be told as a problem."""

    @app.exception_handler(MnemicError)
    def known(_: Request, error: MnemicError) -> Response:
        return of(error)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        if any((each["type"], each["loc"][0]) == ("json_invalid", "body") for each in found):
            return problem(HTTPStatus.BAD_REQUEST, "the body is not JSON", error="InputError", errors=_faults(found))
        faults = _faults(found)
        told = "; ".join(f"{fault.where}: {fault.what}" for fault in faults[:3])
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, told, error="InputError", errors=faults)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            told = f"{request.method} is not for this path: see Allow"
            headers = {"Allow": ", ".join(_allowed(request))}
            return problem(error.status_code, told, error="InputError", headers=headers)
        names = {404: "NotFoundError", 401: "UnauthorizedError", 403: "ForbiddenError", 409: "ConflictError"}
        name = names.get(error.status_code, "InputError" if error.status_code < 500 else "MnemicError")
        return problem(error.status_code, str(error.detail), error=name, headers=error.headers)


def unexpected() -> Response:
    """The response for an error that is no :class:`MnemicError`. It tells nothing of the inside."""
    told = "this is a fault of the server, and its log says more: please report it"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, told)


def _allowed(request: Request) -> list[str]:
    """The methods for the path of ``request``, of all the routes that have it."""
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    routes = request.app.routes
    return [each for each, scope in scopes.items() if any(r.matches(scope)[0] is Match.FULL for r in routes)]


def _faults(errors: Sequence[Any]) -> list[Fault]:
    """Without the input itself, which may be long, and may be a secret."""
    return [
        Fault(where=".".join(str(step)[:100] for step in each["loc"]), what=str(each["msg"])[:LONGEST])
        for each in errors[:20]
    ]
