"""The header of a memory cube and its life."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.cube import TRANSITIONS, Behavioural, Descriptive, Form, Governance, Header, Life
from mnemic.errors import ConflictError, InputError

NOW = datetime(2024, 3, 1, tzinfo=UTC)
times = st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
several = st.lists(texts, max_size=3).map(tuple)
headers = st.builds(
    Header,
    texts,
    st.sampled_from(Form),
    st.sampled_from(Life),
    st.builds(Descriptive, times, times, several, texts, texts),
    st.builds(Governance, several, times, st.integers(-5, 5), several, texts),
    st.builds(Behavioural, st.integers(0, 99), texts, st.integers(1, 99), several),
)


@given(headers)
def test_a_header_can_be_stored_as_json(header: Header) -> None:
    assert Header.unpacked(header.id, json.loads(json.dumps(header.packed()))) == header


@given(st.lists(st.sampled_from(Life), max_size=12))
def test_a_life_keeps_to_the_table(asked: list[Life]) -> None:
    header, lived = Header("a"), [Life.GENERATED]
    for life in asked:
        if life in TRANSITIONS[header.life]:
            header = header.to(life)
            lived.append(life)
        else:
            with pytest.raises(ConflictError, match=str(header.life)):
                header.to(life)
    assert header.life == lived[-1]
    for end in (Life.MERGED, Life.EXPIRED):  # what has ended stays so: a fusion and its parts are never both alive
        assert end not in lived[:-1]
    for before, after in pairwise(lived):
        assert before != after
        assert after != Life.GENERATED
        assert before != Life.FROZEN or after == Life.ACTIVATED


def test_every_state_can_be_reached_and_has_a_row() -> None:
    reached, frontier = {Life.GENERATED}, [Life.GENERATED]
    while frontier:
        fresh = TRANSITIONS[frontier.pop()] - reached
        reached |= fresh
        frontier += fresh
    assert reached == set(Life) == set(TRANSITIONS)


def test_what_expires_and_what_is_frozen() -> None:
    header = Header("a", governance=Governance(expires=NOW))
    assert not header.expired(NOW - timedelta(seconds=1))
    assert header.expired(NOW)
    assert not header.to(Life.FROZEN).expired(NOW)
    assert not Header("b").expired(NOW)
    assert Header("b").to(Life.EXPIRED).expired(NOW)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"form": "text", "life": "undead"},
        {"form": "text", "life": "merged", "governance": {"expires": "soon"}},
        {"form": "text", "life": "merged", "governance": {"owner": "Ana"}},
        {"form": "text", "life": "merged", "governance": [1]},
    ],
)
def test_a_header_that_cannot_be_read_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(InputError, match="'a'"):
        Header.unpacked("a", told)


def test_a_header_is_a_value() -> None:
    header = Header("a")
    assert header.to(Life.ACTIVATED) == replace(header, life=Life.ACTIVATED)
    assert header.life == Life.GENERATED


def test_the_module_knows_no_floor() -> None:
    told = "import sys, mnemic.cube; print([m for m in sys.modules if m.startswith('mnemic.') and m.count('.') > 1])"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
