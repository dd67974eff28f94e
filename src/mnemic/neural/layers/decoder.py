"""A small decoder: what reads a segment where no other model is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnemic.neural.layers.parts import Attention, FeedForward, Norm, causal_mask


class Block(nn.Module):
    """Attention and a feed-forward part, each with a residual around a normalised input; ``causal`` or both ways."""

    def __init__(self, d_model: int, heads: int, *, causal: bool = True, wider: int = 4) -> None:
        super().__init__()
        self.causal = causal
        self.first, self.second = Norm(d_model), Norm(d_model)
        self.attention = Attention(d_model, heads)
        self.feed = FeedForward(d_model, wider)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """``x`` [B, n, d], of which ``there`` [B, n] may be seen."""
        places = torch.arange(x.shape[1], device=x.device)
        seen = there[:, None, None]
        if self.causal:
            seen = seen & causal_mask(len(places), len(places), x.device)
        h = self.first(x)
        x = x + self.attention(h, h, seen, places, places)
        out: Tensor = x + self.feed(self.second(x))
        return out


class Decoder(nn.Module):
    """``layers`` causal blocks and a norm over embeddings [B, n, d]."""

    def __init__(self, d_model: int, *, layers: int = 2, heads: int = 4, wider: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(d_model, heads, wider=wider) for _ in range(layers))
        self.norm = Norm(d_model)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, there)
        out: Tensor = self.norm(x)
        return out
