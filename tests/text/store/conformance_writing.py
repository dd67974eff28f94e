"""The conformance of a store, first part: writing, time, purging and jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from spaces import (
    DAY,
    HOUR,
    START,
    Clock,
    MakeSpace,
    SpaceFixtures,
    eligible,
    every,
    hits,
    ids,
    picture,
    put,
    same,
    together,
    turn,
)

from mnemic.errors import ConflictError, InputError, NotFoundError, StoreError
from mnemic.text.plan import Filter
from mnemic.text.record import Batch, Interval, Key, Kind, Link, Record, Span, State
from mnemic.text.store.base import Space


class Writing(SpaceFixtures):
    """See ``conformance.py``."""

    # -- writing ---------------------------------------------------------------------------------------------------

    def test_a_record_comes_back_as_it_was_written(self, space: Space, clock: Clock) -> None:
        zone = timezone(timedelta(hours=5, minutes=30))
        said = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=zone)
        whole = Record(
            id="Ünï/ 1",
            kind=Kind.FACT,
            text="Line one\nline two \U0001f642",
            at=said,
            valid=Interval(said, said + DAY),
            speaker="Zoë",
            role="user",
            session="s/1",
            caption="a red door",
            sources=("t1", "t2"),
            keys=(Key("red door", "colour"), Key("door")),
            fields={"n": 1.5, "list": [1, None, {"a": True}]},
            meta={"b": "x", "a": False},
            secrets=(Span(0, 4, "password"),),
        )
        receipt = space.write(Batch(puts=[whole]))
        (read,) = space.get(["Ünï/ 1"])
        assert read == replace(whole, recorded=clock.now, position=read.position)
        assert read.at is not None
        assert read.at.utcoffset() == timedelta(hours=5, minutes=30)
        assert receipt.ids == ("Ünï/ 1",)
        assert receipt.at == clock.now
        assert every(space) == [read]

    def test_what_is_not_given_stays_unknown(self, space: Space) -> None:
        put(space, Record(id="a", kind=Kind.NOTE, text=""))
        (read,) = space.get(["a"])
        assert (read.at, read.valid, read.speaker, read.session, read.sources) == (None, Interval(), None, None, ())
        assert eligible(space) == {"a"}

    def test_get_keeps_the_order_asked_for_and_leaves_out_what_is_not_there(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", f"text {i}") for i in range(1200)))
        asked = [f"t{i}" for i in range(1199, -1, -1)]
        assert ids(space.get([*asked, "nobody"])) == asked
        assert space.get([]) == []

    def test_positions_grow_in_the_order_of_writing(self, space: Space) -> None:
        put(space, turn("b", "x"), turn("a", "y"))
        put(space, turn("c", "z"))
        assert [r.id for r in sorted(space.get(["a", "b", "c"]), key=lambda r: r.position)] == ["b", "a", "c"]

    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            ({"puts": [turn("n1", "new"), turn("old", "another text"), turn("n2", "new")]}, ConflictError),
            ({"puts": [turn("n1", "new"), turn("n2", "x", meta={"a": object()}), turn("n3", "y")]}, InputError),
            ({"puts": [turn("n1", "new"), turn("n2", "x", meta={"a": float("nan")})]}, InputError),
            ({"puts": [turn("n1", "new"), turn("n1", "twice, differently")]}, ConflictError),
            ({"puts": [turn("n1", "new")], "forget": ["old"], "retire": {"old": "nobody"}}, NotFoundError),
            ({"puts": [turn("n1", "new")], "archive": ["old"], "retire": {"nobody": "n1"}}, NotFoundError),
            ({"puts": [turn("n1", "new")], "links": [Link("old", "n1", "x")], "retire": {"n1": "n1"}}, NotFoundError),
        ],
    )
    def test_a_bad_part_in_the_middle_leaves_nothing(
        self, space: Space, bad: dict[str, Any], error: type[Exception]
    ) -> None:
        put(space, turn("old", "what was there"))
        before = picture(space)
        with pytest.raises(error):
            space.write(Batch(**bad), idempotency_key="k")
        same(space, before)
        assert space.get(["n1", "n2", "n3"]) == []
        assert hits(space, "new") == set()
        assert space.write(Batch(puts=[turn("n1", "fine")]), idempotency_key="k").ids == ("n1",)  # the key is not burnt

    def test_the_same_again_is_a_duplicate(self, space: Space) -> None:
        first = turn("a", "tea", speaker="Ann", session="s", meta={"x": 1, "y": [2]}, sources=("q",))
        put(space, first)
        before = picture(space)
        receipt = space.write(Batch(puts=[replace(first, meta={"y": [2], "x": 1})]))
        assert (receipt.ids, receipt.duplicates) == ((), ("a",))
        same(space, before)
        again = space.write(Batch(puts=[first, turn("b", "milk"), turn("b", "milk")]))
        assert (again.ids, again.duplicates) == (("b",), ("a", "b"))
        assert ids(every(space)) == ["a", "b"]

    @pytest.mark.parametrize(
        "change",
        [
            {"text": "Tea"},
            {"speaker": "Bob"},
            {"speaker": None},
            {"role": "user"},
            {"caption": "c"},
            {"fields": {"x": 1}},
            {"kind": Kind.NOTE},
            {"sources": ("q",)},
        ],
    )
    def test_the_same_id_with_other_content_is_refused(self, space: Space, change: dict[str, Any]) -> None:
        first = turn("a", "tea", speaker="Ann", session="s", meta={"x": 1})
        put(space, first)
        before = picture(space)
        with pytest.raises(ConflictError, match="'a'"):
            space.write(Batch(puts=[turn("b", "milk"), replace(first, **change)]))
        same(space, before)

    @pytest.mark.parametrize("change", [{"at": START + HOUR}, {"at": None}, {"session": "t"}, {"meta": {"x": 2}}])
    def test_when_it_came_does_not_make_it_another(self, space: Space, change: dict[str, Any]) -> None:
        first = turn("a", "tea", speaker="Ann", session="s", meta={"x": 1})
        put(space, first)
        before = picture(space)
        assert space.write(Batch(puts=[replace(first, **change)])).duplicates == ("a",)
        same(space, before)

    def test_an_idempotency_key_is_used_once(self, space: Space, clock: Clock) -> None:
        first = space.write(Batch(puts=[turn("a", "tea")]), idempotency_key="k")
        clock.forward()
        put(space, turn("b", "milk"))
        assert space.write(Batch(puts=[turn("a", "tea")]), idempotency_key="k") == first
        assert space.write(Batch(puts=[turn("z", "other")]), idempotency_key="k") == first
        assert ids(every(space)) == ["a", "b"]
        empty = space.write(Batch(), idempotency_key="nothing")
        assert space.write(Batch(puts=[turn("z", "other")]), idempotency_key="nothing") == empty

    def test_an_idempotency_key_outlives_the_handle(self, twice: tuple[Space, Space], make_space: MakeSpace) -> None:
        first = twice[0].write(Batch(puts=[turn("a", "tea")]), idempotency_key="k")
        assert twice[1].write(Batch(puts=[turn("z", "other")]), idempotency_key="k") == first
        for each in twice:
            each.close()
        assert make_space("shared").write(Batch(puts=[turn("z", "other")]), idempotency_key="k") == first
        assert ids(every(make_space("shared"))) == ["a"]

    def test_expected_version(self, space: Space) -> None:
        seen = space.write(Batch(puts=[turn("a", "tea")])).seq
        assert space.write(Batch(puts=[turn("b", "milk")]), expected_version=seen).seq > seen
        before = picture(space)
        with pytest.raises(ConflictError):
            space.write(Batch(puts=[turn("c", "salt")]), expected_version=seen)
        same(space, before)

    def test_of_many_writers_that_expect_one_version_one_wins(self, space: Space) -> None:
        seen = space.write(Batch(puts=[turn("a", "tea")])).seq
        won, lost = [], []

        def run(i: int) -> None:
            try:
                won.append(space.write(Batch(puts=[turn(f"w{i}", "x")]), expected_version=seen))
            except ConflictError:
                lost.append(i)

        together(run, 8)
        assert (len(won), len(lost)) == (1, 7)
        assert len(every(space)) == 2

    def test_threads_lose_nothing(self, space: Space) -> None:
        def run(i: int) -> None:
            for j in range(10):
                put(space, turn(f"{i}-{j}", f"word{i} common", session=f"s{i}"))
                assert f"{i}-{j}" in hits(space, f"word{i}")

        together(run, 8)
        assert len(every(space)) == 80 == len(hits(space, "common"))
        seqs = [change.seq for change in space.changes()]
        assert seqs == sorted(set(seqs))
        assert len(seqs) == 80

    def test_one_bad_write_harms_no_other(self, space: Space) -> None:
        """Writes of several threads may share a commit; what one of them does wrong is its own affair."""
        bad = [
            Batch(links=[Link("a", "b", None)]),  # type: ignore[arg-type]
            Batch(puts=[turn("big", "x", version=1 << 70)]),
            Batch(puts=[turn("lone", "x", speaker="\ud800")]),
            Batch(puts=[turn("odd", "x", speaker=object())]),
        ]
        failed: list[BaseException] = []

        def run(i: int) -> None:
            for j in range(5):
                if i < len(bad):
                    with pytest.raises((StoreError, InputError)) as caught:
                        space.write(bad[i])
                    failed.append(caught.value)
                else:
                    put(space, turn(f"{i}-{j}", "fine"))

        together(run, 12)
        assert len(failed) == 20
        assert len(every(space)) == 40

    # -- time ------------------------------------------------------------------------------------------------------

    def test_as_of_shows_what_was_known_then(self, space: Space, clock: Clock) -> None:
        never = clock()
        written = clock.forward()
        put(space, turn("a", "lives in Paris"), turn("f", "Paris is loud"))
        before = clock.forward()
        put(space, turn("b", "lives in Paris, Texas"), retire={"a": "b"}, forget=["f"])
        after = clock.forward()

        def shown(moment: datetime | None) -> dict[str, tuple[State, str | None]]:
            return {r.id: (r.state, r.superseded_by) for r in space.get(["a", "b", "f"], moment)}

        assert shown(never) == {}
        assert shown(written) == shown(clock.now - 1.5 * HOUR) == {"a": (State.ACTIVE, None), "f": (State.ACTIVE, None)}
        late = {"a": (State.SUPERSEDED, "b"), "b": (State.ACTIVE, None), "f": (State.FORGOTTEN, None)}
        assert shown(before) == shown(after) == shown(None) == late  # the moment of a write is after it
        assert hits(space, "Paris", as_of=never) == set()
        assert hits(space, "Paris", as_of=written) == {"a", "f"}
        assert hits(space, "Paris", as_of=before - timedelta(microseconds=1)) == {"a", "f"}
        assert hits(space, "Paris", as_of=before) == hits(space, "Paris") == {"b"}

    def test_as_of_sees_archived_records_as_they_were(self, space: Space, clock: Clock) -> None:
        put(space, turn("a", "old tea"))
        before = clock()
        clock.forward()
        space.write(Batch(archive=["a"]))
        assert space.get(["a"])[0].state == State.ARCHIVED
        assert space.get(["a"], before)[0].state == State.ACTIVE
        assert hits(space, "tea") == set()
        assert hits(space, "tea", filter=Filter(archived=True)) == {"a"}
        assert hits(space, "tea", as_of=before) == {"a"}
        assert hits(space, "tea", as_of=clock()) == set()

    def test_a_change_ends_the_old_value_where_the_new_one_begins(self, space: Space) -> None:
        put(space, turn("old", "lives in Paris", at=0))
        put(space, turn("new", "lives in Rome", at=10), retire={"old": "new"})
        change = START + 10 * HOUR
        assert space.get(["old"])[0].valid == Interval(START, change)
        assert space.get(["new"])[0].valid == Interval(change, None)
        for moment, wanted in [
            (START - HOUR, set()),
            (START, {"old"}),
            (change - timedelta(microseconds=1), {"old"}),
            (change, {"new"}),
            (change + 1000 * DAY, {"new"}),
        ]:
            assert hits(space, "lives", valid_at=moment) == wanted
        assert hits(space, "lives") == {"new"}

    def test_a_correction_leaves_the_old_value_no_time(self, space: Space, clock: Clock) -> None:
        put(space, turn("old", "lives in Paris", at=5))
        told = clock()
        clock.forward()
        put(space, turn("new", "lives in Rome", at=5), retire={"old": "new"})
        for hours in (4, 5, 6, 100):
            assert hits(space, "lives", valid_at=START + hours * HOUR) == ({"new"} if hours >= 5 else set())
        assert hits(space, "lives", valid_at=START + 6 * HOUR, as_of=told) == {"old"}  # what was believed then

    def test_an_end_that_was_known_is_kept(self, space: Space) -> None:
        short = turn("old", "rents a flat", at=0, valid=Interval(START, START + 2 * HOUR))
        put(space, short)
        assert hits(space, "flat", valid_at=START + 3 * HOUR) == set()
        put(space, turn("new", "rents a house", at=9), retire={"old": "new"})
        assert space.get(["old"])[0].valid.end == START + 2 * HOUR
        assert hits(space, "rents", valid_at=START + 3 * HOUR) == set()
        assert hits(space, "rents", valid_at=START + HOUR) == {"old"}

    def test_what_has_no_time_was_always_valid(self, space: Space) -> None:
        put(space, Record("n", Kind.NOTE, "the sky is blue"))
        assert hits(space, "sky", valid_at=datetime(1, 1, 2, tzinfo=UTC)) == {"n"}
        assert hits(space, "sky", valid_at=datetime(9999, 1, 1, tzinfo=UTC)) == {"n"}

    def test_history_is_the_chain_from_any_of_its_members(self, space: Space, clock: Clock) -> None:
        for i in range(6):
            clock.forward()
            retire = {f"v{i - 1}": f"v{i}"} if i else {}
            put(space, turn(f"v{i}", f"value {i}", at=i), turn(f"x{i}", "beside"), retire=retire)
        chain = [f"v{i}" for i in range(6)]
        for id in chain:
            assert ids(space.history(id)) == chain
        states = [r.state for r in space.history("v3")]
        assert states == [State.SUPERSEDED] * 5 + [State.ACTIVE]
        assert [r.supersedes for r in space.history("v0")] == [None, *chain[:-1]]
        assert [r.superseded_by for r in space.history("v0")] == [*chain[1:], None]
        with pytest.raises(NotFoundError, match="nobody"):
            space.history("nobody")
        space.purge(["v2"])
        assert ids(space.history("v1")) == ["v0", "v1"]
        assert ids(space.history("v3")) == ["v3", "v4", "v5"]

    def test_only_the_newest_version_can_be_superseded(self, space: Space) -> None:
        put(space, turn("a", "one"), turn("b", "two"), turn("c", "three"))
        space.write(Batch(retire={"a": "b"}))
        before = picture(space)
        for retire in ({"a": "c"}, {"b": "a"}, {"b": "c", "c": "a"}):
            with pytest.raises(ConflictError):
                space.write(Batch(retire=retire))
        same(space, before)
        space.write(Batch(retire={"b": "c"}))
        assert ids(space.history("a")) == ["a", "b", "c"]

    def test_forgotten_records_are_found_by_id_only(self, space: Space, clock: Clock) -> None:
        put(space, turn("a", "secret tea", session="s"), turn("b", "tea", session="s"))
        told = clock()
        clock.forward()
        receipt = space.write(Batch(forget=["a"]), op="forget")
        assert receipt.ids == ("a",)
        assert ids(every(space, Filter(archived=True))) == ["b"]
        assert hits(space, "tea") == hits(space, "tea", filter=Filter(archived=True)) == {"b"}
        assert hits(space, "tea", valid_at=START) == {"b"}
        assert hits(space, "tea", filter=Filter(ids=["a"])) == set()
        assert space.get(["a"])[0].state == State.FORGOTTEN
        assert space.get(["a"], told)[0].state == State.ACTIVE
        assert hits(space, "tea", as_of=told) == {"a", "b"}
        assert space.write(Batch(forget=["a"])).ids == ()  # a second time changes nothing
        assert space.stats()["forgotten"] == 1

    # -- purging ---------------------------------------------------------------------------------------------------

    def test_purged_records_are_nowhere(self, space: Space, clock: Clock) -> None:
        put(space, turn("a", "secret tea", session="s"), turn("b", "tea", session="s"), links=[Link("a", "b", "x")])
        put(space, Record("f", Kind.FACT, "a fact", sources=("a",)))
        assert hits(space, "secret") == {"a"}
        told = clock()
        clock.forward()
        receipt = space.purge(["a", "nobody"])
        assert (receipt.ids, receipt.pending) == (("a",), False)
        assert space.get(["a"]) == space.get(["a"], told) == []
        assert hits(space, "secret") == hits(space, "secret", as_of=told) == set()
        assert hits(space, "tea") == {"b"}
        assert eligible(space, as_of=told) == {"b", "f"}
        assert ids(every(space)) == ["b", "f"]
        assert every(space, Filter(words="secret")) == []
        assert space.neighbours(["a", "b", "f"]) == []
        assert "secret tea" not in json.dumps(list(space.export()))
        *_, last = space.changes()
        assert (last.op, last.ids, last.seq) == ("purge", ("a",), receipt.seq)
        with pytest.raises(NotFoundError):
            space.history("a")
        assert space.stats()["records"] == 2
        assert space.stats()["erasure_pending"] is False

    def test_purging_what_is_not_there_does_nothing(self, space: Space) -> None:
        put(space, turn("a", "tea"))
        before = picture(space)
        receipt = space.purge(["nobody"])
        assert (receipt.seq, receipt.ids, receipt.pending) == (before[-1]["seq"], (), False)
        assert space.purge([]).ids == ()
        same(space, before)

    def test_a_purged_id_can_be_stored_again(self, space: Space) -> None:
        put(space, turn("a", "green tea", session="s"), turn("b", "milk", session="s"))
        assert hits(space, "tea") == {"a"}
        space.purge(["a"])
        put(space, turn("a", "black coffee", session="s"))
        assert hits(space, "tea") == set()
        assert hits(space, "coffee") == {"a"}
        space.purge(["a", "b"])
        put(space, turn("a", "green tea"))
        assert hits(space, "tea") == {"a"}
        assert hits(space, "coffee") == set()

    def test_a_cursor_skips_nothing_that_was_stored_after_a_purge(self, space: Space) -> None:
        put(space, turn("a", "one"), turn("b", "two"))
        page, _ = space.scan(Filter(), limit=2)
        cursor = str(page[-1].position)
        space.purge(["b"])
        put(space, turn("c", "three"))
        assert ids(space.scan(Filter(), cursor)[0]) == ["c"]

    def test_many_purged_at_once(self, space: Space) -> None:
        put(space, *(turn(f"t{i}", f"common word{i}", session=f"s{i % 7}") for i in range(1300)))
        gone = [f"t{i}" for i in range(1300) if i % 13]
        assert len(hits(space, "common")) == 1300
        assert sorted(space.purge(gone).ids) == sorted(gone)
        kept = {f"t{i}" for i in range(0, 1300, 13)}
        assert hits(space, "common") == set(ids(every(space))) == kept

    # -- the audit -------------------------------------------------------------------------------------------------

    def test_changes_tell_every_write_and_no_text(self, space: Space, clock: Clock) -> None:
        put(space, turn("a", "hush tea"), turn("b", "hush milk"))
        first = clock()
        clock.forward()
        space.write(Batch(puts=[turn("c", "hush oil")], retire={"a": "c"}), op="revise")
        space.write(Batch(forget=["b"]), op="forget")
        space.write(Batch(archive=["c"]), op="tidy")
        space.write(Batch(links=[Link("a", "b", "x")]), op="associate")
        space.purge(["a"])
        told = list(space.changes())
        assert [(c.op, set(c.ids)) for c in told] == [
            ("write", {"a", "b"}),
            ("revise", {"a", "c"}),
            ("forget", {"b"}),
            ("tidy", {"c"}),
            ("associate", set()),
            ("purge", {"a"}),
        ]
        assert [c.seq for c in told] == sorted({c.seq for c in told})
        assert (told[0].at, told[1].at) == (first, clock())
        assert list(space.changes(told[2].seq)) == told[3:]
        assert list(space.changes(told[-1].seq)) == []
        assert "hush" not in str(told)
        assert space.stats()["seq"] == told[-1].seq

    def test_thousands_of_changes(self, space: Space) -> None:
        put(space, turn("a", "x"), turn("b", "y"))
        for i in range(2100):
            space.write(Batch(links=[Link("a", "b", "n", float(i))]))
        assert len(list(space.changes())) == 2101

    # -- jobs ------------------------------------------------------------------------------------------------------

    def test_a_job_is_given_to_one_worker(self, space: Space) -> None:
        made = [space.enqueue("derive", {"n": i}) for i in range(20)]
        got: list[int] = []

        def run(_: int) -> None:
            while jobs := space.claim_jobs(["derive"], 3):
                got.extend(job.id for job in jobs)

        together(run, 4)
        assert sorted(got) == [job.id for job in made]

    def test_claiming_is_in_order_by_kind_and_limit(self, space: Space) -> None:
        space.enqueue("a", {"n": 0})
        space.enqueue("b", {"n": 1})
        space.enqueue("a", {"n": 2})
        assert space.claim_jobs(["c"]) == []
        assert [job.payload for job in space.claim_jobs(["a"], 5)] == [{"n": 0}, {"n": 2}]
        (job,) = space.claim_jobs()
        assert (job.kind, job.payload, job.attempts, job.cursor, job.error) == ("b", {"n": 1}, 1, None, None)
        assert space.claim_jobs() == []

    def test_a_lease_runs_out(self, space: Space) -> None:
        space.enqueue("a")
        (first,) = space.claim_jobs(lease=0.0)
        (second,) = space.claim_jobs(lease=60.0)
        assert (second.id, second.attempts) == (first.id, 2)
        assert space.claim_jobs() == []

    def test_who_lost_the_lease_moves_nothing(self, space: Space) -> None:
        space.enqueue("a")
        (slow,) = space.claim_jobs(lease=0.0)
        (fast,) = space.claim_jobs(lease=60.0)
        space.write(Batch(puts=[turn("x", "one")], cursor="9"), job=fast)
        with pytest.raises(ConflictError):
            space.write(Batch(puts=[turn("y", "two")], cursor="3"), job=slow)
        assert space.get(["y"]) == []
        space.ack(slow)
        space.ack(slow, error="late")
        space.ack(slow, again=True)
        assert space.claim_jobs() == []
        space.ack(fast, again=True)
        (next_,) = space.claim_jobs()
        assert next_.cursor == "9"

    def test_a_failed_job_waits_longer_each_time(self, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1_700_000_000.0
        monkeypatch.setattr("time.time", lambda: now)
        space.enqueue("a")
        for attempt in range(1, 16):
            (job,) = space.claim_jobs()
            assert job.attempts == attempt
            space.ack(job, error="no luck " * 1000)
            pause = min(2.0**attempt, 3600.0)
            now += pause - 0.5
            assert space.claim_jobs() == []
            now += 1.0
        (job,) = space.claim_jobs()
        assert job.error is not None
        assert job.error.startswith("no luck")
        assert space.stats()["jobs"][0]["error"] == job.error
        space.ack(job)
        assert space.stats()["jobs"] == []

    def test_retry_takes_what_is_waiting_but_not_what_is_leased(self, space: Space) -> None:
        space.enqueue("a")
        (job,) = space.claim_jobs()
        assert space.claim_jobs(retry=True) == []
        space.ack(job, error="broken")
        assert space.claim_jobs() == []
        (job,) = space.claim_jobs(retry=True)
        assert (job.attempts, job.error) == (2, "broken")

    def test_a_standing_job_keeps_its_cursor(self, space: Space) -> None:
        together(lambda _: space.schedule("reflect"), 6)
        (job,) = space.claim_jobs(["reflect"], 5)
        put_with_job = space.write(Batch(puts=[turn("f1", "fact")], cursor="12"), job=job)
        assert put_with_job.ids == ("f1",)
        space.ack(job, again=True)
        (job,) = space.claim_jobs()
        assert (job.cursor, job.attempts) == ("12", 1)
        space.write(Batch(cursor="13"), job=job)  # nothing found, but it came further
        space.write(Batch(puts=[turn("f2", "fact")]), job=job)  # no cursor: it stays
        space.ack(job, error="x")
        assert space.claim_jobs(retry=True)[0].cursor == "13"

    def test_the_cursor_moves_with_the_batch_or_not_at_all(self, space: Space) -> None:
        put(space, turn("a", "tea"))
        space.enqueue("derive")
        (job,) = space.claim_jobs()
        with pytest.raises(ConflictError):
            space.write(Batch(puts=[turn("n", "x"), turn("a", "milk")], cursor="5"), job=job)
        space.ack(job, error="conflict")
        assert space.claim_jobs(retry=True)[0].cursor is None
        assert space.get(["n"]) == []

    def test_writing_renews_the_lease(self, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1_700_000_000.0
        monkeypatch.setattr("time.time", lambda: now)
        space.enqueue("a")
        (job,) = space.claim_jobs(lease=60.0)
        now += 50
        space.write(Batch(puts=[turn("a", "x")], cursor="1"), job=job)
        now += 50
        assert space.claim_jobs() == []
        now += 11
        assert [j.id for j in space.claim_jobs()] == [job.id]

    def test_a_payload_must_be_json(self, space: Space) -> None:
        with pytest.raises(InputError):
            space.enqueue("a", {"x": object()})
        assert space.stats()["jobs"] == []
