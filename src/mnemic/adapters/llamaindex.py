"""A memory block for LlamaIndex: what leaves the short-term memory is remembered, and comes back when it matters."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from mnemic.adapters.verbs import Verbs
from mnemic.errors import MissingExtraError
from mnemic.text.plan import Filter
from mnemic.text.record import Turn
from mnemic.text.steps.render import QUOTATION, count_tokens, quoted

try:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.memory import BaseMemoryBlock
except ImportError as error:
    raise MissingExtraError("this needs LlamaIndex; run: pip install 'mnemic[llamaindex]'") from error


class MnemicMemoryBlock(BaseMemoryBlock[str]):
    """Put it among the ``memory_blocks`` of a LlamaIndex ``Memory``.

    The newest message of the user is what is recalled for. ``user`` and ``assistant`` are the names under which
    messages are remembered. Memories of all sessions are recalled, unless ``own_session`` is set.

    >>> block = MnemicMemoryBlock(memory, user="Ana")  # doctest: +SKIP
    >>> Memory.from_defaults(session_id="chat-17", memory_blocks=[block])  # doctest: +SKIP
    """

    name: str = Field(default="long_term_memory", description="The name of the block.")
    priority: int = Field(default=1, description="0: never truncate; else lower numbers are kept longer.")
    k: int = Field(default=10, ge=1, description="How many memories at most.")
    budget: int = Field(default=1000, ge=1, description="Tokens that the recalled text may take.")
    user: str | None = Field(default=None, description="The name of the user.")
    assistant: str | None = Field(default=None, description="The name of the assistant.")
    own_session: bool = Field(default=False, description="Recall from the running session only.")
    _memory: Verbs = PrivateAttr()

    def __init__(self, memory: Verbs, **fields: Any) -> None:
        super().__init__(**fields)
        self._memory = memory

    async def _aget(
        self, messages: list[ChatMessage] | None = None, session_id: str | None = None, **block_kwargs: Any
    ) -> str:
        """The memories that the newest message of the user calls for, as a quotation; nothing if there are none."""
        query = next((m.content for m in reversed(messages or []) if m.role == "user" and m.content), None)
        if query is None:
            return ""
        wanted = Filter(sessions=[session_id] if self.own_session and session_id else ())
        found = await asyncio.to_thread(self._memory.recall, query, k=self.k, budget=self.budget, filter=wanted)
        return _told(found.text)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        """Remember the words of these messages."""
        speakers = {"user": self.user, "assistant": self.assistant}
        turns = [
            Turn(m.content, speakers.get(m.role), session=m.additional_kwargs.get("session_id"), role=str(m.role.value))
            for m in messages
            if m.content and m.content.strip()
        ]
        if turns:
            await asyncio.to_thread(self._memory.remember, turns)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The best memories, as many as fit into so many tokens less; None if none does."""
        body = "\n".join(content.split("\n")[1:-2])
        room = count_tokens(body) - tokens_to_truncate
        kept: list[str] = []
        for citation in re.split(r"\n(?=\[\d+\] )", body):
            room -= count_tokens(citation)
            if room < 0:
                break
            kept.append(citation)
        return _told("\n".join(kept)) or None


def _told(text: str) -> str:
    return f"{quoted(text)}\n{QUOTATION}" if text else ""
