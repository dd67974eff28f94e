"""No token sees another space, by whichever way it asks.

The test goes through every route of the application: a new route without a case here fails it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from nicegui import Client
from served import Served, serving
from starlette.routing import Mount
from upstream import Upstream, running

from mnemic.serve import mcp
from mnemic.serve.logins import COOKIE
from mnemic.serve.tokens import Scope

READ, WRITE, FORGET, ADMIN = Scope
TEXT = "The marzipan is hidden in the attic."
"""What nobody else may see. Its space is called ``theirs``."""
SAYS = ("marzipan", "attic", "theirs")


@dataclass(frozen=True)
class Case:
    """How a route is asked, and which of these sets of scopes in its space it takes.

    ``elsewhere`` are the answers that routes without a space give to somebody of another space.
    """

    needs: tuple[frozenset[Scope], ...] = ()
    elsewhere: tuple[int, ...] = ()
    open: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def needs(*scopes: Scope, **options: Any) -> Case:
    return Case((frozenset(scopes),), options=options)


FILE = {"file": ("a.jsonl", b'{"text": "Hello."}\n')}
SPACE = "/api/spaces/{space}"
CASES: dict[str, Case] = {
    f"PUT {SPACE}": needs(WRITE),
    f"GET {SPACE}": needs(READ),
    f"DELETE {SPACE}": needs(ADMIN),
    f"POST {SPACE}/turns": needs(WRITE, json={"turns": ["Hello."]}),
    f"PUT {SPACE}/memories/{{id}}": needs(WRITE, json={"text": "Hello again."}),
    f"POST {SPACE}/forget": Case(
        (frozenset([FORGET]), frozenset([FORGET, READ])), options={"json": {"what": "marzipan"}}
    ),
    f"POST {SPACE}/recall": needs(READ, json={"query": "marzipan"}),
    f"POST {SPACE}/ask": needs(READ, json={"question": "Where is the marzipan?"}),
    f"POST {SPACE}/get": needs(READ, json={"ids": ["m1"]}),
    f"GET {SPACE}/memories": needs(READ),
    f"GET {SPACE}/memories/{{id}}": needs(READ),
    f"GET {SPACE}/memories/{{id}}/history": needs(READ),
    f"GET {SPACE}/links": needs(READ, params={"id": "m1"}),
    f"GET {SPACE}/changes": needs(READ),
    f"POST {SPACE}/import": needs(WRITE, files=FILE),
    f"POST {SPACE}/export": needs(READ),
    f"POST {SPACE}/reflect": needs(WRITE),
    f"POST {SPACE}/rebuild": needs(ADMIN),
    f"POST {SPACE}/files": needs(READ, json={"command": "view", "path": "/memories"}),
    "GET /api/spaces": Case(elsewhere=(200,)),
    "GET /api/tokens": Case(elsewhere=(200,)),
    "POST /api/tokens": Case(elsewhere=(403,), options={"json": {"name": "x", "grants": {"theirs": ["read"]}}}),
    "DELETE /api/tokens/{id}": Case(elsewhere=(404,)),
    "GET /api/jobs": Case(elsewhere=(200,)),
    "GET /api/jobs/{id}": Case(elsewhere=(404,)),
    "GET /api/jobs/{id}/result": Case(elsewhere=(404,)),
    "DELETE /api/jobs/{id}": Case(elsewhere=(404,)),
    "GET /api/openapi.json": Case(elsewhere=(200,)),
    "HEAD /api/openapi.json": Case(elsewhere=(200,)),
    "GET /metrics": Case(elsewhere=(403,)),
    "POST /mcp": Case(elsewhere=(200,), options={"json": {"jsonrpc": "2.0", "id": 1, "method": "resources/list"}}),
    "POST /v1/chat/completions": Case(elsewhere=(403,)),
    "POST /v1/responses": Case(elsewhere=(403,)),
    "GET /healthz": Case(elsewhere=(200,), open=True),
    "GET /readyz": Case(elsewhere=(200,), open=True),
    "GET /login": Case(elsewhere=(200,), open=True),
    "POST /login": Case(elsewhere=(401,), open=True, options={"data": {"token": "mnk_guess"}}),
    "POST /logout": Case(elsewhere=(303,), options={"follow_redirects": False}),
    **{
        f"{method} /v1/{{path}}": Case(elsewhere=(403,)) for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    },
}
MOUNTS = {"/static": True, "": False}
"""Whether what is mounted there is open to everybody."""


@dataclass
class House:
    """A server with a space ``theirs``, a token and a job of it, and somebody who administers ``mine``."""

    served: Served
    intruder: TestClient
    cookie: TestClient
    job: str
    token: str
    numbers: Iterator[int] = field(default_factory=count)

    def fill(self, path: str, space: str, id: str = "m1") -> str:
        if "/api/jobs" in path:
            id = self.job
        elif "/api/tokens" in path:
            id = self.token
        return path.format(space=quote(space, safe=""), id=id, path="files/file-1")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    upstream = Upstream()
    folder = tmp_path_factory.mktemp("house")
    with (
        running(upstream.app()) as (behind, _),
        serving(folder / "store", pages=True, upstream=f"{behind}/v1", upstream_key_env=None) as served,
    ):
        for space, text in (("theirs", TEXT), ("mine", "The key hangs behind the clock.")):
            served.remember({"id": "m1", "text": text}, space=space)
        job = served.http.post("/api/spaces/theirs/export").json()["id"]
        while not served.http.get(f"/api/jobs/{job}").json()["ended"]:
            pass
        served.token(theirs=[ADMIN])
        token = served.service.tokens.all()[-1].id
        secret = served.token(mine=[ADMIN])
        yield House(served, served.client(secret), browser(served, secret), job, token)


def routes(served: Served) -> dict[str, str]:
    """Every route: what it is called in the cases, and its path."""
    found = {}
    for route in iter_route_contexts(served.app.routes):
        if not isinstance(route.route, Mount):
            path = str(route.path).replace(":path}", "}")
            found |= {f"{method} {path}": path for method in route.methods or ()}
    return found


def ask(client: TestClient, name: str, path: str) -> httpx.Response:
    return client.request(name.split(" ")[0], path, **CASES[name].options)


def quiet(answer: httpx.Response) -> None:
    """Fail if the answer says anything of what is not the caller's."""
    said = answer.text + str(answer.headers)
    assert not any(word in said for word in SAYS), said


def everything(served: Served) -> Any:
    with served.service.spaces.use("theirs") as memory:
        return list(memory.export(secrets=True)), memory.stats(), [job.id for job in served.service.jobs.all()]


def test_every_route_has_a_case(house: House) -> None:
    assert set(routes(house.served)) == set(CASES)
    mounts = {route.path for route in house.served.app.routes if isinstance(route, Mount)}
    assert mounts == set(MOUNTS)
    assert all(case.needs or case.elsewhere for case in CASES.values())


def test_routes_of_a_space_refuse_everybody_else(house: House) -> None:
    """In the same words whether the space exists or not; and nothing happens there."""
    before = everything(house.served)
    for name, path in routes(house.served).items():
        if "{space}" in path:
            there = ask(house.intruder, name, house.fill(path, "theirs"))
            nowhere = ask(house.intruder, name, house.fill(path, "absent"))
            assert (there.status_code, nowhere.status_code) == (403, 403), name
            assert there.text.replace("theirs", "absent") == nowhere.text, name
            assert "marzipan" not in there.text
    assert everything(house.served) == before
    assert house.served.service.spaces.names() == ["mine", "theirs"]


def test_other_routes_tell_nothing_of_other_spaces(house: House) -> None:
    before = everything(house.served)
    for name, path in routes(house.served).items():
        if "{space}" not in path:
            case = CASES[name]
            headers = {"x-mnemic-space": "theirs", "accept": "application/json, text/event-stream"}
            options = {"json": chat(path)} if path.startswith("/v1/") and not case.options else case.options
            client = house.served.client(house.intruder.headers["authorization"].removeprefix("Bearer "))
            answer = client.request(name.split(" ")[0], house.fill(path, "theirs"), headers=headers, **options)
            assert answer.status_code in case.elsewhere, (name, answer.text)
            if answer.status_code == 200 or case.open:
                quiet(answer)
            else:
                assert "marzipan" not in answer.text
    assert everything(house.served) == before


def chat(path: str) -> dict[str, Any]:
    said = "Where is the marzipan?"
    return {"model": "fake", "input": said} if "responses" in path else {
        "model": "fake", "messages": [{"role": "user", "content": said}]
    }  # fmt: skip


def test_without_a_token_nothing_but_health_and_the_login_answers(house: House) -> None:
    nobody = house.served.client()
    for name, path in routes(house.served).items():
        answer = ask(nobody, name, house.fill(path, "theirs"))
        if CASES[name].open:
            assert answer.status_code in CASES[name].elsewhere, name
            quiet(answer)
        else:
            assert answer.status_code == 401, name
            assert answer.headers["content-type"] == "application/problem+json"
            assert "marzipan" not in answer.text


def test_each_scope_allows_what_it_says_and_no_more(house: House) -> None:
    served = house.served
    for name, path in routes(served).items():
        for scope in Scope if "{space}" in path else ():
            space = f"space {next(house.numbers)}"
            served.remember({"id": "m1", "text": TEXT}, space=space)
            client = served.client(served.service.tokens.create(name, {space: [scope]}))
            answer = ask(client, name, house.fill(path, space))
            allowed = any(needed <= {scope} or scope is ADMIN for needed in CASES[name].needs)
            assert (answer.status_code != 403) == allowed, (name, scope, answer.text)
            assert not allowed or answer.status_code in (200, 201, 202, 204), (name, answer.text)


def test_what_shows_text_takes_the_right_to_read(house: House) -> None:
    served = house.served
    client = served.client(served.token(theirs=[FORGET]))
    answer = client.post("/api/spaces/theirs/forget", json={"what": "marzipan", "preview": True})
    assert answer.status_code == 403
    served.remember({"id": "m1", "text": TEXT}, space="written")
    writer = served.client(served.token(written=[WRITE, FORGET]))
    for name, path in routes(served).items():
        if "{space}" in path and "forget" not in path:
            assert "attic" not in ask(writer, name, house.fill(path, "written")).text, name


def test_no_route_logs_a_token_a_question_or_a_memory(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = house.served
    served.remember({"id": "m1", "text": f"The password is Tr0ub4dor&3. {TEXT}"}, space="logged")
    token = served.token(every=[ADMIN])
    for name, path in routes(served).items():
        options = dict(CASES[name].options)
        options["params"] = {**options.get("params", {}), "token": token, "q": "marzipan"}
        served.client(token).request(name.split(" ")[0], house.fill(path, "logged"), **options)
    logged = [record for record in caplog.records if not record.name.startswith("httpx")]  # what the test itself asks
    assert sum(record.name == "mnemic.access" for record in logged) >= len(CASES)
    text = "\n".join(logging.Formatter("%(message)s").format(record) for record in logged)
    for private in (token, "marzipan", "attic", "Tr0ub4dor"):
        assert private not in text


def call(house: House, method: str, params: Mapping[str, Any]) -> str:
    """What MCP answers the intruder."""
    answer = house.intruder.post(
        "/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        headers={"accept": "application/json, text/event-stream"},
    )
    return json.dumps(answer.json(), ensure_ascii=False)


def test_no_tool_of_mcp_reaches_another_space(house: House) -> None:
    before = everything(house.served)
    for name, verb in mcp.verbs(spaced=True).items():
        schema = verb.tool.input_schema
        given = {each: {"string": "marzipan", "array": ["m1"]}.get(schema["properties"][each].get("type"), "m1")
                 for each in schema.get("required", ())}  # fmt: skip
        for more in ({}, {"confirm": True} if "confirm" in schema["properties"] else {}):
            said = call(house, "tools/call", {"name": name, "arguments": {**given, **more, "space": "theirs"}})
            assert "does not grant" in said, (name, said)
            assert "attic" not in said
    for uri in ("mnemic://theirs", "mnemic://theirs/m1"):
        assert "does not grant" in call(house, "resources/read", {"uri": uri})
    assert everything(house.served) == before


def test_no_page_shows_another_space(house: House) -> None:
    """Every page, logged in with another space's token and asked for this one."""
    mounted: Any = house.served.app.router.routes[-1]
    pages = mounted.app
    while not hasattr(pages, "routes"):
        pages = pages.app
    paths = [route.path for route in pages.routes if not isinstance(route, Mount) and "{" not in route.path]
    paths.remove("/favicon.ico")
    owner = browser(house.served, house.served.token(theirs=[ADMIN]))
    assert "attic" in seen(owner, "/memory", until="attic")  # else this test could not fail
    for path in paths:
        assert "attic" not in seen(house.cookie, path, until="does not grant"), path
        nobody = house.served.client(accept="text/html").get(path, follow_redirects=False)
        assert (nobody.status_code, nobody.headers["location"]) == (303, "/login?next=" + quote(path, safe="")), path


def seen(client: TestClient, path: str, *, until: str) -> str:
    """All that the server put on the page for this browser, as soon as ``until`` is on it."""
    before = set(Client.instances)
    answer = client.get(path, params={"space": "theirs", "q": "Where is it?", "id": "m1"})
    (page,) = (Client.instances[id] for id in set(Client.instances) - before)
    deadline = time.monotonic() + 20
    while True:
        told = answer.text + " ".join(f"{each._text} {dict(each._props)}" for each in list(page.elements.values()))
        if until in told:
            return told
        assert time.monotonic() < deadline, (path, told)
        time.sleep(0.01)


def browser(served: Served, token: str) -> TestClient:
    """A browser that is logged in with ``token``."""
    principal = served.service.tokens.check(token)
    assert principal is not None
    client = served.client(accept="text/html")
    client.cookies.set(COOKIE, served.service.logins.open(principal))
    return client
