"""Opening a space: from a path to a memory, with the system and the encoders that the space was made with."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mnemic import models
from mnemic.errors import ConflictError, InputError, NotFoundError, StoreError
from mnemic.text import encode, systems
from mnemic.text.encode.base import DenseEncoder, SparseEncoder
from mnemic.text.language.base import Language
from mnemic.text.memory import Memory
from mnemic.text.record import new_id
from mnemic.text.store.base import Encoders
from mnemic.text.store.schema import is_store
from mnemic.text.store.sqlite import SqliteSpace
from mnemic.text.systems.base import Reader, System, memory_of

SUFFIX = ".db"
REBUILDING = "rebuilding "
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_RESERVED = frozenset(["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))])
"""Names of devices on Windows, with any suffix."""
DEFAULT_ENCODER = "splade-tiny"
_log = logging.getLogger("mnemic")
_told = False


def utc_now() -> datetime:
    return datetime.now(UTC)


def open(
    path: str | Path,
    space: str = "default",
    system: str | System | Reader = "mnemic",
    *,
    encoders: str | Sequence[str] | Encoders = "auto",
    language: Language | None = None,
    durability: str = "full",
    read_only: bool = False,
    clock: Callable[[], datetime] = utc_now,
) -> Memory:
    """Open the memory at ``path``, making it if it is not there.

    A path that ends in ``.db`` is one space; any other is a folder of spaces, one file each; ``:memory:`` lives as
    long as the object. ``system`` names how it remembers (see :data:`mnemic.text.systems.SYSTEMS`), or how what it
    remembers is read: ``longrag`` reads the memory that the space was made with, ``longrag+hema`` says which that is.
    ``encoders`` is ``auto`` (what the space was made with; for a new one the default encoder if its weights were
    pulled), ``lexical``, or names such as ``["splade-tiny", "minilm"]`` (see :mod:`mnemic.text.encode`).
    ``durability="normal"`` survives a crash of the process but may lose the last writes when the power fails.

    Raises :class:`ConflictError` when the space was made with another system or other encoders (``mnemic rebuild``
    changes them), :class:`StoreError` when the file cannot be used.
    """
    if durability not in ("full", "normal"):
        raise InputError(f"durability is 'full' or 'normal', not {durability!r}")
    if isinstance(system, str):
        systems.parse(system)  # before a file is made for a system that there is not
    file = locate(path, space, make=not read_only)
    opened = SqliteSpace(str(file), Encoders(), name=space, durability=durability, read_only=read_only, clock=clock)
    try:
        made = systems.over(system, opened.get_meta("system"))
        settle(opened, made, encoders, read_only=read_only)
    except BaseException:
        opened.close()
        raise
    return Memory(opened, made, language=language, clock=clock)


def settle(opened: SqliteSpace, system: System, wanted: str | Sequence[str] | Encoders, *, read_only: bool) -> None:
    """Hold what is wanted against what the space records; record it in a new space. Readers leave no trace there."""
    recorded, memory = opened.get_meta("system"), memory_of(system)
    if recorded is None:
        opened.encoders = choose(wanted)
        if not read_only:
            told = json.dumps(describe(opened.encoders))
            opened.set_meta(space=opened.name, system=memory.name, encoders=told)
    else:
        if (opened.get_meta("epoch") or "").startswith(REBUILDING):
            raise ConflictError(
                f"the space {opened.name!r} is being rebuilt, or a rebuild of it was broken off: wait, or run: "
                "mnemic rebuild"
            )
        if recorded != memory.name:
            raise ConflictError(
                f"the space {opened.name!r} was made by the system {recorded!r}, not {memory.name!r}: open it with "
                f"system={recorded!r}, or run: mnemic rebuild --system {memory.name}"
            )
        told = json.loads(opened.get_meta("encoders") or "{}")
        opened.encoders = choose([name for name, _ in told.values()] if wanted == "auto" else wanted)
        if describe(opened.encoders) != told:
            raise ConflictError(
                f"the space {opened.name!r} was made with the encoders {_names(told)}, not with "
                f"{_names(describe(opened.encoders))}: open it with encoders='auto', or run: mnemic rebuild"
            )
    opened.reset_index()


def choose(wanted: str | Sequence[str] | Encoders) -> Encoders:
    """The encoders for what a caller asked for."""
    if isinstance(wanted, Encoders):
        return wanted
    if wanted == "lexical":
        return Encoders()
    if wanted == "auto":
        if models.installed(DEFAULT_ENCODER) is None:
            _say_once()
            return Encoders()
        wanted = DEFAULT_ENCODER
    legs: dict[str, Any] = {}
    for name in [wanted] if isinstance(wanted, str) else wanted:
        encoder = encoder_named(name)
        leg = "dense" if isinstance(encoder, DenseEncoder) else "sparse"
        if leg in legs:
            raise InputError(
                f"{name!r} is a second {leg} encoder beside {legs[leg].name!r}: a space has one of each kind"
            )
        legs[leg] = encoder
    return Encoders(**legs)


@cache
def encoder_named(name: str) -> SparseEncoder | DenseEncoder:
    """The encoder called ``name``, loaded once for all the spaces of the process."""
    return encode.get(name)


def describe(encoders: Encoders) -> dict[str, list[str]]:
    """Leg -> [name, version] of the encoders beside the lexical one, as a space records them."""
    legs = {"sparse": encoders.sparse, "dense": encoders.dense}
    return {leg: [e.name, e.version] for leg, e in legs.items() if e is not None}


def _names(told: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{leg} {name} {version}" for leg, (name, version) in told.items()) or "lexical only"


def _say_once() -> None:
    global _told
    if not _told:
        _told = True
        _log.warning(
            "no encoder is installed, so memories are found by their words only; "
            "for better recall run: mnemic models pull %s",
            DEFAULT_ENCODER,
        )


def recorded_system(path: str | Path, space: str) -> str | None:
    """The system that an existing space records; None if there is no such space yet."""
    file = locate(path, space, make=None)
    if not isinstance(file, Path) or not is_store(file):
        return None
    opened = SqliteSpace(str(file), Encoders(), read_only=True)
    try:
        return opened.get_meta("system")
    finally:
        opened.close()


def rebuild(
    path: str | Path,
    space: str = "default",
    *,
    system: str | None = None,
    encoders: str | Sequence[str] = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Give an existing space another system or other encoders: everything is derived again from its turns.

    Of a ``system`` read through readers only the memory counts; one that is a reader alone keeps the memory there is.
    ``encoders="auto"`` keeps those it has; a space without any gets the default encoder if that is installed. The
    turns are not touched. Interrupted, it can be run again.
    """
    file = locate(path, space, make=False)
    opened = SqliteSpace(str(file), Encoders(), name=space)
    try:
        told = json.loads(opened.get_meta("encoders") or "{}")
        chosen = choose([name for name, _ in told.values()] if encoders == "auto" and told else encoders)
        before = opened.get_meta("system")
        made = memory_of(systems.make(system or before or systems.DEFAULT, recorded=before))
        epoch = new_id()  # from now on, whoever has the space open writes nothing more into it
        broken = (opened.get_meta("epoch") or "").startswith(REBUILDING)
        opened.set_meta(epoch=REBUILDING + epoch)
        if describe(chosen) != told or broken:  # a rebuild that was broken off may have left both kinds of vectors
            opened.reencode(chosen, progress)
            opened.set_meta(encoders=json.dumps(describe(chosen)))
        opened.encoders = chosen
        opened.reset_index()
        derived = opened.derived()
        if derived:
            opened.purge(derived)
        opened.unschedule("reflect")
        opened.set_meta(system=made.name, epoch=epoch)
        opened.reset_index()
        with Memory(opened, made, clock=utc_now) as memory:
            again = memory.derive_again()
            done = memory.reflect()
        return {"system": made.name, "encoders": describe(chosen), "removed": len(derived), **done, "written": again}
    finally:
        opened.close()


def locate(path: str | Path, space: str, *, make: bool | None) -> Path | str:
    """The file of ``space`` under ``path``. ``make`` makes its folder; False demands that it is there."""
    if str(path) == ":memory:":
        return ":memory:"
    path = Path(path).expanduser()
    one = path.suffix == SUFFIX
    if one and space != "default":
        raise InputError(f"{path} is one space: to hold {space!r} beside others, give a folder")
    file = path if one else path / (file_name(space) + SUFFIX)
    try:
        if not one and path.is_file():
            raise InputError(f"{path} is a file: a store is a folder, or a file that ends in {SUFFIX}")
        if make:
            file.parent.mkdir(parents=True, exist_ok=True)
        elif make is False and not file.exists():
            raise NotFoundError(f"there is no space {space!r} at {path}: check the path, or open it for writing")
    except OSError as error:
        raise StoreError(f"cannot use {str(path)!r} ({error}): choose another path") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} is no path: {error}") from error
    return file


def file_name(space: str) -> str:
    """A file name for any space name, the same on every file system: lower-case ASCII, the rest percent-encoded."""
    if not space:
        raise InputError("a space needs a name")
    try:
        whole = space.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{space!r} is no name for a space: {error}") from None
    safe = "".join(chr(byte) if chr(byte) in _SAFE else f"%{byte:02X}" for byte in whole)
    if safe in _RESERVED:
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    if len(safe) > 180:  # the name itself is kept inside the file
        safe = safe[:140] + "%%" + blake2b(whole, digest_size=12).hexdigest()
    return safe


def spaces(path: str | Path) -> list[str]:
    """The names of the spaces at ``path``, sorted."""
    path = Path(path).expanduser()
    if path.suffix == SUFFIX:
        return ["default"] if is_store(path) else []
    found = []
    for file in path.glob("*" + SUFFIX) if path.is_dir() else ():
        if is_store(file):
            stem = file.stem
            if "%%" in stem:
                with_name = SqliteSpace(str(file), Encoders(), read_only=True)
                try:
                    stem = with_name.get_meta("space") or stem
                finally:
                    with_name.close()
                found.append(stem)
            else:
                found.append(unquote(stem))
    return sorted(found)


def drop(path: str | Path, space: str) -> None:
    """Delete a space with all its files. Raises :class:`NotFoundError`."""
    file = Path(str(locate(path, space, make=False)))
    if not is_store(file):
        raise NotFoundError(f"{file} is not a Mnemic store: nothing was deleted")
    for suffix in ("-wal", "-shm", ""):
        Path(str(file) + suffix).unlink(missing_ok=True)
