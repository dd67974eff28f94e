"""Exports of chat assistants: ChatGPT and Claude."""

import json
import zipfile
from datetime import UTC, datetime

import pytest

from mnemic.errors import InputError
from mnemic.text import importers
from mnemic.text.importers import Tally


def message(id, role, text, at=None, **more):
    content = {"content_type": "text", "parts": [text]}
    return {"id": id, "author": {"role": role}, "create_time": at, "content": content, **more}


def node(id, parent, value):
    return {"id": id, "parent": parent, "children": [], "message": value}


def chatgpt(nodes, current, **more):
    return {"conversation_id": "c1", "title": "T", "create_time": 100.0, "mapping": {n["id"]: n for n in nodes},
            "current_node": current, **more}  # fmt: skip


def save(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


NODES = [
    node("root", None, None),
    node("s", "root", message("s", "system", "rules")),
    node("u", "s", message("u", "user", "Where did I park?", 1700000000.5)),
    node("a1", "u", message("a1", "assistant", "First answer", 1700000001)),
    node("a2", "u", message("a2", "assistant", "Level 3 \ue200cite\ue202turn0\ue201now", None,
                            metadata={"model_slug": "m-1"})),
]  # fmt: skip


def test_chatgpt_follows_the_current_branch(tmp_path):
    tally = Tally()
    path = save(tmp_path / "conversations.json", [chatgpt(NODES, "a2")])
    assert importers.detect(path) == "chatgpt"
    user, assistant = importers.read(path, tally=tally)
    assert (user.text, user.role, user.session, user.id) == ("Where did I park?", "user", "c1", "chatgpt:c1:u")
    assert user.at == datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC)
    assert assistant.text == "Level 3 now"
    assert assistant.at == user.at  # no time of its own: that of the message before
    assert assistant.meta == {
        "source": "chatgpt:conversations.json", "conversation": "c1", "message": "a2", "model": "m-1",
    }  # fmt: skip
    assert (tally.turns, dict(tally.skipped)) == (2, {"system": 1})


def test_chatgpt_without_a_current_node_takes_the_newest_leaf(tmp_path):
    nodes = [*NODES, node("a3", "u", message("a3", "assistant", "Newest", 1800000000))]
    turns = list(importers.read(save(tmp_path / "c.json", [chatgpt(nodes, None)]), "chatgpt"))
    assert [t.text for t in turns] == ["Where did I park?", "Newest"]


def test_chatgpt_pictures_hidden_messages_tool_calls_and_cycles(tmp_path):
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file://1", "alt": "a red car",
               "metadata": {"dalle": {"prompt": "red car, oil"}}}  # fmt: skip
    parts = {"content_type": "multimodal_text", "parts": [picture, "Is this mine?", None, 7]}
    nodes = [
        node("1", "4", message("1", "user", "hidden", metadata={"is_visually_hidden_from_conversation": True})),
        node("2", "1", {**message("2", "user", ""), "content": parts,
                        "metadata": {"attachments": [{"name": "car.png"}, None]}}),
        node("3", "2", message("3", "assistant", "search()", recipient="browser")),
        node("4", "3", {**message("4", "user", ""), "content": {**parts, "parts": [picture]}}),
    ]  # fmt: skip
    tally = Tally()
    worded, alone = importers.read(save(tmp_path / "c.json", [chatgpt(nodes, "4")]), "chatgpt", tally=tally)
    assert (worded.text, worded.caption) == ("Is this mine?", "a red car; red car, oil")
    assert worded.meta["attachments"] == ["car.png"]
    assert (alone.text, alone.caption) == ("a red car; red car, oil", None)
    assert dict(tally.skipped) == {"hidden": 1, "tool call": 1}


def test_chatgpt_zip_reads_every_part_and_ids_do_not_depend_on_its_name(tmp_path):
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("chat.html", "<html>")
            archive.writestr("conversations-000.json", json.dumps([chatgpt(NODES, "a2")]))
            archive.writestr("conversations-001.json", json.dumps([chatgpt(NODES, "a1", conversation_id="c2")]))
    one, two = (list(importers.read(tmp_path / name)) for name in ("one.zip", "two.zip"))
    assert one == two
    assert [t.session for t in one] == ["c1", "c1", "c2", "c2"]
    assert importers.count(tmp_path / "one.zip") == 8


CLAUDE = [
    {
        "uuid": "k1", "name": "Garden", "created_at": "2024-05-01T10:00:00.000000Z",
        "chat_messages": [
            {"uuid": "m1", "sender": "human", "text": "flat", "created_at": "2024-05-01T10:00:01+02:00",
             "content": [{"type": "text", "text": "Read this"}, {"type": "text", "text": "please"}],
             "attachments": [{"file_name": "plan.txt", "extracted_content": "Beans by the wall"}],
             "files": [{"file_name": "bed.jpg"}]},
            {"uuid": "m2", "sender": "assistant", "text": "", "content": [
                {"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "name": "x"},
                {"type": "text", "text": "Plant them in May."}]},
            {"uuid": "m3", "sender": "human", "text": "No blocks", "content": []},
            {"uuid": "m4", "sender": "assistant", "text": "", "content": []},
            {"uuid": "m6", "sender": "assistant", "text": "This block is not supported",
             "content": [{"type": "tool_use", "name": "x"}]},
            {"uuid": "m5", "sender": "narrator", "text": "?"},
            None,
        ],
    }
]  # fmt: skip


def test_claude_blocks_attachments_and_dirt(tmp_path):
    path = save(tmp_path / "conversations.json", CLAUDE)
    tally = Tally()
    assert importers.detect(path) == "claude"
    turns = list(importers.read(path, tally=tally))
    assert [(t.role, t.text) for t in turns] == [
        ("user", "Read this\n\nplease"),
        ("user", "plan.txt\n\nBeans by the wall"),
        ("assistant", "Plant them in May."),
        ("user", "No blocks"),
    ]
    assert [t.id for t in turns] == ["claude:k1:m1", "claude:k1:m1:attachment-1", "claude:k1:m2", "claude:k1:m3"]
    assert turns[0].at.isoformat() == "2024-05-01T10:00:01+02:00"
    assert turns[0].meta["attachments"] == ["plan.txt", "bed.jpg"]
    assert turns[2].at == turns[0].at
    assert dict(tally.skipped) == {"empty": 2, "no role": 2}


@pytest.mark.parametrize("format", ["chatgpt", "claude"])
@pytest.mark.parametrize("value", [{}, {"a": 1}, [1, 2], "text", [{"mapping": 3, "chat_messages": {}}]])
def test_other_json_is_refused(tmp_path, format, value):
    path = save(tmp_path / "x.json", value)
    with pytest.raises(InputError, match=r"x\.json.*no (ChatGPT|Claude) conversation"):
        list(importers.read(path, format))


@pytest.mark.parametrize("format", ["chatgpt", "claude"])
def test_an_empty_export_is_no_error(tmp_path, format):
    assert list(importers.read(save(tmp_path / "x.json", []), format)) == []


def test_half_an_export_raises_after_the_whole_conversations(tmp_path):
    whole = json.dumps([chatgpt(NODES, "a2"), chatgpt(NODES, "a1", conversation_id="c2")])
    path = tmp_path / "c.json"
    path.write_text(whole[:-40])
    turns = importers.read(path, "chatgpt")
    assert [next(turns).session, next(turns).session] == ["c1", "c1"]
    with pytest.raises(InputError, match=r"c\.json, character \d+: the file ends in the middle.*get it again"):
        list(turns)
