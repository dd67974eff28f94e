"""Expressions that count from now ("two weekends ago") or from another expression ("the Friday before 3 May")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mnemic.text.steps.timex.absolute import Absolute
from mnemic.text.steps.timex.calendar import (
    HOLIDAY_HEADS,
    Bounds,
    back_by,
    calendar_day,
    day_bounds,
    holiday,
    midnight,
    month_start,
    nth_weekday,
    shift,
    unit_bounds,
)
from mnemic.text.steps.timex.tokens import (
    DAYS,
    LAST,
    MONTHS,
    NEXT,
    PARTS_OF_DAY,
    SEASONS,
    THIS,
    TODAY,
    UNITS,
    WEEKDAYS,
    Found,
    Node,
    Quantity,
)

_BEFORE = {"before", "preceding", "prior", "leading", "earlier"}
_BESIDE = _BEFORE | {"after", "following", "from", "later"}
_OWNED = {"a", "an", "my", "your", "his", "her", "our", "their", "its", "every", "each", "per", "any", "some", "most"}
_HABITS = {"mornings", "afternoons", "evenings", "nights"}
_TALKS = {"session", "conversation", "chat", "discussion", "talk"}


class Relative(Absolute):
    """Rules that need ``now`` or another expression to count from."""

    # ---- today, last, this, next ---------------------------------------------------------------------------------

    def _named_day(self, i: int) -> Found:
        word = self.words[i]
        bounds = day_bounds(shift(self.today, TODAY[word]))
        if word == "tonight":
            return Node(shift(bounds[0], hours=17), bounds[1], "night"), i + 1
        return Node(*bounds, "day"), i + 1

    def _earlier(self, i: int) -> Found:
        """``earlier today``, ``earlier this morning``, ``earlier in the week``: inside the unit and before now."""
        j = i + 1 + (self.words[i + 1] in ("on", "in"))
        j += self.words[j] in ("the", "this")
        word, grain = self.words[j], "earlier"
        if word in PARTS_OF_DAY:
            low, high = PARTS_OF_DAY[word]
            bounds = shift(self.today, hours=low), shift(self.today, hours=high)
        elif word in ("today", "day"):
            bounds = day_bounds(self.today)
        elif word in ("week", "month", "year", "quarter"):
            bounds, grain = unit_bounds(self.now, word), "span"
        else:
            return None
        if self.words[i] == "later":
            return Node(self.now, max(bounds[1], self.now), "span", 0.8), j + 1
        end = min(bounds[1], max(self.now, shift(bounds[0], hours=1)))
        return Node(bounds[0], end, grain), j + 1

    def _relative(self, i: int, article: bool) -> Found:
        """``last / this / next`` with a count of units, a weekday, month, season, holiday, part of the day or unit."""
        word, j = self.words[i], i + 1
        if word == "most":
            if self.words[j] != "recent":
                return None
            word, j = "last", j + 1
        rolling = word in ("past", "preceding") or (article and word not in ("previous", "prior"))
        if word == "this" and self.words[j] in LAST | {"coming", "next"}:
            word, j, rolling = self.words[j], j + 1, True
        way = -1 if word in LAST else 1 if word in NEXT else 0
        if word == "following" and article:
            return None
        target = self.words[j]
        if way and target not in ("a", "an") and (count := self.quantity(j)):
            return self._several(way, *count)
        if word == "this" and target == "time":
            return self._this_time(j)
        if target in WEEKDAYS:
            if way < 0 and self.words[j + 1 : j + 3] == ["but", "one"]:
                return Node(*day_bounds(self._weekday_back(WEEKDAYS[target], 2)), "day"), j + 3
            if self.plans and word == "next":  # said on a Tuesday, "next Wednesday" is not tomorrow
                return self._weeks_before(WEEKDAYS[target], "week", Quantity(-1, -1, -1)), j + 1
            return Node(*day_bounds(self._weekday_by(WEEKDAYS[target], way)), "day", 0.9), j + 1
        if target in MONTHS:
            return self._relative_month(j, way)
        if target in SEASONS:
            return Node(*self._season_by(SEASONS[target], way), "season", 0.8), j + 1
        if target in HOLIDAY_HEADS and (named := self._holiday_name(j)):
            bounds = self._yearly_by(lambda year: holiday(named[0], year), way)
            return Node(*bounds, "holiday", 0.9), named[1]
        if target == "night" and way < 0:
            return Node(shift(self.today, hours=-7), shift(self.today, hours=5), "night"), j + 1
        if target in PARTS_OF_DAY:
            low, high = PARTS_OF_DAY[target]
            return Node(shift(self.today, way, hours=low), shift(self.today, way, hours=high), "night"), j + 1
        unit = UNITS.get(target, "")
        if not unit or target.endswith("s") or self.words[j + 1 : j + 3] == ["before", "last"]:
            return None
        if unit == "weekend":
            if way < 0:
                return Node(*self._weekend_back(1), unit, 0.95), j + 1
            return Node(*unit_bounds(self.now, unit, int(way > 0 and self.today.weekday() >= 5)), unit, 0.95), j + 1
        if (rolling and way < 0) or unit in ("hour", "minute"):
            return self._last_units(unit, Quantity(1, 1, 1)), j + 1
        if unit == "day" and word not in ("previous", "next", "prior"):
            return None
        return self._unit_tail(Node(*unit_bounds(self.now, unit, way), unit, 0.95), j + 1)

    def _several(self, way: int, count: Quantity, j: int) -> Found:
        """``last three weeks``, ``past few Fridays``, ``next two months``."""
        word = self.words[j]
        unit = UNITS.get(word)
        if unit and way < 0:
            return self._last_units(unit, count), j + 1
        if unit:
            return Node(self.now, back_by(self.now, unit, -count.high), "span", 0.8), j + 1
        if way < 0 and word.endswith("s") and word[:-1] in WEEKDAYS:
            end = shift(self._weekday_back(WEEKDAYS[word[:-1]], 1), 1)
            return Node(shift(end, 6 - 7 * count.high), end, "span", 0.7), j + 1
        return None

    def _relative_month(self, j: int, way: int) -> Found:
        """``last May``, ``last May 5th``, ``this March``."""
        found = self._dated(j, loose=True)
        if not found or not found[0].yearly:
            return found
        month, day = MONTHS[self.words[j]], found[0].start.day
        if found[0].grain == "day":
            return Node(*self._yearly_by(lambda year: calendar_day(year, month, day), way), "day", 0.9), found[1]
        bounds = self._yearly_by(lambda year: (month_start(year, month), month_start(year, month + 1)), way)
        return Node(*bounds, "month", 0.9), found[1]

    def _unit_tail(self, node: Node, j: int) -> Found:
        """``last week on Friday``, ``last month on the 8th``, ``last year in May``."""
        k = j + (self.words[j] == "," and self.words[j + 1] == "on")
        led = self.words[k] in ("on", "in")
        k += led
        if node.grain == "week" and self.words[k] in WEEKDAYS:
            return Node(*nth_weekday(node.start, node.end, WEEKDAYS[self.words[k]], 1), "day", 0.9), k + 1
        if node.grain == "month" and led and self.words[k] == "the" and (day := self.ordinal(k + 1)):
            bounds = calendar_day(node.start.year, node.start.month, day[0])
            return (Node(*bounds, "day", 0.9), day[1]) if bounds else (node, j)
        if node.grain == "year" and led and self.words[k] in MONTHS:
            inner = self._dated(k, loose=True)
            if inner and inner[0].find:
                start, end = inner[0].find(node.start, 1)
                return inner[0]._replace(start=start, end=end, find=None, yearly=False), inner[1]
        return node, j

    def _this_time(self, i: int) -> Found:
        """``this time last week / month / year``."""
        unit = self.words[i + 2]
        if self.words[i + 1] not in ("last", "next") or unit not in ("week", "month", "year"):
            return None
        centre = midnight(back_by(self.now, unit, 1 if self.words[i + 1] == "last" else -1))
        pad = {"week": 1, "month": 3, "year": 14}[unit]
        return Node(shift(centre, -pad), shift(centre, pad + 1), "span", 0.7), i + 3

    def _last_units(self, unit: str, count: Quantity) -> Node:
        """The last ``count`` units up to the end of today, from the start of the day on which they began."""
        if unit in ("hour", "minute"):
            return Node(back_by(self.now, unit, count.high), shift(self.now, hours=1e-3), "span", 0.9)
        if unit == "weekend":
            return Node(self._weekend_back(max(1, int(count.high)))[0], self._weekend_back(1)[1], "span", 0.9)
        return Node(midnight(back_by(self.now, unit, count.high)), shift(self.today, 1), "rolling", 0.9)

    def _weekend_back(self, count: int) -> Bounds:
        """The ``count``-th weekend before today; one in progress is not counted."""
        weekday = self.today.weekday()
        latest = shift(self.today, -2 if weekday == 0 else -(weekday + 2))
        return shift(latest, -7 * (count - 1)), shift(latest, -7 * (count - 1) + 2)

    # ---- counts of units -----------------------------------------------------------------------------------------

    def _counted(self, i: int) -> Found:
        """``3 weeks ago``, ``two Fridays ago``, ``ten days before 3 May``, ``a week from Friday``, ``in two weeks``."""
        led = self.words[i] == "in"
        count = self.quantity(i + led)
        if not count:
            return None
        amount, j = count
        word = self.words[j]
        if word.rstrip("s") in WEEKDAYS and self.words[j + 1] in ("ago", "back") and amount.value >= 1:
            weekday = WEEKDAYS[word.rstrip("s")]
            return Node(*day_bounds(self._weekday_back(weekday, int(amount.value))), "day", 0.85), j + 2
        unit = UNITS.get(word)
        if not unit:
            return None
        j += 1
        if self.words[j : j + 3] == ["and", "a", "half"]:
            amount, j = Quantity(amount.value + 0.5, amount.low + 0.5, amount.high + 0.5), j + 3
        if self.plans and (self.words[j] == "now" or self.words[i - 1] == "for") and self._lasting(i):
            return self._around(unit, amount, 0.6)._replace(grain="since"), j + (self.words[j] == "now")
        if led:
            timed = self.words[j] == "time"
            if not timed and (not self.plans or unit in ("hour", "minute")):  # a duration
                return None
            return self._around(unit, amount.negative(), 0.8 if timed or self.ahead else 0.5), j + timed
        follows = self.words[j]
        if follows in ("ago", "back") or (follows in _BEFORE | {"previously"} and self._ends(j + 1)):
            return self._ago(i, unit, amount, j + 1)
        if follows not in _BESIDE:
            return None
        k = self._past_relation(j)
        if self.words[k] == "now":
            amount = amount if follows in _BEFORE else amount.negative()
            return self._around(unit, amount, 0.8), k + 1
        base = self.atom(k, loose=True)
        return (self._counted_from(unit, amount, follows, base[0], i), base[1]) if base else None

    def _lasting(self, i: int) -> bool:
        """Whether a state that still holds is spoken of before token ``i`` ("I've had them for 3 years")."""
        near = self.words[max(0, i - 9) : i]
        return not near or any(w in ("have", "has", "been", "it") or w.endswith("'ve") for w in near)

    def _past_relation(self, j: int) -> int:
        """The token after ``before``, ``prior to``, ``leading up to``, ``earlier than`` at ``j``."""
        k = j + 1
        if self.words[j] in ("prior", "leading"):
            k += self.words[k] == "up"
            k += self.words[k] == "to"
        elif self.words[j] in ("earlier", "later"):
            k += self.words[k] == "than"
        return k

    def _ago(self, i: int, unit: str, amount: Quantity, j: int) -> Found:
        """``N units ago`` that began at ``i``; ``today``, ``to the day``, ``yesterday`` or a weekday may follow."""
        exact = self.words[j]
        if self.words[j : j + 3] == ["to", "the", "day"]:
            return Node(*day_bounds(back_by(self.now, unit, amount.value)), "day"), j + 3
        if exact in TODAY:
            return Node(*day_bounds(back_by(shift(self.now, TODAY[exact]), unit, amount.value)), "day"), j + 1
        k = j + (exact == "on")
        if unit in ("week", "fortnight") and self.words[k] in WEEKDAYS:
            return self._weeks_before(WEEKDAYS[self.words[k]], unit, amount), k + 1
        precise = {"exactly", "precisely"} & set(self.words[max(0, i - 1) : i + 1])
        if precise and unit not in ("hour", "minute"):
            return Node(*day_bounds(back_by(self.now, unit, amount.value)), "day"), j
        return self._around(unit, amount, 0.9 if amount.low == amount.high else 0.6), j

    def _around(self, unit: str, amount: Quantity, sure: float) -> Node:
        """The stretch meant by ``amount`` units ago; negative amounts lie ahead."""
        far, near, whole = amount.high, amount.low, amount.value == int(amount.value)
        if unit == "weekend":
            if amount.value < 0:
                return Node(*unit_bounds(self.now, unit, max(0, int(-amount.value) - 1)), unit, sure)
            low, high = self._weekend_back(max(1, int(far)))[0], self._weekend_back(max(1, int(near)))[1]
            return Node(low, high, unit, sure)
        if unit in ("hour", "minute"):
            pad = 0.5 if unit == "hour" else 0.2
            low, high = back_by(self.now, unit, far), back_by(self.now, unit, near)
            return Node(shift(low, hours=-pad), shift(high, hours=pad), "clock", sure)
        if unit == "day":
            low, high = shift(self.today, -int(far)), shift(self.today, 1 - int(near))
            if near >= 7:  # so large a count was worked out: in calendar days, or in elapsed days (up to a day more)
                low = shift(self.now, -int(far) - 1)
            return Node(low, high, "day" if far == near else "span", sure)
        if whole and (unit in ("month", "quarter") or (unit in ("year", "decade") and abs(amount.value) != 1)):
            low, high = unit_bounds(self.now, unit, -int(far))[0], unit_bounds(self.now, unit, -int(near))[1]
            return Node(low, high, unit, sure)
        pad = {"week": 3, "fortnight": 3, "month": 15, "quarter": 30, "year": 91, "decade": 730}[unit]
        if not whole:
            pad = {"year": 15 if far < 1 else 61, "decade": 365}.get(unit, max(1, pad // 3))
        low, high = midnight(back_by(self.now, unit, far)), midnight(back_by(self.now, unit, near))
        return Node(shift(low, -pad), shift(high, pad + 1), unit, sure)

    def _counted_from(self, unit: str, amount: Quantity, relation: str, base: Node, i: int) -> Node:
        """``the two weeks before X`` is the whole stretch, ``two weeks before X`` the day or week it leads to."""
        before = relation in _BEFORE
        if relation == "leading" or (i > 0 and self.words[i - 1] in ("the", "in", "within", "during", "over")):
            if before:
                return Node(midnight(back_by(base.start, unit, amount.high)), base.start, "span", 0.9 * base.sure)
            return Node(base.end, back_by(base.end, unit, -amount.high), "span", 0.9 * base.sure)
        at = midnight(back_by(base.start, unit, amount.value if before else -amount.value))
        if unit in ("day", "week", "fortnight") and base.grain in DAYS:
            exact = unit == "day" and amount.low == amount.high
            pad = 0 if exact else 1 if unit == "day" else 3
            return Node(shift(at, -pad), shift(at, pad + 1), "day" if exact else "span", 0.8 * base.sure)
        if unit in ("hour", "minute"):
            return Node(*day_bounds(at), "day", 0.6 * base.sure)
        return Node(*unit_bounds(at, unit if unit in ("month", "year", "quarter") else "week"), "span", 0.7 * base.sure)

    # ---- a unit beside another expression ------------------------------------------------------------------------

    def _unit_by_anchor(self, i: int, article: bool) -> Found:
        """``day before yesterday``, ``week before last``, ``week of 3 May``, ``week that began on 3 May``."""
        word, j = self.words[i], i + 1
        unit, follows = UNITS[word], self.words[j]
        if follows == "before" and self.words[j + 1] == "last" and unit != "day":
            if self.words[j + 2] in UNITS or self.words[j + 2] in WEEKDAYS:
                return None
            bounds = self._weekend_back(2) if unit == "weekend" else unit_bounds(self.now, unit, -2)
            return Node(*bounds, unit), j + 2
        if word == "night" and self.words[j : j + 2] == ["before", "last"]:
            return Node(shift(self.today, hours=-31), shift(self.today, hours=-19), "night"), j + 2
        if follows in ("that", "which") and self.words[j + 1] in ("began", "started", "begins", "starts"):
            follows, j = "of", j + 1
        if follows in ("of", "commencing", "beginning", "starting"):
            base = self.atom(j + 1, loose=True)
            if base and base[0].grain in DAYS:
                return Node(*unit_bounds(base[0].start, unit), unit, base[0].sure), base[1]
            return base if base and unit == base[0].grain else None
        if follows not in _BESIDE or follows == "from" or not (article or self.words[j + 1] in TODAY):
            return None
        base = self.atom(self._past_relation(j), loose=True)
        return (self._beside(unit, base[0], follows in _BEFORE), base[1]) if base else None

    def _beside(self, unit: str, base: Node, before: bool) -> Node:
        """The unit just before or after ``base``: a calendar unit beside one of its kind, else a rolling stretch."""
        if unit in ("hour", "minute"):
            unit = "day"
        edge = shift(base.start, hours=-1) if before else base.end
        if unit == "weekend":
            day = midnight(shift(base.start, -1) if before else base.end)
            start = shift(day, -((day.weekday() - 5) % 7) if before else (5 - day.weekday()) % 7)
            return Node(start, shift(start, 2), unit, 0.9 * base.sure)
        if unit == base.grain or unit == "day" or (unit in ("month", "year") and base.grain in ("month", "year")):
            return Node(*unit_bounds(edge, unit), unit, base.sure)
        if before:
            return Node(midnight(back_by(base.start, unit, 1)), base.start, "span", 0.9 * base.sure)
        return Node(base.end, back_by(base.end, unit, -1), "span", 0.9 * base.sure)

    # ---- weekdays ------------------------------------------------------------------------------------------------

    def _weekday_back(self, weekday: int, count: int) -> datetime:
        """Start of the ``count``-th such weekday before today."""
        return shift(self.today, -((self.today.weekday() - weekday - 1) % 7 + 1) - 7 * (count - 1))

    def _weekday_by(self, weekday: int, way: int) -> datetime:
        """The latest before today (-1), the one of this week (0) or the first after today (1)."""
        if way < 0:
            return self._weekday_back(weekday, 1)
        return shift(
            self.today, (weekday - self.today.weekday() - 1) % 7 + 1 if way else weekday - self.today.weekday()
        )

    def _weeks_before(self, weekday: int, unit: str, amount: Quantity) -> Node:
        """``Friday two weeks ago``: that weekday in the calendar week so many weeks back."""
        weeks = int(amount.value) * (2 if unit == "fortnight" else 1)
        return Node(*day_bounds(shift(unit_bounds(self.now, "week", -weeks)[0], weekday)), "day", 0.85)

    def _weekday(self, i: int, loose: bool, start: int) -> Found:
        """``Friday``, ``Friday before last``, ``Friday of last week``, ``Friday a week ago``, ``Friday after X``."""
        word, j = self.words[i], i + 1
        weekday, follows = WEEKDAYS[word], self.words[i + 1]
        if len(word) <= 3 and not (self.tokens[i].raw[0].isupper() and (loose or self._cued(start))):
            return None
        if self.words[j : j + 2] == ["before", "last"]:
            return Node(*day_bounds(self._weekday_back(weekday, 2)), "day"), j + 2
        if follows in ("last", "gone") and self.words[j + 1] not in UNITS:
            return Node(*day_bounds(self._weekday_back(weekday, 1)), "day"), j + 1
        if follows in _BESIDE and (base := self.atom(self._past_relation(j), loose=True)):
            if follows in _BEFORE:
                at = shift(midnight(base[0].start), -((base[0].start.weekday() - weekday - 1) % 7 + 1))
            else:
                last = midnight(shift(base[0].end, hours=-1))
                at = shift(last, (weekday - last.weekday() - 1) % 7 + 1)
            return Node(*day_bounds(at), "day", base[0].sure), base[1]
        k = j + (follows in ("of", "in", ","))
        k += self.words[k] == "the"
        if self.words[k : k + 3] == ["week", "before", "last"]:
            return self._weeks_before(weekday, "week", Quantity(2, 2, 2)), k + 3
        if self.words[k] in LAST | THIS | NEXT and self.words[k + 1] == "week":
            weeks = 1 if self.words[k] in LAST else -1 if self.words[k] in NEXT else 0
            return self._weeks_before(weekday, "week", Quantity(weeks, weeks, weeks)), k + 2
        count = self.quantity(j)
        unit = UNITS.get(self.words[count[1]]) if count else None
        if count and unit in ("week", "fortnight") and self.words[count[1] + 1] in ("ago", "back"):
            return self._weeks_before(weekday, unit, count[0]), count[1] + 2
        if not self._means_a_day(i, loose):
            return None
        at = self._weekday_by(weekday, 1 if self.ahead else -1)
        return Node(*day_bounds(at), "day", 0.8, _weekly(weekday)), j

    def _means_a_day(self, i: int, loose: bool) -> bool:
        """Whether a bare weekday is one day and not a habit or a label ("Sunday mornings", "my Sunday rides")."""
        before = self.words[i - 1] if i else ""
        if self.words[i + 1] in _HABITS or before in _OWNED:
            return False
        led = i > 1 and self.words[i - 2] in ("on", "since", "until", "till", "before", "after", "by", "from", "of")
        return loose or before != "the" or led or self.words[i + 1] in _TALKS


def _weekly(weekday: int) -> Callable[[datetime, int], Bounds]:
    def find(ref: datetime, way: int) -> Bounds:
        day = midnight(ref)
        return day_bounds(shift(day, -((day.weekday() - weekday) % 7) if way < 0 else (weekday - day.weekday()) % 7))

    return find
