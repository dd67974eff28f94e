"""The two tables behind ``secrets``: shapes that are secrets by themselves, and cues that announce one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mnemic.text.record import Span
from mnemic.text.steps.secret_values import (
    PLACEHOLDER,
    Found,
    Reader,
    flat,
    is_random,
    read_account,
    read_bare_code,
    read_code,
    read_cvv,
    read_document,
    read_key,
    read_otp,
    read_pair,
    read_passphrase,
    read_password,
    read_pin,
    read_recovery,
    read_seed,
)

_REACH = 160  # characters after a cue in which its value must begin and end; four times as many for keys and seeds
_BACK = 100  # characters before a cue in which "<value> is my <cue>" must begin
_AROUND = 48  # characters on both sides of a head (below) within which the whole cue lies


# fmt: off
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
CUES = tuple(cue._replace(words=flat(cue.words)) for cue in (  # the first that matches wins: specific, then general
    Cue("seed", r"""(?:seed|recovery|mnemonic|wallet|backup|secret)(?: recovery)? (?:phrase|words|seed)|mnemonic|(?:12
        |24|twelve|twenty[ -]four)[ -]words?(?: seed)?(?: phrase)?""", read_seed),
    Cue("code", r"(?:recovery|back-?up|scratch|emergency)[ -](?:access )?(?:codes?|keys?)", read_recovery, many=True),
    Cue("cvv", r"""cvv2?|cvc2?|csc|cid code|(?:card|three[ -]digit|3[ -]digit) (?:security |verification )?code
        |security code(?= on (?:the|my) (?:back|card)|(?: is|:)? \d{3,4}(?!\d))""", read_cvv),
    Cue("code", r"""(?:verification|one[ -]?time|confirmation|authentication|authenticator|auth|log-?in|sign-?in
        |security|sms|2fa|mfa|two-factor|otp|activation|reset|text(?:ed)?|whatsapp|google
        |temporary)(?:[ -](?:pass)?codes?|[ -]pin)|otp""", read_otp),
    Cue("code", _PLACE + r"""[ -](?:pin|pass)?-?(?:codes?|combination|combo|pin)|(?:lock )?combination(?! (?:for|to|of
        |on|at) )|combo|(?:codes?|combination|combo) (?:for|to|of|on|at) (?:the|my|our|his|her|their|your
        |mom['’]s) (?:[\w'’]+ ){0,2}?"""
        + _PLACE, read_code),
    Cue("account", r"""(?:(?:bank|checking|savings|current|deposit) )?(?:account|acct|acc)\.?\s?(?:numbers?|nos?\.?
        |num|nr\.?|#)|bank account|sort[ -]?code|routing(?: number| no\.?)?|aba number|transit number|bsb(?: number)?
        |iban""", read_account),
    Cue("document", r"""(?:passport|(?:driver['’]?s?|drivers['’]?|driving)[ -]licen[cs]e|national (?:id(?:entity)?
        |insurance)(?: card)?|ni number|nino|social security|social|ssn|tax(?:payer)? (?:id(?:entification)?|file)
        |tax(?= number)|tin|itin|ein|aadhaa?r|pan card|pan number|green card|resident permit|residence permit|id card
        |identity card|nhs|medicare|medicaid|dni|nie|cpf|codice fiscale|steuer-?id|nif|sin number|voter id|military id
        |visa number|licen[cs]e number)(?:\s?(?:numbers?|nos?\.?|num|nr\.?|#|id))?""", read_document),
    Cue("key", r"""(?:api|access|secret|private|encryption|decryption|signing|licen[cs]e|activation|product|master
        |auth|account|service|ssh|webhook|storage|shared|deploy)[ _-]?(?:access[ _-]?)?(?:key|token
        |secret)s?(?:[ _-](?:id|base))?|(?:access|auth|bearer|refresh|session|client|bot|personal access|consumer|app
        |webhook|jwt|csrf|id)[ _-]?(?:tokens?|secrets?|keys?)|tokens?|secrets?|bearer|authorization:? (?:bearer|basic
        |token)""", read_key),
    Cue("pin", r"(?:(?:atm|sim|card|bank|phone|voicemail|unlock) )?pin(?: number| no\.?)?|pass ?codes?", read_pin),
    Cue("password", r"pass[ -]?phrases?", read_passphrase),
    Cue("password", r"""pass[ -]?words?|passwd|pwd?|psw|pswd|(?:wi-?fi|wpa2?|network|router) (?:key|code)|contraseña
        |clave|passwort|kennwort|mot de passe|senha|wachtwoord|пароль|密码|密碼|パスワード|비밀번호""", read_password),
    Cue("password", r"log[ -]?ins?|sign[ -]?in|credentials?|creds|wi-?fi|user(?:name)?|ssh", read_pair),
    Cue("password", r"pass", lambda text, at, limit, _: read_password(text, at, limit, False), bare=False),
    Cue("code", r"code", read_bare_code, bare=False),
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

_ADVERB = flat(r"""(?:\s+(?:now|still|currently|just|actually|simply|literally|probably|always|all lowercase|again
    |this|set to|changed to|back to|going to be|either))*""")
_ABOUT = r"(?:\s+\(?(?:for|to|of|on|at|in|from|with|you|they|we|i|he|she)(?:\s+[\w'’.@&-]{1,20}\)?){1,6}?)?"
_MADE = r"(?:changed|switched|updated|reset|set|rotated|moved|renewed)"
_LINKS = [(re.compile(flat(pattern), re.I), firm) for pattern, firm in (
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
_MORE = re.compile(flat(  # a second value after the first: the old one and the new one
    r"""[\"'”’]?\s*[,;.(–—-]{0,2}\s*(?:(?:and|but|then|so|now|before|until|later|today|yesterday|or
    |after)\s+){0,3}(?:(?:(?:i|we|he|she|they)(?:['’]ve|\s+have|\s+had|\s+just|\s+then|\s+later
    |\s+recently)*\s+)?""" + _MADE + r"""
        \s+(?:it\s+|that\s+)?(?:over\s+|back\s+)?to\s|(?:it['’]s|it is|is|the new one(?: is|['’]s)|the old one was
        |it was|before that(?: it was)?|to)(?:\s+now)?\s)"""), re.I)
_ALSO = re.compile(r"\s{0,3}(?:[,;/|]|\band\b|\bor\b|\n)\s{0,3}(?:and\s|or\s|[-*•]\s|\d{1,2}[.)]\s)?")
_REVERSE = re.compile(flat(
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
    return len(value) if is_random(value) else 0


def _readable(value: str) -> int:
    return 0 if PLACEHOLDER.fullmatch(value) else len(value)


_PREFIXES = tuple("""
sk- sk_live_ sk_test_ rk_live_ rk_test_ whsec_ ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glrt- AKIA ASIA xoxa-
xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp- AIza ya29. GOCSPX- npm_ pypi- hf_ gsk_ r8_ nvapi- tvly- lin_api_ sntrys_
dop_v1_ shpat_ shpss_ shpca_ SG. ATATT3
dapi AGE-SECRET-KEY-1 key- PMAK- sq0atp- sq0csp- mnk_""".split())
_GAP = r"(?:\s|\\[nr])*+"
_SHAPES = [(shape, re.compile(flat(shape.pattern))) for shape in (
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
_RECORD_NUMBER = re.compile(flat(r"""(?:order|tracking|invoice|isbn|imei|serial|booking|reference|ticket
    |parcel)\W{1,2}(?:(?:number|no|nr|id|code)\W{1,2})?(?:is )?\W{0,2}\Z"""), re.I)
# fmt: on


_HINTS = tuple({hint for shape, _ in _SHAPES for hint in shape.hint})


def _shapes(text: str) -> Iterator[Span]:
    hints = {hint for hint in _HINTS if hint in text}
    for shape, pattern in _SHAPES:
        if shape.hint and hints.isdisjoint(shape.hint):
            continue
        for found in pattern.finditer(text):
            size = shape.length(found[1])
            other = shape.label == "card" and _RECORD_NUMBER.search(text, max(0, found.start() - 40), found.start())
            if size and not other:
                yield Span(found.start(1), found.start(1) + size, shape.label)


def _regions(low: str) -> Iterator[tuple[int, int]]:
    """The stretches around the hits of the first pass, merged where they meet."""
    hits: list[int] = []
    for head in [head for head in _HEADS if head in low]:
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


def spans(text: str) -> list[Span]:
    """Every secret that a shape or a cue finds in ``text``; they may overlap."""
    return [*_shapes(text), *_cues(text)]
