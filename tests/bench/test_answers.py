"""Answers are made from what was recalled and judged by the rule of their question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mnemic.bench.answers import REFUSED, RULES, Answering, verdict
from mnemic.bench.contender import contender
from mnemic.bench.run import Settings, run
from mnemic.bench.suite import Question
from mnemic.errors import LanguageError
from mnemic.text.language.base import Completion, Message


class Judge:
    """A language model with one reply for everything; it keeps what it was told."""

    name = "judge"

    def __init__(self, reply: Any) -> None:
        self.reply, self.told = json.dumps(reply), []

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        self.told.append("\n".join(message.content for message in messages))
        assert temperature == 0.0
        return Completion(self.reply, 1, 1, 1.0)


ASKED = Question("q", "How many weeks?", "temporal-reasoning", gold=("a",), answer="three weeks")


@pytest.mark.parametrize("right", [True, False])
def test_the_judge_decides(right: bool):
    judge = Judge({"reason": "r", "right": right})
    assert verdict(judge, ASKED, "4 weeks") is right
    (told,) = judge.told
    for part in ("How many weeks?", "three weeks", "4 weeks", RULES["temporal-reasoning"]):
        assert part in told


def test_each_kind_has_its_rule():
    judge = Judge({"reason": "r", "right": True})
    for kind in ("multi-session", "knowledge-update", "single-session-preference"):
        verdict(judge, Question("q", "?", kind, answer="x"), "y")
        assert RULES.get(kind, RULES[""]) in judge.told[-1]
    verdict(judge, Question("q", "?", "knowledge-update", answerable=False), "y")
    assert RULES["unanswerable"] in judge.told[-1]


def test_an_unusable_verdict_is_an_error():
    with pytest.raises(LanguageError):
        verdict(Judge({"reason": "r", "right": "perhaps"}), ASKED, "x")


def test_answers_without_a_model_are_quoted_and_not_judged():
    outcome = run("generated", ["mnemic@lexical"], settings=Settings(limit=1), responder=Answering()).outcomes[0]
    by_kind = {item.question.category: item for item in outcome.items}
    date = by_kind["date"]
    assert date.response
    assert date.response != REFUSED
    assert all(item.judged is None for item in outcome.items)


def test_answers_of_a_model_are_judged():
    judge = Judge({"answer": "It was a beagle [1].", "citations": [1], "found": True, "reason": "r", "right": True})
    subject = contender("mnemic@lexical", language=judge)
    outcome = run("generated", [subject], settings=Settings(limit=1), responder=Answering(judge)).outcomes[0]
    judged = [item for item in outcome.items if item.judged is not None]
    assert judged
    assert all(item.judged for item in judged)
    assert any(item.response == "It was a beagle [1]." for item in judged)
    unjudged = [item for item in outcome.items if item.judged is None]
    assert all(item.question.answerable and item.question.answer is None for item in unjudged)


def test_answers_are_run_anew_with_another_judge(tmp_path: Path):
    out = tmp_path / "r.json"
    for reply in (True, False):
        judge = Judge({"reason": "r", "right": reply})
        judge.name = f"judge {reply}"
        result = run("generated", ["mnemic@lexical"], settings=Settings(limit=1), out=out, responder=Answering(judge))
        judged = {item.judged for item in result.outcomes[0].items if item.judged is not None}
        assert judged == {reply}
        assert json.loads(out.read_text())["answers"] == {"budget": 2000, "judge": f"judge {reply}"}


def test_saying_nothing_is_stored_is_worded_as_a_refusal():
    outcome = run("generated", ["mnemic@lexical"], settings=Settings(limit=4), responder=Answering()).outcomes[0]
    refused = [item for item in outcome.items if item.response == REFUSED]
    assert refused
    assert all("othing relevant" not in (item.response or "") for item in outcome.items)
