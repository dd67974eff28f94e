"""What a question asks for (which relation of whom, now or before), and whether two values are the same."""

from __future__ import annotations

import re
import unicodedata

from mnemic.text.steps.relations import KIN, NOT_NAMES, PARTS

_DOMAINS = {
    "drink": "drink drinks coffee tea decaf espresso beer wine water juice latte cappuccino matcha soda whisky whiskey"
    " smoothies ginger alcohol caffeine milk",
    "time of day": "morning mornings evening evenings night nights afternoon afternoons",
    "animal": "cat cats dog dogs",
    "landscape": "beach beaches mountain mountains city countryside",
    "transport": "train trains driving flying cycling walking bus car bike",
    "reading": "paperback paperbacks audiobooks ebooks e-books hardcover hardcovers kindle",
    "seat": "aisle window",
}
_DOMAIN = {word: domain for domain, words in _DOMAINS.items() for word in words.split()}
_LIVE = r"(?:live|lives|lived|living|move|moved|moving)"
_QUESTIONS = tuple(  # the first that is found decides
    (relation, re.compile(pattern, re.I))
    for relation, pattern in {
        "age": r"\bhow old\b|\bage\b",
        "birthday": r"\bbirthday\b|\bwhen (?:was|were) .*\bborn\b",
        "favourite": r"\bfavou?rite (?P<thing>[\w-]+(?: (?!is|are|was|now|of|to|in|these|for|before)[\w-]+)?)",
        "allergy": r"\ballerg",
        "diet": r"\b(?:diet|vegan|vegetarian|pescatarian)",
        "prefers": r"\bprefer|\bwhat\b.*\bdrinks?\b",
        "job": r"\b(?:job|occupation|profession|career)\b|\bdo(?:es|ing)?\b.* for (?:work|a living)\b|\bwork as\b",
        "works_at": r"\bwhere\b.*\b(?:work|works|worked|working|employed)\b|\bemployer\b"
        r"|\bwork(?:s|ed|ing)? (?:for|at)\b|\bwhich company\b",
        "from": r"\bwhere\b.*\bfrom\b(?<!move from)(?<!moved from)(?<!moving from)|\bhome ?town\b"
        r"|\bwhere (?:was|were) .*\bborn\b",
        "lives_in": rf"\bwhere\b.*\b(?:{_LIVE}|based|resides?)\b"
        rf"|\b(?:which|what) (?:city|town|country|place)\b.*\b{_LIVE}\b"
        r"|^(?:is|are|does|do|did)\b.*\b(?:live|living) in\b",
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
_TENSES = (
    ("first", re.compile(r"\b(?:at first|originally|initially|first)\b", re.I)),
    (
        "before",
        re.compile(
            r"\b(?:before|previous(?:ly)?|used to|former(?:ly)?|earlier|prior to|(?<!how )old|moved? from)\b", re.I
        ),
    ),
    (
        "now",
        re.compile(
            r"\b(?:now|current(?:ly)?|these days|at the moment|still|today|latest|nowadays|at present|most recent)\b"
            r"|^(?:(?:where|what|which|who|how)(?:'s\b|\b.*?\b(?:is|are|does|do|has)\b)|(?:is|are|does|do|has)\b)"
            r"(?!.*\bdid\b)",
            re.I,
        ),
    ),
)
_WHO = re.compile(rf"[A-Z]\w+(?: [A-Z]\w+)*(?:'s {PARTS['kin']}\b)?|\bmy {PARTS['kin']}\b(?! [A-Z])")
_ASKING = frozenset("What Where Who When Which How Why Does Did Is Are Was Were Do Has Have Can Could And In".split())
_NUMBER = dict(zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True))
_SHORT = {
    "nyc": "new york",
    "new york city": "new york",
    "la": "los angeles",
    "sf": "san francisco",
    "uk": "united kingdom",
    "us": "united states",
    "usa": "united states",
}


def relation_of(question: str) -> tuple[str | None, str | None, str]:
    """Relation, subject and tense that ``question`` asks for.

    The relation is ``None`` when it is none of ours; the subject is the name as it stands in the question ("Ana",
    "Tom's sister", "my sister"), ``None`` without one. Tense: ``now`` (said, or in the present tense), ``before``,
    ``first``, else ``any``.
    """
    question = question[:500].replace("’", "'").strip()
    found = ((name, pattern.search(question)) for name, pattern in _QUESTIONS)
    relation, match = next(((name, match) for name, match in found if match), (None, None))
    if match and relation == "favourite":
        relation = f"favourite:{match['thing'].lower()}"
    if relation == "prefers":
        domain = domain_of(question)
        relation = f"prefers:{domain}" if domain else relation
    tense = next((name for name, cue in _TENSES if cue.search(question)), "any")
    return relation, _subject(question), tense


def _subject(question: str) -> str | None:
    for match in _WHO.finditer(question):
        name, lead = match[0], question[: match.start()].rsplit(None, 1)
        if lead and lead[-1].lower() in ("in", "at", "to", "from", "near", "than"):
            continue
        owner = question.startswith("'s", match.end()) or name.endswith(tuple(KIN))
        if (not lead and not owner) or name in NOT_NAMES:
            first, _, name = name.partition(" ")
            if not name or first not in _ASKING:
                continue
        return name
    return None


def domain_of(text: str) -> str | None:
    """The domain of the first word that has one: a preference for tea is one about drinks."""
    return next((_DOMAIN[word] for word in re.findall(r"[\w-]+", text.lower()) if word in _DOMAIN), None)


def count_of(word: str) -> int | None:
    """The number that ``word`` says ("a", "six", "12"), up to three digits."""
    if word.isdecimal() and len(word) <= 3:
        return int(word)
    return 1 if word.lower() in ("a", "an") else _NUMBER.get(word.lower())


def same_value(a: str, b: str) -> bool:
    """Whether two values mean the same: case, accents, articles, plurals and a qualifier ("Porto, Portugal") aside."""
    left, right = _plain(a), _plain(b)
    return left == right or (bool(left[:1]) and left[:1] == right[:1] and 1 in (len(left), len(right)))


def _plain(value: str) -> list[str]:
    """The comma-separated parts of a value in their plainest form."""
    text = "".join(c for c in unicodedata.normalize("NFKD", value) if not unicodedata.combining(c)).casefold()
    parts = []
    for part in text.replace("’", "'").split(","):
        words = (word.removesuffix("'s") for word in re.findall(r"[\w+#]+(?:'\w+)?", part))
        kept = [_singular(word) for word in words if word not in ("the", "a", "an", "my", "our", "their")]
        joined = " ".join(kept)
        parts += [_SHORT.get(joined, joined)] if joined else []
    return parts


def _singular(word: str) -> str:
    if word in _NUMBER:
        return str(_NUMBER[word])
    return word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "su" else word
