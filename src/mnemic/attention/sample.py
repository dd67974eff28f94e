"""Choosing the next token, with the warpers of transformers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from mnemic.errors import InputError


@dataclass(frozen=True)
class Sampling:
    """Greedy at ``temperature`` 0; else drawn, after ``top_k`` and ``top_p``, with ``seed``."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise InputError("temperature and top_k are not negative, top_p is in (0, 1]")

    def generator(self, device: torch.device) -> torch.Generator:
        return torch.Generator(device).manual_seed(self.seed)

    def probabilities(self, logits: Tensor) -> Tensor:
        """The distribution [..., V] that tokens are drawn from; greedy: all on one token."""
        if not self.temperature:
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(torch.float32)
        warpers = LogitsProcessorList([TemperatureLogitsWarper(self.temperature)])
        if self.top_k:
            warpers.append(TopKLogitsWarper(self.top_k))
        if self.top_p < 1:
            warpers.append(TopPLogitsWarper(self.top_p))
        flat = logits.reshape(-1, logits.shape[-1])
        warped: Tensor = warpers(torch.zeros(len(flat), 1, dtype=torch.long, device=flat.device), flat)  # type: ignore[arg-type]
        return warped.softmax(-1).reshape(logits.shape)

    def next(self, logits: Tensor, generator: torch.Generator) -> list[int]:
        """One token for each row of ``logits`` [B, V]."""
        if not self.temperature:
            return [int(token) for token in logits.argmax(-1)]
        drawn = torch.multinomial(self.probabilities(logits), 1, generator=generator)
        return [int(token) for token in drawn[:, 0]]
