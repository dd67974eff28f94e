"""What a question asks for, and which sentences look like the kind of thing that answers it. Rules, English."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum

_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*+(?=\s)|[。！？]+[」』”’）]*|\n")
_PICTURE = "[shares an image: "
_SHORT_FORM = re.compile(
    r"(?:^|[\s(\"'“])(?:[A-Za-z]|[A-Z]\.[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Mt|Jr|Sr|vs|etc|approx|No|Inc|Ltd|Co|e\.g|i\.e)\.\Z"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAY = timedelta(days=1)


class Ask(StrEnum):
    """The kind of thing a question asks for."""

    WHEN = "when"
    LENGTH = "how long"
    OFTEN = "how often"
    NUMBER = "how many"
    WHO = "who"
    WHERE = "where"
    WHY = "why"
    VERDICT = "yes or no"
    OTHER = "other"


_ASKS = (
    (Ask.LENGTH, r"\bhow (?:long|old)\b|\bfor how many (?:days|weeks|months|years)\b"),
    (Ask.OFTEN, r"\bhow (?:often|frequently|regularly)\b"),
    (Ask.NUMBER, r"\bhow (?:many|much)\b|\bwhat (?:number|amount|price|percentage)\b"),
    (
        Ask.WHEN,
        r"\bwhen\b(?! (?:i|you|he|she|it|we|they)\b)|\b(?:what|which) (?:\w+ )?(?:date|day|month|year|time|week)\b",
    ),
    (Ask.WHERE, r"\bwhere\b|\b(?:what|which) (?:\w+ )?(?:city|country|place|state|town|location|address)\b"),
    (Ask.WHO, r"\bwho(?:m|se)?\b"),
    (Ask.WHY, r"\bwhy\b|\bhow come\b|\bfor what reason\b"),
    (
        Ask.VERDICT,
        r"\A\s*(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should|may|might)(?:n['’]t)?\b",
    ),
)
_ASK = [(ask, re.compile(pattern, re.IGNORECASE)) for ask, pattern in _ASKS]

_NUMBER_WORD = (
    r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|couple"
    r"|several|twice)"
)  # without "one", "half" and "both", which mostly count nothing
_UNIT = r"(?:second|minute|hour|day|night|week|weekend|month|year|decade)s?(?: old)?"
_NAME = re.compile(r"(?<![.!?…\"“]\s)(?<!\A)(?<=\s)[A-Z][\w’'-]+")
_CUES = {
    Ask.LENGTH: re.compile(
        rf"(?i)\b(?:\d[\d.,]{0, 9}|an?|one|few|half|{_NUMBER_WORD}|many|last|past)[ -](?:\w+ )?{_UNIT}\b"
        r"|\b(?:since|forever|ages|all (?:day|night|week))\b"
    ),
    Ask.OFTEN: re.compile(
        r"(?i)\b(?:every|each|once|twice|times|daily|weekly|monthly|yearly|nightly|annually|always|never|often|usually"
        r"|rarely|regularly|sometimes|most|(?:a|per) (?:day|week|month|year)"
        r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days)\b"
    ),
    Ask.NUMBER: re.compile(rf"(?i)\d|[$€£¥]|\b{_NUMBER_WORD}\b"),
    Ask.WHERE: re.compile(
        r"\b(?:in|at|to|from|near|around|through|across|inside|outside|into|visit(?:ed|ing)?)"
        r" (?:the |a |an |my |our |his |her |their )?(?:[A-Z][\w’'-]+|(?:\w+ )?(?:park|beach|home|house|school|town"
        r"|city|country|village|lake|cafe|café|restaurant|office|museum|shop|store|center|centre|church|gym|studio|hospital"
        r"|library|street|road|mountains?|forest|island|coast|university|college|hotel|camp|farm|garden))\b"
    ),
    Ask.WHO: re.compile(
        r"(?i)\b(?:my|our|his|her|their|an?) (?:\w+ )?(?:friends?|mother|mom|mum|father|dad|parents?|brother|sister"
        r"|grand\w+|uncle|aunt|cousin|wife|husband|partner|boyfriend|girlfriend|sons?|daughters?|kids?|children|family"
        r"|boss|colleagues?|neighbou?rs?|teacher|mentor|coach|doctor|therapist|roommates?|team)\b"
    ),
    Ask.WHY: re.compile(
        r"(?i)\b(?:because|since|so that|so i|due to|thanks to|in order to|wanted to|reason|cause[ds]?)\b"
    ),
}
_ASIDE = re.compile(
    r"(?i)\A(?:hey|hi|hello|thanks|thank you|wow|cool|great|awesome|nice|sure|yeah|yep|bye|no worries)\b"
)


def asks(question: str) -> Ask:
    """What kind of thing the question asks for."""
    return next((ask for ask, pattern in _ASK if pattern.search(question)), Ask.OTHER)


def has_cue(ask: Ask, sentence: str, known: frozenset[str] = frozenset()) -> bool:
    """Whether the sentence holds what is asked for; for *who*, a name that is not in ``known`` (lower case)."""
    if ask is Ask.WHEN:
        from mnemic.text.steps.dates import has_time_word

        return has_time_word(sentence)
    if ask is Ask.WHO and any(name.group().lower() not in known for name in _NAME.finditer(sentence)):
        return True
    pattern = _CUES.get(ask)
    return pattern is not None and pattern.search(sentence) is not None


def is_aside(sentence: str) -> bool:
    """Whether the sentence only greets, thanks or cheers."""
    return len(sentence) < 60 and _ASIDE.match(sentence) is not None


def clean(text: str) -> str:
    """``text`` on one line, without control characters and lone surrogates."""
    return " ".join(_CONTROL.sub(" ", text).split())


def sentences(text: str) -> list[str]:
    """The sentences of ``text``, each on one line; a picture's caption stays whole. Linear in the text."""
    picture = text.rfind(_PICTURE) if text.rstrip().endswith("]") else -1
    body = text if picture < 0 else text[:picture]
    found: list[str] = []
    start = 0
    for end in _END.finditer(body):
        if end[0] == "." and _SHORT_FORM.search(body[max(start, end.end() - 8) : end.end()]):
            continue
        found.append(body[start : end.end()])
        start = end.end()
    found.append(body[start:])
    if picture >= 0:
        found.append(text[picture:])
    return [sentence for piece in found if (sentence := clean(piece))]


def date(at: datetime) -> str:
    """``8 May 2023``, in every locale."""
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def period(start: datetime, end: datetime) -> str | None:
    """The half-open ``[start, end)`` in words: a day, a month, a year or ``first to last``. None if it is open."""
    if start.year <= 1 or end.year >= 9999 or end <= start:
        return None
    last = end - timedelta(microseconds=1)
    if start.date() == last.date():
        return date(start)
    if start.day == 1 and end.day == 1:
        if (start.year, start.month) == (last.year, last.month):
            return f"{_MONTHS[start.month - 1]} {start.year}"
        if start.month == end.month == 1:
            return str(start.year) if start.year == last.year else f"{start.year} to {last.year}"
    if (start.year, start.month) == (last.year, last.month):
        return f"{start.day} to {date(last)}"
    return f"{date(start)} to {date(last)}"
