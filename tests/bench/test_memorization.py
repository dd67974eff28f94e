"""The memorisation audit on scripted models whose knowledge is exactly known: it must say what they know."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mnemic.bench import masked, metrics, series
from mnemic.bench.masked import MASK, Text, fits, invented_texts, mask
from mnemic.bench.memorization import Plan, _number, audit, measured, parsed, question
from mnemic.bench.memorization_result import ANSWERED, DECLINED, UNPARSABLE, Audit
from mnemic.bench.series import Figure, Series, beyond, figures, invented
from mnemic.cli.bench import app
from mnemic.errors import InputError
from mnemic.text.language.base import Completion, Language, Message

CUTOFF, TODAY, BOUNDARY = date(2014, 12, 31), date(2020, 6, 1), date(2009, 12, 31)
SERIES = invented(240)
PLAN = Plan(CUTOFF, TODAY, BOUNDARY, n=24)


class Oracle:
    """Knows every value up to ``until``, says ``otherwise`` to the rest; heeds a boundary if ``obedient``."""

    name = "oracle"

    def __init__(
        self,
        until: date = CUTOFF,
        *,
        obedient: bool = False,
        otherwise: str = '{"value": null}',
        entities: Mapping[str, str] | None = None,
    ) -> None:
        self.until, self.obedient, self.otherwise, self.entities = until, obedient, otherwise, entities or {}
        self.asked: list[str] = []

    def complete(self, messages: Sequence[Message], **_: Any) -> Completion:
        system, user = messages[0].content, messages[1].content
        self.asked.append(user)
        return Completion(self._reply(system, user), 0, 0, 0.0)

    def _reply(self, system: str, user: str) -> str:
        if "[MASKED]" in system:
            return next((json.dumps({"entity": who}) for cue, who in self.entities.items() if cue in user), "{}")
        until = self.until
        if self.obedient and (told := re.search(r"as of (\d{4}-\d\d-\d\d)", system)):
            until = min(until, date.fromisoformat(told[1]))
        for day, value in SERIES.values.items():
            if day <= until and f" {SERIES.when(day)}?" in user:
                return json.dumps({"value": value})
        return self.otherwise


def value(made: Audit, metric: str, group: str, name: str = "all") -> float:
    score = made.score(name, metric, group)
    assert score is not None
    return score.value


def gap(made: Audit, metric: str, first: str, second: str) -> tuple[float, float]:
    return next(
        (g.value, g.p) for g in made.gaps if (g.metric, g.series, g.first, g.second) == (metric, "all", first, second)
    )


# -- what the audit says of what is known ----------------------------------------------------------------------------


def test_a_model_that_knows_up_to_its_cutoff():
    made = audit(Oracle(), PLAN, [SERIES])
    assert value(made, "exact", "before") == value(made, "exact", "between") == 1
    assert value(made, "exact", "after") == value(made, "exact", "beyond") == 0
    assert value(made, DECLINED, "after") == 1
    difference, p = gap(made, "exact", "before", "after")
    assert difference == 1
    assert p < 0.01
    assert made.score(SERIES.name, "error", "after") is None  # nothing was answered, so there is no error
    assert value(made, "error", "before", SERIES.name) == 0


def test_a_model_that_ignores_the_boundary_and_one_that_obeys():
    ignoring, obeying = (audit(Oracle(obedient=o), PLAN, [SERIES]) for o in (False, True))
    assert value(ignoring, "exact", "between, told") == 1
    assert gap(ignoring, "exact", "between", "between, told") == (0, 1)
    assert value(obeying, "exact", "between, told") == 0
    assert value(obeying, "exact", "between") == value(obeying, "exact", "before, told") == 1
    assert gap(obeying, "exact", "between", "between, told")[0] == 1


def test_a_model_that_knows_nothing_and_guesses_shows_no_difference():
    made = audit(Oracle(date(1990, 1, 1), otherwise='{"value": 120}'), PLAN, [SERIES])
    assert value(made, ANSWERED, "before") == value(made, ANSWERED, "beyond") == 1
    assert gap(made, "near", "before", "after")[1] > 0.05
    assert value(made, "error", "before", SERIES.name) > 0.02
    # Saying the value before again would have been better: the series is smooth.
    assert value(made, "last value error", "before", SERIES.name) < value(made, "error", "before", SERIES.name)


def test_prose_is_unparsable_and_counted_apart():
    made = audit(Oracle(date(1990, 1, 1), otherwise="It was about 120 points."), PLAN, [SERIES])
    assert value(made, UNPARSABLE, "before") == 1
    assert value(made, DECLINED, "before") == value(made, ANSWERED, "before") == value(made, "near", "before") == 0


def test_the_questions_of_both_modes_are_the_same():
    oracle = Oracle()
    made = audit(oracle, PLAN, [SERIES])
    by = {g: [r.day for r in made.replies if r.group == g] for g in {r.group for r in made.replies}}
    assert by["between"] == by["between, told"]
    assert all(BOUNDARY < day <= CUTOFF for day in by["between"])
    assert all(day <= BOUNDARY for day in by["before"])
    assert all(day > CUTOFF for day in by["after"])
    assert all(day.year > TODAY.year for day in by["beyond"])
    assert "beyond, told" not in by
    assert len(oracle.asked) == len(made.replies)
    assert "The unit: index, 2000 = 100." in oracle.asked[0]


def test_without_a_boundary_or_a_later_value_these_parts_are_missing():
    made = audit(Oracle(TODAY), Plan(TODAY, TODAY, n=5), [SERIES])
    assert {reply.group for reply in made.replies} == {"before", "beyond"}
    assert {(g.first, g.second) for g in made.gaps} == {("before", "beyond")}


# -- masked entities -------------------------------------------------------------------------------------------------

TEXTS = [
    Text("Norsund Inc. said Norsund's ferries were late.", "Norsund Inc.", ("Norsund",), date(2010, 1, 1)),
    Text("Shares of VELDT fell; Veldtman did not.", "Veldt", (), date(2018, 1, 1)),
    Text("Norsund sold its docks.", "Norsund"),
]


def test_masking_takes_whole_names_of_any_case():
    assert mask(TEXTS[0]) == f"{MASK} said {MASK}'s ferries were late."
    assert mask(TEXTS[1]) == f"Shares of {MASK} fell; Veldtman did not."
    assert all(text.entity not in mask(text) for text in invented_texts(40))
    assert invented_texts(3, 1) == invented_texts(3, 1) != invented_texts(3, 2)
    with pytest.raises(InputError, match="never names it"):
        Text("nothing here", "Veldt")


def test_names_fit_but_for_case_punctuation_and_legal_forms():
    assert fits("norsund, inc", TEXTS[0])
    assert fits("The Norsund Group", TEXTS[0])
    assert not fits("Norsund Ferries", TEXTS[0])
    assert fits("The Company", Text("The Company is a name", "The Company"))


def test_entities_by_place_with_their_control():
    oracle = Oracle(entities={"ferries were late": "NORSUND", "Veldtman": "Norsund"})
    made = audit(oracle, Plan(CUTOFF, TODAY, n=7), texts=TEXTS)
    assert value(made, "right", "before", "masked") == 1
    assert value(made, "right", "after", "masked") == value(made, "right", "undated", "masked") == 0
    assert value(made, "right", "invented", "masked") == 0
    assert value(made, UNPARSABLE, "invented", "masked") == 1
    assert value(made, "most common entity", "all", "masked") == pytest.approx(1 / 3)
    assert sum(guess.place == "invented" for guess in made.guesses) == 7
    assert not any("Norsund" in asked or "VELDT" in asked for asked in oracle.asked)


def test_texts_are_read_from_lines(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "Veldt rose", "entity": "Veldt", "aliases": ["V"], "date": "2018-02-03"}\n\n')
    assert masked.read(path) == [Text("Veldt rose", "Veldt", ("V",), date(2018, 2, 3))]
    for line in ('{"text": "x"}', "[1]", '{"text": "Veldt", "entity": "Veldt", "aliases": "V"}', "nonsense"):
        path.write_text(line)
        with pytest.raises(InputError, match="line 1"):
            masked.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        masked.read(tmp_path / "none")


# -- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ('{"value": 3.5}', ANSWERED),
        ('Sure: {"value": 3}', ANSWERED),
        ('{"value": null}', DECLINED),
        ('{"value": "3.5"}', UNPARSABLE),
        ('{"value": true}', UNPARSABLE),
        ('{"value": 1e999}', UNPARSABLE),
        ('{"value": 3, "unit": "%"}', UNPARSABLE),
        ('{"answer": 3}', UNPARSABLE),
        ("3.5", UNPARSABLE),
        ("", UNPARSABLE),
    ],
)
def test_replies_are_read_strictly(reply: str, outcome: str):
    assert parsed(reply, "value", _number)[0] == outcome


def test_measures_by_hand():
    level = Series("l", "", {}, places=1, near=0.05)
    figure = Figure(level, date(2000, 1, 1), truth=100.0, before=90.0)
    found = measured(figure, ANSWERED, 104.0)
    assert (found["exact"], found["near"], found["direction"], found["rose"]) == (0, 1, 1, 1)
    assert found["error"] == pytest.approx(0.04)
    assert (found["last value near"], found["last value error"]) == (0, pytest.approx(0.1))
    assert measured(figure, ANSWERED, 100.04)["exact"] == 1
    assert measured(figure, ANSWERED, 90.0)["direction"] == 0
    declined = measured(figure, DECLINED, None)
    assert declined["near"] == 0
    assert not {"error", "direction"} & declined.keys()
    still = Figure(Series("r", "", {}, relative=False, near=0.1), date(2000, 1, 1), 5.0, 5.0)
    assert measured(still, ANSWERED, 5.08)["near"] == 1
    assert not {"direction", "rose"} & measured(still, ANSWERED, 5.08).keys()


def test_permutation_by_hand_and_by_enumeration():
    assert metrics.permutation([1, 1, 1, 1], [0, 0, 0, 0], rounds=4000) == pytest.approx(2 / 70, abs=0.01)
    assert metrics.permutation([1, 0], [0, 1], rounds=50) == 1
    # Two clusters a side can only be split in six ways, whatever their size.
    clusters = (["a"] * 20 + ["b"] * 20, ["c"] * 20 + ["d"] * 20)
    assert metrics.permutation([1] * 40, [0] * 40, clusters, rounds=4000) == pytest.approx(1 / 3, abs=0.03)
    assert metrics.permutation([1] * 40, [0] * 40, rounds=200) == pytest.approx(1 / 201)
    assert metrics.permutation([], [1.0]) != metrics.permutation([], [1.0])  # NaN


def test_flips_by_hand():
    assert metrics.flips([1, 1, 1, 1], [0, 0, 0, 0], rounds=8000) == pytest.approx(2 / 16, abs=0.02)
    assert metrics.flips([1, 0], [0, 1], rounds=50) == metrics.flips([1, 1], [1, 1], rounds=50) == 1
    assert metrics.flips([1] * 40, [0] * 40, ["a", "b"] * 20, rounds=8000) == pytest.approx(1 / 2, abs=0.02)
    assert metrics.flips([], []) != metrics.flips([], [])  # NaN


def test_permutation_is_calibrated_where_nothing_differs():
    rng = random.Random(0)
    found = []
    for n in range(150):
        a, b = ([rng.gauss(0, 1) for _ in range(8)] for _ in range(2))
        found.append(metrics.permutation(a, b, seed=n, rounds=200) < 0.1)
    assert 0.03 < metrics.mean(found) < 0.19


def test_figures_lie_between_their_days_with_the_value_before():
    found = figures(SERIES, date(2005, 1, 1), date(2006, 1, 1), 99, random.Random(0))
    assert [f.day for f in found] == [date(2005, n, 1) for n in range(2, 13)] + [date(2006, 1, 1)]
    assert found[1].before == found[0].truth
    assert date(2000, 1, 1) not in [f.day for f in figures(SERIES, None, None, 999, random.Random(0))]


def test_what_lies_beyond_moves_as_the_series_does_and_nobody_knows_it():
    found = beyond(SERIES, TODAY, 200, random.Random(1))
    assert found == beyond(SERIES, TODAY, 200, random.Random(1)) != beyond(SERIES, TODAY, 200, random.Random(2))
    assert found[0].day == date(2022, 1, 1)
    assert all(figure.invented for figure in found)
    values = list(SERIES.values.values())
    real = metrics.mean([abs(b / a - 1) for a, b in itertools.pairwise(values)])
    made = metrics.mean([abs(f.truth / f.before - 1) for f in found])
    assert made == pytest.approx(real, rel=0.3)


def test_dates_are_asked_for_in_words():
    quarterly = Series("GDP", "", {}, step="quarter")
    assert question(Figure(quarterly, date(1999, 4, 1), 1, 1)) == "What was GDP in the second quarter of 1999?"
    daily = Series("the VIX", "points", {}, step="day")
    assert question(Figure(daily, date(2014, 1, 3), 1, 1)) == "What was the VIX on 3 January 2014? The unit: points."


def test_a_series_of_the_users_own(tmp_path: Path):
    path = tmp_path / "widget-prices.csv"
    head = "date,value,unit,step,relative,places,near\n"
    path.write_text(head + "2001-02-01,2.5,euro,month,no,1,0.2\n2001-01-01,2.4\n2001-03-01,.\n2001-04-01,2.6\n")
    found = series.read(path)
    assert (found.name, found.unit, found.relative, found.places, found.near) == (
        "widget prices",
        "euro",
        False,
        1,
        0.2,
    )
    assert next(iter(found.values.items())) == (date(2001, 1, 1), 2.4)
    assert len(found.values) == 3
    for text, told in (
        ("day,value\n2001-01-01,1\n", "columns date and value"),
        ("date,value\n2001-01-01,1\n", "three or more"),
        ("date,value\nsoon,1\n", "soon"),
        ("date,value,step\n2001-01-01,1,week\n", "step must be"),
        ("date,value\n2001-01-01,0\n2001-01-02,1\n2001-01-03,2\n", "zero at times"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=told):
            series.read(path)


def test_the_public_series(data: Path):
    found, paths = series.known(data)
    assert len(set(series.names(found))) == 9
    assert len(paths) == 6
    by = {each.name: each for each in found}
    assert by["the US unemployment rate"].values[date(1959, 4, 1)] == 5.1
    assert by["the closing value of the S&P 500"].values[date(1999, 1, 4)] == pytest.approx(1228.1, abs=0.01)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Plan(TODAY, CUTOFF), "lies after"),
        (lambda: Plan(CUTOFF, TODAY, CUTOFF), "before the cutoff"),
        (lambda: Plan(CUTOFF, TODAY, n=1), "2 or more"),
        (lambda: audit(Oracle(), PLAN), "nothing to ask"),
        (lambda: audit(Oracle(), PLAN, [SERIES, SERIES]), "same name"),
    ],
)
def test_what_cannot_be_audited_is_refused(make: Callable[[], Any], told: str):
    with pytest.raises(InputError, match=told):
        make()


# -- results ---------------------------------------------------------------------------------------------------------


def test_the_result_and_the_report(tmp_path: Path):
    out = tmp_path / "a.json"
    steps: list[tuple[int, int]] = []
    made = audit(
        Oracle(otherwise='{"value": 120}'), PLAN, [SERIES], TEXTS, out=out, progress=lambda *s: steps.append(s)
    )
    kept = json.loads(out.read_text())
    assert kept["mnemic_memorization"] == 1
    assert kept["plan"] == {
        "cutoff": "2014-12-31",
        "today": "2020-06-01",
        "boundary": "2009-12-31",
        "n": 24,
        "seed": 0,
        "tokens": 512,
    }
    assert len(kept["replies"]) == len(made.replies) == 24 * 7
    assert steps[-1] == (24 * 7 + 3 + 24,) * 2
    assert "ferries" not in out.read_text()
    assert "Norsund" not in out.read_text()
    told = made.markdown()
    assert "| before | 24 | 100.0 [100.0, 100.0] | 100.0 [100.0, 100.0] |" in told
    assert "| exact | all | before - after | +100.0 [+100.0, +100.0] |" in told
    assert "told to know nothing after 2009-12-31" in told
    assert "| invented | 24 | 0.0 [0.0, 0.0] |" in told
    for line in told.splitlines():
        assert not line.startswith("|") or line.count("|") in {5, 6, 9, 10}, line


def test_the_audit_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MNEMIC_DATA", raising=False)
    path, out = tmp_path / "s.csv", tmp_path / "a.json"
    path.write_text("date,value\n" + "".join(f"{day},{v}\n" for day, v in SERIES.values.items()))
    texts = tmp_path / "t.jsonl"
    texts.write_text('{"text": "Veldt rose", "entity": "Veldt"}\n')
    monkeypatch.setattr("mnemic.cli.options.language", lambda model, url: Oracle() if model else None)
    asked = ["memorization", "--cutoff", "2014-12-31", "--today", "2020-06-01", "-n", "3", "--series", str(path)]
    runner = CliRunner()
    ran = runner.invoke(
        app, [*asked, "--model", "m", "--texts", str(texts), "--json", str(out)], catch_exceptions=False
    )
    assert ran.stdout.startswith("# Memorisation audit: oracle")
    assert json.loads(out.read_text())["scores"]
    with pytest.raises(InputError, match="--model"):
        runner.invoke(app, asked, catch_exceptions=False)
    with pytest.raises(InputError, match="2023-10-31"):
        runner.invoke(app, ["memorization", "--cutoff", "soon"], catch_exceptions=False)


@pytest.mark.slow
def test_a_real_model_is_asked_and_every_reply_is_counted_once(real_language: Language):
    """It knows nothing of an invented series; what it replies is for the strict reader to sort."""
    made = audit(real_language, Plan(CUTOFF, TODAY, n=2, tokens=24), [SERIES])
    assert len(made.replies) == 6
    for group in ("before", "after", "beyond"):
        assert sum(value(made, outcome, group) for outcome in (ANSWERED, DECLINED, UNPARSABLE)) == 1
        assert value(made, "exact", group) == 0
