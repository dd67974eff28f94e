"""Long texts through each policy on a real small model: what is found again, how well the text is known, what it costs.

    python benchmarks/attention passkey --out benchmarks/results/attention/passkey.json
    python benchmarks/attention perplexity --text BOOK.txt --out benchmarks/results/attention/perplexity.json
    python benchmarks/attention turns --data DIR --out benchmarks/results/attention/turns.json
    python benchmarks/attention beacons --text BOOK.txt --out benchmarks/results/attention/beacons.json
    python benchmarks/attention blobs --out benchmarks/results/attention/blobs.json
    python benchmarks/attention speculation --out benchmarks/results/attention/speculation.json
    python benchmarks/attention dialogues --data DIR --out benchmarks/results/attention/dialogues.json
    python benchmarks/attention facts --data DIR --out benchmarks/results/attention/facts.json
    python benchmarks/attention table benchmarks/results/attention/* > benchmarks/attention.md

``--data`` holds the folders ``sirllm``, ``locomo`` and ``sort``. A run that was broken off goes on where it stopped;
results hold numbers, no text.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import beacons
import blobs
import dialogues
import facts
import passkey
import perplexity
import speculation
import tables
import torch
import turns
from contenders import Interval, contenders
from rich.progress import Progress

from mnemic.attention import pretrained
from mnemic.attention.registry import make
from mnemic.bench import machine

Runs = list[dict[str, Any]]
Work = tuple[dict[str, Any], Callable[[], Runs]]
"""What tells a piece of work by the runs that come of it, and the work."""


def passkeys(arguments: argparse.Namespace, model: Any, tokenizer: Any, _: Progress) -> Iterator[Work]:
    wanted = contenders(arguments.budget)
    for length in map(int, arguments.lengths.split(",")):
        for seed in range(arguments.first, arguments.first + passkey.LOAD[length][0]):
            for name in _names(arguments, wanted):
                yield (
                    {"policy": name, "length": length, "seed": seed},
                    partial(passkey.measure, model, tokenizer, name, wanted[name], length, seed),
                )


def perplexities(arguments: argparse.Namespace, model: Any, tokenizer: Any, _: Progress) -> Iterator[Work]:
    wanted = contenders(arguments.budget)
    ids = _book(arguments, tokenizer)[: arguments.tokens]
    for name in _names(arguments, wanted):
        yield {"policy": name}, partial(perplexity.measure, model, name, wanted[name], ids, arguments.bucket)


def talks(arguments: argparse.Namespace, model: Any, tokenizer: Any, _: Progress) -> Iterator[Work]:
    decays = {"dailydialog": "0.7", "grocery": "1.0", "rock-paper-scissors": "0.9"}
    for task, kept in turns.TASKS.items():
        size = kept + 4
        wanted = {
            "full": make("full"),
            "streaming": make("streaming", {"window": str(kept), "sinks": "4"}),
            "random": contenders(size)["random"],
            "interval": Interval(capacity=size),
            "surprisal": make("surprisal", {"capacity": str(size), "decay": decays[task]}),
        }
        found = turns.episodes(task, Path(arguments.data) / "sirllm", arguments.episodes, tokenizer)
        for episode, each in enumerate(found):
            for name in _names(arguments, wanted):
                yield (
                    {"task": task, "policy": name, "episode": episode},
                    partial(turns.measure, model, tokenizer, name, wanted[name], task, each, episode),
                )


def questions(arguments: argparse.Namespace, model: Any, tokenizer: Any, _: Progress) -> Iterator[Work]:
    wanted = contenders(arguments.budget)
    for case in dialogues.cases(Path(arguments.data), tokenizer, arguments.tokens, arguments.conversations):
        alone = cache(partial(dialogues.alone, model, tokenizer, case))  # the same for every policy
        for name in _names(arguments, wanted):
            yield (
                {"policy": name, "case": case[0]},
                partial(dialogues.measure, model, tokenizer, name, wanted[name], case, alone),
            )


def hidden(arguments: argparse.Namespace, model: Any, tokenizer: Any, _: Progress) -> Iterator[Work]:
    small = pretrained.SETTINGS[pretrained.SMALL]
    wanted = {
        **contenders(800),  # the settings for InfLLM let a query read 784
        "infllm": make("infllm", small["infllm"]),
        "infllm-mean": make("infllm", {**small["infllm"], "vote": "mean", "representatives": "4"}),
        "emllm": make("emllm", small["emllm"]),
        "passage": make("full"),
    }
    for book in arguments.books.split(","):
        for name in _names(arguments, wanted):
            yield (
                {"policy": name, "book": book, "characters": arguments.characters},
                partial(facts.measure, model, tokenizer, name, wanted[name], Path(arguments.data) / "sort", book,
                        arguments.characters),
            )  # fmt: skip


def trained(arguments: argparse.Namespace, model: Any, tokenizer: Any, bar: Progress) -> Iterator[Work]:
    task = bar.add_task("training beacons", total=arguments.steps)
    ids = _book(arguments, tokenizer)
    yield {}, partial(beacons.measure, model, ids, arguments.steps, 8, lambda *_: bar.advance(task))


def injected(arguments: argparse.Namespace, model: Any, tokenizer: Any, _: Progress) -> Iterator[Work]:
    for seed in range(4):
        yield {"seed": seed}, partial(blobs.measure, model, tokenizer, seed)


def drafted(arguments: argparse.Namespace, model: Any, tokenizer: Any, _: Progress) -> Iterator[Work]:
    other, _tokenizer = pretrained.load(arguments.model)
    wanted = contenders(arguments.budget)
    for name in ("full", "lambda"):
        yield (
            {"policy": f"{name}: alone", "seed": 0},
            partial(speculation.measure, model, other, tokenizer, name, wanted[name], wanted["full"], 0),
        )


def _book(arguments: argparse.Namespace, tokenizer: Any) -> list[int]:
    text = Path(arguments.text).read_text(encoding="utf-8")[arguments.skip :]
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _names(arguments: argparse.Namespace, wanted: dict[str, Any]) -> list[str]:
    return [each for each in arguments.policies.split(",") if each in wanted] if arguments.policies else list(wanted)


KINDS = {
    "passkey": passkeys,
    "perplexity": perplexities,
    "turns": talks,
    "beacons": trained,
    "blobs": injected,
    "speculation": drafted,
    "dialogues": questions,
    "facts": hidden,
}


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    model, tokenizer = pretrained.load(arguments.model)
    out = Path(arguments.out)
    told = json.loads(out.read_text()) if out.exists() else {"kind": arguments.what, "runs": []}
    told |= {
        "command": "python benchmarks/attention " + " ".join(Path(a).name if a.startswith("/") else a
                                                             for a in sys.argv[1:]),
        "model": arguments.model, "budget": arguments.budget, "machine": machine.describe(),
        "versions": machine.versions() | {"torch": torch.__version__},
    }  # fmt: skip
    with Progress() as bar:
        works = [
            (key, work)
            for key, work in KINDS[arguments.what](arguments, model, tokenizer, bar)
            if not any(key.items() <= done.items() for done in told["runs"])
        ]
        task = bar.add_task(arguments.what, total=len(works))
        for key, work in works:
            bar.update(task, description=" ".join(map(str, key.values())) or arguments.what)
            told["runs"] += work()
            out.write_text(json.dumps(told, separators=(",", ":")).replace('{"policy"', '\n{"policy"') + "\n")
            bar.advance(task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*KINDS, "table"])
    parser.add_argument("files", nargs="*", help="table: result files")
    parser.add_argument("--model", default=pretrained.SMALL)
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--policies", default="")
    parser.add_argument("--lengths", default="1024,4096,8192,16384,32768")
    parser.add_argument("--first", type=int, default=0, help="passkey: the first haystack")
    parser.add_argument("--text")
    parser.add_argument("--skip", type=int, default=0, help="characters at the beginning that are left out")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--bucket", type=int, default=1024)
    parser.add_argument("--data", help="folder with benchmark data")
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--books", default=",".join(facts.BOOKS[1:]))
    parser.add_argument("--characters", type=int, default=40_000, help="facts: how much of a book is read")
    parser.add_argument("--steps", type=int, default=120, help="of the training of beacons")
    parser.add_argument("--conversations", type=int, default=1)
    parser.add_argument("--out", default="attention.json")
    arguments = parser.parse_args()
    if arguments.what == "table":
        sys.stdout.write(tables.markdown(arguments.files))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
