"""LangGraph's stores with an ``embed`` function, one namespace a conversation: in memory, or the variant ``sqlite``."""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        def embed(texts: list[str]) -> list[list[float]]:
            return [list(known(text)) for text in texts]

        index = {"dims": 384, "embed": embed, "fields": ["text"]}
        self.put = import_module("langgraph.store.base").PutOp
        self.opened = ExitStack()
        if variant == "sqlite":
            made = import_module("langgraph.store.sqlite").SqliteStore
            self.store = self.opened.enter_context(made.from_conn_string(str(folder / "store.db"), index=index))
            self.store.setup()
        else:
            self.store = import_module("langgraph.store.memory").InMemoryStore(index=index)

    def add(self, turns: list[dict[str, Any]]) -> None:
        if len(turns) == 1:
            (turn,) = turns
            self.store.put((turn["scope"],), turn["id"], self._value(turn))
        else:
            self.store.batch([self.put((turn["scope"],), turn["id"], self._value(turn)) for turn in turns])

    def search(self, question: str, k: int, scope: str, now: str) -> list[str]:
        return [found.key for found in self.store.search((scope,), query=question, limit=k)]

    def close(self) -> None:
        self.opened.close()

    @staticmethod
    def _value(turn: dict[str, Any]) -> dict[str, Any]:
        return {"text": turn["text"], "session": turn["session"], "at": turn["at"]}
