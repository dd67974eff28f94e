"""One table of all memory systems from result files; files of the same suite are put together.

python benchmarks/systems.py benchmarks/results/systems/* > benchmarks/systems.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mnemic.bench.result import kept
from mnemic.govern.dmm import ABOUT
from mnemic.text.systems import describe

MEASURES = {
    "locomo": ("recall@10", "recall in 1024 tokens"),
    "longmemeval": ("session all@5", "turn all@10"),
    "temporal": ("F1",),
}
"""What is shown of each suite, in this order; percent."""


def cell(outcome: dict[str, Any] | None, measure: str) -> str:
    """``value [interval]`` of a measure over all questions."""
    scores = outcome["scores"] if outcome else []
    found = next((s for s in scores if s["metric"] == measure and s["group"] == "all"), None)
    if found is None:
        return ""
    # Resampling one conversation gives that conversation: then the interval over its questions is all there is.
    several = len({item["case"] for item in outcome["items"]}) > 1 if outcome else False
    low, high = (several and found.get("clustered")) or found["interval"]
    return f"{100 * found['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main(files: list[str]) -> str:
    suites: dict[str, dict[str, dict[str, Any]]] = {}
    conditions = []
    for file in files:
        told = kept(Path(file))
        name = told["suite"]["name"]
        suites.setdefault(name.partition(":")[0], {}).update({o["label"].partition("@")[0]: o for o in told["systems"]})
        machine, set_up = told["machine"], told["configuration"]
        limit = f"the first {set_up['limit']} of its cases" if set_up["limit"] else "all cases"
        load = sorted([machine["load_before"][0], machine["load_after"][0]])
        conditions.append(
            f"- `{Path(file).name}`: {name}, {limit} ({told['suite']['cases']}), seed {set_up['seed']}, "
            f"{'after reflecting' if set_up['reflect'] else 'without reflecting'}, {machine['processor']}, "
            f"{machine['cores']} cores, one thread, load {load[0]:.1f} to {load[1]:.1f}"
        )
    known = {row["name"]: row for row in [*describe(), ABOUT]}
    shown = [(suite, measure) for suite in MEASURES if suite in suites for measure in MEASURES[suite]]
    first = next(iter(suites))
    heads = ["system", "kind", *(f"{suite}: {measure}" for suite, measure in shown)]
    heads += ["recall p50 / p95, ms", "write, ms a turn", "reflect, ms a turn", "bytes a turn", "model tokens"]
    rows = [heads, ["---"] * len(heads)]
    for name in dict.fromkeys(label for outcomes in suites.values() for label in outcomes):
        outcome = suites[first].get(name)
        cells = [cell(suites[suite].get(name), measure) for suite, measure in shown]
        cost = ["", "", "", "", ""]
        if outcome:
            at, spent = outcome["latency_ms"], outcome["ingest"]
            turns = spent["turns"]
            cost = [f"{at['p50']:.1f} / {at['p95']:.1f}", f"{spent['ms'] / turns:.2f}"]
            cost += [f"{spent.get('reflect_ms', 0) / turns:.2f}", f"{spent.get('bytes', 0) / turns:,.0f}", "none"]
        rows.append([name, known.get(name, {}).get("kind", "control"), *cells, *cost])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"""# All memory systems, one table

Words only, no encoder and no language model; every system reflected before it was asked. Percent with 95 % bootstrap
intervals, by conversation where there are several and by question where there is one. Costs are those on {first}. Rows
come from different runs under different loads, told below: times say which system is dear, not which of two is faster.
`dmm` is a governor and answers nothing; readers are shown over the default memory.

{table}

Conditions:

{chr(10).join(conditions)}
"""


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
