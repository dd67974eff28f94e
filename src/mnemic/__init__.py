"""Mnemic: long-term memory for language models.

>>> import mnemic
>>> with mnemic.open(":memory:", encoders="lexical") as memory:
...     _ = memory.remember("I adopted a beagle called Pim.", speaker="Ana")
...     memory.recall("What is the name of Ana's dog?").hits[0].text
'I adopted a beagle called Pim.'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnemic.client import AsyncClient, Client, aconnect, connect
    from mnemic.text.aio import AsyncMemory, aopen
    from mnemic.text.forgetting import Preview
    from mnemic.text.language.answer import Answer
    from mnemic.text.memory import Memory
    from mnemic.text.opening import drop, open, spaces
    from mnemic.text.plan import Filter, Hit, Recall
    from mnemic.text.record import Kind, Receipt, Record, Turn

__version__ = "0.1.0"

# Names come from where they live on first use, so that importing the package stays cheap.
_HOMES = {
    "open": "mnemic.text.opening",
    "spaces": "mnemic.text.opening",
    "drop": "mnemic.text.opening",
    "aopen": "mnemic.text.aio",
    "AsyncMemory": "mnemic.text.aio",
    "connect": "mnemic.client",
    "aconnect": "mnemic.client",
    "Client": "mnemic.client",
    "AsyncClient": "mnemic.client",
    "Memory": "mnemic.text.memory",
    "Preview": "mnemic.text.forgetting",
    "Answer": "mnemic.text.language.answer",
    "Filter": "mnemic.text.plan",
    "Hit": "mnemic.text.plan",
    "Recall": "mnemic.text.plan",
    "Kind": "mnemic.text.record",
    "Receipt": "mnemic.text.record",
    "Record": "mnemic.text.record",
    "Turn": "mnemic.text.record",
}

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncMemory",
    "Client",
    "Filter",
    "Hit",
    "Kind",
    "Memory",
    "Preview",
    "Recall",
    "Receipt",
    "Record",
    "Turn",
    "aconnect",
    "aopen",
    "connect",
    "drop",
    "open",
    "spaces",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mnemic' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
