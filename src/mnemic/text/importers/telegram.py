"""Telegram Desktop's JSON export (``result.json``): one chat, or all chats of an account.

Service messages (calls, joins, pins) are skipped and counted. Times are epoch seconds; older exports have only the
wall clock of the computer that exported, which is kept as UTC unless ``zone`` names its zone. ``session`` is the
chat's id and the day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import Any

from mnemic.text.importers.source import ANY, fail, head, json_items, occurrences, plain_name
from mnemic.text.importers.turns import Tally, finish, mapping, moment, name, sequence, string, zone_named
from mnemic.text.record import Turn


def sniff(path: Path) -> bool:
    """Whether the file begins like a Telegram export."""
    text = head(path)
    return text.lstrip()[:1] == "{" and re.search(r'"(?:date_unixtime|text_entities|from_id)"\s*:', text) is not None


def count(path: Path) -> int | None:
    """About how many messages there are."""
    return occurrences(path, b'"from_id"')


def read(path: Path, *, zone: str | tzinfo | None = None, tally: Tally | None = None) -> Iterator[Turn]:
    """The messages, chat by chat."""
    tally = Tally() if tally is None else tally
    where = zone_named(zone)
    yield from finish(_turns(path, where, tally), "telegram", plain_name(path), tally)


def _turns(path: Path, zone: tzinfo, tally: Tally) -> Iterator[Turn]:
    chats = [
        chat
        for item in json_items(path, ANY, "file")
        for chat in (mapping(item), *sequence(mapping(mapping(item).get("chats")).get("list")))
        if isinstance(mapping(chat).get("messages"), list)
    ]
    if not chats:
        raise fail(path, "", "no Telegram chat is in it", "export the chat as JSON, not as HTML")
    for number, chat in enumerate(chats):
        key = name(chat.get("id")) or name(chat.get("name")) or str(number)
        for message in chat["messages"]:
            message = mapping(message)
            if message.get("type") != "message":
                tally.skip("notice")
                continue
            at = moment(_number(message.get("date_unixtime"))) or moment(message.get("date"), zone)
            own = name(message.get("id"))
            ids: dict[str, Any] = {"conversation": key} | ({"message": own} if own else {})
            yield Turn(
                text=_text(message.get("text")),
                speaker=name(message.get("from")) or name(message.get("from_id")),
                at=at,
                session=f"{key} {at.date().isoformat() if at else ''}".strip(),
                id=f"telegram:{key}:{own}" if own else None,
                meta=ids,
            )


def _number(value: Any) -> int | None:
    text = name(value)
    return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else None


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(string(part) or string(mapping(part).get("text")) for part in value)
    return string(value)
