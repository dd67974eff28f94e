"""``ask``: answers of a scripted model, what they cite, and what happens where it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import mnemic
from mnemic import Filter, Memory, Turn
from mnemic.errors import InputError, LanguageError
from mnemic.text.language.base import Completion

PASSWORD = "Quartz-Lemur-77"


def texts(found: mnemic.Recall) -> list[str]:
    return [hit.text for hit in found.hits]


class Scripted:
    """A language model that does what it is told, call by call."""

    name = "scripted"

    def __init__(self, *replies: str | BaseException | Callable[[], str]) -> None:
        self.replies = list(replies)
        self.asked: list[str] = []

    def complete(self, messages: Any, **_: Any) -> Completion:
        self.asked.append("\n".join(message.content for message in messages))
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return Completion(reply if isinstance(reply, str) else reply(), 1, 1, 0.0)


def slow() -> str:
    import time

    time.sleep(0.05)
    return json.dumps({"answer": "By the weir [1].", "citations": [1], "found": True})


GOOD = json.dumps({"answer": "By the weir [1].", "citations": [1], "found": True})
NOT_FOUND = json.dumps({"answer": "", "citations": [], "found": False})


class TestAsk:
    @pytest.fixture
    def heron(self, memory: Memory) -> Memory:
        memory.remember(
            [Turn("The heron nests by the weir.", "Ana", id="a"), Turn(f"The wifi password is {PASSWORD}.", id="p")]
        )
        return memory

    def test_without_a_model_it_quotes_and_cites(self, heron: Memory) -> None:
        answer = heron.ask("Where does the heron nest?")
        assert (answer.by, answer.found, answer.citations) == ("extract", True, (1,))
        assert "weir" in answer.text
        assert answer.sentences[0].sources == ("a",)

    def test_without_anything_relevant_it_says_so(self, heron: Memory) -> None:
        for language in (None, Scripted()):
            heron.language = language
            answer = heron.ask("Which submarine cable broke?")
            assert (answer.text, answer.found) == ("Nothing relevant is stored.", False)

    @pytest.mark.parametrize(
        ("replies", "found"),
        [
            ([GOOD], True),
            ([slow], True),
            ([f"Sure!\n```json\n{GOOD}\n```"], True),
            (["no JSON here", GOOD], True),
            (['{"answer": "By the', GOOD], True),
            ([json.dumps({"answer": "By [9].", "citations": [9], "found": True}), GOOD], True),
            ([NOT_FOUND], False),
        ],
        ids=["good", "slow", "fenced", "nonsense first", "half first", "wrong citation first", "not found"],
    )
    def test_a_model_that_comes_round_is_used(self, heron: Memory, replies: list[Any], found: bool) -> None:
        heron.language = Scripted(*replies)
        answer = heron.ask("Where does the heron nest?")
        assert (answer.by, answer.found) == ("language", found)
        if found:
            assert answer.sentences[0].sources == ("a",)

    @pytest.mark.parametrize(
        "replies",
        [
            ["nonsense", "more nonsense"],
            ['{"answer": "By the', '{"answer"'],
            ["", ""],
            ["[]", "null"],
            [json.dumps({"answer": "x", "citations": [7], "found": True})] * 2,
            [TimeoutError("no reply in 60 s")],
            [ValueError("the server says no")],
            ["nonsense", ConnectionResetError("gone")],
        ],
        ids=["nonsense", "half", "nothing", "not an object", "wrong citation", "timeout", "error", "then error"],
    )
    def test_a_model_that_does_not_is_a_clear_error(self, heron: Memory, replies: list[Any]) -> None:
        heron.language = Scripted(*replies)
        before = heron.stats()
        with pytest.raises(LanguageError, match="scripted"):
            heron.ask("Where does the heron nest?")
        assert heron.stats() == before
        assert texts(heron.recall("heron"))[0] == "The heron nests by the weir."

    def test_the_model_never_sees_a_secret(self, heron: Memory) -> None:
        model = Scripted(NOT_FOUND)
        heron.language = model
        heron.ask("What is the wifi password?")
        assert "[secret:password]" in model.asked[0]
        assert PASSWORD not in model.asked[0]

    def test_takes_the_options_of_recall(self, heron: Memory) -> None:
        assert not heron.ask("Where does the heron nest?", filter=Filter(speakers=["Ben"])).found
        with pytest.raises(InputError, match="k must be"):
            heron.ask("heron", k=0)
        heron.language = Scripted(GOOD)
        with pytest.raises(InputError, match="budget"):
            heron.ask("heron", budget=1)
