"""What each part of the default ranking is worth: coefficients refitted without it, cross-validated by conversation.

    python benchmarks/ablation.py --data DIR [--variant sparse]

LoCoMo conversations and LongMemEval questions are held out together in 7 folds. Differences to the whole are paired by
question, with 95 % bootstrap intervals clustered by conversation. Needs scipy beside the extra [bench].
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fit import FEATURES, LEGS, VARIANTS
from numpy.typing import NDArray
from rankings import Ranking, crossed, gather, trains
from rich.progress import track

from mnemic.bench.metrics import paired

PARTS: dict[str, Sequence[str]] = {
    "date prior": ["dprior"],
    "assistant (both terms)": ["asst", "asst_told"],
    "assistant asked about": ["asst_told"],
    "speaker": ["spk"],
    "windows": ["bmw", "spw", "mlw", "pq_bm", "pq_ml"],
    "answers inherit their question": ["pq_bm", "pq_ml"],
    "session priors": ["bm_sess", "sp_sess", "ml_sess"],
    "turn structure": ["isq", "when_tex", "len", "first", "react", "names"],
    "names for who and where": ["names"],
    "when and time words": ["when_tex"],
    "openings": ["first"],
    "reactions": ["react"],
    "length": ["len"],
    "own match (no window)": ["bm", "sp", "ml"],
    "all of BM25": LEGS["lexical"],
    "all of SPLADE": LEGS["sparse"],
    "all of MiniLM": LEGS["dense"],
}
MEASURES = (("locomo", "R@10"), ("longmemeval:both", "session all@5"), ("longmemeval:both", "turn all@10"))


def outcomes(rows: Sequence[Ranking], orders: Sequence[NDArray[np.int64]], suite: str, measure: str) -> list[float]:
    """One measure of one suite per question, in percent."""
    found: list[float] = []
    for r, order in zip(rows, orders, strict=True):
        if r.suite != suite:
            continue
        if measure == "R@10":
            value = float(r.gold[order][:10].sum()) / len(r.question.gold)
        elif measure == "turn all@10":
            value = float(r.gold[order][:10].sum() == len(r.question.gold))
        else:
            _, firsts = np.unique(r.sessions[order], return_index=True)
            value = float(set(r.sessions[r.gold].tolist()) <= set(r.sessions[order][np.sort(firsts)[:5]].tolist()))
        found.append(100 * value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--variant", default="sparse", choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "ablation.json")
    chosen = parser.parse_args()
    names = FEATURES[chosen.variant]
    suites = list(dict.fromkeys(suite for suite, _ in MEASURES))
    rows = [r for s in suites for r in gather(VARIANTS[chosen.variant], s, chosen.data)]
    rows = [r for r in rows if r.question.answerable and trains(r) and r.question.scored]
    orders = crossed(rows, names)
    whole = {key: outcomes(rows, orders, *key) for key in MEASURES}
    clusters = {s: [r.case for r in rows if r.suite == s] for s in suites}
    table: dict[str, Any] = {"everything": {f"{s} {m}": round(float(np.mean(whole[s, m])), 1) for s, m in MEASURES}}
    for part, gone in track(list(PARTS.items()), "ablating"):
        left = [name for name in names if name not in gone]
        if len(left) == len(names):
            continue
        orders = crossed(rows, left)
        table["without " + part] = {}
        for suite, measure in MEASURES:
            values = outcomes(rows, orders, suite, measure)
            gap, low, high = paired(values, whole[suite, measure], clusters[suite])
            table["without " + part][f"{suite} {measure}"] = {
                "value": round(float(np.mean(values)), 1),
                "difference": round(gap, 1),
                "interval": [round(low, 1), round(high, 1)],
            }
    report = json.loads(chosen.out.read_text("utf-8")) if chosen.out.exists() else {}
    report[chosen.variant] = table
    chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    chosen.out.with_suffix(".md").write_text(markdown(report))
    print(markdown({chosen.variant: table}))


def cell(value: Any) -> str:
    if isinstance(value, float):
        return str(value)
    low, high = value["interval"]
    return f"{value['value']} ({value['difference']:+}; {low} to {high})"


def markdown(report: dict[str, Any]) -> str:
    lines = ["# What each part of the ranking is worth", "", "Made by `python benchmarks/ablation.py --data DIR`.", ""]
    for variant, table in report.items():
        heads = [f"{s} {m}" for s, m in MEASURES]
        lines += [f"## {variant}", "", "| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for part, values in table.items():
            cells = [
                str(v)
                if isinstance(v, float)
                else f"{v['value']} ({v['difference']:+}; {v['interval'][0]} to {v['interval'][1]})"
                for v in values.values()
            ]
            lines.append(f"| {part} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
