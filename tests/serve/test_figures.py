"""What Prometheus is told, and who may ask."""

from __future__ import annotations

import re
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from served import Served, serving

from mnemic.serve.tokens import Scope


def figures(served: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels."""
    text = served.http.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted(served: Served, name: str, **labels: str) -> float:
    return sum(
        value for (each, at), value in figures(served).items() if each == name and labels.items() <= dict(at).items()
    )


def test_requests_verbs_turns_and_spaces_are_counted(served: Served) -> None:
    for space in ("private-name", "second"):
        served.http.post(f"/api/spaces/{space}/turns", json={"turns": ["The heron", "The weir"]})
        served.http.post(f"/api/spaces/{space}/recall", json={"query": "heron"})
    served.http.post("/api/spaces/private-name/ask", json={"question": "heron?"})
    served.http.post("/api/spaces/private-name/recall", json={"query": "heron", "k": 0})
    served.http.get("/api/spaces/nowhere")
    assert counted(served, "mnemic_turns_written_total") == 4
    assert counted(served, "mnemic_open_spaces") == 2
    asked = {"door": "rest", "route": "/api/spaces/{space}/recall", "method": "POST"}
    assert counted(served, "mnemic_requests_total", **asked, status="200") == 2
    assert counted(served, "mnemic_requests_total", **asked, status="422") == 1
    assert counted(served, "mnemic_requests_total", route="/api/spaces/{space}", status="404") == 1
    assert counted(served, "mnemic_verb_seconds_count", verb="recall", outcome="ok") == 2
    assert counted(served, "mnemic_verb_seconds_count", verb="remember") == 2
    assert counted(served, "mnemic_verb_seconds_count", verb="ask") == 1
    assert counted(served, "mnemic_verb_seconds_sum", verb="recall") > 0
    assert counted(served, "process_resident_memory_bytes") > 1e6
    assert "private-name" not in served.http.get("/metrics").text


def test_what_is_refused_at_the_gate_is_counted_too(served: Served) -> None:
    served.client().get("/api/spaces")
    served.http.get("/api/spaces", headers={"Host": "elsewhere.example"})
    assert counted(served, "mnemic_requests_total", status="401") == 1
    assert counted(served, "mnemic_requests_total", status="421") == 1


def test_labels_are_few_whatever_is_asked_for(served: Served) -> None:
    for number in range(20):
        served.http.get(f"/api/{number}")
        served.http.get(f"/page/{number}")
        served.http.request(f"M{number}", "/api/spaces")
    routes = {dict(at)["route"] for name, at in figures(served) if name == "mnemic_requests_total"}
    methods = {dict(at)["method"] for name, at in figures(served) if name == "mnemic_requests_total"}
    assert routes <= {"none", "pages", "/metrics", "/api/spaces"}
    assert methods <= {"GET", "other"}


def test_errors_in_a_verb_are_told_apart(served: Served) -> None:
    served.remember({"text": "one", "id": "t"}, space="a")
    served.http.post("/api/spaces/a/turns", json={"turns": [{"text": "two", "id": "t"}]})
    assert counted(served, "mnemic_verb_seconds_count", verb="remember", outcome="error") == 1
    assert counted(served, "mnemic_turns_written_total") == 0


def test_jobs_by_state_and_imported_turns(served: Served) -> None:
    served.remember("one", space="a")
    file = served.service.config.store.parent / "talk.txt"
    file.write_text("[2024-06-02 09:00] Ana: The lemon trees came.\n")
    served.service.jobs.start_import("a", file)
    while counted(served, "mnemic_jobs", state="done") < 1:
        time.sleep(0.01)
    assert counted(served, "mnemic_jobs", state="failed") == 0
    assert counted(served, "mnemic_turns_written_total") == 1


def test_tokens_injected_by_the_proxy(served: Served) -> None:
    served.service.metrics.injected(120)
    served.service.metrics.injected(30)
    assert counted(served, "mnemic_proxy_tokens_injected_total") == 150


def test_only_admins_of_everything_may_ask(served: Served, tmp_path: Path) -> None:
    assert served.client().get("/metrics").status_code == 401
    one = served.client(served.token(a=[Scope.ADMIN]))
    assert one.get("/metrics").status_code == 403
    assert served.client(served.token(every=[Scope.READ])).get("/metrics").status_code == 403
    answer = served.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert re.match("application/openmetrics-text", answer.headers["content-type"])
    assert answer.text.endswith("# EOF\n")
    with serving(tmp_path / "open", auth=False) as everybody:
        assert everybody.client().get("/metrics").status_code == 200
