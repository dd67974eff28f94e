"""Fixtures of the tests of the pages: one browser and one server for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from browser import Browser, Site, Tab, chromium, site

Open = Callable[..., Tab]


@pytest.fixture(scope="module")  # a driver that runs holds the event loop of its thread
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")  # a driver that runs holds the event loop of its thread
def website(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("pages") / "store") as found:
        yield found


@pytest.fixture
def open_tab(browser: Browser, website: Site) -> Iterator[Open]:
    """Tabs of this test. When it ends, none may have asked another host for anything, or complained."""
    tabs: list[Tab] = []

    def opened(token: str | None = website.admin) -> Tab:
        tabs.append(Tab(browser, website, token))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.page.close()
    for tab in tabs:
        assert not tab.elsewhere(), "something was loaded from another host"
        assert not tab.errors, tab.errors
