"""Named keys in one haystack, asked for from forks of one prefill."""

from __future__ import annotations

import random
import time
from typing import Any

from mnemic.attention.policy import Policy
from mnemic.attention.session import Session, attach
from mnemic.bench import machine

NAMES = """
amber basil cedar delta ember fjord grove hazel indigo jade kiwi lotus maple nectar olive pearl quartz river saffron
tulip umber velvet willow xenon yarrow zinc apricot bronze coral daisy
""".split()
FILLER = (
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. ",
    "Rain fell on the roofs of the town all morning. People waited under the arches until it stopped. ",
    "A train left the station on time and crossed the bridge over the river. Nobody looked up. ",
    "Bread is baked before dawn and sold by noon. The bakery smells of it the whole day. ",
)
DEPTHS = (0.1, 0.5, 0.9)
LOAD = {1024: (7, 9), 2048: (7, 9), 4096: (7, 9), 8192: (2, 9), 16384: (2, 9), 32768: (2, 9)}
"""Length -> haystacks, and keys in each: 21 keys for each depth to 4k, 6 beyond. (More keys in one haystack are
cheaper, but this model confuses them: full attention finds half of 15 and five of 6.)"""


def haystack(tokenizer: Any, length: int, keys: int, seed: int) -> tuple[list[int], list[tuple[str, float, str]]]:
    """A text of some ``length`` tokens with ``keys`` named keys in it: its ids, and (name, depth, key) of each."""
    rng = random.Random(seed)

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    told = [
        (name, DEPTHS[i % len(DEPTHS)], str(rng.randrange(10_000, 100_000)))
        for i, name in enumerate(rng.sample(NAMES, keys))
    ]
    lines = [ids(f"The {name} key is {key}. Remember it: {key} is the {name} key. ") for name, _, key in told]
    room = length - sum(map(len, lines))
    pieces = [ids(each) for each in FILLER]
    body: list[list[int]] = []
    while sum(map(len, body)) + 24 < room:
        body.append(rng.choice(pieces))
    # Those of one depth stand around it with a sentence between them, as far as the text has room.
    places: dict[int, list[list[int]]] = {}
    near = keys // len(DEPTHS)
    for i, line in enumerate(lines):
        at = round(DEPTHS[i % len(DEPTHS)] * len(body)) + i // len(DEPTHS) - near // 2
        places.setdefault(min(max(at, 0), len(body) - 1), []).append(line)
    found: list[int] = []
    for i, piece in enumerate(body):
        found += [token for line in places.get(i, []) for token in line] + piece
    return found, told


def measure(model: Any, tokenizer: Any, name: str, policy: Policy, length: int, seed: int) -> list[dict[str, Any]]:
    """Which keys of one haystack are found, and what reading and writing cost."""
    body, told = haystack(tokenizer, length, LOAD[length][1], seed)
    hits = []
    with attach(model, policy) as session:
        began = time.perf_counter()
        session.prefill(body, chunk=256)
        read = time.perf_counter() - began
        resident, nbytes = session.resident, session.nbytes
        for key, depth, wanted in told:
            fork = session.fork()
            fork.prefill(tokenizer(f"\nThe {key} key is", add_special_tokens=False)["input_ids"], chunk=256)
            hits.append([depth, int(says(fork, tokenizer(f" {wanted}", add_special_tokens=False)["input_ids"]))])
        fork = session.fork()
        began = time.perf_counter()
        fork.generate(8, stop=[])
        wrote = time.perf_counter() - began
    return [{
        "policy": name, "length": length, "seed": seed, "tokens": len(body), "hits": hits, "resident": resident,
        "bytes": nbytes, "read_s": round(read, 2), "write_ms": round(1000 * wrote / 8, 1), "load": machine.load(),
    }]  # fmt: skip


def says(session: Session, wanted: list[int]) -> bool:
    """Whether greedy decoding writes just this next, token by token."""
    for token in wanted:
        if int(session.logits[0].argmax()) != token:
            return False
        session.forward([[token]])
    return True
