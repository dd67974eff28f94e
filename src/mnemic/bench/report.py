"""Reports from result files: a Markdown table to commit, and one self-contained HTML page with plots.

Everything is computed from the files, never from the data, so a report can be made anywhere. Plots need matplotlib
(``pip install "mnemic[bench]"``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.result import FORMAT, kept
from mnemic.bench.suite import EVERY
from mnemic.errors import InputError

Result = Mapping[str, Any]
KS = (1, 2, 3, 5, 10, 20, 30, 50)
TOKENS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)


def load(paths: Iterable[Path]) -> list[Result]:
    """Result files. Raises InputError for a file that is none."""
    found: list[Result] = []
    for path in paths:
        try:
            value = kept(path)
        except FileNotFoundError:
            raise InputError(f"there is no result file {path}: run mnemic bench run SUITE --json {path}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as a result file ({error})") from None
        if not isinstance(value, dict) or value.get("mnemic_bench") != FORMAT:
            raise InputError(f"{path} is no result file of format {FORMAT}: run the suite again")
        found.append(value)
    return found


def curve(system: Mapping[str, Any], field: str, cuts: Sequence[int]) -> list[float]:
    """Mean share of the evidence whose ``ranks`` (or ``tokens``) are at most each cut; empty without such items."""
    rows = [item[field] for item in evidence(system) if item[field]]
    if not rows:
        return []
    return [metrics.mean([sum(r is not None and r <= cut for r in row) / len(row) for row in rows]) for cut in cuts]


def evidence(system: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The items that count for retrieval and whose ranks were kept."""
    return [
        item
        for item in system.get("items", ())
        if item.get("answerable", True) and item.get("scored", True) and item.get("ranks")
    ]


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], k: int = 10) -> tuple[float, float, float] | None:
    """Mean difference in recall@k of two systems over the same questions, with its interval by case; else None."""
    tables = []
    for system in (ours, theirs):
        rows = evidence(system)
        tables.append(
            {(r["case"], r["id"]): sum(x is not None and x <= k for x in r["ranks"]) / len(r["ranks"]) for r in rows}
        )
    both = sorted(tables[0].keys() & tables[1].keys())
    if not both:
        return None
    cases = [case for case, _ in both]
    ours_values, theirs_values = ([table[key] for key in both] for table in tables)
    return metrics.paired(ours_values, theirs_values, cases if len(set(cases)) > 1 else None)


# -- Markdown --------------------------------------------------------------------------------------------------------


def markdown(results: Sequence[Result]) -> str:
    """Tables of every result: the suite's headline metrics by system, then the first of them by type of question."""
    return "\n\n".join(_section(result) for result in results) + "\n"


def _section(result: Result) -> str:
    suite = result["suite"]
    systems = result["systems"]
    names = _headline(result)
    head = ["system", *names, "p50 / p95 ms"]
    rows = [[s["label"], *(_cell(s, name) for name in names), _latency(s)] for s in systems]
    parts = [f"## {suite['name']}", f"{suite['about'][:1].upper()}{suite['about'][1:]}.", table(head, rows)]
    kinds = groups(result, names[0]) if names else []
    if kinds:
        rows = [[s["label"], *(_cell(s, names[0], kind) for kind in kinds)] for s in systems]
        parts += [f"{names[0]} by type of question:", table(["system", *kinds], rows)]
    if conditions := suite.get("conditions", ()):
        for name in names:
            rows = [[s["label"], *(_cell(s, name, condition) for condition in conditions)] for s in systems]
            parts += [f"{name} by condition:", table(["system", *conditions], rows)]
        short = [condition.partition("/")[2] for condition in conditions]
        rows = [
            [s["label"], kind, *(_cell(s, names[0], f"{kind}/{condition}") for condition in short)]
            for s in systems
            for kind in kinds
        ]
        parts += [f"{names[0]} by type of question and condition:", table(["system", "type", *short], rows)]
    compared = [(s["label"], difference(s, systems[0])) for s in systems[1:]]
    told = [f"{label} {_signed(d)}" for label, d in compared if d]
    if told:
        parts.append(f"recall@10 against {systems[0]['label']}, same questions (paired): " + "; ".join(told) + ".")
    return "\n\n".join([*parts, _conditions(result)])


def _headline(result: Result) -> list[str]:
    known = {each["metric"] for system in result["systems"] for each in system["scores"]}
    wanted = [name for name in result["suite"].get("headline", ()) if name in known]
    return wanted or sorted(known)[:4]


def groups(result: Result, metric: str) -> list[str]:
    scores = (score for system in result["systems"] for score in system["scores"])
    return [
        g for g in dict.fromkeys(s["group"] for s in scores if s["metric"] == metric) if g != EVERY and "/" not in g
    ]


def score(system: Mapping[str, Any], metric: str, group: str | None = None) -> Mapping[str, Any] | None:
    found = [score for score in system["scores"] if score["metric"] == metric]
    if group is None:
        return next((s for s in found if s["group"] == EVERY), found[0] if found else None)
    return next((s for s in found if s["group"] == group), None)


def _cell(system: Mapping[str, Any], metric: str, group: str | None = None) -> str:
    found = score(system, metric, group)
    if found is None:
        return "-"
    low, high = found["clustered"] or found["interval"]
    if found["value"] is None:
        return "-"
    if low is None or high is None:  # too few items to resample
        return f"{100 * found['value']:.1f}"
    return f"{100 * found['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def timed(system: Mapping[str, Any]) -> bool:
    """Whether there are times of recalls: a model that learns in its weights has none."""
    p50 = system["latency_ms"]["p50"]
    return p50 is not None and not math.isnan(p50)


def _latency(system: Mapping[str, Any]) -> str:
    return f"{system['latency_ms']['p50']:.1f} / {system['latency_ms']['p95']:.1f}" if timed(system) else "-"


def _signed(gap: tuple[float, float, float]) -> str:
    value, low, high = (100 * each for each in gap)
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def _conditions(result: Result) -> str:
    """What the numbers hold for: counts, seed, machine, load, versions, what was dropped."""
    suite, machine, versions, settings = result["suite"], result["machine"], result["versions"], result["configuration"]
    notes = ", ".join(f"{count} {name}" for name, count in suite["notes"].items())
    load = f", load {machine['load_before'][0]} to {machine['load_after'][0]}" if machine.get("load_before") else ""
    threads = ", ".join(f"{name}={value}" for name, value in machine.get("threads", {}).items())
    told = [
        f"{suite['cases']} cases" + (f" ({notes})" if notes else ""),
        f"seed {settings['seed']}" + (", after reflecting" if settings["reflect"] else ""),
        "percent with 95 % bootstrap intervals, by case where cases have several questions",
        f"{machine['processor']}, {machine['cores']} cores{load}" + (f", {threads}" if threads else ""),
        f"Mnemic {versions['mnemic']} ({versions['code']}), Python {versions['python']}, numpy {versions.get('numpy')}",
    ]
    return f"Conditions: {'; '.join(told)}. Data: {suite['licence']}."


# -- HTML ------------------------------------------------------------------------------------------------------------

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; --back: #fbfbf9; --fore: #20242a; --dim: #667; --line: #d9dadf; --card: #fff }}
@media (prefers-color-scheme: dark) {{
  :root {{ --back: #14171b; --fore: #e4e6ea; --dim: #9aa0aa; --line: #333942; --card: #1b1f25 }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0 auto; max-width: 68rem; padding: 2rem 1.2rem 4rem; background: var(--back); color: var(--fore);
  font: 16px/1.55 system-ui, sans-serif }}
h1 {{ font-size: 1.5rem; margin: 0 0 .3rem }} h2 {{ font-size: 1.2rem; margin: 2.6rem 0 .2rem }}
p {{ margin: .4rem 0 }} .dim {{ color: var(--dim); font-size: .85rem }}
.scroll {{ overflow-x: auto; margin: 1rem 0 }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; white-space: nowrap }}
th, td {{ padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right }}
th {{ font-weight: 600 }} th:first-child, td:first-child {{ text-align: left }}
td small {{ color: var(--dim) }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem }}
figure {{ margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem }}
figcaption {{ font-weight: 600; font-size: .9rem; margin-bottom: .3rem }}
svg {{ width: 100%; height: auto; color: var(--fore) }} svg text {{ font-family: system-ui, sans-serif }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""


def html(results: Sequence[Result], title: str = "Mnemic benchmarks") -> str:
    """One page without any outside reference. Raises MissingExtraError where matplotlib is not installed."""
    from mnemic.bench import plots

    body = []
    for number, result in enumerate(results):
        suite, systems, names = result["suite"], result["systems"], _headline(result)
        head = ["system", *names, "p50 / p95 ms"]
        rows = [[s["label"], *(_cell(s, name) for name in names), _latency(s)] for s in systems]
        body.append(f"<h2>{escape(suite['name'])}</h2><p>{escape(suite['about'])}</p>{_html_table(head, rows)}")
        figures = plots.figures(result, names, f"{number}")
        if figures:
            drawn = (f"<figure><figcaption>{escape(t)}</figcaption>{svg}</figure>" for t, svg in figures)
            body.append(f"<div class='plots'>{''.join(drawn)}</div>")
        body.append(f"<p class='dim'>{escape(_conditions(result))}</p>")
    return _PAGE.format(title=escape(title), body="".join(body))


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def cell(text: str) -> str:
        value, bracket, rest = text.partition(" [")
        return f"<td>{escape(value)}" + (f" <small>[{escape(rest)}</small></td>" if bracket else "</td>")

    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    lines = "".join(f"<tr>{''.join(cell(text) for text in row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
