"""Reading along with a stream: however it is cut, and whatever it holds."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.serve import proxy_chat, proxy_responses, proxy_stream
from mnemic.serve.proxy_stream import Events, Tee

STREAM = (
    b': hello\r\n\r\ndata: {"a": "Gr\xc3\xbc\xc3\x9fe"}\n\nevent: x\rdata:one\rdata: two\r\rid: 1\ndata\n\n'
    b"data:  three\r\n\r\ndata: unfinished"
)
SAID = ['{"a": "Grüße"}', "one\ntwo", "", " three"]
NAMES = st.sampled_from(
    "choices index delta message content text type role audio transcript refusal finish_reason id model response "
    "output status".split()
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)

SHAPES = [
    b'{"choices": [{"index": 0, "delta": {"content": ?, "refusal": ?}, "message": {"audio": {"transcript": ?}}}]}',
    b'{"type": "response.output_text.delta", "delta": ?}',
    b'{"response": {"id": ?, "output": [{"type": "message", "content": [{"type": "refusal", "refusal": ?}]}]}}',
    b'{"id": ?, "model": ?, "output": [{"type": "message", "content": ?}], "choices": ?}',
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    events = Events()
    found = [data for start, end in pairwise(places) for data in events.feed(STREAM[start:end])]
    assert found == SAID


@pytest.mark.parametrize("dialect", [proxy_chat, proxy_responses])
@given(st.data())
def test_no_answer_makes_the_reading_raise(dialect: Any, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["text/event-stream", "application/json"]))
    body = data.draw(ANYTHING.map(json.dumps).map(str.encode) | st.binary(max_size=40))
    body = data.draw(st.sampled_from([body, *(shape.replace(b"?", body) for shape in SHAPES)]))
    tee = Tee(dialect.Reader(), httpx.Response(200, headers={"content-type": kind}))
    tee.feed(b"data: " + body + b"\n\n" if kind.startswith("text") else body)
    assert all(isinstance(each, str) for each in (tee.end().text, tee.end().id, tee.end().model))


def test_what_is_too_large_to_be_read_passes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_stream, "LARGEST", 100)
    for kind in ("text/event-stream", "application/json"):
        tee = Tee(proxy_chat.Reader(), httpx.Response(200, headers={"content-type": kind}))
        for _ in range(5):
            tee.feed(b"data: " + b"x" * 50)
        assert tee.end().text == ""
        assert not tee.end().whole


def test_an_answer_in_parts_and_one_in_sound_are_read() -> None:
    for message, said in (
        ({"content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "One"}]}, "One"),
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": None, "audio": {"id": "a", "transcript": "Spoken."}}, "Spoken."),
        ({"content": None, "tool_calls": []}, ""),
    ):
        reader = proxy_chat.Reader()
        reader.body({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        assert reader.answer().text == said
        assert reader.answer().whole
