"""A memory that a server keeps: the verbs of :class:`mnemic.Memory` over HTTP, with the same results and errors."""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from urllib.parse import quote

import httpx

from mnemic import errors
from mnemic.errors import InputError, LimitError, MissingExtraError, MnemicError, StoreError
from mnemic.text.aio import Awaitable, awaitable
from mnemic.text.forgetting import Preview
from mnemic.text.language.answer import Answer
from mnemic.text.memory import MAX_QUERY, Ingested, Memory
from mnemic.text.plan import Filter, Recall
from mnemic.text.record import Receipt, Record, Turn, new_id

try:
    from pydantic import TypeAdapter
    from pydantic_core import PydanticSerializationError, to_jsonable_python
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_random_exponential
except ImportError as error:
    raise MissingExtraError(f"the client needs {error.name}; run: pip install 'mnemic[client]'") from error

T = TypeVar("T")
PART = 1000
"""Ids that one request asks for, and records that one page brings."""
BODY = 8 << 20
"""Characters of turns that one request carries."""
THREADS = 64
"""Requests that an :class:`AsyncClient` has under way at once."""
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LONGEST = 1.0  # seconds between two looks at a job
_backoff = wait_random_exponential(multiplier=0.1, max=2.0)


def connect(
    url: str, space: str = "default", token: str | None = None, *, timeout: float = 60.0, patience: float = 10.0
) -> Client:
    """One space of the server at ``url``, such as ``http://127.0.0.1:8377``; nothing is sent before the first verb.

    ``token`` is one that ``mnemic token create`` made (default: the variable ``MNEMIC_TOKEN``; a server without
    tokens needs none). An answer may take ``timeout`` seconds. What can be repeated without harm is repeated for
    ``patience`` seconds when the server cannot be reached, is starting or is over its rate limit.
    """
    return Client(_http(url, token, timeout), space, patience=patience)


async def aconnect(
    url: str, space: str = "default", token: str | None = None, *, timeout: float = 60.0, patience: float = 10.0
) -> AsyncClient:
    """See :func:`connect`: the same verbs, awaitable."""
    return AsyncClient(connect(url, space, token, timeout=timeout, patience=patience), threads=THREADS)


def _http(url: str, token: str | None, timeout: float) -> httpx.Client:
    try:
        base = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InputError(f"the address cannot be read ({error}); it looks like http://127.0.0.1:8377") from None
    if base.scheme not in ("http", "https") or not base.host or base.userinfo:
        raise InputError("the address of a server looks like http://127.0.0.1:8377; the token is given apart from it")
    secret = (token if token is not None else os.environ.get("MNEMIC_TOKEN", "")).strip()
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise InputError("the token holds a sign that no token has: copy it again")
    return httpx.Client(
        base_url=base,
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
        timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        limits=httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS, keepalive_expiry=4.0),
    )


class Client:
    """One space of a server. Made by :func:`connect`; a context manager; safe to share between threads.

    The verbs, their arguments, results and errors are those of :class:`mnemic.Memory`. A server that cannot be
    reached is a :class:`StoreError`.
    """

    def __init__(self, http: httpx.Client, space: str = "default", *, patience: float = 10.0) -> None:
        if not space:
            raise InputError("a space needs a name")
        self.space = space
        self._http = http
        self._patience = patience
        self._base = f"/api/spaces/{_segment(space)}"

    def __repr__(self) -> str:
        return f"Client({str(self._http.base_url)!r}, {self.space!r})"

    # -- writing ---------------------------------------------------------------------------------------------

    def remember(
        self,
        what: str | Turn | Mapping[str, Any] | Iterable[str | Turn | Mapping[str, Any]],
        *,
        speaker: str | None = None,
        at: datetime | str | None = None,
        session: str | None = None,
        role: str | None = None,
        meta: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        one = isinstance(what, str | Turn | Mapping) or not isinstance(what, Iterable)
        turns = [what] if one else list(cast(Iterable[Any], what))
        body = {"turns": turns, "speaker": speaker, "at": at, "session": session, "role": role, "meta": meta}
        # With a key of its own a call can be repeated: whichever try got through, the turns are stored once.
        headers = {"Idempotency-Key": idempotency_key or new_id("client-")}
        return self._ask("POST", "/turns", Receipt, body, headers=headers)

    def ingest(
        self,
        turns: Iterable[Turn],
        *,
        page: int = 256,
        threads: int = 2,
        progress: Callable[[int], None] | None = None,
    ) -> Ingested:
        done = Ingested(0, 0, 0)
        for part in _pages(turns, page):
            receipt = self.remember(part)
            done = Ingested(
                done.stored + len(receipt.ids), done.skipped + len(receipt.duplicates), done.secrets + receipt.secrets
            )
            if progress:
                progress(done.stored + done.skipped)
        return done

    def revise(self, id: str, text: str, *, at: datetime | str | None = None) -> Receipt:
        path = f"/memories/{_segment(id)}"
        return self._ask("PUT", path, Receipt, {"text": text, "at": at}, repeat=False)

    def forget(self, what: str | Sequence[str], *, erase: bool = False, preview: bool = False) -> Receipt | Preview:
        body = {"what": what if isinstance(what, str) else list(what), "erase": erase, "preview": preview}
        shape: type[Receipt] | type[Preview] = Preview if preview else Receipt
        return self._ask("POST", "/forget", shape, body, repeat=preview)

    # -- reading ---------------------------------------------------------------------------------------------

    def recall(
        self,
        query: str,
        *,
        k: int = 10,
        budget: int | None = None,
        now: datetime | str | None = None,
        valid_at: datetime | str | None = None,
        as_of: datetime | str | None = None,
        filter: Filter | None = None,
    ) -> Recall:
        asked = {"k": k, "budget": budget, "now": now, "valid_at": valid_at, "as_of": as_of, "filter": filter}
        return self._ask("POST", "/recall", Recall, {"query": _clipped(query), **asked})

    def ask(self, question: str, **options: Any) -> Answer:
        inspect.signature(Client.recall).bind(self, question, **options)  # raises TypeError as a call does
        return self._ask("POST", "/ask", Answer, {"question": _clipped(question), **options})

    def get(
        self, ids: str | Sequence[str], *, secrets: bool = False, as_of: datetime | str | None = None
    ) -> list[Record]:
        wanted = [ids] if isinstance(ids, str) else list(ids)
        found: list[Record] = []
        for start in range(0, len(wanted), PART):
            body = {"ids": wanted[start : start + PART], "secrets": secrets, "as_of": as_of}
            found += self._ask("POST", "/get", list[Record], body)
        return found

    def scan(
        self, filter: Filter | None = None, *, cursor: str | None = None, limit: int = 1000, secrets: bool = False
    ) -> tuple[list[Record], str | None]:
        asked = {"cursor": cursor, "limit": min(limit, PART), "secrets": secrets}
        params = {**_plain(filter or Filter()), **asked}
        params["meta"] = json.dumps(params["meta"])
        given = {name: value for name, value in params.items() if value not in (None, [])}
        page = self._send("GET", "/memories", params=given).json()
        return _shape(list[Record]).validate_python(page["items"], strict=False), page["next"]

    def history(self, id: str) -> list[Record]:
        return self._ask("GET", f"/memories/{_segment(id)}/history", list[Record])

    # -- in its own time -------------------------------------------------------------------------------------

    def reflect(self, *, progress: Callable[[str, int], None] | None = None) -> dict[str, int]:
        def told(done: int) -> None:
            if progress:
                progress("reflect", done)

        return dict(self._work("/reflect", None, told)["result"])

    def stats(self) -> dict[str, Any]:
        return dict(self._send("GET", "").json())

    def export(self, *, secrets: bool = False) -> Iterator[dict[str, Any]]:
        job = f"/api/jobs/{_segment(self._work('/export', {'secrets': secrets})['id'])}"
        try:
            with self._http.stream("GET", f"{job}/result") as response:
                if response.is_error:
                    response.read()
                    raise _told(response)
                for line in _lines(response.iter_bytes()):
                    yield json.loads(line)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        finally:
            with suppress(MnemicError):  # what is left goes by itself after a day
                self._send("DELETE", job)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- over the wire ---------------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        shape: type[T],
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
    ) -> T:
        response = self._send(method, path, body, headers=headers, repeat=repeat)
        found: T = _shape(cast(Any, shape)).validate_json(response.content)
        return found

    def _work(self, path: str, body: Any, progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
        """Start a job of the server and wait for its end. Raises what it failed with."""
        job = self._send("POST", path, body, repeat=False).json()
        told, pause = 0, 0.01
        while job["state"] in ("queued", "running"):
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST)
            job = self._send("GET", f"/api/jobs/{_segment(job['id'])}").json()
            if job["done"] > told:
                progress(told := job["done"])
        if job["state"] == "failed":
            raise _named(job["result"].get("error", ""))(job["message"])
        if job["state"] != "done":
            raise MnemicError(
                f"the job {job['id']} of the server was {job['state']}: {job['message'] or 'start it anew'}"
            )
        return dict(job)

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
    ) -> httpx.Response:
        """The answer to a request, whose path is below that of the space unless it begins with ``/api``.

        ``repeat`` says that doing it twice is as good as once. What was not received, or was refused because it came
        too soon, is repeated anyway.
        """
        content = None if body is None else _json(body)
        sent = {"Content-Type": "application/json", **(headers or {})} if body is not None else dict(headers or {})

        def once() -> httpx.Response:
            url = path if path.startswith("/api/") else self._base + path
            response = self._http.request(method, url.lstrip("/"), content=content, params=params, headers=sent)
            if not response.is_success:
                raise _told(response)
            return response

        def worth(error: BaseException) -> bool:
            if isinstance(error, LimitError):
                return error.retry_after is not None
            return isinstance(error, (httpx.TransportError, StoreError) if repeat else _UNSENT)

        retrying = Retrying(
            retry=retry_if_exception(worth), wait=_wait, stop=stop_before_delay(self._patience), reraise=True
        )
        try:
            return retrying(once)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None  # the chain would carry the request, and with it the token
        except RuntimeError as error:  # what httpx raises for a closed client
            raise StoreError(f"the client is closed: connect again ({error})") from None

    def _unreachable(self, error: httpx.HTTPError) -> StoreError:
        where = f"{self._http.base_url}".rstrip("/")
        if isinstance(error, _UNSENT):
            what = f"{error}".strip() or type(error).__name__
            return StoreError(f"no connection to {where} ({what}): check the address, and that the server runs")
        return StoreError(
            f"the answer of {where} did not come ({type(error).__name__}): it may have been done; look, and "
            "try again, with a longer timeout if it takes long"
        )


def _wait(state: RetryCallState) -> float:
    """Seconds to the next try: what the server asks for, else growing ones."""
    failed = state.outcome.exception() if state.outcome is not None else None
    told = failed.retry_after if isinstance(failed, LimitError) else None
    return told if told is not None else _backoff(state)


def _told(response: httpx.Response) -> MnemicError:
    """The error that a problem (RFC 9457) tells of."""
    try:
        problem = response.json()
        name, detail = str(problem["error"]), str(problem["detail"])
    except (ValueError, LookupError, TypeError):
        where = response.request.url.copy_with(query=None)
        return MnemicError(f"{where} answered {response.status_code} in no way of Mnemic's: check the address")
    made = _named(name)
    if made is LimitError:
        after = response.headers.get("retry-after", "")
        return LimitError(detail, float(after) if after.isdecimal() else None)
    return made(detail)


def _named(name: str) -> type[MnemicError]:
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, MnemicError) else MnemicError


def _pages(turns: Iterable[Turn], size: int) -> Iterator[list[Turn]]:
    """Up to ``size`` turns at a time, fewer where they are long."""
    stream = iter(turns)
    while page := list(islice(stream, size)):
        part: list[Turn] = []
        room = BODY
        for turn in page:
            long = len(turn.text or "") + len(turn.caption or "")
            if part and long > room:
                yield part
                part, room = [], BODY
            part.append(turn)
            room -= long
        yield part


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream, which end at a line feed and nowhere else: JSON may hold other separators."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    if rest:
        yield rest


@functools.cache
def _shape(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _plain(value: Any) -> Any:
    """``value`` as what JSON can hold. Raises :class:`InputError`."""
    try:
        return to_jsonable_python(value, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InputError(f"this cannot be sent as JSON: {error}") from None


def _json(value: Any) -> bytes:
    text = json.dumps(_plain(value), ensure_ascii=False)
    # Lone surrogates, which are no characters, become U+FFFD, as they do in a memory of this machine.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _clipped(query: str) -> str:
    return query[:MAX_QUERY] if isinstance(query, str) else query


def _segment(text: str) -> str:
    """``text`` as one step of a path."""
    if not isinstance(text, str):
        raise InputError(f"an id or a name is a string, not a {type(text).__name__}")
    return quote(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), safe="")


VERBS = tuple(name for name, verb in vars(Client).items() if inspect.isfunction(verb) and not name.startswith("_"))
for _name in VERBS:
    if not getattr(Client, _name).__doc__:
        getattr(Client, _name).__doc__ = getattr(Memory, _name).__doc__

if TYPE_CHECKING:

    class AsyncClient(Awaitable):
        """See :class:`Client`: the same verbs, awaitable."""

        def __getattr__(self, verb: str) -> Callable[..., Any]: ...
else:
    AsyncClient = awaitable(Client, "AsyncClient", __name__)
