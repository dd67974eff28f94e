"""Long texts through each policy on a real small model: what is found again, how well the text is known, what it costs.

    python benchmarks/attention passkey --out benchmarks/results/attention/passkey.json
    python benchmarks/attention perplexity --text BOOK.txt --out benchmarks/results/attention/perplexity.json
    python benchmarks/attention turns --data DIR --out benchmarks/results/attention/turns.json
    python benchmarks/attention beacons --text BOOK.txt --out benchmarks/results/attention/beacons.json
    python benchmarks/attention blobs --out benchmarks/results/attention/blobs.json
    python benchmarks/attention speculation --out benchmarks/results/attention/speculation.json
    python benchmarks/attention dialogues --data DIR --out benchmarks/results/attention/dialogues.json
    python benchmarks/attention table benchmarks/results/attention/* > benchmarks/attention.md

``--data`` holds the folders ``sirllm`` and ``locomo``. A run that was broken off goes on where it stopped; results hold
numbers, no text.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import beacons
import blobs
import dialogues
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

Work = tuple[dict[str, Any], Callable[[], dict[str, Any]]]


def passkeys(arguments: argparse.Namespace, model: Any, tokenizer: Any) -> Iterator[Work]:
    wanted = contenders(arguments.budget)
    for length in map(int, arguments.lengths.split(",")):
        for seed in range(passkey.LOAD[length][0]):
            for name in _names(arguments, wanted):
                key = {"policy": name, "length": length, "seed": seed}
                yield (
                    key,
                    lambda n=name, key=key: passkey.measure(model, tokenizer, n, wanted[n], key["length"], key["seed"]),
                )


def perplexities(arguments: argparse.Namespace, model: Any, tokenizer: Any) -> Iterator[Work]:
    wanted = contenders(arguments.budget)
    ids = _book(arguments, tokenizer)[: arguments.tokens]
    for name in _names(arguments, wanted):
        yield {"policy": name}, lambda n=name: perplexity.measure(model, n, wanted[n], ids, arguments.bucket)


def talks(arguments: argparse.Namespace, model: Any, tokenizer: Any) -> Iterator[Work]:
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
                key = {"task": task, "policy": name, "episode": episode}
                yield (
                    key,
                    lambda k=key, each=each, w=wanted: turns.measure(
                        model, tokenizer, k["policy"], w[k["policy"]], k["task"], each, k["episode"]
                    ),
                )


def questions(arguments: argparse.Namespace, model: Any, tokenizer: Any) -> Iterator[Work]:
    wanted = contenders(arguments.budget)
    for case in dialogues.cases(Path(arguments.data), tokenizer, arguments.tokens, arguments.conversations):
        for name in _names(arguments, wanted):
            key = {"policy": name, "case": case[0]}
            yield key, lambda n=name, case=case: dialogues.measure(model, tokenizer, n, wanted[n], case)


def _book(arguments: argparse.Namespace, tokenizer: Any) -> list[int]:
    text = Path(arguments.text).read_text(encoding="utf-8")[arguments.skip :]
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _names(arguments: argparse.Namespace, wanted: dict[str, Any]) -> list[str]:
    return [each for each in arguments.policies.split(",") if each in wanted] if arguments.policies else list(wanted)


def trained(arguments: argparse.Namespace, model: Any, tokenizer: Any, bar: Progress) -> list[dict[str, Any]]:
    task = bar.add_task("training beacons", total=arguments.steps)
    return beacons.measure(model, _book(arguments, tokenizer), arguments.steps, 8, lambda *_: bar.advance(task))


def injected(arguments: argparse.Namespace, model: Any, tokenizer: Any, bar: Progress) -> list[dict[str, Any]]:
    seeds = bar.track(range(4), description="pairs of texts")
    return [run for seed in seeds for run in blobs.measure(model, tokenizer, seed)]


def drafted(arguments: argparse.Namespace, model: Any, tokenizer: Any, bar: Progress) -> list[dict[str, Any]]:
    other, _ = pretrained.load(arguments.model)
    wanted = contenders(arguments.budget)
    targets = bar.track(["full", "lambda"], description="targets")
    return [
        run
        for name in targets
        for run in speculation.measure(model, other, tokenizer, name, wanted[name], wanted["full"], 0)
    ]


WHOLE = {"beacons": trained, "blobs": injected, "speculation": drafted}
"""What is measured in one go."""
KINDS = {"passkey": passkeys, "perplexity": perplexities, "turns": talks, "dialogues": questions}


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
    if arguments.what in WHOLE:
        with Progress() as bar:
            told["runs"] = WHOLE[arguments.what](arguments, model, tokenizer, bar)
        out.write_text(json.dumps(told, separators=(",", ":")).replace('{"policy"', '\n{"policy"') + "\n")
        return
    done = [{k: run[k] for k in run if k in ("policy", "length", "seed", "task", "episode", "case")}
            for run in told["runs"]]  # fmt: skip
    works = [(key, work) for key, work in KINDS[arguments.what](arguments, model, tokenizer) if key not in done]
    with Progress() as bar:
        task = bar.add_task(arguments.what, total=len(works))
        for key, work in works:
            bar.update(task, description=" ".join(map(str, key.values())))
            told["runs"].append(work())
            out.write_text(json.dumps(told, separators=(",", ":")).replace('{"policy"', '\n{"policy"') + "\n")
            bar.advance(task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*KINDS, *WHOLE, "table"])
    parser.add_argument("files", nargs="*", help="table: result files")
    parser.add_argument("--model", default=pretrained.SMALL)
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--policies", default="")
    parser.add_argument("--lengths", default="1024,2048,4096,8192,16384")
    parser.add_argument("--text")
    parser.add_argument("--skip", type=int, default=0, help="characters at the beginning that are left out")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--bucket", type=int, default=1024)
    parser.add_argument("--data", help="folder with benchmark data")
    parser.add_argument("--episodes", type=int, default=12)
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
