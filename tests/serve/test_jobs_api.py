"""Jobs and uploads over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Served, serving

from mnemic.serve import uploads
from mnemic.serve.config import Limits
from mnemic.serve.tokens import Scope

TALK = b"[2024-06-02 09:00] Ana: The lemon trees came today.\n[2024-06-02 09:02] Ben: All four of them?\n"


def ended(served: Served, response: Any) -> dict[str, Any]:
    """The job that ``response`` started, when it is over."""
    assert response.status_code == 202, response.text
    deadline = time.monotonic() + 10
    while True:
        job: dict[str, Any] = served.http.get(response.headers["location"]).json()
        if job["state"] not in ("queued", "running"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.01)


def send(served: Served, content: bytes = TALK, name: str = "talk.txt", space: str = "a", **params: Any) -> Any:
    return served.http.post(f"/api/spaces/{space}/import", files={"file": (name, content)}, params=params)


def left(served: Served) -> list[Path]:
    """The files of jobs and uploads beside what is kept of every job."""
    folder = served.service.jobs.folder
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in ("job.json", "lock")]


def test_a_file_is_imported_and_exported_and_restored(served: Served) -> None:
    job = ended(served, send(served))
    assert (job["kind"], job["state"], job["done"], job["total"]) == ("import", "done", 2, 2)
    assert job["result"]["format"] == "chat"
    assert served.http.get(f"/api/jobs/{job['id']}/result").json() == job["result"]
    assert ended(served, send(served))["result"]["skipped"] == 2
    exported = ended(served, served.http.post("/api/spaces/a/export"))
    answer = served.http.get(f"/api/jobs/{exported['id']}/result")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert 'filename="a.jsonl"' in answer.headers["content-disposition"]
    assert [next(iter(json.loads(line))) for line in answer.text.splitlines()] == ["mnemic", "item", "item"]
    restored = ended(served, send(served, answer.content, "all.jsonl", "b", format="mnemic"))
    assert restored["result"]["stored"] == 2
    assert served.http.delete(f"/api/jobs/{exported['id']}").json()["state"] == "done"
    assert served.http.get(f"/api/jobs/{exported['id']}").status_code == 404
    assert left(served) == []


def test_options_reach_the_importer(served: Served) -> None:
    bad = b'{"text": "one"}\n{"text": \n{"text": "two"}\n'
    assert ended(served, send(served, bad, "x.jsonl"))["message"].startswith("x.jsonl")
    job = ended(served, send(served, bad, "x.jsonl", format="jsonl", skip_bad=True))
    assert job["result"]["stored"] == 2
    assert sum(job["result"]["left_out"].values()) == 1
    failed = ended(served, send(served, bad, "x.jsonl", format="jsonl", zone="Europe/Berlin"))
    assert failed["result"] == {"error": "InputError"}
    assert send(served, format="msn").status_code == 422
    assert send(served, colour="blue").status_code == 422


def test_reflect_and_rebuild(served: Served) -> None:
    ended(served, send(served))
    assert ended(served, served.http.post("/api/spaces/a/reflect"))["result"].keys() == {"derived", "superseded"}
    job = ended(served, served.http.post("/api/spaces/a/rebuild", json={"system": "memgas"}))
    assert job["result"]["system"] == "memgas"
    assert served.http.get("/api/spaces/a").json()["system"] == "memgas"
    assert served.http.post("/api/spaces/nowhere/reflect").status_code == 404
    jobs = served.http.get("/api/jobs").json()["items"]
    assert [job["kind"] for job in jobs] == ["import", "reflect", "rebuild"]


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (b"text", "text/plain", "multipart"),
        (b"--x\r\n", "multipart/form-data", "multipart"),
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf', "", "ends too early"),
        (b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n--x--\r\n', "", "no file"),
        (b"", "", "ends too early"),
        (b"--x\r\n" + b"A: b\r\n" * 500 + b"\r\n\r\n--x--\r\n", "", "no whole"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n1\r\n'
            b'--x\r\nContent-Disposition: form-data; name="b"; filename="b"\r\n\r\n2\r\n--x--\r\n',
            "",
            "several",
        ),
    ],
)
def test_a_body_that_is_no_file_is_refused(served: Served, body: bytes, kind: str, told: str) -> None:
    headers = {"Content-Type": kind or "multipart/form-data; boundary=x"}
    answer = served.http.post("/api/spaces/a/import", content=body, headers=headers)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert left(served) == []
    assert served.http.get("/api/jobs").json()["items"] == []


def test_fields_beside_the_file_are_passed_over(served: Served) -> None:
    answer = served.http.post(
        "/api/spaces/a/import", files={"file": ("talk.txt", TALK)}, data={"before": "x" * 3000, "more": "y"}
    )
    assert ended(served, answer)["result"]["stored"] == 2


def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "store", limits=Limits(upload=5000)) as served:
        assert ended(served, send(served))["state"] == "done"
        assert send(served, TALK * 100).status_code == 413

        def unannounced() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
            for _ in range(200):
                yield TALK
            yield b"\r\n--x--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = served.http.post("/api/spaces/a/import", content=unannounced(), headers=headers)
        assert answer.status_code == 413
        assert left(served) == []


def test_a_large_file_is_written_whole_and_in_parts(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 1000)
    lines = b"".join(b'{"text": "heron %d \r\n--x"}\n'.replace(b"\r\n", b"") % i for i in range(3000))
    assert ended(served, send(served, lines, "x.jsonl"))["result"]["stored"] == 3000


def test_nothing_is_taken_from_who_may_not_write(served: Served) -> None:
    reader = served.client(served.token(a=[Scope.READ]))
    answer = reader.post("/api/spaces/a/import", files={"file": ("talk.txt", TALK)})
    assert answer.status_code == 403
    assert served.service.spaces.names() == []


def test_secrets_in_clear_take_an_admin(served: Served) -> None:
    served.remember("My password is hunter2-Trout.", space="a")
    reader = served.client(served.token(a=[Scope.READ]))
    assert reader.post("/api/spaces/a/export", json={"secrets": True}).status_code == 403
    clear = ended(served, served.http.post("/api/spaces/a/export", json={"secrets": True}))
    assert reader.get(f"/api/jobs/{clear['id']}/result").status_code == 403
    assert "hunter2" in served.http.get(f"/api/jobs/{clear['id']}/result").text
    assert reader.delete(f"/api/jobs/{clear['id']}").status_code == 200  # an export is a reader's to stop


def test_a_result_that_is_not_there_yet(served: Served) -> None:
    failed = ended(served, send(served, b"\x00", "x"))
    assert failed["state"] == "failed"
    assert served.http.get(f"/api/jobs/{failed['id']}/result").json() == {"error": "InputError"}
    assert served.http.get("/api/jobs/none/result").status_code == 404


@given(st.text(max_size=300))
def test_a_name_somebody_else_gives_is_one_step_of_a_path(name: str) -> None:
    kept = uploads.plain(name)
    assert kept == Path(kept).name
    assert kept not in ("", ".", "..")
    assert not kept.startswith(".")
    assert len(kept.encode("utf-8", "surrogatepass")) <= 240
    assert kept.isprintable()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("../../etc/passwd", "passwd"), ("C:\\talk.txt", "talk.txt"), ("...", "file"), ("a\n<b>.zip", "a__b_.zip")],
)
def test_names(given: str, kept: str) -> None:
    assert uploads.plain(given) == kept
