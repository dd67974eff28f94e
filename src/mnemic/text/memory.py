"""The facade: one space, and the verbs that a user has for it."""

from __future__ import annotations

import json
import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any, Self

from mnemic.errors import InputError, NotFoundError
from mnemic.text.encode.lexical import tokens
from mnemic.text.forgetting import Preview, derived, going
from mnemic.text.language.answer import Answer, answer_with, extract
from mnemic.text.language.base import Language
from mnemic.text.plan import Filter, Query, Recall, every
from mnemic.text.record import Batch, Interval, Kind, Receipt, Record, Span, State, Turn, new_id, to_datetime
from mnemic.text.steps import secrets
from mnemic.text.store.base import Prepared, Space
from mnemic.text.systems.base import Env, System, memory_of

MAX_TEXT = 1_000_000
"""Characters in one turn. Longer documents are split by the importers."""
MAX_QUERY = 10_000
"""Characters of a query that are looked at."""
PAUSE = timedelta(minutes=30)
"""A turn said later than this after the one before begins a new session, where the caller names none."""


_UNNAMED = re.compile(r"\d{1,4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a stream of turns came to: how many were stored, were there already, and secrets masked."""

    stored: int
    skipped: int
    secrets: int


class Memory:
    """One space with its system. Made by :func:`mnemic.open`; a context manager; safe to share between threads."""

    def __init__(
        self,
        space: Space,
        system: System,
        *,
        language: Language | None = None,
        clock: Callable[[], datetime],
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.space = space
        self.system = system
        self.language = language
        self.clock = clock
        self.pace: AbstractContextManager[Any] = nullcontext()
        """Entered around what keeps a core busy. A server puts a semaphore here, so that it does not do too much at
        once."""
        self._on_close = on_close
        self._last: tuple[datetime, str] | None = None

    @property
    def env(self) -> Env:
        return Env(self.space, self.space.encoders, self.clock, self.language, random.Random(0))

    # -- writing ---------------------------------------------------------------------------------------------

    def remember(
        self,
        what: str | Turn | Mapping[str, Any] | Iterable[str | Turn | Mapping[str, Any]],
        *,
        speaker: str | None = None,
        at: datetime | str | None = None,
        session: str | None = None,
        role: str | None = None,
        meta: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Store one turn or several, verbatim: all of them or none. Durable and searchable on return.

        The keyword arguments are defaults for turns that do not say otherwise. ``at`` is when it was said (now, if
        nothing says; a time without a zone is UTC). Turns without a session join the running one, or begin a new
        one after half an hour of silence. Raises :class:`InputError` and :class:`ConflictError`; then nothing was
        stored.
        """
        if not isinstance(what, Iterable | Turn):
            raise InputError(
                f"cannot remember a {type(what).__name__}: give a string, a Turn, a dict or several of them"
            )
        several = [what] if isinstance(what, str | Turn | Mapping) else list(what)
        batch, named = self._batch(several, Turn("", speaker, to_datetime(at), session, role, meta=meta or {}))
        with self.pace:
            prepared = self.space.prepare(batch)
        receipt = self.space.commit(prepared, op="remember", idempotency_key=idempotency_key)
        ids = [id for id in receipt.ids if id in named]
        if not ids and receipt.ids:  # the receipt of an earlier call with this idempotency key
            ids = [record.id for record in self.space.get(receipt.ids) if record.kind == Kind.TURN]
        return replace(receipt, ids=tuple(ids))

    def ingest(
        self,
        turns: Iterable[Turn],
        *,
        page: int = 256,
        threads: int = 2,
        progress: Callable[[int], None] | None = None,
    ) -> Ingested:
        """Remember a long stream of turns page by page: what an importer gives.

        Pages are encoded in ``threads`` threads while others are being written; they are committed in order, each
        whole or not at all. Run again after an interruption: turns that are stored are skipped by their ids.
        ``progress`` is told how many turns are done.
        """
        stored = skipped = masked = 0
        stream = iter(turns)
        pages = iter(lambda: list(islice(stream, page)), [])
        with ThreadPoolExecutor(threads, "mnemic-ingest") as pool:
            waiting: deque[Future[Prepared]] = deque()
            try:
                for turns_page in chain(pages, [[]]):
                    if turns_page:
                        waiting.append(pool.submit(self.space.prepare, self._batch(turns_page, Turn(""))[0]))
                    while waiting and (len(waiting) > threads or not turns_page):
                        receipt = self.space.commit(waiting.popleft().result(), op="import")
                        stored += len(receipt.ids)
                        skipped += len(receipt.duplicates)
                        masked += receipt.secrets
                        if progress:
                            progress(stored + skipped)
            finally:
                for future in waiting:
                    future.cancel()
        return Ingested(stored, skipped, masked)

    def _batch(self, given: Sequence[str | Turn | Mapping[str, Any]], default: Turn) -> tuple[Batch, set[str]]:
        """The batch for what was said, with what the system derives from it; and the ids of the turns."""
        records = self._in_sessions([self._record(each, default, place) for place, each in enumerate(given)])
        derived = self.system.write(records, self.env) if records else Batch()
        return replace(derived, puts=[*records, *derived.puts]), {record.id for record in records}

    def _record(self, given: str | Turn | Mapping[str, Any], default: Turn, place: int) -> Record:
        turn = _turn(given, place)
        if turn.meta is not None and not isinstance(turn.meta, Mapping):
            raise InputError(f"the meta of turn {place + 1} must be a dict, not {type(turn.meta).__name__}")
        text = _clean(turn.text or "", f"turn {place + 1}")
        caption = _clean(turn.caption, f"the caption of turn {place + 1}") if turn.caption else None
        if not text.strip() and not caption:
            raise InputError(f"turn {place + 1} has no text: there is nothing to remember")
        _bounded(text, f"turn {place + 1}")
        at = to_datetime(turn.at) or default.at or self.clock()
        return Record(
            id=_clean(turn.id or "", "the id") or new_id(),
            kind=Kind.TURN,
            text=text,
            at=at,
            valid=Interval(at, None),
            speaker=_clean(turn.speaker or default.speaker or "", "the speaker") or None,
            role=_clean(turn.role or default.role or "", "the role") or None,
            session=_clean(turn.session or default.session or "", "the session") or None,
            caption=caption,
            meta={**default.meta, **(turn.meta or {})},
            secrets=tuple(secrets.find_in(text, caption)),
        )

    def _in_sessions(self, records: list[Record]) -> list[Record]:
        """Give a session to the turns that have none: a pause of half an hour begins a new one."""
        placed = []
        for record in records:
            if record.session is None and record.at is not None:
                last = self._last or self._running(record.at)
                if last is None or not timedelta() <= record.at - last[0] <= PAUSE:
                    last = (record.at, f"{record.at:%Y-%m-%dT%H:%M:%S}")
                self._last = (record.at, last[1])
                record = replace(record, session=last[1])
            placed.append(record)
        return placed

    def _running(self, at: datetime) -> tuple[datetime, str] | None:
        """The last turn of the session that was running at ``at`` and had no name but its time: the space may have
        been opened before, as for every call of the command line."""
        wall = at.replace(tzinfo=None)
        since, until = at - min(PAUSE, wall - datetime.min), at + min(timedelta.resolution, datetime.max - wall)
        found: tuple[datetime, str] | None = None
        for turn in every(lambda at: self.space.scan(Filter(kinds=[Kind.TURN], since=since, until=until), at)):
            if turn.at is not None and turn.session is not None and _UNNAMED.fullmatch(turn.session):
                found = (turn.at, turn.session) if found is None or turn.at >= found[0] else found
        return found

    def revise(self, id: str, text: str, *, at: datetime | str | None = None) -> Receipt:
        """Replace what ``id`` says by ``text``; the old version stays readable with ``as_of`` and in ``history``.

        With ``at`` the world changed then: the old value was true until that moment. Without it, the old value
        is corrected: it never was. Raises :class:`NotFoundError`, :class:`ConflictError` (``id`` is an old version).
        """
        old = next(iter(self.space.get([id])), None)
        if old is None or old.state == State.FORGOTTEN:
            raise NotFoundError(f"no memory has the id {id!r}: see recall or history for the ids there are")
        changed = to_datetime(at)
        new = revision(old, text, changed)
        # What was read out of the old words alone no longer counts; the new words are read by the next reflect.
        stale = [] if changed else [record.id for record in derived(self.space, [old]) if record.state == State.ACTIVE]
        return self.space.write(Batch(puts=[new], retire={old.id: new.id}, archive=stale), op="revise")

    def forget(self, what: str | Sequence[str], *, erase: bool = False, preview: bool = False) -> Receipt | Preview:
        """Forget by id, by ids, or by a query: every record that has all of the query's content words.

        Forgotten records are never recalled again; ``as_of`` still shows them as they were before. What was derived
        from nothing else goes too. ``erase`` removes them, all their versions and everything that cites them from all
        indexes and files; ``reflect`` derives again what other turns still support. ``preview`` changes nothing and
        returns what would go.
        """
        gone = going(self.space, self._named(what), erase=erase)
        if preview:
            return Preview(tuple(map(masked, gone.named)), tuple(map(masked, gone.derived)))
        ids = [record.id for record in (*gone.named, *gone.derived)]
        if erase:
            return self.space.purge(ids)
        return self.space.write(Batch(forget=ids), op="forget")

    def _named(self, what: str | Sequence[str]) -> list[Record]:
        if not isinstance(what, str):
            found = self.space.get(list(dict.fromkeys(what)))
            missing = set(what) - {record.id for record in found}
            if missing:
                raise NotFoundError(f"no memory has the id {min(missing)!r}: nothing was forgotten")
            return found
        what = _clean(what, "the query")[:MAX_QUERY]
        if found := self.space.get([what]):
            return found
        if not tokens(what):
            raise InputError(f"{what[:80]!r} is no id and has no content word: give ids or a query")
        return list(every(lambda at: self.space.scan(Filter(words=what, archived=True), at)))

    # -- reading ---------------------------------------------------------------------------------------------

    def recall(
        self,
        query: str,
        *,
        k: int = 10,
        budget: int | None = None,
        now: datetime | str | None = None,
        valid_at: datetime | str | None = None,
        as_of: datetime | str | None = None,
        filter: Filter | None = None,
    ) -> Recall:
        """The ``k`` records that answer ``query`` best, cited, with a calibrated confidence. Secrets are masked.

        ``budget`` bounds ``Recall.text`` in tokens. Relative dates in the query count from ``now``. ``valid_at``
        asks about a moment of the world, ``as_of`` for the answer the store would have given then.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, not {k}")
        if budget is not None and budget < 1:
            raise InputError(f"budget must be at least 1 token, not {budget}")
        asked = Query(
            text=_clean(query, "the query")[:MAX_QUERY],
            k=k,
            now=to_datetime(now) or self.clock(),
            budget=budget,
            valid_at=to_datetime(valid_at),
            as_of=to_datetime(as_of),
            filter=_settled(filter or Filter()),
        )
        with self.pace if self.language is None else nullcontext():  # a model may be waited for
            found = self.system.read(asked, self.env)
        self.space.log_use(found.used)
        return replace(found, hits=tuple(replace(hit, record=masked(hit.record)) for hit in found.hits))

    def ask(self, question: str, **options: Any) -> Answer:
        """An answer with citations: by the language model if one is configured, else the best sentences, cited.

        Takes the options of :meth:`recall`. When nothing relevant is stored, the answer says so.
        """
        now = to_datetime(options.get("now")) or self.clock()
        found = self.recall(question, **{"budget": 2000, **options, "now": now})
        if self.language is not None:
            return answer_with(self.language, question, found, now)
        return extract(question, found, now)

    def get(
        self, ids: str | Sequence[str], *, secrets: bool = False, as_of: datetime | str | None = None
    ) -> list[Record]:
        """Records by id. Secrets are masked unless asked for."""
        found = self.space.get([ids] if isinstance(ids, str) else list(ids), to_datetime(as_of))
        return found if secrets else [masked(record) for record in found]

    def scan(
        self, filter: Filter | None = None, *, cursor: str | None = None, limit: int = 1000, secrets: bool = False
    ) -> tuple[list[Record], str | None]:
        """The records that pass ``filter``, in the order they were stored, and the cursor of the next page (None: no
        more). Old versions are left out, so that a page may hold fewer than ``limit``. Secrets are masked unless asked
        for.
        """
        if limit < 1:
            raise InputError(f"limit must be at least 1, not {limit}")
        page, after = self.space.scan(_settled(filter or Filter()), cursor, limit)
        current = [record for record in page if record.state != State.SUPERSEDED]
        return (current if secrets else [masked(record) for record in current]), after

    def history(self, id: str) -> list[Record]:
        """All versions of a memory, oldest first, secrets masked. Raises :class:`NotFoundError`."""
        return [masked(record) for record in self.space.history(id)]

    # -- in its own time -------------------------------------------------------------------------------------

    def reflect(self, *, progress: Callable[[str, int], None] | None = None) -> dict[str, int]:
        """Let the system work over what is new: facts, links, summaries, whatever its paper does.

        Resumable: each batch is committed with the place it reached, so an interrupted run goes on there. Returns
        how many records were derived and superseded; nothing is done while another process is at it. A failure is
        raised, and leaves the job queued with its error in ``stats``.
        """
        self.space.schedule("reflect")
        done = {"derived": 0, "superseded": 0}
        for job in self.space.claim_jobs(["reflect"], retry=True):
            try:
                for batch in self.system.reflect(job, self.env):
                    receipt = self.space.write(batch, op="reflect", job=job)
                    done["derived"] += len(set(receipt.ids) & {record.id for record in batch.puts})
                    done["superseded"] += len(batch.retire)
                    if progress:
                        progress(job.kind, done["derived"])
            except BaseException as error:
                self.space.ack(job, error=f"{type(error).__name__}: {error}")
                raise
            self.space.ack(job, again=True)
        return done

    def derive_again(self, page: int = 256) -> int:
        """Run the system's writing over all stored turns, after a change of system; how many records it made."""
        made = 0
        cursor: str | None = None
        while True:
            turns, cursor = self.space.scan(Filter(kinds=[Kind.TURN], archived=True), cursor, page)
            if turns:
                made += len(self.space.write(self.system.write(turns, self.env), op="rebuild").ids)
            if cursor is None:
                return made

    def stats(self) -> dict[str, Any]:
        """Counts, bytes, encoders, jobs with their errors."""
        return {"system": self.system.name, **self.space.stats()}

    def export(self, *, secrets: bool = False) -> Iterator[dict[str, Any]]:
        """Everything as plain dicts, one a line of JSONL. Secrets are masked for good unless asked for."""
        yield {"mnemic": 1, "space": self.space.name, "system": memory_of(self.system).name}
        for line in self.space.export():
            yield line if secrets or "item" not in line else {"item": _masked_item(line["item"])}

    def close(self) -> None:
        """Finish what is being written and let go of the files."""
        self.space.close()
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _settled(filter: Filter) -> Filter:
    """``filter`` with its times as datetimes."""
    return replace(filter, since=to_datetime(filter.since), until=to_datetime(filter.until))


def revision(old: Record, text: str, changed: datetime | None) -> Record:
    """The version after ``old``: it says ``text``, from ``changed`` on if the world changed then."""
    text = _clean(text, "the text")
    if not text.strip():
        raise InputError("the new text is empty: use forget to take a memory away")
    _bounded(text, "the new text")
    return replace(
        old,
        id=new_id(),
        text=text,
        at=changed or old.at,
        valid=Interval(changed or old.valid.start, None),
        recorded=None,
        keys=(),
        secrets=tuple(secrets.find_in(text, old.caption)),
        supersedes=old.id,
        superseded_by=None,
        version=old.version + 1,
    )


def masked(record: Record) -> Record:
    """``record`` with its secrets replaced by their labels."""
    if not record.secrets:
        return record
    text, caption = secrets.masked(record.text, record.caption, record.secrets)
    return replace(record, text=text, caption=caption, secrets=())


def _masked_item(item: Mapping[str, Any]) -> dict[str, Any]:
    spans = [Span(*span) for span in json.loads(item["secrets"])]
    text, caption = secrets.masked(item["text"], item["caption"], spans)
    return {**item, "text": text, "caption": caption, "secrets": "[]"}


def _clean(text: str, what: str) -> str:
    """``text`` as it can be stored: lone surrogates, which are no characters, become U+FFFD."""
    if not isinstance(text, str):
        raise InputError(f"{what} must be a string, not {type(text).__name__}")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bounded(text: str, what: str) -> None:
    if len(text) > MAX_TEXT:
        raise InputError(f"{what} has {len(text):,} characters, over {MAX_TEXT:,}: split it, or import it as a file")


_FIELDS = ("text", "speaker", "at", "session", "role", "caption", "id", "meta")


def _turn(given: str | Turn | Mapping[str, Any], place: int) -> Turn:
    if isinstance(given, Turn):
        return given
    if isinstance(given, str):
        return Turn(given)
    if isinstance(given, Mapping):
        unknown = set(given) - set(_FIELDS)
        if unknown or "text" not in given:
            raise InputError(
                f"turn {place + 1} "
                + (f"has an unknown field {min(unknown)!r}" if unknown else "has no text")
                + f": the fields are {', '.join(_FIELDS)}; put anything else into meta"
            )
        return Turn(**given)
    raise InputError(f"turn {place + 1} is a {type(given).__name__}: give a string, a Turn or a dict")
