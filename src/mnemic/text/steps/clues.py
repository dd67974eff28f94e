"""More to search by than the words of a question: its topics, what a memory remembers of them, a wish for an overview.

Clues are surrogate queries: texts that are likely to share words with the evidence where the question does not. Taken
from what the question itself finds, they are what retrieval knows as pseudo-relevance feedback (Rocchio 1971).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from mnemic.text.encode.lexical import stems, words
from mnemic.text.steps.rank import idf

_OVERVIEW = re.compile(
    r"(?i)\b(?:summar(?:y|ies|i[sz]e[sd]?|i[sz]ing)|overview|recap|synopsis|tl;?dr|in a nutshell|the gist"
    r"|(?:main|key|central) (?:points?|ideas?|themes?|topics?|takeaways?|events?))\b"
)


def wants_overview(question: str) -> bool:
    """Whether the question asks for the whole rather than for a passage of it."""
    return bool(_OVERVIEW.search(question))


def topics(text: str, df: Mapping[str, float], documents: int, most: int = 5) -> list[str]:
    """The ``most`` rarest content words of ``text`` that occur at all, each in the form it is written in (folded),
    rarest first. ``df`` says in how many of ``documents`` a stem occurs."""
    forms: dict[str, str] = {}
    for word in words(text):
        for stem in stems([word]):
            if df.get(stem, 0.0) > 0:
                forms.setdefault(stem, word.removesuffix("'s"))
    names = list(forms)
    rarity = idf(documents, np.array([df[name] for name in names], np.float32))
    order = sorted(range(len(names)), key=lambda i: (-float(rarity[i]), i))
    return [forms[names[i]] for i in order[:most]]


def rare(
    texts: Sequence[str], known: Sequence[str], df: Mapping[str, float], documents: int, most: int = 5
) -> list[str]:
    """The ``most`` stems of ``texts`` of highest count times idf that are not among the stems ``known``."""
    counts = Counter(stem for text in texts for stem in stems(words(text)))
    for stem in known:
        counts.pop(stem, None)
    names = [stem for stem in counts if not stem.isdigit() and (len(stem) > 1 or not stem.isascii())]
    rarity = idf(documents, np.array([df.get(name, 0.0) for name in names], np.float32))
    order = sorted(range(len(names)), key=lambda i: (-counts[names[i]] * float(rarity[i]), names[i]))
    return [names[i] for i in order[:most]]
