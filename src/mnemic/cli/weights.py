"""``mnemic models``: the weights of encoders, where they come from, and fetching them."""

from __future__ import annotations

from typing import Annotated

import typer

from mnemic import models
from mnemic.cli import options as o
from mnemic.cli import show

app = typer.Typer(help="Encoder and model weights: list, pull, remove.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A name that `mnemic models list` shows, or hf:ORG/NAME.")]


@app.command("list")
def list_(json: o.Json = False) -> None:
    """The models there are, with size, licence and origin."""
    rows = [
        (m.name, models.installed(m.name) is not None, m.size, m.licence, m.origin, m.about)
        for m in models.list_models()
    ]
    if json:
        names = ("name", "installed", "bytes", "licence", "origin", "about")
        show.print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    cells = [(name, "yes" if here else "no", f"{size / 1e6:.0f} MB", *rest) for name, here, size, *rest in rows]
    show.table(("name", "installed", "size", "licence", "origin", "what it is"), cells)


@app.command()
def pull(name: Name, json: o.Json = False) -> None:
    """Fetch a model into the user's cache, checking every checksum."""
    path = models.pull(name, progress=not json)
    if json:
        show.print_json({"name": name, "path": str(path)})


@app.command()
def verify(name: Name, json: o.Json = False) -> None:
    """Check the cached files against their checksums."""
    path = models.verify(name)
    if json:
        show.print_json({"name": name, "path": str(path), "ok": True})
    else:
        show.out.print(f"{name} is whole", markup=False)


@app.command()
def remove(name: Name, json: o.Json = False) -> None:
    """Delete a model from the cache."""
    gone = models.remove(name)
    if json:
        show.print_json({"name": name, "removed": gone})
    else:
        show.out.print(f"removed {name}" if gone else f"{name} was not there", markup=False)
