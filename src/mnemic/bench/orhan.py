"""Recognition, recall, retention: what a model or a memory keeps of items it met once or a few times (Orhan, arXiv
2303.17557).

Recognition is forced choice between a studied item and its foil; half of all choices are right by chance, except where
the foils are of another sort than the items (``words-natural``, ``letters``): the condition ``x0``, before any study,
says what a model prefers anyway. Recall gives the first half of an item and compares what comes with the rest (ROUGE).
The original counts the given half in; that inflates the figure, so both are measured. Retention is both again after
distractors.

Here is what the two ways of running it share, and the runner for a model that learns in its weights. The one for
memories is the suite ``orhan`` (:mod:`mnemic.bench.suites.orhan`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from mnemic.bench import machine, metrics
from mnemic.bench.result import Cost, Outcome, Result, Settings, keep
from mnemic.bench.stimuli import FOLDER, KINDS, Stimuli, generated, original, sentences
from mnemic.bench.suite import EVERY, Score, average
from mnemic.errors import InputError

ABOUT = "recognition of what was studied against a foil, recall of its second half, and both after distractors"
LICENCE = "items made by rule, or the original's files, which carry no licence: for private use"
RECALLED = ("recall ROUGE-1", "recall ROUGE-2", "recall ROUGE-L", "with prompt ROUGE-L", "recall exact")
HEADLINE = ("recognition", "recall exact", "recall ROUGE-L", "with prompt ROUGE-L")
AWAY = 1_000_003
"""What a seed is moved by for distractors and background, so that they are not the sentences that are studied."""


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """How often the items were studied, and how many distractors came after them. As text: ``x1``, ``x1 +160``."""

    exposures: int
    distractors: int = 0

    def __str__(self) -> str:
        return f"x{self.exposures}" + (f" +{self.distractors}" if self.distractors else "")


@dataclass(frozen=True, slots=True)
class Trial:
    """One pair under one condition. ``cluster`` names what is not independent: the pairs that one scene made."""

    kind: str
    condition: Condition
    cluster: str
    values: Mapping[str, float]


def chosen(seen: float, foil: float) -> float:
    """1 where the studied item has more of what decides, 0 where the foil has, half for a tie."""
    return 0.5 if seen == foil else float(seen > foil)


def rouge(given: str, said: str, rest: str) -> dict[str, float]:
    """How well ``said`` completes ``given`` to an item that goes on with ``rest``: the measures of ``RECALLED``.

    ROUGE is F1; exact is word for word. Items made by rule share phrases, so that some ROUGE comes without memory.
    """
    values = (
        metrics.rouge_n(said, rest, 1),
        metrics.rouge_n(said, rest, 2),
        metrics.rouge_l(said, rest),
        metrics.rouge_l(given + said, given + rest),
        float(metrics.words(said) == metrics.words(rest)),
    )
    return dict(zip(RECALLED, values, strict=True))


def tabulated(trials: Sequence[Trial], base: Condition, *, seed: int = 0) -> list[Score]:
    """Every measure over all kinds and by kind: under ``base``, and (groups with a slash) under each condition."""
    rows: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for trial in trials:
        for metric, value in trial.values.items():
            for kind in (EVERY, trial.kind):
                groups = [f"{kind}/{trial.condition}"] + ([kind] if trial.condition == base else [])
                for group in groups:
                    rows.setdefault((metric, group), []).append((value, trial.cluster))
    return [average(metric, group, found, seed=seed) for (metric, group), found in rows.items()]


def shown(conditions: Sequence[Condition]) -> tuple[str, ...]:
    """The groups of ``conditions`` over all kinds, as a report shows them."""
    return tuple(f"{EVERY}/{condition}" for condition in conditions)


# -- models ----------------------------------------------------------------------------------------------------------


class Learner(Protocol):
    """A language model that can be taught. ``about`` goes into the result.

    A model studies with one optimiser for its life, so that several short studies are one long one.
    """

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> Mapping[str, Any]: ...

    @property
    def batch(self) -> int:
        """How many items one update of the weights sees."""

    def fresh(self) -> Self:
        """A copy to teach; this one stays as it is."""

    def study(self, items: Sequence[str], exposures: int = 1) -> None:
        """Train on every item so many times, each time in another order."""

    def losses(self, items: Sequence[str]) -> list[float]:
        """For each item the mean negative log-likelihood of its tokens, in nats."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def complete(self, prefix: Sequence[int], tokens: int) -> list[int]:
        """The likeliest next tokens, one after the other, exactly so many."""


@dataclass(frozen=True, slots=True)
class Examination:
    """How a model is examined. ``retention`` are counts of distractors, each after the last of the ``exposures``.

    The original has 600 pairs, exposures 1 to 3, and up to 100,000 updates of distraction.
    """

    pairs: int = 64
    exposures: Sequence[int] = (0, 1, 2, 3)
    retention: Sequence[int] = (16, 48, 160)
    kinds: Sequence[str] = tuple(KINDS)

    def __post_init__(self) -> None:
        if self.pairs < 2 or not self.exposures or min([*self.exposures, *self.retention]) < 0:
            raise InputError("Orhan's protocol needs two pairs or more, an exposure, and no negative counts")

    @property
    def conditions(self) -> list[Condition]:
        once = [Condition(n) for n in sorted(set(self.exposures))]
        return once + [Condition(once[-1].exposures, n) for n in sorted(set(self.retention)) if n]

    @property
    def base(self) -> Condition:
        """The condition of the tables by kind: one exposure where there is one, else the most."""
        return Condition(1 if 1 in self.exposures else max(self.exposures))


def examine(
    learner: Learner,
    stimuli: Stimuli,
    protocol: Examination,
    *,
    distractors: Sequence[str],
    cluster: str = "",
    progress: Callable[[str], None] = lambda told: None,
) -> list[Trial]:
    """A copy of ``learner`` under every condition in turn. ``distractors`` must be as many as the last condition needs;
    ``cluster`` stands before the pairs' numbers where several sets of pairs come together.

    Interpretation: the optimiser goes on between exposures and distractors, at one rate; the original starts a new run.
    """
    needed = max(condition.distractors for condition in protocol.conditions)
    if len(distractors) < needed:
        raise InputError(
            f"the protocol needs {needed} distractors, not {len(distractors)}: give more, or retain for less"
        )
    student = learner.fresh()
    items = [pair.seen for pair in stimuli.pairs]
    trials: list[Trial] = []
    studied = distracted = 0
    for condition in protocol.conditions:
        if condition.exposures > studied:
            student.study(items, condition.exposures - studied)
            studied = condition.exposures
        if condition.distractors > distracted:
            student.study(distractors[distracted : condition.distractors])
            distracted = condition.distractors
        for n, values in enumerate(_probed(student, stimuli)):
            trials.append(Trial(stimuli.kind, condition, f"{cluster}pair {n}", values))
        progress(f"{learner.name}: {stimuli.kind} {condition}")
    return trials


def _probed(student: Learner, stimuli: Stimuli) -> list[dict[str, float]]:
    """Recognition and recall of every pair."""
    seen = student.losses([pair.seen for pair in stimuli.pairs])
    foils = student.losses([pair.foil for pair in stimuli.pairs])
    found = []
    for pair, ours, theirs in zip(stimuli.pairs, seen, foils, strict=True):
        ids = student.encode(pair.seen)
        given, rest = ids[: len(ids) // 2], ids[len(ids) // 2 :]
        said = student.decode(student.complete(given, len(rest)))
        told = rouge(student.decode(given), said, student.decode(rest))
        found.append({"recognition": chosen(-ours, -theirs)} | told)
    return found


def run(
    make: Callable[[int], Learner],
    data: Path | None = None,
    *,
    examination: Examination | None = None,
    seeds: Sequence[int] = (0,),
    out: Path | None = None,
    progress: Callable[[str], None] = lambda told: None,
) -> Result:
    """The protocol for ``make(seed)`` of every seed, on the original's files under ``data`` or on generated pairs.

    Distractors are generated sentences in either case (the original's are newspaper articles). Intervals are over
    pairs, those of all seeds together: a few seeds are too few to resample.
    """
    protocol = examination or Examination()
    before = machine.load()
    trials: list[Trial] = []
    rows: list[dict[str, Any]] = []
    about: Mapping[str, Any] = {}
    label, files, notes = "", dict[str, str](), dict[str, int]()
    began = time.perf_counter()
    for seed in seeds:
        learner = make(seed)
        label, about = learner.name, {**learner.about, "batch": learner.batch}
        distractors = sentences(max([*protocol.retention, 0]), seed + AWAY)
        for kind in protocol.kinds:
            stimuli = generated(kind, protocol.pairs, seed) if data is None else original(kind, data, protocol.pairs)
            if stimuli.files:
                files[f"{FOLDER}/{stimuli.files.name}"] = machine.digest(stimuli.files)
            notes |= stimuli.notes or {}
            cluster = f"seed {seed} " if data is None else ""  # the original's pairs are the same for every seed
            found = examine(learner, stimuli, protocol, distractors=distractors, cluster=cluster, progress=progress)
            trials += found
            rows += _rows(found, seed)
    suite = {
        "name": "orhan (weights)",
        "about": ABOUT,
        "licence": LICENCE,
        "headline": list(HEADLINE),
        "conditions": list(shown(protocol.conditions)),
        "files": files,
        "cases": len(protocol.kinds) * len(seeds),
        "notes": notes | {"pairs a case": protocol.pairs, "seeds": len(seeds)},
    }
    outcome = Outcome(
        label,
        {"learner": dict(about), "seconds": round(time.perf_counter() - began, 1), "trials": rows},
        [],
        [Cost(0, 0.0)],
        tabulated(trials, protocol.base),
    )
    conditions = {
        "answers": None,
        "versions": machine.versions(),
        "machine": {**machine.describe(), "load_before": before, "load_after": machine.load()},
    }
    result = Result(suite, Settings(seed=seeds[0]), conditions, [outcome])
    if out:
        keep(result.to_json(), out)
    return result


def _rows(trials: Sequence[Trial], seed: int) -> list[dict[str, Any]]:
    """What a result file keeps: under each condition every measure's values, pair by pair."""
    found: dict[Condition, dict[str, list[float]]] = {}
    for trial in trials:
        for metric, value in trial.values.items():
            found.setdefault(trial.condition, {}).setdefault(metric, []).append(round(value, 3))
    return [{"kind": trials[0].kind, "seed": seed, "condition": str(c), **values} for c, values in found.items()]
