from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.errors import ConflictError, InputError, LanguageError
from mnemic.text.language.base import Completion, Language, Message, Meter, Usage, excerpt, read_object, structured

ASK = [Message("system", "You count."), Message("user", "How many?")]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
GOOD = '{"n": 3}'


def count(reply: Any) -> int:
    if not isinstance(reply["n"], int):
        raise ValueError('"n" must be a whole number')
    return int(reply["n"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(max_size=5), json_values, max_size=4)
prose = st.text(st.characters(blacklist_characters="{}", blacklist_categories=("Cs",)), max_size=40)


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Sure! Here it is:\n\n{GOOD}\n\nAnything else?",
        f'<think>Perhaps {{"n": 99999}}? No.</think>{GOOD}',
        f"The set {{a, b}} has this count: {GOOD}",
        '[{"n": 3}]',
        '{"n": 1} — no wait: {"n": 3}',
        '{"n": 3, "note": "two\nlines"}',
    ],
)
def test_json_is_found_whatever_stands_around_it(reply: str) -> None:
    assert read_object(reply)["n"] == 3


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("I do not know.", "no JSON object"),
        ('{"n": 3', "stops before its end"),
        ('{"n": "thr', "stops before its end"),
        ('{"a": {"n": 3}, "b": ', "stops before its end"),
        ('{"n": 3,}', "not valid"),
        ("{'n': 3}", "not valid"),
        ('{"n": NaN}', "NaN"),
        ('{"n": ' + "9" * 5000 + "}", "cannot be read"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[1, 2]", "no JSON object"),
        ("<think>{}", None),
    ],
)
def test_what_is_no_json_object_is_named(reply: str, says: str | None) -> None:
    if says is None:
        assert read_object(reply) == {}
        return
    with pytest.raises(ValueError, match=says):
        read_object(reply)


def test_part_of_a_broken_object_does_not_pass_for_the_whole() -> None:
    with pytest.raises(ValueError, match="not valid"):
        read_object('{"facts": [{"n": 3}, {"n": 4}], "rest": oops}')


@given(json_objects, prose, prose)
def test_any_object_survives_prose_and_fences(value: dict[str, Any], before: str, after: str) -> None:
    for ascii_only in (True, False):
        text = f"{before}\n```json\n{json.dumps(value, ensure_ascii=ascii_only)}\n```\n{after}"
        found = read_object(text)
        assert found == value
        json.dumps(found, ensure_ascii=False).encode()


@given(st.text() | st.text('{}[]",: \\n\\u1ad8tf', max_size=60))
def test_reading_json_gives_an_object_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_object(text), dict)


def test_lone_surrogates_are_replaced_however_they_come() -> None:
    assert read_object('{"a": "x\\ud800", "b": ["\ud83d"], "\\udfff": 1}') == {
        "a": "x\ufffd",
        "b": ["\ufffd"],
        "\ufffd": 1,
    }
    assert read_object('{"a": "\\ud83d\\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize(
    "text", ["{" * 200_000, '{"' * 100_000, '{"a":1 ' * 50_000, "<think>" * 50_000, '{"a":"b",' * 20_000]
)
def test_hostile_replies_are_read_in_little_time(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError):
        read_object(text)
    assert time.process_time() - began < 2


def test_a_good_reply_takes_one_call_and_shows_the_schema_both_ways(scripted: Any) -> None:
    model = scripted(GOOD)
    assert structured(model, ASK, count, schema=SCHEMA) == 3
    [(messages, schema)] = model.asked
    assert schema == SCHEMA
    assert [message.role for message in messages] == ["system", "user"]
    assert messages[0].content.startswith("You count.")
    assert json.dumps(SCHEMA) in messages[0].content
    assert isinstance(model, Language)


def test_without_a_system_message_one_is_added(scripted: Any) -> None:
    model = scripted(GOOD)
    structured(model, [Message("user", "How many?")], count, schema=SCHEMA)
    assert [message.role for message in model.asked[0][0]] == ["system", "user"]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("", "it is empty"),
        ("no idea", "no JSON object"),
        ('{"n": ', "stops before its end"),
        ('{"n": "three"}', '"n" must be a whole number'),
        ('{"m": 3}', "'n' is missing"),
        ('{"n": 3,}', "not valid"),
    ],
)
def test_a_bad_reply_is_shown_back_once_with_its_error(scripted: Any, bad: str, told: str) -> None:
    model = scripted(bad, GOOD)
    assert structured(model, ASK, count, schema=SCHEMA) == 3
    first, second = (messages for messages, _ in model.asked)
    assert second[:2] == first
    assert second[2] == Message("assistant", bad or "(empty)")
    assert second[3].role == "user"
    assert told in second[3].content


def test_two_bad_replies_are_an_error_with_a_short_excerpt(scripted: Any) -> None:
    model = scripted("first", "second " * 500)
    with pytest.raises(LanguageError, match="no JSON object") as caught:
        structured(model, ASK, count, schema=SCHEMA)
    assert len(model.asked) == 2
    assert "'second second" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_reply_that_ran_out_of_tokens_is_told_to_be_shorter(scripted: Any) -> None:
    model = scripted(Completion('{"n": 3', 1, 1, 1.0, cut=True), GOOD)
    structured(model, ASK, count, schema=SCHEMA)
    assert "limit of tokens" in model.asked[1][0][-1].content


def test_errors_of_the_model_become_language_errors_and_are_not_retried(scripted: Any) -> None:
    model = scripted(RuntimeError("the weights\nare gone"), GOOD)
    with pytest.raises(LanguageError, match="RuntimeError: 'the weights are gone'") as caught:
        structured(model, ASK, count, schema=SCHEMA)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert len(model.asked) == 1
    own = LanguageError("down")
    with pytest.raises(LanguageError) as same:
        structured(scripted(own), ASK, count, schema=SCHEMA)
    assert same.value is own


def test_an_error_of_the_validator_that_is_no_verdict_passes_through(scripted: Any) -> None:
    def full(_: Any) -> int:
        raise ConflictError("stale")

    with pytest.raises(ConflictError):
        structured(scripted(GOOD, GOOD), ASK, full, schema=SCHEMA)


def test_input_errors_of_the_validator_lead_to_a_repair(scripted: Any) -> None:
    seen = []

    def once(reply: Any) -> int:
        seen.append(reply)
        if len(seen) == 1:
            raise InputError("not that one")
        return int(reply["n"])

    assert structured(scripted(GOOD, GOOD), ASK, once, schema=SCHEMA) == 3
    assert len(seen) == 2


def test_the_meter_adds_up_and_counts_failures(scripted: Any) -> None:
    inner = scripted(
        GOOD, LanguageError("down"), Completion("x", 7, 2, 12.5, estimated=True), Completion("y", 1, 1, 1.0), slow=0.02
    )
    meter = Meter(inner)
    assert isinstance(meter, Language)
    assert (meter.name, meter.usage) == ("scripted", Usage())
    meter.complete(ASK)
    with pytest.raises(LanguageError):
        meter.complete(ASK)
    before = meter.usage
    assert (before.calls, before.failures, before.prompt_tokens, before.completion_tokens) == (2, 1, 10, 5)
    assert before.milliseconds >= 40
    meter.complete(ASK, schema=SCHEMA)
    assert meter.usage - before == Usage(1, 0, 1, 7, 2, pytest.approx(12.5))
    assert inner.asked[-1][1] == SCHEMA
    structured_calls = meter.usage.calls
    meter.complete(ASK)
    assert meter.usage.calls == structured_calls + 1


@given(st.text())
def test_an_excerpt_is_short_and_on_one_line(text: str) -> None:
    shown = excerpt(text)
    assert len(shown.splitlines()) == 1
    assert len(shown) < 2000
