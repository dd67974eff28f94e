"""LoCoMo and LongMemEval, in miniature and, where MNEMIC_DATA names the data, the real files."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemic.errors import InputError
from mnemic.text import importers
from mnemic.text.importers import Tally

LOCOMO = [
    {"qa": [], "sample_id": "conv-1", "conversation": {
        "speaker_a": "Ann", "speaker_b": "Bob",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_10_date_time": "12:09 am on 13 September, 2023", "session_11_date_time": "no session",
        "session_10": [{"speaker": "Bob", "dia_id": "D10:1", "text": "Later"}],
        "session_1": [{"speaker": "Ann", "dia_id": "D1:1", "text": "Look", "blip_caption": "a photo of a dog"},
                      {"speaker": "Bob", "dia_id": "D1:2", "text": " "}, None],
        "session_2": [{"speaker": "Bob", "text": "Undated, unnumbered"}]}},
    {"sample_id": "conv-2", "conversation": {"session_1": [{"speaker": "C", "dia_id": "D1:1", "text": "Hi"}]}},
]  # fmt: skip


def test_locomo(tmp_path):
    path = tmp_path / "l.json.gz"
    path.write_bytes(gzip.compress(json.dumps(LOCOMO).encode()))
    tally = Tally()
    assert importers.detect(path) == "locomo"
    turns = list(importers.read(path, tally=tally))
    assert [(t.id, t.session, t.speaker) for t in turns] == [
        ("locomo:conv-1:D1:1", "conv-1:session_1", "Ann"),
        ("locomo:conv-1:D2:1", "conv-1:session_2", "Bob"),
        ("locomo:conv-1:D10:1", "conv-1:session_10", "Bob"),
        ("locomo:conv-2:D1:1", "conv-2:session_1", "C"),
    ]
    assert turns[0].at == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert turns[2].at == datetime(2023, 9, 13, 0, 9, tzinfo=UTC)
    assert turns[1].at is None
    assert turns[0].caption == "a photo of a dog"
    assert turns[0].meta == {"source": "locomo:l.json", "sample_id": "conv-1", "dia_id": "D1:1"}
    assert dict(tally.skipped) == {"empty": 1, "no turn": 1}
    assert list(importers.read(path, conversation="conv-2")) == list(importers.read(path, conversation=1)) == turns[3:]
    with pytest.raises(InputError, match=r"no conversation 'conv-9'; there are conv-1, conv-2"):
        list(importers.read(path, conversation="conv-9"))


LONGMEMEVAL = [
    {"question_id": "q1", "question": "?", "haystack_dates": ["2023/05/20 (Sat) 02:21"],
     "haystack_session_ids": ["s1"], "haystack_sessions": [
         [{"role": "user", "content": "I like tea", "has_answer": True}, {"role": "assistant", "content": "Noted"}],
         [{"role": "user", "content": "No date, no id"}, {"role": 3}, "x"], None]},
    {"question_id": "q2", "haystack_sessions": [[{"role": "user", "content": "B"}]]},
]  # fmt: skip


def test_longmemeval(tmp_path):
    path = tmp_path / "q.json"
    path.write_text(json.dumps(LONGMEMEVAL))
    tally = Tally()
    assert importers.detect(path) == "longmemeval"
    turns = list(importers.read(path, tally=tally))
    assert [(t.id, t.session, t.role, t.text) for t in turns] == [
        ("longmemeval:q1:s1:0", "q1:s1", "user", "I like tea"),
        ("longmemeval:q1:s1:1", "q1:s1", "assistant", "Noted"),
        ("longmemeval:q1:1:0", "q1:1", "user", "No date, no id"),
        ("longmemeval:q2:0:0", "q2:0", "user", "B"),
    ]
    assert turns[0].at == datetime(2023, 5, 20, 2, 21, tzinfo=UTC)
    assert turns[0].meta == {"source": "longmemeval:q.json", "question_id": "q1", "session_id": "s1", "turn": 0}
    assert dict(tally.skipped) == {"no role": 2}
    assert list(importers.read(path, question="q2")) == list(importers.read(path, question=1)) == turns[3:]
    with pytest.raises(InputError, match="no question 7"):
        list(importers.read(path, question=7))


def data(name):
    folder = os.environ.get("MNEMIC_DATA")
    path = Path(folder or ".", name)
    if not folder or not path.is_file():
        pytest.skip("MNEMIC_DATA does not name a folder with " + name)
    return path


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "format", "words"),
    [
        ("locomo/locomo.json.gz", "locomo", b'"dia_id"'),
        ("longmemeval/longmemeval_oracle.json.gz", "longmemeval", b'"role"'),
        ("longmemeval/longmemeval_s_samples.json.gz", "longmemeval", b'"role"'),
    ],
)
def test_the_real_files(name, format, words):
    path = data(name)
    tally = Tally()
    assert importers.detect(path) == format
    turns = list(importers.read(path, tally=tally))
    assert len(turns) == gzip.decompress(path.read_bytes()).count(words) == importers.count(path)
    assert not tally.skipped
    assert len({t.id for t in turns}) == len(turns)
    assert all(t.at and t.text and t.session for t in turns)
