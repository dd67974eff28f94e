"""The ranking of the default system: one pure function from candidates to scores.

What makes conversational retrieval work is the conversation: a turn is matched together with the turns around
it (a window, made at query time), its session, its speaker and its date, and one linear score adds it all up.
The coefficients are in a small versioned file; every feature can be switched off by a coefficient of zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats, SparseVector
from mnemic.text.plan import Candidates, Ints, Matches
from mnemic.text.steps.traits import MOST_NAMES

BACK, AHEAD, SHORT = 0.7, 0.5, 60.0
"""Window decay per turn looked back and ahead, and the length in stems at which a turn borrows half."""
K1, B = 1.2, 0.5
"""BM25 saturation and length share (Robertson and Zaragoza 2009)."""
DATE_SCALE = 7 * 86400.0
"""Seconds over which the date prior falls to 1/e outside the range asked for."""


@dataclass(frozen=True, slots=True)
class Cues:
    """What the question itself gives away, beside its words.

    ``speakers`` are the codes of the participants it names; ``when`` says that it asks for a time, ``naming`` for a
    person, place or title, ``mine`` that it is about the one who asks, ``told`` about
    what the assistant said; ``ranges`` are the spans of time it mentions (a soft
    preference, not a filter) and ``dated`` the places of the query terms that only said so.
    """

    speakers: tuple[int, ...] = ()
    when: bool = False
    naming: bool = False
    mine: bool = False
    told: bool = False
    ranges: Sequence[tuple[datetime, datetime]] = ()
    dated: tuple[int, ...] = ()
    chat: bool = True


_NAMING = re.compile(
    r"\b(?:who|whom|whose|where|which|name[ds]?|called|titled?"
    r"|what (?:\w+ )?(?:book|song|movie|film|show|band|artist|game|city|country|state|place|town|store|restaurant"
    r"|brand|company|school|pet|dog|cat)s?)\b",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\b(?:you(?:'d|'ve| had| have)? (?:\w+ )?(?:say|said|tell|told|suggest|recommend|mention|provid|gave|give|list"
    r"|explain|describ|wrote|write|propos|advis|share|come up|came up|generat|creat|ma[dk]e|help|show)\w*"
    r"|(?:did|do|could|can) you (?:\w+ )?(?:say|tell|suggest|recommend|mention|provide|give|list|explain|describe|write"
    r"|propose|advise|remind)|your (?:suggest|recommend|advice|answer|list|explan|respon|repl)\w*"
    r"|remind me|our (?:(?:previous|last|earlier|past) )?(?:\w+ )?(?:chat|conversation|dialogue|discussion|session)"
    r"|we (?:discuss|talk|chat)\w*)\b",
    re.IGNORECASE,
)

_MINE = re.compile(r"\b(?:i|i'(?:m|ve|d|ll)|my|me|mine|myself|we|our|ours|us)\b", re.IGNORECASE)


def asks_for_name(question: str) -> bool:
    """Whether the answer is likely a name: of a person, a place, a title."""
    return bool(_NAMING.search(question))


def asks_about_me(question: str) -> bool:
    """Whether the question is about the one who asks: then the assistant's turns hardly hold the answer."""
    return bool(_MINE.search(question))


def asks_what_was_told(question: str) -> bool:
    """Whether the question is about what the assistant said earlier."""
    return bool(_TOLD.search(question))


@dataclass(frozen=True, slots=True)
class Weights:
    """Coefficients of one ranking variant, and the calibration of its confidence."""

    version: str
    score: Mapping[str, float]


@cache
def weights(variant: str) -> Weights:
    """The shipped coefficients: ``lexical``, ``sparse``, ``dense`` or ``all``, by the legs a space has."""
    table = json.loads(files("mnemic.text.steps").joinpath("rank.json").read_text("utf-8"))
    return Weights(f"{table['version']}/{variant}", table["score"][variant])


def variant(c: Candidates) -> str:
    """Which coefficients fit the legs that were searched."""
    if c.sparse is not None:
        return "all" if c.dense is not None else "sparse"
    return "dense" if c.dense is not None else "lexical"


def hops(c: Candidates, reach: int = 4) -> list[tuple[Ints, float]]:
    """For each offset of the window: the slot of the neighbour for every slot (-1: none), and its weight."""
    found = []
    for step, decay in ((c.previous, BACK), (c.following, AHEAD)):
        at = np.arange(len(step))
        for distance in range(1, reach + 1):
            at = np.where(at >= 0, step[at], -1)
            found.append((at, decay**distance))
    return found


def idf(count: float, df: Floats) -> Floats:
    """ln(1 + (N - df + 1/2) / (df + 1/2)): never negative."""
    weights: Floats = np.log1p(np.maximum(count - df + 0.5, 0.0) / (df + 0.5)).astype(np.float32)
    return weights


def bm25(counts: Floats, lengths: Floats, mean_length: float, term_weights: Floats) -> Floats:
    """BM25 of rows [C, T] of term counts with ``lengths`` [C]; ``term_weights`` [T] is idf times query count."""
    norm = K1 * (1 - B + B * lengths / max(mean_length, 1e-9))
    # einsum, not a matrix product: some BLAS libraries raise floating-point flags for what is finite.
    scores: Floats = np.einsum("ct,t->c", counts * (K1 + 1) / (counts + norm[:, None]), term_weights)
    return scores.astype(np.float32)


def windowed(values: Floats, borrow: Floats, window: list[tuple[Ints, float]], *, pool: str) -> Floats:
    """Rows [C, T] joined with their neighbours' rows by ``sum`` or ``max``, the neighbours' scaled down."""
    padded = np.vstack((values, np.zeros((1, values.shape[1]), values.dtype)))  # row -1: no neighbour
    joined = values.copy()
    for at, weight in window:
        scaled = padded[at] * (weight * borrow)[:, None]
        joined = joined + scaled if pool == "sum" else np.maximum(joined, scaled)
    return joined


def features(c: Candidates, cues: Cues) -> dict[str, Floats]:
    """Every feature the score may use, each [C]. Leg scores are divided by their maximum for this query."""
    window = hops(c)
    borrow = (SHORT / (SHORT + c.length)).astype(np.float32)
    reach = sum(weight for _, weight in window)
    f: dict[str, Floats] = {}

    def scaled(values: Floats) -> Floats:
        top = float(values[c.eligible].max(initial=0.0))
        return values / top if top > 0 else np.zeros_like(values)

    def spread(per_session: Floats) -> Floats:
        return np.where(c.session >= 0, np.append(per_session, 0.0)[c.session], 0.0).astype(np.float32)

    def before(values: Floats) -> Floats:
        """The previous turn's value where that turn asked: an answer inherits the match of its question."""
        asked = (c.previous >= 0) & c.question[c.previous]
        return np.where(asked, values[c.previous], 0.0).astype(np.float32)

    if c.lexical is not None:
        m = c.lexical
        term_weights = idf(c.count, m.df) * m.query
        f["bm"] = scaled(bm25(m.weights, c.length, c.mean_length, term_weights))
        lengths = windowed(c.length[:, None], borrow, window, pool="sum")[:, 0]
        mean = c.mean_length * (1 + reach * SHORT / (SHORT + c.mean_length))
        f["bmw"] = scaled(bm25(windowed(m.weights, borrow, window, pool="sum"), lengths, mean, term_weights))
        session_weights = idf(c.session_count, m.session_df) * m.query
        mean_session = float(c.session_length.mean()) if len(c.session_length) else 1.0
        f["bm_sess"] = scaled(spread(bm25(m.sessions, c.session_length, mean_session, session_weights)))
        f["pq_bm"] = before(f["bm"])
    if c.sparse is not None:
        m = c.sparse
        query = _sharpen(m, c.count)
        f["sp"] = scaled(m.weights @ query)
        f["spw"] = scaled(windowed(m.weights, borrow, window, pool="max") @ query)
        f["sp_sess"] = scaled(spread(m.sessions @ query))
    if c.vectors is not None and c.dense is not None:
        f["ml"] = c.vectors @ c.dense
        joined = windowed(c.vectors, borrow, window, pool="sum")
        norms = np.linalg.norm(joined, axis=1)
        f["mlw"] = (joined @ c.dense / np.maximum(norms, 1e-9)).astype(np.float32)
        best = np.full(len(c.session_at) + 1, -1.0, np.float32)
        np.maximum.at(best, c.session, f["ml"])
        f["ml_sess"] = np.where(c.session >= 0, best[c.session], 0.0).astype(np.float32)
        f["pq_ml"] = before(f["ml"])
    f |= structure(c, cues)
    return f


def structure(c: Candidates, cues: Cues) -> dict[str, Floats]:
    """Features that need no matching: who, when, how long, what kind of turn."""
    f: dict[str, Floats] = {"len": (np.log1p(c.words) / 4).astype(np.float32)}
    f["dprior"] = date_prior(np.where(np.isnan(c.at), np.inf, c.at), cues.ranges)
    if not cues.chat:
        return f
    f["spk"] = np.zeros(len(c.item), np.float32)
    if len(cues.speakers) == 1:
        f["spk"] = np.where(c.speaker < 0, 0.0, np.where(c.speaker == cues.speakers[0], 1.0, -1.0)).astype(np.float32)
    f["isq"] = c.question.astype(np.float32)
    f["when_tex"] = (c.time_word & cues.when).astype(np.float32)
    f["first"] = c.first.astype(np.float32)
    f["asst"] = (c.assistant & (cues.mine and not cues.told)).astype(np.float32)
    f["asst_told"] = (c.assistant & cues.told).astype(np.float32)
    f["react"] = c.reaction.astype(np.float32)
    f["names"] = c.names.astype(np.float32) * np.float32(cues.naming / MOST_NAMES)
    return f


def date_prior(at: NDArray[np.float64], ranges: Sequence[tuple[datetime, datetime]]) -> Floats:
    """1 inside the nearest range, exp(-gap / 7 days) outside, gaps after the range counted at 0.7."""
    prior = np.zeros(len(at), np.float32)
    for start, end in ranges:
        low, high = start.timestamp(), end.timestamp()
        gap = np.where(at < low, low - at, np.where(at >= high, (at - high) * 0.7, 0.0))
        prior = np.maximum(prior, np.exp(-gap / DATE_SCALE)).astype(np.float32)
    return prior


def _sharpen(m: Matches, count: int) -> Floats:
    """Query weights times the square root of the store's idf: what is common here says less."""
    return m.query * np.sqrt(idf(count, m.df))


def strongest(vector: SparseVector, count: int = 60) -> SparseVector:
    """The ``count`` heaviest terms of a query; the rest is noise that costs time."""
    if len(vector.terms) <= count:
        return vector
    kept = np.sort(np.argpartition(vector.weights, -count)[-count:])
    return SparseVector(vector.terms[kept], vector.weights[kept])


def score(f: Mapping[str, Floats], coefficients: Mapping[str, float]) -> Floats:
    """The linear score [C]."""
    total = np.zeros(len(next(iter(f.values()))), np.float32)
    for name, coefficient in coefficients.items():
        if name in f:
            total = total + coefficient * f[name]
    return total
