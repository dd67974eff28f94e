"""The number type that memories count in: never half precision.

A state is a long sum: in bfloat16 a token that is 1/256 of it would be lost."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def inner_dtype(dtype: torch.dtype | None) -> torch.dtype:
    """The type of states and gates beside inputs of ``dtype``: float64 stays, all else is float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def wide(x: Tensor) -> Tensor:
    """``x`` in the type that states have."""
    return x.to(inner_dtype(x.dtype))


def exactly(x: Tensor) -> AbstractContextManager[Any]:
    """A context in which automatic mixed precision does not narrow products of states."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
