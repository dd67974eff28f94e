"""OpenAI's chat completions, as far as memory is concerned: who said what, where to quote, what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnemic.serve.proxy_sessions import Asked, Said
from mnemic.serve.proxy_stream import Answer, string

PARTS = frozenset({"text", "input_text", "output_text"})
"""Types of the parts of a message that are text."""


def read(body: Mapping[str, Any]) -> Asked:
    """What a request says. Raises ValueError if it is none."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise ValueError("the body has no messages")
    said = spoken(messages)
    return Asked(said, ends_asking(said, messages))


def ends_asking(said: Sequence[Said], messages: Sequence[Any]) -> bool:
    """Whether the last message is the user's."""
    return bool(said) and said[-1].role == "user" and said[-1].place == len(messages) - 1


def spoken(messages: Sequence[Any]) -> tuple[Said, ...]:
    """The messages of the user, and those of the assistant that have words."""
    found = []
    for place, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "user" or (role == "assistant" and words(message.get("content"))):
            found.append(Said(role, words(message.get("content")), place, string(message.get("name"))))
    return tuple(found)


def words(content: Any) -> str:
    """The text of a message; of several parts, those that are text, line by line."""
    if isinstance(content, list):
        parts = (string(part.get("text")) for part in content if isinstance(part, dict) and part.get("type") in PARTS)
        return "\n".join(filter(None, parts))
    return string(content)


def quote(body: Mapping[str, Any], blocks: Mapping[int, str]) -> dict[str, Any]:
    """``body`` with each block before the words of the message at its place."""
    return {**body, "messages": before(body["messages"], blocks, "text")}


def before(messages: Sequence[Any], blocks: Mapping[int, str], kind: str) -> list[Any]:
    """``messages`` with blocks in front of their contents; a new text part has the type ``kind``."""
    found = list(messages)
    for place, block in blocks.items():
        content = found[place].get("content")
        if isinstance(content, list):
            content = [{"type": kind, "text": block}, *content]
        else:
            content = f"{block}\n\n{content or ''}"
        found[place] = {**found[place], "content": content}
    return found


class Reader:
    """Reads the first choice of a completion: of several, nobody knows which one was used."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._whole = False
        self._id = self._model = ""

    def event(self, data: Mapping[str, Any]) -> None:
        self._take(data, "delta")

    def body(self, data: Mapping[str, Any]) -> None:
        self._take(data, "message")

    def _take(self, data: Mapping[str, Any], name: str) -> None:
        self._id, self._model = string(data.get("id")) or self._id, string(data.get("model")) or self._model
        for choice in data.get("choices") or ():
            if choice.get("index", 0) == 0:
                message = choice.get(name) or {}
                spoken = string((message.get("audio") or {}).get("transcript"))
                self._said.append(words(message.get("content")) or string(message.get("refusal")) or spoken)
                self._whole = self._whole or choice.get("finish_reason") is not None

    def answer(self) -> Answer:
        return Answer("".join(self._said), self._whole, self._id, self._model)
