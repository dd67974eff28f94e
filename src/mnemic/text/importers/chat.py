"""Chat logs as text: WhatsApp exports, IRC logs and plain ``Name: text`` transcripts.

WhatsApp (a ``.txt`` or the zip that holds it): ``31/12/2023, 21:15 - Ann: text`` and ``[31/12/2023, 21:15:07] Ann:
text``, day or month first. The order is the one the whole file allows; where it allows both, the one in which time
runs forward, else dots mean day first, AM/PM month first, anything else day first; ``day_first`` overrules. IRC:
``[12:34] <nick> text`` with day changed lines, or a date in the file name. Plain: ``Name: text`` with an optional
``[time]`` before it. A line that begins no message goes on with the one before. Notices (joins, encryption, ...)
and left-out media are skipped and counted.

These times are the wall clock of the device that wrote the log, and the log does not say which zone that was:
name it in ``zone``, otherwise they are kept as UTC, so that the same log gives the same turns on any machine.
``session`` is the chat (the file's name) and the day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mnemic.text.importers.source import documents, fail, head, is_zip, lines, occurrences, plain_name
from mnemic.text.importers.turns import Tally, finish, parse_time, zone_named
from mnemic.text.record import Turn

MEMBER = re.compile(r"_chat\.txt|[^/]*\.txt", re.IGNORECASE)
WHAT = "chat log (.txt)"
SAMPLE = 2000

_DATE = r"(?P<date>\d{1,4}[./-]\d{1,2}[./-]\d{1,4})\.?"
_CLOCK = r"(?P<clock>\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s?[ap]\.?\s?m\b\.?)?)"
_WHATSAPP = re.compile(rf"(?:\[{_DATE},?\s{_CLOCK}\]\s|{_DATE.replace('date', 'day')},?\s"
                       rf"{_CLOCK.replace('clock', 'time')}\s[-–]\s)(?P<body>.*)", re.IGNORECASE)  # fmt: skip
_IRC = re.compile(
    rf"\[?(?:(?P<date>\d{{4}}-\d\d-\d\d)[T ])?{_CLOCK}\]?\s+"
    r"(?:<(?P<nick>[^<>\s][^<>]{0,60})>\s?(?P<said>.*)|\*\s(?P<actor>\S{1,60})\s(?P<action>.*)|(?P<notice>-!-.*|\*{3}.*|[<-]--.*|--[>-].*))"
)
_DAY = re.compile(
    r"(?:-{2,3}|\*{3,4}|={2,3})\s*"
    r"(?P<what>Day changed(?: to)?|Log opened|Log closed|BEGIN LOGGING AT|ENDING LOGGING AT)?\s*"
    r"(?P<day>[A-Za-z0-9][^\n]{5,60}?)\s*(?:-{2,3}|\*{3,4}|={2,3})?",
    re.IGNORECASE,
)
_NAME = r"(?P<name>[^\W\d_](?:[^\W_]|[ .'’&@()_-]){0,39})"
_PLAIN = re.compile(rf"(?:[\[(](?P<when>[^\])]{{4,40}})[\])]\s*)?{_NAME}:(?:\s+(?P<body>.*))?")
_FILE_DAY = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)")
_MARKS = dict.fromkeys(map(ord, "\u200e\u200f\u202a\u202b\u202c\ufeff")) | {0x202F: " ", 0xA0: " "}
_MEDIA = re.compile(
    r"<[^<>]{0,40}\b(?:omitted|weggelassen|ausgeschlossen|omis|omitido|omesso)\b[^<>]{0,20}>"
    r"|(?:image|video|audio|sticker|gif|document|contact card) omitted"
    r"|(?:this message was deleted|you deleted this message)\.?|null",
    re.IGNORECASE,
)


class _Line(NamedTuple):
    """One message as it begins: wall-clock time (date and clock as written), who, and the first line of the text."""

    speaker: str
    text: str
    day: str = ""
    clock: str = ""


def sniff(path: Path) -> bool:
    """Whether at least half of the first lines (a third for dated ones) begin a message."""
    begun = [line for raw in head(path, MEMBER, WHAT).split("\n")[:200] if (line := _plain(raw)).strip()]
    style, hits = _style(begun)
    return hits * 3 >= len(begun) if style in ("whatsapp", "irc") else hits > 1 and hits * 2 >= len(begun)


def count(path: Path) -> int | None:
    """About how many messages there are: as many as lines."""
    return occurrences(path, b"\n", MEMBER, WHAT)


def read(
    path: Path, *, day_first: bool | None = None, zone: str | tzinfo | None = None, tally: Tally | None = None
) -> Iterator[Turn]:
    """The messages. ``day_first`` settles 5/8/2023; ``zone`` is where the log was written (a name or a tzinfo)."""
    tally = Tally() if tally is None else tally
    where = zone_named(zone)
    style, _ = _style(line for n, line in enumerate(_lines(path)) if n < SAMPLE)
    if not style:
        raise fail(path, "", "no line of it begins a message", "check the format, or name another one")
    if style == "whatsapp" and day_first is None:
        day_first = _day_first(_lines(path))
    begin = {"whatsapp": _whatsapp, "irc": _irc, "plain": _speech}[style]
    yield from finish(_turns(path, begin, bool(day_first), where, tally), "chat", plain_name(path), tally)


def _plain(line: str) -> str:
    return line.translate(_MARKS)


def _lines(path: Path) -> Iterator[str]:
    with documents(path, MEMBER, WHAT) as found:
        for place, file in found:
            for _, line in lines(path, file, place):
                yield _plain(line)
            if is_zip(path):
                return  # one chat an archive; other text files in it are what was sent along


def _style(begun: Iterable[str]) -> tuple[str, int]:
    """The kind of log these lines come from and how many of them begin a message."""
    hits = {"whatsapp": 0, "irc": 0, "plain": 0}
    for line in begun:
        for style, begins in (("whatsapp", _WHATSAPP), ("irc", _IRC), ("plain", _PLAIN)):
            if begins.fullmatch(line):
                hits[style] += 1
                break
    best = max(hits, key=lambda style: hits[style])
    return (best, hits[best]) if hits[best] else ("", 0)


def _day_first(begun: Iterable[str]) -> bool:
    dayish = monthish = clocks = dots = 0
    back = [0, 0]
    last: list[tuple[int, ...]] = [(), ()]
    for line in begun:
        match = _WHATSAPP.fullmatch(line)
        if not match:
            continue
        written = match["date"] or match["day"]
        one, two, three = (int(n) for n in re.split(r"[./-]", written))
        if one > 31:
            continue
        dayish += one > 12
        monthish += two > 12
        dots += "." in written
        clocks += "m" in (match["clock"] or match["time"]).lower()
        for n, key in enumerate(((three, two, one), (three, one, two))):
            back[n] += key < last[n]
            last[n] = key
    if dayish != monthish:
        return dayish > monthish
    if back[0] != back[1]:
        return back[0] < back[1]
    return bool(dots) or not clocks


def _whatsapp(line: str) -> _Line | None:
    match = _WHATSAPP.fullmatch(line)
    if not match:
        return None
    speaker, colon, text = match["body"].partition(": ")
    if not colon and speaker.endswith(":"):
        speaker, colon = speaker[:-1], ":"
    day, clock = match["date"] or match["day"], match["clock"] or match["time"]
    if not colon or len(speaker) > 80:
        return _Line("", "", day, clock)
    return _Line(speaker.lstrip("~ "), text, day, clock)


def _irc(line: str) -> _Line | None:
    match = _IRC.fullmatch(line)
    if not match:
        return None
    day, clock = match["date"] or "", match["clock"]
    if match["nick"]:
        return _Line(match["nick"].lstrip("@+%~&! "), match["said"], day, clock)
    if match["actor"]:
        return _Line(match["actor"], f"{match['actor']} {match['action']}", day, clock)
    return _Line("", "", day, clock)


def _speech(line: str) -> _Line | None:
    match = _PLAIN.fullmatch(line)
    if not match or (match["body"] or "").startswith("//"):
        return None
    return _Line(match["name"].strip(), match["body"] or "", "", match["when"] or "")


# Days and clocks repeat from line to line, and reading them is most of the work.
_parsed = lru_cache(maxsize=1 << 14)(parse_time)


def _time(day: str, clock: str, today: date | None, day_first: bool) -> datetime | None:
    if re.search(r"\d[.:]\d", clock):
        clock = re.sub(r"(?<=\d)\.(?=\d)", ":", clock) if day or today else clock
        clock = re.sub(r"([ap])\.?\s?m\.?", r"\1m", clock, flags=re.IGNORECASE)
    if not day and (at := _parsed(clock)):  # the whole time, as in "[2023-05-08 13:56] Ann: ..."
        return at
    if day:
        began = _parsed(day, day_first and not re.match(r"\d{4}", day))
        today = began.date() if began else None
    struck = _parsed(f"2000-01-01 {clock}")
    return datetime.combine(today, struck.timetz()) if today and struck else None


def _turns(path: Path, begin: object, day_first: bool, zone: tzinfo, tally: Tally) -> Iterator[Turn]:
    assert callable(begin)
    named = _FILE_DAY.search(path.name)
    first = parse_time("-".join(named.groups())) if named else None
    today = first.date() if first else None
    chat = path.name.split(".txt")[0].removesuffix(".zip").removesuffix(".log")
    if chat == "_chat":
        chat = path.resolve().parent.name or chat

    def turn(speaker: str, text: list[str], at: datetime | None) -> Turn | None:
        said = "\n".join(text).strip()
        if not speaker:
            tally.skip("notice")
        elif _MEDIA.fullmatch(said):
            tally.skip("media")
        else:
            day = at.date().isoformat() if at else ""
            return Turn(
                text=said, speaker=speaker, at=at if at is None or at.tzinfo else at.replace(tzinfo=zone),
                session=f"{chat} {day}".strip(), meta={"chat": chat},
            )  # fmt: skip
        return None

    message: tuple[str, list[str], datetime | None] | None = None
    for line in _lines(path):
        begun: _Line | None = begin(line)
        if begun is None:
            changed = _DAY.fullmatch(line.strip()) if begin is _irc else None
            day = parse_time(changed["day"]) if changed else None
            if changed and (day or changed["what"]):
                today = day.date() if day else today
                tally.skip("notice")
            elif message is not None:
                message[1].append(line)
            elif line.strip():
                tally.skip("before the first message")
            continue
        if message is not None and (done := turn(*message)):
            yield done
        at = _time(begun.day, begun.clock, today, day_first) if begun.clock else None
        message = begun.speaker, [begun.text], at
    if message is not None and (done := turn(*message)):
        yield done
