"""Whether what is said is held by what it cites: containment of words, with no model."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mnemic.text.encode.lexical import tokens
from mnemic.text.record import Record
from mnemic.text.store.base import key_text

SHARE = 0.8
"""Share of a sentence's content words that its sources must hold for it to count as supported by them."""
_CITATION = re.compile(r"\[\d+(?:, *\d+)*\]")


def supported(sentence: str, sources: Iterable[Record], share: float = SHARE) -> bool:
    """Whether ``sources`` hold the content words of ``sentence``; their dates and speakers count as theirs.

    The unsupported claim rate of "Memory in LLMs" (arXiv 2509.18868, panel P2), by containment instead of a judge.
    """
    claimed = set(tokens(_CITATION.sub("", sentence)))
    held = {stem for record in sources for stem in tokens(f"{key_text(record)} {_date(record)}")}
    return not claimed or len(claimed & held) / len(claimed) >= share


def _date(record: Record) -> str:
    return f"{record.at.day} {record.at:%B %Y}" if record.at else ""
