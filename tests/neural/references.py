"""Definitions of layers, token after token: slow, obvious, and what the fast forms are held against."""

from __future__ import annotations

import torch
from torch import Tensor

from mnemic.neural.layers.attention import WindowAttention, rotate


def window_attention(layer: WindowAttention, x: Tensor) -> Tensor:
    """Each token attends to the persistent tokens and the last ``window`` tokens, turned by their absolute places."""
    rows = []
    for row in x:
        q, k, v = (layer.split(part(row)) for part in (layer.to_q, layer.to_k, layer.to_v))  # [H, T, dh]
        outs = []
        for t in range(len(row)):
            first = 0 if layer.window is None else max(0, t + 1 - layer.window)
            places = torch.arange(first, t + 1)
            turned = rotate(q[:, t : t + 1], torch.tensor([t]))
            scores = [turned @ rotate(k[:, first : t + 1], places).transpose(1, 2)]
            values = [v[:, first : t + 1]]
            if layer.prefix is not None:
                scores.insert(0, q[:, t : t + 1] @ layer.split(layer.to_k(layer.prefix)).transpose(1, 2))
                values.insert(0, layer.split(layer.to_v(layer.prefix)))
            weights = (torch.cat(scores, -1) * q.shape[-1] ** -0.5).softmax(-1)
            outs.append((weights @ torch.cat(values, 1)).flatten())
        rows.append(layer.to_out(torch.stack(outs)))
    return torch.stack(rows)
