"""The memory tool over REST: the commands go through, scopes hold, what is wrong is told to the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mnemic.serve.app import build
from mnemic.serve.config import Config
from mnemic.serve.tokens import Scope, Tokens

NOTE = "/memories/a.md"


class Files:
    def __init__(self, client: TestClient, tokens: Tokens) -> None:
        self.client = client
        self.tokens = tokens
        self.everything = tokens.create("all", {"*": frozenset(Scope)})
        self.client.put("/api/spaces/mine", headers=self.header(self.everything)).raise_for_status()

    def header(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def __call__(self, command: Any, token: str | None = None, space: str = "mine") -> Any:
        return self.client.post(
            f"/api/spaces/{space}/files", json=command, headers=self.header(token or self.everything)
        )

    def may(self, *scopes: Scope) -> str:
        return self.tokens.create("some", {"mine": scopes})


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    config = Config(tmp_path, encoders="lexical", pages=False)
    with TestClient(build(config), base_url="http://127.0.0.1") as client:
        yield Files(client, Tokens(config.tokens))


def test_a_command_is_answered(files: Files) -> None:
    done = files({"command": "create", "path": NOTE, "file_text": "Ana has a beagle."})
    assert done.json() == {"text": f"File created successfully at: {NOTE}", "is_error": False}
    assert "Ana has a beagle." in files({"command": "view", "path": NOTE}).json()["text"]
    found = files.client.post(
        "/api/spaces/mine/recall", json={"query": "Who has a beagle?"}, headers=files.header(files.everything)
    )
    assert "beagle" in found.json()["hits"][0]["text"]


def test_what_is_wrong_is_an_answer_for_the_model(files: Files) -> None:
    answer = files({"command": "view", "path": "/memories/../secret"})
    assert answer.status_code == 200
    assert answer.json()["is_error"] is True
    assert "would escape /memories" in answer.json()["text"]
    assert files({"command": "undo"}).json()["is_error"] is True
    assert files(["view"]).status_code == 422


@pytest.mark.parametrize(
    ("command", "scopes"),
    [
        ({"command": "view", "path": NOTE}, [Scope.READ]),
        ({"command": "create", "path": "/memories/b", "file_text": ""}, [Scope.READ, Scope.WRITE]),
        ({"command": "str_replace", "path": NOTE, "old_str": "Ana"}, [Scope.READ, Scope.WRITE]),
        ({"command": "insert", "path": NOTE, "insert_line": 0, "insert_text": "x"}, [Scope.READ, Scope.WRITE]),
        ({"command": "rename", "old_path": NOTE, "new_path": "/memories/c"}, [Scope.READ, Scope.WRITE]),
        ({"command": "delete", "path": NOTE}, [Scope.FORGET]),
    ],
    ids=lambda each: each["command"] if isinstance(each, dict) else "",
)
def test_a_command_takes_its_scopes_and_no_others(files: Files, command: dict[str, Any], scopes: list[Scope]) -> None:
    files({"command": "create", "path": NOTE, "file_text": "Ana has a beagle."})
    for missing in scopes:
        others = [scope for scope in (Scope.READ, Scope.WRITE, Scope.FORGET) if scope != missing]
        assert files(command, files.may(*others)).status_code == 403
    assert files(command, files.may(*scopes)).json()["is_error"] is False


def test_a_space_that_is_not_there_is_not_made(files: Files) -> None:
    command = {"command": "create", "path": NOTE, "file_text": ""}
    assert files(command, space="other").status_code == 404
    assert files({"command": "view", "path": "/memories"}, space="other").status_code == 404
