"""How fast, how small: the figures of the engine, measured on this machine and written beside this file.

Run with ``make bench``. Each figure has the load of the machine beside it; timings are of one thread. The
conversation is generated: invented sentences of about 40 tokens with a Zipf vocabulary, 20 turns a session.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

HERE = Path(__file__).parent
SIZES = (10_000, 100_000)
QUERIES = 200
START = datetime(2022, 1, 1, tzinfo=UTC)
LIMITS: tuple[tuple[str, str, str, float], ...] = (
    ("recall p50, 10,000 turns, sparse", "recall ms, 10,000 turns, sparse", "<= ms", 20),
    ("recall p50, 100,000 turns, sparse", "recall ms, 100,000 turns, sparse", "<= ms", 50),
    ("recall p50, 10,000 turns, lexical", "recall ms, 10,000 turns, lexical", "<= ms", 8),
    ("recall p50, 100,000 turns, lexical", "recall ms, 100,000 turns, lexical", "<= ms", 30),
    ("remember one turn p50, sparse", "remember ms, sparse", "<= ms", 40),
    ("remember one turn p50, lexical", "remember ms, lexical", "<= ms", 15),
    ("bulk import, sparse", "import turns/s, sparse, to 10,000", ">= turns/s", 70),
    ("bulk import, lexical", "import turns/s, lexical, to 100,000", ">= turns/s", 8000),
    ("import mnemic", "import mnemic ms", "<= ms", 150),
    ("first recall of a process, 10,000 turns", "first recall s, 10,000 turns, sparse", "<= s", 0.5),
    ("first recall of a process, 100,000 turns", "first recall s, 100,000 turns, sparse", "<= s", 3),
    ("base installation with the default model", "base installation MB", "<= MB", 190),
    ("resident memory, 10,000 turns", "resident MB, 10,000 turns, sparse", "<= MB", 350),
)
"""What the engine is to keep: name, figure, how it is compared, bound."""


class Talk:
    """Invented conversation: common words make sentences, rare ones make them findable."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "is", "ol")]
        self.words = ["".join(self.random.choices(syllables, k=self.random.randint(1, 4))) for _ in range(30_000)]
        english = (
            "we went to the market and she said that her garden needs water because summer was long this year so they "
            "bought a new bicycle for work but my brother still takes the bus every morning with his friend from school"
        ).split()
        self.common = english * 3

    def sentence(self, length: int = 26) -> str:
        rare = [self.words[min(int(self.random.paretovariate(0.6)), len(self.words) - 1)] for _ in range(6)]
        words = rare + self.random.choices(self.common, k=length - len(rare))
        self.random.shuffle(words)
        return " ".join(words).capitalize() + "."

    def turns(self, count: int) -> list[Any]:
        from mnemic import Turn

        return [
            Turn(
                self.sentence(),
                speaker=("Ana", "Ben")[i % 2],
                at=START + timedelta(hours=12 * (i // 20), minutes=i % 20),
                session=f"s{i // 20}",
                id=f"t{i}",
            )
            for i in range(count)
        ]

    def question(self, text: str) -> str:
        """Some words of a turn, as somebody asks who remembers them vaguely."""
        words = text.rstrip(".").lower().split()
        return "What did Ana say about " + " ".join(self.random.sample(words, 7)) + "?"


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    cut = statistics.quantiles(milliseconds, n=20)
    return {"p50": round(statistics.median(milliseconds), 2), "p95": round(cut[18], 2), "runs": len(milliseconds)}


def timed(what: Callable[[], Any]) -> float:
    start = time.perf_counter()
    what()
    return 1000 * (time.perf_counter() - start)


def resident_mb() -> float:
    import psutil

    return round(psutil.Process().memory_info().rss / 1e6, 1)


def in_child(code: str, *arguments: str) -> str:
    """What ``code`` prints in a fresh process."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


FIRST = """
import sys, time
start = time.perf_counter()
import mnemic
with mnemic.open(sys.argv[1], read_only=True) as memory:
    memory.recall(sys.argv[2])
    print(time.perf_counter() - start)
"""
RESIDENT = """
import sys, mnemic, psutil
with mnemic.open(sys.argv[1]) as memory:
    for question in sys.argv[2:]:
        memory.recall(question)
    print(psutil.Process().memory_info().rss / 1e6)
"""


def measure(encoders: str, sizes: tuple[int, ...], figures: dict[str, Any], folder: Path) -> None:
    import mnemic

    talk = Talk()
    turns = talk.turns(max(sizes))
    questions = [talk.question(talk.random.choice(turns).text) for _ in range(QUERIES)]
    leg = "sparse" if encoders != "lexical" else "lexical"
    at = folder / f"{leg}.db"
    with mnemic.open(at, encoders=encoders) as memory:
        one = [timed(lambda: memory.remember(talk.sentence(), speaker="Ana")) for _ in range(60)]
        figures[f"remember ms, {leg}"] = percentiles(one[10:])
    at.unlink()
    done = 0
    with mnemic.open(at, encoders=encoders) as memory:
        for size in sizes:
            seconds = timed(lambda size=size, done=done: memory.ingest(turns[done:size])) / 1000  # type: ignore[misc]
            figures[f"import turns/s, {leg}, to {size:,}"] = round((size - done) / seconds)
            done = size
            memory.recall(questions[0])
            figures[f"recall ms, {size:,} turns, {leg}"] = percentiles(
                [timed(lambda q=q: memory.recall(q)) for q in questions]  # type: ignore[misc]
            )
            extra = [timed(lambda: memory.remember(talk.sentence(), speaker="Ana")) for _ in range(30)]
            after = [timed(lambda q=q: memory.recall(q)) for q in questions[:1]]  # type: ignore[misc]
            figures[f"remember ms, {size:,} turns, {leg}"] = percentiles(extra)
            figures[f"recall ms right after a write, {size:,} turns, {leg}"] = round(after[0], 2)
            firsts = [float(in_child(FIRST, str(at), q)) for q in questions[:3]]
            figures[f"first recall s, {size:,} turns, {leg}"] = round(statistics.median(firsts), 3)
            figures[f"resident MB, {size:,} turns, {leg}"] = round(
                float(in_child(RESIDENT, str(at), *questions[:20])), 1
            )
            figures[f"disk MB, {size:,} turns, {leg}"] = round(at.stat().st_size / 1e6, 1)


def installation() -> dict[str, Any]:
    """Size of a fresh base installation without pip, and of the default model."""
    from mnemic import models

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--quiet", "install", str(HERE.parent)]
        subprocess.run(pip, check=True)
        site = next(Path(folder).glob("lib/python*/site-packages"))
        skip = {p.name for p in site.iterdir() if p.name.split("-")[0] in ("pip", "setuptools", "_distutils_hack")}
        total = sum(
            f.stat().st_size for p in site.iterdir() if p.name not in skip for f in [p, *p.rglob("*")] if f.is_file()
        )
    weights = models.pull("splade-tiny", progress=False)
    model = sum(f.stat().st_size for f in weights.rglob("*") if f.is_file())
    return {"packages": round(total / 1e6, 1), "model": round(model / 1e6, 1), "sum": round((total + model) / 1e6, 1)}


def table(result: dict[str, Any]) -> str:
    """The bounds and what was reached, as Markdown."""
    lines = ["# Speed and size", "", "Made by `make bench`; every figure is in `speed.json`.", ""]
    lines += [f"{name}: {value}  " for name, value in result["machine"].items()]
    lines += ["", "| figure | bound | reached | p95 | kept |", "|---|---|---|---|---|"]
    for name, key, compared, bound in LIMITS:
        found = result["figures"].get(key)
        if found is None:
            continue
        sign, unit = compared.split(" ", 1)
        value = found.get("p50", found.get("sum")) if isinstance(found, dict) else found
        p95 = found.get("p95", "") if isinstance(found, dict) else ""
        kept = value <= bound if sign == "<=" else value >= bound
        lines.append(f"| {name} | {sign} {bound:,} {unit} | {value:,} | {p95} | {'yes' if kept else '**no**'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="10,000 turns only")
    parser.add_argument("--out", type=Path, default=HERE / "speed.json")
    chosen = parser.parse_args()
    sizes = SIZES[:1] if chosen.small else SIZES
    figures: dict[str, Any] = {}
    load = [os.getloadavg()[0]]
    imports = [
        float(in_child("import time; t = time.perf_counter(); import mnemic; print(time.perf_counter() - t)"))
        for _ in range(7)
    ]
    figures["import mnemic ms"] = round(1000 * statistics.median(imports), 1)
    whole = [
        float(
            in_child("import time; t = time.perf_counter(); import mnemic; mnemic.open; print(time.perf_counter() - t)")
        )
        for _ in range(5)
    ]
    figures["import of everything open() needs, ms"] = round(1000 * statistics.median(whole), 1)
    folder = Path(tempfile.mkdtemp(prefix="mnemic-speed-"))
    try:
        for encoders in ("lexical", "splade-tiny"):
            measure(encoders, sizes, figures, folder)
            load.append(os.getloadavg()[0])
    finally:
        shutil.rmtree(folder)
    figures["base installation MB"] = installation()
    result = {
        "command": "make bench",
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load average before and after each part": [round(x, 2) for x in load],
        },
        "figures": figures,
    }
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    chosen.out.with_suffix(".md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
