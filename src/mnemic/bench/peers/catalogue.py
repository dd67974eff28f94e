"""Who is measured: the peers with their pinned versions, the plain baselines, and Mnemic.

A peer is listed when it can remember and search without a language model, or when it is worth saying why it cannot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import mnemic
from mnemic.bench.peers.worker import ADAPTERS
from mnemic.errors import NotFoundError

TORCH = ("torch==2.13.0",)
"""Installed before whatever depends on torch, so that the resolver does not choose another build."""


@dataclass(frozen=True)
class Entry:
    """One row.

    ``environment`` and ``steps`` make the virtual environment: what it runs in, or, where ``own`` is true and our own
    interpreter runs it, only what its size is measured on; ``source`` bytes are then added. ``models`` are the weights
    of ours that it needs, ``durable`` says whether a turn is on disk when ``add`` returns.
    """

    name: str
    adapter: Path
    variant: str = ""
    environment: str = ""
    steps: tuple[tuple[str, ...], ...] = ()
    own: bool = False
    source: int = 0
    models: tuple[str, ...] = ()
    durable: bool = False
    note: str = ""


def entries() -> tuple[Entry, ...]:
    """All rows in the order of the table."""
    return (*BASELINES, *PEERS, *ours())


def chosen(names: list[str] | None) -> tuple[Entry, ...]:
    """The rows called ``names``, all without any. Raises NotFoundError."""
    known = {entry.name: entry for entry in entries()}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise NotFoundError(f"no row is called {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(known.values())


def requirements(*extras: str) -> tuple[str, ...]:
    """What Mnemic requires, with ``extras``; nothing where it is not installed as a distribution."""
    try:
        declared = metadata.requires("mnemic") or []
    except metadata.PackageNotFoundError:
        return ()
    found = []
    for each in declared:
        need, _, marker = each.partition(";")
        extra = re.search(r"""extra == ['"]([^'"]+)""", marker)
        if extra is None or extra[1] in extras:
            found.append(need.strip())
    return tuple(found)


def ours() -> tuple[Entry, ...]:
    """Mnemic's own rows."""
    package = Path(mnemic.__file__).parent
    source = sum(f.stat().st_size for f in package.rglob("*") if f.is_file() and f.suffix != ".pyc")
    adapter = ADAPTERS / "mnemic.py"
    base, dense = requirements(), requirements("dense")

    def entry(name: str, variant: str, needs: tuple[str, ...], models: tuple[str, ...], note: str) -> Entry:
        environment = "mnemic-dense" if needs is dense else "mnemic"
        return Entry(name, adapter, variant, environment, (needs,) if needs else (), True, source, models, True, note)

    return (
        entry("mnemic", "lexical", base, (), "public API, words only"),
        entry("mnemic-sparse", "splade-tiny", base, ("splade-tiny",), "public API; times include SPLADE encoding"),
        entry(
            "mnemic-all",
            "splade-tiny+minilm",
            dense,
            ("splade-tiny", "minilm"),
            "public API; times include SPLADE encoding; MiniLM vectors are handed in as to the peers, but a question "
            "that is rephrased (dates taken out) is encoded on the spot",
        ),
    )


def _baseline(variant: str, note: str) -> Entry:
    return Entry(variant, ADAPTERS / "baseline.py", variant, own=True, note=note)


def _peer(
    name: str,
    *steps: tuple[str, ...],
    adapter: str = "",
    variant: str = "",
    environment: str = "",
    durable: bool = False,
    note: str,
) -> Entry:
    adapter = adapter or name
    return Entry(name, ADAPTERS / f"{adapter}.py", variant, environment or adapter, steps, durable=durable, note=note)


BASELINES = (
    _baseline("bm25", "stemmed BM25, k1 1.2, b 0.75, in plain Python"),
    _baseline("dense", "NumPy cosine"),
    _baseline("fusion", "bm25 and dense, each scaled to 0..1, half each"),
    _baseline("window", "fusion + 0.3 of the turn before and the turn after; these weights were chosen on LoCoMo"),
)
PEERS = (
    _peer(
        "mem0",
        ("mem0ai==2.2.1",),
        durable=True,
        note="add(infer=False), embedded Qdrant, threshold 0; its keyword leg wants fastembed and a model of the hub, "
        "its entity leg a spaCy model: what runs offline is the dense leg",
    ),
    _peer(
        "txtai-dense",
        TORCH,
        ("txtai==9.14.0",),
        adapter="txtai",
        note="external vectors, index in memory; torch is installed with it but encodes nothing here",
    ),
    _peer(
        "txtai-hybrid",
        TORCH,
        ("txtai==9.14.0",),
        adapter="txtai",
        variant="hybrid",
        note="as txtai-dense, with its own BM25, default weights",
    ),
    _peer("chroma", ("chromadb==1.5.9",), durable=True, note="PersistentClient, one collection a conversation"),
    _peer("langgraph", ("langgraph==1.2.22", "numpy==2.4.6"), note="InMemoryStore, one namespace a conversation"),
    _peer(
        "langgraph-sqlite",
        ("langgraph-checkpoint-sqlite==3.1.2",),
        adapter="langgraph",
        variant="sqlite",
        environment="langgraph-sqlite",
        durable=True,
        note="SqliteStore; needs a Python whose sqlite3 loads extensions",
    ),
    _peer(
        "llamaindex",
        ("llama-index-core==0.14.25",),
        note="one VectorStoreIndex a conversation over SimpleVectorStore, in memory",
    ),
    _peer(
        "graphiti",
        ("graphiti-core==0.31.1",),
        ("httpx==0.28.1",),
        durable=True,
        note="as its documentation opens it; httpx, which it imports but does not require, is added",
    ),
)
