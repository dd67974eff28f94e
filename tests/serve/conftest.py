"""Fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pages_fixtures import browser, open_tab, website  # noqa: F401  fixtures too
from served import Served, serving
from upstream import running_stage  # noqa: F401  a fixture


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server inside the test, with an empty store."""
    with serving(tmp_path / "store") as running:
        yield running
