"""Mail in mbox files, as most mail programs and archives export it.

The text of a turn is the subject and the body without the quoted tail and the signature; the plain text part is
preferred, HTML is reduced to its words. ``speaker`` is the sender's display name (else the address), ``at`` the
Date header (``-0000`` and no zone: UTC), ``session`` the thread: the first message of the References /
In-Reply-To chain. Attachments are named in ``meta``, not read.
"""

from __future__ import annotations

import mailbox
import re
from collections.abc import Iterator
from datetime import datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import parseaddr, parsedate_to_datetime
from html import unescape
from pathlib import Path
from typing import Any

from mnemic.text.importers.source import fail, head, magic, occurrences
from mnemic.text.importers.turns import Tally, finish, moment, name
from mnemic.text.record import Turn

# What the standard library raises on headers and parts that break the rules; such a message is skipped and counted.
_FLAW = (
    MessageError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    OverflowError,
)
_ID = re.compile(r"<([^<>\s]{1,500})>")
_OPENING = re.compile(
    r"\s*(?:on|am|le|el|op|il|den|em)\s.{4,300}"
    r"\b(?:wrote|schrieb|a écrit|escribió|schreef|ha scritto|skrev|escreveu)\b.{0,80}:\s*",
    re.IGNORECASE | re.DOTALL,
)
_REPLY = re.compile(
    r"\s*-{3,}\s*(?:original message|ursprüngliche nachricht|message d'origine)\s*-{3,}\s*", re.IGNORECASE
)
_ESCAPED = re.compile(r"^>(?=>*From )", re.MULTILINE)  # how mbox files keep such a line from beginning a message
_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")
_HIDDEN = {"script", "style", "title"}
_BLOCK = {"br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "table"}


def sniff(path: Path) -> bool:
    """Whether the file begins with the ``From`` line of a message."""
    return re.match(r"From [^\n]*\n[A-Za-z-]+:|From [^\n]*\d{4}\s*\n", head(path).replace("\r\n", "\n")) is not None


def count(path: Path) -> int | None:
    """About how many messages there are."""
    found = occurrences(path, b"\nFrom ")
    return None if found is None else found + 1


def read(path: Path, *, tally: Tally | None = None) -> Iterator[Turn]:
    """The messages in the order of the file."""
    tally = Tally() if tally is None else tally
    if not magic(path).startswith(b"From "):
        raise fail(path, "line 1", "an mbox file begins with 'From '", "check the format, or unpack the file first")
    try:
        box = mailbox.mbox(path, create=False)
    except (mailbox.Error, OSError) as error:
        raise fail(path, "", f"it cannot be opened ({error})", "check its permissions") from None
    try:
        yield from finish(_turns(path, box, tally), "mbox", path.name, tally)
    finally:
        box.close()


def _messages(path: Path, box: mailbox.mbox, tally: Tally | None) -> Iterator[Message]:
    """The messages; without a ``tally`` only their headers are parsed."""
    parse = BytesParser().parsebytes
    try:
        for key in box.iterkeys():
            try:
                yield parse(box.get_bytes(key), headersonly=tally is None)
            except _FLAW:
                if tally is not None:
                    tally.skip("unreadable message")
    except OSError as error:
        raise fail(path, "", f"it cannot be read ({error})", "check the disk and try again") from None


def _turns(path: Path, box: mailbox.mbox, tally: Tally) -> Iterator[Turn]:
    parents: dict[str, str] = {}
    for message in _messages(path, box, None):
        own, parent = _own(message), _parent(message)
        if own and parent:
            parents.setdefault(own, parent)
    for message in _messages(path, box, tally):
        try:
            turn = _turn(message, parents)
        except _FLAW:
            tally.skip("unreadable message")
            continue
        yield turn


def _header(message: Message, field: str) -> str:
    raw = message.get(field)
    if raw is None:
        return ""
    try:
        return name(str(make_header(decode_header(raw))))
    except _FLAW:
        return name(str(raw))


def _own(message: Message) -> str:
    return next(iter(_ID.findall(_header(message, "Message-ID"))), "")


def _parent(message: Message) -> str:
    return next(iter(_ID.findall(_header(message, "References")) or _ID.findall(_header(message, "In-Reply-To"))), "")


def _root(own: str, parents: dict[str, str]) -> str:
    passed = [own]
    while (parent := parents.get(passed[-1])) and parent not in passed and len(passed) < 1000:
        passed.append(parent)
    # A chain that closes on itself has no first message: its smallest id stands for it, the same for all of them.
    return min(passed[passed.index(parent) :]) if parent in passed else passed[-1]


def _turn(message: Message, parents: dict[str, str]) -> Turn:
    own = _own(message)
    thread = _root(own or _parent(message), parents)
    shown, address = parseaddr(str(message.get("From", "")))
    try:
        shown = str(make_header(decode_header(shown)))
    except _FLAW:
        shown = name(shown)
    plain, marked, attached = _bodies(message)
    written = _ESCAPED.sub("", (plain or _words(marked)).replace("\r\n", "\n"))
    body, quoted, signature = cut(written)
    subject = _header(message, "Subject")
    meta: dict[str, Any] = {"message_id": own} if own else {}
    if thread:
        meta["thread"] = thread
    if address:
        meta["address"] = name(address)
    if attached:
        meta["attachments"] = attached
    if quoted:
        meta["quoted_lines"] = quoted
    if signature:
        meta["signature"] = signature[:500]
    return Turn(
        text="\n\n".join(t for t in (subject, body) if t),
        speaker=name(shown) or name(address),
        at=_date(_header(message, "Date")),
        session=thread or None,
        id=f"mbox:{own}" if own else None,
        meta=meta,
    )


def _date(text: str) -> datetime | None:
    try:
        return moment(parsedate_to_datetime(text).isoformat())
    except _FLAW:
        return moment(text)


def _bodies(message: Message) -> tuple[str, str, list[str]]:
    """The first plain text, the first HTML, the names of what is attached."""
    plain = marked = ""
    attached: list[str] = []
    for part in message.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment" or not kind.startswith("text/"):
            if title := name(part.get_filename() or ""):
                attached.append(title)
        elif kind == "text/html":
            marked = marked or _decoded(part)
        elif kind == "text/plain":
            plain = plain or _decoded(part)
    return plain, marked, attached


def _decoded(part: Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, ValueError):
        return data.decode("utf-8" if _is_utf8(data) else "cp1252", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _words(marked: str) -> str:
    """What a reader of the page would see. Linear in its length, which the library's parser is not on broken pages."""
    first, *tagged = marked.split("<")
    words = [_flat(first)]
    hidden, comment = "", False
    for piece in tagged:
        if comment or (not hidden and piece.startswith("!--")):
            _, ended, text = piece.partition("-->")
            comment = not ended
            words.append(_flat(text))
            continue
        inside, closed, text = piece.partition(">")
        match = _TAG.match(inside)
        tag = match[1].lower() if match else ""
        if hidden:
            hidden = "" if tag == hidden and inside.startswith("/") else hidden
        elif tag in _HIDDEN and closed and not inside.startswith("/"):
            hidden = tag
        elif not closed or not (match or inside.startswith(("!", "?", "/"))):
            words.append(_flat(f"<{piece}"))
            continue
        if not hidden:
            words += ["\n" * (tag in _BLOCK), _flat(text)]
    text = "\n".join(line.strip() for line in "".join(words).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", unescape(text))


def cut(body: str) -> tuple[str, int, str]:
    """``body`` without the quoted tail and the signature, how many lines were quoted, and the signature.

    Quotes between one's own words stay; a body that is nothing but quotes stays whole.
    """
    rows = body.strip("\n").split("\n")
    quoted = 0
    if (reply := next((i for i, row in enumerate(rows) if i and _REPLY.fullmatch(row)), 0)) and _filled(rows[:reply]):
        quoted, rows = len(rows) - reply, rows[:reply]
    rows, more = _unquoted(rows)
    quoted += more
    signature = ""
    mark = next(
        (i for i, row in enumerate(rows) if row in ("-- ", "--") and (row == "-- " or len(rows) - i <= 10)), None
    )
    if mark is not None and _filled(rows[:mark]):
        signature, rows = "\n".join(rows[mark + 1 :]).strip(), rows[:mark]
        rows, more = _unquoted(rows)
        quoted += more
    return "\n".join(rows).strip(), quoted, signature


def _filled(rows: list[str]) -> bool:
    return any(row.strip() for row in rows)


def _unquoted(rows: list[str]) -> tuple[list[str], int]:
    """``rows`` without the quote they end in and the line that announces it."""
    end = len(rows)
    while end and (not rows[end - 1].strip() or rows[end - 1].startswith(">")):
        end -= 1
    quoted = sum(row.startswith(">") for row in rows[end:])
    if not quoted:
        return rows, 0
    for size in (1, 2):  # mail programs break the announcement over two lines
        if end >= size and _OPENING.fullmatch("\n".join(rows[end - size : end])):
            end -= size
            break
    return (rows[:end], quoted) if _filled(rows[:end]) else (rows, 0)
