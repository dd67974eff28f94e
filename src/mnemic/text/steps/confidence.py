"""How likely it is that the hits hold an answer: a logistic model over what the ranking saw.

A ranking always has a best hit, also when nothing relevant is stored. What tells the two apart is how much of
the question's own information the best places cover, judged by the store's term statistics.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np

from mnemic.text.encode.base import Floats
from mnemic.text.plan import Candidates
from mnemic.text.steps.rank import Cues, hops, idf

SIGNALS = ("own", "near", "joint", "rare", "unknown", "sparse", "dense", "lead", "margin")


def signals(
    c: Candidates,
    scores: Floats,
    legs: Mapping[str, Floats],
    cues: Cues | None = None,
    weights: Mapping[str, float] | None = None,
    k: int = 10,
) -> dict[str, float]:
    """What the logistic model sees; all about -1 to 1.

    ``own`` / ``near``: the share of the question's information (idf mass) in the best hit's own words / in its
    window; ``joint``: in all k hits together; ``rare``: whether the question's rarest known word is among them;
    ``unknown``: the share of the mass in words the space has never seen; ``sparse``: the best windowed learned
    match against the question's own norm; ``lead``: by how much the best score leaves the k-th behind; ``margin``:
    how much better the best turns of the person asked about match than those of everybody else. A question about the
    wrong person finds its words, but in the other one's mouth.
    """
    found = dict.fromkeys(SIGNALS, 0.0)
    order = np.argsort(-np.where(c.eligible, scores, -np.inf), kind="stable")[:k]
    order = order[c.eligible[order]]
    if not len(order):
        return found
    if c.lexical is not None and len(c.lexical.query):
        mass = idf(max(c.count, 1), c.lexical.df) * c.lexical.query
        total = float(mass.sum()) or 1.0
        has = c.lexical.weights > 0
        padded = np.vstack((has, np.zeros((1, has.shape[1]), bool)))
        near = has[order].copy()
        for at, _ in hops(c):
            near |= padded[at[order]]
        found["own"] = float((has[order] @ mass).max()) / total
        found["near"] = float((near @ mass).max()) / total
        found["joint"] = float(near.any(axis=0) @ mass) / total
        found["unknown"] = float(mass[c.lexical.df == 0].sum()) / total
        known = np.flatnonzero(c.lexical.df > 0)
        if len(known):
            found["rare"] = float(near[:, known[np.argmax(mass[known])]].any())
    if c.sparse is not None and len(c.sparse.query):
        raw = c.sparse.weights[order] @ c.sparse.query
        found["sparse"] = float(raw.max()) / (float(c.sparse.query @ c.sparse.query) or 1.0)
    if "ml" in legs:
        found["dense"] = max(0.0, float(legs["ml"][order].max()))
    best = float(scores[order[0]])
    if len(order) > 1:
        found["lead"] = (best - float(scores[order[-1]])) / max(abs(best), 1e-6)
    if cues is not None and len(cues.speakers) == 1:
        matched = scores - (weights or {}).get("spk", 0.0) * legs["spk"] if "spk" in legs else scores
        theirs = c.eligible & (c.speaker == cues.speakers[0])
        others = c.eligible & (c.speaker >= 0) & ~theirs
        if theirs.any() and others.any():
            found["margin"] = (_top(matched[theirs]) - _top(matched[others])) / max(abs(best), 1e-6)
    return found


def _top(scores: Floats, count: int = 3) -> float:
    """The mean of the ``count`` best."""
    return float(np.sort(scores)[-count:].mean())


@cache
def _coefficients(variant: str) -> Mapping[str, float]:
    table = json.loads(files("mnemic.text.steps").joinpath("rank.json").read_text("utf-8"))
    coefficients: Mapping[str, float] = table["confidence"][variant]
    return coefficients


def confidence(found: Mapping[str, float], variant: str) -> float:
    """The calibrated probability in [0, 1] for the signals of one query."""
    if not any(found.values()):
        return 0.0
    coefficients = _coefficients(variant)
    z = coefficients["bias"] + sum(coefficients.get(name, 0.0) * value for name, value in found.items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))
