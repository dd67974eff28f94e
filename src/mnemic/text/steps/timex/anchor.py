"""Event anchors: "the week before the trip", "after she moved", "during the holidays" fix a time by an event."""

from __future__ import annotations

from dataclasses import dataclass

from mnemic.text.steps.timex.grammar import Grammar
from mnemic.text.steps.timex.tokens import NUMBERS, UNITS

_RELATIONS = {
    "before": "before",
    "prior": "before",
    "preceding": "before",
    "leading": "before",
    "after": "after",
    "following": "after",
    "since": "after",
    "during": "during",
    "throughout": "during",
    "around": "around",
}
_NO_EVENT = {"that", "this", "it", "then", "all", "which", "each", "now", "how", "what", "when", "care"}
_DETERMINERS = {"the", "a", "an", "my", "your", "his", "her", "its", "our", "their", "this", "that"}
_AUXILIARIES = {"did", "do", "does", "had", "have", "has", "was", "were", "is", "are", "what", "which", "who", "where"}
_LONG_UNITS = ("week", "weekend", "month", "year")
_SUBJECTS = {"i", "we", "you", "he", "she", "they", "it"}


@dataclass(frozen=True, slots=True)
class Anchor:
    """An event that fixes the time. ``span`` is the stretch of the text with the words that lead to it."""

    text: str
    relation: str
    unit: str | None
    count: float
    span: tuple[int, int]


def find_anchor(text: str, grammar: Grammar) -> Anchor | None:
    """The first event anchor of ``text``: one of ``before``, ``after``, ``during``, ``around`` and what follows it."""
    words, kinds, tokens = grammar.words, grammar.kinds, grammar.tokens
    for at in range(len(tokens)):
        relation = _RELATIONS.get(words[at]) or ("during" if _names_unit(grammar, at) else None)
        if not relation:
            continue
        start, unit, count = _unit(grammar, at)
        j = at + 1
        if words[at] in ("prior", "leading"):
            j += words[j] == "up"
            if words[j] != "to":
                continue
            j += 1
        elif words[at] == "around":
            if words[j : j + 2] != ["the", "time"]:
                continue
            j += 2 + (words[j + 2] in ("of", "when", "that"))
        elif words[at] in ("following", "preceding") and words[j] not in _DETERMINERS:
            continue
        if words[j] in _NO_EVENT or kinds[j] in ("mark", "dash", "clock", "int", "") or words[j] in NUMBERS:
            continue
        end = _event_end(grammar, j, leads=start == 0 or kinds[start - 1] == "mark")
        return Anchor(
            text[tokens[j].start : tokens[end - 1].end],
            relation,
            unit,
            count,
            (tokens[start].start, tokens[end - 1].end),
        )
    return None


def _unit(grammar: Grammar, at: int) -> tuple[int, str | None, float]:
    """Where the anchor's words begin, and the unit and count before the relation at ``at`` ("two weeks before")."""
    words = grammar.words
    unit = UNITS.get(words[at - 1]) if at else None
    if not unit or words[max(0, at - 2) : at - 1] in (["many"], ["typical"]):
        return at, None, 1.0
    for start in range(max(0, at - 6), at - 1):
        count = grammar.quantity(start)
        if count and count[1] == at - 1:
            return start, unit, count[0].high
    return at - 1 - (words[at - 2] == "the" if at > 1 else 0), unit, 1.0


def _names_unit(grammar: Grammar, at: int) -> bool:
    """Whether "of" at ``at`` ends ``the day of``, ``the month of``."""
    words = grammar.words
    return at > 1 and words[at] == "of" and words[at - 2] == "the" and words[at - 1] in ("day", "night", *_LONG_UNITS)


def _event_end(grammar: Grammar, j: int, leads: bool) -> int:
    """The token after the event's words: to the end of the clause, or to the question that follows inside it."""
    words, kinds = grammar.words, grammar.kinds
    end = j + 1
    while end < len(grammar.tokens) and kinds[end] not in ("mark", "dash"):
        asks = words[end] in ("did", "do", "does", "had", "have", "has") and words[end - 1] not in _SUBJECTS
        inverted = asks and (words[end + 1] in _SUBJECTS or _capital(grammar, end + 1))
        if inverted or (leads and words[end] in _AUXILIARIES and end > j + 1):
            break
        end += 1
    return end


def _capital(grammar: Grammar, i: int) -> bool:
    return i < len(grammar.tokens) and grammar.tokens[i].raw[0].isupper()
