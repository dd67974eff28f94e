"""Chat completions through the proxy, with OpenAI's own client in front and a stand-in behind."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from upstream import HTTP, Stage, contents, sse, stage

from mnemic.serve import proxy as module
from mnemic.serve.config import Limits
from mnemic.text.memory import MAX_TEXT, Memory

PIM = "I adopted a beagle called Pim."
ASK = "What is my beagle called?"
MARK = "What the user says now:\n\n"


@pytest.fixture
def served(running_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A server as if it had just been started, on an empty store."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    running_stage.reset()
    return running_stage


# -- recalling and remembering -----------------------------------------------------------------------------------


def test_what_was_said_before_is_quoted_before_the_question(served: Stage) -> None:
    [id] = served.remember(PIM)
    answer = served.ask(ASK)
    assert answer.parse().choices[0].message.content == "Hello!"
    [content] = contents(served)
    quotation, _, said = content.rpartition(MARK)
    assert said == ASK
    assert f"[1] Fri 2024-01-05 user: {PIM}" in quotation
    assert answer.headers["X-Mnemic-Space"] == "default"
    assert answer.headers["X-Mnemic-Recalled"] == id
    assert 20 < int(answer.headers["X-Mnemic-Tokens"]) < 100
    assert "X-Mnemic-Note" not in answer.headers


def test_question_and_answer_are_remembered_verbatim(served: Stage) -> None:
    served.upstream.reply = "Hello,  Ana!\n"
    served.ask("My name\nis Ana. ", extra_headers={"X-Mnemic-Session": "first"})
    asked, answer = served.records(2)
    assert (asked.text, asked.role, asked.session) == ("My name\nis Ana. ", "user", "first")
    assert (answer.text, answer.role, answer.session) == ("Hello,  Ana!\n", "assistant", "first")
    assert answer.meta == {"source": "proxy", "model": "fake-1"}


def test_only_what_is_new_is_remembered(served: Stage) -> None:
    served.ask("First.")
    served.ask("First.", "Hello!", "Second.")
    served.ask("First.", " Hello!\n", "Second.", "<think>Well.</think>Hello!", "Third.")
    said = [record.text for record in served.records(6)]
    assert said == ["First.", "Hello!", "Second.", "Hello!", "Third.", "Hello!"]
    assert len({record.session for record in served.records(6)}) == 1
    served.ask("First.", "Hello!", "Second.", "Hello!", "Third.")  # a retry
    served.upstream.reply = "Another answer."
    served.ask("First.", "Hello!", "Second.", "Hello!", "Third.")
    assert served.records(7)[-1].text == "Another answer."
    served.clock.forward(hours=1)
    served.ask("First.", "Hello!", "Second.", "Hello!", "Third.")  # said again
    assert [record.text for record in served.records(9)][-2:] == ["Third.", "Another answer."]


def test_what_the_request_holds_already_is_not_quoted(served: Stage) -> None:
    served.remember(PIM)
    served.ask(PIM, "Nice!", ASK)
    assert contents(served) == [PIM, "Nice!", ASK]


def test_a_memory_is_quoted_once_in_a_conversation(served: Stage) -> None:
    served.remember(PIM, "The beagle sleeps in the kitchen.")
    first = served.ask(ASK)
    second = served.ask(ASK, "Pim.", "And where does the beagle sleep?")
    ids = first.headers["X-Mnemic-Recalled"].split(",") + second.headers["X-Mnemic-Recalled"].split(",")
    assert len(ids) == len(set(ids))
    assert str(contents(served)).count(PIM) == 1


def test_quotations_stay_where_they_are_when_the_client_changes_what_the_assistant_said(served: Stage) -> None:
    served.remember(PIM, session="a")
    served.remember("Our vet is Dr. Okafor.", session="b")
    served.ask(ASK)
    served.ask(ASK, "(cut)", "Who is our vet?")
    before = contents(served)
    assert "Okafor" in before[2]
    served.ask(ASK, "(cut again)", "Who is our vet?", "(cut)", "Thank you.")
    assert contents(served) == [before[0], "(cut again)", before[2], "(cut)", "Thank you."]
    assert len({record.session for record in served.records(6)}) == 1


@pytest.mark.parametrize("how", ["forget", "erase", "revise"])
def test_what_is_forgotten_or_revised_is_no_longer_quoted(served: Stage, how: str) -> None:
    [id, other] = served.remember(PIM, "The beagle sleeps in the kitchen.")
    served.ask(ASK)
    assert PIM in contents(served)[0]
    with served.service.spaces.use("default") as memory:
        if how == "revise":
            memory.revise(id, "I adopted a beagle called Pam.")
        else:
            memory.forget(id, erase=how == "erase")
    answer = served.ask(ASK, "Pim.", "And where does my beagle sleep?")
    assert PIM not in str(contents(served))
    assert other in answer.headers["X-Mnemic-Recalled"]
    served.service.spaces.drop("default")
    served.ask(ASK, "Pim.", "And where does my beagle sleep?")
    assert contents(served) == [ASK, "Pim.", "And where does my beagle sleep?"]


def test_the_way_back_from_a_tool_goes_on_with_the_question(served: Stage) -> None:
    served.remember(PIM)
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "Pim"}'}}
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    served.upstream.message = {"content": None, "tool_calls": [call]}
    user = {"role": "user", "content": ASK}
    create: Any = served.client().chat.completions.create
    answer = create(model="fake", messages=[user], tools=tools)
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"at": "Pim"}'
    first = served.upstream.last.json
    served.upstream.message = {}
    served.upstream.reply = "He is called Pim."
    served.clock.forward(hours=1)  # the tool takes its time
    history = [user, answer.choices[0].message, {"role": "tool", "tool_call_id": "c1", "content": "Pim barks."}]
    create(model="fake", messages=history, tools=tools)
    second = served.upstream.last.json
    assert second["messages"][:1] == first["messages"]
    assert second["messages"][1]["tool_calls"] == [call]
    assert second["messages"][2]["content"] == "Pim barks."
    assert [record.text for record in served.records(2)] == [ASK, "He is called Pim."]


def test_everything_else_in_a_request_stays_as_it_is(served: Stage) -> None:
    served.remember(PIM)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    body = {
        "model": "fake",
        "messages": [
            {"role": "system", "content": "Be brief. 😀"},
            {"role": "user", "content": [picture, {"type": "text", "text": ASK}, sound], "name": "ana"},
        ],
        "n": 2,
        "logprobs": True,
        "seed": 12345678901234567890,
        "temperature": 0.1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "x_unknown": {"deep": [None, 1e-7, "\ud800"]},
    }
    answer = served.http("POST", "/v1/chat/completions", content=json.dumps(body))
    assert [choice["message"]["content"] for choice in answer.json()["choices"]] == ["Hello!", "Hello! again"]
    sent = served.upstream.last.json
    block = sent["messages"][1]["content"].pop(0)
    assert block["type"] == "text"
    assert PIM in block["text"]
    assert sent == body
    asked, said = served.records(2)
    assert (asked.text, asked.speaker, said.text) == (ASK, "ana", "Hello!")


def test_without_anything_to_quote_the_body_is_not_touched(served: Stage) -> None:
    content = b'{ "messages": [{"role":"user","content":"Hi"}], "model" : "fake", "seed": 1.0e2 }'
    served.http("POST", "/v1/chat/completions", content=content)
    assert served.upstream.last.content == content


def test_a_long_text_is_remembered_in_pieces(served: Stage) -> None:
    served.ask("x" * MAX_TEXT + "y")
    assert [len(record.text) for record in served.records(3)] == [MAX_TEXT, 1, 6]


# -- streams -----------------------------------------------------------------------------------------------------


def test_a_stream_passes_byte_for_byte_and_is_remembered(served: Stage) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Grüße"}, "x": 1}], "id": "c", "y": None}
    whole = b": ping\r\n\r\nid: 7\r\n" + sse(chunk).replace(b"\n", b"\r\n") + b"data: nonsense\n\n"
    whole += sse(
        {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {}, "finish_reason": "stop"}]}
    )
    whole += b"data: [DONE]\n\n"
    served.upstream.raw = [whole[at : at + 7] for at in range(0, len(whole), 7)]
    body = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    answer = served.http("POST", "/v1/chat/completions", json=body)
    assert answer.content == whole
    assert [record.text for record in served.records(2)] == ["Hi", "Grüße"]


def test_openais_client_streams_through_it(served: Stage) -> None:
    served.upstream.reply = "Your beagle is called Pim, naturally."
    messages: Any = [{"role": "user", "content": ASK}]
    stream = served.client().chat.completions.create(model="fake", messages=messages, stream=True)
    said = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert len(said) == 8
    assert "".join(said) == served.upstream.reply
    assert [record.text for record in served.records(2)] == [ASK, served.upstream.reply]
    assert "broken_off" not in served.records(2)[1].meta


def test_the_first_words_do_not_wait_for_the_last(served: Stage) -> None:
    served.upstream.raw = [part("One "), 5.0, part("two")]
    began = time.monotonic()
    with streaming(served) as lines:
        assert "One" in next(lines)
        assert time.monotonic() - began < 3


def test_the_asynchronous_client_works_too(served: Stage) -> None:
    async def talk() -> str:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.token) as client:
            messages: Any = [{"role": "user", "content": "Hi"}]
            stream = await client.chat.completions.create(model="fake", messages=messages, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(talk()) == "Hello!"
    served.records(2)


def test_conversations_at_the_same_time_are_not_mixed(served: Stage) -> None:
    served.upstream.reply = lambda body: f"Answer to {body['messages'][-1]['content'].split()[-1]}"

    async def talk(client: openai.AsyncOpenAI, n: int) -> None:
        history: Any = []
        for turn in "ab":
            history.append({"role": "user", "content": f"Question {n}{turn}"})
            stream = await client.chat.completions.create(model="fake", messages=history, stream=True, user=f"u{n % 3}")
            said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            assert said == f"Answer to {n}{turn}"
            history.append({"role": "assistant", "content": said})

    async def everybody() -> None:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.token) as client:
            await asyncio.gather(*(talk(client, n) for n in range(12)))

    asyncio.run(everybody())
    for user in range(3):
        sessions: dict[str, list[str]] = {}
        for record in served.records(16, f"user-u{user}"):
            sessions.setdefault(str(record.session), []).append(record.text)
        expected = [
            [f"Question {n}a", f"Answer to {n}a", f"Question {n}b", f"Answer to {n}b"] for n in range(user, 12, 3)
        ]
        assert sorted(sessions.values()) == sorted(expected)


def test_when_the_client_goes_the_upstream_is_let_go_and_what_was_said_is_kept(served: Stage) -> None:
    served.upstream.raw = [part("One "), part("two "), 60.0, part("three")]
    with streaming(served) as lines:
        while "two" not in next(lines):
            pass
    assert served.upstream.last.closed.wait(5)
    asked, answer = served.records(2)
    assert (asked.text, answer.text, answer.meta["broken_off"]) == ("Hi", "One two ", True)


def test_when_the_client_goes_before_the_answer_the_upstream_is_let_go(served: Stage) -> None:
    served.upstream.raw = [60.0, part("late")]
    with pytest.raises(httpx.ReadTimeout), streaming(served, timeout=0.5) as lines:
        next(lines)
    assert served.upstream.last.closed.wait(5)


def test_a_stream_that_breaks_off_breaks_off_here_too_and_is_kept_as_far_as_it_came(served: Stage) -> None:
    served.upstream.raw = [part("One "), part("two"), None]
    with pytest.raises(httpx.RemoteProtocolError), streaming(served) as lines:
        list(lines)
    answer = served.records(2)[1]
    assert (answer.text, answer.meta["broken_off"]) == ("One two", True)


def test_what_is_still_to_be_written_is_written_before_the_server_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, began, released = Memory.remember, threading.Event(), threading.Event()

    def held(*given: Any, **options: Any) -> Any:
        began.set()
        assert released.wait(20)
        return write(*given, **options)

    with stage(tmp_path) as served:
        monkeypatch.setattr(Memory, "remember", held)
        served.ask("Keep this.")  # is answered before it is written
        served.ask("And this.")
        assert began.wait(5)
        threading.Timer(0.3, released.set).start()
    monkeypatch.undo()
    with stage(tmp_path) as again:
        assert [record.text for record in again.records(4)] == ["Keep this.", "Hello!", "And this.", "Hello!"]


# -- when something fails ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_the_upstreams_errors_pass_unchanged_and_nothing_is_remembered(served: Stage, status: int) -> None:
    served.upstream.status = status
    served.upstream.headers = {"retry-after": "7"}
    with pytest.raises(openai.APIStatusError) as raised:
        served.ask("Hi")
    assert raised.value.status_code == status
    assert raised.value.body == {"message": "no", "type": "invalid_request_error", "param": "model", "code": "bad"}
    assert raised.value.response.headers["retry-after"] == "7"
    served.records(0)
    served.upstream.status = 200
    served.ask("Hi")
    served.records(2)


def test_an_upstream_that_is_down_is_said_to_be(tmp_path: Path) -> None:
    with stage(tmp_path, upstream="http://127.0.0.1:9/v1") as served:
        with pytest.raises(openai.InternalServerError, match=r"cannot be reached.*check that it runs") as raised:
            served.ask("Hi")
        assert raised.value.status_code == 502
        assert raised.value.code == "upstream_unreachable"
        served.records(0)


def test_a_server_without_an_upstream_says_how_to_give_it_one(tmp_path: Path) -> None:
    with stage(tmp_path, upstream=None) as served, pytest.raises(openai.NotFoundError, match="--upstream"):
        served.ask("Hi")


def test_an_upstream_that_takes_too_long_is_given_up(served: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.app.state.proxy.client, "timeout", httpx.Timeout(0.3))
    served.upstream.reply = lambda body: time.sleep(1) or "late"  # type: ignore[func-returns-value]
    with pytest.raises(openai.InternalServerError, match="did not answer in time") as raised:
        served.ask("Hi")
    assert raised.value.status_code == 504


def test_a_redirect_is_not_followed_nor_passed_on(served: Stage) -> None:
    served.upstream.status = 307
    served.upstream.headers = {"location": "http://elsewhere.example/"}
    with pytest.raises(openai.InternalServerError, match="redirects elsewhere"):
        served.ask("Hi")


def test_memory_that_fails_does_not_break_the_chat(
    served: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served.remember(PIM)
    monkeypatch.setattr(Memory, "recall", lambda *_, **__: 1 / 0)
    answer = served.ask(ASK)
    assert answer.parse().choices[0].message.content == "Hello!"
    assert contents(served) == [ASK]
    assert "not recalled: ZeroDivisionError" in answer.headers["X-Mnemic-Note"]
    assert "goes on without memory" in caplog.text
    served.records(2)


def test_memory_that_is_slow_does_not_hold_up_the_chat(served: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    served.remember(PIM)
    released = threading.Event()
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    monkeypatch.setattr(Memory, "recall", lambda *_, **__: released.wait(20))
    assert "no answer within 0.1 s" in served.ask(ASK).headers["X-Mnemic-Note"]
    assert contents(served) == [ASK]
    released.set()


def test_a_write_that_fails_is_told_in_the_log(
    served: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Memory, "remember", lambda *_, **__: 1 / 0)
    served.ask("Hi")
    served.records(0)
    assert [record.levelno for record in caplog.records if "is not remembered" in record.message] == [logging.ERROR]


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b'{"model": "fake"}', b'{"messages": "Hi"}', b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_the_upstreams_to_refuse(served: Stage, content: bytes) -> None:
    served.upstream.status = 400
    answer = served.http("POST", "/v1/chat/completions", content=content)
    assert served.upstream.count == 0 or served.upstream.last.content == content
    assert answer.status_code in (400, 500)
    assert "no memory" in answer.headers["X-Mnemic-Note"]


def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    with stage(tmp_path, limits=Limits(body=1000)) as served, pytest.raises(openai.APIStatusError) as raised:
        served.ask("x" * 2000)
    assert raised.value.status_code == 413
    assert served.upstream.count == 0


# -- helpers -----------------------------------------------------------------------------------------------------


def part(text: str) -> bytes:
    return sse({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


@contextmanager
def streaming(served: Stage, **options: Any) -> Iterator[Iterator[str]]:
    """The lines of a streamed answer to "Hi"; on leaving, the connection is closed."""
    body = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"Authorization": f"Bearer {served.token}"}
    with HTTP.stream("POST", f"{served.url}/v1/chat/completions", json=body, headers=headers, **options) as answer:
        yield answer.iter_lines()
