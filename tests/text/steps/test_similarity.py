"""One similarity for every kind of space."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

import mnemic
from mnemic.text.plan import Filter, Query
from mnemic.text.steps import rank
from mnemic.text.steps.similarity import leg, own, plan, scaled, sharpened
from mnemic.text.store.base import Encoders

NOW = datetime(2024, 3, 1, tzinfo=UTC)
TEXTS = ["The kiln is red.", "The kiln and the oven are red.", "A dog barked.", "The red door of the red house."]


def test_lexical_is_bm25_over_the_marked_slots(memory: mnemic.Memory) -> None:
    memory.remember(TEXTS)
    c = memory.space.search(plan(Query("red kiln", 3, NOW), Encoders(), Filter()))
    found = own(c)
    assert leg(c) == "lexical"
    assert c.lexical is not None
    weights = rank.idf(c.count, c.lexical.df) * c.lexical.query
    np.testing.assert_allclose(found, rank.bm25(c.lexical.weights, c.length, float(c.length.mean()), weights))
    assert np.argmax(found) == 0
    assert found[2] == 0
    part = np.array([False, True, True, True])
    assert own(c, part)[0] == 0
    assert own(c, part)[1] != found[1]  # judged by the mean length of its own sort


def test_nothing_to_compare_is_zero(memory: mnemic.Memory) -> None:
    asked = plan(Query("?", 3, NOW), Encoders(), Filter())
    assert own(memory.space.search(asked)).tolist() == []
    memory.remember(TEXTS)
    assert not own(memory.space.search(asked)).any()


def test_a_learned_sparse_leg_goes_before_words(splade) -> None:  # type: ignore[no-untyped-def]
    encoders = Encoders(sparse=splade)
    with mnemic.open(":memory:", encoders=encoders) as memory:
        memory.remember(TEXTS)
        c = memory.space.search(plan(Query("Which animal made a noise?", 3, NOW), encoders, Filter()))
        assert leg(c) == "sparse"
        assert np.argmax(own(c)) == 2
        assert c.sparse is not None
        common, rare = np.argmax(c.sparse.df), np.argmin(c.sparse.df)
        assert sharpened(c.sparse, c.count)[common] / c.sparse.query[common] < (
            sharpened(c.sparse, c.count)[rare] / c.sparse.query[rare]
        )


def test_scaled() -> None:
    assert scaled(np.array([1, 4, 2], np.float32)).tolist() == [0.25, 1.0, 0.5]
    assert scaled(np.zeros(2, np.float32)).tolist() == [0.0, 0.0]
