"""The pages in a real browser: who sees what, and what memories may not do to a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("nicegui")

from browser import ALL, Site, login
from pages_fixtures import Open
from pages_server import HOSTILE, SPACE

import mnemic
from mnemic.serve.logins import COOKIE
from mnemic.serve.tokens import Scope, Tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MADE = "#main script, #main img, #main b:text-is('bold'), #main u, #main s, #main i:text-is('of')"
"""Elements that only the text of a memory could have made."""
HIDDEN = ("hunter2", "Porto", "Nobody may")
"""What is in the space that only the administrator may see."""


def test_a_token_that_may_only_read_sees_nothing_to_write_with(open_tab: Open, website: Site) -> None:
    tab = open_tab(website.reader)
    page = tab.go("/chat", "Chat")
    assert page.locator(".toggle").count() == 0  # nothing will be remembered
    assert "Forget" not in page.locator(".side nav").inner_text()
    page.get_by_label("Message").fill("The zither is out of tune.")
    page.keyboard.press("Enter")
    page.locator(".exchange .margin").wait_for()
    tab.follow("/memory?id=d09-01")
    assert page.get_by_role("button", name="Revise").count() == 0
    assert page.locator(".memory-actions").get_by_text("Forget").count() == 0
    tab.follow("/import")
    assert page.locator("input[type=file]").count() == 0
    assert page.get_by_role("button", name="Export the space").count() == 1
    tab.follow("/health")
    assert page.get_by_role("button", name="Reflect").count() == 0
    page.goto("/forget")
    page.get_by_text("This page cannot be shown").wait_for()
    page.get_by_text("does not grant 'forget'").wait_for()
    with mnemic.open(website.store, "demo", read_only=True) as memory:
        assert not [hit for hit in memory.recall("zither") if "zither" in hit.text]


def test_handlers_ask_for_the_grant_at_every_step(open_tab: Open, website: Site) -> None:
    """What a page shows is no permission: the grant is taken away while the page is open."""
    tokens = Tokens(website.store / "tokens.json")
    before = {info.id for info in tokens.all()}
    secret = tokens.create("short-lived", {"demo": [Scope.READ, Scope.WRITE, Scope.FORGET]})
    id = next(info.id for info in tokens.all() if info.id not in before)
    tab = open_tab(secret)
    page = tab.go("/memory?id=d02-03")
    page.get_by_role("button", name="Revise").click()
    page.get_by_label("New text").fill("This must not be stored: narwhal.")

    file = website.store / "tokens.json"
    told = json.loads(file.read_text("utf-8"))
    for row in told["tokens"]:
        if row["id"] == id:
            row["grants"] = {"demo": ["read"]}
    file.write_text(json.dumps(told), "utf-8")
    page.get_by_role("button", name="Save the new version").click()
    page.locator(".toast.bad", has_text="does not grant 'write'").wait_for()

    tokens.revoke(id)
    page.get_by_role("button", name="Save the new version").click()
    page.wait_for_url("**/login")
    with mnemic.open(website.store, "demo", read_only=True) as memory:
        assert memory.get("d02-03")[0].superseded_by is None
        assert not [hit for hit in memory.recall("narwhal") if "narwhal" in hit.text]


PATHS = ("/chat", "/search?q=heron", "/timeline", "/graph", "/graph?id=secret", "/sessions", "/session?turn=secret",
         "/memory?id=secret", "/import", "/forget?id=secret", "/health")  # fmt: skip


def test_another_space_cannot_be_reached(open_tab: Open, website: Site) -> None:
    """Neither by its name, nor through the pages of one's own space by the id of what is in it."""
    tab = open_tab(website.writer)
    page = tab.go("/chat")
    page.locator(".side .switch summary").click()
    assert page.locator(".side .sheet a .name").all_inner_texts() == ["demo"]
    content = page.locator("#main")
    for path in PATHS[1:]:
        tab.follow(path)
        page.wait_for_timeout(100)
        assert not [word for word in HIDDEN if word in content.inner_text()], path
    for path in PATHS:
        path += ("&" if "?" in path else "?") + str(httpx.QueryParams(space=SPACE))
        page.evaluate("path => emitEvent('sub_pages_navigate', path)", path)
        content.get_by_text(f"in the space {SPACE!r}").wait_for()
        assert not [word for word in ("hunter2", "Porto", "Nobody") if word in content.inner_text()], path


@pytest.mark.parametrize("space", [SPACE, "demo"])
def test_what_the_server_sends_holds_nothing_of_another_space(website: Site, space: str) -> None:
    with httpx.Client(base_url=website.url, cookies={COOKIE: login(website, website.reader)}) as client:
        for path in PATHS:
            answer = client.get(path, params={"space": space}, headers={"Accept": "text/html"})
            assert answer.status_code == 200
            assert not [
                word for word in HIDDEN[1:] if word in answer.text.replace(str(httpx.QueryParams(space=SPACE)), "")
            ]


def test_memories_are_text_and_never_markup(open_tab: Open, website: Site) -> None:
    """Script, tags and templates in turns, speakers, sessions, ids and names of spaces stay what they are: letters."""
    tab = open_tab()
    space = httpx.QueryParams(space=SPACE)
    page = tab.go(f"/chat?{space}", "Chat")
    page.get_by_label("Message").fill(f"Where is the heron {HOSTILE}?")
    page.keyboard.press("Enter")
    page.locator(".exchange .recalled").first.wait_for()
    seen = [page.content()]
    for path in (
        *("/search?q=heron+script", "/memory?id=a%3Cb%3E%26c", "/session?turn=secret", "/forget?id=secret"),
        *("/sessions?x=1", "/timeline?x=1", "/graph?x=1", "/health?x=1", "/import?x=1"),
    ):
        tab.follow(f"{path}&{space}")
        page.wait_for_timeout(100)
        seen.append(page.content())
        assert page.evaluate("window.pwned") is None, path
        assert (
            page.locator(
                "#main script, #main img, #main b:text-is('bold'), #main u, #main s, #main i:text-is('of')"
            ).count()
            == 0
        ), path
    assert any("&lt;script&gt;window.pwned = 1&lt;/script&gt;" in each for each in seen)
    assert any("{{ window.pwned = 3 }}" in each for each in seen)
    tab.follow(f"/search?q=heron+script&{space}")
    page.locator(".hit", has_text="<script>window.pwned = 1</script>").first.wait_for()
    assert page.locator(".side .switch .name").first.inner_text() == SPACE


def test_secrets_stay_masked_on_every_page(open_tab: Open, website: Site) -> None:
    tab = open_tab()
    space = httpx.QueryParams(space=SPACE)
    page = tab.go(f"/search?q=password&{space}")
    page.locator(".hit .secret").first.wait_for()
    for path in (
        "/memory?id=secret",
        "/session?turn=secret",
        "/sessions?x=1",
        "/graph?id=secret",
        "/forget?id=secret",
        "/search?q=password",
    ):
        tab.follow(f"{path}&{space}")
        page.wait_for_timeout(100)
        assert "hunter2" not in page.content(), path
    page.locator(".hit .secret", has_text="password").first.wait_for()


def test_a_socket_speaks_for_its_own_pages_only(open_tab: Open, website: Site) -> None:
    """Somebody else's login with an id that leaked: neither to listen, nor to press buttons, nor to upload."""
    victim, other = open_tab(), open_tab(website.reader)
    victim.go("/health", "Health")
    client = victim.page.evaluate("window.clientId")
    button = victim.page.evaluate(
        "() => { const el = [...document.querySelectorAll('button')].find(b => b.innerText.includes('Reflect'));"
        " const id = Number(el.id.slice(1)); return [id, mounted_app.elements[id].events.map(e => e.listener_id)] }"
    )
    other.go("/search", "Search")
    said = other.page.evaluate(
        """async ([client, document_id]) => {
            const query = {...window.socket.io.opts.query, client_id: client, document_id, implicit_handshake: true};
            const options = {query, transports: ['websocket'], forceNew: true, reconnection: false};
            const socket = io(location.origin.replace('http', 'ws'), {path: '/_nicegui_ws/socket.io', ...options});
            return await new Promise(done => {
              socket.on('connect_error', error => done('refused: ' + error.message));
              socket.on('connect', () => setTimeout(() => done('connected'), 300));
              setTimeout(() => done('nothing'), 5000);
            });
        }""",
        [client, "made-up"],
    )
    assert said.startswith("refused"), said
    other.page.evaluate(
        """([client, [id, listeners]]) => listeners.forEach(listener => window.socket.emit('event',
            {id, client_id: client, listener_id: listener, args: []}))""",
        [client, button],
    )
    other.page.wait_for_timeout(800)
    assert victim.page.locator(".job").count() == 0
    mine = victim.page.evaluate(
        """([client, [id, listeners]]) => listeners.forEach(listener => window.socket.emit('event',
            {id, client_id: client, listener_id: listener, args: []}))""",
        [client, button],
    )
    assert mine is None
    victim.page.locator(".job").first.wait_for()  # the same message from its own page does press the button
    victim.follow("/import")
    url = victim.page.evaluate(
        "() => Object.values(mounted_app.elements).find(e => e.props?.url?.includes('/upload/')).props.url"
    )
    for token, status in ((website.reader, 404), (website.admin, 200)):
        answer = httpx.post(
            website.url + url,
            files={"file": ("talk.txt", b"Ana: hello")},
            cookies={COOKIE: login(website, token)},
            headers={"Origin": website.url},
        )
        assert answer.status_code == status


def test_logging_in_and_out(open_tab: Open, website: Site) -> None:
    tab = open_tab(None)
    page = tab.page
    page.goto("/timeline")
    page.wait_for_url("**/login**")
    page.fill("#token", "mnk_wrong")
    page.keyboard.press("Enter")
    page.get_by_text("This token is not known").wait_for()
    assert page.get_by_label("Token").get_attribute("aria-invalid") == "true"
    tab.errors.clear()  # the browser reports the 401
    page.fill("#token", website.reader)
    page.keyboard.press("Enter")
    page.locator("#main h1").first.wait_for()
    cookie = next(each for each in page.context.cookies() if each["name"] == COOKIE)
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    other = page.context.new_page()
    other.goto("/search")
    other.locator("#main h1", has_text="Search").wait_for()
    page.locator(".side").get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    other.locator("[data-search] input").fill("lentils")
    other.keyboard.press("Enter")
    other.wait_for_url("**/login")  # the login ended in every window
    other.close()


@pytest.mark.parametrize(
    "next", ["//evil.example/x", "/\\evil.example", "https://evil.example", "/login", "/search?q=a"]
)
def test_a_login_leads_nowhere_else(website: Site, next: str) -> None:
    answer = httpx.post(f"{website.url}/login", data={"token": website.reader, "next": next})
    assert answer.headers["location"] == (next if next.startswith("/search") else "/")


def test_an_address_that_leads_nowhere_says_so(open_tab: Open) -> None:
    tab = open_tab()
    tab.page.goto("/nowhere")
    tab.page.get_by_text("Nothing is here").wait_for()
    tab.errors.clear()  # the browser reports the 404
    assert tab.page.title() == "Not found · Mnemic"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_pages(open_tab: Open, scheme: Any) -> None:
    """Names, labels, headings, landmarks, and the contrast of every text as it is painted: see accessibility.js."""
    tab = open_tab()
    tab.page.emulate_media(color_scheme=scheme)
    script = Path(__file__).with_name("accessibility.js").read_text("utf-8").partition("\n")[2]
    faults: list[str] = []
    for path in ALL[1:]:
        page = tab.follow(path) if path != ALL[1] else tab.go(path)
        page.wait_for_timeout(200)  # the fade-in is over
        faults += [f"{path} {found}" for found in page.evaluate(script)]
    assert not faults, "\n".join(faults)
