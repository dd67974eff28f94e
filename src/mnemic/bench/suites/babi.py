"""bAbI: twenty tasks of toy reasoning with their supporting facts (Weston et al., 2015), as retrieval.

A case is a story up to a question; gold are its supporting statements. ``babi`` asks within the story alone (2 to 200
statements); ``babi:filler`` hides the story in ``FILLER`` sentences of small talk, in the manner of BABILong (Kuratov
et al. 2024), whose filler is books. ``PER_TASK`` questions are drawn from each task's test file.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mnemic.bench import metrics
from mnemic.bench.generate import chatter
from mnemic.bench.suite import Base, Case, Data, Item, Measure, Question, Score, recall_at, required, tabulate
from mnemic.errors import InputError
from mnemic.neural.tasks.babi import Problem, read
from mnemic.text.record import Turn

FILLER = 400
PER_TASK = 20
_FILE = re.compile(r"qa(\d+)_(.+)_test\.txt(?:\.gz)?")
_START = datetime(2024, 1, 1, 9, tzinfo=UTC)


class Babi(Base):
    """``babi`` or ``babi:filler``."""

    about = "supporting facts of toy questions, alone or among filler"
    licence = "bAbI is CC BY 3.0"
    headline = ("R-precision", "recall@5", "recall@10", "all@10")

    def __init__(self, variant: str = "") -> None:
        if variant not in ("", "filler"):
            raise InputError(f"babi has no variant {variant!r}: there is filler")
        self.name = "babi" + (f":{variant}" if variant else "")
        self._filler = FILLER if variant else 0

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        (one,) = required(data, "babi", "qa1_single-supporting-fact_test.txt")
        found = ((match, path) for path in one.parent.iterdir() if (match := _FILE.fullmatch(path.name)))
        files = sorted((int(match[1]), match[2], path) for match, path in found)
        drawn: list[list[Case]] = []
        for number, title, path in files:
            problems = list(read(path))
            rng = random.Random(f"{seed}:{number}")
            places = sorted(rng.sample(range(len(problems)), min(PER_TASK, len(problems))))
            drawn.append([self._case(f"{number:02} {title}", place, problems[place], rng) for place in places])
        # Task by task in turn, so that a limit keeps some of each.
        cases = [task[i] for i in range(PER_TASK) for task in drawn if i < len(task)]
        return Data(cases[:limit], [path for _, _, path in files])

    def _case(self, task: str, place: int, problem: Problem, rng: random.Random) -> Case:
        facts = [(f"s{line}", text) for line, text in problem.statements]
        filler = [(f"f{n}", text) for n, text in enumerate(chatter(rng, self._filler))]
        slots = sorted(rng.choices(range(len(filler) + 1), k=len(facts)))
        mixed: list[tuple[str, str]] = []
        for n in range(len(filler) + 1):
            mixed += [fact for fact, slot in zip(facts, slots, strict=True) if slot == n]
            mixed += filler[n : n + 1]
        turns = [
            Turn(text, at=_START + timedelta(minutes=minute), session="story", id=id)
            for minute, (id, text) in enumerate(mixed)
        ]
        question = Question(
            id=f"{task}/{place}",
            text=problem.question,
            category=task,
            gold=tuple(f"s{line}" for line in problem.support),
            sessions=("story",),
            answer=problem.answer,
        )
        return Case(question.id, turns, [question])

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {
            "R-precision": lambda item: metrics.r_precision(item.turns, item.question.gold),
            "first": lambda item: metrics.hit_any(item.turns[:1], item.question.gold[-1:]),
            **{f"recall@{k}": recall_at(k) for k in (5, 10)},
            "all@10": lambda item: metrics.hit_all(item.turns[:10], item.question.gold),
        }
        return tabulate(items, measures)
