"""LongRAG, the reader: edges, the score gap, the relevance note.

Measured on LoCoMo, lexical only, k = 40, no budget, categories 1 to 4: conversations 1 to 5 (760 questions), on which
nothing but the defaults was looked at, and 6 to 7 (273). Depth is how far the evidence stands from an edge, 1 being the
middle.

                        1 to 5: recall  passages  depth    6 to 7: recall  passages  depth
mnemic, as ranked               90.0      39.7    .122             87.8      39.7    .123
  edges                         90.0      39.7    .076             87.8      39.7    .074
  chronological                 90.0      39.7    .549             87.8      39.7    .549
  the reader's defaults         84.8      16.1    .250             82.6      15.6    .230
  the best 16, a fixed k        85.1      16      -                83.4      16      -
hema, as ranked                 74.5      41.5    .242             68.6      41.7    .257
  edges                         74.5      41.5    .174             68.6      41.7    .182
  the reader's defaults         69.1      20.5    .366             63.2      21.0    .382

The gap is as good as a fixed k of the same mean, not better. A passage that the note names is evidence in 55 % (hema
49 %) of the cases, one of the three best in 27 % (19 %); there is a note for not quite one question in four. The depth
of the defaults comes from the many questions about times, which they read as it happened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from scenes import HOSTILE, START, Scripted, opened, topical

from mnemic import Kind, Turn, demo
from mnemic.errors import InputError, LanguageError
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.steps.render import count_tokens
from mnemic.text.systems import Reading
from mnemic.text.systems.hema import Hema
from mnemic.text.systems.longrag import NOTE, LongRag, Settings
from mnemic.text.systems.mnemic import Mnemic

ASKED = "Which item concerns the spinnaker next to the regatta?"


def numbers(found: Recall) -> list[int]:
    """The numbers of the lines of the text, in their order."""
    return [int(line[1 : line.index("]")]) for line in found.text.split("\n") if line.startswith("[")]


def read(settings: Settings | None = None, count: int = 160) -> Memory:
    memory = opened(Reading(LongRag(settings), Mnemic()))
    memory.remember(topical(count))
    return memory


def test_the_best_passages_stand_at_both_ends() -> None:
    with read(Settings(adaptive=False)) as memory:
        found = memory.recall(ASKED, k=12)
        assert numbers(found) == [1, 3, 5, 7, 9, 11, 12, 10, 8, 6, 4, 2]
        assert [h.n for h in found.hits] == list(range(1, 13))
        assert [h.score for h in found.hits] == sorted((h.score for h in found.hits), reverse=True)
        assert found.trace["order"] == "edges"


@pytest.mark.parametrize(
    ("question", "k", "order"),
    [
        (ASKED, 9, "score"),
        ("When did we speak of the spinnaker?", 20, "chronological"),
        ("What did we talk about on 2 March 2024?", 20, "score"),
    ],
)
def test_few_passages_times_and_ties_are_read_in_another_order(question: str, k: int, order: str) -> None:
    with read(Settings(adaptive=False)) as memory:
        found = memory.recall(question, k=k, now=START + timedelta(days=30))
        assert found.trace["order"] == order
        shown = {h.n: h for h in found.hits}
        if order == "chronological":
            dates = [shown[n].at for n in numbers(found)]
            assert dates == sorted(dates)
            assert [h.n for h in found.hits] != numbers(found)
        else:
            assert numbers(found) == [h.n for h in found.hits]


def test_reading_stops_at_the_widest_gap() -> None:
    with read() as memory, read(Settings(adaptive=False)) as whole:
        found, everything = memory.recall(ASKED, k=60), whole.recall(ASKED, k=60)
        scores = [h.score for h in everything.hits]
        kept = found.trace["kept"]
        assert 10 <= kept < found.trace["of"] == len(scores)
        assert scores[kept - 1] - scores[kept] == max(scores[i - 1] - scores[i] for i in range(10, len(scores)))
        assert [h.id for h in found.hits] == [h.id for h in everything.hits[:kept]]
        assert count_tokens(found.text) < count_tokens(everything.text)


def test_the_budget_holds_and_the_best_stay() -> None:
    with read(Settings(adaptive=False)) as memory:
        for budget in (20, 60, 300, 1000):
            found = memory.recall(ASKED, k=40, budget=budget)
            assert count_tokens(found.text) <= budget
            shown = sorted(numbers(found))
            assert shown == list(range(1, found.trace["packed"] + 1))
        assert memory.recall(ASKED, k=40, budget=20).text == ""
        assert numbers(memory.recall(ASKED, k=40, budget=30)) == [1]


def test_the_note_names_what_covers_the_question_and_no_questions() -> None:
    with opened(LongRag()) as memory:
        memory.remember(
            [
                Turn("Who lent the kiln to the studio?", "Ana", START, "a", id="asks"),
                Turn(
                    "Miriam lent the kiln to the studio in May.", "Ben", START + timedelta(minutes=1), "a", id="tells"
                ),
                Turn("The kiln is hot.", "Ana", START + timedelta(minutes=2), "a", id="weak"),
            ]
        )
        found = memory.recall("Who lent the kiln to the studio?")
        by_id = {h.id: h.n for h in found.hits}
        assert found.text.startswith(f"{NOTE}[{by_id['tells']}]\n")
        assert NOTE not in memory.recall("kiln in a factory with a chimney").text
    with opened(LongRag(Settings(note=0))) as memory:
        memory.remember("Miriam lent the kiln to the studio in May.")
        assert NOTE not in memory.recall("Who lent the kiln to the studio?").text


def test_summaries_of_the_memory_stand_ahead_and_can_be_cited() -> None:
    with opened(Reading(LongRag(), Hema())) as memory:
        memory.remember(topical(130))
        memory.reflect()
        found = memory.recall(ASKED, k=40)
        assert numbers(found)[0] == found.trace["kept"] + 1
        shown = {h.n: h for h in found.hits}
        assert shown[numbers(found)[0]].kind == Kind.SUMMARY
        assert sorted(shown) == sorted(numbers(found)) == list(range(1, len(found.hits) + 1))
        tight = memory.recall(ASKED, k=40, budget=200)
        assert count_tokens(tight.text) <= 200
        assert 1 in numbers(tight)


@pytest.mark.parametrize("turns", [[], ["Hello!"], ["猫の名前はミソです。"], ["🙂"], ["a " * 5000]])
def test_hardly_anything_to_read(turns: list[str]) -> None:
    with opened("longrag") as memory:
        memory.remember(turns)
        found = memory.recall("猫の名前は何ですか？", budget=500)
        assert (len(found.hits) > 0) == ("猫" in "".join(turns))
        assert memory.recall("").hits == ()
        assert memory.recall("a", budget=100).text.count("\n") <= 1


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(InputError, match="chronological"):
        LongRag(Settings(order="dice"))


# -- with a language model -----------------------------------------------------------------------------------------


def test_a_model_is_advised_to_tell_evidence_from_distraction_first() -> None:
    def reply(messages: Sequence[object]) -> str:
        return json.dumps({"notes": "[1] bears on it.", "answer": "Item 24 [1].", "citations": [1], "found": True})

    language = Scripted(reply)
    with opened("longrag", language=language) as memory:
        memory.remember(topical(60))
        answer = memory.ask(ASKED)
        assert (answer.text, answer.citations, answer.by) == ("Item 24 [1].", (1,), "language")
        assert "only look like an answer" in language.asked[0]
        assert '"notes": {"type": "string"' in language.asked[0]
        memory.system = memory.system.memory  # type: ignore[attr-defined]
        memory.ask(ASKED)
        assert '"notes"' not in language.asked[1]


@pytest.mark.parametrize(
    "reply", [*HOSTILE, '{"notes": "x", "answer": "It is [99].", "citations": [99], "found": true}']
)
def test_a_hostile_model_gives_no_answer_and_changes_nothing(reply: str | Exception) -> None:
    with opened("longrag", language=Scripted(lambda m: reply)) as memory:
        memory.remember(topical(30))
        before = memory.stats()["seq"]
        with pytest.raises(LanguageError):
            memory.ask("compost")
        assert memory.recall("compost", k=3).hits
        assert memory.stats()["seq"] == before


# -- claims --------------------------------------------------------------------------------------------------------


def depths(order: str) -> list[float]:
    """Of every gold turn of the demo questions: how far from an edge it stands, 0 at an edge, 1 in the middle."""
    found = []
    with opened(Reading(LongRag(Settings(order=order, adaptive=False)), Mnemic())) as memory:
        memory.remember(demo.turns())
        for asked in demo.questions():
            told = memory.recall(asked.question, k=40, now=asked.now)
            places = {told.hits[n - 1].id: place for place, n in enumerate(numbers(told))}
            last = max(len(places) - 1, 1)
            found += [2 * min(places[id], last - places[id]) / last for id in asked.gold if id in places]
    return found


def test_claim_edges_bring_the_evidence_to_the_ends() -> None:
    mean = {order: sum(depths(order)) / len(depths(order)) for order in ("edges", "score", "chronological")}
    assert mean["edges"] < 0.9 * mean["score"]
    assert mean["score"] < mean["chronological"]
