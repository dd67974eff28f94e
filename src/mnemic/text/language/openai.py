"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp, Ollama, LM Studio, OpenRouter, ..."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import httpx

from mnemic.errors import InputError, LanguageError
from mnemic.text.language.base import Completion, Message, excerpt

OPENAI_URL = "https://api.openai.com/v1"
_log = logging.getLogger(__name__)
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_LARGEST = 16 << 20  # bytes of a reply that are read
_KEYLIKE = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|pk|gsk|api|key)[-_][\w*.-]{6,})")
_FORMATS = ("json_schema", "json_object", "")


def connect(
    model: str,
    base_url: str | None = None,
    key_env: str | None = "OPENAI_API_KEY",
    timeout: float = 60.0,
    *,
    attempts: int = 4,
    backoff: float = 0.5,
) -> OpenAI:
    """A language model behind an HTTP address; nothing is sent until :meth:`OpenAI.complete`.

    ``base_url`` is the address up to and with ``/v1`` (default: OpenAI's own). The key is read from the environment
    variable ``key_env`` at every request, goes to ``base_url`` only and is kept nowhere. A local server that wants
    none needs none; ``key_env=None`` sends none even if the variable is set. ``timeout`` is in seconds and bounds a
    whole completion: all of its at most ``attempts`` tries and the waits between them (``backoff`` seconds,
    doubling, or as long as the server asks). Raises InputError for an unusable argument, LanguageError without a key.
    """
    return OpenAI(model, base_url, key_env, timeout, attempts=attempts, backoff=backoff)


def address(base_url: str) -> httpx.URL:
    """``base_url`` as an address that requests can be sent to. Raises InputError."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InputError(f"the base_url cannot be read ({error}); it looks like {OPENAI_URL}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"the base_url must be an http:// or https:// address such as {OPENAI_URL}")
    if url.userinfo:
        raise InputError("the base_url must not hold a user name or password; name the key's variable in key_env")
    return url


@dataclass(slots=True)
class _Dialect:
    """What the server turned out to want; learnt from its refusals and kept only if the other way worked."""

    format: str = _FORMATS[0]
    limit: str = "max_tokens"
    temperature: bool = True


class OpenAI:
    """See :func:`connect`. Safe to use from threads; ``close`` it or use it as a context manager."""

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        key_env: str | None = "OPENAI_API_KEY",
        timeout: float = 60.0,
        *,
        attempts: int = 4,
        backoff: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not model or not model.strip():
            raise InputError("a language model needs a name, such as 'gpt-4.1-mini'")
        if attempts < 1 or timeout <= 0 or backoff < 0:
            raise InputError("attempts must be at least 1, timeout above 0 and backoff not negative")
        url = address(base_url or OPENAI_URL)
        self.name = model
        self.base_url = f"{url.scheme}://{url.netloc.decode('ascii')}{url.path.rstrip('/')}"
        self._url = url.copy_with(path=url.path.rstrip("/") + "/chat/completions")
        self._key_env = key_env
        self._needs_key = key_env is not None and (base_url is None or key_env != "OPENAI_API_KEY")
        self._timeout, self._attempts, self._backoff, self._sleep = timeout, attempts, backoff, sleep
        self._dialect = _Dialect()
        self._client = httpx.Client(follow_redirects=False)
        self._key()

    def __repr__(self) -> str:
        return f"OpenAI({self.name!r}, {self.base_url!r})"

    def __enter__(self) -> OpenAI:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        """One completion. Raises LanguageError when there is none inside the timeout, or the server refuses.

        With a ``schema`` the server is asked to enforce it. If it answers that it cannot (400 or 422) it is asked
        for any JSON object, then for plain text; likewise for ``max_tokens`` under its newer name and for a model
        that takes no temperature. What works is remembered, so that the detour is made once.
        """
        began = time.monotonic()
        deadline = began + self._timeout
        key = self._key()
        dialect = _Dialect(self._dialect.format, self._dialect.limit, self._dialect.temperature)
        while True:
            body = self._body(messages, schema, max_tokens, temperature, dialect)
            status, reply = self._send(body, key, deadline)
            if status in (400, 422) and _yield_to(reply, dialect, schema is not None):
                continue
            if status != 200:
                raise LanguageError(self._refusal(status, reply, key))
            break
        if dialect != self._dialect:
            _log.info("%s at %s is from now on asked with %s", self.name, self.base_url, dialect)
            self._dialect = dialect
        return self._read(reply, messages, (time.monotonic() - began) * 1000, key)

    def _key(self) -> str | None:
        if self._key_env is None:
            return None
        key = os.environ.get(self._key_env, "").strip()
        if not key and self._needs_key:
            raise LanguageError(
                f"no key for {self.base_url}: set the environment variable {self._key_env}, or pass key_env=None to a "
                "server that wants none"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise LanguageError(f"the key in {self._key_env} holds a blank or a sign that no key has; set it again")
        return key or None

    def _body(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None,
        max_tokens: int,
        temperature: float,
        dialect: _Dialect,
    ) -> bytes:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            dialect.limit: max_tokens,
        }
        if dialect.temperature:
            body["temperature"] = temperature
        if schema is not None and dialect.format == "json_schema":
            described = {"name": "reply", "schema": schema, "strict": _is_closed(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        elif schema is not None and dialect.format:
            body["response_format"] = {"type": dialect.format}
        return json.dumps(body).encode()

    def _send(self, body: bytes, key: str | None, deadline: float) -> tuple[int, bytes]:
        """Status and body of the last try; a try that may succeed when repeated is repeated while there is time."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        for attempt in range(1, self._attempts + 1):
            wait = self._backoff * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
            try:
                status, told, reply = self._post(body, headers, deadline)
            except httpx.TimeoutException:
                raise LanguageError(
                    f"{self.name} at {self.base_url} did not answer within {self._timeout:g} s; raise timeout, or ask "
                    "for less"
                ) from None
            except httpx.RequestError as error:
                # From None: the chain would carry the request, and with it the key.
                problem = f"no connection to {self.base_url} ({type(error).__name__}: {_scrub(str(error), key)})"
                if attempt == self._attempts:
                    raise LanguageError(f"{problem}; check the address and that the server runs") from None
            else:
                if status not in _RETRIED or attempt == self._attempts or b"insufficient_quota" in reply:
                    return status, reply
                problem = self._refusal(status, reply, key)
                wait = told if told is not None else wait
            if time.monotonic() + wait >= deadline:
                raise LanguageError(
                    f"{problem}; the next try would be due in {wait:.1f} s, past the timeout of {self._timeout:g} s"
                )
            _log.info("%s; trying again in %.1f s", problem, wait)
            self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _post(self, body: bytes, headers: Mapping[str, str], deadline: float) -> tuple[int, float | None, bytes]:
        """One request: status, the seconds the server asks to wait, body. The deadline holds for a trickle too."""
        left = max(deadline - time.monotonic(), 0.001)
        with self._client.stream("POST", self._url, content=body, headers=dict(headers), timeout=left) as response:
            parts: list[bytes] = []
            size = 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the reply came too slowly")
                if size > _LARGEST:
                    raise LanguageError(f"{self.base_url} sent more than {_LARGEST >> 20} MiB; is it a chat server?")
            return response.status_code, _asked_wait(response.headers), b"".join(parts)

    def _refusal(self, status: int, reply: bytes, key: str | None) -> str:
        """What an HTTP error means here and what to do, with the server's own words but never the key."""
        who = f"{self.name} at {self.base_url}"
        if status in (401, 403):
            source = f"the key in {self._key_env}" if key else f"a request without a key (set {self._key_env})"
            what = f"{self.base_url} refused {source}"
        elif status == 404:
            what = f"{self.base_url} has no model {self.name!r}, or is no chat server (most addresses end in /v1)"
        elif status == 429:
            what = f"{who} is over its rate limit or quota; wait, or raise the quota"
        elif 300 <= status < 400:
            what = f"{self.base_url} redirects elsewhere; give the final address as base_url"
        elif status >= 500:
            what = f"{who} failed; try again later"
        else:
            what = f"{who} refused the request"
        said = _message(reply)
        return f"{what} (HTTP {status}{': ' + excerpt(_scrub(said, key)) if said else ''})"

    def _read(self, reply: bytes, messages: Sequence[Message], milliseconds: float, key: str | None) -> Completion:
        who = f"{self.name} at {self.base_url}"
        try:
            body = json.loads(reply)
        except (ValueError, RecursionError):
            began = excerpt(_scrub(reply.decode("utf-8", "replace"), key))
            raise LanguageError(f"{who} did not reply in JSON: {began}; check that base_url ends in /v1") from None
        choices = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(choices, list) or not choices:
            said = excerpt(_scrub(_message(reply), key))
            raise LanguageError(f"{who} replied without any choice: {said}; check that it is a chat model")
        choice = choices[0] if isinstance(choices[0], dict) else {}
        message = choice.get("message")
        if not isinstance(message, dict):
            raise LanguageError(f"{who} replied with a choice that has no message; check that it is a chat model")
        text = _content(message.get("content"))
        if not text and isinstance(message.get("refusal"), str):
            raise LanguageError(f"{who} declined to answer: {excerpt(_scrub(message['refusal'], key))}")
        usage = body.get("usage")
        spent = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
        counted = [count for count in spent if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
        estimated = len(counted) != 2
        if estimated:
            counted = [_estimate("".join(message.content for message in messages)), _estimate(text)]
        cut = choice.get("finish_reason") == "length"
        return Completion(text, counted[0], counted[1], milliseconds, estimated, cut)


def _yield_to(reply: bytes, dialect: _Dialect, formatted: bool) -> bool:
    """Changes ``dialect`` by one step away from what the server refused; False where there is nothing to change."""
    said = _message(reply).lower()
    if "context" in said and ("length" in said or "window" in said or "exceed" in said):
        return False
    if "max_completion_tokens" in said and dialect.limit == "max_tokens":
        dialect.limit = "max_completion_tokens"
        return True
    if "temperature" in said and dialect.temperature:
        dialect.temperature = False
        return True
    if formatted and dialect.format:
        dialect.format = _FORMATS[_FORMATS.index(dialect.format) + 1]
        return True
    return False


def _is_closed(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object closed, every property of it required."""
    if isinstance(schema, list):
        return all(map(_is_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    named = schema.get("properties")
    if schema.get("type") == "object" or named is not None:
        required = schema.get("required", ())
        if schema.get("additionalProperties") is not False or set(required) != set(named or ()):
            return False
    return all(map(_is_closed, schema.values()))


def _asked_wait(headers: httpx.Headers) -> float | None:
    """Seconds from ``retry-after-ms`` or ``Retry-After`` (a number or a date); None where neither can be read."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        told = headers.get(name, "")
        if re.fullmatch(r"\d{1,9}(?:\.\d+)?", told):
            return float(told) * scale
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _message(reply: bytes) -> str:
    """The server's own words: ``error.message`` as OpenAI sends it, its variants, or the body as it is."""
    text = reply[:20_000].decode("utf-8", "replace")
    try:
        body = json.loads(reply)
    except (ValueError, RecursionError):
        return text
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        for name in ("message", "detail", "error"):
            if isinstance(error.get(name), str):
                return str(error[name])
    return error if isinstance(error, str) else text


def _content(content: Any) -> str:
    """Text of a message; some servers send it in parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _scrub(text: str, key: str | None) -> str:
    """``text`` without the key or anything that looks like one: servers repeat what they refuse."""
    return _KEYLIKE.sub("[key]", text.replace(key, "[key]") if key else text)


def _estimate(text: str) -> int:
    """Tokens of ``text`` where the server does not count: a quarter of its bytes, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // 4)
