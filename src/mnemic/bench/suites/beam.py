"""BEAM: chats of some 100,000 tokens with questions about ten abilities (Tavakoli et al., arXiv 2510.27246).

Without a judge the retrieval is measured: the share of a question's source messages among the first k. A batch of the
chat is a session, dated by the first time anchor in it. Abstention questions have no source: they measure refusal,
apart. Sources that do not exist in the chat are dropped and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
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
    any_turn,
    budgets,
    recall_at,
    refusal,
    required,
    tabulate,
)
from mnemic.text.importers.source import ANY, json_items
from mnemic.text.record import Turn

_MARK = re.compile(r"\s*->->\s*[\d,\s]*$")
"""The place in its author's plan that ends a message of the user: no part of the chat."""
_ANSWERS = ("answer", "ideal_answer", "ideal_response", "ideal_summary")


class Beam(Base):
    """``beam``: the chats of 100,000 tokens."""

    name = "beam"
    about = "source messages of questions about ten abilities in chats of 100,000 tokens; refusal"
    licence = "BEAM is for research: see its repository"
    headline = ("recall@10", "recall@5", "recall@20", "any@5", "recall in 1024 tokens", "AUROC")

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        (folder,) = required(data, "beam", "100K")
        chats = sorted(
            (path for path in folder.iterdir() if path.is_dir()), key=lambda path: (len(path.name), path.name)
        )
        notes: Counter[str] = Counter()
        cases = []
        for chat in chats[:limit]:
            (talk,) = chat.glob("chat.json*")
            (probes,) = chat.glob("probing_questions.json*")
            turns = list(_turns(list(json_items(talk, ANY, "file"))))
            asked = _questions(next(json_items(probes, ANY, "file")), {turn.id or "": turn for turn in turns}, notes)
            cases.append(Case(chat.name, turns, list(asked)))
        return Data(cases, [folder], notes)

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {f"recall@{k}": recall_at(k) for k in (5, 10, 20, 50)}
        measures |= {f"any@{k}": any_turn(k) for k in (5, 10)} | budgets()
        return tabulate([item for item in items if item.question.answerable], measures) + refusal(items)


def _turns(batches: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    at: datetime | None = None
    for batch in batches:
        messages = [message for group in batch["turns"] for message in group]
        anchor = next((message["time_anchor"] for message in messages if message.get("time_anchor")), None)
        at = datetime.strptime(anchor, "%B-%d-%Y").replace(tzinfo=UTC) if anchor else at
        for message in messages:
            yield Turn(
                text=_MARK.sub("", message["content"]) or "…",
                at=at,
                session=f"batch {batch['batch_number']}",
                role=message["role"],
                id=str(message["id"]),
            )


def _questions(
    probes: Mapping[str, Sequence[Mapping[str, Any]]], turns: Mapping[str, Turn], notes: Counter[str]
) -> Iterator[Question]:
    last = max((turn.at for turn in turns.values() if turn.at), default=None)
    for ability, entries in probes.items():
        for number, entry in enumerate(entries):
            sources = metrics.distinct(_flat(entry.get("source_chat_ids")))
            gold = [id for id in sources if id in turns]
            notes["sources dropped"] += len(sources) - len(gold)
            if not gold and ability != "abstention":
                notes["questions without sources"] += 1
            yield Question(
                id=f"{ability}/{number}",
                text=entry["question"],
                category=ability,
                gold=tuple(gold),
                sessions=tuple(metrics.distinct(turns[id].session or "" for id in gold)),
                now=last + timedelta(days=1) if last else None,
                answer=next((str(entry[key]) for key in _ANSWERS if key in entry), None),
                answerable=ability != "abstention",
                meta={"rubric": entry.get("rubric", ())},
            )


def _flat(value: Any) -> Iterator[str]:
    """The ids anywhere in lists and mappings."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    elif value is not None:
        yield str(value)
