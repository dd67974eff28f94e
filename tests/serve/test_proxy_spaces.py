"""Where a chat through the proxy belongs, who may have it, and what passes between caller and upstream."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from upstream import Stage, contents, running, stage

from mnemic.serve.proxy_sessions import Sessions
from mnemic.serve.tokens import Scope

PIM = "I adopted a beagle called Pim."
ASK = "What is my beagle called?"


@pytest.fixture
def served(running_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A server as if it had just been started, on an empty store."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    running_stage.reset()
    return running_stage


# -- spaces, sessions, scopes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "space"),
    [
        ({}, "default"),
        ({"user": "ana"}, "user-ana"),
        ({"safety_identifier": "ana"}, "user-ana"),
        ({"user": "ana", "extra_headers": {"X-Mnemic-Space": "caf%C3%A9"}}, "café"),
        ({"user": "../../etc"}, "user-../../etc"),
    ],
)
def test_the_space_is_the_one_named_else_the_users_else_the_default(
    served: Stage, options: dict[str, Any], space: str
) -> None:
    answer = served.ask("Hi", **options)
    served.records(2, space)
    assert served.service.spaces.names() == [space]
    assert answer.headers["X-Mnemic-Space"].isascii()


def test_a_user_with_an_endless_name_has_a_space_too(served: Stage) -> None:
    space = served.ask("Hi", user="a" * 1000).headers["X-Mnemic-Space"]
    assert len(space) < 100
    served.records(2, space)


def test_users_do_not_see_each_others_memories(served: Stage) -> None:
    served.remember(PIM, space="user-ana")
    served.ask(ASK, user="bob")
    assert contents(served) == [ASK]
    served.ask(ASK, user="ana")
    assert PIM in contents(served)[0]


def test_a_token_for_one_space_is_always_there(served: Stage) -> None:
    token = served.grant(ana=[Scope.READ, Scope.WRITE])
    assert served.ask("Hi", token=token, user="bob").headers["X-Mnemic-Space"] == "ana"
    with pytest.raises(openai.PermissionDeniedError, match="does not grant 'read' in the space 'bob'"):
        served.ask("Hi", token=token, extra_headers={"X-Mnemic-Space": "bob"})
    assert served.upstream.count == 1


def test_read_is_needed_to_recall_and_write_to_remember(served: Stage) -> None:
    served.remember(PIM, space="ana")
    answer = served.ask(ASK, token=served.grant(ana=[Scope.READ]))
    assert PIM in contents(served)[0]
    assert "not remembered" in answer.headers["X-Mnemic-Note"]
    served.records(0, "ana")
    answer = served.ask("Hi beagle", token=served.grant(ana=[Scope.WRITE]))
    assert contents(served) == ["Hi beagle"]
    assert "not recalled" in answer.headers["X-Mnemic-Note"]
    served.records(2, "ana")


def test_both_can_be_switched_off_and_what_was_not_to_be_remembered_never_is(served: Stage) -> None:
    served.remember(PIM)
    answer = served.ask(ASK, extra_headers={"X-Mnemic-Recall": "off"})
    assert contents(served) == [ASK]
    assert answer.headers["X-Mnemic-Tokens"] == "0"
    served.records(2)
    served.ask("My secret.", extra_headers={"X-Mnemic-Remember": "off"})
    served.records(2)
    served.ask("My secret.", "Hello!", "Something else.")
    assert [record.text for record in served.records(4)][2:] == ["Something else.", "Hello!"]


@pytest.mark.parametrize("header", ["X-Mnemic-Space", "X-Mnemic-Session"])
@pytest.mark.parametrize("name", ["a%0Ab", "x" * 300])
def test_names_that_nothing_may_be_called_by_are_refused(served: Stage, header: str, name: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="printable characters"):
        served.ask("Hi", extra_headers={header: name})
    assert served.upstream.count == 0


def test_a_number_that_json_cannot_hold_leaves_the_body_as_it_is(served: Stage) -> None:
    served.remember(PIM)
    content = json.dumps({"messages": [{"role": "user", "content": ASK}]})[:-1] + ', "seed": 1e999}'
    answer = served.http("POST", "/v1/chat/completions", content=content)
    assert served.upstream.last.content == content.encode()
    assert "a number that JSON cannot" in answer.headers["X-Mnemic-Note"]
    assert answer.headers["X-Mnemic-Recalled"] == ""


def test_without_a_token_there_is_no_chat(served: Stage) -> None:
    with pytest.raises(openai.AuthenticationError):
        served.ask("Hi", token="mnk_wrong")
    assert served.upstream.count == 0


def test_conversations_that_begin_alike_are_told_apart(served: Stage) -> None:
    def session(*said: str) -> str:
        return str(served.ask(*said).headers["X-Mnemic-Session"])

    first = session("Hi")
    assert session("Hi") == first  # a retry
    assert session("Hi", "Hello!", "One.") == first
    served.clock.forward(seconds=1)
    second = session("Hi")  # the first one was gone on with
    assert second != first
    assert session("Hi", "Hello!", "One.", "Hello!", "Two.") == first
    served.clock.forward(days=1)
    assert session("Hi") not in (first, second)


def test_a_client_that_cuts_its_history_stays_in_its_session(served: Stage) -> None:
    served.upstream.reply = lambda body: f"Answer {len(body['messages'])} to {body['messages'][-1]['content']}"
    said: list[str] = []
    sessions = set()
    for n in range(6):
        answer = served.ask(*said[-4:], f"Question {n}.")
        sessions.add(answer.headers["X-Mnemic-Session"])
        said += [f"Question {n}.", answer.parse().choices[0].message.content]
    assert len(sessions) == 1
    served.records(12)


def test_after_a_restart_a_conversation_goes_on_in_its_session(served: Stage) -> None:
    before = served.ask("My beagle is ill.").headers["X-Mnemic-Session"]
    served.records(2)
    served.app.state.proxy.sessions = Sessions(1500)
    served.clock.forward(minutes=5)
    after = served.ask("My beagle is ill.", "Hello!", "What now?")
    assert after.headers["X-Mnemic-Session"] == before
    assert {record.session for record in served.records(4)} == {before}


# -- what goes upstream and what comes back ----------------------------------------------------------------------


def test_the_callers_token_never_reaches_the_upstream(served: Stage) -> None:
    hostile = {
        "Api-Key": served.token,
        "Cookie": f"mnemic_session={served.token}",
        "X-Mnemic-Other": "1",
        "Connection": "close, X-Private",
        "X-Private": "1",
        "X-Forwarded-For": "10.0.0.1",
        "OpenAI-Beta": "assistants=v2",
    }
    served.ask("Hi", extra_headers=hostile, extra_query={"key": served.token, "api-version": "1"})
    seen = served.upstream.last
    assert served.token not in str(seen)
    assert seen.headers["authorization"] == "Bearer sk-server"
    assert seen.headers["openai-beta"] == "assistants=v2"
    assert seen.query == "api-version=1"
    assert not {"cookie", "x-mnemic-other", "x-private", "x-forwarded-for", "api-key"} & set(seen.headers)
    assert seen.headers["host"] != served.url.removeprefix("http://")


def test_a_header_may_hold_any_bytes(served: Stage) -> None:
    served.http("GET", "/v1/models", headers={"X-Title": "Grüße".encode("latin-1")})
    assert served.upstream.last.headers["x-title"] == "Grüße"


@pytest.mark.parametrize(("given", "sent"), [("sk-mine", "Bearer sk-mine"), ("Basic abc", "Basic abc")])
def test_a_caller_may_bring_a_key_of_its_own(served: Stage, given: str, sent: str) -> None:
    served.ask("Hi", extra_headers={"X-Upstream-Authorization": given})
    assert served.upstream.last.headers["authorization"] == sent
    assert "x-upstream-authorization" not in served.upstream.last.headers


def test_without_any_key_none_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    with stage(tmp_path, upstream_key_env=None) as served:
        served.ask("Hi")
        assert "authorization" not in served.upstream.last.headers


def test_models_embeddings_and_other_paths_are_passed_on(served: Stage) -> None:
    client = served.client()
    assert client.models.list().data[0].id == "fake"
    assert client.embeddings.create(model="fake", input="Hi", encoding_format="float").data[0].embedding == [0.5, 0.25]
    answer = served.http("PATCH", "/v1/a%2Fb/c?d=e", content=b"\x00raw")
    assert (answer.content, served.upstream.last.path, served.upstream.last.query) == (b"\x00raw", "/v1/a%2Fb/c", "d=e")
    assert served.http("HEAD", "/v1/x").headers["x-path"] == "/v1/x"
    served.records(0)


def test_no_path_leads_out_of_the_upstreams_own(served: Stage) -> None:
    for path in ("..%2Fadmin", "a%2F..%2F..%2Fadmin", "a/b%2F.", "a%5C..%5Cadmin"):
        answer = served.http("GET", f"/v1/{path}")
        assert answer.status_code == 404, path
    assert served.upstream.count == 0


def test_what_is_kept_upstream_is_for_administrators_and_for_keys_of_ones_own(served: Stage) -> None:
    token = served.grant(every=[Scope.READ, Scope.WRITE, Scope.FORGET])
    for method, path in [
        ("GET", "files"),
        ("DELETE", "models/x"),
        ("GET", "responses/r1"),
        ("GET", "chat/completions"),
    ]:
        answer = served.http(method, f"/v1/{path}", token)
        assert answer.status_code == 403
        assert "X-Upstream-Authorization" in answer.json()["error"]["message"]
    assert served.upstream.count == 0
    served.http("GET", "/v1/files", token, headers={"X-Upstream-Authorization": "sk-mine"})
    served.http("GET", "/v1/files")
    assert served.upstream.count == 2
    served.http("GET", "/v1/models/org%2Fname", token)
    assert served.upstream.last.path == "/v1/models/org%2Fname"


def test_headers_that_belong_to_the_upstreams_origin_stay_there(served: Stage) -> None:
    served.upstream.headers = {
        "set-cookie": "a=b",
        "access-control-allow-origin": "*",
        "x-ratelimit-remaining-requests": "9",
        "x-mnemic-recalled": "forged",
        "connection": "x-hop",
        "x-hop": "1",
    }
    headers = served.ask("Hi").headers
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert headers["x-mnemic-recalled"] == ""
    assert not {"set-cookie", "access-control-allow-origin", "x-hop"} & set(headers)
    assert len(headers.get_list("date")) == 1


def test_an_answer_that_comes_packed_is_unpacked(served: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi import FastAPI, Response

    behind = FastAPI()
    answer = {"choices": [{"index": 0, "message": {"content": "Packed."}, "finish_reason": "stop"}]}

    @behind.post("/v1/chat/completions")
    def packed() -> Response:
        content = gzip.compress(json.dumps(answer).encode())
        return Response(content, headers={"content-encoding": "gzip", "content-type": "application/json"})

    with running(behind) as (url, _):
        monkeypatch.setattr(served.app.state.proxy, "upstream", httpx.URL(f"{url}/v1"))
        assert served.ask("Hi").parse().choices[0].message.content == "Packed."
    assert served.records(2)[1].text == "Packed."
