"""txtai: one ``Embeddings`` a conversation, in memory, over external vectors; the variant ``hybrid`` adds its BM25."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        numpy = import_module("numpy")

        def vectors(texts: list[str]) -> Any:
            return numpy.stack([numpy.frombuffer(known(text), "f4") for text in texts])

        self.settings = {"method": "external", "transform": vectors, "hybrid": variant == "hybrid"}
        self.make = import_module("txtai").Embeddings
        self.spaces: dict[str, Any] = {}

    def add(self, turns: list[dict[str, Any]]) -> None:
        for scope in dict.fromkeys(turn["scope"] for turn in turns):
            rows = [(turn["id"], turn["text"], None) for turn in turns if turn["scope"] == scope]
            if scope not in self.spaces:
                self.spaces[scope] = self.make(self.settings)
                self.spaces[scope].index(rows)
            else:
                self.spaces[scope].upsert(rows)

    def search(self, question: str, k: int, scope: str, now: str) -> list[str]:
        return [id for id, _ in self.spaces[scope].search(question, k)]

    def close(self) -> None:
        for space in self.spaces.values():
            space.close()
