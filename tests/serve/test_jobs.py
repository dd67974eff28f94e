"""Background jobs: what they do, who sees them, and that nothing is lost when the server stops in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mnemic
from mnemic.errors import ConflictError, ForbiddenError, InputError, LimitError, NotFoundError, StoreError
from mnemic.serve import jobs as module
from mnemic.serve import work
from mnemic.serve.config import Config
from mnemic.serve.job import Job
from mnemic.serve.jobs import JobInfo, Jobs, JobState
from mnemic.serve.spaces import Spaces
from mnemic.serve.tokens import Principal, Scope

READER = Principal("r", "reader", {"a": frozenset([Scope.READ])})
WRITER = Principal("w", "writer", {"a": frozenset([Scope.READ, Scope.WRITE])})
OTHER = Principal("o", "other", {"b": frozenset([Scope.ADMIN])})


class Server:
    """The part of a server that runs jobs, started and stopped by a test."""

    def __init__(self, store: Path) -> None:
        self.spaces = Spaces(Config(store, encoders="lexical"))
        self.jobs = Jobs(self.spaces.config, self.spaces)
        self.jobs.resume()

    def stop(self) -> None:
        self.jobs.close()
        self.spaces.close()

    def ended(self, info: JobInfo, seconds: float = 10.0) -> JobInfo:
        """The job when it is over."""
        return until(lambda: self.jobs.get(info.id), lambda job: job.finished, seconds)


def until(ask: Callable[[], Any], right: Callable[[Any], bool], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not right(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.005)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Starts a server on the same store each time it is called; the one before must have been stopped."""
    started: list[Server] = []

    def start() -> Server:
        started.append(Server(tmp_path / "store"))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(start: Callable[[], Server]) -> Server:
    return start()


def talk(folder: Path, count: int, name: str = "talk.jsonl") -> Path:
    lines = [{"id": f"t{i}", "text": f"The heron number {i} stood by the weir.", "session": "s"} for i in range(count)]
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return folder / name


class Gate:
    """Holds an import after some turns until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        watched = Job.watched

        def held(job: Job, items: Any) -> Iterator[Any]:
            for number, item in enumerate(watched(job, items)):
                if number == after:
                    self.reached.set()
                    self.open.wait(10)
                yield item

        monkeypatch.setattr(Job, "watched", held)


def test_an_import_stores_the_turns_and_takes_the_file_away(server: Server, tmp_path: Path) -> None:
    file = talk(tmp_path, 600)
    begun = server.jobs.start_import("a", file)
    done = server.ended(begun)
    assert (done.state, done.done, done.total) == (JobState.DONE, 600, 600)
    assert done.result == {"format": "jsonl", "stored": 600, "skipped": 0, "secrets": 0, "left_out": {}}
    assert not file.exists()
    assert not list(server.jobs.folder.rglob("talk.jsonl"))
    with server.spaces.use("a") as memory:
        assert memory.get("t7")[0].meta["source"] == "jsonl:talk.jsonl"
    again = server.ended(server.jobs.start_import("a", talk(tmp_path, 600), "jsonl"))
    assert (again.result["stored"], again.result["skipped"]) == (0, 600)


def test_a_broken_file_fails_with_words_that_tell_nothing_of_the_machine(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "half.jsonl"
    file.write_text('{"text": "half')
    failed = server.ended(server.jobs.start_import("a", file, "jsonl"))
    assert (failed.state, failed.result) == (JobState.FAILED, {"error": "InputError"})
    assert failed.message.startswith("half.jsonl")
    assert str(tmp_path) not in failed.message
    odd = tmp_path / "odd.bin"
    odd.write_bytes(bytes(range(256)))
    failed = server.ended(server.jobs.start_import("a", odd))
    assert failed.message.startswith("odd.bin: the format is not recognised")


def test_a_bug_is_logged_and_not_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(work.importers, "count", lambda *_: {}["secret"])
    failed = server.ended(server.jobs.start_import("a", talk(tmp_path, 1)))
    assert failed.message == "KeyError: see the server's log"
    assert "secret" in caplog.text


def test_an_export_is_restored_elsewhere(server: Server, tmp_path: Path) -> None:
    server.ended(server.jobs.start_import("a", talk(tmp_path, 30)))
    with server.spaces.use("a") as memory:
        memory.revise("t3", "The heron number 3 flew off.")
        wanted = list(memory.export())
    exported = server.ended(server.jobs.start_export("a"))
    assert exported.result["lines"] == len(wanted)
    out = server.jobs.output(exported.id)
    assert [json.loads(line) for line in out.read_text("utf-8").splitlines()] == wanted
    assert exported.result["bytes"] == out.stat().st_size
    copy = tmp_path / "all.jsonl"
    copy.write_bytes(out.read_bytes())
    restored = server.ended(server.jobs.start_import("copy", copy))
    assert (restored.state, restored.result["format"], restored.result["stored"]) == (JobState.DONE, "mnemic", 31)
    with server.spaces.use("copy") as memory:
        assert [line for line in memory.export() if "item" in line] == [line for line in wanted if "item" in line]
    copy.write_bytes(out.read_bytes())
    refused = server.ended(server.jobs.start_import("copy", copy, "mnemic"))
    assert (refused.state, refused.result) == (JobState.FAILED, {"error": "ConflictError"})


def test_secrets_leave_only_for_an_admin(server: Server) -> None:
    with server.spaces.use("a", make=True) as memory:
        memory.remember("My password is hunter2-Trout.")
    for by in (READER, WRITER):
        with pytest.raises(ForbiddenError):
            server.jobs.start_export("a", secrets=True, by=by)
    masked = server.ended(server.jobs.start_export("a", by=READER))
    assert "hunter2" not in server.jobs.output(masked.id, by=READER).read_text()
    clear = server.ended(server.jobs.start_export("a", secrets=True))
    assert "hunter2" in server.jobs.output(clear.id).read_text()
    with pytest.raises(ForbiddenError):
        server.jobs.output(clear.id, by=READER)


def test_reflect_and_rebuild(server: Server, tmp_path: Path) -> None:
    server.ended(server.jobs.start_import("a", talk(tmp_path, 20)))
    assert server.ended(server.jobs.start_reflect("a", by=WRITER)).result == {"derived": 0, "superseded": 0}
    with pytest.raises(ForbiddenError):
        server.jobs.start_rebuild("a", by=WRITER)
    done = server.ended(server.jobs.start_rebuild("a", system="memgas"))
    assert (done.state, done.result["system"]) == (JobState.DONE, "memgas")
    with server.spaces.use("a") as memory:
        assert memory.system.name == "memgas"
        memory.remember("and it can be written")
    with pytest.raises(NotFoundError):
        server.jobs.start_reflect("nowhere")


def test_a_job_is_seen_by_those_who_read_its_space(server: Server, tmp_path: Path) -> None:
    job = server.jobs.start_import("a", talk(tmp_path, 1), by=WRITER)
    assert server.jobs.get(job.id, by=READER).id == job.id
    assert [each.id for each in server.jobs.all(by=READER)] == [job.id]
    assert server.jobs.all(by=OTHER) == []
    with pytest.raises(NotFoundError) as unseen:
        server.jobs.get(job.id, by=OTHER)
    with pytest.raises(NotFoundError) as absent:
        server.jobs.get("nothing", by=OTHER)
    assert str(unseen.value).replace(job.id, "nothing") == str(absent.value)
    with pytest.raises(ForbiddenError):
        server.jobs.cancel(job.id, by=READER)
    with pytest.raises(ForbiddenError):
        server.jobs.start_import("a", talk(tmp_path, 1), by=READER)


def test_jobs_of_one_space_run_one_after_another_and_others_go_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, 10)
    first = server.jobs.start_import("a", talk(tmp_path, 20))
    assert gate.reached.wait(10)
    second = server.jobs.start_reflect("a")
    gate_free = server.jobs.start_import("b", talk(tmp_path, 5))
    assert server.ended(gate_free).state == JobState.DONE
    assert server.jobs.get(second.id).state == JobState.QUEUED
    gate.open.set()
    assert server.ended(second).state == server.ended(first).state == JobState.DONE


def test_cancelling_keeps_whole_pages(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, 700)
    job = server.jobs.start_import("a", talk(tmp_path, 1000))
    assert gate.reached.wait(10)
    queued = server.jobs.start_reflect("a")
    assert server.jobs.cancel(queued.id).state == JobState.CANCELLED
    server.jobs.cancel(job.id)
    gate.open.set()
    assert server.ended(job).state == JobState.CANCELLED
    with server.spaces.use("a") as memory:
        assert memory.stats()["records"] % 256 == 0
        assert memory.space.check() is None
    assert server.jobs.cancel(job.id).id == job.id  # over, so it goes off the list
    with pytest.raises(NotFoundError):
        server.jobs.get(job.id)


def test_a_rebuild_that_has_begun_is_not_cancelled(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ended(server.jobs.start_import("a", talk(tmp_path, 2)))
    go = threading.Event()
    rebuild = work.opening.rebuild
    monkeypatch.setattr(work.opening, "rebuild", lambda *args, **options: go.wait(10) and rebuild(*args, **options))
    job = server.jobs.start_rebuild("a")
    until(lambda: server.jobs.get(job.id).state, lambda state: state == JobState.RUNNING)
    time.sleep(0.05)
    with pytest.raises(ConflictError, match="unusable"):
        server.jobs.cancel(job.id)
    go.set()
    assert server.ended(job).state == JobState.DONE


def test_a_stopped_import_goes_on_at_the_next_start(
    start: Callable[[], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    gate = Gate(monkeypatch, 700)
    job = server.jobs.start_import("a", talk(tmp_path, 1000))
    assert gate.reached.wait(10)
    waiting = server.jobs.start_export("a")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    until(lambda: server.jobs._closing.is_set(), bool)
    gate.open.set()
    stopping.join()
    with pytest.raises(StoreError, match="shutting down"):
        server.jobs.start_reflect("a")
    later = start()
    done = later.ended(job)
    assert (done.state, done.done) == (JobState.DONE, 1000)
    assert done.result["stored"] + done.result["skipped"] == 1000
    assert done.result["skipped"] % 256 == 0
    assert later.ended(waiting).result["lines"] > 1000
    with later.spaces.use("a") as memory:
        assert memory.stats()["records"] == 1000


KILLED = """
import os, sys, threading
from pathlib import Path
from mnemic.serve.config import Config
from mnemic.serve.job import Job
from mnemic.serve.jobs import Jobs
from mnemic.serve.spaces import Spaces

config = Config(Path(sys.argv[1]), encoders="lexical")
jobs = Jobs(config, Spaces(config))
reached = Job.reached

def dying(job, done, total=None):
    reached(job, done, total)
    if done >= 512:
        os.kill(os.getpid(), 9)

Job.reached = dying
jobs.start_import("a", Path(sys.argv[2])) if len(sys.argv) > 2 else jobs.resume()
threading.Event().wait(30)
"""


def killed(store: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(store), *arguments], timeout=30)
    assert done.returncode == -9


def test_a_killed_import_goes_on_and_gives_up_when_the_server_always_dies_of_it(
    start: Callable[[], Server], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    killed(store, str(talk(tmp_path, 1500)))
    server = start()
    (job,) = server.jobs.all()
    done = server.ended(job)
    assert done.state == JobState.DONE
    assert done.result["skipped"] >= 512
    assert done.result["stored"] + done.result["skipped"] == 1500
    server.stop()
    killed(store, str(talk(tmp_path, 1500)))
    killed(store)
    killed(store)
    server = start()
    job = server.jobs.all()[-1]
    assert job.state == JobState.INTERRUPTED
    assert "3 times" in job.message
    assert server.ended(server.jobs.start_import("a", talk(tmp_path, 5))).state == JobState.DONE


def test_a_restore_that_was_done_but_not_told_is_done(
    start: Callable[[], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mnemic.open(tmp_path / "other", encoders="lexical") as memory:
        memory.remember(["one", "two"])
        lines = [json.dumps(line) + "\n" for line in memory.export()]
    file = tmp_path / "all.jsonl"
    file.write_text("".join(lines), "utf-8")
    server = start()
    job = server.ended(server.jobs.start_import("a", file))
    server.stop()
    state = json.loads((server.jobs.folder / job.id / "job.json").read_text())
    state["info"] |= {"state": "running", "ended": None}
    (server.jobs.folder / job.id / "job.json").write_text(json.dumps(state | {"deaths": 1}))
    (server.jobs.folder / job.id / "upload").mkdir()
    (server.jobs.folder / job.id / "upload" / "all.jsonl").write_text("".join(lines), "utf-8")
    done = start().ended(job)
    assert (done.state, done.result["stored"]) == (JobState.DONE, 2)


def test_a_reflect_waits_for_what_a_dead_server_had_claimed(
    start: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    with server.spaces.use("a", make=True) as memory:
        memory.remember("I live in Porto.", speaker="Ana")
        memory.space.schedule("reflect")
        memory.space.claim_jobs(["reflect"], lease=1.0)
    server.stop()
    made = server.jobs.folder / "01dead"
    made.mkdir()
    info = JobInfo("01dead", module.JobKind.REFLECT, "a", server.spaces.config.clock(), JobState.RUNNING)
    Job(info, made, {}, deaths=1).save()
    monkeypatch.setattr(work, "LEASE", 1.0)
    server = start()
    until(lambda: server.jobs.get("01dead").message, lambda message: "waiting" in message)
    done = server.ended(info)
    assert done.state == JobState.DONE
    assert done.result["derived"] > 0


def test_an_upload_that_was_broken_off_is_cleared_away(start: Callable[[], Server]) -> None:
    server = start()
    left = Path(server.jobs.scratch().name)
    server.stop()
    left.mkdir(exist_ok=True)
    (left / "half").write_text("half")
    start()
    assert not left.exists()


def test_one_server_has_the_store(server: Server) -> None:
    code = (
        "import sys; from pathlib import Path; from mnemic.serve.config import Config; "
        "from mnemic.serve.jobs import Jobs; from mnemic.serve.spaces import Spaces; "
        "config = Config(Path(sys.argv[1])); Jobs(config, Spaces(config)).resume()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(server.spaces.config.store)], capture_output=True, text=True, timeout=30
    )
    assert "another server has the store" in done.stderr


def test_dropping_a_space_takes_its_jobs_and_files(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ended(server.jobs.start_import("a", talk(tmp_path, 5)))
    exported = server.ended(server.jobs.start_export("a"))
    path = server.jobs.output(exported.id)
    gate = Gate(monkeypatch, 2)
    server.jobs.start_import("a", talk(tmp_path, 10))
    assert gate.reached.wait(10)
    threading.Timer(0.05, gate.open.set).start()
    server.jobs.drop("a")
    server.spaces.drop("a")
    assert server.jobs.of("a") == []
    assert not path.exists()


def test_erasing_takes_exports_away(server: Server, tmp_path: Path) -> None:
    imported = server.ended(server.jobs.start_import("a", talk(tmp_path, 5)))
    exported = server.ended(server.jobs.start_export("a"))
    path = server.jobs.output(exported.id)
    server.jobs.outdate("a")
    assert not path.exists()
    assert [job.id for job in server.jobs.of("a")] == [imported.id]


def test_finished_jobs_are_swept_after_a_day(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = server.ended(server.jobs.start_import("a", talk(tmp_path, 5)))
    server.jobs.sweep()
    assert server.jobs.get(exported.id)
    monkeypatch.setattr(module, "KEPT", module.timedelta(0))
    server.jobs.sweep()
    assert server.jobs.all() == []
    assert not (server.jobs.folder / exported.id).exists()


def test_bounds(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown format"):
        server.jobs.start_import("a", talk(tmp_path, 1), "msn")
    with pytest.raises(InputError, match="no name for a space"):
        server.jobs.start_import("*", talk(tmp_path, 1))
    monkeypatch.setattr(module, "WAITING", 1)
    gate = Gate(monkeypatch, 0)
    job = server.jobs.start_import("a", talk(tmp_path, 1))
    with pytest.raises(LimitError, match="unfinished"):
        server.jobs.start_import("a", talk(tmp_path, 1))
    gate.open.set()
    server.ended(job)
