"""Fast networks: the memory as a function, whose weights are the state, one set for each sequence and head.

A network runs on any product with its matrices, so that the same lines read from one set of weights and from weights
that change with every token. Its gradients are written by hand: that of a matrix, for one token, is an outer product of
what went in and what came back, and no tensor of (tokens, weights) is ever made.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mnemic.errors import InputError

Product = Callable[[int, Tensor], Tensor]
"""(index of a matrix, x [B, H, n, in]) -> x times that matrix [B, H, n, out]."""

Factors = list[tuple[Tensor, Tensor]]
"""For each matrix (what went in [B, H, n, in], what came back [B, H, n, out])."""


def product_with(weights: Sequence[Tensor]) -> Product:
    """Products with one set of ``weights``, each [B, H, in, out]."""
    return lambda index, x: x @ weights[index]


class FastNet(nn.Module, ABC):
    """M(z; W): [B, H, n, width_in] -> [B, H, n, width_out], with matrices of ``shapes`` for each head.

    The weights before the first token are learned ones [H, in, out] (``learned``), or zeros. ``residual`` adds z to the
    output. Raises :class:`InputError` where the widths do not allow it."""

    def __init__(self, heads: int, shapes: Sequence[tuple[int, int]], *, residual: bool, learned: bool) -> None:
        super().__init__()
        if residual and shapes[0][0] != shapes[-1][1]:
            raise InputError(f"a residual memory gives what it takes, not {shapes[-1][1]} for {shapes[0][0]} features")
        if not learned and len(shapes) > 1:
            raise InputError("only a matrix can begin at zero: the gradients of a deeper memory would be zero for ever")
        self.heads, self.shapes, self.residual = heads, list(shapes), residual
        rows = [torch.randn(heads, *shape) * shape[0] ** -0.5 for shape in shapes]
        self.first = nn.ParameterList(rows if learned else [])

    def start(self, batch: int, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        """The weights before the first token, each [batch, H, in, out]."""
        if len(self.first) == 0:
            return [torch.zeros(batch, self.heads, *shape, device=device, dtype=dtype) for shape in self.shapes]
        return [matrix.to(device, dtype).expand(batch, -1, -1, -1) for matrix in self.first]

    @abstractmethod
    def run(self, product: Product, z: Tensor) -> Tensor:
        """M(z) with the matrices that ``product`` multiplies by."""

    @abstractmethod
    def factors(
        self, weights: Sequence[Tensor], z: Tensor, error: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Factors]:
        """M(z; ``weights``) and the factors of its gradients, where ``error`` maps the output to the loss's gradient
        by it."""


class MLPFast(FastNet):
    """``depth`` matrices with GELUs between them."""

    def __init__(
        self, heads: int, width_in: int, hidden: int, width_out: int, *, depth: int, residual: bool, learned: bool
    ) -> None:
        if depth < 1:
            raise InputError(f"a memory has at least one matrix, so its depth cannot be {depth}")
        widths = [width_in, *[hidden] * (depth - 1), width_out]
        super().__init__(heads, list(pairwise(widths)), residual=residual, learned=learned)

    def run(self, product: Product, z: Tensor) -> Tensor:
        out = product(0, z)
        for index in range(1, len(self.shapes)):
            out = product(index, nn.functional.gelu(out))
        return out + z if self.residual else out

    def factors(
        self, weights: Sequence[Tensor], z: Tensor, error: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Factors]:
        inputs, slopes, out = [z], [], z @ weights[0]
        for matrix in weights[1:]:
            active, slope = _gelu(out)
            inputs.append(active)
            slopes.append(slope)
            out = active @ matrix
        out = out + z if self.residual else out
        back = [error(out)]
        for matrix, slope in zip(reversed(weights[1:]), reversed(slopes), strict=True):
            back.append((back[-1] @ matrix.transpose(-1, -2)) * slope)
        return out, list(zip(inputs, reversed(back), strict=True))


class LinearFast(MLPFast):
    """One matrix."""

    def __init__(self, heads: int, width_in: int, width_out: int, *, residual: bool, learned: bool) -> None:
        super().__init__(heads, width_in, 0, width_out, depth=1, residual=residual, learned=learned)


class GatedMLPFast(FastNet):
    """(GELU(z W_0) * z W_1) W_2, the memory of ATLAS++ (arXiv 2505.23735)."""

    def __init__(
        self, heads: int, width_in: int, hidden: int, width_out: int, *, residual: bool, learned: bool
    ) -> None:
        shapes = [(width_in, hidden), (width_in, hidden), (hidden, width_out)]
        super().__init__(heads, shapes, residual=residual, learned=learned)

    def run(self, product: Product, z: Tensor) -> Tensor:
        out = product(2, nn.functional.gelu(product(0, z)) * product(1, z))
        return out + z if self.residual else out

    def factors(
        self, weights: Sequence[Tensor], z: Tensor, error: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Factors]:
        active, slope = _gelu(z @ weights[0])
        linear = z @ weights[1]
        middle = active * linear
        out = middle @ weights[2]
        out = out + z if self.residual else out
        signal = error(out)
        back = signal @ weights[2].transpose(-1, -2)
        return out, [(z, back * linear * slope), (z, back * active), (middle, signal)]


def _gelu(x: Tensor) -> tuple[Tensor, Tensor]:
    """GELU(x) and its slope."""
    below = 0.5 * (1 + torch.erf(x * 0.5**0.5))
    return x * below, below + x * torch.exp(-0.5 * x.square()) * (2 * math.pi) ** -0.5
