"""REST: what a memory answers is what the server answers, and what is wrong is told as a problem."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from served import HERE, Served, serving

import mnemic
from mnemic.errors import LanguageError, StoreError
from mnemic.serve import rest, wire
from mnemic.serve.tokens import Scope, TokenInfo
from mnemic.text.forgetting import Preview
from mnemic.text.language.answer import Answer
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter, Recall
from mnemic.text.record import Link, Receipt, Record
from mnemic.text.store.base import Change

AT = "/api/spaces/default"
TURNS: list[Any] = [
    {"id": "m1", "text": "I adopted a beagle called Pim.", "speaker": "Ana", "at": "2024-03-02T09:00:00+01:00"},
    {"id": "m2", "text": "The vet says he eats too much.", "speaker": "Ana", "at": "2024-06-10", "session": "vet"},
    {"id": "m3", "text": "My wifi password is Tr0ub4dor&3.", "speaker": "Ben", "at": "2024-06-11", "meta": {"a": 1}},
]


def read(answer: httpx.Response, shape: Any, status: int = 200) -> Any:
    """The body as what the library would have returned."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return TypeAdapter(shape).validate_json(answer.content)


def problem(answer: httpx.Response, status: int, error: str) -> str:
    """What a problem tells; fails unless it is this one, in the shape of RFC 9457."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert (answer.status_code, told["status"], told["error"]) == (status, status, error), told
    assert told["type"] == f"urn:mnemic:problem:{error}"
    assert told["title"]
    return str(told["detail"])


@pytest.fixture
def held(served: Served) -> Served:
    """A server that holds a few turns."""
    assert served.http.post(f"{AT}/turns", json={"turns": TURNS}).status_code == 201
    return served


def memory_of(served: Served) -> Memory:
    """The very memory that the server uses."""
    with served.service.spaces.use("default") as memory:
        return memory


# -- the verbs -----------------------------------------------------------------------------------------------


def test_reading_verbs_answer_what_the_memory_answers(held: Served) -> None:
    http, memory = held.http, memory_of(held)
    now = "2024-07-01T00:00:00+00:00"
    asked = {"query": "What is the dog called?", "k": 2, "budget": 50, "now": now, "filter": {"speakers": ["Ana"]}}
    there = read(http.post(f"{AT}/recall", json=asked), Recall)
    here = memory.recall(
        asked["query"],
        k=2,
        budget=50,
        now=now,
        filter=Filter(speakers=("Ana",)),  # type: ignore[arg-type]
    )
    assert replace(there, trace={}) == replace(here, trace={})
    assert there.trace.keys() == here.trace.keys()
    question = {"question": "What is the beagle called?", "now": now}
    assert read(http.post(f"{AT}/ask", json=question), Answer) == memory.ask(question["question"], now=now)
    assert read(http.get(f"{AT}/memories/m1"), Record) == memory.get("m1")[0]
    assert read(http.post(f"{AT}/get", json={"ids": ["m3", "no", "m1"]}), list[Record]) == memory.get(["m3", "m1"])
    assert read(http.get(f"{AT}/memories"), wire.Page[Record]).items == memory.scan()[0]
    assert read(http.get(f"{AT}/memories/m1/history"), list[Record]) == memory.history("m1")
    assert read(http.get(AT), dict[str, Any]) == memory.stats()
    assert read(http.get(f"{AT}/changes"), wire.Page[Change]).items == list(memory.space.changes())


def test_what_is_remembered_is_stored_as_it_was_said(served: Served) -> None:
    body = {"turns": ["Hello.", {"text": "Hi!", "speaker": "Ben"}], "speaker": "Ana", "at": "2024-03-02T09:00+01:00"}
    receipt = read(served.http.post(f"{AT}/turns", json=body | {"session": "s", "meta": {"x": [1]}}), Receipt, 201)
    said = memory_of(served).get(receipt.ids)
    assert [(turn.text, turn.speaker, turn.session) for turn in said] == [("Hello.", "Ana", "s"), ("Hi!", "Ben", "s")]
    assert {turn.at for turn in said} == {datetime(2024, 3, 2, 8, tzinfo=UTC)}
    assert said[0].meta == {"x": [1]}


def test_a_repeated_call_with_the_same_key_stores_nothing(served: Served) -> None:
    key = {"Idempotency-Key": "k1"}
    first = read(served.http.post(f"{AT}/turns", json={"turns": ["Hello."]}, headers=key), Receipt, 201)
    again = read(served.http.post(f"{AT}/turns", json={"turns": ["Hello."]}, headers=key), Receipt, 201)
    assert again == first
    assert memory_of(served).stats()["records"] == 1


def test_revising_keeps_the_old_version(held: Served) -> None:
    receipt = read(
        held.http.put(f"{AT}/memories/m1", json={"text": "I adopted a beagle called Pip.", "at": "2024-05-01"}), Receipt
    )
    versions = read(held.http.get(f"{AT}/memories/m1/history"), list[Record])
    assert [version.text[-4:-1] for version in versions] == ["Pim", "Pip"]
    assert versions[1].id in receipt.ids
    problem(held.http.put(f"{AT}/memories/m1", json={"text": "Again."}), 409, "ConflictError")
    problem(held.http.put(f"{AT}/memories/no", json={"text": "Again."}), 404, "NotFoundError")


def test_forgetting_shows_first_and_then_does(held: Served) -> None:
    memory = memory_of(held)
    gone = read(held.http.post(f"{AT}/forget", json={"what": "beagle", "preview": True}), Preview)
    assert gone == memory.forget("beagle", preview=True)
    assert [record.id for record in gone.named] == ["m1"]
    read(held.http.post(f"{AT}/forget", json={"what": ["m1"]}), Receipt)
    assert [record.id for record in memory.scan()[0]] == ["m2", "m3"]
    before = datetime.now(UTC).isoformat()
    assert read(held.http.get(f"{AT}/memories/m1", params={"as_of": before}), Record).id == "m1"
    read(held.http.post(f"{AT}/forget", json={"what": "m1", "erase": True}), Receipt)
    problem(held.http.get(f"{AT}/memories/m1", params={"as_of": before}), 404, "NotFoundError")


def test_erasing_takes_finished_exports_along(held: Served) -> None:
    job = held.http.post(f"{AT}/export").json()
    place = f"/api/jobs/{job['id']}/result"
    while (answer := held.http.get(place)).status_code == 409:
        pass
    assert "beagle" in answer.text
    held.http.post(f"{AT}/forget", json={"what": "m1", "erase": True})
    assert held.http.get(place).status_code == 404


def test_secrets_are_in_clear_only_for_who_administers_the_space(held: Served) -> None:
    asks: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"{AT}/memories/m3", {"params": {"secrets": True}}),
        ("GET", f"{AT}/memories", {"params": {"secrets": True}}),
        ("POST", f"{AT}/get", {"json": {"ids": ["m3"], "secrets": True}}),
    ]
    admin = held.client(held.token(default=[Scope.ADMIN]))
    reader = held.client(held.token(default=[Scope.READ, Scope.WRITE, Scope.FORGET]))
    for method, path, options in asks:
        assert "Tr0ub4dor" in admin.request(method, path, **options).text
        problem(reader.request(method, path, **options), 403, "ForbiddenError")
    for answer in (
        admin.get(f"{AT}/memories"),
        admin.post(f"{AT}/recall", json={"query": "wifi password"}),
        admin.post(f"{AT}/ask", json={"question": "What is the wifi password?"}),
        admin.get(f"{AT}/memories/m3/history"),
        admin.post(f"{AT}/forget", json={"what": "wifi", "preview": True}),
    ):
        assert answer.status_code == 200
        assert "Tr0ub4dor" not in answer.text
        assert "[secret:password]" in answer.text


def test_links_lead_from_memory_to_memory(held: Served) -> None:
    memory = memory_of(held)
    memory.remember("I live in Oslo now.", speaker="Ana", at="2024-07-01")
    memory.reflect()
    ids = [record.id for record in memory.scan()[0]]
    links = memory.space.neighbours(ids, depth=2)
    assert links
    page = read(held.http.get(f"{AT}/links", params={"id": ids, "depth": 2}), wire.Page[Link])
    assert page.items == links
    cites = read(held.http.get(f"{AT}/links", params={"id": ids, "kind": "cites"}), wire.Page[Link]).items
    assert cites == memory.space.neighbours(ids, ["cites"])


def test_spaces_are_made_listed_and_dropped(served: Served) -> None:
    assert served.http.put("/api/spaces/a", json={"system": "hema", "encoders": "lexical"}).status_code == 204
    assert served.http.put("/api/spaces/a").status_code == 204
    problem(served.http.put("/api/spaces/a", json={"system": "mnemic"}), 409, "ConflictError")
    assert served.http.get("/api/spaces/a").json()["system"] == "hema"
    assert read(served.http.get("/api/spaces"), wire.Page[str]).items == ["a"]
    assert served.http.delete("/api/spaces/a").status_code == 204
    problem(served.http.delete("/api/spaces/a"), 404, "NotFoundError")
    problem(served.http.get("/api/spaces/a"), 404, "NotFoundError")
    for name in ("*", "a\nb", "x" * 201):
        problem(served.http.put(f"/api/spaces/{quote(name, safe='')}"), 422, "InputError")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
@example("a/b", "c/d%2Fe")
@example("%", "%2f")
@example("history", "x/history")
@example(" ", "?#;=&")
def test_any_name_and_any_id_can_be_asked_for(served: Served, name: str, id: str) -> None:
    space = f"/api/spaces/{quote(name, safe='')}"
    made = served.http.post(f"{space}/turns", json={"turns": [{"id": id, "text": "Hello."}]})
    if made.status_code == 422 or name in (".", "..") or id in (".", ".."):  # clients take these for steps
        return
    assert made.status_code == 201
    assert name in served.http.get("/api/spaces", params={"limit": 1000}).json()["items"]
    record = f"{space}/memories/{quote(id, safe='')}"
    assert read(served.http.get(record), Record).id == id
    assert read(served.http.get(f"{record}/history"), list[Record])[0].id == id
    assert served.http.delete(space).status_code == 204


# -- pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_together_are_the_whole(served: Served, limit: int) -> None:
    served.remember(*[f"Turn {n}." for n in range(7)])
    ids = served.remember("Corrected.")
    with served.service.spaces.use("default") as memory:
        memory.revise(ids[0], "Corrected twice.")  # pages with old versions on them are shorter
        whole = memory.scan()[0]
    for name in ("a", "b", "c"):
        served.service.spaces.make(name)
    assert list(_all(served, f"{AT}/memories", limit, Record)) == whole
    assert list(_all(served, "/api/spaces", limit, str)) == ["a", "b", "c", "default"]
    seqs = [change.seq for change in _all(served, f"{AT}/changes", limit, Change, cursor="since")]
    assert seqs == list(range(1, len(seqs) + 1))


def _all(served: Served, path: str, limit: int, shape: Any, cursor: str = "cursor") -> Any:
    where: dict[str, Any] = {"limit": limit}
    while True:
        page = read(served.http.get(path, params=where), wire.Page[shape])
        assert len(page.items) <= limit
        yield from page.items
        if page.next is None:
            return
        where[cursor] = page.next


def test_a_page_of_long_texts_ends_before_its_limit(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "BYTES", 1000)
    monkeypatch.setattr(rest, "PART", 2)
    served.remember(*["x" * 600] * 7)
    page = read(served.http.get(f"{AT}/memories"), wire.Page[Record])
    assert len(page.items) == 2
    assert len(list(_all(served, f"{AT}/memories", 100, Record))) == 7


def test_memories_are_filtered_as_the_library_filters(held: Served) -> None:
    memory = memory_of(held)
    for params, narrowed in (
        ({"speakers": "Ana"}, Filter(speakers=["Ana"])),
        ({"speakers": ["Ana", "Ben"], "sessions": "vet"}, Filter(speakers=["Ana", "Ben"], sessions=["vet"])),
        ({"since": "2024-06-01", "until": "2024-06-11"}, Filter(since="2024-06-01", until="2024-06-11")),  # type: ignore[arg-type]
        ({"words": "vet eats"}, Filter(words="vet eats")),
        ({"phrase": "eats too much"}, Filter(phrase="eats too much")),
        ({"meta": '{"a": 1}'}, Filter(meta={"a": 1})),
        ({"ids": ["m1", "m3"]}, Filter(ids=["m1", "m3"])),
        ({"kinds": "fact"}, Filter(kinds=["fact"])),  # type: ignore[list-item]
        ({"roles": "user"}, Filter(roles=["user"])),
    ):
        found = read(held.http.get(f"{AT}/memories", params=params), wire.Page[Record]).items
        assert found == memory.scan(narrowed)[0], params


def test_every_field_of_a_filter_can_be_asked_for() -> None:
    assert set(Filter.__dataclass_fields__) <= set(wire.Listing.model_fields)
    listing = wire.Listing.model_validate({"since": "2024-01-01", "words": "a", "meta": '{"b": 1}', "archived": True})
    assert listing.filter() == Filter(
        kinds=[], speakers=[], sessions=[], roles=[], ids=[], since=datetime(2024, 1, 1, tzinfo=UTC), words="a",
        meta={"b": 1}, archived=True,
    )  # fmt: skip


# -- tokens --------------------------------------------------------------------------------------------------


def test_tokens_are_made_listed_and_revoked(served: Served) -> None:
    made = served.http.post("/api/tokens", json={"name": "phone", "grants": {"a": ["read", "write"]}})
    secret, info = made.json()["token"], TypeAdapter(TokenInfo).validate_python(made.json()["info"])
    assert made.status_code == 201
    assert info.grants == {"a": (Scope.READ, Scope.WRITE)}
    listed = served.http.get("/api/tokens")
    assert info in read(listed, wire.Page[TokenInfo]).items
    assert secret not in listed.text
    phone = served.client(secret)
    assert phone.post("/api/spaces/a/turns", json={"turns": ["Hi."]}).status_code == 201
    assert served.http.delete(f"/api/tokens/{info.id}").status_code == 204
    assert phone.post("/api/spaces/a/turns", json={"turns": ["Hi."]}).status_code == 401
    problem(served.http.delete(f"/api/tokens/{info.id}"), 404, "NotFoundError")


def test_nobody_gives_away_what_is_not_theirs(served: Served) -> None:
    keeper = served.client(served.token(a=[Scope.ADMIN]))
    other = served.http.post("/api/tokens", json={"name": "b", "grants": {"b": ["read"]}}).json()["info"]["id"]
    for grants in ({"b": ["read"]}, {"*": ["read"]}, {"a": ["read"], "b": ["read"]}):
        problem(keeper.post("/api/tokens", json={"name": "x", "grants": grants}), 403, "ForbiddenError")
    assert keeper.post("/api/tokens", json={"name": "x", "grants": {"a": ["admin"]}}).status_code == 201
    names = [info.name for info in read(keeper.get("/api/tokens"), wire.Page[TokenInfo]).items]
    assert names == ["test", "x"]  # neither that of the server nor that of b
    problem(keeper.delete(f"/api/tokens/{other}"), 404, "NotFoundError")
    writer = served.client(served.token(every=[Scope.READ, Scope.WRITE, Scope.FORGET]))
    problem(writer.post("/api/tokens", json={"name": "x", "grants": {"a": ["read"]}}), 403, "ForbiddenError")
    assert read(writer.get("/api/tokens"), wire.Page[TokenInfo]).items == []


# -- what is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "error"),
    [
        ("GET", "/api/nowhere", {}, 404, "NotFoundError"),
        ("GET", "/api/spaces/none", {}, 404, "NotFoundError"),
        ("POST", "/api/spaces/none/recall", {"json": {"query": "x"}}, 404, "NotFoundError"),
        ("GET", f"{AT}/memories/none", {}, 404, "NotFoundError"),
        ("GET", f"{AT}/memories/none/history", {}, 404, "NotFoundError"),
        ("PATCH", AT, {}, 405, "InputError"),
        ("POST", f"{AT}/turns", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "InputError"),
        ("POST", f"{AT}/turns", {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 400,
         "InputError"),
        ("POST", f"{AT}/turns", {"content": b"hello"}, 422, "InputError"),
        ("POST", f"{AT}/turns", {"json": {"turns": [{"txt": "x"}]}}, 422, "InputError"),
        ("POST", f"{AT}/turns", {"json": {"turns": ["x"], "who": "Ana"}}, 422, "InputError"),
        ("POST", f"{AT}/turns", {"json": {"turns": [" "]}}, 422, "InputError"),
        ("POST", f"{AT}/turns", {"json": {"turns": ["x"], "at": "yesterday"}}, 422, "InputError"),
        ("POST", f"{AT}/turns", {"json": {"turns": [{"id": "m1", "text": "Other."}]}}, 409, "ConflictError"),
        ("POST", f"{AT}/turns", {"json": {"turns": ["x"]}, "headers": {"Idempotency-Key": "k" * 300}}, 422,
         "InputError"),
        ("POST", f"{AT}/recall", {"json": {"query": "x", "k": 0}}, 422, "InputError"),
        ("POST", f"{AT}/recall", {"json": {"query": "x", "filter": {"speaker": "Ana"}}}, 422, "InputError"),
        ("POST", f"{AT}/recall", {"json": {"query": "x", "filter": {"kinds": ["thing"]}}}, 422, "InputError"),
        ("POST", f"{AT}/forget", {"json": {"what": "the"}}, 422, "InputError"),
        ("POST", f"{AT}/forget", {"json": {"what": ["none"]}}, 404, "NotFoundError"),
        ("GET", f"{AT}/memories?cursor=x", {}, 422, "InputError"),
        ("GET", f"{AT}/memories?speaker=Ana", {}, 422, "InputError"),
        ("GET", f"{AT}/memories?limit=0", {}, 422, "InputError"),
        ("GET", f"{AT}/memories?meta=x", {}, 422, "InputError"),
        ("GET", f"{AT}/links", {}, 422, "InputError"),
        ("GET", f"{AT}/changes?since=-1", {}, 422, "InputError"),
        ("GET", "/api/spaces?cursor=x", {}, 422, "InputError"),
        ("POST", "/api/tokens", {"json": {"name": "x", "grants": {"a": ["fly"]}}}, 422, "InputError"),
        ("POST", "/api/tokens", {"json": {"name": "x", "grants": {"a": []}}}, 422, "InputError"),
        ("POST", "/api/tokens", {"json": {"name": "x", "grants": {"a": ["read"]}, "expires": "2020-01-01"}}, 422,
         "InputError"),
        ("DELETE", "/api/tokens/none", {}, 404, "NotFoundError"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_as_a_problem(
    broken: Served, method: str, path: str, options: dict[str, Any], status: int, error: str
) -> None:
    before = memory_of(broken).stats()
    detail = problem(broken.http.request(method, path, **options), status, error)
    assert detail
    assert str(broken.service.config.store) not in detail
    assert memory_of(broken).stats() == before


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server whom nothing that is wrong may change."""
    with serving(tmp_path_factory.mktemp("broken") / "store") as running:
        running.http.post(f"{AT}/turns", json={"turns": TURNS})
        yield running


def test_a_wrong_method_is_told_all_that_are_right(served: Served) -> None:
    answer = served.http.patch(AT)
    problem(answer, 405, "InputError")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "PUT", "DELETE"}


def test_what_is_wrong_with_a_body_is_told_field_by_field_but_not_repeated(served: Served) -> None:
    body = {"turns": [{"text": "hush", "at": "mnk_a secret"}, {"text": ["hush"]}], "speaker": {"hush": 1}}
    answer = served.http.post(f"{AT}/turns", json=body)
    assert [fault["where"] for fault in answer.json()["errors"]] == [
        "body.turns.0.turn.at", "body.turns.1.turn.text", "body.speaker",
    ]  # fmt: skip
    assert "hush" not in answer.text
    assert "a secret" not in answer.text


@pytest.mark.parametrize(
    ("raised", "status"), [(StoreError("cannot write /home/ana/memory"), 503), (LanguageError("it was silent"), 502)]
)
def test_what_fails_behind_the_server_is_no_fault_of_the_caller(
    served: Served, monkeypatch: pytest.MonkeyPatch, raised: Exception, status: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    served.remember("Hello.")
    monkeypatch.setattr(Memory, "ask", fail)
    detail = problem(served.http.post(f"{AT}/ask", json={"question": "x"}), status, type(raised).__name__)
    assert "/home/ana" not in detail


def test_while_a_space_is_rebuilt_it_is_told_to_wait(held: Served) -> None:
    with held.service.spaces.alone("default"):
        assert "wait" in problem(held.http.post(f"{AT}/recall", json={"query": "x"}), 409, "ConflictError")


# -- the description -----------------------------------------------------------------------------------------


def test_the_description_is_openapi_31_and_tells_every_problem(served: Served) -> None:
    told = served.http.get("/api/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert told["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    names = set()
    for path, methods in told["paths"].items():
        for operation in methods.values():
            names.add(operation["operationId"])
            assert operation["description"], path
            shown = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
            assert shown == {"$ref": "#/components/schemas/Problem"}
            assert "422" not in operation["responses"]
    assert len(names) == sum(len(methods) for methods in told["paths"].values())
    problem = told["components"]["schemas"]["Problem"]
    assert {"type", "title", "status", "detail", "error"} <= set(problem["properties"])


def test_the_models_are_those_of_the_library(served: Served) -> None:
    schemas = served.http.get("/api/openapi.json").json()["components"]["schemas"]
    for shape in (Record, Recall, Receipt, Answer, Preview, Link, Change, mnemic.Turn, Filter):
        assert set(schemas[shape.__name__]["properties"]) == set(shape.__dataclass_fields__), shape


# -- threads -------------------------------------------------------------------------------------------------


def test_slow_answers_however_many_hold_up_nobody(held: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    many = 50  # more than there are threads
    going, go = threading.Event(), threading.Event()
    ask = Memory.ask

    def slow(*given: Any, **options: Any) -> Any:
        going.set()
        assert go.wait(20)
        return ask(*given, **options)

    monkeypatch.setattr(Memory, "ask", slow)

    async def both() -> tuple[int, list[int]]:
        transport = httpx.ASGITransport(held.app)
        headers = dict(held.http.headers)
        async with httpx.AsyncClient(transport=transport, base_url=HERE, headers=headers) as http:
            slowly: list[int] = []

            async def asking() -> None:
                answer = await http.post(f"{AT}/ask", json={"question": "What is the beagle called?"})
                slowly.append(answer.status_code)

            async with anyio.create_task_group() as tasks:
                for _ in range(many):
                    tasks.start_soon(asking)
                while not going.is_set():
                    await anyio.sleep(0.001)
                with anyio.fail_after(20):
                    quickly = await http.post(f"{AT}/recall", json={"query": "beagle"})
                assert not slowly
                go.set()
            return quickly.status_code, slowly

    assert anyio.run(both) == (200, [200] * many)


def test_many_who_write_at_once_are_all_stored_in_whole(served: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: served.http.post(f"{AT}/turns", json={"turns": [f"{n}.1", f"{n}.2"]}), range(40))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len(memory_of(served).scan()[0]) == 80
    assert sorted(seq for answer in answers for seq in [answer.json()["seq"]]) == list(range(1, 41))
