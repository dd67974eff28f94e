"""The adapters over a server's memory: the same as over a local one, within what the token allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from llama_index.core.base.llms.types import ChatMessage
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import mnemic
from mnemic.adapters.langgraph import MnemicStore
from mnemic.adapters.llamaindex import MnemicMemoryBlock
from mnemic.adapters.openai_agents import MnemicSession
from mnemic.adapters.pydantic_ai import toolset
from mnemic.errors import ForbiddenError
from mnemic.serve.app import build
from mnemic.serve.config import Config
from mnemic.serve.tokens import Scope, Tokens

pytestmark = pytest.mark.anyio
PASSWORD = "Quartz-Lemur-77"
EDIT = (Scope.READ, Scope.WRITE, Scope.FORGET)
Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connect]:
    """Connects to a space of its own with these scopes."""
    config = Config(tmp_path_factory.mktemp("served"), encoders="lexical", pages=False)
    tokens = Tokens(config.tokens)
    server = uvicorn.Server(uvicorn.Config(build(config), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    clients = []

    def connected(space: str, *scopes: Scope) -> Any:
        mnemic.open(config.store, space, encoders="lexical").close()
        clients.append(mnemic.connect(url, space, tokens.create("test", {space: scopes})))
        return clients[-1]

    yield connected
    for client in clients:
        client.close()
    server.should_exit = True
    thread.join()


def test_a_store(connect: Connect) -> None:
    store = MnemicStore(connect("store", Scope.ADMIN))
    value = {"text": "Ana adopted a beagle called Pim.", "n": 1.0, "login": {"password": PASSWORD}}
    store.put(("users", "ana"), "pet", value)
    store.put(("users", "ben"), "pet", {"text": "Ben has a parrot."})
    assert store.get(("users", "ana"), "pet").value == value  # type: ignore[union-attr]
    (found,) = store.search(("users",), query="What is Ana's dog called?", limit=1)
    assert (found.namespace, found.value) == (("users", "ana"), value)
    assert store.list_namespaces() == [("users", "ana"), ("users", "ben")]
    store.delete(("users", "ana"), "pet")
    assert store.get(("users", "ana"), "pet") is None


async def test_a_session(connect: Connect) -> None:
    session = MnemicSession(connect("session", Scope.ADMIN), "chat")
    items: list[Any] = [
        {"role": "user", "content": f"My password is {PASSWORD}."},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
    ]
    await session.add_items(items)
    assert await session.get_items() == items
    assert await session.pop_item() == items[-1]
    await session.clear_session()
    assert await session.get_items() == []


async def test_secrets_in_clear_take_an_admin_token(connect: Connect) -> None:
    client = connect("secret", *EDIT)
    items: list[Any] = [{"role": "user", "content": f"My password is {PASSWORD}."}]
    await MnemicSession(client, "chat", secrets=False).add_items(items)
    with pytest.raises(ForbiddenError, match="'admin'"):
        await MnemicSession(client, "chat").get_items()
    (masked,) = await MnemicSession(client, "chat", secrets=False).get_items()
    assert masked == {"role": "user", "content": "My password is [secret:password]."}
    store = MnemicStore(client, secrets=False)
    store.put(("a",), "k", {"password": PASSWORD})
    assert store.search(("a",), query="password")[0].value == {"password": "[secret:password]"}


async def test_a_memory_block(connect: Connect) -> None:
    block = MnemicMemoryBlock(connect("block", *EDIT))
    await block.aput([ChatMessage(role="user", content="My beagle is called Pim.")], session_id="chat")
    assert "called Pim." in await block.aget([ChatMessage(role="user", content="What is the beagle called?")])


def test_a_toolset(connect: Connect) -> None:
    client = connect("tools", *EDIT)
    Agent(TestModel(call_tools=["remember", "recall", "ask"]), toolsets=[toolset(client)]).run_sync("Hello.")
    assert client.stats()["records"] == 1
    reader = connect("tools", Scope.READ)
    done = Agent(TestModel(call_tools=["remember"]), toolsets=[toolset(reader)]).run_sync("Hello.")
    assert "does not grant 'write'" in str(done.all_messages())
