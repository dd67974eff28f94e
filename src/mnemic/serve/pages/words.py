"""Times, numbers and names in the words of the pages: the same in every locale."""

from __future__ import annotations

from datetime import datetime

from mnemic.text.record import Interval

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def day(at: datetime | None) -> str:
    """``13 Jul 2025``, in the zone that the time is given in."""
    return f"{at.day} {MONTHS[at.month - 1]} {at.year:04}" if at else "undated"


def weekday(at: datetime | None) -> str:
    """``Sun 13 Jul 2025``."""
    return f"{DAYS[at.weekday()]} {day(at)}" if at else "undated"


def clock(at: datetime | None) -> str:
    """``10:35``; nothing for midnight sharp, which is how a date without a time is kept."""
    return f"{at:%H:%M}" if at and (at.hour, at.minute, at.second) != (0, 0, 0) else ""


def stamp(at: datetime | None) -> str:
    """``13 Jul 2025, 10:35``."""
    return ", ".join(filter(None, (day(at), clock(at))))


def span(valid: Interval) -> str:
    """From when to when something was true."""
    if valid.start and valid.end:
        if valid.end <= valid.start:
            return "never: it was corrected"
        return f"{day(valid.start)} to {day(valid.end)}"
    if valid.start:
        return f"since {day(valid.start)}"
    return f"until {day(valid.end)}" if valid.end else "always"


def lasted(seconds: float) -> str:
    """A stretch of time in its two largest units: ``2 y 3 mo``, ``5 d``, ``3 min``."""
    left, told = max(0, int(seconds)), []
    for name, size in (("y", 31_557_600), ("mo", 2_629_800), ("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            told.append(f"{count} {name}")
        if told and (len(told) == 2 or not count):
            break
    return " ".join(told) or "0 s"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 memory``, ``1,204 memories``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(number: int) -> str:
    """Bytes in the unit that fits: ``432 kB``."""
    value = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if value >= 100 or unit == "bytes" else f"{value:.1f} {unit}"


def short(text: str, most: int) -> str:
    """``text`` on one line, cut at a word with an ellipsis where it has more than ``most`` characters."""
    flat = " ".join(text[: 4 * most].split())
    if len(flat) <= most:
        return flat if len(text) <= 4 * most else flat + "…"
    return flat[:most].rsplit(" ", 1)[0].rstrip(",;:") + "…"
