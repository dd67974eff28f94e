"""What a server is told when it starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mnemic.errors import InputError
from mnemic.text.language.base import Language
from mnemic.text.opening import SUFFIX, utc_now

PORT = 8377


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one caller from using up the server.

    ``body`` and ``upload`` are bytes of a request and of an uploaded file; ``rate`` is requests a second for each
    token, ``burst`` how many may come at once; ``open_spaces`` is how many spaces are kept open.
    """

    body: int = 32 << 20
    upload: int = 2 << 30
    rate: float = 50.0
    burst: int = 200
    open_spaces: int = 512


@dataclass(frozen=True)
class Config:
    """Where memories are, where the server listens, and what it allows.

    ``store`` is a folder of spaces. ``hosts`` are names accepted in the Host header beside those of the loopback
    and ``host``. ``space`` is for callers that name none; ``system`` and ``encoders`` are those of new spaces.
    Without ``auth`` everybody may do everything, which is allowed on the loopback only. ``upstream`` is the base
    address of an OpenAI-compatible server behind the proxy, its key in the variable ``upstream_key_env``; the proxy
    puts up to ``budget`` tokens of memory before what it is asked.
    """

    store: Path
    host: str = "127.0.0.1"
    port: int = PORT
    hosts: tuple[str, ...] = ()
    space: str = "default"
    system: str = "mnemic"
    encoders: str = "auto"
    auth: bool = True
    pages: bool = True
    language: Language | None = None
    upstream: str | None = None
    upstream_key_env: str | None = "OPENAI_API_KEY"
    budget: int = 1500
    limits: Limits = Limits()
    clock: Callable[[], datetime] = utc_now

    def __post_init__(self) -> None:
        if self.store.suffix == SUFFIX or self.store.is_file():
            raise InputError(f"{self.store} is one space: a server needs a folder of spaces")
        if not self.auth and not is_loopback(self.host):
            raise InputError(
                f"--no-auth is refused on {self.host}: everybody who reaches it could read and erase everything; "
                "listen on 127.0.0.1, or use tokens"
            )

    @property
    def tokens(self) -> Path:
        """The file of the tokens."""
        return self.store / "tokens.json"


def is_loopback(host: str) -> bool:
    """Whether ``host`` is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
