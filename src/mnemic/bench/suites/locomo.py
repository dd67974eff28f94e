"""LoCoMo: very long conversations between two people (Maharana et al., ACL 2024).

Evidence recall is the fraction of a question's evidence turns among the first k turns; the mean is over questions
of categories 1 to 4 that have evidence (the official code counts questions without evidence as 1.0; they are left
out here and counted in the notes). Category 5 asks about things nobody said: it measures refusal, apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.suite import (
    Base,
    Case,
    Data,
    Item,
    Measure,
    Question,
    Score,
    all_sessions,
    any_session,
    budgets,
    recall_at,
    refusal,
    required,
    tabulate,
)
from mnemic.errors import InputError
from mnemic.text.importers import locomo
from mnemic.text.importers.source import ANY, json_items
from mnemic.text.record import Turn

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open", 4: "single-hop", 5: "adversarial"}
FILES = {"": "locomo.json", "corrected": "locomo_corrected.json"}
_EVIDENCE = re.compile(r"D:?(\d+):(\d+)")


class LoCoMo(Base):
    """``locomo``, or ``locomo:corrected`` for the edited answer key."""

    about = "evidence recall by category over conversations of some 600 turns; refusal of unanswerable questions"
    licence = "LoCoMo is CC BY-NC 4.0: not for commercial use"
    headline = ("recall@10", "recall@5", "recall@20", "session all@10", "recall in 1024 tokens", "AUROC")

    def __init__(self, variant: str = "") -> None:
        if variant not in FILES:
            raise InputError(f"locomo has no variant {variant!r}: there is corrected")
        self.name = "locomo" + (f":{variant}" if variant else "")
        self._file = FILES[variant]

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        (path,) = required(data, "locomo", self._file)
        talks: dict[str, list[Turn]] = {}
        for turn in locomo.read(path):
            talks.setdefault(turn.meta["sample_id"], []).append(turn)
        notes: Counter[str] = Counter()
        cases = []
        for number, sample in enumerate(json_items(path, ANY, "file")):
            if limit is not None and number >= limit:
                break
            name = str(sample.get("sample_id") or number)
            cases.append(Case(name, talks[name], list(_questions(sample["qa"], talks[name], notes))))
        return Data(cases, [path], notes)

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {f"recall@{k}": recall_at(k) for k in (5, 10, 20, 50)}
        measures |= {f"session any@{k}": any_session(k) for k in (5, 10)}
        measures |= {f"session all@{k}": all_sessions(k) for k in (5, 10)}
        measures |= budgets()
        if any(item.response is not None for item in items):
            measures["answer F1"] = _answer
        if any(item.judged is not None for item in items):
            measures["judged"] = lambda item: None if item.judged is None else float(item.judged)
        found = [item for item in items if item.question.answerable]
        return tabulate(found, measures) + _adversarial(items) + refusal(items)


def _questions(qa: Sequence[dict[str, Any]], turns: Sequence[Turn], notes: Counter[str]) -> list[Question]:
    by_dialogue = {turn.meta["dia_id"]: turn for turn in turns}
    found = []
    for number, entry in enumerate(qa):
        category = int(entry["category"])
        ids, dropped = evidence(entry.get("evidence") or (), by_dialogue)
        notes["evidence dropped"] += dropped
        notes["questions"] += 1
        if not ids and category != 5:
            notes["questions without evidence"] += 1
        answer = entry.get("answer", entry.get("adversarial_answer") if category == 5 else None)
        gold = [by_dialogue[id] for id in ids]
        found.append(
            Question(
                id=f"q{number}",
                text=str(entry["question"]),
                category=CATEGORIES[category],
                gold=tuple(turn.id or "" for turn in gold),
                sessions=tuple(metrics.distinct(turn.session or "" for turn in gold)),
                answer=None if answer is None else str(answer),
                answerable=category != 5,
                meta={"category": category},
            )
        )
    return found


def evidence(given: Sequence[str], known: dict[str, Turn]) -> tuple[list[str], int]:
    """The dialogue ids in ``given`` that exist, and how many entries or ids were dropped.

    Ids are read leniently: several in one entry, a stray colon (``D:11:26``), leading zeros (``D30:05``).
    """
    found: list[str] = []
    dropped = 0
    for entry in given:
        ids = [f"D{int(session)}:{int(turn)}" for session, turn in _EVIDENCE.findall(str(entry))]
        dropped += not ids
        for id in ids:
            if id in known:
                found.append(id)
            else:
                dropped += 1
    return metrics.distinct(found), dropped


def _answer(item: Item) -> float | None:
    category = item.question.meta["category"]
    if item.response is None or (item.question.answer is None and category != 5):
        return None
    return metrics.locomo_answer(item.response, item.question.answer or "", category)


def _adversarial(items: Sequence[Item]) -> list[Score]:
    """Category 5: whether the turns that lead astray are found (no fault), and whether answers say there is none."""
    asked = [item for item in items if not item.question.answerable]
    measures: dict[str, Measure] = {"led astray@10": _led_astray}
    if any(item.response is not None for item in asked):
        measures["answer F1"] = _answer
    return [score for score in tabulate(asked, measures) if score.group == CATEGORIES[5]]


def _led_astray(item: Item) -> float | None:
    return metrics.recall(item.turns[:10], item.question.gold) if item.question.gold else None
