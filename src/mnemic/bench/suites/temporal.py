"""Questions about when something was discussed (Alonso et al., arXiv 2406.00057), on conversations of LoCoMo.

Three families: ``time`` ("what did we discuss 38 days ago?"; gold is every turn of that time), ``ambiguous`` (the same
inside a short dialogue whose last line alone says nothing) and ``content`` (a subject and a time). A response number
is a turn's place in the conversation. Relative expressions count from the end of the conversation: the question is
asked in the second after its last turn. Recall, precision, F1 and F2 are over the set of turns that come back, however
many; R-precision needs no set.

An ambiguous dialogue is asked as its lines in order, since that is all a recall can be given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.suite import Base, Case, Data, Item, Measure, Question, Score, required, tabulate
from mnemic.errors import InputError
from mnemic.text.importers.source import ANY, json_items
from mnemic.text.record import Turn

FAMILIES = {"time": "time_qs", "ambiguous": "ambiguous_time_qs", "content": "content_time_qs"}
_SESSION = re.compile(r"session_(\d+)")
_WHEN = "%I:%M:%S %p on %A %d %B, %Y"


class Temporal(Base):
    """``temporal``, or one family: ``temporal:time``, ``temporal:ambiguous``, ``temporal:content``."""

    about = "which turns were said when: recall, precision, F1 and F2 of response numbers by kind of time expression"
    licence = "derived from LoCoMo, without a licence of its own: for private use"
    headline = ("F1", "recall", "precision", "F2", "R-precision")

    def __init__(self, variant: str = "") -> None:
        if variant and variant not in FAMILIES:
            raise InputError(f"temporal has no variant {variant!r}: there are {', '.join(FAMILIES)}")
        self.name = "temporal" + (f":{variant}" if variant else "")
        self._families = [variant] if variant else list(FAMILIES)

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        talks_folder, asked_folder = required(data, "temporal", "conversations", "questions")
        paths = sorted(talks_folder.glob("*.json*"))
        talks = {path.name.split(".")[0]: _turns(next(json_items(path, ANY, "file"))) for path in paths}
        asked: dict[str, list[Question]] = {name: [] for name in talks}
        for family in self._families:
            for path in sorted((asked_folder / FAMILIES[family]).glob("*.json*")):
                kind = path.name.split(".")[0].removeprefix("test_").removesuffix("_time_qs")
                for file, entries in next(json_items(path, ANY, "file")).items():
                    name = file.removeprefix("file_")
                    if name in asked:
                        asked[name] += _questions(f"{family}/{kind}" if family != kind else kind, entries)
                paths.append(path)
        cases = [Case(name, turns, asked[name], k=len(turns)) for name, turns in talks.items()]
        return Data(cases[:limit], paths, {"questions": sum(len(case.questions) for case in cases)})

    def score(self, items: Sequence[Item]) -> list[Score]:
        measures: dict[str, Measure] = {
            "recall": lambda item: metrics.recall(item.turns, item.question.gold),
            "precision": lambda item: metrics.precision(item.turns, item.question.gold),
            "F1": lambda item: metrics.f_beta(item.turns, item.question.gold),
            "F2": lambda item: metrics.f_beta(item.turns, item.question.gold, 2.0),
            "R-precision": lambda item: metrics.r_precision(item.turns, item.question.gold),
        }
        found = tabulate(items, measures, groups=_groups)
        content = [item for item in items if item.question.category == "content"]
        ranked: dict[str, Measure] = {f"recall@{k}": _recall(k) for k in (5, 10)}
        return found + [score for score in tabulate(content, ranked) if score.group != "all"]


def _groups(item: Item) -> list[str]:
    kind = item.question.category
    return [kind.split("/")[0], kind] if "/" in kind else [kind]


def _recall(k: int) -> Measure:
    return lambda item: metrics.recall(item.turns[:k], item.question.gold)


def _turns(talk: Mapping[str, Any]) -> list[Turn]:
    numbers = sorted(int(m[1]) for key in talk if (m := _SESSION.fullmatch(key)))
    return [
        Turn(
            text=said["text"],
            speaker=said["speaker"],
            at=datetime.strptime(said["date_time"], _WHEN).replace(tzinfo=UTC),
            session=f"session_{number}",
            caption=said.get("blip_caption"),
            id=str(said["response_number"]),
        )
        for number in numbers
        for said in talk[f"session_{number}"]
    ]


def _questions(kind: str, entries: Sequence[Mapping[str, Any]]) -> Iterator[Question]:
    for number, entry in enumerate(entries):
        for phrasing, given in enumerate(entry["questions"]):
            text = given if isinstance(given, str) else "\n".join(line["text"] for line in given)
            gold = tuple(str(each) for each in entry["relevant_docs"])
            yield Question(f"{kind}/{number}.{phrasing}", text, kind, gold)
