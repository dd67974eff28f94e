"""DMM-Gov ("Memory in LLMs: Mechanisms, Evaluation and Evolution", arXiv 2509.18868): the loop around any memory.

Not a retriever: it decides what may change one. The loop is

    register   thresholds and probes are written down before anything is measured
    admit      the change is made on a canary, a copy of the space; measured before and after; refused where a
               threshold breaks or a measure falls by more than the drawdown
    apply      admitted, it is made on the space itself, which is measured again (monitor) ...
    roll back  ... and the change is taken back where a threshold breaks after all
    audit      every step is an entry of a hash-chained ledger

and it works over every system alike, since all of them keep turns and derived records apart: derived records can be
reverted to a snapshot without touching what was said. What the survey leaves open: who sets the thresholds (its
defaults are illustrative), how many probes are enough (intervals are reported, point estimates decide), and how long a
canary runs (here: as long as the probes take; it sees no live traffic).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mnemic.errors import ConflictError, InputError
from mnemic.govern import probe as probing
from mnemic.govern.change import Change, Place, store
from mnemic.govern.ledger import Ledger, utc_now
from mnemic.govern.measure import Breach, Measures, Thresholds, breaches, measure
from mnemic.govern.probe import Probe
from mnemic.text.language.base import Language

NAME = "dmm"
ABOUT = {
    "name": NAME,
    "kind": "governor",
    "paper": "Memory in LLMs: Mechanisms, Evaluation and Evolution, arXiv 2509.18868",
    "good_at": "changing a memory without making it worse: admission, canary, rollback, audit, certificates",
    "cost": "a copy of the space and up to three rounds of probes for each change; nothing on recall",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a step of the loop found. ``unmeasured`` names what no probe says anything about: it decides nothing."""

    step: str
    breaches: tuple[Breach, ...]
    after: Measures
    before: Measures | None = None
    rolled_back: bool = False

    @property
    def passed(self) -> bool:
        return not self.breaches

    def told(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {
            "passed": self.passed,
            "rolled_back": self.rolled_back,
            "breaches": [asdict(breach) for breach in self.breaches],
            "after": {name: m.told() for name, m in self.after.items()},
            "before": None if self.before is None else {name: m.told() for name, m in self.before.items()},
        }


class Governor:
    """The loop over one space.

    Without ``probes`` they are made of its own turns (:func:`mnemic.govern.probe.of_turns`): those that were
    registered, or else a sample, of which the ledger keeps the ids.
    """

    def __init__(
        self,
        path: str | Path,
        space: str = "default",
        *,
        probes: Sequence[Probe] | None = None,
        thresholds: Thresholds | None = None,
        language: Language | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.place = Place(Path(path), space, language)
        self.thresholds = thresholds or Thresholds()
        self.ledger = ledger_of(path, space, clock=clock)
        self._turns: list[str] | None = None
        if probes is None:
            last = self.ledger.last("register")
            with self.place.open() as memory:
                self._turns = list((last.body if last else {}).get("turns") or probing.sample(memory))
                probes = probing.of_turns(memory, self._turns)
        if not probes:
            raise InputError("there are no probes: give some, or remember more before the space is governed")
        self.probes = list(probes)

    # -- the loop --------------------------------------------------------------------------------------------

    def register(self) -> None:
        """Write down what will be measured and what is demanded, before it is. The same again changes nothing."""
        told = self._registration()
        last = self.ledger.last("register")
        if last is None or dict(last.body) != told:
            self.ledger.append("register", told)

    def monitor(self) -> Verdict:
        """Measure the space as it is."""
        self._registered()
        verdict = self._judge("monitor", self._measured(self.place))
        self.ledger.append("monitor", verdict.told())
        return verdict

    def admit(self, change: Change) -> Verdict:
        """Whether ``change`` may be made: it is made on a copy. The space is only read."""
        self._registered()
        before = self._measured(self.place)
        with self._copied() as canary:
            did = change.do(canary)
            verdict = self._judge("admit", self._measured(canary), before)
        self.ledger.append("admit", {**change.about, **verdict.told(), "did": _counts(did)})
        return verdict

    def apply(self, change: Change) -> Verdict:
        """Admit ``change``, make it, measure again, and take it back where that breaks a threshold.

        The verdict is that of the step that refused, or of the monitoring after it. Raises what the change raises;
        then it is taken back too.
        """
        admitted = self.admit(change)
        if not admitted.passed:
            return admitted
        with tempfile.TemporaryDirectory(prefix="mnemic-") as folder:
            snapshot = Path(folder) / "before.db"
            with self.place.open() as memory:
                seq = store(memory).snapshot(snapshot)
            try:
                did = change.do(self.place)
            except BaseException as error:
                change.undo(self.place, {}, snapshot)
                self.ledger.append("rollback", {**change.about, "because": type(error).__name__})
                raise
            self.ledger.append("apply", {**change.about, "since": seq, "did": _counts(did)})
            verdict = self._judge("apply", self._measured(self.place), admitted.before)
            if not verdict.passed:
                undone = change.undo(self.place, did, snapshot)
                verdict = Verdict("apply", verdict.breaches, verdict.after, verdict.before, rolled_back=True)
                self.ledger.append("rollback", {**change.about, "undone": _counts(undone)})
            self.ledger.append("monitor", verdict.told())
        return verdict

    # -- parts -----------------------------------------------------------------------------------------------

    def _registration(self) -> dict[str, Any]:
        told: dict[str, Any] = {"thresholds": asdict(self.thresholds)}
        if self._turns is not None:  # of which some may be erased since
            return {**told, "turns": self._turns}
        return {**told, "probes": probing.digest(self.probes), "count": len(self.probes)}

    def _registered(self) -> None:
        last = self.ledger.last("register")
        if last is None:
            raise ConflictError("nothing is registered: call register() before anything is measured")
        if dict(last.body) != self._registration():
            raise ConflictError(
                "the probes or thresholds are not the ones that were registered: take those, or register() the new "
                "ones, which the ledger will show"
            )

    def _measured(self, place: Place) -> Measures:
        with place.open() as memory:
            return measure(memory, self.probes)

    def _judge(self, step: str, after: Measures, before: Measures | None = None) -> Verdict:
        return Verdict(step, tuple(breaches(after, self.thresholds, before)), after, before)

    @contextmanager
    def _copied(self) -> Iterator[Place]:
        with tempfile.TemporaryDirectory(prefix="mnemic-") as folder:
            copy = Path(folder) / "canary.db"
            with self.place.open() as memory:
                store(memory).snapshot(copy)
            yield Place(copy, "default", self.place.language)


def ledger_of(path: str | Path, space: str = "default", *, clock: Callable[[], datetime] = utc_now) -> Ledger:
    """The ledger of a space: a file beside it, which stays when the space is dropped."""
    return Ledger(Place(Path(path), space).file.with_suffix(".ledger"), clock=clock)


def _counts(did: Mapping[str, Any]) -> dict[str, Any]:
    """What a change said it did, lists as their lengths: a ledger keeps no ids of thousands of turns."""
    return {name: len(value) if isinstance(value, list | tuple) else value for name, value in did.items()}
