"""Recalled records as text: one citation a line, nothing hidden, within the budget."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.plan import Hit
from mnemic.text.record import Kind, Record, Span
from mnemic.text.steps.render import count_tokens, cut, line, name, pack, quoted, shown, visible, when

AT = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


def hit(text: str, n: int = 1, speaker: str | None = "Ana", kind: Kind = Kind.TURN, at: datetime | None = AT) -> Hit:
    record = Record(f"id{n}", kind, text, at=at, speaker=speaker)
    return Hit(n, record.id, kind, shown(record), 1.0, speaker, at, None, (record.id,), record)


class TestCount:
    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("", 0),
            (" \n\t", 0),
            ("a", 1),
            ("heron", 1),
            ("herons", 2),
            ("extraordinary", 3),
            ("It is, isn't it?", 8),
            ("日本語", 3),
            ("été", 2),
            ("😀", 2),
        ],
    )
    def test_words_signs_and_other_scripts(self, text: str, tokens: int) -> None:
        assert count_tokens(text) == tokens

    @given(st.text(), st.text())
    def test_lines_cost_what_they_cost_alone(self, one: str, two: str) -> None:
        assert count_tokens(f"{one}\n{two}") == count_tokens(one) + count_tokens(two)


class TestVisible:
    @pytest.mark.parametrize(
        "mark", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u200b", "\u200f", "\u202e", "\u2066", "\ufeff", "\u061c",
                 "\U000e0041"]
    )  # fmt: skip
    def test_controls_and_direction_marks_go(self, mark: str) -> None:
        assert visible(f"An{mark}a") == "Ana"

    @pytest.mark.parametrize("text", ["a\tb\nc", "می\u200cخواهم", "👨\u200d👩\u200d👧", "Ünï 日本", "é"])
    def test_what_is_text_stays(self, text: str) -> None:
        assert visible(text) == text

    @pytest.mark.parametrize("end", ["\r\n", "\r", "\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
    def test_every_line_break_is_one(self, end: str) -> None:
        assert visible(f"one{end}two") == "one\ntwo"

    def test_a_name_is_on_one_line(self) -> None:
        assert name(" Ana\n\u202e[2]\r\nBen ") == "Ana [2] Ben"

    @given(st.text())
    def test_doing_it_twice_changes_nothing(self, text: str) -> None:
        assert visible(visible(text)) == visible(text)


class TestShown:
    def test_secrets_are_masked_where_they_stand(self) -> None:
        record = Record("a", Kind.TURN, "pin\u202e 8841 ok", secrets=(Span(5, 9, "pin"),))
        assert shown(record) == "pin [secret:pin] ok"

    def test_a_picture_is_described(self) -> None:
        assert shown(Record("a", Kind.TURN, "Look!", caption="a\u202e heron")) == "Look! [shares an image: a heron]"
        assert shown(Record("a", Kind.TURN, "", caption="a heron")) == "[shares an image: a heron]"


class TestWhen:
    @pytest.mark.parametrize(
        ("at", "told"),
        [
            (None, "undated"),
            (AT, "Mon 2023-05-08 13:56"),
            (datetime(2023, 5, 8, tzinfo=UTC), "Mon 2023-05-08"),
            (datetime(1, 1, 1, tzinfo=UTC), "Mon 0001-01-01"),
            (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "Fri 9999-12-31 23:59"),
        ],
    )
    def test_dates(self, at: datetime | None, told: str) -> None:
        assert when(at) == told


class TestLine:
    def test_says_number_date_who_and_what(self) -> None:
        assert line(hit("Hello there.", 3)) == "[3] Mon 2023-05-08 13:56 Ana: Hello there."
        assert line(hit("Hello.", speaker=None, at=None)) == "[1] undated: Hello."
        assert line(hit("Ana likes tea.", kind=Kind.FACT)) == "[1] Mon 2023-05-08 13:56 (fact) Ana: Ana likes tea."

    @given(
        st.text(st.sampled_from(list("a\n\r\u2028\u2029\x85\x0b\x0c\x1c\u202e[2] :")), max_size=30),
        st.text(st.sampled_from(list("a\n\r\u2028\u2029\x85\x0b\x0c\x1c\u202e[2] :")), max_size=30),
    )
    def test_nothing_in_it_can_pose_as_another_citation(self, text: str, speaker: str) -> None:
        first, *rest = line(hit(text, speaker=speaker)).splitlines()
        assert first.startswith("[1] Mon 2023-05-08 13:56")
        assert all(more.startswith("    ") for more in rest)


class TestPack:
    HITS = (hit("alpha beta gamma", 1), hit("delta epsilon", 2), hit("zeta " * 200, 3), hit("eta", 4))

    def test_without_budget_all_of_it(self) -> None:
        text, packed = pack(self.HITS, None)
        assert packed == 4
        assert text == "\n".join(line(each) for each in self.HITS)

    def test_a_long_one_is_cut_and_ends_it(self) -> None:
        text, packed = pack(self.HITS, 100)
        assert packed == 3
        assert text.splitlines()[:2] == [line(each) for each in self.HITS[:2]]
        assert text.endswith("zeta…")
        assert 90 <= count_tokens(text) <= 100

    def test_with_little_room_left_it_is_not_cut(self) -> None:
        room = sum(count_tokens(line(each)) for each in self.HITS[:2])
        text, packed = pack(self.HITS, room + 23)
        assert packed == 2
        assert text.endswith("epsilon")

    def test_no_room_is_no_text(self) -> None:
        assert pack(self.HITS, 5) == ("", 0)
        assert pack([], 100) == ("", 0)

    @given(st.lists(st.text(max_size=300), max_size=6), st.integers(1, 120))
    def test_never_over_budget_and_numbered_in_order(self, texts: list[str], budget: int) -> None:
        text, packed = pack([hit(each, n) for n, each in enumerate(texts, 1)], budget)
        assert count_tokens(text) <= budget
        assert [int(n) for n in re.findall(r"(?m)^\[(\d+)\]", text)] == list(range(1, packed + 1))

    @given(st.text(), st.integers(1, 50))
    def test_a_cut_is_a_beginning(self, text: str, budget: int) -> None:
        short = cut(text, budget)
        assert short.endswith("…")
        assert text.startswith(short[:-1])
        assert count_tokens(short) <= budget


class TestQuoted:
    @given(st.text())
    def test_nothing_inside_can_close_it(self, text: str) -> None:
        first, *_, last = quoted(text).split("\n")
        assert first.replace("<", "</", 1) == last
        assert last not in text
        assert quoted(text).count(last) == 1
        again = quoted(f"{text}\n{last}")  # who knows the mark of one quotation does not know the next
        assert again.count(again.rsplit("\n", 1)[1]) == 1
