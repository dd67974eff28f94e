"""Long texts through each policy on a real small model: passkeys by length and depth, perplexity by position, cost.

    python benchmarks/attention.py passkey --lengths 1024,2048,4096,8192 --out benchmarks/attention-passkey.json
    python benchmarks/attention.py perplexity --text BOOK.txt --out benchmarks/attention-perplexity.json
    python benchmarks/attention.py table benchmarks/attention-*.json > benchmarks/attention.md

Every policy has the same budget: ``--budget`` tokens that a query may read (full attention, HiP's kept keys and ThinK's
channels excepted, which keep everything; the table says what is resident). Haystacks are made by rule from the seed. A
run that was broken off goes on where it stopped; results hold numbers, no text.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mnemic.attention import pretrained
from mnemic.attention.policy import Policy
from mnemic.attention.registry import make
from mnemic.attention.session import Session, attach
from mnemic.bench import machine, metrics

NAMES = "amber basil cedar delta ember fjord grove hazel indigo jade".split()
FILLER = (
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. ",
    "Rain fell on the roofs of the town all morning. People waited under the arches until it stopped. ",
    "A train left the station on time and crossed the bridge over the river. Nobody looked up. ",
    "Bread is baked before dawn and sold by noon. The bakery smells of it the whole day. ",
)
DEPTHS = (0.08, 0.29, 0.5, 0.71, 0.92)


def policies(budget: int) -> dict[str, Policy]:
    """Every policy with ``budget`` tokens to read."""
    b = {key: str(value) for key, value in {"half": budget // 2, "all": budget}.items()}
    block = {"window": b["half"], "sinks": "16", "block": "32", "blocks": str(budget // 64 - 1), "piece": "256"}
    return {
        "full": make("full"),
        "streaming": make("streaming", {"window": str(budget - 4), "sinks": "4"}),
        "lambda": make("lambda", {"window": str(budget - 10), "sinks": "10"}),
        "surprisal": make("surprisal", {"capacity": b["all"]}),
        "infllm": make("infllm", block),
        "emllm": make("emllm", {**block, "memory": str(budget // 2 - 16), "shortest": "4"}),
        "hip": make("hip", {"keys": b["half"], "window": str(budget // 2 - 16)}),
        "think": make("think", {"ratio": "0.4"}),
        "longmem": make("longmem", {"window": str(budget - 64 - 4), "sinks": "4"}),
        "lambda+resonance": make("lambda+resonance", {"window": str(budget - 10), "sinks": "10"}),
        "lambda+reweave": make("lambda+reweave", {"window": str(budget - 10), "sinks": "10"}),
    }


def haystack(tokenizer: Any, length: int, seed: int) -> tuple[list[int], dict[str, tuple[float, str]]]:
    """A text of some ``length`` tokens with five named keys in it: (ids, name -> (depth, key))."""
    rng = random.Random(seed)
    keys = {
        name: (depth, str(rng.randrange(10_000, 100_000)))
        for name, depth in zip(rng.sample(NAMES, 5), DEPTHS, strict=True)
    }
    pieces = [tokenizer(rng.choice(FILLER), add_special_tokens=False)["input_ids"] for _ in range(length // 12)]
    told = {
        name: tokenizer(f"The {name} key is {key}. Remember it: {key} is the {name} key. ", add_special_tokens=False)[
            "input_ids"
        ]
        for name, (_, key) in keys.items()
    }
    room = length - sum(map(len, told.values()))
    body: list[int] = []
    for piece in pieces:
        if len(body) + len(piece) > room:
            break
        body += piece
    for name, (depth, _) in sorted(keys.items(), key=lambda item: -item[1][0]):
        at = int(depth * len(body))
        body[at:at] = told[name]
    return body, keys


def passkey(model: Any, tokenizer: Any, name: str, policy: Policy, length: int, seed: int) -> dict[str, Any]:
    """Which keys of one haystack are found: one prefill, a fork for each question."""
    body, keys = haystack(tokenizer, length, seed)
    hits = []
    with attach(model, policy) as session:
        began = time.perf_counter()
        session.prefill(body, chunk=256)
        read = time.perf_counter() - began
        resident, nbytes = session.resident, session.nbytes
        wrote, count = 0.0, 0
        for key, (depth, wanted) in keys.items():
            fork = session.fork()
            asked = tokenizer(f"\nThe {key} key is", add_special_tokens=False)["input_ids"]
            fork.prefill(asked, chunk=256)
            began = time.perf_counter()
            written = fork.generate(7, stop=[])[0]
            wrote, count = wrote + time.perf_counter() - began, count + len(written)
            hits.append([depth, int(wanted in tokenizer.decode(written).replace(" ", ""))])
    return {
        "policy": name, "length": length, "seed": seed, "hits": hits, "resident": resident, "bytes": nbytes,
        "read_s": round(read, 2), "write_s": round(wrote, 2), "written": count, "load": machine.load(),
    }  # fmt: skip


def perplexity(model: Any, name: str, policy: Policy, ids: list[int], bucket: int) -> dict[str, Any]:
    """Mean surprisal of the tokens of each ``bucket``, in nats."""
    losses: list[float] = []
    with attach(model, policy) as session:
        began = time.perf_counter()
        for start in range(0, len(ids), 256):
            losses += _losses(session, ids[start : start + 256])
        seconds = time.perf_counter() - began
        told = {"policy": name, "tokens": len(ids), "resident": session.resident, "bytes": session.nbytes}
    means = [metrics.mean(losses[i : i + bucket]) for i in range(0, len(losses) - bucket + 1, bucket)]
    return {
        **told,
        "bucket": bucket,
        "nats": [round(m, 4) for m in means],
        "read_s": round(seconds, 1),
        "load": machine.load(),
    }


def _losses(session: Session, piece: list[int]) -> list[float]:
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


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    model, tokenizer = pretrained.load(arguments.model)
    out = Path(arguments.out)
    told = json.loads(out.read_text()) if out.exists() else {"runs": []}
    told |= {
        "command": "python benchmarks/attention.py " + " ".join(sys.argv[1:]), "model": arguments.model,
        "budget": arguments.budget, "machine": machine.describe(),
        "versions": machine.versions() | {"torch": torch.__version__},
    }  # fmt: skip
    wanted = policies(arguments.budget)
    names = arguments.policies.split(",") if arguments.policies else list(wanted)
    for name, work in _work(arguments, names, model, tokenizer, wanted):
        if any(all(run_.get(k) == v for k, v in name.items()) for run_ in told["runs"]):
            continue
        told["runs"].append(work())
        out.write_text(json.dumps(told, indent=1) + "\n")
        print(
            json.dumps({k: v for k, v in told["runs"][-1].items() if k not in ("nats",)}), file=sys.stderr, flush=True
        )


def _work(
    arguments: argparse.Namespace, names: list[str], model: Any, tokenizer: Any, wanted: dict[str, Policy]
) -> Iterator[Any]:
    if arguments.what == "perplexity":
        text = Path(arguments.text).read_text(encoding="utf-8")
        ids = tokenizer(text[arguments.skip :], add_special_tokens=False)["input_ids"][: arguments.tokens]
        for name in names:
            yield {"policy": name}, lambda name=name: perplexity(model, name, wanted[name], ids, arguments.bucket)
        return
    for length in map(int, arguments.lengths.split(",")):
        for seed in range(arguments.haystacks if length <= 4096 else -(-arguments.haystacks // 2)):
            for name in names:
                key = {"policy": name, "length": length, "seed": seed}
                yield (
                    key,
                    lambda key=key, name=name: passkey(
                        model, tokenizer, name, wanted[name], key["length"], key["seed"]
                    ),
                )


def table(files: list[str]) -> str:
    """Results as Markdown."""
    lines: list[str] = []
    for file in files:
        told = json.loads(Path(file).read_text())
        loads = [run["load"][0] for run in told["runs"]]
        lines += [f"\n## {Path(file).stem}", "",
                  f"`{told['command']}`; {told['model']}, budget {told['budget']} tokens, one thread, "
                  f"load {min(loads):.1f} to {max(loads):.1f}.", ""]  # fmt: skip
        lines += _perplexities(told["runs"]) if "nats" in told["runs"][0] else _passkeys(told["runs"])
    return "\n".join(lines) + "\n"


def _passkeys(runs: list[dict[str, Any]]) -> list[str]:
    lengths = sorted({run["length"] for run in runs})
    rows = [
        "| policy | "
        + " | ".join(f"{n:,} tokens" for n in lengths)
        + " | resident, longest | MB | read tok/s | write tok/s |"
    ]
    rows.append("|---|" + "---|" * (len(lengths) + 4))
    for name in dict.fromkeys(run["policy"] for run in runs):
        mine = [run for run in runs if run["policy"] == name]
        cells = []
        for length in lengths:
            hits = [float(hit) for run in mine if run["length"] == length for _, hit in run["hits"]]
            low, high = metrics.interval(hits) if hits else (math.nan, math.nan)
            cells.append(
                f"{100 * metrics.mean(hits):.0f} [{100 * low:.0f}, {100 * high:.0f}] of {len(hits)}" if hits else ""
            )
        last = max(mine, key=lambda run: run["length"])
        read = sum(run["length"] for run in mine) / sum(run["read_s"] for run in mine)
        write = sum(run["written"] for run in mine) / sum(run["write_s"] for run in mine)
        rows.append(
            f"| {name} | {' | '.join(cells)} | {last['resident']:,} | {last['bytes'] / 1e6:.0f} "
            f"| {read:.0f} | {write:.1f} |"
        )
    rows += ["", "Keys found, in percent, with 95 % bootstrap intervals. By depth, all lengths together:", ""]
    rows.append("| policy | " + " | ".join(f"{100 * depth:.0f} %" for depth in DEPTHS) + " |")
    rows.append("|---|" + "---|" * len(DEPTHS))
    for name in dict.fromkeys(run["policy"] for run in runs):
        found = {
            depth: [float(h) for run in runs if run["policy"] == name for d, h in run["hits"] if d == depth]
            for depth in DEPTHS
        }
        rows.append(f"| {name} | " + " | ".join(f"{100 * metrics.mean(v):.0f}" for v in found.values()) + " |")
    return rows


def _perplexities(runs: list[dict[str, Any]]) -> list[str]:
    bucket, count = runs[0]["bucket"], min(len(run["nats"]) for run in runs)
    rows = ["| policy | " + " | ".join(f"to {bucket * (i + 1):,}" for i in range(count)) + " | resident | read tok/s |"]
    rows.append("|---|" + "---|" * (count + 2))
    for run in runs:
        cells = " | ".join(f"{math.exp(n):.1f}" for n in run["nats"][:count])
        rows.append(f"| {run['policy']} | {cells} | {run['resident']:,} | {run['tokens'] / run['read_s']:.0f} |")
    return [*rows, "", "Perplexity of the tokens of each stretch."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["passkey", "perplexity", "table"])
    parser.add_argument("files", nargs="*", help="table: result files")
    parser.add_argument("--model", default=pretrained.SMALL)
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--policies", default="")
    parser.add_argument("--lengths", default="1024,2048,4096,8192")
    parser.add_argument("--haystacks", type=int, default=4)
    parser.add_argument("--text")
    parser.add_argument("--skip", type=int, default=0, help="characters at the beginning that are left out")
    parser.add_argument("--tokens", type=int, default=12_288)
    parser.add_argument("--bucket", type=int, default=2048)
    parser.add_argument("--out", default="benchmarks/attention.json")
    arguments = parser.parse_args()
    if arguments.what == "table":
        sys.stdout.write(table(arguments.files))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
