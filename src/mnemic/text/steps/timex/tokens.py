"""Words, numbers and marks of a text, and the reading of counts, ordinals and years: what every rule shares."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mnemic.text.steps.timex.calendar import Bounds, midnight

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
TENS = {w: 10 * n for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)}
NUMBERS = {word: n for n, word in enumerate(_SMALL)} | TENS
_ORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth"
).split()
ORDINALS = {word: n for n, word in enumerate(_ORDS, start=1)} | {
    word[:-1] + "ieth": n for word, n in TENS.items()
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
LAST = {"last", "previous", "past", "prior", "preceding"}
NEXT = {"next", "coming", "upcoming", "following"}
THIS = {"this", "current"}
EARLY = {"early", "beginning", "start", "opening"}
MID = {"mid", "middle"}
LATE = {"late", "end", "close", "tail", "closing"}
JOIN = {"to", "until", "till", "til", "through", "thru", "dash"}
AGO = {"ago", "back", "earlier", "prior", "previously"}
ABOUT = {"about", "around", "roughly", "approximately", "some", "nearly", "almost", "circa", "maybe", "exactly", "just"}
# Words before a bare month, season or year that make it a time and not a name, a verb or a plain number.
CUES = {
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


Found = tuple[Node, int] | None


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



class Reader(ABC):
    """One tokenised text and the moment it is read at.

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

    @abstractmethod
    def atom(self, i: int, loose: bool = False) -> Found:
        """One expression at token ``i`` and the token after it. ``loose``: the words before it announce a time."""

    def _cued(self, start: int) -> bool:
        """Whether the word before ``start`` announces a time."""
        return start > 0 and (self.words[start - 1] in CUES or (self.words[start - 1] == "the" and self._cued(start - 1)))

    def quantity(self, i: int) -> tuple[Quantity, int] | None:
        """A count: ``3``, ``twenty-one``, ``a``, ``a couple of``, ``a few``, ``half a``, ``one and a half``."""
        word = self.words[i]
        if word in ABOUT or word in ("good", "over", "like"):
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
        elif word in TENS:
            value, j = TENS[word], i + 1
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
        if word in TENS and 0 < ORDINALS.get(self.words[i + 1], 99) < 10:
            return TENS[word] + ORDINALS[self.words[i + 1]], i + 2
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

    def _ends(self, i: int) -> bool:
        """Whether the clause ends at token ``i``."""
        return i >= len(self.tokens) or self.kinds[i] in ("mark", "dash")
