"""What an encoder is: text in, something comparable out, under a name and version that the space records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Non-zero terms of one text. ``terms`` int32 [nnz], ascending, no repeats; ``weights`` float32 [nnz], positive."""

    terms: NDArray[np.int32]
    weights: Floats


@runtime_checkable
class SparseEncoder(Protocol):
    """Learned sparse vectors over a fixed vocabulary (SPLADE, Formal et al. 2021)."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> list[SparseVector]: ...


@runtime_checkable
class DenseEncoder(Protocol):
    """Unit vectors. ``encode`` returns float32 [len(texts), dim], rows of length one (zeros for an empty text)."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> Floats: ...

    def encode_query(self, text: str) -> Floats: ...
