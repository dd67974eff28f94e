"""The words that a text has and other texts have not: TF-IDF, shown as they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from mnemic.text.encode.lexical import stems, tokens, words
from mnemic.text.plan import Filter, SearchPlan
from mnemic.text.record import Kind
from mnemic.text.steps.rank import idf
from mnemic.text.store.base import Space


def stem_counts(texts: Sequence[str]) -> Counter[str]:
    """How often each stem occurs in ``texts``."""
    return Counter(stem for text in texts for stem in stems(words(text)))


def frequencies(texts: Sequence[str], space: Space, *, sessions: bool = False) -> tuple[dict[str, float], int]:
    """In how many keys of the space each stem of ``texts`` occurs, and how many keys there are; or the same of its
    ``sessions``."""
    names = list(dict.fromkeys(tokens(" ".join(texts))))
    found = space.search(SearchPlan(terms=names, filter=Filter(kinds=[Kind.TURN]), depth=1, hops=0, exact=0))
    if found.lexical is None:
        return {}, 0
    df = found.lexical.session_df if sessions else found.lexical.df
    return dict(zip(names, df.tolist(), strict=True)), found.session_count if sessions else found.count


def keywords(texts: Sequence[str], df: Mapping[str, float], documents: int, count: int = 10) -> list[str]:
    """The ``count`` words of highest (1 + ln tf) * idf, each in its most frequent form (folded), best first.

    ``df`` says in how many of ``documents`` texts a stem occurs. Bare numbers are no keywords; ties go to the word
    said first.
    """
    forms: dict[str, Counter[str]] = {}
    for text in texts:
        for word in words(text):
            for stem in stems([word]):
                forms.setdefault(stem, Counter())[word.removesuffix("'s")] += 1
    names = [stem for stem in forms if not stem.isdigit() and (len(stem) > 1 or not stem.isascii())]
    if not names:
        return []
    tf = np.array([forms[name].total() for name in names], np.float32)
    rarity = idf(documents, np.array([df.get(name, 0.0) for name in names], np.float32))
    worth = (1 + np.log(tf)) * rarity
    best = np.lexsort((np.arange(len(names)), -worth))[:count]
    return [forms[names[i]].most_common(1)[0][0] for i in best]
