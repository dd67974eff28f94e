"""A server with known memories and tokens, for the tests of the pages: a process of its own, because NiceGUI keeps one
application for each process. Prints one line of JSON, and ends with its standard input.

    python tests/serve/pages_server.py STORE
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import mnemic
from mnemic import Turn, demo
from mnemic.serve.config import Config
from mnemic.serve.run import running
from mnemic.serve.tokens import EVERY, Scope, Tokens

NOW = datetime(2025, 9, 15, 9, 0, tzinfo=timezone(timedelta(hours=2)))
HOSTILE = (
    """<script>window.pwned = 1</script><img src=x onerror="window.pwned = 2"> {{ window.pwned = 3 }} <b>bold</b>"""
)
SPACE = "notes <i>of</i> Ana"


def clock() -> datetime:
    return NOW


def fill(store: Path) -> None:
    with mnemic.open(store, "demo", encoders="lexical", clock=clock) as memory:
        memory.ingest(demo.turns())
        memory.reflect()
    with mnemic.open(store, SPACE, encoders="lexical", clock=clock) as memory:
        said = {"speaker": "<u>Ana</u>", "session": "<s>one</s>"}
        memory.remember(Turn(f"Nobody may see this: heron {HOSTILE}", id="a<b>&c"), **said)
        memory.remember("I live in <i>Porto</i>.", **said)
        memory.remember(Turn("My password is hunter2-heron, keep it.", id="secret"), **said)
        memory.revise("a<b>&c", f"Nobody may see that: heron {HOSTILE} again")
        memory.reflect()


def main(store: Path) -> None:
    config = Config(store=store, port=0, space="demo", encoders="lexical", clock=clock)
    fill(store)
    tokens = Tokens(config.tokens)
    told = {
        "admin": tokens.create("admin", {EVERY: [Scope.ADMIN]}),
        "reader": tokens.create("reader", {"demo": [Scope.READ]}),
        "writer": tokens.create("writer", {"demo": [Scope.READ, Scope.WRITE, Scope.FORGET]}),
    }
    with running(config) as address:
        print(json.dumps({"url": address.url, "login": address.login, "space": SPACE, **told}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
