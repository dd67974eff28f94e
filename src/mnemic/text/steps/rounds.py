"""Rounds: what was said together with the reply to it, the unit in which conversations are best kept (LongMemEval)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mnemic.text.plan import Filter, every
from mnemic.text.record import Kind, Record, State
from mnemic.text.store.base import Space


def rounds(turns: Sequence[Record]) -> list[tuple[Record, ...]]:
    """The rounds of one session's ``turns``, each in the order it was said; every turn is in one round.

    Where a model takes part, a round is a user's turn and everything up to the next one. Between people, a turn that
    asks and the reply of somebody else are a round, and any other turn is one by itself.
    """
    turns = sorted(turns, key=lambda t: (t.at is None, t.at.timestamp() if t.at else 0.0, t.position))
    found: list[list[Record]] = []
    for turn in turns:
        if found and _joins(found[-1], turn):
            found[-1].append(turn)
        else:
            found.append([turn])
    return [tuple(each) for each in found]


def _joins(before: Sequence[Record], turn: Record) -> bool:
    """Whether ``turn`` goes on with the round ``before``."""
    if turn.role in ("assistant", "tool"):
        return True
    first = before[0]
    asked = first.text.rstrip().endswith(("?", "？"))
    return len(before) == 1 and asked and None in (turn.role, first.role) and turn.speaker != first.speaker


def turns_of(session: str, space: Space) -> list[Record]:
    """The turns of a session that count, in the order they were stored."""
    said = every(lambda at: space.scan(Filter(kinds=[Kind.TURN], sessions=[session]), at))
    return [turn for turn in said if turn.state == State.ACTIVE]


def rounds_with(turns: Iterable[Record], space: Space) -> list[tuple[Record, ...]]:
    """The rounds that hold one of ``turns``, as their sessions stand now; a turn outside any session is one itself."""
    wanted = {turn.id: turn for turn in turns}
    sessions = dict.fromkeys(turn.session for turn in wanted.values() if turn.session is not None)
    found = [each for session in sessions for each in rounds(turns_of(session, space))]
    found += [(turn,) for turn in wanted.values() if turn.session is None and turn.state == State.ACTIVE]
    return [each for each in found if any(turn.id in wanted for turn in each)]
