"""Economic series for the memorisation audit: read, sampled by date, and continued to where nobody can know them."""

from __future__ import annotations

import csv
import gzip
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from mnemic.bench.suite import required
from mnemic.errors import InputError

FOLDER = "econ"
MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True)
class Series:
    """Values by date, oldest first. ``relative``: errors are shares of the true value (levels), else differences
    (rates). ``places`` are the decimals that an exact hit must have right; ``near`` is the tolerance of a near one.
    ``step`` is "day", "month" or "quarter"."""

    name: str
    unit: str
    values: Mapping[date, float]
    step: str = "month"
    relative: bool = True
    places: int = 2
    near: float = 0.01

    def when(self, day: date) -> str:
        """``day`` as a question names it."""
        if self.step == "quarter":
            return f"in the {('first', 'second', 'third', 'fourth')[(day.month - 1) // 3]} quarter of {day.year}"
        month = f"{MONTHS[day.month - 1]} {day.year}"
        return f"in {month}" if self.step == "month" else f"on {day.day} {month}"

    def error(self, value: float, truth: float) -> float:
        """The absolute error, relative to the truth for levels."""
        gap = abs(value - truth)
        return gap / abs(truth) if self.relative else gap


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a series that can be asked for, and the one before it. ``invented``: continued, not published."""

    series: Series
    day: date
    truth: float
    before: float
    invented: bool = False


def figures(series: Series, since: date | None, until: date | None, n: int, rng: random.Random) -> list[Figure]:
    """``n`` figures (all, if fewer) with since < date <= until, drawn at random, oldest first."""
    days = list(series.values)
    found = [
        Figure(series, day, series.values[day], series.values[days[at - 1]])
        for at, day in enumerate(days)
        if at and (since is None or since < day) and (until is None or day <= until)
    ]
    return sorted(rng.sample(found, min(n, len(found))), key=lambda figure: figure.day)


def beyond(series: Series, today: date, n: int, rng: random.Random) -> list[Figure]:
    """``n`` figures of dates a year and more after ``today``: a continuation by steps drawn from the series' own.

    Steps of levels are ratios, those of rates differences. What a model says about them is guessed, whatever it knows.
    """
    values = list(series.values.values())
    growing = series.relative and min(values) > 0
    steps = [b / a if growing else b - a for a, b in pairwise(values)]
    level, found, day = values[-1], list[Figure](), date(today.year + 2, 1, 1)
    for _ in range(n):
        step = rng.choice(steps)
        following = round(level * step if growing else level + step, series.places)
        found.append(Figure(series, day, following, level, invented=True))
        level, day = following, _next(day, series.step)
    return found


def _next(day: date, step: str) -> date:
    if step == "day":
        return day + timedelta(days=3 if day.weekday() == 4 else 1)
    months = day.year * 12 + day.month - 1 + (3 if step == "quarter" else 1)
    return date(months // 12, months % 12 + 1, 1)


# -- files -----------------------------------------------------------------------------------------------------------

Rows = list[dict[str, str]]


def known(data: Path) -> tuple[list[Series], list[Path]]:
    """The public series of a folder ``econ`` (US macro data, two indices, core prices, VIX, oil), and their files.

    Raises InputError where one is missing.
    """
    names = ["macrodata.csv", "sp500.csv", "nasdaq.csv", "core-cpi.csv", "vix.csv", "wti.csv"]
    paths = required(data, FOLDER, *names)
    macro, sp500, nasdaq, core, vix, oil = map(_rows, paths)

    def quarterly(column: str, name: str, unit: str, relative: bool, places: int, near: float) -> Series:
        return _series(macro, _quarter, column, Series(name, unit, {}, "quarter", relative, places, near))

    def daily(rows: Rows, column: str, name: str, unit: str, near: float = 0.01) -> Series:
        return _series(rows, _american, column, Series(name, unit, {}, "day", True, 2, near))

    return [
        quarterly("realgdp", "US real GDP", "billions of chained 2005 dollars, annual rate", True, 0, 0.01),
        quarterly("cpi", "the US consumer price index (all items)", "index, 1982-84 = 100", True, 1, 0.01),
        quarterly("unemp", "the US unemployment rate", "percent", False, 1, 0.1),
        quarterly("tbilrate", "the yield of three-month US Treasury bills", "percent a year", False, 2, 0.1),
        daily(sp500, "Close", "the closing value of the S&P 500", "points"),
        daily(nasdaq, "Close", "the closing value of the Nasdaq Composite", "points"),
        _series(core, _american, "CPILFESL", Series("US core CPI", "index, 1982-84 = 100", {}, "month", True, 1, 0.01)),
        daily(vix, "vix", "the closing value of the VIX", "points", 0.05),
        daily(oil, "DCOILWTICO", "the spot price of WTI crude oil", "dollars a barrel", 0.05),
    ], paths


def read(path: Path) -> Series:
    """A series of the user's own: CSV with the columns ``date`` (ISO) and ``value``; its name is the file's.

    Optional columns say what it is, in their first row: ``unit``, ``step`` (day, month, quarter), ``relative`` (yes or
    no), ``places``, ``near``. Raises InputError for anything that is none of this.
    """
    rows = _rows(path)
    if not rows or not {"date", "value"} <= rows[0].keys():
        raise InputError(f"{path} needs a header with the columns date and value, and a row or more")
    first = rows[0]
    step, relative = first.get("step") or "month", first.get("relative") or "yes"
    if step not in ("day", "month", "quarter") or relative not in ("yes", "no"):
        raise InputError(f"{path}: step must be day, month or quarter and relative yes or no, not {step}, {relative}")
    try:
        places, near = int(first.get("places") or 2), float(first.get("near") or 0.01)
    except ValueError as error:
        raise InputError(f"{path}: places must be a whole number and near a number ({error})") from None
    name = path.name.partition(".")[0].replace("-", " ").replace("_", " ")
    empty = Series(name, first.get("unit") or "", {}, step, relative == "yes", places, near)
    return _series(rows, lambda row: date.fromisoformat(row["date"]), "value", empty)


def _series(rows: Rows, day: Callable[[Mapping[str, str]], date], column: str, empty: Series) -> Series:
    try:
        found = {day(row): float(row[column]) for row in rows if row[column] not in ("", ".")}
    except (LookupError, ValueError, TypeError) as error:
        raise InputError(f"{empty.name} cannot be read from its file ({error}): obtain it again") from None
    usable = {each: value for each, value in sorted(found.items()) if math.isfinite(value)}
    if len(usable) < 3:
        raise InputError(f"{empty.name} has {len(usable)} values: give a series of three or more")
    if empty.relative and min(map(abs, usable.values())) == 0:
        raise InputError(f"{empty.name} is zero at times, so errors cannot be relative to it: set relative to no")
    return replace(empty, values=usable)


def _rows(path: Path) -> Rows:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): name a CSV file in UTF-8") from None


def _quarter(row: Mapping[str, str]) -> date:
    return date(int(float(row["year"])), 3 * int(float(row["quarter"])) - 2, 1)


def _american(row: Mapping[str, str]) -> date:
    return datetime.strptime(row["Date"], "%m/%d/%Y").date()


def invented(n: int = 240, seed: int = 0, *, name: str = "the Tarnholt price index") -> Series:
    """A monthly series from January 2000 that no model has read: a random walk, for tests and trials of the audit."""
    rng = random.Random(f"series {seed}")
    values: dict[date, float] = {}
    day, level = date(2000, 1, 1), 100.0
    for _ in range(n):
        values[day] = level
        day, level = _next(day, "month"), round(level * math.exp(rng.gauss(0.002, 0.02)), 2)
    return Series(name, "index, 2000 = 100", values)


def names(series: Sequence[Series]) -> list[str]:
    """Their names. Raises InputError if two have the same: a result could not tell them apart."""
    found = [each.name for each in series]
    if len(set(found)) < len(found):
        raise InputError(f"two series have the same name among {', '.join(found)}: rename a file")
    return found
