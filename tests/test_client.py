"""The client: one scenario against a memory of this machine and against one behind a server, with equal results."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mnemic
from mnemic import AsyncClient, Client, Filter, Kind, Memory, Turn, errors
from mnemic import client as module
from mnemic.errors import InputError, LimitError, MnemicError, NotFoundError, StoreError, UnauthorizedError
from mnemic.serve.config import Config, Limits
from mnemic.serve.run import Address, running

LEFT_OUT = {"derive_again"}
"""Verbs that a server keeps to itself: they belong to its rebuild job."""
VERBS = [
    name for name, verb in vars(Memory).items() if inspect.isfunction(verb) and name[0] != "_" and name not in LEFT_OUT
]
_ID = re.compile(r"\b(?:[0-9a-hjkmnp-tv-z]{26}|fact-[0-9a-f]{20})\b")
START = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)


class Clock:
    """The one clock of the server and of the memories it is held against."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)


_CLOCK = Clock()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    config = Config(
        store=tmp_path_factory.mktemp("server"),
        port=0,
        encoders="lexical",
        pages=False,
        limits=Limits(rate=10_000, burst=10_000),
        clock=_CLOCK,
    )
    with running(config) as address:
        yield address


@pytest.fixture
def clock() -> Clock:
    _CLOCK.now = START
    return _CLOCK


@pytest.fixture
def connect(server: Address, request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Connects to a space of its own for each test and number."""
    made: list[Client] = []

    def connect(space: str = "", **options: Any) -> Client:
        name = f"{request.node.name} {space}"
        made.append(mnemic.connect(server.url, name, server.token, **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture(params=["local", "remote"])
def memory(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Any]:
    """A memory here or there: what a test says must hold for both."""
    if request.param == "local":
        with mnemic.open(":memory:", encoders="lexical", clock=clock) as opened:
            yield opened
    else:
        yield request.getfixturevalue("connect")()


# -- equal by form -------------------------------------------------------------------------------------------


def test_the_client_has_the_verbs() -> None:
    assert [name for name in vars(Client) if inspect.isfunction(vars(Client)[name]) and name[0] != "_"] == VERBS
    assert set(vars(AsyncClient)) >= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_signatures_and_documentation_are_those_of_a_memory(verb: str) -> None:
    theirs = getattr(Memory, verb)
    for ours in (getattr(Client, verb), getattr(AsyncClient, verb)):
        assert inspect.signature(ours) == inspect.signature(theirs)
        if verb != "close":
            assert inspect.getdoc(ours) == inspect.getdoc(theirs)


def test_nothing_of_it_is_loaded_before_it_is_used() -> None:
    code = "import sys, mnemic; print({'httpx', 'pydantic', 'tenacity'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- equal by result -----------------------------------------------------------------------------------------


def talk() -> list[Turn]:
    said = [
        ("Ana", "I adopted a beagle called Pim."),
        ("Ben", "Lovely! Where do you live now?"),
        ("Ana", "I moved to Porto in May; my pin is 4711."),
        ("Ben", "The ferry leaves at nine, near the lemon trees."),
    ]
    zone = timezone(timedelta(hours=2))
    return [
        Turn(text, who, datetime(2024, 3, 1, 9, place, tzinfo=zone), "talk", id=f"t{place}", meta={"app": "chat"})
        for place, (who, text) in enumerate(said)
    ]


def scenario(memory: Any, clock: Clock) -> Iterator[tuple[str, Any]]:
    """Every verb, most of their options; what each gave."""
    yield "remember", memory.remember(talk())
    clock.forward(minutes=1)
    yield (
        "one",
        memory.remember("We saw \ud83d\udc15 on 8 May 2023.\u2028Twice.", speaker="Ben", session="s", role="user"),
    )
    yield "dict", memory.remember({"text": "Rain", "caption": "a grey sky", "id": "d"}, at="2024-03-05", session="s")
    yield "key", memory.remember(["Sun", "Wind"], idempotency_key="k", session="s", at=1709600000)
    yield "key again", memory.remember(["Sun", "Wind"], idempotency_key="k", session="s")
    # With a key a memory notes even a write that brings nothing new, and a client always sends one.
    yield "again", memory.remember(talk(), idempotency_key="again")
    yield "surrogate", memory.remember("half \ud83d of a dog", session="s", meta={"nested": {"list": [1, None, 2.5]}})
    yield "none", memory.remember([], idempotency_key="none")
    told: list[int] = []
    stream = (Turn(f"The heron number {i}", "Cy", START + timedelta(minutes=i), "h", id=f"h{i}") for i in range(12))
    yield "ingest", (memory.ingest(stream, page=5, progress=told.append), told)
    clock.forward(minutes=1)
    before = clock.now
    clock.forward(minutes=1)
    yield "revise", memory.revise("t0", "I adopted a beagle called Pom.")
    yield "revise at", memory.revise("d", "Snow", at="2024-03-06T10:00+01:00")
    yield "recall", memory.recall("Where did Ana move?")
    yield "k", memory.recall("heron", k=3, budget=40)
    yield "today", memory.recall("What is Ana's dog called?", k=1)
    yield "then", memory.recall("What is Ana's dog called?", k=1, as_of=before)
    yield "valid", memory.recall("What is the weather?", k=1, valid_at="2024-03-05T12:00")
    yield "now", memory.recall("What happened ten months ago?", now="2024-03-08")
    narrow = Filter(kinds=[Kind.TURN], speakers=["Ana"], since=START - timedelta(days=9), meta={"app": "chat"})
    yield "filter", memory.recall("Porto", filter=narrow)
    yield "long", memory.recall("heron " * 3000, k=1)
    yield "nothing", memory.recall("quantum chromodynamics")
    yield "ask", memory.ask("Where did Ana move?", k=3)
    yield "ask nothing", memory.ask("Who won the cup?", now=datetime(2024, 5, 1, tzinfo=UTC))
    yield "get", memory.get(["t2", "d", "t0"])
    yield "get one", memory.get("t1", as_of=before)
    yield "clear", memory.get("t2", secrets=True)
    yield "absent", memory.get(["nobody"])
    yield "scan", memory.scan(Filter(sessions=["h"]), limit=5)
    yield "pages", list(pages(memory, Filter(speakers=["Ana", "Cy"], until=START + timedelta(minutes=3)), limit=2))
    yield "all", list(pages(memory, Filter(archived=True), limit=4, secrets=True))
    yield "history", memory.history("t0")
    seen: list[tuple[str, int]] = []
    yield "reflect", memory.reflect(progress=lambda kind, done: seen.append((kind, done)))
    yield "seen", all(kind == "reflect" for kind, _ in seen)
    yield "preview", memory.forget("heron", preview=True)
    yield "forget", memory.forget("heron")
    yield "erase", memory.forget(["t3"], erase=True)
    yield "stats", {k: v for k, v in memory.stats().items() if k not in ("space", "bytes", "seq", "jobs")}
    yield "export", [line for line in memory.export() if "item" in line]
    yield "clear export", [line for line in memory.export(secrets=True) if "item" in line]
    yield "links", sum("link" in line for line in memory.export())  # they come in the order of ids, which is chance


def pages(memory: Any, filter: Filter, **options: Any) -> Iterator[Any]:
    """Everything page by page. A server fills its pages, so that they may be longer than those of a memory."""
    cursor = None
    while True:
        page, cursor = memory.scan(filter, cursor=cursor, **options)
        yield from page
        if cursor is None:
            return


def settled(value: Any, names: dict[str, str]) -> Any:
    """``value`` in plain types; ids that are made up are numbered in the order in which they come."""
    if is_dataclass(value) and not isinstance(value, type):
        told = {f.name: settled(getattr(value, f.name), names) for f in fields(value)}
        return type(value).__name__, {k: v for k, v in told.items() if k != "trace"}
    if isinstance(value, Mapping):
        return {settled(k, names): settled(v, names) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [settled(each, names) for each in value]
    if isinstance(value, str):
        return type(value).__name__, _ID.sub(lambda found: names.setdefault(found[0], f"id {len(names)}"), value)
    return type(value).__name__ if isinstance(value, datetime) else None, value


def test_a_client_gives_what_a_memory_gives(connect: Callable[..., Client], clock: Clock) -> None:
    with mnemic.open(":memory:", encoders="lexical", clock=clock) as local:
        here = dict(scenario(local, clock))
    clock.now = START
    there = dict(scenario(connect(), clock))
    assert list(here) == list(there)
    names: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for step in here:
        assert settled(here[step], names[0]) == settled(there[step], names[1]), step
    assert here["recall"].hits
    assert [here[step].hits[0].text[-4:-1] for step in ("today", "then")] == ["Pom", "Pim"]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.remember(""),
        lambda m: m.remember(5),
        lambda m: m.remember([5]),
        lambda m: m.remember({"text": "x", "colour": "blue"}),
        lambda m: m.remember("x", at="the day after tomorrow"),
        lambda m: m.remember("x", meta={"x": object()}),
        lambda m: m.remember(Turn("other", id="t1")),
        lambda m: m.recall("x", k=0),
        lambda m: m.recall("x", budget=0),
        lambda m: m.recall(5),
        lambda m: m.recall("x", filter=Filter(kinds=["thought"])),
        lambda m: m.recall("x", colour="blue"),
        lambda m: m.ask("x", colour="blue"),
        lambda m: m.ask("x", as_of="never"),
        lambda m: m.revise("nobody", "x"),
        lambda m: m.revise("t1", " "),
        lambda m: m.forget(["nobody"]),
        lambda m: m.forget("the"),
        lambda m: m.history("nobody/else?"),
        lambda m: m.scan(limit=0),
        lambda m: m.scan(cursor="x"),
    ],
)
def test_errors_are_those_of_a_memory(call: Callable[[Any], Any], connect: Callable[..., Client]) -> None:
    with mnemic.open(":memory:", encoders="lexical") as local:
        raised = []
        for memory in (local, connect()):
            memory.remember({"text": "first", "id": "t1"})
            with pytest.raises((MnemicError, TypeError)) as caught:
                call(memory)
            raised.append(caught.type)
            assert len(memory.scan()[0]) == 1
    assert raised[0] is raised[1]


def test_words_of_errors_come_through(memory: Any) -> None:
    memory.remember({"text": "first", "id": "t1"})
    with pytest.raises(errors.ConflictError, match="'t1' is already stored with other content: give another id"):
        memory.remember({"text": "second", "id": "t1"})
    with pytest.raises(NotFoundError, match="no memory has the id 'nobody'"):
        memory.revise("nobody", "x")


def test_names_and_ids_may_hold_anything(connect: Callable[..., Client]) -> None:
    client = connect("a/b ?#%2F ü\u2028"[:-1])
    client.remember({"text": "The heron", "id": "x/y?z#%2F ü"})
    assert client.get("x/y?z#%2F ü")[0].text == "The heron"
    assert len(client.history("x/y?z#%2F ü")) == 1
    client.revise("x/y?z#%2F ü", "The stork")
    assert client.recall("stork").hits


# -- long streams --------------------------------------------------------------------------------------------


def test_pages_of_long_turns_are_split(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY", 1000)
    told: list[int] = []
    done = memory.ingest((Turn("heron " * 100, id=f"t{i}") for i in range(5)), page=3, progress=told.append)
    assert (done.stored, told[-1]) == (5, 5)
    assert memory.ingest([Turn("heron " * 100, id="t0")]).skipped == 1


def test_an_export_is_a_stream_and_leaves_nothing_behind(connect: Callable[..., Client], server: Address) -> None:
    client = connect()
    client.remember([f"heron {i}\u2028\x85 next" for i in range(30)])
    assert sum("item" in line for line in client.export()) == 30
    stream = client.export()
    assert "mnemic" in next(stream)
    stream.close()
    jobs = httpx.get(f"{server.url}/api/jobs", headers={"Authorization": f"Bearer {server.token}"}).json()["items"]
    assert [job for job in jobs if job["space"] == client.space and job["kind"] == "export"] == []


@given(
    st.lists(st.sampled_from([b'{"a": 1}', b'"x\x85y\xe2\x80\xa8z"', b"{}"]), max_size=6), st.lists(st.integers(1, 9))
)
def test_lines_are_whole_however_they_come(lines: list[bytes], sizes: list[int]) -> None:
    whole, parts = b"".join(line + b"\n" for line in lines), []
    for size in sizes:
        parts.append(whole[:size])
        whole = whole[size:]
    assert list(module._lines([*parts, whole])) == lines


def test_many_ids_are_asked_for_in_parts(connect: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    client.remember([{"text": f"heron {i}", "id": f"t{i}"} for i in range(7)])
    monkeypatch.setattr(module, "PART", 3)
    wanted = [f"t{i}" for i in (6, 0, 3, 2, 5)]
    assert [record.id for record in client.get(wanted)] == wanted
    page, cursor = client.scan(limit=1000)
    assert (len(page), cursor is None) == (3, False)


# -- when things go wrong ------------------------------------------------------------------------------------


class Losing(httpx.BaseTransport):
    """Passes requests on, and loses the answers of the first ``count``."""

    def __init__(self, count: int, error: type[httpx.TransportError] = httpx.ReadError) -> None:
        self.inner = httpx.HTTPTransport()
        self.count = count
        self.error = error
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        response = self.inner.handle_request(request)
        if len(self.seen) <= self.count:
            response.read()
            raise self.error("the line went dead")
        return response


def losing(server: Address, space: str, transport: httpx.BaseTransport, **options: Any) -> Client:
    headers = {"Authorization": f"Bearer {server.token}"}
    http = httpx.Client(base_url=server.url, headers=headers, transport=transport)
    return Client(http, space, **options)


def test_a_turn_whose_receipt_was_lost_is_stored_once(server: Address) -> None:
    transport = Losing(2)
    client = losing(server, "lost", transport)
    receipt = client.remember("The heron nests by the weir.")
    assert len(transport.seen) == 3
    assert len({request.headers["Idempotency-Key"] for request in transport.seen}) == 1
    assert [record.id for record in client.scan()[0]] == list(receipt.ids)


def test_what_cannot_be_repeated_is_not(server: Address) -> None:
    losing(server, "once", Losing(0)).remember({"text": "The heron", "id": "t"})
    transport = Losing(1)
    client = losing(server, "once", transport)
    with pytest.raises(StoreError, match="may have been done"):
        client.revise("t", "The stork")
    assert len(transport.seen) == 1
    assert [record.text for record in client.history("t")] == ["The heron", "The stork"]


def test_what_was_never_sent_is_sent_again(server: Address) -> None:
    losing(server, "unsent", Losing(0)).remember({"text": "The heron", "id": "t"})
    transport = Losing(0)
    sent = transport.handle_request
    tries: list[int] = []

    def refused(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        if len(tries) < 3:
            raise httpx.ConnectError("refused")
        return sent(request)

    transport.handle_request = refused  # type: ignore[method-assign]
    assert losing(server, "unsent", transport).revise("t", "The stork").ids
    assert len(tries) == 3


def answering(*responses: httpx.Response, **options: Any) -> tuple[Client, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return responses[min(len(seen), len(responses)) - 1]

    http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer))
    return Client(http, **options), seen


def too_many(seconds: str) -> httpx.Response:
    return httpx.Response(429, json={"error": "LimitError", "detail": "slowly"}, headers={"Retry-After": seconds})


def test_a_server_that_asks_to_wait_is_waited_for() -> None:
    client, seen = answering(too_many("0"), too_many("0"), httpx.Response(200, json={"records": 0}))
    assert client.stats() == {"records": 0}
    assert len(seen) == 3
    client, seen = answering(too_many("60"))
    with pytest.raises(LimitError, match="slowly") as caught:
        client.stats()
    assert (caught.value.retry_after, len(seen)) == (60, 1)


def test_a_request_that_is_too_large_is_not_repeated() -> None:
    client, seen = answering(httpx.Response(413, json={"error": "LimitError", "detail": "over 32 MB"}))
    with pytest.raises(LimitError, match="32 MB") as caught:
        client.remember("x")
    assert (caught.value.retry_after, len(seen)) == (None, 1)


def test_patience_ends() -> None:
    client, seen = answering(httpx.Response(503, json={"error": "StoreError", "detail": "disk full"}), patience=0.3)
    with pytest.raises(StoreError, match="disk full"):
        client.remember("x")
    assert len(seen) > 1


@pytest.mark.parametrize("name", [name for name in vars(errors) if isinstance(vars(errors)[name], type)])
def test_every_error_is_raised_again(name: str) -> None:
    client, _ = answering(httpx.Response(400, json={"error": name, "detail": "so it is"}), patience=0)
    with pytest.raises(getattr(errors, name), match="so it is"):
        client.stats()


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404, text="<html>"),
        httpx.Response(500, json=["x"]),
        httpx.Response(303, headers={"Location": "/login"}),
        httpx.Response(500, json={"error": "KeyError", "detail": "x"}),
        httpx.Response(500, json={"error": "datetime", "detail": "x"}),
    ],
)
def test_other_answers_are_plain_errors(response: httpx.Response) -> None:
    client, _ = answering(response)
    with pytest.raises(MnemicError) as caught:
        client.stats()
    assert caught.type is MnemicError


def test_a_job_that_fails_raises_what_it_failed_with(connect: Callable[..., Client]) -> None:
    failed = {"id": "j", "state": "failed", "result": {"error": "LanguageError"}, "message": "no answer", "done": 0}
    client, _ = answering(httpx.Response(200, json=failed))
    with pytest.raises(errors.LanguageError, match="no answer"):
        client.reflect()
    client, _ = answering(httpx.Response(200, json=failed | {"state": "cancelled", "message": ""}))
    with pytest.raises(MnemicError, match="cancelled"):
        client.reflect()
    with pytest.raises(NotFoundError, match="no space"):
        connect("never made").reflect()


def test_no_server_and_closed() -> None:
    client = mnemic.connect("http://127.0.0.1:9", patience=0.1)
    with pytest.raises(StoreError, match=r"no connection to http://127.0.0.1:9 .*check the address"):
        client.remember("x")
    client.close()
    with pytest.raises(StoreError, match="closed"):
        client.stats()


def test_the_token_comes_from_the_environment_and_is_never_told(
    server: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNEMIC_TOKEN", str(server.token))
    with mnemic.connect(server.url, "env") as client:
        client.remember("The heron")
        assert str(server.token) not in repr(client)
    monkeypatch.setenv("MNEMIC_TOKEN", "mnk_wrong")
    with mnemic.connect(server.url, "env") as client, pytest.raises(UnauthorizedError, match="not known") as caught:
        client.recall("heron")
    assert "mnk_wrong" not in str(caught.value)
    monkeypatch.delenv("MNEMIC_TOKEN")
    with mnemic.connect(server.url, "env") as client, pytest.raises(UnauthorizedError, match="needs a token"):
        client.recall("heron")


@pytest.mark.parametrize(
    ("url", "token"),
    [("ftp://x", None), ("127.0.0.1:8377", None), ("http://", None), ("http://me:pw@x", None), ("http://x", "a\nb")],
)
def test_what_cannot_be_an_address_is_refused(url: str, token: str | None) -> None:
    with pytest.raises(InputError):
        mnemic.connect(url, token=token)
    with pytest.raises(InputError, match="name"):
        mnemic.connect("http://127.0.0.1:1", "")


def test_a_server_below_a_path_is_reached() -> None:
    client, seen = answering(httpx.Response(200, json={}))
    client._http.base_url = "https://host/memory/"  # type: ignore[assignment]
    client.stats()
    assert str(seen[0].url) == "https://host/memory/api/spaces/default"


# -- awaitable -----------------------------------------------------------------------------------------------


def test_many_at_once_awaited(server: Address) -> None:
    async def work() -> None:
        async with await mnemic.aconnect(server.url, "async", server.token) as memory:
            receipts = await asyncio.gather(*(memory.remember(f"heron number {i}", session="s") for i in range(40)))
            assert sorted(receipt.seq for receipt in receipts) == list(range(1, 41))
            found = await asyncio.gather(*(memory.recall(f"number {i}", k=1) for i in range(40)))
            assert [recall.hits[0].text for recall in found] == [f"heron number {i}" for i in range(40)]
            assert len([line async for line in memory.export()]) == 41
            with pytest.raises(InputError, match="no text"):
                await memory.remember("")
        with pytest.raises(StoreError, match="closed"):
            await memory.stats()

    asyncio.run(work())


def test_connects_like_connect() -> None:
    ours, theirs = inspect.signature(mnemic.aconnect), inspect.signature(mnemic.connect)
    assert ours.parameters == theirs.parameters
    assert "aconnect" in mnemic.__all__


def test_missing_extras_are_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['tenacity'] = None; import mnemic; mnemic.connect"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'mnemic[client]'" in done.stderr
