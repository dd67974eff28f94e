"""Chroma: ``PersistentClient``, one collection a conversation, cosine, vectors handed in."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        chromadb = import_module("chromadb")
        settings = import_module("chromadb.config").Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(path=str(folder / "chroma"), settings=settings)
        self.known = known
        self.collections: dict[str, Any] = {}

    def add(self, turns: list[dict[str, Any]]) -> None:
        for scope in dict.fromkeys(turn["scope"] for turn in turns):
            if scope not in self.collections:
                self.collections[scope] = self.client.create_collection(
                    scope, embedding_function=None, metadata={"hnsw:space": "cosine"}
                )
            rows = [turn for turn in turns if turn["scope"] == scope]
            self.collections[scope].add(
                ids=[turn["id"] for turn in rows],
                documents=[turn["text"] for turn in rows],
                embeddings=[list(self.known(turn["text"])) for turn in rows],
                metadatas=[{"session": turn["session"], "at": turn["at"]} for turn in rows],
            )

    def search(self, question: str, k: int, scope: str, now: str) -> list[str]:
        found = self.collections[scope].query(query_embeddings=[list(self.known(question))], n_results=k)
        return list(found["ids"][0])

    def close(self) -> None:
        self.collections.clear()
