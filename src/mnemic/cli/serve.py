"""``mnemic serve``: memories over HTTP; ``mnemic token``: who may use them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.errors import InputError, MissingExtraError
from mnemic.serve.config import PORT, Config, Limits
from mnemic.serve.tokens import Scope, Tokens
from mnemic.text.record import to_datetime

app = typer.Typer(help="Tokens of a server: create, list, revoke.", no_args_is_help=True)
Folder = Annotated[
    Path | None,
    typer.Option("--store", "-s", envvar="MNEMIC_STORE", help="A folder of spaces.", show_default=False),
]


def serve(
    store: Folder = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = PORT,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A further name of this server; may be repeated.")
    ] = None,
    space: Annotated[
        str, typer.Option("--space", envvar="MNEMIC_SPACE", help="The space of callers that name none.")
    ] = "default",
    system: Annotated[str, typer.Option("--system", help="How new spaces remember.")] = "mnemic",
    encoders: o.Encoders = "auto",
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    upstream: Annotated[
        str | None, typer.Option("--upstream", help="The OpenAI-compatible server behind the proxy (.../v1).")
    ] = None,
    upstream_key: Annotated[
        str, typer.Option("--upstream-key", help="The variable that holds its key.")
    ] = "OPENAI_API_KEY",
    budget: Annotated[int, typer.Option("--budget", help="Tokens of memory that the proxy adds.", min=1)] = 1500,
    open_spaces: Annotated[
        int, typer.Option("--open-spaces", help="How many spaces are kept open, the ones used last.", min=1)
    ] = Limits().open_spaces,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask for no tokens; on the loopback only.")] = False,
    no_pages: Annotated[bool, typer.Option("--no-pages", help="Serve no web pages.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not log requests.")] = False,
    json: o.Json = False,
) -> None:
    """Serve memories on this machine: REST, MCP, an OpenAI-compatible proxy and web pages."""
    try:
        from mnemic.serve import run
    except ModuleNotFoundError as error:
        if (error.name or "mnemic").startswith("mnemic"):
            raise
        raise MissingExtraError(f"serving needs {error.name}; run: pip install 'mnemic[serve]'") from error
    config = Config(
        store=o.store_path(store),
        host=host,
        port=port,
        hosts=tuple(allow_host or ()),
        space=space,
        system=system,
        encoders=encoders,
        auth=not no_auth,
        pages=not no_pages,
        language=o.language(model, base_url),
        upstream=upstream,
        upstream_key_env=upstream_key,
        budget=budget,
        limits=Limits(open_spaces=open_spaces),
    )

    def say(address: run.Address) -> None:
        if json:
            show.print_json({**show.plain(address), "mcp": address.mcp(config)})
        else:
            show.out.print(address.told(config), markup=False)
        sys.stdout.flush()

    run.serve(config, say=say, quiet=quiet)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    grant: Annotated[
        list[str] | None,
        typer.Option("--grant", help="SPACE:SCOPE,... of read, write, forget, admin; * is every space; repeatable."),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends (ISO 8601); default: never.")] = None,
    store: Folder = None,
    json: o.Json = False,
) -> None:
    """Make a token. It is shown this once: only its hash is kept."""
    grants: dict[str, list[Scope]] = {}
    for each in grant or ():
        space, colon, scopes = each.rpartition(":")
        if not colon or not space:
            raise InputError(f"cannot read the grant {each!r}: give SPACE:SCOPE,... such as default:read,write")
        grants.setdefault(space, []).extend(Scope.parse(scope.strip()) for scope in scopes.split(","))
    if not grants:
        raise InputError(
            "a token needs --grant SPACE:SCOPE,... such as --grant default:read,write or --grant '*:admin'"
        )
    secret, info = _tokens(store).issue(name, grants, expires=to_datetime(expires))
    if json:
        show.print_json({"token": secret, "info": info})
    else:
        show.out.print(secret, markup=False)


@app.command("list")
def list_(store: Folder = None, json: o.Json = False) -> None:
    """The tokens there are, and what they allow."""
    found = _tokens(store).all()
    if json:
        show.print_json(found)
        return
    rows = [
        (
            info.id,
            info.name,
            "; ".join(f"{space}:{','.join(scopes)}" for space, scopes in info.grants.items()),
            f"{info.made:%Y-%m-%d}",
            f"{info.expires:%Y-%m-%d %H:%M}" if info.expires else "never",
        )
        for info in found
    ]
    show.table(("id", "name", "allows", "made", "ends"), rows)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="The id that `mnemic token list` shows.")],
    store: Folder = None,
    json: o.Json = False,
) -> None:
    """Revoke a token: it is refused from now on, and its logins end."""
    _tokens(store).revoke(id)
    if json:
        show.print_json({"revoked": id})
    else:
        show.out.print(f"revoked {id}", markup=False)


def _tokens(store: Path | None) -> Tokens:
    return Tokens(Config(store=o.store_path(store)).tokens)
