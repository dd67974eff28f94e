"""What goes in and out in bulk: import, export, restore, rebuild; and what there is: spaces, systems, doctor."""

from __future__ import annotations

import json as json_module
import platform
import sqlite3
import sys
from pathlib import Path
from typing import Annotated

import typer

import mnemic
from mnemic import models
from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.errors import MnemicError
from mnemic.text import importers, opening
from mnemic.text import systems as registry
from mnemic.text.store.transfer import read_export


def import_(
    format: Annotated[str, typer.Argument(help="auto, or one of: " + ", ".join(importers.FORMATS))],
    path: Annotated[Path, typer.Argument(help="The file or folder.", exists=True)],
    conversation: Annotated[str | None, typer.Option(help="locomo: which conversation (id or number).")] = None,
    question: Annotated[str | None, typer.Option(help="longmemeval: whose haystack (id or number).")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="jsonl: leave out lines that cannot be read.")] = False,
    store: o.Store = None,
    space: o.Space = "default",
    system: o.System = None,
    encoders: o.Encoders = "auto",
    json: o.Json = False,
) -> None:
    """Import a chat export, log, mailbox, folder of notes or benchmark file. Twice adds nothing."""
    chosen = importers.detect(path) if format == "auto" else format
    given = {"conversation": conversation, "question": question, "skip_bad": skip_bad or None}
    tally = importers.Tally()
    turns = importers.read(path, chosen, tally=tally, **{k: v for k, v in given.items() if v is not None})
    with (
        o.open_memory(store, space, system, encoders) as memory,
        show.progress(f"importing {path.name}", importers.count(path, chosen)) as advance,
    ):
        done = memory.ingest(turns, progress=advance)
    if json:
        show.print_json({"format": chosen, **show.plain(done), "left_out": show.plain(tally)})
    else:
        told = f"{chosen}: {done.stored} turns stored, {done.skipped} already there"
        show.out.print(told + (f", {done.secrets} secrets masked" if done.secrets else ""), markup=False)


def export(
    to: Annotated[Path, typer.Argument(help="The file to write (JSON lines); - is standard output.")],
    secrets: Annotated[bool, typer.Option("--secrets", help="Include secrets in clear.")] = False,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Write everything to a JSONL file: turns, derived records, links, all versions."""
    lines = 0
    with o.open_memory(store, space, read_only=True) as memory:
        total = memory.stats()["records"]
        if str(to) == "-":
            for line in memory.export(secrets=secrets):
                sys.stdout.write(json_module.dumps(line, ensure_ascii=False) + "\n")
            return
        scratch = to.with_name(to.name + ".part")
        with scratch.open("w", encoding="utf-8") as file, show.progress("exporting", total) as advance:
            for line in memory.export(secrets=secrets):
                file.write(json_module.dumps(line, ensure_ascii=False) + "\n")
                lines += 1
                advance(lines)
        scratch.replace(to)  # a broken export never looks like a whole one
    if json:
        show.print_json({"path": str(to), "lines": lines})
    else:
        show.out.print(f"{lines} lines in {to}", markup=False)


def restore(
    source: Annotated[Path, typer.Argument(help="A file that export wrote; - reads standard input.")],
    store: o.Store = None,
    space: o.Space = "default",
    encoders: o.Encoders = "auto",
    json: o.Json = False,
) -> None:
    """Bring an export back into an empty space, times and versions included: all of it or nothing."""
    # Not splitlines: it also breaks at characters that JSON allows inside a string.
    lines = list(read_export(o.read_text(source).rstrip("\n").split("\n"), str(source)))
    with o.open_memory(store, space, str(lines[0]["system"]), encoders) as memory:
        count = memory.space.restore(lines)
    if json:
        show.print_json({"restored": count})
    else:
        show.out.print(f"{count} records restored", markup=False)


def rebuild(
    system: o.System = None,
    encoders: o.Encoders = "auto",
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Change the system or the encoders of a space: everything is derived again from its turns."""
    with show.progress("rebuilding", None) as advance:
        done = opening.rebuild(
            o.store_path(store),
            space,
            system=system,
            encoders=encoders if encoders in ("auto", "lexical") else encoders.split(","),
            progress=lambda made, total: advance(made),
        )
    if json:
        show.print_json(done)
    else:
        show.out.print(", ".join(f"{k} {v}" for k, v in done.items()), markup=False)


def spaces(store: o.Store = None, json: o.Json = False) -> None:
    """The spaces of a store."""
    names = opening.spaces(o.store_path(store))
    if json:
        show.print_json(names)
    else:
        for name in names:
            show.out.print(name, markup=False)


def systems(json: o.Json = False) -> None:
    """The memory systems, the readers and the governor there are: paper, what each is good at, what it costs."""
    from mnemic.govern.dmm import ABOUT

    rows = sorted([*registry.describe(), ABOUT], key=lambda row: row["name"])
    if json:
        show.print_json(rows)
    else:
        columns = ("name", "kind", "paper", "good_at", "cost")
        show.table([c.replace("_", " ") for c in columns], [[row[c] for c in columns] for row in rows])


def doctor(store: o.Store = None, json: o.Json = False) -> None:
    """Check the installation and every space of a store."""
    checks: list[tuple[str, bool, str]] = [
        ("python", sys.version_info >= (3, 11), platform.python_version()),
        ("mnemic", True, mnemic.__version__),
        ("sqlite", _has_fts(), sqlite3.sqlite_version),
    ]
    for model in models.list_models():
        if models.installed(model.name) is not None:
            try:
                models.verify(model.name)
                checks.append((f"model {model.name}", True, "whole"))
            except MnemicError as error:
                checks.append((f"model {model.name}", False, str(error)))
    if models.installed(opening.DEFAULT_ENCODER) is None:
        checks.append((f"model {opening.DEFAULT_ENCODER}", True, "not installed: found by words only"))
    path = o.store_path(store)
    for name in opening.spaces(path):
        try:
            with o.open_memory(path, name, read_only=True) as memory:
                told = memory.stats()
                fault = memory.space.check()
                jobs = [job for job in told["jobs"] if job["error"]]
                text = f"{told['records']} records, {told['bytes'] / 1e6:.1f} MB"
                checks.append((f"space {name}", fault is None and not jobs, fault or (str(jobs) if jobs else text)))
        except MnemicError as error:
            checks.append((f"space {name}", False, str(error)))
    if json:
        show.print_json([{"check": c, "ok": ok, "detail": d} for c, ok, d in checks])
    else:
        show.table(("", "check", "detail"), [("ok" if ok else "FAILED", c, d) for c, ok, d in checks])
    if not all(ok for _, ok, _ in checks):
        raise typer.Exit(1)


def _has_fts() -> bool:
    db = sqlite3.connect(":memory:")
    try:
        return any("FTS5" in row[0] for row in db.execute("PRAGMA compile_options"))
    finally:
        db.close()
