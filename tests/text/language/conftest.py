from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from mnemic.text.language.base import Completion, Message

Reply = str | Exception | Completion | Callable[[Sequence[Message]], str]


@dataclass
class Scripted:
    """A language model that says what it is told to, in order, and remembers what it was asked."""

    replies: list[Reply]
    name: str = "scripted"
    slow: float = 0.0
    asked: list[tuple[list[Message], Mapping[str, Any] | None]] = field(default_factory=list)

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        self.asked.append((list(messages), schema))
        time.sleep(self.slow)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        return Completion(reply if isinstance(reply, str) else reply(messages), 10, 5, self.slow * 1000)


@pytest.fixture
def scripted() -> Callable[..., Scripted]:
    return lambda *replies, **more: Scripted(list(replies), **more)
