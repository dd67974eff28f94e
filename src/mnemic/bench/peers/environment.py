"""A virtual environment for each peer, with pinned versions, kept in the user's cache and used again.

Packages come through the user's own pip settings (index, proxy, certificates). pip's cache stays off, so a peer takes
no more disk than its environment; removing the folder removes the peer.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs

from mnemic.errors import MnemicError

MARKER = "mnemic-peer.json"
_NOT_THE_PEER = (
    "pip",
    "pip-",
    "setuptools",
    "setuptools-",
    "_distutils_hack",
    "distutils-precedence.pth",
    "pkg_resources",
)
_LISTING = re.compile(r" \(from versions: [^)]*\)")
_ADDRESS = re.compile(r"\b\w+://\S+")


class PeerError(MnemicError):
    """A peer cannot be installed or cannot run; the message is the reason, without addresses or paths."""


@dataclass(frozen=True)
class Environment:
    """``size`` is in bytes, of everything in site-packages but pip and setuptools, without compiled bytecode;
    ``packages`` maps name to version."""

    python: str
    requirements: tuple[str, ...]
    interpreter: str
    size: int = 0
    packages: dict[str, str] = field(default_factory=dict)


def folder() -> Path:
    """Where the environments are kept."""
    return Path(platformdirs.user_cache_dir("mnemic")) / "peers"


def provide(
    name: str, steps: Sequence[Sequence[str]], where: Path | None = None, *, timeout: float = 1800
) -> Environment:
    """The environment ``name`` under ``where``, made unless one with the same pins and Python is there.

    ``steps`` are lists of requirements, each one call of pip, in order: what must not be chosen by the resolver of a
    later step comes first. Raises :class:`PeerError` with pip's reason; then the environment is gone again.
    """
    home = (where or folder()) / name
    wanted = tuple(each for step in steps for each in step)
    kept = _kept(home / MARKER)
    if (
        kept
        and kept.requirements == wanted
        and kept.python == platform.python_version()
        and Path(kept.interpreter).exists()
    ):
        return kept
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        _call([sys.executable, "-m", "venv", str(home)], timeout, home)
        python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        for step in steps:
            _call([*pip, "install", "--quiet", "--no-cache-dir", "--no-compile", *step], timeout, home)
        listed = json.loads(_call([*pip, "list", "--format=json"], timeout, home))
    except PeerError:
        shutil.rmtree(home, ignore_errors=True)
        raise
    packages = {each["name"]: each["version"] for each in listed if each["name"] not in ("pip", "setuptools")}
    made = Environment(platform.python_version(), wanted, str(python), size(home), packages)
    (home / MARKER).write_text(json.dumps(asdict(made), indent=1), encoding="utf-8")
    return made


def size(home: Path) -> int:
    """Bytes of the packages in the environment at ``home``, without pip, setuptools and compiled bytecode."""
    total = 0
    for site in [*home.glob("lib/python*/site-packages"), *home.glob("Lib/site-packages")]:
        for top in site.iterdir():
            if top.name in _NOT_THE_PEER or top.name.startswith(("pip-", "setuptools-")):
                continue
            files = [top] if top.is_file() else top.rglob("*")
            total += sum(f.stat().st_size for f in files if f.suffix != ".pyc" and f.is_file() and not f.is_symlink())
    return total


def plain(reason: str, *paths: Path) -> str:
    """``reason`` without what is only true of this machine: addresses, and the folders in ``paths``."""
    for path in (*paths, Path.home()):
        reason = reason.replace(str(path), "~")
    return _ADDRESS.sub("<address>", reason).strip()


def _kept(marker: Path) -> Environment | None:
    try:
        told = json.loads(marker.read_text("utf-8"))
        return Environment(**{**told, "requirements": tuple(told["requirements"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):  # written by another version, or cut short: make it anew
        return None


def _call(command: Sequence[str], timeout: float, home: Path) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise PeerError(f"the installation did not end within {timeout:.0f} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:] or [f"exit code {done.returncode}"]
        raise PeerError(plain(_LISTING.sub("", "; ".join(errors))[:600], home))
    return done.stdout
