"""``mnemic bench study``: Orhan's protocol for a language model that learns in its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mnemic.bench import orhan
from mnemic.bench.report import markdown
from mnemic.bench.stimuli import KINDS
from mnemic.errors import InputError
from mnemic.lazy import torch_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mnemic.bench.orhan import Learner

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="MNEMIC_DATA",
        help="The folder that holds the original's files (llm-memory); without one, pairs are made by rule.",
    ),
]
Kind = Annotated[
    list[str] | None,
    typer.Option("--kind", help=f"Only these pairs ({', '.join(KINDS)}); may be repeated.", show_default=False),
]


def study(
    model: Annotated[
        str,
        typer.Argument(
            help="characters (tiny, made and trained here), or a folder, a language model that `mnemic models` lists, "
            "or a name on the hub."
        ),
    ] = "characters",
    data: Data = None,
    kind: Kind = None,
    pairs: Annotated[int, typer.Option("--pairs", help="How many pairs of each kind.", min=2)] = 64,
    exposures: Annotated[
        str, typer.Option("--exposures", help="How often items are studied; 0 is the control.")
    ] = "0,1,2,3",
    retention: Annotated[
        str, typer.Option("--retention", help="Numbers of distractors after the last exposure.")
    ] = "16,48,160",
    seeds: Annotated[int, typer.Option("--seeds", help="How many models and sets of pairs, from seed 0.", min=1)] = 1,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Learning rate; default: the model's (1e-5 for Hugging Face).")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Items an update; default: the model's (16 for Hugging Face).", min=1)
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write the result here (.gz: compressed).")] = None,
) -> None:
    """Teach a copy of a model items, then test recognition against foils, recall from halves, and both later.

    The same for memories: `mnemic bench run orhan`.
    """
    settings: dict[str, Any] = {k: v for k, v in {"rate": rate, "batch": batch}.items() if v is not None}
    examination = orhan.Examination(pairs, _counts(exposures), _counts(retention), tuple(kind or KINDS))

    def make(seed: int) -> Learner:
        with torch_needed("mnemic bench study"):
            from mnemic.bench import learners

            if model == "characters":
                return learners.Characters(seed, **settings)
            return learners.pretrained(model, seed=seed, **settings)

    with Console(stderr=True).status("teaching") as status:
        result = orhan.run(
            make, data, examination=examination, seeds=range(seeds), out=out, progress=lambda told: status.update(told)
        )
    typer.echo(markdown([result.to_json()]), nl=False)


def _counts(text: str) -> Sequence[int]:
    try:
        return [int(each) for each in text.split(",") if each.strip()]
    except ValueError:
        raise InputError(f"{text!r} is no list of counts: write them as 0,1,2,3") from None
