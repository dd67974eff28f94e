"""Discord channels as JSON, in the layout DiscordChatExporter writes: a channel object and its messages.

Only what people wrote (types Default and Reply) is imported; notices are skipped and counted. ``session`` is the
channel's id and the day (in UTC), ``speaker`` the nickname on the server, else the account's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from mnemic.text.importers.source import ANY, fail, head, json_items, occurrences, plain_name
from mnemic.text.importers.turns import Tally, finish, mapping, moment, name, sequence, string
from mnemic.text.record import Turn


def sniff(path: Path) -> bool:
    """Whether the file begins like an exported Discord channel."""
    text = head(path)
    return text.lstrip()[:1] == "{" and all(re.search(rf'"{key}"\s*:\s*\{{', text) for key in ("guild", "channel"))


def count(path: Path) -> int | None:
    """About how many messages there are."""
    return occurrences(path, b'"timestampEdited"')


def read(path: Path, *, tally: Tally | None = None) -> Iterator[Turn]:
    """The messages of the channel."""
    tally = Tally() if tally is None else tally
    yield from finish(_turns(path, tally), "discord", plain_name(path), tally)


def _turns(path: Path, tally: Tally) -> Iterator[Turn]:
    for item in json_items(path, ANY, "file"):
        item = mapping(item)
        channel = mapping(item.get("channel"))
        if not channel or not isinstance(item.get("messages"), list):
            raise fail(path, "", "no Discord channel is in it", "export the channel as JSON")
        key = name(channel.get("id")) or name(channel.get("name")) or "channel"
        for message in item["messages"]:
            message = mapping(message)
            if name(message.get("type")) not in ("Default", "Reply", ""):
                tally.skip("notice")
                continue
            at = moment(message.get("timestamp"))
            own = name(message.get("id"))
            author = mapping(message.get("author"))
            day = at.astimezone(UTC).date().isoformat() if at else ""
            files = [f for a in sequence(message.get("attachments")) if (f := name(mapping(a).get("fileName")))]
            ids = {"conversation": key} | ({"message": own} if own else {})
            yield Turn(
                text=string(message.get("content")),
                speaker=name(author.get("nickname")) or name(author.get("name")),
                at=at,
                session=f"{key} {day}".strip(),
                id=f"discord:{key}:{own}" if own else None,
                meta={**ids, **({"attachments": files} if files else {})},
            )
