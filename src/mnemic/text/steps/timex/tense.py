"""Whether a sentence speaks of what is to come or of what has been: which way "on Friday" and "the 9th" are read."""

from __future__ import annotations

from collections.abc import Iterator

from mnemic.text.steps.timex.patterns import pattern

_COMING = (
    r"(?i)\b(?:will|shall|won['’]t|going to|gonna|next|upcoming|plan|plans|planning|planned|looking forward"
    r"|can['’]t wait|soon|tomorrow|about to|scheduled|hoping|coming up|excited for|(?:nearly|almost) here)\b|\w['’]ll\b"
    r"|\bin (?:an?|one|two|three|a few|a couple of) (?:days?|weeks?|months?)\b"
    r"|(?:n['’]t|\bnot)(?: \w+){0,3}? (?:until|till)\b"
    r"|\b(?:am|is|are|have|has|\w+['’](?:m|s|re|ve)) (?:now |all |already |both )?booked\b|\bbooked (?:\w+ ){0,4}?for\b"
)
# The present tells of a plan unless the sentence has told of the past before.
_PRESENT = (
    r"(?i)\b(?:is|are|['’]s|['’]re) (?:now |still |all )?on\b|\bthere(?: is| are|['’]s)\b"
    r"|\b(?:until|till|let['’]s|have to|has to|needs? to|wants? to|see you)\b"
    r"|\b(?:i|we|you|he|she|they|it|\w+['’]s) (?:leaves?|fl(?:y|ies)|sets? off|departs?|arrives?|starts?|begins?"
    r"|returns?|moves?)\b"
    r"|\b(?:am|is|are|\w*['’](?:m|s|re)) (?:\w+ly |all |both |just )?(?:leaving|going|coming|flying|driving|moving"
    r"|meeting|visiting|starting|having|hosting|travell?ing|arriving|returning|taking|getting|seeing|playing|marrying"
    r"|celebrating|throwing|staying|heading|picking|running|turning|opening|bringing|giving|doing|working)\b"
)
_PAST = (
    r"(?i)\b(?:was|were|wasn['’]t|weren['’]t|did|didn['’]t|had|hadn['’]t|went|got|came|met|saw|took|ran|ate|felt|left"
    r"|told|said|made|gave|spent|flew|drove|bought|found|lost|won|sat|slept|ago|been"
    r"|(?!indeed|speed|excited|scheduled|married|booked|planned|supposed|closed|invited|hundred|exceed|succeed|allowed"
    r"|packed|engaged|tired|confirmed|approved|sorted|needed)\w{3,}ed)\b"
)


_RUN = r"(?:[^.!?\n:;]|[:;](?!\s))+"
_SENTENCE = rf"{_RUN}(?:\.(?=\w){_RUN}|(?<=\b[A-Za-z]{{3}})\.(?= [0-9]){_RUN})*[.!?\n:;]*"


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of ``text`` and where they begin; what a colon or semicolon ends is one too. Full stops inside
    numbers and after short months ("Feb. 11") end none."""
    return ((found.start(), found[0]) for found in pattern(_SENTENCE).finditer(text))


def about_plans(sentence: str) -> bool:
    """Whether ``sentence`` speaks of what is to come: a time in it that names no year is the coming one."""
    if pattern(_COMING).search(sentence):
        return True
    present = pattern(_PRESENT).search(sentence)
    return present is not None and not pattern(_PAST).search(sentence, 0, present.start())


def about_past(sentence: str) -> bool:
    """Whether a verb of ``sentence`` stands in the past."""
    return pattern(_PAST).search(sentence) is not None
