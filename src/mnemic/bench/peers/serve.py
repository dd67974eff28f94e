"""The worker: runs one adapter under its own Python and talks JSON lines, requests on stdin, answers on stdout.

Run as ``python -P serve.py ADAPTER VARIANT FOLDER``. Nothing of Mnemic is imported here: the interpreter is the peer's.
Times are taken around the peer's own call, in milliseconds; reading and writing JSON is not in them. The process may
not reach the network: whatever tries is refused, and told in the last answer.

``open`` -> ``{ms}``; ``know {texts, vectors}`` -> ``{}``; ``add {turns}`` -> ``{ms}``;
``search {question, k, scope, now}`` -> ``{ids, ms}``; ``close`` -> ``{refused}``. A failure answers ``{error}``.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import sys
import time
from array import array
from pathlib import Path
from typing import Any

refused: list[str] = []


def offline(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook that lets nothing out: names are not resolved, addresses other than local sockets not called."""
    if event == "socket.getaddrinfo":
        target = str(arguments[0])
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        target = str(arguments[1][0])
    else:
        return
    if target not in ("localhost", "127.0.0.1", "::1"):
        refused.append(target)
        raise OSError(f"offline: no connection to {target}")


class Known:
    """The vectors of all texts and questions, float32; a text that is not there is an error, never a guess.

    Peers may trim what they are given, so blanks around a text do not count.
    """

    def __init__(self) -> None:
        self._vectors: dict[str, array[float]] = {}

    def learn(self, texts: list[str], vectors: list[str]) -> None:
        for text, vector in zip(texts, vectors, strict=True):
            self._vectors[text.strip()] = array("f", base64.b64decode(vector))

    def __call__(self, text: str) -> array[float]:
        return self._vectors[text.strip()]


def load(path: Path) -> Any:
    """The adapter at ``path``. By path, because ``mem0.py`` must not be what ``import mem0`` finds."""
    spec = importlib.util.spec_from_file_location(f"adapter_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no adapter at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(adapter: Path, variant: str, folder: Path) -> None:
    # Peers print what they like; the protocol keeps the real stdout to itself.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.addaudithook(offline)
    known = Known()
    peer: Any = None

    def serve(asked: dict[str, Any]) -> dict[str, Any]:
        nonlocal peer
        began = time.perf_counter()
        match asked["op"]:
            case "open":
                peer = load(adapter).Peer(folder, variant, known)
                return {"ms": 1000 * (time.perf_counter() - began)}
            case "know":
                known.learn(asked["texts"], asked["vectors"])
                return {}
            case "add":
                peer.add(asked["turns"])
                return {"ms": 1000 * (time.perf_counter() - began)}
            case "search":
                ids = peer.search(asked["question"], asked["k"], asked["scope"], asked["now"])
                return {"ids": ids, "ms": 1000 * (time.perf_counter() - began)}
            case "close":
                peer.close()
                return {"refused": sorted(set(refused))}
        raise ValueError(f"no operation {asked['op']!r}")

    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = serve(asked)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is the row's reason
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if asked["op"] == "close":
            break
    # Some peers leave threads behind that would keep the process.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
