"""The loop: what makes a memory worse is refused on the canary, or taken back; everything is in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import mnemic
from mnemic.errors import ConflictError, InputError, LanguageError
from mnemic.govern import probe
from mnemic.govern.change import Change, Place, Rebuild, Reflect, Remember
from mnemic.govern.dmm import Governor
from mnemic.govern.measure import COVERAGE, FRESHNESS, RECALL, REFUSAL, UNSUPPORTED, Thresholds, measure
from mnemic.govern.probe import Probe
from mnemic.text import systems
from mnemic.text.plan import Filter
from mnemic.text.record import Batch, Kind

START = datetime(2024, 1, 6, tzinfo=UTC)
THINGS = "kettle lantern bicycle teapot ladder compass violin hammock toolbox curtain anchor pillow".split()
PLACES = "attic cellar harbour garage kitchen balcony shed office library garden hallway workshop".split()
PROBES = [Probe(f"Where is Ana's {thing}?", (f"t{i}",)) for i, thing in enumerate(THINGS)]
LENIENT = Thresholds(unsupported=0.3, coverage=0.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with mnemic.open(tmp_path / "m.db", encoders="lexical") as memory:
        memory.remember(
            [
                mnemic.Turn(
                    f"My {a} is kept in the {b} of our house.", "Ana", START + timedelta(days=i), f"s{i}", id=f"t{i}"
                )
                for i, (a, b) in enumerate(zip(THINGS, PLACES, strict=True))
            ]
        )
    return tmp_path / "m.db"


@pytest.fixture
def governor(path: Path) -> Governor:
    made = Governor(path, probes=PROBES, thresholds=LENIENT)
    made.register()
    return made


def steps(governor: Governor) -> list[str]:
    return [entry.kind for entry in governor.ledger.entries()]


def alive(path: Path) -> set[str]:
    with mnemic.open(path) as memory:
        return {turn.id for turn in memory.space.scan(Filter(kinds=[Kind.TURN]))[0]}


@dataclass
class Archive:
    """A change that puts the first ``count`` turns away; ``only`` on the real space or on the canary."""

    count: int
    only: Path | None = None
    undone: bool = False

    @property
    def about(self) -> Mapping[str, Any]:
        return {"change": "archive"}

    def do(self, place: Place) -> Mapping[str, Any]:
        if self.only in (None, place.path):
            with place.open() as memory:
                memory.space.write(Batch(archive=[f"t{i}" for i in range(self.count)]), op="reflect")
        return {}

    def undo(self, place: Place, did: Mapping[str, Any], snapshot: Path) -> Mapping[str, Any]:
        self.undone = True
        return Reflect().undo(place, did, snapshot)


def test_a_healthy_memory_passes_and_the_measures_say_what_they_rest_on(governor: Governor) -> None:
    verdict = governor.monitor()
    assert verdict.passed
    assert verdict.after[RECALL].value == 1.0
    assert verdict.after[RECALL].n == len(PROBES)
    assert verdict.after[COVERAGE].value == 1.0
    assert FRESHNESS not in verdict.after  # no probe says anything about it
    assert steps(governor) == ["register", "monitor"]


def test_a_change_that_loses_memories_is_refused_on_the_canary_and_the_space_is_untouched(
    governor: Governor, path: Path
) -> None:
    before = path.read_bytes()
    verdict = governor.apply(Archive(6))
    assert not verdict.passed
    assert verdict.step == "admit"
    assert {breach.measure for breach in verdict.breaches} >= {RECALL}
    assert "recall at 5 is 0.500, below 0.850" in str(verdict.breaches[0])
    assert path.read_bytes() == before
    assert steps(governor) == ["register", "admit"]


def test_a_small_loss_within_the_thresholds_is_refused_by_the_drawdown(governor: Governor) -> None:
    verdict = governor.admit(Archive(1))
    assert [breach.before for breach in verdict.breaches if breach.measure == RECALL] == [1.0]
    lenient = Governor(governor.place.path, probes=PROBES, thresholds=Thresholds(drawdown=0.1, unsupported=0.3))
    lenient.register()
    assert lenient.admit(Archive(1)).passed


def test_what_only_the_real_space_suffers_is_taken_back(governor: Governor, path: Path) -> None:
    change: Change = Archive(6, only=path)
    verdict = governor.apply(change)
    assert verdict.rolled_back
    assert not verdict.passed
    assert alive(path) == {f"t{i}" for i in range(12)}
    assert steps(governor) == ["register", "admit", "apply", "rollback", "monitor"]
    assert governor.monitor().passed


def test_a_reflect_that_does_no_harm_is_made(governor: Governor, path: Path) -> None:
    with mnemic.open(path) as memory:
        memory.remember("I live in Lisbon.", speaker="Ana")
    assert governor.apply(Reflect()).passed
    with mnemic.open(path) as memory:
        assert memory.space.scan(Filter(kinds=[Kind.FACT]))[0]


def test_a_reflect_whose_model_fails_is_judged_by_what_it_did(
    governor: Governor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, job: object, env: object) -> Iterator[Batch]:
        yield Batch()
        raise LanguageError("the model is away")

    monkeypatch.setattr("mnemic.text.systems.mnemic.Mnemic.reflect", fail)
    assert governor.apply(Reflect()).passed
    assert "the model is away" in str(governor.ledger.entries()[1].body["did"])


def test_a_change_that_raises_on_the_real_space_is_taken_back_and_raises(governor: Governor, path: Path) -> None:
    class Breaking(Archive):
        def do(self, place: Place) -> Mapping[str, Any]:
            super().do(place)
            if place.path == path:
                raise RuntimeError("power failure")
            return {}

    change = Breaking(5, only=path)
    with pytest.raises(RuntimeError):
        governor.apply(change)
    assert change.undone
    assert alive(path) == {f"t{i}" for i in range(12)}
    assert governor.ledger.entries()[-1].body["because"] == "RuntimeError"


def test_turns_that_drown_out_what_is_known_are_not_admitted(governor: Governor, path: Path) -> None:
    noise = [
        mnemic.Turn(
            f"Where is Ana's {thing}? The {thing}, the {thing}: where is Ana's {thing}?", "Ana", id=f"n{i}-{thing}"
        )
        for i in range(8)
        for thing in THINGS
    ]
    verdict = governor.apply(Remember(noise, source="a forum"))
    assert not verdict.passed
    assert alive(path) == {f"t{i}" for i in range(12)}
    useful = [mnemic.Turn("The cat sleeps on the piano.", "Ana", id="cat")]
    assert governor.apply(Remember(useful)).passed
    assert "cat" in alive(path)
    with pytest.raises(InputError, match="need ids"):
        Remember([mnemic.Turn("no id")])


def test_remembered_turns_are_forgotten_when_taken_back(governor: Governor, path: Path) -> None:
    change = Remember([mnemic.Turn("The cat sleeps on the piano.", "Ana", id="cat")])
    did = change.do(governor.place)
    assert change.undo(governor.place, did, path) == {"forgotten": 1}
    assert "cat" not in alive(path)


def test_a_worse_system_is_refused_and_a_rebuild_can_be_taken_back(
    governor: Governor, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind(systems.System):
        name = "blind"

        def write(self, turns: Any, env: Any) -> Batch:
            return Batch()

        def read(self, query: Any, env: Any) -> Any:
            return mnemic.Recall(query.text, (), "", 0.0)

        def reflect(self, job: Any, env: Any) -> Iterator[Batch]:
            yield from ()

    monkeypatch.setitem(systems.SYSTEMS, "blind", f"{__name__}:Blind")
    monkeypatch.setattr(f"{__name__}.Blind", Blind, raising=False)
    assert not governor.apply(Rebuild("blind")).passed
    with mnemic.open(path) as memory:
        assert memory.system.name == "mnemic"
        memory.space.snapshot(tmp_path / "snapshot.db")  # type: ignore[attr-defined]
    change = Rebuild("hema")
    change.do(governor.place)
    with mnemic.open(path, system="hema"):
        pass
    change.undo(governor.place, {}, tmp_path / "snapshot.db")
    with mnemic.open(path, system="mnemic"):
        pass


def test_nothing_is_measured_before_it_is_registered_and_goalposts_do_not_move(path: Path) -> None:
    governor = Governor(path, probes=PROBES)
    with pytest.raises(ConflictError, match="register"):
        governor.monitor()
    governor.register()
    governor.register()
    assert steps(governor) == ["register"]
    with pytest.raises(ConflictError, match="not the ones that were registered"):
        Governor(path, probes=PROBES, thresholds=Thresholds(recall=0.1)).monitor()
    with pytest.raises(ConflictError, match="not the ones that were registered"):
        Governor(path, probes=PROBES[:3]).monitor()
    changed = Governor(path, probes=PROBES[:3])
    changed.register()
    changed.monitor()
    assert steps(changed) == ["register", "register", "monitor"]


def test_a_space_without_probes_is_asked_for_its_own_turns(path: Path) -> None:
    with mnemic.open(path) as memory:
        memory.remember(
            mnemic.Turn(
                "Yesterday the orchestra rehearsed the slow movement twice because the oboe player was late again.",
                "Ben",
                START,
                "s",
                id="long",
            )
        )
    governor = Governor(path)
    governor.register()
    assert [p.gold for p in governor.probes] == [("long",)]
    assert governor.monitor().after[RECALL].value == 1.0
    assert "orchestra" not in str([entry.body for entry in governor.ledger.entries()])
    assert Governor(path).probes == governor.probes
    with mnemic.open(path) as memory:
        memory.forget("long", erase=True)
    with pytest.raises(InputError, match="no probes"):
        Governor(path)


def test_outdated_values_and_unanswerable_questions_are_measured(path: Path) -> None:
    with mnemic.open(path) as memory:
        memory.remember(mnemic.Turn("I moved, my flat is in Ghent now.", "Ana", START + timedelta(days=90), id="new"))
        memory.remember(mnemic.Turn("My flat is in Lisbon.", "Ana", START, id="old"))
        probes = [
            Probe("Where is Ana's flat now, in Ghent?", ("new",), ("old",)),
            Probe("Where is Ana's flat, in Lisbon?", ("new",), ("old",)),
            Probe("Who directed the quarterly submarine audit?"),
        ]
        found = measure(memory, probes)
    assert found[FRESHNESS].value == 0.5  # the second question asks for the old value in its own words
    assert found[REFUSAL].value == 1.0
    assert 0.0 <= found[UNSUPPORTED].value <= 1.0


@pytest.mark.parametrize(
    "line",
    ["{}", "[1]", "nonsense", '{"question": 3}', '{"question": "x", "gold": "t1"}', '{"question": "x", "now": "soon"}'],
)
def test_bad_probes_are_refused_with_their_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "probes.jsonl"
    file.write_text('{"question": "Where?", "gold": ["a"]}\n' + line + "\n")
    with pytest.raises(InputError, match=r"line 2|cannot read the time"):
        probe.load(file)


@pytest.mark.parametrize("given", [["recall=2"], ["recal=0.5"], ["recall=high"], ["recall"]])
def test_bad_thresholds_are_refused(given: list[str]) -> None:
    with pytest.raises(InputError, match="threshold"):
        Thresholds.parse(given)
