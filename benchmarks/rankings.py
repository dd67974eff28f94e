"""What the default system sees for each question of a suite: features, gold, signals. For fit.py and ablation.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mnemic.bench import suites
from mnemic.bench.contender import contender
from mnemic.bench.suite import Case, Question
from mnemic.text.memory import Memory
from mnemic.text.plan import Query
from mnemic.text.steps import rank
from mnemic.text.steps.assemble import best
from mnemic.text.steps.confidence import signals
from mnemic.text.systems.mnemic import Mnemic, evidence

FOLDS = 7


@dataclass
class Ranking:
    """One question: features [C] by name, which slots are gold [C], and what confidence is judged by."""

    suite: str
    case: str
    question: Question
    legs: dict[str, NDArray[np.float32]]
    gold: NDArray[np.bool_]
    sessions: NDArray[np.int64]
    usable: NDArray[np.bool_]
    signals: dict[str, float]
    found: bool

    @property
    def fold(self) -> int:
        """Whole conversations are held out together."""
        return int(md5(self.case.encode()).hexdigest(), 16) % FOLDS if self.suite != "locomo" else int(self.case_number)

    case_number: int = 0

    def order(self, coefficients: dict[str, float]) -> NDArray[np.int64]:
        """The slots, best first, as the system would rank them."""
        score = np.where(self.usable, rank.score(self.legs, coefficients), -np.inf)
        return np.argsort(-score, kind="stable")


def gather(spec: str, suite: str, data: Path, seed: int = 7, limit: int | None = None) -> Iterator[Ranking]:
    """The rankings of every scored or unanswerable question of ``suite`` for the contender ``spec``."""
    who = contender(spec)
    loaded = suites.make(suite).load(data, limit=limit, seed=seed)
    for number, case in enumerate(track(loaded.cases, f"{suite} {spec}")):
        with cast(Memory, who.open()) as memory:
            memory.remember(list(case.turns))
            yield from _case(memory, suite, number, case)


def _case(memory: Memory, suite: str, number: int, case: Case) -> Iterator[Ranking]:
    system, env = cast(Mnemic, memory.system), memory.env
    system = Mnemic(replace(system.settings, exact=10**9))
    newest = max(turn.at for turn in case.turns if turn.at is not None)
    for question in case.questions:
        if not question.gold and question.answerable:
            continue
        seen = system.look(Query(question.text, 10, question.now or newest), env)
        c = seen.candidates
        ids = env.space.id_of(c.item.tolist())
        gold = np.isin(ids, question.gold) if question.gold else np.zeros(len(ids), bool)
        weights = rank.weights(rank.variant(c)).score
        scores = rank.score(seen.legs, weights)
        usable = c.eligible & evidence(seen.legs)
        top = best(c, scores, 10, usable)
        yield Ranking(
            suite=suite,
            case=case.id,
            question=question,
            legs=seen.legs,
            gold=gold,
            sessions=c.session,
            usable=usable,
            signals=signals(c, scores, seen.legs, seen.cues, weights),
            found=bool(gold[top].any()),
            case_number=number % FOLDS,
        )


def measure(rankings: Sequence[Ranking], orders: Sequence[NDArray[np.int64]]) -> dict[str, float]:
    """Mean turn recall at 5, 10, 20, all gold turns in 10, all gold sessions among the first five sessions; percent."""
    rows: list[list[float]] = []
    for r, order in zip(rankings, orders, strict=True):
        total = max(len(r.question.gold), 1)
        hits = r.gold[order]
        _, firsts = np.unique(r.sessions[order], return_index=True)
        sessions = set(r.sessions[order][np.sort(firsts)[:5]].tolist())
        rows.append(
            [float(hits[:k].sum()) / total for k in (5, 10, 20)]
            + [float(hits[:10].sum() == total), float(set(r.sessions[r.gold].tolist()) <= sessions)]
        )
    names = ("R@5", "R@10", "R@20", "turn all@10", "session all@5")
    return dict(zip(names, (round(100 * float(v), 1) for v in np.mean(rows, axis=0)), strict=True))


def fit(rankings: Sequence[Ranking], names: Sequence[str], l2: float = 1e-3) -> dict[str, float]:
    """Coefficients by listwise softmax cross-entropy, the mean over each question's gold turns; L-BFGS."""
    from scipy.optimize import minimize

    used = [r for r in rankings if (r.gold & r.usable).any()]
    columns = np.concatenate(
        [np.stack([r.legs.get(n, np.zeros(len(r.gold), np.float32))[r.usable] for n in names], 1) for r in used]
    ).astype(np.float64)
    sizes = np.array([int(r.usable.sum()) for r in used])
    starts = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(used)), sizes)
    target = np.concatenate([r.gold[r.usable] / (r.gold & r.usable).sum() for r in used])

    def loss(w: NDArray[np.float64]) -> tuple[float, Any]:
        score = columns @ w
        top = np.maximum.reduceat(score, starts)
        mass = np.exp(score - top[owner])
        total = np.add.reduceat(mass, starts)
        value = (np.log(total) + top).sum() - target @ score
        slope = columns.T @ (mass / total[owner] - target)
        return value / len(used) + l2 * float(w @ w), slope / len(used) + 2 * l2 * w

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return dict(zip(names, found.tolist(), strict=True))


def rounded(coefficients: dict[str, float], step: float = 0.5) -> dict[str, float]:
    """Coefficients on a grid; what rounds to nothing is left out."""
    return {n: value for n, w in coefficients.items() if (value := round(w / step) * step)}


def crossed(rankings: Sequence[Ranking], names: Sequence[str]) -> list[NDArray[np.int64]]:
    """The order of each question by coefficients fitted (and rounded) without its conversation."""
    by_fold = [
        rounded(fit([r for r in rankings if r.fold != fold and r.question.answerable and trains(r)], names))
        for fold in range(FOLDS)
    ]
    return [r.order(by_fold[r.fold]) for r in rankings]


def trains(r: Ranking) -> bool:
    """LoCoMo's category 5 asks about the wrong person: finding its words is no merit."""
    return r.suite != "locomo" or r.question.category != "adversarial"
