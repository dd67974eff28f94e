"""The layers by name, for command lines, result files and the tests that every layer must pass."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mnemic.errors import InputError, NotFoundError
from mnemic.neural.layer import MemoryLayer


@dataclass(frozen=True)
class Entry:
    """One named layer: ``home`` is ``module:Class`` under ``mnemic.neural``, ``settings`` what the name fixes,
    ``paper`` where it comes from, ``about`` one line on what it remembers and how."""

    home: str
    paper: str
    about: str
    settings: Mapping[str, Any] = field(default_factory=dict)


LAYERS: dict[str, Entry] = {
    "window": Entry("layers.attention:WindowAttention", "", "the last tokens, by softmax attention"),
    "full": Entry("layers.attention:FullAttention", "", "every token, by softmax attention; its state grows"),
}


def make(name: str, d_model: int, **settings: Any) -> MemoryLayer:
    """The layer called ``name`` over ``d_model`` features.

    Raises :class:`NotFoundError` for an unknown name and :class:`InputError` for a setting that it has not."""
    if name not in LAYERS:
        raise NotFoundError(f"there is no layer {name!r}: use one of {', '.join(LAYERS)}")
    entry = LAYERS[name]
    module, _, cls = entry.home.partition(":")
    made = getattr(import_module(f"mnemic.neural.{module}"), cls)
    known = list(inspect.signature(made.__init__).parameters)[2:]
    for each in settings:
        if each not in known:
            raise InputError(f"{name} has no setting {each!r}: its settings are {', '.join(known)}")
    layer: MemoryLayer = made(d_model, **{**entry.settings, **settings})
    return layer
