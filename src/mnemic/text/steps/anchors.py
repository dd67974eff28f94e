"""When an event was ("the trip to the lake"), from the turns that speak of it.

People date an event in passing: by the plan ("Thursday the 19th to Sunday the 22nd"), by its approach ("Thursday's
nearly here") and by the report ("the swim on Saturday"). Each such mention near the event's words votes for its days;
mentions that agree add up over sessions, days inside a span speak for the span, and what plans and reports say about
its being still ahead or already over must fit. Rules only: no model, no I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from mnemic.text.encode.base import Floats
from mnemic.text.encode.lexical import tokens, words
from mnemic.text.plan import Candidates, Ints
from mnemic.text.steps.dates import Mention, TimeRange, has_time_word, resolve
from mnemic.text.steps.timex import midnight
from mnemic.text.steps.timex.patterns import pattern
from mnemic.text.steps.timex.tense import about_past, about_plans, sentences
from mnemic.text.steps.timex.tokens import UNITS

DAY = timedelta(days=1)
BEST, REACH, DECAY = 12, 2, 0.6
"""How many turns that match best are read, how many neighbours on either side, and their weight for each step."""
CERTAIN = 0.6
LONGEST = 31 * DAY
"""Mentions less sure, or longer, date no event."""
FADING = 60 * DAY
"""Distance between the saying and the day at which a mention counts half."""
PRECISION = {"day": 1.0, "holiday": 1.0, "night": 1.0, "span": 1.0, "weekend": 0.7, "week": 0.3}
"""What a mention of each grain is worth; other grains are too wide to vote."""
ASIDE = 0.25
"""Weight of a time at which something was only prepared ("I bought the boots on Monday")."""
CHANGED = 2.0
"""Weight of a time that puts an earlier one right ("it is now on the 11th")."""


@dataclass(frozen=True, slots=True)
class Said:
    """A turn that may speak of the event. ``weight`` in (0, 1] says how much it does; a neighbour's is less."""

    text: str
    at: datetime
    session: str | None
    weight: float


@dataclass(frozen=True, slots=True)
class Vote:
    """Whole days that a turn of ``session`` names, and how much that counts. ``span``: it gives both ends."""

    days: TimeRange
    weight: float
    session: str | None
    span: bool


def terms(event: str) -> list[str]:
    """The stems that tell the event from others: without units of time ("our weekend in Bruges") where any are left."""
    return tokens(" ".join(word for word in words(event) if word not in UNITS)) or tokens(event)


def near(c: Candidates, legs: Mapping[str, Floats]) -> tuple[Ints, Floats]:
    """The slots of the turns that match the event's words best, with their neighbours, and the weights [C] of all."""
    if "bm" not in legs:  # the event's words are all stop words
        return np.empty(0, np.int64), np.zeros(len(c.item), np.float32)
    match = (0.7 * legs["bm"] + 0.3 * legs["bmw"]) ** 2  # half of the words are far less than half of the event
    usable = np.flatnonzero(c.eligible & (legs["bm"] > 0))
    weights = np.zeros(len(match), np.float32)
    for slot in usable[np.argsort(-match[usable], kind="stable")[:BEST]]:
        weights[slot] = max(weights[slot], match[slot])
        for step in (c.previous, c.following):
            at, distance = int(slot), 0
            while True:
                distance += step is c.previous or not c.question[at]  # an answer stands as near as its question
                at = int(step[at])
                if at < 0 or distance > REACH:
                    break
                weights[at] = max(weights[at], match[slot] * DECAY**distance)
    return np.flatnonzero((weights > 0) & c.eligible), weights


def date(event: str, turns: Sequence[Said]) -> TimeRange | None:
    """The days of ``event``, whole days in the zones of the turns; where no turn dates it, the day of the first that
    tells of it. ``None`` without turns."""
    stems = frozenset(terms(event))
    if not turns or not stems:
        return None
    votes = list(_votes(stems, turns))
    if not votes:
        return _day_told(turns)
    tensed = list(_tensed(stems, turns))
    scores = {vote.days: _support(vote, votes) * _fitting(vote.days, tensed) for vote in votes}
    return max(scores, key=lambda days: scores[days])


# ---- votes ----------------------------------------------------------------------------------------------------------


def _votes(stems: frozenset[str], turns: Sequence[Said]) -> Iterator[Vote]:
    for turn in turns:
        if has_time_word(turn.text):
            told = resolve(turn.text, turn.at)
            yield from _votes_of(stems, turn, told, frozenset())
            known = frozenset((mention.start, mention.range.start) for mention in told)
            yield from _votes_of(stems, turn, resolve(turn.text, turn.at, ahead=True), known)


def _votes_of(
    stems: frozenset[str], turn: Said, mentions: Sequence[Mention], known: frozenset[tuple[int, datetime]]
) -> Iterator[Vote]:
    """The votes of one reading of a turn. Where the first is ``known``, the second is the coming "Friday" or "9th" of
    sentences that do not speak of the past."""
    before: tuple[Mention, TimeRange] | None = None
    for mention in mentions:
        days = _days(mention)
        if days is None or mention.certainty < CERTAIN or pattern(_OPEN).match(turn.text, mention.start, mention.end):
            before = None
            continue
        led, sentence, whole = _around(turn.text, mention.start)
        if known and ((mention.start, mention.range.start) in known or about_past(sentence)):
            before = None
            continue
        weight = turn.weight * mention.certainty * PRECISION[mention.grain] * (1.0 + _share(stems, whole))
        weight *= ASIDE if pattern(_PREPARING).search(led) or _for(stems, led, sentence) else 1.0
        weight *= 0.5 if _led(_MODIFIED, stems, whole) else 1.0
        weight *= CHANGED if pattern(_CHANGE).search(whole) else 1.0
        yield Vote(days, weight * _near(days, turn.at), turn.session, mention.grain == "span")
        if before and pattern(_RETURN).search(turn.text, before[0].end, mention.end + 20):
            stay = TimeRange(before[1].start, days.end)
            if before[1].end <= days.start and days.end - before[1].start <= LONGEST:
                yield Vote(stay, weight * _near(stay, turn.at), turn.session, True)
        before = mention, days


def _share(stems: frozenset[str], sentence: str) -> float:
    """How much of the event's words the sentence holds."""
    return len(stems.intersection(tokens(sentence))) / len(stems)


def _for(stems: frozenset[str], clause: str, sentence: str) -> bool:
    """Whether something else is told, done before the event or for it."""
    return _led(_ENDS, stems, sentence) or (about_past(clause) and _led(_PURPOSE, stems, clause))


def _led(source: str, stems: frozenset[str], sentence: str) -> bool:
    """Whether one of the event's words is the last of what ``source`` matches in the sentence."""
    return any(
        stems.intersection(tokens(found[2])) and not stems.intersection(tokens(found[1]))
        for found in pattern(source).finditer(sentence)
    )


def _near(days: TimeRange, at: datetime) -> float:
    """People get what is near right, and what was said later corrects what was said before."""
    return 1 / (1 + abs((days.start - at) / FADING))


def _days(mention: Mention) -> TimeRange | None:
    """The whole days of a mention; a night belongs to the day on which it begins."""
    if mention.grain not in PRECISION:
        return None
    start = midnight(mention.range.start)
    if mention.grain == "night":
        return TimeRange(start, start + DAY)
    end = midnight(mention.range.end)
    end = end if end == mention.range.end else end + DAY
    return TimeRange(start, end) if end - start <= LONGEST else None


def _around(text: str, at: int) -> tuple[str, str, str]:
    """The clause that leads to character ``at``, its sentence, and that with what stands before a colon."""
    wide = 0
    for start, sentence in sentences(text):
        if at < start + len(sentence):
            led = sentence[: max(0, at - start)]
            return pattern(_CLAUSE).split(led)[-1], sentence, text[wide : start + len(sentence)]
        if not sentence.endswith((":", ";")):
            wide = start + len(sentence)
    return "", text, text


# ---- the count ------------------------------------------------------------------------------------------------------


def _support(candidate: Vote, votes: Sequence[Vote]) -> float:
    """All that speaks for a candidate's days: of each session its strongest vote for them and for days that overlap."""
    same: dict[str | None, float] = defaultdict(float)
    beside: dict[str | None, float] = defaultdict(float)
    span = any(vote.span for vote in votes if vote.days == candidate.days)
    for vote in votes:
        if vote.days == candidate.days:
            same[vote.session] = max(same[vote.session], vote.weight)
        elif vote.days.start < candidate.days.end and candidate.days.start < vote.days.end:
            inside = span and candidate.days.start <= vote.days.start and vote.days.end <= candidate.days.end
            beside[vote.session] = max(beside[vote.session], vote.weight * (1.0 if inside else 0.5))
    return sum(same.values()) + sum(beside.values())


def _tensed(stems: frozenset[str], turns: Sequence[Said]) -> Iterator[tuple[datetime, bool, float]]:
    """When sentences with the event's words were said, whether they speak of what is to come, and their weight."""
    for turn in turns:
        for _, sentence in sentences(turn.text):
            weight = turn.weight * _share(stems, sentence) * (0.5 if _led(_MODIFIED, stems, sentence) else 1.0)
            if weight and (about_plans(sentence) or _led(_ENDS, stems, sentence)):
                yield turn.at, True, weight
            elif (
                weight
                and about_past(sentence)
                and not pattern(_PREPARING).search(sentence)
                and not _for(stems, sentence, sentence)
            ):
                yield turn.at, False, weight


def _fitting(days: TimeRange, tensed: Sequence[tuple[datetime, bool, float]]) -> float:
    """The share of ``tensed`` that these days agree with: plans before their end, reports after their start."""
    fit = sum(weight for at, ahead, weight in tensed if (at < days.end if ahead else at >= days.start))
    return (1.0 + fit) / (1.0 + sum(weight for _, _, weight in tensed))


def _day_told(turns: Sequence[Said]) -> TimeRange:
    """The day of the first of the best turns that does not speak of plans."""
    best = max(turn.weight for turn in turns)
    good = sorted((turn for turn in turns if turn.weight >= 0.7 * best), key=lambda turn: turn.at)
    told = next((turn for turn in good if not about_plans(turn.text)), good[-1])
    day = midnight(told.at)
    return TimeRange(day, day + DAY)


_OPEN = r"(?i)(?:since|until|till|before|after|by|ever|from .*\bon(?:wards?)?$|following|prior|up to|as of)\b"
_RETURN = r"(?i)\b(?:back|return\w*|home)\b"
_CLAUSE = r"(?i)[,(]\s|\b(?:and|but|so|because|when)\s"
_ENDS = r"(?i)\b(before|until|till) (?:the |an? |my |our |your |his |her |their )?((?:\S+ ){0,1}\S+)"
_PURPOSE = _ENDS.replace("before|until|till", "for")
_MODIFIED = r"(?i)\b(?:the|an?|my|our|your|his|her|their) (\w+) (\w+)"
_CHANGE = (
    r"(?i)\b(?:now on|now (?:be )?(?:at|the)|moved to|instead|change of plan|no wait|after all|postponed)\b"
    r"|\bis on\b.*\bnow\b"
)
_PREPARING = (
    r"(?i)\b(?:ask|asks|asked|buy|bought|pack|packed|order|ordered|pay|paid|sign|signed|print|printed|call|called|rang"
    r"|phoned?|wrote|write|send|sent|tried|practi[sc]ed?|lesson|confirm|confirmed|decide|decided|find|found|talk|talked"
    r"|told|tell|hear|comes?(?! back)|delivered|collect|collected|fetch|fetched"
    r"|(?:i|we|he|she|they)(?:['’]ve)? booked)\b(?!.*\bfor\s*$)"
)
