"""What the adapters need of a memory: a local :class:`mnemic.Memory` has it, and so has a client of a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from mnemic.text.forgetting import Preview
from mnemic.text.language.answer import Answer
from mnemic.text.plan import Filter, Recall
from mnemic.text.record import Receipt, Record, Turn


class Verbs(Protocol):
    """The verbs. See :class:`mnemic.Memory` for what each does."""

    def remember(
        self,
        what: str | Turn | Mapping[str, Any] | Iterable[str | Turn | Mapping[str, Any]],
        *,
        speaker: str | None = None,
        at: datetime | str | None = None,
        session: str | None = None,
    ) -> Receipt: ...

    def recall(
        self,
        query: str,
        *,
        k: int = 10,
        budget: int | None = None,
        valid_at: datetime | str | None = None,
        as_of: datetime | str | None = None,
        filter: Filter | None = None,
    ) -> Recall: ...

    def ask(self, question: str, **options: Any) -> Answer: ...

    def get(
        self, ids: str | Sequence[str], *, secrets: bool = False, as_of: datetime | str | None = None
    ) -> list[Record]: ...

    def scan(
        self, filter: Filter | None = None, *, cursor: str | None = None, limit: int = 1000, secrets: bool = False
    ) -> tuple[list[Record], str | None]: ...

    def revise(self, id: str, text: str, *, at: datetime | str | None = None) -> Receipt: ...

    def forget(self, what: str | Sequence[str], *, erase: bool = False, preview: bool = False) -> Receipt | Preview: ...

    def history(self, id: str) -> list[Record]: ...
