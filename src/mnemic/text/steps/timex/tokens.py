"""Words, numbers and marks of a text, and the reading of counts, ordinals and years: what every rule shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from mnemic.text.steps.timex.calendar import Bounds, midnight
from mnemic.text.steps.timex.patterns import pattern

_TOKEN = (
    r"(?P<iso>[0-9]{4}[-/][0-9]{1,2}(?:[-/][0-9]{1,2})?(?![0-9]))(?:T[0-9:.]+Z?)?"
    r"|(?P<num>[0-9]{1,2}(?P<sep>[/.-])[0-9]{1,2}(?P=sep)(?:[0-9]{4}|[0-9]{2})(?![0-9]))"
    r"|(?P<short>[0-9]{1,2}/[0-9]{1,2}(?![0-9/]))"
    r"|(?P<clock>[0-9]{1,2}(?::[0-9]{2}){1,2}(?:\s?[ap]\.?m\b\.?)?|[0-9]{1,2}(?:\s?[ap]\.m\.|\s?[ap]m\b| o['’]clock))"
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
        "monday mon|tuesday tue tues|wednesday wed weds|thursday thu thur thurs|friday fri|saturday sat|sunday sun"
        "".split("|")
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
ORDINALS = {word: n for n, word in enumerate(_ORDS, start=1)} | {word[:-1] + "ieth": n for word, n in TENS.items()}
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
TODAY = {"today": 0, "yesterday": -1, "tomorrow": 1, "tonight": 0}
DAYS = {"day", "holiday"}  # grains that are one day
ORDINAL_HEADS = {*ORDINALS, *TENS}
LAST = {"last", "previous", "past", "prior", "preceding"}
NEXT = {"next", "coming", "upcoming", "following"}
THIS = {"this", "current"}
EARLY = {"early", "beginning", "start", "opening"}
MID = {"mid", "middle"}
LATE = {"late", "later", "end", "close"}
JOIN = {"to", "until", "till", "til", "through", "thru", "dash"}
ABOUT = {"about", "around", "roughly", "approximately", "some", "nearly", "almost", "circa", "maybe", "exactly", "just"}
# Words before a bare month, season or year that make it a time and not a name, a verb or a plain number.
CUES = set(
    "in of since until till before after during by from between through around early mid late last this next to and for"
    " about past previous or over circa dash throughout back every year on thru within beginning end middle".split()
)


HEDGES = ABOUT | {"good", "over", "like", "under"}
VAGUE = {"couple": (2, 2, 2), "few": (2, 3, 5), "several": (3, 5, 8), "dozen": (12, 12, 12)}  # low, middle, high


class Node(NamedTuple):
    """A stretch of wall-clock time ``[start, end)``. ``find(ref, -1)`` gives the latest occurrence that starts at or
    before ``ref`` (``+1``: the earliest at or after) where the words name no single one ("Friday", "8 May")."""

    start: datetime
    end: datetime
    grain: str
    sure: float = 1.0
    find: Callable[[datetime, int], Bounds] | None = None
    yearly: bool = False


Found = tuple[Node, int] | None


class Token(NamedTuple):
    """A word, number or mark. ``text`` is lower case without a possessive ending; ``kind`` is the regex group."""

    text: str
    raw: str
    kind: str
    start: int
    end: int


class Quantity(NamedTuple):
    """A number in words or digits; ``low`` and ``high`` bound a vague one ("a few": 2 to 5)."""

    value: float
    low: float
    high: float

    def negative(self) -> Quantity:
        """The same count the other way round."""
        return Quantity(-self.value, -self.high, -self.low)


def tokenise(text: str) -> list[Token]:
    """Words, numbers and marks with their place in ``text``; dates in digits are one token."""
    tokens = []
    for found in pattern(_TOKEN).finditer(text):
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

    ``now`` is naive wall-clock time. ``ahead`` takes what names no year or week as the coming occurrence instead of
    the latest one (a turn that speaks of the future), ``behind`` says that the text speaks of the past. ``plans`` is
    for what people say themselves: "in two weeks" is a time and no duration, "Sunday the 9th" a 9th that is a Sunday.
    ``oldest`` and ``newest`` bound what there is to find: a date without a year whose latest occurrence lies after
    ``newest`` is the one before.
    """

    def __init__(
        self,
        tokens: list[Token],
        now: datetime,
        *,
        ahead: bool = False,
        behind: bool = False,
        plans: bool = False,
        oldest: datetime | None = None,
        newest: datetime | None = None,
    ) -> None:
        self.tokens = tokens
        self.now = now
        self.today = midnight(now)
        self.ahead, self.behind, self.plans = ahead, behind, plans
        self.oldest, self.newest = oldest, newest
        self.words = [token.text for token in tokens] + [""] * 8  # so that rules may look ahead without a bound
        self.kinds = [token.kind for token in tokens] + [""] * 8
        self._atoms: dict[tuple[int, bool], Found] = {}
        self._depth = 0

    @abstractmethod
    def atom(self, i: int, loose: bool = False) -> Found:
        """One expression at token ``i`` and the token after it. ``loose``: the words before it announce a time."""

    def _cued(self, i: int) -> bool:
        """Whether the word before token ``i`` (a "the" in between aside) announces a time."""
        i -= i > 1 and self.words[i - 1] == "the"
        return i > 0 and self.words[i - 1] in CUES

    def quantity(self, i: int) -> tuple[Quantity, int] | None:
        """A count: ``3``, ``twenty-one``, ``a``, ``a couple of``, ``a few``, ``half a``, ``1 and a half``, ``2-3``."""
        for _ in range(3):  # "just over a good"
            i += self.words[i] in HEDGES
        words = self.words
        if words[i] == "half" and words[i + 1] in ("a", "an"):
            return Quantity(0.5, 0.5, 0.5), i + 2
        if words[i] in ("a", "an"):
            j = i + 1 + (words[i + 1] == "good")
            if words[j] not in VAGUE and words[j] != "hundred":
                i, number = i, (1, i + 1 + (words[i + 1] in ("whole", "full")))
            else:
                i, number = j, self.number(j) or (1, j)
        elif found := self.number(i):
            number = found
        elif words[i] not in VAGUE:
            return None
        else:
            number = 1, i
        if words[i] in VAGUE:
            low, value, high = VAGUE[words[i]]
            return Quantity(value, low, high), i + 1 + (words[i + 1] == "of")
        exact, j = float(number[0]), number[1]
        if words[j : j + 3] == ["and", "a", "half"]:
            return Quantity(exact + 0.5, exact + 0.5, exact + 0.5), j + 3
        if words[j] in ("or", "to", "dash") and (other := self.number(j + 1)) and words[other[1]] in UNITS:
            least, most = sorted((exact, float(other[0])))
            return Quantity((least + most) / 2, least, most), other[1]
        return Quantity(exact, exact, exact), j

    def number(self, i: int) -> tuple[int, int] | None:
        """A whole number below a thousand in words, or in digits."""
        if self.kinds[i] == "int":
            return int(self.words[i][:7]), i + 1
        below, j = self._below_hundred(i)
        if self.words[j] != "hundred":
            return (below, j) if j > i else None
        value, j = 100 * (below if j > i else 1), j + 1
        rest, k = self._below_hundred(j + (self.words[j] == "and"))
        return (value + rest, k) if rest else (value, j)

    def _below_hundred(self, i: int) -> tuple[int, int]:
        word = self.words[i]
        if word in TENS:
            ones = NUMBERS.get(self.words[i + 1], 0)
            return (TENS[word] + ones, i + 2) if 0 < ones < 10 else (TENS[word], i + 1)
        return (NUMBERS[word], i + 1) if word in NUMBERS else (0, i)

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
