"""The gate: names of the server, pages of other origins, sizes, rates, headers, and what is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi import WebSocket
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from served import HERE, Served, serving
from starlette.websockets import WebSocketDisconnect

from mnemic.errors import InputError, LimitError
from mnemic.serve.config import Config, Limits
from mnemic.serve.gate import Rates, principal_of
from mnemic.serve.logins import COOKIE
from mnemic.serve.run import log
from mnemic.serve.tokens import LOCAL, Scope

TURNS = "/api/spaces/default/turns"
BODY = {"turns": ["The boat leaves at nine."]}


@pytest.fixture
def open_to_all(tmp_path: Path) -> Iterator[Served]:
    """A server without tokens."""
    with serving(tmp_path / "open", auth=False) as running:
        yield running


def browser(served: Served, **headers: str) -> TestClient:
    """A browser that is logged in."""
    client = served.client(**headers)
    client.cookies.set(COOKIE, served.service.logins.open(LOCAL))
    return client


# -- names ---------------------------------------------------------------------------------------------------


def test_the_server_answers_to_its_names(tmp_path: Path) -> None:
    with serving(tmp_path, hosts=("Mine.Example",)) as served:
        for host in ("127.0.0.1:8377", "127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:8377", "mine.example:8377"):
            assert served.http.get("/api/spaces", headers={"host": host}).status_code == 200, host


def test_a_page_cannot_reach_the_server_under_another_name(open_to_all: Served) -> None:
    for host in (
        "evil.example", "evil.example:8377", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "[::zz]",
        "localhost:x", "user@localhost", "localhost/x", "0.0.0.0", "10.0.0.1", "localhost:8377, evil.example",
    ):  # fmt: skip
        for path in ("/api/spaces", "/healthz", "/"):
            answer = open_to_all.client().get(path, headers={"host": host})
            assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json"), host


def test_without_tokens_the_server_stays_on_the_loopback(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        Config(tmp_path, host=host, auth=False)
    for host in ("0.0.0.0", "::", "192.168.1.7", "mine.example", ""):
        with pytest.raises(InputError, match="--no-auth is refused"):
            Config(tmp_path, host=host, auth=False)


# -- who asks ------------------------------------------------------------------------------------------------


def test_what_is_no_token_is_refused(served: Served) -> None:
    for told in ("", "Bearer", "Bearer ", "Bearer mnk_wrong", "Basic bW5rOm1uaw==", "mnk_wrong", "Bearer \x80"):
        answer = served.client().get("/api/spaces", headers=[(b"Authorization", told.encode("latin-1"))])
        assert answer.status_code == 401, told
    assert answer.headers["www-authenticate"] == 'Bearer realm="mnemic"'
    assert answer.json()["error"] == "UnauthorizedError"


def test_health_is_told_to_everybody_and_nothing_else_is(served: Served) -> None:
    nobody = served.client()
    assert nobody.get("/healthz").json() == {"status": "ok"}
    assert nobody.get("/readyz").json() == {"status": "ready"}
    for path in ("/api/spaces", "/api/openapi.json", "/metrics", "/v1/models", "/mcp", "/nowhere", "/api/nowhere"):
        assert nobody.get(path).status_code == 401, path


def test_a_browser_is_shown_where_to_log_in(served: Served) -> None:
    nobody = served.client(accept="text/html,*/*")
    answer = nobody.get("/search?q=a%20b", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fsearch%3Fq%3Da%2520b"
    assert nobody.get("/api/spaces", follow_redirects=False).status_code == 401


def test_a_revoked_token_is_refused_from_then_on(served: Served) -> None:
    client = served.client(served.token(default=[Scope.READ, Scope.WRITE]))
    assert client.post(TURNS, json=BODY).status_code == 201
    served.service.tokens.revoke(served.service.tokens.all()[-1].id)
    assert client.post(TURNS, json=BODY).status_code == 401


# -- pages of other origins ----------------------------------------------------------------------------------

FROM_HERE = [
    {},
    {"origin": HERE},
    {"origin": HERE, "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
]
FROM_ELSEWHERE = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},  # another program on this machine: the same site, another origin
    {"origin": "http://localhost:8377"},
    {"origin": HERE, "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    {"origin": f"{HERE}.evil.example"},
    {"origin": ""},
]


def test_our_pages_and_programs_may_write(served: Served, open_to_all: Served) -> None:
    for headers in FROM_HERE:
        for client in (browser(served, **headers), open_to_all.client(**headers)):
            assert client.post(TURNS, json=BODY).status_code == 201, headers


def test_pages_of_other_origins_may_not_write(served: Served, open_to_all: Served) -> None:
    for headers in FROM_ELSEWHERE:
        for client in (browser(served, **headers), open_to_all.client(**headers)):
            for method, path in (("POST", TURNS), ("PUT", "/api/spaces/new"), ("DELETE", "/api/spaces/default")):
                answer = client.request(method, path, json=BODY)
                assert (answer.status_code, answer.json()["error"]) == (403, "ForbiddenError"), headers
    assert served.service.spaces.names() == open_to_all.service.spaces.names() == []


def test_pages_of_other_origins_may_not_read_but_may_link(open_to_all: Served) -> None:
    elsewhere = open_to_all.client(**{"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"})
    assert elsewhere.get("/api/spaces").status_code == 403
    link = open_to_all.client(**{"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert link.get("/api/spaces").status_code == 200


def test_who_brings_a_token_may_come_from_anywhere(served: Served) -> None:
    for headers in FROM_ELSEWHERE:
        assert served.http.post(TURNS, json=BODY, headers=headers).status_code == 201, headers


def _socket(served: Served) -> None:
    @served.app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(principal_of(websocket).id)


def test_websockets_pass_the_same_gate(served: Served) -> None:
    _socket(served)
    host = {"host": "127.0.0.1:8377"}
    with browser(served, origin=HERE).websocket_connect("/socket", headers=host) as websocket:
        assert websocket.receive_text() == LOCAL.id
    refused: list[tuple[TestClient, dict[str, str]]] = [(browser(served), each) for each in FROM_ELSEWHERE]
    refused += [(served.client(), {"origin": HERE}), (browser(served), {"host": "evil.example"})]
    for client, headers in refused:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket", headers=host | headers):
            pass


# -- sizes and rates -----------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused_announced_or_not(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body=1000)) as served:
        whole = b'{"turns": ["' + b"x" * 2000 + b'"]}'
        pieces = iter([whole[:700], whole[700:]])
        for content in (whole, pieces):
            answer = served.client(served.token(every=[Scope.ADMIN])).post(
                TURNS, content=content, headers={"content-type": "application/json"}
            )
            assert (answer.status_code, answer.json()["error"]) == (413, "LimitError")
        assert served.service.spaces.names() == []
        assert served.http.post(TURNS, json=BODY).status_code == 201


def test_a_lie_about_the_length_does_not_help(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body=1000)) as served:
        headers = {"content-type": "application/json", "content-length": "5"}
        answer = served.http.post(TURNS, content=b'{"turns": ["' + b"x" * 2000 + b'"]}', headers=headers)
        assert answer.status_code == 413
        headers["content-length"] = "9" * 5000
        assert served.http.post(TURNS, content=b"{}", headers=headers).status_code == 413


def test_files_may_be_larger_than_other_bodies(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body=1000, upload=5000)) as served:
        files = {"file": ("chat.jsonl", b'{"text": "' + b"x" * 3000 + b'"}\n')}
        assert served.http.post("/api/spaces/a%2Fb/import?format=jsonl", files=files).status_code == 202
        files = {"file": ("chat.jsonl", b'{"text": "' + b"x" * 6000 + b'"}\n')}
        assert served.http.post("/api/spaces/a/import?format=jsonl", files=files).status_code == 413


def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(rate=0.5, burst=3)) as served:
        eager, other = (served.client(served.token(every=[Scope.READ])) for _ in range(2))
        answers = [eager.get("/api/spaces") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].headers["retry-after"] == "2"
        assert answers[-1].json()["error"] == "LimitError"
        assert other.get("/api/spaces").status_code == 200
        assert eager.get("/healthz").status_code == 200  # whoever watches over the server is not turned away


def test_guessing_tokens_is_slowed_down(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(rate=0.5, burst=3)) as served:
        codes = [served.client(f"mnk_guess{n}").get("/api/spaces").status_code for n in range(5)]
        assert codes == [401, 401, 401, 429, 429]


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.5, 20), st.integers(1, 10))
def test_in_no_stretch_of_time_more_than_the_burst_and_the_rate(steps: list[float], rate: float, burst: int) -> None:
    rates, now, passed = Rates(rate, burst), 0.0, list[float]()
    for step in steps:
        now += step
        try:
            rates.take("a", now)
        except LimitError:
            continue
        passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - passed[first]) + 1e-6


def test_after_the_wait_that_was_told_one_more_passes() -> None:
    rates = Rates(2.0, 1)
    rates.take("a", 0.0)
    with pytest.raises(LimitError) as error:
        rates.take("a", 0.1)
    rates.take("a", 0.1 + (error.value.retry_after or 0) + 1e-9)


def test_callers_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rates, "KEPT", 5)
    rates = Rates(1.0, 1)
    for n in range(50):
        rates.take(str(n), 0.0)
    assert len(rates._left) == 5


# -- answers and logs ----------------------------------------------------------------------------------------


def test_every_answer_carries_what_browsers_need_to_know(served: Served) -> None:
    for answer in (
        served.http.get("/healthz"),
        served.http.get("/api/spaces"),
        served.http.get("/api/nowhere"),
        served.client().get("/api/spaces"),
        served.client().get("/", headers={"host": "evil.example"}),
        served.client(accept="text/html").get("/", follow_redirects=False),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
    assert served.http.get("/api/spaces").headers["content-security-policy"].startswith("default-src 'none'")


def test_an_error_that_nobody_foresaw_tells_nothing_of_the_inside(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(*_: Any) -> None:
        raise RuntimeError(f"at {served.service.config.store}")

    monkeypatch.setattr(served.service.spaces, "names", fall)
    answer = served.client(served.token(every=[Scope.ADMIN])).get("/api/spaces")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert str(served.service.config.store) not in answer.text


def test_a_request_is_logged_without_what_it_asked_or_brought(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = served.token(default=[Scope.READ, Scope.WRITE])
    client = served.client(token)
    client.post(TURNS, json=BODY)
    client.get("/api/spaces/default/memories?words=boat")
    client.get(f"/login?token={token}")
    client.get("/api/%0Aforged")
    ours = [record.getMessage() for record in caplog.records if record.name == "mnemic.access"]
    assert [line.split(" ")[1:4] for line in ours] == [
        ["POST", "/api/spaces/default/turns", "201"],
        ["GET", "/api/spaces/default/memories", "200"],
        ["GET", "/login", "404"],
        ["GET", "/api/\\nforged", "404"],
    ]
    assert ours[0].split(" ")[0] == served.service.tokens.all()[-1].id
    text = "\n".join(ours)
    for private in (token, "boat", "?", "Bearer"):
        assert private not in text


def test_a_token_that_somebody_else_logs_is_scrubbed() -> None:
    out = StringIO()
    handler = log(out)
    try:
        logger = logging.getLogger("somebody.else")
        logger.addHandler(handler)
        logger.warning("GET /login?token=%s", "mnk_abc-DEF_123")
        try:
            raise RuntimeError("mnk_abc-DEF_123 is wrong")
        except RuntimeError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
        logging.getLogger().removeHandler(handler)
    assert "mnk_***" in out.getvalue()
    assert "abc" not in out.getvalue()
