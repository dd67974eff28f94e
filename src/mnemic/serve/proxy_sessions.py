"""What the proxy knows of the conversations that are going on: which session each is, and what was quoted in it.

A client sends its whole conversation again with every turn, and knows nothing of what was quoted. So that the
upstream finds the beginning of its last request unchanged in its prompt cache, a quotation is put right before the
words of the user message it was recalled for, and is put there again, byte for byte, whenever that message comes
back. Each request is then the one before it plus new material at its end.

Nothing here needs to last. Without it a conversation goes on in the session that the store knows it by, and costs the
upstream one prompt that is not cached.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from mnemic.text.language.cues import sentences
from mnemic.text.memory import PAUSE, Memory
from mnemic.text.plan import Hit
from mnemic.text.steps.render import QUOTATION, count_tokens, pack, quoted

T = TypeVar("T")
MANY, FEW, SURE = 10, 3, 0.1
"""Records quoted at most when the recall's confidence is at least ``SURE``, and when it is not. On a conversation of
LoCoMo (419 turns) more than 90 percent of the answerable questions are above 0.1, and 12 of 13 lines of small talk and
chores below; but a small space gives no confidence either, so that a doubtful recall quotes little and not nothing."""
ROOM = 4
"""Budgets that the quotations of a conversation may take together; beyond it the oldest go until half is left, all
at once, so that the upstream's cache is lost once and not at every turn."""
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_ABOUT = f"Quoted from earlier conversations. {QUOTATION}"


@dataclass(frozen=True, slots=True)
class Said:
    """A message with words: ``place`` is its index in the request."""

    role: str
    text: str
    place: int
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says: the messages of the user, and those of the assistant that have words.

    ``last`` says that a user message is the last thing in the request: it is asked now, and not gone on with after a
    tool call. ``response`` and ``conversation`` name what the upstream keeps itself and what this goes on from.
    """

    said: tuple[Said, ...]
    last: bool = True
    response: str = ""
    conversation: str = ""

    @property
    def question(self) -> tuple[int, int]:
        """Where in ``said`` the last run of user messages is: ``said[start:end]``."""
        end = max((at + 1 for at, each in enumerate(self.said) if each.role == "user"), default=0)
        start = end
        while start and self.said[start - 1].role == "user":
            start -= 1
        return start, end

    @property
    def opening(self) -> str:
        """The mark of the first thing the user said."""
        return next((digest("", plain(each.text)) for each in self.said if each.role == "user"), "")

    @property
    def stateful(self) -> bool:
        """Whether the upstream keeps what was said before, so that it is not in the request."""
        return bool(self.response or self.conversation)

    def marks(self, since: str = "") -> list[str]:
        """For each message the mark of the user's words up to it: what a user said, and what before that.

        What the assistant said has no part in it, because clients change it: they trim it, or cut thoughts out.
        """
        marks = []
        for each in self.said:
            since = digest(since, plain(each.text)) if each.role == "user" else since
            marks.append(since)
        return marks


def plain(text: str) -> str:
    """``text`` without what clients change when they send it back: thoughts and blanks."""
    return " ".join(_THOUGHT.sub("", text).split())


def digest(*parts: str) -> str:
    """A name for ``parts`` in their order."""
    told = "\0".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Block:
    """What was quoted for one message: its ``text`` (empty if nothing was found), the ids in it, its tokens."""

    text: str
    ids: tuple[str, ...]
    tokens: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A session, how far it was (a mark of :meth:`Asked.marks`), and when."""

    session: str
    mark: str
    at: datetime


class Recent(Generic[T]):
    """A mapping that keeps its ``size`` entries used last."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Hashable, value: T) -> T:
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self.size:
            self._kept.popitem(last=False)
        return value

    def drop(self, key: Hashable) -> None:
        self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)


class Sessions:
    """See the module. Used from one thread. Holds at most ``size`` conversations, of ``ROOM`` budgets each."""

    def __init__(self, budget: int, size: int = 1024) -> None:
        self.budget = budget
        self._links = Recent[Link](8 * size)
        self._blocks = Recent[dict[str, Block]](size)

    def find(self, space: str, asked: Asked, now: datetime) -> Link | None:
        """The session that ``asked`` goes on with, if it is known here.

        It is told by what the upstream itself calls it; else by the last exchange before the question, which stays
        when a client cuts off the beginning of its history; else by all the user said before. The same opening
        within half an hour is a repetition, later it is another conversation.
        """
        if asked.stateful:
            return self._links.get((space, "response", asked.response)) or self._links.get(
                (space, "conversation", asked.conversation)
            )
        start, end = asked.question
        marks = asked.marks()
        if start == 0:
            found = self._links.get((space, "opening", marks[end - 1])) if end else None
            return found if found is not None and (not asked.last or now - found.at < PAUSE) else None
        return self._links.get((space, "exchange", _exchange(asked.said[:start]))) or self._links.get(
            (space, "mark", marks[start - 1])
        )

    def asks(self, space: str, session: str, asked: Asked, marks: Sequence[str], now: datetime) -> None:
        """``asked`` belongs to ``session``: to be found again when it is sent again, or gone on with."""
        start, end = asked.question
        if not asked.stateful:
            link = Link(session, marks[end - 1], now)
            self._links.put((space, "mark", link.mark), link)
            if start == 0:
                self._links.put((space, "opening", link.mark), link)
            else:  # an opening that was gone on with is not repeated by another one like it
                first = next(at for at, each in enumerate(asked.said) if each.role == "assistant")
                self._links.drop((space, "opening", marks[first - 1] if first else ""))

    def answered(self, space: str, link: Link, asked: Asked, answer: str, id: str) -> None:
        """The question of ``asked`` was answered, by the upstream's response ``id``."""
        end = asked.question[1]
        self._links.put((space, "exchange", _exchange([*asked.said[:end], Said("assistant", answer, -1)])), link)
        if id:
            self._links.put((space, "response", id), link)
        if asked.conversation:
            self._links.put((space, "conversation", asked.conversation), link)

    def blocks(self, space: str, session: str) -> Mapping[str, Block]:
        """What was quoted in the session: by mark, oldest first."""
        return self._blocks.get((space, session)) or {}

    def settle(self, space: str, session: str, mark: str, block: Block, stale: AbstractSet[str] = frozenset()) -> None:
        """Quote ``block`` at ``mark`` from now on, and nothing more at the marks ``stale``."""
        kept = self._blocks.get((space, session))
        kept = self._blocks.put((space, session), {}) if kept is None else kept
        for each in stale:
            kept.pop(each, None)
        if kept.get(mark) is not block:
            kept.pop(mark, None)
            kept[mark] = block
        total = sum(each.tokens for each in kept.values())
        if total > ROOM * self.budget:
            for old in list(kept)[:-1]:
                if total <= ROOM * self.budget // 2:
                    break
                total -= kept.pop(old).tokens


def _exchange(said: Sequence[Said]) -> str:
    """The name of the exchange that ``said`` ends with: what the user asked last, and what was answered."""
    asked = next((each.text for each in reversed(said) if each.role == "user"), "")
    answer = next((each.text for each in reversed(said) if each.role == "assistant"), "")
    return digest(plain(asked), plain(answer))


def new_session(opening: str, now: datetime) -> str:
    """A name for the conversation that began with ``opening`` (the mark of its first user message)."""
    return f"{_family(opening)}{now:%Y%m%dT%H%M%S}"


def stored_session(memory: Memory, opening: str) -> str | None:
    """The newest session in the store that began with ``opening``."""
    return max((name for name, _ in memory.space.sessions() if name.startswith(_family(opening))), default=None)


def _family(opening: str) -> str:
    return f"chat-{opening[:12]}-"


def recall(
    memory: Memory,
    question: str,
    *,
    budget: int,
    now: datetime,
    known: AbstractSet[str],
    held: AbstractSet[str],
    session: str | None = None,
) -> Block:
    """What to quote for ``question`` in at most ``budget`` tokens, the words around it included.

    Left out is what the model has before it already: the ids in ``known``, the texts in ``held`` (as :func:`plain`
    gives them), and the session ``session``. Numbers go on after those of ``known``.
    """
    found = memory.recall(question, k=3 * MANY + min(len(held), 100), budget=budget, now=now)
    news: dict[str, Hit] = {}
    for hit in found.hits:
        if (said := plain(hit.text)) not in held and (session is None or hit.session != session):
            news.setdefault(said, hit)
    # Whoever asks twice finds the question itself, and what was answered: neither may push out what both rest on.
    ranked = sorted(news.values(), key=_only_asks)
    # What ranks behind the best is not brought forward because they were quoted before.
    best = ranked[: MANY if found.confidence >= SURE else FEW]
    fresh = [hit for hit in best if hit.id not in known]
    numbered = [
        replace(hit, n=len(known) + place, speaker=hit.speaker or hit.record.role) for place, hit in enumerate(fresh, 1)
    ]
    text, packed = pack(numbered, budget - count_tokens(frame("")))
    if not packed:
        return Block("", (), 0, now)
    block = frame(text)
    return Block(block, tuple(hit.id for hit in fresh[:packed]), count_tokens(block), now)


def _only_asks(hit: Hit) -> bool:
    """Whether there is nothing but questions in it."""
    return all(sentence.endswith(("?", "？")) for sentence in sentences(hit.text))


def frame(text: str) -> str:
    """Recalled lines as they stand in a prompt."""
    return f"{_ABOUT}\n{quoted(text)}\nWhat the user says now:"
