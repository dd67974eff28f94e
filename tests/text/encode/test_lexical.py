"""The tokenizer: one for the index and the query, in every script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.encode import lexical


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_ascii_way_equals_the_general_way(text: str) -> None:
    assert lexical.words(text) == lexical._words(text)


@pytest.mark.parametrize(
    ("text", "stems"),
    [
        ("What's Caroline's café?", ["carolin", "cafe"]),
        ("ＣＡＦＥ Zürich", ["cafe", "zurich"]),
        ("running runs ran", ["run", "run", "ran"]),
        ("don't you the of", []),
        ("東京に行く", ["東京", "京に", "に行", "行く"]),
        ("서울에서", ["서울", "울에", "에서"]),
        ("C++ foo-bar a_b", ["c", "foo", "bar", "b"]),
        ("x" * 100, ["x" * lexical.MAX_TOKEN]),
        ("", []),
        ("?!*", []),
    ],
)
def test_texts_become_the_stems_a_person_expects(text: str, stems: list[str]) -> None:
    assert lexical.tokens(text) == stems


@given(st.text())
def test_any_text_has_tokens_that_fts_can_take(text: str) -> None:
    for token in lexical.tokens(text):
        assert token
        assert not set(token) & set(" \"'\n\t")


def test_every_term_is_quoted() -> None:
    assert lexical.quote(['a"b', "NEAR"]) == '"a""b" OR "NEAR"'
