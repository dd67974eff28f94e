"""How well the next token is known, by its place in a long text."""

from __future__ import annotations

import time
from typing import Any

import torch

from mnemic.attention.policy import Policy
from mnemic.attention.session import Session, attach
from mnemic.bench import machine, metrics


def measure(model: Any, name: str, policy: Policy, ids: list[int], bucket: int) -> list[dict[str, Any]]:
    """Mean surprisal of the tokens of each ``bucket``, in nats, with a 95 % bootstrap interval over stretches of 64."""
    losses: list[float] = []
    with attach(model, policy) as session:
        began = time.perf_counter()
        for start in range(0, len(ids), 256):
            losses += nats(session, ids[start : start + 256])
        seconds = time.perf_counter() - began
        told = {"policy": name, "tokens": len(ids), "resident": session.resident, "bytes": session.nbytes}
    parts = [losses[i : i + bucket] for i in range(0, len(losses) - bucket + 1, bucket)]
    spread = [metrics.interval([metrics.mean(p[i : i + 64]) for i in range(0, len(p), 64)]) for p in parts]
    return [
        {
            **told,
            "bucket": bucket,
            "nats": [round(metrics.mean(part), 4) for part in parts],
            "intervals": [[round(low, 4), round(high, 4)] for low, high in spread],
            "read_s": round(seconds, 1),
            "load": machine.load(),
        }
    ]


def nats(session: Session, piece: list[int]) -> list[float]:
    """Surprisal of each token of ``piece`` as it is read (the very first of a text has none)."""
    limit = session.policy.chunk_limit() or len(piece)
    found: list[float] = []
    for start in range(0, len(piece), limit):
        part = piece[start : start + limit]
        before = session.rows[0].last if session.rows else None
        logits = session.forward([part], every=True)[0]
        judged = logits[:-1] if before is None else torch.cat((before[None], logits[:-1]))
        targets = torch.tensor(part[-len(judged) :])
        found += (-judged.log_softmax(-1).gather(-1, targets[:, None])[:, 0]).tolist()
    return found
