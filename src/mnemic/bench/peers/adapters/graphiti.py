"""Graphiti as its documentation opens it. It needs a graph database and a language model: expected to say so."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        self.graph = import_module("graphiti_core").Graphiti("bolt://localhost:7687", "neo4j", "password")
        run = import_module("asyncio").run
        run(self.graph.build_indices_and_constraints())
        raise RuntimeError("a graph database answered: episodes need a language model, there is no adding without one")
