"""Claude data export: the zip as downloaded, or the ``conversations.json`` in it.

The words of a message are its content blocks of type text; thinking and tool blocks are left out, and the plain
``text`` field is used where there are no blocks. The text extracted from an attachment is a turn of its own after
the message. The title is left out of ``meta`` because it changes between exports and would make old turns new ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnemic.text.importers.source import fail, head, is_zip, json_items, occurrences, plain_name
from mnemic.text.importers.turns import Tally, finish, mapping, moment, name, sequence, string
from mnemic.text.record import Turn

MEMBER = re.compile(r"conversations(?:-\d+)?\.json")
WHAT = "conversations.json"
_ROLES = {"human": "user", "assistant": "assistant"}


def sniff(path: Path) -> bool:
    """Whether the file begins like a Claude export."""
    text = head(path, MEMBER, WHAT)
    return text.lstrip()[:1] in ("[", "{") and re.search(r'"chat_messages"\s*:\s*\[', text) is not None


def count(path: Path) -> int | None:
    """About how many messages there are."""
    return occurrences(path, b'"sender"', MEMBER, WHAT)


def read(path: Path, *, tally: Tally | None = None) -> Iterator[Turn]:
    """The turns of every conversation; ``session`` is the conversation's id."""
    tally = Tally() if tally is None else tally
    source = WHAT if is_zip(path) else plain_name(path)
    yield from finish(_turns(path, tally), "claude", source, tally)


def _turns(path: Path, tally: Tally) -> Iterator[Turn]:
    known = other = 0
    for item in json_items(path, MEMBER, WHAT):
        if isinstance(item, dict) and isinstance(item.get("chat_messages"), list):
            known += 1
            yield from _conversation(item, tally)
        else:
            other += 1
            tally.skip("no conversation")
    if other and not known:
        raise fail(path, "", "no Claude conversation is in it", "check the format, or name another one")


def _conversation(item: dict[str, Any], tally: Tally) -> Iterator[Turn]:
    started = moment(item.get("created_at"))
    key = name(item.get("uuid"))
    session = key or f"{name(item.get('name')) or 'untitled'} {started.isoformat() if started else ''}"
    before = started
    for n, message in enumerate(item["chat_messages"]):
        message = mapping(message)
        role = _ROLES.get(name(message.get("sender")))
        if role is None:
            tally.skip("no role")
            continue
        before = at = moment(message.get("created_at")) or before
        ids = {"conversation": session, "message": name(message.get("uuid")) or str(n)}
        made = f"claude:{session}:{ids['message']}"
        attached = [mapping(a) for a in sequence(message.get("attachments"))]
        files = [f for a in (*attached, *sequence(message.get("files"))) if (f := name(mapping(a).get("file_name")))]
        meta = ids | ({"attachments": files} if files else {})
        text = _text(message)
        if text or not any(string(a.get("extracted_content")).strip() for a in attached):
            yield Turn(text=text, at=at, session=session, role=role, id=made, meta=meta)
        for number, attachment in enumerate(attached, 1):
            if inside := string(attachment.get("extracted_content")).strip():
                title = name(attachment.get("file_name"))
                yield Turn(
                    text=f"{title}\n\n{inside}" if title else inside,
                    at=at,
                    session=session,
                    role=role,
                    id=f"{made}:attachment-{number}",
                    meta=ids | {"attachment": title or str(number)},
                )


def _text(message: dict[str, Any]) -> str:
    blocks = [mapping(b) for b in sequence(message.get("content"))]
    words = [string(b.get("text")).strip() for b in blocks if name(b.get("type")) in ("text", "")]
    return "\n\n".join(w for w in words if w) or ("" if blocks else string(message.get("text")))
