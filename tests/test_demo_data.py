"""The conversation that the package carries: what it promises to newcomers, checked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import Stemmer

from mnemic import demo
from mnemic.demo import Question
from mnemic.errors import NotFoundError
from mnemic.text.record import Turn

TYPES = {
    "fact",
    "current",
    "former",
    "time",
    "two_sessions",
    "photo",
    "other_words",
    "preference_now",
    "preference_first",
    "similar",
    "corrected",
    "when",
    "secret",
    "none",
}
PASSWORD, PASSWORD_TURNS = "Tide-Gannet-58", ["d09-20"]
DOOR_CODE, DOOR_CODE_TURNS = "4071", ["d09-17"]

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MONTHS = "January February March April May June July August September October November December".split()
ANY_DAY = "(" + "|".join(day.capitalize() for day in DAYS) + ")"
ANY_MONTH = "(?: of (" + "|".join(MONTHS) + "))?"
DAY_THEN_DATE = re.compile(rf"{ANY_DAY} the (\d+)(?:st|nd|rd|th){ANY_MONTH}")
DATE_THEN_DAY = re.compile(rf"the (\d+)(?:st|nd|rd|th), the {ANY_DAY}")
NEXT_DAY_DATE = re.compile(rf"The {ANY_DAY} after next, the (\d+)(?:st|nd|rd|th)")

STOP = set(
    """a about after all also am an and any are as at back be been before both but by can did do does for from get go
    had has have he her hers him his how i if in into is it its just like me more most my new no not now of off on once
    one only or our out over own she so some such than that the their them then there these they this to together too
    up us was we well were what when where which who whom whose why will with would you your""".split()
)
STEM = Stemmer.Stemmer("english")


@pytest.fixture(scope="module")
def turns() -> list[Turn]:
    return demo.turns()


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return demo.questions()


@pytest.fixture(scope="module")
def by_id(turns: list[Turn]) -> dict[str, Turn]:
    return {turn.id or "": turn for turn in turns}


def content(text: str) -> set[str]:
    """Stems of the words that carry meaning."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"['’](s|m|re|ve|ll|d|t)\b", "", text.lower()))
    return set(STEM.stemWords([word for word in words if word not in STOP]))


def said(turn: Turn) -> str:
    return f"{turn.text} {turn.caption or ''}"


def of_type(questions: list[Question], kind: str) -> list[Question]:
    found = [question for question in questions if question.type == kind]
    assert found, f"no question of type {kind}"
    return found


# --- the conversation ------------------------------------------------------------------------------------------------


def test_size_speakers_and_span(turns: list[Turn]) -> None:
    assert len(turns) >= 320
    assert len({turn.session for turn in turns}) >= 14
    assert {turn.speaker for turn in turns} == {"Nora", "Felix"}
    first, last = turns[0].at, turns[-1].at
    assert first
    assert last
    assert last - first >= timedelta(days=243)


def test_ids_are_unique_and_count_up_inside_their_session(turns: list[Turn]) -> None:
    assert len({turn.id for turn in turns}) == len(turns)
    sessions = [(name, list(group)) for name, group in groupby(turns, key=lambda turn: turn.session)]
    assert [name for name, _ in sessions] == [f"d{number:02d}" for number in range(1, len(sessions) + 1)]
    for name, group in sessions:
        assert [turn.id for turn in group] == [f"{name}-{number:02d}" for number in range(1, len(group) + 1)]
        assert {turn.speaker for turn in group} == {"Nora", "Felix"}


def test_times_increase_and_carry_the_zone_of_the_season(turns: list[Turn]) -> None:
    summer = datetime(2025, 3, 30, 1, tzinfo=UTC)
    for turn in turns:
        assert turn.at
        assert turn.at.utcoffset() == timedelta(hours=2 if turn.at >= summer else 1), turn.id
    for before, after in pairwise(turns):
        assert before.at
        assert after.at
        gap = after.at - before.at
        if before.session == after.session:
            assert timedelta(seconds=5) <= gap <= timedelta(hours=1), after.id
        else:
            assert gap >= timedelta(days=1), after.id


def test_texts_are_clean_and_uneven(turns: list[Turn]) -> None:
    for turn in turns:
        assert turn.text == turn.text.strip() != "", turn.id
        assert turn.caption is None or turn.caption == turn.caption.strip() != "", turn.id
        assert not re.search(r"\s\s|\^|@\w", said(turn)), turn.id
    lengths = [len(turn.text.split()) for turn in turns]
    assert sum(length <= 3 for length in lengths) >= 20
    assert sum(length >= 25 for length in lengths) >= 20
    texts = [turn.text.lower() for turn in turns]
    assert len(set(texts)) == len(texts), sorted(text for text in set(texts) if texts.count(text) > 1)


def test_photos_have_captions(turns: list[Turn]) -> None:
    shared = [turn for turn in turns if turn.caption]
    assert len(shared) >= 8
    assert len({turn.session for turn in shared}) >= 8
    for turn in shared:
        assert len(content(turn.caption or "") - content(turn.text)) >= 5, turn.id


def test_secrets_are_told_once_and_asked_for_without_telling(turns: list[Turn], questions: list[Question]) -> None:
    assert [turn.id for turn in turns if PASSWORD.lower() in said(turn).lower()] == PASSWORD_TURNS
    assert [turn.id for turn in turns if DOOR_CODE in said(turn)] == DOOR_CODE_TURNS
    (question,) = of_type(questions, "secret")
    assert list(question.gold) == PASSWORD_TURNS
    for question in questions:
        assert PASSWORD not in question.question + question.note
        assert DOOR_CODE not in question.question + question.note


def first_on_or_after(day: date, number: int, month: int | None) -> date:
    """The first date from ``day`` on with that day of the month (and that month)."""
    while day.day != number or (month is not None and day.month != month):
        day += timedelta(days=1)
    return day


def dated_weekdays(turn: Turn) -> Iterator[tuple[str, date]]:
    """Every "Friday the 7th of February": the weekday that the turn claims, and the date that is meant."""
    assert turn.at
    since = turn.at.date()
    for day, number, month in DAY_THEN_DATE.findall(turn.text):
        since = first_on_or_after(since, int(number), MONTHS.index(month) + 1 if month else None)
        yield day, since  # a second date in the same turn counts from the first
    for number, day in DATE_THEN_DAY.findall(turn.text):
        yield day, first_on_or_after(turn.at.date(), int(number), None)
    for day, number in NEXT_DAY_DATE.findall(turn.text):
        yield day, first_on_or_after(turn.at.date(), int(number), None)


def test_weekdays_agree_with_the_calendar(turns: list[Turn]) -> None:
    claims = [(turn.id, day, meant) for turn in turns for day, meant in dated_weekdays(turn)]
    assert len(claims) >= 12
    assert [claim for claim in claims if DAYS[claim[2].weekday()] != claim[1].lower()] == []


@pytest.mark.parametrize(
    ("turn", "phrase", "said_on", "meant"),
    [
        ("d03-02", "two weekends ago", "monday", date(2025, 1, 25)),
        ("d04-18", "The Tuesday after next, the 25th", "thursday", date(2025, 2, 25)),
        ("d06-05", "last Thursday", "wednesday", date(2025, 3, 13)),
        ("d07-05", "last Friday", "tuesday", date(2025, 3, 28)),
        ("d08-10", "on Friday", "sunday", date(2025, 4, 18)),
        ("d09-05", "last Saturday", "saturday", date(2025, 4, 26)),
        ("d09-10", "on Wednesday", "saturday", date(2025, 4, 30)),
        ("d18-23", "last Sunday", "saturday", date(2025, 9, 7)),
    ],
)
def test_relative_dates_mean_what_the_story_needs(
    by_id: dict[str, Turn], turn: str, phrase: str, said_on: str, meant: date
) -> None:
    at = by_id[turn].at
    assert at
    today = at.date()
    assert phrase in by_id[turn].text
    assert DAYS[today.weekday()] == said_on
    monday = today - timedelta(days=today.weekday())
    day = re.search("|".join(DAYS), phrase.lower())
    if phrase == "two weekends ago":
        expected = monday - timedelta(days=9)
    elif "after next" in phrase:
        expected = today + timedelta(days=(DAYS.index("tuesday") - today.weekday()) % 7 + 7)
    else:
        assert day
        expected = today - timedelta(days=(today.weekday() - DAYS.index(day[0]) - 1) % 7 + 1)
    assert expected == meant


@pytest.mark.parametrize(
    ("event", "said_in"),
    {
        "old home": [("d01-05", "Tanner Lane"), ("d08-13", "Tanner Lane"), ("d17-17", "Tanner Lane")],
        "new home": [("d07-09", "Lighthouse Row 8"), ("d10-08", "Lighthouse Row 8"), ("d08-25", "Gullhaven")],
        "old job": [("d01-14", "work at Dahl & Roth"), ("d07-05", "Handed in my notice")],
        "new job": [("d05-11", "harbour museum"), ("d06-09", "Monday the 5th of May"), ("d10-02", "children")],
        "preference changes twice": [("d01-12", "third coffee"), ("d04-11", "tea person"), ("d15-19", "decaf")],
        "two sisters": [("d04-22", "9th of March"), ("d04-24", "Elise isn't until May, the 19th")],
        "two beagles": [("d06-15", "Biscuit, a beagle"), ("d06-17", "Simon has one too, that's Waffle")],
        "trip planned": [("d10-15", "Thursday the 19th of June to Sunday the 22nd"), ("d11-11", "Change of plan")],
        "trip near": [("d12-09", "Raincoat"), ("d13-01", "Packed!")],
        "trip taken": [("d14-11", "four seconds between flash and bang")],
        "book": [("d02-16", "Salt Cartographer"), ("d11-15", "left it on the train"), ("d18-05", "handed it in")],
        "recipe": [("d02-05", "red lentils"), ("d16-08", "plums")],
        "health": [("d03-02", "knee"), ("d05-02", "no operation"), ("d16-22", "three kilometres")],
        "dinner moved": [("d02-13", "The 7th works"), ("d03-13", "now on Sunday the 9th")],
        "fact corrected": [("d11-05", "Thursday the 12th"), ("d11-07", "No wait")],
        "present that broke": [("d08-10", "Elise"), ("d15-12", "in nine pieces")],
        "paid in two parts": [("d07-23", "145"), ("d09-08", "38"), ("d10-20", "96"), ("d14-17", "34")],
        "dated events": [("d01-17", "In 2019 I ran"), ("d05-16", "in 2017 I spent")],
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_story_has(by_id: dict[str, Turn], event: str, said_in: list[tuple[str, str]]) -> None:
    for turn, words in said_in:
        assert words in by_id[turn].text, (event, turn)


def test_the_trip_is_talked_about_in_the_week_before_it(turns: list[Turn], questions: list[Question]) -> None:
    week = [turn for turn in turns if turn.at and date(2025, 6, 12) <= turn.at.date() <= date(2025, 6, 18)]
    assert len({turn.session for turn in week}) >= 2
    (question,) = of_type(questions, "time")
    assert len(question.gold) >= 4
    assert set(question.gold) <= {turn.id for turn in week}


# --- the questions ---------------------------------------------------------------------------------------------------


def test_every_type_is_asked(questions: list[Question]) -> None:
    assert len(questions) >= 14
    assert {question.type for question in questions} == TYPES
    assert len({question.question for question in questions}) == len(questions)
    assert len(of_type(questions, "none")) == 2


def test_gold_exists_and_is_empty_only_where_nothing_answers(questions: list[Question], by_id: dict[str, Turn]) -> None:
    for question in questions:
        assert question.question.endswith("?")
        assert question.note, question.question
        assert bool(question.gold) != (question.type == "none"), question.question
        assert len(set(question.gold)) == len(question.gold)
        assert set(question.gold) <= by_id.keys(), question.question


def test_questions_are_asked_shortly_after_the_last_turn(turns: list[Turn], questions: list[Question]) -> None:
    last = turns[-1].at
    assert last
    for question in questions:
        assert timedelta() < question.now - last <= timedelta(days=7)


def test_two_session_questions_need_two_sessions(questions: list[Question], by_id: dict[str, Turn]) -> None:
    for question in of_type(questions, "two_sessions"):
        assert len({by_id[turn].session for turn in question.gold}) == 2, question.question
    # The turn where the teapot breaks must not give away who gave it.
    given, broken = next(q for q in of_type(questions, "two_sessions") if "teapot" in q.question).gold
    assert "Elise" in by_id[given].text
    assert all("Elise" not in turn.text for turn in by_id.values() if turn.session == by_id[broken].session)


@pytest.mark.parametrize(("word", "about"), [("yellow tiles", "tiles"), ("penguin", "flask")])
def test_photo_details_stand_only_in_the_caption(
    word: str, about: str, turns: list[Turn], questions: list[Question]
) -> None:
    (question,) = (question for question in of_type(questions, "photo") if about in question.question)
    assert [turn.id for turn in turns if turn.caption and word in turn.caption] == list(question.gold)
    assert not [turn.id for turn in turns if word in turn.text.lower()]


def test_other_words_share_nothing_with_their_turn(questions: list[Question], by_id: dict[str, Turn]) -> None:
    for question in of_type(questions, "other_words"):
        for turn in question.gold:
            assert content(question.question) & content(said(by_id[turn])) == set(), question.question


def test_no_question_copies_its_turn(questions: list[Question], by_id: dict[str, Turn]) -> None:
    for question in questions:
        for turn in question.gold:
            asked, told = content(question.question), content(said(by_id[turn]))
            assert len(asked & told) / len(asked | told) <= 0.3, (question.question, turn)
            words = re.findall(r"\w+", question.question.lower())
            runs = {" ".join(words[start : start + 4]) for start in range(len(words) - 3)}
            told_words = " ".join(re.findall(r"\w+", said(by_id[turn]).lower()))
            assert not [run for run in runs if run in told_words], (question.question, turn)


def test_nothing_answers_the_questions_without_gold(turns: list[Turn]) -> None:
    assert not [turn.id for turn in turns if re.search(r"\bbrothers?\b", said(turn).lower())]
    assert [(turn.id, turn.speaker) for turn in turns if "marathon" in turn.text] == [("d01-17", "Felix")]


def test_stemming_sees_through_word_forms() -> None:
    assert content("Which lessons is she learning?") == content("lesson, learned")
    assert content("Nora's tiles") == content("nora tile")


# --- reading it ------------------------------------------------------------------------------------------------------


def test_each_call_gives_a_fresh_list() -> None:
    first = demo.turns()
    first.clear()
    assert len(demo.turns()) > 0
    with pytest.raises(AttributeError):
        demo.questions()[0].gold = ()  # type: ignore[misc]


def test_import_reads_nothing() -> None:
    script = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from mnemic import demo\n"
        "data = lambda: [name for name in opened if name.endswith(('.jsonl', '.json'))]\n"
        "assert data() == [], data()\n"
        "demo.turns()\n"
        "assert len(data()) == 1, data()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_missing_data_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "files", lambda _: tmp_path)
    with pytest.raises(NotFoundError, match=r"conversation\.jsonl is missing.*install mnemic again"):
        demo.turns()
