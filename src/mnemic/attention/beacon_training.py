"""Training beacons: what is said after a window must be foretold from its beacons, its tokens being hidden.

The loss is that of the next token (MemoRAG, arXiv 2409.05591), of the tokens after the first window, since
nothing before them depends on beacons. For every step a ratio is drawn from those the weights are for, so that one set
of weights serves them all. Gradients go through all windows of a text to the weights, and to nothing else: the model is
frozen, and as it was afterwards.

    weights = BeaconWeights.untrained(model, stride=512, ratios=(4, 8))
    train(model, weights, batches)                     # of ids [B, L], L several windows
    weights.save("beacons.safetensors")
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mnemic.attention.beacon_weights import BeaconWeights
from mnemic.attention.cache import Grown, Row
from mnemic.attention.policies.beacon import Beacon
from mnemic.attention.policies.windowed import Windowed
from mnemic.attention.session import attach
from mnemic.errors import InputError


def train(
    model: Any,
    weights: BeaconWeights,
    batches: Iterable[Tensor],
    *,
    rate: float = 1e-3,
    clip: float = 1.0,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> list[float]:
    """One step of AdamW for each batch of ids [B, L]; the loss of each, before its step.

    ``rate`` is the learning rate, ``clip`` bounds the norm of the gradient, ``seed`` is for the ratios. ``progress`` is
    told the step and its loss. Raises :class:`InputError` for texts that end within their first window.
    """
    draw = random.Random(seed)
    optimiser = torch.optim.AdamW(weights.parameters(), lr=rate, weight_decay=0.0)
    losses = []
    with frozen(model):
        for step, ids in enumerate(batches):
            found = loss(model, Beacon(weights, draw.choice(weights.ratios)), ids, learning=True)
            optimiser.zero_grad()
            found.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights.parameters(), clip)
            optimiser.step()
            losses.append(float(found.detach()))
            if progress:
                progress(step, losses[-1])
    return losses


def loss(model: Any, policy: Windowed, ids: Tensor, *, learning: bool = False) -> Tensor:
    """The mean loss of the next token, in nats, over the tokens of ``ids`` [B, L] after the first window.

    With ``learning`` gradients reach what the policy has that can be trained. Under
    ``BeaconStandIn(stride, rule="nothing")`` it is the loss without a memory, to compare.
    """
    if ids.dim() != 2 or ids.shape[1] <= policy.stride + 1:
        raise InputError(f"give ids [B, L] of more than a window of {policy.stride} tokens, not {tuple(ids.shape)}")
    with attach(model, policy) as session:
        if learning:
            session.learning = True
            session.rows = [growing(Row.new(session.anatomy)) for _ in ids]
        found = torch.stack(session.forward(ids.tolist(), every=True))
    told = found[:, policy.stride : -1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(told, ids[:, policy.stride + 1 :].flatten().to(told.device))


def growing(row: Row) -> Row:
    """``row`` with tapes that gradients pass through."""
    for layer in row.layers:
        layer.tapes = {"local": Grown(), "memory": Grown()}
    return row


@contextmanager
def frozen(model: Any) -> Iterator[None]:
    """Inside, nothing of the model wants a gradient; afterwards what wanted one before."""
    wanting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in wanting:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)
