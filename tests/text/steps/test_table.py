"""The table of utterances: its columns, and the operators that narrow it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mnemic
from mnemic import Filter, Kind, Turn
from mnemic.text.plan import SearchPlan
from mnemic.text.steps.table import DAYS, Step, Table

MONDAY = datetime(2024, 3, 4, 9, 0, tzinfo=UTC)


def table(memory: mnemic.Memory, now: datetime = MONDAY, **wanted: object) -> tuple[Table, list[str]]:
    filter = Filter(kinds=[Kind.TURN], **wanted)  # type: ignore[arg-type]
    c = memory.space.search(SearchPlan(filter=filter, exact=1 << 40))
    made = Table.of(c, now)
    return made, memory.space.id_of(c.item[made.slot].tolist())


def left(memory: mnemic.Memory, *chain: Step, now: datetime = MONDAY) -> list[str]:
    made, ids = table(memory, now)
    return [id for id, kept in zip(ids, made.narrowed(chain), strict=True) if kept]


@pytest.fixture
def talked(memory: mnemic.Memory) -> mnemic.Memory:
    """Three sessions, one a week on Monday, Tuesday, Wednesday; written newest first; then an undated turn."""
    for week in (2, 1, 0):
        at = MONDAY + timedelta(days=8 * week)
        memory.remember(
            [
                Turn(f"turn {n}", ("Ana", "Ben")[n % 2], at + timedelta(hours=4 * n), f"s{week}", id=f"{week}{n}")
                for n in range(3)
            ]
        )
    memory.remember(Turn("Model speaking.", role="assistant", at=MONDAY + timedelta(days=30), session="m", id="m0"))
    return memory


def test_rows_stand_in_the_order_they_were_said(talked: mnemic.Memory) -> None:
    made, ids = table(talked)
    assert ids == ["00", "01", "02", "10", "11", "12", "20", "21", "22", "m0"]
    assert made.session.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert [made.speakers[code] for code in made.speaker] == ["Ana", "Ben", "Ana"] * 3 + ["assistant"]
    assert made.starts == [MONDAY, MONDAY + timedelta(days=8), MONDAY + timedelta(days=16), MONDAY + timedelta(days=30)]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step("f_value", "session", (2,)), ["10", "11", "12"]),
        (Step("f_value", "session", (-1, 1)), ["00", "01", "02", "m0"]),
        (Step("f_between", "session", ((-3, -2),)), ["10", "11", "12", "20", "21", "22"]),
        (Step("f_value", "session", (9,)), []),
        (Step("f_value", "session", (-9,)), []),
        (Step("f_value", "speaker", ("ben",)), ["01", "11", "21"]),
        (Step("f_value", "speaker", ("assistant",)), ["m0"]),
        (Step("f_value", "speaker", ("Zoe",)), []),
        (Step("f_value", "day", ("tuesday",)), ["10", "11", "12"]),
        (Step("f_value", "week", ("2024-W11",)), ["10", "11", "12"]),
        (Step("f_value", "date", (date(2024, 3, 4),)), ["00", "01", "02"]),
        (Step("f_between", "date", ((date(2024, 3, 5), date(2024, 3, 12)),)), ["10", "11", "12"]),
        (Step("f_between", "time", ((0, 9 * 60),)), ["00", "10", "20", "m0"]),
        (Step("f_between", "moment", ((MONDAY, MONDAY + timedelta(hours=4)),)), ["00", "01"]),
        (Step("f_between", "response", ((1, 2),)), ["00", "01"]),
        (Step("f_between", "response", ((-2, -1),)), ["22", "m0"]),
        (Step("f_between", "response", ((-99, 1),)), ["00"]),
    ],
)
def test_one_step(talked: mnemic.Memory, step: Step, expected: list[str]) -> None:
    assert left(talked, step) == expected


def test_a_chain_narrows_step_by_step_and_counts_what_is_left(talked: mnemic.Memory) -> None:
    bens = Step("f_value", "speaker", ("Ben",))
    last = Step("f_value", "response", (-1,))
    assert left(talked, bens, last) == ["21"]
    assert left(talked, last, bens) == []
    assert left(talked) == ["00", "01", "02", "10", "11", "12", "20", "21", "22", "m0"]


def test_the_calendar_is_that_of_the_question(talked: mnemic.Memory) -> None:
    tokyo = MONDAY.astimezone(timezone(timedelta(hours=9)))
    assert left(talked, Step("f_value", "date", (date(2024, 3, 5),)), now=tokyo) == ["02"]
    assert left(talked, Step("f_value", "day", ("tuesday",)), now=tokyo) == ["02", "10", "11"]
    assert left(talked, Step("f_between", "moment", ((MONDAY, MONDAY),)), now=tokyo) == ["00"]


def test_a_filter_hides_rows_but_does_not_renumber_sessions(talked: mnemic.Memory) -> None:
    made, ids = table(talked, sessions=["s1", "s2"], speakers=["Ana"])
    assert ids == ["10", "12", "20", "22"]
    assert made.session.tolist() == [2, 2, 3, 3]


def test_speakers_of_one_name_are_one_speaker(talked: mnemic.Memory) -> None:
    talked.remember(Turn("Shouting.", "ANA", MONDAY + timedelta(days=40), "z", id="z"))
    assert left(talked, Step("f_value", "speaker", ("Ána",))) == ["00", "02", "10", "12", "20", "22", "z"]


def test_an_empty_space_has_an_empty_table(memory: mnemic.Memory) -> None:
    made, _ = table(memory)
    assert len(made) == 0
    assert made.narrowed([Step("f_value", "session", (-1,)), Step("f_value", "response", (1,))]).tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))
def test_dates_days_and_weeks_are_those_of_the_calendar(at: datetime) -> None:
    at = at.replace(tzinfo=UTC, microsecond=0)
    seconds = (at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    one = np.zeros(1, np.int64)
    made = Table(one, one, one, ["Ana"], np.array([seconds]), [at], UTC)
    year, week, _ = at.isocalendar()
    for step in (
        Step("f_value", "date", (at.date(),)),
        Step("f_value", "day", (DAYS[at.weekday()],)),
        Step("f_value", "time", (60 * at.hour + at.minute,)),
        Step("f_value", "moment", (at,)),
        Step("f_value", "week", (f"{year:04d}-W{week:02d}",)),
    ):
        assert made.narrowed([step]).all(), step
    assert not made.narrowed([Step("f_value", "day", (DAYS[at.weekday() - 1],))]).any()


def test_a_step_says_what_it_does() -> None:
    step = Step("f_between", "date", ((date(2023, 5, 8), date(2023, 5, 9)),))
    assert step.told() == "f_between(date, 2023-05-08, 2023-05-09)"
