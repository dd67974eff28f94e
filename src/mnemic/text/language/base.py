"""The port to a language model: messages in, one completion out, and how to get a checked value from it."""

from __future__ import annotations

import json
import operator
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from mnemic.errors import LanguageError, MnemicError

T = TypeVar("T")
EXCERPT = 160
"""How many characters of an unusable reply an error shows."""
_SHOWN = 4000  # characters of a bad reply that the model gets back for repair
_UNUSABLE = (ValueError, TypeError, LookupError, AttributeError)  # what a validator raises on a wrong shape
_TRIES = 1000  # braces in a reply at which an object is looked for; keeps a hostile reply from taking long
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote. Tokens are the server's count, or ``estimated`` from the texts where it gives none.

    ``milliseconds`` is the wall time of the call, waits for the server included; ``cut`` says that the text ran
    into ``max_tokens``.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    milliseconds: float
    estimated: bool = False
    cut: bool = False


@runtime_checkable
class Language(Protocol):
    """A language model. ``schema`` (JSON Schema) asks for a JSON object; a model may ignore it.

    Raises :class:`LanguageError` when there is no completion to be had.
    """

    @property
    def name(self) -> str: ...

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion: ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was used for: calls made, how many of them failed or had their tokens estimated, tokens, time."""

    calls: int = 0
    failures: int = 0
    estimates: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    milliseconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, earlier: Usage) -> Usage:
        """What was used since ``earlier``."""
        return Usage(*map(operator.sub, astuple(self), astuple(earlier)))


class Meter:
    """A language model that counts what it is used for; safe to share between threads.

    ``usage`` is the running total, so the cost of a stretch of work is ``meter.usage - before``. A failed call
    counts its time and no tokens, because nobody reports those.
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self._usage = Usage()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.language.name

    @property
    def usage(self) -> Usage:
        with self._lock:
            return self._usage

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        """Passes the call on and counts it."""
        began = time.perf_counter()
        try:
            done = self.language.complete(messages, schema=schema, max_tokens=max_tokens, temperature=temperature)
        except BaseException:
            self._add(Usage(calls=1, failures=1, milliseconds=(time.perf_counter() - began) * 1000))
            raise
        self._add(Usage(1, 0, int(done.estimated), done.prompt_tokens, done.completion_tokens, done.milliseconds))
        return done

    def _add(self, more: Usage) -> None:
        with self._lock:
            self._usage += more

    def __repr__(self) -> str:
        return f"Meter({self.language!r}, {self.usage})"


def structured(
    language: Language,
    messages: Sequence[Message],
    validate: Callable[[Any], T],
    *,
    schema: Mapping[str, Any],
    max_tokens: int = 512,
    temperature: float = 0.0,
) -> T:
    """``validate`` of the JSON object that the model replies with.

    The schema is sent both beside the messages and in them, since not every server enforces it. ``validate`` gets
    the object and raises ValueError, TypeError, LookupError or AttributeError if it will not do. An unusable reply
    is shown to the model once, with what is wrong with it; a second one raises :class:`LanguageError`, as does a
    model that fails to reply.
    """
    asked = _asking(messages, schema)
    completion = _reply(language, asked, schema, max_tokens, temperature)
    try:
        return validate(read_object(completion.text))
    except _UNUSABLE as error:
        wrong = _reason(error, completion)
    retry = [
        *asked,
        Message("assistant", completion.text[:_SHOWN] or "(empty)"),
        Message("user", f"That reply cannot be used: {wrong}. Reply again with the one JSON object and nothing else."),
    ]
    completion = _reply(language, retry, schema, max_tokens, temperature)
    try:
        return validate(read_object(completion.text))
    except _UNUSABLE as error:
        raise LanguageError(
            f"{language.name} gave no usable JSON in two tries ({_reason(error, completion)}); the last reply began: "
            f"{excerpt(completion.text)}. Use a model that follows instructions better, or allow it more tokens"
        ) from error


def read_object(text: str) -> dict[str, Any]:
    """The JSON object in a model's reply, whatever stands around it (prose, code fences, a thought before it).

    Of several objects the longest counts, of equals the last. JSON itself is read strictly, but for line breaks
    inside strings; lone surrogates become U+FFFD. Raises ValueError that says what is wrong.
    """
    body = text.rpartition("</think>")[2].rstrip()
    best: tuple[int, dict[str, Any]] | None = None
    wrong = "there is no JSON object in it" if body else "it is empty"
    end = 0
    for _ in range(_TRIES):
        at = body.find("{", end)
        if at < 0:
            break
        try:
            found, end = _DECODER.raw_decode(body, at)
        except json.JSONDecodeError as error:
            if error.pos >= len(body) or error.msg.startswith("Unterminated"):
                wrong = "the JSON stops before its end"
                break
            wrong = f"the JSON is not valid: {error.msg}, at {excerpt(body[error.pos : error.pos + 40])}"
            end = max(at + 1, error.pos)  # what was read up to here is part of the broken object
        except RecursionError:
            wrong = "the JSON is nested too deeply"
            break
        except ValueError as error:
            wrong = f"the JSON cannot be read: {error}"
            break
        else:
            if best is None or end - at >= best[0]:
                best = end - at, found
    if best is None:
        raise ValueError(wrong)
    clean: dict[str, Any] = _whole(best[1]) if "\\u" in body or _SURROGATE.search(body) else best[1]
    return clean


def excerpt(text: str) -> str:
    """The beginning of ``text`` on one line, quoted, for an error message."""
    flat = " ".join(text[: 4 * EXCERPT].split())
    return repr(flat[:EXCERPT] + ("…" if len(flat) > EXCERPT or len(text) > 4 * EXCERPT else ""))


def _asking(messages: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    told = (
        "Reply with one JSON object and nothing else: no explanation, no code fence. It must fit this JSON Schema:\n"
        + json.dumps(schema, ensure_ascii=False)
    )
    if messages and messages[0].role == "system":
        return [Message("system", f"{messages[0].content}\n\n{told}"), *messages[1:]]
    return [Message("system", told), *messages]


def _reply(
    language: Language, messages: Sequence[Message], schema: Mapping[str, Any], max_tokens: int, temperature: float
) -> Completion:
    try:
        return language.complete(messages, schema=schema, max_tokens=max_tokens, temperature=temperature)
    except MnemicError:
        raise
    except Exception as error:
        raise LanguageError(
            f"{language.name} failed with {type(error).__name__}: {excerpt(str(error))}; nothing was changed, try again"
        ) from error


def _reason(error: Exception, completion: Completion) -> str:
    text = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else str(error)
    cut = ", because the reply reached its limit of tokens: be much shorter" if completion.cut else ""
    return " ".join(text.split())[:300] + cut


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse)


def _whole(value: Any) -> Any:
    """``value`` with every lone surrogate, which no file or socket would take, replaced."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value
