"""The jobs of a space, as they come along."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.concurrency import run_in_threadpool

from mnemic.errors import MnemicError
from mnemic.serve.jobs import JobInfo, JobKind, JobState
from mnemic.serve.pages import kit, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope

EVERY = 0.5
"""Seconds between two looks at jobs that run."""
SHOWN = 20
_NAMES = {JobKind.IMPORT: "Import", JobKind.EXPORT: "Export", JobKind.REFLECT: "Reflect", JobKind.REBUILD: "Rebuild"}
_LOOKS = {
    JobState.QUEUED: ("", "waiting"),
    JobState.RUNNING: ("good", "running"),
    JobState.DONE: ("good", "done"),
    JobState.FAILED: ("bad", "failed"),
    JobState.CANCELLED: ("warn", "cancelled"),
    JobState.INTERRUPTED: ("bad", "broken off"),
}


class Progress:
    """A list of jobs that keeps itself up to date. ``kinds`` restricts it."""

    def __init__(self, visit: Visit, kinds: Collection[JobKind] = (), *, nothing: str = "") -> None:
        self.visit = visit
        self.kinds = kinds
        self.nothing = nothing
        self.shown: Markup | None = None
        self.list = kit.show(classes="jobs", aria_live="polite")
        self.list.on(
            "click",
            visit.doing(self._stop),
            js_handler="(e) => { const job = e.target.closest('[data-job]'); if (job) emit(job.dataset.job) }",
        )
        self.timer = ui.timer(EVERY, self.look)
        self.look()

    def look(self) -> None:
        """Show how things stand."""
        try:
            who = self.visit.who()
            found = self.visit.service.jobs.of(self.visit.space) if who.may(self.visit.space, Scope.READ) else []
        except MnemicError as error:
            self.timer.deactivate()
            self.visit.tell(error)
            return
        jobs = [job for job in reversed(found) if not self.kinds or job.kind in self.kinds][:SHOWN]
        markup = (
            join(_row(job, self.visit) for job in jobs)
            if jobs
            else tag("p", self.nothing, class_="small muted")
            if self.nothing
            else Markup()
        )
        if markup != self.shown:
            self.shown = markup
            kit.fill(self.list, markup)

    async def _stop(self, event: GenericEventArguments) -> None:
        who, id = self.visit.who(), str(event.args)
        await run_in_threadpool(self.visit.service.jobs.cancel, id, by=who)
        self.look()


def _row(job: JobInfo, visit: Visit) -> Markup:
    look, state = _LOOKS[job.state]
    share = 100 * job.done / job.total if job.total else None
    bar = None
    if not job.finished:
        width = f"width:{min(share, 100):.1f}%" if share is not None else None
        bar = tag(
            "div",
            tag("i", style=width, class_=None if share is not None or job.state == JobState.QUEUED else "somewhere"),
            class_="progress",
            role="progressbar",
            aria_label=f"{_NAMES[job.kind]}",
            aria_valuenow=round(share) if share is not None else None,
            aria_valuemin=0,
            aria_valuemax=100,
        )
    done = job.state == JobState.DONE
    file = None
    if done and job.kind == JobKind.EXPORT:
        name = f"{visit.space}.jsonl"
        file = tag(
            "a",
            icon("export", 16),
            f"Download, {words.size(int(job.result.get('bytes', 0)))}",
            href=f"/api/jobs/{job.id}/result",
            download=name,
            class_="btn small primary",
        )
    stop = tag(
        "button",
        icon("close", 17),
        type="button",
        class_="tool",
        title="Take off the list" if job.finished else "Cancel",
        aria_label=f"{'Take off the list' if job.finished else 'Cancel'}: {_NAMES[job.kind]}",
        data_job=job.id,
    )
    return tag(
        "div",
        tag(
            "div",
            tag("b", _NAMES[job.kind]),
            tag("span", state, class_=f"chip {look}".strip()),
            tag("span", _told(job), class_="small muted job-told"),
            tag("span", file, stop, class_="job-tools"),
            class_="job-head",
        ),
        bar,
        tag("p", job.message, class_="small job-message") if job.message else None,
        class_=f"job {job.state}",
    )


def _told(job: JobInfo) -> str:
    """What it came to, or how far it is."""
    if job.state == JobState.DONE:
        return _result(job.kind, dict(job.result))
    if job.finished:
        return words.stamp(job.ended)
    if job.total:
        return f"{job.done:,} of {job.total:,}"
    return f"{job.done:,}" if job.done else ""


def _result(kind: JobKind, of: dict[str, Any]) -> str:
    if kind == JobKind.IMPORT:
        parts = [f"{words.count(int(of.get('stored', 0)), 'turn')} stored"]
        if of.get("skipped"):
            parts.append(f"{int(of['skipped']):,} already there")
        if of.get("secrets"):
            parts.append(f"{words.count(int(of['secrets']), 'secret')} masked")
        parts += [f"{int(count):,} left out ({reason})" for reason, count in dict(of.get("left_out", {})).items()]
        return f"{of.get('format', '')}: {', '.join(parts)}"
    if kind == JobKind.EXPORT:
        return words.count(int(of.get("lines", 0)), "line")
    if kind == JobKind.REFLECT:
        derived = words.count(int(of.get("derived", 0)), "memory", "memories")
        return f"{derived} derived, {int(of.get('superseded', 0)):,} superseded"
    return f"system {of.get('system', '')}, {int(of.get('written', 0)):,} written"
