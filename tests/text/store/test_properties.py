"""A space against a dict that keeps everything: whatever happens in whatever order, both say the same."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from spaces import HOUR, Clock, every, hits, ids, turn

from mnemic.errors import ConflictError, NotFoundError
from mnemic.text.plan import Filter
from mnemic.text.record import Batch, State
from mnemic.text.store.base import Encoders
from mnemic.text.store.sqlite import SqliteSpace

WORDS = ["tea", "milk", "oil", "salt"]
FIRST = datetime(2024, 3, 1, tzinfo=UTC)
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
HOURS = st.integers(0, 6)
ITEM = st.tuples(TEXTS, HOURS)


@dataclass
class Item:
    """What the model knows of one record."""

    id: str
    text: str
    start: datetime
    recorded: datetime
    supersedes: str | None = None
    superseded_by: str | None = None
    retired: datetime | None = None
    ended: datetime | None = None
    forgotten: datetime | None = None
    archived: datetime | None = None

    def state(self, moment: datetime) -> State:
        for when, state in (
            (self.forgotten, State.FORGOTTEN),
            (self.retired, State.SUPERSEDED),
            (self.archived, State.ARCHIVED),
        ):
            if when is not None and when <= moment:
                return state
        return State.ACTIVE

    def shown(self, moment: datetime, world: datetime | None) -> bool:
        """Whether a search sees it: as the store was at ``moment``, about the world at ``world``."""
        hidden = [self.forgotten, self.archived]
        if self.recorded > moment or any(when is not None and when <= moment for when in hidden):
            return False
        over = self.retired is not None and self.retired <= moment
        if world is None:
            return not over
        return self.start <= world and not (over and self.ended is not None and self.ended <= world)


class SpaceMachine(RuleBasedStateMachine):
    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = str(Path(self.folder.name) / "space.db")
        self.clock = Clock()
        self.spaces = [SqliteSpace(path, Encoders(), clock=self.clock, durability="normal") for _ in range(2)]
        self.items: dict[str, Item] = {}
        self.writes = 0
        self.seq = 0
        self.counter = 0

    def teardown(self) -> None:
        self.everything_agrees()
        for space in self.spaces:
            space.close()
        self.folder.cleanup()

    @property
    def space(self) -> SqliteSpace:
        """One of two handles, by turns: each must see what the other wrote."""
        return self.spaces[self.counter % 2]

    def write(self, batch: Batch) -> None:
        self.clock.forward()
        receipt = self.space.write(batch)
        if receipt.ids:
            self.seq += 1
        assert receipt.seq == self.seq

    def new(self, text: str, start: datetime, supersedes: str | None = None) -> Item:
        self.counter += 1
        return Item(f"m{self.counter}", text, start, self.clock.now + HOUR, supersedes)

    @initialize(target=known, first=st.lists(ITEM, min_size=2, max_size=4))
    def begin(self, first: list[tuple[str, int]]) -> object:
        return self.store(first)

    @rule(target=known, several=st.lists(ITEM, min_size=1, max_size=3))
    def store(self, several: list[tuple[str, int]]) -> object:
        made = [self.new(text, FIRST + hour * HOUR) for text, hour in several]
        self.write(Batch(puts=[turn(item.id, item.text, at=item.start, session="s") for item in made]))
        self.items.update((item.id, item) for item in made)
        return multiple(*(item.id for item in made))

    @rule(id=known)
    def store_again(self, id: str) -> None:
        item = self.items.get(id)
        if item is None:
            return
        receipt = self.space.write(Batch(puts=[turn(id, item.text, at=item.start, session="s")]))
        assert (receipt.ids, receipt.duplicates) == ((), (id,))

    @rule(id=known, text=TEXTS)
    def store_otherwise(self, id: str, text: str) -> None:
        if id in self.items and self.items[id].text != text:
            with pytest.raises(ConflictError):
                self.space.write(Batch(puts=[turn("x1", "new"), turn(id, text), turn("x2", "new")]))

    @rule(target=known, id=known, text=TEXTS, hour=HOURS)
    def revise(self, id: str, text: str, hour: int) -> object:
        old = self.items.get(id)
        new = self.new(text, FIRST + hour * HOUR, supersedes=id)
        batch = Batch(puts=[turn(new.id, text, at=new.start, session="s")], retire={id: new.id})
        if old is None or old.retired is not None:
            with pytest.raises(NotFoundError if old is None else ConflictError):
                self.space.write(batch)
            return multiple()
        self.write(batch)
        old.retired, old.superseded_by = self.clock.now, new.id
        old.ended = max(old.start, new.start)
        self.items[new.id] = new
        return new.id

    @rule(several=st.lists(known, max_size=3), archive=st.booleans())
    def hide(self, several: list[str], archive: bool) -> None:
        self.write(Batch(archive=several) if archive else Batch(forget=several))
        for id in several:
            if (item := self.items.get(id)) is not None:
                if archive:
                    item.archived = item.archived or self.clock.now
                else:
                    item.forgotten = item.forgotten or self.clock.now

    @rule(several=st.lists(consumes(known), max_size=2))
    def purge(self, several: list[str]) -> None:
        self.clock.forward()
        there = [id for id in several if id in self.items]
        receipt = self.space.purge(several)
        assert sorted(receipt.ids) == sorted(set(there))
        assert not receipt.pending
        self.seq += bool(there)
        assert receipt.seq == self.seq
        for id in there:
            self.items.pop(id, None)

    @rule()
    def other_handle(self) -> None:
        self.counter += 1

    @rule(id=known, ago=st.integers(0, 40))
    def read_as_of(self, id: str, ago: int) -> None:
        moment = self.clock.now - ago * HOUR / 2
        item = self.items.get(id)
        found = self.space.get([id], moment)
        if item is None or item.recorded > moment:
            assert found == []
            return
        (record,) = found
        over = item.retired is not None and item.retired <= moment
        assert (record.text, record.recorded, record.state) == (item.text, item.recorded, item.state(moment))
        assert record.superseded_by == (item.superseded_by if over else None)
        assert (record.valid.start, record.valid.end) == (item.start, item.ended if over else None)

    @rule(word=st.sampled_from(WORDS), ago=st.none() | st.integers(0, 40), world=st.none() | st.integers(-1, 13))
    def search(self, word: str, ago: int | None, world: int | None) -> None:
        as_of = None if ago is None else self.clock.now - ago * HOUR / 2
        valid_at = None if world is None else FIRST + world * HOUR / 2
        moment = as_of or self.clock.now
        wanted = {i.id for i in self.items.values() if word in i.text.split() and i.shown(moment, valid_at)}
        assert hits(self.space, word, as_of=as_of, valid_at=valid_at) == wanted
        assert hits(self.space, word, as_of=as_of, valid_at=valid_at, exact=0, hops=0) == wanted

    @rule(id=known)
    def history(self, id: str) -> None:
        if id not in self.items:
            with pytest.raises(NotFoundError):
                self.space.history(id)
            return
        chain = [self.items[id]]
        while chain[0].supersedes in self.items:
            chain.insert(0, self.items[str(chain[0].supersedes)])
        while chain[-1].superseded_by in self.items:
            chain.append(self.items[str(chain[-1].superseded_by)])
        assert ids(self.space.history(id)) == [item.id for item in chain]

    @rule(
        words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2), limit=st.integers(1, 9), archived=st.booleans()
    )
    def scan(self, words: list[str], limit: int, archived: bool) -> None:
        def passes(item: Item, needed: str) -> bool:
            return item.forgotten is None and (archived or item.archived is None) and needed in f" {item.text} "

        said = " ".join(words)
        found = every(self.space, Filter(words=said, archived=archived), limit)
        assert ids(found) == [i.id for i in self.items.values() if all(passes(i, f" {w} ") for w in words)]
        found = every(self.space, Filter(phrase=said, archived=archived), limit)
        assert ids(found) == [i.id for i in self.items.values() if passes(i, f" {said} ")]

    @invariant()
    def counts_agree(self) -> None:
        told = self.space.stats()
        assert told["records"] == len(self.items)
        assert told["forgotten"] == sum(item.forgotten is not None for item in self.items.values())
        assert told["superseded"] == sum(item.retired is not None for item in self.items.values())
        assert told["seq"] == self.seq

    def everything_agrees(self) -> None:
        for space in self.spaces:
            for word in WORDS:
                wanted = {i.id for i in self.items.values() if word in i.text.split() and i.shown(self.clock.now, None)}
                assert hits(space, word) == wanted
            assert [change.seq for change in space.changes()] == list(range(1, self.seq + 1))


SpaceMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_a_space_and_a_dict_agree = pytest.mark.slow(SpaceMachine.TestCase)
