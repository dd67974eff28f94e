"""Texts with their entity's names taken out, for the memorisation audit (:mod:`mnemic.bench.memorization`)."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mnemic.bench.metrics import words
from mnemic.errors import InputError

MASK = "[MASKED]"
ENTITY_SCHEMA = {
    "type": "object",
    "properties": {"entity": {"type": ["string", "null"]}},
    "required": ["entity"],
    "additionalProperties": False,
}
_FORMS = frozenset("inc incorporated corp corporation co company ltd limited plc llc ag sa nv se group the".split())
_NAMES = "Tarnholt Quillmere Ostravane Bexhollow Fenwarrick Luddersby Corvastel Marnequin Thistrand Aldovar".split()
_GOODS = "pumps, lenses, ferries, enamel, looms, turbines, biscuits, cranes, inks, saddles".split(", ")
_EVENTS = (
    "Sales of {goods} rose by {a} percent in the {q} quarter, said {name}, and it will open {b} shops.",
    "{name} cut {a}00 jobs after orders for {goods} fell for the {q} quarter in a row.",
    "In the {q} quarter {name} earned {a} million on {goods}, {b} percent less than a year before.",
)


@dataclass(frozen=True, slots=True)
class Text:
    """A text about ``entity``, which may have ``aliases``; ``day`` is when it was written, None if that is unknown."""

    text: str
    entity: str
    aliases: tuple[str, ...] = ()
    day: date | None = None

    def __post_init__(self) -> None:
        if mask(self) == self.text:
            raise InputError(f"a text about {self.entity!r} never names it, so there is nothing to mask: add aliases")


def mask(text: Text) -> str:
    """The text with every name of its entity replaced, longest first, whatever the case; parts of words stay."""
    known = sorted({text.entity, *text.aliases}, key=lambda name: (-len(name), name))
    return re.sub(r"(?<!\w)(?:" + "|".join(map(re.escape, known)) + r")(?!\w)", MASK, text.text, flags=re.IGNORECASE)


def fits(said: str, text: Text) -> bool:
    """Whether ``said`` is a name of the text's entity: the same words but for case, punctuation and legal forms."""
    return _plain(said) in {_plain(name) for name in (text.entity, *text.aliases)}


def _plain(name: str) -> tuple[str, ...]:
    found = words(name)
    return tuple(word for word in found if word not in _FORMS) or tuple(found)


def invented_texts(n: int, seed: int = 0) -> list[Text]:
    """``n`` texts about companies that do not exist: whoever names one of them read it off the text."""
    rng = random.Random(f"texts {seed}")
    found = []
    for _ in range(n):
        name = rng.choice(_NAMES)
        told = rng.choice(_EVENTS).format(
            name=name,
            goods=rng.choice(_GOODS),
            a=rng.randint(2, 19),
            b=rng.randint(2, 9),
            q=rng.choice(("first", "second", "third", "fourth")),
        )
        found.append(Text(told, name))
    return found


def read(path: Path) -> list[Text]:
    """Texts from lines of JSON: ``text``, ``entity``, and where known ``aliases`` (a list) and ``date`` (ISO).

    Raises InputError that names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): name a file of JSON lines in UTF-8") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_text(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{path}, line {number}, is no text with its entity ({error}): write an object with text and entity"
                ) from None
    return found


def _text(row: Mapping[str, Any]) -> Text:
    day = date.fromisoformat(row["date"]) if row.get("date") else None
    aliases = row.get("aliases") or []
    if not isinstance(aliases, list):
        raise ValueError("aliases must be a list")
    return Text(str(row["text"]), str(row["entity"]), tuple(map(str, aliases)), day)
