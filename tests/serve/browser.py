"""A real browser and a real server for the tests of the pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mnemic.serve.logins import COOKIE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
ALL = (
    "/",
    "/chat",
    "/search?q=Where+does+Nora+live+now",
    "/timeline",
    "/graph",
    "/sessions",
    "/session?turn=d09-01",
    "/memory?id=d09-01",
    "/import",
    "/forget?id=d09-01",
    "/health",
)


@dataclass(frozen=True)
class Site:
    """The server: where it is, its tokens, its store, and the name of the space that only ``admin`` may see."""

    url: str
    login: str
    admin: str
    reader: str
    writer: str
    space: str
    store: Path


@contextmanager
def site(store: Path) -> Iterator[Site]:
    """Run ``pages_server.py`` for as long as the block runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, str(Path(__file__).with_name("pages_server.py")), str(store)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the server did not start"
        try:
            yield Site(**json.loads(line), store=store)
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the path")
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-component-update"]
        found = driver.chromium.launch(executable_path=CHROMIUM, args=options)  # one that is there has to start
        try:
            yield Browser(found)
        finally:
            found.close()


class Browser:
    """The browser: one profile for each token, whose tabs share their cache."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.profiles: dict[tuple[str, str | None], Any] = {}

    def profile(self, site: Site, token: str | None) -> Any:
        """A profile that is logged in with ``token``; None is nobody."""
        if token is None:
            return self.driver.new_context(base_url=site.url, viewport=DESKTOP)
        if (site.url, token) not in self.profiles:
            profile = self.driver.new_context(base_url=site.url, viewport=DESKTOP)
            profile.add_cookies([{"name": COOKIE, "value": login(site, token), "url": site.url}])
            self.profiles[site.url, token] = profile
        return self.profiles[site.url, token]


def login(site: Site, token: str) -> str:
    """The cookie for a token."""
    answer = httpx.post(f"{site.url}/login", data={"token": token})
    assert answer.status_code == 303, answer.text
    return answer.cookies[COOKIE]


class Tab:
    """One window. ``asked`` are the addresses it asked for, ``errors`` what its console said."""

    def __init__(self, browser: Browser, site: Site, token: str | None) -> None:
        self.site = site
        self.page = browser.profile(site, token).new_page()
        self.page.set_default_timeout(20_000)  # the machine may be busy
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    def go(self, path: str, title: str | None = None) -> Any:
        """Load a page, and wait until it is there."""
        self.page.goto(path)
        return self.arrive(title)

    def arrive(self, title: str | None = None) -> Any:
        heading = self.page.locator("#main h1", has_text=title) if title else self.page.locator("#main h1")
        heading.first.wait_for(state="attached")
        return self.page

    def follow(self, path: str) -> Any:
        """Go to another page without loading anything anew, as a link does."""
        self.page.evaluate("() => document.querySelector('#main .page')?.classList.add('left')")
        self.page.evaluate("path => emitEvent('sub_pages_navigate', path)", path)
        self.page.locator("#main .page:not(.left) h1").first.wait_for(state="attached")
        return self.page

    def elsewhere(self) -> list[str]:
        """What was asked of another host."""
        ours = re.compile(rf"(http|ws)://{re.escape(self.site.url[7:])}/|data:|blob:|about:")
        return [url for url in self.asked if not ours.match(url)]
