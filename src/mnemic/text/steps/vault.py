"""Who may see what is sensitive: one rule for every way a memory can be read.

=========  =======================================  ==================================================================
           what                                     where it is shown
=========  =======================================  ==================================================================
``low``    e-mail addresses, user names             everywhere
``medium`` phone numbers, postal addresses          where the question asks for such a thing, in a search of the vault,
                                                    by id and in exports; else ``[secret:phone]``
``high``   what :mod:`mnemic.text.steps.secrets`    nowhere but by id with ``secrets=True``: the engine masks it in
           finds: passwords, keys, cards, ...       indexes, prompts, recalls and exports
=========  =======================================  ==================================================================

A language model is shown nothing that is ``medium`` or ``high``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from mnemic.text.record import Record, Span
from mnemic.text.steps.render import shown
from mnemic.text.steps.route import SENSITIVITY, details

_ASKS = {
    "phone": re.compile(r"(?i)\b(?:phone|telephone|mobile|cell|number|call|ring|reach|contact|whatsapp|text)\b"),
    "address": re.compile(
        r"(?i)\b(?:address|postal|post|parcel|street|house number|deliver\w*|directions|where (?:do|does|did|is|are)\b"
        r".*\b(?:live|living|stay|home|house|flat|office))\b"
    ),
}
GUARDED = frozenset(label for label, how in SENSITIVITY.items() if how == "medium")


def asked_for(question: str) -> set[str]:
    """The kinds of guarded details that ``question`` asks for."""
    return {label for label in GUARDED if _ASKS[label].search(question)}


def guarded(record: Record, allowed: Collection[str] = ()) -> Record:
    """``record`` with its guarded details among its secrets, but for those ``allowed``: so they are masked wherever
    secrets are."""
    hidden = [span for span in details(record.text) if span.label in GUARDED and span.label not in allowed]
    if record.caption:
        shift = len(record.text) + 1
        for span in details(record.caption):
            if span.label in GUARDED and span.label not in allowed:
                hidden.append(Span(span.start + shift, span.end + shift, span.label))
    return replace(record, secrets=(*record.secrets, *hidden)) if hidden else record


def discreet(record: Record) -> str:
    """The text of ``record`` as a language model may see it."""
    return shown(guarded(record))
