"""A session of the OpenAI Agents SDK whose history is a memory: kept for good, and recalled by later sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from mnemic.adapters.items import joined, name_of, split
from mnemic.adapters.verbs import Verbs
from mnemic.errors import MissingExtraError
from mnemic.text.plan import Filter, every
from mnemic.text.record import Kind, Record, Turn

try:
    from agents.memory import SessionSettings
except ImportError as error:
    raise MissingExtraError("this needs the OpenAI Agents SDK; run: pip install 'mnemic[openai-agents]'") from error

if TYPE_CHECKING:
    from agents.items import TResponseInputItem

KEY = "openai_agents"
"""What is kept of an item beside its text, in ``meta``."""
WORDS = frozenset({"content", "text", "output", "arguments", "refusal"})
"""Keys that hold an item's words."""


class MnemicSession:
    """Keeps every item of a conversation; its messages are turns that ``memory.recall`` finds.

    ``user`` and ``assistant`` are the names under which they are remembered. With ``secrets=False`` secrets come back
    masked; in clear they take an admin token where the memory is a client's. What is popped or cleared is forgotten.

    >>> session = MnemicSession(memory, "chat-17")  # doctest: +SKIP
    >>> await Runner.run(agent, "Hello.", session=session)  # doctest: +SKIP
    """

    session_settings: SessionSettings | None

    def __init__(
        self,
        memory: Verbs,
        session_id: str,
        *,
        user: str | None = None,
        assistant: str | None = None,
        secrets: bool = True,
        session_settings: SessionSettings | None = None,
    ) -> None:
        self.memory = memory
        self.session_id = session_id
        self.session_settings = session_settings or SessionSettings()
        self._speakers = {"user": user, "assistant": assistant}
        self._secrets = secrets

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The items, oldest first; with a ``limit`` (default: that of the settings) the newest so many of them."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        records = await asyncio.to_thread(self._records)
        chosen = records if limit is None else records[-limit:] if limit > 0 else []
        return [_item(record) for record in chosen]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Store the items: all of them or none."""
        turns = [self._turn(dict(cast(dict[str, Any], item))) for item in items]
        if turns:
            await asyncio.to_thread(self.memory.remember, turns)

    async def pop_item(self) -> TResponseInputItem | None:
        """Forget the newest item and give it back; None where there is none."""
        return await asyncio.to_thread(self._pop)

    async def clear_session(self) -> None:
        """Forget all items of this session."""
        await asyncio.to_thread(self._clear)

    def _pop(self) -> TResponseInputItem | None:
        records = self._records()
        if not records:
            return None
        self.memory.forget([records[-1].id])
        return _item(records[-1])

    def _clear(self) -> None:
        if ids := [record.id for record in self._records()]:
            self.memory.forget(ids)

    def _turn(self, item: dict[str, Any]) -> Turn:
        text, kept = split(item, wanted=lambda path: name_of(path) in WORDS)
        role = item["role"] if isinstance(item.get("role"), str) else "tool"
        return Turn(text, self._speakers.get(role), session=self.session_id, role=role, meta={KEY: kept})

    def _records(self) -> list[Record]:
        wanted = Filter(kinds=[Kind.TURN], sessions=[self.session_id])
        found = every(lambda at: self.memory.scan(wanted, cursor=at, secrets=self._secrets))
        return [record for record in found if KEY in record.meta]


def _item(record: Record) -> TResponseInputItem:
    return cast("TResponseInputItem", joined(record, record.meta[KEY]))
