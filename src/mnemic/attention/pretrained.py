"""Models for this floor: a folder, a name of the hub, or a small one that Mnemic knows, made ready once."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mnemic import models
from mnemic.errors import InputError, MissingExtraError, ModelError

SMALL = "smollm2-135m"
"""The default of the command line: fits any machine, and is too small to answer well."""
SETTINGS = {
    SMALL: {
        "infllm": {"window": "512", "sinks": "16", "block": "64", "blocks": "4"},
        "emllm": {"window": "512", "sinks": "16", "block": "64", "memory": "256"},
    }
}
"""Model -> policy -> settings other than the papers', whose models are fifty times as large. Those of InfLLM were
chosen with twelve questions about one book (``benchmarks/attention/facts.py``), which tell large differences only;
those of EM-LLM follow them."""


def load(name: str = SMALL, *, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """A causal language model and its tokenizer, by the path of a folder, by one of :mod:`mnemic.models` that is a GGUF
    file, or by its name on the hub (which is the only one that uses the network).

    Raises :class:`InputError` or :class:`ModelError` that says what to do.
    """
    path: str | Path = name
    if name in {model.name for model in models.list_models()}:
        path = converted(name)
    elif Path(name).expanduser().exists():
        path = Path(name).expanduser()
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        return model.eval(), AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no model can be loaded from {name!r} ({_first(error)}): check the path or the name"
        ) from error


def converted(name: str) -> Path:
    """The folder of a GGUF model as safetensors, made on first use (some half a minute) and kept beside it."""
    source = models.require(name)
    target = models.cache_dir() / f"{name}-safetensors"
    if target.is_dir():
        return target
    files = list(source.glob("*.gguf"))
    if not files:
        raise InputError(f"{name} is no language model: give one, such as {SMALL}")
    for needed in ("accelerate", "gguf"):
        if find_spec(needed) is None:
            raise MissingExtraError(f"reading a GGUF file needs {needed}: install it with: pip install 'mnemic[torch]'")
    model: Any = AutoModelForCausalLM.from_pretrained(source, gguf_file=files[0].name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=files[0].name)
    # The weights are whole again: a folder that calls them quantised would be refused when it is loaded.
    model.config.quantization_config = None
    del model.config.quantization_config
    model.hf_quantizer = None
    scratch = Path(tempfile.mkdtemp(prefix="convert-", dir=models.cache_dir()))
    try:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        scratch.replace(target)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        if not target.is_dir():  # else another process was faster
            raise
    return target


def _first(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
