"""Mnemic through its public API, one space a conversation, in files with full durability.

The variant names the encoders: ``lexical``, ``splade-tiny`` (encodes for itself, in the times), or
``splade-tiny+minilm`` (the dense vectors are handed in as to every other peer). Several turns at once go through
``ingest``, one through ``remember``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mnemic
from mnemic import models
from mnemic.text.encode import get
from mnemic.text.encode.base import DenseEncoder, Floats, SparseEncoder
from mnemic.text.store.base import Encoders


class Given:
    """MiniLM whose vectors are known already. What is not (a question rid of its dates) is encoded on the spot."""

    name, dim = "minilm", 384

    def __init__(self, known: Any) -> None:
        self.version = models.get(self.name).version
        self._known = known
        self._encoder: DenseEncoder | None = None

    def encode(self, texts: Sequence[str]) -> Floats:
        return np.stack([self.encode_query(text) for text in texts])

    def encode_query(self, text: str) -> Floats:
        try:
            return np.frombuffer(self._known(text), np.float32)
        except KeyError:
            if self._encoder is None:
                self._encoder = get(self.name)  # type: ignore[assignment]
            assert self._encoder is not None
            return self._encoder.encode_query(text)


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        legs = variant.split("+")
        sparse = get("splade-tiny") if "splade-tiny" in legs else None
        assert sparse is None or isinstance(sparse, SparseEncoder)
        self.encoders = Encoders(sparse, Given(known) if "minilm" in legs else None)
        self.folder = folder / "mnemic"
        self.spaces: dict[str, mnemic.Memory] = {}

    def add(self, turns: list[dict[str, Any]]) -> None:
        for scope in dict.fromkeys(turn["scope"] for turn in turns):
            if scope not in self.spaces:
                self.spaces[scope] = mnemic.open(self.folder, scope, encoders=self.encoders)
            said = [
                mnemic.Turn(
                    turn["said"],
                    speaker=turn["speaker"],
                    at=turn["at"],
                    session=turn["session"],
                    caption=turn["caption"],
                    id=turn["id"],
                )
                for turn in turns
                if turn["scope"] == scope
            ]
            if len(said) == 1:
                self.spaces[scope].remember(said)
            else:
                self.spaces[scope].ingest(said, threads=1)

    def search(self, question: str, k: int, scope: str, now: str) -> list[str]:
        found = self.spaces[scope].recall(question, k=k, now=now)
        return [source for hit in found.hits for source in hit.sources][:k]

    def close(self) -> None:
        for space in self.spaces.values():
            space.close()
