"""The index against a slow and obvious reference: the same candidates, the same columns, on random small data."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.encode.base import SparseVector
from mnemic.text.plan import Candidates, Filter, SearchPlan
from mnemic.text.record import Kind
from mnemic.text.store.columns import NEVER, Names, Row, Table
from mnemic.text.store.index import Index

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DIM = 4
WORDS = ["tea", "milk", "oil", "salt", "rye"]
ROLES = [None, "user", "assistant", "odd"]


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def row(id: str, tokens: tuple[str, ...] = ("tea",), **more: Any) -> Row:
    """A row as short as a test can write it, with vectors that follow from its words."""
    made: dict[str, Any] = {
        "kind": Kind.TURN,
        "at": math.nan,
        "valid_from": math.nan,
        "valid_to": NEVER,
        "ended": NEVER,
        "recorded": 0.0,
        "retired": NEVER,
        "forgotten": NEVER,
        "archived": NEVER,
        "speaker": None,
        "role": None,
        "session": None,
        "supersedes": None,
        "question": False,
        "time_word": False,
        "words": 3,
        "names": 1,
        "reaction": False,
    }
    counts = [Counter(text.split()) for text in tokens]
    terms = [np.array(sorted(WORDS.index(w) for w in c), np.int32) for c in counts]
    weights = [np.array([c[WORDS[t]] / 2 for t in ts], np.float32) for c, ts in zip(counts, terms, strict=True)]
    dense = [np.array([c["tea"] - c["oil"], c["milk"], c["salt"], 1.0], np.float32) for c in counts]
    return Row(id, tokens=tokens, sparse_terms=terms, sparse_weights=weights, dense=dense, **{**made, **more})


# -- the reference: rows in a list, everything computed by looping -------------------------------------------------


@dataclass
class Slot:
    """One key of one item."""

    number: int
    row: Row
    key: int

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.row.tokens[self.key].split())

    @property
    def length(self) -> int:
        return len(self.row.tokens[self.key].split())


class Reference:
    """What ``Index.search`` promises, from its docstrings and those of ``SearchPlan`` and ``Candidates``."""

    def __init__(self, rows: list[Row]) -> None:
        self.slots = [Slot(n, row, k) for n, row in enumerate(rows) for k in range(len(row.tokens))]
        self.rows = rows
        self.chains: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            if row.kind == Kind.TURN and row.session is not None:
                chain = self.chains.setdefault(row.session, [])
                place = len(chain)
                while place and rows[chain[place - 1]].at > row.at:
                    place -= 1
                chain.insert(place, number)

    def seen(self, row: Row, plan: SearchPlan) -> bool:
        now = math.inf if plan.as_of is None else (plan.as_of - EPOCH).total_seconds()
        past = lambda moment: moment <= now and moment != NEVER  # noqa: E731
        if row.recorded > now or past(row.forgotten) or (past(row.archived) and not plan.filter.archived):
            return False
        if plan.valid_at is None:
            return not past(row.retired)
        world = (plan.valid_at - EPOCH).total_seconds()
        end = row.ended if past(row.retired) else row.valid_to
        return not row.valid_from > world and world < end

    def wanted(self, row: Row, plan: SearchPlan) -> bool:
        f = plan.filter
        return (
            self.seen(row, plan)
            and (not f.kinds or row.kind in f.kinds)
            and (not f.speakers or row.speaker in f.speakers)
            and (not f.sessions or row.session in f.sessions)
            and (not f.roles or row.role in f.roles)
            and (f.since is None or row.at >= (f.since - EPOCH).total_seconds())
            and (f.until is None or row.at < (f.until - EPOCH).total_seconds())
        )

    def bm25(self, slot: Slot, plan: SearchPlan) -> float:
        shown = [s for s in self.slots if self.seen(s.row, plan)]
        mean = sum(s.length for s in shown) / max(len(shown), 1)
        score = 0.0
        for term in set(plan.terms):
            count = slot.counts[term]
            df = sum(term in s.counts for s in shown)
            idf = math.log(1 + max(len(shown) - df + 0.5, 0) / (df + 0.5))
            score += idf * count * 2.2 / (count + 1.2 * (0.5 + 0.5 * slot.length / max(mean, 1e-9)))
        return score

    def legs(self, slot: Slot, plan: SearchPlan) -> list[float]:
        found = [self.bm25(slot, plan)]
        if plan.sparse is not None:
            query = dict(zip(plan.sparse.terms.tolist(), plan.sparse.weights.tolist(), strict=True))
            row = slot.row
            pairs = zip(row.sparse_terms[slot.key].tolist(), row.sparse_weights[slot.key].tolist(), strict=True)
            found.append(sum(query.get(t, 0.0) * w for t, w in pairs))
        if plan.dense is not None:
            found.append(float(slot.row.dense[slot.key] @ plan.dense))
        return found

    def candidates(self, plan: SearchPlan) -> set[tuple[int, int]]:
        """(item, key) of what is brought, neighbours included. Needs ``depth`` to cut no tie."""
        shown = [s for s in self.slots if self.seen(s.row, plan)]
        if len(self.slots) <= plan.exact:
            return {(s.number, s.key) for s in shown}
        wanted = [s for s in shown if self.wanted(s.row, plan)]
        scores = {(s.number, s.key): self.legs(s, plan) for s in wanted}
        chosen: set[tuple[int, int]] = set()
        for leg in range(len(next(iter(scores.values()), []))):
            best = sorted((c for c in scores if scores[c][leg] > 1e-12), key=lambda c: -scores[c][leg])
            chosen |= set(best[: plan.depth])
        brought = set(chosen)
        for number, _ in chosen:
            chain = self.chains.get(self.rows[number].session or "", [])
            if number in chain:
                place = chain.index(number)
                for beside in chain[max(0, place - plan.hops) : place + plan.hops + 1]:
                    if self.seen(self.rows[beside], plan) and beside != number:
                        brought.add((beside, 0))
        return brought


def check(index: Index, rows: list[Row], plan: SearchPlan) -> Candidates:
    """Every column of the index's answer against the reference."""
    reference = Reference(rows)
    c = index.search(plan)
    keys_of = Counter(s.number for s in reference.slots)
    got: list[Slot] = []
    for number in c.item.tolist():  # keys of one item come in order, neighbours by their first key
        slots = [s for s in reference.slots if s.number == number]
        had = sum(s.number == number for s in got)
        got.append(slots[had])
    brought = reference.candidates(plan)
    if all(count == 1 for count in keys_of.values()):
        assert {(s.number, s.key) for s in got} == brought
    else:  # which key of an item came cannot be told from outside: compare the items, and how many keys of each
        assert Counter(s.number for s in got) == Counter(number for number, _ in brought)
        order = sorted(brought)
        got = [next(s for s in reference.slots if (s.number, s.key) == place) for place in order]
    shown = [s for s in reference.slots if reference.seen(s.row, plan)]
    assert c.exact == (len(reference.slots) <= plan.exact)
    assert c.count == len(shown)
    assert c.mean_length == pytest.approx(sum(s.length for s in shown) / max(len(shown), 1))
    assert c.session_count == len({s.row.session for s in shown if s.row.session is not None})
    assert c.eligible.tolist() == [reference.wanted(s.row, plan) for s in got]
    assert c.is_turn.tolist() == [s.row.kind == Kind.TURN for s in got]
    assert c.assistant.tolist() == [s.row.role == "assistant" for s in got]
    assert c.question.tolist() == [s.row.question for s in got]
    assert c.time_word.tolist() == [s.row.time_word for s in got]
    assert c.length.tolist() == [s.length for s in got]
    assert c.words.tolist() == [s.row.words for s in got]
    np.testing.assert_array_equal(c.at, [s.row.at for s in got])
    assert [None if n < 0 else c.speakers[n] for n in c.speaker.tolist()] == [s.row.speaker for s in got]
    first_slot = {number: i for i, number in reversed(list(enumerate(c.item.tolist())))}
    sessions: dict[int, str] = {}
    for i, slot in enumerate(got):
        chain = reference.chains.get(slot.row.session or "", [])
        here = chain.index(slot.number) if slot.number in chain else None
        before = chain[here - 1] if here else None
        after = chain[here + 1] if here is not None and here + 1 < len(chain) else None
        if all(count == 1 for count in keys_of.values()):
            assert c.previous[i] == first_slot.get(before, -1)
            assert c.following[i] == first_slot.get(after, -1)
        assert bool(c.first[i]) == (slot.row.session is not None and (here is None or here < 2))
        assert (c.session[i] < 0) == (slot.row.session is None)
        if slot.row.session is not None:
            assert sessions.setdefault(int(c.session[i]), slot.row.session) == slot.row.session
    assert sorted(sessions) == list(range(len(c.session_at)))
    for number, name in sessions.items():
        inside = [s for s in shown if s.row.session == name]
        assert c.session_length[number] == sum(s.length for s in inside)
        dated = [s.row.at for s in got if s.row.session == name and not math.isnan(s.row.at)]
        np.testing.assert_equal(c.session_at[number], min(dated, default=math.nan))
    if plan.terms:
        assert c.lexical is not None
        terms = list(dict.fromkeys(plan.terms))
        assert c.lexical.query.tolist() == [list(plan.terms).count(t) for t in terms]
        assert c.lexical.weights.tolist() == [[s.counts[t] for t in terms] for s in got]
        assert c.lexical.df.tolist() == [sum(t in s.counts for s in shown) for t in terms]
        within = {s.row.session for s in shown} - {None}
        totals = {name: [sum(s.counts[t] for s in shown if s.row.session == name) for t in terms] for name in within}
        assert c.lexical.session_df.tolist() == [
            sum(total[i] > 0 for total in totals.values()) for i in range(len(terms))
        ]
        assert [c.lexical.sessions[n].tolist() for n in sorted(sessions)] == [
            totals[sessions[n]] for n in sorted(sessions)
        ]
    if plan.sparse is not None:
        assert c.sparse is not None
        weight = [
            dict(zip(s.row.sparse_terms[s.key].tolist(), s.row.sparse_weights[s.key].tolist(), strict=True))
            for s in shown
        ]
        for j, term in enumerate(plan.sparse.terms.tolist()):
            assert c.sparse.df[j] == sum(term in w for w in weight)
            for i, slot in enumerate(got):
                mine = dict(
                    zip(slot.row.sparse_terms[slot.key].tolist(), slot.row.sparse_weights[slot.key], strict=True)
                )
                assert c.sparse.weights[i, j] == mine.get(term, 0.0)
            for n, name in sessions.items():
                inside = [w.get(term, 0.0) for s, w in zip(shown, weight, strict=True) if s.row.session == name]
                assert c.sparse.sessions[n, j] == max(inside)
        np.testing.assert_array_equal(c.sparse.query, plan.sparse.weights)
    if plan.dense is not None:
        assert c.vectors is not None
        np.testing.assert_array_equal(c.vectors, np.array([s.row.dense[s.key] for s in got]).reshape(-1, DIM))
    return c


MOMENTS = st.sampled_from([NEVER, NEVER, 2.0, 5.0])
TEXTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)


@st.composite
def worlds(draw: st.DrawFn) -> list[Row]:
    rows = []
    several = draw(st.booleans())
    for i in range(draw(st.integers(0, 14))):
        rows.append(
            row(
                f"r{i}",
                tuple(draw(st.lists(TEXTS, min_size=1, max_size=3 if several else 1))),
                kind=draw(st.sampled_from([Kind.TURN, Kind.TURN, Kind.TURN, Kind.FACT])),
                at=draw(st.sampled_from([math.nan, 1.0, 2.0, 3.0, 4.0])),
                valid_from=draw(st.sampled_from([math.nan, 1.0, 3.0])),
                valid_to=draw(st.sampled_from([NEVER, 4.0])),
                ended=draw(st.sampled_from([1.0, 3.0])),
                recorded=draw(st.sampled_from([0.0, 2.0, 5.0])),
                retired=draw(MOMENTS),
                forgotten=draw(MOMENTS),
                archived=draw(MOMENTS),
                speaker=draw(st.sampled_from([None, "Ann", "Bob"])),
                role=draw(st.sampled_from(ROLES)),
                session=draw(st.sampled_from([None, "a", "b", "c"])),
                question=draw(st.booleans()),
                time_word=draw(st.booleans()),
                words=draw(st.integers(0, 9)),
            )
        )
    return rows


MAYBE_TIME = st.none() | st.sampled_from([0.0, 1.0, 2.0, 3.5, 5.0, 9.0]).map(at)


@st.composite
def plans(draw: st.DrawFn) -> SearchPlan:
    some = lambda values: draw(st.lists(st.sampled_from(values), max_size=2, unique=True))  # noqa: E731
    terms = np.array(sorted(draw(st.sets(st.integers(0, 6), min_size=1, max_size=4))), np.int32)
    weights = np.linspace(0.25, 1.0, len(terms), dtype=np.float32)
    vector = np.array([1.0, 0.5, -0.25, 0.01], np.float32)
    narrowed = draw(st.booleans())
    return SearchPlan(
        terms=draw(st.lists(st.sampled_from([*WORDS, "never"]), max_size=4)),
        sparse=SparseVector(terms, weights) if draw(st.booleans()) else None,
        dense=vector if draw(st.booleans()) else None,
        filter=Filter(
            kinds=some([Kind.TURN, Kind.FACT]),
            speakers=some(["Ann", "Bob", "Eve"]),
            sessions=some(["a", "b", "z"]),
            roles=some(["user", "assistant", "odd", "z"]),
            since=draw(MAYBE_TIME),
            until=draw(MAYBE_TIME),
            archived=draw(st.booleans()),
        )
        if narrowed
        else Filter(),
        as_of=draw(MAYBE_TIME),
        valid_at=draw(MAYBE_TIME),
        hops=draw(st.integers(0, 3)),
        depth=1000,
        exact=draw(st.sampled_from([0, 2500])),
    )


@settings(max_examples=120, deadline=None)
@given(worlds(), st.lists(plans(), min_size=1, max_size=3), st.integers(0, 14))
def test_every_column_against_the_reference(rows: list[Row], asked: list[SearchPlan], cut: int) -> None:
    index = Index(DIM)
    index.add([r._replace(retired=NEVER, forgotten=NEVER, archived=NEVER, ended=NEVER) for r in rows[:cut]])
    for plan in asked[:1]:
        index.search(plan)
    index.add(rows)  # the first ones only have their states refreshed
    for plan in asked:
        check(index, rows, plan)


@pytest.mark.parametrize("depth", [1, 3, 10])
def test_a_leg_brings_its_best(depth: int) -> None:
    rng = np.random.default_rng(depth)
    rows = [row(f"r{i}", (" ".join(rng.choice(WORDS, int(rng.integers(1, 40)))),)) for i in range(60)]
    index = Index(DIM)
    index.add(rows)
    plan = SearchPlan(terms=["tea", "oil"], exact=0, depth=depth, hops=0)
    reference = Reference(rows)
    scores = [reference.bm25(slot, plan) for slot in reference.slots]
    lowest = sorted(scores)[-depth]
    found = index.search(plan).item.tolist()
    assert len(found) == depth
    assert min(scores[n] for n in found) == pytest.approx(lowest)


def test_the_columns_of_random_data_of_some_size() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(
            f"r{i}",
            (" ".join(rng.choice(WORDS, int(rng.integers(0, 6)))),),
            at=float(rng.integers(0, 50)),
            session=f"s{rng.integers(0, 6)}",
            speaker="AB"[i % 2],
            recorded=float(i),
            forgotten=NEVER if rng.random() < 0.9 else float(i + 3),
        )
        for i in range(150)
    ]
    index = Index(DIM)
    for start in range(0, 150, 7):
        index.add(rows[start : start + 7])
    for exact in (0, 2500):
        c = check(
            index, rows, SearchPlan(terms=["tea", "rye", "tea"], dense=np.ones(DIM, np.float32), exact=exact, hops=2)
        )
        assert len(c.item) > 100
        check(index, rows, SearchPlan(terms=["salt"], as_of=at(70), exact=exact, hops=1, depth=1000))


def test_a_dropped_item_is_gone_and_its_name_is_free() -> None:
    rows = [row(f"r{i}", ("tea milk",), session="s", at=float(i)) for i in range(5)]
    index = Index(DIM)
    index.add(rows)
    index.drop(["r0", "r2", "nobody"])
    kept = [rows[1], rows[3], rows[4]]
    c = index.search(SearchPlan(terms=["tea"]))
    assert [index.ids[n] for n in c.item] == ["r1", "r3", "r4"]
    assert (c.previous.tolist(), c.following.tolist()) == ([-1, 0, 1], [1, 2, -1])
    assert c.lexical is not None
    assert (c.count, c.lexical.df.tolist(), c.session_length.tolist()) == (3, [3.0], [6.0])
    index.drop(row.id for row in kept)
    index.add([row("r2", ("oil",), session="s")])
    assert [index.ids[n] for n in index.search(SearchPlan(terms=["tea"])).item] == ["r2"]
    assert index.session_starts() == [("s", -math.inf)]


def test_a_word_said_a_hundred_thousand_times_breaks_no_score() -> None:
    index = Index(DIM)
    index.add([row("a", ("tea " * 100_000,)), row("b", ("tea",)), row("c", ("oil",))])
    c = index.search(SearchPlan(terms=["tea"], exact=0, depth=2))
    assert sorted(index.ids[n] for n in c.item) == ["a", "b"]
    assert c.lexical is not None
    assert np.isfinite(c.lexical.weights).all()


def test_tables_and_names_grow() -> None:
    table, names = Table(np.dtype("f4"), 3), Names()
    for i in range(300):
        table.grow(2)[:] = i
        assert names.codes([f"n{i}", None, f"n{i}"]).tolist() == [i, -1, i]
    assert table.view().shape == (600, 3)
    assert table.view()[:, 0].tolist() == [i // 2 for i in range(600)]
    assert (names.get("n7"), *names.codes([None]).tolist(), names.get("no"), names.find(["n2", "no"]), len(names)) == (
        7,
        -1,
        -1,
        [2],
        300,
    )
