"""Controls: the plainest retrievers there are. A number is worth what it is above these."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Hit, Recall
from mnemic.text.record import Interval, Kind, Record, Turn
from mnemic.text.steps.assemble import hit
from mnemic.text.steps.render import pack
from mnemic.text.store.base import key_text


class Control(ABC):
    """Keeps turns in a list; subclasses put them in order for a query, best first."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def remember(self, what: Sequence[Turn], /) -> None:
        for turn in what:
            self.records.append(
                Record(
                    id=turn.id or str(len(self.records)),
                    kind=Kind.TURN,
                    text=turn.text,
                    at=turn.at,
                    valid=Interval(turn.at),
                    speaker=turn.speaker,
                    role=turn.role,
                    session=turn.session,
                    caption=turn.caption,
                )
            )

    @abstractmethod
    def order(self, query: str) -> list[tuple[int, float]]:
        """Places of turns with their scores, best first."""

    def recall(self, query: str, /, *, k: int, now: datetime | None = None) -> Recall:
        ranked = self.order(query)[:k]
        hits: list[Hit] = [hit(n, self.records[i], score) for n, (i, score) in enumerate(ranked, 1)]
        text, _ = pack(hits, None)
        return Recall(query, tuple(hits), text, 1.0 if hits else 0.0)

    def close(self) -> None:
        self.records.clear()


class Random(Control):
    """Turns in an order drawn by lot, the same for the same query: chance."""

    def order(self, query: str) -> list[tuple[int, float]]:
        places = list(range(len(self.records)))
        random.Random(query).shuffle(places)
        return [(i, 0.0) for i in places]


class Recent(Control):
    """The newest turns first, whatever is asked: what a context window keeps."""

    def order(self, query: str) -> list[tuple[int, float]]:
        return [(i, 0.0) for i in reversed(range(len(self.records)))]


class BM25(Control):
    """BM25 (k1 1.2, b 0.75) over single turns with the same stems as the index: no window, no dates, no sessions."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: list[Counter[str]] = []
        self._df: Counter[str] = Counter()

    def remember(self, what: Sequence[Turn], /) -> None:
        before = len(self.records)
        super().remember(what)
        for record in self.records[before:]:
            counts = Counter(tokens(key_text(record)))
            self._counts.append(counts)
            self._df.update(counts.keys())

    def order(self, query: str) -> list[tuple[int, float]]:
        n = len(self._counts)
        lengths = [sum(counts.values()) for counts in self._counts]
        average = sum(lengths) / max(n, 1) or 1.0
        scores = [0.0] * n
        for term, times in Counter(tokens(query)).items():
            df = self._df.get(term, 0)
            idf = math.log1p((n - df + 0.5) / (df + 0.5))
            for i, counts in enumerate(self._counts):
                if tf := counts.get(term, 0):
                    scores[i] += times * idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * lengths[i] / average))
        found = [(i, score) for i, score in enumerate(scores) if score > 0]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))


CONTROLS: dict[str, type[Control]] = {"random": Random, "recent": Recent, "bm25": BM25}
