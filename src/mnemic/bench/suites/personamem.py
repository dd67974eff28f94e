"""PersonaMem: what a user told over several chats, as multiple choice (Jiang et al., arXiv 2504.14225).

Each user is a case; a document is a session of turns. The labels name all of a user's documents, so there is no
retrieval to measure: what counts is the accuracy of the choice. Without a language model a rule chooses: the option
whose own words (those that not every option has) the recalled turns cover best. Mind the control: the right option
tends to be the longest, so that ``longest option``, which knows nothing at all, is far above ``chance``. The rule is a
check of the path, not a result; the accuracy of an answering model is one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mnemic.bench.suite import Base, Case, Data, Item, Measure, Question, Score, required, tabulate
from mnemic.text.encode.lexical import tokens
from mnemic.text.importers.source import ANY, json_items
from mnemic.text.memory import Memory
from mnemic.text.plan import Recall
from mnemic.text.record import Turn

LETTERS = "abcdefghij"
_TURN = re.compile(r"^\[(SYSTEM|USER|ASSISTANT)\] ", re.MULTILINE)
_OPTION = re.compile(r"^\(([a-j])\) ", re.MULTILINE)
_PREFIX = re.compile(r"^(?:User|Assistant): ")


class PersonaMem(Base):
    """``personamem``: the 32K documents."""

    name = "personamem"
    about = "multiple choice about a user's changing preferences, by a rule over what was recalled"
    licence = "PersonaMem is MIT"
    headline = ("accuracy", "longest option", "chance")

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        documents, queries = required(data, "personamem", "documents.json", "queries.json")
        talks: dict[str, list[Turn]] = {}
        for number, document in enumerate(json_items(documents, ANY, "file")):
            talks.setdefault(document["user_id"], []).extend(_turns(document["content"], f"chat {number}"))
        asked: dict[str, list[Question]] = {user: [] for user in talks}
        for entry in json_items(queries, ANY, "file"):
            asked[entry["user_id"]].append(_question(entry))
        cases = [Case(user[:12], turns, asked[user]) for user, turns in talks.items() if asked[user]]
        return Data(cases[:limit], [documents, queries], {"questions": sum(map(len, asked.values()))})

    def respond(self, memory: Memory, question: Question, found: Recall) -> str | None:
        texts = [hit.text for hit in found.hits[:20]]
        for option in question.options:
            texts += [hit.text for hit in memory.recall(option, k=5).hits]
        return choose(question.options, texts)

    def score(self, items: Sequence[Item]) -> list[Score]:
        right: Measure = lambda item: None if item.response is None else float(item.response == item.question.answer)  # noqa: E731
        blind: Measure = lambda item: float(choose(item.question.options, []) == item.question.answer)  # noqa: E731
        chance: Measure = lambda item: 1 / len(item.question.options)  # noqa: E731
        return tabulate(items, {"accuracy": right, "longest option": blind, "chance": chance})


def choose(options: Sequence[str], texts: Sequence[str]) -> str:
    """The letter of the option whose distinctive words the texts cover best; ties go to the longer option."""
    stems = [set(tokens(option)) for option in options]
    shared = set.intersection(*stems)
    weight = Counter(stem for each in stems for stem in each)
    seen = {stem for text in texts for stem in tokens(text)}

    def support(n: int) -> tuple[float, int]:
        own = stems[n] - shared
        total = sum(1 / weight[stem] for stem in own)
        return (sum(1 / weight[stem] for stem in own & seen) / total if total else 0.0, len(options[n]))

    return LETTERS[max(range(len(options)), key=support)]


def _question(entry: dict[str, Any]) -> Question:
    asked, *rest = _OPTION.split(entry["query"])
    options = {letter: text.strip() for letter, text in zip(rest[::2], rest[1::2], strict=True)}
    return Question(
        id=entry["id"],
        text=asked.partition("\n")[2].strip() or asked.strip(),
        category=entry["meta"]["question_type"],
        answer=str(entry["gold_answers"][1]).strip("()"),
        options=tuple(options[letter] for letter in sorted(options)),
    )


def _turns(content: str, session: str) -> Iterator[Turn]:
    _, *rest = _TURN.split(content)
    for number, (role, text) in enumerate(zip(rest[::2], rest[1::2], strict=True)):
        said = _PREFIX.sub("", text.strip())
        if said:
            yield Turn(said, session=session, role=role.lower(), id=f"{session}/{number}")
