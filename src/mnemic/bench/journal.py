"""The journal of a run: what is finished, case by case, so that a broken run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mnemic.bench.result import Cost
from mnemic.bench.suite import Case, Item, sessions_of

_KEPT = ("ranked", "costs", "confidence", "ms", "response", "judged", "score")


class Journal:
    """The cases that are done, one JSON line each; lines of other fingerprints are left alone."""

    def __init__(self, out: Path, fingerprint: str) -> None:
        self.path = out.with_name(out.name + ".items.jsonl")
        self.fingerprint = fingerprint
        self._known = {line["case"]: line for line in self._lines() if line["fingerprint"] == fingerprint}

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        for text in self.path.read_text("utf-8").split("\n"):
            try:
                line = json.loads(text) if text else None
            except ValueError:  # the run was killed while it wrote this line: the case is simply run again
                continue
            if line:
                yield line

    def read(self, case: Case) -> tuple[list[Item], Cost] | None:
        """What was kept of ``case``, None where it was not finished."""
        line = self._known.get(case.id)
        if line is None or [row["id"] for row in line["items"]] != [question.id for question in case.questions]:
            return None
        session_of = {turn.id or "": turn.session or "" for turn in case.turns}
        items = [
            Item(
                question, case.id, places=sessions_of(row["ranked"], session_of), **{name: row[name] for name in _KEPT}
            )
            for question, row in zip(case.questions, line["items"], strict=True)
        ]
        return items, Cost(**line["cost"])

    def write(self, case: Case, items: Sequence[Item], cost: Cost) -> None:
        """Keep ``case`` for good."""
        rows = [{"id": item.question.id} | {name: getattr(item, name) for name in _KEPT} for item in items]
        line = {"fingerprint": self.fingerprint, "case": case.id, "cost": asdict(cost), "items": rows}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            if file.seek(0, 2):
                file.seek(-1, 2)
                if file.read() != b"\n":  # a line that was cut short must not swallow this one
                    file.write(b"\n")
            file.write(json.dumps(line).encode() + b"\n")
