"""Markdown notes: a file, or a folder with everything below it that ends in ``.md`` or ``.markdown``.

Each section (a heading and what follows it) is a turn; sections longer than about ``SECTION`` characters are cut at
paragraphs, and every part begins with the heading. ``session`` is the path of the file below the folder named.
The time is the front matter's ``date`` (or ``created``), else when the file was last changed. The id covers the path,
the headings and the text but no time, so a touched file adds nothing and an edited one only what is new in it. Front
matter between two ``---``
lines is read as plain ``key: value`` lines, ``[a, b]`` and ``- a`` lists; nested YAML is not. Hidden files and
folders are left out, and so are links that lead outside the folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from mnemic.text.importers.source import ANY, documents, fail, lines
from mnemic.text.importers.turns import Tally, finish, moment, pieces
from mnemic.text.record import Turn

SUFFIXES = (".md", ".markdown")
SECTION = 2000
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_KEY = re.compile(r"([A-Za-z][\w -]{0,60}?)\s*:(?:\s+(.*))?$")
_DATES = ("date", "created", "created_at", "created at")


def sniff(path: Path) -> bool:
    """Whether this is a Markdown file, by its extension, or a folder that holds one."""
    if path.is_dir():
        return next(_files(path, Tally()), None) is not None
    return path.suffix.lower() in SUFFIXES


def count(path: Path) -> int | None:
    """About how many sections there are, by the size of the files."""
    try:
        size = sum(f.stat().st_size for f in _files(path, Tally())) if path.is_dir() else path.stat().st_size
    except OSError:
        return None
    return max(1, size // 800)


def read(path: Path, *, tally: Tally | None = None) -> Iterator[Turn]:
    """The sections of the notes, file by file in the order of their paths."""
    tally = Tally() if tally is None else tally
    if not path.is_dir():
        yield from finish(_note(path, path.name), "markdown", path.name, tally)
        return
    empty = True
    for file in _files(path, tally):
        empty = False
        session = file.relative_to(path).as_posix()
        yield from finish(_note(file, session), "markdown", file.name, tally)
    if empty:
        raise fail(path, "", "the folder holds no Markdown file", f"name a folder of {' or '.join(SUFFIXES)} files")


def _files(folder: Path, tally: Tally) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise fail(folder, "", f"a folder in it cannot be read ({error})", "check its permissions") from None

    root = folder.resolve()
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            path = Path(place, file)
            if file.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                tally.skip("link out of the folder")
                continue
            yield path


def _note(path: Path, session: str) -> Iterator[Turn]:
    with documents(path, ANY, "file") as found:
        body = [line for _, file in found for _, line in lines(path, file)]
    front, body = _front_matter(body)
    at = next((t for key in _DATES if (t := moment(front.get(key)))), None)
    if at is None:
        at = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    tags = front.get("tags", front.get("tag"))
    if isinstance(tags, str):
        tags = [t for t in re.split(r"[,\s]+", tags) if t]
    meta: dict[str, Any] = {"file": session}
    if tags:
        meta["tags"] = [t.lstrip("#") for t in tags]
    if front.get("title"):
        meta["title"] = front["title"]
    for headings, text in _sections(body):
        title = headings[-1] if headings else ""
        for part in pieces(text, SECTION):
            mark = blake2b(json.dumps([headings, part]).encode(), digest_size=16).hexdigest()
            yield Turn(
                text=f"{title}\n\n{part}" if title else part, at=at, session=session,
                id=f"markdown:{session}:{mark}", meta=meta | {"headings": headings},
            )  # fmt: skip


def _front_matter(body: list[str]) -> tuple[dict[str, Any], list[str]]:
    if not body or body[0].rstrip() != "---":
        return {}, body
    end = next((i for i, line in enumerate(body[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return {}, body
    front: dict[str, Any] = {}
    key = ""
    for line in body[1:end]:
        if match := _KEY.match(line):
            key, value = match[1].lower(), (match[2] or "").strip()
            listed = value.startswith("[") and value.endswith("]")
            front[key] = [v for p in value[1:-1].split(",") if (v := _bare(p))] if listed else _bare(value)
        elif key and line.lstrip().startswith("- ") and (not front[key] or isinstance(front[key], list)):
            front[key] = [*(front[key] or []), _bare(line.lstrip()[2:])]
    return front, body[end + 1 :]


def _bare(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _sections(body: list[str]) -> Iterator[tuple[list[str], str]]:
    """(heading path, text below it) of each section, code fences respected."""
    path: list[tuple[int, str]] = []
    text: list[str] = []
    fence = ""
    for line in body:
        if match := _FENCE.match(line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
            text.append(line)
            continue
        found: tuple[int, str] | None = None
        if not fence and (match := _HEADING.match(line)):
            found = len(match[1]), (match[2] or "").strip()
        elif not fence and (match := _UNDERLINE.match(line)) and _is_title(text):
            found = (1 if match[1][0] == "=" else 2), text.pop().strip()
        if found is None:
            text.append(line)
            continue
        yield [title for _, title in path], "\n".join(text).strip()
        path = [(level, title) for level, title in path if level < found[0]]
        path += [found] if found[1] else []
        text = []
    yield [title for _, title in path], "\n".join(text).strip()


def _is_title(text: list[str]) -> bool:
    # One line of prose between blank lines and an underline; a list item or a table row above dashes is no title.
    return bool(text and text[-1].strip() and not (len(text) > 1 and text[-2].strip())) and not re.match(
        r"\s{4}|\s*[-*+>|]|\s*\d+[.)]", text[-1]
    )
