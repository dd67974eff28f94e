"""The time grammar: what stretch of time, or which sessions, a question asks about; when the events of a turn were.

Rules only: no model, no I/O, a fraction of a millisecond a question. Calendar expressions and their conventions are in
:mod:`mnemic.text.steps.timex`, session expressions in :mod:`mnemic.text.steps.sessions`. A time without a zone is UTC.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from mnemic.text.steps.sessions import SessionGrammar, SessionMention, SessionRef
from mnemic.text.steps.timex import MAX, MIN, Bounds, Grammar, Node, back_by, midnight, shift, tokenise, unit_bounds
from mnemic.text.steps.timex.anchor import find_anchor
from mnemic.text.steps.timex.patterns import pattern
from mnemic.text.steps.timex.talk import about_talk, asks_about_talk, asks_when, has_content, times_of_talk
from mnemic.text.steps.timex.tense import about_past, about_plans, sentences
from mnemic.text.steps.timex.timeword import has_time_word

__all__ = [
    "Mention",
    "SessionRef",
    "TimeQuery",
    "TimeRange",
    "anchored",
    "fallback",
    "has_time_word",
    "parse_question",
    "resolve",
]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open stretch of time ``[start, end)``; both bounds aware, in the zone of the question's ``now``."""

    start: datetime
    end: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.start <= _aware(at) < self.end


@dataclass(frozen=True, slots=True)
class TimeQuery:
    """What a question says about time.

    ranges: union of the stretches meant, ascending; empty where nothing could be resolved. "Before X" begins in year
        1. A range may lie ahead of ``now`` ("next week"): no session can be in it, a plan can.
    sessions: the sessions meant, by number; ``ranges`` is empty then.
    hard: the question is about the conversation itself, so what lies outside is no answer; else the time is a prior.
    when: the question asks for a time ("when", "how long ago", "which year").
    rest: the question without its time expressions; ``content``: whether words to match on are left in it.
    anchor: an event that fixes the time, to be found first ("the trip"), with its relation (``before``, ``after``,
        ``during``, ``around``) and how far it reaches (``anchor_count`` times ``anchor_unit``; no unit: open).
        :func:`anchored` turns the event's date into ranges.
    grain: the kind of the only expression there is (``day``, ``week``, ``earlier``, ...), for :func:`fallback`.
    """

    ranges: tuple[TimeRange, ...] = ()
    sessions: SessionRef | None = None
    hard: bool = False
    when: bool = False
    rest: str = ""
    content: bool = False
    anchor: str | None = None
    anchor_relation: str | None = None
    anchor_unit: str | None = None
    anchor_count: float = 1.0
    grain: str | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A time expression ``text[start:end]``, the stretch it means, how sure that is (0 to 1) and its kind."""

    start: int
    end: int
    range: TimeRange
    certainty: float
    grain: str


def parse_question(text: str, now: datetime, *, dates: Sequence[datetime] = ()) -> TimeQuery:
    """What ``text``, asked at ``now``, says about time. Never raises, whatever the text.

    ``dates`` are the starts of the space's sessions, ascending. With them a date without a year that lies after the
    last session is taken a year earlier, and "earlier today" leaves out the session that is going on.
    """
    now = _aware(now)
    grammar = Grammar(
        tokenise(text),
        now.replace(tzinfo=None),
        oldest=_wall(dates[0], now.tzinfo) if dates else None,
        newest=shift(midnight(_wall(dates[-1], now.tzinfo)), 1) if dates else None,
    )
    sessions = SessionGrammar(grammar).scan()
    places = grammar.scan([any(m.start <= i < m.end for m in sessions) for i in range(len(grammar.tokens))])
    anchor = find_anchor(text, grammar) if not places and not sessions else None
    spans = [(grammar.tokens[i].start, grammar.tokens[j - 1].end) for _, i, j in places]
    named = [(grammar.tokens[m.start].start, grammar.tokens[m.end - 1].end) for m in sessions]
    rest = _without(text, spans + named + ([anchor.span] if anchor else []))
    content = has_content(rest)
    hard = about_talk(text, content, spans, [node for node, _, _ in places])
    if hard and len(spans) > 1:
        places = [places[k] for k in times_of_talk(text, spans)]
    aside = content and not asks_about_talk(text)
    ref = _reference(sessions, places, aside, now.tzinfo)
    ranges = () if ref else _merged((_bounds(node, now, dates) for node, _, _ in places), now.tzinfo)
    return TimeQuery(
        ranges=ranges,
        sessions=ref,
        hard=not (content and any(m.vague for m in sessions)) if ref else bool(ranges or anchor) and hard,
        when=asks_when(text),
        rest=rest,
        content=content,
        anchor=anchor.text if anchor else None,
        anchor_relation=anchor.relation if anchor else None,
        anchor_unit=anchor.unit if anchor else None,
        anchor_count=anchor.count if anchor else 1.0,
        grain=places[0][0].grain if len(places) == 1 else None,
    )


def fallback(query: TimeQuery, now: datetime, dates: Sequence[datetime]) -> TimeQuery:
    """``query`` with another range where none of ``dates`` (session starts, ascending) lies in its own.

    The first of these that holds a session: for a part of a day the whole day ("earlier today": up to the session
    that is going on); the range a day earlier (people count elapsed days, calendars midnights); for a day or a weekend
    the same one of the 8 weeks before; the range widened on both sides by 1, 3, 7, then 14 days. A query without a
    range, or whose range holds a session, comes back unchanged, and so does one for which nothing is found.
    """
    starts = [_aware(at) for at in dates]
    if not query.ranges or _hit(query.ranges, starts):
        return query
    tries: list[tuple[float, float]] = [(-1, -1)]
    if query.grain in ("day", "weekend"):
        tries += [(-7 * weeks, -7 * weeks) for weeks in range(1, 9)]
    tries += [(-days, days) for days in (1, 3, 7, 14)]
    walls = [(r.start.replace(tzinfo=None), r.end.replace(tzinfo=None)) for r in query.ranges]
    zone = query.ranges[0].start.tzinfo
    candidates = [
        _merged(((_moved(start, low), _moved(end, high)) for start, end in walls), zone) for low, high in tries
    ]
    if query.grain == "earlier":
        today = midnight(_aware(now))
        candidates.insert(0, (TimeRange(today, max(_going_on(_aware(now), starts) or _aware(now), today)),))
    elif query.grain == "night":
        days = ((midnight(start), _moved(midnight(_moved(end, -1e-6)), 1)) for start, end in walls)
        candidates.insert(0, _merged(days, zone))
    return next((replace(query, ranges=ranges) for ranges in candidates if _hit(ranges, starts)), query)


def anchored(query: TimeQuery, event: TimeRange, now: datetime) -> TimeQuery:
    """``query`` with the range that its anchor event fixes, once the event has been found and dated.

    "In the week before the trip" becomes the 7 days before ``event``. Without a unit "before" is open to the past and
    "after" runs to ``now``; "during" is the event itself (with a unit, "the month of", that calendar unit), "around"
    the unit (a week without one) on either side.
    """
    start, end, unit, count = event.start, event.end, query.anchor_unit, query.anchor_count
    if query.anchor_relation == "before":
        start, end = (_back(start, unit, count) if unit else MIN.replace(tzinfo=start.tzinfo)), start
    elif query.anchor_relation == "after":
        start, end = end, (_back(end, unit, -count) if unit else max(_aware(now), end))
    elif query.anchor_relation == "around":
        start, end = _back(start, unit or "week", count), _back(end, unit or "week", -count)
    elif unit:
        low, high = unit_bounds(start.replace(tzinfo=None), unit)
        start, end = min(start, low.replace(tzinfo=start.tzinfo)), max(end, high.replace(tzinfo=end.tzinfo))
    return replace(query, ranges=(TimeRange(start, end),))


def resolve(text: str, said: datetime, *, ahead: bool | None = None) -> list[Mention]:
    """The time expressions of a turn said at ``said``, left to right; never raises.

    A sentence that speaks of the future ("will", "next", "isn't until", "we're leaving") takes "on Friday" and "in
    May" as the coming ones, every other sentence as the latest. A weekday and a day of the month must agree: "Sunday
    the 9th" is the nearest 9th that is a Sunday, with a preference for what the sentence speaks of. "I've had them for
    3 years" gives when that began, with the grain ``since``. ``ahead`` decides for all sentences instead.
    """
    said = _aware(said)
    mentions = []
    for begin, sentence in sentences(text):
        tokens = tokenise(sentence)
        coming = about_plans(sentence) if ahead is None else ahead
        behind = not coming and about_past(sentence)
        grammar = Grammar(tokens, said.replace(tzinfo=None), ahead=coming, behind=behind, plans=True)
        earlier: Node | None = None
        for node, i, j in grammar.scan([False] * len(tokens)):
            if coming and earlier and node.find and not node.yearly and node.start < earlier.start:
                start, end = node.find(earlier.start, 1)  # "leave on the 12th of April and come back on the 16th"
                node = node._replace(start=start, end=end)
            earlier = node if node.grain == "day" else earlier
            mentions.append(
                Mention(
                    begin + tokens[i].start,
                    begin + tokens[j - 1].end,
                    TimeRange(node.start.replace(tzinfo=said.tzinfo), node.end.replace(tzinfo=said.tzinfo)),
                    round(node.sure, 3),
                    node.grain,
                )
            )
    return mentions


# ---- what the question is about -------------------------------------------------------------------------------------


def _reference(
    sessions: list[SessionMention], places: list[tuple[Node, int, int]], aside: bool, zone: tzinfo | None
) -> SessionRef | None:
    """The sessions meant; one that counts does so inside the time beside it ("the second session on 8 May").

    "In our previous chat you named a shop" means some earlier session, not the last one: no reference.
    """
    if not sessions or (aside and all(m.vague for m in sessions) and not places):
        return None
    spans = tuple(span for mention in sessions for span in mention.spans)
    if places and any(mention.ordinal for mention in sessions):
        node = places[0][0]
        return SessionRef(spans, (node.start.replace(tzinfo=zone), node.end.replace(tzinfo=zone)))
    return SessionRef(spans)


# ---- ranges ---------------------------------------------------------------------------------------------------------


def _bounds(node: Node, now: datetime, dates: Sequence[datetime]) -> Bounds:
    """Bounds of a node; "earlier today" ends where the latest of several sessions of the day began."""
    current = _going_on(now, dates) if node.grain == "earlier" else None
    if current and node.start < (begun := _wall(current, now.tzinfo)) < node.end:
        return node.start, begun
    return node.start, node.end


def _going_on(now: datetime, dates: Sequence[datetime]) -> datetime | None:
    """The start of today's latest session where it is not today's only one."""
    today = midnight(now)
    begun = [at for at in map(_aware, reversed(dates[-48:])) if today <= at <= now]
    return begun[0] if len(begun) > 1 else None


def _merged(bounds: Iterable[Bounds], zone: tzinfo | None) -> tuple[TimeRange, ...]:
    merged: list[Bounds] = []
    for start, end in sorted(bounds):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return tuple(TimeRange(start.replace(tzinfo=zone), end.replace(tzinfo=zone)) for start, end in merged)


def _hit(ranges: Sequence[TimeRange], dates: Sequence[datetime]) -> bool:
    """Whether one of ``dates`` (ascending, aware) lies in one of ``ranges``."""
    return any(bisect_left(dates, each.start) < bisect_left(dates, each.end) for each in ranges)


def _moved(at: datetime, days: float) -> datetime:
    """Wall-clock time ``at`` moved by days; the ends of time stay where they are."""
    return at if at in (MIN, MAX) else shift(at, days)


def _back(at: datetime, unit: str, count: float) -> datetime:
    return back_by(at.replace(tzinfo=None), unit, count).replace(tzinfo=at.tzinfo)


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _wall(at: datetime, zone: tzinfo | None) -> datetime:
    """Wall-clock time of ``at`` in ``zone``, held inside the years 1 to 9999."""
    try:
        return _aware(at).astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return MIN if at.year < 5000 else MAX


# ---- words ----------------------------------------------------------------------------------------------------------


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """``text`` less the spans and the small words that led to them."""
    kept, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            kept.append(pattern(_LEADING).sub("", text[at:start]))
            at = end
    return pattern(r"\s+([?.!,])").sub(r"\1", " ".join(" ".join([*kept, text[at:]]).split())).strip(" ,")


_LEADING = (
    r"(?i)(?:\b(?:back|some ?time|early|late|dated|from|in|on|at|of|over|during|for|throughout|across|the|our|within|by"
    r"|to|around|about|way)\s+)+$"
)
