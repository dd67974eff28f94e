"""What derived records rest on, and working through turns again where some of it is gone.

A record that rests on several turns, a merged fact or a note that later turns changed, must not outlive any of them.
Two things see to that: reading shows it only while it stands (:func:`standing`), and the first reflect after something
was forgotten, revised or erased goes through all turns once more (:class:`Mending`), so that what is missing is derived
again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from mnemic.text.plan import Filter
from mnemic.text.record import Record, State
from mnemic.text.steps.working import Working
from mnemic.text.store.base import Job, Space
from mnemic.text.systems.base import Env

TEARING = frozenset(("forget", "purge", "revise"))
"""The operations after which derived records may be missing or no longer stand."""


class Mending(Working):
    """:class:`Working`, from the beginning again if the space was torn since the last run (``torn``).

    Its user passes over turns whose records still stand. ``new`` tells the turns that no run has worked through.
    """

    def __init__(self, job: Job, env: Env, *, size: int = 200, filter: Filter | None = None) -> None:
        super().__init__(job, env, size=size, filter=filter)
        told = json.loads(job.cursor) if job.cursor else {}
        self._seq, self._reached = (int(told[key]) if isinstance(told, dict) and told else 0 for key in ("seq", "far"))
        self._left = frozenset(self._waiting)
        self.torn = False
        for change in env.space.changes(self._seq):
            self.torn = self.torn or (job.cursor is not None and change.op in TEARING)
            self._seq = change.seq
        if self.torn:
            self._at = "0"

    def new(self, turn: Record) -> bool:
        """Whether no run before this one has worked through ``turn``."""
        return turn.position > self._reached or turn.id in self._left

    @property
    def cursor(self) -> str:
        told = json.loads(super().cursor)
        at, left = (told["at"], told["left"]) if isinstance(told, dict) else (str(told), [])
        return json.dumps({"at": at, "left": left, "seq": self._seq, "far": max(self._reached, int(at))})


def counts(record: Record | None) -> bool:
    """Whether a turn still bears what was derived from it: it is neither forgotten nor was it corrected. One that was
    true until the world changed does."""
    if record is None or record.state == State.FORGOTTEN:
        return False
    start, end = record.valid.start, record.valid.end
    return record.state != State.SUPERSEDED or start is None or end is None or start < end


def bearing(ids: Iterable[str], space: Space) -> set[str]:
    """Those of the turns ``ids`` that count."""
    return {record.id for record in space.get(list(dict.fromkeys(ids))) if counts(record)}


def standing(records: Sequence[Record], space: Space) -> list[Record]:
    """Those of ``records`` all of whose sources still count."""
    alive = bearing((source for record in records for source in record.sources), space)
    return [record for record in records if alive.issuperset(record.sources)]


def resting_on(ids: Collection[str], prefix: str, space: Space) -> list[Record]:
    """The records in any state whose ids begin with ``prefix`` and that cite one of ``ids``."""
    links = space.neighbours(list(ids), ["cites"])
    found = dict.fromkeys(link.source for link in links if link.target in ids and link.source.startswith(prefix))
    return space.get(list(found))


def in_force(record: Record, space: Space) -> bool:
    """Whether ``record``, or what superseded it in the end, stands; also where that was put away on purpose."""
    seen = {record.id}
    while record.state == State.SUPERSEDED and record.superseded_by is not None and record.superseded_by not in seen:
        following = space.get([record.superseded_by])
        if not following:
            return False
        record = following[0]
        seen.add(record.id)
    return record.state in (State.ACTIVE, State.ARCHIVED) and bool(standing([record], space))
