"""Whole expressions: what may begin at a word, spans between two expressions, and stretches open on one side."""

from __future__ import annotations

from datetime import datetime

from mnemic.text.steps.timex.calendar import (
    DAY,
    HOLIDAY_HEADS,
    MIN,
    back_by,
    calendar_day,
    midnight,
    shift,
    unit_bounds,
)
from mnemic.text.steps.timex.relative import Relative
from mnemic.text.steps.timex.tokens import (
    ABOUT,
    EARLY,
    HEDGES,
    JOIN,
    LAST,
    LATE,
    MID,
    MONTHS,
    NEXT,
    NUMBERS,
    ORDINAL_HEADS,
    ORDINALS,
    PARTS_OF_DAY,
    SEASONS,
    THIS,
    TODAY,
    UNITS,
    VAGUE,
    WEEKDAYS,
    Found,
    Node,
)

_OPEN = {"since", "after", "before", "until", "till", "by", "following", "prior", "up", "ever", "past", "as", "later"}
_PART = EARLY | MID | LATE | {"first", "second", "latter"}
_STARTS = frozenset(
    {*MONTHS, *WEEKDAYS, *SEASONS, *UNITS, *TODAY, *NUMBERS, *ORDINALS, *VAGUE, *HEDGES, *HOLIDAY_HEADS, *_OPEN, *_PART}
    | {*LAST, *NEXT, *THIS, "between", "from", "within", "near", "the", "that", "on", "in", "or", "a", "an", "half"}
    | {"hundred", "sometime", "most", "earlier", "q", "h"}
)
_DEPTH = 12  # expressions inside expressions ("the day before the Friday before ..."); more is noise, not language


class Grammar(Relative):
    """Reads the calendar expressions of one tokenised text. :meth:`scan` gives them all."""

    def scan(self, taken: list[bool]) -> list[tuple[Node, int, int]]:
        """Every expression outside the ``taken`` tokens, left to right: the node, its first token, the one after it."""
        found: list[tuple[Node, int, int]] = []
        i = 0
        while i < len(self.tokens):
            here = None if taken[i] or self.kinds[i] == "mark" else self.expression(i)
            if here and here[0].start < here[0].end and not any(taken[i : here[1]]):
                found.append((here[0], i, here[1]))
                i = here[1]
            else:
                i += 1
        return found

    def expression(self, i: int) -> Found:
        """The time expression that begins at token ``i``, spans and open stretches included, and the token after it."""
        word = self.words[i]
        if self.kinds[i] == "word" and word not in _STARTS:
            return None
        found: Found = None
        if word == "between":
            found = self._span(i + 1, JOIN | {"and"})
        elif word == "from":
            found = self._span(i + 1, JOIN | {"up", "and"}) or self._onwards(i + 1)
        elif word in _OPEN:
            found = self._open(i)
        elif word in ("within", "around", "circa", "near") or self.words[i : i + 2] == ["or", "about"]:
            found = self._near(i)
        if found:
            return found
        found = self.atom(i)
        if not found or self.words[found[1]] in JOIN:
            return self._span(i, JOIN) or found
        return self._and_before(*found)

    def _and_before(self, node: Node, j: int) -> Found:
        """``last weekend and the one before``."""
        k = j + (self.words[j] in ("and", "or", ","))
        if k > j and self.words[k : k + 3] == ["the", "one", "before"] and node.grain in UNITS:
            size = {"week": 7.0, "weekend": 7.0, "day": 1.0}.get(node.grain)
            start = shift(node.start, -size) if size else back_by(node.start, node.grain, 1)
            return Node(start, node.end, "span", node.sure), k + 3 + (self.words[k + 3] in ("that", "it"))
        day_before = self.words[k : k + 3] == ["the", "day", "before"] and self._ends(k + 3)
        if k > j and node.grain == "day" and node.end == self.today and day_before:
            return Node(shift(node.start, -1), node.end, "span", node.sure), k + 3
        return node, j

    # ---- spans ---------------------------------------------------------------------------------------------------

    def _span(self, i: int, joins: set[str]) -> Found:
        """``A to B``, both included. An end that names no year is the occurrence nearest to the other end."""
        short = self._days_of_month(i, joins) or self._month_days(i, joins) or self._counts_ago(i, joins)
        if short:
            return short
        left = self.atom(i, loose=True)
        if not left or self.words[left[1]] not in joins:
            return None
        j = left[1] + 1
        j += self.words[j] in ("to", "until", "till", "including")
        right = self.atom(j, loose=True) or self._present(j)
        if not right:
            return None
        a, b = left[0], right[0]
        if (b.find and not a.find) or (
            a.find and b.find and self.plans and (a.yearly > b.yearly or (self.ahead and a.start >= self.today))
        ):
            start, end = b.find(a.start, 1)
            b = b._replace(start=start, end=end)
        elif a.find:
            start, end = a.find(b.start, -1)
            a = a._replace(start=start, end=end)
        start, end = min(a.start, b.start), max(a.end, b.end)
        return Node(start, end, "span", min(a.sure, b.sure)), right[1]

    def _days_of_month(self, i: int, joins: set[str]) -> Found:
        """``3-7 May``, ``the 3rd to the 7th of May 2023``: the first day takes its month from the second."""
        first, j = self._month_day(i + (self.words[i] == "the"))
        if not first or self.words[j] not in joins:
            return None
        j += 1
        j += self.words[j] == "to"
        j += self.words[j] == "the"
        right = self._day_and_month(j) if self._month_day(j)[0] else None
        if not right:
            return None
        begin = calendar_day(right[0].start.year, right[0].start.month, first)
        if not begin or begin[0] > right[0].start:
            return None
        return Node(begin[0], right[0].end, "span", right[0].sure), right[1]

    def _month_days(self, i: int, joins: set[str]) -> Found:
        """``May 3-7``, ``May 3rd to the 7th, 2023``: the second day takes its month from the first."""
        left = self._day_and_month(i) if self.words[i] in MONTHS else None
        if not left or self.words[left[1]] not in joins:
            return None
        j = left[1] + 1
        j += self.words[j] == "the"
        last, j = self._month_day(j)
        if not last or self.words[j] in MONTHS or (self.words[j] == "of" and self.words[j + 1] in MONTHS):
            return None
        year, j = self._year(j)
        start = left[0].start
        begin = calendar_day(year, start.month, start.day) if year and left[0].find else None
        start = begin[0] if begin else start
        finish = calendar_day(start.year, start.month, last)
        if not finish or finish[0] < start:
            return None
        return Node(start, finish[1], "span", left[0].sure), j

    def _counts_ago(self, i: int, joins: set[str]) -> Found:
        """``five and three days ago`` (after "between")."""
        left = self.number(i)
        if "and" not in joins or not left or self.words[left[1]] not in joins:
            return None
        right = self.quantity(left[1] + 1)
        if not right or self.words[right[1]] not in UNITS or self.words[right[1] + 1] not in ("ago", "back"):
            return None
        unit = UNITS[self.words[right[1]]]
        far, near = max(left[0], right[0].value), min(left[0], right[0].value)
        low = midnight(back_by(self.now, unit, far))
        return Node(low, shift(midnight(back_by(self.now, unit, near)), 1), "span", 0.9), right[1] + 2

    def _present(self, i: int) -> Found:
        j = i + (self.words[i] == "the")
        if self.words[j] not in ("now", "present"):
            return None
        return Node(self.now, shift(self.today, 1), "day"), j + 1

    def _onwards(self, i: int) -> Found:
        """``(from) May onwards``, ``(from) 3 May on``."""
        found = self.atom(i, loose=True)
        if not found or self.words[found[1]] not in ("on", "onward", "onwards", "forward"):
            return None
        return self._to_now(found[0].start, found[0]), found[1] + 1

    def _to_now(self, start: datetime, node: Node) -> Node:
        """From ``start`` to the end of today (of ``node`` where that lies ahead)."""
        return Node(start, max(shift(self.today, 1), node.end), "span", node.sure)

    # ---- open and fuzzy stretches --------------------------------------------------------------------------------

    def _open(self, i: int) -> Found:
        """``since / after X`` run to the end of today, ``before / until / by X`` come from the beginning of time."""
        word, j = self.words[i], i + 1
        pair = word, self.words[j]
        if pair in (("prior", "to"), ("up", "to"), ("up", "until"), ("up", "till"), ("ever", "since"), ("as", "of")):
            word, j = {"prior": "before", "ever": "since"}.get(word, "until"), j + 1
        elif pair == ("later", "than"):
            word, j = "after", j + 1
        elif word in ("prior", "up", "ever", "as", "later"):
            return None
        found = self.atom(j, loose=word not in ("by", "following", "past"))
        if not found or found[0].grain == "clock":
            return None
        node, j = found
        if self.plans and word in ("until", "till") and self._negated(i):  # "it isn't until Friday": on Friday
            return found
        if word in ("since", "after", "following", "past"):
            return self._and_until(self._to_now(node.start if word == "since" else node.end, node), j)
        return Node(MIN, node.start if word == "before" else node.end, "span", node.sure), j

    def _negated(self, i: int) -> bool:
        return any(word == "not" or word.endswith("n't") for word in self.words[max(0, i - 5) : i])

    def _and_until(self, node: Node, j: int) -> Found:
        """``since X but before Y``."""
        k = j + (self.words[j] in ("but", "and", ","))
        if k == j or self.words[k] not in ("before", "until", "till", "by"):
            return node, j
        last = self._open(k)
        if not last or last[0].end <= node.start:
            return node, j
        return node._replace(end=last[0].end), last[1]

    def _near(self, i: int) -> Found:
        """``around X``: X and half its length, at least two days, on either side; ``within N units of X``."""
        word, j = self.words[i], i + 1
        if word == "within":
            count = self.quantity(j)
            if not count or self.words[count[1]] not in UNITS:
                return None
            unit, j = UNITS[self.words[count[1]]], count[1] + 1
            base = self.atom(j + 1, loose=True) if self.words[j] in ("of", "from", "around") else None
            if not base:
                return None
            low, high = back_by(base[0].start, unit, count[0].value), back_by(base[0].end, unit, -count[0].value)
            return Node(midnight(low), high, "span", 0.7 * base[0].sure), base[1]
        j += word == "or"
        if self.words[j : j + 2] in (["about", "the"], ["the", "time"]):
            j += 1 + (self.words[j] == "about")
        if self.words[j : j + 2] == ["time", "of"]:
            j += 2
        base = self.atom(j, loose=True)
        if not base or base[0].grain in ("span", "clock"):
            return None
        node, j = base
        if self.words[j - 1] in ("ago", "back"):
            return base
        pad = 90.0 if node.grain == "year" else max(2.0, (node.end - node.start) / DAY / 2)
        return Node(shift(node.start, -pad), shift(node.end, pad), "span", 0.7 * node.sure), j

    # ---- single expressions --------------------------------------------------------------------------------------

    def atom(self, i: int, loose: bool = False) -> Found:
        key = (i, loose)
        if key not in self._atoms:
            if self._depth >= _DEPTH:
                return None
            self._depth += 1
            self._atoms[key] = self._atom(i, loose)
            self._depth -= 1
        return self._atoms[key]

    def _atom(self, i: int, loose: bool) -> Found:
        start = i
        i += self.words[i] in ABOUT and self.words[i] not in ("about", "around")
        i += self.words[i] == "on"
        i += self.words[i] == "sometime"
        article = self.words[i] in ("the", "that")
        j = i + article
        word, kind = self.words[j], self.kinds[j]
        cued = loose or self._cued(start)
        found: Found = None
        if kind in ("iso", "num", "short"):
            found = self._digits(j, cued)
        elif kind in ("mark", "dash", "clock", ""):
            return None
        elif word in TODAY:
            found = self._named_day(j)
        elif word in ("earlier", "later"):
            found = self._earlier(j)
        if not found and word in _PART:
            found = self._part(j)
        if not found and word in UNITS:
            found = self._unit_by_anchor(j, article)
        if not found:
            found = self._nth_of(j)
        if not found and (word in LAST or word in NEXT or word in THIS or word == "most"):
            found = self._relative(j, article)
        if not found and (word in MONTHS or word in WEEKDAYS or kind != "word" or word in ORDINAL_HEADS):
            found = self._dated(j, loose)
        if not found and word in WEEKDAYS:
            found = self._weekday(j, loose, start)
        if not found and word in SEASONS:
            found = self._season(j, cued or (article and self._ends(j + 1)))
        if not found and word in HOLIDAY_HEADS:
            found = self._holiday(j)
        if not found:
            found = self._counted(j) or self._quarter(j) or self._year_alone(j, cued)
        if not found and article:
            found = self._day_of_month(j, loose) or self._vague(j)
        if found and self.plans:
            found = self._apposed(*found)
        return self._tail(*found) if found else None

    def _vague(self, j: int) -> Found:
        """After "the": ``weekend``, ``other day``, ``other week``."""
        word, following = self.words[j], self.words[j + 1]
        if word == "weekend":
            bounds = unit_bounds(self.now, word) if self.ahead else self._weekend_back(1)
            return Node(*bounds, word, 0.9), j + 1
        if word != "other" or following not in ("day", "night", "week", "weekend"):
            return None
        low, high = (-21, -6) if following.startswith("week") else (-7, 0)
        return Node(shift(self.today, low), shift(self.today, high), "span", 0.4), j + 2

    def _tail(self, node: Node, j: int) -> Found:
        """A part of the day narrows a day ("yesterday evening"); a clock time after it is passed over."""
        if node.grain not in ("day", "holiday"):
            return node, j
        k = j
        if self.words[k] in ("in", "during") and self.words[k + 1] == "the":
            k += 2
        elif self.words[k] in ("at", "around"):
            k += 1
        k += self.words[k] in ("early", "late")
        if self.words[k] in PARTS_OF_DAY:
            low, high = PARTS_OF_DAY[self.words[k]]
            start, end = shift(node.start, hours=low), shift(node.start, hours=high)
            return node._replace(start=start, end=end, grain="night", find=None), k + 1
        return node, k + 1 if self.kinds[k] == "clock" else j
