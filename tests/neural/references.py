"""Definitions of layers, token after token: slow, obvious, and what the fast forms are held against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mnemic.neural.blocks import MACBlock, MAGBlock, MALBlock
from mnemic.neural.fast import GatedMLPFast
from mnemic.neural.layers.attention import WindowAttention, rotate
from mnemic.neural.layers.kernel import KernelMemory
from mnemic.neural.layers.neural_memory import NeuralMemory


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


def network(layer: NeuralMemory, weights: list[Tensor], z: Tensor) -> Tensor:
    """M(z) for z [B, H, n, in]."""
    if isinstance(layer.net, GatedMLPFast):
        out = (functional.gelu(z @ weights[0]) * (z @ weights[1])) @ weights[2]
    else:
        out = z @ weights[0]
        for matrix in weights[1:]:
            out = functional.gelu(out) @ matrix
    return out + z if layer.net.residual else out


def token_loss(layer: NeuralMemory, weights: list[Tensor], k: Tensor, v: Tensor) -> Tensor:
    """The inner loss [B, H] of one token."""
    out = network(layer, weights, k)
    if layer.rule.loss == "dot":
        return -(out * v).sum((-1, -2))
    if layer.rule.loss == "l2":
        return 0.5 * (out - v).square().sum((-1, -2))
    return functional.huber_loss(out, v, reduction="none").sum((-1, -2))


def singular_values_near_one(s: Tensor, steps: int) -> Tensor:
    """Newton-Schulz on the singular values themselves."""
    u, values, vt = torch.linalg.svd(s, full_matrices=False)
    values = values / (values.square().sum(-1, keepdim=True) + 1e-14).sqrt()
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return (u * values[..., None, :]) @ vt


def neural_memory(layer: NeuralMemory, x: Tensor) -> Tensor:
    """Each token's gradient by automatic differentiation, every S and W made. Projections and gates are the layer's."""
    rule, (batch, length) = layer.rule, x.shape[:2]
    q, k, v, _ = layer._project(x, layer.init_state(batch, dtype=x.dtype))
    gates = rule.gates(x, x.new_ones(x.shape[:2], dtype=torch.bool))
    weights = layer.net.start(batch, x.device, x.dtype)
    momenta, block, chunk_start, outs = [torch.zeros_like(each) for each in weights], [], weights, []

    def at(gate: Tensor, t: int) -> Tensor:
        return gate[..., t, None, None]

    for t in range(length):
        keep = 1.0 if gates.log_keep is None else at(gates.log_keep, t).exp()
        mom = 0.0 if gates.log_mom is None else at(gates.log_mom, t).exp()
        rate, before = at(gates.rate, t), weights
        chunk_start = weights if t % layer.chunk == 0 else chunk_start
        anchor = [keep * each for each in weights] if layer.exact else chunk_start
        leaves = [each if each.requires_grad else each.detach().requires_grad_() for each in anchor]
        told = sum(
            (gates.gamma[..., i] * token_loss(layer, leaves, k[:, :, i : i + 1], v[:, :, i : i + 1])).sum()
            for i in range(max(0, t - rule.window + 1), t + 1)
        )
        gradients = torch.autograd.grad(told, leaves, create_graph=True)
        if rule.newton_schulz:
            momenta = [mom * s - g for s, g in zip(momenta, gradients, strict=True)]
            block = [(keep * kept, keep * step) for kept, step in block] + [(keep, rate)]
            if (t + 1) % layer.cadence == 0:
                step = sum(step for _, step in block)
                moved = [singular_values_near_one(s, rule.newton_schulz) for s in momenta]
                weights = [block[0][0] * w + step * s for w, s in zip(weights, moved, strict=True)]
                block = []
        else:
            momenta = [mom * s - rate * g for s, g in zip(momenta, gradients, strict=True)]
            weights = [keep * w + s for w, s in zip(weights, momenta, strict=True)]
        ended = weights
        if rule.limit is not None and not layer.exact_chunking and (t + 1) % layer.chunk == 0:
            sizes = [w.square().mean((-1, -2), keepdim=True).sqrt() for w in weights]
            weights = [torch.where(s > rule.limit, w * rule.limit / s, w) for w, s in zip(weights, sizes, strict=True)]
        used = chunk_start if layer.reads == "chunk_start" else before if rule.newton_schulz else ended
        outs.append(network(layer, used, q[:, :, t : t + 1]))
    return layer._answer(x, torch.cat(outs, 2))


def kernel_memory(layer: KernelMemory, x: Tensor) -> Tensor:
    """Each token's answer summed over the pairs before it and its own."""
    q, k, v = (part.unflatten(-1, (layer.heads, -1)) for part in layer.to_qkv(x).chunk(3, -1))  # [B, T, H, D]
    q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
    rate, sharpness = layer.to_rate(x).sigmoid()[..., None], layer.log_sharpness.exp()[:, None]
    stored, outs = [], []

    def answer(query: Tensor) -> Tensor:
        zero = torch.zeros_like(query)
        return sum(((sharpness * ((query * k[:, i]).sum(-1, True) - 1)).exp() * u for i, u in enumerate(stored)), zero)

    for t in range(x.shape[1]):
        error = v[:, t] - answer(k[:, t]) if layer.delta else v[:, t]
        stored.append(rate[:, t] * error)
        outs.append(answer(q[:, t]))
    return layer.to_out(layer.norm(torch.stack(outs, 1)).flatten(2))


def with_persistent(layer: MAGBlock | MALBlock, x: Tensor) -> Tensor:
    """What the memory answers to x after [P || x]."""
    before = layer.persistent.expand(len(x), -1, -1)
    return neural_memory(layer.memory, torch.cat((before, x), 1))[:, before.shape[1] :]


def mag(layer: MAGBlock, x: Tensor) -> Tensor:
    near = window_attention(layer.attention, x)
    return layer.to_out(layer.norm_near(near) * layer.norm_far(with_persistent(layer, x)).sigmoid())


def mal(layer: MALBlock, x: Tensor) -> Tensor:
    return window_attention(layer.attention, x + with_persistent(layer, x))


def mac(layer: MACBlock, x: Tensor) -> Tensor:
    """Segment after segment, and in it token after token; the memory is the layer's own."""
    memory, outs = layer.memory.init_state(len(x), dtype=x.dtype), []

    def heads(of: Tensor) -> Tensor:
        return of.unflatten(-1, (layer.heads, -1)).transpose(1, 2)

    for start in range(0, x.shape[1], layer.chunk):
        segment = x[:, start : start + layer.chunk]
        h, attended = layer.memory.read(segment, memory), []
        for t in range(segment.shape[1]):
            places, seen = torch.arange(t + 1), h[:, : t + 1] if layer.causal else h
            own, recalled, before = segment[:, : t + 1], seen, layer.prefix.expand(len(x), -1, -1)
            q = heads(layer.to_q(segment[:, t : t + 1]))
            turned = rotate(q, torch.tensor([t]))
            scores = [
                q @ heads(layer.to_k(before)).transpose(-1, -2),
                turned @ rotate(heads(layer.to_k(recalled)), torch.arange(seen.shape[1])).transpose(-1, -2),
                turned @ rotate(heads(layer.to_k(own)), places).transpose(-1, -2),
            ]
            weights = (torch.cat(scores, -1) * q.shape[-1] ** -0.5).softmax(-1)
            mixed = weights @ heads(layer.to_v(torch.cat((before, recalled, own), 1)))
            attended.append(layer.to_out(mixed.transpose(1, 2).flatten(2)))
        a = torch.cat(attended, 1)
        after = layer.memory.write(layer.norm_in(a), memory)
        gate = layer.memory.read(layer.norm_in(a), memory if layer.causal else after)
        outs.append(a * layer.norm(gate).sigmoid())
        memory = after
    return torch.cat(outs, 1)
