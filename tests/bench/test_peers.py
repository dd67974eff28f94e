"""Peers: the protocol against a made-up adapter, the environments with a made-up pip, the table's numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from mnemic.bench import peers
from mnemic.bench.peers import catalogue, environment, rows, worker
from mnemic.bench.peers.catalogue import Entry
from mnemic.bench.peers.environment import Environment, PeerError, plain, provide
from mnemic.bench.peers.report import REFERENCE, Comparison
from mnemic.bench.peers.work import Asked, Work, encoded, locomo, shown
from mnemic.bench.peers.worker import Worker
from mnemic.bench.suite import Question
from mnemic.cli.peers import peers as command
from mnemic.errors import InputError, NotFoundError
from mnemic.text.record import Turn

ADAPTER = """
import os, socket, sys, time
print("a peer that talks on stdout")

class Peer:
    def __init__(self, folder, variant, known):
        if variant == "key":
            raise ValueError(f"set OPENAI_API_KEY, see https://docs.example.org/keys or {folder}")
        self.variant, self.known, self.kept = variant, known, []

    def add(self, turns):
        if self.variant == "die":
            sys.stderr.write("first line\\nout of memory\\n"); sys.stderr.flush(); os._exit(3)
        if self.variant == "sleep":
            time.sleep(60)
        if self.variant == "call":
            try:
                socket.create_connection(("telemetry.example.org", 443), timeout=1)
            except OSError:
                pass
        self.kept += [(turn["id"], turn["scope"], list(self.known(turn["text"]))) for turn in turns]

    def search(self, question, k, scope, now):
        if self.variant == "strange":
            return ["nobody"]
        if self.variant == "env":
            return sorted(os.environ)
        if self.variant == "sys":
            return [name for name in sys.modules if name.split(".")[0] == "mnemic"]
        asked = list(self.known(question))
        score = lambda row: -sum(a * b for a, b in zip(asked, row[2]))
        return [row[0] for row in sorted(self.kept, key=score) if row[1] == scope][:k]

    def close(self):
        pass
"""
TEXTS = ["Ann: a cat", "Ben: a dog", "Ann: a boat", "Ann: a cat, elsewhere"]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "toy.py"
    path.write_text(ADAPTER, encoding="utf-8")
    return path


@pytest.fixture
def work() -> Work:
    """Four turns of two conversations and two questions; a question's vector is nearest to the turn meant."""
    turns = [
        {"id": f"t{i}", "text": text, "scope": "b" if i == 3 else "a", "session": f"s{i}", "at": "2024-05-01T10:00:00Z",
         "speaker": text[:3], "said": text[5:], "caption": None}
        for i, text in enumerate(TEXTS)
    ]  # fmt: skip
    asked = [
        Asked(Question("q0", "which pet purrs?", "pets", ("t0",), ("s0",)), "a", "2024-05-02T00:00:00+00:00"),
        Asked(Question("q1", "what floats, and what barks?", "all", ("t2", "t1"), ("s2", "s1")), "a", "2024-05-02"),
    ]
    vectors = np.asarray([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0.9, 0.1, 0], [0.1, 0.3, 0.9]], np.float32)
    about = {"conversations": ["a", "b"], "turns": 4, "questions": 2, "questions with evidence": 2, "seed": 0}
    return Work(turns, asked, [*TEXTS, *(each.question.text for each in asked)], vectors, about)


def toy(adapter: Path, variant: str = "", **more: Any) -> Entry:
    return Entry(variant or "toy", adapter, variant, own=True, **more)


def test_worker_adds_and_searches_what_it_was_given(adapter: Path, work: Work) -> None:
    with Worker(adapter) as running:
        assert running.open() > 0
        running.know(work.texts, work.vectors)
        assert running.add(work.turns) > 0
        ids, ms = running.search("which pet purrs?", 2, "a", "")
        assert (ids, ms > 0) == (["t0", "t1"], True)  # t3 is as near as t0, in another conversation
        resident = running.resident()
        assert resident is None or 1 < resident < 1000
        assert running.close() == []


def test_vectors_survive_the_protocol_bit_by_bit(adapter: Path, tmp_path: Path) -> None:
    echo = tmp_path / "echo.py"
    echo.write_text(
        "class Peer:\n"
        "    def __init__(self, folder, variant, known): self.known = known\n"
        "    def search(self, question, k, scope, now): return [x.hex() for x in self.known(question)]\n"
    )
    vectors = np.random.default_rng(0).normal(size=(600, 5)).astype(np.float32)
    with Worker(echo) as running:
        running.open()
        running.know([str(i) for i in range(600)], vectors)
        for row in (0, 255, 256, 599):
            ids, _ = running.search(str(row), 1, "", "")
            assert [float.fromhex(each) for each in ids] == vectors[row].astype(float).tolist()


def test_blanks_around_a_text_do_not_count(adapter: Path, work: Work) -> None:
    with Worker(adapter) as running:
        running.open()
        running.know(["a cat "], np.ones((1, 3), np.float32))
        running.add([{"id": "t", "scope": "a", "text": "a cat"}])
        assert running.search(" a cat", 1, "a", "")[0] == ["t"]


def test_unknown_text_is_an_error_not_a_guess(adapter: Path) -> None:
    with Worker(adapter) as running:
        running.open()
        with pytest.raises(PeerError, match="search: KeyError"):
            running.search("never heard", 1, "a", "")


def test_reasons_say_what_the_peer_said_without_addresses_or_paths(adapter: Path, work: Work) -> None:
    with Worker(adapter, "key") as running, pytest.raises(PeerError) as raised:
        running.open()
    assert str(raised.value) == "open: ValueError: set OPENAI_API_KEY, see <address> or ~"


def test_a_worker_that_dies_or_hangs_is_told_apart(adapter: Path, work: Work) -> None:
    with Worker(adapter, "die") as running:
        running.open()
        with pytest.raises(PeerError, match="add: the worker ended; out of memory"):
            running.add(work.turns)
    with Worker(adapter, "sleep", timeout=5.0) as running:
        running.open()
        running._timeout = 0.3
        with pytest.raises(PeerError, match="no answer within 0 s"):
            running.add(work.turns)


def test_a_worker_reaches_no_network_and_tells_who_tried(adapter: Path, work: Work) -> None:
    with Worker(adapter, "call") as running:
        running.open()
        running.know(work.texts, work.vectors)
        running.add(work.turns)
        assert running.close() == ["telemetry.example.org"]


def test_workers_import_nothing_of_ours_and_see_no_keys(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, work: Work
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    with Worker(adapter, "sys") as running:
        running.open()
        assert running.search("", 1, "a", "")[0] == []
    with Worker(adapter, "env", interpreter=sys.executable) as running:
        running.open()
        seen = running.search("", 1, "a", "")[0]
    assert "SOME_API_KEY" not in seen
    assert "PYTHONPATH" not in seen
    assert {"HF_HUB_OFFLINE", "ANONYMIZED_TELEMETRY", "MEM0_TELEMETRY", "DO_NOT_TRACK"} <= set(seen)


def test_every_adapter_is_there_and_the_peers_are_pinned() -> None:
    for entry in catalogue.entries():
        assert entry.adapter.is_file(), entry.name
        assert entry.note
    for entry in catalogue.PEERS:
        assert entry.steps
        assert not entry.own
        assert all("==" in need for step in entry.steps for need in step)
        assert "mnemic" not in entry.adapter.read_text("utf-8")
    steps = {entry.environment: entry.steps for entry in catalogue.PEERS}
    assert steps["txtai"][0] == ("torch==2.13.0",)
    for entry in catalogue.PEERS:
        assert steps[entry.environment] == entry.steps, "two rows must not want one environment differently"
    assert [each.name for each in catalogue.chosen(["mnemic", "bm25"])] == ["mnemic", "bm25"]
    with pytest.raises(NotFoundError, match="there are bm25"):
        catalogue.chosen(["mem1"])


def test_measure_fills_a_row(adapter: Path, work: Work) -> None:
    row = rows.measure(toy(adapter), work)
    assert row.reason == ""
    assert row.add_ms is not None
    assert row.add_ms["n"] == 4
    assert row.search_ms is not None
    assert row.search_ms["n"] == 2
    assert {name: score["value"] for name, score in row.scores.items()} == {
        "recall@5": 100.0, "recall@10": 100.0, "recall@20": 100.0, "session any@10": 100.0,
    }  # fmt: skip
    assert row.each == [1.0, 1.0]
    assert row.bulk_s is not None


def test_measure_scores_only_the_first_k(work: Work) -> None:
    items = [
        rows.Item(each.question, "a", [["t3"]] * 9 + [["t1"], ["t2"]], [["s3"]] * 9 + [["s1"], ["s2"]], [0] * 11, 0, 1)
        for each in work.asked[1:]
    ]
    found = {name: score["value"] for name, score in rows.scores(items).items()}
    # Repeats count once: t3, t1, t2 are ranks one to three.
    assert found["recall@5"] == 100.0
    far = [
        rows.Item(
            work.asked[1].question, "a", [[f"x{i}"] for i in range(9)] + [["t1"], ["t2"]], [["s9"]] * 11, [0] * 11, 0, 1
        )
    ]
    assert {name: score["value"] for name, score in rows.scores(far).items()} == {
        "recall@5": 0.0, "recall@10": 50.0, "recall@20": 100.0, "session any@10": 0.0,
    }  # fmt: skip


def test_measure_keeps_what_was_measured_before_a_failure(adapter: Path, work: Work) -> None:
    row = rows.measure(toy(adapter, "strange"), work)
    assert row.reason == "search: 'nobody' is no turn that was added"
    assert row.add_ms is not None
    assert row.search_ms is None
    assert row.scores == {}


@pytest.mark.parametrize("variant", ["bm25", "dense", "fusion", "window"])
def test_baselines_rank(variant: str, work: Work) -> None:
    with Worker(worker.ADAPTERS / "baseline.py", variant) as running:
        running.open()
        running.know([*work.texts, "a boat?"], np.concatenate([work.vectors, [[0, 0.2, 0.9]]]).astype(np.float32))
        for turn in work.turns:
            running.add([turn])
        assert running.search("a boat?", 1, "a", "")[0] == ["t2"]
        assert running.search("a boat?", 9, "b", "")[0] == ([] if variant != "dense" else ["t3"])


def test_window_lifts_the_neighbours_inside_the_session_only() -> None:
    turns = [
        {"id": f"t{i}", "text": text, "scope": "a", "session": session}
        for i, (text, session) in enumerate([("plum", "s0"), ("heron", "s1"), ("fog", "s1"), ("rain", "s1")])
    ]
    with Worker(worker.ADAPTERS / "baseline.py", "window") as running:
        running.open()
        vectors = np.asarray([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]], np.float32)
        running.know(["plum", "heron", "fog", "rain", "heron?"], vectors)
        running.add(turns)
        assert running.search("heron?", 9, "a", "")[0] == ["t1", "t2"]


def test_mnemic_runs_through_its_public_api(work: Work) -> None:
    entry = Entry("mnemic", worker.ADAPTERS / "mnemic.py", "lexical", own=True)
    questions = [Asked(Question("q", "Who has the boat?", "all", ("t2",), ("s2",)), "a", "2024-05-02T00:00:00+00:00")]
    row = rows.measure(entry, Work(work.turns, questions, ["Who has the boat?"], np.ones((1, 3), np.float32)))
    assert row.reason == ""
    assert row.each == [1.0]


class FakePip:
    """Stands in for :func:`subprocess.run`: makes a folder like an environment's, or fails as pip does."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails = ""

    def __call__(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(list(command))
        if "venv" in command:
            home = Path(command[-1])
            site = home / "lib/python3/site-packages"
            (site / "toy/__pycache__").mkdir(parents=True)
            (site / "pip").mkdir()
            (home / "bin").mkdir()
            (home / "bin/python").touch()
            for name, count in (("toy/a.py", 100), ("toy/__pycache__/a.pyc", 1000), ("pip/b.py", 1000), ("one.py", 11)):
                (site / name).write_bytes(bytes(count))
        if "install" in command and self.fails:
            return subprocess.CompletedProcess(command, 1, "", self.fails)
        listed = [{"name": "toy", "version": "1.0"}, {"name": "pip", "version": "23"}]
        return subprocess.CompletedProcess(command, 0, json.dumps(listed) if "list" in command else "", "")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    made = FakePip()
    monkeypatch.setattr(environment.subprocess, "run", made)
    return made


@pytest.mark.skipif(os.name == "nt", reason="the made-up environment has the layout of other systems")
def test_environment_is_made_once_and_again_for_other_pins(pip: FakePip, tmp_path: Path) -> None:
    made = provide("toy", [("torch==1",), ("toy==1.0",)], tmp_path)
    installs = [call[-1] for call in pip.calls if "install" in call]
    assert installs == ["torch==1", "toy==1.0"], "in steps, in order"
    assert all("--no-cache-dir" in call for call in pip.calls if "install" in call)
    assert made.size == 111, "without pip and bytecode"
    assert made.packages == {"toy": "1.0"}
    before = len(pip.calls)
    assert provide("toy", [("torch==1",), ("toy==1.0",)], tmp_path) == made
    assert len(pip.calls) == before
    provide("toy", [("torch==1",), ("toy==1.1",)], tmp_path)
    assert len(pip.calls) == 2 * before
    (tmp_path / "toy" / environment.MARKER).write_text("{")
    provide("toy", [("torch==1",), ("toy==1.1",)], tmp_path)
    assert len(pip.calls) == 3 * before


def test_a_failed_installation_leaves_the_reason_and_nothing_else(pip: FakePip, tmp_path: Path) -> None:
    pip.fails = (
        "WARNING: something\n"
        "ERROR: Could not find a version that satisfies the requirement toy==9 (from versions: 1.0, 2.0)\n"
        "ERROR: No matching distribution found for toy==9 at https://index.example.org/simple\n"
    )
    with pytest.raises(PeerError) as raised:
        provide("toy", [("toy==9",)], tmp_path)
    assert str(raised.value) == (
        "ERROR: Could not find a version that satisfies the requirement toy==9; "
        "ERROR: No matching distribution found for toy==9 at <address>"
    )
    assert not (tmp_path / "toy").exists()


def test_a_peer_that_cannot_be_installed_is_a_row_with_the_reason(
    adapter: Path, work: Work, pip: FakePip, tmp_path: Path
) -> None:
    pip.fails = "ERROR: no such package\n"
    row = rows.measure(Entry("toy", adapter, "", "toy", (("toy==9",),)), work, where=tmp_path)
    assert row.reason == "ERROR: no such package"
    assert row.scores == {}


def test_a_peer_runs_under_its_own_interpreter(adapter: Path, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Environment("3", ("toy==1",), sys.executable, 5_000_000, {"toy": "1"})
    monkeypatch.setattr(rows, "provide", lambda *_: made)
    entry = Entry("toy", adapter, "env", "toy", (("toy==1",),))
    row = rows.measure(entry, work)
    assert (row.install_mb, row.packages, row.versions["toy"]) == (5.0, 1, "1")
    assert row.reason.startswith("search: ")  # its answers were names of its environment: the worker was the toy


def test_plain_hides_home() -> None:
    assert plain(f"no file {Path.home()}/x, see http://a.b/c?d now") == "no file ~/x, see <address> now"


def test_comparison_writes_json_and_markdown(adapter: Path, work: Work, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "peers.json"
    entries = [
        Entry(REFERENCE, adapter, "", own=True, note="the reference"),
        toy(adapter, "call", note="calls"),
        toy(adapter, "key", note="wants a key", durable=True),
    ]
    result = peers.compare(work, entries, command="mnemic bench peers", out=out)
    told = json.loads(out.read_text("utf-8"))
    assert [row["name"] for row in told["rows"]] == [REFERENCE, "call", "key"]
    assert told["rows"][1]["gap"] == [0.0, 0.0, 0.0]
    assert told["rows"][2]["gap"] is None
    page = out.with_suffix(".md").read_text("utf-8")
    assert page == result.markdown()
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in table}) == 1
    assert "| 100.0 | 100.0 | 100.0 | +0.0 [+0.0, +0.0] | 100.0 |" in table[3]
    assert "tried to reach telemetry.example.org" in page
    assert "- key: open: ValueError: set OPENAI_API_KEY" in page
    assert "100.0" not in table[4]


def test_gap_is_paired(work: Work) -> None:
    given = [rows.Row(REFERENCE, "", False, each=[0, 1, 0, 1]), rows.Row("x", "", False, each=[1, 1, 0.5, 1])]
    gap = Comparison("", {}, {}, given).gap(given[1])
    assert gap is not None
    assert gap[0] == 37.5
    assert 0 <= gap[1] <= 37.5 <= gap[2] <= 100


def test_shown_is_the_text_every_row_stores() -> None:
    told = shown(Turn("look", speaker="Ann", session="s", id="t", caption="a cat"), "a")
    assert told["text"] == "Ann: look [shares an image: a cat]"
    assert (told["said"], told["caption"], told["scope"]) == ("look", "a cat", "a")


class Counting:
    """A dense encoder of two letters."""

    name, version, dim = "letters", "1", 2

    def encode(self, texts: Sequence[str]) -> Any:
        return np.asarray([[text.count("a"), text.count("o")] for text in texts], np.float32)

    def encode_query(self, text: str) -> Any:
        return self.encode([text])[0]


def talk(path: Path) -> Path:
    """A file like LoCoMo's: two conversations of two turns."""
    samples = [
        {
            "sample_id": name,
            "conversation": {
                "session_1_date_time": "1:56 pm on 8 May, 2023",
                "session_1": [
                    {"speaker": "Ann", "dia_id": "D1:1", "text": "I adopted a cat called Miso."},
                    {"speaker": "Ben", "dia_id": "D1:2", "text": "My boat sank."},
                ],
            },
            "qa": [
                {"question": "What is the cat called?", "answer": "Miso", "evidence": ["D1:1"], "category": 4},
                {"question": "What sank?", "answer": "a boat", "evidence": ["D1:2"], "category": 4},
                {"question": "Who flies?", "answer": "?", "evidence": [], "category": 3},
                {"question": "What is Ben's cat called?", "evidence": ["D1:1"], "category": 5},
            ],
        }
        for name in ("x", "y")
    ]
    path.mkdir(exist_ok=True)
    (path / "locomo.json").write_text(json.dumps(samples), encoding="utf-8")
    return path


def test_work_draws_answerable_questions_with_evidence(tmp_path: Path) -> None:
    data = talk(tmp_path / "data")
    one = locomo(data, conversations=1, questions=200, seed=0)
    assert [each.question.text for each in one.asked] == ["What is the cat called?", "What sank?"]
    assert {each.now for each in one.asked} == {"2023-05-08T13:56:01+00:00"}
    assert [turn["scope"] for turn in one.turns] == ["x", "x"]
    two = locomo(data, conversations=3, questions=3, seed=0)
    assert (two.about["turns"], two.about["questions"], two.about["questions with evidence"]) == (4, 3, 4)
    assert two.asked == locomo(data, conversations=3, questions=3, seed=0).asked
    whole = encoded(one, Counting(), cache=tmp_path / "cache")
    assert whole.vectors.shape == (4, 2)
    assert whole.vectors[whole.texts.index("What sank?")].tolist() == [2.0, 0.0]
    with pytest.raises(InputError):
        locomo(tmp_path / "nowhere", conversations=1, questions=1, seed=0)


def test_command_measures_and_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mnemic.cli.peers as module

    monkeypatch.setattr(module.models, "pull", lambda name: tmp_path)
    monkeypatch.setattr(module, "MiniLM", Counting)
    monkeypatch.setattr(module, "encoded", lambda work, encoder: encoded(work, encoder, cache=tmp_path / "cache"))
    app = Typer()
    app.command()(command)
    out = tmp_path / "p.json"
    words = ["--data", str(talk(tmp_path / "data")), "--limit", "1", "--questions", "2", "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--peer", "bm25", "--peer", "dense"])
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text("utf-8"))
    assert [row["name"] for row in told["rows"]] == ["bm25", "dense"]
    assert told["rows"][0]["scores"]["recall@5"]["value"] == 100.0
    assert told["command"] == (
        "mnemic bench peers --data DIR --limit 1 --questions 2 --seed 0 --peer bm25 --peer dense"
    )
    assert str(tmp_path) not in out.read_text("utf-8") + out.with_suffix(".md").read_text("utf-8")
