"""Traits against texts that a person has judged."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.steps.traits import traits


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Why?", True),
        ('He asked "why?"', True),
        ("真的吗？", True),
        ("what) ?  \n", True),
        ("Why? No.", False),
        ("", False),
        ("?" + "x" * 99, False),
    ],
)
def test_is_question(text: str, asks: bool) -> None:
    assert traits(text).question is asks


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Caroline went home.", 0),
        ("I met Caroline in Paris.", 2),
        ("Yes. Paris was fun, said Ben, Tom, Ana and Eve", 3),
        ("no names here", 0),
    ],
)
def test_names_are_counted_inside_sentences(text: str, names: int) -> None:
    assert traits(text).names == names


@pytest.mark.parametrize(
    ("text", "reaction"),
    [
        ("Wow, really?", True),
        ("Thanks!", True),
        ("I thank you", False),
        ("Thatched roofs are nice", False),
        ("", False),
    ],
)
def test_reactions_open_the_turn(text: str, reaction: bool) -> None:
    assert traits(text).reaction is reaction


@given(st.text("Ab .!?…:\n\u00e9Z_9", max_size=30) | st.text())
def test_names_are_those_of_the_plain_expression(text: str) -> None:
    plain = r"(?<![.!?:…]\s)(?<!^)\b[A-Z][a-z]+"
    assert traits(text).names == min(3, len(re.findall(plain, text)))


@given(st.text())
def test_any_text_has_traits(text: str) -> None:
    seen = traits(text)
    assert 0 <= seen.names <= 3
    assert seen.words >= 0
