from __future__ import annotations

import json
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mnemic.errors import InputError, LanguageError
from mnemic.text.language.base import Language, Message
from mnemic.text.language.openai import OpenAI, connect

KEY = "sk-live-0123456789abcdefSECRET"
ASK = [Message("system", "Be brief."), Message("user", "Hello?")]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@dataclass
class Step:
    """One HTTP reply. ``declared`` makes Content-Length lie; ``trickle`` sends a byte every so many seconds."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    declared: int | None = None
    trickle: float = 0.0
    hang_up: bool = False


class FakeServer:
    """Chat completions from a script on a port of this machine; the last step repeats."""

    def __init__(self) -> None:
        self.steps: list[Step | Callable[[dict[str, Any]], Step]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.times.append(time.monotonic())
                fake.requests.append(body)
                fake.headers.append(dict(self.headers))
                fake.paths.append(self.path)
                step = fake.steps.pop(0) if len(fake.steps) > 1 else fake.steps[0]
                step = step if isinstance(step, Step) else step(body)
                if step.hang_up:
                    self.close_connection = True
                    return
                fake.stop.wait(step.delay)
                data = step.body if isinstance(step.body, bytes) else json.dumps(step.body).encode()
                try:
                    self.send_response(step.status)
                    for name, value in step.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(step.declared or len(data)))
                    self.end_headers()
                    for piece in [data[i : i + 1] for i in range(len(data))] if step.trickle else [data]:
                        self.wfile.write(piece)
                        self.wfile.flush()
                        if fake.stop.wait(step.trickle):
                            return
                except OSError:
                    pass  # the client gave up, as some tests want it to

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.stop = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def close(self) -> None:
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


def said(text: Any, **more: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    } | more


def refused(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error"} | more}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def model(server: FakeServer, *steps: Any, **more: Any) -> OpenAI:
    server.steps = list(steps)
    return connect("tiny", server.url, **{"backoff": 0.01, "timeout": 5.0, **more})


def failure(server: FakeServer, *steps: Any, schema: Any = None, **more: Any) -> str:
    """The message of the LanguageError that these steps lead to; nothing of it may show the key."""
    with pytest.raises(LanguageError) as caught:
        model(server, *steps, **more).complete(ASK, schema=schema)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_completion_with_its_tokens_and_time(server: FakeServer) -> None:
    language = model(server, Step(body=said("Hi."), delay=0.05))
    done = language.complete(ASK, max_tokens=7, temperature=0.5)
    assert (done.text, done.prompt_tokens, done.completion_tokens, done.estimated, done.cut) == (
        "Hi.",
        12,
        3,
        False,
        False,
    )
    assert 50 <= done.milliseconds < 5000
    [sent] = server.requests
    assert sent == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
        "max_tokens": 7,
        "temperature": 0.5,
    }
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert isinstance(language, Language)


def test_the_key_is_nowhere_in_the_object(server: FakeServer) -> None:
    language = model(server, Step(body=said("Hi.")))
    language.complete(ASK)
    assert KEY not in repr(language)
    assert KEY not in repr(vars(language))
    assert KEY not in repr(dict(language._client.headers))
    with pytest.raises(TypeError):
        pickle.dumps(language)


def test_the_key_is_read_anew_for_each_request(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    language = model(server, Step(body=said("Hi.")))
    monkeypatch.setenv("OPENAI_API_KEY", "rotated")
    language.complete(ASK)
    monkeypatch.delenv("OPENAI_API_KEY")
    language.complete(ASK)
    assert server.headers[0]["Authorization"] == "Bearer rotated"
    assert "Authorization" not in server.headers[1]


def test_no_key_is_sent_where_none_is_wanted(server: FakeServer) -> None:
    model(server, Step(body=said("Hi.")), key_env=None).complete(ASK)
    assert "Authorization" not in server.headers[0]


def test_a_missing_key_is_named_before_anything_is_sent(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(LanguageError, match="set the environment variable OPENAI_API_KEY"):
        connect("gpt-4.1-mini")
    with pytest.raises(LanguageError, match="set the environment variable OTHER_KEY"):
        connect("tiny", server.url, key_env="OTHER_KEY")
    assert server.requests == []


@pytest.mark.parametrize("bad", [f"{KEY}\n{KEY}", f"{KEY} x", f"{KEY}é", f"{KEY}\x01x"])
def test_a_malformed_key_is_refused_without_showing_it(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", bad)
    with pytest.raises(LanguageError, match="OPENAI_API_KEY") as caught:
        connect("tiny")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (("", None), {}),
        (("tiny", "localhost:8080"), {}),
        (("tiny", "ftp://localhost"), {}),
        (("tiny", "http://"), {}),
        (("tiny", "http://[::bad"), {}),
        (("tiny", "https://me:hunter2@example.com/v1"), {}),
        (("tiny", None), {"timeout": 0}),
        (("tiny", None), {"attempts": 0}),
    ],
)
def test_unusable_arguments(arguments: tuple[str, str | None], more: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        connect(*arguments, **more)
    assert "hunter2" not in str(caught.value)


def test_a_query_in_the_address_is_kept_but_never_shown(server: FakeServer) -> None:
    server.steps = [Step(500, b"")]
    language = connect("tiny", server.url + "/?token=hunter2", attempts=1)
    with pytest.raises(LanguageError) as caught:
        language.complete(ASK)
    assert server.paths == ["/v1/chat/completions?token=hunter2"]
    assert "hunter2" not in str(caught.value) + repr(language)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "refused the request"),
        (401, "refused the key in OPENAI_API_KEY"),
        (403, "refused the key in OPENAI_API_KEY"),
        (404, "has no model 'tiny'"),
        (307, "redirects elsewhere"),
    ],
)
def test_refusals_say_what_to_do_and_are_not_retried(server: FakeServer, status: int, says: str) -> None:
    body = refused(f"Incorrect: {KEY}, Bearer {KEY} or sk-li**********CRET")
    text = failure(server, Step(status, body, headers={"Location": "http://127.0.0.1:1/"}))
    assert says in text
    assert f"HTTP {status}" in text
    assert "Incorrect" in text
    assert "CRET" not in text
    assert len(server.requests) == 1


def test_a_key_of_any_shape_is_hidden(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "correct.horse.battery")
    assert "horse" not in failure(server, Step(401, refused("what is correct.horse.battery?")))
    assert "horse" not in failure(server, Step(body=b"what is correct.horse.battery?"))


def test_a_wanted_key_is_named_where_none_was_sent(server: FakeServer) -> None:
    text = failure(server, Step(401, b"unauthorized"), key_env=None)
    assert "without a key" in text


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_overload_and_faults_are_tried_again(server: FakeServer, status: int) -> None:
    language = model(server, Step(status, b"busy"), Step(status, b"busy"), Step(body=said("Hi.")))
    assert language.complete(ASK).text == "Hi."
    assert len(server.requests) == 3


def test_attempts_are_counted_and_waits_grow(server: FakeServer) -> None:
    waits: list[float] = []
    server.steps = [Step(500, refused("boom"))]
    language = OpenAI("tiny", server.url, attempts=4, backoff=1.0, timeout=60, sleep=waits.append)
    with pytest.raises(LanguageError, match=r"HTTP 500: 'boom'"):
        language.complete(ASK)
    assert len(server.requests) == 4
    assert all(0.75 * base <= wait <= 1.25 * base for wait, base in zip(waits, (1, 2, 4), strict=True))


def test_retry_after_is_obeyed(server: FakeServer) -> None:
    waits: list[float] = []
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.steps = [
        Step(429, b"", {"Retry-After": "7"}),
        Step(503, b"", {"Retry-After": soon}),
        Step(429, b"", {"retry-after-ms": "1500", "Retry-After": "9"}),
        Step(429, b"", {"Retry-After": "whenever"}),
        Step(body=said("Hi.")),
    ]
    language = OpenAI("tiny", server.url, attempts=5, backoff=0.25, timeout=60, sleep=waits.append)
    assert language.complete(ASK).text == "Hi."
    assert waits[0] == 7
    assert 25 < waits[1] <= 30
    assert waits[2] == 1.5
    assert 1.5 <= waits[3] <= 2.5


def test_a_wait_longer_than_the_timeout_is_not_begun(server: FakeServer) -> None:
    began = time.monotonic()
    text = failure(server, Step(429, refused("slow down"), {"Retry-After": "3600"}))
    assert time.monotonic() - began < 2
    assert "3600.0 s" in text
    assert "slow down" in text
    assert len(server.requests) == 1


def test_an_empty_account_is_not_tried_again(server: FakeServer) -> None:
    text = failure(server, Step(429, refused("You exceeded your current quota", code="insufficient_quota")))
    assert "quota" in text
    assert len(server.requests) == 1


def test_a_server_that_is_not_there() -> None:
    language = connect("tiny", "http://127.0.0.1:9/v1", attempts=2, backoff=0.01)
    with pytest.raises(LanguageError, match=r"no connection to http://127\.0\.0\.1:9/v1") as caught:
        language.complete(ASK)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_connection_that_is_dropped_is_tried_again(server: FakeServer) -> None:
    language = model(server, Step(hang_up=True), Step(body=said("Hi.")))
    assert language.complete(ASK).text == "Hi."


def test_half_a_body_is_tried_again_and_then_named(server: FakeServer) -> None:
    half = Step(body=b'{"choices": [', declared=5000)
    assert model(server, half, Step(body=said("Hi."))).complete(ASK).text == "Hi."
    assert "no connection" in failure(server, half, attempts=2)


@pytest.mark.parametrize("step", [Step(body=said("Hi."), delay=10), Step(body=said("Hi."), trickle=0.05)])
def test_the_timeout_bounds_silence_and_a_trickle(server: FakeServer, step: Step) -> None:
    began = time.monotonic()
    text = failure(server, step, timeout=0.4)
    assert time.monotonic() - began < 2
    assert "did not answer within 0.4 s" in text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>Welcome to nginx</html>", "did not reply in JSON"),
        (b"", "did not reply in JSON"),
        (b"\xff\xfe", "did not reply in JSON"),
        (b"[" * 100_000, "did not reply in JSON"),
        (b'{"choices": [', "did not reply in JSON"),
        ({"choices": []}, "without any choice"),
        ({"choices": None}, "without any choice"),
        ([1, 2], "without any choice"),
        ("hello", "without any choice"),
        (refused("model overloaded"), "model overloaded"),
        ({"choices": [None]}, "no message"),
        ({"choices": [{"text": "old style"}]}, "no message"),
        ({"choices": [{"message": {"content": None, "refusal": "I will not."}}]}, "I will not."),
    ],
)
def test_nonsense_under_200_is_an_error(server: FakeServer, body: Any, says: str) -> None:
    assert says in failure(server, Step(body=body))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), ("", ""), ([{"type": "text", "text": "a"}, {"type": "x"}, {"text": "b"}, 5], "ab"), (17, "")],
)
def test_contents_as_servers_send_them(server: FakeServer, content: Any, text: str) -> None:
    assert model(server, Step(body=said(content))).complete(ASK).text == text


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "12"}, {"prompt_tokens": 5, "completion_tokens": -1}, 3])
def test_tokens_that_are_not_told_are_estimated_and_said_to_be(server: FakeServer, usage: Any) -> None:
    done = model(server, Step(body=said("eight ch", usage=usage))).complete(ASK)
    assert done.estimated
    assert (done.prompt_tokens, done.completion_tokens) == (4, 2)


def test_a_reply_at_its_limit_says_so(server: FakeServer) -> None:
    body = said("x")
    body["choices"][0]["finish_reason"] = "length"
    assert model(server, Step(body=body)).complete(ASK).cut


def test_a_schema_is_sent_strictly_only_if_it_is_closed(server: FakeServer) -> None:
    language = model(server, Step(body=said("{}")))
    language.complete(ASK, schema=SCHEMA)
    language.complete(ASK, schema={"type": "object", "properties": {"a": {"type": "string"}}})
    sent = [request["response_format"] for request in server.requests]
    assert [format["type"] for format in sent] == ["json_schema", "json_schema"]
    assert [format["json_schema"]["strict"] for format in sent] == [True, False]
    assert sent[0]["json_schema"]["schema"] == SCHEMA


def formats(server: FakeServer) -> list[str | None]:
    return [request.get("response_format", {}).get("type") for request in server.requests]


@pytest.mark.parametrize("status", [400, 422])
def test_formats_that_are_refused_are_given_up_and_remembered(server: FakeServer, status: int) -> None:
    no = Step(status, refused("response_format is not supported"))
    language = model(server, no, no, Step(body=said("{}")))
    language.complete(ASK, schema=SCHEMA)
    language.complete(ASK, schema=SCHEMA)
    assert formats(server) == ["json_schema", "json_object", None, None]
    other = connect("tiny", server.url)
    other.complete(ASK, schema=SCHEMA)
    assert formats(server)[-1] == "json_schema"


def test_a_server_that_knows_json_objects_only(server: FakeServer) -> None:
    language = model(server, Step(400, refused("unknown type json_schema")), Step(body=said("{}")))
    language.complete(ASK, schema=SCHEMA)
    language.complete(ASK, schema=SCHEMA)
    assert formats(server) == ["json_schema", "json_object", "json_object"]


def test_a_refusal_that_has_another_reason_teaches_nothing(server: FakeServer) -> None:
    no = Step(400, refused("something else is wrong"))
    language = model(server, no, no, no, Step(body=said("{}")))
    with pytest.raises(LanguageError, match="something else is wrong"):
        language.complete(ASK, schema=SCHEMA)
    language.complete(ASK, schema=SCHEMA)
    assert formats(server) == ["json_schema", "json_object", None, "json_schema"]


def test_a_prompt_that_is_too_long_is_refused_at_once(server: FakeServer) -> None:
    text = failure(server, Step(400, refused("maximum context length is 4096 tokens")), schema=SCHEMA)
    assert "4096" in text
    assert len(server.requests) == 1


def test_newer_names_and_fixed_temperatures_are_learnt(server: FakeServer) -> None:
    def picky(body: dict[str, Any]) -> Step:
        if "max_tokens" in body:
            return Step(400, refused("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."))
        if "temperature" in body:
            return Step(400, refused("Unsupported value: 'temperature' does not support 0.0 with this model."))
        return Step(body=said("Hi."))

    language = model(server, picky)
    for _ in range(2):
        assert language.complete(ASK, schema=SCHEMA, max_tokens=9).text == "Hi."
    assert len(server.requests) == 4
    assert server.requests[-1]["max_completion_tokens"] == 9
    assert formats(server)[-1] == "json_schema"


def test_a_flood_is_cut_off(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnemic.text.language.openai._LARGEST", 1000)
    assert "more than" in failure(server, Step(body=said("x" * 5000)))


def test_it_closes(server: FakeServer) -> None:
    with model(server, Step(body=said("Hi."))) as language:
        language.complete(ASK)
    assert language._client.is_closed
