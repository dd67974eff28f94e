"""Long-Context LLMs Meet RAG (Jin et al., ICLR 2025, arXiv 2410.05983): a reader that mistrusts its own passages.

With more passages an answer first gets better, then worse: what a good retriever adds after the evidence are hard
negatives, passages that look like the answer, and a model loses sight of the middle of what it reads. So, over any
memory:

* Reordering (section 4.1): the best passages stand at both ends, d1 d3 d5 ... d6 d4 d2.
* Adaptive k: reading stops at the widest gap between scores, after ``Settings.least`` passages at the earliest. The
  passages left out are left out of the hits too.
* Relevance note (section 5.2, where a tuned model writes it): a line before the passages names those with a sentence
  that has most of the question's words and does not ask itself. A language model is advised to tell the passages that
  bear on the question from those that only look so, before it answers.

Questions about times, orders and changes are read as it happened: there the sequence says more than the edges, as
LongMemEval found. Fewer passages than ``Settings.edges_from``, for which the paper found no difference, stay as ranked.
What a memory adds without a score, such as HEMA's summaries, stands ahead of the passages.

On LoCoMo (mnemic, lexical, k = 40; tests/text/systems/test_longrag.py has the table) edges bring the evidence a third
nearer to an end, and a passage that the note names is evidence twice as often as one of the three best. The gap reads
16 passages of 40, but no better ones than a fixed k of 16: recall 84.8 and 85.1. What did not hold: hard negatives told
by rule (questions; a part of what a better passage matches by) and put into the middle took evidence along, so passages
are packed as ranked. The gains of the paper are in the answers of long-context models, which nothing here measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnemic.errors import InputError
from mnemic.text.encode.lexical import tokens
from mnemic.text.language.cues import sentences
from mnemic.text.plan import Hit, Query, Recall
from mnemic.text.steps.order import ORDERS, asks_for_sequence
from mnemic.text.steps.render import count_tokens, pack
from mnemic.text.steps.select import by_gap, within
from mnemic.text.systems.base import Env, System

NOTE = "Most relevant: "
NOTE_COSTS = 24
"""Tokens kept free for the note, where that is a tenth of the budget at most."""
ADVICE = (
    "Many of the memories only look like an answer. First say which of them bear on the question and which do not, and "
    "answer from the former alone."
)


@dataclass(frozen=True, slots=True)
class Settings:
    """``order`` of the passages: ``edges``, ``chronological``, ``score``, or ``auto``, which chooses by the question;
    ``edges_from`` is how many passages ``auto`` needs for edges. ``adaptive`` stops at the widest gap of scores after
    ``least`` passages, and takes ``buffer`` more from behind it. ``note`` is how many passages the relevance note names
    at most; 0 writes none."""

    order: str = "auto"
    edges_from: int = 10
    adaptive: bool = True
    least: int = 10
    buffer: int = 0
    note: int = 3


class LongRag:
    """A reader: the best at both ends, no further than the widest gap. See the module's docstring."""

    name = "longrag"
    kind = "reader"
    paper = "Long-Context LLMs Meet RAG (ICLR 2025), arXiv 2410.05983"
    good_at = "handing many passages to a long-context model: the best at both ends, none beyond the score gap"
    cost = "read: rules over the hits, no further search; fewer tokens than the memory alone; nothing stored"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        if self.settings.order not in ("auto", *ORDERS):
            raise InputError(f"there is no order {self.settings.order!r}: use one of auto, {', '.join(ORDERS)}")

    def read(self, query: Query, memory: System, env: Env) -> Recall:
        s = self.settings
        found = memory.read(query, env)
        ranked = [h for h in found.hits if h.score]  # what a memory adds for the context has no score
        kept = ranked[: by_gap([h.score for h in ranked], least=s.least, buffer=s.buffer)] if s.adaptive else ranked
        hits = [replace(h, n=n) for n, h in enumerate([*kept, *(h for h in found.hits if not h.score)], 1)]
        passages, frame = hits[: len(kept)], hits[len(kept) :]
        order = self.order(query.text, passages)
        text, packed = self.tell(query, passages, frame, order)
        trace: dict[str, Any] = {"reader": self.name, "order": order, "kept": len(kept), "of": len(ranked)}
        trace = {**found.trace, **trace, "packed": packed}
        return replace(found, hits=tuple(hits), text=text, trace=trace, advice=ADVICE)

    def order(self, question: str, passages: Sequence[Hit]) -> str:
        """The order for these passages. Where all score the same, the memory had a reason for its own."""
        if self.settings.order != "auto":
            return self.settings.order
        if len({h.score for h in passages}) < 2:
            return "score"
        if asks_for_sequence(question):
            return "chronological"
        return "edges" if len(passages) >= self.settings.edges_from else "score"

    def tell(self, query: Query, passages: Sequence[Hit], frame: Sequence[Hit], order: str) -> tuple[str, int]:
        """Frame, note and passages in ``order``, within the budget; and how many passages there are."""
        left = query.budget
        ahead, _ = pack(frame, None if left is None else left // 3)
        if left is not None:
            left -= count_tokens(ahead)
        noted = self.settings.note > 0 and (left is None or left >= 10 * NOTE_COSTS)
        if left is not None and noted:
            left -= NOTE_COSTS
        chosen = passages[: within(passages, left)] or passages[:1]
        body, packed = pack(ORDERS[order](chosen), left)
        note = self.note(query.text, chosen) if noted else ""
        return "\n".join(part for part in (ahead, note, body) if part), packed

    def note(self, question: str, passages: Sequence[Hit]) -> str:
        """The passages that do not ask themselves and have a sentence with most of the question's words; or nothing."""
        asked = set(tokens(question))
        covers = {
            h.n: max((len(asked & set(tokens(s))) for s in sentences(h.text)), default=0)
            for h in passages
            if not h.text.rstrip().endswith(("?", "？"))
        }
        named = sorted((n for n, cover in covers.items() if 2 * cover > len(asked)), key=lambda n: (-covers[n], n))
        return NOTE + " ".join(f"[{n}]" for n in named[: self.settings.note]) if named else ""
