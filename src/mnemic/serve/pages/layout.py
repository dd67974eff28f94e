"""Where the nodes of a graph are drawn: springs and repulsion, then nothing may cover anything.

After Fruchterman and Reingold, "Graph drawing by force-directed placement" (1991), with three changes: nodes may be
held fixed, so that a graph that grows keeps what is seen already in its place; a light pull to the middle keeps parts
that are not connected together; and at the end boxes that overlap are pushed apart. Equal input gives equal output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float]
FLAT = 2.4
"""How much wider than high a drawing becomes."""
STEPS = 260
GAP = 10.0
"""Pixels kept free between two boxes."""
_GOLDEN = math.pi * (3 - math.sqrt(5))


def settle(
    boxes: Mapping[str, Point], edges: Sequence[tuple[str, str]], fixed: Mapping[str, Point] | None = None
) -> dict[str, Point]:
    """The middle of every box. ``boxes`` maps a node to its width and height; ``fixed`` nodes stay where they are."""
    names = list(boxes)
    if not names:
        return {}
    number = {name: place for place, name in enumerate(names)}
    ends = np.array(
        [(number[a], number[b]) for a, b in edges if a in number and b in number and a != b], dtype=np.int64
    ).reshape(-1, 2)
    held = np.array([fixed is not None and name in fixed for name in names])
    sizes = np.array([boxes[name] for name in names], dtype=np.float64)
    rest = 34 + 0.3 * float(sizes[:, 0].mean())  # wide boxes need long springs
    at = _start(names, number, ends, fixed or {}, rest)
    _spring(at, ends, held, rest, np.clip(sizes[:, 0] / 130, 0.22, 1.0))
    _part(at, sizes, held)
    return {name: (round(float(x), 1), round(float(y), 1)) for name, (x, y) in zip(names, at, strict=True)}


def _start(
    names: Sequence[str], number: Mapping[str, int], ends: NDArray[np.int64], fixed: Mapping[str, Point], rest: float
) -> Floats:
    """A spiral; beside a neighbour that is already placed, where there is one."""
    at = np.zeros((len(names), 2))
    for place in range(len(names)):
        angle, radius = place * _GOLDEN, rest * 0.6 * math.sqrt(place)
        at[place] = FLAT * radius * math.cos(angle), radius * math.sin(angle)
    for name, point in fixed.items():
        if name in number:
            at[number[name]] = point
    if fixed:
        beside: dict[int, int] = {}
        for a, b in ends.tolist():
            for new, old in ((a, b), (b, a)):
                if names[new] not in fixed and names[old] in fixed:
                    beside.setdefault(new, old)
        for turn, (new, old) in enumerate(beside.items()):
            out = at[old] - at[[number[name] for name in fixed if name in number]].mean(axis=0)
            angle = math.atan2(out[1], out[0]) + (turn - len(beside) / 2) * 0.5
            at[new] = at[old] + rest * np.array([FLAT * math.cos(angle), math.sin(angle)])
    return at


def _spring(at: Floats, ends: NDArray[np.int64], held: NDArray[np.bool_], rest: float, mass: Floats) -> None:
    """Move ``at`` [N, 2] until the forces have done their work; distances count as if the drawing were not flattened.

    ``rest`` is the length of a spring between two nodes of ``mass`` [N] 1; lighter ones push less.
    """
    scale = np.array([1 / FLAT, 1.0])
    free = ~held
    for step in range(STEPS):
        apart = (at[:, None] - at[None, :]) * scale
        distance = np.maximum(np.sqrt((apart**2).sum(axis=2)), 1.0)
        weight = mass[:, None] * mass[None, :]
        force = (apart / distance[..., None] * (weight * rest**2 / distance)[..., None]).sum(axis=1)
        if len(ends):
            along = (at[ends[:, 0]] - at[ends[:, 1]]) * scale
            pull = along * (np.sqrt((along**2).sum(axis=1)) / rest)[:, None]
            np.add.at(force, ends[:, 0], -pull)
            np.add.at(force, ends[:, 1], pull)
        force -= 0.5 * mass[:, None] * at * scale
        size = np.maximum(np.sqrt((force**2).sum(axis=1)), 1e-9)
        heat = rest * (1 - step / STEPS) * 0.35 + 0.5
        at[free] += (force / size[:, None] * np.minimum(size, heat)[:, None] / scale)[free]


def _part(at: Floats, boxes: Floats, held: NDArray[np.bool_]) -> None:
    """Push boxes apart along the shorter way until none overlaps, or 200 rounds are over."""
    half = boxes / 2 + GAP / 2
    movable = np.where(held, 0.0, 1.0)
    for _ in range(200):
        apart = at[:, None] - at[None, :]
        over = half[:, None] + half[None, :] - np.abs(apart)
        hit = np.triu((over > 0).all(axis=2), 1)
        if not hit.any():
            return
        for a, b in np.argwhere(hit).tolist():
            dx, dy = (half[a] + half[b] - np.abs(at[a] - at[b])).tolist()
            share = movable[a] + movable[b]
            if dx <= 0 or dy <= 0 or not share:
                continue
            axis = 0 if dx < dy else 1
            push = (dx, dy)[axis] + 0.01
            side = 1.0 if at[a, axis] >= at[b, axis] else -1.0
            at[a, axis] += side * push * movable[a] / share
            at[b, axis] -= side * push * movable[b] / share
