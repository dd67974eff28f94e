"""The server as a process: what it prints, and that neither its end nor its death loses what was acknowledged."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

import mnemic
from mnemic.cli.app import run as command
from mnemic.errors import InputError, NotFoundError, StoreError
from mnemic.serve.config import Config
from mnemic.serve.run import running
from mnemic.serve.tokens import Scope, Tokens

TURNS = "/api/spaces/default/turns"


@dataclass
class Process:
    """``mnemic serve`` on a free port. ``told`` is what it printed, ``errors`` the file of its logs."""

    store: Path
    process: subprocess.Popen[str]
    told: str
    errors: Path
    token: str | None = None
    url: str = ""

    @property
    def log(self) -> str:
        return self.errors.read_text()

    def client(self, token: str | None = None) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token or self.token}"}, timeout=30)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@contextmanager
def started(store: Path, *options: str) -> Iterator[Process]:
    """A server that is ready; killed at the end if it is still there."""
    errors = store.with_name(store.name + ".log")
    line = [sys.executable, "-m", "mnemic", "serve", "--store", str(store), "--port", "0", "--encoders", "lexical"]
    with (
        errors.open("w") as log,
        subprocess.Popen([*line, *options], stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            told = ""
            assert process.stdout is not None
            while not told.endswith("\n}\n"):
                read = process.stdout.readline()
                assert read, errors.read_text()
                told += read
            found = Process(store, process, told, errors)
            found.url = re.findall(r"http://[\d.]+:\d+", told)[0]
            token = re.search(r"token +(mnk_\S+)", told)
            found.token = token[1] if token else None
            yield found
        finally:
            if process.poll() is None:
                process.kill()


@dataclass
class Writer(threading.Thread):
    """Writes turn after turn until the server is gone; ``acknowledged`` are those it answered for."""

    process: Process
    name_: str
    acknowledged: list[str] = field(default_factory=list)
    failed: str = ""

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        with self.process.client() as client:
            for number in range(100_000):
                text = f"{self.name_} says {number}"
                try:
                    answer = client.post(TURNS, json={"turns": [{"id": text, "text": text}]})
                except httpx.HTTPError:
                    return
                if answer.status_code != 201:
                    self.failed = answer.text
                    return
                self.acknowledged.append(text)

    __hash__ = threading.Thread.__hash__


def stored(store: Path) -> set[str]:
    with mnemic.open(store, read_only=True) as memory:
        assert memory.space.check() is None
        found, cursor = memory.scan()
        while cursor is not None:
            page, cursor = memory.scan(cursor=cursor)
            found += page
    return {record.text for record in found}


@pytest.mark.slow
def test_the_first_start_makes_a_token_and_tells_everything(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with started(store, "--no-pages") as first:
        for door in ("REST", "MCP", "proxy", "token", f"{first.url}/api", f"{first.url}/mcp", f"{first.url}/v1"):
            assert door in first.told
        paste = json.loads(first.told[first.told.index("{") :])["mcpServers"]["mnemic"]
        assert paste == {
            "type": "http", "url": f"{first.url}/mcp", "headers": {"Authorization": f"Bearer {first.token}"}
        }  # fmt: skip
        with first.client() as client:
            assert client.get("/readyz").json() == {"status": "ready"}
            assert client.post(TURNS, json={"turns": ["I adopted a beagle called Pim."]}).status_code == 201
            hits = client.post("/api/spaces/default/recall", json={"query": "beagle"}).json()["hits"]
            assert hits[0]["text"] == "I adopted a beagle called Pim."
        second = Tokens(store / "tokens.json").create("cli", {"*": [Scope.ADMIN]})
        with first.client(second) as client:  # a token of the command line works at once
            assert client.get("/api/spaces").json()["items"] == ["default"]
        assert first.stop(signal.SIGINT) == 0
        assert first.token is not None
        assert first.token not in first.log
        assert "Traceback" not in first.log
    with started(store, "--no-pages", "--quiet", "--json") as again:
        told = json.loads(again.told)
        assert (told["url"], told["token"], told["login"]) == (again.url, None, None)
        assert told["mcp"]["mcpServers"]["mnemic"]["headers"]["Authorization"] == "Bearer mnk_..."
        with again.client(first.token) as client:
            assert client.get("/api/spaces").json()["items"] == ["default"]
        assert "mnemic.access" not in again.log


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_what_was_acknowledged_is_there_after_the_end(tmp_path: Path, how: signal.Signals) -> None:
    store = tmp_path / "store"
    with started(store, "--no-pages", "--quiet") as process:
        writers = [Writer(process, name) for name in ("Ana", "Ben", "Cleo", "Dan")]
        for writer in writers:
            writer.start()
        while sum(len(writer.acknowledged) for writer in writers) < 60:
            assert process.process.poll() is None
            time.sleep(0.01)
        process.stop(how)
        for writer in writers:
            writer.join(30)
    assert not any(writer.failed for writer in writers), writers
    assert bool(list(store.glob("*-wal"))) == (how is signal.SIGKILL)  # a server that was stopped closed its files
    acknowledged = {text for writer in writers for text in writer.acknowledged}
    there = stored(store)
    assert acknowledged <= there
    unanswered = there - acknowledged  # written, but the answer was cut off: one of each at most, none after a stop
    assert len(unanswered) <= (len(writers) if how is signal.SIGKILL else 0), unanswered
    if how is signal.SIGTERM:
        assert process.process.returncode in (0, -signal.SIGTERM)
        assert "Traceback" not in process.log


def test_a_server_in_a_thread_is_there_for_as_long_as_the_block(tmp_path: Path) -> None:
    with running(Config(tmp_path / "store", port=0, encoders="lexical", pages=False)) as address:
        headers = {"Authorization": f"Bearer {address.token}"}
        assert httpx.post(address.url + TURNS, json={"turns": ["Hello."]}, headers=headers).status_code == 201
        with (
            pytest.raises(StoreError, match="another server has the store"),
            running(Config(tmp_path / "store", port=0, encoders="lexical", pages=False)),
        ):
            pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(address.url + "/healthz")
    assert stored(tmp_path / "store") == {"Hello."}


def test_what_cannot_be_served_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(InputError, match="choose another with --port"),
            running(Config(tmp_path / "a", port=port, pages=False)),
        ):
            pass
    for wrong, error in (
        ({"system": "none"}, NotFoundError),
        ({"encoders": "none"}, NotFoundError),
        ({"upstream": "localhost:11434"}, InputError),
    ):
        with pytest.raises(error), running(Config(tmp_path / "b", port=0, pages=False, **wrong)):  # type: ignore[arg-type]
            pass
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "one.db"):
        with pytest.raises(InputError, match="a server needs a folder"):
            Config(path)
    assert not (tmp_path / "b").exists()


def test_tokens_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--store", str(tmp_path / "store")]
    assert command(["token", "create", "phone", "--grant", "a:read, write", "--grant", "b c:d:forget", *at]) == 0
    secret = capsys.readouterr().out.strip()
    principal = Tokens(tmp_path / "store" / "tokens.json").check(secret)
    assert principal is not None
    assert {space: set(scopes) for space, scopes in principal.grants.items()} == {
        "a": {"read", "write"}, "b c:d": {"forget"}
    }  # fmt: skip
    assert command(["token", "list", "--json", *at]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["grants"]) for each in listed] == [
        ("phone", {"a": ["read", "write"], "b c:d": ["forget"]})
    ]
    assert command(["token", "list", *at]) == 0
    shown = capsys.readouterr().out
    assert "a:read,write; b c:d:forget" in shown
    assert secret not in shown
    assert command(["token", "revoke", principal.id, *at]) == 0
    assert command(["token", "revoke", principal.id, *at]) == 1
    for grants in ([], ["--grant", "read"], ["--grant", "a:"], ["--grant", "a:fly"], ["--grant", ":read"]):
        assert command(["token", "create", "x", *grants, *at]) == 2, grants
    assert command(["token", "create", "x", "--grant", "a:read", "--expires", "2020-01-01", *at]) == 2


def test_no_auth_off_the_loopback_is_refused_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["serve", "--no-auth", "--host", "0.0.0.0", "--store", str(tmp_path)]) == 2
    assert "--no-auth is refused on 0.0.0.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "extra", "options"), [("fastapi", "serve", []), ("uvicorn", "serve", []), ("nicegui", "ui", [])]
)
def test_a_missing_extra_is_named_with_its_pip_line(
    tmp_path: Path, module: str, extra: str, options: list[str]
) -> None:
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from mnemic.cli.app import run\n"
        f"sys.exit(run(['serve', '--store', {str(tmp_path)!r}, '--port', '0', '--encoders', 'lexical', *{options!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert f"pip install 'mnemic[{extra}]'" in done.stderr


def test_the_command_line_does_without_the_server(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('fastapi', 'starlette', 'uvicorn', 'mcp', 'nicegui'): sys.modules[name] = None\n"
        "from mnemic.cli.app import run\n"
        f"sys.exit(run(['token', 'list', '--store', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
