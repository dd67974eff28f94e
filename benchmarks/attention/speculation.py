"""RAPID: a drafter that has read the passages that match, for a target that has read, or forgotten, the whole text."""

from __future__ import annotations

from typing import Any

from passkey import haystack

from mnemic.attention.policy import Policy
from mnemic.attention.session import attach
from mnemic.attention.speculate import SpeculativeDecoder, Transfer, passages
from mnemic.bench import machine

LENGTH, KEYS, PASSAGE, BUDGET = 2048, 9, 128, 384


def measure(
    model: Any, other: Any, tokenizer: Any, name: str, policy: Policy, full: Policy, seed: int
) -> list[dict[str, Any]]:
    """Keys that the target writes alone, that the drafter does, and both together for some ``eta``. ``other`` is a
    second copy of ``model``."""
    body, told = haystack(tokenizer, LENGTH, KEYS, seed)
    runs: dict[str, dict[str, Any]] = {}

    def count(way: str, hit: bool, decoder: SpeculativeDecoder | None = None) -> None:
        run = runs.setdefault(way, {"policy": f"{name}: {way}", "seed": seed, "hits": [], "written": 0, "forwards": 0,
                                    "accepted": 0, "drafted": 0})  # fmt: skip
        run["hits"].append(int(hit))
        if decoder is not None:
            for each in ("forwards", "accepted", "drafted"):
                run[each] += getattr(decoder, each)
            run["written"] += decoder.accepted + decoder.forwards

    with attach(model, policy) as target, attach(other, full) as drafting:
        target.prefill(body, chunk=256)
        for key, _, wanted in told:
            question = tokenizer(f"\nThe {key} key is", add_special_tokens=False)["input_ids"]
            answer = tokenizer(f" {wanted}", add_special_tokens=False)["input_ids"]
            asked, drafter = target.fork(), drafting.fork()
            asked.prefill(question)
            drafter.prefill(passages(body, question, size=PASSAGE, budget=BUDGET) + question)
            count("alone", asked.fork().generate(len(answer), stop=[])[0] == answer)
            count("drafter alone", drafter.fork().generate(len(answer), stop=[])[0] == answer)
            for eta in (0.0, 20.0):
                both = SpeculativeDecoder(asked.fork(), drafter.fork(), transfer=Transfer(eta))
                count(f"eta {eta:.0f}", both.generate(len(answer)) == answer, both)
    return [{**run, "load": machine.load()} for run in runs.values()]
