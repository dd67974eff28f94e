import gzip
import json
from datetime import UTC, datetime

import pytest

from mnemic.errors import InputError
from mnemic.text import importers
from mnemic.text.importers import Tally

GOOD = (
    '{"text": "Hi", "speaker": "Ann", "at": "2023-05-08T13:56", "session": "s", "role": "user", "caption": "a cat",'
    ' "id": "x1", "meta": {"a": 1}, "mood": [1, "b", NaN]}\n\n{"text": "Ho", "at": 0}\n{"text": "  "}\n'
)


def save(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_fields_and_unknown_fields(tmp_path):
    tally = Tally()
    path = save(tmp_path / "t.jsonl", GOOD)
    assert importers.detect(path) == "jsonl"
    one, two = importers.read(path, tally=tally)
    assert (one.text, one.speaker, one.session, one.role, one.caption, one.id) == (
        "Hi", "Ann", "s", "user", "a cat", "x1",
    )  # fmt: skip
    assert one.at == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert one.meta == {"source": "jsonl:t.jsonl", "a": 1, "mood": [1, "b", None]}
    assert two.at == datetime(1970, 1, 1, tzinfo=UTC)
    assert two.id.startswith("jsonl:")
    assert dict(tally.skipped) == {"empty": 1}
    assert importers.count(path) == 4


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"text": "half', "line 2: this is not JSON .the last line, cut off"),
        ("[1]\n", "line 2: this is not a JSON object"),
        ('{"speaker": "Ann"}\n', "line 2: the field text is missing"),
        ('{"text": 3}\n', "line 2: the field text must be text"),
        ('{"text": "a", "session": 3}\n', "line 2: the field session must be text"),
        ('{"text": "a", "at": "soon"}\n', "line 2: cannot read the time 'soon'"),
        ('{"text": "a", "at": true}\n', "line 2: cannot read the time"),
        ('{"text": "a", "role": "boss"}\n', "line 2: the role 'boss'"),
        ('{"text": "a", "meta": []}\n', "line 2: the field meta"),
        ('{"text": "other", "id": "x"}\n', "line 2: the id 'x' is that of line 1"),
        ('{"text": "a", "deep": ' + "[" * 40 + "]" * 40 + "}\n", "line 2: values are nested"),
        ('{"text": "a", "deep": ' + "[" * 100_000 + "\n", "line 2: the JSON is nested too deeply"),
        ('{"text": ' + "1" * 5000 + "}\n", "line 2: this JSON cannot be read"),
        (b'{"text": "caf\xe9"}\n', "line 2: byte 14 .*UTF-8.*iconv"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_handed_out(tmp_path, line, what):
    first = b'{"text": "good", "id": "x"}\n'
    path = save(tmp_path / "t.jsonl", first + (line if isinstance(line, bytes) else line.encode()))
    turns = importers.read(path)
    with pytest.raises(InputError, match=what + "(?s:.*)nothing of this file was imported.*--skip-bad"):
        next(turns)
    tally = Tally()
    assert [t.text for t in importers.read(path, skip_bad=True, tally=tally)] == ["good"]
    assert dict(tally.skipped) == {"bad line": 1}


def test_equal_lines_are_separate_turns_with_stable_ids(tmp_path):
    text = '{"text": "ok", "speaker": "A"}\n' * 3
    first = [t.id for t in importers.read(save(tmp_path / "t.jsonl", text))]
    grown = [t.id for t in importers.read(save(tmp_path / "t.jsonl", text + '{"text": "new"}\n'))]
    assert len(set(first)) == 3
    assert grown[:3] == first
    for name in ("t.jsonl.gz", "renamed.jsonl.gz"):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        assert [t.id for t in importers.read(tmp_path / name)] == first


def test_an_equal_line_with_an_id_comes_once_and_source_is_kept(tmp_path):
    text = '{"text": "ok", "id": "x", "meta": {"source": "claude:conversations.json"}}\n'
    tally = Tally()
    (turn,) = importers.read(save(tmp_path / "t.jsonl", text * 2), tally=tally)
    assert turn.meta["source"] == "claude:conversations.json"
    assert dict(tally.skipped) == {"repeated": 1}


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    path = save(tmp_path / "t.jsonl", b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b\xe2\x80\xa8c"}\r\n')
    assert [t.text for t in importers.read(path)] == ["a", "b\u2028c"]


def test_what_no_store_can_hold_is_cleaned(tmp_path):
    (turn,) = importers.read(save(tmp_path / "t.jsonl", '{"text": "a\\ud800b\\u0000c", "k\\udfff": 1e999}\n'))
    assert turn.text == "a\ufffdbc"
    assert turn.meta["k\ufffd"] is None
    json.dumps(turn.meta, allow_nan=False).encode()


def test_long_texts_come_in_parts(tmp_path):
    paragraph = "word " * 3000
    text = "\n\n".join([paragraph] * 30)
    path = save(tmp_path / "t.jsonl", json.dumps({"text": text, "id": "long", "caption": "c"}) + "\n")
    parts = list(importers.read(path))
    assert [t.id for t in parts] == ["long#1", "long#2", "long#3"]
    assert [t.caption for t in parts] == ["c", None, None]
    assert all(len(t.text) <= 200_000 for t in parts)
    assert "\n\n".join(t.text for t in parts).split() == text.split()
    assert sum(t.text.count("\n\n") + 1 for t in parts) == 30  # cut between paragraphs only
