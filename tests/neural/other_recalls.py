"""Pools, slots, banks and state spaces with identity projections: they find eight values by their keys, untrained.

Tokens are [key | value], one-hot; questions are [key | 0]; the answer is [value | .]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from recalls import Recall
from torch import nn

from mnemic.neural import registry

SHARP = 30.0
"""What makes a softmax over one-hot keys choose one."""


def set_to(part: nn.Linear, weight: torch.Tensor) -> None:
    part.weight.copy_(weight)
    if part.bias is not None:
        part.bias.zero_()


def pairs(
    name: str, prepare: Callable[[Any, torch.Tensor, torch.Tensor], None], **settings: Any
) -> Callable[..., Recall]:
    """``prepare`` is given the layer and the maps [16, 16] that take the key, or the value, to the first half."""

    def build() -> Recall:
        torch.manual_seed(0)
        layer: Any = registry.make(name, 16, **settings)
        eye, none = torch.eye(8), torch.zeros(8, 16)
        key = torch.cat((torch.cat((eye, 0 * eye), 1), none))
        value = torch.cat((torch.cat((0 * eye, eye), 1), none))
        with torch.no_grad():
            prepare(layer, key, value)
        values = eye.roll(3, 1)
        stored = torch.cat((eye, values), 1)[None]
        return Recall(layer, stored, torch.cat((eye, 0 * eye), 1)[None], values)

    return build


def ssm(layer: Any, key: torch.Tensor, value: torch.Tensor) -> None:
    # u is the value, b and c are the key, the gate is open for every token, and nothing fades
    total = torch.cat((torch.ones(16, 8), torch.zeros(16, 8)), 1)
    layer.enter.weight.copy_(torch.cat((total, value, key[:8], key[:8], torch.zeros(1, 16))))
    layer.conv.fill_(5.0)
    layer.dt_bias.fill_(1.0)
    layer.log_rate.fill_(-20.0)
    layer.skip.zero_()
    set_to(layer.leave, torch.eye(16))


def pool(layer: Any, key: torch.Tensor, value: torch.Tensor) -> None:
    part = layer.inner[0]
    (part.carrier.to_out if hasattr(part.carrier, "to_out") else part.carrier.leave).weight.zero_()
    set_to(part.note, torch.eye(16))
    part.score[2].bias.fill_(5.0)
    reader = part.own if part.own is not None else part.woven
    if part.own is not None:
        part.ask.bias.fill_(5.0)
    else:
        part.gate.fill_(1.0)
        layer.place.zero_()
    for each, weight in ((reader.q, SHARP * key), (reader.k, key), (reader.v, value), (reader.fuse, torch.eye(16))):
        set_to(each, weight)


def slots(layer: Any, key: torch.Tensor, value: torch.Tensor) -> None:
    layer.start.copy_(key[:8])  # every slot waits for one key
    write, read = layer.writer, layer.cross
    write.encoder.attention.out.weight.zero_()
    set_to(write.encoder.feed.down, torch.zeros_like(write.encoder.feed.down.weight))
    for each, weight in (
        (write.attention.q, SHARP * key),
        (write.attention.k, key),
        (write.attention.v, torch.eye(16)),
    ):
        set_to(each, weight)
    set_to(write.attention.out, torch.eye(16))
    write.weight.fill_(20.0)
    for each, weight in ((read.q, SHARP * key), (read.k, key), (read.v, value), (read.out, torch.eye(16))):
        set_to(each, weight)


def bank(layer: Any, key: torch.Tensor, value: torch.Tensor) -> None:
    for each, weight in (
        (layer.to_q, SHARP * key),
        (layer.to_k, key),
        (layer.to_v, value),
        (layer.to_out, torch.eye(16)),
    ):
        set_to(each, weight)


POOL = {"layers": 1, "chunk": 8, "pool": 8, "top": 8, "width": 16, "heads": 1}
OTHER_RECALLS: dict[str, Callable[[], Recall]] = {
    "ssm": pairs("ssm", ssm, heads=1, width=8, wider=1, conv=1, chunk=4),
    "memmamba": pairs("memmamba", pool, **POOL),
    "cmr": pairs("cmr", pool, **POOL),
    "rxt": pairs("rxt", slots, slots=8, chunk=8, heads=1, local=False),
    "longmem": pairs("longmem", bank, heads=1, window=1, chunk=1, top=1, gate=-20.0),
}
