"""Calendar expressions in English text ("two weekends ago", "3-7 May", "the Friday before last"), by rules.

A hand-written recursive-descent grammar over word tokens. It reads wall-clock time only: every bound is a naive
``datetime`` in the zone of ``now``; :mod:`mnemic.text.steps.dates` attaches the zone. Conventions:

- weeks start on Monday; a weekend is Saturday and Sunday; seasons are the meteorological ones of the north;
- "last week" and "last month" are calendar units, "the last week" and "the past month" roll back from now;
- "N days ago" is that calendar day, "N weeks ago" the seven days around it, "N months ago" that calendar month,
  "N years ago" that calendar year, "a year ago" the half year around the same day;
- "last Friday" is the latest Friday before today; "this Friday" is the one of the current week;
- ``5/8/2023`` is May 8 (month first), unless the first number cannot be a month; ``8.5.2023`` is day first;
- early / mid / late are thirds; a date without a year is its latest occurrence that is not in the future.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

from dateutil.easter import easter

DAY = timedelta(days=1)
MIN, MAX = datetime.min, datetime.max
Bounds = tuple[datetime, datetime]
Found = tuple["Node", int] | None

_TOKEN = re.compile(
    r"(?P<iso>[0-9]{4}[-/][0-9]{1,2}(?:[-/][0-9]{1,2})?(?![0-9]))(?:T[0-9:.]+Z?)?"
    r"|(?P<num>[0-9]{1,2}[/.-][0-9]{1,2}[/.-](?:[0-9]{4}|[0-9]{2})(?![0-9]))"
    r"|(?P<short>[0-9]{1,2}/[0-9]{1,2}(?![0-9/]))"
    r"|(?P<clock>[0-9]{1,2}(?::[0-9]{2}){1,2}(?:\s?[ap]\.?m\b\.?)?|[0-9]{1,2}\s?(?:[ap]\.m\.|[ap]m\b)|[0-9]{1,2} o['’]clock)"
    r"|(?P<ord>[0-9]{1,4}(?:st|nd|rd|th)\b)"
    r"|(?P<decade>(?:[12][0-9])?[0-9]0['’]?s\b)"
    r"|(?P<yy>['’][0-9]{2}(?![0-9]))"
    r"|(?P<int>[0-9]+)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)?)"
    r"|(?P<dash>(?<=[0-9])[-–—](?=[0-9])|(?<=\s)[-–—](?=\s)|[–—])"
    r"|(?P<mark>[.,;:!?()\n])"
)

MONTHS = {
    name: number
    for number, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sep sept"
        "|october oct|november nov|december dec".split("|"),
        start=1,
    )
    for name in names.split()
}
WEEKDAYS = {
    name: number
    for number, names in enumerate(
        "monday mon|tuesday tue tues|wednesday wed weds|thursday thu thur thurs|friday fri|saturday sat|sunday sun".split(
            "|"
        )
    )
    for name in names.split()
}
SEASONS = {"spring": 3, "springtime": 3, "summer": 6, "summertime": 6, "autumn": 9, "fall": 9, "winter": 12}
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
_TENS = {w: 10 * n for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)}
NUMBERS = {word: n for n, word in enumerate(_SMALL)} | _TENS
_ORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth"
).split()
ORDINALS = {word: n for n, word in enumerate(_ORDS, start=1)} | {
    word[:-1] + "ieth": n for word, n in _TENS.items()
}
UNITS = {
    name: unit
    for unit in ("minute", "hour", "day", "week", "fortnight", "weekend", "month", "quarter", "year", "decade")
    for name in (unit, unit + "s")
} | {"night": "day", "nights": "day", "mins": "minute", "hrs": "hour", "hr": "hour", "min": "minute"}
PARTS_OF_DAY = {
    "morning": (0, 12),
    "afternoon": (12, 18),
    "evening": (17, 24),
    "night": (18, 24),
    "noon": (11, 14),
    "lunchtime": (11, 14),
    "midday": (11, 14),
}
_LAST = {"last", "previous", "past", "prior", "preceding"}
_NEXT = {"next", "coming", "upcoming", "following"}
_THIS = {"this", "current"}
_EARLY = {"early", "beginning", "start", "opening"}
_MID = {"mid", "middle"}
_LATE = {"late", "end", "close", "tail", "closing"}
_JOIN = {"to", "until", "till", "til", "through", "thru", "dash"}
_AGO = {"ago", "back", "earlier", "prior", "previously"}
_ABOUT = {"about", "around", "roughly", "approximately", "some", "nearly", "almost", "circa", "maybe", "exactly", "just"}
# Words before a bare month, season or year that make it a time and not a name, a verb or a plain number.
_CUES = {
    *"in of since until till before after during by from between through around early mid late last this next to and"
    " for about past previous or over circa dash throughout back every year on thru within beginning end middle start".split()
}


@dataclass(frozen=True, slots=True)
class Node:
    """A stretch of wall-clock time ``[start, end)``. ``find(ref, -1)`` gives the latest occurrence that starts at or
    before ``ref`` (``+1``: the earliest at or after) where the words name no single one ("Friday", "8 May")."""

    start: datetime
    end: datetime
    grain: str
    sure: float = 1.0
    find: Callable[[datetime, int], Bounds] | None = None
    yearly: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or mark. ``text`` is lower case without a possessive ending; ``kind`` is the regex group."""

    text: str
    raw: str
    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in words or digits; ``low`` and ``high`` bound a vague one ("a few": 2 to 5)."""

    value: float
    low: float
    high: float


def tokenise(text: str) -> list[Token]:
    """Words, numbers and marks with their place in ``text``; dates in digits are one token."""
    tokens = []
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "word"
        raw = found[0]
        word = raw.lower().replace("’", "'")
        if kind == "word":
            word = word[:-2] if word.endswith("'s") else word.rstrip("'")
        elif kind == "dash":
            word = "dash"
        elif kind == "clock":
            word = "clock"
        tokens.append(Token(word, raw, kind, found.start(), found.end()))
    return tokens


def shift(at: datetime, days: float = 0.0, hours: float = 0.0) -> datetime:
    """``at`` moved, held inside the years 1 to 9999."""
    try:
        return at + timedelta(days=days, hours=hours)
    except OverflowError:
        return MIN if days + hours < 0 else MAX


def midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def month_start(year: int, month: int) -> datetime:
    """First instant of a month; ``month`` may lie outside 1 to 12 and carries into the year."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return MIN if year < 1 else MAX if year > 9999 else datetime(year, month, 1)


def day_bounds(at: datetime) -> Bounds:
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
_HOLIDAY_NAMES = {*_FIXED_HOLIDAYS, *_EASTER, *_NTH_HOLIDAYS}
_HOLIDAY_HEADS = {name.split()[0] for name in _HOLIDAY_NAMES}


def nth_weekday(start: datetime, end: datetime, weekday: int, nth: int) -> Bounds:
    """The ``nth`` (1-based; -1 is the last) given weekday inside ``[start, end)``."""
    if nth > 0:
        first = shift(start, (weekday - start.weekday()) % 7)
        return day_bounds(shift(first, 7 * (nth - 1)))
    last = shift(end, -1)
    return day_bounds(shift(last, -((last.weekday() - weekday) % 7) + 7 * (nth + 1)))


class Grammar:
    """Reads calendar expressions out of one tokenised text.

    ``now`` is naive wall-clock time. ``ahead`` resolves what has no year or week to the coming occurrence instead of
    the latest one (a turn that speaks of the future). ``floor`` and ``newest`` are the first and last day for which
    there is anything to find: a date without a year whose latest occurrence lies after ``newest`` is the one before.
    """

    def __init__(
        self,
        tokens: list[Token],
        now: datetime,
        *,
        ahead: bool = False,
        floor: datetime | None = None,
        newest: datetime | None = None,
    ) -> None:
        self.tokens = tokens
        self.now = now
        self.today = midnight(now)
        self.ahead = ahead
        self.floor, self.newest = floor, newest
        self.words = [token.text for token in tokens] + [""] * 8
        self.kinds = [token.kind for token in tokens] + [""] * 8

    # ---- whole expressions ------------------------------------------------------------------------------------

    def expression(self, i: int) -> Found:
        """The longest time expression that begins at token ``i``, and the token after it."""
        word = self.words[i]
        found: Found = None
        if word in ("between", "betwixt"):
            found = self._span(i + 1, {"and", "to", "dash"} | _JOIN)
        elif word == "from":
            found = self._span(i + 1, _JOIN | {"up", "and"}) or self._from_on(i + 1)
        elif word in _OPEN_WORDS:
            found = self._open(i)
        elif word in ("within", "around", "circa", "near"):
            found = self._near(i)
        if found:
            return found
        found = self.atom(i)
        if found and (self.words[found[1]] in _JOIN):
            return self._span(i, _JOIN) or found
        return found or self._span(i, _JOIN)

    def _span(self, i: int, joins: set[str]) -> Found:
        """``A to B``: both ends included. An end without a year takes it from the other one."""
        short = self._day_range(i, joins)
        if short:
            return short
        left = self.atom(i, loose=True)
        if not left or self.words[left[1]] not in joins:
            return None
        j = left[1] + 1
        j += self.words[j] in ("to", "until", "till", "including")
        right = self.atom(j, loose=True) or self._bare_now(j)
        if not right:
            return None
        a, b = left[0], right[0]
        if b.find and not a.find:
            start, end = b.find(a.start, 1)
            b = replace(b, start=start, end=end)
        elif a.find:
            start, end = a.find(b.start, -1)
            a = replace(a, start=start, end=end)
        if b.end <= a.start:
            return None
        return Node(a.start, max(a.end, b.end), "span", min(a.sure, b.sure)), right[1]

    def _day_range(self, i: int, joins: set[str]) -> Found:
        """``3-7 May``, ``3 to 7 May 2023``, ``the 3rd and the 7th of May``, ``May 3-7``, ``Jan/March-May 2022``."""
        j = i + (self.words[i] == "the")
        first, j = self._month_day(j)
        if first and self.words[j] in joins:
            j += 1
            j += self.words[j] == "the"
            right = self._dated(j)
            if right and right[0].find is not None and self._month_day(j)[0]:
                start, end = right[0].start, right[0].end
                begin = calendar_day(start.year, start.month, first)
                if begin and begin[0] <= start:
                    return Node(begin[0], end, "span", right[0].sure, None), right[1]
            elif right and self._month_day(j)[0]:
                begin = calendar_day(right[0].start.year, right[0].start.month, first)
                if begin and begin[0] <= right[0].start:
                    return Node(begin[0], right[0].end, "span", right[0].sure), right[1]
            return None
        if self.words[i] in MONTHS:
            left = self._dated(i)
            if left and left[0].grain == "day" and self.words[left[1]] in joins:
                j = left[1] + 1
                j += self.words[j] == "the"
                last, k = self._month_day(j)
                if last and self.words[k] not in MONTHS and not (self.words[k] == "of" and self.words[k + 1] in MONTHS):
                    year, after = self._year(k)
                    start = left[0].start
                    if year and left[0].find:
                        begin = calendar_day(year, start.month, start.day)
                        start = begin[0] if begin else start
                    finish = calendar_day(start.year, start.month, last)
                    if finish and finish[0] >= start:
                        return Node(start, finish[1], "span", left[0].sure), after
        return None

    def _bare_now(self, i: int) -> Found:
        if self.words[i] in ("now", "present") or (self.words[i] == "the" and self.words[i + 1] == "present"):
            return Node(self.now, shift(self.today, 1), "day"), i + 1 + (self.words[i] == "the")
        return None

    def _from_on(self, i: int) -> Found:
        found = self.atom(i, loose=True)
        if found and self.words[found[1]] in ("on", "onward", "onwards", "forward"):
            return Node(found[0].start, max(shift(self.today, 1), found[0].end), "span", found[0].sure), found[1] + 1
        return None

    def _open(self, i: int) -> Found:
        """``since X``, ``after X``, ``before X``, ``until X``, ``by X``."""
        word, j = self.words[i], i + 1
        if word == "ever":
            if self.words[j] != "since":
                return None
            word, j = "since", j + 1
        if (word, self.words[j]) in (("prior", "to"), ("up", "to"), ("up", "until"), ("up", "till")):
            word, j = ("before" if word == "prior" else "until"), j + 1
        elif word in ("prior", "up", "ever"):
            return None
        found = self.atom(j, loose=word not in ("by", "after", "following", "past")) or (
            self._span(j, _JOIN) if word in ("since", "after") else None
        )
        if not found or (word == "by" and found[0].grain in ("hour", "minute")):
            return None
        node, j = found
        if word == "since":
            return Node(node.start, max(shift(self.today, 1), node.end), "span", node.sure), j
        if word in ("after", "following", "past"):
            return Node(node.end, max(shift(self.today, 1), node.end), "span", node.sure), j
        if word == "before":
            return Node(MIN, node.start, "span", node.sure), j
        return Node(MIN, node.end, "span", node.sure), j

    def _near(self, i: int) -> Found:
        """``around X`` widens X by half its length and at least two days; ``within N units of X``."""
        word, j = self.words[i], i + 1
        if word == "within":
            count = self.quantity(j)
            if not count or self.words[count[1]] not in UNITS:
                return None
            unit, j = UNITS[self.words[count[1]]], count[1] + 1
            if self.words[j] not in ("of", "from", "around"):
                return None
            found = self.atom(j + 1, loose=True)
            if not found:
                return None
            node = found[0]
            low = midnight(back_by(node.start, unit, count[0].value))
            high = back_by(node.end, unit, -count[0].value)
            return Node(low, high, "span", 0.7 * node.sure), found[1]
        j += self.words[j] in ("about", "the") and self.words[j + 1] in ("time", "around")
        if self.words[j] == "time" and self.words[j + 1] == "of":
            j += 2
        found = self.atom(j, loose=True)
        if not found or found[0].grain == "span":
            return None
        node = found[0]
        if _is_count_ago(self.words, j, found[1]):
            return node, found[1]
        pad = max(2.0, (node.end - node.start) / DAY / 2) if node.grain != "year" else 90.0
        return Node(shift(node.start, -pad), shift(node.end, pad), "span", 0.7 * node.sure), found[1]

    # ---- single expressions -----------------------------------------------------------------------------------

    def atom(self, i: int, loose: bool = False) -> Found:
        """One expression without span words. ``loose``: a word before it already says that a time follows."""
        start = i
        if self.words[i] in _ABOUT and self.words[i] not in ("about", "around"):
            i += 1
        i += self.words[i] == "on"  # "until on Friday", "yesterday on ..."
        i += self.words[i] == "sometime"
        article = self.words[i] in ("the", "that")
        j = i + article
        word, kind = self.words[j], self.kinds[j]
        found: Found = None
        if kind in ("iso", "num", "short"):
            found = self._digits(j, loose or (start > 0 and self.words[start - 1] in _CUES))
        elif word in _DAYS:
            found = self._named_day(j)
        elif word in ("earlier", "later"):
            found = self._earlier(j)
        elif word in _EARLY or word in _MID or word in _LATE or word in ("first", "second", "latter", "tail"):
            found = self._part(j)
        if not found and article and word in ("day", "night", "week", "weekend", "month", "year", "quarter", "fortnight"):
            found = self._unit_by_anchor(j)
        if not found and (word in _LAST or word in _NEXT or word in _THIS or word in ("same", "most")):
            found = self._relative(j, article)
        if not found:
            found = self._nth_of(j) or self._dated(j, loose, start)
        if not found and (word in WEEKDAYS or word.rstrip("s") in WEEKDAYS):
            found = self._weekday(j, loose or article, start)
        if not found and word in SEASONS:
            found = self._season(j, loose or article or self._cued(start))
        if not found and (word in _HOLIDAY_HEADS):
            found = self._holiday(j)
        if not found:
            found = self._counted(j)
        if not found:
            found = self._quarter(j) or self._year_alone(j, loose or self._cued(start))
        if not found and article:
            found = self._day_of_month(j, start, loose)
        if not found and article and word == "other" and self.words[j + 1] in ("day", "night", "week", "weekend"):
            weeks = self.words[j + 1] in ("week", "weekend")
            low, high = (-21, -6) if weeks else (-7, 0)
            found = Node(shift(self.today, low), shift(self.today, high), "span", 0.4), j + 2
        if not found and article and word == "weekend":
            found = Node(*self._weekend_back(1), "weekend", 0.9), j + 1
        return self._tail(*found) if found else None

    def _tail(self, node: Node, j: int) -> Found:
        """What may follow an expression: ``... of last week``, ``... in the evening``, ``... at 3 pm``."""
        if node.grain == "day" or (node.grain == "span" and node.end - node.start == DAY):
            k = j
            if self.words[k] == "dash":
                k += 1
            if self.words[k] in ("in", "during") and self.words[k + 1] == "the":
                k += 2
            elif self.words[k] == "at":
                k += 1
            if self.words[k] in ("early", "late"):
                k += 1
            if self.words[k] in PARTS_OF_DAY and not (k == j and self.words[k] == "noon"):
                low, high = PARTS_OF_DAY[self.words[k]]
                return replace(node, start=shift(node.start, hours=low), end=shift(node.start, hours=high), find=None), k + 1
            if self.kinds[k] == "clock":
                return node, k + 1
            if self.words[k] == "around" and self.kinds[k + 1] == "clock":
                return node, k + 2
        return node, j

    def _cued(self, start: int) -> bool:
        """Whether the word before ``start`` announces a time."""
        return start > 0 and (self.words[start - 1] in _CUES or (self.words[start - 1] == "the" and self._cued(start - 1)))

    # ---- numbers ----------------------------------------------------------------------------------------------

    def quantity(self, i: int) -> tuple[Quantity, int] | None:
        """A count: ``3``, ``twenty-one``, ``a``, ``a couple of``, ``a few``, ``half a``, ``one and a half``."""
        word = self.words[i]
        if word in _ABOUT or word in ("good", "over", "like"):
            return self.quantity(i + 1)
        if word == "half" and self.words[i + 1] in ("a", "an"):
            return Quantity(0.5, 0.5, 0.5), i + 2
        if word in ("couple", "few", "several", "dozen", "many"):
            low, value, high = {"couple": (2, 2, 2), "few": (2, 3, 5), "several": (3, 5, 8), "dozen": (12, 12, 12)}.get(
                word, (3, 6, 12)
            )
            return Quantity(value, low, high), i + 1 + (self.words[i + 1] == "of")
        if word in ("a", "an"):
            if self.words[i + 1] in ("couple", "few", "dozen", "good", "whole", "full", "hundred", "little"):
                if self.words[i + 1] in ("whole", "full", "little"):
                    return Quantity(1, 1, 1), i + 2
                return self.quantity(i + 1)
            value, j = 1.0, i + 1
        else:
            number = self.number(i)
            if number is None:
                return None
            value, j = float(number[0]), number[1]
        if self.words[j : j + 3] == ["and", "a", "half"]:
            return Quantity(value + 0.5, value + 0.5, value + 0.5), j + 3
        if self.words[j] == "or" and (other := self.number(j + 1)):
            return Quantity((value + other[0]) / 2, min(value, other[0]), max(value, other[0])), other[1]
        if self.words[j] in ("to", "dash") and (other := self.number(j + 1)) and self.words[other[1]] in UNITS:
            return Quantity((value + other[0]) / 2, min(value, other[0]), max(value, other[0])), other[1]
        return Quantity(value, value, value), j

    def number(self, i: int) -> tuple[int, int] | None:
        """A whole number in digits or words."""
        word = self.words[i]
        if self.kinds[i] == "int":
            return int(word[:7]), i + 1
        if word == "hundred":
            value, j = 100, i + 1
        elif word in _TENS:
            value, j = _TENS[word], i + 1
            if 0 < NUMBERS.get(self.words[j], 0) < 10:
                value, j = value + NUMBERS[self.words[j]], j + 1
        elif word in NUMBERS:
            value, j = NUMBERS[word], i + 1
            if self.words[j] == "hundred":
                value, j = value * 100, j + 1
        else:
            return None
        if value and value % 100 == 0:
            k = j + (self.words[j] == "and")
            rest = self.number(k) if self.words[k] in NUMBERS else None
            if rest and rest[0] < 100:
                return value + rest[0], rest[1]
        return value, j

    def ordinal(self, i: int) -> tuple[int, int] | None:
        """``8th``, ``eighth``, ``twenty-first``."""
        word = self.words[i]
        if self.kinds[i] == "ord":
            return int(word[:-2]), i + 1
        if word in ORDINALS:
            return ORDINALS[word], i + 1
        if word in _TENS and 0 < ORDINALS.get(self.words[i + 1], 99) < 10:
            return _TENS[word] + ORDINALS[self.words[i + 1]], i + 2
        return None

    def _month_day(self, i: int) -> tuple[int, int]:
        """Day of the month as number or ordinal; 0 where there is none."""
        found = self.ordinal(i)
        if not found and self.kinds[i] == "int" and len(self.words[i]) <= 2:
            found = int(self.words[i]), i + 1
        return found if found and 1 <= found[0] <= 31 else (0, i)

    def _year(self, i: int) -> tuple[int, int]:
        """A year after a date (``, 2023``, ``of 2023``, ``'23``, ``last year``, ``twenty twenty-three``)."""
        j = i + (self.words[i] in (",", "of", "in"))
        word, kind = self.words[j], self.kinds[j]
        if kind == "int" and len(word) == 4:
            return (int(word), j + 1) if int(word) else (0, i)
        if kind == "yy":
            return self._full_year(int(word[1:])), j + 1
        if word in ("last", "this", "next", "previous") and self.words[j + 1] == "year":
            return self.today.year + {"this": 0, "next": 1}.get(word, -1), j + 2
        if word == "the" and self.words[j + 1] == "previous" and self.words[j + 2] == "year":
            return self.today.year - 1, j + 3
        if word in ("twenty", "nineteen") and (tail := self.number(j + 1)) and 10 <= tail[0] <= 99:
            return NUMBERS[word] * 100 + tail[0], tail[1]
        return 0, i

    def _full_year(self, two: int) -> int:
        century = self.today.year // 100 * 100
        return max(1, century + two if century + two <= self.today.year + 20 else century - 100 + two)

    # ---- dates ------------------------------------------------------------------------------------------------

    def _digits(self, i: int, cued: bool) -> Found:
        kind, word = self.kinds[i], self.words[i]
        parts = [int(p) for p in re.split(r"[-/.]", word.split("t")[0])]
        if kind == "iso":
            if len(parts) == 2:
                if not (1 <= parts[1] <= 12 and parts[0]):
                    return None
                return Node(month_start(*parts), month_start(parts[0], parts[1] + 1), "month"), i + 1
            bounds = calendar_day(*parts)
            return (Node(*bounds, "day"), i + 1) if bounds else None
        if kind == "short":
            month, day = parts if parts[0] <= 12 else parts[::-1]
            return (self._yearly(lambda y: calendar_day(y, month, day), "day", 0.7), i + 1) if cued and _fits(month, day) else None
        first, second, year = parts
        year = year if year > 99 else self._full_year(year)
        month_first = first <= 12 and (second > 12 or "." not in word)
        bounds = calendar_day(year, first, second) if month_first else None
        bounds = bounds or calendar_day(year, second, first)
        return (Node(*bounds, "day", 0.95), i + 1) if bounds else None

    def _dated(self, i: int, loose: bool = False, start: int = -1) -> Found:
        """Day and month in either order with an optional weekday before and year after; month; month and year."""
        j = i
        if self.words[j] in WEEKDAYS:
            j += 1
            j += self.words[j] in (",", ".")
            j += self.words[j] == "the"
            found = self._day_and_month(j)
            if found:
                return found
            day = self.ordinal(j)
            if self.words[j - 1] == "the" and day and 1 <= day[0] <= 31 and self.words[day[1]] not in ("session", "time"):
                return self._day_of_month(j, i, True)
            return None
        found = self._day_and_month(j)
        if found:
            return found
        if self.words[j] not in MONTHS:
            return None
        month, k = MONTHS[self.words[j]], j + 1
        k += self.words[k] == "." and self.tokens[j].end == self.tokens[k].start and len(self.words[j]) <= 4 and self.words[k + 1] != ""
        year, after = self._year(k)
        if year:
            return Node(month_start(year, month), month_start(year, month + 1), "month"), after
        if self.words[j] in ("mar", "jan", "dec", "may", "march", "sep", "jun", "april", "june", "august") or True:
            begin = start if start >= 0 else i
            if not (loose or self._cued(begin) or (self.tokens[j].raw.endswith(("'s", "’s")) and self.tokens[j].raw[0].isupper())):
                return None
            if self.words[j] in ("may", "march", "mar", "jan", "dec") and self.tokens[j].raw.islower() and not self._cued(begin):
                return None
            if self.words[j] in ("may", "march") and self.tokens[j].raw.islower() and self.words[j - 1] in ("and", "to", "or", "this", "that"):
                return None
        return self._yearly(lambda y: (month_start(y, month), month_start(y, month + 1)), "month", 0.8), k if k == j + 1 else k

    def _day_and_month(self, i: int) -> Found:
        if self.words[i] in MONTHS:
            j = i + 1
            j += self.words[j] == "."
            j += self.words[j] == "the"
            day, after = self._month_day(j)
            if not day or (self.words[after] in UNITS and self.kinds[j] == "int"):
                return None
            # "May twenty twenty-three" is a year, not the twentieth
            if self.words[j] == "twenty" and self._year(j)[0]:
                return None
            return self._day_in(MONTHS[self.words[i]], day, after)
        day, j = self._month_day(i)
        if not day:
            return None
        j += self.words[j] == "day"
        j += self.words[j] == "of"
        if self.words[j] in MONTHS:
            after = j + 1
            after += self.words[after] == "." and len(self.words[j]) <= 4 and self.kinds[after + 1] == "int"
            return self._day_in(MONTHS[self.words[j]], day, after)
        return None

    def _day_in(self, month: int, day: int, j: int) -> Found:
        if not _fits(month, day):
            return None
        year, after = self._year(j)
        if year:
            bounds = calendar_day(year, month, day)
            return (Node(*bounds, "day"), after) if bounds else None
        return self._yearly(lambda y: calendar_day(y, month, day), "day", 0.85), j

    def _day_of_month(self, i: int, start: int, loose: bool) -> Found:
        """``the 8th``, ``the 8th of last month``."""
        day = self.ordinal(i)
        if not day or not 1 <= day[0] <= 31:
            return None
        number, j = day
        if self.words[j] == "of" or self.words[j] in ("last", "this"):
            k = j + (self.words[j] == "of")
            k += self.words[k] == "the"
            if self.words[k] in ("last", "previous", "this", "next", "month"):
                offset = {"this": 0, "next": 1, "month": 0}.get(self.words[k], -1)
                k += self.words[k] != "month"
                if self.words[k] == "month":
                    first = month_start(self.today.year, self.today.month + offset)
                    bounds = calendar_day(first.year, first.month, number)
                    return (Node(*bounds, "day", 0.95), k + 1) if bounds else None
            return None
        follows = self.words[j]
        if self.kinds[j] in ("word", "ord", "int") and follows not in _AFTER_DATE:
            return None
        if self.kinds[i] == "word" and not (loose or (start > 0 and self.words[start - 1] in ("on", "of", "since", "by"))):
            return None
        if not (loose or (start > 0 and self.words[start - 1] in _CUES | {"discussed", "chat", "talk"})):
            return None

        def find(ref: datetime, way: int) -> Bounds:
            for step in range(14):
                first = month_start(ref.year, ref.month + way * step)
                bounds = calendar_day(first.year, first.month, number)
                if bounds and (bounds[0] <= ref if way < 0 else bounds[0] >= ref):
                    return bounds
            return day_bounds(ref)

        way = 1 if self.ahead else -1
        return Node(*find(self.now if way < 0 else self.today, way), "day", 0.75, find), j

    def _yearly(self, at: Callable[[int], Bounds | None], grain: str, sure: float) -> Node:
        """The occurrence of a yearly date that the words mean when they name no year."""

        def find(ref: datetime, way: int) -> Bounds:
            for step in range(10):
                year = ref.year + way * step
                bounds = at(year) if 1 <= year <= 9999 else None
                if bounds and (bounds[0] <= ref if way < 0 else bounds[0] >= ref):
                    return bounds
            return at(2000) or day_bounds(ref)

        if self.ahead:
            bounds = find(self.today, 1)
            current = find(self.now, -1)
            if current[1] > self.now:
                bounds = current
            return Node(*bounds, grain, sure, find, True)
        bounds = find(self.now, -1)
        if self.newest and self.floor and bounds[0] > self.newest:
            older = find(self.newest, -1)
            bounds = older if older[1] > self.floor else bounds
        return Node(*bounds, grain, sure, find, True)

    def _nth_of(self, i: int) -> Found:
        """``first Monday of May``, ``last weekend in June``, ``the second week of July``, ``the last day of 2022``."""
        if self.words[i] == "last":
            nth, j = -1, i + 1
        else:
            found = self.ordinal(i)
            if not found:
                return None
            nth, j = found
        if nth == -1 and (count := self.number(j)):
            many, j = count
        else:
            many = 1
        if nth == 1 and many == 1 and (count := self.number(j)):
            many, j = count
        word = self.words[j]
        unit = UNITS.get(word)
        weekday = WEEKDAYS.get(word)
        if (unit not in ("day", "week", "weekend", "month", "quarter") and weekday is None) or self.words[j + 1] not in ("of", "in"):
            return None
        if unit in ("day", "week") and self.words[j + 1] == "in":
            return None
        whole = self.atom(j + 2, loose=True)
        if not whole or whole[0].grain in ("day", "span"):
            return None
        start, end = whole[0].start, whole[0].end
        if weekday is not None:
            bounds = nth_weekday(start, end, weekday, nth)
        elif unit == "weekend":
            first, _ = nth_weekday(start, end, 5, nth)
            bounds = (first, shift(first, 2))
        elif unit in ("month", "quarter"):
            months = 3 if unit == "quarter" else 1
            first = (
                month_start(start.year, start.month + months * (nth - 1))
                if nth > 0
                else month_start(end.year, end.month - months * many)
            )
            bounds = (first, month_start(first.year, first.month + months * many))
        else:
            size = {"day": 1, "week": 7}[unit or "day"]
            if nth > 0:
                bounds = (shift(start, size * (nth - 1)), shift(start, size * (nth - 1 + many)))
            else:
                bounds = (shift(end, -size * many), end)
        low, high = max(bounds[0], start), min(bounds[1], end) if unit != "weekend" else bounds[1]
        if low >= high:
            return None
        grain = "day" if unit == "day" or weekday is not None else "week"
        return Node(low, high, grain, whole[0].sure), whole[1]

    # ---- relative to now --------------------------------------------------------------------------------------

    def _named_day(self, i: int) -> Found:
        word = self.words[i]
        if word == "tonight":
            return Node(shift(self.today, hours=17), shift(self.today, 1), "night"), i + 1
        offset = _DAYS[word]
        bounds = day_bounds(shift(self.today, offset))
        return Node(*bounds, "day"), i + 1

    def _earlier(self, i: int) -> Found:
        """``earlier today``, ``earlier this morning``, ``earlier in the week``: before now, inside the unit."""
        j = i + 1
        if self.words[j] in ("on", "in"):
            j += 1
        j += self.words[j] in ("the", "this")
        word = self.words[j]
        if word in PARTS_OF_DAY:
            bounds = (shift(self.today, hours=PARTS_OF_DAY[word][0]), shift(self.today, hours=PARTS_OF_DAY[word][1]))
        elif word == "today":
            bounds = day_bounds(self.today)
        elif word in ("day", "week", "month", "year", "quarter"):
            bounds = unit_bounds(self.today, word)
        elif word in SEASONS:
            found = self._season(j, True)
            if not found:
                return None
            bounds = (found[0].start, found[0].end)
        else:
            return None
        if self.words[i] == "later":
            return Node(self.now, max(bounds[1], self.now), "span", 0.8), j + 1
        end = min(bounds[1], max(self.now, shift(bounds[0], hours=1)))
        return Node(bounds[0], end, "earlier"), j + 1

    def _weekend_back(self, count: int) -> Bounds:
        """The ``count``-th weekend before today; a weekend in progress is not counted."""
        day = self.today
        latest = shift(day, -2 if day.weekday() == 0 else -(day.weekday() + 2))
        return shift(latest, -7 * (count - 1)), shift(latest, -7 * (count - 1) + 2)

    def _relative(self, i: int, article: bool) -> Found:
        """``last / this / next`` with a unit, weekday, month, season, holiday, part of the day or a count of units."""
        word, j = self.words[i], i + 1
        if word == "most":
            if self.words[j] != "recent":
                return None
            word, j = "last", j + 1
        rolling = article or word in ("past", "preceding")
        if word == "this" and self.words[j] in _LAST | {"coming", "next"}:
            word, j, rolling = ("next" if self.words[j] in _NEXT else "last"), j + 1, True
        way = -1 if word in _LAST else 1 if word in _NEXT else 0
        if way > 0 and article and word == "following":
            return None
        rolling = (rolling and word not in ("previous", "prior")) or (rolling and not article)
        target = self.words[j]
        if way < 0 and (count := self.quantity(j)) and self.words[count[1]] not in ("",):
            unit = UNITS.get(self.words[count[1]])
            plural = self.words[count[1]].rstrip("s")
            if unit and target not in ("a", "an"):
                return self._last_units(unit, count[0]), count[1] + 1
            if plural in WEEKDAYS and self.words[count[1]].endswith("s") and plural + "s" == self.words[count[1]]:
                end = shift(self._weekday_back(WEEKDAYS[plural], 1), 1)
                return Node(shift(end, -7 * count[0].high + 6), end, "span", 0.7), count[1] + 1
        if way > 0 and (count := self.quantity(j)) and (unit := UNITS.get(self.words[count[1]])):
            return Node(self.now, back_by(self.now, unit, -count[0].high), "span", 0.8), count[1] + 1
        if target in WEEKDAYS:
            if way < 0 and self.words[j + 1] in ("but",) and self.words[j + 2] == "one":
                return Node(*day_bounds(self._weekday_back(WEEKDAYS[target], 2)), "day"), j + 3
            return self._day_tail(Node(*day_bounds(self._weekday_by(WEEKDAYS[target], way)), "day", 0.9), j + 1)
        if target in MONTHS:
            month = MONTHS[target]
            node = self._dated(j, loose=True)
            if node and node[0].find is None:
                return node
            offset = node[1] if node and node[0].grain == "day" else j + 1
            grain = "day" if node and node[0].grain == "day" else "month"
            at = (lambda y: calendar_day(y, month, node[0].start.day)) if node and grain == "day" else (
                lambda y: (month_start(y, month), month_start(y, month + 1))
            )
            return Node(*self._yearly_by(at, way), grain, 0.9), offset
        if target in SEASONS:
            return Node(*self._season_by(SEASONS[target], way), "season", 0.8), j + 1
        if target in _HOLIDAY_HEADS and (named := self._holiday_name(j)):
            name = named[0]
            return Node(*self._yearly_by(lambda y: holiday(name, y), way), "day", 0.9), named[1]
        if target in PARTS_OF_DAY:
            if target == "night" and way < 0:
                return Node(shift(self.today, hours=-7), shift(self.today, hours=5), "night"), j + 1
            base = shift(self.today, way)
            low, high = PARTS_OF_DAY[target]
            return Node(shift(base, hours=low), shift(base, hours=high), "night"), j + 1
        unit = UNITS.get(target)
        if unit is None or target.endswith("s"):
            if word == "this" and target == "time":
                return self._this_time(j)
            return None
        if self.words[j + 1] == "before" and self.words[j + 2] == "last":
            return None
        if unit == "weekend":
            bounds = self._weekend_back(1) if way < 0 else unit_bounds(self.now, "weekend", 0)
            if way > 0 and self.today.weekday() >= 5:
                bounds = unit_bounds(self.now, "weekend", 1)
            return Node(*bounds, "weekend", 0.95), j + 1
        if word == "same":
            return None
        if rolling and way < 0 and unit not in ("day", "quarter"):
            return self._last_units(unit, Quantity(1, 1, 1)), j + 1
        if unit in ("hour", "minute"):
            return self._last_units(unit, Quantity(1, 1, 1)), j + 1
        if unit == "day" and not way:
            return None
        node = Node(*unit_bounds(self.now, unit, way), unit, 0.95)
        return self._unit_tail(node, j + 1)

    def _unit_tail(self, node: Node, j: int) -> Found:
        """``last week on Friday``, ``last month on the 8th``, ``last year in May``."""
        k = j + (self.words[j] in ("on", "in"))
        if node.grain == "week" and self.words[k] in WEEKDAYS:
            return Node(*nth_weekday(node.start, node.end, WEEKDAYS[self.words[k]], 1), "day", 0.9), k + 1
        if node.grain == "month" and k > j and self.words[k] == "the" and (day := self.ordinal(k + 1)):
            bounds = calendar_day(node.start.year, node.start.month, day[0]) if 1 <= day[0] <= 31 else None
            if bounds:
                return Node(*bounds, "day", 0.9), day[1]
        if node.grain == "year" and k > j and self.words[k] in MONTHS and not self._year(k + 1)[0]:
            inner = self._dated(k, loose=True)
            if inner and inner[0].find:
                bounds = inner[0].find(node.start, 1)
                return replace(inner[0], start=bounds[0], end=bounds[1], find=None, yearly=False), inner[1]
        return node, j

    def _this_time(self, i: int) -> Found:
        """``this time last week / month / year``."""
        if self.words[i + 1] in ("last", "next") and self.words[i + 2] in ("week", "month", "year"):
            unit = self.words[i + 2]
            centre = back_by(self.now, unit, 1 if self.words[i + 1] == "last" else -1)
            pad = {"week": 1, "month": 3, "year": 14}[unit]
            return Node(shift(midnight(centre), -pad), shift(midnight(centre), pad + 1), "span", 0.7), i + 3
        return None

    def _last_units(self, unit: str, count: Quantity) -> Node:
        """The last ``count`` units up to the end of today, from the start of the day on which they began."""
        if unit in ("hour", "minute"):
            return Node(back_by(self.now, unit, count.high), shift(self.now, hours=1e-3), "span", 0.9)
        if unit == "weekend":
            return Node(self._weekend_back(int(count.high))[0], self._weekend_back(1)[1], "span", 0.9)
        return Node(midnight(back_by(self.now, unit, count.high)), shift(self.today, 1), "rolling", 0.9)

    def _counted(self, i: int) -> Found:
        """``3 weeks ago``, ``two Fridays ago``, ``ten days before 3 May``, ``in two weeks``, ``a week from Friday``."""
        ahead = self.words[i] == "in"
        count = self.quantity(i + ahead)
        if not count:
            return None
        amount, j = count
        word = self.words[j]
        if ahead and word in ("more",):
            return None
        weekday = word[:-1] if word.endswith("s") and word[:-1] in WEEKDAYS else word
        if weekday in WEEKDAYS and not ahead:
            if self.words[j + 1] in ("ago", "back") and amount.value >= 1:
                return Node(*day_bounds(self._weekday_back(WEEKDAYS[weekday], int(amount.value))), "day", 0.85), j + 2
            return None
        unit = UNITS.get(word)
        if unit is None:
            return None
        j += 1
        if self.words[j : j + 3] == ["and", "a", "half"]:
            amount, j = Quantity(amount.value + 0.5, amount.low + 0.5, amount.high + 0.5), j + 3
        if ahead:
            if self.words[j] in ("time", "from"):
                j += 1 if self.words[j] == "time" else 2
            return self._around(unit, replace(amount, value=-amount.value, low=-amount.high, high=-amount.low), 0.8), j
        follows = self.words[j]
        if follows in ("ago", "back", "hence") or (follows in ("earlier", "prior", "previously", "before") and self._ends(j + 1)):
            j += 1
            if self.words[j] in ("today", "yesterday", "tomorrow") or (self.words[j] == "to" and self.words[j + 1] == "the"):
                exact = "today" if self.words[j] == "to" else self.words[j]
                j += 3 if self.words[j] == "to" else 1
                base = shift(self.now, _DAYS[exact])
                return Node(*day_bounds(back_by(base, unit, amount.value)), "day"), j
            k = j + (self.words[j] == "on")
            if unit in ("week", "fortnight") and self.words[k] in WEEKDAYS:
                return self._weeks_before(WEEKDAYS[self.words[k]], int(amount.value) * (2 if unit == "fortnight" else 1)), k + 1
            exactly = any(w in ("exactly", "precisely") for w in self.words[max(0, i - 1) : i + 1])
            if exactly and unit not in ("hour", "minute", "weekend"):
                return Node(*day_bounds(back_by(self.now, unit, amount.value)), "day"), j
            return self._around(unit, amount, 0.9 if amount.low == amount.high else 0.6), j
        if follows in ("before", "after", "prior", "following", "from", "leading", "preceding", "earlier", "later", "past"):
            k = j + 1
            if follows in ("prior", "leading"):
                k += self.words[k] == "up"
                k += self.words[k] == "to"
            elif follows in ("earlier", "later"):
                k += self.words[k] == "than"
            if self.words[k] == "now" or self.words[k : k + 2] == ["right", "now"]:
                sign = -1 if follows in ("from", "after", "later") else 1
                k += 1 + (self.words[k] != "now")
                return self._around(unit, replace(amount, value=sign * amount.value, low=sign * amount.low, high=sign * amount.high), 0.8), k
            base_found = self.atom(k, loose=True)
            if not base_found:
                return None
            return self._counted_from(unit, amount, follows, base_found[0], i), base_found[1]
        return None

    def _counted_from(self, unit: str, amount: Quantity, relation: str, base: Node, i: int) -> Node:
        """``the two weeks before X`` is the whole stretch, ``two weeks before X`` the day (week, month) it leads to."""
        before = relation in ("before", "prior", "leading", "preceding", "earlier")
        whole = relation == "leading" or (i > 0 and self.words[i - 1] in ("the", "in", "within", "during", "over"))
        if whole:
            if before:
                return Node(midnight(back_by(base.start, unit, amount.high)), base.start, "span", 0.9 * base.sure)
            return Node(base.end, back_by(base.end, unit, -amount.high), "span", 0.9 * base.sure)
        sign = 1.0 if before else -1.0
        at = back_by(base.start, unit, sign * amount.value)
        if unit in ("day", "week", "fortnight") and base.grain == "day":
            pad = 0 if unit == "day" and amount.low == amount.high else 1 if unit == "day" else 3
            return Node(shift(midnight(at), -pad), shift(midnight(at), pad + 1), "day" if not pad else "span", 0.8 * base.sure)
        if unit in ("hour", "minute"):
            return Node(*day_bounds(at), "day", 0.6 * base.sure)
        return Node(*unit_bounds(at, unit if unit in ("month", "year", "quarter") else "week"), "span", 0.7 * base.sure)

    def _around(self, unit: str, amount: Quantity, sure: float) -> Node:
        """The stretch meant by "``amount`` units ago"; negative amounts lie ahead."""
        far, near = amount.high, amount.low
        if unit == "weekend":
            count = max(1, int(abs(amount.value)))
            if amount.value < 0:
                return Node(*unit_bounds(self.now, "weekend", count - 1), "weekend", sure)
            return Node(self._weekend_back(max(1, int(far)))[0], self._weekend_back(max(1, int(near)))[1], "weekend", sure)
        whole = amount.value == int(amount.value)
        if unit in ("hour", "minute"):
            low, high = back_by(self.now, unit, far), back_by(self.now, unit, near)
            pad = 0.5 if unit == "hour" else 0.2
            return Node(shift(low, hours=-pad), shift(high, hours=pad), "clock", sure)
        if unit == "day":
            low, high = shift(self.today, -int(far)), shift(self.today, 1 - int(near))
            if near >= 7:  # a count so large was computed: by calendar days, or by full days elapsed (up to one day more)
                low = shift(self.now, -int(far) - 1)
            return Node(low, high, "day" if far == near else "span", sure)
        if (unit in ("month", "quarter") and whole) or (unit in ("year", "decade") and whole and abs(amount.value) != 1):
            low = unit_bounds(self.now, unit, -int(far))[0]
            return Node(low, unit_bounds(self.now, unit, -int(near))[1], unit, sure)
        pad = {"week": 3, "fortnight": 3, "month": 15, "quarter": 30, "year": 91, "decade": 730}[unit]
        low, high = midnight(back_by(self.now, unit, far)), midnight(back_by(self.now, unit, near))
        if not whole and unit in ("year", "decade"):
            pad = 45 if amount.value < 1 else 61
        elif not whole:
            pad = max(1, pad // 3)
        return Node(shift(low, -pad), shift(high, pad + 1), unit, sure)

    def _unit_by_anchor(self, i: int) -> Found:
        """After "the": ``day before yesterday``, ``week before last``, ``week of 3 May``, ``day after 5 May``."""
        word, j = self.words[i], i + 1
        unit = UNITS[word]
        follows = self.words[j]
        if follows == "before" and self.words[j + 1] in ("last", "previous") and unit != "day":
            if self.words[j + 2] in UNITS or self.words[j + 2] in WEEKDAYS:
                return None
            bounds = self._weekend_back(2) if unit == "weekend" else unit_bounds(self.now, unit, -2)
            return Node(*bounds, unit), j + 2
        if word == "night" and follows == "before" and self.words[j + 1] == "last":
            return Node(shift(self.today, hours=-31), shift(self.today, hours=-19), "night"), j + 2
        if follows in ("of", "commencing", "beginning", "starting") and unit in ("week", "weekend", "month", "year", "day"):
            k = j + 1
            found = self.atom(k, loose=True)
            if found and found[0].grain == "day":
                return Node(*unit_bounds(found[0].start, unit), unit, found[0].sure), found[1]
            if found and unit == found[0].grain:
                return found
            return None
        if follows in ("before", "after", "preceding", "following", "prior", "leading"):
            k = j + 1
            if follows in ("prior", "leading"):
                k += self.words[k] == "up"
                k += self.words[k] == "to"
            found = self.atom(k, loose=True)
            if not found:
                return None
            base, before = found[0], follows in ("before", "preceding", "prior", "leading")
            return self._beside(unit, base, before), found[1]
        return None

    def _beside(self, unit: str, base: Node, before: bool) -> Node:
        """The unit just before or after ``base``: calendar units where ``base`` is one, else a rolling stretch."""
        if unit in ("hour", "minute"):
            unit = "day"
        if unit == "weekend":
            probe = shift(base.start, -1) if before else base.end
            day = midnight(probe)
            start = shift(day, -((day.weekday() - 5) % 7)) if before else shift(day, (5 - day.weekday()) % 7)
            return Node(start, shift(start, 2), "weekend", 0.9 * base.sure)
        if unit == base.grain or unit == "day" or (base.grain in ("month", "year") and unit in ("month", "year", "week")):
            if unit == "week" and base.grain != "week":
                return Node(shift(base.start, -7), base.start, "span", base.sure) if before else Node(base.end, shift(base.end, 7), "span", base.sure)
            probe = shift(base.start, hours=-1) if before else base.end
            return Node(*unit_bounds(probe, unit), unit, base.sure)
        if before:
            return Node(midnight(back_by(base.start, unit, 1)), base.start, "span", 0.9 * base.sure)
        return Node(base.end, back_by(base.end, unit, -1), "span", 0.9 * base.sure)

    # ---- weekdays ---------------------------------------------------------------------------------------------

    def _weekday_back(self, weekday: int, count: int) -> datetime:
        """Start of the ``count``-th such weekday before today."""
        return shift(self.today, -((self.today.weekday() - weekday - 1) % 7 + 1) - 7 * (count - 1))

    def _weekday_by(self, weekday: int, way: int) -> datetime:
        if way < 0:
            return self._weekday_back(weekday, 1)
        if way > 0:
            return shift(self.today, (weekday - self.today.weekday() - 1) % 7 + 1)
        return shift(self.today, weekday - self.today.weekday())

    def _weeks_before(self, weekday: int, count: int) -> Node:
        """``Friday two weeks ago``: that weekday in the calendar week so many weeks back."""
        start = unit_bounds(self.now, "week", -count)[0]
        return Node(*day_bounds(shift(start, weekday)), "day", 0.85)

    def _weekday(self, i: int, loose: bool, start: int) -> Found:
        """``Friday``, ``Friday before last``, ``Friday last week``, ``Friday a week ago``, ``the Friday before 3 May``."""
        word = self.words[i]
        if word not in WEEKDAYS:
            return None
        weekday, j = WEEKDAYS[word], i + 1
        if len(word) <= 3 and not (self.tokens[i].raw[0].isupper() and ((start > 0 and self.words[start - 1] in _CUES) or loose)):
            return None
        find = self._weekly(weekday)
        if self.words[j] == "before" and self.words[j + 1] == "last":
            return Node(*day_bounds(self._weekday_back(weekday, 2)), "day"), j + 2
        if self.words[j] == "last" and self.words[j + 1] != "week":
            return Node(*day_bounds(self._weekday_back(weekday, 1)), "day"), j + 1
        if self.words[j] == "gone":
            return Node(*day_bounds(self._weekday_back(weekday, 1)), "day"), j + 1
        if self.words[j] in ("before", "after", "preceding", "following", "prior"):
            k = j + 1 + (self.words[j] == "prior" and self.words[j + 1] == "to")
            found = self.atom(k, loose=True)
            if found:
                before = self.words[j] in ("before", "preceding", "prior")
                base = found[0]
                if before:
                    back = (base.start.weekday() - weekday - 1) % 7 + 1
                    return Node(*day_bounds(shift(base.start, -back)), "day", base.sure), found[1]
                last = midnight(shift(base.end, hours=-1))
                return Node(*day_bounds(shift(last, (weekday - last.weekday() - 1) % 7 + 1)), "day", base.sure), found[1]
        k = j + (self.words[j] in ("of", "in"))
        k += self.words[k] in (",", "the")
        if self.words[k] in _LAST | _THIS | _NEXT | {"week"}:
            if self.words[k : k + 3] == ["week", "before", "last"]:
                return self._weeks_before(weekday, 2), k + 3
            if self.words[k + 1] == "week" and self.words[k] != "week":
                way = -1 if self.words[k] in _LAST else 1 if self.words[k] in _NEXT else 0
                return self._weeks_before(weekday, -way), k + 2
        if self.words[j] in ("week", "fortnight") and not self.words[j + 1] == "of":
            weeks = 2 if self.words[j] == "fortnight" else 1
            return Node(*day_bounds(shift(self._weekday_by(weekday, 1), 7 * weeks)), "day", 0.8), j + 1
        count = self.quantity(j)
        if count and self.words[count[1]] in ("week", "weeks", "fortnight") and self.words[count[1] + 1] in ("ago", "back"):
            weeks = int(count[0].value) * (2 if self.words[count[1]] == "fortnight" else 1)
            return self._weeks_before(weekday, weeks), count[1] + 2
        if self.tokens[i].raw.islower() and not loose and not self._cued(start) and word in ("sun", "sat", "wed", "mon"):
            return None
        at = self._weekday_by(weekday, 1 if self.ahead else -1)
        return self._day_tail(Node(*day_bounds(at), "day", 0.8, find), j)

    def _weekly(self, weekday: int) -> Callable[[datetime, int], Bounds]:
        def find(ref: datetime, way: int) -> Bounds:
            day = midnight(ref)
            if way < 0:
                return day_bounds(shift(day, -((day.weekday() - weekday) % 7)))
            return day_bounds(shift(day, (weekday - day.weekday()) % 7))

        return find

    def _day_tail(self, node: Node, j: int) -> Found:
        return node, j

    # ---- seasons, quarters, years, holidays, parts --------------------------------------------------------------

    def _yearly_by(self, at: Callable[[int], Bounds | None], way: int) -> Bounds:
        """The occurrence before, in or after now: "last May" has ended, "this May" is this year's, "next May" is ahead."""
        year = self.today.year
        years = range(year + 1, year - 10, -1) if way < 0 else range(year - 1, year + 10)
        for each in [year] if not way else years:
            bounds = at(each) if 1 <= each <= 9999 else None
            if bounds and (not way or (bounds[1] <= self.today if way < 0 else bounds[0] > self.now)):
                return bounds
        return day_bounds(self.today)

    @staticmethod
    def _season_at(first: int) -> Callable[[int], Bounds | None]:
        return lambda year: (month_start(year, first), month_start(year, first + 3)) if 1 <= year <= 9999 else None

    def _season_by(self, first: int, way: int) -> Bounds:
        at = self._season_at(first)
        if way == 0:
            for year in (self.today.year - 1, self.today.year):
                bounds = at(year)
                if bounds and bounds[0] <= self.now < bounds[1]:
                    return bounds
        return self._yearly_by(at, way)

    def _season(self, i: int, cued: bool) -> Found:
        first, j = SEASONS[self.words[i]], i + 1
        j += self.words[j] == "time"
        year, after = self._year(j)
        at = self._season_at(first)
        if year:
            bounds = at(year)
            return (Node(*bounds, "season", 0.9), after) if bounds else None
        if not cued:
            return None
        return self._yearly(at, "season", 0.7), j

    def _holiday_name(self, i: int) -> tuple[str, int] | None:
        words = [self.words[i]]
        ends = [i + 1]
        for k in (i + 1, i + 2):
            words.append(self.words[k])
            ends.append(k + 1)
        for size in (3, 2, 1):
            name = " ".join(words[:size]).replace("'", "")
            if name in _HOLIDAY_NAMES:
                return name, ends[size - 1]
        return None

    def _holiday(self, i: int) -> Found:
        named = self._holiday_name(i)
        if not named or (named[0] == "new year" and not self.tokens[i].raw[0].isupper()):
            return None
        name, j = named
        if name in ("easter", "thanksgiving", "christmas", "new year", "new years") and self.words[j] in UNITS and self.words[j] == "weekend":
            j += 1
        year, after = self._year(j)
        if year:
            bounds = holiday(name, year)
            return (Node(*bounds, "day"), after) if bounds else None
        return self._yearly(lambda y: holiday(name, y), "day", 0.85), j

    def _quarter(self, i: int) -> Found:
        """``Q2 2023``, ``the second quarter``, ``H1``."""
        word, j = self.words[i], i + 1
        number, size = 0, 3
        if word in ("q", "h") and self.kinds[j] == "int" and self.tokens[i].end == self.tokens[j].start:
            number, size, j = int(self.words[j][:2]), (3 if word == "q" else 6), j + 1
        elif (nth := self.ordinal(i)) and self.words[nth[1]] == "quarter":
            number, j = nth[0], nth[1] + 1
        if not 1 <= number <= 12 // size:
            return None
        first = size * (number - 1) + 1
        year, after = self._year(j)
        if year:
            return Node(month_start(year, first), month_start(year, first + size), "quarter"), after
        return self._yearly(lambda y: (month_start(y, first), month_start(y, first + size)), "quarter", 0.8), j

    def _year_alone(self, i: int, cued: bool) -> Found:
        word, kind = self.words[i], self.kinds[i]
        if word == "year" and self.kinds[i + 1] == "int" and len(self.words[i + 1]) == 4:
            return self._year_alone(i + 1, True)
        if kind == "decade":
            digits = int(re.sub(r"[^0-9]", "", word))
            first = digits if digits > 99 else (1900 if digits >= 30 else 2000) + digits
            return Node(month_start(first, 1), month_start(first + 10, 1), "decade"), i + 1
        if kind == "int" and len(word) == 4 and 1000 <= int(word) <= 2999 and cued:
            if self.words[i + 1] in UNITS or self.words[i + 1] in ("people", "dollars", "pounds", "miles", "steps", "words"):
                return None
            year = int(word)
            return Node(month_start(year, 1), month_start(year + 1, 1), "year"), i + 1
        return None

    def _part(self, i: int) -> Found:
        """``early May``, ``mid-2022``, ``the end of last month``, ``the first half of June``."""
        word, j = self.words[i], i + 1
        which = 0 if word in _EARLY else 1 if word in _MID else 2
        half = 0
        if word in ("first", "second", "latter") and self.words[j] in ("half", "part"):
            half, j = (1 if word == "first" else 2), j + 1
        elif word in ("first", "second", "latter"):
            return None
        elif word in ("early", "late") and self.words[j] in ("part", "days", "on"):
            j += 1
        elif word == "tail":
            j += self.words[j] == "end"
        if word in ("beginning", "start", "end", "middle", "close", "tail", "opening", "closing") or half:
            if self.words[j] != "of":
                return None
        j += self.words[j] in ("of", "in")
        if self.words[j] == "dash":
            j += 1
        if self.words[j] == "the" and self.words[j + 1] in ("week", "month", "year", "quarter", "day"):
            unit = self.words[j + 1]
            whole: Found = (Node(*unit_bounds(self.now, unit), unit, 0.8), j + 2)
        else:
            whole = self.atom(j, loose=True)
        if not whole:
            return None
        node, j = whole
        if node.grain in ("day", "span", "clock", "night", "rolling", "weekend"):
            return None
        if node.find:
            find = node.find

            def narrowed(ref: datetime, way: int) -> Bounds:
                return self._third(*find(ref, way), node.grain, which, half)

            return Node(*self._third(node.start, node.end, node.grain, which, half), "part", node.sure, narrowed), j
        return Node(*self._third(node.start, node.end, node.grain, which, half), "part", node.sure), j

    @staticmethod
    def _third(start: datetime, end: datetime, grain: str, which: int, half: int) -> Bounds:
        days = round((end - start) / DAY)
        if half:
            if grain in ("year", "quarter", "season"):
                middle = month_start(start.year, start.month + (6 if grain == "year" else 2))
            else:
                middle = shift(start, days // 2)
            return (start, middle) if half == 1 else (middle, end)
        if grain == "week":
            cuts = (0, 2, 4, 7)
        elif grain in ("year", "season", "quarter"):
            months = 4 if grain == "year" else 1
            edges = [month_start(start.year, start.month + k * months) for k in range(4)]
            return edges[which], edges[which + 1]
        else:
            cuts = (0, 10, 20, days) if grain == "month" else (0, days // 3, 2 * days // 3, days)
        return shift(start, cuts[which]), shift(start, cuts[which + 1])

    def _ends(self, i: int) -> bool:
        """Whether the clause ends at token ``i``."""
        return i >= len(self.tokens) or self.kinds[i] in ("mark", "dash")


_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1, "tonight": 0}
_OPEN_WORDS = {"since", "after", "before", "until", "till", "by", "following", "prior", "up", "ever", "past"}
_AFTER_DATE = {
    *"and or to until till through about that which when in with we did do was were you i what how for at as please".split()
}


def _fits(month: int, day: int) -> bool:
    return 1 <= month <= 12 and calendar_day(2024, month, day) is not None


def _is_count_ago(words: list[str], i: int, j: int) -> bool:
    """Whether ``words[i:j]`` is a count of units back from now, which is vague already."""
    return any(word in _AGO for word in words[i:j])
