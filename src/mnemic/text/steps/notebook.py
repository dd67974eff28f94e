"""A memory that is written by calls of tools: Mem-alpha's environment (Wang et al. 2025, arXiv 2509.25911), without a
store.

A :class:`Notebook` has a core, one paragraph of at most 512 tokens, and two lists, semantic and episodic, of sentences
with short ids. A writer sees a chunk of what was said and the notebook, and answers with calls of three tools;
:func:`play` applies them. What a call may not do fails alone and says why: it changes nothing, and costs reward
(:mod:`mnemic.text.rewards`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Self

from mnemic.text.encode.lexical import tokens
from mnemic.text.record import Turn
from mnemic.text.steps.render import count_tokens, cut, name, when

CORE = 512
"""Tokens of the core (the paper); a longer one is cut."""
ENTRY = 120
"""Tokens of an entry; a longer one is refused: it is no sentence."""
SHOWN = 20
"""How many of the latest entries of each list a writer is shown (the paper)."""
MARKER = " [cut]"


class Shelf(StrEnum):
    """The three parts of a notebook."""

    CORE = "core"
    SEMANTIC = "semantic"
    EPISODIC = "episodic"


LISTS = (Shelf.SEMANTIC, Shelf.EPISODIC)


class Tool(StrEnum):
    """What a writer can do."""

    INSERT = "new_memory_insert"
    UPDATE = "memory_update"
    DELETE = "memory_delete"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool. ``turns`` are the ids of what was said that bears it out, where a writer names them."""

    tool: Tool
    shelf: Shelf
    content: str = ""
    id: str = ""
    turns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, given: Any) -> Self:
        """A call from an object with ``tool``, ``type``, and ``content`` (or ``new_content``) and ``id`` as the tool
        needs them; or from one with ``name`` and ``arguments``, as models write it that are trained to call tools.

        Raises ValueError, TypeError or KeyError for any other shape.
        """
        if not isinstance(given, Mapping):
            raise TypeError("a call must be an object")
        if "arguments" in given:
            given = {"tool": given["name"], **dict(given["arguments"])}
        content, id = (
            "" if value is None else value
            for value in (given.get("content", given.get("new_content")), given.get("id"))
        )
        if not isinstance(content, str) or not isinstance(id, str):
            raise TypeError("content and id must be texts")
        return cls(Tool(given["tool"]), Shelf(given["type"]), name(content), id.strip())


@dataclass(frozen=True, slots=True)
class Entry:
    """A sentence of a list, and the ids of the turns that it rests on."""

    id: str
    text: str
    turns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: done, or why not. ``entry`` is the one it made, deleted or found there already; ``before``
    the one it changed."""

    call: Call
    done: bool
    reason: str = ""
    entry: Entry | None = None
    before: Entry | None = None


@dataclass(frozen=True, slots=True)
class Notebook:
    """Core, semantic and episodic memory. Entries are kept oldest first; an updated one counts as new."""

    core: str = ""
    semantic: Mapping[str, Entry] = field(default_factory=dict)
    episodic: Mapping[str, Entry] = field(default_factory=dict)

    def entries(self, shelf: Shelf) -> Mapping[str, Entry]:
        """The list called ``shelf`` by id."""
        return self.semantic if shelf == Shelf.SEMANTIC else self.episodic

    def apply(self, call: Call) -> tuple[Notebook, Outcome]:
        """The notebook after ``call``, and what became of it."""
        if call.tool != Tool.DELETE and not tokens(call.content):
            return self, Outcome(call, False, "there is no content")
        if call.shelf == Shelf.CORE:
            if call.tool != Tool.UPDATE:
                return self, Outcome(call, False, "the core can only be updated, as a whole")
            return replace(self, core=bounded(call.content)), Outcome(call, True)
        listed = self.entries(call.shelf)
        if call.tool != Tool.INSERT and call.id not in listed:
            return self, Outcome(call, False, f"no {call.shelf} entry has the id {call.id[:20]!r}")
        if call.tool == Tool.DELETE:
            return self._with(call.shelf, {id: e for id, e in listed.items() if id != call.id}), Outcome(
                call, True, entry=listed[call.id]
            )
        if count_tokens(call.content) > ENTRY:
            return self, Outcome(call, False, f"an entry has at most {ENTRY} tokens")
        same = next((entry for entry in listed.values() if entry.text == call.content), None)
        if same is not None:
            return self, Outcome(call, False, "it is there already", same)
        kept = {id: entry for id, entry in listed.items() if id != call.id or call.tool == Tool.INSERT}
        entry = Entry(short_id(call.content, call.turns, listed), call.content, call.turns)
        before = listed[call.id] if call.tool == Tool.UPDATE else None
        return self._with(call.shelf, {**kept, entry.id: entry}), Outcome(call, True, entry=entry, before=before)

    def _with(self, shelf: Shelf, listed: Mapping[str, Entry]) -> Notebook:
        return replace(self, semantic=listed) if shelf == Shelf.SEMANTIC else replace(self, episodic=listed)

    def shown(self, latest: int = SHOWN) -> str:
        """What a writer sees: the core, and the ``latest`` entries of each list with their ids."""
        lines = [f"core: {self.core or '(empty)'}"]
        for shelf in LISTS:
            lines.append(f"{shelf}:")
            lines += [f"  {entry.id}: {entry.text}" for entry in list(self.entries(shelf).values())[-latest:]]
        return "\n".join(lines)

    def text(self) -> str:
        """All that is in it, a line each."""
        entries = [entry.text for shelf in LISTS for entry in self.entries(shelf).values()]
        return "\n".join([*([self.core] if self.core else []), *entries])

    def tokens(self) -> int:
        """How long it is."""
        return count_tokens(self.text())


def bounded(core: str) -> str:
    """``core``, cut with a marker where it exceeds 512 tokens."""
    if count_tokens(core) <= CORE:
        return core
    return cut(core, CORE - count_tokens(MARKER)).removesuffix("…") + MARKER


def short_id(text: str, turns: Sequence[str], taken: Iterable[str]) -> str:
    """Four characters that follow from what an entry says; more where they are ``taken``."""
    known = set(taken)
    told = blake2b("\0".join((text, *turns)).encode(), digest_size=16).hexdigest()
    return next((told[:size] for size in range(4, 32) if told[:size] not in known), told)


# -- the environment -----------------------------------------------------------------------------------------------

Chunk = Sequence[Turn]
"""What was said, as a writer gets it at once."""
Writer = Callable[[Notebook, Chunk], Sequence[Call]]
"""Sees the notebook and a chunk, and answers with calls."""


@dataclass(frozen=True, slots=True)
class Step:
    """One chunk: what was said, what became of the writer's calls, and the notebook after them. ``unread`` calls were
    no calls at all."""

    chunk: Chunk
    outcomes: tuple[Outcome, ...]
    notebook: Notebook
    unread: int = 0


def play(notebook: Notebook, chunk: Chunk, calls: Iterable[Call], unread: int = 0) -> Step:
    """The step that ``calls`` make, one after the other."""
    outcomes = []
    for call in calls:
        notebook, outcome = notebook.apply(call)
        outcomes.append(outcome)
    return Step(chunk, tuple(outcomes), notebook, unread)


def episode(chunks: Iterable[Chunk], writer: Writer, notebook: Notebook | None = None) -> list[Step]:
    """Let ``writer`` go through ``chunks``, each step beginning where the one before ended."""
    steps: list[Step] = []
    for chunk in chunks:
        before = steps[-1].notebook if steps else notebook or Notebook()
        steps.append(play(before, chunk, writer(before, chunk)))
    return steps


def numbered(chunk: Chunk) -> str:
    """A chunk as a writer that is a model sees it: numbered lines with date and speaker."""
    lines = []
    for n, turn in enumerate(chunk, 1):
        text = turn.text.replace("\n", "\n    ")
        lines.append(f"{n}. {when(turn.at)} {name(turn.speaker or turn.role or '?')}: {text}")
    return "\n".join(lines)


_DATED = re.compile(
    r"\b\d{4}-\d{2}(?:-\d{2})?\b|\b(?:19|20)\d\d\b"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d|\b\d{1,2}[:.]\d{2}\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\s*(?:n/?a|none|null|empty|unknown|todo|tbd|placeholder|no (?:information|content).*|\W*)\s*", re.I
)


def fits(call: Call) -> bool:
    """Whether what a call writes is of the kind that its shelf is for, by rule: an episode says when it was, nothing is
    a placeholder, and what is only dated is no lasting fact."""
    if call.tool == Tool.DELETE:
        return True
    if _PLACEHOLDER.fullmatch(call.content) or not tokens(call.content):
        return False
    if call.shelf == Shelf.EPISODIC:
        return bool(_DATED.search(call.content))
    return call.shelf == Shelf.CORE or not call.content.startswith("At ")
