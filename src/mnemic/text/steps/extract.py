"""Facts from conversation turns by rule: who lives where, works at what, likes what, and since when. English, no model.

A rule is a pattern and the words it cannot match without. A turn is cut into sentences, and a sentence is tried only
on the rules whose words it has (:mod:`mnemic.text.steps.relations`). What a match must survive decides the
precision: no negation, condition, report or question before it, no quotation around it, no joke after it.

Relations: ``lives_in``, ``from``, ``works_at``, ``job``, ``age``, ``birthday``, ``name``, ``phone``, ``status``
(single, dating, engaged, married, separated, divorced, widowed), ``status:health`` (pregnant), ``status:work``
(retired), ``partner``, ``has_<relative>``, ``studies``, ``owns``, ``pet``, ``likes``, ``dislikes``,
``favourite:<thing>``, ``prefers`` and ``prefers:<domain>``, ``diet``, ``allergy``, ``plans``, ``did`` (a dated event).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mnemic.text.steps.questions import count_of, domain_of, relation_of, same_value
from mnemic.text.steps.relations import NOT_NAMES, PARTNERS, PLACE, TIME_WORDS, Rule, rules
from mnemic.text.steps.wording import Fact

__all__ = ["Fact", "extract", "relation_of", "same_value"]

_LONG = 600  # characters; a longer sentence is pasted text, not talk
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"”')\]]{0,3}\s++|\n\s*+")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|vs|e\.g|i\.e|etc|approx)\.\s+\Z")
_WORD = re.compile(r"[a-zé]+(?:'[a-z]+)?")
_NUMBER = re.compile(r"\d+[a-z]*")
_FICTION = re.compile(  # a text to work on or a part to play, not the speaker's own life
    r"\s*(?:please )?(?:can you |could you )?(?:act as|imagine|pretend|write|rewrite|rephrase|paraphrase|translate"
    r"|proofread|summari[sz]e|role-?play|once upon|(?:edit|correct|improve|continue|fix|complete) (?:the|this|my)"
    r"|you are an? (?:[\w-]+ ){0,4}(?:assistant|expert|writer|bot|ai|character|critic|coach|developer|engineer))\b",
    re.I,
)
_JOKE = re.compile(r"\b(?:just kidding|kidding|jk|joking|in my dreams|i wish|not really|as if)\b", re.I)


def extract(text: str, *, speaker: str | None, said: datetime | None, previous: str | None = None) -> list[Fact]:
    """The facts that ``speaker`` states in ``text``, in order; empty when none is clear. Never raises.

    ``said`` anchors relative times ("last month"); without it no fact has a ``start`` and no events are read.
    ``previous`` is the turn before: a plain answer to "Where do you live?" counts as said in full.
    """
    if _FICTION.match(text):
        return []
    text = text.replace("’", "'")
    me = speaker or "the speaker"
    facts = _answer(text, me, previous) if previous else []
    index = rules()
    for start, end in _sentences(text):
        if end - start > _LONG:
            continue
        sentence = text[start:end]
        words = {*_WORD.findall(sentence.lower()), *map(_stamp, _NUMBER.findall(sentence))}
        called = {number: rule for word in words & index.keys() for number, rule in index[word]}
        anchor = said if words & TIME_WORDS else None
        taken: list[tuple[str, int, int]] = []
        for _, rule in sorted(called.items()):
            if rule.when and anchor is None:
                continue
            for match in rule.pattern.finditer(sentence):
                if _taken(rule, match, taken) or not _clear(match) or _quoted(text, start + match.start()):
                    continue
                found = list(_facts(rule, match, me, anchor, said, (start, end)))
                taken += [(rule.relation, *match.span())] if found else []
                facts += found
    if facts and _JOKE.search(text):
        return []
    return list({(fact.subject, fact.relation, fact.value.lower(), fact.ended): fact for fact in facts}.values())


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end in _END.finditer(text):
        if text[end.start()] == "." and _ABBREVIATION.search(text[max(0, end.end() - 12) : end.end()]):
            continue
        yield start, end.end()
        start = end.end()
    if start < len(text):
        yield start, len(text)


def _stamp(number: str) -> str:
    """A number as the rules know it: a year, an age, a day of the month."""
    if not number.isdigit():
        return "0day"
    return "0year" if len(number) == 4 and number[:2] in ("19", "20") else "0age" if len(number) == 2 else number


# --- What a match must survive -----------------------------------------------------------------------------------

_CLAUSE = re.compile(r"[,;:—–(]\s*| - |\b(?:but|and|so|because|although|though|since|until|before|after|plus)\b ")
_HEDGE = re.compile(
    r"\b(?:if|unless|when|whenever|whether|wish\w*|hop(?:e|ed|ing)|maybe|perhaps|imagin\w+|pretend\w*|suppos\w+"
    r"|dream\w*|thought|think|wonder\w*|said|says|say|saying|tell\w*|told|ask\w*|not|never|would|should|could"
    r"|might|as though|like"
    r"|claim\w*|joke\w*|once|what|how|where|why|who|which|that|whatever|almost|nearly|feel|feels|felt|believe\w*"
    r"|remember"
    r"|guess|doubt)\b|n't\b|\bone of $",
    re.I,
)
_REPORT = re.compile(r"\b(?:says?|said|tells?|told)\b[^,;:]{0,20}[,:] *\Z")
_ASKS = (
    r"(?:can|could|do|does|did|what|what's|how|would|will|any|is|are|where|which|who|should|have|has|got|when|why|may"
    r"|might)"
)
_ASKED = re.compile(rf"\s*(?:(?:and|but|so|oh|well|hey|wait|also|then)\b,? )*{_ASKS}\b", re.I)
_ASKS_NEXT = re.compile(
    rf"(?:[,;:—–]| -| and| so| but)\s+(?:(?:and|but|so) )?(?:{_ASKS}|(?:I'm|I was|was|I am) (?:wondering|curious))\b"
)
_LEADS = TIME_WORDS | set(
    "and but so because since way then also now lately actually well yeah yes yep no oh anyway honestly okay ok plus"
    " or though first second finally as before after until although while currently luckily sadly fortunately"
    " unfortunately usually sometimes later often hi hey ever only personally generally both past days back".split()
)


def _clear(match: re.Match[str]) -> bool:
    """Whether the clause asserts what the pattern found: no condition, report, question or negation over it."""
    sentence, start, groups = match.string, match.start(), match.groupdict()
    head = sentence[:start]
    for boundary in _CLAUSE.finditer(head):
        head = sentence[boundary.end() : start]
    if _HEDGE.search(head) or _ASKED.match(head) or _REPORT.search(sentence, 0, start - len(head)):
        return False
    lead = head.split()[-1:]
    if groups.get("i") and lead and lead[0].isalpha() and lead[0].lower() not in _LEADS:
        return False  # "the car I bought", "things I love"
    if groups.get("name") and (groups["name"] in NOT_NAMES or head.strip()):
        return False
    return not sentence.rstrip("\"”') \n").endswith("?") or bool(_ASKS_NEXT.search(sentence, start))


def _quoted(text: str, at: int) -> bool:
    """Inside double quotes of its line, or in a quoted line (``>``)."""
    before = text[max(0, at - 1000) : at].rsplit("\n", 1)[-1]
    return before.startswith(">") or before.count('"') % 2 == 1 or before.count("“") > before.count("”")


def _taken(rule: Rule, match: re.Match[str], taken: list[tuple[str, int, int]]) -> bool:
    """Whether a better rule has read these words: the same relation, or any before an event or a plan."""
    return any(
        start < match.end() and match.start() < end and (relation == rule.relation or rule.relation in ("did", "plans"))
        for relation, start, end in taken
    )


# --- From a match to facts ---------------------------------------------------------------------------------------

_DATED = frozenset("lives_in works_at job status partner studies owns pet plans did age prefers unlikes".split())
_CUT = re.compile(  # where a value ends at the latest
    r"\s+(?:and (?:I|we|it|they|he|she|my|then|am|was|wanted|considering|looking|trying|wondering|want|have|need|that"
    r"|can|would)\b|-+ .*|but|because|so(?! much)|when(?:ever)?|while|which|who|that (?:I|we|he|she|it|they|you|my"
    r"|is|was"
    r"|are|were|has|had|have|can|will|would|\w+s|\w+'\w+)|what|how|since|if|as|although|though|even|after|before"
    r"|until|where"
    r"|than|rather than|instead|lately|these days|right now|at the moment|too|as well|a lot(?! of)|so much|very much"
    r"|any ?more|tbh|lol|is|was|are|were|has|then|or (?:anything|something)|to get|to help)\b.*",
    re.S,
)
_LOOSE = re.compile(
    r"(?:\s(?:soon|now|today|again|here|really|right|still|just|lately|recently|and|or|to|of|in|on|at|with|for|the"
    r"|an?|by"
    r"|from|my))+$"
)
_VAGUE = re.compile(  # nothing that would still mean something without the turns around it
    r"(?:hers|theirs|it|that|this|these|those|them|him|her|you|your|yours|how|what|when|where|why|both|all|every"
    r"|everything|anything|something|one|ones|some|any|each|most|is|was|my|our|his|their|its|and|or|about|of|in|on"
    r"|at|for|with|from"
    r"|by|as|so|more|here|there|such|a|an|to (?:be|think|know|see|hear|say|learn|try|get|have|find|keep|make"
    r"|explore|do|go"
    r"|share|add|include|use|start|focus|book|schedule)|hearing|seeing|knowing|being|having|learning|getting"
    r"|making sure"
    r"|chatting|talking|doing|going|trying|using|working|sharing|helping"
    r"|the(?! (?:beach|ocean|mountains|outdoors|sea|snow|rain|cold|heat|countryside|woods|forest|desert)\b))\b",
    re.I,
)
_DANGLING = re.compile(
    r"\b(?:(?:it|them|him|this|that|these|those|you|your)\b(?! (?:year|month|week|fall|summer|spring|winter))"
    r"|her$|one\b(?! (?:of|day|hour|week|month|year)))",
    re.I,
)
_BARE = re.compile(  # a verb without an object, or with one that points elsewhere
    r"\w+(?: (?:up|off|out|on|in|over|back|around|to))?"
    r"(?: (?:it|that|this|them|these|those|so|him|her|you|one|some|something)\b"
    r"| (?:\d+|two|three|four|five|a few(?: more)?)$|$)"
)
_OPEN = re.compile(r"\b(?:it|them|him|her|that|this|those|there|do)$|\b(?:with|from|to|of) (?:it|them|him|her)\b")
_GENERIC = frozenset("part thing things way moment memory aspect time one ones place to bit feature".split())
_GIFT = re.compile(r"\b(?:gift|present|one|your|tickets?|for (?:my|her|him|the|our|a|his|their|them)|flight)\b")
_PET = re.compile(r"(?:,? (?:named|called)|'s name is|'s named| is (?:named|called)|,)? (?=[A-Z])")
_FIRMS = frozenset("Software Company Inc Corporation Corp Ltd Bank University Magazine Group Associates".split())
_FOODS = frozenset("meat fish pork beef seafood dairy gluten shellfish".split()) | {"red meat"}
_CHILD = {"children": "child", "kid": "child", "grandchildren": "grandchild"}


def _facts(
    rule: Rule, match: re.Match[str], me: str, anchor: datetime | None, said: datetime | None, span: tuple[int, int]
) -> Iterator[Fact]:
    """The facts of one match; none when its value is vague or its time does not fit the rule.

    ``anchor`` is ``said`` where the sentence has a time word.
    """
    groups, relation = match.groupdict(), rule.relation
    start, timed = None, None
    if anchor and relation in _DATED and not (relation == "pet" and not groups.get("i")):
        start, timed = _when(
            match, anchor, plan=relation == "plans" and not groups["v"].startswith(("signed", "enrolled", "registered"))
        )
    ahead = bool(start and said and start > _aware(said))
    if (rule.when == "past" and (ahead or not start)) or (rule.when == "future" and not ahead):
        return
    if ahead and relation != "plans":
        start = None
    if said and not start and not timed:
        start = _since(match, said)
    if relation == "pet":
        value = _PET.sub(" named ", match["v"], count=1)
    else:
        value = _tidy(_without(match, timed))
    relation, value = _named(relation, value, groups)
    kin, name = groups.get("kin"), groups.get("name") or groups.get("kname")
    if not value or name in NOT_NAMES:
        return
    yield Fact.of(name or (f"{me}'s {kin}" if kin else me), relation, value, span, start, rule.ended, rule.confidence)
    if kin and name:
        relation, value = f"has_{kin}", name
        yield Fact.of(me, relation, value, span, confidence=rule.confidence)
    if relation.startswith("has_") and relation[4:] in PARTNERS and value[:1].isupper():
        yield Fact.of(me, "partner", value, span, confidence=rule.confidence)


def _named(relation: str, value: str, groups: dict[str, str | None]) -> tuple[str, str]:
    """The relation in full and its value as stored; an empty value is no fact."""
    bare = re.sub(r"^(?:all (?:that|those|the)|the|an?|all) ", "", value, flags=re.I)
    match relation:
        case "likes" | "dislikes":
            return relation, "" if value == "to" or _VAGUE.match(value) or _DANGLING.search(value) else value
        case "did" | "plans":
            vague = _OPEN.search(value) or (_BARE.match(value) if relation == "did" else _DANGLING.search(value))
            return relation, "" if vague or " " not in value else value
        case "favourite":
            thing = (groups["thing"] or "").lower().strip()
            return f"favourite:{thing}", "" if _VAGUE.match(bare) or _GENERIC & set(thing.split()) else value
        case "prefers":
            value = re.sub(r"(?<=\w) (?:over|to|than|rather) .*", "", value)
            domain = domain_of(value) if value.count(" ") < 4 else None
            return f"prefers:{domain}" if domain else relation, "" if _VAGUE.match(bare) else value
        case "unlikes":
            verb, domain = (groups.get("verb") or "").strip(), domain_of(bare)
            relation = "prefers:drink" if domain == "drink" or verb.startswith("drink") else "likes"
            return relation, bare if (verb or domain) and not _VAGUE.match(bare) else ""
        case "has":
            kin = groups["rel"] or ""
            return f"has_{_CHILD.get(kin, kin)}", "" if value in NOT_NAMES else value
        case "owns":
            return relation, "" if _GIFT.search(value) else re.sub(r" and (?!an?\b|\d|two|three|some).*", "", value)
        case "from" if value.split(" ")[-1] in _FIRMS:
            return relation, ""
        case "works_at" if value in ("a company", "the company"):
            return relation, ""
        case "allergy" | "studies":
            return relation, "" if _DANGLING.search(value) else value
        case "job" if value == "my notice":
            return relation, "job"
        case "status" if value == "broke up":
            return relation, "single"
        case "diet" if value in _FOODS:
            return relation, f"no {value}"
    return relation, "" if value in NOT_NAMES else value


def _tidy(value: str) -> str:
    value = _CUT.sub("", value)
    while (less := _LOOSE.sub("", value.strip(" -'\"*_~^&/\\"))) != value:
        value = less
    value = re.sub(r"\s+", " ", re.sub(r"\s[-–]\s?\d+$", "", value))
    return value + '"' if value.count('"') % 2 else value


# --- When it began -----------------------------------------------------------------------------------------------

_BREAK = re.compile(r";|,? (?:which|who|where|when) | but | so | because |,? and (?=(?:I|we|my)\b)|, (?=(?:I|we|my)\b)")
_LEADING = re.compile(
    r"(?:\s(?:on|in|at|for|by|during|around|about|this|the|just|back|over|through|until|since|from|after))+\s*$"
)
_BEFORE_DAY = re.compile(r"(?:\A|,|\b(?:on|in|this|last|next|since|by|during|until|every|past|and|also))\s*\Z")
_STRETCH = re.compile(r"\b(?:an?|entire|whole|every|each|from the|of the)\s+\Z")
_DECADE = re.compile(r"\d0s\Z")
_ISSUE = re.compile(r" (?!(?:and|at|in|with|for|to|but|so|when|which|where|on|by|after|before|that|from|of)\b)[a-z]")
_DURATION = re.compile(
    r"\s+for (?:(?:about|over|around|almost|nearly|the (?:past|last)) )*([a-z]+|\d{1,3}) (year|month|week)s?\b", re.I
)
_PERFECT = re.compile(r"(?:'ve|'s|\bhave|\bhas) ")
_DAYS = {"year": 365.25, "month": 30.44, "week": 7.0}

Place = tuple[int, int]


def _when(match: re.Match[str], said: datetime, *, plan: bool) -> tuple[datetime | None, Place | None]:
    """Start and span (in the sentence) of the time expression nearest to the match, inside its clause."""
    from mnemic.text.steps.dates import resolve

    sentence, start, end = match.string, match.start(), match.end()
    low = max((m.end() for m in _BREAK.finditer(sentence, 0, start)), default=0)
    after = _BREAK.search(sentence, end)
    near: tuple[int, datetime, Place] | None = None
    ahead = "will " if plan else ""  # a future word: the bare month of a plan is the next one
    for mention in resolve(ahead + sentence[low : after.start() if after else len(sentence)], said):
        place = low + mention.start - len(ahead), low + mention.end - len(ahead)
        if mention.certainty < 0.5 or _in_name(sentence, *place) or (plan and mention.range.end <= _aware(said)):
            continue
        far = max(place[0] - end, start - place[1], 0)
        if near is None or far < near[0]:
            near = far, mention.range.start, place
    if near is None:
        return None, None
    return (near[1] if near[1].year > 1 else None), near[2]


def _in_name(sentence: str, start: int, end: int) -> bool:
    """Whether the time word is part of a name ("the Spring Sprint", "Sunday mass") or a stretch ("all Sunday")."""
    mention, before, after = sentence[start:end], sentence[max(0, start - 24) : start], sentence[end : end + 12]
    if mention.split()[-1].istitle() and re.match(r" [A-Z][a-z]", after):
        return True
    if after.startswith("'s"):
        return True
    named = re.search(r"\w [A-Z][a-z]+ \Z", before) or (after[1:2].islower() and not _BEFORE_DAY.search(before))
    if " " not in mention and mention.istitle() and named:
        return True
    return bool(_STRETCH.search(before) or _DECADE.search(mention) or (before.endswith("the ") and _ISSUE.match(after)))


def _without(match: re.Match[str], timed: Place | None) -> str:
    """The value less the time expression in it and the prepositions before that; a word cut short goes too."""
    sentence, (start, end) = match.string, match.span("v")
    if end - start > 60 and sentence[end : end + 1].isalnum():
        end = max(start, sentence.rfind(" ", start, end))
    if timed is None or timed[1] <= start or end <= timed[0]:
        return sentence[start:end]
    before = _LEADING.sub("", sentence[start : max(start, timed[0])])
    return f"{before.rstrip()} {sentence[min(end, timed[1]) : end].lstrip()}"


def _since(match: re.Match[str], said: datetime) -> datetime | None:
    """When what has lasted "for six years" began."""
    lasting = _DURATION.match(match.string, match.end()) if _PERFECT.search(match[0]) else None
    count = count_of(lasting[1]) if lasting else None
    if lasting is None or count is None:
        return None
    days = count * _DAYS[lasting[2].lower()]
    return _aware(said) - timedelta(days=days) if said.year > 1 + days / 365 else None


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# --- Answers -----------------------------------------------------------------------------------------------------

_YES = r"(?i:(?:oh,? )?(?:yes|yeah|yep|yup|i did|i do)\b)"
_SO = r"(?i:(?:(?:oh|well|yes|yeah|i'm|i am|still|currently|now|just|living|based|it's|i live|i work),? )*"
_STOP = r"(?=[.,!]|$)"
_ANSWERS = tuple(
    (relation, re.compile(question, re.I), re.compile(reply))
    for relation, question, reply in (
        ("lives_in", r"\bwhere (?:do you live|are you (?:living|based))", rf"{_SO}(?:in|near)) (?P<v>{PLACE}){_STOP}"),
        ("works_at", r"\bwhere do you work\b", rf"{_SO}(?:at|for)) (?P<v>{PLACE}){_STOP}"),
        ("age", r"\bhow old are you\b", rf"{_SO})(?P<v>[1-9]\d){_STOP}"),
        ("name", r"\bwhat(?:'s| is) your name\b", rf"{_SO})(?P<v>[A-Z][a-z]+){_STOP}"),
        ("lives_in", rf"\b(?:did|have) you(?: finally| already)? moved? to (?P<v>(?-i:{PLACE}))\?", _YES),
        ("lives_in", rf"\bdo you (?:still )?live in (?P<v>(?-i:{PLACE}))\?", _YES),
    )
)


def _answer(text: str, me: str, previous: str) -> list[Fact]:
    """What a plain answer to the question at the end of the turn before says."""
    asked = previous[-200:].rstrip()
    if not asked.endswith("?"):
        return []
    asked = asked[max(asked.rfind(end, 0, -1) for end in ".!?\n") + 1 :]
    for relation, question, reply in _ANSWERS:
        if (about := question.search(asked)) and (given := reply.match(text)):
            value = str(given.groupdict().get("v") or about.groupdict().get("v") or "")
            fine = value and value not in NOT_NAMES
            return [Fact.of(me, relation, value, (0, given.end()), confidence=0.8)] if fine else []
    return []
