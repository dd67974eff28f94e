"""A real language model on this machine for tests: SmolLM2-135M behind llama.cpp's own server, one thread, no key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mnemic import models
from mnemic.errors import ModelError

NAME = "smollm2-135m"


@contextmanager
def serving(*, context: int = 4096) -> Iterator[str]:
    """The address (up to and with ``/v1``) of an OpenAI-compatible server with ``context`` tokens, while it runs.

    The model is far too small to extract or to answer well: it proves the way there and back, not what is said.
    Skips the test where the weights or the server (``pip install xllamacpp``) are not to be had.
    """
    xllamacpp = pytest.importorskip("xllamacpp", reason="a local language model needs: pip install xllamacpp")
    try:
        folder = models.pull(NAME, progress=False)
    except ModelError as error:
        pytest.skip(f"the local language model cannot be fetched: {error}")
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / models.get(NAME).files[0].name)
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.port = 0  # any that is free
    params.verbosity = 0
    params.warmup = params.ui = False
    server = xllamacpp.Server(params)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server  # stops it
