"""Surprisal: how unexpected each token was to the model that reads it."""

from __future__ import annotations

import torch
from torch import Tensor

from mnemic.attention.cache import Row


def surprisals(row: Row, ids: Tensor, logits: Tensor) -> Tensor:
    """-ln P(token | what came before) [L] for the tokens ``ids`` [L] that went in, ``logits`` [L, V] having come out.

    The first token is judged by the logits after the last one of the forward before; the very first of a text, which
    nothing precedes, counts as the most surprising of its forward.
    """
    before = logits[:-1] if row.last is None else torch.cat((row.last[None], logits[:-1]))
    judged = ids[-len(before) :] if len(before) else ids[:0]
    found = -before.log_softmax(-1).gather(-1, judged[:, None])[:, 0]
    if row.last is None:
        first = found.max()[None] if len(found) else found.new_zeros(1)
        return torch.cat((first, found))
    return found


def repetition(row: Row, ids: Tensor, logits: Tensor) -> Tensor:
    """What the published code of SirLLM stores under the name of entropy: -ln P(the token before | up to it) [L], the
    cost of saying a token twice. For comparison only."""
    own = -logits.log_softmax(-1).gather(-1, ids[:, None])[:, 0]
    found = own.roll(1)
    found[0] = own[:-1].max() if len(own) > 1 else own[0]
    return found
