"""A conversation to try things on: two invented friends, eight months of chat, and questions with known answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from mnemic.errors import NotFoundError
from mnemic.text.record import Turn


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the conversation. ``gold`` are the ids of the turns that answer it, empty if none does.

    ``now`` is the moment of asking, from which relative dates count; ``type`` names what makes the question hard
    (``fact``, ``current``, ``former``, ``time``, ``two_sessions``, ``photo``, ``other_words``, ``preference_now``,
    ``preference_first``, ``similar``, ``corrected``, ``when``, ``secret``, ``none``); ``note`` is the answer in words.
    """

    question: str
    now: datetime
    type: str
    gold: tuple[str, ...]
    note: str


def turns() -> list[Turn]:
    """The conversation, oldest turn first. Raises :class:`NotFoundError` where the data was not installed."""
    return [
        Turn(
            text=row["text"],
            speaker=row["speaker"],
            at=datetime.fromisoformat(row["at"]),
            session=row["session"],
            caption=row.get("caption"),
            id=row["id"],
        )
        # Not splitlines: it also breaks at characters that JSON allows inside a string.
        for row in map(json.loads, _read("conversation.jsonl").rstrip("\n").split("\n"))
    ]


def questions() -> list[Question]:
    """The questions to the conversation. Raises :class:`NotFoundError` where the data was not installed."""
    return [
        Question(
            question=row["question"],
            now=datetime.fromisoformat(row["now"]),
            type=row["type"],
            gold=tuple(row["gold"]),
            note=row["note"],
        )
        for row in json.loads(_read("questions.json"))
    ]


def _read(name: str) -> str:
    try:
        return files(__name__).joinpath(name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"{name} is missing from this installation: install mnemic again") from error
