"""Cutting a long text down to what a query is about."""

from __future__ import annotations

from mnemic.text.steps.relevant import GAP, relevant

FILLER = "Nothing of note happened on that long and quiet afternoon. "
LONG = FILLER * 10 + "Then Miriam opened the kiln. It was empty. " + FILLER * 10


def test_long_texts_keep_what_matches_and_its_neighbours() -> None:
    found = relevant(LONG, "Who opened the kiln?")
    assert "Miriam opened the kiln. It was empty." in found
    assert found.count("quiet afternoon") == 1
    assert found.startswith(GAP.lstrip())
    assert found.endswith(GAP.rstrip())


def test_short_texts_stay_whole() -> None:
    text = "Then Miriam opened the kiln. It was empty. I laughed."
    assert relevant(text, "kiln") == text


def test_what_matches_nowhere_stays_whole() -> None:
    assert relevant(LONG, "zebra") == LONG
    assert relevant(LONG, "") == LONG
