"""The verbs: remember, recall, ask, get, revise, forget, history, reflect, stats."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.errors import InputError
from mnemic.text.forgetting import Preview
from mnemic.text.plan import Filter
from mnemic.text.record import Kind, Receipt, to_datetime
from mnemic.text.steps.render import name, visible, when

NOTHING = 3
"""Exit code when nothing relevant is stored."""

Text = Annotated[str, typer.Argument(help="The text; - reads standard input.")]
Id = Annotated[str, typer.Argument(help="The id of a memory, as recall shows it.")]


def _text(given: str) -> str:
    return o.read_text(Path("-")) if given == "-" else given


def _print_receipt(receipt: Receipt, done: str, as_json: bool) -> None:
    if as_json:
        show.print_json(receipt)
        return
    told = f"{done} {', '.join(receipt.ids) or 'nothing new'}"
    if receipt.duplicates:
        told += f" ({len(receipt.duplicates)} already stored)"
    if receipt.secrets:
        told += f" · {receipt.secrets} secret{'s' * (receipt.secrets > 1)} masked"
    if receipt.pending:
        told += " · the bytes go from disk when the last reader has finished"
    show.out.print(visible(told), markup=False)


def remember(
    text: Text,
    speaker: Annotated[str | None, typer.Option(help="Who said it.")] = None,
    at: Annotated[str | None, typer.Option(help="When it was said (ISO 8601); default: now.")] = None,
    session: Annotated[str | None, typer.Option(help="The conversation it belongs to.")] = None,
    role: Annotated[str | None, typer.Option(help="user, assistant, system or tool.")] = None,
    store: o.Store = None,
    space: o.Space = "default",
    system: o.System = None,
    encoders: o.Encoders = "auto",
    json: o.Json = False,
) -> None:
    """Store one turn, verbatim; it is durable and searchable when the command returns."""
    with o.open_memory(store, space, system, encoders) as memory:
        receipt = memory.remember(_text(text), speaker=speaker, at=at, session=session, role=role)
        _print_receipt(receipt, "remembered", json)


def recall(
    query: Text,
    k: o.K = 10,
    budget: o.Budget = None,
    now: o.Now = None,
    valid_at: o.ValidAt = None,
    as_of: o.AsOf = None,
    speaker: Annotated[list[str] | None, typer.Option(help="Only what this speaker said; may be repeated.")] = None,
    session: Annotated[list[str] | None, typer.Option(help="Only from this session; may be repeated.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind of record; may be repeated.")] = None,
    since: Annotated[str | None, typer.Option(help="Only what was said from then on.")] = None,
    until: Annotated[str | None, typer.Option(help="Only what was said before then.")] = None,
    phrase: Annotated[str | None, typer.Option(help="Only what has these words in this order.")] = None,
    reader: o.Reader = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Print the text for a prompt only.")] = False,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """The memories that answer a question best, cited and dated, with a confidence."""
    narrowed = Filter(
        kinds=[Kind.parse(each) for each in kind or ()],
        speakers=speaker or (),
        sessions=session or (),
        since=to_datetime(since),
        until=to_datetime(until),
        phrase=phrase,
    )
    with o.open_memory(store, space, reader, read_only=True) as memory:
        found = memory.recall(
            _text(query), k=k, budget=budget, now=now, valid_at=valid_at, as_of=as_of, filter=narrowed
        )
    if json:
        show.print_json(show.recall_json(found))
    elif prompt:
        sys.stdout.write(found.text + "\n")
    else:
        show.print_recall(found)
    if not found.hits:
        raise typer.Exit(NOTHING)


def ask(
    question: Text,
    k: o.K = 10,
    budget: o.Budget = None,
    now: o.Now = None,
    valid_at: o.ValidAt = None,
    as_of: o.AsOf = None,
    reader: o.Reader = None,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """An answer with citations: by a language model if one is named, else the best sentences."""
    with o.open_memory(store, space, reader, read_only=True, model=o.language(model, base_url)) as memory:
        extra = {} if budget is None else {"budget": budget}
        answer = memory.ask(_text(question), k=k, now=now, valid_at=valid_at, as_of=as_of, **extra)
    if json:
        show.print_json({**show.plain(answer), "found": answer.found})
    else:
        show.out.print(visible(answer.text), markup=False)
        show.out.print(f"[dim]confidence {answer.confidence:.2f}[/dim]")
    if not answer.found:
        raise typer.Exit(NOTHING)


def get(
    ids: Annotated[list[str], typer.Argument(help="Ids of memories.")],
    secrets: Annotated[bool, typer.Option("--secrets", help="Show secrets in clear.")] = False,
    as_of: o.AsOf = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Memories by id. The only way to see a secret in clear."""
    with o.open_memory(store, space, read_only=True) as memory:
        found = memory.get(ids, secrets=secrets, as_of=as_of)
    if json:
        show.print_json(found)
    else:
        for record in found:
            show.out.print(
                visible(f"{record.id}  {when(record.at)}  {name(record.speaker or '')}"), style="dim", markup=False
            )
            show.out.print(visible(record.text), markup=False)
    if len(found) < len(set(ids)):
        raise typer.Exit(NOTHING)


def revise(
    id: Id,
    text: Text,
    at: Annotated[str | None, typer.Option(help="When the world changed; without it the old text was wrong.")] = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Replace what a memory says; the old version stays in its history."""
    with o.open_memory(store, space) as memory:
        _print_receipt(memory.revise(id, _text(text), at=at), "revised", json)


def forget(
    what: Annotated[list[str], typer.Argument(help="Ids, or one query: all memories with its content words.")],
    erase: Annotated[bool, typer.Option("--erase", help="Remove the text from every index and file.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not show what would go first.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what would go.")] = False,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Forget by id or by query. Without --yes (or --json) it shows what goes and asks."""
    named = what[0] if len(what) == 1 else what
    with o.open_memory(store, space) as memory:
        gone = memory.forget(named, preview=True)
        if not isinstance(gone, Preview):
            raise InputError("forget gave no preview")
        if preview or not len(gone):
            if json:
                show.print_json({"named": gone.named, "derived": gone.derived})
            else:
                _print_preview(gone)
            raise typer.Exit(0 if len(gone) else NOTHING)
        if not (yes or json):
            _print_preview(gone)
            typer.confirm(f"{'Erase' if erase else 'Forget'} {len(gone)}?", abort=True, err=True)
        receipt = memory.forget([record.id for record in gone.named], erase=erase)
    if isinstance(receipt, Receipt):
        _print_receipt(receipt, "erased" if erase else "forgot", json)


def _print_preview(gone: Preview) -> None:
    rows = [(r.id, r.kind, when(r.at), r.speaker or "", r.text[:200]) for r in (*gone.named, *gone.derived)]
    show.table(("id", "kind", "when", "who", "text"), rows, f"{len(gone)} would go")


def history(id: Id, store: o.Store = None, space: o.Space = "default", json: o.Json = False) -> None:
    """All versions of a memory, oldest first."""
    with o.open_memory(store, space, read_only=True) as memory:
        versions = memory.history(id)
    if json:
        show.print_json(versions)
        return
    rows = [
        (r.version, r.state, when(r.valid.start), "" if r.valid.end is None else when(r.valid.end), r.id, r.text)
        for r in versions
    ]
    show.table(("version", "state", "valid from", "until", "id", "text"), rows)


def reflect(
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Let the system work over what is new: facts, links, summaries."""
    with (
        o.open_memory(store, space, model=o.language(model, base_url)) as memory,
        show.progress("reflecting", None) as advance,
    ):
        done = memory.reflect(progress=lambda _, derived: advance(derived))
    if json:
        show.print_json(done)
    else:
        show.out.print(", ".join(f"{count} {what}" for what, count in done.items()))


def stats(store: o.Store = None, space: o.Space = "default", json: o.Json = False) -> None:
    """Counts, size, encoders, and jobs with their errors."""
    with o.open_memory(store, space, read_only=True) as memory:
        told = memory.stats()
    if json:
        show.print_json(told)
    else:
        rows = [(k, ", ".join(f"{a} {b}" for a, b in v.items()) if isinstance(v, dict) else v) for k, v in told.items()]
        show.table(("", ""), rows)
