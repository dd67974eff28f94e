"""The searchable picture of one space in memory: columns for items and keys, postings for each leg.

It is never the truth: it is filled from the store's rows, follows the store by sequence number, and can be
thrown away at any time. Searching it touches no SQL.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats
from mnemic.text.plan import Bools, Candidates, Filter, Ints, Matches, SearchPlan
from mnemic.text.record import Kind, to_micros
from mnemic.text.store.postings import Found, Postings

KINDS = tuple(Kind)
NEVER = np.inf
"""A time that does not come: an item that is not retired, not forgotten, still valid."""
PRESENT = 1e300
"""The store's present state, in seconds: later than every recorded time, before NEVER."""

_ITEM = np.dtype(
    [
        ("at", "f8"),
        ("valid_from", "f8"),
        ("valid_to", "f8"),
        ("ended", "f8"),
        ("recorded", "f8"),
        ("retired", "f8"),
        ("forgotten", "f8"),
        ("archived", "f8"),
        ("alive", "?"),
        ("kind", "i1"),
        ("role", "i4"),
        ("question", "?"),
        ("time_word", "?"),
        ("session", "i4"),
        ("speaker", "i4"),
        ("previous", "i4"),
        ("following", "i4"),
        ("first_key", "i4"),
        ("words", "f4"),
    ]
)
_KEY = np.dtype([("item", "i4"), ("length", "f4")])


@dataclass(frozen=True, slots=True)
class Row:
    """One stored item with its keys, as the store hands it to the index. Times in epoch seconds, NaN unknown."""

    id: str
    kind: Kind
    at: float
    valid_from: float
    valid_to: float
    ended: float
    recorded: float
    retired: float
    forgotten: float
    archived: float
    speaker: str | None
    role: str | None
    session: str | None
    supersedes: str | None
    question: bool
    time_word: bool
    words: int
    tokens: Sequence[str]
    sparse_terms: Sequence[NDArray[np.int32]]
    sparse_weights: Sequence[Floats]
    dense: Sequence[Floats]


class Table:
    """A structured array that grows by doubling. ``view()`` is the filled part, sharing memory."""

    def __init__(self, dtype: np.dtype[Any], width: int | None = None) -> None:
        self._shape = () if width is None else (width,)
        self._data = np.zeros((64, *self._shape), dtype)
        self.count = 0

    def grow(self, extra: int) -> NDArray[Any]:
        """Room for ``extra`` more rows; returns the new rows, zeroed."""
        wanted = self.count + extra
        if wanted > len(self._data):
            bigger = np.zeros((max(wanted, 2 * len(self._data)), *self._shape), self._data.dtype)
            bigger[: self.count] = self._data[: self.count]
            self._data = bigger
        rows = self._data[self.count : wanted]
        self.count = wanted
        return rows

    def view(self) -> NDArray[Any]:
        return self._data[: self.count]


class Names:
    """Strings to small numbers and back."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, name: str | None) -> int:
        """The number of ``name``, given out on first sight; -1 for None."""
        if name is None:
            return -1
        code = self._codes.setdefault(name, len(self.names))
        if code == len(self.names):
            self.names.append(name)
        return code

    def get(self, name: str) -> int:
        """The number of ``name``, -1 if it was never given one."""
        return self._codes.get(name, -1)

    def find(self, names: Iterable[str]) -> list[int]:
        return [self._codes[name] for name in names if name in self._codes]

    def __len__(self) -> int:
        return len(self.names)


class Index:
    """Columns and postings of one space. ``lock`` guards every use: hold it while adding or searching."""

    def __init__(self, dense_dim: int | None = None) -> None:
        self.lock = threading.RLock()
        self.seq = 0
        self.ids: list[str] = []
        self.rows: dict[str, int] = {}
        self.items = Table(_ITEM)
        self.keys = Table(_KEY)
        self.vectors = Table(np.dtype("f4"), dense_dim) if dense_dim else None
        self.sessions = Names()
        self.speakers = Names()
        self.roles = Names()
        self.vocabulary = Names()
        self.lexical = Postings()
        self.sparse = Postings()
        self._tails: dict[int, int] = {}
        self._total_length = 0.0
        self._live_keys = 0

    # -- filling ---------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[Row]) -> None:
        """Add new items, in the store's order. Items already known only have their states refreshed."""
        fresh = []
        for row in rows:
            known = self.rows.get(row.id)
            if known is None:
                fresh.append(row)
            else:
                self.refresh(known, row)
        if not fresh:
            return
        first_item, first_key = self.items.count, self.keys.count
        items = self.items.grow(len(fresh))
        key_total = sum(len(row.tokens) for row in fresh)
        keys = self.keys.grow(key_total)
        if self.vectors is not None:
            vectors = self.vectors.grow(key_total)
        code, key_at = self.vocabulary.code, 0
        flat_terms: list[int] = []
        flat_counts: list[int] = []
        per_key: list[int] = []
        for i, row in enumerate(fresh):
            number = first_item + i
            self.ids.append(row.id)
            self.rows[row.id] = number
            items[i] = (
                row.at, row.valid_from, row.valid_to, row.ended, row.recorded, row.retired, row.forgotten,
                row.archived, True, KINDS.index(row.kind), self.roles.code(row.role),
                row.question, row.time_word, self.sessions.code(row.session), self.speakers.code(row.speaker),
                -1, -1, first_key + key_at, row.words,
            )  # fmt: skip
            for j, text in enumerate(row.tokens):
                counts: dict[int, int] = {}
                length = 0
                for token in text.split():
                    term = code(token)
                    counts[term] = counts.get(term, 0) + 1
                    length += 1
                flat_terms.extend(counts)
                flat_counts.extend(counts.values())
                per_key.append(len(counts))
                keys[key_at] = (number, length)
                self._total_length += length
                if self.vectors is not None and row.dense:
                    vectors[key_at] = row.dense[j]
                key_at += 1
            self._live_keys += len(row.tokens)
            if row.kind == Kind.TURN and row.session is not None:
                self._link(number, row)
        numbers = np.arange(first_key, first_key + key_total, dtype=np.int32)
        self.lexical.add(np.array(flat_terms, np.int32), np.repeat(numbers, per_key), np.array(flat_counts, np.float32))
        sparse_terms = [terms for row in fresh for terms in row.sparse_terms]
        if sparse_terms:
            self.sparse.add(
                np.concatenate(sparse_terms),
                np.repeat(numbers, [len(terms) for terms in sparse_terms]),
                np.concatenate([weights for row in fresh for weights in row.sparse_weights]),
            )

    def _link(self, number: int, row: Row) -> None:
        """Thread a turn into its session by time, or into the place of the turn that it revises."""
        items = self.items.view()
        session = int(items["session"][number])
        revised = self.rows.get(row.supersedes) if row.supersedes else None
        if revised is not None and items["session"][revised] == session:
            before, after = int(items["previous"][revised]), int(items["following"][revised])
        else:
            before, after = self._tails.get(session, -1), -1
            while before >= 0 and items["at"][before] > row.at:
                before, after = int(items["previous"][before]), before
        items["previous"][number], items["following"][number] = before, after
        if before >= 0:
            items["following"][before] = number
        if after >= 0:
            items["previous"][after] = number
        else:
            self._tails[session] = number

    def refresh(self, number: int, row: Row) -> None:
        """Take over the states that can change after writing."""
        item = self.items.view()[number]
        item["ended"], item["retired"], item["forgotten"] = row.ended, row.retired, row.forgotten
        item["archived"] = row.archived

    def drop(self, ids: Iterable[str]) -> None:
        """Take purged items out of sight; their postings go when the index is next loaded."""
        items = self.items.view()
        for id in ids:
            number = self.rows.pop(id, None)
            if number is None:
                continue
            items["alive"][number] = False
            before, after = int(items["previous"][number]), int(items["following"][number])
            if before >= 0 and items["following"][before] == number:
                items["following"][before] = after
            if after >= 0 and items["previous"][after] == number:
                items["previous"][after] = before
            session = int(items["session"][number])
            if self._tails.get(session) == number:
                self._tails[session] = before
            mine = self.keys.view()["item"] == number
            self._live_keys -= int(mine.sum())
            self._total_length -= float(self.keys.view()["length"][mine].sum())

    # -- searching -------------------------------------------------------------------------------------------

    def visible(self, as_of: float | None, valid_at: float | None, archived: bool = False) -> Bools:
        """Which items [items] the store shows: at its state ``as_of``, about the world at ``valid_at``."""
        items = self.items.view()
        moment = PRESENT if as_of is None else as_of
        shown = items["alive"] & (items["forgotten"] > moment)
        if as_of is not None:
            shown &= items["recorded"] <= moment
        if not archived:
            shown &= items["archived"] > moment
        if valid_at is None:
            shown &= items["retired"] > moment
        else:
            ended = np.where(items["retired"] <= moment, items["ended"], items["valid_to"])
            shown &= ~(items["valid_from"] > valid_at) & (valid_at < ended)
        return shown

    def matching(self, filter: Filter) -> Bools | None:
        """Which items pass the columns of ``filter``; None when it asks for nothing."""
        items = self.items.view()
        mask: Bools | None = None

        def also(condition: Bools) -> None:
            nonlocal mask
            mask = condition if mask is None else mask & condition

        if filter.kinds:
            also(np.isin(items["kind"], [KINDS.index(Kind.parse(kind)) for kind in filter.kinds]))
        if filter.speakers:
            also(np.isin(items["speaker"], self.speakers.find(filter.speakers)))
        if filter.sessions:
            also(np.isin(items["session"], self.sessions.find(filter.sessions)))
        if filter.roles:
            also(np.isin(items["role"], self.roles.find(filter.roles)))
        if filter.since is not None:
            also(items["at"] >= to_micros(filter.since) / 1e6)
        if filter.until is not None:
            also(items["at"] < to_micros(filter.until) / 1e6)
        return mask

    def session_starts(self) -> list[tuple[str, float]]:
        """The sessions that still have a turn, with the time of their first, in time order; undated ones first."""
        items = self.items.view()
        inside = items["alive"] & (items["forgotten"] == NEVER) & (items["session"] >= 0)
        starts = np.full(len(self.sessions), np.nan)
        np.fmin.at(starts, items["session"][inside], items["at"][inside])
        starts = np.nan_to_num(starts, nan=-np.inf)
        there = np.bincount(items["session"][inside], minlength=len(self.sessions)) > 0
        return [(self.sessions.names[s], float(starts[s])) for s in np.argsort(starts, kind="stable") if there[s]]

    def numbers(self, ids: Iterable[str]) -> Bools:
        """A mask [items] of the given ids."""
        mask = np.zeros(self.items.count, bool)
        mask[[self.rows[id] for id in ids if id in self.rows]] = True
        return mask

    def search(self, plan: SearchPlan, allowed: Bools | None = None) -> Candidates:
        """Candidates of all legs of ``plan`` with their neighbours. ``allowed`` [items] narrows further."""
        keys = self.keys.view()
        seconds = [None if t is None else to_micros(t) / 1e6 for t in (plan.as_of, plan.valid_at)]
        seen = self.visible(seconds[0], seconds[1], plan.filter.archived)
        wanted = seen
        for mask in (self.matching(plan.filter), allowed):
            if mask is not None:
                wanted = wanted & mask
        key_wanted = wanted[keys["item"]]
        key_seen = None if seen.all() else seen[keys["item"]]
        terms = list(dict.fromkeys(plan.terms))  # a term never seen has code -1 and no postings, but counts as missing
        term_codes = np.array([self.vocabulary.get(term) for term in terms], np.int32)
        term_counts = np.array([list(plan.terms).count(term) for term in terms], np.float32)
        lexical = self.lexical.find(term_codes).among(key_seen)
        sparse = self.sparse.find(plan.sparse.terms).among(key_seen) if plan.sparse is not None else None
        cosines = None
        if plan.dense is not None and self.vectors is not None:
            cosines = self.vectors.view() @ plan.dense

        exact = len(keys) <= plan.exact
        if exact:
            slots = np.flatnonzero(seen[keys["item"]])
        else:
            chosen = np.zeros(len(keys), bool)
            chosen[_best(self._overlap(lexical, len(term_codes), key_seen), key_wanted, plan.depth)] = True
            if sparse is not None and plan.sparse is not None:
                scores = np.bincount(sparse.keys, sparse.weights * plan.sparse.weights[sparse.owner], len(keys))
                chosen[_best(scores, key_wanted, plan.depth)] = True
            if cosines is not None:
                chosen[_best(cosines, key_wanted, plan.depth)] = True
            at = self.items.view()["at"][keys["item"]]
            for start, end in plan.boost:
                chosen |= key_wanted & (at >= to_micros(start) / 1e6) & (at < to_micros(end) / 1e6)
            slots = self._with_neighbours(np.flatnonzero(chosen), plan.hops, seen)
        return self._columns(plan, slots, key_wanted, key_seen, term_counts, lexical, sparse, exact)

    def _size(self, key_seen: Bools | None) -> tuple[int, float]:
        """How many keys can be seen, and their mean length."""
        count, total = self._live_keys, self._total_length
        if key_seen is not None:
            count, total = int(key_seen.sum()), float(self.keys.view()["length"][key_seen].sum())
        return count, total / max(count, 1)

    def _overlap(self, found: Found, terms: int, key_seen: Bools | None) -> NDArray[np.float64]:
        """BM25 of every key [keys], saturation 1.2 and length share 0.5, to choose candidates by."""
        count, mean_length = self._size(key_seen)
        df = np.bincount(found.owner, minlength=terms)
        idf = np.log1p((count - df + 0.5).clip(0.0) / (df + 0.5))
        lengths = self.keys.view()["length"]
        norm = 1.2 * (0.5 + 0.5 * lengths[found.keys] / max(mean_length, 1e-9))
        gain = idf[found.owner] * found.weights * 2.2 / (found.weights + norm)
        return np.bincount(found.keys, gain, len(lengths)).astype(np.float64)

    def _with_neighbours(self, slots: Ints, hops: int, seen: Bools) -> Ints:
        """The keys ``slots`` and those up to ``hops`` turns before and after them in their sessions."""
        items, keys = self.items.view(), self.keys.view()
        chosen = np.zeros(len(keys), bool)
        chosen[slots] = True
        for side in ("previous", "following"):
            reached = keys["item"][slots]
            for _ in range(hops):
                reached = items[side][reached]
                reached = np.unique(reached[reached >= 0])
                chosen[items["first_key"][reached[seen[reached]]]] = True
        return np.flatnonzero(chosen)

    def _columns(
        self,
        plan: SearchPlan,
        slots: Ints,
        key_wanted: Bools,
        key_seen: Bools | None,
        term_counts: Floats,
        lexical: Found,
        sparse: Found | None,
        exact: bool,
    ) -> Candidates:
        items, keys = self.items.view(), self.keys.view()
        number = keys["item"][slots]
        mine = items[number]
        slot_of_key = np.full(len(keys) + 1, -1, np.int64)  # the last place catches "no neighbour"
        slot_of_key[slots] = np.arange(len(slots))
        session_codes, session = np.unique(mine["session"], return_inverse=True)
        outside = int(len(session_codes) > 0 and session_codes[0] < 0)  # records outside any session sort first
        session_codes, session = session_codes[outside:], session - outside

        def neighbour(side: str) -> Ints:
            beside = mine[side]
            return np.where(beside >= 0, slot_of_key[items["first_key"][beside]], -1)

        count, mean_length = self._size(key_seen)
        all_sessions = items["session"][keys["item"]]
        session_total = len(self.sessions)
        lengths = np.zeros(session_total + 1, np.float32)
        np.add.at(lengths, all_sessions, keys["length"] if key_seen is None else keys["length"] * key_seen)
        first_at = np.full(session_total + 1, np.nan)
        np.fmin.at(first_at, mine["session"], mine["at"])
        before = mine["previous"]
        first = (mine["session"] >= 0) & ((before < 0) | (items["previous"][before] < 0))

        def matches(found: Found, query: Floats, pool: np.ufunc) -> Matches:
            total = len(query)
            weights = np.zeros((len(slots), total), np.float32)
            place = slot_of_key[found.keys]
            here = place >= 0
            weights[place[here], found.owner[here]] = found.weights[here]
            by_session = np.zeros((session_total + 1, total), np.float32)
            owner_session = all_sessions[found.keys]
            inside = owner_session >= 0
            pool.at(by_session, (owner_session[inside], found.owner[inside]), found.weights[inside])
            return Matches(
                query=query,
                weights=weights,
                sessions=by_session[session_codes],
                df=np.bincount(found.owner, minlength=total).astype(np.float32),
                session_df=(by_session[:-1] > 0).sum(axis=0).astype(np.float32),
            )

        return Candidates(
            item=number.astype(np.int64),
            eligible=key_wanted[slots],
            previous=neighbour("previous"),
            following=neighbour("following"),
            session=session.astype(np.int64),
            speaker=mine["speaker"].astype(np.int64),
            is_turn=mine["kind"] == 0,
            assistant=(mine["role"] >= 0) & (mine["role"] == self.roles.get("assistant")),
            question=mine["question"],
            time_word=mine["time_word"],
            first=first,
            length=keys["length"][slots],
            words=mine["words"],
            at=mine["at"],
            session_at=first_at[session_codes],
            session_length=lengths[session_codes],
            speakers=tuple(self.speakers.names),
            count=count,
            mean_length=mean_length,
            session_count=session_total
            if key_seen is None
            else len(np.unique(all_sessions[key_seen & (all_sessions >= 0)])),
            lexical=matches(lexical, term_counts, np.add) if len(term_counts) else None,
            sparse=matches(sparse, plan.sparse.weights, np.maximum) if sparse and plan.sparse is not None else None,
            vectors=self.vectors.view()[slots] if plan.dense is not None and self.vectors is not None else None,
            dense=plan.dense,
            exact=exact,
        )


def _best(scores: NDArray[Any], allowed: Bools, count: int) -> Ints:
    """The places of the ``count`` largest positive scores among the allowed."""
    scores = np.where(allowed, scores, 0.0)
    if len(scores) > count:
        top = np.argpartition(scores, -count)[-count:]
    else:
        top = np.arange(len(scores))
    return top[scores[top] > 0]


_QUESTION = re.compile(r"[?？]\s*[\"'”’)\]]*\s*$")


def is_question(text: str) -> bool:
    """Whether the text ends by asking."""
    return bool(_QUESTION.search(text[-64:]))
