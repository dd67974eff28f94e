"""Secrets in a text: which characters must never reach an index, a prompt, a log or an export.

Two tables do the work. A *shape* is recognised on its own: a key with a known prefix, a card number that passes
its checksum. A *cue* is a noun ("door code") that says the next value is secret; a *link* joins the two ("is", ":",
"changed to") and a *reader* decides whether what follows is a value or ordinary words. A value that looks like
prose is left alone, because people mention passwords far more often than they tell them.

Labels: ``password`` (also passphrases), ``pin``, ``code`` (doors, safes, alarms, one-time, recovery), ``key`` (API
keys, tokens, private and licence keys), ``card``, ``cvv``, ``account`` (bank numbers, IBAN), ``document`` (passport,
licence, national, social security and tax numbers), ``seed`` (wallet phrases). Not secrets: promotion codes, post
and area codes, phone, order and booking numbers, the last four digits of a card, addresses, dates, placeholders.
Every pattern is bounded or possessive, so the time is linear in the length of the text. The tables are in
``secret_rules`` and ``secret_values``; they are loaded when the first text is searched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mnemic.text.record import Span

LABELS = ("password", "pin", "code", "key", "card", "cvv", "account", "document", "seed")
_MARKER, _LABEL = re.compile(r"\[secret:[a-z]{1,16}\]"), re.compile(r"[a-z]{1,16}")


def _join(spans: Sequence[Span]) -> list[Span]:
    """Sorted spans without overlap: what overlaps becomes one, under the label of the one that starts first."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        start = max(span.start, 0)
        if span.end <= start:
            continue
        if joined and start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Span(last.start, max(last.end, span.end), last.label)
        else:
            joined.append(Span(start, span.end, span.label))
    return joined


def find(text: str) -> list[Span]:
    """The secrets of ``text``: sorted spans that do not overlap, each over the secret value alone.

    Offsets are in characters, labels are :data:`LABELS`. A marker that :func:`mask` wrote is not a secret. Where
    both readings are possible a trailing ``!`` counts as part of a password. Takes any string and never raises.
    """
    from mnemic.text.steps.secret_rules import spans

    if "[secret:" in text:
        text = _MARKER.sub(lambda marker: "\n" * len(marker[0]), text)  # same length: offsets stay true
    return _join(spans(text))


def find_in(text: str, caption: str | None) -> list[Span]:
    """The secrets of a turn: offsets count through its text and on, past one line break, through its caption."""
    found = find(text)
    if caption:
        shift = len(text) + 1
        found += [Span(span.start + shift, span.end + shift, span.label) for span in find(caption)]
    return found


def masked(text: str, caption: str | None, spans: Sequence[Span]) -> tuple[str, str | None]:
    """Text and caption with the spans of :func:`find_in` masked."""
    inside = [span for span in spans if span.start <= len(text)]
    after = [Span(s.start - len(text) - 1, s.end - len(text) - 1, s.label) for s in spans if s.start > len(text)]
    return mask(text, inside), None if caption is None else mask(caption, after)


def mask(text: str, spans: Sequence[Span]) -> str:
    """``text`` with ``[secret:label]`` in place of each span.

    Spans may come in any order, overlap or reach outside the text (they are clipped); a label that is not a short
    lower-case word is written as ``other``. Masking a text again with the same spans returns it unchanged.
    """
    spans = _join(spans)
    markers = [f"[secret:{span.label if _LABEL.fullmatch(span.label) else 'other'}]" for span in spans]
    shift, masked = 0, True  # where each marker stands if the text is masked already
    for span, marker in zip(spans, markers, strict=True):
        if span.start + shift >= len(text):
            break
        masked = masked and text.startswith(marker, span.start + shift)
        shift += len(marker) - (span.end - span.start)
    if masked:
        return text
    parts, at = [], 0
    for span, marker in zip(spans, markers, strict=True):
        if span.start < len(text):
            parts += [text[at : span.start], marker]
            at = span.end
    return "".join([*parts, text[at:]])
