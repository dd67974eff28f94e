"""Session expressions in English text ("session 9", "the last two chats", "third-to-last discussion"), by rules.

A space's sessions are counted in time order: 1 is the first, -1 the last, so "two sessions ago" is -2. References to
the session about something ("the last time we talked about Rome") name no session by number and are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mnemic.text.steps.timex import Grammar, Token

_NOUNS = {"session", "conversation", "chat", "discussion", "dialogue", "dialog"}
_LOOSE_NOUNS = {"talk", "call", "meeting", "exchange", "interaction", "catchup", "one"}  # only after "our", or "... ago"
_TALKED = {
    *"talk talked talking speak spoke spoken chat chatted met meet discussed discuss conversed convene caught had have".split()
}
_LAST = {"last", "latest", "previous", "final", "newest", "past", "closing", "preceding", "recent"}
_FIRST = {"first", "initial", "opening", "earliest", "oldest"}
_JOIN = {"to", "through", "thru", "dash", "until", "till"}


@dataclass(frozen=True, slots=True)
class SessionRef:
    """Sessions by number. ``spans`` are inclusive ``(first, last)`` pairs: 1 is the first session, -1 the last.

    ``within`` is a half-open stretch of time: the numbers then count only the sessions that begin inside it
    ("the second session on 8 May").
    """

    spans: tuple[tuple[int, int], ...]
    within: tuple[datetime, datetime] | None = None

    def pick(self, dates: Sequence[datetime]) -> list[int]:
        """Zero-based indices into ``dates`` (start of each session, ascending) of the sessions meant; may be empty."""
        chosen = [i for i, at in enumerate(dates) if not self.within or self.within[0] <= at < self.within[1]]
        picked: set[int] = set()
        for first, last in self.spans:
            low = first - 1 if first > 0 else len(chosen) + first
            high = last - 1 if last > 0 else len(chosen) + last
            picked.update(chosen[max(low, 0) : max(high + 1, 0)])
        return sorted(picked)


@dataclass(frozen=True, slots=True)
class SessionMention:
    """A session expression at ``tokens[start:end]``. ``ordinal`` ones may be counted inside a stretch of time."""

    ref: SessionRef
    start: int
    end: int
    ordinal: bool = False


class SessionGrammar:
    """Reads session expressions out of a tokenised text; shares numbers and ordinals with the calendar grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.words = grammar.words
        self.kinds = grammar.kinds

    def find(self) -> list[SessionMention]:
        """Every session expression of the text, left to right, none overlapping."""
        mentions: list[SessionMention] = []
        i = 0
        while i < len(self.grammar.tokens):
            mention = self._at(i)
            if mention:
                mentions.append(mention)
                i = mention.end
            else:
                i += 1
        return self._combine(mentions)

    def _combine(self, mentions: list[SessionMention]) -> list[SessionMention]:
        """``not the last discussion but the one before that``: the later mention counts from the earlier one."""
        if len(mentions) == 2 and "not" in self.words[max(0, mentions[0].start - 2) : mentions[0].start]:
            return mentions[1:]
        return mentions

    def _at(self, i: int) -> SessionMention | None:
        word = self.words[i]
        if word in ("before", "after", "since", "until", "till", "following", "between", "from", "up", "prior"):
            found = self._open(i)
            if found:
                return found
        return self._numbered(i) or self._counted(i) or self._one_before(i)

    # ---- session 9, sessions 3 to 5, first through third sessions ------------------------------------------------

    def _noun(self, i: int, loose: bool = False) -> bool:
        word = self.words[i]
        single = word[:-1] if word.endswith("s") else word
        return single in _NOUNS or (loose and single in _LOOSE_NOUNS)

    def _about(self, j: int) -> bool:
        """Whether a topic follows, so that the words describe a session instead of counting to it."""
        if self.words[j] in ("about", "regarding", "concerning", "where", "covering", "that", "when", "in", "on"):
            if self.words[j] in ("about", "regarding", "concerning", "covering", "where", "when"):
                return bool(self.words[j + 1]) and self.kinds[j + 1] != "mark"
            if self.words[j] == "that":
                return self.words[j + 1] in ("mentioned", "covered", "was", "dealt")
            return False
        if self.words[j] in ("with", "between"):
            return self.words[j + 1] not in ("you", "me", "us", "")
        return False

    def _number_after(self, i: int) -> tuple[int, int] | None:
        i += self.words[i] in ("number", "no", "nr", "num")
        i += self.words[i] == "."
        found = self.grammar.number(i)
        if found and self.kinds[i] == "word" and self.words[i] not in _PLAIN_NUMBERS:
            return None
        return found

    def _numbered(self, i: int) -> SessionMention | None:
        """``session 9``, ``sessions 3, 5 and 7``, ``sessions three through five``, ``session 3 to session 5``."""
        j = i + (self.words[i] == "the")
        if not self._noun(j) or self.words[j].startswith("dialog"):
            return None
        number = self._number_after(j + 1)
        if not number:
            return None
        spans, k = [(number[0], number[0])], number[1]
        while True:
            word = self.words[k]
            step = k + 1
            if word == ",":
                step += self.words[step] == "and"
            elif word not in _JOIN and word not in ("and", "or", "plus", "up"):
                break
            step += self.words[step] == "to"
            step += self._noun(step)
            more = self._number_after(step)
            if not more:
                break
            if word in _JOIN or word == "up" or (word == "and" and self.words[i - 1] == "between" and len(spans) == 1):
                spans[-1] = (min(spans[-1][0], more[0]), max(spans[-1][0], more[0]))
            else:
                spans.append((more[0], more[0]))
            k = more[1]
        if self.words[k] in ("onward", "onwards", "on") and self.words[i - 1] == "from":
            spans[-1] = (spans[-1][0], -1)
            k += 1
        return SessionMention(SessionRef(tuple(spans)), i, k)

    # ---- first / last / n-th / n ago -----------------------------------------------------------------------------

    def _place(self, i: int) -> tuple[int, int] | None:
        """A place in the order: ``third``, ``very first``, ``last``, ``second to last``, ``last but one``."""
        i += self.words[i] in ("very", "most")
        word = self.words[i]
        if word in ("penultimate",):
            return -2, i + 1
        if word == "next" and self.words[i + 1] in ("to", "-") and self.words[i + 2] == "last":
            return -2, i + 3
        ordinal = self.grammar.ordinal(i)
        if ordinal:
            number, j = ordinal
            if self.words[j] in ("to", "from", "most") or self.words[j] in _LAST:
                k = j + (self.words[j] in ("to", "from", "most"))
                k += self.words[k] == "the"
                k += self.words[k] == "most"
                if self.words[k] in ("last", "final", "end", "latest", "recent", "newest"):
                    # "third from the end" is the third-last; "one from last" is not said
                    return -number, k + 1
            return number, j
        if word in _FIRST:
            return 1, i + 1
        if word in _LAST:
            j = i + 1
            if self.words[j] == "but":
                count = self.grammar.number(j + 1)
                if count:
                    return -1 - count[0], count[1]
            return -1, j
        return None

    def _counted(self, i: int) -> SessionMention | None:
        start = i
        loose = self.words[i] == "our"
        article = self.words[i] in ("the", "our", "your", "my", "this", "these", "those")
        i += article
        if self.words[start] == "this" and self._noun(i):
            return None
        count = self.grammar.quantity(i)
        ordinal = self.grammar.ordinal(i)
        if count and not (ordinal and ordinal[1] > count[1]):
            many, j = int(count[0].value), count[1]
            ago = self.words[j + 1] in ("ago", "back")
            ago = ago or (self.words[j + 1] in ("earlier", "prior") and self.words[i] != "a" and self._clause_end(j + 2))
            if self._noun(j, True) and ago and many > 0:
                return SessionMention(SessionRef(((-many, -many),)), start, j + 2)
            if self.words[j] in ("time", "times", "talks") and self.words[j + 1] in ("ago", "back") and many > 0:
                return SessionMention(SessionRef(((-many, -many),)), start, j + 2)
            if self._noun(j, loose) and self.words[j + 1] in ("before", "after", "following", "preceding", "prior"):
                return self._beside(start, j, many)
            if self.words[j] in ("most", *_LAST, *_FIRST):  # "two most recent sessions"
                place = self._place(j)
                if place and self._noun(place[1], loose) and abs(place[0]) == 1:
                    span = (1, many) if place[0] > 0 else (-many, -1)
                    return self._finish(span, start, place[1] + 1)
        if self._noun(i, loose) and self.words[i + 1] in ("before", "after", "preceding", "following", "prior"):
            return self._beside(start, i, 1)
        place = self._place(i)
        if not place:
            return None
        number, j = place
        if self.words[j] in ("and", "or", ",") and (other := self._place(j + 1)) and self._nouned(other[1], loose):
            spans = ((number, number), (other[0], other[0]))
            return SessionMention(SessionRef(spans), start, self._past_noun(other[1], loose), True)
        if self.words[j] in _JOIN:
            k = j + 1
            k += self.words[k] in ("to", "the", "our")
            other = self._place(k)
            if other and self._nouned(other[1], loose):
                return SessionMention(SessionRef(((number, other[0]),)), start, self._past_noun(other[1], loose), True)
        many = 1
        if self.words[j] in ("couple", "few", "several", "two", "three") or self.kinds[j] == "int" or self.grammar.number(j):
            amount = self.grammar.quantity(j)
            if amount and abs(number) == 1:
                many, j = int(amount[0].value), amount[1]
            elif amount:
                return None
        ours = loose or (many > 1 and article) or self.words[j] not in ("talk", "call", "meeting", "exchange", "one")
        if not self._nouned(j, ours and loose):
            return None
        end = self._past_noun(j, loose)
        if end <= j:
            return None
        if number == -1 and many == 1 and self.words[end] in ("but",) and (count2 := self.grammar.number(end + 1)):
            number, end = -1 - count2[0], self._past_talk(count2[1])
        elif number == 1 and many == 1 and False:
            return None
        if self.words[end] in ("ago", "back"):
            return None
        span = (number, number) if many == 1 else (1, many) if number == 1 else (-many, -1)
        return self._finish(span, start, end)

    def _finish(self, span: tuple[int, int], start: int, end: int) -> SessionMention | None:
        if self._about(end):
            return None
        return SessionMention(SessionRef((span,)), start, end, True)

    def _nouned(self, j: int, loose: bool) -> bool:
        return self._noun(j, loose) or (self.words[j] in ("time", "times") and self._time_we(j))

    def _past_noun(self, j: int, loose: bool) -> int:
        if self._noun(j, loose):
            return j + 1
        return self._past_talk(j + 1)

    def _past_talk(self, j: int) -> int:
        """Past ``(that) we talked (to each other)`` after "time"."""
        k = j + (self.words[j] == "that")
        if self.words[k] in ("we", "you", "i", "us"):
            k += 1
            k += self.words[k] == "and" and 2
            while self.words[k] in ("both", "ever", "two", "last", "properly", "had", "a"):
                k += 1
            if self.words[k] in _TALKED or self._noun(k):
                k += 1
                k += self.words[k] in ("a", "together")
                k += self._noun(k, True)
                return k
        return j

    def _time_we(self, j: int) -> bool:
        """Whether "time" at ``j`` means a talk: at the end of a clause, or followed by "(that) we talked"."""
        k = j + 1
        if self.words[k] == "but" and self.grammar.number(k + 1):
            k = self.grammar.number(k + 1)[1]  # type: ignore[index]
        past = self._past_talk(k)
        if past > k:
            return not self._about(past) and not (self.words[past - 1].startswith("discuss") and not self._clause_end(past))
        return self._clause_end(k) and self.words[j - 1] in ("last", "previous") and self.words[j] == "time"

    def _clause_end(self, k: int) -> bool:
        return self.kinds[k] in ("", "mark")

    def _one_before(self, i: int) -> SessionMention | None:
        """``the one before that``, ``the time before last`` (we talked)."""
        j = i + (self.words[i] == "the")
        if self.words[j] == "one" and self.words[j + 1] == "before" and self.words[j + 2] in ("that", "last"):
            earlier = [w for w in self.words[max(0, j - 12) : j] if w]
            if any(w.rstrip("s") in _NOUNS or w == "time" for w in earlier):
                return SessionMention(SessionRef(((-2, -2),)), i, j + 3)
        if self.words[j] == "time" and self.words[j + 1] == "before" and self.words[j + 2] == "last":
            return SessionMention(SessionRef(((-2, -2),)), i, self._past_talk(j + 3))
        return None

    # ---- relative to another session -----------------------------------------------------------------------------

    def _single(self, i: int) -> tuple[int, int] | None:
        """One session reference, as its number and the token after it."""
        found = self._numbered(i)
        if not found:
            j = i + (self.words[i] in ("the", "our"))
            place = self._place(j)
            if place and self._noun(place[1], self.words[i] == "our"):
                return place[0], place[1] + 1
            if place and place[0] == -1:
                return -1, place[1] + (self.words[place[1]] == "one")
            return None
        spans = found.ref.spans
        return (spans[0][0], found.end) if len(spans) == 1 and spans[0][0] == spans[0][1] else None

    def _beside(self, start: int, j: int, many: int) -> SessionMention | None:
        """``the (two) sessions before / after X`` with the noun at ``j``."""
        before = self.words[j + 1] in ("before", "preceding", "prior")
        k = j + 2 + (self.words[j + 1] == "prior" and self.words[j + 2] == "to")
        base = self._single(k)
        if not base:
            return None
        number, end = base
        if before:
            low, high = number - many, number - 1
            if number > 0 and high < 1:
                return None
            low = max(low, 1) if number > 0 else low
        else:
            low, high = number + 1, number + many
            if number < 0 and low > -1:
                return None
            high = min(high, -1) if number < 0 else high
        return SessionMention(SessionRef(((low, high),)), start, end)

    def _open(self, i: int) -> SessionMention | None:
        """``since session 4``, ``before session 5``, ``from session 3 on``, ``between session 3 and session 6``."""
        word, j = self.words[i], i + 1
        if word in ("between", "from"):
            base = self._single(j)
            if base:
                number, k = base
                if self.words[k] in _JOIN | ({"and"} if word == "between" else set()):
                    other = self._single(k + 1)
                    if other:
                        return SessionMention(SessionRef(((number, other[0]),)), i, other[1])
                if word == "from" and self.words[k] in ("on", "onward", "onwards", "forward"):
                    return SessionMention(SessionRef(((number, -1),)), i, k + 1)
            return None
        if word in ("up", "prior"):
            if self.words[j] not in ("to", "until", "till"):
                return None
            j += 1
        base = self._single(j)
        if not base or self.words[j : base[1]] == ["last"]:
            return None
        number, k = base
        if word in ("since",):
            spans = ((number, -1),)
        elif word in ("after", "following"):
            spans = ((number + 1, -1),) if number != -1 else ((1, 0),)
        elif word in ("before", "prior"):
            spans = ((1, number - 1),)
        else:
            spans = ((1, number),)
        return SessionMention(SessionRef(spans), i, k)


_PLAIN_NUMBERS = {
    *"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    " nineteen twenty thirty forty fifty".split()
}


def bounded(ref: SessionRef, within: tuple[datetime, datetime]) -> SessionRef:
    """``ref`` counted among the sessions that begin inside ``within``."""
    return replace(ref, within=within)


__all__: Sequence[Any] = ["SessionGrammar", "SessionMention", "SessionRef", "Token", "bounded"]
