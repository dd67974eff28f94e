"""The verbs of a memory: what each promises, checked on small conversations."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import mnemic
from mnemic import Filter, Kind, Memory, Preview, Receipt, Turn
from mnemic.errors import ConflictError, InputError, NotFoundError
from mnemic.text.record import State
from mnemic.text.steps.render import count_tokens

DAY = timedelta(days=1)
PASSWORD = "Quartz-Lemur-77"


def texts(found: mnemic.Recall) -> list[str]:
    return [hit.text for hit in found.hits]


def forgotten(memory: Memory, what: str | list[str], **options: Any) -> Receipt:
    receipt = memory.forget(what, **options)
    assert isinstance(receipt, Receipt)
    return receipt


def previewed(memory: Memory, what: str | list[str]) -> Preview:
    preview = memory.forget(what, preview=True)
    assert isinstance(preview, Preview)
    return preview


class TestRemember:
    @pytest.mark.parametrize(
        "what",
        [
            "The heron nests by the weir.",
            Turn("The heron nests by the weir."),
            {"text": "The heron nests by the weir."},
            ["The heron nests by the weir."],
            (each for each in ["The heron nests by the weir."]),
        ],
        ids=["text", "turn", "dict", "list", "generator"],
    )
    def test_takes_every_form_of_a_turn(self, memory: Memory, what: Any) -> None:
        receipt = memory.remember(what)
        (record,) = memory.get(receipt.ids)
        assert record.text == "The heron nests by the weir."
        assert record.kind == Kind.TURN
        assert texts(memory.recall("heron")) == [record.text]

    def test_keeps_every_field(self, memory: Memory) -> None:
        at = datetime(2023, 5, 8, 13, 56, tzinfo=timezone(timedelta(hours=2)))
        turn = Turn("Look!", "Ana", at, "s1", "user", "a heron", "t1", {"mood": ["calm", 1]})
        memory.remember(turn)
        (record,) = memory.get("t1")
        kept = (record.text, record.speaker, record.at, record.session, record.role, record.caption, record.id)
        assert kept == ("Look!", "Ana", at, "s1", "user", "a heron", "t1")
        assert record.at is not None
        assert record.at.utcoffset() == timedelta(hours=2)
        assert record.meta == {"mood": ["calm", 1]}

    def test_arguments_are_defaults_for_turns_that_say_nothing_else(self, memory: Memory) -> None:
        memory.remember(
            ["one", {"text": "two", "speaker": "Ben", "meta": {"b": 2}}],
            speaker="Ana", at="2023-01-02T10:00", session="s", role="user", meta={"a": 1},
        )  # fmt: skip
        one, two = (hit.record for hit in sorted(memory.recall("one two").hits, key=lambda h: h.text))
        assert (one.speaker, one.session, one.role, one.meta) == ("Ana", "s", "user", {"a": 1})
        assert one.at == two.at == datetime(2023, 1, 2, 10, tzinfo=UTC)
        assert (two.speaker, two.meta) == ("Ben", {"a": 1, "b": 2})

    def test_without_a_time_it_was_said_now(self, memory: Memory, clock: Any) -> None:
        (id,) = memory.remember("hello").ids
        assert memory.get(id)[0].at == clock.now

    def test_times_with_and_without_zone_sort_together(self, memory: Memory) -> None:
        memory.remember(
            [
                {"text": "heron third", "at": "2024-01-01T12:30:00+01:00"},
                {"text": "heron first", "at": "2024-01-01T11:00:00"},
                {"text": "heron second", "at": datetime(2024, 1, 1, 6, 15, tzinfo=timezone(timedelta(hours=-5)))},
                {"text": "heron epoch", "at": 1704110400},
            ]
        )
        found = memory.recall("heron", k=4, filter=Filter(until=datetime(2024, 1, 1, 11, 30, tzinfo=UTC)))
        assert sorted(texts(found)) == ["heron first", "heron second"]
        assert memory.recall("epoch").hits[0].at == datetime(2024, 1, 1, 12, tzinfo=UTC)

    def test_a_pause_of_half_an_hour_begins_a_session(self, memory: Memory, clock: Any) -> None:
        ids = []
        for minutes in (0, 29, 30, 31, 1):
            clock.forward(minutes=minutes)
            ids += memory.remember("again").ids
        sessions = [record.session for record in memory.get(ids)]
        assert sessions[0] == sessions[1] == sessions[2] != sessions[3] == sessions[4]

    def test_a_named_session_is_kept_and_does_not_end_the_running_one(self, memory: Memory, clock: Any) -> None:
        ids = []
        for session in (None, "work", None):
            clock.forward(minutes=5)
            ids += memory.remember("again", session=session).ids
        first, work, third = (record.session for record in memory.get(ids))
        assert work == "work"
        assert first == third != "work"

    def test_a_turn_from_before_begins_its_own_session(self, memory: Memory, clock: Any) -> None:
        (new,) = memory.remember("now").ids
        (old,) = memory.remember("then", at="2020-01-01T10:00").ids
        assert memory.get(new)[0].session != memory.get(old)[0].session

    def test_the_running_session_goes_on_after_reopening(self, tmp_path: Path, clock: Any) -> None:
        sessions = []
        for minutes in (0, 10, 10, 31):
            clock.forward(minutes=minutes)
            with mnemic.open(tmp_path, encoders="lexical", clock=clock) as memory:
                (id,) = memory.remember("again").ids
                sessions.append(memory.get(id)[0].session)
        assert sessions[0] == sessions[1] == sessions[2] != sessions[3]

    def test_same_id_and_words_is_a_duplicate(self, memory: Memory, clock: Any) -> None:
        turn = Turn("The ferry leaves at nine.", "Ana", id="t1")
        first = memory.remember(turn)
        clock.forward(days=1)
        again = memory.remember([turn, Turn("And returns at ten.", "Ana", id="t2")])
        assert (first.ids, first.duplicates) == (("t1",), ())
        assert (again.ids, again.duplicates) == (("t2",), ("t1",))
        assert memory.stats()["records"] == 2

    def test_same_id_other_words_is_refused(self, memory: Memory) -> None:
        memory.remember(Turn("The ferry leaves at nine.", id="t1"))
        with pytest.raises(ConflictError, match="revise"):
            memory.remember([Turn("Something new."), Turn("The ferry leaves at ten.", id="t1")])
        assert memory.stats()["records"] == 1

    def test_an_idempotency_key_repeats_the_receipt(self, memory: Memory) -> None:
        first = memory.remember(["one", "two"], idempotency_key="call 1")
        again = memory.remember(["one", "two"], idempotency_key="call 1")
        other = memory.remember(["one", "two"], idempotency_key="call 2")
        assert again == first
        assert len(first.ids) == 2
        assert set(other.ids).isdisjoint(first.ids)
        assert memory.stats()["records"] == 4

    def test_nothing_is_nothing(self, memory: Memory) -> None:
        assert memory.remember([]).ids == ()
        assert memory.stats()["seq"] == 0

    def test_ingest_tells_what_it_did_and_goes_on_where_it_was(self, memory: Memory) -> None:
        turns = [Turn(f"heron number {i}", id=f"t{i}", session="s") for i in range(10)]
        told: list[int] = []
        first = memory.ingest(turns[:7], page=3, progress=told.append)
        again = memory.ingest([*turns, Turn(f"the password is {PASSWORD}", id="p")], page=3, threads=1)
        assert (first.stored, first.skipped) == (7, 0)
        assert (again.stored, again.skipped, again.secrets) == (4, 7, 1)
        assert told == [3, 6, 7]

    def test_ingest_keeps_the_pages_before_a_bad_turn(self, memory: Memory) -> None:
        turns = [Turn("one", id="1"), Turn("two", id="2"), Turn("three", id="3"), Turn("", id="4")]
        with pytest.raises(InputError, match="no text"):
            memory.ingest(turns, page=2, threads=1)
        assert memory.stats()["records"] in (0, 2)
        done = memory.ingest([*turns[:3], Turn("four", id="4")], page=2)
        assert done.stored + done.skipped == 4


class TestRecall:
    @pytest.fixture
    def birds(self, memory: Memory) -> Memory:
        memory.remember(
            [
                Turn(f"The heron of week {i} eats fish.", ("Ana", "Ben")[i % 2], id=f"t{i}", role="user",
                     at=datetime(2024, 1, 1, tzinfo=UTC) + 7 * i * DAY, session=f"s{i // 4}", meta={"even": i % 2 == 0})
                for i in range(12)
            ]
        )  # fmt: skip
        return memory

    @pytest.mark.parametrize(("k", "expected"), [(1, 1), (5, 5), (100, 12)])
    def test_brings_at_most_k(self, birds: Memory, k: int, expected: int) -> None:
        found = birds.recall("heron fish", k=k)
        assert len(found) == len(found.hits) == expected
        assert [hit.n for hit in found] == list(range(1, expected + 1))
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)

    @pytest.mark.parametrize("budget", [1, 10, 40, 100, 10_000])
    def test_keeps_the_budget(self, birds: Memory, budget: int) -> None:
        found = birds.recall("heron fish", k=12, budget=budget)
        assert count_tokens(found.text) <= budget
        assert len(found.hits) == 12
        assert len(found.text.splitlines()) == found.trace["packed"]

    def test_nothing_relevant_is_an_empty_answer(self, birds: Memory) -> None:
        found = birds.recall("submarine cables")
        assert (found.hits, found.text, found.confidence) == ((), "", 0.0)

    @pytest.mark.parametrize(
        ("filter", "expected"),
        [
            (Filter(speakers=["Ben"]), {1, 3, 5, 7, 9, 11}),
            (Filter(sessions=["s0", "s2"]), {0, 1, 2, 3, 8, 9, 10, 11}),
            (Filter(ids=["t3", "t4", "none"]), {3, 4}),
            (Filter(meta={"even": True}), {0, 2, 4, 6, 8, 10}),
            (Filter(since=datetime(2024, 1, 15, tzinfo=UTC), until=datetime(2024, 2, 5, tzinfo=UTC)), {2, 3, 4}),
            (Filter(phrase="week 7 eats"), {7}),
            (Filter(words="fish 7"), {7}),
            (Filter(kinds=[Kind.FACT]), set()),
            (Filter(roles=["assistant"]), set()),
            (Filter(speakers=["Ana"], sessions=["s1"]), {4, 6}),
        ],
    )
    def test_filters(self, birds: Memory, filter: Filter, expected: set[int]) -> None:
        found = birds.recall("heron", k=50, filter=filter)
        assert {hit.id for hit in found} == {f"t{i}" for i in expected}

    def test_history_imported_today_is_asked_with_its_own_date(self, clock: Any) -> None:
        clock.now = datetime(2026, 6, 1, tzinfo=UTC)
        with mnemic.open(":memory:", encoders="lexical", clock=clock) as memory:
            memory.remember(
                [
                    Turn("I started the pottery course.", "Ana", datetime(2023, 4, 3, 18, tzinfo=UTC), "s1"),
                    Turn("The pottery kiln broke.", "Ana", datetime(2023, 5, 6, 18, tzinfo=UTC), "s2"),
                ]
            )
            found = memory.recall("pottery", now="2023-05-08")
            assert len(found) == 2, "what was said before the question was asked is found, whenever it was recorded"
            last = memory.recall("What did we talk about last weekend?", now="2023-05-08")
            assert texts(last) == ["The pottery kiln broke."]
            assert texts(memory.recall("pottery last weekend", now="2023-05-08"))[0] == "The pottery kiln broke."
            asked = memory.ask("What did we talk about last weekend?", now="2023-05-08")
            assert asked.found
            assert "kiln" in asked.text

    def test_as_of_shows_the_past_of_the_store(self, memory: Memory, clock: Any) -> None:
        (first,) = memory.remember("The meeting is in room Aspen.").ids
        before = clock.forward(days=1)
        clock.forward(days=1)
        (second,) = (id for id in memory.revise(first, "The meeting is in room Birch.").ids if id != first)
        clock.forward(days=1)
        memory.remember("The meeting has snacks.")
        forgotten(memory, [second])
        assert texts(memory.recall("meeting", as_of=before)) == ["The meeting is in room Aspen."]
        assert texts(memory.recall("meeting", as_of=before + DAY)) == ["The meeting is in room Birch."]
        assert texts(memory.recall("meeting")) == ["The meeting has snacks."]
        assert memory.recall("meeting", as_of=before - 2 * DAY).hits == ()
        assert memory.get(second, as_of=before) == []
        assert memory.get(first, as_of=before)[0].state == State.ACTIVE
        assert memory.get(first)[0].state == State.SUPERSEDED


class TestRevise:
    def test_a_correction_was_never_true(self, memory: Memory, clock: Any) -> None:
        (old,) = memory.remember("The gate code word is alder.", at="2024-01-10", speaker="Ana", session="s").ids
        clock.forward(days=60)
        receipt = memory.revise(old, "The gate code word is birch.")
        (new,) = set(receipt.ids) - {old}
        for moment in ("2024-01-11", "2024-06-01", None):
            assert [hit.id for hit in memory.recall("gate", valid_at=moment)] == [new]
        (record,) = memory.get(new)
        assert (record.speaker, record.session, record.version, record.supersedes) == ("Ana", "s", 2, old)

    def test_a_change_was_true_until_then(self, memory: Memory, clock: Any) -> None:
        (old,) = memory.remember("The office is in Lisbon.", at="2024-01-10").ids
        clock.forward(days=60)
        (new,) = set(memory.revise(old, "The office is in Porto.", at="2024-03-01").ids) - {old}
        assert [hit.id for hit in memory.recall("office", valid_at="2024-02-29")] == [old]
        assert [hit.id for hit in memory.recall("office", valid_at="2024-03-01")] == [new]
        assert [hit.id for hit in memory.recall("office")] == [new]
        assert memory.recall("office", valid_at="2024-01-09").hits == ()

    def test_history_tells_all_versions_from_any_of_them(self, memory: Memory) -> None:
        ids = list(memory.remember("draft one").ids)
        for text in ("draft two", "draft three"):
            ids += set(memory.revise(ids[-1], text).ids) - set(ids)
        for id in ids:
            told = memory.history(id)
            assert [record.id for record in told] == ids
            assert [record.version for record in told] == [1, 2, 3]
            assert [record.state for record in told] == [State.SUPERSEDED, State.SUPERSEDED, State.ACTIVE]

    def test_only_the_newest_version_can_be_revised(self, memory: Memory) -> None:
        (old,) = memory.remember("draft one").ids
        memory.revise(old, "draft two")
        with pytest.raises(ConflictError, match="superseded"):
            memory.revise(old, "draft other")
        assert memory.stats()["records"] == 2

    def test_of_nothing_or_to_nothing_is_refused(self, memory: Memory) -> None:
        (id,) = memory.remember("draft").ids
        with pytest.raises(NotFoundError, match="no memory has the id"):
            memory.revise("unknown", "text")
        with pytest.raises(InputError, match="forget"):
            memory.revise(id, " \n")
        forgotten(memory, id)
        with pytest.raises(NotFoundError):
            memory.revise(id, "draft two")


class TestForget:
    def test_by_id_by_ids_and_by_query(self, memory: Memory) -> None:
        memory.remember([Turn(f"heron {word}", id=word) for word in ("alder", "birch", "cedar", "dogwood", "elm")])
        assert forgotten(memory, "alder").ids == ("alder",)
        assert set(forgotten(memory, ["birch", "cedar", "birch"]).ids) == {"birch", "cedar"}
        assert forgotten(memory, "the herons of dogwood").ids == ("dogwood",)
        assert texts(memory.recall("heron")) == ["heron elm"]

    def test_a_query_must_match_with_all_its_words(self, memory: Memory) -> None:
        memory.remember(["heron alder", "heron birch"])
        assert forgotten(memory, "heron cedar").ids == ()
        assert len(memory.recall("heron")) == 2

    def test_an_unknown_id_forgets_nothing(self, memory: Memory) -> None:
        memory.remember(Turn("heron", id="a"))
        with pytest.raises(NotFoundError, match="nothing was forgotten"):
            memory.forget(["a", "b"])
        with pytest.raises(InputError, match="content word"):
            memory.forget("of the")
        assert len(memory.recall("heron")) == 1

    def test_preview_changes_nothing(self, memory: Memory) -> None:
        memory.remember([Turn("I live in Lisbon.", "Ana", id="a"), Turn("heron", id="b")])
        memory.reflect()
        before = memory.stats()
        told = previewed(memory, ["a", "a"])
        assert [record.id for record in told.named] == ["a"]
        assert [record.kind for record in told.derived] == [Kind.FACT]
        assert len(told) == 2
        assert memory.stats() == before

    @pytest.mark.parametrize("erase", [False, True])
    def test_what_rests_on_it_goes_too(self, memory: Memory, erase: bool) -> None:
        memory.remember([Turn("I live in Lisbon.", "Ana", id="a"), Turn("Lisbon is hot.", "Ben", id="b")])
        memory.reflect()
        assert memory.recall("Where does Ana live?").hits[0].kind == Kind.FACT
        receipt = forgotten(memory, "a", erase=erase)
        assert len(receipt.ids) == 2
        for query in ("Where does Ana live?", "Lisbon"):
            assert {hit.id for hit in memory.recall(query)} <= {"b"}
        assert memory.recall("Lisbon", filter=Filter(kinds=[Kind.FACT])).hits == ()
        memory.reflect()
        assert memory.recall("Lisbon", filter=Filter(kinds=[Kind.FACT])).hits == ()

    def test_erased_leaves_no_byte(self, tmp_path: Path) -> None:
        word = "zanzibarquokka"
        with mnemic.open(tmp_path, encoders="lexical") as memory:
            memory.remember([Turn(f"My {word} is blue.", "Ana", id="a"), Turn("heron", id="b")])
            (new,) = set(memory.revise("b", f"heron {word}").ids) - {"b"}
            memory.reflect()
            receipt = forgotten(memory, word, erase=True)
            assert {"a", new} <= set(receipt.ids)
            assert not receipt.pending
            assert memory.get(["a", new]) == []
            assert not any(word.encode() in file.read_bytes() for file in tmp_path.iterdir())
        assert not any(word.encode() in file.read_bytes() for file in tmp_path.iterdir())

    def test_a_forgotten_fact_is_not_the_former_one(self, memory: Memory) -> None:
        memory.remember(
            [
                Turn("I live in Lisbon.", "Ana", datetime(2023, 1, 1, tzinfo=UTC), id="a"),
                Turn("I moved to Porto.", "Ana", datetime(2024, 1, 1, tzinfo=UTC), id="b"),
            ]
        )
        memory.reflect()
        assert "Lisbon" in memory.recall("Where did Ana live before?").hits[0].text
        forgotten(memory, "a")
        found = memory.recall("Where did Ana live before?")
        assert not any("Lisbon" in hit.text for hit in found)
        assert "Lisbon" not in found.text


class TestScan:
    def test_pages_through_what_is_current_in_the_order_stored(self, memory: Memory) -> None:
        ids = list(memory.remember([f"Note number {n}." for n in range(5)]).ids)
        forgotten(memory, ids[1])
        new = memory.revise(ids[2], "Note number two.").ids[0]
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(9):
            page, cursor = memory.scan(cursor=cursor, limit=2)
            assert len(page) <= 2
            seen += [record.id for record in page]
            if cursor is None:
                break
        assert seen == [ids[0], ids[3], ids[4], new]

    def test_filters_and_masks(self, memory: Memory) -> None:
        memory.remember(f"My password is {PASSWORD}.", speaker="Ana", at="2024-03-01")
        memory.remember("Hello.", speaker="Ben", at="2024-03-02")
        (record,), end = memory.scan(Filter(until="2024-03-02"))  # type: ignore[arg-type]
        assert PASSWORD not in record.text
        assert end is None
        assert PASSWORD in memory.scan(Filter(speakers=["Ana"]), secrets=True)[0][0].text

    def test_refuses_a_page_of_nothing(self, memory: Memory) -> None:
        with pytest.raises(InputError, match="limit"):
            memory.scan(limit=0)


class TestReflect:
    @pytest.fixture
    def moved(self, memory: Memory, clock: Any) -> Memory:
        memory.remember([Turn("I live in Lisbon.", "Ana", datetime(2023, 1, 1, tzinfo=UTC), "s1", id="a")])
        memory.remember([Turn("I moved to Porto.", "Ana", datetime(2024, 1, 1, tzinfo=UTC), "s2", id="b")])
        memory.reflect()
        clock.forward(days=1)
        return memory

    def test_derives_facts_that_cite_their_turns(self, moved: Memory) -> None:
        facts = moved.recall("Ana lives", filter=Filter(kinds=[Kind.FACT]))
        assert [(hit.text, hit.sources) for hit in facts] == [("Ana lives in Porto.", ("b",))]
        versions = moved.history(facts.hits[0].id)
        assert [(v.text, v.state) for v in versions] == [
            ("Ana lives in Lisbon.", State.SUPERSEDED),
            ("Ana lives in Porto.", State.ACTIVE),
        ]
        assert versions[0].valid.end == versions[1].valid.start == datetime(2024, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("question", "fact", "turn"),
        [
            ("Where does Ana live now?", "Ana lives in Porto.", "b"),
            ("Where did Ana live before?", "Ana lives in Lisbon.", "a"),
            ("Where did Ana live originally?", "Ana lives in Lisbon.", "a"),
        ],
    )
    def test_the_fact_goes_ahead_with_its_turn(self, moved: Memory, question: str, fact: str, turn: str) -> None:
        found = moved.recall(question)
        first, second = found.hits[:2]
        assert (first.text, first.kind, first.sources) == (fact, Kind.FACT, (turn,))
        assert (second.id, second.kind) == (turn, Kind.TURN)
        assert found.text.startswith("[1]")
        assert len({hit.id for hit in found}) == len(found)
        assert [hit.n for hit in found] == list(range(1, len(found) + 1))

    def test_valid_at_asks_for_the_value_of_that_day(self, moved: Memory) -> None:
        found = moved.recall("Where does Ana live?", valid_at="2023-06-01")
        assert found.hits[0].text == "Ana lives in Lisbon."

    def test_again_adds_nothing(self, moved: Memory) -> None:
        before = moved.stats()
        assert moved.reflect() == {"derived": 0, "superseded": 0}
        assert moved.stats() == before

    def test_goes_on_after_a_crash(self, memory: Memory) -> None:
        memory.remember([Turn(f"I live in Lisbon, part {i}.", f"P{i}", id=f"t{i}", session="s") for i in range(450)])

        def crash(*_: object) -> None:
            raise RuntimeError("out of memory")

        with pytest.raises(RuntimeError, match="out of memory"):
            memory.reflect(progress=crash)
        (job,) = memory.stats()["jobs"]
        assert "out of memory" in job["error"]
        kept = memory.stats()["kinds"][Kind.FACT]
        done = memory.reflect()
        assert 0 < kept < 450
        assert kept + done["derived"] == 450
        assert memory.stats()["jobs"][0]["error"] is None

    def test_only_what_is_new(self, moved: Memory) -> None:
        moved.remember(Turn("I live in Madrid now.", "Ana", datetime(2024, 2, 1, tzinfo=UTC)))
        assert moved.reflect() == {"derived": 1, "superseded": 1}
        assert moved.recall("Where does Ana live?").hits[0].text == "Ana lives in Madrid."


class TestSecrets:
    @pytest.fixture
    def told(self, clock: Any) -> Iterator[Memory]:
        with mnemic.open(":memory:", encoders="lexical", clock=clock) as memory:
            memory.remember(
                [Turn(f"The wifi password is {PASSWORD}.", "Ana", id="p"), Turn("The wifi is slow.", id="w")]
            )
            yield memory

    def test_only_get_with_secrets_shows_them(self, told: Memory) -> None:
        assert told.get("p")[0].text == "The wifi password is [secret:password]."
        assert told.get("p", secrets=True)[0].text == f"The wifi password is {PASSWORD}."

    def test_nothing_else_shows_them(self, told: Memory, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            told.revise("p", f"The new wifi password is {PASSWORD}!")
            told.reflect()
            shown = [
                told.recall("wifi password"),
                told.recall("wifi password", valid_at="2030-01-01", as_of="2030-01-01"),
                told.ask("What is the wifi password?"),
                told.get("p"),
                told.history("p"),
                told.forget("wifi", preview=True),
                told.forget(["p"], preview=True),
                told.stats(),
                list(told.export()),
                list(told.space.changes()),
            ]
        for each in shown:
            assert PASSWORD not in repr(each)
        assert PASSWORD not in caplog.text
        assert PASSWORD in repr(list(told.export(secrets=True)))

    def test_their_words_find_nothing(self, told: Memory) -> None:
        assert told.recall(PASSWORD).hits == ()
        for filter in (Filter(phrase=PASSWORD), Filter(words="quartz")):
            assert told.recall("wifi", filter=filter).hits == ()
        for query in (PASSWORD, "lemur"):
            assert len(previewed(told, query)) == 0
        assert told.recall("wifi", filter=Filter(phrase="wifi password")).hits[0].id == "p"

    def test_they_do_not_come_out_through_facts(self, memory: Memory) -> None:
        memory.remember(
            Turn("I live in Lisbon and my favourite password is Tulip-Gannet-58, my phone pin is 8841.", "Ana", id="p")
        )
        memory.reflect()
        facts, _ = memory.space.scan(Filter(kinds=[Kind.FACT, Kind.PREFERENCE]))
        assert any("Lisbon" in fact.text for fact in facts)
        for secret in ("Tulip-Gannet-58", "8841"):
            assert secret in memory.get("p", secrets=True)[0].text
            assert secret not in repr(facts)

    def test_receipts_count_them(self, memory: Memory) -> None:
        receipt = memory.remember([f"my password is {PASSWORD}", "no secret", "the door code is 4071"])
        assert receipt.secrets == 2


class TestTransfer:
    def test_what_is_exported_can_be_restored(self, memory: Memory, clock: Any) -> None:
        memory.remember([Turn("I live in Lisbon.", "Ana", datetime(2023, 1, 1, tzinfo=UTC), "s", id="a")])
        clock.forward(days=1)
        before = clock.now
        clock.forward(days=1)
        memory.remember([Turn("I moved to Porto.", "Ana", datetime(2024, 1, 1, tzinfo=UTC), "s", id="b")])
        memory.reflect()
        (c,) = set(memory.revise("a", "I lived in Lisbon then.").ids) - {"a"}
        memory.remember("gone", idempotency_key="x")
        forgotten(memory, "gone")
        lines = json.loads(json.dumps(list(memory.export())))
        assert lines[0] == {"mnemic": 1, "space": "default", "system": "mnemic"}
        with mnemic.open(":memory:", encoders="lexical", clock=clock) as other:
            assert other.space.restore(lines) == len([line for line in lines if "item" in line])
            assert json.loads(json.dumps(list(other.export()))) == lines
            assert other.history(c) == memory.history(c)
            for question, options in (("Where does Ana live?", {}), ("Lisbon", {"as_of": before}), ("gone", {})):
                one, two = memory.recall(question, **options), other.recall(question, **options)
                assert [(h.id, h.score, h.text) for h in one] == [(h.id, h.score, h.text) for h in two]
            assert other.reflect()["derived"] == 0
            with pytest.raises(ConflictError, match="not empty"):
                other.space.restore(lines)

    def test_masked_for_good_unless_asked(self, memory: Memory, clock: Any) -> None:
        memory.remember(Turn(f"The wifi password is {PASSWORD}.", id="p"))
        for secrets, text in ((False, "[secret:password]."), (True, f"{PASSWORD}.")):
            with mnemic.open(":memory:", encoders="lexical", clock=clock) as other:
                other.space.restore(list(memory.export(secrets=secrets)))
                assert other.get("p", secrets=True)[0].text.endswith(text)
                assert other.recall(PASSWORD).hits == ()

    def test_stats_count(self, memory: Memory) -> None:
        memory.remember([Turn("I live in Lisbon.", "Ana", session="s1"), Turn("heron", session="s2")])
        memory.reflect()
        forgotten(memory, "heron")
        told = memory.stats()
        assert told["system"] == "mnemic"
        assert (told["records"], told["kinds"]) == (3, {"turn": 1, "fact": 1})
        assert (told["forgotten"], told["superseded"], told["sessions"]) == (1, 0, 2)
        assert told["bytes"] > 0
        assert told["encoders"] == {"lexical": "stems@1"}
        assert not told["erasure_pending"]
        json.dumps(told)
