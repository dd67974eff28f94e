"""The conformance of a store, second part: scanning, links, searching, and the ways in and out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from spaces import (
    HOSTILE,
    HOUR,
    START,
    Clock,
    HashDense,
    HashSparse,
    MakeSpace,
    SpaceFixtures,
    chain,
    eligible,
    every,
    hits,
    ids,
    plan,
    put,
    ranked,
    turn,
)

from mnemic.errors import ConflictError, InputError, StoreError
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Filter, SearchPlan
from mnemic.text.record import Batch, Interval, Key, Kind, Link, Record, Span
from mnemic.text.store.base import Encoders, Space


class Reading(SpaceFixtures):
    """See ``conformance.py``."""

    # -- links -----------------------------------------------------------------------------------------------------

    def test_neighbours_by_depth_and_kind(self, space: Space) -> None:
        names = "abcdef"
        put(space, *(turn(n, n) for n in names))
        chain = [Link(x, y, "next") for x, y in itertools.pairwise(names)]
        put(space, links=[*chain, Link("a", "f", "twin", 0.5)])

        def found(*args: Any, **more: Any) -> set[tuple[str, str, str]]:
            return {(link.source, link.target, link.kind) for link in space.neighbours(*args, **more)}

        assert found(["c"]) == {("b", "c", "next"), ("c", "d", "next")}
        assert found(["c"], depth=2) == found(["c"]) | {("a", "b", "next"), ("d", "e", "next")}
        assert found(["a"]) == {("a", "b", "next"), ("a", "f", "twin")}
        assert found(["a"], ["twin"], 3) == {("a", "f", "twin")}
        assert found(["a"], ["next"], 2) == {("a", "b", "next"), ("b", "c", "next")}
        assert found(["a"], depth=99) == {(x.source, x.target, x.kind) for x in chain} | {("a", "f", "twin")}
        assert found(["a"], ["nothing"]) == found([]) == found(["nobody"]) == set()
        assert found(["a"], depth=0) == set()
        assert found(list(names), depth=1) == found(["a"], depth=99)

    def test_a_link_is_one_edge(self, space: Space) -> None:
        put(space, turn("a", "x"), turn("b", "y"), links=[Link("a", "b", "like", 0.2)])
        space.write(Batch(links=[Link("a", "b", "like", 0.7), Link("b", "a", "like", 0.1)]))
        found = sorted(space.neighbours(["a"]), key=lambda link: link.source)
        assert found == [Link("a", "b", "like", 0.7), Link("b", "a", "like", 0.1)]
        space.write(Batch(unlink=[Link("a", "b", "like"), Link("a", "b", "no such kind")]))
        assert space.neighbours(["a"]) == [Link("b", "a", "like", 0.1)]

    def test_what_is_derived_cites_its_sources(self, space: Space) -> None:
        put(space, turn("t", "I moved to Rome"), Record("f", Kind.FACT, "lives in Rome", sources=("t",)))
        assert space.neighbours(["t"], ["cites"]) == [Link("f", "t", "cites")]

    # -- scanning --------------------------------------------------------------------------------------------------

    @pytest.fixture
    def mixed(self, space: Space) -> Space:
        kinds = (Kind.TURN, Kind.FACT, Kind.SUMMARY)
        for i in range(60):
            put(
                space,
                turn(
                    f"r{i}",
                    f"item{i} {'red' if i % 2 else 'blue'} door",
                    at=i,
                    kind=kinds[i % 3],
                    speaker=("Ann", "Bob", None)[i // 2 % 3],
                    session=(None, "s1", "s2")[i // 3 % 3],
                    role=("user", "assistant", None, "tool", "developer")[i % 5],
                    meta={"n": i % 4, "tag": "a" if i % 3 else None, "deep": {"x": [i % 2]}, "flag": i % 2 == 0},
                ),
            )
        space.write(Batch(archive=["r7", "r8"], forget=["r9"]))
        return space

    FILTERS: Sequence[tuple[Filter, Callable[[Record], bool]]] = (
        (Filter(), lambda r: True),
        (Filter(kinds=[Kind.FACT]), lambda r: r.kind == Kind.FACT),
        (Filter(kinds=[Kind.FACT, Kind.TURN]), lambda r: r.kind != Kind.SUMMARY),
        (Filter(kinds=[Kind.VAULT]), lambda r: False),
        (Filter(speakers=["Ann"]), lambda r: r.speaker == "Ann"),
        (Filter(speakers=["Ann", "Bob", "Eve"]), lambda r: r.speaker is not None),
        (Filter(speakers=["ann"]), lambda r: False),
        (Filter(sessions=["s2", "s9"]), lambda r: r.session == "s2"),
        (Filter(sessions=["s9"]), lambda r: False),
        (Filter(roles=["assistant"]), lambda r: r.role == "assistant"),
        (Filter(roles=["developer", "tool"]), lambda r: r.role in ("developer", "tool")),
        (Filter(roles=["nobody"]), lambda r: False),
        (Filter(ids=["r3", "r4", "zz"]), lambda r: r.id in ("r3", "r4")),
        (Filter(since=START + 20 * HOUR), lambda r: r.at is not None and r.at >= START + 20 * HOUR),
        (Filter(until=START + 20 * HOUR), lambda r: r.at is not None and r.at < START + 20 * HOUR),
        (Filter(since=START + 3 * HOUR, until=START + 4 * HOUR), lambda r: r.id == "r3"),
        (Filter(since=START + 9 * HOUR, until=START + 3 * HOUR), lambda r: False),
        (Filter(since=datetime(2024, 3, 1, 14, tzinfo=timezone(5 * HOUR))), lambda r: True),
        (Filter(meta={"n": 2}), lambda r: r.meta["n"] == 2),
        (Filter(meta={"n": 2, "tag": "a"}), lambda r: r.meta["n"] == 2 and r.meta["tag"] == "a"),
        (Filter(meta={"tag": None}), lambda r: r.meta["tag"] is None),
        (Filter(meta={"absent": None}), lambda r: False),
        (Filter(meta={"deep": {"x": [1]}}), lambda r: r.meta["deep"] == {"x": [1]}),
        (Filter(meta={"flag": True}), lambda r: r.meta["flag"]),
        (Filter(meta={"tag": "' OR 1=1 --"}), lambda r: False),
        (Filter(words="red"), lambda r: "red" in r.text),
        (Filter(words="doors RED"), lambda r: "red" in r.text),
        (Filter(words="red blue"), lambda r: False),
        (Filter(phrase="red door"), lambda r: "red" in r.text),
        (Filter(phrase="door red"), lambda r: False),
        (Filter(phrase="item5 red"), lambda r: r.id == "r5"),
        (Filter(words="item5", phrase="blue door"), lambda r: False),
        (
            Filter(kinds=[Kind.TURN], speakers=["Bob"], since=START + 10 * HOUR, meta={"flag": False}, words="door"),
            lambda r: r.kind == Kind.TURN and r.speaker == "Bob" and r.at >= START + 10 * HOUR and not r.meta["flag"],  # type: ignore[operator]
        ),
    )

    @pytest.mark.parametrize("archived", [False, True])
    def test_every_filter_means_the_same_to_scan_and_search(self, mixed: Space, archived: bool) -> None:
        hidden = {"r9"} if archived else {"r7", "r8", "r9"}
        records = [r for r in mixed.get([f"r{i}" for i in range(60)]) if r.id not in hidden]
        for filter, passes in self.FILTERS:
            filter = replace(filter, archived=archived)
            wanted = [r.id for r in records if passes(r)]
            assert ids(every(mixed, filter)) == wanted, filter
            assert eligible(mixed, filter=filter) == set(wanted), filter
            assert eligible(mixed, filter=filter, exact=0, terms=["door"], depth=60) == set(wanted), filter

    @pytest.mark.parametrize("limit", [1, 7, 20, 57, 58])
    def test_pages_make_up_the_whole(self, mixed: Space, limit: int) -> None:
        whole = ids(every(mixed))
        assert len(whole) == 57
        assert ids(every(mixed, limit=limit)) == whole
        page, cursor = mixed.scan(Filter(), limit=limit)
        assert len(page) == min(limit, 57)
        assert (cursor is None) == (limit > 57)

    def test_a_cursor_goes_on_where_it_stopped(self, mixed: Space) -> None:
        page, cursor = mixed.scan(Filter(kinds=[Kind.TURN]), limit=5)
        put(mixed, turn("late", "red door"))
        mixed.write(Batch(forget=[page[-1].id]))
        rest = ids(mixed.scan(Filter(kinds=[Kind.TURN]), cursor)[0])
        assert rest[-1] == "late"
        assert not set(rest) & set(ids(page))
        for bad in ("x", "1.5", "; DROP TABLE items"):
            with pytest.raises(InputError):
                mixed.scan(Filter(), bad)

    def test_unknown_kinds_are_refused(self, space: Space) -> None:
        with pytest.raises(InputError, match="turn"):
            space.scan(Filter(kinds=["nonsense"]))  # type: ignore[list-item]
        with pytest.raises(InputError, match="turn"):
            space.search(SearchPlan(filter=Filter(kinds=["nonsense"])))  # type: ignore[list-item]

    @pytest.mark.parametrize(
        ("text", "phrase", "other"),
        [
            ("我昨天去了北京大学看书", "北京大学", "大学北京"),
            ("昨日は東京でラーメンを食べた", "東京", "京東"),
            ("ฉันชอบกินข้าวผัดมาก", "ข้าวผัด", "ผัดข้าว"),
            ("서울에서 친구를 만났다", "친구", "구친"),
            ("Я живу в Москве с кошкой", "Москве", "Москвы города"),
            ("She was running through Zürich", "run through zurich", "zurich run"),
            ("a CAFÉ near the naïve artist's studio", "cafe near", "naive cafe"),
        ],
    )
    def test_words_and_phrases_of_many_scripts(self, space: Space, text: str, phrase: str, other: str) -> None:
        put(space, turn("a", text), turn("b", "something else entirely"))
        for filter in (Filter(phrase=phrase), Filter(words=phrase)):
            assert ids(every(space, filter)) == ["a"]
            assert eligible(space, filter=filter) == {"a"}
        assert every(space, Filter(phrase=other)) == []
        assert hits(space, phrase) == {"a"}

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_no_text_is_ever_syntax(self, space: Space, hostile: str) -> None:
        put(space, turn("a", f"before {hostile} after", speaker=hostile, session=hostile, meta={hostile: hostile}))
        put(space, turn("b", "cat dog", speaker="Ann", session="s"))
        assert space.get(["a"])[0].text == f"before {hostile} after"
        for what in ("words", "phrase"):
            filter = Filter(**{what: hostile})  # type: ignore[arg-type]
            wanted = tokens(hostile)
            if not wanted:
                with pytest.raises(InputError):
                    space.scan(filter)
                with pytest.raises(InputError):
                    space.search(SearchPlan(filter=filter))
            else:
                found = ids(every(space, filter))
                assert "a" in found
                assert ("b" in found) == (set(wanted) <= {"cat", "dog"})
        for filter in (Filter(speakers=[hostile]), Filter(sessions=[hostile])):
            assert eligible(space, filter=filter) == {"a"}
            if "\0" not in hostile:  # SQLite's JSON ends a text there
                assert ids(every(space, filter)) == ["a"]
        if "\0" not in hostile:
            assert eligible(space, filter=Filter(meta={hostile: hostile})) == {"a"}
        space.purge(["a"])
        assert ids(every(space)) == ["b"]

    def test_a_filter_of_thousands_of_words(self, space: Space) -> None:
        text = " ".join(f"word{i}" for i in range(3000))
        put(space, turn("a", text), turn("b", text[:-9]))
        assert ids(every(space, Filter(words=text))) == ids(every(space, Filter(phrase=text))) == ["a"]
        assert len(every(space, Filter(ids=["a"] * 5000))) == 1

    # -- searching -------------------------------------------------------------------------------------------------

    def test_an_empty_space_finds_nothing(self, space: Space) -> None:
        c = space.search(plan("anything at all"))
        assert (len(c.item), c.count, c.session_count) == (0, 0, 0)
        assert space.sessions() == []
        assert every(space) == []

    def test_a_write_is_searchable_at_once(self, space: Space) -> None:
        for i in range(50):
            put(space, turn(f"t{i}", f"unique{i}"))
            assert hits(space, f"unique{i}") == {f"t{i}"}

    def test_another_handle_sees_every_kind_of_write(self, twice: tuple[Space, Space]) -> None:
        ours, theirs = twice
        put(ours, turn("a", "green tea", session="s"), turn("b", "tea pot", session="s"))
        assert hits(theirs, "tea") == {"a", "b"}
        put(ours, turn("c", "black tea", session="s"), retire={"a": "c"})
        assert hits(theirs, "tea") == {"b", "c"}
        ours.write(Batch(forget=["b"]))
        assert hits(theirs, "tea") == {"c"}
        put(ours, turn("d", "iced tea"))
        ours.write(Batch(archive=["d"]))
        assert hits(theirs, "tea") == {"c"}
        ours.purge(["c"])
        put(theirs, turn("c", "tea again"), turn("e", "more tea"))
        assert hits(ours, "tea") == hits(theirs, "tea") == {"c", "e"}
        assert eligible(ours, filter=Filter(archived=True)) == {"c", "d", "e"}

    def test_turns_are_threaded_by_time_within_their_session(self, space: Space) -> None:
        put(space, turn("s3", "c", at=3, session="s"), turn("x1", "x", at=2, session="x"), turn("free", "f", at=2))
        put(space, turn("s1", "a", at=1, session="s"), turn("s4", "d", at=4, session="s"))
        put(space, turn("s2", "b", at=2, session="s"), turn("s2b", "b", at=2, session="s"))
        put(space, turn("note", "n", at=2, session="s", kind=Kind.NOTE))
        assert chain(space, "s1") == ["s1", "s2", "s2b", "s3", "s4"]
        assert chain(space, "x1") == ["x1"]
        assert chain(space, "free") == ["free"]
        assert chain(space, "note") == ["note"]

    def test_turns_without_a_time_stay_in_the_order_they_came(self, space: Space) -> None:
        for i in range(4):
            put(space, turn(f"t{i}", "x", at=None, session="s"))
        assert chain(space, "t0") == ["t0", "t1", "t2", "t3"]

    def test_a_revised_turn_takes_its_predecessors_place(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", f"word{i}", at=i, session="s") for i in range(5)))
        put(space, turn("new2", "changed", at=2, session="s"), retire={"t2": "new2"})
        assert chain(space, "t0") == ["t0", "t1", "new2", "t3", "t4"]
        put(space, turn("new4", "changed", at=4, session="s"), retire={"t4": "new4"})
        put(space, turn("t5", "more", at=5, session="s"))
        put(space, turn("newer2", "changed", at=2, session="s"), retire={"new2": "newer2"})
        assert chain(space, "t0") == ["t0", "t1", "newer2", "t3", "new4", "t5"]

    def test_the_past_has_its_own_version_in_the_place(self, space: Space, clock: Clock) -> None:
        put(space, *(turn(f"t{i}", f"word{i}", at=i, session="s") for i in range(5)))
        told = clock()
        clock.forward()
        put(space, turn("new2", "changed", at=2.5, session="s"), retire={"t2": "new2"})
        clock.forward()
        put(
            space,
            turn("t6", "late", at=6, session="s"),
            turn("newer2", "again", at=2.5, session="s"),
            retire={"new2": "newer2"},
        )
        assert chain(space, "t0") == ["t0", "t1", "newer2", "t3", "t4", "t6"]
        assert chain(space, "t0", as_of=told) == ["t0", "t1", "t2", "t3", "t4"]
        assert chain(space, "t0", as_of=told + HOUR) == ["t0", "t1", "new2", "t3", "t4"]
        assert chain(space, "t0", valid_at=START + 2.2 * HOUR) == ["t0", "t1", "t2"]
        c = space.search(plan("word3", exact=0, hops=1, as_of=told))
        assert set(space.id_of([int(n) for n in c.item])) == {"t2", "t3", "t4"}
        space.purge(["t2"])
        assert chain(space, "t0") == ["t0", "t1", "newer2", "t3", "t4", "t6"]
        space.purge(["new2", "newer2"])
        assert chain(space, "t0") == ["t0", "t1", "t3", "t4", "t6"]

    def test_a_purge_closes_the_gap(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", f"word{i}", at=i, session="s") for i in range(6)))
        assert len(chain(space, "t0")) == 6
        space.purge(["t0", "t3", "t5"])
        assert chain(space, "t1") == ["t1", "t2", "t4"]
        put(space, turn("t6", "x", at=6, session="s"), turn("t0", "x", at=0, session="s"))
        assert chain(space, "t0") == ["t0", "t1", "t2", "t4", "t6"]

    def test_neighbours_come_along_within_their_session(self, space: Space) -> None:
        for s in "ab":
            put(space, *(turn(f"{s}{i}", f"filler{s}{i}", at=i, session=s) for i in range(12)))
        put(space, turn("hit", "needle", at=5.5, session="a"), turn("alone", "needle"))
        assert chain(space, "a0") == ["a0", "a1", "a2", "a3", "a4", "a5", "hit", *(f"a{i}" for i in range(6, 12))]
        for hops in (0, 1, 3, 50):
            c = space.search(plan("needle", exact=0, hops=hops))
            assert not c.exact
            around = {f"a{i}" for i in range(12) if 6 - hops <= i <= 5 + hops}
            assert set(space.id_of([int(n) for n in c.item])) == around | {"hit", "alone"}
        assert hits(space, "needle", exact=0, hops=2) == {"hit", "alone"}

    def test_neighbours_outside_the_filter_are_context_only(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", f"word{i}", at=i, session="s", speaker="AB"[i % 2]) for i in range(6)))
        c = space.search(plan("word2", exact=0, hops=1, filter=Filter(speakers=["A"])))
        names = space.id_of([int(n) for n in c.item])
        assert dict(zip(names, c.eligible.tolist(), strict=True)) == {"t1": False, "t2": True, "t3": False}

    def test_what_may_not_be_seen_is_not_even_context(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", f"word{i}", at=i, session="s") for i in range(7)))
        space.write(Batch(forget=["t2"], archive=["t4"]))
        for exact in (0, 2500):
            c = space.search(plan("word3", exact=exact, hops=4))
            assert set(space.id_of([int(n) for n in c.item])) == {"t0", "t1", "t3", "t5", "t6"}

    def test_what_was_forgotten_leaves_no_trace_in_the_scores(self, space: Space, make_space: MakeSpace) -> None:
        """Frequencies, lengths and session sums are those of what may be seen."""
        other = make_space("other")
        kept = [turn(f"t{i}", f"tea word{i % 3}", at=i, session=f"s{i % 2}", speaker="Ann") for i in range(6)]
        gone = [turn(f"g{i}", "tea secret secret words", at=i, session=f"s{i % 3}") for i in range(9)]
        put(space, *kept, *gone)
        hits(space, "tea")
        space.write(Batch(forget=["g0", "g1", "g2"], archive=["g3", "g4", "g5"]))
        space.purge(["g6", "g7", "g8"])
        put(other, *kept)
        ours, theirs = (s.search(plan("secret tea word1")) for s in (space, other))
        assert ours.lexical is not None
        assert theirs.lexical is not None
        assert (ours.count, ours.session_count) == (theirs.count, theirs.session_count)
        assert ours.mean_length == pytest.approx(theirs.mean_length)
        for column in ("df", "session_df", "weights", "sessions"):
            np.testing.assert_array_equal(getattr(ours.lexical, column), getattr(theirs.lexical, column), column)
        np.testing.assert_array_equal(ours.session_length, theirs.session_length)

    def test_exact_and_candidate_search_agree_on_the_best(self, make_space: MakeSpace) -> None:
        space = make_space("hybrid", encoders=Encoders(HashSparse(), HashDense()))
        rng = np.random.default_rng(5)
        vocabulary = [f"topic{i}" for i in range(150)]
        turns = []
        for i in range(600):
            said = " ".join(rng.choice(vocabulary, int(rng.integers(3, 9))))
            turns.append(turn(f"t{i}", said, at=i // 20 * 24 + i % 20, session=f"s{i // 20}", speaker="AB"[i % 2]))
        put(space, *turns)
        agreed = total = 0
        for _ in range(25):
            text = " ".join(rng.choice(vocabulary, 3, replace=False))
            query = {"sparse": HashSparse().encode([text])[0], "dense": HashDense().encode_query(text)}
            whole = space.search(plan(text, exact=10_000, **query))
            part = space.search(plan(text, exact=0, depth=80, **query))
            assert whole.exact
            assert not part.exact
            assert len(part.item) < len(whole.item) == 600
            assert ranked(space, whole, 1) == ranked(space, part, 1)
            agreed += len(set(ranked(space, whole, 5)) & set(ranked(space, part, 5)))
            total += 5
        assert agreed >= 0.9 * total

    def test_a_time_that_the_question_names_brings_its_turns_along(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", f"word{i}", at=i, session=f"s{i}") for i in range(20)))
        span = (START + 5 * HOUR, START + 8 * HOUR)
        c = space.search(plan("word1", exact=0, hops=0, boost=[span]))
        assert set(space.id_of([int(n) for n in c.item])) == {"t1", "t5", "t6", "t7"}

    def test_a_record_is_found_by_its_keys(self, space: Space) -> None:
        put(space, turn("a", "I bought it", keys=(Key("bought a violin", "fact"), Key("music shop visit", "context"))))
        put(space, turn("b", "the violin", speaker="Ann", caption="a wooden box"))
        assert hits(space, "violin") == {"a", "b"}
        assert hits(space, "shop visit") == {"a"}
        assert hits(space, "ann") == hits(space, "wooden") == {"b"}
        assert len(space.search(plan("violin")).item) == 3
        space.purge(["a"])
        assert hits(space, "violin shop") == {"b"}

    def test_secrets_are_no_search_words(self, space: Space) -> None:
        put(space, turn("a", "my password is hunter2 really", secrets=(Span(15, 22, "password"),)))
        assert hits(space, "hunter2") == set()
        assert every(space, Filter(words="hunter2")) == []
        assert hits(space, "really") == {"a"}
        assert space.get(["a"])[0].text == "my password is hunter2 really"

    def test_sessions_in_the_order_they_began(self, space: Space) -> None:
        put(space, turn("a", "x", at=50, session="late"), turn("b", "x", at=9, session="early"), turn("n", "x"))
        put(space, turn("c", "x", at=None, session="undated"), turn("d", "x", at=40, session="late"))
        put(space, turn("e", "x", at=None, session="early"))
        wanted = [("undated", None), ("early", START + 9 * HOUR), ("late", START + 40 * HOUR)]
        assert space.sessions() == wanted
        space.write(Batch(forget=["d"]))
        assert space.sessions() == [*wanted[:2], ("late", START + 50 * HOUR)]
        space.purge(["b", "e"])
        assert [name for name, _ in space.sessions()] == ["undated", "late"]

    # -- in and out ------------------------------------------------------------------------------------------------

    def filled(self, space: Space, clock: Clock) -> None:
        zone = timezone(timedelta(hours=-7))
        put(space, *(turn(f"t{i}", f"word{i} tea", at=i, session=f"s{i % 3}", speaker="Ann") for i in range(9)))
        clock.forward()
        put(
            space,
            turn("v2", "word1 coffee", at=20, session="s1"),
            retire={"t1": "v2"},
            links=[Link("v2", "t0", "x", 0.3)],
        )
        put(
            space,
            Record(
                "f",
                Kind.FACT,
                "fact",
                at=START.astimezone(zone),
                sources=("t0", "t2"),
                keys=(Key("k", "n"),),
                fields={"a": [1]},
            ),
        )
        put(space, turn("c", "word3 corrected", at=3, session="s0", secrets=(Span(0, 4, "pin"),)), retire={"t3": "c"})
        put(space, Record("z", Kind.NOTE, "undated", valid=Interval(None, START.astimezone(zone)), meta={"é": "ü\0"}))
        clock.forward()
        space.write(Batch(forget=["t4"], archive=["t5"]))
        space.purge(["t6"])

    def test_export_and_restore_are_inverse(self, space: Space, make_space: MakeSpace, clock: Clock) -> None:
        self.filled(space, clock)
        lines = [json.loads(json.dumps(line)) for line in space.export()]
        copy = make_space("copy")
        clock.forward()
        assert copy.restore(lines) == 12
        assert list(copy.export()) == list(space.export()) == lines
        names = [f"t{i}" for i in range(9)] + ["v2", "f", "c", "z"]
        moments = [None, *(clock.now - i * HOUR / 2 for i in range(9))]
        for moment in moments:
            ours, theirs = ([replace(r, position=0) for r in s.get(names, moment)] for s in (space, copy))
            assert ours == theirs
            assert eligible(space, as_of=moment) == eligible(copy, as_of=moment)
            assert hits(space, "tea", valid_at=START + 2 * HOUR, as_of=moment) == hits(
                copy, "tea", valid_at=START + 2 * HOUR, as_of=moment
            )
        assert sorted(map(str, copy.neighbours(names))) == sorted(map(str, space.neighbours(names)))
        assert [r.id for r in copy.history("t1")] == ["t1", "v2"]
        assert chain(copy, "t0") == chain(space, "t0")
        assert copy.write(Batch(puts=[turn("t0", "word0 tea", at=0, session="s0", speaker="Ann")])).duplicates == (
            "t0",
        )
        put(copy, turn("after", "tea", session="s0", at=99))
        assert chain(copy, "t0")[-1] == "after"

    def test_restore_needs_an_empty_space_and_an_export(
        self, space: Space, make_space: MakeSpace, clock: Clock
    ) -> None:
        self.filled(space, clock)
        lines = list(space.export())
        with pytest.raises(ConflictError):
            space.restore(lines)
        for i, change in enumerate(
            [
                {"text": None},
                {"kind": "nonsense"},
                {"retired": "soon"},
                {"meta": "{"},
                {"at": "x"},
                {"id": None},
                {"recorded": None},
                {"secrets": "[1]"},
                {"forgotten": 1.5},
                {"supersedes": 3},
            ]
        ):
            broken = make_space(f"broken{i}")
            bad = [*lines[:4], {"item": {**lines[4]["item"], **change}}, *lines[5:]]
            with pytest.raises(InputError):
                broken.restore(bad)
            missing = {k: v for k, v in lines[4]["item"].items() if k not in change}
            with pytest.raises(InputError):
                broken.restore([{"item": missing}])
            assert every(broken) == []
            assert eligible(broken) == set()
            assert broken.restore(lines) == 12

    def test_an_export_is_of_one_moment(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", "x") for i in range(1200)))
        lines = space.export()
        first = next(lines)
        put(space, turn("new", "y"), retire={"t1199": "new"}, links=[Link("t0", "new", "x")])
        space.write(Batch(forget=["t600"]))
        rest = [first, *lines]
        assert len(rest) == 1200
        assert all(line["item"]["forgotten"] is line["item"]["retired"] is None for line in rest)

    def test_meta(self, space: Space, make_space: MakeSpace) -> None:
        assert space.get_meta("x") is None
        space.set_meta(x="1")
        space.set_meta(x="2")
        assert space.get_meta("x") == "2"
        space.set_meta(x=None)
        space.set_meta(x=None)
        assert space.get_meta("x") is None

    def test_stats_count(self, space: Space, clock: Clock) -> None:
        self.filled(space, clock)
        space.enqueue("derive")
        told = space.stats()
        wanted = {"records": 12, "forgotten": 1, "superseded": 2, "erasure_pending": False}
        assert {k: told[k] for k in wanted} == {**wanted, "records": 12}
        assert told["jobs"] == [{"kind": "derive", "attempts": 0, "error": None}]
        assert told["bytes"] > 0
        json.dumps(told)

    def test_a_closed_space_says_so(self, space: Space) -> None:
        put(space, turn("a", "x"))
        space.close()
        space.close()
        for use in (
            lambda: put(space, turn("b", "y")),
            lambda: space.get(["a"]),
            lambda: space.search(plan("x")),
            lambda: every(space),
            lambda: space.purge(["a"]),
            lambda: space.stats(),
            lambda: list(space.changes()),
            lambda: list(space.export()),
        ):
            with pytest.raises(StoreError, match="closed"):
                use()
