"""Tiny random models of every family, made on the spot, and the policies that the invariants are tested on."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCAB = 97
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": None}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16}),
    "phi3": (Phi3Config, Phi3ForCausalLM, {"sliding_window": None}),
    "gemma": (GemmaConfig, GemmaForCausalLM, {"head_dim": 16}),
}


def make(family: str, **changes: Any) -> Any:
    """A model with random weights that are the same every time; attention is made peaked so that keys matter."""
    config, model, own = FAMILIES[family]
    torch.manual_seed(0)
    made = model(config(**{**SIZES, **own, **changes})).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "q_proj" in name or "k_proj" in name or "qkv" in name:
                parameter.mul_(6.0)
    return made


@cache
def tiny(family: str = "llama") -> Any:
    """A shared model: leave it as it was."""
    return make(family)


def text(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return [int(i) for i in torch.randint(3, VOCAB, (length,), generator=generator)]


def plain(model: Any, ids: list[int]) -> torch.Tensor:
    """The logits [L, V] of the model by itself."""
    with torch.inference_mode():
        found: torch.Tensor = model(torch.tensor([ids])).logits[0]
    return found.float()
