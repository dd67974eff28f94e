"""Definitions of the pools, segments, slots, outer products, resonance and bank: one sequence, one token after another,
lists for memories. Whatever the chunk, the layers are held against these."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mnemic.neural.layers.attention import rotate


def by_row(define: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    @torch.no_grad()
    def defined(layer: Any, x: Tensor) -> Tensor:
        return torch.stack([define(layer, row) for row in x])

    return defined


def heads_of(layer: Any, x: Tensor) -> Tensor:
    """[n, d] -> [H, n, D]"""
    return x.reshape(len(x), layer.heads, -1).transpose(0, 1)


def attention(part: Any, x: Tensor, memory: Tensor, at: int | None = None, turned: bool = False) -> Tensor:
    """What one token [d] at place ``at`` finds in ``memory`` [n, d], the keys with or without places."""
    q, k, v = heads_of(part, part.q(x[None])), heads_of(part, part.k(memory)), heads_of(part, part.v(memory))
    outs = []
    for head in range(part.heads):
        query, keys = q[head], k[head]
        if at is not None:
            query = rotate(query, torch.tensor([at]))
        if turned:
            keys = rotate(keys, torch.arange(len(memory)))
        weights = torch.softmax((keys @ query[0]) / query.shape[-1] ** 0.5, 0)
        outs.append(weights @ v[head])
    return part.out(torch.cat(outs))


def selective(layer: Any, x: Tensor) -> Tensor:
    h = torch.zeros(layer.heads, layer.head, layer.width, dtype=x.dtype)
    size = layer.conv.shape[1]
    before = [torch.zeros(layer.mixed, dtype=x.dtype) for _ in range(size - 1)]
    rows = []
    for token in x:
        gate, mixed, dt = torch.split(layer.enter(token), [layer.inside, layer.mixed, layer.heads])
        before.append(mixed)
        mixed = functional.silu(sum(layer.conv[:, j] * before[j - size] for j in range(size)) + layer.conv_bias)
        u, b, c = torch.split(mixed, [layer.inside, layer.width, layer.width])
        u = u.reshape(layer.heads, layer.head)
        dt = torch.log(1 + torch.exp(dt + layer.dt_bias))
        out = []
        for head in range(layer.heads):
            decay = torch.exp(-dt[head] * torch.exp(layer.log_rate[head]))
            h = h.clone()
            h[head] = decay * h[head] + dt[head] * torch.outer(u[head], b)
            out.append(h[head] @ c + layer.skip[head] * u[head])
        rows.append(layer.leave(layer.norm(torch.cat(out) * functional.silu(gate))))
    return torch.stack(rows)


def pooled(layer: Any, x: Tensor) -> Tensor:
    states = [each.carrier.init_state(1, dtype=x.dtype) for each in layer.inner]
    pools: list[list[tuple[Tensor, float, int]]] = [[] for _ in layer.inner]  # note, score, place
    noted: list[list[tuple[Tensor, float, int]]] = [[] for _ in layer.inner]
    last = [torch.zeros_like(x[0]) for _ in layer.inner]

    def found(reader: Any, h: Tensor, notes: list[Tensor]) -> Tensor:
        if not notes:
            return torch.zeros_like(h)
        scores = torch.stack([reader.q(h) @ reader.k(note) for note in notes]) / layer.width**0.5
        weights = torch.softmax(scores, 0)
        return reader.fuse(sum(w * reader.v(note) for w, note in zip(weights, notes, strict=True)))

    def worth(entry: tuple[Tensor, float, int], now: int) -> float:
        return entry[1] * float(torch.exp(torch.tensor((entry[2] - now) / layer.fade, dtype=torch.float64)))

    rows = []
    for t, token in enumerate(x):
        h = token
        for n, each in enumerate(layer.inner):
            z, states[n] = each.carrier.step(each.norm(h)[None], states[n])
            after = h + z[0]
            if each.own is not None:
                asked = torch.sigmoid(each.ask(last[n]))
                if asked > layer.trigger:
                    after = after + asked * found(each.own, h, [note for note, _, _ in pools[n]])
                    if each.lower is not None:
                        below = [note for pool in pools[:n] for note, _, _ in pool]
                        after = after + asked * found(each.lower, h, below)
            if each.woven is not None:
                all_of_them = [note + layer.place[m] for m, pool in enumerate(pools) for note, _, _ in pool]
                after = after + each.gate * found(each.woven, h, all_of_them)
            score = torch.sigmoid(each.score(h))
            if score > layer.threshold:
                noted[n].append((each.note(h) * score, float(score), t))
            last[n], h = z[0], after
        rows.append(h - token)
        if (t + 1) % layer.chunk == 0:
            for pool, new in zip(pools, noted, strict=True):
                best = sorted(new, key=lambda entry: worth(entry, t), reverse=True)[: layer.top]
                pool.extend(best)
                pool.sort(key=lambda entry: entry[2] if layer.replace == "fifo" else worth(entry, t), reverse=True)
                del pool[layer.pool :]
                new.clear()
    return torch.stack(rows)


def segmented(layer: Any, x: Tensor) -> Tensor:
    """Segment after segment, each of them read once."""

    def read(*parts: Tensor, unseen: slice = slice(0)) -> Tensor:
        text = torch.cat(parts)[None]
        there = torch.ones(text.shape[:2], dtype=torch.bool)
        there[:, unseen] = False
        return layer.decoder(text, there)[0]

    prompt, sensory, queue, rows = layer.first, 0 * x[: layer.sensory], [], []
    for n, text in enumerate(x.split(layer.chunk)):
        unseen = slice(len(prompt), len(prompt) + layer.sensory) if n == 0 else slice(0)  # their places are kept free
        hidden = read(prompt, sensory, text, prompt, unseen=unseen)
        rows.append(hidden[len(prompt) + len(sensory) : len(hidden) - len(prompt)])
        if len(text) < layer.chunk:
            break
        made = hidden[-len(prompt) :]
        sensory = text[layer.chunk - layer.sensory :]
        if layer.recalled:
            queue = [*queue, made[0]][-layer.recalled :]
            q = layer.q(read(layer.summary, text, layer.summary)[-1])
            weights = torch.softmax(torch.stack([q @ layer.k(m) for m in queue]) / layer.d_model**0.5, 0)
            prompt = sum(w * m for w, m in zip(weights, queue, strict=True))[None]
        else:
            prompt = made
    return torch.cat(rows)


def competed(writer: Any, text: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    workeds, nexts = [], []
    heard = torch.stack([functional.relu(writer.heard * token) for token in text]).mean(0)
    for slot in slots:
        weights = torch.softmax(torch.stack([writer.q(slot) @ writer.k(t) for t in text]) / len(slot) ** 0.5, 0)
        kept = sorted(range(len(text)), key=lambda n: -float(weights[n]))[: writer.top]
        worked = writer.first(slot + sum(weights[n] * writer.v(text[n]) for n in kept))
        worked = writer.second(worked + writer.down(functional.relu(writer.up(worked))))
        take, keep = (writer.input(heard) + writer.own(torch.tanh(slot))).sigmoid().chunk(2)
        workeds.append(worked)
        nexts.append(take * torch.tanh(worked) + keep * slot)
    return torch.stack(workeds), torch.stack(nexts)


def gated(writer: Any, text: Tensor, slots: Tensor) -> Tensor:
    encoded = writer.turn(writer.encode(text[None], torch.ones(1, len(text), dtype=torch.bool))[0])
    if writer.among is not None:
        slots = torch.stack([slot + attention(writer.among, writer.slots(slot), writer.slots(slots)) for slot in slots])
    fresh = torch.stack([attention(writer.attention, writer.slots(slot), encoded) for slot in slots])
    means = torch.stack([(a + b).mean() for a, b in zip(slots, fresh, strict=True)])
    mixed = []
    for n, (old, new) in enumerate(zip(slots, fresh, strict=True)):
        logit = {
            "slot": lambda n=n: writer.weight[n, 0],
            "element": lambda n=n: writer.weight[n, 0] * means[n],
            "linear": lambda n=n: writer.weight[n] @ means,
        }[writer.gate_by]()
        g = torch.sigmoid(logit) if writer.gate == "sigmoid" else torch.tanh(logit)
        mixed.append((1 - g) * old + (g if writer.gate == "sigmoid" else 1 + g) * new)
    return torch.stack(mixed)


def slotted(layer: Any, x: Tensor) -> Tensor:
    slots, rows = layer.start, []
    competitive = hasattr(layer.writer, "top")
    for text in x.split(layer.chunk):
        for t, token in enumerate(text):
            near = 0 * token
            if layer.local is not None:
                near = attention(layer.local.attention, token, text[: t + 1], t, turned=True)
            rows.append(
                near
                + attention(layer.cross, layer.query(token + near), layer.memory(slots), None if competitive else t)
            )
        if len(text) == layer.chunk:
            slots = competed(layer.writer, text, slots)[1] if competitive else gated(layer.writer, text, slots)
    return torch.stack(rows)


def multiplied(layer: Any, x: Tensor) -> Tensor:
    slots, long, rows = layer.start, list(layer.long_start), []
    for text in x.split(layer.chunk):
        for t, token in enumerate(text):
            mean = sum(long) / len(long)
            recalled = attention(layer.long, token, mean) if layer.collapsed else layer.found(mean @ layer.ask(token))
            y = layer.alpha * attention(layer.working, token, slots)
            y = y + (1 - layer.alpha) * attention(layer.corrected, recalled, slots)
            if layer.local is not None:
                y = y + attention(layer.local.attention, token, text[: t + 1], t, turned=True)
            rows.append(y)
        if len(text) < layer.chunk:
            break
        worked, slots = competed(layer.writer, text, slots)
        for j, matrix in enumerate(long):
            if layer.collapsed:
                grown = torch.stack([old + old.sum() * w for old, w in zip(matrix, worked, strict=True)])
                long[j] = layer.long_norm(grown)
            else:
                grown = torch.sigmoid(layer.keep[j]) * matrix
                for w, slot in zip(worked, slots, strict=True):
                    grown = grown + torch.outer(layer.left(w), layer.right(slot))
                size = grown.square().sum().sqrt()
                long[j] = grown * (layer.bound / size) if size > layer.bound else grown
    return torch.stack(rows)


def resonant(layer: Any, x: Tensor) -> Tensor:
    near, unit = layer.near, functional.normalize
    q, k, v = (heads_of(layer, to(x)) for to in (near.to_q, near.to_k, near.to_v))
    width = q.shape[-1]
    matrix = [torch.zeros(width, width, dtype=x.dtype) for _ in range(layer.heads)]
    growing = list(matrix)
    rows = []
    for t in range(len(x)):
        first, outs = max(0, t + 1 - layer.window), []
        for h in range(layer.heads):
            query, keys = q[h, t], k[h, first : t + 1]
            turned = rotate(query[None], torch.tensor([t]))[0]
            scores = []
            for i, key in zip(range(first, t + 1), keys, strict=True):
                plain = turned @ rotate(key[None], torch.tensor([i]))[0]
                scores.append(plain + layer.strength * unit(query, dim=0) @ matrix[h] @ unit(key, dim=0))
            weights = torch.softmax(torch.stack(scores) / width**0.5, 0)
            outs.append(weights @ v[h, first : t + 1])
            entropy = -(weights * weights.log()).sum() / math.log(layer.window)
            rho = torch.sigmoid(layer.relevance(x[t])[h] + layer.entropy[h] * entropy)
            mean_key = weights @ unit(keys, dim=1)
            growing[h] = torch.sigmoid(layer.keep[h]) * growing[h] + rho * torch.outer(unit(query, dim=0), mean_key)
        rows.append(near.to_out(torch.cat(outs)))
        if (t + 1) % layer.chunk == 0:
            growing = [a * min(1.0, layer.bound / float(a.norm())) for a in growing]
            matrix = list(growing)
    return torch.stack(rows)


def banked(layer: Any, x: Tensor) -> Tensor:
    q, k, v = (heads_of(layer, to(x)) for to in (layer.to_q, layer.to_k, layer.to_v))
    size, rows = layer.chunk, []
    for t in range(len(x)):
        first = max(0, t + 1 - layer.window)
        chunks = list(range(first // size))[-(layer.capacity // size) :]
        outs = []
        for h in range(layer.heads):
            query = q[h, t]
            turned = rotate(query[None], torch.tensor([t]))[0]
            keys = rotate(k[h, first : t + 1], torch.arange(first, t + 1))
            out = torch.softmax(keys @ turned / len(query) ** 0.5, 0) @ v[h, first : t + 1]
            if chunks:
                match = {c: float(query @ k[h, c * size : (c + 1) * size].mean(0)) for c in chunks}
                best = sorted(chunks, key=match.__getitem__, reverse=True)
                at = [n for c in best[: layer.top] for n in range(c * size, (c + 1) * size)]
                recalled = torch.softmax(k[h, at] @ query / len(query) ** 0.5, 0) @ v[h, at]
                gate = torch.sigmoid(layer.gate[h])
                out = gate * out + (1 - gate) * recalled
            outs.append(out)
        rows.append(layer.to_out(torch.cat(outs)))
    return torch.stack(rows)


OTHERS = {
    "ssm": by_row(selective),
    "memmamba": by_row(pooled),
    "cmr": by_row(pooled),
    "hmt": by_row(segmented),
    "rmt": by_row(segmented),
    "rxt": by_row(slotted),
    "pmi-wm": by_row(slotted),
    "pmi-ltm": by_row(multiplied),
    "resonance": by_row(resonant),
    "longmem": by_row(banked),
}
