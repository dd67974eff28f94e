"""What every importer shares: safe reading of files, detection, ids, and the promise of one kind of error."""

import gzip
import inspect
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemic.errors import InputError
from mnemic.text import importers
from mnemic.text.importers import source, turns
from mnemic.text.record import to_micros

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXPORT = [{"conversation_id": "c", "mapping": {"a": {"message": {"author": {"role": "user"}, "create_time": 5,
           "content": {"parts": ["hello"]}}}}, "current_node": "a"}]  # fmt: skip


def zipped(path, entries, mode=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", mode) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def valid(turn):
    assert turn.text.strip()
    assert turn.id
    assert len(turn.text) <= turns.MAX_TEXT
    assert turn.meta["source"].partition(":")[2]
    json.dumps(turn.meta, allow_nan=False).encode()
    for text in (turn.text, turn.speaker, turn.session, turn.caption, turn.id, turn.role):
        assert text is None or "\0" not in text
        (text or "").encode()
    if turn.at is not None:
        assert turn.at.tzinfo is not None
        to_micros(turn.at)


@pytest.mark.parametrize(
    "name", ["../conversations.json", "/etc/conversations.json", "a/../../conversations.json", "C:\\conversations.json",
             "..\\conversations.json"],
)  # fmt: skip
def test_a_zip_that_points_outside_is_refused_whole(tmp_path, name):
    path = zipped(tmp_path / "x.zip", [("conversations.json", json.dumps(EXPORT)), (name, "x")])
    for format in ("chatgpt", "claude", "chat", None):
        with pytest.raises(InputError, match=r"x\.zip, entry .*points outside the archive"):
            list(importers.read(path, format))


def test_a_zip_with_a_link_is_refused(tmp_path):
    entry = zipfile.ZipInfo("conversations.json")
    entry.external_attr = 0o120777 << 16
    path = zipped(tmp_path / "x.zip", [(entry, "/etc/passwd")])
    with pytest.raises(InputError, match="points outside"):
        list(importers.read(path, "chatgpt"))


def test_a_bomb_stops_at_the_limit_whatever_it_declares(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MAX_UNPACKED", 3 << 20)
    spaces = b"[" + b" " * (8 << 20)
    bomb = zipped(tmp_path / "x.zip", [("conversations.json", spaces)])
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(spaces))
    for path in (bomb, tmp_path / "x.json.gz"):
        with pytest.raises(InputError, match=r"unpacks to more than 3 MiB; .*unpack it yourself"):
            list(importers.read(path, "chatgpt"))
    plain = tmp_path / "x.json"
    plain.write_bytes(spaces + b"]")
    assert list(importers.read(plain, "chatgpt")) == []


def test_an_endless_value_stops_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MAX_ITEM", 1 << 20)
    path = tmp_path / "x.json"
    path.write_text('["' + "x" * (4 << 20))
    with pytest.raises(InputError, match="one value is larger than 1 MiB"):
        list(importers.read(path, "chatgpt"))
    (tmp_path / "x.txt").write_text("Ann: " + "x" * (2 << 20))
    with pytest.raises(InputError, match="line 1: the line is longer than 1 MiB"):
        list(importers.read(tmp_path / "x.txt", "chat"))


def test_broken_archives(tmp_path):
    whole = zipped(tmp_path / "a.zip", [("conversations.json", json.dumps(EXPORT * 50))]).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[60:70] = b"\xff" * 10
    (tmp_path / "flipped.zip").write_bytes(flipped)
    (tmp_path / "half.json.gz").write_bytes(gzip.compress(json.dumps(EXPORT * 50).encode())[:-20])
    zipped(tmp_path / "other.zip", [("readme.html", "x")])
    for name, what in [
        ("half.zip", "cannot be opened"), ("flipped.zip", "cannot be read"), ("half.json.gz", "cannot be read"),
        ("other.zip", r"holds no conversations\.json"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=rf"{name}.*{what}"):
            list(importers.read(tmp_path / name, "chatgpt"))
    with pytest.raises(InputError, match=r"half\.zip.*cannot be opened"):
        importers.detect(tmp_path / "half.zip")


def test_an_encrypted_archive_says_what_to_do(tmp_path):
    path = zipped(tmp_path / "x.zip", [("conversations.json", "[]")], zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted; unpack it"):
        list(importers.read(path, "chatgpt"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "the file is empty"),
        ("[{}]".encode("utf-16"), "byte 1: this is not UTF-8 text; save it as UTF-8"),
        (b'["caf\xe9"]', "byte 6: this is not UTF-8"),
        (b"[1, 2", "character 6: the file ends in the middle"),
        (b"[1, 2] x", "character 8: there is more after the end"),
        (b'[{"a": tru}]', "character 8: this is not JSON"),
        (b"[1 2]", "character 5: the next value of the list is missing"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" + b"1" * 5000 + b"]", "cannot be read"),
    ],
)
def test_bad_json_is_placed(tmp_path, data, what):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=what):
        list(importers.read(path, "locomo"))


@pytest.mark.parametrize("format", importers.FORMATS)
def test_missing_files_folders_and_pipes(tmp_path, format):
    with pytest.raises(InputError, match=r"nowhere.*no such file; check the path"):
        list(importers.read(tmp_path / "nowhere", format))
    with pytest.raises(InputError, match=r"no(t a regular| Markdown) file"):
        list(importers.read(tmp_path, format))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        list(importers.read(tmp_path / "pipe", format))


def test_unknown_formats_options_and_files(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="unknown format 'word': use one of jsonl, chatgpt"):
        importers.read(path, "word")
    with pytest.raises(InputError, match=r"'question' is no option .* it takes conversation"):
        importers.read(path, "locomo", question=1)
    with pytest.raises(InputError, match=r"x\.json: the format is not recognised; name it"):
        importers.detect(path)
    with pytest.raises(InputError, match="no such file"):
        importers.detect(tmp_path / "none.json")
    assert importers.count(tmp_path / "none.json", "locomo") is None


def test_every_format_has_the_same_shape():
    for name, format in importers.FORMATS.items():
        module = format.load()
        assert format.description
        assert all(e.startswith(".") for e in format.extensions)
        assert list(inspect.signature(module.sniff).parameters) == ["path"], name
        assert list(inspect.signature(module.count).parameters) == ["path"], name
        assert inspect.signature(module.read).parameters["tally"].default is None, name


def test_formats_are_loaded_when_used():
    code = (
        "import sys, mnemic.text.importers as i; print([f for f in i.FORMATS if i.__name__ + '.' + f in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    "mapping message author role content parts create_time current_node parent metadata attachments chat_messages"
    " sender text uuid created_at conversation session_1 session_1_date_time sample_id dia_id speaker haystack_sessions"
    " haystack_dates haystack_session_ids messages chats list type date from id channel guild at meta".split()
)
VALUES = JSON | st.sampled_from(
    [
        "user",
        "assistant",
        "human",
        "message",
        "a",
        "1:56 pm on 8 May, 2023",
        "2023/05/20 (Sat) 02:21",
        1e300,
        -1e12,
        "\ud800\0",
    ]
)
LIKE = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS | st.just("a"), inner, max_size=6),
    max_leaves=30,
)


@QUICK
@given(
    value=st.lists(st.integers() | st.floats(allow_nan=False) | LIKE, max_size=5),
    chunk=st.integers(1, 9),
    indent=st.sampled_from([None, 1]),
)
def test_streamed_json_is_json(value, chunk, indent):
    data = json.dumps(value, indent=indent, ensure_ascii=True).encode()
    plain = json.loads(data, parse_constant=lambda _: None)
    assert list(source.items(Path("x"), io.BytesIO(data), chunk=chunk)) == plain
    for cut in range(1, len(data), max(1, len(data) // 10)):
        with pytest.raises(InputError):
            list(source.items(Path("x"), io.BytesIO(data[:cut].rstrip()), chunk=chunk))


def check_any(path, data):
    path.write_bytes(data)
    for format in (*importers.FORMATS, None):
        try:
            for turn in importers.read(path, format):
                valid(turn)
        except InputError:
            continue
    for format in importers.FORMATS.values():
        assert format.load().sniff(path) in (True, False)
        format.load().count(path)


MAGIC = st.sampled_from(
    [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"From a\nSubject: ", b"\xef\xbb\xbf", b"31/12/2023, 21:15 - A: ",
     b"[12:34] <a> ", b"---\n", b'{"text": ', b'[{"mapping": {',
     b"From a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"]
)  # fmt: skip


@QUICK
@given(
    data=st.tuples(MAGIC, st.binary(max_size=300)).map(b"".join),
    suffix=st.sampled_from([".json", ".zip", ".md", ".txt"]),
)
def test_any_bytes_give_turns_or_an_input_error(tmp_path, data, suffix):
    check_any(tmp_path / f"x{suffix}", data)


@QUICK
@given(value=LIKE, lines=st.booleans())
def test_any_json_gives_turns_or_an_input_error(tmp_path, value, lines):
    check_any(tmp_path / "x.json", json.dumps(value if lines else [value]).encode())


@QUICK
@given(start=st.integers(0, 200), noise=st.binary(min_size=1, max_size=12))
def test_any_damage_to_a_zip_gives_turns_or_an_input_error(tmp_path, start, noise):
    data = bytearray(zipped(tmp_path / "a.zip", [("conversations.json", json.dumps(EXPORT))]).read_bytes())
    at = min(start, len(data) - 1)
    data[at : at + len(noise)] = noise
    check_any(tmp_path / "x.zip", bytes(data))


WORDS = st.text(alphabet="ab \n", max_size=400)


@QUICK
@given(text=WORDS, limit=st.integers(1, 50))
def test_pieces_keep_every_word_within_the_limit(text, limit):
    parts = list(turns.pieces(text, limit))
    assert all(0 < len(p) <= limit and p == p.strip() for p in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["May 8", "13:56", "2023", "10", "", "x" * 200, "8 May 2023 +99:99"])
def test_a_time_that_is_not_whole_is_no_time(text):
    assert turns.parse_time(text) is None
