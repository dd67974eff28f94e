"""The four rewards of Mem-alpha: they tell good writers from bad ones, each its own fault."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from mnemic import Turn, demo
from mnemic.errors import InputError, LanguageError
from mnemic.text.language.base import Completion
from mnemic.text.rewards import (
    Question,
    Reward,
    Terms,
    Weights,
    advantages,
    best,
    compression,
    correctness,
    executed,
    judging,
    read_calls,
    retrieved,
    rewards,
    validity,
)
from mnemic.text.steps.notebook import Call, Entry, Notebook, Shelf, Step, Tool, episode, play
from mnemic.text.steps.writer import Rules

SEMANTIC, EPISODIC = Shelf.SEMANTIC, Shelf.EPISODIC
DAY = datetime(2024, 5, 2, tzinfo=UTC)
SAID = [
    ["I live in Porto.", "I sold the old boat to Oskar.", "The weather was quite grey."],
    ["I have moved to Lisbon.", "My sister has a bakery.", "There was so much to tell."],
    ["I am allergic to peanuts.", "I painted the shed.", "Nothing else happened."],
]
ASIDE = "Thank you for telling me, that is good to hear, and there are many things that one could say about it. " * 4
CHUNKS = [
    [Turn(text, "Ana", DAY + timedelta(days=9 * n), id=f"{n}:{i}") for i, text in enumerate(texts)]
    + [Turn(ASIDE, role="assistant")]
    for n, texts in enumerate(SAID)
]
ASKED = [
    Question("Where does Ana live?", "Lisbon"),
    Question("What is Ana allergic to?", "peanuts"),
    Question("When did Ana sell the boat?", "2024-05-02"),
    Question("What does her sister have?", "bakery"),
]


def insert(text: str, shelf: Shelf = SEMANTIC) -> Call:
    return Call(Tool.INSERT, shelf, text)


def silent(book: Notebook, chunk: object) -> list[Call]:
    return []


def copying(book: Notebook, chunk: list[Turn]) -> list[Call]:
    """Keeps every word, on the wrong shelf."""
    return [insert(turn.text, EPISODIC) for turn in chunk]


def clumsy(book: Notebook, chunk: list[Turn]) -> list[Call]:
    """Right, but with calls that cannot be carried out."""
    return [
        *Rules()(Notebook(), chunk),
        Call(Tool.DELETE, SEMANTIC, id="zzzz"),
        Call(Tool.UPDATE, EPISODIC, "x y", "none"),
    ]


def inventing(book: Notebook, chunk: list[Turn]) -> list[Call]:
    return [insert(f"Ana owns castle number {len(book.semantic)} in Spain, with a view and a very large garden.")]


def total(writer: object, **more: object) -> float:
    return sum(t.total for t in rewards(episode(CHUNKS, writer), ASKED, **more)) / len(CHUNKS)  # type: ignore[arg-type]


# -- the terms -----------------------------------------------------------------------------------------------------


def test_the_terms_are_added_up_as_published() -> None:
    steps = episode(CHUNKS, Rules())
    found = rewards(steps, ASKED)
    for terms in found:
        assert terms.total == pytest.approx(terms.r1 + terms.r2 + 0.05 * terms.r3 + 0.1 * terms.r4)
    assert len({(t.r1, t.r3) for t in found}) == 1
    heavier = rewards(steps, ASKED, weights=Weights(beta=1, gamma=2))[0]
    assert heavier.total == pytest.approx(heavier.r1 + heavier.r2 + heavier.r3 + 2 * heavier.r4)
    assert rewards([], ASKED) == []


def test_each_term_sees_its_own_fault() -> None:
    means = {}
    for name, writer in {
        "rules": Rules(),
        "silent": silent,
        "copying": copying,
        "clumsy": clumsy,
        "inventing": inventing,
    }.items():
        found = rewards(episode(CHUNKS, writer), ASKED)  # type: ignore[arg-type]
        means[name] = Terms(
            *(sum(getattr(t, f) for t in found) / len(found) for f in ("r1", "r2", "r3", "r4", "total"))
        )
    good = means["rules"]
    assert good.r1 == 1.0
    assert good.r2 == good.r4 == 1.0
    assert means["inventing"].r1 == means["silent"].r1 == 0.0
    assert means["clumsy"].r2 < 1.0
    assert means["copying"].r3 < good.r3 < means["silent"].r3 == 1.0
    assert means["copying"].r4 == 0.0
    assert means["silent"].r2 == means["silent"].r4 == 0.0
    assert all(good.total > means[name].total for name in means if name != "rules")


def test_without_questions_the_other_terms_still_tell_writers_apart() -> None:
    free = {name: sum(t.total for t in rewards(episode(CHUNKS, writer))) for name, writer in  # type: ignore[arg-type]
            {"rules": Rules(), "silent": silent, "copying": copying, "clumsy": clumsy}.items()}  # fmt: skip
    assert free["rules"] == max(free.values())


def test_a_delete_counts_against_the_writer_only_as_published() -> None:
    book, made = Notebook().apply(insert("Ana lives in Porto."))
    assert made.entry is not None
    step = play(book, CHUNKS[0], [Call(Tool.DELETE, SEMANTIC, id=made.entry.id), insert("Ana has a boat.")])
    assert validity(step) == 1.0
    assert validity(step, published_delete=True) == 0.5
    ours, theirs = (rewards([step], weights=Weights(published_delete=p))[0] for p in (False, True))
    assert ours.total - theirs.total == pytest.approx(0.1 * 0.5)


def test_executed_counts_what_was_no_call_at_all() -> None:
    assert executed(Step([], play(Notebook(), [], [insert("Ana sails.")]).outcomes, Notebook(), unread=3)) == 0.25
    assert executed(play(Notebook(), [], [])) == 0.0


def test_compression_is_negative_where_more_is_kept_than_was_said() -> None:
    assert compression(Notebook(), ["some words here"]) == 1.0
    assert compression(Notebook(core="many more words than there were said"), ["few words"]) < 0
    assert compression(Notebook(core="x"), []) == 0.0


# -- questions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "given", "score"),
    [
        (Question("?", "Lisbon"), "She lives in LISBON.", 1.0),
        (Question("?", "Lisbon"), "She lives in Porto.", 0.0),
        (Question("?", ""), "anything", 0.0),
        (Question("?", "7", "label"), "The label is 7.", 1.0),
        (Question("?", "7", "label"), "17", 0.0),
        (Question("?", "7", "label"), "none", 0.0),
        (Question("?", "boat, shed, kiln, sea", "keywords"), "The shed is by the sea.", 0.5),
        (Question("?", "Ana Maria; Ben", "listed"), "ben and oskar", 0.5),
        (Question("?", ";", "listed"), "x", 0.0),
    ],
)
def test_answers_are_scored_by_kind(question: Question, given: str, score: float) -> None:
    assert question.score(given) == score


def test_an_unknown_way_to_score_is_refused() -> None:
    with pytest.raises(InputError, match="keywords"):
        Question("?", "x", "vibes").score("x")


def test_the_reader_gets_the_core_and_the_best_of_each_list() -> None:
    calls = [insert(f"Boat {i} is blue.") for i in range(30)] + [insert("At 2024-05-02, Ana painted a boat.", EPISODIC)]
    book = play(Notebook(core="Ana sails."), [], calls).notebook
    lines = retrieved(book, "Which boat did Ana paint?").splitlines()
    assert lines[0] == "Ana sails."
    assert len(lines) == 1 + 20 + 1
    assert best([Entry("a", "red kite"), Entry("b", "blue boat")], "boat", 5) == [Entry("b", "blue boat")]
    assert best([], "boat", 5) == best([Entry("a", "x")], "", 5) == []


def test_an_answerer_is_asked_with_what_was_retrieved() -> None:
    seen = []

    def answer(question: str, memory: str) -> str:
        seen.append((question, memory))
        return "In Lisbon."

    book = play(Notebook(), [], [insert("Ana lives in Lisbon.")]).notebook
    assert correctness(book, [Question("Where does Ana live?", "Lisbon")], answer) == 1.0
    assert seen == [("Where does Ana live?", "Ana lives in Lisbon.")]
    assert correctness(book, []) == 0.0


def test_advantages_are_those_of_a_group() -> None:
    assert advantages([1.0, 2.0, 3.0]) == pytest.approx([-1.2247, 0.0, 1.2247], abs=1e-4)
    assert advantages([2.0, 2.0]) == [0.0, 0.0]
    assert advantages([5.0]) == [0.0]
    assert advantages([]) == []


# -- a model as the judge, and the function for a trainer ----------------------------------------------------------


class Saying:
    name = "saying"

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)

    def complete(self, messages: object, **_: object) -> Completion:
        return Completion(self.replies.pop(0), 1, 1, 0.0)


def test_a_model_can_judge() -> None:
    judge = judging(Saying('{"valid": true}', "hm", '{"valid": false}', '{"valid": 1}', '{"valid": "no"}'))
    assert judge(insert("Ana sails."))
    assert not judge(insert("Ana sails."))
    with pytest.raises(LanguageError):
        judge(insert("Ana sails."))


NAMED = {"name": "new_memory_insert", "arguments": {"type": "semantic", "content": "Ana sails."}}
CALL = {"tool": "new_memory_insert", "type": "semantic", "content": "Ana lives in Lisbon."}


@pytest.mark.parametrize(
    ("text", "count", "unread"),
    [
        (json.dumps({"calls": [CALL]}), 1, 0),
        (f"I think so.\n```json\n{json.dumps({'calls': [CALL, 3]})}\n```", 1, 1),
        (f"<tool_call>{json.dumps(NAMED)}</tool_call> and <tool_call>{{</tool_call>", 1, 1),
        ("", 0, 1),
        ("no calls today", 0, 1),
        ('{"calls": []}', 0, 0),
        ('{"calls": {}}', 0, 1),
        (json.dumps({"calls": [CALL] * 500}), 100, 400),
        ('{"calls": ' * 5000, 0, 1),
    ],
)  # fmt: skip
def test_calls_are_found_in_what_a_model_wrote(text: str, count: int, unread: int) -> None:
    calls, bad = read_calls(text)
    assert (len(calls), bad) == (count, unread)


def test_the_reward_function_ranks_completions() -> None:
    reward = Reward()
    assert reward.__name__ == "memalpha"
    good = json.dumps({"calls": [CALL]})
    wrong = json.dumps({"calls": [{**CALL, "type": "episodic"}]})
    useless = json.dumps({"calls": [{"tool": "memory_delete", "type": "semantic", "id": "zzzz"}]})
    chunk = "Ana told me that she has moved to Lisbon, after so many years in Porto by the sea."
    asked = [{"text": "Where does Ana live?", "answer": "Lisbon"}]
    completions = [good, [{"role": "assistant", "content": wrong}], useless, "I would rather not."]
    found = reward(["?"] * 4, completions, chunk=[chunk] * 4, questions=[asked] * 4, trainer_state=None)
    assert found == sorted(found, reverse=True)
    assert len(set(found)) > 2
    assert found[0] == pytest.approx(1 + 1 + 0.05 * (1 - 5 / 18) + 0.1, abs=0.02)
    book, _ = Notebook().apply(insert("Ana lives in Lisbon."))
    assert reward(["?"], ["{}"], chunk=[chunk], notebook=[book], questions=[asked])[0] > found[3]


@pytest.mark.slow
def test_the_writer_by_rule_on_the_demo_conversation() -> None:
    """469 turns in chunks of 20: every call of it can be carried out and is of the right kind, at a fifth of the
    length."""
    turns = demo.turns()
    steps = episode([turns[i : i + 20] for i in range(0, len(turns), 20)], Rules())
    found = rewards(steps)
    assert sum(t.r2 for t in found) / len(found) > 0.95
    assert min(t.r4 for t in found) == 1.0
    assert found[0].r3 > 0.6
    assert total(Rules()) > total(silent)
