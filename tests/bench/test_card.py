"""The card tells good from bad: contenders whose behaviour is known get the numbers they deserve."""

from __future__ import annotations

import random

import pytest

from mnemic.bench import generate
from mnemic.bench.card import Card, card
from mnemic.bench.contender import Contender
from mnemic.bench.controls import Control, Recent
from mnemic.bench.run import Settings, run


class Oldest(Control):
    """The oldest turns first."""

    def order(self, query: str) -> list[tuple[int, float]]:
        return [(n, 0.0) for n in range(len(self.records))]


def value(made: Card, panel: str, metric: str, regime: str = "offline", of: str | None = None) -> float:
    (found,) = [p for p in made.panels if (p.name, p.regime) == (panel, regime)]
    return next(s.value for s in found.scores if s.metric == metric and (of is None or s.group == of))


@pytest.fixture(scope="module")
def default() -> Card:
    return card("mnemic@lexical", rounds=1)


def test_newest_first_is_always_fresh():
    made = card(Contender("recent", Recent), rounds=1)
    assert value(made, "Timeliness", "newest first", "online") == 1.0
    assert value(made, "Timeliness", "outdated first", "online") == 0.0
    assert value(made, "Position", "recall@1", of="depth 1.0") == 1.0
    assert value(made, "Position", "recall@1", of="depth 0.5") == 0.0
    assert value(made, "Position", "drop in the middle") > 0


def test_oldest_first_is_never_fresh():
    made = card(Contender("oldest", Oldest), rounds=1)
    assert value(made, "Timeliness", "newest first", "online") == 0.0
    assert value(made, "Timeliness", "outdated first", "online") == 1.0
    assert value(made, "Position", "recall@1", of="depth 0.0") == 1.0


def test_the_default_system_gets_a_whole_card(default: Card):
    names = {(panel.name, panel.regime) for panel in default.panels}
    assert names == {
        ("Correctness", "offline"),
        ("Faithfulness of citations", "offline"),
        ("Timeliness", "offline"),
        ("Timeliness", "online"),
        ("Refusal", "offline"),
        ("Cost", "offline"),
        ("Position", "offline"),
    }
    assert value(default, "Faithfulness of citations", "sentences supported") == 1.0
    assert value(default, "Position", "recall@1", of="all") == 1.0
    assert value(default, "Cost", "recall, ms p95") >= value(default, "Cost", "recall, ms p50") > 0
    for panel in default.panels:
        for score in panel.scores:
            low, high = score.clustered or score.interval
            assert low <= high
            assert score.n > 0


def test_card_as_text_tells_what_was_not_measured(default: Card):
    text = default.markdown()
    assert text.startswith("# Evaluation card: mnemic@lexical")
    assert "needs a language model, not measured" in text
    assert "Seed 0" in text
    assert default.to_json()["mnemic_card"] == 1


def test_results_of_this_system_are_quoted():
    result = run("generated", ["mnemic@lexical", "bm25"], settings=Settings(limit=2)).to_json()
    made = card(Contender("bm25", Recent), rounds=1, results=[result])
    (quoted,) = [p for p in made.panels if p.name == "Correctness on generated"]
    assert quoted.scores[0].value == next(
        s["value"] for s in result["systems"][1]["scores"] if (s["metric"], s["group"]) == ("recall@5", "all")
    )


def test_generated_conversations_are_consistent():
    case = generate.conversation("c", random.Random(3))
    again = generate.conversation("c", random.Random(3))
    assert case == again
    assert case != generate.conversation("c", random.Random(4))
    texts = {turn.id: turn.text for turn in case.turns}
    speakers = {turn.speaker for turn in case.turns}
    assert len(texts) == len(case.turns) == 160
    assert len(speakers) == 2
    at = {turn.id: turn.at for turn in case.turns}
    for question in case.questions:
        if question.answer:
            assert question.answer in texts[question.gold[0]]
        assert question.answerable == bool(question.gold)
        for old in question.meta["old"]:
            assert at[old] < at[question.gold[0]]
            assert question.answer not in texts[old]
        if question.category == "none":
            assert any(name in question.text for name in speakers if name)


@pytest.mark.parametrize("depth", [0.0, 0.5, 1.0])
def test_needles_lie_where_they_are_put(depth: float):
    case = generate.needle("n", random.Random(1), depth=depth, size=101)
    place = [turn.id for turn in case.turns].index(case.questions[0].gold[0])
    assert place == 100 * depth
    assert sum("behind the" in turn.text for turn in case.turns) == 1


def test_streams_state_each_value_once():
    turns, question = generate.updates(random.Random(5), 4)
    values = [turn.meta["value"] for turn in turns if turn.meta]
    assert len(values) == len(set(values)) == 4
    assert all(turn.meta["value"] in turn.text for turn in turns if turn.meta)
    assert len({turn.speaker for turn in turns if turn.meta}) == 1
    assert next(turn.speaker for turn in turns if turn.meta) in question
