"""Open information extraction by rule: who does what to what, from the plain statements of a turn. English, no model.

Two ways, the surer one first. What :mod:`mnemic.text.steps.extract` reads as a fact is a triple with a relation of its
own (``lives_in``, ``likes``) that is known to have one value or many. Of the other sentences a clause is read that
begins with its subject: "I", a name, "my sister", "the kiln"; then a verb with its auxiliaries, particle and
preposition (the relation, in the manner of ReVerb, Fader et al. 2011); then what follows up to the end of the clause.
Questions, conditions, opinions and clauses about "it" or "them" are left out: out of their place they would say
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mnemic.text.encode.lexical import fold, stems, tokens, words
from mnemic.text.language.cues import sentences
from mnemic.text.steps.extract import extract
from mnemic.text.steps.relations import NOT_NAMES
from mnemic.text.steps.wording import Fact, third, worded


@dataclass(frozen=True, slots=True)
class Triple:
    """``head`` and ``tail`` are words of the turn, in the third person; ``relation`` is a name from the facts, or the
    verb as it is said about the head ("is learning"). ``functional``: the head has one such tail at a time.

    ``negated``: it says that it is not so; ``ended``: that it is over. ``start`` is when it began, where that is said.
    """

    head: str
    relation: str
    tail: str
    negated: bool = False
    functional: bool = False
    ended: bool = False
    start: datetime | None = None
    fact: bool = False

    @property
    def slot(self) -> tuple[str, str]:
        """Head and relation in their plainest form: triples of one slot are about the same."""
        return slot_of(self.head, self.relation)

    @property
    def text(self) -> str:
        """One sentence."""
        return sentence(self.head, self.relation, [self.tail], fact=self.fact, ended=self.ended)


def slot_of(head: str, relation: str) -> tuple[str, str]:
    """Head and relation in their plainest form."""
    said = [word for word in words(relation) if word not in _HELPERS and word not in _NEGATIONS]
    plain = " ".join(stem for word in said for stem in stems([word]) or [word])
    copula = "have" if {"has", "have", "had"} & set(words(relation)) else "be"
    return fold(head).removeprefix("the "), plain or copula


def done(relation: str, *, fact: bool) -> bool:
    """Whether a relation tells of something done, or planned, at a time; else of what is so."""
    if fact:
        return relation in ("did", "plans")
    return any(w in _PAST or w in ("was", "were", "had", "did") or _ED.fullmatch(w) for w in relation.split(" "))


def sentence(head: str, relation: str, tails: list[str], *, fact: bool, ended: bool = False) -> str:
    """``head``, ``relation`` and all the ``tails`` in one sentence."""
    joined = tails[0] if len(tails) == 1 else f"{', '.join(tails[:-1])} and {tails[-1]}"
    told = worded(relation, joined, ended) if fact else f" {relation} {joined}"
    return f"{head[:1].upper()}{head[1:]}{told}."


def triples(text: str, *, speaker: str | None, said: datetime | None) -> list[Triple]:
    """The triples that ``speaker`` states in ``text``, in order; empty when none is clear. Never raises."""
    me = speaker or "the speaker"
    facts = extract(text, speaker=speaker, said=said)
    found = [of_fact(fact) for fact in facts]
    known = [set(tokens(fact.value)) for fact in facts]
    for piece in sentences(_GOING.sub(lambda m: _SPOKEN[m[1].lower()], text.replace("’", "'"))):
        if piece.endswith(("?", "？")) or len(piece) > _LONGEST or piece.startswith(_PICTURE):
            continue
        for triple in _open(piece, me):
            said_in = set(tokens(triple.tail))
            if not any(value and value <= said_in for value in known):  # a fact has told it better
                found.append(triple)
    return list({(t.slot, fold(t.tail), t.negated): t for t in found}.values())


def of_fact(fact: Fact) -> Triple:
    """A fact as a triple."""
    return Triple(
        fact.subject,
        fact.relation,
        fact.value,
        functional=fact.functional,
        ended=fact.ended,
        start=fact.start,
        fact=True,
    )


# -- clauses -------------------------------------------------------------------------------------------------------

_LONGEST = 600
_MOST = 12  # words of a tail
_PICTURE = "[shares an image"
_TOKEN = re.compile(r"n't\b|'(?:m|ve|re|s|d|ll)\b|[^\W_](?:[\w-]*[^\W_])?(?=n't\b)|[^\W_](?:[\w-]*[^\W_])?|[^\w\s]")
_SPOKEN = {"gonna": "going to", "wanna": "want to", "gotta": "got to"}
_GOING = re.compile(r"\b(gonna|wanna|gotta)\b", re.I)
_NAME = re.compile(r"[A-Z][a-z][\w-]*")
_BREAKS = frozenset(', ; : — – ( ) [ ] " “ ” . ! … -'.split())
_JOINTS = frozenset(
    "but because although though while so when since which who whom that if unless until where whether whereas than"
    " as then".split()
)
_LEADS = frozenset(
    "and but so well yeah yes oh also then actually today yesterday recently lately now currently finally luckily"
    " sadly honestly plus anyway hey wow fortunately unfortunately sometimes usually tonight hi hello besides still"
    " later first next afterwards".split()
)
_VAGUE = frozenset("it this that these those there he she they you him her them everyone somebody one who what".split())
_DETERMINERS = frozenset("the this a an".split())
_OWN = {"my": True, "our": True}
_AUXILIARIES = {
    "am": "is", "'m": "is", "are": "is", "'re": "is", "is": "is", "was": "was", "were": "was", "been": "been",
    "be": "be", "being": "being", "have": "has", "'ve": "has", "has": "has", "had": "had", "do": "does",
    "does": "does", "did": "did", "will": "will", "'ll": "will", "would": "would", "'d": "would", "can": "can",
    "could": "could", "should": "should", "might": "might", "may": "may", "must": "must", "ca": "can", "wo": "will",
}  # fmt: skip
_HELPERS = frozenset(_AUXILIARIES) | frozenset(_AUXILIARIES.values())
_BE = frozenset("is are was were been be being".split())
_UNREAL = frozenset("would could should might may must".split())  # what is not, or not yet
_NEGATIONS = frozenset("not n't never".split())
_ADVERBS = frozenset(
    "also actually still currently now just recently finally really always absolutely already truly totally usually"
    " both only originally definitely especially simply mostly all even lately happily normally first kinda often"
    " sometimes soon probably almost ever so super pretty very quite".split()
)
_PARTICLES = frozenset("up out off down back over away around".split())
_PREPOSITIONS = frozenset("to in at for with about from on into of through by near under against".split())
_THOUGHT = frozenset(
    "think thought guess hope hoped wish wished wonder wondered mean meant know knew bet suppose believe feel felt"
    " agree see hear understand appreciate thank say said tell told ask asked let imagine".split()
)
_PAST = frozenset(
    "ate became began bought broke brought built came caught chose cut did drank drew drove fell flew forgot found"
    " fought gave got grew had held hid hit hurt kept knew laid led left lent lost made met paid put quit ran read"
    " rode sang sat saw sent set shot slept sold spent stood stole swam taught threw took told thought understood"
    " went woke won wore wrote".split()
)
_WITH_TO = frozenset(
    "want wants wanted need needs needed try tried trying plan planned planning love loved like liked decide decided"
    " start started begin began learn learned learning going used have get got help helped manage managed agree agreed"
    " choose chose continue continued hoping prefer promise promised".split()
)
_NOT_VERBS = _DETERMINERS | _PREPOSITIONS | _VAGUE | frozenset(_OWN)
_MOODS = frozenset(  # how somebody is at the moment says nothing lasting
    "happy sad sure sorry glad ready excited grateful thankful proud here there okay fine good great tired busy lucky"
    " pumped stoked thrilled scared nervous worried curious awesome amazing up down back home".split()
)
_ED = re.compile(r"[a-z]{2,}ed")
_PLAIN = frozenset("love like hate want need live work study play own enjoy prefer teach run".split())


_LOOSE = _ADVERBS | _NOT_VERBS | {"and", "or"}
_SUBJECTS = frozenset("i we he she they it you my our his her their this that there".split())


def _clauses(piece: str) -> Iterator[list[str]]:
    """The clauses of one sentence that do not depend on another one."""
    tokens_ = _TOKEN.findall(piece)
    clause: list[str] = []
    free = True
    for place, token in enumerate(tokens_):
        low = token.lower()
        follower = tokens_[place + 1] if place + 1 < len(tokens_) else ""
        if low == "and" and clause and (follower.lower() in _SUBJECTS or _NAME.fullmatch(follower)):
            begins = True
        elif token in _BREAKS or low in _JOINTS:
            begins = token in _BREAKS or low in ("but", "so", "then")
        else:
            clause.append(token)
            continue
        if free and clause:
            yield clause
        clause, free = [], begins
    if free and clause:
        yield clause


def _open(piece: str, me: str) -> Iterator[Triple]:
    for clause in _clauses(piece):
        while clause and clause[0].lower() in _LEADS:
            clause = clause[1:]
        subject = _subject(clause, me)
        if subject is not None and (triple := _predicate(subject[0], clause[subject[1] :], first=subject[2])):
            yield triple


def _subject(clause: list[str], me: str) -> tuple[str, int, bool] | None:
    """The head of a clause, how many tokens it takes, and whether it is "I" or "we"."""
    if not clause:
        return None
    low = [token.lower() for token in clause]
    if low[0] in ("i", "we"):
        return me, 1, True
    names = 0
    while names < len(clause) and _NAME.fullmatch(clause[names]) and not _no_name(clause[names]):
        names += 1
    if names == 1 and low[0].endswith("ing"):  # "Running helps" begins with no name
        return None
    if names and low[0] not in _VAGUE | _DETERMINERS and low[0] not in _OWN:
        return " ".join(clause[:names]), names, False
    if low[0] in _OWN or low[0] == "the":
        for end in range(2, min(5, len(clause))):
            if _begins_verb(low[end], surely=True):
                noun = " ".join(clause[1:end])
                return (f"the {noun}" if low[0] == "the" else f"{me}'s {noun}"), end, False
    return None


def _no_name(word: str) -> bool:
    return word in NOT_NAMES or word == "Let" or word.lower() in _HELPERS


def _begins_verb(word: str, *, surely: bool) -> bool:
    """Whether ``word`` begins the predicate of a subject that is no "I": an auxiliary, or a verb by its form."""
    if word in _AUXILIARIES or word == "'s" or word in _PAST or (word in _ADVERBS and surely):
        return True
    return (len(word) > 3 and word.endswith("ed")) or (word.endswith("s") and word[:-1] in _PLAIN)


def _predicate(head: str, rest: list[str], *, first: bool) -> Triple | None:
    """The triple of ``head`` and the tokens after it."""
    said: list[str] = []
    negated = False
    at = 0
    low = [token.lower() for token in rest]
    while at < len(low):
        word = low[at]
        if word in _NEGATIONS:
            negated = True
            said.append("not" if word == "n't" else word)
        elif word == "'s":  # "Ana's won" and "Ana's here"; "Ana's sister" has no verb
            said.append("has" if at + 1 < len(low) and low[at + 1] in _PAST | {"been", "got"} else "is")
        elif word in _AUXILIARIES:
            said.append(_AUXILIARIES[word] if first or not word.isalpha() or word in ("ca", "wo") else word)
        elif word not in _ADVERBS:
            break
        at += 1
    if set(said) & _UNREAL or at >= len(low) or not low[at].isalpha():
        return None
    helped = [word for word in said if word not in _NEGATIONS]
    verb = low[at]
    copula = bool(helped) and helped[-1] in _BE
    if copula and not verb.endswith("ing") and verb not in _PAST and not (verb.endswith("ed") and len(verb) > 4):
        return _triple(head, said, rest[at:], negated=negated)  # "is a nurse": the tail is what it is
    if helped and helped[-1] in ("has", "have", "had") and verb in _DETERMINERS | {"my", "some", "two", "no"}:
        return _triple(head, said, rest[at:], negated=negated)
    if verb in _NOT_VERBS or verb in _THOUGHT:
        return None
    if not helped and not first and not _begins_verb(verb, surely=False):
        return None
    present = not helped and first and verb not in _PAST and not verb.endswith("ed")
    said.append(_with_s(verb) if present else verb)
    at += 1
    while at + 1 < len(low) and (low[at] in _PARTICLES or low[at] in _PREPOSITIONS):
        said.append(low[at])
        at += 1
        if low[at - 1] == "to" and verb in _WITH_TO and low[at].isalpha() and low[at] not in _NOT_VERBS:
            verb = low[at]  # "wants to learn"
            said.append(verb)
            at += 1
    return _triple(head, said, rest[at:], negated=negated)


def _triple(head: str, said: list[str], rest: list[str], *, negated: bool) -> Triple | None:
    tail = rest[:_MOST]
    while tail and (tail[-1].lower() in _LOOSE or not tail[-1][0].isalnum()):
        tail = tail[:-1]
    told = re.sub(r" (?=n't|'(?:m|ve|re|s|d|ll)\b)", "", " ".join(tail))
    if not tokens(told) or all(word in _VAGUE for word in words(told)) or not said:
        return None
    if said[-1] in _BE and tail[0].lower() in _MOODS:
        return None
    return Triple(head, " ".join(said), third(told), negated=negated)


def _with_s(verb: str) -> str:
    """A verb in the third person: ``go`` -> ``goes``."""
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2:-1] not in "aeiou" else verb + "s"
