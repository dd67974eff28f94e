"""What a policy must know of a model, and which models are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import torch

from mnemic.attention.rope import Rope
from mnemic.errors import InputError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma")
"""Model types whose attention is: rotate halves, optional grouped queries, one softmax, nothing else."""
_STATIC_ROPES = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Anatomy:
    """Sizes of a model: ``heads`` H query heads over ``kv_heads`` Hk, ``head_dim`` D; ``window`` is the length it was
    trained for, in tokens. ``blocks`` are its layers, ``model`` is the whole of it."""

    family: str
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    window: int
    rope: Rope
    blocks: Sequence[torch.nn.Module]
    model: Any


def anatomy(model: Any) -> Anatomy:
    """The anatomy of a Hugging Face causal language model. Raises :class:`InputError` that says why one is refused."""
    config = getattr(model, "config", None)
    family = str(getattr(config, "model_type", type(model).__name__))
    if config is None or family not in FAMILIES:
        raise InputError(
            f"memory cannot be attached to a {family} model: its attention is not known to be plain rotary attention. "
            f"Use one of the families {', '.join(FAMILIES)}"
        )
    layers = int(config.num_hidden_layers)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    sliding = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    if kinds != {"full_attention"} or (sliding and family in ("mistral", "phi3")):
        raise InputError(
            f"this {family} model has sliding-window layers, which never see what a memory would show them: use one "
            "with full attention in every layer, or load it with sliding_window=None if it was trained to the end so"
        )
    rope = dict(getattr(config, "rope_parameters", None) or {})
    kind = str(rope.get("rope_type", "default"))
    if kind not in _STATIC_ROPES:
        raise InputError(
            f"this model's rotary positions are of the type {kind!r}, whose frequencies change with the length of the "
            f"input, so that stored keys would not fit later queries: use a model with {', '.join(_STATIC_ROPES)}"
        )
    body = model.get_decoder()
    heads = int(config.num_attention_heads)
    return Anatomy(
        family=family,
        layers=layers,
        heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        head_dim=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        hidden=int(config.hidden_size),
        window=int(config.max_position_embeddings),
        rope=Rope(body.rotary_emb.inv_freq),
        blocks=list(body.layers),
        model=model,
    )


def fingerprint(model: Any) -> str:
    """Tells models apart whose keys would not fit each other: shape, type, rotation and some of the weights."""
    hashed = blake2b(digest_size=16)
    for name in ("model_type", "num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"):
        hashed.update(f"{name}={getattr(model.config, name, None)};".encode())
    hashed.update(str(model.dtype).encode())
    hashed.update(Rope(model.get_decoder().rotary_emb.inv_freq).inv_freq.cpu().numpy().tobytes())
    for parameter in model.parameters():
        flat = parameter.detach().flatten()
        hashed.update(flat[:: max(1, flat.numel() // 64)][:64].float().cpu().numpy().tobytes())
    return hashed.hexdigest()
