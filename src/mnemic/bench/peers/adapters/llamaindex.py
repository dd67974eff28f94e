"""LlamaIndex: one ``VectorStoreIndex`` a conversation over its in-memory ``SimpleVectorStore``, vectors handed in."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        core: Any = import_module("llama_index.core")
        schema: Any = import_module("llama_index.core.schema")
        # An index wants an embedder even if every node and query brings its vector; this one is never called.
        self.embedder = import_module("llama_index.core.embeddings").MockEmbedding(embed_dim=384)
        self.make = core.VectorStoreIndex
        self.node, self.query, self.known = schema.TextNode, schema.QueryBundle, known
        self.spaces: dict[str, Any] = {}

    def add(self, turns: list[dict[str, Any]]) -> None:
        for scope in dict.fromkeys(turn["scope"] for turn in turns):
            if scope not in self.spaces:
                self.spaces[scope] = self.make([], embed_model=self.embedder)
            self.spaces[scope].insert_nodes(
                [
                    self.node(
                        id_=turn["id"],
                        text=turn["text"],
                        metadata={"session": turn["session"], "at": turn["at"]},
                        embedding=list(self.known(turn["text"])),
                    )
                    for turn in turns
                    if turn["scope"] == scope
                ]
            )

    def search(self, question: str, k: int, scope: str, now: str) -> list[str]:
        retriever = self.spaces[scope].as_retriever(similarity_top_k=k)
        found = retriever.retrieve(self.query(question, embedding=list(self.known(question))))
        return [each.node.node_id for each in found]

    def close(self) -> None:
        self.spaces.clear()
