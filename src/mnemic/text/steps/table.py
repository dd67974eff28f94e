"""The table of utterances, and the two operators that narrow it (Alonso et al. 2024, arXiv 2406.00057).

One row for each turn of a space, one column for each thing that is known of it besides its words. A chain of steps
narrows the table: ``f_value`` keeps the rows whose column has one of some values, ``f_between`` those whose column lies
between two. The columns are those of the index, so that no row is read for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.lexical import fold
from mnemic.text.plan import Bools, Candidates, Ints
from mnemic.text.record import from_micros

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ROLES = USER, ASSISTANT = "user", "assistant"
"""What the speaker column calls turns without a name, by their role."""
Value = int | str | date | datetime


@dataclass(frozen=True, slots=True)
class Step:
    """One narrowing of the table. ``f_value`` has values, ``f_between`` pairs ``(low, high)``, both bounds inside.

    Columns and their values: ``response`` and ``session`` whole numbers, 1 being the first of the rows that are left
    and -1 the last (of all sessions, for ``session``); ``speaker`` a name; ``day`` a weekday; ``week`` as in
    ``2023-W19``; ``date`` a date; ``time`` minutes after midnight; ``moment`` a datetime.
    """

    function: str
    column: str
    values: tuple[Any, ...]

    def told(self) -> str:
        """``f_between(date, 2023-05-08, 2023-05-09)``: how a trace shows it."""
        flat = [v for value in self.values for v in (value if isinstance(value, tuple) else (value,))]
        shown = [v.isoformat(timespec="minutes") if isinstance(v, datetime) else str(v) for v in flat]
        return f"{self.function}({', '.join([self.column, *shown])})"


@dataclass(frozen=True)
class Table:
    """Rows [R] in the order they were said. ``slot`` is each row's place among the candidates; ``speakers`` what the
    codes of the speaker column mean; ``starts`` when each session began, the first one's first. Undated rows have the
    moment NaN and lie in no span of time."""

    slot: Ints
    session: Ints
    speaker: Ints
    speakers: Sequence[str]
    moment: NDArray[np.float64]
    starts: Sequence[datetime]
    zone: timezone

    @classmethod
    def of(cls, c: Candidates, now: datetime) -> Table:
        """The table of the eligible turns of ``c``, its calendar that of the zone of ``now``."""
        shift = now.utcoffset() or timedelta()
        slots = np.flatnonzero(c.eligible & c.is_turn)
        slots = slots[np.lexsort((c.item[slots], np.nan_to_num(c.at[slots], nan=np.inf)))]
        # Sessions count from the first turn of each, whoever may be seen; those outside any session are number 0.
        first = np.full(len(c.session_at) + 1, np.inf)
        said = c.is_turn & ~np.isnan(c.at)
        np.minimum.at(first, c.session[said], c.at[said])
        number = np.zeros(len(first), np.int64)
        dated = np.flatnonzero(np.isfinite(first[:-1]))
        dated = dated[np.argsort(first[dated], kind="stable")]
        number[dated] = np.arange(1, len(dated) + 1)
        code = np.where(c.speaker[slots] >= 0, c.speaker[slots], len(c.speakers) + c.assistant[slots])
        return cls(
            slot=slots,
            session=np.where(c.session[slots] >= 0, number[c.session[slots]], 0),
            speaker=code,
            speakers=(*c.speakers, USER, ASSISTANT),
            moment=c.at[slots] + shift.total_seconds(),
            starts=[from_micros(round(1e6 * at)) for at in first[dated].tolist()],
            zone=timezone(shift),
        )

    def __len__(self) -> int:
        return len(self.slot)

    @cached_property
    def present(self) -> list[str]:
        """Who says something in these rows."""
        return [self.speakers[code] for code in np.unique(self.speaker)]

    @cached_property
    def day_number(self) -> NDArray[np.float64]:
        """Days since 1 January 1970."""
        return np.floor(self.moment / 86400.0)

    def column(self, name: str) -> NDArray[np.float64]:
        """A column [R] as numbers."""
        columns: Mapping[str, Any] = {
            "session": self.session,
            "speaker": self.speaker,
            "day": (self.day_number + 3) % 7,  # 1 January 1970 was a Thursday
            "week": np.floor((self.day_number + 3) / 7),
            "date": self.day_number,
            "time": np.floor((self.moment - 86400.0 * self.day_number) / 60.0),
            "moment": self.moment,
        }
        found: NDArray[np.float64] = np.asarray(columns[name], np.float64)
        return found

    def codes(self, name: str) -> list[int]:
        """The codes of the speakers called ``name``, whatever its case and accents; none where nobody is."""
        return [code for code, speaker in enumerate(self.speakers) if fold(speaker) == fold(name)]

    def number(self, column: str, value: Value) -> float:
        """``value`` as the column has it."""
        if column == "day":
            return float(DAYS.index(str(value)))
        if column == "week":
            year, week = str(value).split("-W")
            return (date.fromisocalendar(int(year), int(week), 1).toordinal() - _EPOCH_DAY + 3) // 7
        if isinstance(value, datetime):
            return (value.astimezone(self.zone).replace(tzinfo=UTC) - _EPOCH).total_seconds()
        if isinstance(value, date):
            return float(value.toordinal() - _EPOCH_DAY)
        return float(value)

    def apply(self, step: Step, rows: Bools) -> Bools:
        """The ``rows`` [R] that pass ``step``."""
        if step.column == "response":  # counted among the rows that are left
            values = np.zeros(len(self))
            values[rows] = np.arange(1, rows.sum() + 1)
            count = int(rows.sum())
        else:
            values = self.column(step.column)
            count = int(self.session.max(initial=0)) if step.column == "session" else 0
        if step.column == "speaker":
            return rows & np.isin(values, [code for name in step.values for code in self.codes(name)])
        passed = np.zeros(len(self), bool)
        for value in step.values:
            low, high = value if step.function == "f_between" else (value, value)
            bounds = [self.number(step.column, bound) for bound in (low, high)]
            if step.column in ("response", "session"):
                bounds = [bound + count + 1 if bound < 0 else bound for bound in bounds]
                bounds[0] = max(bounds[0], 1.0)
            passed |= (values >= bounds[0]) & (values <= bounds[1])
        return rows & passed

    def narrowed(self, chain: Sequence[Step]) -> Bools:
        """The rows [R] that pass every step of ``chain``, in its order."""
        rows = np.ones(len(self), bool)
        for step in chain:
            rows = self.apply(step, rows)
        return rows


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
