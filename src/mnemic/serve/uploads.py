"""Files on their way in: the file of a ``multipart/form-data`` body, written to disk as it comes, never held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from mnemic.errors import InputError, StoreError

CHUNK = 1 << 20
"""Bytes that are gathered before they are written."""
LONGEST = 60
"""Characters of a file's name that are kept."""


async def receive(request: Request, folder: Path) -> Path:
    """Write the one file of the body into ``folder``, under the name that the sender gives it. The gate bounds it.

    Raises :class:`InputError` for a body that holds no file or several, :class:`StoreError` when the disk is full.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise InputError("send the file as multipart/form-data, such as curl -F file=@NAME does")
    taker = _Taker(folder, options[b"boundary"])
    try:
        async for part in _gathered(request):
            await run_in_threadpool(taker.parser.write, part)
        if not taker.whole:
            raise FormParserError("it ends too early")
    except FormParserError as error:
        raise InputError(f"the body is no whole multipart/form-data ({error}): send the file again") from None
    except ClientDisconnect:
        raise InputError("the upload was broken off: send the file again") from None
    except OSError as error:
        raise StoreError(f"the upload cannot be written ({error.strerror}): make room, and send it again") from error
    finally:
        taker.close()
    if taker.path is None:
        raise InputError("the body holds no file: send one, such as curl -F file=@NAME does")
    return taker.path


async def _gathered(request: Request) -> AsyncIterator[bytes]:
    waiting = bytearray()
    async for part in request.stream():
        waiting += part
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


class _Taker:
    """Takes the file out of the parts of the body; fields that are no files are passed over."""

    def __init__(self, folder: Path, boundary: bytes) -> None:
        self.path: Path | None = None
        self.whole = False
        self._folder = folder
        self._file: BinaryIO | None = None
        self._field, self._value = b"", b""
        self._options: dict[bytes, bytes] = {}
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._options.clear,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self.close,
                "on_end": self._on_end,
            },
        )

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._options.update(parse_options_header(self._value)[1])
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        if b"filename" not in self._options:
            return
        if self.path is not None:
            raise InputError("the body holds several files: send them one by one")
        self.path = self._folder / plain(self._options[b"filename"].decode("utf-8", "replace"))
        self._file = self.path.open("xb")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self.whole = True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def plain(name: str) -> str:
    """The last step of a path that somebody else names, as a name that is safe here."""
    step = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in name.replace("\\", "/").split("/")[-1])
    return step.strip(" .")[-LONGEST:] or "file"
