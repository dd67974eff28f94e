"""Trees of tensors, numbers and texts in one safetensors file: no pickle, so that loading runs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mnemic.errors import InputError, StoreError

_TENSOR = "__tensor__"


def save(tree: Any, path: Path) -> None:
    """Write ``tree`` to ``path``; the file is whole or not there."""
    tensors: dict[str, Tensor] = {}
    told = _packed(tree, "", tensors)
    scratch = path.with_name(path.name + ".part")
    save_file(tensors, scratch, metadata={"tree": json.dumps(told, ensure_ascii=False)})
    scratch.replace(path)


def load(path: Path, device: str = "cpu") -> Any:
    """The tree that :func:`save` wrote. Raises :class:`StoreError` for any other file."""
    try:
        with safe_open(path, "pt", device=device) as file:
            told = json.loads((file.metadata() or {})["tree"])
            return _unpacked(told, file)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StoreError(f"{path} cannot be read as saved by Mnemic ({error}): save it again") from error


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name] = value.detach().contiguous().cpu().clone()
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {str(key): _packed(item, f"{name}.{key}", tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"a {type(value).__name__} cannot be saved: keep tensors, numbers, texts, lists and dicts")


def _unpacked(told: Any, file: Any) -> Any:
    if isinstance(told, dict):
        if set(told) == {_TENSOR}:
            return file.get_tensor(told[_TENSOR])
        return {key: _unpacked(item, file) for key, item in told.items()}
    return [_unpacked(item, file) for item in told] if isinstance(told, list) else told
