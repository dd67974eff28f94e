"""``mnemic attend``: ask a model about a text that is longer than its window."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemic.cli import options as o
from mnemic.cli import show
from mnemic.errors import InputError
from mnemic.lazy import torch_needed

if TYPE_CHECKING:
    from mnemic.attention.policy import Policy


def attend(
    file: Annotated[Path, typer.Argument(help="The text (UTF-8); - reads standard input.")],
    question: Annotated[str, typer.Option("--question", "-q", help="What to ask about it.")],
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            help="full, lambda, streaming, surprisal, infllm, emllm, hip, think, longmem, beacon, beacon-standin, A+B.",
        ),
    ] = "infllm",
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of the policy, such as window=1024.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="A folder, a model that `mnemic models` lists, or a name on the hub.")
    ] = "smollm2-135m",
    tokens: Annotated[int, typer.Option("--tokens", help="The most tokens to answer with.", min=1)] = 64,
    chunk: Annotated[int, typer.Option("--chunk", help="Tokens that are read at a time.", min=1)] = 512,
    json: o.Json = False,
) -> None:
    """Answer a question about a text of any length with a small model that reads through a memory policy."""
    text = o.read_text(file)
    chosen = _policy(policy, setting or [], model)
    from mnemic.attention import pretrained
    from mnemic.attention.session import attach

    network, tokenizer = pretrained.load(model)
    told_ids, asked_ids = prompt(tokenizer, text, question)
    count = len(told_ids) + len(asked_ids)
    with attach(network, chosen) as session:
        began = time.perf_counter()
        with show.progress(f"reading {count:,} tokens", count) as advance:
            # The question by itself: policies that search do so once for every forward.
            for ids in filter(None, (told_ids, asked_ids)):
                done = session.rows[0].seen if session.rows else 0
                session.prefill(ids, chunk=chunk, progress=partial(_advance, advance, done))
        read = time.perf_counter() - began
        written: list[int] = []
        began = time.perf_counter()

        def stream(step: list[int | None]) -> None:
            written.extend(token for token in step if token is not None)

        session.generate(tokens, stream=stream)
        wrote = time.perf_counter() - began
        told = {
            "answer": tokenizer.decode(written, skip_special_tokens=True).strip(),
            "policy": chosen.name,
            "settings": chosen.settings(),
            "model": model,
            "tokens": count,
            "window": session.anatomy.window,
            "resident": session.resident,
            "bytes": session.nbytes,
            "read_seconds": round(read, 3),
            "read_tokens_per_second": round(count / read, 1),
            "write_tokens_per_second": round(len(written) / wrote, 1) if wrote else None,
        }
    if json:
        show.print_json(told)
    else:
        show.out.print(told["answer"], markup=False)
        show.out.print(
            f"{count:,} tokens read at {told['read_tokens_per_second']} a second; {told['resident']:,} are held for "
            f"attention ({session.anatomy.window:,} is what the model was trained for)",
            markup=False,
            style="dim",
        )


def _advance(advance: Callable[[int], None], before: int, done: int, _: int) -> None:
    advance(before + done)


def prompt(tokenizer: Any, text: str, question: str) -> tuple[list[int], list[int]]:
    """The tokens of a chat that gives the text and asks about it; without a template, of the two after each other. The
    text and what comes after it by themselves."""
    asked = f"\n\nQuestion about the text above: {question}"
    if not getattr(tokenizer, "chat_template", None):
        return list(tokenizer(text)["input_ids"]), _ids(tokenizer, f"{asked}\nAnswer:")
    messages = [{"role": "user", "content": text + asked}]
    chat = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    parts = max(chat.rfind(asked.strip()), 0)
    return _ids(tokenizer, chat[:parts]), _ids(tokenizer, chat[parts:])


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _policy(name: str, settings: list[str], model: str) -> Policy:
    pairs = {}
    for each in settings:
        key, equals, value = each.partition("=")
        if not equals:
            raise InputError(f"--set takes NAME=VALUE, not {each!r}")
        pairs[key.strip()] = value.strip()
    with torch_needed("mnemic attend"):
        from mnemic.attention.pretrained import SETTINGS
        from mnemic.attention.registry import make
    return make(name, SETTINGS.get(model, {}).get(name.partition("+")[0], {}) | pairs)
