"""Encoders: what turns texts into something comparable, chosen by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemic.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from mnemic.text.encode.base import DenseEncoder, SparseEncoder

NAMES = ("splade-tiny", "splade:FOLDER", "minilm", "openai:MODEL[@URL]", "st:MODEL")


def get(name: str) -> SparseEncoder | DenseEncoder:
    """A new encoder by name; only then its libraries are imported and its weights read. Share it: it may be large.

    ``splade-tiny`` and ``minilm`` use pulled weights, ``splade:FOLDER`` those of a folder, ``openai:MODEL@URL`` a
    service (URL defaults to OpenAI's; key in ``OPENAI_API_KEY``), ``st:MODEL`` the Sentence Transformers library.
    Raises NotFoundError for an unknown name, ModelError for missing weights, MissingExtraError for a missing library.
    """
    kind, _, rest = name.partition(":")
    if kind in ("splade", "openai", "st") and not rest:
        raise InputError(f"{name!r} does not say which model; the forms are {', '.join(NAMES)}")
    if name == "splade-tiny" or (kind == "splade" and rest):
        from mnemic.text.encode.sparse import Splade

        return Splade(rest or None)
    if name == "minilm":
        from mnemic.text.encode.dense import MiniLM

        return MiniLM()
    if kind == "openai":
        from mnemic.text.encode.dense import Endpoint

        model, _, url = rest.partition("@")
        return Endpoint(model, url) if url else Endpoint(model)
    if kind == "st":
        from mnemic.text.encode.dense import SentenceTransformer

        return SentenceTransformer(rest)
    raise NotFoundError(f"no encoder is called {name!r}; the names are {', '.join(NAMES)}")
