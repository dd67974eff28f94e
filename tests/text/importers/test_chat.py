import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from mnemic.errors import InputError
from mnemic.text import importers
from mnemic.text.importers import Tally


def said(path, text, **options):
    path.write_text(text, encoding="utf-8")
    return [(t.speaker, t.text, t.at and t.at.isoformat()[:16]) for t in importers.read(path, **options)]


ANDROID = """31/12/2023, 21:15 - Messages and calls are end-to-end encrypted.
31/12/2023, 21:15 - Ann Lee: Happy new year
and a second line: yes

31/12/2023, 21:16 - Bob: <Media omitted>
01/01/2024, 00:01 - Bob: Thanks: a lot
"""


def test_whatsapp_android(tmp_path):
    tally = Tally()
    path = tmp_path / "WhatsApp Chat with Bob.txt"
    path.write_text(ANDROID)
    assert importers.detect(path) == "chat"
    turns = list(importers.read(path, tally=tally))
    assert [(t.speaker, t.text) for t in turns] == [
        ("Ann Lee", "Happy new year\nand a second line: yes"), ("Bob", "Thanks: a lot"),
    ]  # fmt: skip
    assert turns[0].at == datetime(2023, 12, 31, 21, 15, tzinfo=UTC)
    assert turns[0].session == "WhatsApp Chat with Bob 2023-12-31"
    assert turns[1].session == "WhatsApp Chat with Bob 2024-01-01"
    assert dict(tally.skipped) == {"notice": 1, "media": 1}


def test_whatsapp_ios_in_a_zip_with_marks_and_narrow_spaces(tmp_path):
    text = (
        "[5/8/23, 1:56:07\u202fPM] Ann: Hi\r\n\u200e[5/13/23, 12:01:00\u202fAM] Bob: \u200eimage omitted\r\n"
        "[5/14/23, 9:00:00 AM] Bob: Ok\r\n"
    )
    with zipfile.ZipFile(tmp_path / "Chat.zip", "w") as archive:
        archive.writestr("_chat.txt", text)
        archive.writestr("00001-PHOTO.jpg", b"\xff\xd8")
    assert importers.detect(tmp_path / "Chat.zip") == "chat"
    ann, bob = importers.read(tmp_path / "Chat.zip")
    assert (ann.at, bob.at) == (datetime(2023, 5, 8, 13, 56, 7, tzinfo=UTC), datetime(2023, 5, 14, 9, tzinfo=UTC))
    assert ann.session == "Chat 2023-05-08"


@pytest.mark.parametrize(
    ("first", "second", "day"),
    [
        ("5/8/23, 9:00", "13/8/23, 9:00", "2023-08-05"),  # 13 cannot be a month
        ("5/8/23, 9:00", "5/13/23, 9:00", "2023-05-08"),
        ("5/8/23, 9:00", "6/7/23, 9:00", "2023-05-08"),  # day first would run back in time
        ("5/8/23, 9:00", "5/9/23, 9:00", "2023-08-05"),  # both run forward: no AM/PM, so day first
        ("5/8/23, 9:00 AM", "5/9/23, 9:00 AM", "2023-05-08"),
        ("5.8.23, 9.00", "5.9.23, 9.00", "2023-08-05"),
        ("2023-08-05, 9:00 a. m.", "2023-08-06, 9:00 p.m.", "2023-08-05"),
    ],
)
def test_whatsapp_day_or_month_first(tmp_path, first, second, day):
    got = said(tmp_path / "c.txt", f"{first} - A: one\n{second} - B: two\n", format="chat")
    assert got[0] == ("A", "one", f"{day}T09:00")


def test_whatsapp_order_can_be_told(tmp_path):
    got = said(tmp_path / "c.txt", "5/8/23, 9:00 PM - A: one\n", format="chat", day_first=True)
    assert got == [("A", "one", "2023-08-05T21:00")]


def test_irc_with_day_changes_actions_and_notices(tmp_path):
    log = """--- Log opened Mon May 08 23:50:00 2023
23:58 <@ann> late?
23:59 -!- carl [c@x] has joined #room
23:59 * bob nods
--- Day changed Tue May 09 2023
[00:01] <bob> yes
[00:02:30] <ann> 12:30 <carl> is a quote
"""
    tally = Tally()
    assert said(tmp_path / "room.log", log, tally=tally) == [
        ("ann", "late?", "2023-05-08T23:58"),
        ("bob", "bob nods", "2023-05-08T23:59"),
        ("bob", "yes", "2023-05-09T00:01"),
        ("ann", "12:30 <carl> is a quote", "2023-05-09T00:02"),
    ]
    assert tally.skipped["notice"] == 3


def test_irc_day_from_the_file_name_and_without_any(tmp_path):
    assert said(tmp_path / "room-2023-05-08.log", "[12:34] <ann> hi\n")[0][2] == "2023-05-08T12:34"
    assert said(tmp_path / "room.log", "[12:34] <ann> hi\n")[0][2] is None
    assert said(tmp_path / "full.log", "2023-05-08 12:34:56 <ann> hi\n")[0][2] == "2023-05-08T12:34"


def test_plain_transcript(tmp_path):
    text = (
        "Minutes\n\nAnn: Hello there\n  and more\nhttp://x.org/a\n[2023-05-08 13:56] Dr. O'Neil: Hi\n"
        "(not a time) Ann: Bye\n"
    )
    tally = Tally()
    assert said(tmp_path / "talk.txt", text, tally=tally) == [
        ("Ann", "Hello there\n  and more\nhttp://x.org/a", None),
        ("Dr. O'Neil", "Hi", "2023-05-08T13:56"),
        ("Ann", "Bye", None),
    ]
    assert dict(tally.skipped) == {"before the first message": 1}


def test_zone_of_the_wall_clock(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text(ANDROID)
    first = next(importers.read(path, zone="Europe/Berlin"))
    assert first.at.utcoffset() == timedelta(hours=1)
    assert first.at.hour == 21
    with pytest.raises(InputError, match="no time zone 'Mars/Base'"):
        list(importers.read(path, zone="Mars/Base"))


def test_equal_messages_have_ids_of_their_own_that_survive_growth(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("31/12/2023, 21:15 - Ann: ok\n" * 2)
    first = [t.id for t in importers.read(path)]
    path.write_text("31/12/2023, 21:15 - Ann: ok\n" * 2 + "31/12/2023, 21:16 - Ann: ok\n")
    assert len(set(first)) == 2
    assert [t.id for t in importers.read(path)][:2] == first


def test_prose_is_no_chat(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("It was a dark night.\nNobody spoke.\n")
    with pytest.raises(InputError, match="no line of it begins a message"):
        list(importers.read(path))


def test_telegram(tmp_path):
    chat = {"name": "Ann", "type": "personal_chat", "id": 42, "messages": [
        {"id": 1, "type": "message", "date": "2023-05-08T13:56:00", "date_unixtime": "1683554160", "from": "Ann",
         "from_id": "user1", "text": ["see ", {"type": "link", "text": "x.org"}], "text_entities": []},
        {"id": 2, "type": "service", "action": "phone_call"},
        {"id": 3, "type": "message", "date": "2023-05-08T14:00:00", "from": None, "from_id": "user2", "text": "ok"},
        {"id": 4, "type": "message", "from": "Ann", "text": ""},
    ]}  # fmt: skip
    one, all_chats = tmp_path / "result.json", tmp_path / "all.json"
    one.write_text(json.dumps(chat, indent=1))
    all_chats.write_text(json.dumps({"chats": {"list": [chat, None]}}))
    tally = Tally()
    assert importers.detect(one) == importers.detect(all_chats) == "telegram"
    turns = list(importers.read(one, tally=tally))
    assert [(t.speaker, t.text, t.id) for t in turns] == [
        ("Ann", "see x.org", "telegram:42:1"), ("user2", "ok", "telegram:42:3"),
    ]  # fmt: skip
    assert turns[0].at == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert dict(tally.skipped) == {"notice": 1, "empty": 1}
    assert [t.id for t in importers.read(all_chats)] == [t.id for t in turns]


def test_discord(tmp_path):
    path = tmp_path / "general.json"
    path.write_text(json.dumps({"guild": {"id": "g"}, "channel": {"id": "c9", "name": "general"}, "messages": [
        {"id": "1", "type": "Default", "timestamp": "2023-05-08T13:56:00.12+00:00", "timestampEdited": None,
         "content": "hi", "author": {"name": "ann#1", "nickname": "Ann"}, "attachments": [{"fileName": "a.png"}]},
        {"id": "2", "type": "GuildMemberJoin", "content": "joined", "author": {"name": "bob"}},
        {"id": "3", "type": "Reply", "timestamp": None, "content": "ho", "author": {"name": "bob"}},
    ]}))  # fmt: skip
    assert importers.detect(path) == "discord"
    ann, bob = importers.read(path)
    assert (ann.speaker, ann.text, ann.id, ann.session) == ("Ann", "hi", "discord:c9:1", "c9 2023-05-08")
    assert ann.meta["attachments"] == ["a.png"]
    assert (bob.speaker, bob.at, bob.session) == ("bob", None, "c9")
