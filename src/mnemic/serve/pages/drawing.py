"""What a graph shows: memories, what they are linked to, and what holds several of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mnemic.errors import NotFoundError
from mnemic.serve.pages import layout, words
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Record, State
from mnemic.text.steps import render

MOST = 80
"""Nodes that are drawn at once."""
BEGIN = 14
"""Derived memories that an overview begins with."""
READ = 5000
"""Derived memories that are looked through for where to begin."""
STEP = 14
"""Nodes that an expansion adds at most."""
HUBS = ("subject", "session", "hub")
"""Looks of the nodes that are no memories."""
LABELLED = 26
"""Up to this many nodes every turn shows its words; in larger drawings it is a dot until looked at."""
FACTS = (Kind.FACT, Kind.PREFERENCE, Kind.EVENT)
ABOUT, WITHIN = "subject:", "session:"
"""Prefixes of the nodes that are no memories: whom facts are about, and conversations."""


@dataclass(frozen=True, slots=True)
class Node:
    """A memory, or what holds several together. ``more`` is how many neighbours are not drawn."""

    id: str
    look: str
    label: str
    told: str
    more: int = 0

    @property
    def box(self) -> layout.Point:
        """Width and height."""
        if not self.label:
            return (28.0, 28.0)
        if self.look in HUBS:
            return (max(58.0, 8.4 * len(self.label) + 30), 38.0)
        return (7.0 * len(self.label) + 42, 34.0)


@dataclass
class Drawing:
    """What is drawn so far. It only grows: what is placed stays in its place."""

    focus: str = ""
    opened: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], float] = field(default_factory=dict)
    places: dict[str, layout.Point] = field(default_factory=dict)
    full: bool = False
    _counted: Counter[str] | None = None

    def begin(self, memory: Memory, focus: str) -> None:
        """Around ``focus``; without it, around what was derived last."""
        self.focus = focus
        if focus.startswith((ABOUT, WITHIN)):
            self.open(memory, focus)
            return
        if focus:
            found = memory.get(focus)
            if _shown(found) != found or not (found or memory.space.neighbours([focus])):
                raise NotFoundError("this memory is not there: it was never stored here, or it was forgotten")
            self._add(found)
            self.open(memory, focus)
            return
        derived = _every(memory, [kind for kind in Kind if kind != Kind.TURN])
        derived.sort(key=lambda each: (each.valid.end is None, each.at.timestamp() if each.at else 0.0, each.id))
        first = derived[-BEGIN:]
        self._add(first)
        for record in first:
            self._add(_shown(memory.get(record.sources[:2])))
            if record.supersedes:
                self._add(_shown(memory.get(record.supersedes)))
        self._settle(memory)

    def open(self, memory: Memory, id: str) -> None:
        """Add the neighbours of a node."""
        if id not in self.opened:
            self.opened.append(id)
        self._add(_beside(memory, id)[:STEP])
        self._settle(memory)

    def _add(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.id in self.records:
                continue
            if len(self.records) >= MOST - 12:  # room for what holds them together
                self.full = True
                return
            self.records[record.id] = record

    def _settle(self, memory: Memory) -> None:
        """The nodes and edges of what is known, and places for what has none yet."""
        self.edges, beside = self._linked(memory)
        held: dict[str, list[str]] = {}
        for (source, target, _), _ in self.edges.items():  # what a system ties memories to may be no memory
            for end, other in ((source, target), (target, source)):
                if end not in self.records:
                    held.setdefault(end, []).append(other)
        for record in self.records.values():
            if holder := _holder(record):
                held.setdefault(holder, []).append(record.id)
        holding = {
            holder: ids
            for holder, ids in held.items()
            if holder.startswith(ABOUT) or len(ids) > 1 or self.focus in (holder, *ids)
        }
        self.edges = {
            ends: weight for ends, weight in self.edges.items() if {*ends[:2]} <= self.records.keys() | holding.keys()
        }
        for holder, ids in holding.items():
            if holder.startswith((ABOUT, WITHIN)):
                kind = "about" if holder.startswith(ABOUT) else "in"
                self.edges |= {(id, holder, kind): 1.0 for id in ids}
        crowded = len(self.records) > LABELLED
        self.nodes = {
            id: _node(record, beside[id], crowded and id != self.focus) for id, record in self.records.items()
        } | {holder: _hub(holder, self._hidden(memory, holder)) for holder in holding}
        boxes = {id: node.box for id, node in self.nodes.items()}
        self.places = layout.settle(boxes, [(a, b) for a, b, _ in self.edges], self.places)

    def _linked(self, memory: Memory) -> tuple[dict[tuple[str, str, str], float], Counter[str]]:
        """The links between what is drawn and to what is no memory; how many neighbours of each are not drawn."""
        links = memory.space.neighbours(list(self.records))
        outside = {end for link in links for end in (link.source, link.target)} - self.records.keys()
        outside |= {end for each in self.records.values() for end in (each.supersedes, each.superseded_by) if end}
        there = {record.id: record for record in memory.get(sorted(outside - self.records.keys()))}
        visible = {record.id for record in _shown(list(there.values()))}
        edges: dict[tuple[str, str, str], float] = {}
        hidden: dict[str, set[str]] = {}
        for link in links:
            ends = {link.source, link.target}
            for end in ends & self.records.keys():
                hidden.setdefault(end, set()).update(ends & visible)
            if ends <= self.records.keys() or len(ends - self.records.keys() - there.keys()) == 1:
                edges[link.source, link.target, link.kind] = link.weight
        for record in self.records.values():
            beside = {end for end in (record.supersedes, record.superseded_by) if end}
            hidden.setdefault(record.id, set()).update(beside & visible)
            if record.supersedes in self.records:
                edges[record.id, record.supersedes or "", "supersedes"] = 1.0
        edges = {ends: weight for ends, weight in edges.items() if not {*ends[:2]} & there.keys()}
        return edges, Counter({id: len(ids) for id, ids in hidden.items()})

    def _hidden(self, memory: Memory, holder: str) -> int:
        """How many memories hang on ``holder`` and are not drawn."""
        if holder.startswith(ABOUT):
            return self._subjects(memory)[holder] - sum(_holder(each) == holder for each in self.records.values())
        return sum(record.id not in self.records for record in _beside(memory, holder))

    def _subjects(self, memory: Memory) -> Counter[str]:
        """How many facts there are about each subject, counted once."""
        if self._counted is None:
            self._counted = Counter(_holder(record) or "" for record in _every(memory, FACTS))
        return self._counted


def _beside(memory: Memory, id: str) -> list[Record]:
    """What a node is linked to."""
    if id.startswith(ABOUT):
        subject = id[len(ABOUT) :]
        return [record for record in _every(memory, FACTS) if str(record.fields.get("subject") or "") == subject]
    if id.startswith(WITHIN):
        page, _ = memory.scan(Filter(kinds=[Kind.TURN], sessions=[id[len(WITHIN) :]]), limit=2 * STEP)
        return page
    ends = {end for link in memory.space.neighbours([id]) for end in (link.source, link.target)}
    for record in memory.get(id):  # none where a system tied memories to something else
        ends |= {end for end in (record.supersedes, record.superseded_by) if end}
    return _shown(memory.get(sorted(ends - {id})))


def _every(memory: Memory, kinds: Sequence[Kind]) -> list[Record]:
    """The memories of these kinds, in the order they were stored; of very many, the first."""
    found: list[Record] = []
    cursor: str | None = None
    while len(found) < READ:
        page, cursor = memory.scan(Filter(kinds=kinds), cursor=cursor)
        found += page
        if cursor is None:
            break
    return found[:READ]


def _holder(record: Record) -> str | None:
    """The node that a memory hangs on: whom a fact is about, in which conversation a turn was said."""
    if subject := record.fields.get("subject"):
        return f"{ABOUT}{subject}"
    return f"{WITHIN}{record.session}" if record.kind == Kind.TURN and record.session else None


def _shown(records: list[Record]) -> list[Record]:
    return [record for record in records if record.state != State.FORGOTTEN]


def _node(record: Record, more: int, small: bool) -> Node:
    text = render.shown(record)
    look = (
        f"k-{record.kind}"
        if str(record.kind) in ("turn", "fact", "preference", "event", "summary", "note")
        else "k-other"
    )
    label = "" if small and record.kind == Kind.TURN else words.short(text, 26)
    if record.state != State.ACTIVE:
        look += " old"
    said = (
        f"{render.name(record.speaker)}, {words.day(record.at)}: "
        if record.speaker and record.kind == Kind.TURN
        else ""
    )
    return Node(record.id, look, label, f"{said}{words.short(text, 220)}", more)


def _hub(id: str, more: int) -> Node:
    """What holds memories together: a subject, a conversation, or something that only the system knows."""
    look, _, name = id.partition(":") if id.startswith((ABOUT, WITHIN)) else ("hub", "", id)
    shown = render.name(name)
    return Node(id, look, words.short(shown, 22) or "?", f"{look.capitalize()} {shown}", more)
