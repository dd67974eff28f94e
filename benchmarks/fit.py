"""Fit what the default system learns from data: ranking coefficients and the calibration of its confidence.

    python benchmarks/fit.py --data DIR                     # report, cross-validated by conversation
    python benchmarks/fit.py --data DIR --write             # and write src/mnemic/text/steps/rank.json

Ranking: one linear score for each set of encoders, fitted by listwise softmax on LoCoMo (categories 1 to 4) and
LongMemEval (user turns only, and both sides) together, rounded to 0.5. Confidence: a logistic model that the hits
hold an answer, fitted on LongMemEval (MIT) and on conversations made by rule; LoCoMo is only reported.
Needs scipy beside the extra [bench]. Sources: LoCoMo (Maharana et al. 2024), LongMemEval (Wu et al. 2025).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rankings import FOLDS, Ranking, crossed, fit, gather, measure, rounded, trains

from mnemic.bench.metrics import auroc, ece
from mnemic.text.steps.confidence import SIGNALS

TABLE = Path(__file__).parent.parent / "src/mnemic/text/steps/rank.json"
VARIANTS = {
    "lexical": "mnemic@lexical",
    "sparse": "mnemic@splade-tiny",
    "dense": "mnemic@minilm",
    "all": "mnemic@splade-tiny+minilm",
}
STRUCTURE = ["spk", "isq", "when_tex", "len", "first", "dprior", "asst", "asst_told", "react", "names"]
LEGS = {
    "lexical": ["bm", "bmw", "bm_sess", "pq_bm"],
    "sparse": ["sp", "spw", "sp_sess"],
    "dense": ["ml", "mlw", "ml_sess", "pq_ml"],
}
FEATURES = {
    "lexical": [*LEGS["lexical"], *STRUCTURE],
    "sparse": [*LEGS["lexical"], *LEGS["sparse"], *STRUCTURE],
    "dense": [*LEGS["lexical"], *LEGS["dense"], *STRUCTURE],
    "all": [*LEGS["lexical"], *LEGS["sparse"], *LEGS["dense"], *STRUCTURE],
}
SUITES = ("locomo", "longmemeval", "longmemeval:both")
CALIBRATION = ("longmemeval", "generated")


def logistic(rows: Sequence[Ranking], names: Sequence[str], l2: float = 1e-4) -> dict[str, float]:
    """Coefficients of the probability that the ten best hits hold the answer; each suite and class weighs the same."""
    from scipy.optimize import minimize

    x = np.array([[r.signals[n] for n in names] + [1.0] for r in rows])
    y = np.array([r.found for r in rows], float)
    groups = [(r.suite, r.question.answerable) for r in rows]
    weight = np.array([1 / groups.count(g) for g in groups])
    weight /= weight.sum()

    def loss(w: NDArray[np.float64]) -> tuple[float, Any]:
        z = x @ w
        p = 1 / (1 + np.exp(-z))
        slope = x.T @ (weight * (p - y)) + 2 * l2 * np.append(w[:-1], 0)
        return float(weight @ (np.logaddexp(0, z) - y * z)) + l2 * float(w[:-1] @ w[:-1]), slope

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return dict(zip([*names, "bias"], np.round(found, 2).tolist(), strict=True))


def sure(r: Ranking, coefficients: dict[str, float]) -> float:
    z = coefficients["bias"] + sum(coefficients.get(n, 0.0) * v for n, v in r.signals.items())
    return float(1 / (1 + np.exp(-z)))


def refusal(rows: Sequence[Ranking], coefficients: dict[str, float]) -> dict[str, float]:
    scores = [sure(r, coefficients) for r in rows]
    found = {"AUROC": auroc(scores, [r.question.answerable for r in rows]), "ECE": ece(scores, [r.found for r in rows])}
    return {name: round(value, 3) for name, value in found.items()} | {"questions": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fit.json")
    chosen = parser.parse_args()
    table = json.loads(TABLE.read_text("utf-8"))
    report: dict[str, Any] = json.loads(chosen.out.read_text("utf-8")) if chosen.out.exists() else {}
    for variant in chosen.variant or list(VARIANTS):
        spec, names = VARIANTS[variant], FEATURES[variant]
        rows = {
            s: list(gather(spec, s, chosen.data, limit=chosen.limit)) for s in dict.fromkeys((*SUITES, *CALIBRATION))
        }
        ranked = [r for s in SUITES for r in rows[s] if r.question.answerable and trains(r)]
        orders = crossed(ranked, names)
        told: dict[str, Any] = {"ranking, cross-validated": {}}
        for suite in SUITES:
            mine = [i for i, r in enumerate(ranked) if r.suite == suite]
            told["ranking, cross-validated"][suite] = measure([ranked[i] for i in mine], [orders[i] for i in mine])
        for category in sorted({r.question.category for r in ranked if r.suite == "locomo"}):
            mine = [i for i, r in enumerate(ranked) if r.suite == "locomo" and r.question.category == category]
            told["ranking, cross-validated"][f"locomo {category}"] = measure(
                [ranked[i] for i in mine], [orders[i] for i in mine]
            )
        coefficients = rounded(fit(ranked, names))
        held = [r for s in CALIBRATION for r in rows[s]]
        parts = [logistic([r for r in held if hash_fold(r) != fold], SIGNALS) for fold in range(FOLDS)]
        told["confidence, cross-validated"] = {s: refusal_crossed(rows[s], parts) for s in CALIBRATION}
        calibration = logistic(held, SIGNALS)
        told["confidence, never fitted on"] = {"locomo": refusal(rows["locomo"], calibration)}
        told["coefficients"] = coefficients
        told["calibration"] = calibration
        report[variant] = told
        table["score"][variant], table["confidence"][variant] = coefficients, calibration
        print(variant, json.dumps(told, indent=1))
        chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    if chosen.write:
        lines = []
        for section in ("score", "confidence"):
            body = ",\n".join(f'    "{k}": {json.dumps(v)}' for k, v in table[section].items())
            lines.append(f'  "{section}": {{\n{body}\n  }}')
        version = str(int(table["version"]) + 1)
        TABLE.write_text(f'{{\n  "version": "{version}",\n' + ",\n".join(lines) + "\n}\n", "utf-8")


def hash_fold(r: Ranking) -> int:
    return sum(map(ord, r.case)) % FOLDS


def refusal_crossed(rows: Sequence[Ranking], parts: Sequence[dict[str, float]]) -> dict[str, float]:
    scores = [sure(r, parts[hash_fold(r)]) for r in rows]
    found = {"AUROC": auroc(scores, [r.question.answerable for r in rows]), "ECE": ece(scores, [r.found for r in rows])}
    return {name: round(value, 3) for name, value in found.items()} | {"questions": len(rows)}


if __name__ == "__main__":
    main()
