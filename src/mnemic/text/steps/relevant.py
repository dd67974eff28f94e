"""Keeping of a long text what a query is about, in its own words."""

from __future__ import annotations

from itertools import pairwise

from mnemic.text.encode.lexical import tokens
from mnemic.text.language.cues import sentences
from mnemic.text.steps.render import count_tokens

GAP = " … "
"""What stands for the sentences left out."""


def relevant(text: str, query: str, *, longer: int = 120) -> str:
    """The sentences of ``text`` that share a stem with ``query``, each with the one before and after it.

    Texts of up to ``longer`` tokens stay whole: their sentences explain each other. So does a text of which nothing
    matches, since it was recalled for another reason than its words.
    """
    if count_tokens(text) <= longer:
        return text
    asked = set(tokens(query))
    pieces = sentences(text)
    matching = [i for i, piece in enumerate(pieces) if asked & set(tokens(piece))]
    if not matching:
        return text
    kept = sorted({j for i in matching for j in (i - 1, i, i + 1) if 0 <= j < len(pieces)})
    shown = pieces[kept[0]]
    for before, here in pairwise(kept):
        shown += (" " if here == before + 1 else GAP) + pieces[here]
    return (GAP.lstrip() if kept[0] else "") + shown + (GAP.rstrip() if kept[-1] < len(pieces) - 1 else "")
