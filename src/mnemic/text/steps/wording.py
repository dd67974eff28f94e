"""A fact, and how it is put in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_FUNCTIONAL = frozenset("lives_in from works_at job age birthday name phone partner diet status favourite".split())
_SAY = {  # while it is so, and when it is over
    "lives_in": ("lives in {v}", "no longer lives in {v}"),
    "from": ("is from {v}", ""),
    "works_at": ("works at {v}", "no longer works at {v}"),
    "job": ("works as {a} {v}", "no longer works as {a} {v}"),
    "age": ("is {v} years old", ""),
    "name": ("is called {v}", ""),
    "phone": ("has the phone number {v}", ""),
    "status": ("is {v}", ""),
    "partner": ("is with {v}", ""),
    "studies": ("studies {v}", "has finished {v}"),
    "owns": ("has {v}", ""),
    "pet": ("has a pet: {v}", ""),
    "likes": ("likes {v}", "no longer likes {v}"),
    "dislikes": ("dislikes {v}", ""),
    "prefers": ("prefers {v}", "no longer prefers {v}"),
    "diet": ("eats {v}", "no longer eats {v}"),
    "allergy": ("is allergic to {v}", ""),
    "did": ("{v}", ""),
}
_THIRD = dict(
    zip(
        "my our me us i we myself i'm".split(),
        "their their them them they they themselves they're".split(),
        strict=True,
    )
)
_DETERMINERS = frozenset("a an the their some this another".split())


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing said to be so. ``text`` is a readable sentence; ``sentence`` the span of the turn it came from.

    ``start`` is where the time expression said with it begins (for an ending: usually when it ended) and ``None``
    when none was said. Of a ``functional`` relation a subject has one value at a time: the newer supersedes the older.
    ``ended`` says that it is over (``job`` with the value "job": whichever job it was); ``confidence`` is in 0 to 1.
    """

    subject: str
    relation: str
    value: str
    text: str
    sentence: tuple[int, int]
    start: datetime | None
    ended: bool
    functional: bool
    confidence: float

    @classmethod
    def of(
        cls,
        subject: str,
        relation: str,
        value: str,
        sentence: tuple[int, int],
        start: datetime | None = None,
        ended: bool = False,
        confidence: float = 0.9,
    ) -> Fact:
        """The fact with its text and whether its relation is functional."""
        base, _, detail = relation.partition(":")
        functional = base in _FUNCTIONAL or (base == "prefers" and bool(detail))
        said = worded(relation, value, ended)
        text = f"{subject[:1].upper()}{subject[1:]}{said}."
        return cls(subject, relation, value, text, sentence, start, ended, functional, confidence)


def third(value: str) -> str:
    """``value`` as somebody else would say it: "my boat" -> "their boat"."""
    return " ".join(word if word == "US" else _THIRD.get(word.lower(), word) for word in value.split(" "))


def worded(relation: str, value: str, ended: bool = False) -> str:
    """The predicate, with its leading space or possessive: `` lives in Porto``, ``'s favourite colour is blue``."""
    base, _, detail = relation.partition(":")
    told = third(value)
    if base.startswith("has_"):
        return f"'s {base[4:]} is {told}" if value[:1].isupper() else f" has {told}"
    if base == "favourite":
        return f"'s favourite {detail} is {told}"
    if base == "birthday":
        return f"'s birthday is {told}"
    if base == "plans":
        return " " + _plan(told)
    if base == "job" and value == "job":
        return " no longer has their job"
    article = "an" if told[:1].lower() in "aeiou" else "a"
    return " " + _SAY[base][ended].format(v=told, a=article)


def _plan(value: str) -> str:
    first = value.split(" ", 1)[0]
    if first.endswith("ing") and first != "bring":
        return f"is {value}"
    if first.endswith("ed") and first != "need":
        return f"has {value}"
    return f"plans {value}" if first in _DETERMINERS else f"plans to {value}"
