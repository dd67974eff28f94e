"""What the kinds of background jobs do. Each can be broken off anywhere, and done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnemic.errors import InputError
from mnemic.serve.config import Config
from mnemic.serve.job import Job, JobKind
from mnemic.serve.spaces import Spaces
from mnemic.text import importers, opening
from mnemic.text.store.jobs import LEASE
from mnemic.text.store.transfer import read_export

EXPORT = "mnemic"
"""The format of an export, which is restored into an empty space."""


def import_(job: Job, config: Config, spaces: Spaces) -> dict[str, Any]:
    path, format = job.upload, job.options["format"]
    if format == EXPORT or (format == "auto" and _is_export(path)):
        return _restore(job, path, spaces)
    if format == "auto":
        format = importers.detect(path)
    tally = importers.Tally()
    turns = importers.read(path, format, tally=tally, **job.options["options"])
    job.reached(0, importers.count(path, format))
    with spaces.use(job.info.space, make=True) as memory:
        # One thread: the time of the other cores is for requests.
        done = memory.ingest(job.watched(turns), threads=1, progress=job.reached)
    return {
        "format": format,
        "stored": done.stored,
        "skipped": done.skipped,
        "secrets": done.secrets,
        "left_out": dict(tally.skipped),
    }


def _restore(job: Job, path: Path, spaces: Spaces) -> dict[str, Any]:
    with path.open(encoding="utf-8", newline="\n") as file:
        try:
            lines = list(job.watched(read_export(file, path.name)))
        except UnicodeDecodeError as error:
            raise InputError(f"{path.name} is not UTF-8 text ({error}): nothing was restored") from None
    spaces.make(job.info.space, system=str(lines[0]["system"]))
    with spaces.use(job.info.space) as memory:
        first = next(iter(memory.space.changes()), None)
        if job.deaths > 1 and first is not None and first.op == "restore" and first.at >= job.info.made:
            count = int(first.detail["put"])  # the server died between the end of the work and telling so
        else:
            count = memory.space.restore(lines)
    return {"format": EXPORT, "stored": count, "skipped": 0, "secrets": 0, "left_out": {}}


def export(job: Job, config: Config, spaces: Spaces) -> dict[str, Any]:
    scratch = job.output.with_suffix(".part")
    count = 0
    with spaces.use(job.info.space) as memory, scratch.open("w", encoding="utf-8") as file:
        job.reached(0, memory.stats()["records"])
        for count, line in enumerate(memory.export(secrets=job.options["secrets"]), 1):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            job.reached(count)
    scratch.replace(job.output)
    return {"lines": count, "bytes": job.output.stat().st_size}


def reflect(job: Job, config: Config, spaces: Spaces) -> dict[str, Any]:
    if job.deaths > 1:
        # What the server died over is still leased to it: until that runs out, nothing could be claimed.
        job.info = replace(job.info, message=f"waiting {LEASE:.0f} s until what was broken off is free again")
        job.stop.wait(LEASE)
        job.check()
        job.info = replace(job.info, message="")
    with spaces.use(job.info.space) as memory:
        return dict(memory.reflect(progress=lambda _, derived: job.reached(derived)))


def rebuild(job: Job, config: Config, spaces: Spaces) -> dict[str, Any]:
    job.begun = True
    job.save()
    encoders = job.options["encoders"]
    with spaces.alone(job.info.space):
        return opening.rebuild(
            config.store,
            job.info.space,
            system=job.options["system"],
            encoders=encoders if encoders in ("auto", "lexical") else encoders.split(","),
            progress=job.reached,
        )


def _is_export(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            next(read_export(iter([file.readline(1 << 16)]), path.name))
    except (UnicodeDecodeError, InputError):
        return False
    return True


WORKS: dict[JobKind, Callable[[Job, Config, Spaces], dict[str, Any]]] = {
    JobKind.IMPORT: import_,
    JobKind.EXPORT: export,
    JobKind.REFLECT: reflect,
    JobKind.REBUILD: rebuild,
}
