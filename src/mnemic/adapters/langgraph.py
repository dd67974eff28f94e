"""A LangGraph store in a memory: items by namespace and key, searched by meaning, old values kept as forgotten."""

from __future__ import annotations

import asyncio
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from mnemic.adapters.items import Path, joined, split
from mnemic.adapters.verbs import Verbs
from mnemic.errors import InputError, MissingExtraError
from mnemic.text.plan import Filter, every
from mnemic.text.record import Kind, Record, Turn

try:
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        Item,
        ListNamespacesOp,
        MatchCondition,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        tokenize_path,
    )
except ImportError as error:
    raise MissingExtraError("this needs LangGraph; run: pip install 'mnemic[langgraph]'") from error

KEY = "langgraph"
"""What is kept of an item beside its text, in ``meta``; ``langgraph.0`` and so on are the labels of its namespace."""
SEARCHED = f"{KEY}.searched"
DEEPEST = 1000
"""Items that a search by meaning looks at, best first."""
Place = tuple[tuple[str, ...], str]


class MnemicStore(BaseStore):
    """Every item is a memory. ``search`` with a query is a recall: what has nothing to do with it is left out.

    ``fields`` are the paths of values that are searched where ``put`` names none (default: all of a value). With
    ``secrets=False`` secrets come back masked; in clear they take an admin token where the memory is a client's.

    >>> store = MnemicStore(memory)  # doctest: +SKIP
    >>> store.put(("users", "ana"), "pet", {"text": "Ana adopted a beagle called Pim."})  # doctest: +SKIP
    >>> store.search(("users",), query="What is Ana's dog called?")[0].key  # doctest: +SKIP
    'pet'
    """

    def __init__(self, memory: Verbs, *, fields: Sequence[str] | None = None, secrets: bool = True) -> None:
        self.memory = memory
        self.fields = list(fields) if fields is not None else None
        self.secrets = secrets

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do ``ops``. Those that read see what was there before those that write; of two puts the later counts."""
        results: list[Result] = []
        puts: dict[Place, PutOp] = {}
        for op in ops:
            if isinstance(op, GetOp):
                found = self._at((op.namespace, op.key))
                results.append(_item(found[-1]) if found else None)
            elif isinstance(op, SearchOp):
                results.append(self._search(op))
            elif isinstance(op, ListNamespacesOp):
                results.append(self._namespaces(op))
            elif isinstance(op, PutOp):
                puts[op.namespace, op.key] = op
                results.append(None)
            else:
                raise InputError(f"a store knows no operation {type(op).__name__}")
        self._put(puts)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    # -- writing ---------------------------------------------------------------------------------------------

    def _put(self, puts: Mapping[Place, PutOp]) -> None:
        """Store the new values, then forget the old ones: in between both are there, and the newer counts."""
        olds = {place: self._at(place) for place in puts}
        turns = [self._turn(op, olds[place]) for place, op in puts.items() if op.value is not None]
        if turns:
            self.memory.remember(turns)
        if gone := [record.id for records in olds.values() for record in records]:
            self.memory.forget(gone)

    def _turn(self, op: PutOp, olds: Sequence[Record]) -> Turn:
        value = dict(op.value or {})
        fields = self.fields if op.index is None else op.index
        text, kept = split(value, wanted=_wanted(value, fields))
        made = _made(olds[-1]).isoformat() if olds else None
        meta: dict[str, Any] = {
            KEY: {"namespace": list(op.namespace), "key": op.key, "made": made, **kept},
            SEARCHED: fields is not False,
            **_labels(op.namespace),
        }
        return Turn(text, session=_session((op.namespace, op.key)), meta=meta)

    # -- reading ---------------------------------------------------------------------------------------------

    def _at(self, place: Place) -> list[Record]:
        """The records of an item: one, unless a put was broken off."""
        return list(self._scan(Filter(sessions=[_session(place)])))

    def _scan(self, filter: Filter) -> Iterator[Record]:
        wanted = Filter(kinds=[Kind.TURN], sessions=filter.sessions, meta=filter.meta)
        found = every(lambda at: self.memory.scan(wanted, cursor=at, secrets=self.secrets))
        return (record for record in found if KEY in record.meta)

    def _search(self, op: SearchOp) -> list[SearchItem]:
        found = self._ranked(op) if op.query else self._listed(op)
        return found[op.offset : op.offset + op.limit]

    def _listed(self, op: SearchOp) -> list[SearchItem]:
        newest = {_place(record): record for record in self._scan(Filter(meta=_labels(op.namespace_prefix)))}
        items = (_search_item(record, None) for record in newest.values())
        return [item for item in items if _passes(item.value, op.filter or {})]

    def _ranked(self, op: SearchOp) -> list[SearchItem]:
        """The items that match the query best: more are recalled until enough of them pass the filter."""
        meta = {SEARCHED: True, **_labels(op.namespace_prefix)}
        wanted = max(1, op.offset + op.limit)
        k = min(wanted, DEEPEST)
        while True:
            hits = self.memory.recall(op.query or "", k=k, filter=Filter(kinds=[Kind.TURN], meta=meta)).hits
            records = {hit.id: hit.record for hit in hits}
            if self.secrets:
                records = {record.id: record for record in self.memory.get(list(records), secrets=True)}
            items: dict[Place, SearchItem] = {}
            for hit in hits:
                if hit.id in records:
                    item = _search_item(records[hit.id], hit.score)
                    items.setdefault((item.namespace, item.key), item)
            passed = [item for item in items.values() if _passes(item.value, op.filter or {})]
            if len(passed) >= wanted or len(hits) < k or k == DEEPEST:
                return passed
            k = min(4 * k, DEEPEST)

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        found = {_place(record)[0] for record in self._scan(Filter())}
        found = {namespace for namespace in found if all(_fits(namespace, each) for each in conditions)}
        cut = sorted({namespace[: op.max_depth] for namespace in found})
        return cut[op.offset : op.offset + op.limit]


# -- between items and memories ------------------------------------------------------------------------------


def _session(place: Place) -> str:
    """Each item has a session of its own: a store finds those fast, and unrelated items are no neighbours."""
    return json.dumps([*place[0], place[1]], ensure_ascii=False)


def _labels(namespace: Sequence[str]) -> dict[str, str]:
    return {f"{KEY}.{n}": label for n, label in enumerate(namespace)}


def _place(record: Record) -> Place:
    kept = record.meta[KEY]
    return tuple(kept["namespace"]), kept["key"]


def _made(record: Record) -> datetime:
    made = record.meta[KEY]["made"]
    if made is not None:
        return datetime.fromisoformat(made)
    if record.recorded is None:
        raise InputError(f"the memory {record.id!r} was not stored yet")
    return record.recorded


def _fields(record: Record) -> dict[str, Any]:
    namespace, key = _place(record)
    made = _made(record)
    return {
        "value": joined(record, record.meta[KEY]),
        "key": key,
        "namespace": namespace,
        "created_at": made,
        "updated_at": record.recorded or made,
    }


def _item(record: Record) -> Item:
    return Item(**_fields(record))


def _search_item(record: Record, score: float | None) -> SearchItem:
    return SearchItem(**_fields(record), score=score)


# -- fields, filters and namespaces --------------------------------------------------------------------------


def _wanted(value: Any, fields: Sequence[str] | Literal[False] | None) -> Callable[[Path], bool]:
    """Which places of ``value`` are searched."""
    if fields is None:
        return lambda path: True
    found = {path for field in fields or () for path in _reached(value, tokenize_path(field) if field != "$" else [])}
    return lambda path: any(path[: len(each)] == each for each in found)


def _reached(value: Any, steps: Sequence[str], path: Path = ()) -> Iterator[Path]:
    """The places that a path of LangGraph's reaches: ``a.b``, ``a[0]``, ``a[-1]``, ``a[*].b``, ``*``, ``{a,b}``."""
    if not steps:
        yield path
        return
    step, rest = steps[0], steps[1:]
    inside: dict[Any, Any] = (
        value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    )
    if step.startswith("{"):
        for field in step[1:-1].split(","):
            yield from _reached(value, [*tokenize_path(field.strip()), *rest], path)
        return
    if step in ("*", "[*]"):
        keys = list(inside) if step == "*" or isinstance(value, list) else []
    elif step.startswith("[") and isinstance(value, list):
        number = int(step[1:-1]) if step[1:-1].lstrip("-").isdecimal() else len(value)
        keys = [number % len(value)] if -len(value) <= number < len(value) else []
    else:
        keys = [step] if step in inside else []
    for key in keys:
        yield from _reached(inside[key], rest, (*path, key))


def _number(compare: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    def compared(value: Any, wanted: Any) -> bool:
        try:
            return compare(float(value), float(wanted))
        except (TypeError, ValueError):
            return False  # what is no number is neither more nor less

    return compared


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": _number(operator.gt),
    "$gte": _number(operator.ge),
    "$lt": _number(operator.lt),
    "$lte": _number(operator.le),
}


def _passes(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if any(str(key).startswith("$") for key in wanted):
            if unknown := set(wanted) - set(_OPERATORS):
                raise InputError(f"unknown operator {min(unknown)!r} in a filter: use {', '.join(_OPERATORS)}")
            return all(_OPERATORS[key](value, each) for key, each in wanted.items())
        return isinstance(value, Mapping) and all(_passes(value.get(key), each) for key, each in wanted.items())
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(wanted)
            and all(_passes(mine, each) for mine, each in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def _fits(namespace: Sequence[str], condition: MatchCondition) -> bool:
    path = condition.path
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return len(namespace) >= len(path) and all(want in ("*", got) for want, got in zip(path, part, strict=False))
