"""The suites by name. A new one is one file here and one line in the table."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mnemic.errors import NotFoundError

if TYPE_CHECKING:
    from mnemic.bench.suite import Suite

SUITES: dict[str, str] = {
    "locomo": "mnemic.bench.suites.locomo:LoCoMo",
    "longmemeval": "mnemic.bench.suites.longmemeval:LongMemEval",
    "temporal": "mnemic.bench.suites.temporal:Temporal",
    "beam": "mnemic.bench.suites.beam:Beam",
    "personamem": "mnemic.bench.suites.personamem:PersonaMem",
    "babi": "mnemic.bench.suites.babi:Babi",
    "scm": "mnemic.bench.suites.scm:SCM",
    "nested-kv": "mnemic.bench.suites.nested_kv:NestedKV",
    "generated": "mnemic.bench.suites.generated:Generated",
    "orhan": "mnemic.bench.suites.orhan:Orhan",
}


def make(name: str) -> Suite:
    """The suite called ``name``, which may carry a variant: ``longmemeval:both``. Raises :class:`NotFoundError`."""
    plain, _, variant = name.partition(":")
    if plain not in SUITES:
        raise NotFoundError(f"no suite is called {plain!r}: there are {', '.join(SUITES)}")
    module, _, cls = SUITES[plain].partition(":")
    suite: Suite = getattr(import_module(module), cls)(*([variant] if variant else []))
    return suite
