"""Work in the background: imports, exports, reflects and rebuilds, which survive a stop of the server.

Every job is a folder under ``<store>/.jobs``: ``job.json``, replaced atomically at each change of state, the file that
was uploaded, and what an export wrote. A job that was not finished when the server stopped or was killed is taken up
again at the next start: importing skips what is stored by its ids, reflecting goes on behind its cursor, exports and
rebuilds are made again. Jobs of one space run one after another.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mnemic.errors import ConflictError, InputError, LimitError, MnemicError, NotFoundError, StoreError
from mnemic.serve import disk
from mnemic.serve.config import Config
from mnemic.serve.job import SCOPES, Job, JobInfo, JobKind, JobState, Stopped
from mnemic.serve.spaces import Spaces, checked
from mnemic.serve.tokens import LOCAL, Principal, Scope
from mnemic.serve.work import EXPORT, WORKS
from mnemic.text import importers
from mnemic.text.record import new_id

__all__ = ["EXPORT", "SCOPES", "JobInfo", "JobKind", "JobState", "Jobs"]

WORKERS = 2
"""Jobs that run at once. More would only take time from requests: a job keeps a core busy."""
WAITING = 32
"""Unfinished jobs that a space may have."""
KEPT = timedelta(days=1)
"""How long a finished job, and the file an export wrote, can be asked for."""
DEATHS = 3
"""A job during which the server died so often is not taken up again."""
_SWEEP = 3600.0
_PATIENCE = 30.0
_log = logging.getLogger("mnemic")


class Jobs:
    """The jobs of a store. Touches the disk at :meth:`resume` or with the first job, not before."""

    def __init__(self, config: Config, spaces: Spaces) -> None:
        self.config = config
        self.spaces = spaces
        self.folder = config.store / ".jobs"
        self.on_written: Callable[[int], None] = lambda _: None
        """Told how many turns an import stored."""
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._changed = threading.Condition(threading.RLock())
        self._threads: list[threading.Thread] = []
        self._held: ExitStack | None = None
        self._closing = threading.Event()

    # -- starting --------------------------------------------------------------------------------------------

    def start_import(
        self,
        space: str,
        file: Path,
        format: str = "auto",
        *,
        by: Principal = LOCAL,
        options: Mapping[str, Any] | None = None,
    ) -> JobInfo:
        """Import ``file``, which the job takes over and deletes when it is done; its name is told in the turns' meta.

        ``format`` is one of :data:`mnemic.text.importers.FORMATS`, ``mnemic`` (an export, restored into an empty
        space) or ``auto``; ``options`` are those of the format.
        """
        by.need(space, SCOPES[JobKind.IMPORT])
        checked(space)
        if format not in ("auto", EXPORT, *importers.FORMATS):
            raise InputError(f"unknown format {format!r}: use auto, {EXPORT}, {', '.join(importers.FORMATS)}")
        return self._start(JobKind.IMPORT, space, {"format": format, "options": dict(options or {})}, file)

    def start_export(self, space: str, *, secrets: bool = False, by: Principal = LOCAL) -> JobInfo:
        """Write the whole space into a file; see :meth:`output`. Secrets are masked for good unless asked for."""
        by.need(space, Scope.ADMIN if secrets else SCOPES[JobKind.EXPORT])
        return self._start(JobKind.EXPORT, space, {"secrets": secrets})

    def start_reflect(self, space: str, *, by: Principal = LOCAL) -> JobInfo:
        """Let the system work over what is new."""
        by.need(space, SCOPES[JobKind.REFLECT])
        return self._start(JobKind.REFLECT, space, {})

    def start_rebuild(
        self, space: str, *, system: str | None = None, encoders: str = "auto", by: Principal = LOCAL
    ) -> JobInfo:
        """Derive everything again from the turns, for another system or encoders; nobody can use it until then."""
        by.need(space, SCOPES[JobKind.REBUILD])
        return self._start(JobKind.REBUILD, space, {"system": system, "encoders": encoders})

    def _start(self, kind: JobKind, space: str, options: dict[str, Any], upload: Path | None = None) -> JobInfo:
        self.resume()
        if kind != JobKind.IMPORT and space not in self.spaces.names():
            raise NotFoundError(f"there is no space {space!r}: make it first, or check its name")
        if sum(not info.finished for info in self.of(space)) >= WAITING:
            raise LimitError(f"the space {space!r} has {WAITING} unfinished jobs: wait for one to end", 60.0)
        id = new_id()
        job = Job(JobInfo(id, kind, space, self.config.clock()), self.folder / id, options)
        try:
            job.folder.mkdir(mode=0o700)
            if upload is not None:
                (job.folder / "upload").mkdir()
                shutil.move(upload, job.folder / "upload" / upload.name)
            job.save()
        except OSError as error:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise StoreError(f"cannot keep the job on disk ({error.strerror}): make room, and try again") from error
        with self._changed:
            self._jobs[id] = job
            self._changed.notify_all()
        return job.info

    def scratch(self) -> TemporaryDirectory[str]:
        """A folder for a file on its way in, on the disk of the store."""
        self.resume()
        return TemporaryDirectory(prefix="upload-", dir=self.folder)

    # -- asking ----------------------------------------------------------------------------------------------

    def get(self, id: str, *, by: Principal = LOCAL) -> JobInfo:
        """How a job stands. Raises :class:`NotFoundError`, for jobs that ``by`` may not see too."""
        return self._job(id, by).info

    def of(self, space: str) -> list[JobInfo]:
        """The jobs of a space, oldest first."""
        with self._changed:
            return [job.info for job in self._of(space)]

    def all(self, *, by: Principal = LOCAL) -> list[JobInfo]:
        """The jobs of all spaces in which ``by`` may read, oldest first."""
        with self._changed:
            return [job.info for job in self._jobs.values() if by.may(job.info.space, Scope.READ)]

    def output(self, id: str, *, by: Principal = LOCAL) -> Path:
        """The file that a finished export wrote: JSON lines. Raises :class:`ConflictError` if there is none."""
        job = self._job(id, by)
        if job.options.get("secrets"):
            by.need(job.info.space, Scope.ADMIN)
        if not job.output.exists():
            raise ConflictError(
                f"the job {id} is {job.info.state} and has no file: only an export that is done has one"
            )
        return job.output

    def _job(self, id: str, by: Principal) -> Job:
        with self._changed:
            job = self._jobs.get(id)
        if job is None or not by.may(job.info.space, Scope.READ):
            raise NotFoundError(f"there is no job {id!r}: it is gone {KEPT.days * 24} hours after its end")
        return job

    def _of(self, space: str) -> list[Job]:
        return [job for job in self._jobs.values() if job.info.space == space]

    # -- stopping --------------------------------------------------------------------------------------------

    def cancel(self, id: str, *, by: Principal = LOCAL) -> JobInfo:
        """Stop a job; what it wrote stays. A finished one is taken off the list, with the file it wrote.

        Raises :class:`ConflictError` for a rebuild that has begun: half of one would leave the space unusable.
        """
        job = self._job(id, by)
        by.need(job.info.space, SCOPES[job.info.kind])
        with self._changed:
            if job.info.finished:
                self._remove(job)
            elif job.info.kind == JobKind.REBUILD and job.begun:
                raise ConflictError("a rebuild that has begun cannot be cancelled: the space would stay unusable")
            else:
                self._stop(job)
            return job.info

    def drop(self, space: str) -> None:
        """Stop the jobs of a space, and take them off the list with all their files: the space is to be dropped."""
        with self._changed:
            for job in self._of(space):
                if not job.info.finished:
                    self._stop(job)
            if not self._changed.wait_for(lambda: space not in self._running, _PATIENCE):
                raise ConflictError(f"a job of the space {space!r} does not stop: wait for it, and try again")
            for job in self._of(space):
                self._remove(job)

    def outdate(self, space: str) -> None:
        """Take away what exports of a space wrote, because they hold what was just erased there."""
        with self._changed:
            for job in self._of(space):
                if job.info.kind == JobKind.EXPORT and job.info.finished:
                    self._remove(job)

    def _stop(self, job: Job) -> None:
        job.cancelled = True
        job.stop.set()
        if job.info.state == JobState.QUEUED:
            self._end(job, JobState.CANCELLED)

    def _remove(self, job: Job) -> None:
        shutil.rmtree(job.folder, ignore_errors=True)
        self._jobs.pop(job.info.id, None)

    def close(self) -> None:
        """Stop at the next place where that can be done; what is unfinished is taken up at the next start."""
        self._closing.set()
        with self._changed:
            for job in self._running.values():
                job.stop.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_PATIENCE)
        if self._held is not None:
            self._held.close()

    # -- running ---------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Take up what an earlier server left, and be ready for more. Raises :class:`StoreError` if another server
        has the store."""
        with self._changed:
            if self._closing.is_set():
                raise StoreError("the server is shutting down: try again when it is back")
            if self._held is not None:
                return
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with ExitStack() as held:
                try:
                    held.enter_context(disk.alone(self.folder / "lock", patience=1.0))
                except StoreError:
                    raise StoreError(f"another server has the store {self.config.store}: stop it first") from None
                self._held = held.pop_all()
            for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
                try:
                    job = Job.load(folder)
                except (OSError, ValueError, LookupError, TypeError):  # an upload that was broken off
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
                self._jobs[job.info.id] = job
                if job.info.state == JobState.RUNNING:
                    if job.deaths < DEATHS:
                        job.info = replace(job.info, state=JobState.QUEUED)
                    else:
                        message = (
                            f"the server died {job.deaths} times during this job: look into its log, start it anew"
                        )
                        self._end(job, JobState.INTERRUPTED, message=message)
            works = [self._tidy, *[self._work] * WORKERS]
            self._threads = [threading.Thread(target=work, name="mnemic-job", daemon=True) for work in works]
            for thread in self._threads:
                thread.start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._run(job)

    def _next(self) -> Job | None:
        """The oldest waiting job of a space that has none running; None when the server stops."""
        with self._changed:
            while not self._closing.is_set():
                for job in self._jobs.values():
                    if job.info.state == JobState.QUEUED and job.info.space not in self._running:
                        job.info = replace(job.info, state=JobState.RUNNING)
                        self._running[job.info.space] = job
                        return job
                self._changed.wait()
        return None

    def _run(self, job: Job) -> None:
        state, message, result = JobState.DONE, "", dict[str, Any]()
        try:
            job.deaths += 1  # taken back below, unless the server dies before that
            job.save()
            result = WORKS[job.info.kind](job, self.config, self.spaces)
            self.on_written(result.get("stored", 0))
        except Stopped:
            state = JobState.CANCELLED if job.cancelled else JobState.QUEUED
        except Exception as error:  # noqa: BLE001  a job may fail in any way: it is told, and the others go on
            state, message, result = JobState.FAILED, job.told(error), {"error": type(error).__name__}
            if self._closing.is_set():
                state, message, result = JobState.QUEUED, "", {}
            elif not isinstance(error, MnemicError | OSError):
                _log.exception("the job %s (%s) failed", job.info.id, job.info.kind)
                message = f"{type(error).__name__}: see the server's log"
        with self._changed:
            job.deaths -= 1
            self._end(job, state, message=message, result=result)
            del self._running[job.info.space]
            self._changed.notify_all()

    def _end(self, job: Job, state: JobState, *, message: str = "", result: Mapping[str, Any] | None = None) -> None:
        """Put a job into a state in which it does not run."""
        ended = None if state == JobState.QUEUED else self.config.clock()
        job.info = replace(job.info, state=state, message=message, result=result or {}, ended=ended)
        if job.info.finished:
            shutil.rmtree(job.folder / "upload", ignore_errors=True)
        try:
            job.save()
        except OSError as error:  # it is taken up again at the next start, which does no harm
            _log.warning("the state of the job %s could not be kept: %s", job.info.id, error)

    def _tidy(self) -> None:
        while not self._closing.wait(_SWEEP):
            self.sweep()

    def sweep(self) -> None:
        """Take away what ended long ago."""
        with self._changed:
            for job in list(self._jobs.values()):
                if job.info.ended is not None and self.config.clock() - job.info.ended > KEPT:
                    self._remove(job)
