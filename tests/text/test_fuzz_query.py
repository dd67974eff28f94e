"""Whatever is asked of whatever is stored: what always holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

import mnemic
from mnemic import Filter, Memory, Recall, Turn
from mnemic.text.record import State
from mnemic.text.steps.render import count_tokens

START = datetime(2024, 3, 1, 9, tzinfo=UTC)
WORDS = "heron weir Ana Ben Lisbon live moved before last week when where 2023 the password is Quartz-77 7 日本".split()
SPEECH = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
ANYTHING = st.text(st.characters(), max_size=60)  # lone surrogates too
QUERY = SPEECH | ANYTHING | st.builds("{}{}".format, SPEECH, ANYTHING)
MOMENT = st.none() | st.datetimes(timezones=st.just(UTC)) | st.datetimes()
TURN = st.builds(
    Turn,
    SPEECH | ANYTHING.filter(str.strip),
    st.none() | st.sampled_from(["Ana", "Ben", "\u202eA\n[1]"]),
    st.none() | st.datetimes(timezones=st.just(UTC)) | st.datetimes(datetime(2023, 1, 1), datetime(2024, 3, 1)),
    st.none() | st.sampled_from(["s1", "s2"]),
)
FILTER = st.builds(
    Filter,
    kinds=st.lists(st.sampled_from(["turn", "fact"]), max_size=1),
    speakers=st.lists(st.sampled_from(["Ana", "Ben", "?"]), max_size=2),
    sessions=st.lists(st.sampled_from(["s1", "s2"]), max_size=1),
    since=st.none() | st.datetimes(timezones=st.just(UTC)),
    phrase=st.none() | SPEECH.map("heron {}".format),
)


@contextmanager
def holding(turns: list[Turn]) -> Iterator[Memory]:
    with mnemic.open(":memory:", encoders="lexical", clock=lambda: START) as memory:
        memory.remember(turns)
        memory.reflect()
        yield memory


def check(memory: Memory, found: Recall, k: int, budget: int | None) -> None:
    ids = [hit.id for hit in found]
    assert len(ids) == len(set(ids)) <= k
    assert [hit.n for hit in found] == list(range(1, len(ids) + 1))
    assert 0 <= found.confidence <= 1
    if budget is not None:
        assert count_tokens(found.text) <= budget
    numbers = [int(n) for n in re.findall(r"(?m)^\[(\d+)\]", found.text)]
    assert numbers == list(range(1, found.trace["packed"] + 1))
    if budget is None:
        assert len(numbers) == len(ids)
    assert "Quartz-77" not in repr(found.hits) or "password is Quartz-77" not in repr(memory.get(ids, secrets=True))
    stored = {record.id: record for record in memory.get(ids)}
    for hit in found:
        assert stored[hit.id].state == State.ACTIVE
        assert hit.record.text == stored[hit.id].text
        assert {record.id for record in memory.get(list(hit.sources))} == set(hit.sources)
    found.text.encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(TURN, max_size=8), QUERY, st.integers(1, 12), st.none() | st.integers(1, 200), MOMENT, st.data()
)  # fmt: skip
def test_recall_never_fails(
    turns: list[Turn], query: str, k: int, budget: int | None, now: datetime | None, data: Any
) -> None:
    with holding(turns) as memory:
        check(memory, memory.recall(query, k=k, budget=budget, now=now), k, budget)
        answer = memory.ask(query, now=now)
        assert answer.text
        assert answer.found == bool(answer.sentences)
        filter = data.draw(FILTER)
        found = memory.recall(query, k=k, filter=filter)
        check(memory, found, k, None)
        for hit in found:
            assert not filter.kinds or hit.kind in filter.kinds
            for turn in memory.get(list(hit.sources)):
                assert not filter.speakers or turn.speaker in filter.speakers
                assert not filter.sessions or turn.session in filter.sessions
                assert filter.since is None or (turn.at is not None and turn.at >= filter.since)


@settings(max_examples=40, deadline=None)
@given(st.lists(TURN, min_size=1, max_size=8), st.data())
def test_past_and_other_moments_never_fail(turns: list[Turn], data: Any) -> None:
    with holding(turns) as memory:
        query = data.draw(QUERY)
        valid_at, as_of = data.draw(MOMENT), data.draw(MOMENT)
        found = memory.recall(query, valid_at=valid_at, as_of=as_of)
        assert len({hit.id for hit in found}) == len(found)
        if as_of is not None and as_of.replace(tzinfo=UTC) < START:
            assert found.hits == ()
        found.text.encode()


class Life(RuleBasedStateMachine):
    """A memory that lives through any sequence of verbs, beside a plain model of what it should hold."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.memory = mnemic.open(":memory:", encoders="lexical", clock=lambda: self.now)
        self.active: dict[str, str] = {}
        self.before: dict[str, list[str]] = {}  # the ids of the versions before an active one
        self.was: list[tuple[datetime, dict[str, str]]] = []
        self.count = 0

    def teardown(self) -> None:
        self.memory.close()

    def tick(self) -> None:
        self.was.append((self.now, dict(self.active)))
        self.now += timedelta(days=1)

    @rule(target=ids, count=st.integers(1, 3))
    def remember(self, count: int) -> Any:
        said = [f"heron number n{self.count + i}" for i in range(count)]
        self.count += count
        found = self.memory.remember(said).ids
        self.active.update(zip(found, said, strict=True))
        self.tick()
        return multiple(*found)

    @rule(target=ids, id=consumes(ids), correction=st.booleans())
    def revise(self, id: str, correction: bool) -> Any:
        text = f"heron number n{self.count}"
        self.count += 1
        (new,) = set(self.memory.revise(id, text, at=None if correction else self.now).ids) - {id}
        del self.active[id]
        self.active[new] = text
        self.before[new] = [*self.before.get(id, []), id]
        self.tick()
        return new

    @rule(id=consumes(ids))
    def forget(self, id: str) -> None:
        self.memory.forget([id])
        del self.active[id]
        self.tick()

    @rule(id=consumes(ids))
    def forget_by_words(self, id: str) -> None:
        receipt = self.memory.forget(self.active.pop(id))
        assert isinstance(receipt, mnemic.Receipt)
        assert receipt.ids == (id,)
        self.tick()

    @rule(id=consumes(ids))
    def erase(self, id: str) -> None:
        self.memory.forget([id], erase=True)
        gone = [*self.before.get(id, []), id]  # erasing takes all versions, and so the past of each
        for _, held in self.was:
            for each in gone:
                held.pop(each, None)
        del self.active[id]
        assert self.memory.get(gone) == []
        self.tick()

    @rule()
    def reflect(self) -> None:
        assert self.memory.reflect() == {"derived": 0, "superseded": 0}

    @precondition(lambda self: self.was)
    @rule(data=st.data())
    def look_back(self, data: Any) -> None:
        moment, held = data.draw(st.sampled_from(self.was))
        found = self.memory.recall("heron", k=100, as_of=moment)
        assert {hit.id: hit.text for hit in found} == held

    @invariant()
    def recall_brings_exactly_what_is_active(self) -> None:
        found = self.memory.recall("heron", k=100)
        assert {hit.id: hit.text for hit in found} == self.active
        assert self.memory.space.check() is None


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
class TestLife(Life.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
