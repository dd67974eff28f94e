"""Toy worlds: people walk, take things and put them down; a question asks where somebody or something is or was.

The kinds of question are those of bAbI's first three tasks (Weston et al., arXiv 1502.05698, section 3); names, places
and wording are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PEOPLE = "ana ben cora dov ella finn".split()
PLACES = "kitchen garden cellar attic library porch".split()
THINGS = "lantern apple violin kettle".split()
_GOING, _TAKING, _LEAVING = ("went", "walked", "ran"), ("took", "grabbed"), ("dropped", "left")
WORDS = [
    *PEOPLE, *PLACES, *THINGS, *_GOING, *_TAKING, *_LEAVING, *"to the there where is was before ? .".split(),
]  # fmt: skip


@dataclass(frozen=True)
class Story:
    """``facts`` in order, the ``question`` after them, and its one-word ``answer``."""

    facts: tuple[tuple[str, ...], ...]
    question: tuple[str, ...]
    answer: str


def story(kind: int, facts: int, rng: np.random.Generator) -> Story:
    """A story of ``facts`` sentences and a question that has an answer. ``kind`` 1: where is a person; 2: where is a
    thing, that was carried; 3: where was a thing before it was where it is said to be."""
    while True:
        world = _World(rng)
        told = tuple(world.act() for _ in range(facts))
        asked = (world.person, world.thing, world.earlier)[kind - 1]()
        if asked is not None:
            return Story(told, *asked)


class _World:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._at: dict[str, str] = {}
        self._holder: dict[str, str] = {}
        self._trail: dict[str, list[str]] = {thing: [] for thing in THINGS}

    def act(self) -> tuple[str, ...]:
        """Somebody does something that is possible: its sentence."""
        who = self._pick(PEOPLE)
        held = [thing for thing in THINGS if self._holder.get(thing) == who]
        free = [thing for thing in THINGS if thing not in self._holder and self._here(thing, who)]
        choice = self._rng.random()
        if who in self._at and held and choice < 0.25:
            thing = self._pick(held)
            del self._holder[thing]
            return (who, self._pick(_LEAVING), "the", thing, ".")
        if who in self._at and free and choice < 0.6:
            thing = self._pick(free)
            self._holder[thing] = who
            self._move(thing, self._at[who])
            return (who, self._pick(_TAKING), "the", thing, "there", ".")
        place = self._pick([each for each in PLACES if each != self._at.get(who)])
        self._at[who] = place
        for thing in held:
            self._move(thing, place)
        return (who, self._pick(_GOING), "to", "the", place, ".")

    def person(self) -> tuple[tuple[str, ...], str] | None:
        known = sorted(self._at)
        if not known:
            return None
        who = self._pick(known)
        return ("where", "is", who, "?"), self._at[who]

    def thing(self) -> tuple[tuple[str, ...], str] | None:
        known = [thing for thing, trail in self._trail.items() if trail]
        if not known:
            return None
        thing = self._pick(known)
        return ("where", "is", "the", thing, "?"), self._trail[thing][-1]

    def earlier(self) -> tuple[tuple[str, ...], str] | None:
        known = [thing for thing, trail in self._trail.items() if len(trail) > 1]
        if not known:
            return None
        thing = self._pick(known)
        before, now = self._trail[thing][-2:]
        return ("where", "was", "the", thing, "before", "the", now, "?"), before

    def _here(self, thing: str, who: str) -> bool:
        trail = self._trail[thing]
        return not trail or trail[-1] == self._at.get(who)

    def _move(self, thing: str, place: str) -> None:
        if self._trail[thing][-1:] != [place]:
            self._trail[thing].append(place)

    def _pick(self, among: list[str] | tuple[str, ...]) -> str:
        return among[int(self._rng.integers(len(among)))]
