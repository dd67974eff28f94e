"""Mem0, open source: ``add(infer=False)`` into its embedded Qdrant, one ``user_id`` a conversation."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


class Given:
    """The embedder's interface over vectors that are known already."""

    def __init__(self, known: Any) -> None:
        self.known = known

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        return list(self.known(text))

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        return [list(self.known(text)) for text in texts]


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        # Its default embedder and language model want a key when they are made; neither is ever called.
        keyed = {"provider": "openai", "config": {"api_key": "never used"}}
        store = {
            "path": str(folder / "qdrant"),
            "collection_name": "turns",
            "embedding_model_dims": 384,
            "on_disk": True,
        }
        self.memory = import_module("mem0").Memory.from_config(
            {
                "embedder": keyed,
                "llm": keyed,
                "vector_store": {"provider": "qdrant", "config": store},
                "history_db_path": str(folder / "history.db"),
            }
        )
        self.memory.embedding_model = Given(known)

    def add(self, turns: list[dict[str, Any]]) -> None:
        for turn in turns:
            told = {"turn": turn["id"], "session": turn["session"], "at": turn["at"]}
            message = {"role": "user", "content": turn["text"]}
            self.memory.add([message], user_id=turn["scope"], metadata=told, infer=False)

    def search(self, question: str, k: int, scope: str, now: str) -> list[str]:
        found = self.memory.search(question, top_k=k, filters={"user_id": scope}, threshold=0.0)
        return [each["metadata"]["turn"] for each in found["results"]]

    def close(self) -> None:
        self.memory.vector_store.client.close()
