"""Blocks of tokens that left the window: kept in a tier, found by representative keys, read when they match.

Tiers: ``memory`` (where the keys are), ``host`` (the memory of the CPU, for a model on a device), ``disk`` (safetensors
files that are mapped, so that the operating system decides what stays). ``cached`` blocks that were read last are held
where the model is; the one whose use is longest ago leaves first.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

TIERS = ("memory", "host", "disk")


class Folder:
    """A temporary folder for the disk tier, gone with the last session that reads from it."""

    def __init__(self) -> None:
        self._held = tempfile.TemporaryDirectory(prefix="mnemic-blocks-")
        self._count = 0

    def put(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values, and give them back mapped."""
        path = Path(self._held.name) / f"{self._count}.safetensors"
        self._count += 1
        save_file({"k": k.contiguous().cpu(), "v": v.contiguous().cpu()}, path)
        with safe_open(path, "pt") as file:
            return file.get_tensor("k"), file.get_tensor("v")


class Blocks:
    """The blocks of one layer. ``spans`` are their positions [start, end)."""

    def __init__(self, tier: str = "memory", cached: int = 32, folder: Folder | None = None) -> None:
        self.tier, self.cached = tier, cached
        self.folder = folder or (Folder() if tier == "disk" else None)
        self.k: list[Tensor] = []
        self.v: list[Tensor] = []
        self.spans: list[tuple[int, int]] = []
        self._known: Tensor | None = None
        self._new: list[Tensor] = []  # representatives that are not yet in `_known`: joining them copies all
        self.loads = 0
        self._near: OrderedDict[int, tuple[Tensor, Tensor]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.k)

    @property
    def representative(self) -> Tensor | None:
        """The un-rotated keys [h, n, r, D] that the blocks are known by; None if there is no block."""
        if self._new:
            fresh = torch.stack(self._new, dim=1)
            self._known = fresh if self._known is None else torch.cat((self._known, fresh), dim=1)
            self._new = []
        return self._known

    @property
    def resident(self) -> int:
        """Tokens held where the model is."""
        held = self._near.values() if self.tier != "memory" else zip(self.k, self.v, strict=True)
        return sum(k.shape[1] for k, _ in held)

    @property
    def nbytes(self) -> int:
        near = sum(k.nbytes + v.nbytes for k, v in self._near.values())
        far = 0 if self.tier == "disk" else sum(k.nbytes + v.nbytes for k, v in zip(self.k, self.v, strict=True))
        known = self.representative
        return near + far + (0 if known is None else known.nbytes)

    def append(self, k: Tensor, v: Tensor, representative: Tensor, span: tuple[int, int]) -> None:
        """Put a block away: ``k``, ``v`` [Hk, m, D], ``representative`` [h, r, D]."""
        if self.tier == "disk" and self.folder is not None:
            k, v = self.folder.put(k, v)
        else:
            k, v = (k.cpu(), v.cpu()) if self.tier == "host" else (k.contiguous(), v.contiguous())
        self.k, self.v, self.spans = [*self.k, k], [*self.v, v], [*self.spans, span]
        self._new = [*self._new, representative]

    def take(self, chosen: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Keys and values [Hk, m, D] of the ``chosen`` blocks side by side, at ``device``."""
        pairs = [self._load(i, device) for i in chosen]
        return torch.cat([k for k, _ in pairs], dim=1), torch.cat([v for _, v in pairs], dim=1)

    def _load(self, i: int, device: torch.device) -> tuple[Tensor, Tensor]:
        if self.tier == "memory":
            return self.k[i], self.v[i]
        if i in self._near:
            self._near.move_to_end(i)
            return self._near[i]
        self.loads += 1
        pair = self.k[i].to(device, copy=True), self.v[i].to(device, copy=True)
        self._near[i] = pair
        while len(self._near) > self.cached:
            self._near.popitem(last=False)
        return pair

    def fork(self) -> Blocks:
        other = Blocks(self.tier, self.cached, self.folder)
        other.k, other.v, other.spans, other._known, other._new = self.k, self.v, self.spans, self._known, self._new
        other._near = self._near.copy()
        return other

    def state(self) -> dict[str, Any]:
        known = self.representative
        if known is None:
            return {}
        blocks = [{"k": k, "v": v} for k, v in zip(self.k, self.v, strict=True)]
        spans = [list(span) for span in self.spans]
        return {"blocks": blocks, "spans": spans, "representative": known}

    @classmethod
    def restored(cls, state: dict[str, Any], tier: str, cached: int) -> Blocks:
        made = cls(tier, cached)
        for i, block in enumerate(state.get("blocks", ())):
            span = state["spans"][i]
            made.append(block["k"], block["v"], state["representative"][:, i], (span[0], span[1]))
        return made
