"""``mnemic govern``: change a memory only if it stays as good as it was, and prove what was forgotten."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.govern import certificate, probe
from mnemic.govern.change import Rebuild, Reflect
from mnemic.govern.dmm import Governor, Verdict, ledger_of
from mnemic.govern.measure import LESS_IS_MORE, Thresholds

app = typer.Typer(
    help="Change a memory only if it stays as good as it was; prove what was forgotten.", no_args_is_help=True
)
Probes = Annotated[
    Path | None,
    typer.Option("--probes", help="A JSONL file of probes; without, turns of the space are asked for."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold", help="NAME=SHARE for recall, coverage, unsupported, freshness, conflicts, refusal, drawdown."
    ),
]


@app.command()
def register(probes: Probes = None, threshold: Set = None, store: o.Store = None, space: o.Space = "default") -> None:
    """Write down the probes and thresholds, before anything is measured."""
    governor = _governor(store, space, probes, threshold)
    governor.register()
    show.out.print(f"registered: {len(governor.probes)} probes, {governor.thresholds}", markup=False)


@app.command()
def monitor(
    probes: Probes = None,
    threshold: Set = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Measure the space against its thresholds; exit code 1 where one is broken."""
    _tell(_governor(store, space, probes, threshold).monitor(), json)


@app.command()
def reflect(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="On a copy only.")] = False,
    probes: Probes = None,
    threshold: Set = None,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Reflect, if a copy that did stays within the thresholds; taken back if the space then does not."""
    governor = _governor(store, space, probes, threshold, model, base_url)
    _tell(governor.admit(Reflect()) if dry_run else governor.apply(Reflect()), json)


@app.command()
def rebuild(
    system: o.System = None,
    encoders: o.Encoders = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="On a copy only.")] = False,
    probes: Probes = None,
    threshold: Set = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Change the system or the encoders, if a copy that did stays within the thresholds."""
    governor = _governor(store, space, probes, threshold)
    change = Rebuild(system, encoders if encoders in ("auto", "lexical") else encoders.split(","))
    _tell(governor.admit(change) if dry_run else governor.apply(change), json)


@app.command()
def forget(
    what: Annotated[list[str], typer.Argument(help="Ids, or one query.")],
    hide: Annotated[bool, typer.Option("--hide", help="Do not erase: hide, visible as of before.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Goes into the certificate.")] = "",
    approved_by: Annotated[str, typer.Option("--approved-by", help="Goes into the certificate.")] = "",
    out: Annotated[Path | None, typer.Option("--certificate", help="Write the certificate here (JSON).")] = None,
    probes: Probes = None,
    threshold: Set = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Erase memories, look for them in every way there is, and certify the outcome; exit code 1 if it does not hold."""
    governor = _governor(store, space, probes, threshold)
    given = what[0] if len(what) == 1 else what
    made = certificate.forget(governor, given, erase=not hide, reason=reason, approved_by=approved_by)
    if out is not None:
        out.write_text(json_module.dumps(made.told(), indent=1) + "\n", encoding="utf-8")
    if json:
        show.print_json(made.told())
    else:
        show.table(
            ("grade", "looked for", "tries", "found"), [(c.grade, c.name, c.tried, c.found) for c in made.checks]
        )
        show.out.print(
            f"{len(made.target)} named, {len(made.derived)} derived; of everything else "
            f"{100 * made.regression['kept']:.1f} % is recalled as before; "
            + ("holds" if made.holds else "DOES NOT HOLD"),
            markup=False,
        )
    if not made.holds:
        raise typer.Exit(1)


@app.command()
def audit(
    head: Annotated[
        str | None, typer.Option("--head", help="A hash written down before: the ledger must hold it.")
    ] = None,
    store: o.Store = None,
    space: o.Space = "default",
    json: o.Json = False,
) -> None:
    """Show the ledger, its chain verified."""
    ledger = ledger_of(o.store_path(store), space)
    ledger.verify(head)
    entries = ledger.entries()
    if json:
        show.print_json(entries)
    else:
        rows = [(e.seq, e.at, e.kind, _short(e.body), e.hash[:16]) for e in entries]
        show.table(("", "at", "what", "outcome", "hash"), rows)
        show.out.print(f"{len(entries)} entries, the chain is whole; head {ledger.head()}", markup=False)


def _short(body: Mapping[str, Any]) -> str:
    outcome = body.get("passed", body.get("holds"))
    passed = "" if outcome is None else "passed" if outcome else "not passed"
    return " ".join(part for part in (str(body.get("change", "")), passed) if part)


def _governor(
    store: Path | None,
    space: str,
    probes: Path | None,
    threshold: list[str] | None,
    model: str | None = None,
    base_url: str | None = None,
) -> Governor:
    path = o.store_path(store)
    return Governor(
        path,
        space,
        probes=probe.load(probes) if probes is not None else None,
        thresholds=Thresholds.parse(threshold or []),
        language=o.language(model, base_url),
    )


def _tell(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        show.print_json({"step": verdict.step, **verdict.told()})
    else:
        before = verdict.before or {}
        rows = [
            (
                name + (" (less is better)" if name in LESS_IS_MORE else ""),
                f"{before[name].value:.3f}" if name in before else "",
                f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]",
                m.n,
            )
            for name, m in verdict.after.items()
        ]
        show.table(("measure", "before", "now", "probes"), rows)
        for breach in verdict.breaches:
            show.out.print(f"broken: {breach}", markup=False)
        outcome = "passed" if verdict.passed else "taken back" if verdict.rolled_back else "not passed"
        show.out.print(f"{verdict.step}: {outcome}", markup=False)
    if not verdict.passed:
        raise typer.Exit(1)
