"""Whether a question asks for what was said or for what happened, and the words that carry no topic of their own."""

from __future__ import annotations

from collections.abc import Sequence

from mnemic.text.steps.timex.patterns import pattern
from mnemic.text.steps.timex.tokens import PARTS_OF_DAY, TODAY, UNITS, WEEKDAYS, Node

Chars = tuple[int, int]  # a stretch of characters [start, end)

_SAY = (
    r"(?:discuss|talk|chat|spoke|speak|say|said|tell|told|mention|cover|go over|went over|go through|went through"
    r"|bring up|brought up|come up|came up|convers|touch(?:ed)? (?:on|upon)|raise|exchange|recommend|suggest|advis|ask"
    r"|bring|address)"
)
_TALK = r"(?:conversation|chat|discussion|dialogue|talk|session|exchange|topic|subject|theme)s?"
_SOME = r"(?: \w+){0,3}? "
_ASKED = r"(?:what|which|who|anything|something|everything|all|topics?|subjects?|things?)"
_PASSIVE = r"(?:was|were|been|is|got|get|has|have)"
# "what did we discuss", "have you told me", "what was said", "what came up": the talk itself is what is asked for
_WE_ASK = (
    r"(?i)"
    rf"\b(?:did|do|have|had|has|were|was|are|'d|would|what'd) (?:we|i|you|both of us|you and i)\b{_SOME}{_SAY}"
    rf"|\b{_ASKED}(?: \w+){{0,2}} (?:we|you|i)(?:'ve|'d)?\b{_SOME}{_SAY}"
    rf"|\b(?:what|which|who|anything|much)(?:['’]s)?\b{_SOME}{_PASSIVE}\b(?: \w+){{0,2}}? {_SAY}"
    rf"|\bwhat(?:['’]s)? (?:\w+ )?(?:{_SAY}|come up)\b"
)
_SUMMARY = (
    r"(?i)"
    r"\b(?:summari[sz]e|summary|sum up|recap|gist)\b"
    rf"|\b(?:our|we|what)\b[^?.!]{{0,60}}\b(?:on about|{_TALK})\b|\bour (?:\w+ ){{0,4}}?{_TALK}\b"
)
_WE_SAID = (
    r"(?i)"
    rf"\b(?:we|you|i)\b(?:'d|'ve)?{_SOME}(?:{_SAY}|had (?:an? |several |many )?(?:\w+ )?{_TALK}|gave me|advised)"
    rf"|\b(?:the|that|this|those|'s) (?:\w+ ){{0,2}}{_TALK}\b"
)
_I_SAID_THAT = r"(?i)\b(?:i|you)\b(?: \w+){0,2}? (?:said|told|mention|recommend|suggest|ask|brought|advis)"
_THEY_SAID = (
    r"(?i)"
    r"\b(?:did|does) \w+(?: and \w+)? (?:\w+ )?(?:discuss|say|mention|talk|tell|ask|chat|speak|suggest)\b"
    r"|\b(?:said|mentioned|mentions|discussing)\b|\b(?:was|were) (?:\w+ )?(?:said|discussed|mentioned)\b"
)
_LED = r"(?:dated|from|in|on|at|of|over|during|the|back|for|held|that|took place)"
_SAID_BEFORE = (
    r"(?i)"
    rf"(?:\b{_TALK}|\bsaid|\bmention(?:ed|s)?|\bdiscuss(?:ed|es)?|\bspoke|\btalk(?:ed)?|\bchatt?(?:ed)?)"
    rf"(?: (?:about|with \w+|we had|had))?(?: (?:quite a bit|a lot|a few times))?,? *(?:{_LED} )*$"
)
_SAYS_AFTER = rf"(?i),? (?:that )?(?:we|you|i)\b(?: had| were| was)? {_SAY}"
_JOINED = r"(?i)(?:\s|,|&|\b(?:and|or|as well as|either|plus|on|in|from|the|also)\b)*"
_WHEN = (
    r"(?i)"
    r"\bwhen\b(?! we | you | i )|\bhow (?:long|recently|soon|old|many (?:days|weeks|months|years|hours|minutes))\b"
    r"|\b(?:what|which) (?:exact )?(?:date|day|year|month|week|weekday|time|season|decade)s?\b"
)
_WORD = r"[^\W_]+(?:'[^\W_]+)?"
_CLOCK = r"\b[0-9]{1,2}(?::[0-9]{2})*\s?(?:[ap]\.?m\b\.?|o'clock\b)|\b[0-9]{1,2}:[0-9]{2}\b"
_TIMES = frozenset(
    {*UNITS, *TODAY, *WEEKDAYS, *PARTS_OF_DAY, *(f"{day}s" for day in [*WEEKDAYS, *PARTS_OF_DAY]), "ago"}
)
_STOP = frozenset(
    """a an the and or but if of in on at to for from by with about as into over under through between across during
    after before since until is are was were be been being am do does did done doing have has had having will would
    shall should can could may might must i me my mine myself we us our ours ourselves you your yours yourself he him
    his she her hers it its they them their theirs this that these those there here what which who whom whose when where
    why how not no so too very just also then than some any all each every both few more most other another such only
    own same discuss discussed discussing discussion discussions talk talked talking talks chat chatted chatting chats
    speak spoke spoken speaking say said says saying tell told telling mention mentioned mentioning conversation
    conversations converse conversed session sessions cover covered covering go went going gone bring brought up come
    came coming raise raised exchange exchanged message messages dialogue share shared thing things stuff sort sorts
    kind kinds topic topics subject subjects theme themes agenda something anything everything nothing matters please
    summarize summarise summary sum recap gist remind remember recall recollect list describe give gave get got let
    know notes highlights quite bit lot several time times happen happened happening detail details much many content
    see calendar trying try back far yes okay ok ever again one ones i'm i'd i've we've we'd we're you've you'd don't
    didn't can't cannot couldn't last first final latest previous main overall really actually exactly able need want
    like yet each together important interesting nice fun wow enjoy enjoyed always exact better
    memory""".split()
)


def asks_when(text: str) -> bool:
    """Whether a time is what is asked for: "when", "how long", "how many days", "which year"."""
    return bool(pattern(_WHEN).search(text))


def has_content(text: str) -> bool:
    """Whether words are left to match on besides times, stop-words and neutral words of talking."""
    words = pattern(_WORD).findall(pattern(_CLOCK).sub(" ", text.lower().replace("’", "'")))
    return any(word not in _STOP and word not in _TIMES for word in (word.removesuffix("'s") for word in words))


def asks_about_talk(text: str) -> bool:
    """Whether "we", "you" or "I" saying something is the question, and not a clause beside it."""
    return bool(pattern(_WE_ASK).search(text))


def about_talk(text: str, content: bool, times: Sequence[Chars], nodes: Sequence[Node]) -> bool:
    """Whether what was said is asked for ("what did we discuss ..."), not what happened ("what did she do ...").

    A plain "I mentioned my trip last week" dates the trip as often as the talk, so beside ``content`` it counts only
    where the time stands next to the verb of saying. What third persons said counts with a day that is written out.
    """
    if pattern(_WE_ASK).search(text) or pattern(_SUMMARY).search(text) or any(_tied(text, time) for time in times):
        return True
    if pattern(_WE_SAID).search(text):
        return not content or not pattern(_I_SAID_THAT).search(text)
    written_out = any(node.grain == "day" and (node.yearly or node.find is None) for node in nodes)
    return written_out and bool(pattern(_THEY_SAID).search(text))


def times_of_talk(text: str, times: Sequence[Chars]) -> list[int]:
    """Which of several times date the talk: those next to a word of talking, with those joined to them by "and" or
    "or"; all of them where none is."""
    groups: list[list[int]] = [[0]]
    for k in range(1, len(times)):
        if pattern(_JOINED).fullmatch(text, times[k - 1][1], times[k][0]):
            groups[-1].append(k)
        else:
            groups.append([k])
    tied = [group for group in groups if _tied(text, times[group[0]])]
    return [k for group in tied or groups for k in group]


def _tied(text: str, time: Chars) -> bool:
    start, end = time
    return bool(pattern(_SAID_BEFORE).search(text, max(0, start - 60), start) or pattern(_SAYS_AFTER).match(text, end))
