"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

import mnemic
from mnemic import models
from mnemic.errors import ModelError
from mnemic.text.encode.base import SparseEncoder
from mnemic.text.language.base import Language

# Machines that run tests are shared: how long an example takes says nothing about the code.
settings.register_profile("mnemic", deadline=None)
settings.load_profile("mnemic")

START = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)


class Ticking:
    """A clock that a test sets and moves."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **step: float) -> datetime:
        """Move on by a timedelta given in its own words: ``days=1``."""
        self.now += timedelta(**step)
        return self.now


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def memory(clock: Ticking) -> Iterator[mnemic.Memory]:
    """An empty memory that lives as long as the test, lexical only."""
    with mnemic.open(":memory:", encoders="lexical", clock=clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def splade() -> SparseEncoder:
    """The default encoder; the test is skipped where its weights cannot be fetched."""
    from mnemic.text.encode import get

    try:
        models.pull("splade-tiny", progress=False)
    except ModelError as error:
        pytest.skip(f"the default encoder cannot be fetched: {error}")
    return get("splade-tiny")  # type: ignore[return-value]


@pytest.fixture(scope="session")
def local_model() -> Iterator[str]:
    """The address of a small real language model on this machine; the test is skipped where it cannot be had."""
    from local_model import serving

    with serving() as url:
        yield url


@pytest.fixture(scope="session")
def real_language(local_model: str) -> Iterator[Language]:
    """That model, connected. Mark tests that use it ``slow``."""
    from mnemic.text.language.openai import connect

    with connect("smollm2-135m", local_model, key_env=None, timeout=120) as language:
        yield language


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of benchmark data that MNEMIC_DATA names; the test is skipped without it."""
    folder = os.environ.get("MNEMIC_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set MNEMIC_DATA to the folder of benchmark data to run this test")
    return Path(folder)
