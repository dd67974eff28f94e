"""LongMemEval, the benchmark of chat assistants' long-term memory (Wu et al., ICLR 2025).

The file is a list of questions, each with its own haystack of chat sessions; ``question`` picks one by its id or
its number from 0, without it all haystacks are read (the same session in two haystacks is two sessions, since its
date differs). Dates such as ``2023/05/20 (Sat) 02:21`` are given without a zone and read as UTC. The labels that
say where the answer is are not imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnemic.text.importers.source import ANY, fail, head, json_items, occurrences, plain_name
from mnemic.text.importers.turns import ROLES, Tally, finish, mapping, moment, name, sequence, string
from mnemic.text.record import Turn

_WEEKDAY = re.compile(r"\s*\([^)]{1,12}\)\s*")


def sniff(path: Path) -> bool:
    """Whether the file begins like LongMemEval."""
    text = head(path)
    return (
        text.lstrip()[:1] in ("[", "{")
        and re.search(r'"haystack_(?:sessions|dates|session_ids)"\s*:', text) is not None
    )


def count(path: Path) -> int | None:
    """How many turns all haystacks together have."""
    return occurrences(path, b'"role"')


def read(path: Path, *, question: str | int | None = None, tally: Tally | None = None) -> Iterator[Turn]:
    """The turns; ``session`` is ``<question>:<session>``. Raises InputError for a question that is not there."""
    tally = Tally() if tally is None else tally
    yield from finish(_turns(path, question, tally), "longmemeval", plain_name(path), tally)


def _turns(path: Path, wanted: str | int | None, tally: Tally) -> Iterator[Turn]:
    names: list[str] = []
    known = read = False
    for number, item in enumerate(json_items(path, ANY, "file")):
        item = mapping(item)
        asked = name(item.get("question_id")) or str(number)
        names.append(asked)
        if not isinstance(item.get("haystack_sessions"), list):
            tally.skip("no question")
            continue
        known = True
        if wanted is None or wanted in (asked, number, str(number)):
            read = True
            yield from _haystack(item, asked, tally)
    if names and not known:
        raise fail(path, "", "no LongMemEval question is in it", "check the format, or name another one")
    if wanted is not None and not read:
        raise fail(path, "", f"there is no question {wanted!r}", f"there are {', '.join(names[:20]) or 'none'} ...")


def _haystack(item: dict[str, Any], question: str, tally: Tally) -> Iterator[Turn]:
    dates, ids = sequence(item.get("haystack_dates")), sequence(item.get("haystack_session_ids"))
    for s, turns in enumerate(item["haystack_sessions"]):
        session = (name(ids[s]) if s < len(ids) else "") or str(s)
        date = dates[s] if s < len(dates) else None
        at = moment(_WEEKDAY.sub(" ", date) if isinstance(date, str) else date)
        for n, turn in enumerate(sequence(turns)):
            role = name(mapping(turn).get("role"))
            if role not in ROLES:
                tally.skip("no role")
                continue
            yield Turn(
                text=string(turn.get("content")),
                at=at,
                session=f"{question}:{session}",
                role=role,
                id=f"longmemeval:{question}:{session}:{n}",
                meta={"question_id": question, "session_id": session, "turn": n},
            )
