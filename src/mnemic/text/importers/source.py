"""Reading files other programs wrote: plain, gzip or zip, UTF-8, with limits; every failure is an InputError.

Limits: an archive may unpack to at most ``MAX_UNPACKED`` bytes (counted while reading, the sizes it declares are not
believed), hold at most ``MAX_MEMBERS`` entries and no entry that points outside it; one JSON value or line may have at
most ``MAX_ITEM`` characters. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from mnemic.errors import InputError

MAX_UNPACKED = 4 << 30
MAX_MEMBERS = 100_000
MAX_ITEM = 256 << 20
CHUNK = 1 << 20
HEAD = 1 << 18
_COUNTED = 64 << 20  # bytes up to which counting marks is cheap

ENCODING = "save it as UTF-8 (for example: iconv -f WINDOWS-1252 -t UTF-8 old > new) and import that"
DAMAGED = "the file is damaged or not fully downloaded: get it again"
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, struct.error, zipfile.BadZipFile, NotImplementedError,
           RuntimeError, ValueError, OverflowError, LookupError, MemoryError)  # fmt: skip
_AFTER = tuple(" \t\n\r,]")
_SPACE = re.compile(r"[ \t\n\r]*")


def fail(path: Path, place: str, what: str, remedy: str) -> InputError:
    """The error to raise: file, place in it (may be empty), what is wrong there and what to do."""
    return InputError(f"{path}{', ' if place else ''}{place}: {what}; {remedy}")


def check(path: Path) -> None:
    """Raise unless ``path`` is a regular file whose archive, if it is one, is sound and safe."""
    with ExitStack() as stack:
        if _is_zip(path, magic(path)):
            _archive(path, stack)


def magic(path: Path) -> bytes:
    """The first 8 bytes of a regular file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise fail(path, "", "this is not a regular file", "name the exported file itself")
        with path.open("rb") as file:
            return file.read(8)
    except FileNotFoundError:
        raise fail(path, "", "there is no such file", "check the path") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise fail(path, "", f"it cannot be read ({error})", "check the path and its permissions") from None


def plain_name(path: Path) -> str:
    """The file name without ``.gz``: packing a file does not make its turns other turns."""
    return path.name[:-3] if path.name.lower().endswith(".gz") else path.name


def is_zip(path: Path) -> bool:
    """Whether the file is a zip archive, by its first bytes or its extension."""
    return _is_zip(path, magic(path))


def _is_zip(path: Path, head: bytes) -> bool:
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06") or path.suffix.lower() == ".zip"


class _Guarded(io.RawIOBase):
    """A stream whose every failure is an InputError and which stops at the limit for unpacked bytes."""

    def __init__(self, raw: IO[bytes], path: Path, place: str, budget: list[int] | None) -> None:
        self._raw, self._path, self._place, self._budget = raw, path, place, budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._raw.read(len(buffer))
        except _DAMAGE as error:
            raise fail(self._path, self._place, f"it cannot be read ({error})", DAMAGED) from None
        if self._budget is not None:
            self._budget[0] -= len(data)
            if self._budget[0] < 0:
                raise fail(
                    self._path, self._place, f"it unpacks to more than {MAX_UNPACKED >> 20} MiB",
                    "if you trust it, unpack it yourself and import the file inside",
                )  # fmt: skip
        buffer[: len(data)] = data
        return len(data)


def _archive(path: Path, stack: ExitStack) -> zipfile.ZipFile:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
        entries = archive.infolist()
    except _DAMAGE as error:
        raise fail(path, "", f"this zip archive cannot be opened ({error})", DAMAGED) from None
    if len(entries) > MAX_MEMBERS:
        raise fail(path, "", f"the archive has more than {MAX_MEMBERS:,} entries", "import the file inside it")
    for entry in entries:
        # zipfile rewrites backslashes and cuts at NUL; the name as it is written in the archive is what counts.
        name = getattr(entry, "orig_filename", entry.filename).replace("\\", "/")
        linked = stat.S_ISLNK(entry.external_attr >> 16)
        if linked or "\0" in name or name.startswith("/") or ":" in name[:2] or ".." in PurePosixPath(name).parts:
            raise fail(
                path, f"entry {name[:80]!r}", "it points outside the archive",
                "this is no ordinary export: do not trust it, or import the file inside it",
            )  # fmt: skip
    return archive


@contextmanager
def documents(path: Path, wanted: re.Pattern[str], what: str) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The streams in ``path`` as (place, bytes): the file itself, or a zip's members whose base name is ``wanted``."""
    head = magic(path)
    with ExitStack() as stack:
        budget = [MAX_UNPACKED]
        if _is_zip(path, head):
            archive = _archive(path, stack)
            chosen = sorted(
                (e for e in archive.infolist() if not e.is_dir() and wanted.fullmatch(PurePosixPath(e.filename).name)),
                key=lambda e: e.filename,
            )
            if not chosen:
                raise fail(path, "", f"the archive holds no {what}", "name the export as you downloaded it")
            if len({e.filename for e in chosen}) < len(chosen):
                raise fail(path, "", f"the archive holds two entries named {chosen[0].filename!r}", DAMAGED)

            def members() -> Iterator[tuple[str, IO[bytes]]]:
                for entry in chosen:
                    if entry.flag_bits & 1:
                        raise fail(path, entry.filename, "it is encrypted", "unpack it and import the file inside")
                    try:
                        member = stack.enter_context(archive.open(entry))
                    except _DAMAGE as error:
                        raise fail(path, entry.filename, f"it cannot be read ({error})", DAMAGED) from None
                    yield entry.filename, io.BufferedReader(_Guarded(member, path, entry.filename, budget), CHUNK)

            yield members()
            return
        try:
            raw: IO[bytes] = stack.enter_context(path.open("rb"))
            if packed := head[:2] == b"\x1f\x8b":
                raw = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=raw)))
        except OSError as error:
            raise fail(path, "", f"it cannot be opened ({error})", "check its permissions") from None
        yield iter([("", io.BufferedReader(_Guarded(raw, path, "", budget if packed else None), CHUNK))])


ANY = re.compile(r".*", re.DOTALL)


def lines(path: Path, file: IO[bytes], place: str = "") -> Iterator[tuple[int, str]]:
    """Numbered lines (from 1) without their line ends; raises where a line is not UTF-8 text."""
    number = 0
    while line := file.readline(MAX_ITEM + 1):
        number += 1
        where = f"{place}{' ' if place else ''}line {number}"
        if len(line) > MAX_ITEM:
            raise fail(path, where, f"the line is longer than {MAX_ITEM >> 20} MiB", DAMAGED)
        yield number, text_of(path, where, line, first=number == 1).rstrip("\r\n")


def text_of(path: Path, where: str, data: bytes, first: bool = True) -> str:
    """``data`` as UTF-8 text, a byte order mark at the ``first`` place dropped."""
    try:
        text = data.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise fail(path, where, f"byte {error.start + 1} there is not UTF-8 text", ENCODING) from None
    if "\0" in text:
        raise fail(path, where, "it holds NUL characters (UTF-16 text or a binary file)", ENCODING)
    return text


class _Characters:
    """A decoded window ``text[pos:]`` over a byte stream, which grows at its end on demand."""

    def __init__(self, path: Path, file: IO[bytes], place: str, chunk: int) -> None:
        self.path, self.file, self.chunk = path, file, chunk
        self.prefix = f"{place} " if place else ""
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text, self.pos = "", 0
        self.dropped = self.taken = 0
        self.ended = False

    def where(self, pos: int | None = None) -> str:
        return f"{self.prefix}character {self.dropped + (self.pos if pos is None else pos) + 1}"

    def more(self) -> bool:
        """Double the window (so that a value is decoded O(1) times per character); False at the end."""
        if self.ended:
            return False
        if len(self.text) - self.pos > MAX_ITEM:
            raise fail(self.path, self.where(), f"one value is larger than {MAX_ITEM >> 20} MiB", DAMAGED)
        data = self.file.read(max(self.chunk, len(self.text) - self.pos))
        self.ended = not data
        pending = len(self.decoder.getstate()[0])
        try:
            new = self.decoder.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            place = f"{self.prefix}byte {self.taken - pending + error.start + 1}"
            raise fail(self.path, place, "this is not UTF-8 text", ENCODING) from None
        self.taken += len(data)
        self.dropped += self.pos
        self.text, self.pos = self.text[self.pos :] + new, 0
        return not self.ended

    def peek(self) -> str:
        """The next character that is no white space, '' at the end."""
        while True:
            match = _SPACE.match(self.text, self.pos)
            self.pos = match.end() if match else self.pos
            if self.pos < len(self.text):
                return self.text[self.pos]
            if not self.more():
                return ""


def _null(_: str) -> None:
    return None


def _value(window: _Characters) -> Any:
    decoder = json.JSONDecoder(parse_constant=_null)
    while True:
        try:
            value, end = decoder.raw_decode(window.text, window.pos)
        except json.JSONDecodeError as error:
            # What fails close to the end of the window may be whole once more of it is read; the rest is an error.
            where, left = window.where(error.pos), window.text[error.pos :]
            open_text = error.msg.startswith("Unterminated")
            if (open_text or len(left) < 32) and window.more():
                continue
            half = open_text or any(literal.startswith(left.strip()) for literal in ("true", "false", "null"))
            what = "the file ends in the middle of a value" if half else f"this is not JSON ({error.msg})"
            raise fail(window.path, where, what, DAMAGED) from None
        except RecursionError:
            raise fail(window.path, window.where(), "the JSON is nested too deeply", DAMAGED) from None
        except ValueError as error:
            raise fail(window.path, window.where(), f"this JSON cannot be read ({error})", DAMAGED) from None
        # "1e" at the end of the window reads as 1 until the exponent is there.
        if window.text[end : end + 1] in _AFTER or len(window.text) - end > 4 or not window.more():
            window.pos = end
            return value


def items(path: Path, file: IO[bytes], place: str = "", chunk: int = CHUNK) -> Iterator[Any]:
    """The elements of a top-level JSON list, decoded one at a time; any other JSON value is the one element."""
    window = _Characters(path, file, place, chunk)
    first = window.peek()
    if not first:
        raise fail(path, place, "the file is empty", "name the exported file")
    if first == "[":
        window.pos += 1
        if window.peek() == "]":
            window.pos += 1
        else:
            while True:
                if not window.peek():
                    raise fail(path, window.where(), "the file ends in the middle of the list", DAMAGED)
                yield _value(window)
                mark = window.peek()
                window.pos += bool(mark)
                if mark == "]":
                    break
                if mark != ",":
                    what = "the next value of the list is missing" if mark else "the file ends in the middle"
                    raise fail(path, window.where(), what, DAMAGED)
    else:
        yield _value(window)
    if window.peek():
        raise fail(path, window.where(), "there is more after the end of the JSON value", DAMAGED)


def json_items(path: Path, wanted: re.Pattern[str], what: str) -> Iterator[Any]:
    """:func:`items` of each document of ``path``."""
    with documents(path, wanted, what) as found:
        for place, file in found:
            yield from items(path, file, place)


def head(path: Path, wanted: re.Pattern[str] = ANY, what: str = "file") -> str:
    """The beginning of the first document, '' where there is none: for sniffing, so it never raises."""
    try:
        with documents(path, wanted, what) as found:
            data = next(found)[1].read(HEAD)
    except InputError:
        return ""
    return data.decode("utf-8-sig", "ignore")


def occurrences(path: Path, mark: bytes, wanted: re.Pattern[str] = ANY, what: str = "file") -> int | None:
    """How often ``mark`` occurs, None where counting would take long or the file cannot be read."""
    try:
        total = 0
        with documents(path, wanted, what) as found:
            for _, file in found:
                tail, taken = b"", 0
                while data := file.read(CHUNK):
                    taken += len(data)
                    if taken > _COUNTED:
                        return None
                    total += (tail + data).count(mark)
                    tail = (tail + data)[len(tail + data) - len(mark) + 1 :] if len(mark) > 1 else b""
        return total
    except InputError:
        return None
