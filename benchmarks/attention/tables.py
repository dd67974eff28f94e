"""Result files as Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import passkey
from speculation import LENGTH as SPECULATED

from mnemic.bench import metrics
from mnemic.bench.report import table

Runs = list[dict[str, Any]]


def markdown(files: Sequence[str]) -> str:
    """One section for each file."""
    lines = ["# The attention floor, measured", ""]
    for file in files:
        told = json.loads(Path(file).read_text())
        loads = [run["load"][0] for run in told["runs"] if run["load"]]
        title, rows = KINDS[told["kind"]]
        lines += [f"## {title}", "", f"`{told['command']}`", "",
                  f"{told['model']}, fp32, one thread; load {min(loads):.1f} to {max(loads):.1f}; mnemic "
                  f"{told['versions']['mnemic']}, torch {told['versions']['torch']}.", ""]  # fmt: skip
        lines += [*rows(told), ""]
    return "\n".join(lines)


def passkeys(told: dict[str, Any]) -> list[str]:
    runs: Runs = told["runs"]
    lengths = sorted({run["length"] for run in runs})
    rows = [
        "Keys that greedy decoding writes exactly, in percent, of how many: nine in a haystack. 95 % bootstrap "
        "intervals resample haystacks whole; where there are two they are left out. Budget: "
        f"{told['budget']} tokens that a query may read (full, hip and think keep all). InfLLM's rule of voting and "
        "block size were chosen with haystacks 0 to 2, which its and EM-LLM's rows leave out; that votes begin anew "
        "with a question was changed after a first run on the others (40, 43, 39 and 39 % to 16,384 tokens).",
        "",
        *grid("policy", [f"{n:,} tokens" for n in lengths], _by(runs, "policy"),
              lambda mine: [
                  _counted([run for run in mine if run["length"] == n]) for n in lengths]),
        "",
        "By depth of the key, to 4,096 tokens and beyond:",
        "",
        *grid("policy", [f"{100 * d:.0f} %{where}" for where in (" to 4k", " beyond") for d in passkey.DEPTHS],
              _by(runs, "policy"), lambda mine: [
                  _plain([h for run in mine if (run["length"] > 4096) == beyond for d, h in run["hits"] if d == depth])
                  for beyond in (False, True) for depth in passkey.DEPTHS]),
        "",
        "What is held after the longest text, and time beside full attention in the same run (the machine was shared: "
        "ratios of sums, a rough guide):",
        "",
    ]  # fmt: skip
    base = {(run["length"], run["seed"]): run for run in runs if run["policy"] == "full"}

    def cost(mine: Runs) -> list[str]:
        last = max(mine, key=lambda run: run["length"])
        both = [(run, base[run["length"], run["seed"]]) for run in mine if (run["length"], run["seed"]) in base]
        read = sum(full["read_s"] for _, full in both) / sum(run["read_s"] for run, _ in both)
        write = sum(full["write_ms"] for _, full in both) / sum(run["write_ms"] for run, _ in both)
        return [f"{last['length']:,}", f"{last['resident']:,}", f"{last['bytes'] / 1e6:.0f}", f"{read:.2f}",
                f"{write:.2f}", f"{sum(r['tokens'] for r in mine) / sum(r['read_s'] for r in mine):.0f}"]  # fmt: skip

    heads = ["longest", "tokens resident", "MB", "read speed / full", "write speed / full", "read tok/s"]
    return [*rows, *grid("policy", heads, _by(runs, "policy"), cost)]


def perplexities(told: dict[str, Any]) -> list[str]:
    runs: Runs = told["runs"]
    bucket, count = runs[0]["bucket"], min(len(run["nats"]) for run in runs)
    return [
        f"Perplexity of the tokens of each stretch (95 % bootstrap over pieces of 64 tokens); budget {told['budget']}. "
        "The text is the same for all, so that rows differ less by chance than their intervals say. ThinK cuts "
        "channels when a prompt ends, and this text does not end: its row is full attention's.",
        "",
        *grid("policy", [f"to {bucket * (i + 1):,}" for i in range(count)], _by(runs, "policy"), lambda mine: [
            f"{math.exp(n):.1f} [{math.exp(low):.1f}, {math.exp(high):.1f}]"
            for n, (low, high) in zip(mine[0]["nats"][:count], mine[0]["intervals"], strict=False)]),
    ]  # fmt: skip


def talks(told: dict[str, Any]) -> list[str]:
    rows = [
        "Right choices in percent, with 95 % bootstrap intervals that resample episodes whole (rock-paper-scissors: "
        "turns). `recalled`: the question about the first turn, asked after more than the cache holds.",
        "",
    ]
    for task, runs in _by(told["runs"], "task").items():
        turns = sum(len(run["right"]) for run in runs if run["policy"] == runs[0]["policy"])
        heads = ["right", "recalled"] if any(run["recalled"] for run in runs) else ["right"]
        rows += [f"### {task}: {len({run['episode'] for run in runs})} episodes, {turns} turns", ""]
        rows += [*grid("policy", heads, _by(runs, "policy"), lambda mine, heads=heads: [
            _share([x for run in mine for x in run[head]],
                   [str(run["episode"]) for run in mine for _ in run[head]] if len(mine) > 3 else None)
            for head in heads]), ""]  # fmt: skip
    return rows


def questions(told: dict[str, Any]) -> list[str]:
    runs: Runs = told["runs"]
    count = sum(len(run["f1"]) for run in runs if run["policy"] == "full")
    sizes = ", ".join(f"{run['tokens']:,}" for run in runs if run["policy"] == "full")
    return [
        f"{count} questions about dialogues of {sizes} tokens; budget {told['budget']}. `gain`: nats per token that "
        "the right answer is likelier than without the dialogue; `kept`: its share of what full attention gains; F1 of "
        "a greedy answer of 12 tokens in percent. 95 % bootstrap intervals over questions.",
        "",
        *grid("policy", ["gain", "kept", "F1"], _by(runs, "policy"), lambda mine: [
            _interval([g for run in mine for g in run["gains"]]),
            f"{100 * _gain(mine) / _gain([r for r in runs if r['policy'] == 'full']):.0f} %",
            _share([f for run in mine for f in run["f1"]])]),
    ]  # fmt: skip


def hidden(told: dict[str, Any]) -> list[str]:
    runs: Runs = told["runs"]
    sizes = sorted({run["characters"] for run in runs})
    longest = {size: max(run["tokens"] for run in runs if run["characters"] == size) for size in sizes}
    books = len({run["book"] for run in runs})
    return [
        f"{len(runs[0]['hits'])} sentences hidden in the beginning of each of {books} books, asked for in a chat: "
        "answers of 24 tokens that tell what was asked, in percent, of how many (95 % bootstrap over questions). "
        "`passage`: the model reads some 600 tokens around the sentence by itself. Settings for `infllm` were chosen "
        "with other questions about another book; every policy may read some 800 tokens (full: all).",
        "",
        *grid("policy", [f"{longest[size]:,} tokens" for size in sizes] + ["read tok/s"], _by(runs, "policy"),
              lambda mine: [
                  *(_of([h for run in mine if run["characters"] == size for h in run["hits"]]) for size in sizes),
                  f"{_sum(mine, 'tokens') / _sum(mine, 'read_s'):.0f}" if _sum(mine, "read_s") else ""]),
    ]  # fmt: skip


def trained(told: dict[str, Any]) -> list[str]:
    runs: Runs = told["runs"]
    run = next(run for run in runs if "steps" in run)
    nothing = next(run["losses"] for run in runs if run["policy"] == "nothing")
    return [
        f"Loss, in nats a token, of {len(run['losses'])} held-out windows of 64 tokens given the 64 before them, which "
        "are condensed to 16 keys and values a layer; and how much less that is than without them, paired. "
        f"Rank-{run['rank']} beacons, {run['steps']} steps of two passages ({run['cpu_s']:.0f} s of one processor). "
        "Intervals: 95 % bootstrap over windows.",
        "",
        *grid("kept of the window before", ["loss", "less than nothing"], _by(runs, "policy"), lambda mine: [
            _interval(mine[0]["losses"]),
            _interval([a - b for a, b in zip(nothing, mine[0]["losses"], strict=True)])]),
    ]  # fmt: skip


def blobs(told: dict[str, Any]) -> list[str]:
    runs: Runs = told["runs"]
    base = {run["seed"]: run["s"] for run in runs if run["policy"] == runs[0]["policy"]}
    return [
        "Two texts of 512 tokens with six named keys each: keys found in percent (95 % bootstrap over keys), and the "
        "time until questions can be asked, as a share of reading both (same run).",
        "",
        *grid("how the texts come in", ["first text", "second text", "time"], _by(runs, "policy"), lambda mine: [
            *(_share([hit for run in mine for i, hit in run["hits"] if i == text]) for text in (0, 1)),
            f"{100 * sum(run['s'] for run in mine) / sum(base[run['seed']] for run in mine):.0f} %"]),
    ]  # fmt: skip


def speculations(told: dict[str, Any]) -> list[str]:
    return [
        f"A target that has read {SPECULATED:,} tokens, a drafter of the same weights that has read the passages that "
        "match the question. Keys written exactly, in percent (95 % bootstrap over keys); drafted tokens that were "
        "accepted; tokens for each forward of the target.",
        "",
        *grid("target: way", ["keys", "accepted", "tokens a forward"], _by(told["runs"], "policy"), lambda mine: [
            _share([hit for run in mine for hit in run["hits"]]),
            *([f"{100 * _sum(mine, 'accepted') / _sum(mine, 'drafted'):.0f} %",
               f"{_sum(mine, 'written') / _sum(mine, 'forwards'):.1f}"] if _sum(mine, "forwards") else ["", "1"])]),
    ]  # fmt: skip


def _sum(runs: Runs, key: str) -> float:
    return sum(float(run[key]) for run in runs)


def _gain(runs: Runs) -> float:
    return metrics.mean([gain for run in runs for gain in run["gains"]])


def grid(corner: str, heads: Sequence[str], rows: dict[str, Runs], cells: Callable[[Runs], Iterable[str]]) -> list[str]:
    """A Markdown table: a row for each key of ``rows``."""
    return table([corner, *heads], [[name, *cells(mine)] for name, mine in rows.items()]).splitlines()


def _by(runs: Runs, key: str) -> dict[str, Runs]:
    return {value: [run for run in runs if run[key] == value] for value in dict.fromkeys(run[key] for run in runs)}


def _share(hits: Sequence[float], clusters: Sequence[str] | None = None) -> str:
    if not hits:
        return ""
    low, high = metrics.interval([float(hit) for hit in hits], clusters)
    return f"{100 * metrics.mean(hits):.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _counted(runs: Runs) -> str:
    hits = [hit for run in runs for _, hit in run["hits"]]
    if len(runs) < 3:
        return _plain(hits)
    return _of(hits, [str(run["seed"]) for run in runs for _ in run["hits"]])


def _of(hits: Sequence[float], clusters: Sequence[str] | None = None) -> str:
    return f"{_share(hits, clusters)} of {len(hits)}" if hits else ""


def _plain(hits: Sequence[float]) -> str:
    return f"{100 * metrics.mean(hits):.0f} of {len(hits)}" if hits else ""


def _interval(values: Sequence[float]) -> str:
    low, high = metrics.interval(values)
    return f"{metrics.mean(values):.2f} [{low:.2f}, {high:.2f}]"


KINDS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "passkey": ("Passkeys by length and depth", passkeys),
    "perplexity": ("Perplexity by position", perplexities),
    "turns": ("SirLLM's three tasks", talks),
    "beacons": ("Beacons: trained, untrained, and what stands in for them", trained),
    "blobs": ("Caches as files", blobs),
    "speculation": ("Speculative decoding with retrieved passages", speculations),
    "dialogues": ("Questions about long dialogues", questions),
    "facts": ("Sentences hidden in a book", hidden),
}
