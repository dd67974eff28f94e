"""Texts as vectors whatever encoders a space has, for comparing derived texts with each other.

The strongest leg counts: dense vectors, else learned sparse ones, else stems weighted by 1 + ln(count). Nothing
depends on what else a space holds, so that a text has the same vector today and tomorrow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats, SparseVector
from mnemic.text.encode.lexical import tokens
from mnemic.text.store.base import Encoders

Vectors = Floats | list[SparseVector]
"""Unit vectors of n texts: a matrix [n, d], or n sparse ones. All zero for a text without a content word."""
_BLOCK = 256


def vectors(texts: Sequence[str], encoders: Encoders) -> Vectors:
    """The unit vector of each text by the strongest encoder there is."""
    if encoders.dense is not None:
        return encoders.dense.encode(texts) if texts else np.zeros((0, encoders.dense.dim), np.float32)
    found = encoders.sparse.encode(texts) if encoders.sparse is not None and texts else list(map(_stems, texts))
    return [SparseVector(v.terms, v.weights / max(float(np.linalg.norm(v.weights)), 1e-9)) for v in found]


def cosines(a: Vectors, b: Vectors) -> Floats:
    """The cosine of each vector of ``a`` with each of ``b`` [len(a), len(b)]."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.asarray(a @ b.T, np.float32)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        raise TypeError("vectors of different legs cannot be compared")
    known = np.unique(np.concatenate([v.terms for v in b])) if b else np.zeros(0, np.int32)
    theirs = np.zeros((len(b), len(known)), np.float32)
    for row, vector in zip(theirs, b, strict=True):
        row[np.searchsorted(known, vector.terms)] = vector.weights
    found = np.zeros((len(a), len(b)), np.float32)
    for place, vector in enumerate(a):
        _, mine, column = np.intersect1d(vector.terms, known, assume_unique=True, return_indices=True)
        found[place] = theirs[:, column] @ vector.weights[mine]
    return found


def projected(given: Vectors, dim: int, seed: int) -> Floats:
    """``given`` as dense unit vectors [n, dim] that keep their cosines to within about 1 / sqrt(dim).

    A dense matrix is returned as it is. Of sparse vectors every term has a direction of its own, drawn at random from
    ``seed`` and the term alone (Johnson and Lindenstrauss 1984; signs after Achlioptas 2003).
    """
    if isinstance(given, np.ndarray):
        return given
    found = np.zeros((len(given), dim), np.float32)
    for row, vector in zip(found, given, strict=True):
        for term, weight in zip(vector.terms.tolist(), vector.weights.tolist(), strict=True):
            row += np.float32(weight) * _direction(term, dim, seed)
        row /= max(float(np.linalg.norm(row)), 1e-9)
    return found


def _stems(text: str) -> SparseVector:
    """Stems under a number that follows from the stem."""
    counts = Counter(tokens(text))
    codes = {int.from_bytes(blake2b(stem.encode(), digest_size=4).digest()) >> 1: n for stem, n in counts.items()}
    terms = np.array(sorted(codes), np.int32)
    return SparseVector(terms, np.array([1 + np.log(codes[int(t)]) for t in terms], np.float32))


@lru_cache(maxsize=65536)
def _direction(term: int, dim: int, seed: int) -> NDArray[np.int8]:
    """A row of signs."""
    told = b"".join(
        blake2b(f"{seed} {term} {block}".encode(), digest_size=_BLOCK // 8).digest()
        for block in range(-(-dim // _BLOCK))
    )
    bits = np.unpackbits(np.frombuffer(told, np.uint8))[:dim]
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)
