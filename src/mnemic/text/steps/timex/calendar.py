"""Calendar arithmetic on naive wall-clock time, held inside the years 1 to 9999, and the holidays."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from dateutil.easter import easter

DAY = timedelta(days=1)
MIN, MAX = datetime.min, datetime.max
Bounds = tuple[datetime, datetime]


def shift(at: datetime, days: float = 0.0, hours: float = 0.0) -> datetime:
    """``at`` moved, held inside the years 1 to 9999."""
    try:
        return at + timedelta(days=days, hours=hours)
    except OverflowError:
        return MIN if days + hours < 0 else MAX


def midnight(at: datetime) -> datetime:
    """Start of the day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def month_start(year: int, month: int) -> datetime:
    """First instant of a month; ``month`` may lie outside 1 to 12 and carries into the year."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return MIN if year < 1 else MAX if year > 9999 else datetime(year, month, 1)


def day_bounds(at: datetime) -> Bounds:
    """The whole day that holds ``at``."""
    start = midnight(at)
    return start, shift(start, 1)


def unit_bounds(at: datetime, unit: str, offset: int = 0) -> Bounds:
    """The calendar unit that holds ``at``, ``offset`` units later. A weekend that has not begun counts as coming."""
    day = midnight(at)
    if unit == "week":
        start = shift(day, -day.weekday() + 7 * offset)
        return start, shift(start, 7)
    if unit == "fortnight":
        start = shift(day, -day.weekday() + 14 * offset)
        return start, shift(start, 14)
    if unit == "weekend":
        start = shift(day, 5 - day.weekday() + 7 * offset)
        return start, shift(start, 2)
    if unit == "month":
        return month_start(day.year, day.month + offset), month_start(day.year, day.month + offset + 1)
    if unit == "quarter":
        first = (day.month - 1) // 3 * 3 + 1 + 3 * offset
        return month_start(day.year, first), month_start(day.year, first + 3)
    if unit == "year":
        return month_start(day.year + offset, 1), month_start(day.year + offset + 1, 1)
    if unit == "decade":
        first = day.year // 10 * 10 + 10 * offset
        return month_start(max(first, 1), 1), month_start(first + 10, 1)
    if unit == "hour":
        return shift(at, hours=offset - 0.5), shift(at, hours=offset + 0.5)
    if unit == "minute":
        return shift(at, hours=(offset - 5) / 60), shift(at, hours=(offset + 5) / 60)
    start = shift(day, offset)
    return start, shift(start, 1)


def back_by(at: datetime, unit: str, count: float) -> datetime:
    """The instant ``count`` units before ``at`` (negative: after). Months keep the day where they can."""
    if unit in ("month", "quarter", "year", "decade"):
        months = count * {"month": 1, "quarter": 3, "year": 12, "decade": 120}[unit]
        whole = int(months)
        first = month_start(at.year, at.month - whole)
        if first in (MIN, MAX):
            return first
        last = shift(month_start(first.year, first.month + 1), -1).day if first.year < 9999 or first.month < 12 else 31
        return shift(datetime.combine(first.replace(day=min(at.day, last)), at.time()), -30.4 * (months - whole))
    days = {"week": 7.0, "weekend": 7.0, "fortnight": 14.0, "day": 1.0, "hour": 1 / 24, "minute": 1 / 1440}[unit]
    return shift(at, -count * days)


def calendar_day(year: int, month: int, day: int) -> Bounds | None:
    """That whole day; ``None`` where the calendar has no such day."""
    try:
        return day_bounds(datetime(year, month, day))
    except ValueError:
        return None


def holiday(name: str, year: int) -> Bounds | None:
    """The bounds of a holiday in a year; ``None`` where that year has none (or lies outside Easter's rule)."""
    if not 1 <= year <= 9999:
        return None
    fixed = _FIXED_HOLIDAYS.get(name)
    if fixed:
        month, day, length = fixed
        start = datetime(year, month, day)
        return start, shift(start, length)
    if name in _EASTER:
        first, length = _EASTER[name]
        start = shift(datetime.combine(easter(year), time()), first)
        return start, shift(start, length)
    month, weekday, nth, length = _NTH_HOLIDAYS[name]
    start = nth_weekday(month_start(year, month), month_start(year, month + 1), weekday, nth)[0]
    return start, shift(start, length)


_FIXED_HOLIDAYS = {
    "christmas": (12, 24, 3),
    "christmastime": (12, 20, 8),
    "xmas": (12, 24, 3),
    "christmas day": (12, 25, 1),
    "boxing day": (12, 26, 1),
    "christmas eve": (12, 24, 1),
    "new year": (1, 1, 1),
    "new year day": (1, 1, 1),
    "new years day": (1, 1, 1),
    "new years": (1, 1, 1),
    "new year eve": (12, 31, 1),
    "new years eve": (12, 31, 1),
    "nye": (12, 31, 1),
    "halloween": (10, 31, 1),
    "valentine": (2, 14, 1),
    "valentines": (2, 14, 1),
    "valentine day": (2, 14, 1),
    "valentines day": (2, 14, 1),
    "independence day": (7, 4, 1),
    "st patrick day": (3, 17, 1),
    "st patricks day": (3, 17, 1),
    "april fools": (4, 1, 1),
    "april fools day": (4, 1, 1),
    "april fool day": (4, 1, 1),
    "juneteenth": (6, 19, 1),
    "veterans day": (11, 11, 1),
    "earth day": (4, 22, 1),
}
_EASTER = {
    "easter": (0, 1),
    "easter sunday": (0, 1),
    "easter monday": (1, 1),
    "good friday": (-2, 1),
    "easter weekend": (-2, 4),
}
_NTH_HOLIDAYS = {  # month, weekday, which one, days
    "thanksgiving": (11, 3, 4, 1),
    "thanksgiving day": (11, 3, 4, 1),
    "black friday": (11, 4, 4, 1),
    "labor day": (9, 0, 1, 1),
    "labour day": (9, 0, 1, 1),
    "memorial day": (5, 0, -1, 1),
    "mother day": (5, 6, 2, 1),
    "mothers day": (5, 6, 2, 1),
    "father day": (6, 6, 3, 1),
    "fathers day": (6, 6, 3, 1),
    "mlk day": (1, 0, 3, 1),
    "columbus day": (10, 0, 2, 1),
}
HOLIDAY_NAMES = {*_FIXED_HOLIDAYS, *_EASTER, *_NTH_HOLIDAYS}
HOLIDAY_HEADS = {name.split()[0] for name in HOLIDAY_NAMES}


def nth_weekday(start: datetime, end: datetime, weekday: int, nth: int) -> Bounds:
    """The ``nth`` (1-based; -1 is the last) given weekday inside ``[start, end)``."""
    if nth > 0:
        first = shift(start, (weekday - start.weekday()) % 7)
        return day_bounds(shift(first, 7 * (nth - 1)))
    last = shift(end, -1)
    return day_bounds(shift(last, -((last.weekday() - weekday) % 7) + 7 * (nth + 1)))


def day_exists(month: int, day: int) -> bool:
    """Whether some year has that day."""
    return 1 <= month <= 12 and calendar_day(2024, month, day) is not None
