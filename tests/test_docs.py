"""The documentation runs: every Python block, every ``mnemic`` command, every link.

How to write a page:

* Python blocks of a page run top to bottom in one namespace, in an empty folder, without an encoder, and without a
  network but to servers on 127.0.0.1.
* An ``output`` block must equal what the block before it printed.
* Commands in console blocks run too, in the same folder. Output shown below a command must appear in what it prints,
  line by line in this order; ids, milliseconds and store sizes may differ, and lines may be left out.
* ``<!-- skip: reason -->`` right before a block: Python is compiled but not run, commands are parsed but not run.
* ``<!-- file: NAME -->`` right before a block: the block is the file of that name in the page's folder.

The tables in ``docs/cli.md`` are written by ``python tests/test_docs.py`` from the commands themselves.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import socket
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import mnemic
from mnemic.cli.app import app, load, run
from mnemic.text import opening
from mnemic.text.importers import FORMATS

load()  # groups of commands that the command line loads on demand

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLI_PAGE = ROOT / "docs" / "cli.md"
_FENCE = re.compile(r"^(`{3,})([\w-]*)\s*$")
_MARK = re.compile(r"^<!--\s*(skip|file):\s*(.+?)\s*-->$")
_TABLES = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)
_VARIES = re.compile(r"\b[0-9a-hjkmnp-tv-z]{26}\b|\b[\d.,]+ (?:ms|MB|bytes)\b")


@dataclass(frozen=True)
class Block:
    """A fenced block: ``line`` is where its first line stands; ``skip`` and ``file`` are the marks before it."""

    language: str
    text: str
    line: int
    skip: str = ""
    file: str = ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page. Raises ValueError for a fence that is never closed."""
    found: list[Block] = []
    marks: dict[str, str] = {}
    fence, language, start, inside = "", "", 0, list[str]()
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if fence:
            if line.strip() == fence:
                text = "\n".join(inside) + "\n"
                found.append(Block(language, text, start, marks.get("skip", ""), marks.get("file", "")))
                fence, marks = "", {}
            else:
                inside.append(line)
        elif opened := _FENCE.match(line):
            fence, language, start, inside = opened[1], opened[2], number + 1, []
        elif mark := _MARK.match(line):
            marks[mark[1]] = mark[2]
        elif line.strip():
            marks = {}
    if fence:
        raise ValueError(f"{page.name}: the fence before line {start} is never closed")
    return found


def commands(block: Block) -> Iterator[tuple[str, list[str], int]]:
    """The commands of a console block, each with the output shown below it and its line. Backslashes continue lines."""
    lines = block.text.splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise ValueError(f"line {block.line + at}: a console block begins with a command: {lines[at]!r}")
        first, command = at, lines[at][2:]
        while command.endswith("\\"):
            at += 1
            command = command[:-1] + lines[at].strip()
        at += 1
        shown = []
        while at < len(lines) and not lines[at].startswith("$ "):
            if lines[at].strip():
                shown.append(lines[at])
            at += 1
        yield command, shown, block.line + first


def settled(text: str) -> list[str]:
    """The lines of ``text`` with what varies from run to run replaced, and blanks folded."""
    return [" ".join(_VARIES.sub("…", line).split()) for line in text.splitlines()]


def missing(shown: list[str], printed: str) -> str | None:
    """The first of the ``shown`` lines that does not appear, in this order, among the printed ones."""
    rest = iter(settled(printed))
    return next((line for line in shown if not any(settled(line)[0] == each for each in rest)), None)


def parse(command: str) -> None:
    """Fail unless every ``mnemic`` call of a shell line has a command and options that exist."""
    for part in re.split(r"\s\|\s|\s>\s.*|\s<\s.*", command):
        words = shlex.split(part, comments=True)
        if not words or words[0] != "mnemic":
            continue
        group, rest = typer.main.get_command(app), words[1:]
        while hasattr(group, "commands") and rest and not rest[0].startswith("-"):
            found = group.get_command(None, rest[0])
            assert found, f"there is no command {rest[0]!r}: {command}"
            group, rest = found, rest[1:]
        known = {name for param in group.params for name in (*param.opts, *param.secondary_opts)} | {"-h", "--help"}
        wrong = [word for word in rest if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
        assert not wrong, f"there is no option {wrong[0]!r}: {command}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in: no settings of the user, no weights, no network."""
    for name in ("MNEMIC_SPACE", "MNEMIC_MODEL", "MNEMIC_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MNEMIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MNEMIC_STORE", str(tmp_path / "work" / "memory"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(opening, "_told", True)  # the hint about encoders is for users

    connect = socket.socket.connect

    def nearby(of: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", "documentation that runs must not use the network"
        connect(of, address)

    monkeypatch.setattr(socket.socket, "connect", nearby)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(f"docs_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed: str | None = None
    for block in blocks(page):
        place = f"{page.name}, line {block.line}"
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, "utf-8")
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            if not block.skip:
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(code, module.__dict__)
                printed = out.getvalue()
        elif block.language == "output":
            assert printed is not None, f"{place}: no Python block before it printed anything"
            assert printed.rstrip() == block.text.rstrip(), place
        elif block.language == "console":
            for command, shown, line in commands(block):
                parse(command)
                words = shlex.split(command, comments=True)
                if words[0] == "make":
                    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), command
                if block.skip or words[0] != "mnemic" or {"|", ">", "<"} & set(words):
                    continue
                with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
                    code_ = run(words[1:])
                said = f"{page.name}, line {line}: {command}\n{out.getvalue()}"
                assert code_ == 0, said
                assert missing(shown, out.getvalue()) is None, said


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links to {target}: the page has no such heading"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    heads = re.findall(r"^#{1,6} (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in PAGES[1:]:
        assert page.name == "index.md" or f"({page.name})" in index, f"docs/index.md does not link to {page.name}"


def test_every_public_name_is_documented() -> None:
    told = "\n".join(page.read_text("utf-8") for page in PAGES)
    for name in mnemic.__all__:
        assert re.search(rf"\b{name}\b", told), f"no page says anything about mnemic.{name}"


def test_every_verb_error_and_format_is_documented() -> None:
    from mnemic import errors
    from mnemic.text.memory import Memory

    told = "\n".join(page.read_text("utf-8") for page in PAGES)
    verbs = [name for name, verb in vars(Memory).items() if callable(verb) and not name.startswith("_")]
    for verb in verbs:
        assert re.search(rf"\.{verb}\(", told), f"no page shows Memory.{verb}"
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    for name in (name for name, cls in vars(errors).items() if isinstance(cls, type)):
        assert f"`{name}`" in page, f"docs/errors.md does not tell about {name}"
    page = (ROOT / "docs" / "remember.md").read_text("utf-8")
    for name in FORMATS:
        assert f"`{name}`" in page, f"docs/remember.md does not tell about the format {name}"


def test_the_tables_of_options_are_those_of_the_commands() -> None:
    found = _TABLES.search(CLI_PAGE.read_text("utf-8"))
    assert found, "docs/cli.md has no place for the tables of options"
    assert found[0] == tables(), "docs/cli.md is stale: run python tests/test_docs.py"


def tables() -> str:
    """A section for each command: what it does, its call, and a table of its options."""
    return "\n" + "\n".join(_sections(typer.main.get_command(app), "mnemic"))


def _sections(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for each in command.commands.values():
            yield from _sections(each, f"{name} {each.name}")
        return
    call = [name]
    rows = []
    for param in command.params:
        if param.param_type_name == "argument":
            shown = param.name.upper() + ("..." if param.nargs == -1 else "")
            call.append(shown if param.required else f"[{shown}]")
            rows.append((f"`{shown}`", param.help, param.default))
        elif not param.hidden:
            rows.append((", ".join(f"`{opt}`" for opt in param.opts), _told(param), param.default))
    yield f"### `{name}`\n\n{_cell(command.help)}\n\n```text\n{' '.join([*call, '[OPTIONS]'])}\n```\n"
    yield "| option | what it does | default |\n|---|---|---|"
    yield from (f"| {names} | {_cell(text)} | {_default(value)} |" for names, text, value in rows)
    yield ""


def _told(param: Any) -> str:
    variable = f" Or the variable `{param.envvar}`." if param.envvar else ""
    return f"{param.help or ''}{variable}"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _default(value: Any) -> str:
    simple = isinstance(value, str | int | float | Path) and not isinstance(value, bool)
    return f"`{value}`" if simple and str(value) else ""


@pytest.mark.model
def test_the_demo_in_the_readme_is_what_the_demo_prints(splade: object, tmp_path: Path) -> None:
    """The excerpt, entry by entry in order; where lines break, scores, confidences and times are left out."""
    readme = (ROOT / "README.md").read_text("utf-8")
    excerpt = re.search(r"<!-- demo -->\n```text\n(.*?)```", readme, re.DOTALL)
    assert excerpt, "the README shows nothing of the demo"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run(["demo", "--store", str(tmp_path / "demo")]) == 0
    printed, at = plain(out.getvalue()), 0
    for entry in re.split(r"\n(?=\?|  \[|  =|  confidence)", excerpt[1]):
        at = printed.find(plain(entry), at)
        assert at >= 0, f"the demo no longer prints this here, change the excerpt: {entry}"


def plain(text: str) -> str:
    """``text`` on one line, every decimal number hidden."""
    return " ".join(re.sub(r"\b\d+\.\d+\b", "#", text).split())


# -- the tests of the tests: each check must be able to fail ---------------------------------------------------


def test_blocks_marks_and_fences(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<!-- skip: no network -->\n```python\n1 / 0\n```\n\n```console\n$ mnemic stats\n```\n")
    first, second = blocks(page)
    assert (first.language, first.skip, first.line, first.text) == ("python", "no network", 5, "1 / 0\n")
    assert (second.language, second.skip) == ("console", "")
    page.write_text("```python\nnever closed\n")
    with pytest.raises(ValueError, match="never closed"):
        blocks(page)


def test_a_wrong_page_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for body, error in (
        ("```python\n1 / 0\n```\n", ZeroDivisionError),
        ("```python\nprint(1)\n```\n\n```output\n2\n```\n", AssertionError),
        ("```console\n$ mnemic stats --nonsense\n```\n", AssertionError),
        ("<!-- skip: slow -->\n```console\n$ mnemic nonsense\n```\n", AssertionError),
        ("```console\n$ mnemic recall 'a space that is not there'\n```\n", AssertionError),
        ("```console\n$ mnemic spaces\nnothing like it\n```\n", AssertionError),
        ("```console\n$ make nonsense\n```\n", AssertionError),
        ("<!-- skip: a service -->\n```python\nthis is no Python\n```\n", SyntaxError),
    ):
        page = folder / "page.md"
        page.write_text(body)
        with pytest.raises(error):
            test_page_runs(page, folder, monkeypatch)
    page.write_text("[gone](gone.md)\n")
    with pytest.raises(AssertionError, match="not there"):
        test_links_resolve(page)
    page.write_text("# One\n\n[two](#two)\n")
    with pytest.raises(AssertionError, match="no such heading"):
        test_links_resolve(page)


def test_shown_output_is_compared_in_order() -> None:
    printed = "a 1.5 ms\n  b   c\nd 01m836cw6f5bg43jmbfq1jdt1w\n"
    assert missing(["a 2.25 ms", "d 01m836crtrqwtb49xjhhgd3c0e"], printed) is None
    assert missing(["b c", "a 1.5 ms"], printed) == "a 1.5 ms"


def test_every_python_file_shown_is_short_enough() -> None:
    system = next(b for b in blocks(ROOT / "docs" / "systems.md") if b.language == "python" and "class " in b.text)
    assert len(system.text.splitlines()) < 60
    ast.parse(system.text)


if __name__ == "__main__":
    old = CLI_PAGE.read_text("utf-8")
    CLI_PAGE.write_text(_TABLES.sub(lambda _: tables(), old), "utf-8")
