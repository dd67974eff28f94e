"""Files of a server: small ones replaced whole, for their owner only; locks that end with the process; how many."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnemic.errors import StoreError


def write(path: Path, text: str) -> None:
    """Replace the file by ``text``: after a crash it holds the old or the new, and it is readable by its owner only."""
    scratch = path.with_name(path.name + ".part")
    with open(scratch, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def private(path: str, flags: int) -> int:
    """An opener of files for their owner only."""
    return os.open(path, flags, 0o600)


@contextmanager
def alone(path: Path, patience: float = 10.0) -> Iterator[None]:
    """Hold the lock file ``path``, which the system lets go of with the process. Raises :class:`StoreError` when
    another process holds it for longer than ``patience`` seconds."""
    with open(path, "a", encoding="utf-8", opener=private) as file:
        deadline = time.monotonic() + patience
        while not _taken(file.fileno()):
            if time.monotonic() > deadline:
                raise StoreError(f"{path} is locked by another process: try again")
            time.sleep(0.02)
        yield


if sys.platform == "win32":
    import msvcrt

    def files(wanted: int) -> int:
        """How many files this process may have open: nothing bounds them here."""
        return wanted

    def _taken(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl
    import resource

    def files(wanted: int) -> int:
        """Let this process have ``wanted`` files open, as far as the system allows; returns how many it may."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        return wanted if soft == resource.RLIM_INFINITY else soft

    def _taken(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
