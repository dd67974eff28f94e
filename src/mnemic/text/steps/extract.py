"""Facts from conversation turns by rule: who lives where, works at what, likes what, and since when. English, no model.

A rule is a pattern and the words it cannot match without. A turn is cut into sentences, and a sentence is tried only
on the rules whose words it has. What a match must survive decides the precision: no negation, condition, report or
question before it, no quotation around it, no joke after it. What is not clearly said is not extracted.

Relations: ``lives_in``, ``from``, ``works_at``, ``job``, ``age``, ``birthday``, ``name``, ``phone``, ``status`` (single,
dating, engaged, married, separated, divorced, widowed), ``status:health`` (pregnant), ``status:work`` (retired),
``partner``, ``has_<relative>``, ``studies``, ``owns``, ``pet``, ``likes``, ``dislikes``, ``favourite:<thing>``, ``prefers``
and ``prefers:<domain>``, ``diet``, ``allergy``, ``plans``, ``did`` (a dated event).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from mnemic.text.steps.relations import KIN, PARTNERS, PARTS, PLACE, TIME_WORDS, Rule, rules

_FUNCTIONAL = frozenset("lives_in from works_at job age birthday name phone partner diet".split())
_DATED = frozenset("lives_in works_at job status partner studies owns pet plans did age".split())


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing said to be so. ``text`` is a readable sentence; ``sentence`` the span of the turn it came from.

    ``start`` is where the time expression said with it begins (for an ending: usually when it ended) and ``None``
    when none was said. Of a ``functional`` relation a subject has one value at a time: the newer supersedes the older.
    ``ended`` says that it is over; ``confidence`` lies between 0 and 1.
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


# --- What a match must survive -----------------------------------------------------------------------------------

_END = re.compile(r"[.!?…]+[\"”')\]]*\s+|\s*\n\s*")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|vs|e\.g|i\.e|etc|approx)\.\s+\Z")
_WORD = re.compile(r"[a-zé]+(?:'[a-z]+)?|\d+(?:st|nd|rd|th)?")
_CLAUSE = re.compile(r"[,;:—–(]\s*| - |\b(?:but|and|so|because|although|though|since|until|before|after|plus)\b ")
_HEDGE = re.compile(
    r"\b(?:if|unless|when|whenever|whether|wish\w*|hop(?:e|ed|ing)|maybe|perhaps|imagin\w+|pretend\w*|suppos\w+|dream\w*|thought|think"
    r"|wonder\w*|said|says|say|saying|tell\w*|told|ask\w*|asks|not|never|would|should|could|might|as though|like|claim\w*|joke\w*|once"
    r"|what|how|where|why|who|which|that|whatever|almost|nearly|feel|feels|felt|believe\w*|remember|guess|doubt)\b|n't\b",
    re.I,
)
_ASKS = r"(?:can|could|do|does|did|what|what's|how|would|will|any|is|are|where|which|who|should|have|has|got|when|why|may|might)"
_ASKED = re.compile(rf"\s*(?:(?:and|but|so|oh|well|hey|wait|also|then)\b,? )*{_ASKS}\b", re.I)
_ASKS_NEXT = re.compile(
    rf"(?:[,;:—–]| -| and| so| but)\s+(?:(?:and|but|so) )?(?:{_ASKS}|(?:I'm|I was|was|I am) (?:wondering|curious))\b"
)
_JOKE = re.compile(r"\b(?:just kidding|kidding|jk|joking|in my dreams|i wish|not really|as if)\b", re.I)
_FICTION = re.compile(
    r"\s*(?:please )?(?:can you |could you )?(?:act as|you are|imagine|pretend|write|rewrite|rephrase|paraphrase|translate|proofread|edit|summari[sz]e"
    r"|role-?play|correct|improve this|once upon|continue|fix|complete the)\b",
    re.I,
)
_CUT = re.compile(
    r"\s+(?:and (?:I|we|it|they|he|she|my|then|am|was|want|have|need|that|can|would)\b|but|because|cause|so(?! much)|when(?:ever)?|while|which"
    r"|who|that|since|if|as|although|though|even|after|before|until|where|than|over|rather than|instead|lately|these days|right now|at the moment"
    r"|too|as well|a lot|so much|very much|any ?more|tbh|lol|is|was|are|were|has|since|though|then|or (?:anything|something)|to get|to help)\b.*",
    re.S,
)
_VAGUE = re.compile(
    r"(?:it|that|this|these|those|them|him|her|you|your|yours|how|what|when|where|why|both|all|every|everything|anything|something|one|ones|some|any"
    r"|each|most|is|was|my|our|his|their|its|and|or|about|of|in|on|at|for|with|from|by|as|so|more|here|there|such|a|an|to (?:be|think|know|see|hear"
    r"|say|learn|try|get|have|find|keep|make|explore|do|go|share|add|include|use|start|focus|book|schedule)|hearing|seeing|knowing|being|having"
    r"|learning|getting|chatting|talking|doing|going|trying|using|working|sharing|helping|the(?! (?:beach|ocean|mountains|outdoors|sea|snow|rain|cold"
    r"|heat|countryside|woods|forest|desert)\b))\b",
    re.I,
)
_NOT_NAMES = frozenset(
    "He She It They This That There Who Everyone Everybody Nobody Somebody Someone Anyone What When Where How Why Which Life Work Home"
    " Here Now Then Today Tomorrow Yesterday And But Also Just Really Yeah Yes Yep Nope Not The You Your His Her Their Our One All Both"
    " Some Most Many Each Every Thanks Thank Wow Hey Hi Hello Well Sounds Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
    " January February March April May June July August September October November December Mom Dad Mum Christmas Easter Day Even Another".split()
)
_GENERIC = frozenset("part thing things way moment memory aspect time one ones place to bit feature".split())
_GIFT = re.compile(r"\b(?:gift|present|tickets?|for (?:my|her|him|the|our|a|his|their|them)|flight)\b")
_DOMAINS = {
    "drink": "coffee tea decaf espresso beer wine water juice latte cappuccino matcha soda whisky whiskey smoothies ginger alcohol caffeine milk",
    "time of day": "morning mornings evening evenings night nights afternoon afternoons",
    "animal": "cat cats dog dogs",
    "landscape": "beach beaches mountain mountains city countryside",
    "transport": "train trains driving flying cycling walking bus car bike",
    "reading": "paperback paperbacks audiobooks ebooks e-books hardcover hardcovers kindle",
    "seat": "aisle window",
}
_DOMAIN = {word: domain for domain, words in _DOMAINS.items() for word in words.split()}
_SAY = {  # how a relation is put in words, and how when it is over
    "lives_in": ("lives in {v}", "no longer lives in {v}"),
    "from": ("is from {v}", ""),
    "works_at": ("works at {v}", "no longer works at {v}"),
    "job": ("works as {a}", "no longer works as {a}"),
    "age": ("is {v} years old", ""),
    "birthday": ("was born on {v}", ""),
    "name": ("is called {v}", ""),
    "phone": ("has the phone number {v}", ""),
    "partner": ("is with {v}", ""),
    "studies": ("studies {v}", ""),
    "owns": ("has {v}", ""),
    "pet": ("has a pet: {v}", ""),
    "likes": ("likes {v}", "no longer likes {v}"),
    "dislikes": ("dislikes {v}", ""),
    "prefers": ("prefers {v}", "no longer prefers {v}"),
    "diet": ("eats {v}", "no longer eats {v}"),
    "allergy": ("is allergic to {v}", ""),
    "did": ("{v}", ""),
}
_THEIRS = {
    "my": "their",
    "our": "their",
    "me": "them",
    "us": "them",
    "i": "they",
    "we": "they",
    "myself": "themselves",
    "i'm": "they're",
}
_FOODS = frozenset("meat fish pork beef seafood dairy gluten shellfish".split()) | {"red meat"}
_LOOSE = re.compile(
    r"(?:\s(?:now|today|again|here|really|right|still|just|lately|recently|and|or|to|of|in|on|at|with|for|the|an?|by|from|my))+$"
)
_BREAK = re.compile(r";| but | so | because |,? and (?=(?:I|we|my)\b)|, (?=(?:I|we|my)\b)")
_YES = r"(?:oh,? )?(?:yes|yeah|yep|yup|i did|i do)\b"
_OPENING = r"(?:(?:oh|well|yes|yeah|i'm|i am|still|currently|now|just|living|based|it's|i live|i work),? )*"
_ANSWERS = tuple(
    (relation, re.compile(question, re.I), re.compile(reply))
    for relation, question, reply in (
        (
            "lives_in",
            r"\bwhere (?:do you live|are you (?:living|based))",
            rf"(?i:{_OPENING}(?:in|near)) (?P<v>{PLACE})(?=[.,!]|$)",
        ),
        ("works_at", r"\bwhere do you work\b", rf"(?i:{_OPENING}(?:at|for)) (?P<v>{PLACE})(?=[.,!]|$)"),
        ("age", r"\bhow old are you\b", rf"(?i:{_OPENING})(?P<v>[1-9]\d)(?=[.,!]|$)"),
        ("name", r"\bwhat(?:'s| is) your name\b", rf"(?i:{_OPENING})(?P<v>[A-Z][a-z]+)(?=[.,!]|$)"),
        (
            "lives_in",
            rf"\b(?:did you|have you)(?: finally| already)? moved? to (?P<v>(?-i:{PLACE}))\?",
            rf"(?i:{_YES})",
        ),
        ("lives_in", rf"\bdo you (?:still )?live in (?P<v>(?-i:{PLACE}))\?", rf"(?i:{_YES})"),
    )
)


# --- Extraction --------------------------------------------------------------------------------------------------

_LONG = 600  # a longer sentence is pasted text, not talk


def extract(text: str, *, speaker: str | None, said: datetime | None, previous: str | None = None) -> list[Fact]:
    """The facts that ``speaker`` states in ``text``, in order; empty when none is clear. Never raises.

    ``said`` anchors relative times ("last month"); without it no fact has a ``start``. ``previous`` is the turn
    before: a plain answer to "Where do you live?" counts as said in full.
    """
    if _FICTION.match(text):
        return []
    text = text.replace("’", "'")
    me = speaker or "the speaker"
    facts = [] if previous is None else _answer(text, me, previous)
    index = rules()
    for start, end in _sentences(text):
        if end - start > _LONG:
            continue
        sentence = text[start:end]
        words = {_stamp(word) for word in _WORD.findall(sentence.lower())}
        called = {number: rule for word in words & index.keys() for number, rule in index[word]}
        if not called:
            continue
        here: list[tuple[Fact, int, int]] = []
        for _, rule in sorted(called.items()):
            if rule.when and (said is None or not words & TIME_WORDS):
                continue
            for match in rule.pattern.finditer(sentence):
                if rule.relation in ("did", "plans") and any(a < match.end() and match.start() < b for _, a, b in here):
                    continue
                if _clear(match) and not _quoted(text, start + match.start()):
                    here += [(fact, *match.span()) for fact in _facts(rule, match, me, said, words, (start, end))]
        facts += [fact for fact, _, _ in here]
    if facts and _JOKE.search(text):
        return []
    unique = {(fact.subject, fact.relation, fact.value.lower(), fact.ended): fact for fact in reversed(facts)}
    return list(reversed(unique.values()))


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end in _END.finditer(text):
        if text[end.start()] == "." and _ABBREVIATION.search(text[max(0, end.end() - 12) : end.end()]):
            continue
        yield start, end.end()
        start = end.end()
    if start < len(text):
        yield start, len(text)


def _stamp(word: str) -> str:
    """A word as the rules know it: contractions lose their tail, years and days are all alike."""
    if word[0].isdigit():
        return "0year" if len(word) == 4 and word[:2] in ("19", "20") else "0day" if word[-1].isalpha() else word
    return word


def _clear(match: re.Match[str]) -> bool:
    """Whether the clause asserts what the pattern found: no condition, report, question or negation over it."""
    sentence, start = match.string, match.start()
    head = sentence[:start]
    for boundary in _CLAUSE.finditer(head):
        head = sentence[boundary.end() : start]
    if _HEDGE.search(head) or _ASKED.match(head):
        return False
    name = match.groupdict().get("name")
    if name and (name in _NOT_NAMES or head.strip()):
        return False
    return not sentence.rstrip("\"”') \n").endswith("?") or bool(_ASKS_NEXT.search(sentence, match.start()))


def _quoted(text: str, at: int) -> bool:
    """Inside double quotes of its line, in a quoted line (``>``) or a code block."""
    line = text.rfind("\n", 0, at) + 1
    before = text[max(line, at - 1000) : at]
    return before.startswith(">") or before.count('"') % 2 == 1 or before.count("“") > before.count("”")


def _facts(
    rule: Rule, match: re.Match[str], me: str, said: datetime | None, words: set[str], span: tuple[int, int]
) -> Iterator[Fact]:
    found = match.groupdict()
    relation, value = rule.relation, _tidy(found.get("v") or "")
    start, timed = _when(match, said) if relation in _DATED and words & TIME_WORDS else (None, None)
    if timed and relation in ("did", "plans"):
        value = _tidy(_without(match, timed))
    ahead = bool(start and said and start > _aware(said))
    if (rule.when == "past" and (ahead or timed is None)) or (rule.when == "future" and not ahead):
        return
    relation, value = _named(relation, value, found)
    if not value or not relation:
        return
    kin, name = found.get("kin"), found.get("name") or found.get("kname")
    if name in _NOT_NAMES:
        return
    subject = name or (f"{me}'s {kin}" if kin else me)
    if kin and name:
        yield _fact(me, f"has_{kin}", name, span, None, False, rule.confidence)
    if ahead and relation not in ("plans", "did"):
        start = None
    yield _fact(subject, relation, value, span, start, rule.ended, rule.confidence)
    if relation[4:] in PARTNERS and relation[:4] == "has_":
        yield _fact(me, "partner", value, span, None, False, rule.confidence)


def _named(relation: str, value: str, found: dict[str, str | None]) -> tuple[str, str]:
    """The relation in full and its value as stored; an empty value is no fact."""
    bare = re.sub(r"^(?:the|an?|all that|all those|all the|all) ", "", value, flags=re.I)
    if relation in ("likes", "dislikes"):
        return relation, "" if _VAGUE.match(value) else value
    if relation == "favourite":
        thing = (found["thing"] or "").lower().strip()
        return f"favourite:{thing}", "" if _VAGUE.match(bare) or not _GENERIC.isdisjoint(thing.split()) else value
    if relation in ("prefers", "unlikes"):
        domain = next((_DOMAIN[word] for word in re.findall(r"[\w-]+", value.lower()) if word in _DOMAIN), None)
        if relation == "unlikes":
            told = found.get("verb")
            relation = f"prefers:{domain}" if domain == "drink" or "drink" in (told or "") else "likes"
            return relation.replace("None", "drink"), bare if (told or domain) and not _VAGUE.match(bare) else ""
        return f"prefers:{domain}" if domain else "prefers", "" if _VAGUE.match(bare) else value
    if relation == "has":
        kin = {"children": "child", "kid": "child", "grandchildren": "grandchild"}.get(found["rel"] or "", found["rel"])
        return f"has_{kin}", "" if value in _NOT_NAMES else value
    if relation == "owns" and _GIFT.search(value):
        return relation, ""
    if relation == "diet" and re.match(r"[Ii]\b", found.get("i") or "") and value in _FOODS:
        return relation, f"no {value}"
    if relation in ("lives_in", "works_at", "from", "name", "partner") and value in _NOT_NAMES:
        return relation, ""
    return relation, value


def _when(match: re.Match[str], said: datetime | None) -> tuple[datetime | None, tuple[int, int] | None]:
    """Start and span (in the sentence) of the time expression nearest to the match, inside its clause."""
    if said is None:
        return None, None
    from mnemic.text.steps.dates import resolve

    sentence, start, end = match.string, match.start(), match.end()
    low = max((m.end() for m in _BREAK.finditer(sentence, 0, start)), default=0)
    after = _BREAK.search(sentence, end)
    high = after.start() if after else len(sentence)
    mentions = [m for m in resolve(sentence[low:high], said) if m.certainty >= 0.5]
    if not mentions:
        return None, None
    near = min(mentions, key=lambda m: max(low + m.start - end, start - low - m.end, 0))
    at = near.range.start
    return (at if at.year > 1 else None), (low + near.start, low + near.end)


def _without(match: re.Match[str], timed: tuple[int, int]) -> str:
    """The value less the time expression in it and the preposition before that."""
    (a, b), (start, end) = match.span("v"), timed
    if end <= a or b <= start:
        return match["v"]
    before = re.sub(
        r"(?:\s(?:on|in|at|for|by|during|around|about|this|the|just|back))+\s*$", "", match.string[a : max(a, start)]
    )
    return f"{before.rstrip()} {match.string[min(b, end) : b].lstrip()}"


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _tidy(value: str) -> str:
    value = _CUT.sub("", value)
    while (less := _LOOSE.sub("", value.strip(" -'\"*_~^&/\\"))) != value:
        value = less
    return re.sub(r"\s+", " ", value)


def _fact(
    subject: str,
    relation: str,
    value: str,
    span: tuple[int, int],
    start: datetime | None,
    ended: bool,
    confidence: float,
) -> Fact:
    base, _, detail = relation.partition(":")
    functional = base in _FUNCTIONAL or base in ("status", "favourite") or bool(base == "prefers" and detail)
    told = " ".join(_THEIRS.get(word.lower(), word) for word in value.split(" "))
    if base == "has" or base.startswith("has_"):
        said = f"'s {base[4:]} is {told}" if value[:1].isupper() else f" has {told}"
    elif base == "favourite":
        said = f"'s favourite {detail} is {told}"
    elif base == "status":
        said = f" is {told}"
    elif base == "plans":
        said = " " + _plan(told)
    elif base == "job" and value == "job":
        said = " lost their job"
    else:
        article = "an" if told[:1].lower() in "aeiou" else "a"
        said = " " + _SAY[base][ended].format(v=told, a=f"{article} {told}")
    text = f"{subject[:1].upper()}{subject[1:]}{said}."
    return Fact(subject, relation, value, text, span, start, ended, functional, confidence)


def _plan(value: str) -> str:
    first = value.split(" ", 1)[0]
    if first.endswith("ing") and first != "bring":
        return f"is {value}"
    if first.endswith("ed"):
        return f"has {value}"
    return (
        f"plans {value}"
        if first in ("a", "an", "the", "my", "their", "some", "this", "another", "our")
        else f"plans to {value}"
    )


def _answer(text: str, me: str, previous: str) -> list[Fact]:
    """What a plain answer to the question at the end of the turn before says."""
    asked = previous[-200:].rstrip()
    if not asked.endswith("?"):
        return []
    asked = asked[max(asked.rfind(end, 0, -1) for end in ".!?\n") + 1 :]
    for relation, question, reply in _ANSWERS:
        if (about := question.search(asked)) and (given := reply.match(text)):
            value = given.groupdict().get("v") or about.groupdict().get("v") or ""
            if value and value not in _NOT_NAMES:
                return [_fact(me, relation, value, (0, given.end()), None, False, 0.8)]
    return []


# --- Questions and values ----------------------------------------------------------------------------------------

_QUESTIONS = tuple(
    (relation, re.compile(pattern, re.I))
    for relation, pattern in {
        "age": r"\bhow old\b|\bage\b",
        "birthday": r"\bbirthday\b|\bwhen (?:was|were) .*\bborn\b",
        "favourite": r"\bfavou?rite (?P<thing>[\w-]+(?: (?!is|are|was|now|of|to|in|these|for|before)[\w-]+)?)",
        "allergy": r"\ballerg",
        "diet": r"\b(?:diet|vegan|vegetarian|pescatarian)",
        "prefers": r"\bprefer",
        "job": r"\b(?:job|occupation|profession|career)\b|\bdo(?:es|ing)?\b.* for (?:work|a living)\b|\bwork as\b",
        "works_at": r"\bwhere\b.*\b(?:work|works|worked|working|employed)\b|\bemployer\b|\bwork(?:s|ed|ing)? (?:for|at)\b|\bwhich company\b",
        "from": r"\bwhere\b.*\bfrom\b(?<!move from)(?<!moved from)(?<!moving from)|\bhome ?town\b|\bwhere (?:was|were) .*\bborn\b",
        "lives_in": r"\bwhere\b.*\b(?:live|lives|lived|living|based|reside|resides|move|moved|moving)\b"
        r"|\bwhich (?:city|town|country|place)\b.*\b(?:live|lives|lived|living|move|moved)\b|^(?:is|are|does|do|did)\b.*\b(?:live|living) in\b",
        "partner": r"\bwho\b.*\b(?:dating|married to|engaged to|partner|husband|wife|boyfriend|girlfriend)\b",
        "status": r"\b(?:relationship|marital) status\b|^(?:is|are|was)\b.*\b(?:married|single|divorced|engaged)\b",
        "pet": r"\bpets?\b|\bname\b.*\b(?:dog|cat|puppy|kitten)\b|\b(?:dog|cat|puppy|kitten)'s name\b",
        "studies": r"\b(?:study|studies|studying|studied|major|majoring|degree)\b",
        "phone": r"\bphone number\b",
        "name": r"^what(?:'s| is) (?:my|his|her|their|[A-Z]\w+'s) (?:full |first |last )?name\b",
        "plans": r"\bplan(?:s|ning)?\b",
        "dislikes": r"\b(?:hates?|dislikes?)\b|\b(?:doesn't|don't) like\b",
        "likes": r"\bwhat\b.*\b(?:like|likes|love|loves|enjoy|enjoys)\b",
    }.items()
)
_FIRST = re.compile(r"\b(?:at first|originally|initially|first)\b", re.I)
_BEFORE = re.compile(
    r"\b(?:before|previous(?:ly)?|used to|former(?:ly)?|earlier|prior to|(?<!how )old|move[ds]? from)\b", re.I
)
_NOW = re.compile(
    r"\b(?:now|current(?:ly)?|these days|at the moment|still|today|latest|nowadays|right now|at present|most recent)\b"
    r"|^(?:(?:where|what|which|who|how)(?:'s\b|\b.*?\b(?:is|are|does|do|has)\b)|(?:is|are|does|do|has)\b)(?!.*\bdid\b)",
    re.I,
)
_ABOUT = re.compile(
    rf"(?:(?<=^)|(?<=\s))(?P<lead>\w+ )?(?P<name>[A-Z]\w+(?: [A-Z]\w+)*(?:'s {PARTS['kin']})?|my {PARTS['kin']})\b"
)


def relation_of(question: str) -> tuple[str | None, str | None, str]:
    """Relation, subject and tense that ``question`` asks for.

    The relation is ``None`` when it is none of ours; the subject is the name as it stands in the question ("Ana",
    "Tom's sister", "my sister"), ``None`` without one. Tense: ``now`` (said, or in the present tense), ``before``,
    ``first``, else ``any``.
    """
    question = question.replace("’", "'").strip()
    relation = None
    for name, pattern in _QUESTIONS:
        if match := pattern.search(question):
            relation = f"favourite:{match['thing'].lower()}" if name == "favourite" else name
            break
    if relation == "prefers":
        domain = next((_DOMAIN[word] for word in re.findall(r"[\w-]+", question.lower()) if word in _DOMAIN), None)
        relation = f"prefers:{domain}" if domain else "prefers"
    tense = next(
        (name for name, cue in (("first", _FIRST), ("before", _BEFORE), ("now", _NOW)) if cue.search(question)), "any"
    )
    return relation, _subject(question), tense


def _subject(question: str) -> str | None:
    for match in re.finditer(
        rf"[A-Z]\w+(?: [A-Z]\w+)*(?:'s {PARTS['kin']}\b)?|\bmy {PARTS['kin']}\b(?! [A-Z])", question
    ):
        name = match[0]
        lead = question[: match.start()].rsplit(None, 1)
        if lead and lead[-1].lower() in ("in", "at", "to", "from", "near", "than"):
            continue
        opening = not lead and not question.startswith("'s", match.end()) and not name.endswith(tuple(KIN))
        if opening or name in _NOT_NAMES:
            first, _, rest = name.partition(" ")
            if not rest or first not in _ASKING:
                continue
            name = rest
        return name
    return None


_NUMBERS = {
    word: str(i) for i, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
}
_SAME = {
    "nyc": "new york",
    "new york city": "new york",
    "la": "los angeles",
    "sf": "san francisco",
    "uk": "united kingdom",
    "us": "united states",
    "usa": "united states",
}


def same_value(a: str, b: str) -> bool:
    """Whether two values mean the same: case, accents, articles, plurals and a qualifier ("Porto, Portugal") aside."""
    left, right = _normal(a), _normal(b)
    return left == right or (bool(left[:1]) and left[:1] == right[:1] and 1 in (len(left), len(right)))


def _normal(value: str) -> list[str]:
    """The comma-separated parts of a value in their plainest form."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", value) if not unicodedata.combining(c)).casefold()
    parts = []
    for part in plain.replace("’", "'").split(","):
        words = [_NUMBERS.get(word, word) for word in re.findall(r"[\w+#]+(?:'[\w]+)?", part)]
        words = [word.removesuffix("'s") for word in words if word not in ("the", "a", "an", "my", "our", "their")]
        joined = " ".join(
            word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "su" else word for word in words
        )
        parts += [_SAME.get(joined, joined)] if joined else []
    return parts
