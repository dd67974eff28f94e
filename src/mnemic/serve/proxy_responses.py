"""OpenAI's responses, as far as memory is concerned: who said what, where to quote, what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnemic.serve.proxy_chat import before, ends_asking, spoken, words
from mnemic.serve.proxy_sessions import Asked, Said
from mnemic.serve.proxy_stream import Answer, string

_DELTAS = frozenset({"response.output_text.delta", "response.refusal.delta", "response.audio.transcript.delta"})


def read(body: Mapping[str, Any]) -> Asked:
    """What a request says, and what it goes on from. Raises ValueError if it is none."""
    given = body.get("input")
    said: tuple[Said, ...]
    if isinstance(given, str):
        said, last = (Said("user", given, 0),), True
    elif isinstance(given, list):
        said = spoken(given)
        last = ends_asking(said, given)
    else:
        raise ValueError("the body has no input")
    conversation = body.get("conversation")
    named = string(conversation.get("id") if isinstance(conversation, dict) else conversation)
    return Asked(said, last, response=string(body.get("previous_response_id")), conversation=named)


def quote(body: Mapping[str, Any], blocks: Mapping[int, str]) -> dict[str, Any]:
    """``body`` with each block before the words of the item at its place."""
    if isinstance(body["input"], str):
        return {**body, "input": "\n\n".join([*blocks.values(), body["input"]])}
    return {**body, "input": before(body["input"], blocks, "input_text")}


class Reader:
    """Reads the messages of a response; reasoning and tool calls are no part of what was said."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._whole = False
        self._id = self._model = ""

    def event(self, data: Mapping[str, Any]) -> None:
        if data.get("type") in _DELTAS:
            self._said.append(string(data.get("delta")))
        elif isinstance(response := data.get("response"), dict):
            self.body(response)

    def body(self, data: Mapping[str, Any]) -> None:
        self._id, self._model = string(data.get("id")) or self._id, string(data.get("model")) or self._model
        self._whole = data.get("status") in ("completed", "incomplete")  # or at its limit of tokens
        said = [_said(item) for item in data.get("output") or () if item.get("type") == "message"]
        if any(said):  # whole, where it came in pieces before
            self._said = ["\n".join(said)]

    def answer(self) -> Answer:
        return Answer("".join(self._said), self._whole, self._id, self._model)


def _said(item: Mapping[str, Any]) -> str:
    refusals = (string(part.get("refusal")) for part in item.get("content") or () if part.get("type") == "refusal")
    return words(item.get("content")) or "\n".join(filter(None, refusals))
