"""Facts in time: which lane each belongs to, where it begins and ends, and where the axis is marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mnemic.serve.pages.words import MONTHS
from mnemic.text.record import Kind, Record

ZOOMS = (1, 2, 4, 8, 16)
"""How many times the width of the page a timeline may be stretched over."""
WIDE = 900
"""Pixels that a timeline is assumed to have at zoom 1, when labels are kept apart."""
CHARACTER = 6.8
LABEL = 30
"""Characters of a label; the whole text is in its memory."""
TICK = 74
"""Pixels between two marks at least."""
TURN = 0.72
"""Where on the axis the labels of moments change sides, so that none runs out of it."""
_LASTING = frozenset(
    ["likes", "dislikes", "prefers", "favourite", "allergy", "diet", "pet", "partner", "studies", "plays", "knows"]
)
"""Relations of which several values hold at once, each for a stretch of time. Others that may repeat are events."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A fact on the axis: a stretch, or a moment (``end`` is ``start``). ``row`` keeps it clear of its
    neighbours; with ``flip`` its label stands before the moment.
    """

    record: Record
    label: str
    start: datetime
    end: datetime | None
    moment: bool
    row: int = 0
    flip: bool = False

    @property
    def current(self) -> bool:
        """Whether it still holds, as far as the store knows."""
        return self.record.superseded_by is None


@dataclass
class Lane:
    """What is told about one side of somebody: where they lived, what they like."""

    name: str
    bars: list[Bar] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return 1 + max((bar.row for bar in self.bars), default=0)


@dataclass
class Subject:
    """Somebody, or something, with their lanes."""

    name: str
    lanes: list[Lane] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(len(lane.bars) for lane in self.lanes)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the axis, shown from ``zoom`` on; ``strong`` where a year begins."""

    at: datetime
    label: str
    zoom: int
    strong: bool


def subjects(records: Iterable[Record], start: datetime, end: datetime) -> list[Subject]:
    """The records in lanes, those of whom most is told first. ``start`` to ``end`` is what zoom 1 shows."""
    found: dict[str, dict[str, Lane]] = {}
    for record in records:
        begun = record.valid.start or record.at
        if begun is None or (record.valid.end is not None and record.valid.end <= begun):
            continue  # undated, or corrected: it never was
        subject = str(record.fields.get("subject") or record.speaker or "Everybody")
        lane = lane_of(record)
        found.setdefault(subject, {}).setdefault(lane, Lane(lane)).bars.append(_bar(record, begun))
    listed = [Subject(name, [_packed(lane, start, end) for lane in lanes.values()]) for name, lanes in found.items()]
    for each in listed:
        each.lanes.sort(key=lambda lane: (all(bar.moment for bar in lane.bars), lane.bars[0].start, lane.name))
    return sorted(listed, key=lambda subject: (-subject.count, subject.name))


def lane_of(record: Record) -> str:
    """The name of the lane: ``lives in``, ``prefers drink``; for what has no relation, its kind."""
    relation = record.fields.get("relation")
    return str(relation).replace("_", " ").replace(":", " ") if relation else f"{record.kind}s"


def lasts(record: Record) -> bool:
    """Whether it holds for a stretch of time; else it happened at one moment."""
    if record.valid.end is not None or record.fields.get("functional"):
        return not record.fields.get("ended") or record.valid.end is not None
    relation = str(record.fields.get("relation", "")).split(":")[0]
    return record.kind == Kind.PREFERENCE or relation in _LASTING


def _bar(record: Record, begun: datetime) -> Bar:
    value = str(record.fields.get("value") or record.text)
    label = f"no longer {value}" if record.fields.get("ended") else value
    moment = not lasts(record)
    return Bar(
        record,
        label if len(label) <= LABEL else label[: LABEL - 1].rstrip() + "…",
        begun,
        begun if moment else record.valid.end,
        moment,
    )


def _packed(lane: Lane, start: datetime, end: datetime) -> Lane:
    """The bars in order of time, each in the first row where neither it nor its label meets another."""
    free: list[float] = []
    bars = []
    for bar in sorted(lane.bars, key=lambda bar: (bar.start, bar.record.id)):
        left = place(bar.start, start, end) / 100 * WIDE
        right = place(bar.end or end, start, end) / 100 * WIDE
        flip = bar.moment and left > TURN * WIDE
        if bar.moment:
            label = CHARACTER * len(bar.label) + 30
            left, right = (left - label, left + 16) if flip else (left - 6, left + label)
        row = next((row for row, until in enumerate(free) if until <= left + 1), len(free))
        free[row : row + 1] = [right]
        bars.append(replace(bar, row=row, flip=flip))
    return Lane(lane.name, bars)


def place(at: datetime, start: datetime, end: datetime) -> float:
    """Where ``at`` is between ``start`` and ``end``, in percent, not beyond them."""
    return min(max(100 * (at - start) / max(end - start, timedelta(seconds=1)), 0.0), 100.0)


def ticks(start: datetime, end: datetime) -> list[Tick]:
    """Marks for every zoom, far enough apart in each: years, months, days."""
    found: dict[datetime, Tick] = {}
    for zoom in ZOOMS:
        fit = max(2, WIDE * zoom // TICK)
        for at in _marks(start, end, fit):
            found.setdefault(at, Tick(at, _label(at), zoom, at.month == at.day == 1))
    listed = [found[at] for at in sorted(found)]
    first = next((tick for tick in listed if tick.zoom == 1), None)
    if first is not None and not first.strong:  # somewhere the year has to stand
        listed[listed.index(first)] = Tick(first.at, f"{first.label} {first.at.year}", 1, False)
    return listed


def _label(at: datetime) -> str:
    if at.day != 1:
        return f"{at.day} {MONTHS[at.month - 1]}"
    if at.month != 1:
        return MONTHS[at.month - 1]
    return str(at.year)


def _marks(start: datetime, end: datetime, fit: int) -> list[datetime]:
    """The finest regular marks of which at most ``fit`` fall between ``start`` and ``end``."""
    days = max((end - start) / timedelta(days=1), 1e-6)
    for step in (1, 7, 14):
        if days / step <= fit:
            return _days(start, end, step)
    for months in (1, 3, 6, 12, 24, 60, 120, 240, 600, 1200):
        if days / (30.4 * months) <= fit:
            return _months(start, end, months)
    return []


def _days(start: datetime, end: datetime, step: int) -> list[datetime]:
    """Every ``step``-th day of each month, so that a coarser zoom's marks are among a finer one's."""
    found = []
    at = datetime(start.year, start.month, start.day, tzinfo=start.tzinfo or UTC)
    while at <= end:
        if at >= start and (at.day - 1) % step == 0 and (at.day == 1 or at.day + step // 2 <= 31):
            found.append(at)
        at += timedelta(days=1)
    return found


def _months(start: datetime, end: datetime, step: int) -> list[datetime]:
    first = start.year * 12 + start.month - 1
    found = []
    for month in range(first - first % step, end.year * 12 + end.month, step):
        if not 12 <= month < 120_000:
            continue
        at = datetime(month // 12, month % 12 + 1, 1, tzinfo=start.tzinfo or UTC)
        if start <= at <= end:
            found.append(at)
    return found


def histogram(times: Sequence[datetime], start: datetime, end: datetime, bins: int) -> list[int]:
    """How many of ``times`` fall into each of ``bins`` equal parts."""
    counts = [0] * bins
    for at in times:
        if start <= at <= end:
            counts[min(bins - 1, int(place(at, start, end) / 100 * bins))] += 1
    return counts
