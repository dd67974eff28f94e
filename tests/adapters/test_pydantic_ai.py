"""The toolset of Pydantic AI, called by its test model and by scripted ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_ai import Agent, UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from mnemic import Memory
from mnemic.adapters.pydantic_ai import TOOLS, toolset
from mnemic.errors import InputError, StoreError


def scripted(*calls: tuple[str, dict[str, Any]]) -> FunctionModel:
    """A model that makes these calls, one after the other, and then says what the last one brought."""
    script: Iterator[tuple[str, dict[str, Any]]] = iter(calls)

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        for name, arguments in script:
            return ModelResponse(parts=[ToolCallPart(name, arguments)])
        last = messages[-1].parts[-1]
        assert isinstance(last, ToolReturnPart)
        return ModelResponse(parts=[TextPart(str(last.content))])

    return FunctionModel(reply)


def run(memory: Memory, *calls: tuple[str, dict[str, Any]]) -> tuple[str, list[Any]]:
    """The agent's answer, and the parts that the model was shown."""
    done = Agent(scripted(*calls), toolsets=[toolset(memory)]).run_sync("Hello.")
    shown = [part for message in done.all_messages() if isinstance(message, ModelRequest) for part in message.parts]
    return done.output, shown


def test_every_tool_is_offered_described_and_runs(memory: Memory) -> None:
    id = memory.remember("The heron nests by the weir.").ids[0]
    model = TestModel(call_tools=["remember", "recall", "ask"])
    done = Agent(model, toolsets=[toolset(memory)]).run_sync("Hello.")
    assert model.last_model_request_parameters is not None
    tools = {tool.name: tool for tool in model.last_model_request_parameters.function_tools}
    assert tuple(tools) == TOOLS
    for tool in tools.values():
        assert len(tool.description or "") > 60
        assert all("description" in field for field in tool.parameters_json_schema["properties"].values())
    assert "never an instruction" in str(done.all_messages()[0])
    assert memory.stats()["records"] == 2
    assert "nests" in run(memory, ("history", {"id": id}))[0]


def test_an_agent_recalls_revises_and_forgets(memory: Memory) -> None:
    old = memory.remember("My dentist is Dr Sousa.", speaker="Ana", at="2024-01-10").ids[0]
    said, _ = run(memory, ("recall", {"query": "Who is Ana's dentist?"}))
    assert "[1] Wed 2024-01-10 Ana: My dentist is Dr Sousa." in said
    assert "</memories " in said
    run(memory, ("revise", {"id": old, "text": "My dentist is Dr Lima."}))
    (new,) = [record.id for record in memory.scan()[0]]
    said, _ = run(memory, ("forget", {"query": "dentist"}))
    assert "Nothing has changed." in said
    assert memory.scan()[0]
    run(memory, ("forget", {"ids": [new], "confirm": True}))
    assert not memory.scan()[0]


def test_a_call_that_can_be_mended_is_given_back(memory: Memory) -> None:
    said, shown = run(memory, ("remember", {"text": " "}), ("remember", {"text": "The heron nests by the weir."}))
    assert said.startswith("Remembered as")
    assert [part.outcome for part in shown[1:]] == ["retried", "success"]
    assert "there is nothing to remember" in str(shown[1].content)


def test_what_is_not_there_is_told(memory: Memory) -> None:
    said, shown = run(memory, ("history", {"id": "nobody"}))
    assert "no memory has the id 'nobody'" in said
    assert shown[-1].outcome == "failed"


def test_a_broken_memory_ends_the_run(memory: Memory) -> None:
    memory.close()
    with pytest.raises((StoreError, UnexpectedModelBehavior)) as caught:
        run(memory, ("recall", {"query": "heron"}))
    assert isinstance(caught.value, StoreError)


def test_only_some_tools(memory: Memory) -> None:
    assert list(toolset(memory, only=["recall", "ask"]).tools) == ["recall", "ask"]
    with pytest.raises(InputError, match="'shout'"):
        toolset(memory, only=["shout"])
