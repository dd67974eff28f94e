"""The state of a memory layer: a value that can be kept, moved, picked from and written to a file.

Every tensor has the batch first, so that one sequence can be taken out of a batch. The state carries the chunk size of
the layer that made it: where gradients are taken at the start of a chunk the chunk size is part of the model (a Titans
trained with 64 has a perplexity of 13.8 at 64 and of 36 at 8; TNT, arXiv 2511.07343, Fig. 2), so that a layer with
another one refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mnemic.errors import ConflictError, InputError

_FORMAT = "1"


@dataclass(frozen=True)
class MemState:
    """What a layer called ``kind`` remembers after ``seen`` tokens of each sequence of a batch.

    ``tensors`` name -> tensor with the batch first; ``chunk`` the chunk size that gave them, 1 where it changes
    nothing. Layers never change a state that they are given: they return another one.
    """

    kind: str
    chunk: int
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    seen: int = 0

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    @property
    def batch(self) -> int:
        return next(iter(self.tensors.values())).shape[0] if self.tensors else 0

    @property
    def nbytes(self) -> int:
        """Bytes of all sequences together."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def after(self, tokens: int, **tensors: Tensor) -> MemState:
        """The state ``tokens`` later, with ``tensors`` in place of those of the same name."""
        return replace(self, tensors={**self.tensors, **tensors}, seen=self.seen + tokens)

    def map(self, change: Callable[[Tensor], Tensor]) -> MemState:
        return replace(self, tensors={name: change(tensor) for name, tensor in self.tensors.items()})

    def detach(self) -> MemState:
        """The same values, with nothing to propagate gradients to."""
        return self.map(Tensor.detach)

    def clone(self) -> MemState:
        return self.map(Tensor.clone)

    def to(self, *where: Any) -> MemState:
        """On a device, or in another number type (whole numbers stay whole)."""
        kinds = [each for each in where if isinstance(each, torch.dtype)]
        rest = [each for each in where if not isinstance(each, torch.dtype)]

        def moved(tensor: Tensor) -> Tensor:
            to = tensor.to(*rest) if rest else tensor
            return to.to(kinds[0]) if kinds and to.is_floating_point() else to

        return self.map(moved)

    def select(self, rows: int | Sequence[int]) -> MemState:
        """The state of some sequences of the batch, in this order (also how a batch is repeated or reordered)."""
        picked = [rows] if isinstance(rows, int) else list(rows)
        return self.map(lambda tensor: tensor[picked])

    def check(self, kind: str, chunk: int, batch: int | None = None) -> None:
        """Raises :class:`ConflictError` unless a layer called ``kind`` with this ``chunk`` made it."""
        if self.kind != kind:
            raise ConflictError(f"this state is of a {self.kind} layer, not of {kind}: begin with its own init_state()")
        if self.chunk != chunk:
            raise ConflictError(
                f"this state was made with chunks of {self.chunk} and the layer has {chunk}: the chunk size is part of "
                f"the model, so make the layer with chunk={self.chunk}"
            )
        if batch is not None and self.batch not in (0, batch):
            raise InputError(f"the state is of {self.batch} sequences, the input of {batch}: take some with select()")

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; :meth:`load` gives the same bits back."""
        kept = {
            name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in self.tensors.items()
        }
        about = {"mnemic": _FORMAT, "kind": self.kind, "chunk": str(self.chunk), "seen": str(self.seen)}
        save_file(kept, str(path), metadata=about)

    @classmethod
    def load(cls, path: str | Path) -> MemState:
        """Raises :class:`InputError` where ``path`` holds no state."""
        try:
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata() or {}
                # cloned: tensors of a file may lie where products round differently
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 it is no dict
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} cannot be read as a state: {error}") from error
        if about.get("mnemic") != _FORMAT or not {"kind", "chunk", "seen"} <= about.keys():
            raise InputError(f"{path} is no state of a memory layer of this version")
        return cls(about["kind"], int(about["chunk"]), tensors, int(about["seen"]))
