"""The memory tool that Claude models know (``memory_20250818``), over a space: its files are memories.

A file is one memory: its path on the first line, what it holds below. So files are found by recall like everything
else, an edit is a new version with the old ones in the history, and a deleted file is forgotten. Directories are
there while a file is in them. All paths are under ``/memories``; nothing of the disk is ever touched.

Where the public contract leaves a choice: ``create`` refuses a path that is taken, so that no note is lost by
mistake; ``rename`` refuses a taken destination; secrets are masked in what is shown and kept in what is stored.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from mnemic.errors import ConflictError, InputError, NotFoundError
from mnemic.text.forgetting import derived
from mnemic.text.memory import Memory, revision
from mnemic.text.plan import Filter
from mnemic.text.record import Batch, Kind, Record, State, Turn

ROOT = "/memories"
MARK = {"memory_tool": "file"}
"""The meta by which a memory is known to be a file."""
DEPTH = 2
"""Levels of a directory that ``view`` shows."""
AROUND = 4
"""Lines shown on either side of an edit."""
REFUSED = (InputError, NotFoundError, ConflictError)
"""What a model can do something about; a broken store is for whoever runs it."""
LONGEST = 999_999
"""Lines of a file that can be viewed."""


class MemoryTool:
    """Answers the tool's commands. Safe to share between threads.

    >>> import mnemic
    >>> with mnemic.open(":memory:", encoders="lexical") as memory:
    ...     MemoryTool(memory)({"command": "create", "path": "/memories/ana.md", "file_text": "Ana has a beagle."})
    'File created successfully at: /memories/ana.md'
    """

    def __init__(self, memory: Memory, *, secrets: bool = False) -> None:
        self.memory = memory
        self.secrets = secrets
        self._editing = threading.Lock()
        self._commands: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "view": self._view,
            "create": self._create,
            "str_replace": self._replace,
            "insert": self._insert,
            "delete": self._delete,
            "rename": self._rename,
        }

    def __call__(self, command: Mapping[str, Any]) -> str:
        """What to tell the model: what was done or found, or what is wrong with the command."""
        try:
            return self.run(command)
        except REFUSED as error:
            return str(error)

    def run(self, command: Mapping[str, Any]) -> str:
        """The same, with what is wrong raised: an error of ``REFUSED`` whose message is for the model."""
        name = command.get("command")
        answer = self._commands.get(name) if isinstance(name, str) else None
        if answer is None:
            raise InputError(f"Error: Unknown command {name!r}. Use one of {', '.join(self._commands)}.")
        with self._editing:
            return answer(command)

    def files(self) -> dict[str, Record]:
        """The files by their paths, sorted. Where two processes made one at once, the later counts."""
        # A file's memory is in a session of its own, named after its first path: the store finds sessions fast.
        sessions = [name for name, _ in self.memory.space.sessions() if name.startswith(ROOT)]
        found: dict[str, Record] = {}
        cursor: str | None = None
        while sessions:
            filter = Filter(kinds=[Kind.TURN], sessions=sessions, meta=MARK)
            page, cursor = self.memory.scan(filter, cursor=cursor, secrets=True)
            found.update((_split(record.text)[0], record) for record in page)
            if cursor is None:
                break
        return dict(sorted(found.items()))

    # -- commands --------------------------------------------------------------------------------------------

    def _view(self, command: Mapping[str, Any]) -> str:
        path, files = _path(command, "path"), self.files()
        if path not in files:
            return self._directory(path, files)
        lines = _lines(self._shown(files[path]))
        if len(lines) > LONGEST:
            raise InputError(f"File {path} exceeds maximum line limit of {LONGEST:,} lines.")
        first, last = _range(command.get("view_range"), len(lines))
        return f"Here's the content of {path} with line numbers:\n{_numbered(lines, first, last)}"

    def _directory(self, path: str, files: Mapping[str, Record]) -> str:
        below = _inside(path, files)
        if not below and path != ROOT:
            raise _missing(path)
        sizes: dict[str, int] = {}
        for file, record in below.items():
            parts = file[len(path) + 1 :].split("/")
            if any(part.startswith(".") or part == "node_modules" for part in parts):
                continue
            size = len(_split(record.text)[1].encode())
            for depth in range(min(DEPTH, len(parts)) + 1):
                shown = "/".join([path, *parts[:depth]]) + ("/" if 0 < depth < len(parts) else "")
                sizes[shown] = sizes.get(shown, 0) + size
        lines = [f"{_size(size)}\t{shown}" for shown, size in sorted((sizes or {path: 0}).items())]
        return "\n".join(
            [
                f"Here're the files and directories up to {DEPTH} levels deep in {path}, excluding hidden items and "
                "node_modules:",
                *lines,
            ]
        )

    def _create(self, command: Mapping[str, Any]) -> str:
        path, text = _path(command, "path"), _text(command, "file_text")
        # The id counts how often a file was made at this path: of two makers at once, only one gets it. It is chosen
        # before one looks whether the path is free: a file made in between has this id, or is seen.
        made = 1
        while self.memory.get(id := f"{path}#{made}"):
            made += 1
        taken = f"Error: File {path} already exists"
        self._free(path, self.files(), taken)
        try:
            receipt = self.memory.remember(Turn(_joined(path, text), session=path, id=id, meta=MARK))
        except ConflictError as error:  # the id is stored with other text
            raise ConflictError(taken) from error
        if not receipt.ids:
            raise ConflictError(taken)
        return f"File created successfully at: {path}"

    def _replace(self, command: Mapping[str, Any]) -> str:
        path, record, content = self._file(command)
        old, new = _text(command, "old_str"), _text(command, "new_str", "")
        places = [match.start() for match in re.finditer(f"(?={re.escape(old)})", content)] if old else []
        if not places:
            hint = " Secrets are stored as they were, not as [secret:...]." if "[secret:" in old else ""
            raise InputError(f"No replacement was performed, old_str `{old}` did not appear verbatim in {path}.{hint}")
        if len(places) > 1:
            lines = ", ".join(str(content.count("\n", 0, place) + 1) for place in places)
            raise InputError(
                f"No replacement was performed. Multiple occurrences of old_str `{old}` in lines: {lines}. "
                "Please ensure it is unique"
            )
        (place,) = places
        edited = self._revise([(record, _joined(path, content[:place] + new + content[place + len(old) :]))])[0]
        first = content.count("\n", 0, place) + 1
        return f"The memory file has been edited.\n{self._around(edited, first, first + new.count(chr(10)))}"

    def _insert(self, command: Mapping[str, Any]) -> str:
        path, record, content = self._file(command)
        text, at = _text(command, "insert_text"), command.get("insert_line")
        count = len(_lines(content))
        if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at <= count:
            raise InputError(
                f"Error: Invalid `insert_line` parameter: {at}. It should be within the range of lines of the file: "
                f"[0, {count}]"
            )
        kept = content.split("\n")
        before, after = "".join(f"{line}\n" for line in kept[:at]), "\n".join(kept[at:])
        if not text or (after and not text.endswith("\n")):
            text += "\n"
        edited = self._revise([(record, _joined(path, before + text + after))])[0]
        shown = self._around(edited, at + 1, at + max(1, len(_lines(text))))
        return f"The file {path} has been edited.\n{shown}"

    def _delete(self, command: Mapping[str, Any]) -> str:
        path, files = _path(command, "path"), self.files()
        if path == ROOT:
            raise InputError(f"Error: {ROOT} itself cannot be deleted. Delete the files in it.")
        gone = [record.id for file, record in files.items() if file == path] or [
            record.id for record in _inside(path, files).values()
        ]
        if not gone:
            raise NotFoundError(f"Error: The path {path} does not exist")
        self.memory.forget(gone)
        return f"Successfully deleted {path}"

    def _rename(self, command: Mapping[str, Any]) -> str:
        old, new, files = _path(command, "old_path"), _path(command, "new_path"), self.files()
        moved = {old: files[old]} if old in files else _inside(old, files)
        if ROOT in (old, new):
            raise InputError(f"Error: {ROOT} itself cannot be renamed")
        if not moved:
            raise NotFoundError(f"Error: The path {old} does not exist")
        if new == old or new.startswith(old + "/"):
            raise InputError(f"Error: {old} cannot be moved to {new}")
        self._free(new, files, f"Error: The destination {new} already exists")
        names = [(record, new + file.removeprefix(old)) for file, record in moved.items()]
        self._revise([(record, _joined(name, _split(record.text)[1])) for record, name in names], edited=False)
        return f"Successfully renamed {old} to {new}"

    # -- helpers ---------------------------------------------------------------------------------------------

    def _file(self, command: Mapping[str, Any]) -> tuple[str, Record, str]:
        path = _path(command, "path")
        record = self.files().get(path)
        if record is None:
            raise _missing(path, "Error: ")
        return path, record, _split(record.text)[1]

    def _free(self, path: str, files: Mapping[str, Record], taken: str) -> None:
        if path == ROOT or path in files or _inside(path, files):
            raise ConflictError(taken)
        for file in files:
            if path.startswith(file + "/"):
                raise ConflictError(f"Error: {file} is a file, so nothing can be in it")

    def _revise(self, texts: Sequence[tuple[Record, str]], *, edited: bool = True) -> list[Record]:
        """Give each of these files its new text, all at once. What was read out of the words before an edit alone no
        longer counts."""
        olds, now = [record for record, _ in texts], self.memory.clock() if edited else None
        puts = [revision(record, text, now) for record, text in texts]
        stale = derived(self.memory.space, olds) if edited else []
        batch = Batch(
            puts=puts,
            retire={old.id: new.id for old, new in zip(olds, puts, strict=True)},
            archive=[record.id for record in stale if record.state == State.ACTIVE],
        )
        self.memory.space.write(batch, op="revise")
        return puts

    def _shown(self, record: Record) -> str:
        """What a file holds, its secrets masked in such a way that the lines keep their numbers."""
        text, at, parts = record.text, 0, list[str]()
        for span in () if self.secrets else record.secrets:
            parts += [text[at : span.start], f"[secret:{span.label}]", "\n" * text.count("\n", span.start, span.end)]
            at = span.end
        return _split("".join([*parts, text[at:]]))[1]

    def _around(self, record: Record, first: int, last: int) -> str:
        lines = _lines(self._shown(record))
        first, last = max(1, first - AROUND), min(len(lines), last + AROUND)
        return f"Here is the result around the edit, with line numbers:\n{_numbered(lines, first, last)}"


def _joined(path: str, content: str) -> str:
    return f"{path}\n{content}"


def _split(text: str) -> tuple[str, str]:
    path, _, content = text.partition("\n")
    return path, content


def _lines(content: str) -> list[str]:
    """The lines of ``content``; a line break at its end begins no further one."""
    lines = content.split("\n")
    return lines if lines[-1] else lines[:-1]


def _numbered(lines: Sequence[str], first: int, last: int) -> str:
    return "\n".join(f"{n:6}\t{lines[n - 1]}" for n in range(first, last + 1))


def _inside(path: str, files: Mapping[str, Record]) -> dict[str, Record]:
    return {file: record for file, record in files.items() if file.startswith(path + "/")}


def _missing(path: str, prefix: str = "") -> NotFoundError:
    return NotFoundError(f"{prefix}The path {path} does not exist. Please provide a valid path.")


def _size(size: int) -> str:
    """As ``du -h`` tells it: 312B, 1.5K, 20M."""
    amount, unit = float(size), "B"
    for unit in "BKMG":
        if amount < 1024 or unit == "G":
            break
        amount /= 1024
    return f"{amount:.1f}".removesuffix(".0") + unit


def _range(given: Any, count: int) -> tuple[int, int]:
    """The first and last line to show, from 1."""
    if given is None:
        return 1, count
    fine = isinstance(given, list | tuple) and len(given) == 2 and all(type(n) is int for n in given)
    first, last = given if fine else (0, 0)
    last = count if last == -1 else last
    if not 1 <= first <= max(count, 1) or last < min(first, count):
        raise InputError(
            f"Error: Invalid `view_range` parameter: {given}. It should be [start, end] with 1 <= start <= end, and "
            f"start at most {count}; an end of -1 is the last line."
        )
    return first, min(last, count)


def _text(command: Mapping[str, Any], field: str, default: str | None = None) -> str:
    value = command.get(field, default)
    if not isinstance(value, str):
        raise InputError(f"Error: {command['command']} needs `{field}`, a string.")
    return value


def _path(command: Mapping[str, Any], field: str) -> str:
    """A path below the root, in one spelling. What climbs out of it, encoded or not, is refused."""
    given = _text(command, field)
    decoded = given
    while (further := unquote(decoded)) != decoded:
        decoded = further
    if ".." in re.split(r"[/\\]", decoded) or ".." in re.split(r"[/\\]", given):
        raise InputError(f"Error: Path {given} would escape {ROOT}. Please provide a valid path.")
    path = "/".join(["", *(part for part in given.split("/") if part not in ("", "."))])
    if not given.startswith(ROOT) or not f"{path}/".startswith(f"{ROOT}/"):
        raise InputError(f"Error: Path must start with {ROOT}, got: {given}. Please provide a valid path.")
    if not path.isprintable() or "\\" in path or len(path) > 1000:
        raise InputError(f"Error: {given!r} is no path: use up to 1000 printable characters, with / between them.")
    return path
