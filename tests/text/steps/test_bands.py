"""Duplicates, conflicts and what is neither."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.steps.bands import Band, antonyms, judge, opposed
from mnemic.text.steps.vectors import cosines, vectors
from mnemic.text.store.base import Encoders


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Ana likes opera.", "Ana does not like opera."),
        ("Ana likes opera.", "Ana doesn’t like opera."),
        ("Ana likes opera.", "Ana hates opera."),
        ("Ana likes opera.", "Ana no longer likes opera."),
        ("The shop is open on Monday.", "The shop is closed on Monday."),
        ("Ben joined the choir in May.", "Ben left the choir in June."),
        ("Ana never eats meat.", "Ana eats meat."),
    ],
)
def test_what_denies_the_other_is_opposed_either_way_round(a: str, b: str) -> None:
    assert opposed(a, b)
    assert opposed(b, a)
    assert judge(a, b, 0.99) == judge(b, a, 0.85) == Band.CONFLICT


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Ana likes opera.", "Ana likes opera and jazz."),
        ("Ana likes opera.", "Ana does not hate opera."),
        ("Ana likes opera.", "Ben does not like the weather today."),
        ("Ana is happy with her job.", "Ana is sad about the news from Rome."),
        ("Ana does not like opera.", "Ana never liked opera."),
        ("", ""),
        ("It is not so.", "Yes."),
    ],
)
def test_what_does_not_deny_it_is_not(a: str, b: str) -> None:
    assert not opposed(a, b)
    assert not opposed(b, a)


def test_the_bands_are_those_of_the_paper() -> None:
    a, b = "The grey heron stands by the old mill.", "A grey heron was standing near the mill pond."
    assert judge(a, b, 0.79) == Band.INDEPENDENT
    assert judge(a, b, 0.85) == Band.INDEPENDENT  # close, but each says something of its own
    assert judge(a, b, 0.92) == Band.DUPLICATE
    assert judge("Ana has a boat.", "Ana has a boat in Faro.", 0.85) == Band.DUPLICATE


def test_another_value_is_a_conflict_only_where_there_can_be_one() -> None:
    assert judge("Ana lives in Porto.", "Ana lives in Lisbon.", 0.95, exclusive=True) == Band.CONFLICT
    assert judge("Ana lives in Porto.", "Ana lives in Porto.", 1.0, exclusive=True) == Band.DUPLICATE
    assert judge("Ana lives in Porto.", "Ana lives in Lisbon.", 0.75, exclusive=True) == Band.INDEPENDENT
    assert judge("Ana met Carla on Monday.", "Ana met Dora on Friday.", 0.95) == Band.INDEPENDENT
    assert judge("They sold 12 lamps.", "They sold 15 lamps.", 0.95) == Band.INDEPENDENT


def test_a_cosine_alone_cannot_tell_denial_from_repetition() -> None:
    said = vectors(["Ana likes opera.", "Ana does not like opera."], Encoders())
    assert cosines(said, said)[0, 1] == pytest.approx(1.0)


def test_antonyms_go_both_ways() -> None:
    for stem, others in antonyms().items():
        assert all(stem in antonyms()[other] for other in others)
        assert stem not in others


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.floats(-1, 1))
def test_it_is_symmetric_and_never_fails(a: str, b: str, cosine: float) -> None:
    for exclusive in (True, False):
        assert judge(a, b, cosine, exclusive=exclusive) == judge(b, a, cosine, exclusive=exclusive)
    assert not opposed(a, a)
