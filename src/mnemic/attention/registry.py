"""The policies by name, for command lines and result files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from mnemic import attention
from mnemic.attention.compose import Compose, Modifier
from mnemic.attention.policy import Policy
from mnemic.errors import InputError, NotFoundError

POLICIES = {
    "full": "FullAttention",
    "lambda": "LambdaWindow",
    "surprisal": "SurprisalEviction",
    "infllm": "BlockRetrieval",
    "emllm": "EventRetrieval",
    "hip": "HierarchicalTopK",
    "think": "ChannelPrune",
    "longmem": "GatedBank",
    "beacon": "Beacon",
    "beacon-standin": "BeaconStandIn",
    "resonance": "Resonance",
    "reweave": "Reweave",
}
"""Name -> class. ``A+B`` composes a policy with modifiers; ``streaming`` is ``lambda`` with slots."""


def make(name: str, settings: Mapping[str, str] | None = None) -> Policy:
    """The policy called ``name`` (``infllm``, ``lambda+resonance``), with ``settings`` given as texts.

    A setting goes to the part that has it. Raises :class:`NotFoundError` and :class:`InputError` with what there is."""
    left = dict(settings or {})
    parts: list[Policy | Modifier] = []
    known: list[str] = []
    for each in name.split("+"):
        if each == "streaming":
            each, left = "lambda", {"slots": "true", **left}
        if each not in POLICIES:
            raise NotFoundError(f"there is no policy {each!r}: use one of {', '.join(POLICIES)} or streaming")
        cls = getattr(attention, POLICIES[each])
        hints = get_type_hints(cls) if is_dataclass(cls) else {}
        own = [field.name for field in fields(cls)] if is_dataclass(cls) else []
        known += own
        parts.append(cls(**{field: _read(field, left.pop(field), hints[field]) for field in own if field in left}))
    if left:
        raise InputError(f"{name} has no setting {min(left)!r}: its settings are {', '.join(known) or 'none'}")
    return Compose(*parts) if len(parts) > 1 or isinstance(parts[0], Modifier) else parts[0]


def _read(name: str, text: str, kind: Any) -> Any:
    """The value of a setting from its text, by the type that its field declares."""
    options = [each for each in getattr(kind, "__args__", (kind,)) if each in (int, float, str)]
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if text.lower() == "none" and type(None) in getattr(kind, "__args__", ()):
            return None
        return options[0](text) if options else text
    except (KeyError, ValueError):
        wanted = "true or false" if kind is bool else " or ".join(each.__name__ for each in options)
        raise InputError(f"{text!r} is no value for {name}: give {wanted}") from None
