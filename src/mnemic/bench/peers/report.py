"""The comparison as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.peers.rows import PAGE, K, Row

REFERENCE = "fusion"
"""The row that the others' recall@10 is held against, question by question."""
HEAD = (
    "row", "R@5", "R@10", "R@20", f"R@10 − {REFERENCE}", "session any@10", "add ms p50 / p95", "on disk at once",
    "bulk turns/s", "search ms p50 / p95", "memory MB", "install MB", "start s", "load before → after",
)  # fmt: skip


@dataclass
class Comparison:
    """All rows with the conditions they were measured under."""

    command: str
    about: Mapping[str, Any]
    conditions: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        rows = [{**row.to_json(), "gap": self.gap(row)} for row in self.rows]
        return {"command": self.command, "work": self.about, "conditions": self.conditions, "rows": rows}

    def gap(self, row: Row) -> tuple[float, float, float] | None:
        """Mean difference of recall@10 from the reference's in points and its 95 % bootstrap interval."""
        against = next((each for each in self.rows if each.name == REFERENCE), None)
        if against is None or row is against or not row.each or len(row.each) != len(against.each):
            return None
        mean, low, high = metrics.paired(row.each, against.each)
        return round(100 * mean, 1), round(100 * low, 1), round(100 * high, 1)

    def markdown(self) -> str:
        about = self.about
        parts = [
            "# Peers, side by side",
            f"`{self.command}`",
            f"{len(about['conversations'])} conversations of LoCoMo, {about['turns']} turns, {about['questions']} "
            f"questions of categories 1 to 4, drawn with seed {about['seed']} from {about['questions with evidence']} "
            "with evidence. No language model anywhere. Every row stores the same turns, one memory a conversation, "
            f"and searches with the same questions for {K} hits. Dense vectors are of {about.get('encoder', '?')}, "
            "made once and handed to every row that takes vectors: times are a row's own, and who encodes pays on top "
            "what the conditions say for one text.",
            _table(HEAD, [self._cells(row, about["turns"]) for row in self.rows]),
            self._how(),
            "## Rows\n\n" + "\n".join(_about(row) for row in self.rows),
            self._failures(),
            "## Conditions\n\n" + "\n".join(f"- {name}: {_shown(value)}" for name, value in self.conditions.items()),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _cells(self, row: Row, turns: int) -> list[str]:
        def score(metric: str) -> str:
            return f"{row.scores[metric]['value']:.1f}" if metric in row.scores else "–"

        gap = self.gap(row)
        load = [_number(each[0] if each else None, 1) for each in (row.load_before, row.load_after)]
        install = _number(row.install_mb, 0) + (f" + {row.weights_mb:.0f} weights" if row.weights_mb else "")
        return [
            row.name,
            score("recall@5"),
            score("recall@10"),
            score("recall@20"),
            f"{gap[0]:+.1f} [{gap[1]:+.1f}, {gap[2]:+.1f}]" if gap else "–",
            score("session any@10"),
            _spread(row.add_ms),
            ("yes" if row.durable else "no") if row.add_ms else "–",
            f"{turns / row.bulk_s:,.0f}" if row.bulk_s else "–",
            _spread(row.search_ms),
            _number(row.resident_mb, 0),
            install,
            _number(row.open_ms / 1000 if row.open_ms is not None else None, 1),
            " → ".join(load),
        ]

    def _how(self) -> str:
        return (
            "R@k is the share of a question's evidence turns among the first k hits, in percent; session any@10 "
            f"whether one evidence session is among the first ten sessions of {K} hits; the difference from "
            f"`{REFERENCE}` is paired by question, with its 95 % bootstrap interval over questions. Add is one turn a "
            f"call, bulk up to {PAGE} turns a call in a second process. Times are taken inside the worker around the "
            "peer's call; the first search of each conversation is apart (JSON: `first_ms`). Memory is resident, of "
            "the whole worker process, with all turns added and the handed-in vectors held. Install is site-packages "
            "without pip, setuptools and bytecode; no row has an embedding model in it unless it says weights. Start "
            "is importing and opening an empty store, the faster of two. Workers run with telemetry and model hub "
            "switched off and cannot reach the network.\n\n"
            "What to read with care: the coefficients of Mnemic's ranking and the weights of `window` were chosen with "
            "LoCoMo among the development data, the peers run on their defaults. Mnemic gets speaker, time and picture "
            "caption as fields, which its API takes; the others get the same words in one text, and time as metadata "
            "they do not search. On disk at once says that a row writes its files before add returns (no power cut was "
            "tried); the others would pay for saving. Times move with the load of the machine, given for each row."
        )

    def _failures(self) -> str:
        failed = [f"- {row.name}: {row.reason}" for row in self.rows if row.reason]
        return "## Did not run\n\n" + "\n".join(failed) if failed else ""


def _about(row: Row) -> str:
    pinned = ", ".join(each.replace("==", " ") for each in row.pinned) if "mnemic" not in row.versions else ""
    packages = f", {row.packages} packages" if row.packages else ""
    tried = f"; tried to reach {', '.join(row.refused)}" if row.refused else ""
    told = f" ({pinned}{packages})" if pinned else f" (mnemic {row.versions.get('mnemic', '')}{packages})"
    return f"- {row.name}{told}: {row.note}{tried}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _spread(times: Mapping[str, float] | None) -> str:
    return f"{_number(times['p50'], 2)} / {_number(times['p95'], 2)}" if times else "–"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)
