"""The routes of background jobs: each start answers 202 with the job, and says in ``Location`` where to ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response

from mnemic.errors import ConflictError
from mnemic.serve import uploads, wire
from mnemic.serve.jobs import EXPORT, SCOPES, JobInfo, JobKind
from mnemic.serve.rest import By, Paging, paged
from mnemic.serve.wire import Name, Page, told
from mnemic.text.importers import FORMATS

router = APIRouter(prefix="/api", tags=["jobs"])
_INFO = TypeAdapter(JobInfo)
_STARTED: dict[int | str, dict[str, Any]] = {
    202: {"model": JobInfo, "headers": {"Location": {"schema": {"type": "string"}, "description": "The job."}}}
}
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            }
        },
    }
}


class Import(BaseModel):
    """How to read the file; the options are those of its format."""

    model_config = ConfigDict(extra="forbid")

    format: str = Field("auto", description=f"auto, {EXPORT} (an export, into an empty space), {', '.join(FORMATS)}")
    skip_bad: bool = Field(False, description="jsonl: leave out lines that cannot be read.")
    zone: str | None = Field(None, description="chat, telegram: the time zone of the clocks, such as Europe/Berlin.")
    day_first: bool | None = Field(None, description="chat: whether 5/8/2023 is in August.")
    conversation: str | None = Field(None, description="locomo: which conversation.")
    question: str | None = Field(None, description="longmemeval: whose haystack.")


class Export(BaseModel):
    """What to write."""

    model_config = ConfigDict(extra="forbid")

    secrets: bool = Field(False, description="In clear; takes the scope admin.")


def _started(info: JobInfo) -> Response:
    headers = {"Location": f"/api/jobs/{quote(info.id, safe='')}"}
    return JSONResponse(_INFO.dump_python(info, mode="json"), 202, headers)


@router.post("/spaces/{space}/import", status_code=202, responses=_STARTED, openapi_extra=_FILE)
async def start_import(request: Request, space: Name, by: By, options: Annotated[Import, Query()]) -> Response:
    """Import the file in the body, in the background. Makes the space. A file that is imported again adds nothing."""
    by.principal.need(space, SCOPES[JobKind.IMPORT])  # before the file is taken
    scratch = await run_in_threadpool(by.service.jobs.scratch)
    try:
        file = await uploads.receive(request, Path(scratch.name))
        return _started(
            await run_in_threadpool(
                by.service.jobs.start_import,
                space,
                file,
                options.format,
                by=by.principal,
                options=wire.options(options, "format"),
            )
        )
    finally:
        await run_in_threadpool(scratch.cleanup)


@router.post("/spaces/{space}/export", status_code=202, responses=_STARTED)
def start_export(space: Name, by: By, body: Export | None = None) -> Response:
    """Write the whole space into a file, to be fetched as the job's result within a day."""
    return _started(by.service.jobs.start_export(space, secrets=bool(body and body.secrets), by=by.principal))


@router.post("/spaces/{space}/reflect", status_code=202, responses=_STARTED)
def start_reflect(space: Name, by: By) -> Response:
    """Let the system of the space work over what is new."""
    return _started(by.service.jobs.start_reflect(space, by=by.principal))


@router.post("/spaces/{space}/rebuild", status_code=202, responses=_STARTED)
def start_rebuild(space: Name, by: By, body: wire.NewSpace | None = None) -> Response:
    """Derive everything again from the turns, for another system or other encoders. Nobody can use it until then."""
    wanted = body or wire.NewSpace()
    return _started(
        by.service.jobs.start_rebuild(space, system=wanted.system, encoders=wanted.encoders or "auto", by=by.principal)
    )


@router.get("/jobs")
@told()
def list_jobs(by: By, paging: Paging) -> Page[JobInfo]:
    """The jobs of the last day, of all spaces in which the token may read; oldest first."""
    return paged(by.service.jobs.all(by=by.principal), paging)


@router.get("/jobs/{id}")
@told()
def get_job(id: wire.Id, by: By) -> JobInfo:
    """How a job stands."""
    return by.service.jobs.get(id, by=by.principal)


@router.get("/jobs/{id}/result", response_class=FileResponse)
def result(id: wire.Id, by: By) -> Response:
    """What an export wrote (JSON lines); of other jobs the result as JSON."""
    info = by.service.jobs.get(id, by=by.principal)
    if info.kind == JobKind.EXPORT:
        path = by.service.jobs.output(id, by=by.principal)
        return FileResponse(path, media_type="application/x-ndjson", filename=f"{info.space}.jsonl")
    if not info.finished:
        raise ConflictError(f"the job {id} is {info.state}: ask again when it is over")
    return JSONResponse(dict(info.result))


@router.delete("/jobs/{id}")
@told()
def cancel_job(id: wire.Id, by: By) -> JobInfo:
    """Stop a job at the next place where it can stop; take one that is over off the list, with its file."""
    return by.service.jobs.cancel(id, by=by.principal)
