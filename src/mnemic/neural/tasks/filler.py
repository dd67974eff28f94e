"""Sentences that say nothing anybody asks about, of words that no question uses."""

from __future__ import annotations

import numpy as np

_SUBJECTS = "a train|some rain|an old clock|one gull|that ferry|a baker|every lamp|no cloud".split("|")
_VERBS = "passed|rested|turned|shone|waited|faded|returned|stopped".split("|")
_PLACES = "near a bridge|over those roofs|by an empty square|under some arches|along that shore|until dusk".split("|")
WORDS = sorted({word for phrase in [*_SUBJECTS, *_VERBS, *_PLACES] for word in phrase.split()} | {"."})


def sentence(rng: np.random.Generator) -> list[str]:
    """One sentence, 4 to 7 words with its full stop."""
    parts = (_SUBJECTS, _VERBS, _PLACES)
    return [word for part in parts for word in part[int(rng.integers(len(part)))].split()] + ["."]


def sentences(rng: np.random.Generator, room: int) -> list[list[str]]:
    """Sentences of ``room`` words in all; the last may be cut short before its full stop."""
    made: list[list[str]] = []
    while room > 0:
        full = sentence(rng)
        made.append(full if len(full) <= room else [*full[: room - 1], "."])
        room -= len(made[-1])
    return made
