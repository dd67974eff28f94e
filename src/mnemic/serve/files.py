"""The memory tool over REST: a space as files, by the commands that Claude models know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from mnemic.adapters.memory_tool import REFUSED, MemoryTool
from mnemic.serve.rest import By
from mnemic.serve.tokens import Scope
from mnemic.serve.wire import Name

router = APIRouter(prefix="/api", tags=["files"])
SCOPES = {"view": (Scope.READ,), "delete": (Scope.FORGET,)}
"""What a command takes; the others change a file and show the place."""


@dataclass(frozen=True)
class FileAnswer:
    """What to hand the model as the result of its tool call."""

    text: str
    is_error: bool = False


@router.post("/spaces/{space}/files")
def files(by: By, space: Name, command: dict[str, Any]) -> FileAnswer:
    """Answer one command of the memory tool (`memory_20250818`): view, create, str_replace, insert, delete, rename.

    The body is the input of the model's tool call. What is wrong with a command is told in the answer, for the model.
    """
    scopes = SCOPES.get(str(command.get("command")), (Scope.READ, Scope.WRITE))
    with by.use("files", space, *scopes) as memory:
        try:
            return FileAnswer(MemoryTool(memory).run(command))
        except REFUSED as error:
            return FileAnswer(str(error), is_error=True)
