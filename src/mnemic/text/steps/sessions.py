"""Session expressions in English text ("session 9", "the last two chats", "third-to-last discussion"), by rules.

A space's sessions are counted in time order: 1 is the first, -1 the last, so "two sessions ago" is -2. Words that
describe a session instead of counting to it ("the last time we talked about Rome") are no reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mnemic.text.steps.timex import Grammar

_NOUNS = {"session", "conversation", "chat", "discussion", "dialogue", "dialog"}
_OUR_NOUNS = _NOUNS | {"talk", "call", "meeting", "exchange", "interaction"}  # after "our" or before "ago" only
_MARKERS = {*_OUR_NOUNS, *(noun + "s" for noun in _OUR_NOUNS), "time", "times", "when"}  # one of them is always there
_TALKED = {
    *"talk talked talking speak spoke spoken chat chatted met meet discussed conversed convened had have".split()
}
_TOPIC = {"about", "regarding", "concerning", "covering", "where", "when"}
_LAST = {"last", "latest", "previous", "final", "newest", "past", "preceding", "recent"}
_FIRST = {"first", "initial", "opening", "earliest", "oldest"}
_ENDS = {"last", "final", "end", "latest", "recent", "newest"}
_JOIN = {"to", "through", "thru", "dash", "until", "till", "up"}
_BEFORE = {"before", "preceding", "prior"}
_AFTER = {"after", "following"}
_OPEN = _BEFORE | _AFTER | {"since", "until", "till", "up"}
_DIRECTLY = {"right", "just", "immediately", "directly", "straight"}

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SessionRef:
    """Sessions by number. ``spans`` are inclusive ``(first, last)`` pairs: 1 is the first session, -1 the last.

    ``within`` is a half-open stretch of time: the numbers then count only the sessions that begin inside it
    ("the second session on 8 May").
    """

    spans: tuple[Span, ...]
    within: tuple[datetime, datetime] | None = None

    def pick(self, dates: Sequence[datetime]) -> list[int]:
        """Zero-based indices into ``dates`` (start of each session, ascending, aware) of the sessions meant."""
        chosen = [i for i, at in enumerate(dates) if not self.within or self.within[0] <= at < self.within[1]]
        picked: set[int] = set()
        for first, last in self.spans:
            low = first - 1 if first > 0 else len(chosen) + first
            high = last - 1 if last > 0 else len(chosen) + last
            picked.update(chosen[max(low, 0) : max(high + 1, 0)])
        return sorted(picked)


class SessionMention(NamedTuple):
    """A session expression at ``tokens[start:end]``.

    ``ordinal``: it counts, so it may count inside a stretch of time. ``vague``: it says no more than "last" or
    "previous", which people also say of any earlier session.
    """

    spans: tuple[Span, ...]
    start: int
    end: int
    ordinal: bool = False
    vague: bool = False


class SessionGrammar:
    """Reads session expressions out of a tokenised text; counts and ordinals are read by the calendar grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self.size = len(grammar.tokens)
        self.quantity, self.number, self.ordinal = grammar.quantity, grammar.number, grammar.ordinal
        self.words, self.kinds = grammar.words, grammar.kinds

    def scan(self) -> list[SessionMention]:
        """Every session expression, left to right. ``not the last chat but the one before`` is one: the later."""
        mentions: list[SessionMention] = []
        i = 0 if _MARKERS.intersection(self.words) else self.size
        while i < self.size:
            mention = self._at(i)
            i = mention.end if mention else i + 1
            if mention:
                mentions.append(mention)
        if len(mentions) == 2 and "not" in self.words[max(0, mentions[0].start - 2) : mentions[0].start + 1]:
            return mentions[1:]
        return mentions

    def _at(self, i: int) -> SessionMention | None:
        word = self.words[i]
        found = self._between(i) if word in ("between", "from") else self._open(i) if word in _OPEN else None
        return found or self._numbered(i) or self._counted(i) or self._placed(i) or self._phrase(i)

    # ---- words ---------------------------------------------------------------------------------------------------

    def _noun(self, i: int, ours: bool = False) -> bool:
        word = self.words[i]
        return (word[:-1] if word.endswith("s") else word) in (_OUR_NOUNS if ours else _NOUNS)

    def _time(self, i: int) -> int:
        """The token after ``time(s) (that) we talked`` at ``i``, 0 where "time" does not mean a talk."""
        if self.words[i] not in ("time", "times"):
            return 0
        j = self._we_talked(i + 1)
        if j > i + 1:
            return 0 if self._topic(j) or (self.words[j - 1] == "discussed" and not self._ends(j)) else j
        return j if self._ends(j) and self.words[i - 1] in ("last", "previous") else 0

    def _we_talked(self, j: int) -> int:
        """The token after ``(that) we (last) talked (together)`` at ``j``; ``j`` itself where it is not said."""
        k = j + (self.words[j] == "that")
        if self.words[k] not in ("we", "you", "i"):
            return j
        k += 3 if self.words[k + 1] == "and" else 1
        while self.words[k] in ("both", "ever", "last", "had", "a"):
            k += 1
        if self.words[k] not in _TALKED and not self._noun(k, True):
            return j
        k += 1
        k += self.words[k] in ("a", "together")
        return k + self._noun(k, True)

    def _topic(self, j: int) -> bool:
        """Whether a topic or other people follow, which describe a session instead of counting to it."""
        if self.words[j] in _TOPIC:
            return not self._ends(j + 1)
        if self.words[j] in ("with", "between"):
            return self.words[j + 1] not in ("you", "me", "us")
        return self.words[j] == "that" and self.words[j + 1] in ("mentioned", "covered", "was", "dealt")

    def _ends(self, j: int) -> bool:
        return self.kinds[j] in ("", "mark", "dash")

    # ---- session 9, sessions 3 to 5 ------------------------------------------------------------------------------

    def _numbered(self, i: int) -> SessionMention | None:
        """``session 9``, ``sessions 3, 5 and 7``, ``sessions three through five``, ``session 3 to session 5``."""
        j = i + (self.words[i] in ("the", "our"))
        number = self._number(j + 1) if self._noun(j) else None
        if not number:
            return None
        spans, j = [(number[0], number[0])], number[1]
        while True:
            word, k = self.words[j], j + 1
            if word not in _JOIN and word not in (",", "and", "or", "plus"):
                break
            k += (word, self.words[k]) in ((",", "and"), ("up", "to"))
            k += self._noun(k)
            more = self._number(k)
            if not more:
                break
            if word in _JOIN or (word == "and" and self.words[i - 1] == "between"):
                low, high = sorted((spans[-1][0], more[0]))
                spans[-1] = low, high
            else:
                spans.append((more[0], more[0]))
            j = more[1]
        return SessionMention(tuple(spans), i, j)

    def _number(self, i: int) -> tuple[int, int] | None:
        i += self.words[i] in ("number", "no", "nr", "num")
        i += self.words[i] == "."
        return self.number(i)

    # ---- n sessions ago, the first three sessions ----------------------------------------------------------------

    def _counted(self, i: int) -> SessionMention | None:
        """``two sessions ago``, ``the two sessions before session 5``, ``the three most recent sessions``."""
        ours = self.words[i] == "our"
        j = i + (ours or self.words[i] in ("the", "those", "these"))
        if self._noun(j, ours) and (found := self._beside(i, j, 1)):
            return found
        count, ordinal = self.quantity(j), self.ordinal(j)
        if not count or (ordinal and ordinal[1] > count[1]):
            return None
        many, k = int(count[0].value), count[1]
        if many < 1:
            return None
        if self._noun(k, True) or self.words[k] in ("time", "times"):
            follows = self.words[k + 1]
            if follows in ("ago", "back") or (follows in ("earlier", "prior") and many > 1 and self._ends(k + 2)):
                return SessionMention(((-many, -many),), i, k + 2)
        if self._noun(k, ours):
            return self._beside(i, k, many)
        place = self._place(k)
        if place and abs(place[0]) == 1 and self._noun(place[1], ours) and not self._topic(place[1] + 1):
            span = (1, many) if place[0] > 0 else (-many, -1)
            return SessionMention((span,), i, place[1] + 1, ordinal=True)
        return None

    def _place(self, i: int) -> tuple[int, int] | None:
        """A place in the order: ``third``, ``very first``, ``last``, ``second-to-last``, ``last but one``."""
        i += self.words[i] in ("very", "most")
        word, j = self.words[i], i + 1
        if word == "penultimate":
            return -2, j
        if self.words[i : i + 3] == ["next", "to", "last"]:
            return -2, i + 3
        if ordinal := self.ordinal(i):
            number, j = ordinal
            k = j + (self.words[j] in ("to", "from"))
            k += self.words[k] == "the"
            k += self.words[k] == "most"
            return (-number, k + 1) if number > 1 and self.words[k] in _ENDS else (number, j)
        if word in _FIRST:
            return 1, j
        if word not in _LAST:
            return None
        if self.words[j] == "but" and (count := self.number(j + 1)):
            return -1 - count[0], count[1]
        return -1, j

    def _placed(self, i: int) -> SessionMention | None:
        """``first session``, ``4th through 6th chats``, ``second and fourth talks``, ``last three times we spoke``."""
        ours = self.words[i] == "our"
        j = i + (self.words[i] in ("the", "our", "your", "my"))
        place = self._place(j)
        if not place:
            return None
        number, j = place
        word = self.words[j]
        if word in _JOIN or word in ("and", "or", ","):
            k = j + 1
            while self.words[k] in ("to", "and", "the", "our"):
                k += 1
            other = self._place(k)
            end = self._end(other[1], ours) if other else 0
            if not other or not end:
                return None
            pair = (number, other[0])
            spans = (pair,) if word in _JOIN else ((number, number), (other[0], other[0]))
            return SessionMention(spans, i, end, ordinal=True)
        many = 1
        if abs(number) == 1 and (count := self.quantity(j)):
            many, j = int(count[0].value), count[1]
        end = self._end(j, ours)
        if not end or many < 1:
            return None
        if number == -1 and self.words[end] == "but" and (count_but := self.number(end + 1)):
            number, end = -1 - count_but[0], self._we_talked(count_but[1])
        elif number == -1 and many == 1:
            vague = self.words[place[1] - 1] not in ("final", "latest", "newest")
            return SessionMention(((-1, -1),), i, end, ordinal=True, vague=vague)
        span = (number, number) if many == 1 else (1, many) if number == 1 else (-many, -1)
        return SessionMention((span,), i, end, ordinal=True)

    def _end(self, j: int, ours: bool) -> int:
        """The token after the noun (or ``time we talked``) at ``j``; 0 where there is none or a topic follows."""
        if not self._noun(j, ours):
            return self._time(j)
        return 0 if self._topic(j + 1) or self.words[j + 1] in ("ago", "back") else j + 1

    def _phrase(self, i: int) -> SessionMention | None:
        """``the one before that``, ``the time before last``, ``when we last spoke``."""
        words = self.words
        j = i + (words[i] == "the")
        if words[j : j + 2] == ["one", "before"]:
            earlier = words[max(0, j - 12) : j]
            if any(word == "time" or word.rstrip("s") in _OUR_NOUNS for word in earlier):
                return SessionMention(((-2, -2),), i, j + 2 + (words[j + 2] in ("that", "it", "last")))
        if words[j : j + 3] == ["time", "before", "last"]:
            return SessionMention(((-2, -2),), i, self._we_talked(j + 3))
        if words[i] == "when" and words[i + 1 : i + 3] == ["we", "last"] and words[i + 3] in _TALKED:
            return None if self._topic(i + 4) else SessionMention(((-1, -1),), i, i + 4, vague=True)
        return None

    # ---- relative to another session -----------------------------------------------------------------------------

    def _single(self, i: int) -> tuple[int, int] | None:
        """One session, as its number and the token after it."""
        found = self._numbered(i)
        if found:
            return (found.spans[0][0], found.end) if len({n for span in found.spans for n in span}) == 1 else None
        ours = self.words[i] == "our"
        place = self._place(i + (ours or self.words[i] == "the"))
        if place and self._noun(place[1], ours):
            return place[0], place[1] + 1
        if place and place[0] == -1 and self.words[place[1]] == "one":
            return -1, place[1] + 1
        return (-1, i + 1) if self.words[i] == "last" and self._ends(i + 1) else None

    def _beside(self, start: int, j: int, many: int) -> SessionMention | None:
        """``the (two) sessions before / after X`` with the noun at ``j``."""
        j += 1 + (self.words[j + 1] in _DIRECTLY)
        before = self.words[j] in _BEFORE
        if not before and self.words[j] not in _AFTER:
            return None
        j += 1
        base = self._single(j + (self.words[j] == "to"))
        if not base:
            return None
        number, end = base
        low, high = (number - many, number - 1) if before else (number + 1, number + many)
        if number > 0:
            low = max(low, 1)
        else:
            high = min(high, -1)
        return SessionMention(((low, high),) if low <= high else (), start, end)

    def _between(self, i: int) -> SessionMention | None:
        """``between session 3 and session 6``, ``from the third session to the sixth``, ``from session 3 on``."""
        base = self._single(i + 1)
        if not base:
            return None
        number, j = base
        if self.words[j] in _JOIN or (self.words[i] == "between" and self.words[j] == "and"):
            other = self._single(j + 1 + (self.words[j + 1] == "to"))
            return SessionMention(((number, other[0]),), i, other[1]) if other else None
        if self.words[i] == "from" and self.words[j] in ("on", "onward", "onwards", "forward"):
            return SessionMention(((number, -1),), i, j + 1)
        return None

    def _open(self, i: int) -> SessionMention | None:
        """``since session 4``, ``before session 5``, ``up to the third session``."""
        word, j = self.words[i], i + 1
        if word in ("up", "prior"):
            if self.words[j] not in ("to", "until", "till"):
                return None
            j += 1
        base = self._single(j)
        if not base or self.words[j : base[1]] == ["last"]:  # "the week before last"
            return None
        number, j = base
        if word == "since":
            span = number, -1
        elif word in _AFTER:
            span = number + 1, -1
        elif word in _BEFORE:
            span = 1, number - 1
        else:
            span = 1, number
        empty = (number == -1 and word in _AFTER) or (number == 1 and word in _BEFORE)
        return SessionMention(() if empty else (span,), i, j)
