"""Secrets in a text: which characters must never reach an index, a prompt, a log or an export.

Two tables do the work. A *shape* is recognised on its own: a key with a known prefix, a card number that passes
its checksum. A *cue* is a noun ("door code") that says the next value is secret; a *link* joins the two ("is", ":",
"changed to") and a *reader* decides whether what follows is a value or ordinary words. A value that looks like
prose is left alone, because people mention passwords far more often than they tell them.

Labels: ``password`` (also passphrases), ``pin``, ``code`` (doors, safes, alarms, one-time, recovery), ``key`` (API
keys, tokens, private and licence keys), ``card``, ``cvv``, ``account`` (bank numbers, IBAN), ``document`` (passport,
licence, national, social security and tax numbers), ``seed`` (wallet phrases). Not secrets: promotion codes, post
and area codes, phone, order and booking numbers, the last four digits of a card, addresses, dates, placeholders.
Every pattern is bounded or possessive, so the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mnemic.text.record import Span

LABELS = ("password", "pin", "code", "key", "card", "cvv", "account", "document", "seed")
_REACH = 160  # characters after a cue in which its value must begin and end; four times as many for keys and seeds
_BACK = 100  # characters before a cue in which "<value> is my <cue>" must begin
_AROUND = 48  # characters on both sides of a head (below) within which the whole cue lies


def _flat(pattern: str) -> str:
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
_UNIT = _flat(r"""(?:-|\s+)?(?:%|(?:char(?:acter)?s?|letters?|digits?|numbers?|words?|symbols?|times|seconds?|minutes?
    |mins?|hours?|days?|weeks?|months?|years?|lines?|people|percent|dollars|euros|pounds|usd|miles?|km|bits?|bytes?|am
    |pm|points?)\b)""")
_ORDINARY = re.compile(_flat(r"""
    \d{1,2}[-/.]\d{1,2}[-/.](?:\d\d){1,2}|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|(?:19|20)\d\d\s?[-–/]\s?(?:19|20)?\d\d
    |\d{1,2}:\d\d.*|[$€£¥]\s?[\d.,]+|[\d.,]+(?:st|nd|rd|th|s|am|pm|x|k|m|gb|mb|ghz|hz|%)|\d+\.\d+|v\d+(?:\.\d+)*
    |[a-z]+['’][a-z]{1,2}|2fa|2sv|mp3|[\d.]+[-–+]?(?:digits?|char\w*|letters?|words?|hours?|days?|weeks?|months?
    |years?|step|factor|bit)\b.*|[\w.+-]+@[\w-]+(?:\.[a-z]{2,3})+|\w+://.*|www\..*|.*\.(?:com|org|net|html?|php|py|js
    |txt|pdf)|(?:sha|md|aes|rsa|base|utf|web|wpa|win|windows|bcrypt|oauth|argon|iso)-?\d+\w*"""), re.I)
_PLACEHOLDER = re.compile(_flat(r"""
    (?:your|my|the|some|an?|new|old|current|database|db|mysql|root)[-_ ]?\w*(?:passw(?:or)?d|secret|token|key|pass|pwd
    |pin|code)\w*|[^\w]*|pass|password|passwd|pwd|pw|secret|token|key|(.)\1{3,}|[<{].*|.*[>}]|\$[a-z_]+|%\w+%?
    |.*(?:\.{3}|…).*|.*(?:your[-_]|x{4,}|redacted|placeholder|changeme|_here|\*{3}).*|[a-z_]\w*(?:(?:\.|->
    |::)[a-z_]\w*)*[(\[](?:.*[)\]])?[;:,]?|(?-i:[a-z_]\w*(?:\.[A-Za-z_]\w*)+)|(?:none|null|nil|true|false|undefined|string
    |str)\W*"""), re.I)
_CLOSE = re.compile(_flat(r"""\s*(?:\Z|[\n.,;:!?)\]\"”’|(–—]|-\s|(?:and|but|so|for|on|if|in|because|btw|please|pls
    |thanks|thx|ok|okay|lol|haha|just|now|again|don['’]?t|do|all|with|by|the|until|since|at|right|case|no|lowercase
    |one)\b)"""), re.I)
# fmt: on


def _is_ordinary(value: str) -> bool:
    return bool(_ORDINARY.fullmatch(value) or _PLACEHOLDER.fullmatch(value))


def _is_prose(word: str) -> bool:
    return word.lower() in _PROSE or bool(_SUFFIX.search(word))


def _digits(value: str) -> int:
    return sum(map(str.isdigit, value))


def _is_mixed(value: str) -> bool:
    """Looks made up: letters with digits or inner symbols, or a number of four digits or more."""
    if len(value) < 4 or _is_ordinary(value):
        return False
    if not any(map(str.isalpha, value)):
        return _digits(value) >= 4 and not re.fullmatch(r"(?:19|20)\d\d", value)
    return _digits(value) > 0 or bool(re.search(r"[!@#$%^&*_+=~?]\w|\w-\w+-\w", value))


def _is_random(value: str) -> bool:
    """Varied enough to be a generated key: letters and digits, or many digits."""
    varied = len(set(value)) >= min(8, len(value) * 2 // 3) and _digits(value) > 0
    return varied and (any(map(str.isalpha, value)) or len(value) >= 20) and not _is_ordinary(value)


# A reader gives the value at a place, or nothing. It takes the text, the place, where to stop, and whether the link
# before it is firm: then a plain word may be the value too.
Found = tuple[int, int] | None
Reader = Callable[[str, int, int, bool], Found]

_QUOTED = re.compile(
    r"[\"“«„]([^\"“”«»\n]{1,64})[\"”»“]|['‘]([^'‘’\n]{1,64})['’](?!\w)|\*\*([^*\n]{1,64})\*\*|`{1,3}([^`\n]{1,64})`{1,3}"
)
_PHRASE = re.compile(
    r"[A-Za-z]{2,12}(?:[ -][a-z]{2,12}){2,7}(?=\s*(?:[.,;:!?)\n]|\Z)|\s(?:but|and|so|because|which)\b)"
)
_TOKEN = re.compile(r"(?:[^\s\"`,;“”«»]|[,;](?=[^\s,;\"'&]{2})(?!\w{1,30}=)){3,64}+(?!\S)|[^\s\"`,;“”«»]{3,64}+")
_PAIR = re.compile(r"[\w.@+-]{2,40}(?:\s?[/:|]\s?(?!/)|\s(?:and|with)\s(?:password\s)?)")


def _read_password(text: str, at: int, limit: int, firm: bool) -> Found:
    if quoted := _QUOTED.match(text, at, limit):
        value = quoted[quoted.lastindex or 0]
        words = value.split()
        prose = len(words) > 1 and any(_is_prose(word) for word in words[:2])
        plain = len(words) == 1 and _is_prose(value)
        fine = len(value) >= 3 and not (prose or plain or _is_ordinary(value))
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
    if _is_mixed(value) and not _is_prose(value.rstrip("!")):
        return start, end
    value = value.rstrip("!*_")
    plain = len(value) >= 4 and bool(re.fullmatch(r"\w+(?:-\w+)?", value)) and not re.fullmatch(r"\d+", value)
    if firm and plain and not _is_ordinary(value) and not any(map(_is_prose, [value, *value.split("-")])):
        return (start, start + len(value)) if _CLOSE.match(text, start + len(value), limit) else None
    return None


def _read_passphrase(text: str, at: int, limit: int, firm: bool) -> Found:
    """A password that may be four or more plain words even with no link before it."""
    phrase = _PHRASE.match(text, at, limit)
    words = re.split("[ -]", phrase[0]) if phrase else []
    if phrase and len(words) >= 4 and _GRAMMAR.isdisjoint(words):
        return phrase.span()
    return _read_password(text, at, limit, firm)


def _reader(pattern: str, accept: Callable[[str], bool] = lambda value: True, flags: int = re.I) -> Reader:
    """A reader for values of one form: group 0, trimmed of trailing separators, that ``accept`` takes."""
    after = r"(?![\w@])(?!" + _UNIT + r")(?![.,/:]\d)"
    compiled = re.compile(r"[\"'“‘`(]{0,2}(?:\*\*)?(?P<value>" + pattern + ")" + after, flags)

    def read(text: str, at: int, limit: int, firm: bool) -> Found:
        found = compiled.match(text, at, limit)
        return found.span("value") if found and accept(found["value"]) else None

    return read


def _read_seed(text: str, at: int, limit: int, firm: bool) -> Found:
    """The 12, 15, 18, 21 or 24 words of a wallet phrase (BIP-39), numbered or not."""
    words = list(re.finditer(r"[^\W\d_]+", text[at:limit]))[:24]
    count = next((i for i, word in enumerate(words) if not re.fullmatch(r"[A-Za-z]{3,8}", word[0])), len(words))
    count = next((i for i, word in enumerate(words[:count]) if word[0] in {"the", "and", "you", "that", "your"}), count)
    count = count // 3 * 3
    return (at + words[0].start(), at + words[count - 1].end()) if count >= 12 else None


def _read_pair(text: str, at: int, limit: int, firm: bool) -> Found:
    """The password of ``user / password``; the user name stays readable."""
    pair = _PAIR.match(text, at, limit)
    if not pair or _is_prose(re.split(r"\W", pair[0])[0]) or pair[0][0].isdigit():
        return None
    return _read_password(text, pair.end(), limit, firm and pair[0][-1] in "/:| " and not pair[0][-2].isalpha())


# fmt: off
_NUMERAL = "(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)"
_SPOKEN = _NUMERAL + "(?:[ ,-]{1,2}" + _NUMERAL + "){2,7}"
_SIDE = r"(?:left|right|clockwise)"
_read_pin = _reader(r"\d{4,12}|\d{2}[ -]\d{2}(?:[ -]\d{2})?|\d(?:[ -]\d){3,7}|" + _SPOKEN)
_read_code = _reader(
    rf"\d{{1,3}}(?:\s?{_SIDE})?(?:(?:\s?[-–/,]\s?|\s(?:then\s|to the\s)?)(?:{_SIDE} )?\d{{1,3}}(?:\s{_SIDE})?){{2,3}}"
    rf"|{_SIDE} \d{{1,2}}(?:,? (?:then )?{_SIDE} \d{{1,2}}){{1,3}}"
    r"|[#*]?\d{3}[ -]\d{3,4}[#*]?|[#*]?(?:[A-Z]{1,3}-?)?\d{3,10}[A-Z]{0,2}[#*]{0,2}|[A-Z\d]{4,10}[#*]?|" + _SPOKEN,
    lambda v: (_digits(v) > 0 or " " in v or "-" in v) and not (v.isalnum() and _is_ordinary(v)))
_read_otp = _reader(r"(?:[A-Z]{1,2}-)?\d{3}[ -]?\d{3}|\d{4,8}|\d{2}(?:[ -]\d{2}){1,3}|[A-Z\d]{5,8}|" + _SPOKEN,
    lambda v: _digits(v) > 0 or " " in v)
_read_document = _reader(r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]|[a-z]{1,2}\d{5,10}"
    r"|[A-Z\d]{1,16}(?:[ .\-/](?=[A-Z]{0,4}\d)[A-Z\d]{1,9}){0,5}",
    lambda v: 6 <= len(v) <= 24 and _digits(v) >= 4 and not _ORDINARY.fullmatch(v), 0)
_read_recovery = _reader(r"[A-Z\d]{3,12}(?:-[A-Z\d]{3,12}){0,11}|\d{3,6}(?: \d{3,6}){1,3}",
    lambda v: len(v) >= 6 and _digits(v) >= 2)
_read_key = _reader(r"[A-Z0-9+/_=.~@#$%^&*:!\-]{7,511}[A-Z0-9+/_=~#$%^&*\-]", _is_random)
_read_bare_code, _read_cvv = _reader(r"\d{3}[ -]\d{3}|\d{4,8}[#*]?"), _reader(r"\d{3,4}")
_read_account = _reader(r"[A-Z]{0,4}\d(?:[ -]?\d){5,19}")


class Cue(NamedTuple):
    """``words`` announce a secret that ``read`` reads. ``bare``: the value may follow with no link between."""

    label: str
    words: str
    read: Reader
    bare: bool = True
    many: bool = False


_PLACE = r"""(?:(?:front|back|side|main|garage|building|apartment|office|house|bike|luggage|suitcase|gym|wall|gun
    |hotel) )?(?:door|gate|alarm|safe|locker|garage|entry|entrance|access|lock|lock ?box|key ?box|key ?safe|keypad
    |padlock|vault|bike|suitcase|luggage|intercom|elevator|lift|building|buzzer|shed|burglar|disarm|unlock|house
    |apartment|lobby|conference|voicemail)"""
CUES = tuple(cue._replace(words=_flat(cue.words)) for cue in (  # the first that matches wins: specific, then general
    Cue("seed", r"""(?:seed|recovery|mnemonic|wallet|backup|secret)(?: recovery)? (?:phrase|words|seed)|mnemonic|(?:12
        |24|twelve|twenty[ -]four)[ -]words?(?: seed)?(?: phrase)?""", _read_seed),
    Cue("code", r"(?:recovery|back-?up|scratch|emergency)[ -](?:access )?(?:codes?|keys?)", _read_recovery, many=True),
    Cue("cvv", r"""cvv2?|cvc2?|csc|cid code|(?:card|three[ -]digit|3[ -]digit) (?:security |verification )?code
        |security code(?= on (?:the|my) (?:back|card)|(?: is|:)? \d{3,4}(?!\d))""", _read_cvv),
    Cue("code", r"""(?:verification|one[ -]?time|confirmation|authentication|authenticator|auth|log-?in|sign-?in
        |security|sms|2fa|mfa|two-factor|otp|activation|reset|text(?:ed)?|whatsapp|google
        |temporary)(?:[ -](?:pass)?codes?|[ -]pin)|otp""", _read_otp),
    Cue("code", _PLACE + r"""[ -](?:pin|pass)?-?(?:codes?|combination|combo|pin)|(?:lock )?combination(?! (?:for|to|of
        |on|at) )|combo|(?:codes?|combination|combo) (?:for|to|of|on|at) (?:the|my|our|his|her|their|your
        |mom['’]s) (?:[\w'’]+ ){0,2}?"""
        + _PLACE, _read_code),
    Cue("account", r"""(?:(?:bank|checking|savings|current|deposit) )?(?:account|acct|acc)\.?\s?(?:numbers?|nos?\.?
        |num|nr\.?|#)|bank account|sort[ -]?code|routing(?: number| no\.?)?|aba number|transit number|bsb(?: number)?
        |iban""", _read_account),
    Cue("document", r"""(?:passport|(?:driver['’]?s?|drivers['’]?|driving)[ -]licen[cs]e|national (?:id(?:entity)?
        |insurance)(?: card)?|ni number|nino|social security|social|ssn|tax(?:payer)? (?:id(?:entification)?|file)
        |tax(?= number)|tin|itin|ein|aadhaa?r|pan card|pan number|green card|resident permit|residence permit|id card
        |identity card|nhs|medicare|medicaid|dni|nie|cpf|codice fiscale|steuer-?id|nif|sin number|voter id|military id
        |visa number|licen[cs]e number)(?:\s?(?:numbers?|nos?\.?|num|nr\.?|#|id))?""", _read_document),
    Cue("key", r"""(?:api|access|secret|private|encryption|decryption|signing|licen[cs]e|activation|product|master
        |auth|account|service|ssh|webhook|storage|shared|deploy)[ _-]?(?:access[ _-]?)?(?:key|token
        |secret)s?(?:[ _-](?:id|base))?|(?:access|auth|bearer|refresh|session|client|bot|personal access|consumer|app
        |webhook|jwt|csrf|id)[ _-]?(?:tokens?|secrets?|keys?)|tokens?|secrets?|bearer|authorization:? (?:bearer|basic
        |token)""", _read_key),
    Cue("pin", r"(?:(?:atm|sim|card|bank|phone|voicemail|unlock) )?pin(?: number| no\.?)?|pass ?codes?", _read_pin),
    Cue("password", r"pass[ -]?phrases?", _read_passphrase),
    Cue("password", r"""pass[ -]?words?|passwd|pwd?|psw|pswd|(?:wi-?fi|wpa2?|network|router) (?:key|code)|contraseña
        |clave|passwort|kennwort|mot de passe|senha|wachtwoord|пароль|密码|密碼|パスワード|비밀번호""", _read_password),
    Cue("password", r"log[ -]?ins?|sign[ -]?in|credentials?|creds|wi-?fi|user(?:name)?|ssh", _read_pair),
    Cue("password", r"pass", lambda text, at, limit, _: _read_password(text, at, limit, False), bare=False),
    Cue("code", r"code", _read_bare_code, bare=False),
))
_ANY = "|".join(f"(?P<c{i}>{cue.words})" for i, cue in enumerate(CUES))
_CUE, _HERE = re.compile(rf"(?<![a-zß-ɏ])(?:{_ANY})"), re.compile(_ANY)  # for lower-case text
_CAMEL = re.compile(r"(?:Pass(?:word|wd|phrase)|Pwd|Secret|Token|Pin)(?![a-z])")
# Every cue contains one of these at the start of a word: a quick first pass, the large pattern runs only around it.
_HEADS = (*"""
pass pin code comb api access key token secret cvv cvc csc phrase words mnemonic seed otp acc sort rout aba trans bsb
iban licen natio nino social ssn tax tin itin ein aadha pan green permit identi nhs medic dni nie cpf fiscal steuer nif
voter milit visa bearer author pw psw wifi wi-fi contrase clave kennw senha wacht пар 密 パス 비밀 log sign cred user
ssh""".split(), "ni num", "id card", "sin num", "mot de")

_ADVERB = _flat(r"""(?:\s+(?:now|still|currently|just|actually|simply|literally|probably|always|all lowercase|again
    |this|set to|changed to|back to|going to be|either))*""")
_ABOUT = r"(?:\s+\(?(?:for|to|of|on|at|in|from|with|you|they|we|i|he|she)(?:\s+[\w'’.@&-]{1,20}\)?){1,6}?)?"
_MADE = r"(?:changed|switched|updated|reset|set|rotated|moved|renewed)"
_LINKS = [(re.compile(_flat(pattern), re.I), firm) for pattern, firm in (
    (r"(?:[_\d]\w{0,30})?[\"'’”`*_\])]{0,4}" + _ABOUT + r"\s{0,3}(?::=|=>|=(?!=)|->|→|:|：)[*_]{0,2}\s{0,4}", True),
    (_ABOUT + r"""(?:['’]s|\s+(?:is|are|was|were|will be|would be|has been|used to be|became|remains|reads|es|ist|est
        |é|это)|\s?(?:是|は|는))""" + _ADVERB + r"\s{0,2}[:,]?\s{0,4}(?<=[\s:是は는])", True),
    (_ABOUT + r"\s+is,[^,\n]{1,30},\s", True),
    (r"\s+(?:from|with|as|using)\s", False),
    (_ABOUT + r"\s+(?:should|must|needs to|has to|ought to|may|might) be" + _ADVERB + r"\s", False),
    (r"[^.?!\n:=]{0,60}?\s" + _MADE + r"\s+(?:it|them|that)\s+(?:back\s+)?to\s", True),
    (r"[^.?!\n:=]{0,20}?\s(?:was\s+|is\s+|been\s+|got\s+)?" + _MADE + r"\s+to\s", False),
    (r"""[^.?!\n:=]{0,40}?\s?[.,;?!–—-]+\s*(?:yes|sure|yeah|oh|here|ok)?,?\s*(?:it['’]s|it is|that['’]s|that is|try
        |use|here it is:?|here you go:?)\s""", False),
)]
_BARE = re.compile(r"\s*\??\s{0,2}(?:\(|#|-\s|–\s|—\s|(?:still|now|again|was|like)\s)?", re.I)
_SET_TO = re.compile(_ABOUT + r"\s+to\s", re.I)
_SETTING = re.compile(r"\b(?:chang|set|reset|updat|switch|mak|made|rotat)\w*\s+(?:[\w'’-]+\s+){0,4}\Z", re.I)
_MORE = re.compile(_flat(  # a second value after the first: the old one and the new one
    r"""[\"'”’]?\s*[,;.(–—-]{0,2}\s*(?:(?:and|but|then|so|now|before|until|later|today|yesterday|or
    |after)\s+){0,3}(?:(?:(?:i|we|he|she|they)(?:['’]ve|\s+have|\s+had|\s+just|\s+then|\s+later
    |\s+recently)*\s+)?""" + _MADE + r"""
        \s+(?:it\s+|that\s+)?(?:over\s+|back\s+)?to\s|(?:it['’]s|it is|is|the new one(?: is|['’]s)|the old one was
        |it was|before that(?: it was)?|to)(?:\s+now)?\s)"""), re.I)
_ALSO = re.compile(r"\s{0,3}(?:[,;/|]|\band\b|\bor\b|\n)\s{0,3}(?:and\s|or\s|[-*•]\s|\d{1,2}[.)]\s)?")
_REVERSE = re.compile(_flat(
    r"""(?<!\S)(?:[\"'“‘`(]|\*\*)?(?P<value>\d{3}[ -]\d{3}|[^\s\"”`]{4,64}?)(?:[\"'”’`)]|\*\*)?,?\s+(?:[-–—]\s+)?(?:is
    |was|are|as|for|=|that['’]s|it['’]s)\s+(?:(?:still|now|also|currently)\s+)?(?:my|the|our|your|his|her|their|a
    |for)\s(?:[\w'’-]+\s){0,3}\Z"""), re.I)
_CODE_ALONE = re.compile(
    r"(?<![^\W_])(?:the|your|my|a|this|that|new|our|her|his|with|enter|use|is|here['’]s)\s\Z|[.:!?\n]\s?\Z|\A\Z"
    r"|\b(?:your|my)\s(?!zip|post|area|promo|country)(?-i:[A-Z][A-Za-z]{1,15})\s\Z", re.I)


class Shape(NamedTuple):
    """Group 1 of ``pattern`` is a candidate; ``length`` says how much of it is secret. ``hint``: one must occur."""

    label: str
    hint: tuple[str, ...]
    pattern: str
    length: Callable[[str], int] = len


_SCHEME = re.compile(  # first digits and lengths of the card networks
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11,16}|(?:6\d|35|5[06-8])\d{14,17}"
)
_IBAN = dict(re.findall(r"([A-Z]{2})(\d\d)", """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27
GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27
MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TN24
TR26 UA29 VA22 VG24 XK20"""))  # fmt: skip


def _card(run: str) -> int:
    for end in (len(run), *(gap.start() for gap in reversed(list(re.finditer(r"\D", run))))):
        digits = [int(char) for char in run[:end] if char.isdigit()]
        if _SCHEME.fullmatch("".join(map(str, digits))) and len(set(digits)) > 1:
            doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
            if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0:  # Luhn, ISO/IEC 7812-1
                return end
    return 0


def _iban(run: str) -> int:
    left, size = int(_IBAN.get(run[:2].upper(), 0)), 0
    while size < len(run) and left:
        left -= run[size].isalnum()
        size += 1
    compact = re.sub(r"[ -]", "", run[:size]).upper()
    if left or run[size : size + 1].isalnum():
        return 0
    return size if int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1 else 0  # ISO 13616


def _random(value: str) -> int:
    return len(value) if _is_random(value) else 0


def _readable(value: str) -> int:
    return 0 if _PLACEHOLDER.fullmatch(value) else len(value)


_PREFIXES = tuple("""
sk- sk_live_ sk_test_ rk_live_ rk_test_ whsec_ ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glrt- AKIA ASIA xoxa-
xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp- AIza ya29. GOCSPX- npm_ pypi- hf_ gsk_ r8_ nvapi- tvly- lin_api_ sntrys_
dop_v1_ shpat_ shpss_ shpca_ SG. ATATT3
dapi AGE-SECRET-KEY-1 key- PMAK- sq0atp- sq0csp-""".split())
_GAP = r"(?:\s|\\[nr])*+"
_SHAPES = [(shape, re.compile(_flat(shape.pattern))) for shape in (
    Shape("key", ("PRIVATE KEY",), r"(-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:" + _GAP
        + r"[A-Z][A-Za-z-]{3,20}: [^\n]{0,80})*+(?:" + _GAP + r"[A-Za-z0-9+/=]{16,}+)++(?:" + _GAP
        + r"[A-Za-z0-9+/=]{1,15}+)?(?:" + _GAP + r"-----END [A-Z0-9 ]{1,50}-----)?)"),
    Shape("key", _PREFIXES, r"(?<![\w-])((?:" + "|".join(map(re.escape, _PREFIXES)) + r")[\w.\-]{12,1024}+)", _random),
    Shape("key", ("eyJ",), r"(e(?<![\w-]e)yJ[\w-]{6,}+\.[\w-]{6,}+(?:\.[\w-]*+)?)"),  # JSON web token
    Shape("key", (":AA",), r"(\d(?<!\w\d)\d{7,9}:AA[\w-]{30,40})(?![\w-])"),  # bot token
    Shape("key", ("hooks.slack",), r"https://hooks\.slack\.com/services/([\w/]{20,100}+)"),
    Shape("key", ("uthorization",), r"""[Aa]uthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?i:bearer|basic
        |token)\ {1,3}([\w.~+/=-]{8,2048}+)""", _readable),
    Shape("key", ("earer",), r"[Bb]earer {1,3}([\w.~+/=-]{16,2048}+)", _random),
    Shape("password", ("://",), r"://[^\s:/@]{0,64}:(?![\d/]{1,5}/)([^\s/]{1,128})@(?=[\w\[])", _readable),
    Shape("card", (), r"""(\d(?<![\w+]\d)(?<!\d[.-]\d)(?:\d{12,18}|\d{3}(?:[ .-]\d{4}){3}(?:[ .-]\d{1,3})?
        |\d{3}[ .-]\d{6}[ .-]\d{4,5}))(?![\w-])""", _card),
    Shape("account", (), r"([A-Z](?<![^\W_].)[A-Z][0-9]{2}(?:[ -]?[A-Z0-9]){11,42}+)", _iban),
)]
_RECORD_NUMBER = re.compile(_flat(r"""(?:order|tracking|invoice|isbn|imei|serial|booking|reference|ticket
    |parcel)\W{1,2}(?:(?:number|no|nr|id|code)\W{1,2})?(?:is )?\W{0,2}\Z"""), re.I)
_MARKER, _LABEL = re.compile(r"\[secret:[a-z]{1,16}\]"), re.compile(r"[a-z]{1,16}")
# fmt: on


def _shapes(text: str) -> Iterator[Span]:
    for shape, pattern in _SHAPES:
        if shape.hint and not any(hint in text for hint in shape.hint):
            continue
        for found in pattern.finditer(text):
            size = shape.length(found[1])
            other = shape.label == "card" and _RECORD_NUMBER.search(text, max(0, found.start() - 40), found.start())
            if size and not other:
                yield Span(found.start(1), found.start(1) + size, shape.label)


def _regions(low: str) -> Iterator[tuple[int, int]]:
    """The stretches around the hits of the first pass, merged where they meet."""
    hits: list[int] = []
    for head in _HEADS:
        at = low.find(head)
        while at >= 0:
            if not at or not "a" <= low[at - 1] <= "z":
                hits.append(at)
            at = low.find(head, at + len(head))
    start = end = 0
    for hit in sorted(hits):
        if hit - _AROUND > end:
            if end:
                yield start, end
            start = hit - _AROUND
        end = hit + _AROUND
    if end:
        yield max(start, 0), end


def _cues(text: str) -> Iterator[Span]:
    low = text.lower()
    if len(low) != len(text):  # a few letters grow when lowered; offsets must not move
        low = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    words = [found for region in _regions(low) for found in _CUE.finditer(low, *region)]
    words += [here for hump in _CAMEL.finditer(text) if (here := _HERE.match(low, hump.start()))]
    for found in words:
        if not re.match("[a-zß-ɏ]", text[found.end() : found.end() + 1]):
            yield from _values(text, CUES[int((found.lastgroup or "c0")[1:])], *found.span())


def _values(text: str, cue: Cue, start: int, end: int) -> Iterator[Span]:
    if cue.words == "code" and not _CODE_ALONE.search(text, max(0, start - 24), start):
        return
    limit = min(len(text), end + (_REACH if cue.label not in ("seed", "key") else 4 * _REACH))
    value = _forward(text, cue, start, end, limit) or _backward(text, cue, start)
    while value:
        yield Span(*value, cue.label)
        step = _ALSO.match(text, value[1], value[1] + 12) if cue.many else None
        more = step or _MORE.match(text, value[1], value[1] + 80)
        firm = step is None and more is not None and more[0].strip() != "to"
        value = cue.read(text, more.end(), min(len(text), more.end() + _REACH), firm) if more else None


def _forward(text: str, cue: Cue, start: int, end: int, limit: int) -> Found:
    for link, firm in _LINKS:
        if (joined := link.match(text, end, limit)) and (value := cue.read(text, joined.end(), limit, firm)):
            return value
    if (joined := _SET_TO.match(text, end, limit)) and _SETTING.search(text, max(0, start - 48), start):
        return cue.read(text, joined.end(), limit, False)
    if cue.bare and (joined := _BARE.match(text, end, limit)) and joined.end() > end:
        return cue.read(text, joined.end(), limit, False)
    return None


def _backward(text: str, cue: Cue, start: int) -> Found:
    if found := _REVERSE.search(text, max(0, start - _BACK), start):
        value = cue.read(text, found.start("value"), found.end("value"), False)
        return value if value and value[1] == found.end("value") else None
    return None


def _join(spans: Sequence[Span]) -> list[Span]:
    """Sorted spans without overlap: what overlaps becomes one, under the label of the one that starts first."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        start = max(span.start, 0)
        if span.end <= start:
            continue
        if joined and start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Span(last.start, max(last.end, span.end), last.label)
        else:
            joined.append(Span(start, span.end, span.label))
    return joined


def find(text: str) -> list[Span]:
    """The secrets of ``text``: sorted spans that do not overlap, each over the secret value alone.

    Offsets are in characters, labels are :data:`LABELS`. A marker that :func:`mask` wrote is not a secret. Where
    both readings are possible a trailing ``!`` counts as part of a password. Takes any string and never raises.
    """
    text = _MARKER.sub(lambda marker: "\n" * len(marker[0]), text)  # same length: offsets stay true
    return _join([*_shapes(text), *_cues(text)])


def mask(text: str, spans: Sequence[Span]) -> str:
    """``text`` with ``[secret:label]`` in place of each span.

    Spans may come in any order, overlap or reach outside the text (they are clipped); a label that is not a short
    lower-case word is written as ``other``. Masking a text again with the same spans returns it unchanged.
    """
    spans = _join(spans)
    markers = [f"[secret:{span.label if _LABEL.fullmatch(span.label) else 'other'}]" for span in spans]
    shift, masked = 0, True  # where each marker stands if the text is masked already
    for span, marker in zip(spans, markers, strict=True):
        if span.start + shift >= len(text):
            break
        masked = masked and text.startswith(marker, span.start + shift)
        shift += len(marker) - (span.end - span.start)
    if masked:
        return text
    parts, at = [], 0
    for span, marker in zip(spans, markers, strict=True):
        if span.start < len(text):
            parts += [text[at : span.start], marker]
            at = span.end
    return "".join([*parts, text[at:]])
