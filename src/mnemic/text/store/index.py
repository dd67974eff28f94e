"""The searchable picture of one space in memory: columns for items and keys, postings for each leg.

It is never the truth: it is filled from the store's rows, follows the store by sequence number, and can be
thrown away at any time. Searching it touches no SQL.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemic.text.encode.base import Floats
from mnemic.text.plan import Bools, Candidates, Filter, Ints, Matches, SearchPlan
from mnemic.text.record import Kind, to_micros
from mnemic.text.store.columns import ITEM, KEY, KIND_CODES, NEVER, PRESENT, TIMES, Items, Names, Row, Table
from mnemic.text.store.postings import Found, Postings


@dataclass(frozen=True, slots=True)
class View:
    """What follows from the columns alone, kept between writes: each key's item, session and length, contiguous.

    ``seen`` [items] is what the present shows; ``whole`` says that it is everything. The last place of
    ``session_length`` [sessions + 1] gathers the keys outside any session.
    """

    item: Ints
    session: Ints
    length: Floats
    seen: Bools
    whole: bool
    session_length: Floats
    session_count: int
    starts: list[tuple[str, float]]


class Index:
    """Columns and postings of one space. ``lock`` guards every use: hold it while adding or searching."""

    def __init__(self, dense_dim: int | None = None) -> None:
        self.lock = threading.RLock()
        self.seq = 0
        self.ids: list[str] = []
        self.rows: dict[str, int] = {}
        self.items = Table(ITEM)
        self.keys = Table(KEY)
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
        self._view: View | None = None

    # -- filling ---------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[Row]) -> None:
        """Add new items, in the store's order. Items already known only have their states refreshed."""
        if rows:
            self.take(Items.of(rows))

    def take(self, given: Items) -> None:
        """:meth:`add` for items in columns."""
        self._view = None
        known = np.array([self.rows.get(id, -1) for id in given.ids], np.int64)
        if (known >= 0).any():
            self._refresh(known[known >= 0], given.times[:, known >= 0])
            given = given.only(known < 0)
        if not given.ids:
            return
        first_item, first_key = self.items.count, self.keys.count
        count, key_count = len(given.ids), len(given.tokens)
        numbers = np.arange(first_item, first_item + count)
        key_numbers = np.arange(first_key, first_key + key_count, dtype=np.int32)
        items = self.items.grow(count)
        for name, moments in zip(TIMES, given.times, strict=True):
            items[name] = moments
        items["alive"] = True
        items["kind"] = [KIND_CODES[kind] for kind in given.kinds]
        items["role"] = self.roles.codes(given.roles)
        items["question"], items["time_word"] = given.question, given.time_word
        items["session"] = self.sessions.codes(given.sessions)
        items["speaker"] = self.speakers.codes(given.speakers)
        items["previous"] = items["following"] = -1
        items["place"] = numbers
        items["first_key"] = first_key + np.cumsum(given.keys) - given.keys
        items["words"], items["names"], items["reaction"] = given.words, given.names, given.reaction
        self.ids.extend(given.ids)
        self.rows.update(zip(given.ids, numbers.tolist(), strict=True))
        lengths = self._add_terms(given.tokens, key_numbers)
        keys = self.keys.grow(key_count)
        keys["item"], keys["length"] = np.repeat(numbers, given.keys), lengths
        self._total_length += float(lengths.sum())
        self._live_keys += key_count
        if len(given.terms):
            self.sparse.add(given.terms.astype(np.int32), np.repeat(key_numbers, given.postings), given.weights)
        if self.vectors is not None and given.vectors is not None:
            self.vectors.grow(key_count)[:] = given.vectors
        self._thread(given, first_item)

    def _add_terms(self, texts: Sequence[str], numbers: NDArray[np.int32]) -> Floats:
        """Index the stems of each text under its key; returns how many stems each has."""
        split = [text.split() for text in texts]
        stems = list(itertools.chain.from_iterable(split))
        codes = self.vocabulary.codes(stems)
        lengths = np.array([len(each) for each in split], np.float32)
        places = np.repeat(np.arange(len(texts)), lengths.astype(np.int64))
        flat, counts = np.unique(places * len(self.vocabulary) + codes, return_counts=True)
        place, term = np.divmod(flat, max(len(self.vocabulary), 1))
        self.lexical.add(term.astype(np.int32), numbers[place], counts.astype(np.float32))
        return lengths

    def _thread(self, fresh: Items, first: int) -> None:
        """Thread turns into their sessions by time; one that revises another shares the place of that.

        Only places are threaded (``previous``, ``following``); a place bears the number of its first turn.
        """
        items = self.items.view()
        at, previous, following, place = items["at"], items["previous"], items["following"], items["place"]
        sessions, said = items["session"][first:].tolist(), fresh.times[0].tolist()
        for number, (session, kind, moment, supersedes) in enumerate(
            zip(sessions, fresh.kinds, said, fresh.supersedes, strict=True), first
        ):
            if session < 0 or kind != Kind.TURN:
                continue
            revised = self.rows.get(supersedes) if supersedes else None
            if revised is not None and items["session"][revised] == session and items["kind"][revised] == 0:
                place[number] = place[revised]
                continue
            before, after = self._tails.get(session, -1), -1
            while before >= 0 and at[before] > moment:
                before, after = int(previous[before]), before
            previous[number], following[number] = before, after
            if before >= 0:
                following[before] = number
            if after >= 0:
                previous[after] = number
            else:
                self._tails[session] = number

    def _refresh(self, numbers: Ints, times: NDArray[np.float64]) -> None:
        """Take over the states that can change after writing."""
        items = self.items.view()
        for name in ("ended", "retired", "forgotten", "archived"):
            items[name][numbers] = times[TIMES.index(name)]

    def drop(self, ids: Iterable[str]) -> None:
        """Take purged items out of sight; their postings go when the index is next loaded."""
        self._view = None
        items = self.items.view()
        for id in ids:
            number = self.rows.pop(id, None)
            if number is None:
                continue
            items["alive"][number] = False
            place = int(items["place"][number])
            if not (items["alive"] & (items["place"] == place)).any():  # no other version is left there
                before, after = int(items["previous"][place]), int(items["following"][place])
                if before >= 0:
                    items["following"][before] = after
                if after >= 0:
                    items["previous"][after] = before
                session = int(items["session"][number])
                if self._tails.get(session) == place:
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
            also(np.isin(items["kind"], [KIND_CODES[Kind.parse(kind)] for kind in filter.kinds]))
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

    def view(self) -> View:
        """The present :class:`View`, made again after a write."""
        if self._view is None:
            items, keys = self.items.view(), self.keys.view()
            seen = self.visible(None, None)
            item = keys["item"].astype(np.int64)
            session = items["session"].astype(np.int64)[item]
            length = np.ascontiguousarray(keys["length"])
            whole = bool(seen.all())
            per_session = np.bincount(
                np.where(session >= 0, session, len(self.sessions)),
                length if whole else length * seen[item],
                len(self.sessions) + 1,
            ).astype(np.float32)
            known = np.unique(session if whole else session[seen[item]])
            count = int((known >= 0).sum())
            self._view = View(item, session, length, seen, whole, per_session, count, self._starts())
        return self._view

    def session_starts(self) -> list[tuple[str, float]]:
        """The sessions that still have a turn, with the time of their first, in time order; undated ones first."""
        return self.view().starts

    def _starts(self) -> list[tuple[str, float]]:
        items = self.items.view()
        inside = items["alive"] & (items["forgotten"] == NEVER) & (items["session"] >= 0)
        sessions = items["session"][inside].astype(np.int64)
        starts = np.full(len(self.sessions), np.nan)
        np.fmin.at(starts, sessions, items["at"][inside])
        starts = np.nan_to_num(starts, nan=-np.inf)
        there = np.bincount(sessions, minlength=len(self.sessions)) > 0
        names = self.sessions.names
        return [(names[s], at) for s, at in zip(*_sorted(starts), strict=True) if there[s]]

    def numbers(self, ids: Iterable[str]) -> Bools:
        """A mask [items] of the given ids."""
        mask = np.zeros(self.items.count, bool)
        mask[[self.rows[id] for id in ids if id in self.rows]] = True
        return mask

    def search(self, plan: SearchPlan, allowed: Bools | None = None) -> Candidates:
        """Candidates of all legs of ``plan`` with their neighbours. ``allowed`` [items] narrows further."""
        view = self.view()
        seconds = [None if t is None else to_micros(t) / 1e6 for t in (plan.as_of, plan.valid_at)]
        seen, whole = view.seen, view.whole
        if seconds != [None, None] or plan.filter.archived:
            seen = self.visible(seconds[0], seconds[1], plan.filter.archived)
            whole = bool(seen.all())
        wanted = seen
        for mask in (self.matching(plan.filter), allowed):
            if mask is not None:
                wanted = wanted & mask
        key_wanted = wanted[view.item]
        key_seen = None if whole and view.whole else seen[view.item]
        terms = list(dict.fromkeys(plan.terms))  # a term never seen has code -1 and no postings, but counts as missing
        term_codes = np.array([self.vocabulary.get(term) for term in terms], np.int32)
        term_counts = np.array([list(plan.terms).count(term) for term in terms], np.float32)
        lexical = self.lexical.find(term_codes).among(key_seen)
        sparse = self.sparse.find(plan.sparse.terms).among(key_seen) if plan.sparse is not None else None
        cosines = None
        if plan.dense is not None and self.vectors is not None:
            cosines = self.vectors.view() @ plan.dense

        exact = len(view.item) <= plan.exact
        if exact:
            slots = np.arange(len(view.item)) if key_seen is None else np.flatnonzero(key_seen)
        else:
            chosen = np.zeros(len(view.item), bool)
            chosen[_best(self._overlap(lexical, len(term_codes), key_seen), key_wanted, plan.depth)] = True
            if sparse is not None and plan.sparse is not None:
                scores = np.bincount(sparse.keys, sparse.weights * plan.sparse.weights[sparse.owner], len(chosen))
                chosen[_best(scores, key_wanted, plan.depth)] = True
            if cosines is not None:
                chosen[_best(cosines, key_wanted, plan.depth)] = True
            at = self.items.view()["at"][view.item] if plan.boost else view.length
            for start, end in plan.boost:
                chosen |= key_wanted & (at >= to_micros(start) / 1e6) & (at < to_micros(end) / 1e6)
            slots = self._with_neighbours(np.flatnonzero(chosen), plan.hops, self._shown_at(seen))
        return self._columns(
            plan, slots, key_wanted, key_seen, self._shown_at(seen), term_counts, lexical, sparse, exact
        )

    def _size(self, key_seen: Bools | None) -> tuple[int, float]:
        """How many keys can be seen, and their mean length."""
        count, total = self._live_keys, self._total_length
        if key_seen is not None:
            count, total = int(key_seen.sum()), float(self.view().length[key_seen].sum())
        return count, total / max(count, 1)

    def _overlap(self, found: Found, terms: int, key_seen: Bools | None) -> NDArray[np.float64]:
        """BM25 of every key [keys], saturation 1.2 and length share 0.5, to choose candidates by."""
        count, mean_length = self._size(key_seen)
        df = np.bincount(found.owner, minlength=terms)
        idf = np.log1p((count - df + 0.5).clip(0.0) / (df + 0.5))
        lengths = self.view().length
        norm = 1.2 * (0.5 + 0.5 * lengths[found.keys] / max(mean_length, 1e-9))
        gain = idf[found.owner] * found.weights * 2.2 / (found.weights + norm)
        return np.bincount(found.keys, gain, len(lengths)).astype(np.float64)

    def _shown_at(self, seen: Bools) -> Ints:
        """The item [items] that stands at each place, -1 where none is to be seen."""
        shown = np.full(self.items.count, -1, np.int64)
        visible = np.flatnonzero(seen)
        shown[self.items.view()["place"][visible]] = visible
        return shown

    def _with_neighbours(self, slots: Ints, hops: int, shown: Ints) -> Ints:
        """The keys ``slots`` and those up to ``hops`` places before and after them in their sessions."""
        items, keys = self.items.view(), self.keys.view()
        chosen = np.zeros(len(keys), bool)
        chosen[slots] = True
        for side in ("previous", "following"):
            reached = items["place"][keys["item"][slots]]
            for _ in range(hops):
                reached = items[side][reached]
                reached = np.unique(reached[reached >= 0])
                there = shown[reached]
                chosen[items["first_key"][there[there >= 0]]] = True
        return np.flatnonzero(chosen)

    def _columns(
        self,
        plan: SearchPlan,
        slots: Ints,
        key_wanted: Bools,
        key_seen: Bools | None,
        shown: Ints,
        term_counts: Floats,
        lexical: Found,
        sparse: Found | None,
        exact: bool,
    ) -> Candidates:
        items, view = self.items.view(), self.view()
        number = view.item[slots]
        mine = items[number]
        slot_of_key = np.full(len(view.item) + 1, -1, np.int64)  # the last place catches "no neighbour"
        slot_of_key[slots] = np.arange(len(slots))
        session_total = len(self.sessions)
        present = np.zeros(session_total + 1, bool)  # the last place: records outside any session
        present[view.session[slots]] = True
        session_codes = np.flatnonzero(present[:-1])
        local = np.full(session_total + 1, -1, np.int64)
        local[session_codes] = np.arange(len(session_codes))
        session = local[view.session[slots]]

        def neighbour(side: str) -> Ints:
            beside = items[side][mine["place"]]
            there = np.where(beside >= 0, shown[beside], -1)
            return np.where(there >= 0, slot_of_key[items["first_key"][there]], -1)

        count, mean_length = self._size(key_seen)
        lengths, sessions = view.session_length, view.session_count
        if key_seen is not None:
            places = np.where(view.session >= 0, view.session, session_total)
            lengths = np.bincount(places, view.length * key_seen, session_total + 1).astype(np.float32)
            sessions = int((np.bincount(places[key_seen], minlength=session_total + 1)[:-1] > 0).sum())
        first_at = np.full(len(session_codes) + 1, np.nan)
        np.fmin.at(first_at, session, mine["at"])
        before = items["previous"][mine["place"]]
        first = (session >= 0) & ((before < 0) | (items["previous"][before] < 0))

        def matches(found: Found, query: Floats, pool: str) -> Matches:
            total = len(query)
            weights = np.zeros((len(slots), total), np.float32)
            place = slot_of_key[found.keys]
            here = place >= 0
            weights[place[here], found.owner[here]] = found.weights[here]
            where = view.session[found.keys]
            if pool == "sum":  # over all sessions: their document frequencies are wanted too
                inside = where >= 0
                flat = where[inside] * total + found.owner[inside]
                sums = np.bincount(flat, found.weights[inside], session_total * total).reshape(session_total, total)
                by_session, session_df = sums[session_codes].astype(np.float32), (sums > 0).sum(axis=0)
            else:
                where = local[where]
                inside = where >= 0
                best = np.zeros(len(session_codes) * total, np.float32)
                np.maximum.at(best, where[inside] * total + found.owner[inside], found.weights[inside])
                by_session, session_df = best.reshape(len(session_codes), total), np.zeros(total, np.int64)
            return Matches(
                query=query,
                weights=weights,
                sessions=by_session,
                df=np.bincount(found.owner, minlength=total).astype(np.float32),
                session_df=session_df.astype(np.float32),
            )

        return Candidates(
            item=number,
            eligible=key_wanted[slots],
            previous=neighbour("previous"),
            following=neighbour("following"),
            session=session,
            speaker=mine["speaker"].astype(np.int64),
            is_turn=mine["kind"] == 0,
            assistant=(mine["role"] >= 0) & (mine["role"] == self.roles.get("assistant")),
            question=mine["question"],
            time_word=mine["time_word"],
            first=first,
            length=view.length[slots],
            words=mine["words"],
            names=mine["names"],
            reaction=mine["reaction"],
            at=mine["at"],
            session_at=first_at[:-1],
            session_length=lengths[session_codes],
            speakers=tuple(self.speakers.names),
            count=count,
            mean_length=mean_length,
            session_count=sessions,
            lexical=matches(lexical, term_counts, "sum") if len(term_counts) else None,
            sparse=matches(sparse, plan.sparse.weights, "max") if sparse and plan.sparse is not None else None,
            vectors=self.vectors.view()[slots] if plan.dense is not None and self.vectors is not None else None,
            dense=plan.dense,
            exact=exact,
        )


def _sorted(values: NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """Places and values in rising order."""
    order = np.argsort(values, kind="stable")
    return order.tolist(), values[order].tolist()


def _best(scores: NDArray[Any], allowed: Bools, count: int) -> Ints:
    """The places of the ``count`` largest positive scores among the allowed."""
    scores = np.where(allowed, scores, 0.0)
    if len(scores) > count:
        top = np.argpartition(scores, -count)[-count:]
    else:
        top = np.arange(len(scores))
    return top[scores[top] > 0]
