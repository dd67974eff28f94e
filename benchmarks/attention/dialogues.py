"""Questions about a long dialogue, asked from forks of one prefill: is what was said still there?

Two measures for each question: how much likelier the right answer is (nats per token) than without the dialogue, and
the F1 of what a greedy answer says. The first sees memory where a small model cannot yet phrase it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perplexity import nats

from mnemic.attention.policy import FullAttention, Policy
from mnemic.attention.session import Session, attach
from mnemic.bench import machine, metrics
from mnemic.bench.suites.locomo import LoCoMo

QUESTIONS = 20
Case = tuple[str, list[int], list[tuple[str, str]]]
"""The id of a conversation, its tokens, questions with their answers."""


def cases(data: Path, tokenizer: Any, length: int, count: int) -> list[Case]:
    """The first ``length`` tokens of ``count`` conversations with questions whose evidence lies inside."""
    found = []
    for case in LoCoMo().load(data, limit=count, seed=0).cases:
        ids: list[int] = []
        inside = set()
        for turn in case.turns:
            when = f" ({turn.at:%d %B %Y})" if turn.at else ""
            more = tokenizer(f"{turn.speaker}{when}: {turn.text}\n", add_special_tokens=False)["input_ids"]
            if len(ids) + len(more) > length:
                break
            ids += more
            inside.add(turn.id)
        asked = [
            (q.text, q.answer) for q in case.questions
            if q.gold and set(q.gold) <= inside and q.answer and q.answerable and q.scored
        ]  # fmt: skip
        found.append((case.id, ids, random.Random(0).sample(asked, min(QUESTIONS, len(asked)))))
    return found


def alone(model: Any, tokenizer: Any, case: Case) -> list[float]:
    """What each right answer costs without the dialogue, in nats a token."""
    with attach(model, FullAttention()) as blank:
        return [_cost(_asked(blank.fork(), tokenizer, q), tokenizer, a) for q, a in case[2]]


def measure(
    model: Any, tokenizer: Any, name: str, policy: Policy, case: Case, alone: Callable[[], list[float]]
) -> list[dict[str, Any]]:
    """Gains over ``alone`` and F1 of one conversation's questions."""
    id, ids, questions = case
    gains, scores = [], []
    costs = alone()  # first: one session at a time may be attached to the model
    with attach(model, policy) as session:
        session.prefill(ids, chunk=256)
        for (question, answer), without in zip(questions, costs, strict=True):
            fork = _asked(session.fork(), tokenizer, question)
            gains.append(round(without - _cost(fork.fork(), tokenizer, answer), 4))
            said = tokenizer.decode(fork.generate(12)[0]).split("\n")[0]
            scores.append(round(metrics.token_f1(said, answer), 4))
        resident = session.resident
    return [{"policy": name, "case": id, "tokens": len(ids), "gains": gains, "f1": scores, "resident": resident,
             "load": machine.load()}]  # fmt: skip


def _asked(session: Session, tokenizer: Any, question: str) -> Session:
    session.prefill(tokenizer(f"\nQuestion: {question}\nShort answer:", add_special_tokens=False)["input_ids"])
    return session


def _cost(session: Session, tokenizer: Any, answer: str) -> float:
    return metrics.mean(nats(session, tokenizer(f" {answer}", add_special_tokens=False)["input_ids"]))
