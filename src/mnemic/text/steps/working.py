"""Working through turns in a reflect: what an earlier run had to leave comes first, then what is new.

A system that asks a language model about turns may meet one whose answer cannot be used. Such turns are skipped, not
lost: they go into the job's cursor, the rest is worked off, and :meth:`Working.close` fails the job, so that it stays
open with its error in ``stats`` and the next reflect tries them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mnemic.errors import LanguageError
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Record, State
from mnemic.text.store.base import Job
from mnemic.text.systems.base import Env

_ALIVE = (State.ACTIVE, State.SUPERSEDED, State.ARCHIVED)


class Working:
    """Iterate for pages of at most ``size`` turns, oldest first, and commit ``cursor`` with what each page gave.

    ``filter`` says which records are worked through (default: turns that are not archived).
    """

    def __init__(self, job: Job, env: Env, *, size: int = 200, filter: Filter | None = None) -> None:
        told = json.loads(job.cursor) if job.cursor else 0
        self._at = str(told["at"] if isinstance(told, dict) else told)
        self._waiting: list[str] = list(told["left"]) if isinstance(told, dict) else []
        self._skipped: dict[str, LanguageError] = {}
        self._env, self._size = env, size
        self._filter = filter or Filter(kinds=[Kind.TURN])

    def __iter__(self) -> Iterator[Sequence[Record]]:
        while self._waiting:
            ids, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            found = {record.id: record for record in self._env.space.get(ids)}
            again = [found[id] for id in ids if id in found and found[id].state in _ALIVE]
            if again:
                yield again
        while True:
            page, following = self._env.space.scan(self._filter, self._at, self._size)
            if page:
                self._at = str(page[-1].position)
                yield page
            if following is None:
                return

    def skip(self, turns: Sequence[Record], error: LanguageError) -> None:
        """Leave ``turns`` to the next run, because of ``error``."""
        self._skipped.update((turn.id, error) for turn in turns)

    @property
    def cursor(self) -> str:
        """Where a run stands after the page that was last given, skipped turns included."""
        left = [*self._skipped, *self._waiting]
        return json.dumps({"at": self._at, "left": left}) if left else self._at

    def close(self) -> None:
        """To be called last. Raises :class:`LanguageError` if turns were skipped."""
        if self._skipped:
            last = list(self._skipped.values())[-1]
            raise LanguageError(
                f"{len(self._skipped)} turns were left out, because the language model gave nothing usable about them; "
                f"the next reflect tries them again. The last reason: {last}"
            ) from last
