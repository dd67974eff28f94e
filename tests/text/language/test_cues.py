from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.text.language.cues import Ask, asks, clean, has_cue, is_aside, period, sentences


@pytest.mark.parametrize(
    ("question", "ask"),
    [
        ("When did Nora move?", Ask.WHEN),
        ("On which day was the fair?", Ask.WHEN),
        ("In what year did she graduate?", Ask.WHEN),
        ("What did Nora say when she moved?", Ask.OTHER),
        ("How long has she lived there?", Ask.LENGTH),
        ("For how many years has she known him?", Ask.LENGTH),
        ("How often does Felix run?", Ask.OFTEN),
        ("How many grams of lentils go in?", Ask.NUMBER),
        ("How much did the van cost?", Ask.NUMBER),
        ("Who gave Nora the teapot?", Ask.WHO),
        ("Whose beagle is Biscuit?", Ask.WHO),
        ("Where does she live now?", Ask.WHERE),
        ("Which city is she from?", Ask.WHERE),
        ("Why did she quit?", Ask.WHY),
        ("Did Felix run a marathon?", Ask.VERDICT),
        ("Isn't she a nurse?", Ask.VERDICT),
        ("What is the cat called?", Ask.OTHER),
        ("", Ask.OTHER),
    ],
)
def test_what_a_question_asks_for(question: str, ask: Ask) -> None:
    assert asks(question) is ask


@pytest.mark.parametrize(
    ("ask", "yes", "no"),
    [
        (Ask.WHEN, "We met two weeks ago.", "We met at the lake."),
        (Ask.LENGTH, "I have had it for three years.", "I have had it with milk."),
        (Ask.OFTEN, "I swim twice a week.", "I swim in the lake."),
        (Ask.NUMBER, "I paid 96 for the hut.", "I paid for the hut."),
        (Ask.NUMBER, "We have a dozen eggs.", "We have eggs."),
        (Ask.NUMBER, "Two of them broke.", "The other one broke, both did."),
        (Ask.WHO, "It was a present from Elise.", "It was a present."),
        (Ask.WHO, "my grandmother made it.", "the factory made it."),
        (Ask.WHERE, "I found it at the museum.", "I found it by chance."),
        (Ask.WHERE, "We moved to Gullhaven.", "We moved to relax."),
        (Ask.WHY, "I quit because it was dull.", "I quit on Friday."),
    ],
)
def test_what_a_sentence_offers(ask: Ask, yes: str, no: str) -> None:
    assert has_cue(ask, yes)
    assert not has_cue(ask, no)
    assert not has_cue(Ask.OTHER, yes)


def test_a_name_the_question_holds_is_no_news() -> None:
    assert has_cue(Ask.WHO, "I met Nora there")
    assert not has_cue(Ask.WHO, "I met Nora there", frozenset({"nora"}))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("I went. You stayed! Did she? Yes…  Good.", ["I went.", "You stayed!", "Did she?", "Yes…", "Good."]),
        (
            "Dr. Lee paid 3.50 to J. Smith, e.g. for tea. Fine.",
            ["Dr. Lee paid 3.50 to J. Smith, e.g. for tea.", "Fine."],
        ),
        ('She said "Go." Then she left.', ['She said "Go."', "Then she left."]),
        ("one\ntwo\n\n three ", ["one", "two", "three"]),
        ("我去了。你呢？好！", ["我去了。", "你呢？", "好！"]),
        ("Look! [shares an image: a cat. On a mat] ", ["Look!", "[shares an image: a cat. On a mat]"]),
        ("[shares an image: a cat]", ["[shares an image: a cat]"]),
        ("The pin is [secret:pin]. Keep it.", ["The pin is [secret:pin].", "Keep it."]),
        ("Wait... what?!  No", ["Wait...", "what?!", "No"]),
        (" \n ", []),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@given(st.text())
def test_sentences_lose_nothing_but_blanks_and_controls(text: str) -> None:
    found = sentences(text)
    assert all(part and part == clean(part) for part in found)
    assert "".join("".join(found).split()) == "".join(clean(text).split())


@pytest.mark.parametrize(
    "unit", [".", ". ", "[shares an image: ", "\n", "a.", '."', "A", "1,1", " ", "in the ", "Mr. "]
)
def test_sentences_and_cues_take_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    began = time.process_time()
    for sentence in sentences(text)[:3]:
        for ask in Ask:
            has_cue(ask, sentence)
    assert time.process_time() - began < 5


def test_asides() -> None:
    assert is_aside("Hey Nora, good to see you!")
    assert not is_aside("Thanks to the new lamp and the second desk in the corner I can read at night again.")
    assert not is_aside("The hut was great.")


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2023-05-07", "2023-05-08", "7 May 2023"),
        ("2023-05-07T18:00", "2023-05-07T23:00", "7 May 2023"),
        ("2023-05-01", "2023-05-08", "1 to 7 May 2023"),
        ("2023-04-29", "2023-05-02", "29 April 2023 to 1 May 2023"),
        ("2023-05-01", "2023-06-01", "May 2023"),
        ("2023-12-01", "2024-01-01", "December 2023"),
        ("2022-01-01", "2023-01-01", "2022"),
        ("2010-01-01", "2020-01-01", "2010 to 2019"),
        ("2023-06-01", "2023-09-01", "1 June 2023 to 31 August 2023"),
        ("0001-01-01", "2023-01-01", None),
        ("2023-01-01", "9999-12-31", None),
        ("2023-01-01", "2023-01-01", None),
    ],
)
def test_periods_in_words(start: str, end: str, words: str | None) -> None:
    assert period(day(start), day(end)) == words


@given(st.datetimes(), st.timedeltas(timedelta(0), timedelta(days=900)))
def test_any_period_has_words_or_none(start: datetime, length: timedelta) -> None:
    try:
        end = start + length
    except OverflowError:
        end = datetime.max
    words = period(start, end)
    assert words is None or str(start.year) in words
