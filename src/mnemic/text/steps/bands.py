"""Whether two statements say the same, contradict each other, or have nothing to do with each other.

A cosine alone cannot tell: "I like opera" and "I don't like opera" are as alike as can be. So the cosine says how close
a statement is (MemOS checks for a conflict from 0.8 on and takes 0.92 for a duplicate), and the words say what
that means: a negation or an antonym in one of them, another number, name or value. Of two that contradict each other
the newer holds. English.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache

from mnemic.text.encode.lexical import fold, stems, words

CONFLICT, DUPLICATE = 0.8, 0.92
"""From which cosine on statements may contradict each other, and from which they say the same (MemOS)."""


class Band(StrEnum):
    """How two statements stand to each other."""

    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    INDEPENDENT = "independent"


def judge(
    a: str, b: str, cosine: float, *, exclusive: bool = False, conflict: float = CONFLICT, duplicate: float = DUPLICATE
) -> Band:
    """How ``a`` and ``b`` stand to each other, their vectors being at ``cosine``.

    Below ``conflict`` they are independent. Above, they contradict each other where one denies the other, or, if what
    they speak of can have one value only (``exclusive``), where they differ in nothing but a number or a name. They are
    duplicates from ``duplicate`` on, or where one says all that the other does.
    """
    if cosine < conflict:
        return Band.INDEPENDENT
    mine, theirs = set(_content(a)), set(_content(b))
    only, other = mine - theirs, theirs - mine
    particular = bool(only and other) and only <= _particulars(a) and other <= _particulars(b)
    if opposed(a, b) or (exclusive and particular):
        return Band.CONFLICT
    if not particular and (cosine >= duplicate or not only or not other):
        return Band.DUPLICATE
    return Band.INDEPENDENT


def opposed(a: str, b: str) -> bool:
    """Whether one denies what the other says: a negation more, or an antonym, while the shorter one says nothing else
    that the longer one does not; another time aside."""
    left, right = fold(a).replace("’", "'"), fold(b).replace("’", "'")
    denied = _negations(left) % 2 != _negations(right) % 2
    mine, theirs = set(_content(left)), set(_content(right))
    turned = {stem for stem in mine - theirs if antonyms().get(stem, frozenset()) & (theirs - mine)}
    back = {stem for stem in theirs - mine if antonyms().get(stem, frozenset()) & (mine - theirs)}
    if denied == bool(turned):  # neither, or "do not hate" against "love"
        return False
    shorter, longer = sorted((mine - turned - _ASIDE, theirs - back - _ASIDE), key=len)
    return bool(shorter) and shorter <= longer


def _particulars(text: str) -> set[str]:
    """The stems of numbers and names."""
    named = [match[0] for match in _NAMED.finditer(text)]
    return {stem for word in named for stem in stems(words(word))}


def _content(text: str) -> list[str]:
    return stems(words(text))


def _negations(text: str) -> int:
    return len(_NEGATION.findall(text))


_NAMED = re.compile(
    r"\d[\w.,:-]*|(?<!^)(?<![.!?] )\b[A-Z][\w'-]*"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b"
)
_NEGATION = re.compile(r"\b(?:not|never|no|cannot|nobody|nothing|none|neither|without|hardly)\b|n't\b")
_ASIDE = frozenset(  # stems of negations and of times
    "longer anymor nobodi noth none neither without hard never januari februari march april may june juli august"
    " septemb octob novemb decemb monday tuesday wednesday thursday friday saturday sunday now today".split()
)
_PAIRS = """like dislike|like hate|love hate|love dislike|enjoy hate|enjoy dislike|adore hate|adore dislike|open close
|open shut|start stop|start quit|start end|begin end|begin stop|married single|married divorced|win lose|won lost
|buy sell|bought sold|keep sell|kept sold|arrive leave|join leave|joined left|join quit|joined quit|agree refuse
|agree disagree|accept decline|accept refuse|accept reject|alive dead|healthy sick|healthy ill|hire fire|early late
|hot cold|warm cold|happy sad|happy unhappy|easy difficult|increase decrease|rise fall|true false
|possible impossible|find lose|found lost|remember forget|employed unemployed|able unable|vegetarian meat|vegan meat
|indoor outdoor|public private|cheap expensive|big small|large small|friend enemy|pass fail|passed failed|safe dangerous
|approve reject|allow forbid|trust distrust|north south|east west|rich poor|strong weak|clean dirty|empty full"""


@cache
def antonyms() -> dict[str, frozenset[str]]:
    """Stem -> the stems of words that mean the opposite."""
    found: dict[str, frozenset[str]] = {}
    for pair in _PAIRS.replace("\n", "").split("|"):
        one, other = pair.split(" ")
        for x, y in ((one, other), (other, one)):
            for stem in stems(words(x)):
                found[stem] = found.get(stem, frozenset()) | frozenset(stems(words(y)))
    return found


@cache
def _senses() -> dict[str, str]:
    found: dict[str, str] = {}
    for stem in sorted(antonyms()):
        todo = [stem] if stem not in found else []
        while todo:
            one = todo.pop()
            if one not in found:
                found[one] = stem
                todo += antonyms()[one]
    return found


def sense(stem: str) -> str:
    """What a stem and its antonyms have in common: one name for all of them."""
    return _senses().get(stem, stem)
