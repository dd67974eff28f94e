"""The plainest retrievers, in a few lines of NumPy: what a ranking is worth above them.

``bm25``: stemmed BM25 (k1 1.2, b 0.75). ``dense``: cosine of the vectors. ``fusion``: half of each, both scaled to 0..1
over the conversation. ``window``: fusion, plus 0.3 of the fused scores of the turn before and the turn after.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemic.bench.controls import BM25, Control, Random
from mnemic.text.record import Turn

Scores = NDArray[np.float64]


class Peer:
    def __init__(self, folder: Path, variant: str, known: Any) -> None:
        self.variant, self.known = variant, known
        self.keep = Random if variant == "dense" else BM25  # of the former nothing but its records is used
        self.words: dict[str, Control] = {}
        self.vectors: dict[str, list[Any]] = {}
        self.matrices: dict[str, NDArray[np.float32]] = {}

    def add(self, turns: list[dict[str, Any]]) -> None:
        for turn in turns:
            scope = turn["scope"]
            self.words.setdefault(scope, self.keep()).remember(
                [Turn(turn["text"], id=turn["id"], session=turn["session"])]
            )
            self.vectors.setdefault(scope, []).append(np.frombuffer(self.known(turn["text"]), np.float32))
            self.matrices.pop(scope, None)

    def search(self, question: str, k: int, scope: str, now: str) -> list[str]:
        records = self.words[scope].records
        scores = self.scores(question, scope)
        best = np.argsort(-scores, kind="stable")[:k]
        return [records[i].id for i in best if scores[i] > 0 or self.variant == "dense"]

    def scores(self, question: str, scope: str) -> Scores:
        if self.variant == "bm25":
            return self.bm25(question, scope)
        if self.variant == "dense":
            return self.dense(question, scope)
        fused: Scores = 0.5 * scaled(self.bm25(question, scope)) + 0.5 * scaled(self.dense(question, scope))
        if self.variant == "window":
            sessions = np.asarray([record.session for record in self.words[scope].records])
            same = sessions[1:] == sessions[:-1]
            near = np.zeros_like(fused)
            near[1:] += fused[:-1] * same
            near[:-1] += fused[1:] * same
            fused = fused + 0.3 * near
        return fused

    def bm25(self, question: str, scope: str) -> Scores:
        scores = np.zeros(len(self.words[scope].records))
        for place, score in self.words[scope].order(question):
            scores[place] = score
        return scores

    def dense(self, question: str, scope: str) -> Scores:
        if scope not in self.matrices:
            self.matrices[scope] = np.stack(self.vectors[scope])
        cosines: Scores = (self.matrices[scope] @ np.frombuffer(self.known(question), np.float32)).astype(np.float64)
        return cosines

    def close(self) -> None:
        self.words.clear()


def scaled(scores: Scores) -> Scores:
    """``scores`` moved and stretched to 0..1; all zeros where they are all alike."""
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)
