"""Facts in a memory: derived from turns, superseded by newer ones, and put ahead of the turns they answer for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

import mnemic
from mnemic import Filter, Kind, Memory, Turn
from mnemic.text.record import Record, State


def said(text: str, month: int, speaker: str = "Ana", id: str | None = None, role: str | None = None) -> Turn:
    at = datetime(2023, month, 1, tzinfo=UTC)
    return Turn(text, speaker, at, f"month {month}", role, id=id or f"{speaker}-{month}")


LISBON, PORTO, MADRID = (
    said("I live in Lisbon.", 1),
    said("I moved to Porto.", 5),
    said("I live in Madrid now.", 9),
)


def facts(memory: Memory, relation: str = "lives_in") -> list[Record]:
    found, _ = memory.space.scan(Filter(kinds=[Kind.FACT, Kind.PREFERENCE]))
    return [record for record in found if record.fields["relation"] == relation]


def valid(records: Sequence[Record]) -> list[tuple[str, int | None, int | None]]:
    """The values in order of time, with the months in which they began and ended."""
    spans = [(r.fields["value"], r.valid.start, r.valid.end) for r in records]
    spans.sort(key=lambda span: span[1] or datetime.min.replace(tzinfo=UTC))
    return [(value, start and start.month, end and end.month) for value, start, end in spans]


def first(memory: Memory, question: str, **options: Any) -> str:
    return memory.recall(question, **options).hits[0].text


class TestDerive:
    def test_a_fact_says_where_it_is_from(self, memory: Memory) -> None:
        memory.remember([LISBON, said("My favourite colour is blue.", 2, "Ben")])
        assert memory.reflect() == {"derived": 2, "superseded": 0}
        (lives,), (colour,) = facts(memory), facts(memory, "favourite:colour")
        assert (lives.kind, lives.speaker, lives.sources) == (Kind.FACT, "Ana", ("Ana-1",))
        assert (lives.text, lives.fields["value"]) == ("Ana lives in Lisbon.", "Lisbon")
        assert lives.at == lives.valid.start == LISBON.at
        assert (colour.kind, colour.speaker) == (Kind.PREFERENCE, "Ben")

    def test_what_a_model_says_of_itself_is_no_fact(self, memory: Memory) -> None:
        memory.remember(said("I live in Lisbon.", 1, "Bot", role="assistant"))
        assert memory.reflect()["derived"] == 0

    def test_a_newer_value_supersedes(self, memory: Memory) -> None:
        memory.remember([LISBON, PORTO, MADRID])
        assert memory.reflect() == {"derived": 3, "superseded": 2}
        assert valid(facts(memory)) == [("Lisbon", 1, 5), ("Porto", 5, 9), ("Madrid", 9, None)]
        (live,) = (record for record in facts(memory) if record.state == State.ACTIVE)
        assert [v.fields["value"] for v in memory.history(live.id)] == ["Lisbon", "Porto", "Madrid"]

    def test_subjects_do_not_mix(self, memory: Memory) -> None:
        memory.remember([LISBON, said("I moved to Porto.", 5, "Ben")])
        assert memory.reflect() == {"derived": 2, "superseded": 0}
        assert first(memory, "Where does Ana live?") == "Ana lives in Lisbon."
        assert first(memory, "Where does Ben live?") == "Ben lives in Porto."

    def test_said_again_is_not_stored_again(self, memory: Memory) -> None:
        memory.remember([LISBON, said("As I said, I live in Lisbon.", 3)])
        assert memory.reflect() == {"derived": 1, "superseded": 0}
        memory.remember([said("I live in Lisbon, Portugal.", 4)])
        assert memory.reflect() == {"derived": 0, "superseded": 0}

    def test_likes_do_not_exclude_each_other(self, memory: Memory) -> None:
        memory.remember([said("I love jazz.", 1), said("I love sailing.", 2)])
        assert memory.reflect() == {"derived": 2, "superseded": 0}

    @pytest.mark.parametrize("late", [1, 2], ids=["one batch", "batch by batch"])
    @pytest.mark.parametrize("order", list(permutations([LISBON, PORTO, MADRID])))
    def test_the_order_of_learning_does_not_matter(self, memory: Memory, order: list[Turn], late: int) -> None:
        for turn in order:
            memory.remember(turn)
            if late == 2:
                memory.reflect()
        memory.reflect()
        assert valid(facts(memory))[-1] == ("Madrid", 9, None)
        assert first(memory, "Where does Ana live now?") == "Ana lives in Madrid."
        for month, place in ((2, "Lisbon"), (6, "Porto"), (10, "Madrid")):
            moment = datetime(2023, month, 1, tzinfo=UTC)
            assert first(memory, "Where does Ana live?", valid_at=moment) == f"Ana lives in {place}."

    def test_learnt_late_is_the_former_one(self, memory: Memory) -> None:
        memory.remember(PORTO)
        memory.reflect()
        memory.remember(LISBON)
        memory.reflect()
        assert first(memory, "Where did Ana live before?") == "Ana lives in Lisbon."
        memory.remember(said("I live in Porto.", 7))
        assert memory.reflect() == {"derived": 0, "superseded": 0}

    def test_learnt_between_two_it_does_not_become_the_newest(self, memory: Memory) -> None:
        for turn in (LISBON, MADRID, PORTO):
            memory.remember(turn)
            memory.reflect()
        memory.remember(said("I live in Madrid.", 11))
        assert memory.reflect() == {"derived": 0, "superseded": 0}

    def test_from_the_beginning_again_adds_nothing(self, memory: Memory) -> None:
        same = LISBON.at
        memory.remember([LISBON, Turn("I moved to Porto.", "Ana", same, id="x"), said("I love jazz.", 1, id="y")])
        memory.reflect()
        before = list(memory.export())
        memory.space.unschedule("reflect")  # type: ignore[attr-defined]
        assert memory.reflect() == {"derived": 0, "superseded": 0}
        assert list(memory.export()) == before

    def test_forgotten_facts_stay_forgotten(self, memory: Memory) -> None:
        memory.remember([LISBON])
        memory.reflect()
        memory.forget([facts(memory)[0].id])
        memory.space.unschedule("reflect")  # type: ignore[attr-defined]
        memory.reflect()
        assert facts(memory) == []
        assert first(memory, "Where does Ana live?") == "I live in Lisbon."


class TestAhead:
    @pytest.fixture
    def moved(self, memory: Memory) -> Memory:
        memory.remember([LISBON, PORTO, MADRID, said("Ana, how is Madrid?", 9, "Ben"), said("I love jazz.", 4)])
        memory.reflect()
        return memory

    @pytest.mark.parametrize(
        ("question", "place"),
        [
            ("Where does Ana live?", "Madrid"),
            ("Where is Ana living these days?", "Madrid"),
            ("Where did Ana live before?", "Porto"),
            ("Where did Ana live at first?", "Lisbon"),
        ],
    )
    def test_the_right_one_of_the_chain(self, moved: Memory, question: str, place: str) -> None:
        found = moved.recall(question)
        assert found.hits[0].text == f"Ana lives in {place}."
        assert found.hits[1].id == found.hits[0].sources[0]
        assert place in found.hits[1].text

    def test_there_is_none_before_the_first(self, memory: Memory) -> None:
        memory.remember(LISBON)
        memory.reflect()
        assert {hit.kind for hit in memory.recall("Where did Ana live before?")} == {Kind.TURN}

    @pytest.mark.parametrize("k", [1, 2, 3, 10])
    def test_hits_stay_at_most_k_and_unique(self, moved: Memory, k: int) -> None:
        found = moved.recall("Where does Ana live?", k=k)
        assert len({hit.id for hit in found}) == len(found) <= k
        assert [hit.n for hit in found] == list(range(1, len(found) + 1))

    @pytest.mark.parametrize(
        "filter",
        [
            Filter(speakers=["Ben"]),
            Filter(sessions=["month 1"]),
            Filter(until=datetime(2023, 6, 1, tzinfo=UTC)),
            Filter(since=datetime(2023, 10, 1, tzinfo=UTC)),
            Filter(ids=["Ana-1", "Ana-5"]),
            Filter(roles=["user"]),
            Filter(phrase="moved to Porto"),
            Filter(words="jazz"),
            Filter(meta={"a": 1}),
            Filter(kinds=[Kind.TURN]),
            Filter(kinds=[Kind.PREFERENCE]),
        ],
        ids=lambda f: repr({k: v for k in ("speakers sessions until since ids roles phrase words meta kinds".split())
                            if (v := getattr(f, k))}),
    )  # fmt: skip
    def test_a_filter_holds_for_facts_and_their_turns(self, moved: Memory, filter: Filter) -> None:
        for hit in moved.recall("Where does Ana live?", filter=filter):
            assert "Madrid" not in hit.text or hit.speaker in filter.speakers or filter.kinds == [Kind.TURN]
            assert not filter.kinds or hit.kind in filter.kinds

    def test_a_filter_that_lets_the_turn_through_lets_the_fact(self, moved: Memory) -> None:
        for filter in (Filter(speakers=["Ana"]), Filter(sessions=["month 9"]), Filter(phrase="live in Madrid")):
            assert first(moved, "Where does Ana live?", filter=filter) == "Ana lives in Madrid."
        only = moved.recall("Where does Ana live?", filter=Filter(kinds=[Kind.FACT]))
        assert {hit.kind for hit in only} == {Kind.FACT}
        assert len({hit.id for hit in only}) == len(only)
        assert only.hits[0].text == "Ana lives in Madrid."

    def test_as_of_knows_what_was_known(self, memory: Memory, clock: Any) -> None:
        moments = []
        for turn in (LISBON, PORTO, MADRID):
            memory.remember(turn)
            memory.reflect()
            moments.append(clock.now)
            clock.forward(days=1)
        for moment, now, before in zip(moments, ("Lisbon", "Porto", "Madrid"), (None, "Lisbon", "Porto"), strict=True):
            assert first(memory, "Where does Ana live now?", as_of=moment) == f"Ana lives in {now}."
            if before:
                assert first(memory, "Where did Ana live before?", as_of=moment) == f"Ana lives in {before}."

    @pytest.mark.parametrize("erase", [False, True])
    def test_a_forgotten_value_is_not_told(self, moved: Memory, erase: bool) -> None:
        moved.forget(["Ana-5"], erase=erase)
        found = moved.recall("Where did Ana live before?")
        assert not any("Porto" in hit.text for hit in found)

    def test_a_revised_turn_gives_no_fact_until_it_is_read_again(self, memory: Memory) -> None:
        memory.remember([LISBON])
        memory.reflect()
        memory.revise("Ana-1", "I live in Faro.", at="2023-06-01")
        assert first(memory, "Where does Ana live?") == "I live in Faro."
        assert first(memory, "Where does Ana live?", valid_at="2023-02-01") == "Ana lives in Lisbon."
        memory.reflect()
        assert first(memory, "Where does Ana live?") == "Ana lives in Faro."
        assert first(memory, "Where did Ana live before?") == "Ana lives in Lisbon."

    @pytest.mark.parametrize("reflected", [True, False])
    def test_a_corrected_turn_never_was_so(self, memory: Memory, reflected: bool) -> None:
        memory.remember([LISBON])
        if reflected:
            memory.reflect()
        memory.revise("Ana-1", "I live in Faro.")
        assert first(memory, "Where does Ana live?") == "I live in Faro."
        memory.reflect()
        assert first(memory, "Where does Ana live?") == "Ana lives in Faro."
        for question, options in (
            ("Where did Ana live before?", {}),
            ("Where does Ana live?", {"valid_at": "2023-02-01"}),
        ):
            assert not any("Lisbon" in hit.text for hit in memory.recall(question, **options))

    def test_can_be_switched_off(self, clock: Any) -> None:
        from mnemic.text.systems.mnemic import Mnemic, Settings

        with mnemic.open(":memory:", system=Mnemic(Settings(facts=False)), encoders="lexical", clock=clock) as memory:
            memory.remember([LISBON, PORTO])
            memory.reflect()
            assert {hit.kind for hit in memory.recall("Where does Ana live?")} == {Kind.TURN}
