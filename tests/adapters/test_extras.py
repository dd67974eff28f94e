"""What is not installed is named with the pip line; and nothing is imported that nobody asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = [
    ("langgraph", "langgraph", "mnemic[langgraph]"),
    ("openai_agents", "agents", "mnemic[openai-agents]"),
    ("llamaindex", "llama_index", "mnemic[llamaindex]"),
    ("pydantic_ai", "pydantic_ai", "mnemic[pydantic-ai]"),
    ("tools", "pydantic", "mnemic[client]"),
]


@pytest.mark.parametrize(("adapter", "library", "extra"), EXTRAS, ids=[extra[0] for extra in EXTRAS])
def test_a_missing_library_is_named_with_the_pip_line(
    adapter: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnemic.errors import MissingExtraError

    for name in [each for each in sys.modules if each == library or each.startswith(library + ".")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"mnemic.adapters.{adapter}", raising=False)
    with pytest.raises(MissingExtraError, match="pip install") as caught:
        __import__(f"mnemic.adapters.{adapter}")
    assert f"pip install '{extra}'" in str(caught.value)


def test_the_memory_tool_needs_nothing() -> None:
    libraries = ", ".join(repr(each[1]) for each in EXTRAS) + ", 'mcp', 'fastapi', 'anthropic'"
    code = f"import sys, mnemic.adapters.memory_tool; print([m for m in ({libraries}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
