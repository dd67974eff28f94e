"""Which kind of memory a sentence belongs to, by cues. English, no model.

The six stores of MIRIX (arXiv 2507.07957, section 3): who somebody is (core), what happened (episodic), what is so
(semantic), how it is done (procedural), where it is written (resource), and how to reach or unlock it (vault). Every
cue gives points to a store; the store with most gets the sentence, if it has at least one. Small talk gets none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from mnemic.text.encode.lexical import tokens
from mnemic.text.language.cues import is_aside, sentences
from mnemic.text.record import Kind, Span
from mnemic.text.steps.dates import has_time_word


class Store(StrEnum):
    """Where a memory is kept. Ties go to the one named first."""

    VAULT = "vault"
    RESOURCE = "resource"
    PROCEDURAL = "procedural"
    EPISODIC = "episodic"
    CORE = "core"
    SEMANTIC = "semantic"


KINDS = {
    Store.VAULT: Kind.VAULT,
    Store.RESOURCE: Kind.RESOURCE,
    Store.PROCEDURAL: Kind.PROCEDURE,
    Store.EPISODIC: Kind.EVENT,
    Store.CORE: Kind.PROFILE,
    Store.SEMANTIC: Kind.NOTE,
}
"""What the records of a store are."""
LONG = 2000
"""Characters from which a text is something pasted, a resource as a whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Sentences of a text that belong together, and their store."""

    store: Store
    text: str


# --- Contact details: what the vault keeps beside secrets ------------------------------------------------------------

_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{2,24}){1,4}\b")
_PHONE = re.compile(r"(?<![\w.\-/])(?:\+\d{1,3}|\(\d{2,5}\)|\d{2,5})(?:[ .-]?\(?\d{2,5}\)?){1,5}(?![\w/-])")
_CALL = re.compile(r"(?i)\b(?:phone|number|mobile|cell|call|tel|telephone|fax|reach|contact|text|ring|whatsapp)\b")
_ADDRESS = re.compile(
    r"\b\d{1,5}[a-z]? (?:[A-Z][\w'’-]* ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Square|Court|Way"
    r"|Boulevard|Blvd|Place|Close|Terrace|Crescent)\b(?:,? \d{4,6})?|\bP\.? ?O\.? Box \d+"
)
_HANDLE = re.compile(
    r"(?i)\b(?:user ?name|login|handle|screen name|account name|nickname)\b(?: (?!is\b)\w+){0,5}(?: is|:|=) ?"
    r"(?P<value>@?[\w.-]*[\w-])"
)
SENSITIVITY = {"email": "low", "handle": "low", "phone": "medium", "address": "medium"}
"""How carefully each kind of detail is handled. Secrets, which :mod:`mnemic.text.steps.secrets` finds, are ``high``."""
_MARKER = re.compile(r"\[secret:([a-z]{1,16})\]")


def details(text: str) -> list[Span]:
    """Contact details in ``text``, left to right, without overlap; labels are the keys of :data:`SENSITIVITY`."""
    found = [Span(m.start(), m.end(), "email") for m in _EMAIL.finditer(text)]
    found += [Span(m.start(), m.end(), "address") for m in _ADDRESS.finditer(text)]
    found += [Span(m.start("value"), m.end("value"), "handle") for m in _HANDLE.finditer(text)]
    for m in _PHONE.finditer(text):
        digits = sum(c.isdigit() for c in m[0])
        told = m[0][0] in "+(" or _CALL.search(text[max(0, m.start() - 60) : m.end() + 20])
        if told and 7 <= digits <= 15 and not re.fullmatch(r"\d{4}-\d\d-\d\d", m[0]):
            found.append(Span(m.start(), m.end(), "phone"))
    kept: list[Span] = []
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def sensitivity(text: str) -> tuple[str, str] | None:
    """The kind and the sensitivity of the most sensitive thing in ``text``, secrets masked; None if there is none."""
    if marker := _MARKER.search(text):
        return marker[1], "high"
    found = sorted((span.label for span in details(text)), key=lambda label: SENSITIVITY[label] != "medium")
    return (found[0], SENSITIVITY[found[0]]) if found else None


# --- Cues ------------------------------------------------------------------------------------------------------------


def _any(phrases: str) -> str:
    """A pattern for any of ``phrases``, separated by commas."""
    return "(?:" + "|".join(phrase.strip(" ,") for phrase in re.split(r",(?!\})", phrases)) + ")"


_EXTENSIONS = _any(
    "pdf, docx?, odt, rtf, txt, md, xlsx?, ods, csv, tsv, json, ya?ml, xml, pptx?, odp, key, png, jpe?g, gif, svg,"
    "tiff?, heic, mp[34], m4a, wav, mov, avi, mkv, zip, tar, gz, py, ipynb, js, ts, c, cpp, h, java, rs, go, sh, sql,"
    "html?, epub, dwg, log, ics, eml"
)
_FILE = rf"\b[\w()+-]+(?:[./][\w()+-]+)*\.{_EXTENSIONS}\b"
_LINK = r"\b[a-z][a-z0-9+]{1,9}://\S+|\bwww\.\S+|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|edu|gov|dev|eu|uk|de)/\S+"
_PAPERS = _any(
    "document, spreadsheet, slides, handbook, manual, folder, file, link to, recording of, minutes of, tutorial,"
    "repository, dataset, scan of, video of"
)
_DO = _any(
    "add, adjust, apply, arrange, attach, back, bake, beat, blend, boil, brush, check, choose, clean, click, close,"
    "combine, configure, connect, cook, cool, copy, cover, create, cut, delete, descale, disconnect, download,"
    "drag, drain, drop, dry, empty, enter, export, fasten, fill, flip, fold, follow, freeze, fry, glue, go, grab,"
    "grind, hang, hold, import, insert, install, keep, knead, lay, leave, let, lift, line, load, lock, log, loosen,"
    "mark, measure, melt, mix, mount, move, open, paint, paste, peel, pick, place, plant, plug, pour, preheat,"
    "prepare, press, prune, pull, push, put, read, reboot, reduce, release, remove, repeat, replace, reset,"
    "restart, rinse, roll, rub, run, sand, save, scroll, screw, season, seal, select, send, serve, set, shake,"
    "shape, shut, sift, simmer, slice, slide, soak, soften, sort, spread, sprinkle, squeeze, start, stir, stop,"
    "store, switch, tag, take, tap, tie, tighten, transfer, trim, turn, type, unplug, unscrew, update, upload, use,"
    "wait, warm, wash, water, weigh, whisk, wipe, wrap"
)
_WHILE = _any(
    r"until, for \w+ seconds, for \w+ minutes, for \w+ hours, with a, before the, before you, an? litre, an? cup,"
    "an? spoon, an? pinch"
)
_PAST = _any(
    r"\w{2,}ed, was (?!being), were (?!being), went, came, (?<!'s )(?<!’s )(?<!ve )(?<!has )got, had, made, met, saw,"
    "took, gave, told, said, found, left, lost, won, bought, brought, caught, broke, built, began, became, bit, blew,"
    "chose, dug, drew, drove, drank, ate, fell, felt, flew, forgot, fought, froze, grew, heard, held, hid, kept, knew,"
    "laid, led, lent, paid, rang, ran, rode, rose, sang, sat, sent, shook, shot, showed, slept, slid, sold, spent,"
    "spoke, stole, stood, struck, swam, swore, taught, thought, threw, tore, understood, woke, wore, wrote"
)
_AMBIGUOUS = _any("put, quit, read, let, set, cut, hit, hurt, shut")
_NOUN = r"(?:(?!(?:is|are|be|been|to|of|that|which|who|and|have|has|had|will|can|not)\b)\w+ ){1,3}?"
_ADVERB = r"(?:(?:just|also|finally|even|then|both|all|already|recently|once|nearly|almost) )?"
_HAVE = r"(?:'ve|’ve|'s|’s| have| has)?"
_DATE = _any(
    "concert, party, meeting, wedding, game, match, exam, appointment, festival, show, interview, trip, fair, race,"
    "dinner, handover"
)
_NAME = r"(?!(?:You|It|This|That|What|Who|There|Here|Still|Just|Even|And|But|So|If|Not|Which|All)\b)[A-Z]\w+"
_THING = (  # no pronoun, and not the beginning of half a sentence
    r"(?!(?:I|You|We|It|That|This|These|Those|He|She|They|There|Here|What|Who|Which|My|His|Her|Your|Let|And|But|So|If"
    r"|Until|Or|Because|When|While|Now|Then|Not|Yes|No|Hers|Ours)\b)"
)
_KIN = _any(
    r"wife, husband, partner, boyfriend, girlfriend, mother, mom, mum, father, dad, sister, brother, son, daughter,"
    r"kids?, children, name, birthday, job, hobby, hobbies, favou?rite \w+, dream, goal, religion, diet, mother tongue,"
    "nationality, star sign, pets?, dog, cat"
)
_OFTEN = "(?:really |always |usually |never |often |mostly |only |also |still |all |both )*"
_FEEL = _any(
    "like, love, hate, prefer, enjoy, dislike, adore, live, work, speak, have, own, drink, eat, play, study, teach,"
    "collect, believe in, belong, suffer, come from, go, get, run, swim, cook, read, want to become, can't stand,"
    "cannot stand, need, wear, use, practi[cs]e, sing, paint, write, volunteer, drive, sleep, don't like, don't eat,"
    "don't drink, don't have, don't want, don't smoke"
)
_PASSING = _any(  # what one is for the moment
    r"\w+ing\b, glad, sorry, sure, fine, good, ok, okay, so\b, very, happy, excited, here, back, not, just, about to,"
    r"done, ready, afraid that, afraid i, at\b, in\b, on\b, still, already, there,"
    r"an? (?:bit|little|excellent|terrible|great)"
)
_REPLY = _any("answer, reply, respond, write, call, address, use, speak, talk, explain")
_MEANS = _any(
    "stands for, refers to, is defined as, means that, is called, is known as, denotes, indicates, consists of,"
    "descends? from, comes? from, belongs to, is located in, is made of, is made from, is part of"
)
_IS = _any(r"is, are, has, have, can, \w{2,}[^s\W]s, ended, need, forms?, helps?, turn")

_CUES: dict[Store, Sequence[tuple[float, str]]] = {
    Store.VAULT: ((3.0, r"\[secret:[a-z]+\]"),),
    Store.RESOURCE: (
        (2.5, _LINK),
        (2.5, _FILE),
        (1.2, r"(?i)\b(?:attached|attachment|uploaded|shared)\b(?! (?:feelings?|custody|flat|room|house))"),
        (1.0, r"\b(?:in|to|under|into) (?:the (?:folder|directory) )?[\w-]+/[\w-]+"),
        (0.8, rf"(?i)\b{_PAPERS}\b"),
    ),
    Store.PROCEDURAL: (
        (3.0, r"(?i)(?:(?:\A|\n|\s)(?:step )?\d{1,2}[.):] ?\S[^\n]*?){2}"),
        (3.0, rf"(?i)(?:(?:\A|\n)[-*•] {_DO}\b[^\n]*){{2}}"),
        (2.0, rf"(?i)\A(?:how )?to \w+ [^,:]*[,:] (?:first |just |then |always )?{_DO}\b"),
        (1.5, r"(?i)\Ahow to \w+"),
        (1.5, r"(?i)\A(?:the |our |my )?(?:[\w-]+ )?(?:recipe|procedure|process|instructions|steps)\b[^.]*:"),
        (1.5, rf"(?i)\A(?:first|then|next|finally|now|start by|begin by|always|never),? {_DO}"),
        (1.5, r"(?i)\b(?:make sure|be sure to|remember to|do not forget to|don't forget to)\b"),
        (1.5, rf"(?i)\byou (?:have to|need to|must|should|can) (?:first )?{_DO}\b"),
        (1.5, rf"(?i)\A(?:if|when|whenever|before|after|once|as soon as) [^,]+, (?:\w+ly )?{_DO}\b"),
        (1.0, r"(?i)\A(?:first|start by|begin by)\b.*\bthen\b"),
        (
            1.0,
            rf"(?i)(?:,|\band|\bthen)(?: then| finally| and)? {_DO} (?:it|them|the|an?|your|on|off|up|in|for|until)\b",
        ),
        (0.8, rf"(?i)\A{_DO}\b(?! (?:me|us|it[,.!]|him|her)\b)(?=(?: [^ ]+){{3}})"),
        (0.5, rf"(?i)\b{_WHILE}\b"),
    ),
    Store.EPISODIC: (
        (1.2, rf"(?i)\b(?:i|we|he|she|they){_HAVE} {_ADVERB}(?:{_PAST}|{_AMBIGUOUS})\b"),
        (1.2, rf"(?i)\b(?:my|our|his|her|their|the|a|somebody|someone|everybody) {_NOUN}{_ADVERB}{_PAST}\b"),
        (1.2, rf"\b{_NAME}(?: [A-Z]\w+| and \w+)?{_HAVE} {_ADVERB}(?:{_PAST}|{_AMBIGUOUS})\b"),
        (0.6, r"(?i)(?:\bi'm|\bwe're|\bi am|\bwe are|\b(?:he|she|they|[a-z]+)(?:'s|’s|'re| is| are)) \w+ing\b"),
        (0.6, r"(?i)\b(?:i|we|he|she|they)(?:'ll|’ll| will| plan to| stay| leave| meet| start)\b"),
        (0.6, r"(?i)\b(?:wants|plans|has) to\b"),
        (0.6, r"(?i)\b(?:is|are|was|were|'s|starts?|opens?|begins?) (?:on|at|in|from|the)\b"),
        (0.5, r"\A[A-Z]\w+ed\b(?= \w+ \w+)"),
        (0.4, rf"(?i)\b{_DATE}\b"),
        (0.4, rf"(?i)\bthere(?:'s| is| are| was| were) (?:an? |the |some )?(?:\w+ ){{0,2}}{_DATE}\b"),
    ),
    Store.CORE: (
        (2.0, rf"(?i)\A(?:please )?(?:always|never|don't|do not)\b.*\b{_REPLY}\b.*\b(?:me|your|us)\b"),
        (1.6, rf"(?i)\A(?:[^,]{{1,24}}, |so |and |but |well |now )?(?:i|we) {_OFTEN}{_FEEL}\b"),
        (1.6, rf"(?i)\A(?:\w+, |so |and |but )?i(?:'m|’m| am) (?!{_PASSING})\w"),
        (1.6, r"(?i)\bi(?:'ve| have) (?:been an?|always|never|had)\b(?! (?:to|there|here|thinking)\b)"),
        (1.6, rf"(?i)\b(?:my|our) {_KIN}(?:'s name)? (?:is|are|was)\b"),
        (1.6, r"(?i)\bi (?:was born|grew up|come from|used to)\b"),
    ),
    Store.SEMANTIC: (
        (1.3, rf"(?i)\b{_MEANS}\b"),
        (1.2, rf"\A{_THING}[^,?!]{{2,60}}? (?:is|are) (?:an?|the)\b"),
        (1.0, rf"\A(?:In \w+, |The term )?{_THING}(?:[\w'’-]+ ){{1,6}}?{_IS} \w{{2,}}"),
    ),
}
_TALKING = re.compile(r"(?i)\b(?:i|i'\w+|you|your|you're|we|us|me|my)\b")
LEAST = {Store.EPISODIC: 3, Store.SEMANTIC: 3, Store.CORE: 2, Store.PROCEDURAL: 2}
"""Content words that a sentence needs for a store: "he did" tells nothing by itself."""
_REQUEST = re.compile(
    r"(?i)\A(?:please |can you |could you |would you )?"
    + _any(
        "write, translate, tell, give, explain, summari[sz]e, help, show, list, suggest, recommend, say, let me, let's,"
        "describe, generate, make me, find me, come, look, think"
    )
    + r"\b"
)
_TALK = re.compile(
    r"(?i)\A"
    + _any(
        "i see, i guess, i think so, i know, i mean, i agree, i hope, i wonder, i understand, i bet, i suppose, sorry,"
        "that's, that’s, that is, that was, that sounds, that makes, (?:it's|it is) (?:so|very|great|nice|good),"
        r"you're, you are, no worries, no problem, good \w+[.!], take care, congrat\w*, well done, thanks?, thank you,"
        "wow, haha, hmm, okay, ok, sure, absolutely, exactly"
    )
    + r"\b"
)


@cache
def _compiled() -> dict[Store, list[tuple[float, re.Pattern[str]]]]:
    return {store: [(points, re.compile(cue)) for points, cue in cues] for store, cues in _CUES.items()}


def points(sentence: str) -> dict[Store, float]:
    """What the cues give to each store; only stores that get something."""
    found: dict[Store, float] = {}
    for store, cues in _compiled().items():
        if total := sum(weight for weight, cue in cues if cue.search(sentence)):
            found[store] = total
    if details(sentence):
        found[Store.VAULT] = found.get(Store.VAULT, 0.0) + 3.0
    dated = Store.EPISODIC in found and has_time_word(sentence)
    if dated:
        found[Store.EPISODIC] += 1.0
    if Store.SEMANTIC in found and _TALKING.search(sentence):
        found[Store.SEMANTIC] -= 0.5
    told = len(tokens(sentence))
    return {store: worth for store, worth in found.items() if told >= LEAST.get(store, 1) - dated}


def route(sentence: str) -> Store | None:
    """The store of one sentence, its secrets masked; None for what is not worth keeping."""
    found = points(sentence)
    telling = {store for store in (Store.VAULT, Store.RESOURCE) if found.get(store, 0.0) >= 2.0}
    if not telling:
        asks = sentence.rstrip().endswith(("?", "？"))
        if asks or is_aside(sentence) or _TALK.match(sentence):
            return None
        if _REQUEST.match(sentence) and found.get(Store.PROCEDURAL, 0.0) < 2.5 and Store.CORE not in found:
            return None
    best = max(found.values(), default=0.0)
    return next((store for store in Store if found.get(store, 0.0) == best), None) if best >= 1.0 else None


# --- Texts -----------------------------------------------------------------------------------------------------------

_ITEM = re.compile(r"\s*(?:step )?(?:\d{1,2}[.):]|[-*•])\s+\S", re.IGNORECASE)
_BULLET = re.compile(r"(?:\A|\s)(?:[Ss]tep )?(?:\d{1,2}[.):]|[-*•]) ?(?=\S)")
_INLINE = re.compile(r"(?:(?:\A|\s)(?:step )?\d{1,2}[.):] ?[A-Za-z][^\n]*?){2}", re.IGNORECASE)


def pieces(text: str) -> list[Piece]:
    """What is worth keeping of ``text``, its secrets masked, in order.

    Neighbouring sentences of one store are one piece, but in the core, where each line stands for itself; so are the
    items of a list. A text of :data:`LONG` characters and more is a resource as a whole.
    """
    if len(text) >= LONG:
        return [Piece(Store.RESOURCE, text)]
    found: list[Piece] = []
    last: Store | None = None
    for part in _parts(text):
        store = route(part)
        if store is not None and store == last and store is not Store.CORE:
            found[-1] = Piece(store, f"{found[-1].text} {part}")
        elif store is not None:
            found.append(Piece(store, part))
        last = store
    return found


def _parts(text: str) -> Iterator[str]:
    """Sentences; a list, whether in lines of its own or in one, is one part."""
    block: list[str] = []
    for line in [*text.split("\n"), ""]:
        if _ITEM.match(line):
            block.append(line.strip())
            continue
        if len(block) > 1 or (block and _INLINE.search(block[0])):
            yield "\n".join(block)
        elif block:
            yield from sentences(block[0])
        block = []
        if _INLINE.search(line):
            yield line.strip()
        else:
            yield from sentences(line)


def steps_of(text: str) -> list[str]:
    """The steps that a procedure is told in: the items of its list, else its sentences, else its clauses."""
    items = [item.strip() for item in _BULLET.split(text) if item.strip()]
    if len(items) > 1:
        return items
    told = sentences(text)
    return told if len(told) > 1 else [part for part in re.split(r",? and then |, then |; ", text) if part]
