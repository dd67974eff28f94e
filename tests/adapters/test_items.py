"""Items taken apart and put together: nothing is lost, words are text, secrets are nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.adapters.items import joined, split
from mnemic.errors import InputError, StoreError
from mnemic.text.memory import masked
from mnemic.text.record import Kind, Record
from mnemic.text.steps import secrets

PASSWORD = "Quartz-Lemur-77"
RULES = st.sampled_from(["---", "----", "\n---\n", "-", "\n", "a: b", "  "])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | RULES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | RULES, inner, max_size=4),
    max_leaves=12,
)


def record(text: str) -> Record:
    return Record("r", Kind.TURN, text, secrets=tuple(secrets.find(text)))


@given(VALUES, st.booleans(), st.integers(0, 3))
def test_what_is_put_together_is_what_was_taken_apart(value: Any, all_of_it: bool, deep: int) -> None:
    text, kept = split(value, wanted=lambda path: all_of_it or len(path) > deep)
    assert text
    again = joined(record(text), kept)
    assert again == value
    assert json.dumps(again) == json.dumps(value)  # the order of keys, and what is 1 and what is 1.0


def test_words_are_text_under_their_keys() -> None:
    value = {"text": "I love figs.", "kind": "taste", "age": 7, "tags": ["a", "b"], "none": None, "sure": True}
    text, kept = split(value, wanted=lambda path: path != ("kind",))
    assert text == "I love figs.\n---\ntags: a\n---\ntags: b\n---\nage: 7; sure: true"
    assert json.loads(kept["rest"]) == {
        "text": None, "kind": "taste", "age": 7, "tags": [None, None], "none": None, "sure": True
    }  # fmt: skip


def test_a_secret_is_in_the_text_wherever_it_was() -> None:
    value = {"settings": {"password": PASSWORD}, "text": "hello"}
    text, kept = split(value, wanted=lambda path: False)
    assert text == f"password: {PASSWORD}"
    assert PASSWORD not in str(kept)
    assert joined(record(text), kept) == value
    assert joined(masked(record(text)), kept) == {"settings": {"password": "[secret:password]"}, "text": "hello"}


def test_an_item_without_words_is_told_in_short() -> None:
    value = {"image": "x" * 5000, "empty": " "}
    text, kept = split(value, wanted=lambda path: path == ("empty",))
    assert text == '{"image": "' + "x" * 189
    assert joined(record(text), kept) == value


def test_what_was_revised_by_hand_is_no_item() -> None:
    text, kept = split({"a": "one", "b": "two"}, wanted=lambda path: True)
    with pytest.raises(StoreError, match="no item any more"):
        joined(replace(record(text), text="something else"), kept)


def test_keys_that_are_no_strings_are_refused() -> None:
    with pytest.raises(InputError, match="keys of an item"):
        split({1: "one"}, wanted=lambda path: True)
