"""A background job: what is told about it, and the folder in which it survives a stop of the server."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from mnemic.serve import disk
from mnemic.serve.tokens import Scope

T = TypeVar("T")


class JobKind(StrEnum):
    IMPORT = "import"
    EXPORT = "export"
    REFLECT = "reflect"
    REBUILD = "rebuild"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


SCOPES = {
    JobKind.IMPORT: Scope.WRITE,
    JobKind.EXPORT: Scope.READ,
    JobKind.REFLECT: Scope.WRITE,
    JobKind.REBUILD: Scope.ADMIN,
}
"""What it takes to start a job, and to stop it."""


@dataclass(frozen=True)
class JobInfo:
    """How a job stands. ``done`` of ``total`` (None: not known) counts turns, lines or records, as its kind has it.

    ``message`` says what went wrong, or what a job waits for; the ``result`` of a failed one holds the class of the
    error. ``interrupted`` is a job during which the server died too often for another try.
    """

    id: str
    kind: JobKind
    space: str
    made: datetime
    state: JobState = JobState.QUEUED
    done: int = 0
    total: int | None = None
    message: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    ended: datetime | None = None

    @property
    def finished(self) -> bool:
        return self.state not in (JobState.QUEUED, JobState.RUNNING)


class Stopped(Exception):  # noqa: N818  no error: somebody wants the job to end
    """Raised inside a job at the next place where it can stop."""


@dataclass(eq=False)
class Job:
    """A job with what only the server knows. ``deaths`` counts the times that the server died while it ran."""

    info: JobInfo
    folder: Path
    options: dict[str, Any]
    deaths: int = 0
    begun: bool = False
    cancelled: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def reached(self, done: int, total: int | None = None) -> None:
        """Tell how far the job came, and stop here if that is wanted."""
        self.info = replace(self.info, done=done, total=total if total is not None else self.info.total)
        self.check()

    def watched(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            self.check()
            yield item

    def told(self, error: Exception) -> str:
        """The error's words without paths of this machine."""
        return str(error).replace(f"{self.folder / 'upload'}{os.sep}", "").replace(f"{self.folder}{os.sep}", "")

    @property
    def upload(self) -> Path:
        return next((self.folder / "upload").iterdir())

    @property
    def output(self) -> Path:
        return self.folder / "export.jsonl"

    def save(self) -> None:
        info = _INFO.dump_python(self.info, mode="json")
        told = {"info": info, "options": self.options, "deaths": self.deaths, "begun": self.begun}
        disk.write(self.folder / "job.json", json.dumps(told))

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Raises OSError, ValueError, LookupError or TypeError for what is no job."""
        told = json.loads((folder / "job.json").read_text("utf-8"))
        return cls(_INFO.validate_python(told["info"]), folder, told["options"], told["deaths"], told["begun"])


_INFO = TypeAdapter(JobInfo)
