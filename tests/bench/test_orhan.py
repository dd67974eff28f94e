"""Orhan's protocol: the pairs, the measures, the suite for memories, the runner for models."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mnemic.bench import metrics, orhan, stimuli
from mnemic.bench.orhan import Condition, Examination, Trial, chosen, examine, rouge, tabulated
from mnemic.bench.report import html, markdown
from mnemic.bench.run import Settings, run
from mnemic.bench.stimuli import KINDS, Pair, Stimuli, generated, original, scrambled, sentences
from mnemic.bench.suites import make
from mnemic.bench.suites.orhan import CONDITIONS
from mnemic.cli.bench import app
from mnemic.errors import InputError, NotFoundError

# -- ROUGE -----------------------------------------------------------------------------------------------------------


def test_rouge_by_hand():
    assert metrics.rouge_n("the cat sat", "The cat ran.", 1) == pytest.approx(2 / 3)
    assert metrics.rouge_n("the cat sat", "the cat ran", 2) == pytest.approx(1 / 2)
    assert metrics.rouge_n("a a a", "a", 1) == pytest.approx(2 / 4)  # clipped: one of three counts
    assert metrics.rouge_n("cat", "cat", 2) == 0.0
    assert metrics.rouge_l("a c b", "a b c") == pytest.approx(2 / 3)
    assert metrics.rouge_l("", "a") == metrics.rouge_n("", "a", 1) == 0.0
    assert metrics.rouge_l("Ångström, 5", "ångström 5") == 1.0


def longest(a: Sequence[str], b: Sequence[str]) -> int:
    """The longest common subsequence by its definition."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + longest(a[1:], b[1:])
    return max(longest(a[1:], b), longest(a, b[1:]))


def test_rouge_l_equals_the_definition():
    rng = random.Random(0)
    for _ in range(200):
        a, b = (rng.choices("xyz", k=rng.randint(1, 7)) for _ in range(2))
        assert metrics.rouge_l(" ".join(a), " ".join(b)) == pytest.approx(2 * longest(a, b) / (len(a) + len(b)))


def test_the_prompt_inflates_rouge_and_exact_is_word_for_word():
    wrong = rouge("the old baker ", "xx yy zz", "sold the kettle")
    assert wrong["recall ROUGE-L"] == 0
    assert wrong["with prompt ROUGE-L"] == pytest.approx(0.5)
    assert rouge("a ", "Sold it!", "sold it")["recall exact"] == 1
    assert rouge("a ", "it sold", "sold it")["recall exact"] == 0
    assert [chosen(1, 0), chosen(0, 1), chosen(2, 2)] == [1, 0, 0.5]


# -- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_made_again_from_their_seed_and_differ(kind: str):
    pairs = generated(kind, 40, 3).pairs
    assert pairs == generated(kind, 40, 3).pairs
    assert pairs != generated(kind, 40, 4).pairs
    seen = [pair.seen for pair in pairs]
    assert len(set(seen)) == 40
    assert not set(seen) & {pair.foil for pair in pairs}


def test_kinds_are_what_they_say():
    natural, paraphrase, synonym, letters, words = (
        generated(kind, 30).pairs for kind in ("natural", "paraphrase", "synonym", "letters", "words")
    )
    for plain, told, swapped, mixed in zip(natural, paraphrase, synonym, letters, strict=True):
        assert plain.seen == told.seen == swapped.seen
        assert sorted(plain.seen.replace(" ", "")) == sorted(mixed.seen.replace(" ", ""))
        assert sum(a != b for a, b in zip(swapped.seen.split(), swapped.foil.split(), strict=True)) == 3
        assert (" because " in told.seen) != (" because " in told.foil)
        assert metrics.rouge_n(plain.seen, plain.foil, 1) < metrics.rouge_n(told.seen, told.foil, 1)
    # Neither side is always the active one: else a form could be told for having been studied.
    assert {" because " in pair.seen for pair in paraphrase} == {True, False}
    assert len({len(pair.seen.split()) for pair in words}) == 1


def test_halves_are_cues_to_one_item_only():
    texts = sentences(2000, 1)
    halves = {" ".join(sorted(text.lower().split()[:9])) for text in texts}
    assert len(set(texts)) == 2000
    assert len(halves) == 2000


def test_scrambling_keeps_the_letters_of_every_word():
    mixed = scrambled("one three fifteen", random.Random(0))
    assert sorted("".join(sorted(word)) for word in mixed.split()) == sorted(
        "".join(sorted(word)) for word in ("one", "three", "fifteen")
    )


def files(folder: Path, kind: str, seen: list[str], foils: list[str]) -> Path:
    place = folder / "llm-memory" / KINDS[kind]
    place.mkdir(parents=True)
    for name, texts in (("seen", seen), ("unseen", foils)):
        (place / f"{name}_data_0.json").write_text("".join(json.dumps({"sent": text}) + "\n" for text in texts))
    return folder


def test_the_originals_files_are_read_and_what_is_unusable_counted(tmp_path: Path):
    files(tmp_path, "paraphrase", ["one", "two", "one", "four"], ["1", "two", "uno", "4"])
    found = original("paraphrase", tmp_path)
    assert found.pairs == [Pair("one", "1"), Pair("four", "4")]
    assert found.notes is not None
    assert sum(found.notes.values()) == 2
    assert original("paraphrase", tmp_path, 1).pairs == [Pair("one", "1")]
    with pytest.raises(InputError, match="expt1"):
        original("natural", tmp_path)
    files(tmp_path, "natural", ["one"], [])
    with pytest.raises(InputError, match="1 studied items and 0 foils"):
        original("natural", tmp_path)
    with pytest.raises(NotFoundError, match="paraphrase"):
        generated("verse")


def test_the_originals_own_files(data: Path):
    for kind in KINDS:
        found = original(kind, data)
        assert len(found.pairs) > 500
        assert not {pair.seen for pair in found.pairs} & {pair.foil for pair in found.pairs}


# -- memories --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnemic.bench.suites.orhan.PAIRS", 6)


def test_a_memory_recognises_and_recalls_what_it_keeps(small: None):
    result = run("orhan:synonym", ["bm25", "random", "mnemic@lexical"], cache=False, settings=Settings(limit=1))
    for label in ("bm25", "mnemic@lexical"):
        assert result[label].score("recognition (text)").value == 1
        assert result[label].score("recall exact").value == 1
        assert result[label].score("recall ROUGE-L", "synonym/x1").value == 1
    assert result["random"].score("recall exact").value < 1
    assert result["random"].score("recognition (score)").value == 0.5  # every turn scores the same: ties
    assert result["bm25"].score("recognition (confidence)").value == 0.5
    assert result["bm25"].score("recall exact").n == 6


def test_every_kind_and_condition_is_a_case(small: None):
    cases = make("orhan").load(None, limit=None, seed=0).cases
    assert len(cases) == len(KINDS) * len(CONDITIONS)
    assert [case.id for case in cases[:2]] == ["natural x1", "paraphrase x1"]
    (twice,) = [case for case in cases if case.id == "words x2"]
    assert len(twice.turns) == 12
    assert twice.questions[0].gold == ("0.0", "0.1")
    (later,) = [case for case in cases if case.id == "words x1 +160"]
    assert [len([t for t in later.turns if t.session == s]) for s in ("study", "later")] == [6, 160]
    with pytest.raises(InputError, match="letters"):
        make("orhan:verse")


def test_a_result_of_the_suite_shows_its_conditions(small: None, tmp_path: Path):
    out = tmp_path / "r.json"
    told = markdown([run("orhan:words", ["bm25"], settings=Settings(limit=5), out=out).to_json()])
    assert "| system | all/x1 | all/x2 | all/x3 | all/x1 +16 | all/x1 +160 | all/x1 +1600 |" in told
    assert "steep" not in out.read_text()
    again = run("orhan:words", ["bm25"], settings=Settings(limit=5), out=out)  # from the journal
    assert markdown([again.to_json()]).split("Conditions")[0] == told.split("Conditions")[0]


def test_intervals_are_over_pairs_and_base_conditions_apart():
    trials = [
        Trial(kind, condition, f"pair {n}", {"recall": float(n % 2 or condition.exposures > 1)})
        for kind in ("natural", "words")
        for condition in (Condition(1), Condition(2, 5))
        for n in range(10)
    ]
    scores = {(s.group): s for s in tabulated(trials, Condition(1))}
    assert scores["all"].value == 0.5
    assert scores["all"].n == 20
    assert scores["all"].clustered is not None
    low, high = scores["all"].clustered
    assert low < scores["all"].interval[0] + 1e-9
    assert high > scores["all"].interval[1] - 1e-9
    assert scores["natural"].clustered is None
    assert scores["words/x2 +5"].value == 1
    assert set(scores) == {g + c for g in ("all", "natural", "words") for c in ("", "/x1", "/x2 +5")}


# -- models ----------------------------------------------------------------------------------------------------------


class Parrot:
    """Keeps what it studied for as long as ``room`` items; likes what it keeps, else nothing more than anything."""

    name, batch = "parrot", 1

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.kept: list[str] = []
        self.studied: list[int] = []

    @property
    def about(self) -> Mapping[str, Any]:
        return {"room": self.room}

    def fresh(self) -> Parrot:
        return Parrot(self.room)

    def study(self, items: Sequence[str], exposures: int = 1) -> None:
        self.studied.append(len(items) * exposures)
        self.kept = [*self.kept, *(item for item in items if item not in self.kept)][-self.room :]

    def losses(self, items: Sequence[str]) -> list[float]:
        return [0.0 if item in self.kept else 1.0 for item in items]

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode()

    def complete(self, prefix: Sequence[int], tokens: int) -> list[int]:
        text = next((kept for kept in self.kept if kept.startswith(self.decode(prefix))), "?" * 1000)
        return self.encode(text)[len(prefix) : len(prefix) + tokens]


def test_the_protocol_on_a_model_that_can_be_seen_through():
    parrot = Parrot(room=10)
    pairs = generated("natural", 10)
    examination = Examination(10, (0, 2), (3, 10))
    trials = examine(parrot, pairs, examination, distractors=sentences(10, 7))
    assert parrot.kept == []  # only a copy studies

    def mean(condition: Condition, metric: str) -> float:
        return metrics.mean([t.values[metric] for t in trials if t.condition == condition])

    untaught, taught, later, last = examination.conditions
    assert (str(taught), str(later), str(last)) == ("x2", "x2 +3", "x2 +10")
    assert [mean(c, "recognition") for c in (untaught, taught, later, last)] == [0.5, 1.0, 0.85, 0.5]
    assert [mean(c, "recall exact") for c in (untaught, taught, later, last)] == pytest.approx([0.0, 1.0, 0.7, 0.0])
    assert examination.base == taught


def test_exposures_add_up_and_are_not_studied_twice():
    student = Parrot()

    class Shared(Parrot):
        def fresh(self) -> Parrot:
            return student

    examine(Shared(), generated("words", 4), Examination(4, (0, 1, 3), (2, 5)), distractors=sentences(5, 7))
    assert student.studied == [4, 8, 2, 3]


def test_too_few_distractors_and_impossible_examinations_are_refused():
    with pytest.raises(InputError, match="160 distractors"):
        examine(Parrot(), generated("words", 4), Examination(4), distractors=["a"])
    with pytest.raises(InputError, match="two pairs"):
        Examination(1)
    with pytest.raises(InputError, match="negative"):
        Examination(4, (-1, 2))


def test_a_result_of_a_model_reports_itself_and_keeps_no_text(tmp_path: Path):
    out = tmp_path / "r.json"
    examination = Examination(4, (0, 1), (2,), ("natural", "letters"))
    result = orhan.run(lambda seed: Parrot(), examination=examination, seeds=(0, 1), out=out)
    assert result["parrot"].score("recognition", "natural").value == 1
    assert result["parrot"].score("recognition", "all/x0").value == 0.5
    assert result["parrot"].score("recognition", "all/x0").n == 16
    told = markdown([json.loads(out.read_text())])
    assert "| parrot | 50.0 [50.0, 50.0] | 100.0 [100.0, 100.0] | 100.0 [100.0, 100.0] |" in told
    assert "| parrot |" in told
    assert "| - |" in told
    rows = json.loads(out.read_text())["systems"][0]["trials"]
    assert [row["condition"] for row in rows[:3]] == ["x0", "x1", "x1 +2"]
    assert rows[1]["recall exact"] == [1.0] * 4
    assert not any(word in out.read_text() for word in ("because", " from "))


def test_a_result_without_times_makes_a_page(tmp_path: Path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "r.json"
    examination = Examination(4, (0, 1), (), ("natural", "letters"))
    result = orhan.run(lambda seed: Parrot(), examination=examination, out=out)
    for found in (result.to_json(), json.loads(out.read_text())):  # with NaN, and with null
        page = html([found])
        assert "recognition by type of question" in page
        assert "against latency" not in page


def test_a_model_is_examined_on_the_users_files(tmp_path: Path):
    files(tmp_path, "paraphrase", ["the one", "the two"], ["that one", "that two"])
    examination = Examination(2, (1,), (), ("paraphrase",))
    result = orhan.run(lambda seed: Parrot(), tmp_path, examination=examination)
    assert result["parrot"].score("recognition").value == 1
    assert list(result.suite["files"]) == ["llm-memory/expt2"]


def test_study_from_the_command_line(tmp_path: Path):
    pytest.importorskip("torch")
    out = tmp_path / "r.json"
    runner = CliRunner()
    asked = ["study", "--kind", "words", "--pairs", "2", "--exposures", "1", "--retention", "", "--json", str(out)]
    # The real default model takes seconds to read its background: a tiny one stands in.
    from mnemic.bench import learners

    tiny = learners.Characters
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners, "Characters", lambda seed, **k: tiny(seed, width=4, background=0, **k))
        ran = runner.invoke(app, [*asked, "--rate", "0.01", "--batch", "2"], catch_exceptions=False)
        assert "## orhan (weights)" in ran.stdout
        learner = json.loads(out.read_text())["systems"][0]["learner"]
        assert (learner["rate"], learner["batch"], learner["background"]) == (0.01, 2, 0)
        with pytest.raises(InputError, match="0,1,2,3"):
            runner.invoke(app, ["study", "--exposures", "one"], catch_exceptions=False)


def test_stimuli_without_text_of_kinds_are_refused():
    with pytest.raises(NotFoundError):
        generated("verse", 2)
    assert replace(Stimuli("words", []), kind="letters").kind in stimuli.KINDS
