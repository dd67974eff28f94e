"""From a question to a chain of table steps, by a grammar: which utterances are meant, and what is left to search for.

What a question says about time and sessions is read by :mod:`mnemic.text.steps.dates`; here it becomes steps, together
with weekdays, parts of the day, speakers and places in the conversation ("the last three messages"). A question that
cannot be read by itself ("what did we discuss then?") is read together with the lines before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mnemic.text.encode.lexical import fold
from mnemic.text.steps.dates import TimeQuery, TimeRange, parse_question
from mnemic.text.steps.table import DAYS, ROLES, USER, Step
from mnemic.text.steps.timex.talk import about_talk, has_content
from mnemic.text.steps.timex.tokens import NUMBERS, PARTS_OF_DAY

_SAY = (
    r"(?:say|said|tell|told|mention(?:ed)?|ask(?:ed)?|suggest(?:ed)?|recommend(?:ed)?|advise[d]?|write|wrote|bring up"
    r"|talk(?:ed)? about|share|answer(?:ed)?|repl(?:y|ied)|propose[d]?|promise[d]?)"
)
_MESSAGE = r"(?:messages?|utterances?|remarks?|repl(?:y|ies)|responses?)"
_COUNT = rf"(?P<count>\d{{1,3}}|{'|'.join(NUMBERS)})"
_PLACE = re.compile(
    rf"(?i)\b(?:the )?(?:very )?(?P<end>first|last|latest|opening|final) (?:{_COUNT} )?"
    rf"(?:{_MESSAGE}\b|things? (?=(?:that )?(?:\w+ ){{0,2}}{_SAY}))"
)
_HABIT = re.compile(
    rf"(?i)\b(?:on |every |in the |at |over |during )?(?P<what>(?:{'|'.join(DAYS)}|weekend|weekday"
    r"|morning|afternoon|evening|night)s|every (?:" + "|".join(DAYS) + r"))\b"
)
_SAYS = (
    rf"\b(?:did|has|had|does) NAME (?:\w+ ){{0,2}}?{_SAY}\b|NAME {_SAY}\b|NAME (?:\w+ ){{0,2}}?{_MESSAGE}\b"
    rf"|\b(?:{_MESSAGE}|said|sent) (?:by|from) NAME"
)
_YOU_SAID = (
    r"\b(?:did|had|have) NAME (?:\w+ ){0,2}?" + _SAY + r"\b|NAME (?:said|told|mentioned|asked|suggested|recommended)\b"
    rf"|\b{_MESSAGE} (?:by|from) NAME"
)
"""As :data:`_SAYS` for "I" and "you", who are also asked to say something now ("can you tell me ...")."""
_DANGLING = re.compile(
    r"(?i)\b(?:then|(?:that|this|the same|those|these) (?:\w+ )?(?:days?|times?|weeks?|weekends?|months?|years?|morning"
    r"|afternoon|evening|night|sessions?|conversations?|chats?|discussions?|talks?|periods?))\b"
)
_TIMES = ("session", "day", "date", "time", "moment")


@dataclass(frozen=True, slots=True)
class Route:
    """What a question needs. ``text`` is the question as it was read, with the lines before it where it needs them.

    ``chain`` narrows the table; ``asked`` is what was said about time; ``words`` what is left to search for, and
    ``content`` whether it says anything; ``near`` are stretches of time that the question dates something by that need
    not be when it was told.
    """

    text: str
    chain: tuple[Step, ...]
    content: bool
    words: str
    asked: TimeQuery
    near: tuple[TimeRange, ...] = ()


def route(
    question: str, now: datetime, *, before: Sequence[str] = (), dates: Sequence[datetime] = (), speakers: Sequence[str]
) -> Route:
    """Read ``question``, asked at ``now``; with the lines ``before`` it only where it cannot be read by itself.

    ``dates`` are the starts of the space's sessions, ascending; ``speakers`` who speaks in the table. Never raises.
    """
    alone = read(question, now, dates, speakers)
    if not before or not dangles(alone):
        return alone
    whole = read("\n".join([*before, question]), now, dates, speakers)
    return whole if whole.chain or whole.content else alone


def dangles(found: Route) -> bool:
    """Whether a question needs what was said before it: it points to a time without naming one, or says nothing."""
    if _DANGLING.search(found.text):
        return not (found.near or found.asked.anchor or any(step.column in _TIMES for step in found.chain))
    return not found.chain and not found.content


def read(text: str, now: datetime, dates: Sequence[datetime], speakers: Sequence[str]) -> Route:
    """What ``text`` says by itself."""
    asked = parse_question(text, now, dates=dates)
    rest = asked.rest if asked.hard else text
    chain: list[Step] = []
    if asked.sessions is not None and asked.hard:
        chain.append(Step("f_value", "session", tuple(place + 1 for place in asked.sessions.pick(dates))))
    elif asked.hard:
        chain += in_time(asked.ranges)
    place = _PLACE.search(rest)  # found before the name goes that it may end with, applied after the speaker
    who, rest = _speaker(rest, speakers)
    if who or about_talk(text, has_content(rest), [], []):  # else "on Fridays" tells what people do, not when they talk
        chain += [_habit(habit["what"].lower()) for habit in _HABIT.finditer(rest)]
        rest = _HABIT.sub(" ", rest)
    chain += who
    if place:
        count = int(place["count"]) if (place["count"] or "").isdigit() else NUMBERS.get(fold(place["count"] or ""), 1)
        first = place["end"].lower() in ("first", "opening")
        chain.append(Step("f_between", "response", ((1, count) if first else (-count, -1),)))
        rest = rest.replace(place[0], " ")
    rest = " ".join(rest.split())
    near = () if asked.hard else tuple(r for r in asked.ranges if r.start <= now)
    return Route(text, tuple(chain), has_content(rest), rest, asked, near)


def in_time(ranges: Sequence[TimeRange]) -> list[Step]:
    """Ranges as a step: whole days by date, others by moment."""
    if not ranges:
        return []
    instant = timedelta(microseconds=1)
    if all(_midnight(r.start) and _midnight(r.end) for r in ranges):
        spans = tuple((r.start.date(), (r.end - instant).date()) for r in ranges)
        if len(spans) == 1 and spans[0][0] == spans[0][1]:
            return [Step("f_value", "date", (spans[0][0],))]
        return [Step("f_between", "date", spans)]
    return [Step("f_between", "moment", tuple((r.start, r.end - instant) for r in ranges))]


def _midnight(at: datetime) -> bool:
    return (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0) or at.year >= 9999


def _habit(what: str) -> Step:
    """``mornings``, ``on Fridays``, ``weekends`` as a step."""
    name = what.removeprefix("every ")
    name = name if name in DAYS else name.removesuffix("s")
    if name in PARTS_OF_DAY:
        low, high = PARTS_OF_DAY[name]
        return Step("f_between", "time", ((60 * low, 60 * high - 1),))
    days = {"weekend": DAYS[5:], "weekday": DAYS[:5]}.get(name, (name,))
    return Step("f_value", "day", tuple(days))


def _speaker(text: str, speakers: Sequence[str]) -> tuple[list[Step], str]:
    """Whose utterances are asked for ("what did Ana say"), and the text without the name; nobody's where several."""
    folded = fold(text)
    named = {
        name
        for name in speakers
        for form in _forms(name)
        if form in folded and re.search((_YOU_SAID if name in ROLES else _SAYS).replace("NAME", _alone(form)), folded)
    }
    if len(named) != 1:
        return [], text
    (name,) = named
    forms = "|".join(re.escape(form) for form in sorted(_forms(name), key=len, reverse=True))
    return [Step("f_value", "speaker", (name,))], re.sub(rf"(?i)(?<!\w)(?:{forms})(?!\w)", " ", text, count=1)


def _alone(form: str) -> str:
    """A pattern for a name that is not one of several ("Ana and Ben")."""
    return rf"(?<!\w)(?<!\band )(?<!\bor ){re.escape(form)}(?:'s)?(?!\w)(?! (?:and|or)\b)"


def _forms(name: str) -> set[str]:
    """The ways to name a speaker: in full, by the first name; by role, as one who speaks to the memory does."""
    if name in ROLES:
        return {"i" if name == USER else "you"}
    folded = fold(name).strip()
    return {folded, folded.split()[0]} if folded else set()
