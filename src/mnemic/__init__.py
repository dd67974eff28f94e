"""Mnemic: long-term memory for language models.

>>> import mnemic
>>> with mnemic.open(":memory:", encoders="lexical") as memory:
...     _ = memory.remember("I adopted a beagle called Pim.", speaker="Ana")
...     memory.recall("What is the name of Ana's dog?").hits[0].text
'I adopted a beagle called Pim.'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemic.lazy import names

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

_HOMES = {
    "open": "text.opening",
    "spaces": "text.opening",
    "drop": "text.opening",
    "aopen": "text.aio",
    "AsyncMemory": "text.aio",
    "connect": "client",
    "aconnect": "client",
    "Client": "client",
    "AsyncClient": "client",
    "Memory": "text.memory",
    "Preview": "text.forgetting",
    "Answer": "text.language.answer",
    "Filter": "text.plan",
    "Hit": "text.plan",
    "Recall": "text.plan",
    "Kind": "text.record",
    "Receipt": "text.record",
    "Record": "text.record",
    "Turn": "text.record",
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

__getattr__ = names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
