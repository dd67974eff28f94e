"""A toolset for agents of Pydantic AI: the verbs of a memory, with instructions on how to use them well."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mnemic.adapters.verbs import Verbs
from mnemic.errors import ConflictError, ForbiddenError, InputError, MissingExtraError, NotFoundError

try:
    from pydantic_ai import FunctionToolset, ModelRetry, ToolFailed
except ImportError as error:
    raise MissingExtraError("this needs Pydantic AI; run: pip install 'mnemic[pydantic-ai]'") from error

from mnemic.adapters.tools import INSTRUCTIONS, TOOLS, Tools


def toolset(memory: Verbs, *, only: Sequence[str] = TOOLS, id: str | None = "mnemic") -> FunctionToolset[Any]:
    """The tools for an agent: ``Agent(model, toolsets=[toolset(memory)])``.

    ``only`` names those there shall be, such as ``["recall", "ask"]``. A call that a model can mend is given back to
    it; a memory that is broken or out of reach ends the run.
    """
    if unknown := set(only) - set(TOOLS):
        raise InputError(f"there is no tool {min(unknown)!r}: use some of {', '.join(TOOLS)}")
    tools = Tools(memory)
    return FunctionToolset([_tool(getattr(tools, name)) for name in only], instructions=INSTRUCTIONS, id=id)


def _tool(verb: Callable[..., Any]) -> Callable[..., str]:
    @functools.wraps(verb)
    def tool(**arguments: Any) -> str:
        try:
            return str(verb(**arguments).text)
        except InputError as error:
            raise ModelRetry(str(error)) from error
        except (NotFoundError, ConflictError, ForbiddenError) as error:
            raise ToolFailed(str(error)) from error

    tool.__annotations__ = {**verb.__annotations__, "return": "str"}
    return tool
