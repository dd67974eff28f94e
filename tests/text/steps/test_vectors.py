"""Texts as vectors, whatever encoders there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.encode.base import Floats, SparseVector
from mnemic.text.steps.vectors import cosines, projected, vectors
from mnemic.text.store.base import Encoders

NONE = Encoders()


class Letters:
    """A dense encoder that counts letters."""

    name, version, dim = "letters", "1", 26

    def encode(self, texts: list[str]) -> Floats:
        found = np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1)

    def encode_query(self, text: str) -> Floats:
        return self.encode([text])[0]


def test_stems_make_unit_vectors_that_depend_on_nothing_else() -> None:
    alone = vectors(["The gardens of Porto, the gardens!"], NONE)[0]
    beside = vectors(["Something else.", "the GARDEN of porto and a garden"], NONE)[1]
    assert isinstance(alone, SparseVector)
    np.testing.assert_array_equal(alone.terms, beside.terms)
    np.testing.assert_allclose(alone.weights, beside.weights)
    assert np.linalg.norm(alone.weights) == pytest.approx(1.0)


def test_cosines_are_those_of_plain_loops() -> None:
    texts = ["a red kite", "the red car of a friend", "kites are red, red kites", "", "the of and", "猫の名前"]
    found = cosines(vectors(texts[:3], NONE), vectors(texts, NONE))
    plain = [dict(zip(v.terms.tolist(), v.weights.tolist(), strict=True)) for v in vectors(texts, NONE)]
    wanted = [[sum(w * b.get(t, 0.0) for t, w in a.items()) for b in plain] for a in plain[:3]]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found[0, 0] == pytest.approx(1.0)
    assert not found[:, 3:].any()
    assert cosines(vectors([], NONE), vectors(texts, NONE)).shape == (0, 6)
    assert cosines(vectors(texts, NONE), vectors([], NONE)).shape == (6, 0)


def test_the_dense_leg_comes_first_then_the_sparse_one(splade) -> None:  # type: ignore[no-untyped-def]
    dense = vectors(["abc", "cab", "xyz"], Encoders(sparse=splade, dense=Letters()))
    assert isinstance(dense, np.ndarray)
    np.testing.assert_allclose(cosines(dense, dense), [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-6)
    learned = vectors(["We adopted a kitten.", "They have a cat now.", "The train was late."], Encoders(sparse=splade))
    alike = cosines(learned, learned)
    np.testing.assert_allclose(np.diag(alike), 1.0, atol=1e-5)
    assert alike[0, 1] > alike[0, 2]
    with pytest.raises(TypeError):
        cosines(dense, learned)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("red kite sea boat lamp moon tree fish road king".split()), min_size=2, max_size=12))
def test_projecting_keeps_cosines_roughly(words: list[str]) -> None:
    sparse = vectors([" ".join(words), " ".join(words[:-1]), "moon road"], NONE)
    dense = projected(sparse, 1024, seed=3)
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), 1.0, atol=1e-4)
    np.testing.assert_allclose(dense @ dense.T, cosines(sparse, sparse), atol=0.2)


def test_a_projection_follows_from_its_seed() -> None:
    given = vectors(["a red kite"], NONE)
    np.testing.assert_array_equal(projected(given, 300, 1), projected(given, 300, 1))
    assert not np.allclose(projected(given, 300, 1), projected(given, 300, 2))
    assert not projected(vectors(["the"], NONE), 16, 0).any()
    dense = np.eye(3, dtype=np.float32)
    assert projected(dense, 16, 0) is dense
