"""SirLLM's three tasks (arXiv 2405.12528, section 4) on data in their form: dialogues, shopping lists, a biased player.

Each turn offers choices; the one whose tokens are likeliest on average (in rock-paper-scissors: whose first token is)
is taken as the answer and read, so that the model lives with what it said. (The published code takes a choice that
greedy decoding would write, else the one whose first token is likeliest.) A turn is one prefill, after which memories
fade.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perplexity import nats

from mnemic.attention.policy import Policy
from mnemic.attention.session import Session, attach
from mnemic.bench import machine, metrics

BIASED = "rock-paper-scissors"
TASKS = {"dailydialog": 508, "grocery": 252, BIASED: 1020}
"""Task -> tokens kept beside four sinks, as in the paper but for grocery: 1,020 would hold whole episodes, which are
without the choices in this form."""
ROUNDS = 60
PROMPT = "USER: {}\n\nASSISTANT:"


def episodes(task: str, folder: Path, count: int, tokenizer: Any) -> Iterator[list[dict[str, Any]]]:
    """The first ``count`` episodes that are longer than the cache (rock-paper-scissors: one of each bias)."""
    if task == BIASED:
        for path in sorted((folder / "rock_paper_scissors").glob("*.jsonl.gz")):
            yield _rows(path)[:ROUNDS]
        return
    found: dict[str, list[dict[str, Any]]] = {}
    if task == "dailydialog":
        for row in _rows(folder / "dailydialog" / "dailydialog.jsonl.gz"):
            found.setdefault(row["id"].split("_")[0], []).append(row)
    else:
        for row in _rows(folder / "grocery_keys" / "keys.jsonl.gz"):
            found.setdefault(row["id"].split("_")[-1], []).append(row)
    for turns in found.values():
        text = "".join(PROMPT.format(turn["question"]["stem"].strip()) + f" {_right(turn)}\n\n" for turn in turns)
        if len(tokenizer(text)["input_ids"]) > TASKS[task]:
            yield turns
            count -= 1
        if not count:
            return


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _right(turn: dict[str, Any]) -> str:
    return next(c["text"] for c in turn["question"]["choices"] if c["label"] == turn["answerKey"])


def measure(
    model: Any, tokenizer: Any, name: str, policy: Policy, task: str, turns: list[dict[str, Any]], episode: int
) -> list[dict[str, Any]]:
    """The right answers of one episode: of every turn, and of those that ask for what was said at the beginning."""
    every: list[int] = []
    recalled: list[int] = []
    with attach(model, policy) as session:
        for turn in turns:
            stem = turn["question"]["stem"].strip()
            session.prefill(tokenizer(PROMPT.format(stem), add_special_tokens=False)["input_ids"], chunk=256)
            choices = turn["question"]["choices"]
            said = _choose(session, tokenizer, [choice["text"].strip() for choice in choices], task == BIASED)
            right = int(choices[said]["label"] == turn["answerKey"])
            if str(turn["id"]).startswith("answer"):
                recalled.append(right)
            elif len(choices) > 1:
                every.append(right)
            if task == BIASED:
                move = next(c["text"] for c in choices if c["label"] == turn["user_choice"])
                session.prefill(tokenizer(f"USER: I play {move}.\n\n", add_special_tokens=False)["input_ids"])
    return [{"policy": name, "task": task, "episode": episode, "right": every, "recalled": recalled,
             "load": machine.load()}]  # fmt: skip


def _choose(session: Session, tokenizer: Any, choices: list[str], first: bool) -> int:
    """The likeliest choice (by its ``first`` token alone), which the session then has said."""
    ids = [tokenizer(f" {choice}\n\n", add_special_tokens=False)["input_ids"] for choice in choices]
    if len(ids) == 1:
        best = 0
    elif first:
        best = int(session.logits[0][[each[0] for each in ids]].argmax())
    else:
        costs = [metrics.mean(nats(session.fork(), each)) for each in ids]
        best = costs.index(min(costs))
    nats(session, ids[best])
    return best
