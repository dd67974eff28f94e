"""Our end of a worker: starts it in an environment without keys or telemetry, asks, measures its memory, ends it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mnemic.bench.peers.environment import PeerError, plain

ADAPTERS = Path(__file__).parent / "adapters"
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "MEM0_TELEMETRY": "False",
    "GRAPHITI_TELEMETRY_ENABLED": "false",
    "LANGSMITH_TRACING": "false",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""What every worker's environment says: no hub, no telemetry, one thread."""
BLOCK = 256


class Worker:
    """A running adapter. A context manager; ``timeout`` seconds without an answer end it.

    ``interpreter`` is the Python to run under (None: ours). Every failure is a :class:`PeerError` that says what the
    peer said.
    """

    def __init__(
        self, adapter: Path, variant: str = "", *, interpreter: str | None = None, timeout: float = 600.0
    ) -> None:
        self._adapter, self._variant, self._timeout = adapter, variant, timeout
        self._interpreter = interpreter or sys.executable
        self._own = interpreter is None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="mnemic-peer-", ignore_cleanup_errors=True)
        home = Path(self._folder.name)
        self._errors = (home / "stderr").open("w+b")
        serve = Path(__file__).parent / "serve.py"
        self._process = subprocess.Popen(
            [self._interpreter, "-P", str(serve), str(self._adapter), self._variant, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=surroundings(home, own=self._own),
            cwd=home,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        self._folder.cleanup()

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        watch = threading.Timer(self._timeout, give_up)
        watch.start()
        try:
            self._process.stdin.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            watch.cancel()
        if late.is_set():
            raise PeerError(f"{op}: no answer within {self._timeout:.0f} s")
        if not line:
            raise PeerError(f"{op}: the worker ended; {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(
                plain(f"{op}: {answer['error']}"[:600], Path(self._folder.name), Path(self._interpreter).parent.parent)
            )
        return answer

    def open(self) -> float:
        """Milliseconds to import the peer and make an empty store."""
        return float(self.ask("open")["ms"])

    def know(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Hand over the vectors float32 [len(texts), dim] of texts and questions."""
        for start in range(0, len(texts), BLOCK):
            rows = [base64.b64encode(row.tobytes()).decode() for row in vectors[start : start + BLOCK]]
            self.ask("know", texts=list(texts[start : start + BLOCK]), vectors=rows)

    def add(self, turns: Sequence[Mapping[str, Any]]) -> float:
        """Milliseconds to add ``turns`` in one call."""
        return float(self.ask("add", turns=[dict(turn) for turn in turns])["ms"])

    def search(self, question: str, k: int, scope: str, now: str) -> tuple[list[str], float]:
        """The ids found, best first, and the milliseconds it took."""
        answer = self.ask("search", question=question, k=k, scope=scope, now=now)
        return [str(id) for id in answer["ids"]], float(answer["ms"])

    def close(self) -> list[str]:
        """End in good order; the hosts that the peer tried to reach."""
        return [str(host) for host in self.ask("close")["refused"]]

    def resident(self) -> float | None:
        """Resident memory in MB; None where the system does not tell."""
        pid = self._process.pid
        status = Path(f"/proc/{pid}/status")
        if status.exists():
            line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmRSS:"))
            return int(line.split()[1]) * 1024 / 1e6
        if os.name == "nt":
            return None
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return int(done.stdout) * 1024 / 1e6 if done.stdout.strip().isdigit() else None

    def _last_words(self) -> str:
        self._process.wait(10)
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        told = said[-1][:400] if said else f"exit code {self._process.returncode}"
        return plain(told, Path(self._folder.name), Path(self._interpreter).parent.parent)


def surroundings(home: Path, *, own: bool) -> dict[str, str]:
    """The worker's environment: ours without any key, quiet, and at home in ``home``.

    A peer's Python must not see our packages; our own needs them, and the user's model weights.
    """
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith(("_API_KEY", "_TOKEN"))}
    if not own:
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
            kept.pop(name, None)
        kept |= {
            "HOME": str(home),
            "USERPROFILE": str(home),
            "XDG_CACHE_HOME": str(home),
            "MEM0_DIR": str(home / "mem0"),
        }
    return kept | QUIET
