"""The cache gives back exactly what the encoder made, asks it once, and stays out of the way of queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mnemic.bench.cache import CachedDense, CachedSparse, Shelf
from mnemic.text.encode.base import DenseEncoder, Floats, SparseEncoder, SparseVector


class Sparse:
    name, version, dim = "toy/sparse", "1", 100

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        self.asked += texts
        return [
            SparseVector(
                np.arange(len(t), dtype=np.int32), np.float32(1 / 3) * np.arange(1, len(t) + 1, dtype=np.float32)
            )
            for t in texts
        ]


class Dense:
    name, version, dim = "toy-dense", "1", 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Floats:
        self.asked += texts
        return np.array([[len(t), 1 / 3, 0] for t in texts], np.float32).reshape(len(texts), 3)

    def encode_query(self, text: str) -> Floats:
        self.asked.append(text)
        return np.ones(3, np.float32)


def same(a: SparseVector, b: SparseVector) -> bool:
    return bool(np.array_equal(a.terms, b.terms) and np.array_equal(a.weights, b.weights))


def test_each_text_is_encoded_once_over_two_runs(tmp_path: Path):
    inner = Sparse()
    texts = ["one", "three", "one", ""]
    first = CachedSparse(inner, tmp_path).encode(texts)
    assert inner.asked == ["one", "three", ""]
    again = CachedSparse(inner, tmp_path)
    assert all(same(a, b) for a, b in zip(first, again.encode(texts), strict=True))
    assert all(same(a, b) for a, b in zip(first, Sparse().encode(texts), strict=True))
    assert inner.asked == ["one", "three", ""]
    assert (again.shelf.hits, again.shelf.misses) == (4, 0)


def test_only_what_is_missing_is_encoded(tmp_path: Path):
    inner = Sparse()
    cached = CachedSparse(inner, tmp_path)
    cached.encode(["a"])
    cached.encode(["b", "a", "c"])
    assert inner.asked == ["a", "b", "c"]


def test_more_texts_than_one_lookup_takes(tmp_path: Path):
    cached = CachedSparse(Sparse(), tmp_path)
    texts = [f"text {n}" for n in range(1201)]
    cached.encode(texts)
    assert [len(v.terms) for v in cached.encode(texts)] == [len(t) for t in texts]
    assert cached.shelf.misses == 1201


def test_queries_are_encoded_for_real(tmp_path: Path):
    inner = Sparse()
    cached = CachedSparse(inner, tmp_path)
    cached.encode(["a"])
    with cached.live():
        cached.encode(["a"])
    cached.encode(["a"])
    assert inner.asked == ["a", "a"]


def test_another_version_is_another_shelf(tmp_path: Path):
    one, other = Sparse(), Sparse()
    other.version = "2"
    CachedSparse(one, tmp_path).encode(["a"])
    CachedSparse(other, tmp_path).encode(["a"])
    assert other.asked == ["a"]
    assert Shelf("toy/sparse", "1", tmp_path).path != Shelf("toy/sparse", "2", tmp_path).path


def test_dense_rows_come_back_bit_by_bit(tmp_path: Path):
    inner = Dense()
    cached = CachedDense(inner, tmp_path)
    first = cached.encode(["x", "yy"])
    again = CachedDense(inner, tmp_path).encode(["yy", "x"])
    assert np.array_equal(again, first[::-1])
    assert again.dtype == np.float32
    assert inner.asked == ["x", "yy"]
    assert cached.encode([]).shape == (0, 3)
    assert np.array_equal(cached.encode_query("q"), np.ones(3))


def test_wrapped_encoders_are_encoders_of_their_kind(tmp_path: Path):
    sparse, dense = CachedSparse(Sparse(), tmp_path), CachedDense(Dense(), tmp_path)
    assert isinstance(sparse, SparseEncoder)
    assert not isinstance(sparse, DenseEncoder)
    assert isinstance(dense, DenseEncoder)
    assert (sparse.name, sparse.version, sparse.dim) == ("toy/sparse", "1", 100)


@pytest.mark.model
def test_recall_is_the_same_with_and_without_the_cache(tmp_path: Path, splade: SparseEncoder):
    from mnemic.bench.contender import contender
    from mnemic.bench.run import Settings, run

    limited = Settings(limit=2)
    plain = run("generated", [contender("mnemic@splade-tiny", cache=False)], settings=limited).outcomes[0]
    for _ in range(2):
        cached = run("generated", [contender("mnemic@splade-tiny", cache=tmp_path)], settings=limited).outcomes[0]
        assert [item.ranked for item in cached.items] == [item.ranked for item in plain.items]
        assert [item.confidence for item in cached.items] == [item.confidence for item in plain.items]
