"""The LangGraph store beside LangGraph's own store in memory, and in a graph."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.store.base import BaseStore, GetOp, InvalidNamespaceError, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

import mnemic
from mnemic import Memory
from mnemic.adapters.langgraph import MnemicStore
from mnemic.errors import InputError
from mnemic.text.record import State

PASSWORD = "Quartz-Lemur-77"
ANA = ("users", "ana")


@pytest.fixture
def store(memory: Memory) -> MnemicStore:
    return MnemicStore(memory)


class TestItems:
    def test_come_back_as_they_were(self, store: MnemicStore, clock: Any) -> None:
        value = {"text": "I love figs.", "n": [1, 2.5, None, {"deep": True}], "empty": {}}
        store.put(ANA, "taste", value)
        made = clock()
        item = store.get(ANA, "taste")
        assert item is not None
        assert (item.value, item.key, item.namespace) == (value, "taste", ANA)
        assert item.created_at == item.updated_at == made
        clock.forward(days=1)
        store.put(ANA, "taste", {"text": "I love dates."})
        item = store.get(ANA, "taste")
        assert item is not None
        assert (item.value, item.created_at, item.updated_at) == ({"text": "I love dates."}, made, clock())

    def test_old_values_are_forgotten_and_deleted_ones_too(self, store: MnemicStore) -> None:
        store.put(ANA, "taste", {"text": "I love figs."})
        (figs,) = store.memory.scan()[0]
        store.put(ANA, "taste", {"text": "I love dates."})
        assert [hit.text for hit in store.memory.recall("love")] == ["I love dates."]
        assert store.memory.get(figs.id)[0].state == State.FORGOTTEN
        store.delete(ANA, "taste")
        assert store.get(ANA, "taste") is None
        assert not store.memory.scan()[0]
        store.delete(ANA, "taste")

    def test_a_put_that_was_broken_off_leaves_the_newer_value(
        self, store: MnemicStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put(ANA, "taste", {"text": "I love figs."})
        with monkeypatch.context() as patch:
            patch.setattr(Memory, "forget", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                store.put(ANA, "taste", {"text": "I love dates."})
        assert [item.value for item in store.search(ANA)] == [{"text": "I love dates."}]
        item = store.get(ANA, "taste")
        assert item is not None
        assert item.value == {"text": "I love dates."}
        store.delete(ANA, "taste")
        assert not store.memory.scan()[0]

    def test_places_that_look_alike_are_not_the_same(self, store: MnemicStore) -> None:
        places = [(("a", "b"), "c"), (("a",), "b/c"), (("a/b",), "c"), (('a","b',), "c"), (("a",), 'b","c')]
        for n, (namespace, key) in enumerate(places):
            store.put(namespace, key, {"n": n})
        assert [store.get(namespace, key).value["n"] for namespace, key in places] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]

    def test_namespaces_are_checked_as_everywhere(self, store: MnemicStore) -> None:
        for wrong in [(), ("a.b",), ("",), ("langgraph", "x")]:
            with pytest.raises(InvalidNamespaceError):
                store.put(wrong, "k", {"a": 1})
        with pytest.raises(NotImplementedError):
            store.put(ANA, "k", {"a": 1}, ttl=5)

    def test_secrets_are_masked_in_recalls_and_kept_in_items(self, store: MnemicStore) -> None:
        value = {"login": {"password": PASSWORD}}
        store.put(ANA, "login", value, index=["nothing"])
        assert store.get(ANA, "login").value == value  # type: ignore[union-attr]
        assert store.search(ANA, query="password")[0].value == value
        (hit,) = store.memory.recall("password").hits
        assert PASSWORD not in str(hit)
        assert PASSWORD not in str(list(store.memory.export()))  # type: ignore[attr-defined]
        hidden = MnemicStore(store.memory, secrets=False)
        assert hidden.get(ANA, "login").value == {"login": {"password": "[secret:password]"}}  # type: ignore[union-attr]
        assert PASSWORD not in str(hidden.search(ANA, query="password")[0].value)


class TestSearch:
    @pytest.fixture
    def store(self, memory: Memory) -> MnemicStore:
        store = MnemicStore(memory)
        store.put(ANA, "pet", {"text": "Ana adopted a beagle called Pim.", "year": 2023})
        store.put(ANA, "taste", {"text": "Ana likes fig jam.", "year": 2024})
        store.put(("users", "ben"), "pet", {"text": "Ben has a parrot and a beagle.", "year": 2024})
        store.put(("docs",), "guide", {"title": "Keeping a beagle", "body": "Walk it twice a day."})
        return store

    def test_by_meaning_best_first_below_a_prefix(self, store: MnemicStore) -> None:
        found = store.search(("users",), query="Who adopted a beagle called Pim?")
        assert [item.key for item in found] == ["pet", "pet"]
        assert found[0].namespace == ANA
        assert (found[0].score or 0) > (found[1].score or 0)
        assert [item.namespace for item in store.search((), query="beagle", limit=9)].count(("docs",)) == 1
        assert not store.search(("users",), query="submarine")
        assert not store.search(("users", "an"), query="beagle")

    def test_filters_and_pages(self, store: MnemicStore) -> None:
        assert [i.key for i in store.search(("users",), filter={"year": {"$gte": 2024}})] == ["taste", "pet"]
        (one,) = store.search(("users",), query="beagle", filter={"year": 2024}, limit=1)
        assert one.namespace == ("users", "ben")
        assert not store.search(("users",), query="beagle", filter={"year": 2024}, limit=1, offset=1)
        both = store.search(("users",), query="beagle")
        assert store.search(("users",), query="beagle", limit=1, offset=1) == both[1:]

    def test_only_the_fields_that_are_to_be_searched(self, memory: Memory) -> None:
        store = MnemicStore(memory, fields=["title", "parts[*].text", "list[-1]"])
        value = {
            "title": "heron", "body": "weir", "parts": [{"text": "otter", "x": "newt"}], "list": ["crane", "stork"]
        }  # fmt: skip
        store.put(("d",), "one", value)
        store.put(("d",), "two", value, index=["body"])
        store.put(("d",), "three", value, index=False)
        found = {
            word: {item.key for item in store.search(("d",), query=word)}
            for word in ("heron", "weir", "otter", "newt", "crane", "stork")
        }
        assert found == {
            "heron": {"one"}, "weir": {"two"}, "otter": {"one"}, "newt": set(), "crane": set(), "stork": {"one"}
        }  # fmt: skip
        assert {item.key for item in store.search(("d",))} == {"one", "two", "three"}
        assert all(item.value == value for item in store.search(("d",)))

    def test_an_unknown_operator_is_told(self, store: MnemicStore) -> None:
        with pytest.raises(InputError, match=r"'\$like'"):
            store.search(("users",), filter={"text": {"$like": "x"}})

    def test_a_filter_that_few_pass_looks_further(self, memory: Memory) -> None:
        store = MnemicStore(memory)
        for n in range(30):
            store.put(("d",), str(n), {"text": f"heron {n}", "last": n == 29})
        assert [item.key for item in store.search(("d",), query="heron", filter={"last": True}, limit=1)] == ["29"]


@pytest.mark.anyio
async def test_in_a_graph_and_awaited(store: MnemicStore) -> None:
    def remember(state: MessagesState, *, store: BaseStore) -> dict[str, Any]:
        store.put(ANA, "said", {"text": state["messages"][-1].content})
        return {}

    async def answer(state: MessagesState, *, store: BaseStore) -> dict[str, Any]:
        found = await store.asearch(ANA, query="What is the dog called?")
        return {"messages": [("assistant", found[0].value["text"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("remember", remember)
    graph.add_node("answer", answer)
    graph.add_edge(START, "remember")
    graph.add_edge("remember", "answer")
    graph.add_edge("answer", END)
    done = await graph.compile(store=store).ainvoke({"messages": [("user", "My dog is called Pim.")]})
    assert done["messages"][-1].content == "My dog is called Pim."
    await store.adelete(ANA, "said")
    assert await store.aget(ANA, "said") is None
    await asyncio.gather(*(store.aput(ANA, str(n), {"n": n}) for n in range(5)))
    assert await store.alist_namespaces(prefix=("users",)) == [ANA]


LABELS = st.sampled_from(["a", "b", "é c"])
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)
KEYS = st.sampled_from(["k", "l"])
VALUES = st.fixed_dictionaries(
    {"n": st.integers(0, 3)}, optional={"text": st.sampled_from(["heron", "weir ---\n"]), "d": st.just({"x": [1]})}
)
FILTERS = st.sampled_from(
    [None, {}, {"n": 1}, {"n": {"$gt": 0, "$lte": 2}}, {"d": {"x": [1]}}, {"text": {"$ne": "heron"}}]
)


class Stores(RuleBasedStateMachine):
    """MnemicStore does what InMemoryStore does, but that it lists items in the order of their last change."""

    @initialize()
    def start(self) -> None:
        self.memory = mnemic.open(":memory:", encoders="lexical")
        self.store = MnemicStore(self.memory)
        self.plain = InMemoryStore()

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()

    @rule(namespace=NAMESPACES, key=KEYS, value=VALUES)
    def put(self, namespace: tuple[str, ...], key: str, value: dict[str, Any]) -> None:
        for store in (self.store, self.plain):
            store.put(namespace, key, value)

    @rule(namespace=NAMESPACES, key=KEYS)
    def delete(self, namespace: tuple[str, ...], key: str) -> None:
        for store in (self.store, self.plain):
            store.delete(namespace, key)

    @rule(namespace=NAMESPACES, key=KEYS)
    def get(self, namespace: tuple[str, ...], key: str) -> None:
        mine, theirs = (store.get(namespace, key) for store in (self.store, self.plain))
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert (mine.value, mine.key, mine.namespace) == (theirs.value, theirs.key, theirs.namespace)

    @rule(ops=st.lists(st.tuples(NAMESPACES, KEYS, VALUES | st.none()), max_size=4))
    def batch(self, ops: list[Any]) -> None:
        several = [GetOp(*ops[0][:2])] if ops else []
        both = [*several, *(PutOp(*op) for op in ops), *several]
        mine, theirs = ([r.value if r else None for r in s.batch(both)] for s in (self.store, self.plain))  # type: ignore[union-attr]
        assert mine == theirs

    @rule(prefix=st.just(()) | NAMESPACES, filter=FILTERS)
    def search(self, prefix: tuple[str, ...], filter: dict[str, Any] | None) -> None:
        op = SearchOp(prefix, filter, limit=100)
        mine, theirs = (
            sorted((i.namespace, i.key, str(i.value)) for i in store.batch([op])[0])  # type: ignore[union-attr]
            for store in (self.store, self.plain)
        )
        assert mine == theirs

    @invariant()
    def namespaces(self) -> None:
        if not hasattr(self, "store"):
            return
        kept = {ns for ns, items in self.plain._data.items() if items}  # theirs lists those that were emptied, too
        assert set(self.store.list_namespaces(limit=100)) == kept
        for options in ({"max_depth": 1}, {"prefix": ("a",)}, {"suffix": ("*", "b")}, {"prefix": ("a", "*", "b")}):
            theirs = InMemoryStore()
            for namespace in kept:
                theirs.put(namespace, "k", {})
            assert self.store.list_namespaces(**options) == theirs.list_namespaces(**options)  # type: ignore[arg-type]


Stores.TestCase.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStores = Stores.TestCase


def test_pages_of_namespaces(store: MnemicStore) -> None:
    for n in range(5):
        store.put(("n", str(n)), "k", {})
    op = ListNamespacesOp(limit=2, offset=1)
    assert store.batch([op]) == [[("n", "1"), ("n", "2")]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
