"""Many clients, many spaces, one server: how much it answers, how fast, in how much memory, and that it loses nothing.

``mnemic serve`` runs in a process of its own; the clients are threads of this one, each with its own token and
connection. Each calls again as soon as it has its answer (or at ``--rate`` calls a second, all together): recalls and
remembers, four to one, in spaces drawn evenly. With ``--kill`` the server is killed with SIGKILL half-way and started
again, while the clients go on. At the end every turn whose receipt a client got is looked up in the files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
import psutil
from speed import Talk

import mnemic
from mnemic.bench import machine
from mnemic.client import Client, connect
from mnemic.errors import MnemicError
from mnemic.serve.tokens import EVERY, Scope, Tokens
from mnemic.text.plan import Filter

HERE = Path(__file__).parent
RECALLS = 0.8
"""The share of recalls; the rest are remembers."""
SESSION = "load"
PATIENCE = 60.0
"""Seconds that a client goes on trying while the server is away."""


@dataclass
class Seen:
    """What one client saw: seconds by verb, the turns it has receipts for (space, id, text), and errors."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    receipts: list[tuple[str, str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Server:
    """``mnemic serve`` in a process of its own, started anew after each kill. Samples what it takes while it runs."""

    def __init__(self, store: Path, encoders: str, token: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = token
        self.command = [sys.executable, "-m", "mnemic", "serve", "--store", str(store), "--port", str(self.port)]
        self.command += ["--encoders", encoders, "--no-pages", "--quiet"]
        self.resident: list[float] = []
        self.open: list[float] = []
        self.cpu = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait until it is ready; returns the seconds that took."""
        began = time.perf_counter()
        self._process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        while True:
            try:
                if httpx.get(f"{self.url}/readyz").is_success:
                    return time.perf_counter() - began
            except httpx.TransportError:
                if self._process.poll() is not None:
                    raise RuntimeError("the server did not start: see its log above") from None
                time.sleep(0.02)

    def stop(self, how: int = signal.SIGTERM) -> None:
        assert self._process is not None
        self.sample()
        self.cpu += sum(psutil.Process(self._process.pid).cpu_times()[:2])
        self._process.send_signal(how)
        self._process.wait(60)

    def sample(self) -> None:
        """Note its resident megabytes and open spaces."""
        assert self._process is not None
        self.resident.append(psutil.Process(self._process.pid).memory_info().rss / 1e6)
        told = httpx.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.token}"}, timeout=30.0).text
        self.open += [float(line.split()[1]) for line in told.splitlines() if line.startswith("mnemic_open_spaces ")]


def fill(store: Path, spaces: int, turns: int, encoders: str) -> list[str]:
    """Make ``spaces`` spaces of ``turns`` turns each: one is encoded, the others are copies of its file. Returns the
    texts of the turns."""
    said = Talk().turns(turns)
    with mnemic.open(store, "space-0", encoders=encoders) as memory:
        memory.ingest(said)
    for number in range(1, spaces):
        shutil.copyfile(store / "space-0.db", store / f"space-{number}.db")
    return [turn.text for turn in said]


def client(
    number: int, url: str, token: str, spaces: int, texts: list[str], over: threading.Event, pause: float
) -> Seen:
    """Call the server until it is ``over``, ``pause`` seconds apart on average."""
    seen, talk = Seen(), Talk(number + 1)
    with connect(url, "none", token, patience=PATIENCE) as opened:
        while not over.is_set():
            if pause and over.wait(talk.random.expovariate(1 / pause)):
                break
            space = f"space-{talk.random.randrange(spaces)}"
            memory = Client(opened._http, space, patience=PATIENCE)
            verb = "recall" if talk.random.random() < RECALLS else "remember"
            text = f"{talk.sentence()} This is call {len(seen.receipts)} of client {number}."
            question = talk.question(talk.random.choice(texts))
            began = time.perf_counter()
            try:
                if verb == "recall":
                    memory.recall(question)
                else:
                    (id,) = memory.remember(text, speaker="Ana", session=SESSION).ids
                    seen.receipts.append((space, id, text))
            except (MnemicError, ValueError) as error:
                seen.errors.append(f"{verb}: {type(error).__name__}: {error}")
            seen.seconds[verb].append(time.perf_counter() - began)
    return seen


def check(store: Path, receipts: list[tuple[str, str, str]]) -> dict[str, int]:
    """Look every acknowledged turn up in the files, and whether any turn was stored twice."""
    by_space: dict[str, dict[str, str]] = defaultdict(dict)
    for space, id, text in receipts:
        by_space[space][id] = text
    missing = doubled = unacknowledged = damaged = 0
    for space, wanted in by_space.items():
        with mnemic.open(store, space) as memory:
            found = {record.id: record.text for record in memory.get(list(wanted))}
            missing += sum(found.get(id) != text for id, text in wanted.items())
            stored: list[str] = []
            cursor: str | None = None
            while True:
                page, cursor = memory.scan(Filter(sessions=[SESSION]), cursor=cursor)
                stored += [record.text for record in page]
                if cursor is None:
                    break
            doubled += len(stored) - len(set(stored))
            unacknowledged += len(set(stored) - set(wanted.values()))
            damaged += memory.space.check() is not None
    return {
        "acknowledged": len(receipts),
        "missing": missing,
        "stored twice": doubled,
        "stored without a receipt": unacknowledged,
        "damaged files": damaged,
    }


@contextmanager
def sampling(server: Server, alive: threading.Event) -> Iterator[None]:
    """Sample the server once a second while ``alive`` is set."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            if alive.is_set():
                try:
                    server.sample()
                except (httpx.TransportError, psutil.Error):  # it is being killed just now
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def measure(chosen: argparse.Namespace, store: Path) -> dict[str, Any]:
    """Fill a store, load a server, look at what it kept."""
    began = time.monotonic()
    texts = fill(store, chosen.spaces, chosen.turns, chosen.encoders)
    filled = time.monotonic() - began
    tokens = Tokens(store / "tokens.json")
    secrets = [tokens.create(f"client {n}", {EVERY: [Scope.READ, Scope.WRITE]}) for n in range(chosen.clients)]
    server = Server(store, chosen.encoders, tokens.create("metrics", {EVERY: [Scope.ADMIN]}))
    before = machine.load()
    ready = server.start()
    over = threading.Event()
    pause = chosen.clients / chosen.rate if chosen.rate else 0.0
    seen: list[Seen] = []

    def run(number: int) -> None:
        seen.append(client(number, server.url, secrets[number], chosen.spaces, texts, over, pause))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(chosen.clients)]
    alive = threading.Event()
    alive.set()
    away: float | None = None
    own = time.process_time()
    with sampling(server, alive):
        began = time.monotonic()
        for thread in threads:
            thread.start()
        time.sleep(chosen.seconds / 2)
        if chosen.kill:
            alive.clear()
            server.stop(signal.SIGKILL)
            away = time.monotonic()
            server.start()
            away = time.monotonic() - away
            alive.set()
        time.sleep(chosen.seconds / 2)
        over.set()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        alive.clear()
    own = time.process_time() - own
    after = machine.load()
    server.stop()
    receipts = [receipt for each in seen for receipt in each.receipts]
    errors = [error for each in seen for error in each.errors]
    verbs = {verb: figures([s for each in seen for s in each.seconds[verb]], took) for verb in ("recall", "remember")}
    return {
        "filled in s": round(filled, 1),
        "load average before and after": [before, after],
        "seconds": round(took, 1),
        "calls a second": round(sum(each["calls"] for each in verbs.values()) / took, 1),
        "verbs": verbs,
        "errors": len(errors),
        "first errors": errors[:5],
        "server": {
            "ready after s": round(ready, 2),
            "away after the kill s": None if away is None else round(away, 2),
            "resident MB, largest": round(max(server.resident), 1),
            "resident MB, median": round(sorted(server.resident)[len(server.resident) // 2], 1),
            "open spaces, most": max(server.open),
            "processor s": round(server.cpu, 1),
        },
        "processor s of the clients": round(own, 1),
        "kept": check(store, receipts),
    }


def figures(seconds: list[float], took: float) -> dict[str, float]:
    """How many calls, and the milliseconds that they took."""
    ordered = sorted(seconds) or [0.0]

    def at(share: float) -> float:
        return round(1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1)

    return {
        "calls": len(seconds),
        "a second": round(len(seconds) / took, 1),
        "p50 ms": at(0.5),
        "p95 ms": at(0.95),
        "p99 ms": at(0.99),
        "longest ms": at(1.0),
    }


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    told, found = result["settings"], result["figures"]
    server, kept = found["server"], found["kept"]
    pace = f"{told['rate']:g} calls a second" if told["rate"] else "as fast as it answers"
    lines = [
        "# Load",
        "",
        f"Made by `{result['command']}`; see the head of `load.py` for what is measured.",
        "",
        f"{told['spaces']} spaces of {told['turns']:,} turns ({told['encoders']}), {told['clients']} clients, "
        f"{pace}, {told['seconds']:g} s" + (", the server killed half-way" if told["kill"] else "") + ".  ",
        f"Machine: {result['machine']['processor']}, {result['machine']['cores']} cores, shared by server and "
        f"clients; load average before {found['load average before and after'][0]}, after "
        f"{found['load average before and after'][1]}.",
        "",
        "| verb | calls | a second | p50 ms | p95 ms | p99 ms | longest ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for verb, each in found["verbs"].items():
        lines.append(f"| {verb} | " + " | ".join(f"{value:,}" for value in each.values()) + " |")
    lines += [
        "",
        "| | |",
        "|---|---|",
        f"| calls a second, all together | {found['calls a second']} |",
        f"| errors | {found['errors']} |",
        f"| resident memory of the server, largest and median | {server['resident MB, largest']} MB, "
        f"{server['resident MB, median']} MB |",
        f"| open spaces, most | {server['open spaces, most']:g} |",
        f"| processor time of the server, of the clients | {server['processor s']} s, "
        f"{found['processor s of the clients']} s |",
    ]
    if told["kill"]:
        lines.append(f"| back after the kill | {server['away after the kill s']} s |")
    lines += [f"| turns {name} | {count} |" for name, count in kept.items() if name != "damaged files"]
    lines += [f"| damaged files | {kept['damaged files']} |"]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", type=int, default=500)
    parser.add_argument("--turns", type=int, default=2000, help="in each space")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second of all clients; 0: no pause at all")
    parser.add_argument("--kill", action="store_true", help="kill the server half-way and start it again")
    parser.add_argument("--encoders", default="splade-tiny")
    parser.add_argument("--out", type=Path, default=HERE / "load.json")
    given = sys.argv[1:] if arguments is None else arguments
    chosen = parser.parse_args(given)
    store = Path(tempfile.mkdtemp(prefix="mnemic-load-"))
    try:
        found = measure(chosen, store)
    finally:
        shutil.rmtree(store)
    settings = {k: v for k, v in vars(chosen).items() if k != "out"}
    result = {
        "command": " ".join(["python benchmarks/load.py", *given]),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "settings": settings,
        "figures": found,
    }
    chosen.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    chosen.out.with_suffix(".md").write_text(table(result), "utf-8")
    print(table(result))
    return result


if __name__ == "__main__":
    main()
