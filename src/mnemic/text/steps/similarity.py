"""One number for how alike a query and a slot are, for systems whose papers know a single encoder.

Where the papers write a cosine, this is the cosine if the space has a dense encoder; else the dot product of
learned sparse vectors, rare terms counting more; else BM25. The three are on different scales: divide by the maximum
before mixing them.
"""

from __future__ import annotations

import numpy as np

from mnemic.text.encode.base import Floats
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Bools, Candidates, Filter, Matches, Query, SearchPlan
from mnemic.text.steps.rank import bm25, idf, strongest
from mnemic.text.store.base import Encoders


def plan(query: Query, encoders: Encoders, filter: Filter, *, depth: int = 300, exact: int = 2500) -> SearchPlan:
    """What to ask a space for so that :func:`own` can score what comes back."""
    sparse, dense = encoders.sparse, encoders.dense
    return SearchPlan(
        terms=tokens(query.text),
        sparse=strongest(sparse.encode([query.text])[0]) if sparse is not None else None,
        dense=dense.encode_query(query.text) if dense is not None else None,
        filter=filter,
        valid_at=query.valid_at,
        as_of=query.as_of,
        depth=depth,
        exact=exact,
    )


def leg(c: Candidates) -> str:
    """The leg that :func:`own` uses: the strongest one searched."""
    if c.vectors is not None and c.dense is not None:
        return "dense"
    return "sparse" if c.sparse is not None else "lexical"


def own(c: Candidates, part: Bools | None = None) -> Floats:
    """Similarity of the query and each slot by itself [C], never negative. ``part`` [C] marks the slots that are of
    one sort, so that BM25 judges their lengths by each other; zero elsewhere."""
    part = np.ones(len(c.item), bool) if part is None else part
    if c.vectors is not None and c.dense is not None:
        scores = c.vectors @ c.dense
    elif c.sparse is not None:
        scores = c.sparse.weights @ sharpened(c.sparse, c.count)
    elif c.lexical is not None and part.any():
        m = c.lexical
        mean = float(c.length[part].mean())
        scores = bm25(m.weights, c.length, mean, idf(c.count, m.df) * m.query)
    else:
        return np.zeros(len(c.item), np.float32)
    found: Floats = np.where(part, np.maximum(scores, 0.0), 0.0).astype(np.float32)
    return found


def sharpened(m: Matches, count: int) -> Floats:
    """The query's weights [T] times the square root of the space's idf: a learned vector gives weight to words that
    everybody here uses."""
    weights: Floats = m.query * np.sqrt(idf(count, m.df))
    return weights


def scaled(values: Floats) -> Floats:
    """``values`` divided by their maximum, where that is positive."""
    top = float(values.max(initial=0.0))
    return values / np.float32(top) if top > 0 else np.zeros_like(values)
