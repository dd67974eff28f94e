"""LoCoMo, the benchmark of very long conversations between two people (Maharana et al., ACL 2024).

The file is a list of samples; ``conversation`` picks one by its sample id or its number from 0, without it all are
read. Turns keep their dialogue id in ``locomo:<sample>:<dialogue id>`` and in ``meta``; every turn has the time of
its session (given without a zone, read as UTC), and ``caption`` is the benchmark's caption of a shared picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnemic.text.importers.source import ANY, fail, head, json_items, occurrences, plain_name
from mnemic.text.importers.turns import Tally, finish, mapping, moment, name, string
from mnemic.text.record import Turn

_SESSION = re.compile(r"session_(\d{1,6})")


def sniff(path: Path) -> bool:
    """Whether the file begins like LoCoMo."""
    text = head(path)
    return text.lstrip()[:1] in ("[", "{") and re.search(r'"(?:dia_id|session_1_date_time)"\s*:', text) is not None


def count(path: Path) -> int | None:
    """How many turns all conversations together have."""
    return occurrences(path, b'"dia_id"')


def read(path: Path, *, conversation: str | int | None = None, tally: Tally | None = None) -> Iterator[Turn]:
    """The turns; ``session`` is ``<sample>:session_<n>``. Raises InputError for a conversation that is not there."""
    tally = Tally() if tally is None else tally
    yield from finish(_turns(path, conversation, tally), "locomo", plain_name(path), tally)


def _turns(path: Path, wanted: str | int | None, tally: Tally) -> Iterator[Turn]:
    names: list[str] = []
    known = read = False
    for number, item in enumerate(json_items(path, ANY, "file")):
        item = mapping(item)
        talk = mapping(item.get("conversation", item))
        sessions = sorted(int(m[1]) for k, v in talk.items() if (m := _SESSION.fullmatch(k)) and isinstance(v, list))
        sample = name(item.get("sample_id")) or str(number)
        names.append(sample)
        if not sessions:
            tally.skip("no conversation")
            continue
        known = True
        if wanted is None or wanted in (sample, number, str(number)):
            read = True
            for session in dict.fromkeys(sessions):
                yield from _session(talk, session, sample, tally)
    if names and not known:
        raise fail(path, "", "no LoCoMo conversation is in it", "check the format, or name another one")
    if wanted is not None and not read:
        raise fail(path, "", f"there is no conversation {wanted!r}", f"there are {', '.join(names[:20]) or 'none'}")


def _session(talk: dict[str, Any], number: int, sample: str, tally: Tally) -> Iterator[Turn]:
    session = f"session_{number}"
    at = moment(talk.get(f"{session}_date_time"))
    turns = talk.get(session)
    for n, turn in enumerate(turns if isinstance(turns, list) else (), 1):
        if not isinstance(turn, dict):
            tally.skip("no turn")
            continue
        dialogue = name(turn.get("dia_id")) or f"D{number}:{n}"
        yield Turn(
            text=string(turn.get("text")),
            speaker=name(turn.get("speaker")),
            at=at,
            session=f"{sample}:{session}",
            caption=string(turn.get("blip_caption")),
            id=f"locomo:{sample}:{dialogue}",
            meta={"sample_id": sample, "dia_id": dialogue},
        )
