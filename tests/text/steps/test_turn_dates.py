"""The time grammar on what is told: the days that turns speak of, and which turns speak of any."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mnemic.text.steps.dates import (
    TimeRange,
    has_time_word,
    resolve,
)
from mnemic.text.steps.timex.timeword import TIME_WORD

NOW = datetime(2023, 10, 25, 15, 0, tzinfo=UTC)  # a Wednesday


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "words", "start", "end"),
    [
        ("I went camping two weekends ago.", "two weekends ago", "2023-10-14", "2023-10-16"),
        ("We adopted him in March 2021.", "March 2021", "2021-03-01", "2021-04-01"),
        ("Last Friday was fun.", "Last Friday", "2023-10-20", "2023-10-21"),
        ("I ran the Sunday before last.", "the Sunday before last", "2023-10-15", "2023-10-16"),
        ("It was a couple of days ago!", "a couple of days ago", "2023-10-23", "2023-10-24"),
        ("The exam is in two weeks.", "in two weeks", "2023-11-05", "2023-11-12"),
        ("We will meet on Friday.", "on Friday", "2023-10-27", "2023-10-28"),
        ("We met on Friday.", "on Friday", "2023-10-20", "2023-10-21"),
        ("I'll go there in May.", "May", "2024-05-01", "2024-06-01"),
        ("I've had my dogs for three years.", "three years", "2020-01-01", "2021-01-01"),
        ("I met them on the 15th after my trip.", "on the 15th", "2023-10-15", "2023-10-16"),
        ("I fell last week, on Tuesday.", "last week, on Tuesday", "2023-10-17", "2023-10-18"),
    ],
)
def test_resolve(text: str, words: str, start: str, end: str) -> None:
    (mention,) = resolve(text, NOW)
    assert text[mention.start : mention.end] == words
    assert mention.range == TimeRange(day(start), day(end))


@pytest.mark.parametrize(
    ("said", "text", "start", "end"),
    [
        ("2025-05-21", "The long weekend, Thursday the 19th of June to Sunday the 22nd", "2025-06-19", "2025-06-23"),
        ("2025-02-03", "Our table is now on Sunday the 9th", "2025-02-09", "2025-02-10"),
        ("2025-03-02", "Elise isn't until May, the 19th", "2025-05-19", "2025-05-20"),
        ("2025-06-05", "I looked at it: it is on the 14th, the Saturday", "2025-06-14", "2025-06-15"),
        ("2025-06-05", "Thursday the 12th, from two o'clock", "2025-06-12", "2025-06-13"),
        ("2025-06-20", "We met on Friday the 13th", "2025-06-13", "2025-06-14"),
        ("2025-06-05", "It was Thursday the 8th of May", "2025-05-08", "2025-05-09"),
        ("2025-02-01", "It was Thursday 6 June", "2024-06-06", "2024-06-07"),
        ("2025-06-05", "See you on Saturday 14th", "2025-06-14", "2025-06-15"),
        ("2025-05-21", "on Thursday the 19th to Sunday the 22nd of June", "2025-06-19", "2025-06-23"),
        ("2025-05-24", "From Friday to Tuesday we'll be away", "2025-05-30", "2025-06-04"),
        ("2025-06-16", "Thursday's nearly here", "2025-06-19", "2025-06-20"),
        ("2025-06-16", "We don't leave until Saturday", "2025-06-21", "2025-06-22"),
        ("2025-06-16", "We're driving to Rome on Friday", "2025-06-20", "2025-06-21"),
        ("2025-06-16", "We leave on the 3rd", "2025-07-03", "2025-07-04"),
        ("2025-02-08", "Her wedding is booked for the 3rd of May", "2025-05-03", "2025-05-04"),
        ("2025-04-08", "We are going to Rome at the weekend", "2025-04-12", "2025-04-14"),
        ("2025-01-14", "The interview is next Wednesday", "2025-01-22", "2025-01-23"),
        ("2025-06-16", "On the 3rd we were driving to Rome", "2025-06-03", "2025-06-04"),
        ("2025-06-05", "It was Friday the 20th of May", "2025-05-20", "2025-05-21"),  # a Tuesday: a slip
    ],
)
def test_weekdays_agree_with_days_and_plans_lie_ahead(said: str, text: str, start: str, end: str) -> None:
    (mention,) = resolve(text, day(said + "T20:00"))
    assert mention.range == TimeRange(day(start), day(end))


@given(at=st.dates(date(2001, 1, 1), date(2099, 12, 31)), gap=st.integers(-150, 150))
def test_a_day_with_its_weekday_and_month_is_found_either_way(at: date, gap: int) -> None:
    said = datetime(at.year, at.month, at.day, 12, tzinfo=UTC) - timedelta(days=gap)
    (mention,) = resolve(f"{at.strftime('%A')} the {at.day}. of {at.strftime('%B')}".replace(".", "th"), said)
    assert mention.range.start.date() == at


def test_the_way_back_comes_after_the_way_there() -> None:
    leave, back = resolve("We fly on the 12th of April and come back on the 16th", day("2025-02-20"))
    assert (leave.range.start, back.range.start) == (day("2025-04-12"), day("2025-04-16"))


def test_resolve_judges_each_sentence_by_itself_and_says_how_sure() -> None:
    text = "We met on Friday. Can't wait to see you on Friday! It was on 3 May 2022, or a few weeks ago."
    first, second, written, vague = resolve(text, NOW)
    assert first.range.start < NOW < second.range.start
    assert written.certainty == 1.0
    assert vague.certainty < first.certainty < written.certainty


@pytest.mark.parametrize(
    "text",
    ["I waited for two weeks and left.", "The autumn colours!", "It was a good idea.", "We ran 5 miles in 2 hours"],
)
def test_turns_without_a_time(text: str) -> None:
    assert resolve(text, NOW) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I went there last summer", True),
        ("It was in March", True),
        ("See you on Tuesday", True),
        ("since 2019", True),
        ("at 3pm", True),
        ("two years and a dog", True),
        ("on the 3rd", True),
        ("I may come and march along", False),
        ("That is a good idea!", False),
        ("I saw her last Fri", True),
        ("We have 3 dogs and 2 cats", False),
    ],
)
def test_has_time_word(text: str, expected: bool) -> None:
    assert has_time_word(text) is expected


TIMELIKE = (
    "a an the last next this Last On on past every few of in during mid-summer midsummer mid summer Summer autumn fall"
    " time times day Days WEEK weeks morning yesterday Today ago May may March march Sat sat Sun Fri Tues Sept Jan"
    " 3 3rd 12 2019 19:30 7pm 7 PM 5/8/23 1.2.2023 90s before after , . - ' _ é weeK mınute minuteſ İn daY"
    " noon Noonish sunday"
).split()


@example("a mınute")
@example("two dayſ")
@example("in midsummer")
@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(TIMELIKE), max_size=9).flatmap(
        lambda words: st.sampled_from([" ", "", "  ", ", ", "-", "’"]).map(lambda gap: gap.join(words))
    )
)
def test_has_time_word_is_a_search_for_the_expression(text: str) -> None:
    assert has_time_word(text) is bool(re.search(TIME_WORD, text))


def test_importing_compiles_no_expression() -> None:
    code = (
        "import re, sys, dataclasses, datetime, dateutil.easter, mnemic.text\n"
        "made = []\n"
        "kept, re.compile = re.compile, lambda *given: made.append(given)\n"
        "import mnemic.text.steps.dates\n"
        "sys.exit(len(made))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
