"""Training beacons for the real model, and whether they tell what their windows said.

Beacons are trained on one part of a book and judged on another: the loss of a window of text, with the window before it
in view (full), condensed by trained and by untrained beacons, by the stand-in's rules, and hidden (nothing). Trained
ones are judged once more with the beacons of another passage: what is then better than nothing is not memory.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mnemic.attention.beacon_training import loss, train
from mnemic.attention.beacon_weights import BeaconWeights
from mnemic.attention.policies.beacon import Beacon
from mnemic.attention.policies.beacon_standin import BeaconStandIn
from mnemic.attention.policies.windowed import Windowed
from mnemic.bench import machine

STRIDE, RATIO = 64, 4


def measure(
    model: Any, ids: list[int], steps: int, rank: int, progress: Callable[[int, float], None]
) -> list[dict[str, Any]]:
    """A run for every way to condense: the loss [nats] of every held-out passage."""
    length = 2 * STRIDE + 1
    cut = len(ids) * 3 // 4
    rng = random.Random(0)

    def drawn() -> Tensor:
        starts = [rng.randrange(cut - length) for _ in range(2)]
        return torch.tensor([ids[start : start + length] for start in starts])

    held = [torch.tensor([ids[i : i + length]]) for i in range(cut, len(ids) - length, (len(ids) - cut) // 26)][:24]
    told = []

    def judge(name: str, policy: Windowed) -> None:
        with torch.inference_mode():
            losses = [round(float(loss(model, policy, passage)), 4) for passage in held]
        told.append({"policy": name, "losses": losses, "load": machine.load()})

    for rule in ("nothing", "even", "mass"):
        judge(rule, BeaconStandIn(stride=STRIDE, ratio=RATIO, rule=rule))
    judge("full", BeaconStandIn(stride=STRIDE, ratio=1, rule="even"))
    weights = BeaconWeights.untrained(model, stride=STRIDE, ratios=(RATIO,), rank=rank)
    judge("untrained", Beacon(weights, RATIO))
    began = time.process_time()
    curve = train(model, weights, (drawn() for _ in range(steps)), rate=1e-3, progress=progress)
    seconds = time.process_time() - began
    judge("trained", Beacon(weights, RATIO))
    told[-1] |= {"steps": steps, "rank": rank, "cpu_s": round(seconds, 1), "curve": [round(each, 3) for each in curve]}
    elsewhere = [torch.cat((held[i - 7][:, :STRIDE], own[:, STRIDE:]), dim=1) for i, own in enumerate(held)]
    held[:] = elsewhere
    judge("trained, of another passage", Beacon(weights, RATIO))
    return told
