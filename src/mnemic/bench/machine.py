"""The conditions of a measurement: the machine, what else it did, and exactly which code and data."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import mnemic

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PACKAGES = ("numpy", "tokenizers", "PyStemmer", "onnxruntime", "sentence-transformers")


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system, and the thread settings of numerical libraries."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "system": platform.system(),
        "threads": {name: os.environ[name] for name in _THREADS if name in os.environ},
    }


def load() -> list[float] | None:
    """The 1, 5 and 15 minute load averages; None where the system keeps none."""
    return [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None


def versions() -> dict[str, str]:
    """Python, Mnemic with the digest of its source, and the packages that could change a result."""
    found = {"python": platform.python_version(), "mnemic": mnemic.__version__, "code": code()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def code() -> str:
    """Digest of every source and table of the text floor, of the runner and of the suites: what a result depends on."""
    root = Path(mnemic.__file__).parent
    hashed = blake2b(digest_size=8)
    for path in sorted([*root.glob("text/**/*"), *root.glob("bench/*.py"), *root.glob("bench/suites/*.py")]):
        if path.suffix in (".py", ".json"):
            hashed.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()


def digest(path: Path) -> str:
    """Digest of a file's bytes; of a folder, of all files in it by name."""
    hashed = blake2b(digest_size=16)
    for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if each.is_file():
            hashed.update(each.name.encode() + b"\0" + each.read_bytes())
    return hashed.hexdigest()


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
