"""Draws neural.svg, the family of the memory layers: python docs/images/neural.py

Every place is read off the layers as ``mnemic.neural.make`` builds them: the network and the rule of those that learn
while they read, and for all of them where their state lives and how large it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from mnemic.neural import LAYERS, KernelMemory, MemoryLayer, NeuralMemory, make

TARGET = Path(__file__).with_suffix(".svg")
WIDTH, EDGE, GRID, STRIP = 960, 24, 122, 178
D, SEEN = 64, 1024
"""Features of the layers and tokens of the streams whose states are measured."""

COLUMNS = (
    ("adds", "W + v kᵀ"),
    ("adds windows", "c tokens a step"),
    ("corrects", "W + (v − M k) kᵀ"),
    ("with momentum", "S ← θ S + …, W + S"),
    ("corrects windows", "c tokens a step"),
    ("orthogonal steps", "windows, W + NS(S)"),
)
NETS = {"linear": "a matrix", "mlp": "two layers", "gated": "a gated network"}
BESIDE, PAIRS = "two layers, beside attention", "no network: every pair"
BLOCKS = {"titans-mac": "answers are context", "titans-mag": "answers are a gate", "titans-mal": "answers are read"}
HOMES = {
    "WindowAttention": "tokens", "FullAttention": "tokens", "KVBankMemory": "tokens", "KernelMemory": "pairs",
    "NeuralMemory": "weights", "MACBlock": "weights", "MAGBlock": "weights", "MALBlock": "weights",
    "OuterProductMemory": "matrices", "HebbianResonance": "matrices", "SelectiveSSM": "a fading state",
    "SlotMemory": "slots", "SegmentMemory": "segments", "StatePoolMemory": "notes",
}  # fmt: skip
PLACES = {
    "tokens": "keys and values as they were", "pairs": "what each key must answer",
    "weights": "of a small network", "matrices": "sums of outer products", "a fading state": "for each feature",
    "slots": "a few vectors, rewritten", "segments": "an embedding for each", "notes": "pools of chosen tokens",
}  # fmt: skip
STYLE = """
svg { --paper: #ffffff; --edge: #d0d7de; --ink: #1f2328; --soft: #656d76; --line: #e6eaef; --cell: #f6f8fa;
  --fixed: #ddf0f0; --fixed-edge: #2f8f8f; --grows: #fdebd2; --grows-edge: #c77a1b }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --edge: #30363d; --ink: #e6edf3; --soft: #8d96a0;
  --line: #21262d; --cell: #131a22; --fixed: #12373a; --fixed-edge: #4db6b6; --grows: #40290c; --grows-edge: #e0a04a } }
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); font-size: 13px }
.title { font-size: 17px; font-weight: 600 } .name { font-weight: 600; font-size: 12px }
.soft { fill: var(--soft); font-size: 11.5px } .small { fill: var(--soft); font-size: 10.5px }
.chip { font-weight: 600; font-size: 11.5px } .mid { text-anchor: middle }
.fixed { fill: var(--fixed); stroke: var(--fixed-edge) } .grows { fill: var(--grows); stroke: var(--grows-edge) }
.arrow { stroke: var(--grows-edge); stroke-width: 1.5; fill: none } .rule { stroke: var(--line) }
.cell { fill: var(--cell) } .paper { fill: var(--paper); stroke: var(--edge) }
"""


def text(x: float, y: float, said: str, style: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{escape(said)}</text>'


def rect(x: float, y: float, width: float, height: float, style: str, round_: float = 6) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round_:g}" class="{style}"/>'


def grows(layer: MemoryLayer) -> bool:
    return sum(layer.lengths(1 << 20).values()) > sum(layer.lengths(1 << 14).values())


def state_bytes(layer: MemoryLayer) -> int:
    """Bytes of one sequence's state after SEEN tokens."""
    lengths, total = layer.lengths(SEEN), 0
    for name, tensor in layer.init_state(1).tensors.items():
        shape = list(tensor.shape)
        if name in lengths:
            shape[-2 if len(shape) > 2 else -1] = lengths[name]
        total += math.prod(shape) * tensor.element_size()
    return total


def place(name: str, layer: Any) -> tuple[str, int, str] | None:
    """(row, column, what the chip adds) of a layer that learns while it reads."""
    if isinstance(layer, KernelMemory):
        return PAIRS, 2 if layer.delta else 0, "grows"
    memory = layer if isinstance(layer, NeuralMemory) else getattr(layer, "memory", None)
    if not isinstance(memory, NeuralMemory):
        return None
    rule = memory.rule
    if rule.loss == "dot":
        column = 1 if rule.window > 1 else 0
    elif rule.newton_schulz:
        column = 5
    elif rule.window > 1:
        column = 4
    else:
        column = 3 if rule.mom is not None else 2
    if memory is not layer:
        return BESIDE, column, BLOCKS[name]
    said = memory.variant.split(", ")
    told = {"exact": "exact", "residual": "residual", "forget": "forgets", "poly2": "degree 2"}
    return NETS[said[0]], column, ", ".join(word for key, word in told.items() if key in said)


def grid(layers: dict[str, MemoryLayer], top: float) -> tuple[list[str], float]:
    """The first panel from ``top`` on, and where it ends."""
    parts = [
        text(EDGE, top + 18, "Memories that learn while they read", "title"),
        text(EDGE, top + 38, "what learns (down) by what a step does to it (across)", "soft"),
    ]
    step = (WIDTH - 2 * EDGE - GRID) / len(COLUMNS)
    for at, (name, formula) in enumerate(COLUMNS):
        x = EDGE + GRID + (at + 0.5) * step
        parts += [text(x, top + 70, name, "name mid"), text(x, top + 87, formula, "small mid")]
    cells: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for name, layer in layers.items():
        if spot := place(name, layer):
            cells.setdefault(spot[:2], []).append((name, spot[2]))
    y = top + 98
    for row in (*NETS.values(), BESIDE, PAIRS):
        height = 8 + 42 * max(len(held) for (of, _), held in cells.items() if of == row)
        first, _, rest = row.partition(", ") if ", " in row else row.partition(": ")
        middle = y + height / 2
        parts += [text(EDGE, middle + (-2 if rest else 5), first, "name"), text(EDGE, middle + 14, rest, "small")]
        for at in range(len(COLUMNS)):
            x = EDGE + GRID + at * step
            parts.append(rect(x + 2, y, step - 4, height, "cell"))
            held = cells.get((row, at), [])
            below = y + (height - 42 * len(held) + 6) / 2
            for number, (name, said) in enumerate(held):
                parts += chip(x + 6, below + 42 * number, step - 12, name, said, "grows" if row == PAIRS else "fixed")
        y += height + 4
    return parts, y


def chip(x: float, y: float, width: float, name: str, said: str, style: str) -> Iterator[str]:
    yield rect(x, y, width, 36, style)
    yield text(x + width / 2, y + (15 if said else 22), name, "chip mid")
    if said:
        yield text(x + width / 2, y + 29, said, "small mid")


def strip(layers: dict[str, MemoryLayer], top: float) -> tuple[list[str], float]:
    """The second panel from ``top`` on, and where it ends."""
    parts = [
        text(EDGE, top + 18, "Where the past is kept, and how much room it takes", "title"),
        text(EDGE, top + 38, f"one sequence after {SEEN:,} tokens, {D} features, settings by default", "soft"),
    ]
    low, high, left, right = 8, 20, EDGE + STRIP, WIDTH - EDGE - 110

    def across(size: float) -> float:
        return left + (math.log2(size) - low) / (high - low) * (right - left)

    rows: dict[str, list[tuple[int, str]]] = {place_: [] for place_ in PLACES}
    for name, layer in layers.items():
        rows[HOMES[type(layer).__name__]].append((state_bytes(layer), name))
    begin = y = top + 74
    for where, held in rows.items():
        lanes: list[float] = []
        marks = []
        for size, name in sorted(held):
            x = across(size)
            lane = next((n for n, end in enumerate(lanes) if end < x - 12), len(lanes))
            lanes[lane : lane + 1] = [x + 16 + 7.2 * len(name) + (34 if grows(layers[name]) else 0)]
            marks.append((x, lane, name))
        height = max(34, 20 * len(lanes) + 8)
        shift = (height - 20 * len(lanes)) / 2 + 10
        for x, lane, name in marks:
            at, style = y + shift + 20 * lane, "grows" if grows(layers[name]) else "fixed"
            after = x + 10
            if style == "grows":
                parts.append(f'<path class="arrow" d="M{x:.1f} {at:g} h32 m-5 -4 l5 4 l-5 4"/>')
                after += 30
            parts.append(f'<circle cx="{x:.1f}" cy="{at:g}" r="5" class="{style}"/>')
            parts.append(text(round(after, 1), at + 4, name, "name"))
        middle = y + height / 2
        parts += [text(EDGE, middle - 2, where, "name"), text(EDGE, middle + 12, PLACES[where], "small")]
        y += height
        parts.append(f'<path class="rule" d="M{EDGE} {y:g} H{WIDTH - EDGE}"/>')
    axis = [f'<path class="rule" d="M{EDGE} {begin:g} H{WIDTH - EDGE}"/>']
    for power in range(low, high + 1, 2):
        x = across(2**power)
        said = f"{2 ** (power % 10)} {'B KB MB'.split()[power // 10]}"
        axis += [f'<path class="rule" d="M{x:.1f} {begin:g} V{y:g}"/>', text(round(x, 1), begin - 8, said, "small mid")]
    return [*parts[:2], *axis, *parts[2:]], y


def legend(y: float) -> list[str]:
    return [
        rect(EDGE, y, 14, 14, "fixed", 4),
        text(EDGE + 22, y + 12, "a state of fixed size", "soft"),
        rect(EDGE + 170, y, 14, 14, "grows", 4),
        text(EDGE + 192, y + 12, "one that grows with the text (longmem: to its capacity)", "soft"),
        text(EDGE + 534, y + 12, "exact: chunks change nothing; degree 2: keys as polynomials", "soft"),
    ]


def drawn() -> str:
    """The picture as SVG."""
    layers = {name: make(name, D) for name in LAYERS}
    first, end = grid(layers, 22)
    second, below = strip(layers, end + 28)
    height = below + 52
    body = [rect(0.5, 0.5, WIDTH - 1, height - 1, "paper", 10), *first, *second, *legend(below + 18)]
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    about = "Memory layers by network and rule, and by where their state lives and how large it is"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{about}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *body, "</svg>", ""])


if __name__ == "__main__":
    TARGET.write_text(drawn(), "utf-8")
