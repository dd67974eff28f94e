"""Feature maps of keys and queries: what the memory's first matrix sees of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Identity(nn.Module):
    """Keys and queries as they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x


class Poly2(nn.Module):
    """All monomials up to degree 2 (ATLAS, arXiv 2505.23735, section on polynomial features): a matrix over them can
    hold O(D^2) pairs instead of O(D).

    phi(q) . phi(k) = (a_0 + a_1 q.k + a_2 (q.k)^2) / (a_0 + a_1 + a_2) with learned a_i > 0 that start at the Taylor
    coefficients of the exponential, 1/i!. Deviation: the division, by which features of unit vectors are unit vectors
    and an inner learning rate means the same as without the map. [..., D] -> [..., 1 + D + D (D + 1) / 2]: 153 features
    for D = 16.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 1 + width + width * (width + 1) // 2
        self.roots = nn.Parameter(torch.tensor([1.0, 1.0, 0.5**0.5]))  # square roots of the coefficients
        first, second = torch.triu_indices(width, width)
        self.first: Tensor
        self.second: Tensor
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        roots = self.roots.to(x.dtype)
        roots = roots / roots.square().sum().sqrt()
        twice = torch.where(self.first == self.second, 1.0, 2.0).to(x.dtype).sqrt()
        squares = x[..., self.first] * x[..., self.second] * twice
        one = torch.ones_like(x[..., :1])
        return torch.cat((roots[0] * one, roots[1] * x, roots[2] * squares), -1)
