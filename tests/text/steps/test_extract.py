"""Facts by rule: what is stated is read, what is not stated is not, and the time of a statement is resolved."""

from __future__ import annotations

import gzip
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.steps.extract import Fact, extract, relation_of, same_value
from mnemic.text.steps.relations import TIME_WORDS, rules

SAID = datetime(2024, 5, 8, 12, tzinfo=UTC)


def read(text: str, **given: object) -> list[Fact]:
    options: dict = {"speaker": "Ana", "said": SAID, **given}
    return extract(text, **options)


def shown(text: str, **given: object) -> set[tuple[str, str, str, bool]]:
    return {(fact.subject, fact.relation, fact.value, fact.ended) for fact in read(text, **given)}


STATED = [
    ("I moved to Porto last month.", "lives_in", "Porto"),
    ("We finally moved into the new flat in Porto!", "lives_in", "Porto"),
    ("I’m a nurse and I’ve lived in Oslo since 2019.", "lives_in", "Oslo"),
    ("I moved from Leeds to Porto in March.", "lives_in", "Porto"),
    ("My new address is 12 Harbour Street, Porto.", "lives_in", "12 Harbour Street, Porto"),
    ("I live in Denver, can you recommend a park?", "lives_in", "Denver"),
    ("You are so kind! I live in Leeds.", "lives_in", "Leeds"),
    ("Correct, I live in Leeds.", "lives_in", "Leeds"),
    ("I grew up in Lagos.", "from", "Lagos"),
    ("I work at Dahl & Roth as a bookkeeper.", "works_at", "Dahl & Roth"),
    ("I work as a nurse at St. Mary's Hospital.", "works_at", "St. Mary's Hospital"),
    ("I got a new job at the harbour museum!", "works_at", "the harbour museum"),
    ("I'm a software engineer at Google.", "job", "software engineer"),
    ("I just got promoted to head librarian.", "job", "head librarian"),
    ("I'm 32 years old.", "age", "32"),
    ("I'm 32, so no rush.", "age", "32"),
    ("My birthday is on May 5th.", "birthday", "May 5th"),
    ("My name is Ana Silva.", "name", "Ana Silva"),
    ("My number is +44 7700 900123.", "phone", "+44 7700 900123"),
    ("We got engaged on Sunday!", "status", "engaged"),
    ("I broke up with my boyfriend.", "status", "single"),
    ("I'm pregnant!", "status:health", "pregnant"),
    ("I'm retired now.", "status:work", "retired"),
    ("My wife Elena made it.", "partner", "Elena"),
    ("I'm dating Sam.", "partner", "Sam"),
    ("I study biology at Leeds.", "studies", "biology at Leeds"),
    ("I have two kids.", "has_child", "two kids"),
    ("My friend Rachel called.", "has_friend", "Rachel"),
    ("My cat, Luna, is asleep.", "pet", "cat named Luna"),
    ("We adopted a puppy named Max two months ago.", "pet", "a puppy named Max"),
    ("I bought a new bike last Saturday.", "owns", "a new bike"),
    ("I drive a 2018 Honda Civic.", "owns", "2018 Honda Civic"),
    ("I really love hiking in the mountains.", "likes", "hiking in the mountains"),
    ("I can't stand loud music.", "dislikes", "loud music"),
    ("I'm not a fan of jazz.", "dislikes", "jazz"),
    ("My favourite colour is blue.", "favourite:colour", "blue"),
    ("Dune is my favorite book.", "favourite:book", "Dune"),
    ("I prefer tea over coffee.", "prefers:drink", "tea"),
    ("I'm a tea person now.", "prefers:drink", "tea"),
    ("I switched from coffee to tea last week.", "prefers:drink", "tea"),
    ("I prefer scenic routes.", "prefers", "scenic routes"),
    ("I'm vegan.", "diet", "vegan"),
    ("I don't eat meat.", "diet", "no meat"),
    ("I'm allergic to peanuts.", "allergy", "peanuts"),
    ("I'm lactose intolerant.", "allergy", "lactose"),
    ("I'm moving to Porto in June.", "plans", "moving to Porto"),
    ("I'm planning a trip to Japan.", "plans", "a trip to Japan"),
    ("Yesterday I slipped on the icy steps.", "did", "slipped on the icy steps"),
]


@pytest.mark.parametrize(("text", "relation", "value"), STATED)
def test_reads_what_is_stated(text: str, relation: str, value: str) -> None:
    assert ("Ana", relation, value, False) in shown(text)


ENDED = [
    ("I used to live in Berlin.", "lives_in", "Berlin"),
    ("I moved out of Leeds.", "lives_in", "Leeds"),
    ("I don't live in Leeds anymore.", "lives_in", "Leeds"),
    ("I quit my job at Google last week.", "works_at", "Google"),
    ("I used to be a teacher.", "job", "teacher"),
    ("I lost my job.", "job", "job"),
    ("I no longer drink coffee.", "prefers:drink", "coffee"),
    ("I gave up coffee.", "prefers:drink", "coffee"),
    ("I used to love jazz.", "likes", "jazz"),
    ("I'm no longer vegan.", "diet", "vegan"),
]


@pytest.mark.parametrize(("text", "relation", "value"), ENDED)
def test_reads_what_is_over(text: str, relation: str, value: str) -> None:
    assert shown(text) == {("Ana", relation, value, True)}


NOT_STATED = [
    "I don't live in Leeds.",
    "I've never lived in Leeds.",
    "If I moved to Porto, I'd be happy.",
    "I'd love to live in Lisbon.",
    "I might move to Rome next year.",
    "I'm thinking of moving to Oslo.",
    "Maybe I live in Leeds after all",
    "I wish I lived in Rome.",
    "Do I live in Leeds?",
    "Did you know I moved to Leeds?",
    'She said "I live in Rome" and laughed.',
    "He told me I live in Rome.",
    "It says, I love sweets.",
    "> I live in Rome",
    "I live in Rome, just kidding!",
    "I'm a nurse. In my dreams!",
    "Imagine you are a pirate. I live in Tortuga.",
    "Write a letter: I work at Google.",
    "You are a helpful travel assistant. I live in Rome.",
    "Everyone lives in Fear.",
    "I'm not a doctor.",
    "I'm a big fan of hers.",
    "I love it!",
    "I love the idea of a garden.",
    "The things I love makes me happy.",
    "I like how it looks.",
    "One of my favorite shots is a portrait.",
    "My favorite part is the end.",
    "I would prefer tea.",
    "I have a question about my guitar lessons.",
    "We have a guy who plays guitar.",
    "I bought a gift for my sister.",
    "I got it three weeks ago.",
    "My ex-wife Elena called.",
    "I'm 5 minutes away.",
    "I'm 50% sure.",
    "My neighbor Mrs. Johnson called.",
    "I need to work on the report today.",
]


@pytest.mark.parametrize("text", NOT_STATED)
def test_reads_nothing_that_is_not_stated(text: str) -> None:
    assert read(text) == []


def test_other_people_are_subjects_only_when_named_clearly() -> None:
    assert shown("My sister Rosa lives in Leeds.") == {
        ("Rosa", "lives_in", "Leeds", False),
        ("Ana", "has_sister", "Rosa", False),
    }
    assert shown("My sister lives in Leeds.") == {("Ana's sister", "lives_in", "Leeds", False)}
    assert shown("Tom works at Siemens.") == {("Tom", "works_at", "Siemens", False)}
    assert shown("This works at Siemens.") == set()


def test_texts_are_sentences_about_the_subject() -> None:
    texts = {
        "I live in Porto.": "Ana lives in Porto.",
        "I used to live in Berlin.": "Ana no longer lives in Berlin.",
        "I'm an engineer.": "Ana works as an engineer.",
        "My sister is a nurse.": "Ana's sister works as a nurse.",
        "My favourite colour is blue.": "Ana's favourite colour is blue.",
        "Last Friday I took my kids to a museum.": "Ana took their kids to a museum.",
        "I'm planning to visit Rome.": "Ana plans to visit Rome.",
        "I was born in the US.": "Ana is from the US.",
    }
    assert {text: read(text)[0].text for text in texts} == texts
    assert read("I live in Porto.", speaker=None)[0].text == "The speaker lives in Porto."


def test_the_span_is_the_sentence() -> None:
    text = "Hello there! Dr. Roth says hi. I live in Porto. Bye."
    (fact,) = read(text)
    assert text[slice(*fact.sentence)].strip() == "I live in Porto."


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("I moved to Porto last month.", (2024, 4, 1)),
        ("I started working at Google in March.", (2024, 3, 1)),
        ("I've lived in Leeds since 2019.", (2019, 1, 1)),
        ("I've lived in Leeds for six years.", (2018, 1, 1)),
        ("I quit my job at Google yesterday.", (2024, 5, 7)),
        ("I'm moving to Porto next month.", (2024, 6, 1)),
        ("My friend visited last week, but I live in Porto.", None),
        ("I live in Porto.", None),
    ],
)
def test_start_is_the_time_said_with_it(text: str, start: tuple[int, int, int] | None) -> None:
    (fact,) = [fact for fact in read(text) if fact.relation in ("lives_in", "works_at", "plans")]
    assert (fact.start and (fact.start.year, fact.start.month, fact.start.day)) == start


def test_without_a_time_of_saying_nothing_is_dated() -> None:
    (fact,) = read("I moved to Porto last month.", said=None)
    assert fact.start is None
    assert read("Yesterday I slipped on the icy steps.", said=None) == []


def test_events_and_plans_lie_on_their_side_of_now() -> None:
    assert {fact.relation for fact in read("Tomorrow I'm going to visit the dentist.")} == {"plans"}
    assert {fact.relation for fact in read("Yesterday I visited the old dentist.")} == {"did"}
    assert read("I booked a flight for next month.") == []
    assert read("I got a job at Google, from next month.")[0].start is None
    for fact in read("Yesterday I visited the old dentist.") + read("I finished the race last Sunday."):
        assert fact.start is not None
        assert fact.start <= SAID


def test_functional_relations_hold_one_value() -> None:
    functional = {fact.relation: fact.functional for text, _, _ in STATED for fact in read(text)}
    one = "lives_in works_at job age status status:health partner name favourite:colour prefers:drink diet"
    many = "likes dislikes pet owns plans did has_friend allergy prefers"
    assert all(functional[relation] for relation in one.split())
    assert not any(functional[relation] for relation in many.split())


@pytest.mark.parametrize(
    ("previous", "text", "facts"),
    [
        ("Nice! Where do you live?", "In Porto, near the river", {("Ana", "lives_in", "Porto", False)}),
        ("Did you move to Porto?", "Yes, at last!", {("Ana", "lives_in", "Porto", False)}),
        ("Did you move to Porto?", "No, not yet", set()),
        ("Where do you work?", "At Google.", {("Ana", "works_at", "Google", False)}),
        ("How old are you?", "32", {("Ana", "age", "32", False)}),
        ("I see.", "In Porto, near the river", set()),
    ],
)
def test_plain_answers_to_plain_questions(previous: str, text: str, facts: set[tuple[str, str, str, bool]]) -> None:
    assert shown(text, previous=previous) == facts


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Where does Ana live now?", ("lives_in", "Ana", "now")),
        ("Where does Ana live?", ("lives_in", "Ana", "now")),
        ("Where did she live before the move?", ("lives_in", None, "before")),
        ("Where did Ana live in 2019?", ("lives_in", "Ana", "any")),
        ("Where did Ana originally live?", ("lives_in", "Ana", "first")),
        ("Where did Caroline move from?", ("lives_in", "Caroline", "before")),
        ("Does Ana still live in Leeds?", ("lives_in", "Ana", "now")),
        ("Where does Tom’s sister live?", ("lives_in", "Tom's sister", "now")),
        ("Where does my sister live?", ("lives_in", "my sister", "now")),
        ("Where do I live?", ("lives_in", None, "now")),
        ("What does Tom do for work these days?", ("job", "Tom", "now")),
        ("What was Nora's first job?", ("job", "Nora", "first")),
        ("Where did Nora work previously?", ("works_at", "Nora", "before")),
        ("How old is Rosa?", ("age", "Rosa", "now")),
        ("What is Ana's favourite colour?", ("favourite:colour", "Ana", "now")),
        ("Does Felix prefer coffee or tea?", ("prefers:drink", "Felix", "now")),
        ("What did Felix used to drink?", ("prefers:drink", "Felix", "before")),
        ("Is Tom married?", ("status", "Tom", "now")),
        ("What colour was the door?", (None, None, "any")),
    ],
)
def test_relation_of_questions(question: str, asked: tuple[str | None, str | None, str]) -> None:
    assert relation_of(question) == asked


def test_same_value() -> None:
    same = [("Porto", "porto, Portugal"), ("two cats", "2 cat"), ("the Museum", "museum"), ("NYC", "New York")]
    same += [("São Paulo", "Sao Paulo"), ("tea", "Tea.")]
    other = [
        ("tea", "coffee"),
        ("Porto", "Leeds, Portugal"),
        ("Porto, Portugal", "Leeds, Portugal"),
        ("C", "C++"),
        ("", "x"),
    ]
    assert all(same_value(a, b) and same_value(b, a) for a, b in same)
    assert not any(same_value(a, b) or same_value(b, a) for a, b in other)


_PIECES = (
    [text for text, *_ in STATED + ENDED] + NOT_STATED + ['"', "“", "?", "\n", "> ", "\x00", "’", "İ", "last month "]
)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(max_size=200), st.lists(st.sampled_from(_PIECES), max_size=5).map("".join)),
    st.one_of(st.none(), st.text(max_size=8)),
    st.one_of(st.none(), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.just(SAID)),
    st.one_of(st.none(), st.text(max_size=30), st.sampled_from(["Where do you live?", "Did you move to Porto?"])),
)
def test_any_text_is_read(text: str, speaker: str | None, said: datetime | None, previous: str | None) -> None:
    for fact in extract(text, speaker=speaker, said=said, previous=previous):
        start, end = fact.sentence
        assert 0 <= start < end <= len(text)
        assert fact.value.strip() == fact.value != ""
        assert fact.text.endswith(".")
        assert (
            fact.value.lower().split(" ")[0] in fact.text.lower()
            or fact.value in ("job", "single")
            or "their" in fact.text
        )
        assert 0 < fact.confidence <= 1
        assert fact.start is None or fact.start.tzinfo is not None
    relation, subject, tense = relation_of(text)
    assert relation is None or relation
    assert subject is None or subject in text.replace("’", "'")
    assert tense in ("now", "before", "first", "any")
    assert same_value(text, text)


@pytest.mark.parametrize(
    "unit", ["I live in Porto. ", "I ", "a ", '"', ".", "\n", " ", "I moved to Xx", "my dog ", "where live "]
)
def test_time_grows_with_the_length_and_not_faster(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        extract(text, speaker="Ana", said=None)
        relation_of(text)
        return time.process_time() - begun

    small = min(seconds(20_000) for _ in range(3))
    large = min(seconds(80_000) for _ in range(3))
    assert large < 10 * small + 0.01  # four times the text; quadratic would be sixteen times


def test_every_rule_is_called_by_lower_case_words_and_matches_nothing_empty() -> None:
    index = rules()
    assert all(word == word.lower() and " " not in word for word in index)
    assert {"0year", "0day"} <= set(index) & TIME_WORDS
    assert not [rule.relation for called in index.values() for _, rule in called if rule.pattern.search("")]


@pytest.mark.data
def test_facts_are_rare_and_quick_in_real_conversations() -> None:
    folder = os.environ.get("MNEMIC_DATA")
    if not folder or not (path := Path(folder, "locomo", "locomo.json.gz")).exists():
        pytest.skip("set MNEMIC_DATA to a folder with locomo/locomo.json.gz")
    with gzip.open(path) as file:
        samples = json.load(file)
    turns = [
        turn
        for sample in samples[:3]
        for key, session in sample["conversation"].items()
        if isinstance(session, list)
        for turn in session
    ]
    facts = [fact for turn in turns for fact in extract(turn["text"], speaker=turn["speaker"], said=SAID)]
    assert 0.01 < len(facts) / len(turns) < 0.2
