"""The parts of a score in words: what each is called, and which of five groups it belongs to.

The names are those of the features of ``text/steps/rank.py``; parts of other systems are shown under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GROUPS = {
    "words": "Words",
    "meaning": "Meaning",
    "people": "People and names",
    "time": "Time",
    "form": "Form",
}
"""Group -> its name; the group is also the name of its colour."""
_NAMES = {
    "bm": ("words", "words of this turn"),
    "bmw": ("words", "words, with the turns around it"),
    "bm_sess": ("words", "words of the whole session"),
    "pq_bm": ("words", "words, answering the question before it"),
    "sp": ("meaning", "meaning of this turn (sparse)"),
    "spw": ("meaning", "meaning, with the turns around it (sparse)"),
    "sp_sess": ("meaning", "meaning of the whole session (sparse)"),
    "pq_sp": ("meaning", "meaning, answering the question before it (sparse)"),
    "ml": ("meaning", "meaning of this turn (dense)"),
    "mlw": ("meaning", "meaning, with the turns around it (dense)"),
    "ml_sess": ("meaning", "meaning of the whole session (dense)"),
    "pq_ml": ("meaning", "meaning, answering the question before it (dense)"),
    "spk": ("people", "said by whom the question names"),
    "names": ("people", "names a person, place or thing"),
    "dprior": ("time", "said around the time asked about"),
    "when_tex": ("time", "tells a time"),
    "fact": ("form", "a fact that answers the question"),
    "isq": ("form", "is a question itself"),
    "len": ("form", "length"),
    "first": ("form", "opens a session"),
    "react": ("form", "only reacts"),
    "asst": ("form", "said by the assistant"),
    "asst_told": ("form", "the assistant told it"),
}


@dataclass(frozen=True, slots=True)
class Leg:
    """One part of a score."""

    key: str
    name: str
    group: str
    value: float


def legs(parts: Mapping[str, float]) -> list[Leg]:
    """The parts, by group, the largest first."""
    order = list(GROUPS)
    found = []
    for key, value in parts.items():
        group, name = _NAMES.get(key, ("form", key.replace("_", " ")))
        found.append(Leg(key, name, group, float(value)))
    return sorted(found, key=lambda leg: (order.index(leg.group), -abs(leg.value), leg.key))


def totals(parts: Mapping[str, float]) -> dict[str, float]:
    """Group -> what its positive parts add up to; groups without any are left out."""
    sums = dict.fromkeys(GROUPS, 0.0)
    for leg in legs(parts):
        sums[leg.group] += max(leg.value, 0.0)
    return {group: value for group, value in sums.items() if value > 0}
