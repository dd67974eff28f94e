"""How much a server does at once: recalls in line, and as many open files as open spaces take."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import mnemic
from mnemic.serve import disk, spaces
from mnemic.serve.config import Config, Limits
from mnemic.serve.spaces import AT_ONCE, Spaces


class Count:
    """Entered and left like a semaphore; remembers how many were inside at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.entered = 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            self.entered += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1


def test_recalls_of_all_spaces_wait_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_spaces = Spaces(Config(tmp_path, encoders="lexical"))
    count = Count()
    for name in "abc":
        with open_spaces.use(name, make=True) as memory:
            memory.remember("The heron")
            read = memory.system.read

            def slow(query: Any, env: Any, read: Any = read) -> Any:
                with count:
                    time.sleep(0.01)
                    return read(query, env)

            monkeypatch.setattr(memory.system, "read", slow)

    def recall(number: int) -> int:
        with open_spaces.use("abc"[number % 3]) as memory:
            return len(memory.recall("heron"))

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(recall, range(24))) == [1] * 24
    assert (count.entered, count.most) == (24, AT_ONCE)
    open_spaces.close()


class Waiting:
    """A language model that a system might wait for."""

    name = "waiting"

    def complete(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nobody asks it here")


def test_what_may_wait_for_a_language_model_holds_up_nobody() -> None:
    with mnemic.open(":memory:", encoders="lexical", language=Waiting()) as memory:
        memory.pace = count = Count()  # type: ignore[assignment]
        memory.remember("The heron")
        assert count.entered == 1
        memory.recall("heron")
        assert count.entered == 1


def test_open_files_bound_open_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disk, "files", lambda wanted: min(wanted, spaces.SPARE + 2 * spaces.FILES))
    bounded = Spaces(Config(tmp_path, encoders="lexical", limits=Limits(open_spaces=50)))
    assert "only 2 spaces are kept open" in caplog.text
    for number in range(5):
        with bounded.use(f"s{number}", make=True) as memory:
            memory.remember("The heron")
    assert len(bounded) == 2
    bounded.close()


def test_the_bound_of_open_files_is_raised_as_far_as_the_system_allows() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert disk.files(100) == 256
        assert disk.files(300) == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        if before[1] != resource.RLIM_INFINITY:
            assert disk.files(before[1] + 1) == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
