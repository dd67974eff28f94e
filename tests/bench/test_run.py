"""Running: what is measured, that broken runs go on, that results say under which conditions they hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from mnemic.bench import machine
from mnemic.bench.contender import Contender, contender
from mnemic.bench.controls import BM25, Control, Random, Recent
from mnemic.bench.result import MANY, compact
from mnemic.bench.run import Settings, run
from mnemic.bench.suite import Base, Case, Data, Item, Question, Score, all_sessions, any_session, recall_at, tabulate
from mnemic.errors import InputError, NotFoundError
from mnemic.text.memory import Memory
from mnemic.text.record import Turn

AT = datetime(2024, 5, 1, 10, tzinfo=UTC)


class Toy(Base):
    """Two cases of four turns; every question's gold is known."""

    name, about, licence = "toy", "toy questions", "none"
    headline = ("recall@2",)

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        def case(name: str) -> Case:
            texts = [
                "My cat is called Miso.",
                "The harbour was foggy.",
                "I sold the red bicycle.",
                "We ate plum dumplings.",
            ]
            turns = [
                Turn(text, speaker="Ann", at=AT + timedelta(days=n), session=f"s{n // 2}", id=f"{name}{n}")
                for n, text in enumerate(texts)
            ]
            asked = [
                Question("cat", "What is the cat called?", "pets", (f"{name}0",), ("s0",)),
                Question("food", "Who ate dumplings and sold a bicycle?", "food", (f"{name}3", f"{name}2"), ("s1",)),
                Question("none", "Where does the giraffe sleep?", "none", answerable=False),
            ]
            return Case(name, turns, asked)

        return Data([case("a"), case("b")][:limit], notes={"dropped": 3})

    def score(self, items: Sequence[Item]) -> list[Score]:
        return tabulate([i for i in items if i.question.answerable], {"recall@2": recall_at(2), "any": any_session(1)})


def opened(counts: list[int], made: type[Control] = BM25) -> Contender:
    """A contender that counts the spaces it opens."""

    def fresh() -> Control:
        counts.append(1)
        return made()

    return Contender("counted", fresh)


def test_every_question_is_asked_and_scored():
    outcome = run(Toy(), ["bm25"]).outcomes[0]
    assert [item.question.id for item in outcome.items] == ["cat", "food", "none"] * 2
    assert outcome.score("recall@2").value == 1.0
    assert outcome.score("recall@2").n == 4
    assert outcome.score("recall@2", "pets").n == 2
    assert outcome.score("recall@2").clustered == (1.0, 1.0)
    assert outcome.score("any", "food").clustered is None
    with pytest.raises(InputError, match="recall@2"):
        outcome.score("recall@3")


def test_the_default_system_runs_and_is_timed():
    outcome = run(Toy(), ["mnemic@lexical"]).outcomes[0]
    assert outcome.score("recall@2").value == 1.0
    assert outcome.about["system"] == "mnemic"
    latency = outcome.latency()
    assert latency["n"] == 6
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert latency["cold_p50"] > 0
    assert all(cost.turns == 4 and cost.ingest_ms > 0 and cost.bytes > 0 for cost in outcome.costs)


def test_controls_do_what_they_say():
    turns = [Turn(text, id=str(n), at=AT) for n, text in enumerate(["alpha beta", "beta", "gamma gamma", "delta"])]

    def order(made: type[Control], query: str) -> list[str]:
        control = made()
        control.remember(turns)
        return [hit.id for hit in control.recall(query, k=3).hits]

    assert order(Recent, "anything") == ["3", "2", "1"]
    assert order(BM25, "beta") == ["1", "0"]  # the shorter turn is about beta alone
    assert order(BM25, "gamma alpha") == ["0", "2"] or order(BM25, "gamma alpha") == ["2", "0"]
    assert order(BM25, "omega") == []
    assert order(Random, "x") == order(Random, "x")
    assert sorted(order(Random, "x")) != ["0", "0", "0"]


def test_unknown_names_are_told():
    with pytest.raises(NotFoundError, match="no suite"):
        run("nonsense", ["bm25"])
    with pytest.raises(NotFoundError, match="no system"):
        contender("nonsense")
    with pytest.raises(InputError, match="takes no encoders"):
        contender("bm25@minilm")
    with pytest.raises(InputError, match="--data"):
        run("locomo", ["bm25"])
    with pytest.raises(InputError, match="no variant"):
        run("longmemeval:nonsense", ["bm25"])


def test_missing_files_are_told(tmp_path: Path):
    with pytest.raises(InputError, match=r"locomo/locomo\.json"):
        run("locomo", ["bm25"], tmp_path)


def test_a_finished_run_asks_nothing_again(tmp_path: Path):
    out, counts = tmp_path / "toy.json", []
    first = run(Toy(), [opened(counts)], out=out)
    assert len(counts) == 2
    again = run(Toy(), [opened(counts)], out=out)
    assert len(counts) == 2
    assert again.outcomes == first.outcomes
    assert json.loads(out.read_text())["systems"] == json.loads(json.dumps(first.to_json()["systems"]))


def test_a_broken_run_goes_on_where_it_stopped(tmp_path: Path):
    out, counts = tmp_path / "toy.json", []
    whole = run(Toy(), [opened(counts)], out=out)
    journal = tmp_path / "toy.json.items.jsonl"
    lines = journal.read_text().splitlines()
    assert len(lines) == 2
    journal.write_text(lines[0] + "\n" + lines[1][:40])  # killed while it wrote the second case
    counts.clear()
    resumed = run(Toy(), [opened(counts)], out=out)
    assert len(counts) == 1
    assert [item.ranked for item in resumed.outcomes[0].items] == [item.ranked for item in whole.outcomes[0].items]
    assert resumed.outcomes[0].scores == whole.outcomes[0].scores
    counts.clear()
    run(Toy(), [opened(counts)], out=out)
    assert len(counts) == 0  # the torn line hides nothing that came after it


@pytest.mark.parametrize("changed", [Settings(seed=1), Settings(k=1), Settings(reflect=True)])
def test_other_settings_are_run_anew(tmp_path: Path, changed: Settings):
    out, counts = tmp_path / "toy.json", []
    run(Toy(), [opened(counts)], out=out)
    run(Toy(), [opened(counts)], out=out, settings=changed)
    assert len(counts) == 4


def test_other_code_is_run_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, counts = tmp_path / "toy.json", []
    run(Toy(), [opened(counts)], out=out)
    monkeypatch.setattr(machine, "code", lambda: "changed")
    run(Toy(), [opened(counts)], out=out)
    assert len(counts) == 4


def test_a_result_tells_its_conditions_and_no_text(tmp_path: Path):
    out = tmp_path / "deep" / "toy.json"
    run(Toy(), ["bm25", "mnemic@lexical"], out=out)
    result = json.loads(out.read_text())
    assert result["mnemic_bench"] == 1
    assert result["suite"]["notes"] == {"dropped": 3}
    assert result["suite"]["headline"] == ["recall@2"]
    assert result["configuration"] == {"limit": None, "seed": 0, "k": None, "reflect": False, "budget": None}
    assert set(result["versions"]) >= {"python", "mnemic", "code", "numpy"}
    assert result["machine"]["cores"] >= 1
    assert [system["label"] for system in result["systems"]] == ["bm25", "mnemic@lexical"]
    for file in (out, out.with_name("toy.json.items.jsonl")):
        text = file.read_text()
        for word in ("Miso", "dumpling", "giraffe"):
            assert word not in text


def test_items_keep_ranks_and_tokens_of_the_evidence():
    question = Question("q", "?", "c", gold=("a", "b", "z"), sessions=("s1", "s9"))
    item = Item(question, "case", [["x"], ["b", "a"], ["a"]], [["s0"], ["s0", "s1"], ["s1"]], [10, 20, 30], 0.5, 1.0)
    row = compact(item)
    assert row["ranks"] == [3, 2, None]
    assert row["tokens"] == [30, 30, None]
    assert row["session_ranks"] == [2, None]
    assert row["returned"] == 3
    assert "answerable" not in row


def test_long_gold_is_kept_as_counts():
    gold = tuple(f"t{n}" for n in range(MANY + 1))
    item = Item(Question("q", "?", "c", gold=gold), "case", [["t1"], ["t2"], ["x"]], [["s"]] * 3, [1, 1, 1], 0.5, 1.0)
    row = compact(item)
    assert (row["gold"], row["found"], row["returned"]) == (MANY + 1, 2, 3)
    assert "ranks" not in row


def test_budgets_count_whole_hits_only():
    question = Question("q", "?", "c", gold=("a", "b"), sessions=("s",))
    item = Item(question, "case", [["a"], ["b"]], [["s"], ["s"]], [100, 50], 0.5, 1.0)
    assert item.within(99) == []
    assert item.within(100) == ["a"]
    assert item.within(149) == ["a"]
    assert item.within(150) == ["a", "b"]


def test_a_hit_that_cites_several_turns_takes_several_places():
    question = Question("q", "?", "c", gold=("b",), sessions=("s2",))
    item = Item(question, "case", [["a", "b"], ["b", "c"]], [["s1", "s2"], ["s2"]], [5, 5], 0.5, 1.0)
    assert item.turns == ["a", "b", "c"]
    assert recall_at(1)(item) == 0.0
    assert recall_at(2)(item) == 1.0
    assert any_session(1)(item) == 0.0
    assert all_sessions(2)(item) == 1.0


def test_unscored_questions_are_left_out():
    item = Item(Question("q", "?", "c", gold=("a",), scored=False), "case", [["a"]], [["s"]], [5], 0.5, 1.0)
    assert recall_at(5)(item) is None
    assert recall_at(5)(Item(Question("q", "?", "c"), "case", [["a"]], [["s"]], [5], 0.5, 1.0)) is None


def test_a_tuned_system_can_be_given():
    from mnemic.text.systems.mnemic import Mnemic
    from mnemic.text.systems.mnemic import Settings as Knobs

    tuned = contender("mnemic@lexical", system=Mnemic(Knobs(chat=False)))
    outcome = run(Toy(), [tuned]).outcomes[0]
    assert "chat=False" in outcome.about["settings"]


def test_progress_is_told():
    told: list[tuple[str, int, int]] = []
    run(Toy(), ["recent"], progress=lambda *call: told.append(call))
    assert told == [("recent", 1, 2), ("recent", 2, 2)]


def test_code_digest_changes_with_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("text", "bench"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("1")
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr("mnemic.__file__", str(tmp_path / "__init__.py"))
    machine.code.cache_clear()
    try:
        before = machine.code()
        (tmp_path / "text" / "rank.json").write_text("{}")
        machine.code.cache_clear()
        assert machine.code() != before
    finally:
        machine.code.cache_clear()


def test_undated_turns_get_the_same_date_in_every_run():
    memory = contender("mnemic@lexical").open()
    memory.remember([Turn("My cat is called Miso.", id="a")])
    (hit,) = memory.recall("cat", k=1, now=None).hits
    assert hit.at == datetime(2024, 1, 1, tzinfo=UTC)
    memory.close()


def test_clusters_are_the_cases():
    def item(case: str, n: int) -> Item:
        return Item(
            Question(str(n), "?", "c", gold=("a",)), case, [["a" if case == "x" else "b"]], [["s"]], [5], 0.5, 1.0
        )

    (score, *_) = tabulate([item(case, n) for case in "xy" for n in range(40)], {"recall@1": recall_at(1)})
    assert score.value == 0.5
    assert score.clustered == (0.0, 1.0)
    assert 0.3 < score.interval[0] < score.interval[1] < 0.7


def test_questions_are_encoded_for_real_while_turns_come_from_the_cache(tmp_path: Path):
    from mnemic.bench.cache import CachedSparse
    from mnemic.text import opening
    from mnemic.text.encode.base import SparseVector
    from mnemic.text.store.base import Encoders

    class Toys:
        name, version, dim = "toy", "1", 50
        asked: ClassVar[list[str]] = []

        def encode(self, texts: Sequence[str]) -> list[SparseVector]:
            self.asked += texts
            return [SparseVector(np.array([len(t) % 50], np.int32), np.ones(1, np.float32)) for t in texts]

    def measured() -> list[str]:
        Toys.asked.clear()
        encoders = Encoders(sparse=CachedSparse(Toys(), tmp_path))

        def fresh() -> Memory:
            return opening.open(":memory:", encoders=encoders)

        outcome = run(Toy(), [Contender("toy", fresh, {}, encoders)]).outcomes[0]
        assert sum(outcome.cached.values()) == 8
        return list(Toys.asked)

    questions = 2 * 4  # three each, and the first one twice
    assert len(measured()) == 4 + questions  # the cases share their texts
    assert len(measured()) == questions


def test_a_budget_of_ones_own_is_measured_too() -> None:
    outcome = run("generated", ["mnemic@lexical"], settings=Settings(limit=2, budget=64)).outcomes[0]
    found = {score.metric: score.value for score in outcome.scores if score.group == "all"}
    assert 0 < found["recall in 64 tokens"] <= found["recall in 256 tokens"]
