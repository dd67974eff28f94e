"""Whether a sentence speaks of what is to come: which way "on Friday" and "the 9th" are to be read."""

from __future__ import annotations

from mnemic.text.steps.timex.patterns import pattern

_PLAN = (
    r"(?i)\b(?:will|shall|won['’]t|going to|gonna|next|upcoming|plan|plans|planning|planned|looking forward"
    r"|can['’]t wait|soon|tomorrow|about to|scheduled|hoping|coming up|excited for|nearly here|almost here)\b|\w['’]ll\b"
    r"|\bin (?:an?|one|two|three|a few|a couple of) (?:days?|weeks?|months?)\b"
)


def about_plans(sentence: str) -> bool:
    """Whether a time in ``sentence`` that names no year is the coming one."""
    return pattern(_PLAN).search(sentence) is not None
