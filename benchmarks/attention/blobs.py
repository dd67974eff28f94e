"""Caches as files: two texts read apart and injected side by side, against reading both in one go."""

from __future__ import annotations

import time
from typing import Any

from passkey import haystack, says

from mnemic.attention.blob import KVBlob, inject
from mnemic.attention.policy import FullAttention
from mnemic.attention.session import attach
from mnemic.bench import machine

LENGTH, KEYS, SHARES = 512, 6, (0.0, 0.15, 0.5, 1.0)


def measure(model: Any, tokenizer: Any, seed: int) -> list[dict[str, Any]]:
    """Which keys of both texts are found, and how long it took until questions could be asked."""
    (first, told), (second, more) = (haystack(tokenizer, LENGTH, KEYS, 2 * seed + i) for i in (0, 1))
    names = [name for name, _, _ in (*told, *more)]
    asked = [(i, name, key) for i, keys in enumerate((told, more)) for name, _, key in keys if names.count(name) == 1]
    blobs = [KVBlob.read(model, text, tokenizer) for text in (first, second)]
    found = []
    for share in (None, *SHARES):
        with attach(model, FullAttention()) as session:
            began = time.perf_counter()
            if share is None:
                session.prefill([*first, *second], chunk=256)
            else:
                inject(session, blobs, recompute=share, tokenizer=tokenizer)
            seconds = time.perf_counter() - began
            hits = []
            for i, name, key in asked:
                fork = session.fork()
                fork.prefill(tokenizer(f"\nThe {name} key is", add_special_tokens=False)["input_ids"])
                hits.append([i, int(says(fork, tokenizer(f" {key}", add_special_tokens=False)["input_ids"]))])
        name = "read in one go" if share is None else f"injected, {100 * share:.0f} % of the second read again"
        found.append({"policy": name, "seed": seed, "hits": hits, "s": round(seconds, 2), "load": machine.load()})
    return found
