"""Keywords by TF-IDF."""

from __future__ import annotations

import mnemic
from mnemic.text.steps.keywords import frequencies, keywords

TEXTS = ["The kiln cracked again.", "A cracked kiln ruins the glaze; kilns are dear in 2023."]


def test_rare_and_frequent_words_come_first() -> None:
    assert keywords(TEXTS, {"crack": 1, "kiln": 1, "dear": 40}, 50, 2) == ["kiln", "cracked"]
    assert keywords(TEXTS, {"crack": 49, "kiln": 1, "again": 45, "ruin": 45, "dear": 45}, 50, 2) == ["kiln", "glaze"]


def test_no_stop_words_no_numbers_each_word_once() -> None:
    found = keywords(TEXTS, {}, 10, 99)
    assert sorted(found) == ["cracked", "dear", "glaze", "kiln", "ruins"]
    assert keywords(["it was the 2023"], {}, 10) == []
    assert keywords([], {}, 0) == []


def test_scripts_without_spaces() -> None:
    assert "猫" in keywords(["猫", "猫"], {}, 3)[0]


def test_frequencies_count_the_keys_or_sessions_a_stem_occurs_in(memory: mnemic.Memory) -> None:
    memory.remember(["A kiln and a kiln.", "Two kilns."], session="a")
    memory.remember("A garden.", session="b")
    asked = ["kilns in gardens", "zebra"]
    assert frequencies(asked, memory.space) == ({"kiln": 2.0, "garden": 1.0, "zebra": 0.0}, 3)
    assert frequencies(asked, memory.space, sessions=True) == ({"kiln": 1.0, "garden": 1.0, "zebra": 0.0}, 2)
    assert frequencies([], memory.space) == ({}, 0)
