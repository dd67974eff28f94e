"""The responses API through the proxy, with OpenAI's own client in front."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from upstream import Stage, sse

PIM = "I adopted a beagle called Pim."
ASK = "What is my beagle called?"


@pytest.fixture
def served(running_stage: Stage) -> Stage:
    running_stage.reset()
    return running_stage


def respond(served: Stage, **body: Any) -> Any:
    return served.client().responses.with_raw_response.create(model="fake", **body)


def texts(served: Stage, count: int) -> list[str]:
    return [record.text for record in served.records(count)]


def test_a_string_is_asked_with_memory_before_it(served: Stage) -> None:
    [id] = served.remember(PIM)
    answer = respond(served, input=ASK, instructions="Be brief.")
    assert answer.parse().output_text == "Hello!"
    assert answer.headers["X-Mnemic-Recalled"] == id
    sent = served.upstream.last.json
    assert PIM in sent["input"]
    assert sent["input"].endswith(f"\n\n{ASK}")
    assert sent["instructions"] == "Be brief."
    assert texts(served, 2) == [ASK, "Hello!"]


def test_items_stay_as_they_are_but_for_the_question(served: Stage) -> None:
    served.remember(PIM)
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    items: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": "Look at this."},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "A beagle."},
        {"type": "reasoning", "id": "rs_0", "summary": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "A dog."}]},
        {"role": "user", "content": [picture, {"type": "input_text", "text": ASK}]},
    ]
    respond(served, input=items, tools=[{"type": "web_search"}], truncation="auto")
    sent = served.upstream.last.json
    block = sent["input"][-1]["content"].pop(0)
    assert block["type"] == "input_text"
    assert PIM in block["text"]
    assert sent == {"model": "fake", "input": items, "tools": [{"type": "web_search"}], "truncation": "auto"}
    assert texts(served, 2) == [ASK, "Hello!"]


def test_events_pass_unchanged_and_are_remembered(served: Stage) -> None:
    served.upstream.reply = "He is called Pim."
    stream = served.client().responses.create(model="fake", input=ASK, stream=True)
    events = list(stream)
    assert [event.type for event in events][:2] == ["response.created", "response.output_text.delta"]
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "He is called Pim."
    asked, answer = served.records(2)
    assert (asked.text, answer.text, answer.meta) == (ASK, "He is called Pim.", {"source": "proxy", "model": "fake-1"})


def test_the_asynchronous_client_works_too(served: Stage) -> None:
    async def talk() -> str:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.token) as client:
            return (await client.responses.create(model="fake", input="Hi")).output_text

    assert asyncio.run(talk()) == "Hello!"
    assert texts(served, 2) == ["Hi", "Hello!"]


def test_a_stream_that_breaks_off_is_kept_as_far_as_it_came(served: Stage) -> None:
    served.upstream.raw = [
        sse({"type": "response.created", "response": {"id": "resp_x", "status": "in_progress", "output": []}}),
        sse({"type": "response.output_text.delta", "delta": "He is "}),
        sse({"type": "response.output_text.delta", "delta": "called"}),
        None,
    ]
    with pytest.raises(openai.APIError):
        list(served.client().responses.create(model="fake", input=ASK, stream=True))
    answer = served.records(2)[1]
    assert (answer.text, answer.meta["broken_off"]) == ("He is called", True)


@pytest.mark.parametrize("status", ["failed", "cancelled", "queued"])
def test_a_response_without_words_is_no_answer(served: Stage, status: str) -> None:
    served.upstream.raw = [sse({"type": "response.failed", "response": {"id": "r", "status": status, "output": []}})]
    list(served.client().responses.create(model="fake", input=ASK, stream=True))
    assert texts(served, 1) == [ASK]


def test_what_the_upstream_keeps_is_not_quoted_again(served: Stage) -> None:
    served.remember(PIM, "The beagle sleeps in the kitchen.", "The beagle likes the vet.")
    first = respond(served, input=ASK)
    before = first.parse().id
    second = respond(served, input="Where does the beagle sleep?", previous_response_id=before)
    assert second.headers["X-Mnemic-Session"] == first.headers["X-Mnemic-Session"]
    assert not set(filter(None, second.headers["X-Mnemic-Recalled"].split(","))) & set(
        first.headers["X-Mnemic-Recalled"].split(",")
    )
    sent = served.upstream.last.json
    assert sent["previous_response_id"] == before
    assert PIM not in sent["input"]
    assert sent["input"].endswith("Where does the beagle sleep?")
    assert ASK not in sent["input"]  # the upstream has what was said in this session
    again = respond(served, input="Where does the beagle sleep?", previous_response_id=before)  # a retry
    assert served.upstream.last.json == sent
    assert again.headers["X-Mnemic-Recalled"] == second.headers["X-Mnemic-Recalled"]
    assert texts(served, 4) == [ASK, "Hello!", "Where does the beagle sleep?", "Hello!"]


def test_the_same_words_later_in_a_kept_conversation_are_said_again(served: Stage) -> None:
    before = respond(served, input="Go on.").parse().id
    before = respond(served, input="Go on.", previous_response_id=before).parse().id
    respond(served, input="Go on.", previous_response_id=before)
    assert texts(served, 6) == ["Go on.", "Hello!"] * 3


def test_a_conversation_of_the_upstream_is_a_session(served: Stage) -> None:
    served.remember(PIM)
    first = respond(served, input=ASK, conversation="conv_1")
    assert PIM in served.upstream.last.json["input"]
    second = respond(served, input=ASK, conversation={"id": "conv_1"})
    assert PIM not in served.upstream.last.json["input"]
    assert first.headers["X-Mnemic-Session"] == second.headers["X-Mnemic-Session"] == "conv_1"
    assert texts(served, 4) == [ASK, "Hello!", ASK, "Hello!"]
