"""What a memory writes when it is asked: clues to search by, not answers (MemoRAG, arXiv 2409.05591, section 2.2).

Three questions are put to copies of a session that has read the text, each after the other: sentences that the text may
hold on it, simpler questions, and the answer as it remembers it. Any policy will do; with a memory that was not trained
for this, what comes out is as good as the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnemic.attention.session import Session
from mnemic.errors import InputError

PROMPTS = {
    "recall": "\n\nSomebody asks: {question}\nSentences of the text above that tell it, as they stand, one a line:\n",
    "questions": "\n\nSomebody asks: {question}\nSimpler questions whose answers together answer this, one a line:\n",
    "draft": "\n\nSomebody asks: {question}\nThe answer, in one sentence:\n",
}
LEAST = 4
"""Words of a clue; the published code drops shorter lines."""


@dataclass(frozen=True)
class Written:
    """What was written: sentences that may stand in the text (``recall``), ``questions``, a ``draft`` of the answer."""

    recall: tuple[str, ...]
    questions: tuple[str, ...]
    draft: str | None


def clues(
    session: Session,
    question: str,
    tokenizer: Any,
    *,
    tokens: int = 128,
    most: int = 5,
    prompts: Mapping[str, str] = PROMPTS,
    encode: Callable[[str], Sequence[int]] | None = None,
) -> Written:
    """What ``session``, of one text that it has read, writes for ``question``. It is left as it was.

    ``tokens`` are the most for each prompt, ``most`` lines are kept. ``prompts`` have a place for ``{question}``;
    ``encode`` turns one into ids, by default the tokenizer without special tokens (give your own for a chat's turns).
    """
    if len(session.rows) != 1:
        raise InputError(f"clues are written from one text, not {len(session.rows)}: give a session that has read one")

    def asked(name: str) -> list[str]:
        text = prompts[name].format(question=question)
        ids = encode(text) if encode else tokenizer(text, add_special_tokens=False)["input_ids"]
        copy = session.fork()
        copy.prefill(list(ids))
        written = tokenizer.decode(copy.generate(tokens)[0], skip_special_tokens=True)
        return [line.strip(" \t-*•") for line in str(written).splitlines() if line.strip(" \t-*•")]

    def lines(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line for line in asked(name) if len(line.split()) >= LEAST))[:most]

    return Written(lines("recall"), lines("questions"), next(iter(asked("draft")), None))


class Remembering:
    """A session over a text that comes in blocks and may change: what did not change is not read again.

    ``session`` has read nothing, or an instruction. After each block a copy is kept (tokens are shared). Where a block
    is gone or changed, all that follow are read again, since they were read with it in view.
    """

    def __init__(self, session: Session, tokenizer: Any) -> None:
        self.session, self.tokenizer = session, tokenizer
        self._kept: list[tuple[str, Session]] = []

    def read(self, blocks: Sequence[str], load: Callable[[int], str]) -> Session:
        """The session that has read ``blocks``, told by their ids; ``load`` gives the text of one by its number."""
        same = 0
        while same < min(len(blocks), len(self._kept)) and self._kept[same][0] == blocks[same]:
            same += 1
        self._kept = self._kept[:same]
        for number in range(same, len(blocks)):
            last = self._kept[-1][1] if self._kept else self.session
            copy = last.fork()
            copy.prefill(self.tokenizer(load(number) + "\n", add_special_tokens=False)["input_ids"])
            self._kept.append((blocks[number], copy))
        if not self._kept:
            raise InputError("there is nothing to remember yet: give at least one block")
        return self._kept[-1][1]
