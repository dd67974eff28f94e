"""The inverted index against a dict of lists."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.store.postings import LARGEST, Postings

Pairs = list[tuple[int, int, float]]
BATCHES = st.lists(
    st.lists(st.dictionaries(st.integers(0, 90_000) | st.integers(0, 12), st.integers(1, 9), max_size=8), max_size=12),
    max_size=14,
)


def add(postings: Postings, entries: Pairs) -> None:
    terms, keys, weights = zip(*entries, strict=True) if entries else ((), (), ())
    postings.add(np.array(terms, np.int32), np.array(keys, np.int32), np.array(weights, np.float32))


def found(postings: Postings, terms: list[int]) -> dict[int, Pairs]:
    """Term -> its postings, in the order they were given back."""
    hits = postings.find(np.array(terms, np.int32))
    by_term: dict[int, Pairs] = defaultdict(list)
    for owner, key, weight in zip(hits.owner.tolist(), hits.keys.tolist(), hits.weights.tolist(), strict=True):
        by_term[terms[owner]].append((terms[owner], key, weight))
    return dict(by_term)


@settings(max_examples=60, deadline=None)
@given(BATCHES, st.lists(st.integers(-1, 15) | st.integers(0, 90_000), unique=True, max_size=10))
def test_finds_what_a_dict_finds(batches: list[list[dict[int, int]]], asked: list[int]) -> None:
    postings = Postings()
    reference: dict[int, Pairs] = defaultdict(list)
    key = 0
    for batch in batches:
        entries: Pairs = []
        for counts in batch:
            entries += [(term, key, float(count)) for term, count in counts.items()]
            key += 1
        add(postings, entries)
        for entry in entries:
            reference[entry[0]].append(entry)
        asked_now = list(dict.fromkeys([*asked, *list(reference)[:5]]))
        assert found(postings, asked_now) == {term: reference[term] for term in asked_now if reference.get(term)}
    assert len(postings) == sum(map(len, reference.values()))


def test_segments_stay_few_and_keys_in_order() -> None:
    postings = Postings()
    for key in range(3000):
        add(postings, [(key % 7, key, 1.0), (7 + key, key, 2.0)])
        assert len(postings._segments) <= 14
    assert found(postings, [3])[3] == [(3, key, 1.0) for key in range(3, 3000, 7)]
    assert found(postings, [7 + 2999]) == {3006: [(3006, 2999, 2.0)]}


def test_terms_beyond_sixteen_bits_are_not_folded_together() -> None:
    postings = Postings()
    add(postings, [(1, 0, 1.0), (65_537, 0, 2.0), (131_073, 0, 3.0)])
    assert found(postings, [131_073, 1, 65_537]) == {
        1: [(1, 0, 1.0)],
        65_537: [(65_537, 0, 2.0)],
        131_073: [(131_073, 0, 3.0)],
    }


def test_nothing_is_found_in_nothing() -> None:
    postings = Postings()
    add(postings, [])
    assert len(postings) == 0
    assert found(postings, [1, 2]) == found(postings, []) == {}
    add(postings, [(5, 0, 1.0)])
    assert found(postings, [-1, 4, 6]) == {}


def test_a_weight_beyond_half_precision_stays_finite() -> None:
    postings = Postings()
    add(postings, [(1, 0, 1e6), (1, 1, 70_000.0), (1, 2, 3.0)])
    assert [weight for _, _, weight in found(postings, [1])[1]] == [LARGEST, LARGEST, 3.0]


@pytest.mark.parametrize("marked", [None, [True, False, True], [False, False, False]])
def test_among_keeps_the_marked_keys(marked: list[bool] | None) -> None:
    postings = Postings()
    add(postings, [(1, 0, 1.0), (1, 1, 2.0), (2, 1, 3.0), (2, 2, 4.0)])
    hits = postings.find(np.array([1, 2], np.int32)).among(None if marked is None else np.array(marked))
    wanted = [(0, 0, 1.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0)]
    wanted = [entry for entry in wanted if marked is None or marked[entry[1]]]
    assert list(zip(hits.owner.tolist(), hits.keys.tolist(), hits.weights.tolist(), strict=True)) == wanted
