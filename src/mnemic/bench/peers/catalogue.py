"""Who is measured: the peers with their pinned versions, the plain baselines, and Mnemic.

A peer is listed when it can remember and search without a language model, or when it is worth saying why it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnemic.bench.peers.worker import ADAPTERS

TORCH = ("torch==2.13.0",)
"""Installed before whatever depends on torch, so that the resolver does not choose another build."""


@dataclass(frozen=True)
class Entry:
    """One row. ``environment`` and ``steps`` make its Python (none: ours); ``models`` are weights of ours it needs."""

    name: str
    adapter: Path
    variant: str = ""
    environment: str = ""
    steps: tuple[tuple[str, ...], ...] = ()
    models: tuple[str, ...] = ()
    durable: bool = False
    dense: bool = True
    note: str = ""


def _peer(
    name: str,
    adapter: str,
    *steps: tuple[str, ...],
    variant: str = "",
    environment: str = "",
    durable: bool = False,
    note: str = "",
) -> Entry:
    return Entry(name, ADAPTERS / f"{adapter}.py", variant, environment or adapter, steps, durable=durable, note=note)


def _ours(
    name: str,
    adapter: str,
    variant: str,
    *,
    models: tuple[str, ...] = (),
    durable: bool = False,
    dense: bool = True,
    note: str = "",
) -> Entry:
    return Entry(name, ADAPTERS / f"{adapter}.py", variant, models=models, durable=durable, dense=dense, note=note)


ENTRIES: tuple[Entry, ...] = (
    _ours("bm25", "baseline", "bm25", dense=False, note="baseline: stemmed BM25, k1 1.2, b 0.75"),
    _ours("dense", "baseline", "dense", note="baseline: NumPy cosine"),
    _ours("fusion", "baseline", "fusion", note="baseline: bm25 and dense, each scaled to 0..1, half each"),
    _ours("fusion-window", "baseline", "window", note="baseline: fusion + 0.3 of the turn before and the turn after; these weights were chosen on LoCoMo"),
    _peer("mem0", "mem0", ("mem0ai==2.2.1",), durable=True, note="add(infer=False), embedded Qdrant, threshold 0; its keyword leg needs fastembed and a model from the hub, its entity leg a spaCy model, so what runs is dense"),
    _peer("txtai-dense", "txtai", TORCH, ("txtai==9.14.0",), note="external vectors; torch is installed but encodes nothing"),
    _peer("txtai-hybrid", "txtai", TORCH, ("txtai==9.14.0",), variant="hybrid", note="external vectors and its own BM25, default weights"),
    _peer("chroma", "chroma", ("chromadb==1.5.9",), durable=True, note="PersistentClient, one collection a conversation"),
    _peer("langgraph", "langgraph", ("langgraph==1.2.22", "numpy==2.4.6"), note="InMemoryStore"),
    _peer("langgraph-sqlite", "langgraph", ("langgraph-checkpoint-sqlite==3.1.2",), variant="sqlite", environment="langgraph-sqlite", durable=True, note="SqliteStore"),
    _peer("llamaindex", "llamaindex", ("llama-index-core==0.14.25",), note="VectorStoreIndex over SimpleVectorStore"),
    _peer("graphiti", "graphiti", ("graphiti-core==0.31.1",), durable=True, note="as its documentation opens it"),
    _ours("mnemic", "mnemic", "lexical", durable=True, dense=False, note="public API, words only"),
    _ours("mnemic-sparse", "mnemic", "splade-tiny", models=("splade-tiny",), durable=True, dense=False, note="public API; the times include SPLADE encoding"),
    _ours("mnemic-all", "mnemic", "splade-tiny+minilm", models=("splade-tiny", "minilm"), durable=True, note="public API; the times include SPLADE encoding, MiniLM vectors are handed in as to the peers"),
)  # fmt: skip
