"""What a turn is like, seen once when it is written: cheap marks that ranking can use without the text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mnemic.text.encode.lexical import words
from mnemic.text.steps.dates import has_time_word

_QUESTION = re.compile(r"[?？]\s*[\"'”’)\]]*\s*$")
_NAME = re.compile(r"(?<![.!?:…]\s)(?<!^)\b[A-Z][a-z]+")
_REACTION = re.compile(
    r"\W*(?:wow|thanks?|thank you|that'?s|awesome|cool|nice|great|congrat\w*|aw+|sounds|glad|yea?h?|yep|sure|no problem"
    r"|absolutely|definitely|exactly|totally|hey|hi|hello|bye|take care|see you|good (?:luck|morning|night)"
    r"|ha(?:ha)+|lol|oh|ok(?:ay)?|right|true|same|me too)\b",
    re.IGNORECASE,
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
    for _ in _NAME.finditer(text):
        names += 1
        if names == MOST_NAMES:
            break
    return Traits(
        question=bool(_QUESTION.search(text[-64:])),
        time_word=has_time_word(text),
        words=len(words(text)),
        names=names,
        reaction=bool(_REACTION.match(text)),
    )
