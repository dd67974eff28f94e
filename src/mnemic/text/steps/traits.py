"""What a turn is like, seen once when it is written: cheap marks that ranking can use without the text."""

from __future__ import annotations

from dataclasses import dataclass

from mnemic.text.encode.lexical import words
from mnemic.text.steps.dates import has_time_word
from mnemic.text.steps.timex.patterns import pattern

_QUESTION = r"[?？]\s*[\"'”’)\]]*\s*$"
# A capital first, so that the search can leap from one to the next; then what stands before it.
_NAME = r"[A-Z](?<=\b[A-Z])(?<!^[A-Z])(?<![.!?:…]\s[A-Z])[a-z]+"
_REACTION = (
    r"(?i)\W*(?:wow|thanks?|thank you|that'?s|awesome|cool|nice|great|congrat\w*|aw+|sounds|glad|yea?h?|yep|sure"
    r"|no problem|absolutely|definitely|exactly|totally|hey|hi|hello|bye|take care|see you|good (?:luck|morning|night)"
    r"|ha(?:ha)+|lol|oh|ok(?:ay)?|right|true|same|me too)\b"
)
MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Traits:
    """``question``: the text ends by asking. ``time_word``: it has a date or time expression. ``words``: how many.
    ``names``: capitalised words inside sentences, 3 at most. ``reaction``: it opens by reacting or greeting."""

    question: bool
    time_word: bool
    words: int
    names: int
    reaction: bool


def traits(text: str) -> Traits:
    """The traits of a turn's text."""
    names = 0
    for _ in pattern(_NAME).finditer(text):
        names += 1
        if names == MOST_NAMES:
            break
    return Traits(
        question=bool(pattern(_QUESTION).search(text[-64:])),
        time_word=has_time_word(text),
        words=len(words(text)),
        names=names,
        reaction=bool(pattern(_REACTION).match(text)),
    )
