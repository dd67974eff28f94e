"""Dates, months, seasons, quarters, years and holidays, and parts of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from mnemic.text.steps.timex.calendar import (
    DAY,
    HOLIDAY_NAMES,
    Bounds,
    calendar_day,
    day_bounds,
    day_exists,
    holiday,
    month_start,
    nth_weekday,
    shift,
    unit_bounds,
)
from mnemic.text.steps.timex.tokens import EARLY, MID, MONTHS, SEASONS, UNITS, WEEKDAYS, Found, Node, Reader

Yearly = Callable[[int], Bounds | None]

_BARE_RISKY = {"may", "march", "mar", "jan", "dec", "sun", "sat"}  # also a verb, a name or a noun: need more than case
_PLURAL_COUNTS = {"people", "dollars", "pounds", "euros", "miles", "steps", "words", "calories", "km", "points"}


class Absolute(Reader):
    """Rules for what a calendar names. A rule takes the token it begins at and returns the node and the token after."""

    # ---- the occurrence that is meant when no year is said -------------------------------------------------------

    def _yearly(self, at: Yearly, grain: str, sure: float) -> Node:
        """The latest occurrence that has begun (``ahead``: the one in progress or the coming one)."""

        def find(ref: datetime, way: int) -> Bounds:
            for step in range(10):
                year = ref.year + way * step
                bounds = at(year) if 1 <= year <= 9999 else None
                if bounds and (bounds[0] <= ref if way < 0 else bounds[0] >= ref):
                    return bounds
            return at(2000) or day_bounds(ref)

        bounds = find(self.now, -1)
        if self.ahead:
            if bounds[1] <= self.now:
                bounds = find(self.today, 1)
        elif self.newest and self.oldest and bounds[0] > self.newest:
            older = find(self.newest, -1)
            bounds = older if older[1] > self.oldest else bounds
        return Node(*bounds, grain, sure, find, True)

    def _yearly_by(self, at: Yearly, way: int) -> Bounds:
        """By "last / this / next": ``last May`` has ended, ``this May`` is this year's, ``next May`` has not begun."""
        this = self.today.year
        years = range(this + 1, this - 10, -1) if way < 0 else range(this - 1, this + 10)
        for year in years if way else [this]:
            bounds = at(year) if 1 <= year <= 9999 else None
            if bounds and (not way or (bounds[1] <= self.today if way < 0 else bounds[0] > self.now)):
                return bounds
        return day_bounds(self.today)

    # ---- days and months -----------------------------------------------------------------------------------------

    def _digits(self, i: int, cued: bool) -> Found:
        """``2023-05-08``, ``2023-05``, ``5/8/2023`` (month first if it can be), ``8.5.2023`` (day first), ``5/8``."""
        kind, word = self.kinds[i], self.words[i]
        parts = [int(part) for part in re.findall(r"[0-9]+", word)[:3]]
        bounds: Bounds | None
        if kind == "iso" and len(parts) == 2:
            year, month = parts
            if not (1 <= month <= 12 and year):
                return None
            return Node(month_start(year, month), month_start(year, month + 1), "month"), i + 1
        if kind == "iso":
            bounds = calendar_day(*parts)
            return (Node(*bounds, "day"), i + 1) if bounds else None
        if kind == "short":
            month, day = parts if parts[0] <= 12 else parts[::-1]
            if not cued or not day_exists(month, day) or word == "24/7":
                return None
            return self._yearly(lambda year: calendar_day(year, month, day), "day", 0.7), i + 1
        first, second, year = parts
        year = year if year > 99 else self._full_year(year)
        bounds = calendar_day(year, first, second) if "." not in word else None
        bounds = bounds or calendar_day(year, second, first) or calendar_day(year, first, second)
        return (Node(*bounds, "day", 0.95), i + 1) if bounds else None

    def _dated(self, i: int, loose: bool = False) -> Found:
        """Day and month in either order, with or without a weekday before and a year after; a month; month and year."""
        j = i
        if self.words[j] in WEEKDAYS:
            j += 1
            j += self.words[j] in (",", ".")
            j += self.words[j] == "the"
            led = self.words[j - 1] == "the" or (self.plans and self.kinds[j] == "ord")
            found = (self._day_and_month(j) if self.plans else None) or (self._day_of_month(j, True) if led else None)
            found = found or self._day_and_month(j)
            return self._falling(WEEKDAYS[self.words[i]], *found) if found and self.plans else found
        return self._day_and_month(j) or self._month(j, loose)

    def _falling(self, weekday: int, node: Node, j: int) -> Found:
        """``node``, a day that names no year, as the occurrence on ``weekday``: mostly the nearest one.

        What the sentence speaks of, past or future, counts for more than a distance up to 8 times as long. A weekday
        that would lead more than a year away was a slip.
        """
        if not node.find or node.grain != "day":
            return node, j
        find = _on_weekday(node.find, weekday)
        last, coming = find(self.now, -1), find(self.today, 1)
        back, ahead = (self.today - last[0]) / DAY, (coming[0] - self.today) / DAY
        patience = 1 / _PATIENCE if self.ahead else _PATIENCE if self.behind else 2.0
        bounds, gap = (last, back) if back <= patience * ahead else (coming, ahead)
        if gap > _FARTHEST or bounds[0].weekday() != weekday:
            return node._replace(sure=0.6 * node.sure), j
        return node._replace(start=bounds[0], end=bounds[1], sure=max(node.sure, 0.9), find=find), j

    def _apposed(self, node: Node, j: int) -> Found:
        """A day with its weekday behind it: ``the 14th, the Saturday``, ``8 May (a Thursday)``."""
        k = j + (self.words[j] in (",", "(", "dash"))
        k += self.words[k] in ("the", "a")
        if k == j or self.words[k] not in WEEKDAYS or node.grain != "day" or not node.find:
            return node, j
        found = self._falling(WEEKDAYS[self.words[k]], node, k + 1)
        return found if found and found[0].sure >= node.sure else (node, j)

    def _month(self, i: int, loose: bool) -> Found:
        """A month with a year, or alone where the words around say that a time is meant."""
        word = self.words[i]
        if word not in MONTHS:
            return None
        month, j = MONTHS[word], i + 1
        j += self._abbreviated(i)
        year, after = self._year(j)
        if year:
            return Node(month_start(year, month), month_start(year, month + 1), "month"), after
        raw = self.tokens[i].raw
        cued = self._cued(i)
        if not (loose or cued or (raw[0].isupper() and raw.lower().endswith(("'s", "’s")))):
            return None
        if word in _BARE_RISKY and raw.islower() and (not cued or self.words[i - 1] in ("and", "to", "or", "this")):
            return None
        return self._yearly(lambda y: (month_start(y, month), month_start(y, month + 1)), "month", 0.8), j

    def _abbreviated(self, i: int) -> bool:
        """Whether a full stop that only abbreviates follows the month at ``i`` ("Feb. 11")."""
        return (
            self.words[i + 1] == "."
            and len(self.words[i]) <= 4
            and self.tokens[i].end == self.tokens[i + 1].start
            and self.kinds[i + 2] in ("int", "ord")
        )

    def _day_and_month(self, i: int) -> Found:
        """``8 May``, ``the eighth of May``, ``May 8th``, ``May the eighth``, with or without a year."""
        if self.words[i] in MONTHS:
            j = i + 1 + self._abbreviated(i)
            j += self.plans and self.words[j : j + 2] == [",", "the"]
            j += self.words[j] == "the"
            if self.words[j] == "twenty" and self._year(j)[0]:  # "May twenty twenty-three" is a year
                return None
            day, after = self._month_day(j)
            if not day or (self.words[after] in UNITS and self.kinds[j] == "int"):
                return None
            return self._day_in(MONTHS[self.words[i]], day, after)
        day, j = self._month_day(i)
        if not day:
            return None
        j += self.words[j] == "day"
        j += self.words[j] == "of"
        if self.words[j] not in MONTHS:
            return None
        return self._day_in(MONTHS[self.words[j]], day, j + 1 + self._abbreviated(j))

    def _day_in(self, month: int, day: int, j: int) -> Found:
        if not day_exists(month, day):
            return None
        year, after = self._year(j)
        if year:
            bounds = calendar_day(year, month, day)
            return (Node(*bounds, "day"), after) if bounds else None
        return self._yearly(lambda y: calendar_day(y, month, day), "day", 0.85), j

    def _day_of_month(self, i: int, loose: bool) -> Found:
        """After "the": ``8th``, ``eighth of last month``."""
        found = self.ordinal(i)
        if not found or not 1 <= found[0] <= 31:
            return None
        number, j = found
        if self.words[j] == "of":
            k = j + 1 + (self.words[j + 1] == "the")
            offset = {"last": -1, "previous": -1, "this": 0, "next": 1}.get(self.words[k])
            k += offset is not None
            if self.words[k] != "month":
                return None
            first = month_start(self.today.year, self.today.month + (offset or 0))
            bounds = calendar_day(first.year, first.month, number)
            return (Node(*bounds, "day", 0.95), k + 1) if bounds else None
        told = self.plans and loose  # a weekday before it leaves no doubt
        if self.kinds[j] in ("word", "ord", "int") and self.words[j] not in _AFTER_DATE and not told:
            return None
        before = self.words[i - 2] if i > 1 and self.words[i - 1] == "the" else ""
        if not loose and before not in (("on", "since", "by") if self.kinds[i] == "word" else _BEFORE_DAY):
            return None

        def find(ref: datetime, way: int) -> Bounds:
            for step in range(14):
                first = month_start(ref.year, ref.month + way * step)
                bounds = calendar_day(first.year, first.month, number)
                if bounds and (bounds[0] <= ref if way < 0 else bounds[0] >= ref):
                    return bounds
            return day_bounds(ref)

        bounds = find(self.today, 1) if self.ahead else find(self.now, -1)
        return Node(*bounds, "day", 0.75, find), j

    # ---- larger units --------------------------------------------------------------------------------------------

    @staticmethod
    def _season_at(first: int) -> Yearly:
        return lambda year: (month_start(year, first), month_start(year, first + 3)) if 1 <= year <= 9999 else None

    def _season_by(self, first: int, way: int) -> Bounds:
        """``last / this / next summer``; a winter in progress may have begun last year."""
        at = self._season_at(first)
        for year in (self.today.year - 1, self.today.year) if not way else ():
            bounds = at(year)
            if bounds and bounds[0] <= self.now < bounds[1]:
                return bounds
        return self._yearly_by(at, way)

    def _season(self, i: int, cued: bool) -> Found:
        first, j = SEASONS[self.words[i]], i + 1
        j += self.words[j] == "time"
        year, after = self._year(j)
        if year:
            bounds = self._season_at(first)(year)
            return (Node(*bounds, "season", 0.9), after) if bounds else None
        return (self._yearly(self._season_at(first), "season", 0.7), j) if cued else None

    def _holiday_name(self, i: int) -> tuple[str, int] | None:
        for size in (3, 2, 1):
            name = " ".join(self.words[i : i + size]).replace("'", "")
            if name in HOLIDAY_NAMES:
                return name, i + size
        return None

    def _holiday(self, i: int) -> Found:
        named = self._holiday_name(i)
        if not named or (named[0] == "new year" and not self.tokens[i].raw[0].isupper()):
            return None
        name, j = named
        season = self.words[j] in ("holiday", "holidays", "break", "vacation", "period", "season")

        def at(year: int) -> Bounds | None:
            bounds = holiday(name, year)
            return (shift(bounds[0], -5), shift(bounds[1], 7)) if bounds and season else bounds

        year, after = self._year(j + season)
        if year:
            bounds = at(year)
            return (Node(*bounds, "span" if season else "holiday"), after) if bounds else None
        return self._yearly(at, "span" if season else "holiday", 0.85), j + season

    def _quarter(self, i: int) -> Found:
        """``Q2 2023``, ``H1``, ``the second quarter of 2023``."""
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
        """``2021`` after a word that announces a time, ``the year 2021``, ``the 1990s``, ``the 90s``."""
        word, kind = self.words[i], self.kinds[i]
        if word == "year":
            i, word, kind, cued = i + 1, self.words[i + 1], self.kinds[i + 1], True
        if kind == "decade":
            digits = int(re.sub(r"[^0-9]", "", word))
            first = digits if digits > 99 else (1900 if digits >= 30 else 2000) + digits
            return Node(month_start(first, 1), month_start(first + 10, 1), "decade"), i + 1
        if kind != "int" or len(word) != 4 or not 1000 <= int(word) <= 2999 or not cued:
            return None
        if self.words[i + 1] in UNITS or self.words[i + 1] in _PLURAL_COUNTS:
            return None
        return Node(month_start(int(word), 1), month_start(int(word) + 1, 1), "year"), i + 1

    # ---- parts ---------------------------------------------------------------------------------------------------

    def _part(self, i: int) -> Found:
        """``early May``, ``late in June``, ``mid-2022``, ``the end of last month``, ``the first half of June``."""
        word, j = self.words[i], i + 1
        half = 0
        if self.words[j] in ("half", "part") and word in ("first", "second", "latter"):
            half, j = (1 if word == "first" else 2), j + 1
        elif word in ("early", "late", "later", "mid"):
            j += self.words[j] in ("part", "days", "on")
            j += self.words[j] in ("of", "in", "dash")
        elif word not in ("beginning", "start", "end", "middle", "close", "opening"):
            return None
        if half or word not in ("early", "late", "later", "mid"):
            if self.words[j] != "of":
                return None
            j += 1
        which = 0 if word in EARLY else 1 if word in MID else 2
        unit = self.words[j + 1]
        whole: Found = None
        counted = self.words[j + 2] in ("before", "after", "of", "following", "preceding")
        if self.words[j] == "the" and unit in ("week", "month", "year", "quarter", "decade") and not counted:
            whole = Node(*unit_bounds(self.now, unit), unit, 0.8), j + 2
        whole = whole or self.atom(j, loose=True)
        if not whole or whole[0].grain not in _DIVISIBLE:
            return None
        node, j = whole
        if not (find := node.find):
            return Node(*_portion(node.start, node.end, node.grain, which, half), "part", node.sure), j

        def narrowed(ref: datetime, way: int) -> Bounds:
            return _portion(*find(ref, way), node.grain, which, half)

        return Node(*_portion(node.start, node.end, node.grain, which, half), "part", node.sure, narrowed), j

    def _nth_of(self, i: int) -> Found:
        """``first Monday of May``, ``last weekend in June``, ``second week of July``, ``first three days of 2023``."""
        nth, j, many = -1, i + 1, 1
        if self.words[i] not in ("last", "final"):
            found = self.ordinal(i)
            if not found:
                return None
            nth, j = found
        if nth in (1, -1) and (count := self.number(j)):
            many, j = count
        word = self.words[j]
        unit, weekday = UNITS.get(word, ""), WEEKDAYS.get(word)
        if self.words[j + 1] not in ("of", "in"):
            return None
        if weekday is None and unit not in ("day", "week", "weekend", "month", "quarter"):
            return None
        whole = self.atom(j + 2, loose=True)
        if not whole or whole[0].grain not in _DIVISIBLE:
            return None
        start, end = whole[0].start, whole[0].end
        if weekday is not None:
            low, high = nth_weekday(start, end, weekday, nth)
        elif unit == "weekend":
            low = nth_weekday(start, end, 5, nth)[0]
            low, high = (
                shift(low, -7 * (many - 1) if nth < 0 else 0),
                shift(low, 2 + (7 * (many - 1) if nth > 0 else 0)),
            )
            end = max(end, high)
        elif unit in ("month", "quarter"):
            size = 3 if unit == "quarter" else 1
            low = month_start(*_month_of(start, size * (nth - 1)) if nth > 0 else _month_of(end, -size * many))
            high = month_start(low.year, low.month + size * many)
        else:
            days = 7 if unit == "week" else 1
            low = shift(start, days * (nth - 1)) if nth > 0 else shift(end, -days * many)
            high = shift(low, days * many)
        low, high = max(low, start), min(high, end)
        grain = "day" if weekday is not None or (unit == "day" and many == 1) else "week"
        return (Node(low, high, grain, whole[0].sure), whole[1]) if low < high else None


_PATIENCE = 8.0
_FARTHEST = 400  # days
_AFTER_DATE = set(
    "and or but to until till through about that which when in with we did do was were is you i it he she they what how"
    " for at please after before because so since if my our his her then just around from by".split()
)
_BEFORE_DAY = set(
    "on of since until till before after by from between through around to and for discussed chat talk".split()
)
_DIVISIBLE = {"week", "fortnight", "month", "season", "quarter", "year", "decade", "part"}


def _on_weekday(find: Callable[[datetime, int], Bounds], weekday: int) -> Callable[[datetime, int], Bounds]:
    def falling(ref: datetime, way: int) -> Bounds:
        bounds = find(ref, way)
        for _ in range(40):
            if bounds[0].weekday() == weekday:
                break
            bounds = find(shift(bounds[0], way), way)
        return bounds

    return falling


def _month_of(at: datetime, offset: int) -> tuple[int, int]:
    return at.year, at.month + offset


def _portion(start: datetime, end: datetime, grain: str, which: int, half: int) -> Bounds:
    """A third (``which``: 0, 1, 2) or a ``half`` (1, 2; 0 for none) of a stretch; months stay whole in long ones."""
    days = round((end - start) / DAY)
    months = {"quarter": 3, "season": 3, "year": 12}.get(grain, 0)
    if half:
        middle = month_start(start.year, start.month + months // 2) if months == 12 else shift(start, days // 2)
        return (start, middle) if half == 1 else (middle, end)
    if months:
        edges = [month_start(start.year, start.month + k * months // 3) for k in range(4)]
        return edges[which], edges[which + 1]
    cuts = {"week": (0, 2, 4, 7), "month": (0, 10, 20, days)}.get(grain, (0, days // 3, 2 * days // 3, days))
    return shift(start, cuts[which]), shift(start, cuts[which + 1])
