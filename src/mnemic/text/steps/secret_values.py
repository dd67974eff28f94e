"""The values of secrets: whether what stands after a cue is a password, a code, a key, or ordinary words."""

from __future__ import annotations

import re
from collections.abc import Callable

Found = tuple[int, int] | None
Reader = Callable[[str, int, int, bool], Found]
"""From a text, a place in it, a limit, and whether the link before was firm, to the value's bounds."""


def flat(pattern: str) -> str:
    return "".join(line.strip() for line in pattern.splitlines())


# fmt: off
# Words that follow "the password is" without being one; the suffixes take the open classes (adjectives, verbs).
_PROSE = frozenset("""
a about across after again all almost already also always an and another any around as at automatic avoid back bad
because been before below best better between big bit blank bool both broken but by can case choose common complex
correct could crap create crucial dead default different difficult do does done down easy either else email empty
english enough enter essential even ever every expire expires false fine first for forgot forgotten from full garbage
general gone good great guess half handy hard has have he hell her here hers hidden high him his how however i if
important in incorrect insecure inside instead int into invalid is it its just keep kept key kind known last later
least left let like login long longer lost low made make mandatory many mask match maybe me mine more most much must my
near necessary needs neither never new next nil no none nor normal not note now null of off often ok okay old on once
one open optional or other our ours out over own part passcode password passwords perfect pin plain please pretty
private public quite random rather ready reset right rubbish safe safer same secret secure see sent set several she
short should similar simple since so some someone somewhere soon sort static still str strong stronger stuck stupid
such super sure tbd text than that the their theirs them then there these they this those though through tip tips to
today tomorrow too tough trash tricky true try twice type under unique unknown until up upper upset us use user
username valid very via vital want was way we weak weaker were what whatever when where which while who why will with
within without work works would written wrong yes yesterday yet you your yours
""".split())
_GRAMMAR = frozenset("a the is are was to of in on at for and or but you your my i it that with not must can".split())
_SUFFIX = re.compile(r"(?:[a-z]ing|[a-z]ed|ly|ous|ful|less|able|ible|ive|sensitive|n['’]t|['’]s)\Z", re.I)
_UNIT = flat(r"""(?:-|\s+)?(?:%|(?:char(?:acter)?s?|letters?|digits?|numbers?|words?|symbols?|times|seconds?|minutes?
    |mins?|hours?|days?|weeks?|months?|years?|lines?|people|percent|dollars|euros|pounds|usd|miles?|km|bits?|bytes?|am
    |pm|points?)\b)""")
_ORDINARY = re.compile(flat(r"""
    \d{1,2}[-/.]\d{1,2}[-/.](?:\d\d){1,2}|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|(?:19|20)\d\d\s?[-–/]\s?(?:19|20)?\d\d
    |\d{1,2}:\d\d.*|[$€£¥]\s?[\d.,]+|[\d.,]+(?:st|nd|rd|th|s|am|pm|x|k|m|gb|mb|ghz|hz|%)|\d+\.\d+|v\d+(?:\.\d+)*
    |[a-z]+['’][a-z]{1,2}|2fa|2sv|mp3|[\d.]+[-–+]?(?:digits?|char\w*|letters?|words?|hours?|days?|weeks?|months?
    |years?|step|factor|bit)\b.*|[\w.+-]+@[\w-]+(?:\.[a-z]{2,3})+|\w+://.*|www\..*|.*\.(?:com|org|net|html?|php|py|js
    |txt|pdf)|sha-?(?:[123]|224|256|384|512)(?:-\d{3}|sum)?|md-?[245]|aes-?(?:128|192|256)(?:-?[a-z]{3})?
    |rsa-?(?:512|1024|2048|3072|4096)|base-?(?:16|32|36|58|62|64|85)(?:url)?|utf-?(?:7|8|16|32)(?:[bl]e)?|web-?[123](?:\.0)?
    |wpa-?[23](?:-?(?:psk|eap|enterprise|personal))?|win(?:dows)?-?(?:7|8|10|11|95|98|2000)|bcrypt-?\d{1,2}
    |oauth-?[12](?:\.0|a)?|argon-?2(?:id?|d)?|iso-?\d{4,5}"""), re.I)
PLACEHOLDER = re.compile(flat(r"""
    (?:your|my|the|some|an?|new|old|current|database|db|mysql|root)[-_ ]?\w*(?:passw(?:or)?d|secret|token|key|pass|pwd
    |pin|code)\w*|[^\w]*|pass|password|passwd|pwd|pw|secret|token|key|(.)\1{3,}|[<{].*|.*[>}]|\$[a-z_]+|%\w+%?
    |.*(?:\.{3}|…).*|.*(?:your[-_]|x{4,}|redacted|placeholder|changeme|_here|\*{3}).*|[a-z_]\w*(?:(?:\.|->
    |::)[a-z_]\w*)*[(\[](?:.*[)\]])?[;:,]?|(?-i:[a-z_]\w*(?:\.[A-Za-z_]\w*)+)|(?:none|null|nil|true|false|undefined|string
    |str)\W*"""), re.I)
_CLOSE = re.compile(flat(r"""\s*(?:\Z|[\n.,;:!?)\]\"”’|(–—]|-\s|(?:and|but|so|for|on|if|in|because|btw|please|pls
    |thanks|thx|ok|okay|lol|haha|just|now|again|don['’]?t|do|all|with|by|the|until|since|at|right|case|no|lowercase
    |one)\b)"""), re.I)
# fmt: on


def is_ordinary(value: str) -> bool:
    return bool(_ORDINARY.fullmatch(value) or PLACEHOLDER.fullmatch(value))


def _is_prose(word: str) -> bool:
    return word.lower() in _PROSE or (not digits(word) and bool(_SUFFIX.search(word)))


def digits(value: str) -> int:
    return sum(map(str.isdigit, value))


def is_mixed(value: str) -> bool:
    """Looks made up: letters with digits or inner symbols, or a number of four digits or more."""
    if len(value) < 4 or is_ordinary(value):
        return False
    if not any(map(str.isalpha, value)):
        return digits(value) >= 4 and not re.fullmatch(r"(?:19|20)\d\d", value)
    return digits(value) > 0 or bool(re.search(r"[!@#$%^&*_+=~?]\w|\w-\w+-\w", value))


def is_random(value: str) -> bool:
    """Varied enough to be a generated key: letters and digits, or many digits."""
    varied = len(set(value)) >= min(8, len(value) * 2 // 3) and digits(value) > 0
    return varied and (any(map(str.isalpha, value)) or len(value) >= 20) and not is_ordinary(value)


# A reader gives the value at a place, or nothing. It takes the text, the place, where to stop, and whether the link
# before it is firm: then a plain word may be the value too.

_QUOTED = re.compile(
    r"[\"“«„]([^\"“”«»\n]{1,64})[\"”»“]|['‘]([^'‘’\n]{1,64})['’](?!\w)|\*\*([^*\n]{1,64})\*\*|`{1,3}([^`\n]{1,64})`{1,3}"
)
_PHRASE = re.compile(
    r"[A-Za-z]{2,12}(?:[ -][a-z]{2,12}){2,7}(?=\s*(?:[.,;:!?)\n]|\Z)|\s(?:but|and|so|because|which)\b)"
)
_TOKEN = re.compile(r"(?:[^\s\"`,;“”«»]|[,;](?=[^\s,;\"'&]{2})(?!\w{1,30}=)){3,64}+(?!\S)|[^\s\"`,;“”«»]{3,64}+")
_PAIR = re.compile(r"[\w.@+-]{2,40}(?:\s?[/:|]\s?(?!/)|\s(?:and|with)\s(?:password\s)?)")


def read_password(text: str, at: int, limit: int, firm: bool) -> Found:
    if quoted := _QUOTED.match(text, at, limit):
        value = quoted[quoted.lastindex or 0]
        words = value.split()
        prose = len(words) > 1 and any(_is_prose(word) for word in words[:2])
        plain = len(words) == 1 and _is_prose(value)
        fine = len(value) >= 3 and not (prose or plain or is_ordinary(value))
        return quoted.span(quoted.lastindex or 0) if fine else None
    if firm and (phrase := _PHRASE.match(text, at, limit)) and not any(map(_is_prose, re.split("[ -]", phrase[0]))):
        return phrase.span()
    if not (token := _TOKEN.match(text, at, limit)):
        return None
    value = token[0].rstrip(".:?'’…")
    opened = value.lstrip("'‘(" if value.endswith(")") else "'‘")
    start, value = at + len(value) - len(opened), opened
    if value.endswith((")", "]")) and not re.search(r"[(\[]", value):
        value = value.rstrip(")]!.")
    end = start + len(value)
    if re.match(_UNIT, text[end : end + 16], re.I) and value.strip("-–+").isdigit():
        return None
    if is_mixed(value) and not _is_prose(value.rstrip("!")):
        return start, end
    value = value.rstrip("!*_")
    plain = len(value) >= 4 and bool(re.fullmatch(r"\w+(?:-\w+)?", value)) and not re.fullmatch(r"\d+", value)
    if firm and plain and not is_ordinary(value) and not any(map(_is_prose, [value, *value.split("-")])):
        return (start, start + len(value)) if _CLOSE.match(text, start + len(value), limit) else None
    return None


def read_passphrase(text: str, at: int, limit: int, firm: bool) -> Found:
    """A password that may be four or more plain words even with no link before it."""
    phrase = _PHRASE.match(text, at, limit)
    words = re.split("[ -]", phrase[0]) if phrase else []
    if phrase and len(words) >= 4 and _GRAMMAR.isdisjoint(words):
        return phrase.span()
    return read_password(text, at, limit, firm)


def _reader(pattern: str, accept: Callable[[str], bool] = lambda value: True, flags: int = re.I) -> Reader:
    """A reader for values of one form: group 0, trimmed of trailing separators, that ``accept`` takes."""
    after = r"(?![\w@])(?!" + _UNIT + r")(?![.,/:]\d)"
    compiled = re.compile(r"[\"'“‘`(]{0,2}(?:\*\*)?(?P<value>" + pattern + ")" + after, flags)

    def read(text: str, at: int, limit: int, firm: bool) -> Found:
        found = compiled.match(text, at, limit)
        return found.span("value") if found and accept(found["value"]) else None

    return read


def read_seed(text: str, at: int, limit: int, firm: bool) -> Found:
    """The 12, 15, 18, 21 or 24 words of a wallet phrase (BIP-39), numbered or not."""
    words = list(re.finditer(r"[^\W\d_]+", text[at:limit]))[:24]
    count = next((i for i, word in enumerate(words) if not re.fullmatch(r"[A-Za-z]{3,8}", word[0])), len(words))
    count = next((i for i, word in enumerate(words[:count]) if word[0] in {"the", "and", "you", "that", "your"}), count)
    count = count // 3 * 3
    return (at + words[0].start(), at + words[count - 1].end()) if count >= 12 else None


def read_pair(text: str, at: int, limit: int, firm: bool) -> Found:
    """The password of ``user / password``; the user name stays readable."""
    pair = _PAIR.match(text, at, limit)
    if not pair or _is_prose(re.split(r"\W", pair[0])[0]) or pair[0][0].isdigit():
        return None
    return read_password(text, pair.end(), limit, firm and pair[0][-1] in "/:| " and not pair[0][-2].isalpha())


# fmt: off
_NUMERAL = "(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)"
_SPOKEN = _NUMERAL + "(?:[ ,-]{1,2}" + _NUMERAL + "){2,7}"
_SIDE = r"(?:left|right|clockwise)"
read_pin = _reader(r"\d{4,12}|\d{2}[ -]\d{2}(?:[ -]\d{2})?|\d(?:[ -]\d){3,7}|" + _SPOKEN)
read_code = _reader(
    rf"\d{{1,3}}(?:\s?{_SIDE})?(?:(?:\s?[-–/,]\s?|\s(?:then\s|to the\s)?)(?:{_SIDE} )?\d{{1,3}}(?:\s{_SIDE})?){{2,3}}"
    rf"|{_SIDE} \d{{1,2}}(?:,? (?:then )?{_SIDE} \d{{1,2}}){{1,3}}"
    r"|[#*]?\d{3}[ -]\d{3,4}[#*]?|[#*]?(?:[A-Z]{1,3}-?)?\d{3,10}[A-Z]{0,2}[#*]{0,2}|[A-Z\d]{4,10}[#*]?|" + _SPOKEN,
    lambda v: (digits(v) > 0 or " " in v or "-" in v) and not (v.isalnum() and is_ordinary(v)))
read_otp = _reader(r"(?:[A-Z]{1,2}-)?\d{3}[ -]?\d{3}|\d{4,8}|\d{2}(?:[ -]\d{2}){1,3}|[A-Z\d]{5,8}|" + _SPOKEN,
    lambda v: digits(v) > 0 or " " in v)
read_document = _reader(r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]|[a-z]{1,2}\d{5,10}"
    r"|[A-Z\d]{1,16}(?:[ .\-/](?=[A-Z]{0,4}\d)[A-Z\d]{1,9}){0,5}",
    lambda v: 6 <= len(v) <= 24 and digits(v) >= 4 and not _ORDINARY.fullmatch(v), 0)
read_recovery = _reader(r"[A-Z\d]{3,12}(?:-[A-Z\d]{3,12}){0,11}|\d{3,6}(?: \d{3,6}){1,3}",
    lambda v: len(v) >= 6 and digits(v) >= 2)
read_key = _reader(r"[A-Z0-9+/_=.~@#$%^&*:!\-]{7,511}[A-Z0-9+/_=~#$%^&*\-]", is_random)
read_bare_code, read_cvv = _reader(r"\d{3}[ -]\d{3}|\d{4,8}[#*]?"), _reader(r"\d{3,4}")
read_account = _reader(r"[A-Z]{0,4}\d(?:[ -]?\d){5,19}")
