"""The session of the OpenAI Agents SDK: beside its own SQLite session, and in a run of a scripted model."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, function_tool
from agents.memory import Session, SessionSettings, SQLiteSession
from agents.testing import ScriptedModel, assistant_message, function_call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mnemic
from mnemic import Memory
from mnemic.adapters.openai_agents import MnemicSession
from mnemic.text.record import State

pytestmark = pytest.mark.anyio
PASSWORD = "Quartz-Lemur-77"
ITEMS: list[Any] = [
    {"role": "user", "content": "My beagle is called Pim."},
    {"role": "user", "content": [
        {"type": "input_text", "text": "What is in the picture?"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
    ]},
    {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "It shows a heron."}],
     "encrypted_content": "gAAAA=="},
    {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "weir"}', "id": "fc_1"},
    {"type": "function_call_output", "call_id": "c1", "output": '{"seen": ["heron"]}'},
    {"id": "m_1", "type": "message", "role": "assistant", "status": "completed", "content": [
        {"type": "output_text", "text": "A heron by the weir.", "annotations": [], "logprobs": []},
        {"type": "output_text", "text": "", "annotations": [{"type": "x", "start": 1.0}]},
    ]},
    {"type": "item_reference", "id": "m_0"},
]  # fmt: skip


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def session(memory: Memory) -> MnemicSession:
    return MnemicSession(memory, "chat-1", user="Ana", assistant="Bot")


def test_is_a_session(session: MnemicSession) -> None:
    assert isinstance(session, Session)


async def test_items_of_any_shape_come_back_as_they_were(session: MnemicSession) -> None:
    await session.add_items(ITEMS[:3])
    await session.add_items([])
    await session.add_items(ITEMS[3:])
    assert json.dumps(await session.get_items()) == json.dumps(ITEMS)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3))
MANY = st.lists(
    st.dictionaries(st.sampled_from(["role", "content", "type", "output", "x"]), VALUES, max_size=4)
    | st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text()}),
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MANY)
def test_whatever_they_are(items: Any) -> None:
    async def both() -> None:
        with mnemic.open(":memory:", encoders="lexical") as memory:
            mine, theirs = MnemicSession(memory, "s"), SQLiteSession("s")
            for session in (mine, theirs):
                await session.add_items(items)
            assert json.dumps(await mine.get_items()) == json.dumps(await theirs.get_items())
            theirs.close()

    asyncio.run(both())


@pytest.mark.parametrize("limit", [None, 0, 1, 3, 7, 99])
async def test_a_limit_gives_the_newest(session: MnemicSession, limit: int | None) -> None:
    await session.add_items(ITEMS)
    theirs = SQLiteSession("x")
    await theirs.add_items(ITEMS)
    assert await session.get_items(limit) == await theirs.get_items(limit)
    theirs.close()


async def test_a_limit_of_the_settings_holds_where_none_is_given(memory: Memory) -> None:
    session = MnemicSession(memory, "chat", session_settings=SessionSettings(limit=2))
    await session.add_items(ITEMS)
    assert await session.get_items() == ITEMS[-2:]
    assert await session.get_items(3) == ITEMS[-3:]


async def test_what_is_popped_or_cleared_is_forgotten(session: MnemicSession) -> None:
    await session.add_items(ITEMS)
    assert await session.pop_item() == ITEMS[-1]
    assert await session.pop_item() == ITEMS[-2]
    assert await session.get_items() == ITEMS[:-2]
    (hit,) = session.memory.recall("beagle", k=1).hits
    await session.clear_session()
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.clear_session()
    assert not session.memory.recall("beagle").hits
    assert session.memory.get(hit.id)[0].state == State.FORGOTTEN


async def test_sessions_are_apart_and_found_together(memory: Memory) -> None:
    one, two = (MnemicSession(memory, name, user="Ana") for name in ("one", "two"))
    await one.add_items([{"role": "user", "content": "My beagle is called Pim."}])
    await two.add_items([{"role": "user", "content": "My parrot is called Zoe."}])
    memory.remember("Something else was said here.", session="one")
    assert await two.get_items() == [{"role": "user", "content": "My parrot is called Zoe."}]
    assert len(await one.get_items()) == 1
    (hit,) = memory.recall("What is the beagle called?", k=1).hits
    assert (hit.text, hit.speaker, hit.session) == ("My beagle is called Pim.", "Ana", "one")
    await two.clear_session()
    assert len(await one.get_items()) == 1


async def test_secrets_come_back_and_reach_nothing_else(session: MnemicSession) -> None:
    items: list[Any] = [
        {"role": "user", "content": f"My password is {PASSWORD}."},
        {"type": "function_call", "call_id": "c", "name": "login", "arguments": json.dumps({"password": PASSWORD})},
        {"type": "custom", "settings": {"password": PASSWORD}},
    ]
    await session.add_items(items)
    assert await session.get_items() == items
    assert PASSWORD not in str(session.memory.scan())
    assert PASSWORD not in str(list(session.memory.export()))  # type: ignore[attr-defined]
    hidden = MnemicSession(session.memory, session.session_id, secrets=False)
    assert [PASSWORD in str(item) for item in await hidden.get_items()] == [False, False, False]
    assert (await hidden.get_items())[0] == {"role": "user", "content": "My password is [secret:password]."}


async def test_in_a_run(session: MnemicSession) -> None:
    @function_tool
    def look(at: str) -> str:
        """Look somewhere."""
        return f"A heron at the {at}."

    model = ScriptedModel(
        [
            [function_call("look", {"at": "weir"}, call_id="c1")],
            [assistant_message("There is a heron at the weir.")],
            [assistant_message("It was a heron.")],
        ]
    )
    agent = Agent(name="Bot", model=model, tools=[look])
    quiet = RunConfig(tracing_disabled=True)
    await Runner.run(agent, "What is at the weir?", session=session, run_config=quiet)
    done = await Runner.run(agent, "What was it again?", session=session, run_config=quiet)
    assert done.final_output == "It was a heron."
    assert model.last_call is not None
    seen = model.last_call.input
    assert isinstance(seen, list)
    assert [item.get("type") or item.get("role") for item in seen] == [
        "user", "function_call", "function_call_output", "message", "user"
    ]  # fmt: skip
    (hit, *_) = session.memory.recall("heron at the weir").hits
    assert "heron at the weir" in hit.text
