"""Words to stems: the one tokenizer behind both the index and the query, so that they always agree.

Latin-script words are folded (NFKC, case, accents) and stemmed with Snowball English; runs of scripts that
are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) become overlapping character pairs,
which needs no dictionary and never misses a word.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Sequence

import Stemmer

MAX_TOKEN = 48
"""Longer runs (base64, hashes) are cut here: they are found by their beginning."""

STOP = frozenset(
    """a about above after again against all am an and any are aren't as at be because been before being below
    between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each few
    for from further had hadn't has hasn't have haven't having he her here hers herself him himself his how i if in
    into is isn't it its itself just let me more most my myself no nor not now of off on once only or other our ours
    ourselves out over own same shan't she should shouldn't so some such than that the their theirs them themselves
    then there these they this those through to too under until up us very was wasn't we were weren't what when where
    which while who whom whose why will with won't would wouldn't you your yours yourself yourselves also got get s t
    d ll m re ve oh ok okay yeah""".split()
)

# Scripts without spaces between words; Hangul is spaced but inflected, so pairs serve it better than whole words.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:['’][^\W_{_UNSPACED}]+)*")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]")
_local = threading.local()


def fold(text: str) -> str:
    """Case, width and accents removed: ``Café`` and ``ＣＡＦＥ`` become ``cafe``. Lone surrogates are dropped."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode("utf-8")).casefold()
    bare = (c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) != "Mn" or c > "\u0e00")
    return unicodedata.normalize("NFC", "".join(bare))  # puts Hangul together again, which NFKD takes apart


def words(text: str) -> list[str]:
    """The folded words of ``text`` in order, apostrophes kept inside words, unspaced scripts as pairs."""
    if text.isascii():  # the same by one pattern; a test holds them equal
        return [run[:MAX_TOKEN] for run in _ASCII_WORD.findall(text.lower())]
    return _words(text)


def _words(text: str) -> list[str]:
    """The general way: any script."""
    found: list[str] = []
    for run in _WORD.findall(fold(text)):
        if _UNSPACED_RUN.match(run):
            found.extend(run[i : i + 2] for i in range(max(1, len(run) - 1)))
        else:
            found.append(run[:MAX_TOKEN].replace("’", "'"))
    return found


def stems(tokens: Iterable[str]) -> list[str]:
    """Stop words removed, the rest stemmed (possessives first)."""
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:  # a Snowball stemmer keeps state: one for each thread
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    kept = [base.replace("'", "") for w in tokens if w not in STOP and (base := w.removesuffix("'s")) not in STOP]
    return [s for s in stemmer.stemWords(kept) if s]


def tokens(text: str) -> list[str]:
    """What the index stores and the query asks for: stems of the content words of ``text``, in order."""
    return stems(words(text))


def quote(terms: Sequence[str], *, joiner: str = " OR ") -> str:
    """An FTS5 expression in which every term is a quoted string, so that no input is ever syntax."""
    return joiner.join('"' + term.replace('"', '""') + '"' for term in terms)
