"""From what a file says to turns: cleaning, times, ids, splitting; the same for every format.

Ids. A format that numbers its messages gives ``<format>:<conversation>:<message>``. Otherwise the id is a BLAKE2b
hash of everything the turn says and its ordinal among equal turns of the file (not of the file's name), so an equal
id is an equal turn and importing a file twice adds nothing. A message whose id comes again in the file with other
content gets ``~2``, ``~3``, ...
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import parser

from mnemic.errors import InputError
from mnemic.text.record import Turn, to_datetime

MAX_TEXT = 200_000
MAX_DEPTH = 32
ROLES = ("user", "assistant", "system", "tool")
_BROKEN = re.compile("[\ud800-\udfff]")
_FLAW = (ValueError, OverflowError, TypeError, LookupError, AttributeError, ArithmeticError)


@dataclass(slots=True)
class Tally:
    """What became of a file: ``turns`` yielded, and how many messages were ``skipped`` for which reason."""

    turns: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def skip(self, reason: str) -> None:
        """Count one message that is not imported."""
        self.skipped[reason] += 1


def string(value: Any) -> str:
    """``value`` when it is text, cleaned of what no store can hold (lone surrogates, NUL); '' otherwise."""
    return _BROKEN.sub("\ufffd", value).replace("\0", "") if isinstance(value, str) else ""


def name(value: Any) -> str:
    """A name or id: text on one line without surrounding space; whole numbers are read as text, the rest is ''."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 64 else ""
    return " ".join(string(value).split())


def mapping(value: Any) -> dict[str, Any]:
    """``value`` when it is a JSON object, an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """``value`` when it is a JSON list, an empty one otherwise."""
    return value if isinstance(value, list) else []


def jsonable(value: Any, depth: int = 0) -> Any:
    """``value`` cleaned for strict JSON: no NaN, no lone surrogates; raises InputError when nested too deeply."""
    if depth > MAX_DEPTH:
        raise InputError(f"values are nested deeper than {MAX_DEPTH}: flatten them")
    if isinstance(value, str):
        return string(value)
    if isinstance(value, dict):
        return {string(str(k)): jsonable(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v, depth + 1) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _offset(_: str | None, seconds: int | None) -> tzinfo | None:
    # Zone names are ambiguous and dateutil would read them as this machine does: only numeric offsets count.
    return timezone(timedelta(seconds=seconds)) if seconds is not None else None


def parse_time(text: str, day_first: bool = False) -> datetime | None:
    """The time ``text`` says, naive where it has no numeric offset; None unless year, month and day are all there."""
    if not text or len(text) > 100:
        return None
    try:
        one, other = (
            parser.parse(text, dayfirst=day_first, default=default, tzinfos=_offset)
            for default in (datetime(2000, 1, 1), datetime(2004, 2, 2))
        )
        return one if one == other and _sane(one) else None
    except _FLAW:
        return None


def _sane(at: datetime) -> bool:
    return 2 <= at.year <= 9998 and (at.utcoffset() is None or abs(at.utcoffset() or timedelta()) < timedelta(days=1))


def moment(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """An aware datetime from text or epoch seconds (milliseconds where they must be); None for anything else."""
    at: datetime | None = None
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            at = parse_time(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            at = to_datetime(value / 1000 if abs(value) > 1e11 else value)
        except (InputError, OverflowError):
            return None
    if at is None or not _sane(at):
        return None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def zone_named(zone: str | tzinfo | None) -> tzinfo:
    """The time zone of wall-clock times; None is UTC. Raises InputError for a name that is none."""
    if zone is None:
        return UTC
    if isinstance(zone, tzinfo):
        return zone
    try:
        return ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        raise InputError(f"there is no time zone {zone!r}: give a name such as Europe/Berlin") from None


def pieces(text: str, limit: int) -> Iterator[str]:
    """``text`` in parts of at most ``limit`` characters, cut at paragraphs, else at lines, words, anywhere."""
    start = 0
    while len(text) - start > limit:
        for border in ("\n\n", "\n", " "):
            end = text.rfind(border, start + 1, start + limit + 1)
            if end > start:
                break
        else:
            end = start + limit
        if part := text[start:end].strip():
            yield part
        start = end
    if part := text[start:].strip():
        yield part


def _digest(turn: Turn, ordinal: int = 0) -> str:
    at = turn.at.isoformat() if turn.at else None
    said = [turn.speaker, at, turn.text, turn.session, turn.role, turn.caption, turn.meta, ordinal]
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def finish(turns: Iterable[Turn], format: str, source: str, tally: Tally | None = None) -> Iterator[Turn]:
    """The turns of one file, cleaned, with ids, ``meta["source"]`` and none longer than ``MAX_TEXT``.

    Turns without text are skipped and counted as ``empty``, equal turns of one id as ``repeated``.
    """
    tally = Tally() if tally is None else tally
    ordinals: Counter[str] = Counter()
    seen: dict[str, list[str]] = {}
    for raw in turns:
        text = string(raw.text).strip()
        if not text:
            tally.skip("empty")
            continue
        turn = replace(
            raw,
            text=text,
            speaker=name(raw.speaker) or None,
            session=name(raw.session) or None,
            caption=string(raw.caption).strip() or None,
            meta=jsonable({"source": f"{format}:{source}", **raw.meta}),
        )
        if raw.id is None:
            told = replace(turn, meta=jsonable(raw.meta))
            plain = _digest(told)
            turn = replace(turn, id=f"{format}:{_digest(told, ordinals[plain]) if ordinals[plain] else plain}")
            ordinals[plain] += 1
        else:
            made = string(raw.id)
            versions = seen.setdefault(made, [])
            if (mark := _digest(turn)[:16]) in versions:
                tally.skip("repeated")
                continue
            versions.append(mark)
            turn = replace(turn, id=f"{made}~{len(versions)}" if len(versions) > 1 else made)
        for part in _parts(turn):
            tally.turns += 1
            yield part


def _parts(turn: Turn) -> Iterator[Turn]:
    if len(turn.text) <= MAX_TEXT:
        yield turn
        return
    for n, text in enumerate(pieces(turn.text, MAX_TEXT), 1):
        yield replace(
            turn, text=text, id=f"{turn.id}#{n}", caption=turn.caption if n == 1 else None,
            meta={**turn.meta, "part": n},
        )  # fmt: skip
