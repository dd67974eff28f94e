"""What no memory can keep or look for: refused whole and in words, or kept and shown without harm."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from mnemic import Filter, Kind, Memory, Turn
from mnemic.errors import ConflictError, InputError, NotFoundError
from mnemic.text.memory import MAX_QUERY, MAX_TEXT

QUERIES = [
    "",
    " ",
    "the of and to",
    "?!...",
    '"',
    '""heron"',
    "*",
    "heron*",
    "NEAR(",
    "NEAR(heron weir, 2)",
    "heron AND NOT (weir",
    "tokens: heron",
    "'; DROP TABLE items; --",
    "a\0b",
    "\ud800\udfff heron",
    "\u202eheron",
    "日本語で鷺はどこですか",
    "😀😀",
    "-" * 1000,
    "%s %d {} {0} \\",
]


class TestTurns:
    @pytest.mark.parametrize(
        ("turn", "said"),
        [
            ("", "turn 1 has no text"),
            (" \n\t", "turn 1 has no text"),
            ({}, "turn 1 has no text"),
            ({"text": None}, "turn 1 has no text"),
            ({"speaker": "Ana"}, "turn 1 has no text"),
            ({"text": "x", "colour": "blue"}, "unknown field 'colour'.*meta"),
            ({"text": 5}, "must be a string, not int"),
            ({"text": "x", "speaker": 5}, "the speaker must be a string"),
            ({"text": "x", "role": 5}, "the role must be a string"),
            ({"text": "x", "session": ["s"]}, "the session must be a string"),
            ({"text": "x", "caption": 5}, "the caption of turn 1 must be a string"),
            ({"text": "x", "id": 5}, "the id must be a string"),
            ({"text": "x", "meta": "y"}, "the meta of turn 1 must be a dict"),
            ({"text": "x", "meta": {"a": {1, 2}}}, "meta must be JSON"),
            ({"text": "x", "meta": {"a": math.nan}}, "meta must be JSON"),
            ({"text": "x", "meta": {"a": "\ud800"}}, "cannot be stored"),
            ({"text": "x", "at": "tomorrow"}, "cannot read the time 'tomorrow'.*ISO 8601"),
            ({"text": "x", "at": 1e30}, "outside the years 1 to 9999"),
            ({"text": "x", "at": math.nan}, "outside the years 1 to 9999"),
            (None, "cannot remember a NoneType"),
            (5, "cannot remember a int"),
            (b"bytes", "give a string"),
            ([["x"]], "turn 1 is a list"),
            ("x" * 5_000_000, "5,000,000 characters, over 1,000,000: split it"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_what_is_none_is_refused_in_words(self, memory: Memory, turn: Any, said: str) -> None:
        with pytest.raises(InputError, match=said):
            memory.remember(turn)
        assert memory.stats()["records"] == 0

    @pytest.mark.parametrize("bad", ["", {"text": "x", "meta": {"a": {1}}}, {"text": "x", "at": "?"}, 5])
    def test_a_bad_third_turn_stores_nothing(self, memory: Memory, bad: Any) -> None:
        before = memory.stats()
        with pytest.raises(InputError):
            memory.remember(["one", "two", bad, "four"])
        assert memory.stats() == before
        assert memory.recall("one two four").hits == ()

    def test_the_error_names_the_turn(self, memory: Memory) -> None:
        with pytest.raises(InputError, match="turn 3 has no text"):
            memory.remember(["one", "two", ""])

    def test_one_id_twice_in_a_batch(self, memory: Memory) -> None:
        receipt = memory.remember([Turn("heron", id="a"), Turn("heron", id="a")])
        assert (receipt.ids, receipt.duplicates) == (("a",), ("a",))
        with pytest.raises(ConflictError, match="other content"):
            memory.remember([Turn("new", id="b"), Turn("newer", id="b")])
        assert memory.stats()["records"] == 1

    def test_the_longest_text_is_kept_whole(self, memory: Memory) -> None:
        text = ("heron " * (MAX_TEXT // 6 + 1))[: MAX_TEXT - 5] + " weir"[:5]
        (id,) = memory.remember(text[:MAX_TEXT]).ids
        assert memory.get(id)[0].text == text[:MAX_TEXT]
        began = time.perf_counter()
        assert memory.recall("weir", budget=100).hits[0].id == id
        assert memory.ask("Where is the weir?").found
        assert time.perf_counter() - began < 5

    def test_one_endless_word(self, memory: Memory) -> None:
        (id,) = memory.remember("x" * 200_000).ids
        assert memory.recall("x" * 200_000).hits[0].id == id

    def test_strange_characters_are_kept(self, memory: Memory) -> None:
        text = "he\0ron \u202ereversed\u202c 😀 日本 é \x1b[31mred"
        (id,) = memory.remember(text, speaker="A\0na", session="s\0", role="user").ids
        (record,) = memory.get(id)
        assert (record.text, record.speaker, record.session) == (text, "A\0na", "s\0")
        for filter in (Filter(speakers=["A\0na"]), Filter(sessions=["s\0"]), Filter(ids=[id])):
            assert [hit.id for hit in memory.recall("日本", filter=filter)] == [id]
        shown = memory.recall("reversed").text
        assert not set(shown) & set("\0\x1b\u202e\u202c")
        assert "😀 日本 é" in shown

    def test_lone_surrogates_become_the_replacement_character(self, memory: Memory) -> None:
        (id,) = memory.remember("heron \ud83d", speaker="Ana \udc00", session="\ud800").ids
        (record,) = memory.get(id)
        assert (record.text, record.speaker, record.session) == ("heron \ufffd", "Ana \ufffd", "\ufffd")
        for line in memory.export():
            repr(line).encode()

    @pytest.mark.parametrize(
        "speaker", ["\u202enaA", "Ana\n[1] Mon 2024-01-01 Ben", "\x1b[2J\x07Ana", "Ana\u2028Ben", "A" * 10_000, "[9]"]
    )
    def test_a_name_cannot_disguise_its_line(self, memory: Memory, speaker: str) -> None:
        memory.remember("The heron nests.", speaker=speaker)
        found = memory.recall("heron")
        assert len(found.text.splitlines()) == 1
        assert found.text.startswith("[1] Fri 2024-03-01 09:00 ")
        assert not set(found.text) & set("\x1b\x07\u202e\u2028")
        answer = memory.ask("Does the heron nest?").text
        assert not set(answer) & set("\x1b\x07\u2028\n")

    @pytest.mark.parametrize(
        "at",
        [
            "0001-01-01T00:00:00",
            "9999-12-31T23:59:59.999999",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-12:00",
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
            -1.5,
        ],
        ids=str,
    )
    def test_the_ends_of_time(self, memory: Memory, at: Any) -> None:
        (id,) = memory.remember([{"text": "The heron nests in spring.", "at": at, "speaker": "Ana"}]).ids
        memory.remember("Herons eat fish.", at="2024-01-01")
        found = memory.recall("When does the heron nest in spring?", now=at)
        assert id in {hit.id for hit in found}
        for question in ("What did we talk about last week?", "heron yesterday", "What did we discuss in 2024?"):
            for now in (at, None):
                memory.recall(question, now=now)
                memory.ask(question, now=now)
        memory.reflect()
        assert memory.history(id)[0].at == found.hits[[hit.id for hit in found].index(id)].at
        assert len([line for line in memory.export() if "item" in line]) == 2


class TestQueries:
    @pytest.fixture
    def heron(self, memory: Memory) -> Memory:
        memory.remember(
            [Turn("The heron nests by the weir.", "Ana"), Turn("鷺は川にいます。", "Ben"), Turn("a b", "C")]
        )
        return memory

    @pytest.mark.parametrize("query", QUERIES, ids=lambda query: repr(query)[:30])
    def test_any_query_is_a_query(self, heron: Memory, query: str) -> None:
        found = heron.recall(query, k=2, budget=50)
        assert len(found) <= 2
        assert 0 <= found.confidence <= 1
        if not any(c.isalnum() for c in query):
            assert found.hits == ()
            assert found.confidence == 0
        assert heron.ask(query).text

    def test_words_are_found_through_the_noise(self, heron: Memory) -> None:
        for query in ('"heron"', "heron*", "\u202eheron", "\ud800 heron", "'; DROP TABLE items; heron--"):
            assert "heron" in heron.recall(query).hits[0].text
        assert heron.recall("鷺はどこ").hits[0].speaker == "Ben"

    @pytest.mark.parametrize("query", ["heron " * 17_000, "?" * 100_000, "x" * 100_000, "日本" * 50_000, '("' * 50_000])
    def test_an_endless_query_is_cut(self, heron: Memory, query: str) -> None:
        began = time.perf_counter()
        found = heron.recall(query)
        answer = heron.ask(query)
        assert time.perf_counter() - began < 10
        assert len(found.query) <= MAX_QUERY
        assert answer.text

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"k": 0}, "k must be at least 1, not 0"),
            ({"k": -1}, "k must be at least 1"),
            ({"budget": 0}, "budget must be at least 1 token, not 0"),
            ({"now": "soon"}, "cannot read the time"),
            ({"valid_at": ""}, "cannot read the time"),
            ({"as_of": "2024-13-01"}, "cannot read the time"),
            ({"filter": Filter(kinds=["poem"])}, "unknown kind 'poem': use one of turn, fact"),
            ({"filter": Filter(phrase="of the")}, "no searchable word"),
            ({"filter": Filter(words="?")}, "no searchable word"),
            ({"filter": Filter(meta={"a": {1}})}, "must be JSON"),
        ],
        ids=str,
    )
    def test_a_bad_option_is_refused_in_words(self, heron: Memory, options: dict[str, Any], said: str) -> None:
        for verb in (heron.recall, heron.ask):
            with pytest.raises(InputError, match=said):
                verb("heron", **options)

    def test_a_query_that_is_no_string(self, heron: Memory) -> None:
        for query in (None, 5, b"heron", ["heron"]):
            with pytest.raises(InputError, match="the query must be a string"):
                heron.recall(query)  # type: ignore[arg-type]

    def test_filters_that_match_nothing(self, heron: Memory) -> None:
        for filter in (
            Filter(speakers=["\ud800"]),
            Filter(ids=["\ud800"]),
            Filter(phrase='" OR heron'),
            Filter(phrase="NEAR( zebra"),
            Filter(meta={'"; DROP': 1}),
            Filter(since=datetime(9999, 1, 1, tzinfo=UTC)),
            Filter(until=datetime(1, 1, 1, tzinfo=UTC)),
        ):
            assert heron.recall("heron", filter=filter).hits == () or filter.phrase == '" OR heron'


class TestOtherVerbs:
    def test_unknown_ids(self, memory: Memory) -> None:
        assert memory.get(["none", ""]) == []
        for id in ("none", "", "\ud800"):
            for verb in (memory.history, lambda i: memory.revise(i, "x"), lambda i: memory.forget([i])):
                with pytest.raises((NotFoundError, InputError)):
                    verb(id)

    @pytest.mark.parametrize("what", ["", " ", "the of", "?!"])
    def test_forgetting_without_a_word_is_refused(self, memory: Memory, what: str) -> None:
        memory.remember("the heron")
        with pytest.raises(InputError, match="content word"):
            memory.forget(what)
        assert len(memory.recall("heron")) == 1

    @pytest.mark.parametrize("query", [q for q in QUERIES if any(c.isalnum() for c in q) and q != "the of and to"])
    def test_forgetting_by_a_strange_query_is_safe(self, memory: Memory, query: str) -> None:
        memory.remember("Nothing of this kind: a zebra.", role="user")
        memory.forget(query)
        assert len(memory.recall("zebra")) == 1

    def test_a_revision_is_checked_like_a_turn(self, memory: Memory) -> None:
        (id,) = memory.remember("heron").ids
        with pytest.raises(InputError, match="must be a string"):
            memory.revise(id, None)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="split"):
            memory.revise(id, "x" * (MAX_TEXT + 1))
        with pytest.raises(InputError, match="cannot read the time"):
            memory.revise(id, "x", at="soon")
        assert len(memory.history(id)) == 1

    @pytest.mark.parametrize(
        "lines",
        [
            [{"item": {}}],
            [{"item": {"id": "a", "kind": "poem", "text": "x"}}],
        ],
        ids=str,
    )
    def test_what_is_no_export_is_refused_whole(self, memory: Memory, lines: list[Any]) -> None:
        with pytest.raises(InputError, match="not an export"):
            memory.space.restore(lines)
        assert memory.stats()["records"] == 0

    def test_unknown_kind(self) -> None:
        with pytest.raises(InputError, match="use one of turn, fact"):
            Kind.parse("poem")
