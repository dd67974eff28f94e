"""The time grammar: what stretch of time, or which sessions, a question asks about; when the events of a turn were.

Rules only: no model, no I/O, a fraction of a millisecond a question. The reading of expressions is in
:mod:`mnemic.text.steps.timex` (calendar) and :mod:`mnemic.text.steps.sessions` (sessions).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from mnemic.text.steps.sessions import SessionGrammar, SessionMention, SessionRef
from mnemic.text.steps.timex import (
    MAX,
    MIN,
    UNITS,
    Bounds,
    Grammar,
    Node,
    back_by,
    midnight,
    shift,
    tokenise,
)

__all__ = ["Mention", "SessionRef", "TimeQuery", "TimeRange", "anchored", "fallback", "has_time_word", "parse_question", "resolve"]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open stretch of time ``[start, end)``; both bounds aware, in the zone of the question's ``now``."""

    start: datetime
    end: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class TimeQuery:
    """What a question says about time."""

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
    """A time expression ``text[start:end]``, the stretch it means and how sure that is (0 to 1)."""

    start: int
    end: int
    range: TimeRange
    certainty: float
    grain: str


def parse_question(text: str, now: datetime, *, dates: Sequence[datetime] = ()) -> TimeQuery:
    now = _aware(now)
    zone = now.tzinfo
    wall = now.replace(tzinfo=None)
    walls = [_wall(at, zone) for at in dates]
    tokens = tokenise(text)
    newest = shift(midnight(walls[-1]), 1) if walls else None
    grammar = Grammar(tokens, wall, floor=walls[0] if walls else None, newest=newest)
    sessions = SessionGrammar(grammar).find()
    nodes = _scan(grammar, sessions)
    ref, nodes = _session_ref(grammar, sessions, nodes, zone)
    when = bool(_WHEN.search(text))
    spans = [(tokens[i].start, tokens[j - 1].end) for _, i, j in nodes]
    spans += [(tokens[m.start].start, tokens[m.end - 1].end) for m in sessions]
    anchor = _anchor(text, grammar, nodes, sessions) if not nodes and not ref else None
    if anchor:
        spans.append(anchor.span)
    rest = _without(text, spans)
    talk = bool(_ABOUT_TALK.search(text))
    ranges = _earlier_than_last(nodes, walls, wall)
    bounds = _union(ranges)
    return TimeQuery(
        ranges=tuple(TimeRange(_at(a, zone), _at(b, zone)) for a, b in bounds) if not ref else (),
        sessions=ref,
        hard=bool(ref) or bool(talk and (nodes or anchor)),
        when=when,
        rest=rest,
        content=bool(_content(rest)),
        anchor=anchor.text if anchor else None,
        anchor_relation=anchor.relation if anchor else None,
        anchor_unit=anchor.unit if anchor else None,
        anchor_count=anchor.count if anchor else 1.0,
        grain=nodes[0][0].grain if len(nodes) == 1 else None,
    )


def fallback(query: TimeQuery, now: datetime, dates: Sequence[datetime]) -> TimeQuery:
    """``query`` with another range when none of ``dates`` (session starts, ascending) lies in its own.

    Tried in order, the first that holds a session wins: the range a day earlier (people count elapsed days, calendars
    count midnights); for a single day the same weekday of the 8 weeks before; the range widened on both sides by 1,
    3, 7 and 14 days. A query without a range, or whose range holds a session, comes back unchanged.
    """
    if not query.ranges or not dates or _hit(query.ranges, dates):
        return query
    day = [TimeRange(shift(r.start, -1), shift(r.end, -1)) for r in query.ranges]
    tries = [day]
    if query.grain == "earlier":
        tries = [[TimeRange(_floor(r.start), max(r.end, _floor(r.start))) for r in query.ranges]]
        tries.append([TimeRange(_floor(r.start), shift(_floor(r.start), 1)) for r in query.ranges])
    if query.grain in ("day", "weekend"):
        tries += [[TimeRange(shift(r.start, -7 * k), shift(r.end, -7 * k)) for r in query.ranges] for k in range(1, 9)]
    tries += [[TimeRange(shift(r.start, -n), shift(r.end, n)) for r in query.ranges] for n in (1, 3, 7, 14)]
    for ranges in tries:
        if _hit(tuple(ranges), dates):
            return replace(query, ranges=tuple(ranges))
    return query


def _floor(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _hit(ranges: tuple[TimeRange, ...], dates: Sequence[datetime]) -> bool:
    return any(_aware(at) in each for at in dates for each in ranges)


def anchored(query: TimeQuery, event: TimeRange, now: datetime) -> TimeQuery:
    """``query`` with the range its anchor event fixes, once the event has been found and dated.

    "In the week before the trip" becomes the 7 days before ``event``; without a unit, ``before`` is open to the past
    and ``after`` runs to now; ``during`` is the event itself, ``around`` a week on either side.
    """
    start, end = event.start, event.end
    unit, count = query.anchor_unit, query.anchor_count
    if query.anchor_relation == "before":
        start, end = (_moved(event.start, unit, count) if unit else MIN.replace(tzinfo=event.start.tzinfo)), event.start
    elif query.anchor_relation == "after":
        start, end = event.end, (_moved(event.end, unit, -count) if unit else max(_aware(now), event.end))
    elif query.anchor_relation == "around":
        start, end = _moved(event.start, unit or "week", count), _moved(event.end, unit or "week", -count)
    return replace(query, ranges=(TimeRange(start, max(start, end)),))


def _moved(at: datetime, unit: str, count: float) -> datetime:
    return back_by(at.replace(tzinfo=None), unit, count).replace(tzinfo=at.tzinfo)


def resolve(text: str, said: datetime) -> list[Mention]:
    said = _aware(said)
    wall = said.replace(tzinfo=None)
    found = []
    for sentence in _SENTENCE.finditer(text):
        tokens = tokenise(sentence[0])
        ahead = bool(_FUTURE.search(sentence[0]))
        grammar = Grammar(tokens, wall, ahead=ahead)
        for node, i, j in _scan(grammar, []):
            sure = node.sure * (0.8 if node.yearly else 1.0)
            span = TimeRange(_at(node.start, said.tzinfo), _at(node.end, said.tzinfo))
            base = sentence.start()
            found.append(Mention(base + tokens[i].start, base + tokens[j - 1].end, span, round(sure, 3), node.grain))
    return found


def has_time_word(text: str) -> bool:
    return bool(_TIME_WORD.search(text))


# ---- reading ----------------------------------------------------------------------------------------------------

Place = tuple[Node, int, int]


def _scan(grammar: Grammar, sessions: Sequence[SessionMention]) -> list[Place]:
    """Every time expression outside the session expressions, left to right, with its first and last token."""
    taken = [False] * (len(grammar.tokens) + 1)
    for mention in sessions:
        taken[mention.start : mention.end] = [True] * (mention.end - mention.start)
    places: list[Place] = []
    i = 0
    while i < len(grammar.tokens):
        found = None if taken[i] or grammar.kinds[i] == "mark" else grammar.expression(i)
        if found and not any(taken[i : found[1]]) and found[0].start < found[0].end:
            places.append((found[0], i, found[1]))
            i = found[1]
        else:
            i += 1
    return places


def _session_ref(
    grammar: Grammar, sessions: list[SessionMention], nodes: list[Place], zone: tzinfo | None
) -> tuple[SessionRef | None, list[Place]]:
    """The sessions meant; an ordinal one is counted inside the time expression beside it."""
    if not sessions:
        return None, nodes
    first = sessions[0]
    spans = tuple(span for mention in sessions for span in mention.ref.spans)
    ref = SessionRef(spans)
    if first.ordinal and nodes:
        node = nodes[0][0]
        ref = replace(ref, within=(_at(node.start, zone), _at(node.end, zone)))
    return ref, nodes


def _earlier_than_last(nodes: list[Place], walls: list[datetime], now: datetime) -> list[Bounds]:
    """Bounds of the nodes; "earlier today" ends where the latest of several sessions of the day begins."""
    bounds = []
    for node, _, _ in nodes:
        end = node.end
        if node.grain == "earlier":
            today = [at for at in walls if midnight(now) <= at <= now]
            if len(today) > 1 and node.start < today[-1] < end:
                end = today[-1]
        bounds.append((node.start, end))
    return bounds


def _union(bounds: list[Bounds]) -> list[Bounds]:
    merged: list[Bounds] = []
    for start, end in sorted(bounds):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


@dataclass(frozen=True, slots=True)
class _Anchor:
    text: str
    relation: str
    unit: str | None
    count: float
    span: tuple[int, int]


_RELATION = {
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
_NO_ANCHOR = {"that", "this", "it", "then", "all", "which", "each", "now", "", "effect", "care"}


def _anchor(text: str, grammar: Grammar, nodes: list[Place], sessions: list[SessionMention]) -> _Anchor | None:
    """An event that fixes the time: ``the week before the trip``, ``after she moved``, ``during the holidays``."""
    tokens, words, kinds = grammar.tokens, grammar.words, grammar.kinds
    for k in range(len(tokens)):
        relation = _RELATION.get(words[k])
        if not relation:
            continue
        j = k + 1
        if words[k] in ("prior", "leading"):
            j += words[j] == "up"
            if words[j] != "to":
                continue
            j += 1
        if words[k] == "around":
            if words[j] != "the" or words[j + 1] != "time":
                continue
            j += 2 + (words[j + 2] in ("of", "when", "that"))
        if words[j] in _NO_ANCHOR or kinds[j] in ("mark", "clock", "int"):
            continue
        end = j
        while end < len(tokens) and kinds[end] not in ("mark", "dash"):
            end += 1
        if k < 4 and end < len(tokens) and words[end] == ",":
            pass
        unit, count, start = _anchor_unit(grammar, k)
        phrase = text[tokens[j].start : tokens[end - 1].end]
        if start == 0 and not (end < len(tokens) and words[end] == ","):
            phrase = phrase.split(" did ")[0].split(" what ")[0]
        return _Anchor(phrase, relation, unit, count, (tokens[start].start, tokens[j].start + len(phrase)))
    return None


def _anchor_unit(grammar: Grammar, k: int) -> tuple[str | None, float, int]:
    """The unit and count before the relation at token ``k`` (``two weeks before``), and where they begin."""
    words = grammar.words
    if k and words[k - 1] in UNITS:
        unit = UNITS[words[k - 1]]
        for back in (4, 3, 2, 1):
            at = k - 1 - back
            if at >= 0 and (count := grammar.quantity(at)) and count[1] == k - 1:
                return unit, count[0].high, max(0, at)
        return unit, 1.0, max(0, k - 2 if words[k - 2] == "the" else k - 1)
    return None, 1.0, k


# ---- words ------------------------------------------------------------------------------------------------------


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """``text`` less the spans and the prepositions that led to them."""
    out, at = [], 0
    for start, end in sorted(spans):
        if start < at:
            continue
        out.append(_LEADING.sub(" ", text[at:start]))
        at = end
    out.append(text[at:])
    return re.sub(r"\s+", " ", " ".join(out)).replace(" ?", "?").strip(" ,")


def _content(rest: str) -> list[str]:
    return [w for w in _WORDS.findall(rest.lower().replace("’", "'")) if (w not in _STOP and not w.endswith("'s")) or (w.endswith("'s") and w[:-2] not in _STOP)]


_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_LEADING = re.compile(
    r"\s*\b(?:(?:back|some ?time|as early as|as late as|dated|from|in|on|at|of|over|during|for|throughout|across|the|our|within|by|to|around|about|that|way)\s+)*$", re.I
)
_SENTENCE = re.compile(r"[^.!?\n]*(?:(?<=\w)\.(?=\w)[^.!?\n]*|(?<=[a-z]{3})\.(?=\s[0-9])[^.!?\n]*)*[.!?\n]*")
_WHEN = re.compile(
    r"\bwhen\b(?!\s+(?:we|you|i)\s+(?:talked|spoke))|\bhow\s+(?:long|recently|soon|many\s+(?:days|weeks|months|years|hours))\b"
    r"|\b(?:what|which|on\s+what|in\s+what)\s+(?:exact\s+)?(?:date|day|year|month|week|weekday|time|season)s?\b|\bsince\s+when\b|\bhow\s+old\b",
    re.I,
)
_TALK = (
    r"(?:discuss|talk|chat|spoke|speak|say|said|tell|told|mention|cover|go\s+over|went\s+over|bring\s+up|brought\s+up|converse|touch(?:ed)?\s+(?:on|upon)"
    r"|exchange|address|ask|share|text|message|wr[io]te)"
)
_ABOUT_TALK = re.compile(
    rf"\b(?:we|us|you\s+and\s+i|i|you)\b(?:\s+\w+){{0,3}}?\s+{_TALK}\w*"
    r"|\b(?:our|the|that|this|those|these|last|any|your|my)\s+(?:\w+\s+){0,3}?(?:conversation|chat|discussion|dialogue|talk|session|exchange|message)s?\b"
    rf"|\b(?:was|were|been|got|get|is|as)\s+(?:\w+\s+)?(?:said|discussed|mentioned|talked\s+about|brought\s+up|covered|chatted|spoken)\b"
    rf"|\bwhat\b.*\b{_TALK}\w*"
    r"|\b(?:summari[sz]e|summary|recap|remind\s+me|topics?|catch\s+me\s+up|talking\s+about)\b"
    r"|\bdid\s+\w+(?:\s+and\s+\w+)?\s+(?:discuss|say|mention|talk|tell|ask|chat|speak|suggest|bring)\b|\bsaid\b|\bmentioned\b",
    re.I | re.S,
)
_FUTURE = re.compile(
    r"\b(?:will|shall|going\s+to|gonna|wanna|'ll|’ll|next|upcoming|planning|plan\s+to|plans?|looking\s+forward|can't\s+wait|can’t\s+wait|soon|tomorrow|about\s+to|scheduled|hoping|coming\s+up)\b"
    r"|\w['’]ll\b",
    re.I,
)
_MONTH_WORD = r"(?:January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
_TIME_WORD = re.compile(
    r"\b(?:(?i:yesterday|today|tonight|tomorrow|ago|weekend|weekends|fortnight|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    r"|january|february|april|june|july|august|september|october|november|december"
    r"|christmas|xmas|easter|halloween|thanksgiving|midnight|noon"
    r"|(?:last|next|this|past|previous|coming|every|each|the\s+other)\s+(?:\w+\s+)?(?:minute|hour|night|morning|afternoon|evening|day|week|month|year|summer|spring|autumn|fall|winter|season|decade|time)s?"
    r"|(?:in|since|during|until|by|from|of)\s+(?:the\s+)?(?:early\s+|late\s+|mid-?)?(?:summer|spring|autumn|fall|winter|[12][0-9]{3}s?)"
    r"|(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|few|couple\s+of|several|many)\s+(?:minute|hour|day|night|week|month|year|decade)s?"
    r"|(?:the\s+)?day\s+(?:before|after)|week\s+(?:before|after|of)|recently|lately|earlier)"
    r"|(?:19|20)[0-9]{2}|[0-9]{1,2}(?:st|nd|rd|th)|[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{2,4}|[0-9]{1,2}:[0-9]{2}|[0-9]{1,2}\s?(?:am|pm|AM|PM)"
    r"|May|March|Jan|Feb|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b"
)
_STOP = {
    *"""a an the and or but if of in on at to for from by with about as into over under through between across during after before
    is are was were be been being am do does did done doing have has had having will would shall should can could may might must
    i me my mine myself we us our ours ourselves you your yours yourself he him his she her hers it its they them their theirs
    this that these those there here what which who whom whose when where why how
    not no nor so too very just also then than some any all each every both few more most other such only own same
    did discuss discussed discussing discussion discussions talk talked talking talks chat chatted chatting chats speak spoke spoken
    speaking say said says saying tell told telling mention mentioned mentioning conversation conversations converse session sessions
    cover covered covering go went going bring brought up exchange exchanged message messages dialogue share shared
    thing things stuff sort sorts kind kinds topic topics subject subjects something anything everything matters
    please summarize summarise summary recap remind remember recall list describe give get got let know
    quite bit lot several time times happened happen happening come came detail details much many content see calendar trying
    try back far yes okay ok ever again one ones i'm i'd i've we've we'd we're you've you'd what's that's it's don't didn't can't cannot couldn't
    last first sort main overall really actually exactly able need want like""".split()
}


# ---- zones ------------------------------------------------------------------------------------------------------


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _wall(at: datetime, zone: tzinfo | None) -> datetime:
    """Wall-clock time of ``at`` in ``zone``, held inside the years 1 to 9999."""
    try:
        return _aware(at).astimezone(zone).replace(tzinfo=None)
    except (OverflowError, ValueError):
        return MIN if at.year < 5000 else MAX


def _at(wall: datetime, zone: tzinfo | None) -> datetime:
    return wall.replace(tzinfo=zone)
