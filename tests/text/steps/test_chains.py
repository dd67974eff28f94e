"""The grammar of chains: what a question asks of the table, and when it needs what was said before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.steps.chains import Route, route

NOW = datetime(2024, 3, 20, 18, 0, tzinfo=UTC)  # a Wednesday
DATES = [NOW - timedelta(days=7 * n, hours=1) for n in range(10, 0, -1)]
MORNING = "2024-03-20T00:00+00:00, 2024-03-20T11:59+00:00"
SPEAKERS = ["Ana Lima", "Ben", "user", "assistant"]


def routed(question: str, *before: str) -> Route:
    return route(question, NOW, before=before, dates=DATES, speakers=SPEAKERS)


def told(question: str, *before: str) -> list[str]:
    return [step.told() for step in routed(question, *before).chain]


@pytest.mark.parametrize(
    ("question", "chain", "content"),
    [
        ("What did we discuss on 28 February?", ["f_value(date, 2024-02-28)"], False),
        ("What did we talk about from 5 to 9 March?", ["f_between(date, 2024-03-05, 2024-03-09)"], False),
        ("What did we talk about this morning?", [f"f_between(moment, {MORNING})"], False),
        ("What did we discuss two sessions ago?", ["f_value(session, 9)"], False),
        ("What did we say about the boiler in session 3?", ["f_value(session, 3)"], True),
        ("What did we talk about on Fridays?", ["f_value(day, friday)"], False),
        ("What did we talk about at weekends?", ["f_value(day, saturday, sunday)"], False),
        ("Where does Ana go on Fridays?", [], True),
        ("What was the last line of the poem?", [], True),
        ("What did we discuss in the mornings?", ["f_between(time, 0, 719)"], False),
        ("What did Ana say about the boiler?", ["f_value(speaker, Ana Lima)"], True),
        ("What did Ben tell Ana on 28 February?", ["f_value(date, 2024-02-28)", "f_value(speaker, Ben)"], True),
        ("What did Ana Lima say in our first session?", ["f_value(session, 1)", "f_value(speaker, Ana Lima)"], False),
        ("What was the last thing Ben said?", ["f_value(speaker, Ben)", "f_between(response, -1, -1)"], False),
        ("What were the first three messages?", ["f_between(response, 1, 3)"], False),
        ("What did you suggest for the boiler?", ["f_value(speaker, assistant)"], True),
        ("What did Ana and Ben say about the boiler?", [], True),
        ("What do Ana and Ben share?", [], True),
        ("Where does Ana live?", [], True),
        ("What present did Ben get from Ana?", [], True),
        ("What did Ana paint last May?", [], True),
        ("", [], False),
    ],
)  # fmt: skip
def test_questions_and_their_chains(question: str, chain: list[str], content: bool) -> None:
    found = routed(question)
    assert [step.told() for step in found.chain] == chain
    assert found.content is content


def test_what_is_left_to_search_for_is_free_of_the_chain() -> None:
    assert "session" not in routed("What did we say about the boiler in session 3?").words
    assert "Ana" not in routed("What did Ana say about the boiler?").words
    assert "boiler" in routed("What did Ana say about the boiler on 28 February?").words


def test_a_time_that_dates_an_event_is_near_and_no_chain() -> None:
    found = routed("What did Ana paint in February?")
    assert found.chain == ()
    assert [(r.start.month, r.end.month) for r in found.near] == [(2, 3)]


CHAT = ("I see that we talked quite a bit on 28 February.", "Yes, I always enjoy our chats.")


def test_a_time_that_is_pointed_to_is_looked_up_in_the_context_beside_other_steps() -> None:
    chain = ["f_value(speaker, Ben)", "f_between(response, -1, -1)"]
    assert told("What was the last thing Ben said that day?") == chain
    assert told("What was the last thing Ben said that day?", *CHAT) == ["f_value(date, 2024-02-28)", *chain]
    assert told("What was the last thing Ben said?", *CHAT) == chain


@pytest.mark.parametrize(
    "question", ["Can you summarize what we discussed?", "What did we discuss then?", "Yes, please do."]
)
def test_a_question_that_needs_its_context_gets_it(question: str) -> None:
    assert told(question) == []
    assert told(question, *CHAT) == ["f_value(date, 2024-02-28)"]
    assert routed(question, *CHAT).text.endswith(question)


@pytest.mark.parametrize(
    ("question", "chain"),
    [
        ("What did we discuss on 6 March?", ["f_value(date, 2024-03-06)"]),
        ("What did we say about the boiler in session 3?", ["f_value(session, 3)"]),
        ("Where does Ana live?", []),
    ],
)
def test_a_question_that_is_whole_ignores_its_context(question: str, chain: list[str]) -> None:
    found = routed(question, *CHAT)
    assert [step.told() for step in found.chain] == chain
    assert found.text == question


def test_context_brings_words_where_it_brings_no_time() -> None:
    assert "boiler" in routed("And what about that?", "The boiler is broken.").words
    assert routed("And then?", "...", "?").text == "And then?"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.lists(st.text(max_size=60), max_size=3))
def test_it_never_raises(question: str, before: list[str]) -> None:
    found = route(question, NOW, before=before, dates=DATES, speakers=[*SPEAKERS, question[:20]])
    assert isinstance(found, Route)
