"""Recognition, recall and retention of single items by a memory, after Orhan (arXiv 2303.17557): see
:mod:`mnemic.bench.orhan`, which does the same for a model's weights.

To study is to remember, an exposure is one more turn with the same text, distractors are turns remembered after it.
Each pair is three questions: the studied item and its foil, word for word, and the item's first half. Interpretation,
since a memory has no loss: the item is recognised if recalling it brings more than recalling the foil does, by the
``score`` of the best hit, by the ``confidence`` of the recall, or by how much the best hit's turn is the probe's own
text (ROUGE-L). Scores that a system scales anew for every query cannot be compared between two probes, and a control
that has no confidence ties: both come out near a half. The first half recalls the item if the best hit goes on as it
does.

A memory that keeps texts verbatim stands near the ceiling by text and in recall, and should. What tells systems apart
is retention, and whether their score and confidence know what was studied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnemic.bench import metrics
from mnemic.bench.orhan import ABOUT, AWAY, LICENCE, Condition, Trial, chosen, rouge, shown, tabulated
from mnemic.bench.stimuli import KINDS, Stimuli, generated, original, sentences
from mnemic.bench.suite import Base, Case, Data, Item, Question, Score
from mnemic.errors import InputError
from mnemic.text.record import Turn

PAIRS = 64
CONDITIONS = (
    Condition(1), Condition(2), Condition(3), Condition(1, 16), Condition(1, 160), Condition(1, 1600),
)  # fmt: skip
"""One case for each, and each kind of pairs. The first is the one of the tables by kind."""


@dataclass(frozen=True)
class _Set:
    """What a question needs to be scored by: its place in the protocol, and the text of every turn."""

    kind: str
    condition: Condition
    number: int
    given: str
    rest: str
    texts: Mapping[str, str] = field(repr=False)


class Orhan(Base):
    """``orhan``, or one kind of pairs: ``orhan:paraphrase``. With a folder the original's pairs, else made ones."""

    about = ABOUT
    licence = LICENCE
    headline = (
        "recognition (confidence)", "recognition (score)", "recognition (text)", "recall exact", "recall ROUGE-L",
    )  # fmt: skip
    conditions = shown(CONDITIONS)

    def __init__(self, variant: str = "") -> None:
        if variant and variant not in KINDS:
            raise InputError(f"orhan has no variant {variant!r}: there are {', '.join(KINDS)}")
        self.name = "orhan" + (f":{variant}" if variant else "")
        self._kinds = [variant] if variant else list(KINDS)

    def load(self, data: Path | None, *, limit: int | None, seed: int) -> Data:
        found = [generated(kind, PAIRS, seed) if data is None else original(kind, data) for kind in self._kinds]
        distractors = sentences(max(condition.distractors for condition in CONDITIONS), seed + AWAY)
        # Condition by condition, so that a limit keeps every kind.
        cases = [_case(stimuli, condition, distractors) for condition in CONDITIONS for stimuli in found]
        notes: Counter[str] = Counter()
        for stimuli in found:
            notes.update(stimuli.notes or {})
            notes[f"{stimuli.kind} pairs"] = len(stimuli.pairs)
        return Data(cases[:limit], [each.files for each in found if each.files], notes)

    def score(self, items: Sequence[Item]) -> list[Score]:
        probes: dict[tuple[str, int], dict[str, Item]] = {}
        for item in items:
            place = _place(item)
            probes.setdefault((item.case, place.number), {})[item.question.category] = item
        return tabulated([_trial(found) for found in probes.values()], CONDITIONS[0])


def _case(stimuli: Stimuli, condition: Condition, distractors: Sequence[str]) -> Case:
    studied = [
        Turn(pair.seen, session="study", id=f"{n}.{exposure}")
        for exposure in range(condition.exposures)
        for n, pair in enumerate(stimuli.pairs)
    ]
    later = [
        Turn(text, session="later", id=f"later {n}") for n, text in enumerate(distractors[: condition.distractors])
    ]
    texts = {turn.id or "": turn.text for turn in [*studied, *later]}
    questions = []
    for n, pair in enumerate(stimuli.pairs):
        gold = tuple(f"{n}.{exposure}" for exposure in range(condition.exposures))
        words = pair.seen.split()
        given, rest = " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])
        meta = {"place": _Set(stimuli.kind, condition, n, given, rest, texts)}
        questions += [
            Question(f"{n} seen", pair.seen, "seen", gold, ("study",), meta=meta),
            Question(f"{n} foil", pair.foil, "foil", answerable=False, meta=meta),
            Question(f"{n} cue", given, "cue", gold, ("study",), meta=meta),
        ]
    return Case(f"{stimuli.kind} {condition}", [*studied, *later], questions, k=5)


def _trial(probes: Mapping[str, Item]) -> Trial:
    """One pair's three recalls as what they are worth."""
    seen, foil, cue = probes["seen"], probes["foil"], probes["cue"]
    place = _place(seen)
    best = _best(cue)
    said = best.removeprefix(place.given) if best.startswith(place.given) else _second_half(best)
    values = {
        "recognition (score)": chosen(seen.score, foil.score),
        "recognition (confidence)": chosen(seen.confidence, foil.confidence),
        "recognition (text)": chosen(*(metrics.rouge_l(_best(each), each.question.text) for each in (seen, foil))),
    }
    told = rouge(place.given + " ", said, place.rest)
    # The pairs of several kinds come from one scene, so the pair is what is drawn anew for an interval.
    return Trial(place.kind, place.condition, f"pair {place.number}", values | told)


def _best(item: Item) -> str:
    """The text of the best turn, empty where nothing came."""
    return _place(item).texts[item.turns[0]] if item.turns else ""


def _second_half(text: str) -> str:
    words = text.split()
    return " ".join(words[len(words) // 2 :])


def _place(item: Item) -> Any:
    return item.question.meta["place"]
