"""SCM: questions about long dialogues with an assistant (Wang et al., arXiv 2304.13343).

The questions come with an answer and no labels of evidence. Those are derived here: a turn is evidence when it holds
at least ``COVERAGE`` of the answer's content words and no less than ``SLACK`` below the turn that holds most. That
favours turns that answers were copied from, and questions without such a turn are left out and counted, so these
numbers are a memory retrieval recall in the paper's sense but not against the paper's own labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mnemic.bench import metrics
from mnemic.bench.suite import (
    Base,
    Case,
    Data,
    Item,
    Measure,
    Question,
    Score,
    any_turn,
    budgets,
    recall_at,
    required,
    tabulate,
)
from mnemic.text.encode.lexical import tokens
from mnemic.text.importers.source import ANY, json_items
from mnemic.text.record import Turn

COVERAGE = 0.6
SLACK = 0.1


class SCM(Base):
    """``scm``: the English dialogues."""

    name = "scm"
    about = "retrieval of the turns that long dialogues' questions were answered from (labels derived from answers)"
    licence = "SCM is MIT; its authors ask for academic use only"
    headline = ("any@5", "any@1", "recall@10", "recall in 1024 tokens")

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        talks, asked = required(data, "scm", "dialogue_en.json", "dialogue_en_questions.json")
        questions = list(json_items(asked, ANY, "file"))
        notes: Counter[str] = Counter()
        cases = []
        for talk in list(json_items(talks, ANY, "file"))[:limit]:
            turns = [
                Turn(text, session="dialogue", role="assistant" if n % 2 else "user", id=str(n))
                for n, text in enumerate(talk["dialogue"])
                if text.strip()
            ]
            words = {turn.id or "": set(tokens(turn.text)) for turn in turns}
            here = []
            for entry in (each for each in questions if each["id"] == talk["id"]):
                gold = evidence(entry["answer"], words)
                notes["questions"] += 1
                notes["questions without evidence"] += not gold
                here.append(
                    Question(
                        id=entry["question_id"],
                        text=entry["question"],
                        category=entry["mode"],
                        gold=gold,
                        sessions=("dialogue",),
                        answer=entry["answer"],
                    )
                )
            cases.append(Case(talk["id"], turns, here))
        return Data(cases, [talks, asked], notes)

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {f"any@{k}": any_turn(k) for k in (1, 5, 10)}
        measures |= {f"recall@{k}": recall_at(k) for k in (5, 10)} | budgets()
        if any(item.response is not None for item in items):
            measures["answer F1"] = lambda item: metrics.token_f1(item.response or "", item.question.answer or "")
        return tabulate(items, measures)


def evidence(answer: str, words: dict[str, set[str]]) -> tuple[str, ...]:
    """The ids of the turns that hold most of the answer's content words; none if no turn holds enough."""
    wanted = set(tokens(answer))
    if not wanted:
        return ()
    held = {id: len(wanted & has) / len(wanted) for id, has in words.items()}
    best = max(held.values(), default=0.0)
    return tuple(id for id, share in held.items() if share >= max(COVERAGE, best - SLACK))
