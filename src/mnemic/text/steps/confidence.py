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

MARGIN = 4.0
"""Points of the ranking's score that count as one of ``margin``."""
SIGNALS = ("own", "joint", "unknown", "margin")


def signals(
    c: Candidates,
    scores: Floats,
    legs: Mapping[str, Floats],
    cues: Cues | None = None,
    weights: Mapping[str, float] | None = None,
    k: int = 10,
) -> dict[str, float]:
    """What the logistic model sees.

    ``own``: the share of the question's information (idf mass) in the own words of one of the k best hits; ``joint``:
    in all of them and their windows together; ``unknown``: in words the space has never seen; ``margin``: how much
    better the best turns of the person asked about match than those of everybody else, in points of the score. A
    question about the wrong person finds its words, but in the other one's mouth.
    """
    found = dict.fromkeys(SIGNALS, 0.0)
    order = np.argsort(-np.where(c.eligible, scores, -np.inf), kind="stable")[:k]
    order = order[c.eligible[order]]
    if not len(order):
        return found
    if c.lexical is not None and len(c.lexical.query):
        mass = idf(max(c.count, 1), c.lexical.df) * c.lexical.query
        if cues is not None and cues.dated:  # "last weekend" says when: that no turn says it is nothing missing
            mass[list(cues.dated)] = 0.0
        total = float(mass.sum()) or 1.0
        has = c.lexical.weights > 0
        padded = np.vstack((has, np.zeros((1, has.shape[1]), bool)))
        near = has[order].copy()
        for at, _ in hops(c):
            near |= padded[at[order]]
        found["own"] = float(np.where(has[order], mass, 0.0).sum(axis=1).max()) / total
        found["joint"] = float(mass[near.any(axis=0)].sum()) / total
        found["unknown"] = float(mass[c.lexical.df == 0].sum()) / total
    if cues is not None and len(cues.speakers) == 1:
        matched = scores - (weights or {}).get("spk", 0.0) * legs["spk"] if "spk" in legs else scores
        theirs = c.eligible & (c.speaker == cues.speakers[0])
        others = c.eligible & (c.speaker >= 0) & ~theirs
        if theirs.any() and others.any():
            found["margin"] = (_top(matched[theirs]) - _top(matched[others])) / MARGIN
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
