"""The pages in a real browser: what a user does with them, from an import to a receipt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("nicegui")

from browser import ALL, PHONE, Site
from pages_fixtures import Open

import mnemic
from mnemic.text.plan import Filter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def stored(website: Site, space: str = "demo") -> mnemic.Memory:
    return mnemic.open(website.store, space, read_only=True)


def test_a_walk_from_a_file_to_a_receipt(open_tab: Open, tmp_path: Path) -> None:
    """Import, search, conversation, revising, history, forgetting: one space, one sitting."""
    tab = open_tab()
    file = tmp_path / "talk.txt"
    file.write_text(
        "[2025-08-01 09:00] Ana: My canary is called Ziggurat.\n[2025-08-01 09:02] Ben: A canary with a long name.\n",
        "utf-8",
    )

    page = tab.go("/import?space=demo", "Import")
    notes = tmp_path / "odd.bin"
    notes.write_bytes(b"\x00\x01\x02")
    page.set_input_files("input[type=file]", [notes, file])  # several at once
    unknown = page.locator(".arrival", has_text="odd.bin")
    unknown.get_by_text("the format is not recognised").wait_for()
    assert unknown.get_by_role("button", name="Import").is_disabled()
    unknown.get_by_role("button", name="Discard").click()
    unknown.wait_for(state="detached")
    arrival = page.locator(".arrival")
    arrival.get_by_text("About 2 turns").wait_for()
    assert "Chat log" in arrival.locator(".q-field__native").inner_text()  # the format was recognised
    arrival.get_by_role("button", name="Import").click()
    page.locator(".job.done", has_text="2 turns stored").wait_for()

    page.locator("a[data-go=s]").click()  # without loading the page anew
    page.locator("[data-search] input").fill("What is Ana's canary called?")
    page.keyboard.press("Enter")
    first = page.locator(".hit").first
    first.get_by_text("Ziggurat").wait_for()
    assert first.locator("mark").count() >= 1
    assert "q=What+is" in page.url
    assert (page.locator(".gauge-number").text_content() or "").endswith("%")
    assert {"understand", "search", "rank"} <= set(page.locator(".laps li span:first-child").all_inner_texts())
    assert first.locator(".parts .part").count() >= 1
    first.locator("summary").click()
    assert first.locator(".legs li").count() >= 2
    assert first.locator(".legs .num").first.inner_text().startswith(("+", "-", "−"))

    page.locator("[data-search] input").fill("lentil soup")
    page.keyboard.press("Enter")
    page.locator(".hit", has_text="lentil").first.wait_for()
    page.go_back()
    first.get_by_text("Ziggurat").wait_for()  # the search before
    assert page.locator("[data-search] input").input_value() == "What is Ana's canary called?"

    first.locator(".hit-text").click()
    here = page.locator(".turn.here")
    here.wait_for()
    assert "Ziggurat" in here.inner_text()
    assert page.locator(".turn").count() == 2

    here.locator(".bubble").click()
    page.get_by_role("button", name="Revise").click()
    page.get_by_label("New text").fill("My canary is called Pagoda.")
    page.get_by_role("button", name="Save the new version").click()
    page.locator(".versions ins", has_text="Pagoda").wait_for()
    assert page.locator(".versions del").inner_text() == "Ziggurat"
    assert page.locator(".versions li").count() == 2

    page.locator(".memory-actions").get_by_text("Forget").click()
    page.locator(".goings li", has_text="Pagoda").wait_for()
    page.locator(".forget-do").get_by_role("button").click()
    dialog = page.locator(".dialog")
    dialog.get_by_role("button", name="Keep them").click()
    dialog.wait_for(state="detached")
    with stored(tab.site) as memory:
        assert memory.recall("canary Pagoda").hits[0].text == "My canary is called Pagoda."  # nothing has happened yet
    page.locator(".forget-do").get_by_role("button").click()
    dialog.get_by_role("button", name="Forget 1 memory").click()
    page.locator(".receipt").get_by_text("1 memory forgotten").wait_for()
    with stored(tab.site) as memory:
        assert not [hit for hit in memory.recall("canary Pagoda") if "Pagoda" in hit.text]


def test_an_answer_stands_beside_what_was_recalled_and_cites_it(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/chat", "Chat")
    page.get_by_label("Message").fill("What is the name of Nora's cat?")
    page.keyboard.press("Enter")
    exchange = page.locator(".exchange").last
    exchange.locator(".reply .cite").first.wait_for()
    assert "Admiral" in exchange.locator(".reply").inner_text()
    recalled = exchange.locator(".recalled")
    assert recalled.count() == 8
    assert all(float(score) > 0 for score in exchange.locator(".recalled .score").all_inner_texts()[:5])
    number = exchange.locator(".reply .cite").first.inner_text()
    cited = exchange.locator(f".recalled[data-cite='{number}']")
    assert "cited" in (cited.get_attribute("class") or "")
    exchange.locator(".reply .cite").first.hover()
    assert "lit" in (cited.get_attribute("class") or "")  # the citation and what it cites light up together
    with stored(tab.site) as memory:
        kept = [turn for turn in scan(memory, "chat-") if turn.meta.get("app") == "chat"]
        assert [turn.role for turn in kept] == ["user", "assistant"]
        assert kept[1].meta["citations"] == [int(number)]
    cited.click()
    page.locator(".turn.here").get_by_text("Admiral").wait_for()

    page.go_back()
    page.get_by_text("New chat").click()
    page.get_by_text("Talk to your memory").wait_for()
    page.get_by_text("Earlier chats").click()
    page.locator(".earlier .sheet a", has_text="What is the name of Nora's cat?").click()
    page.locator(".exchange .reply .cite").first.wait_for()  # as it was, with what it rests on
    assert page.locator(".exchange .recalled").count() == 8
    page.locator(".exchange .reply .cite").first.click()
    page.locator(".statement", has_text="Admiral").wait_for()


def test_what_is_told_in_a_chat_is_found_and_what_is_not_kept_is_not(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/chat", "Chat")
    page.get_by_label("Message").fill("My grandmother's xylophone is in the attic.")
    page.get_by_role("button", name="Send").click()
    page.locator(".noted", has_text="Remembered.").wait_for()
    page.locator(".toggle").click()
    page.get_by_label("Message").fill("The sousaphone stays in the cellar.")
    page.keyboard.press("Enter")
    page.locator(".noted", has_text="remembering is off").wait_for()
    page.get_by_label("Message").fill("Where is the xylophone?")
    page.keyboard.press("Enter")
    page.locator(".exchange").last.locator(".reply", has_text="attic").wait_for()
    with stored(tab.site) as memory:
        assert "xylophone" in memory.recall("xylophone").hits[0].text
        assert not [hit for hit in memory.recall("sousaphone") if "sousaphone" in hit.text]


def scan(memory: mnemic.Memory, prefix: str) -> list[mnemic.Record]:
    """The turns of the sessions with this prefix, archived ones too."""
    names = [name for name, _ in memory.space.sessions() if name.startswith(prefix)]
    return memory.scan(Filter(sessions=names or ["none"], archived=True))[0]


def test_erasing_shows_what_goes_along_and_wants_the_word_typed(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/forget", "Forget")
    page.get_by_label("What to forget").fill("accordion signed")
    page.keyboard.press("Enter")
    page.locator(".goings li").first.wait_for()
    total = page.locator(".forget-do")
    before = int(re.findall(r"\d+", total.inner_text())[0])
    page.locator(".way.erase").click()
    total.get_by_text("for good").wait_for()
    boxes = page.locator(".goings input")
    boxes.first.click()  # left out: fewer go
    page.wait_for_function(f"parseInt(document.querySelector('.forget-do').innerText) < {before}")
    page.wait_for_function("document.activeElement.type === 'checkbox'")  # the focus is where it was
    boxes.first.click()
    page.wait_for_function(f"parseInt(document.querySelector('.forget-do').innerText) >= {before}")
    total.get_by_role("button").click()
    dialog = page.locator(".dialog")
    go = dialog.get_by_role("button", name=re.compile("^Erase"))
    assert go.is_disabled()
    dialog.get_by_label("Type erase to go on").fill("erase")
    go.click()
    receipt = page.locator(".receipt")
    receipt.get_by_text("erased").wait_for()
    with stored(tab.site) as memory:
        gone = (receipt.locator(".ids").text_content() or "").split()
        assert len(gone) >= before
        assert memory.space.get(gone) == []


def test_a_timeline_has_bars_for_values_and_tells_what_changed(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/timeline", "Timeline")
    old, new = page.locator(".bar.replaced", has_text="Tanner Lane"), page.locator(".bar.open", has_text="Gullhaven")
    ends, begins = old.bounding_box(), new.bounding_box()
    assert ends
    assert begins
    assert abs(ends["x"] + ends["width"] - begins["x"]) < 4  # one begins where the other ends
    assert abs(ends["y"] - begins["y"]) < 8  # in one row; the page may still be fading in
    changed = page.locator(".changed li", has_text="lives in")
    assert changed.locator(".was").inner_text() == "Tanner Lane"
    assert changed.locator(".is").inner_text() == "Gullhaven"
    wide = page.evaluate("document.querySelector('.tl').scrollWidth")
    page.get_by_role("button", name="Show more detail").click()
    page.wait_for_function(f"document.querySelector('.tl').scrollWidth > {1.5 * wide}")
    page.get_by_role("button", name="Show a longer time").click()
    page.locator(".people a", has_text="Felix").click()
    page.locator(".people a[aria-current]", has_text="Felix").wait_for()
    assert page.locator(".tl-subject").all_inner_texts() == ["Felix"]
    page.locator(".bar, .moment").first.click()
    page.locator(".statement").wait_for()


def test_a_graph_grows_and_its_nodes_lead_to_memories(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/graph?id=fact-450d3fcd49f267946468", "Graph")
    assert "Gullhaven" in (page.locator(".node.here").text_content() or "")
    assert page.locator(".edge.supersedes").count() == 1
    assert page.locator(".edge.cites").count() == 1
    before = page.locator(".node").count()
    places = dict(zip(*node_places(page), strict=True))
    page.locator(".node.subject .more").click()
    page.wait_for_function(f"document.querySelectorAll('.node').length > {before}")
    after = dict(zip(*node_places(page), strict=True))
    assert {name: after[name] for name in places} == places  # what was there stays in its place
    page.wait_for_function("document.activeElement.dataset.node?.startsWith('subject:')")  # once it is drawn anew
    box = page.evaluate("document.querySelector('svg.drawing').getAttribute('viewBox')")
    page.get_by_role("button", name="Larger").click()
    assert page.evaluate("document.querySelector('svg.drawing').getAttribute('viewBox')") != box
    page.get_by_role("button", name="Everything").click()
    page.locator(".node.here a").click()
    page.locator(".statement", has_text="Gullhaven").wait_for()


def node_places(page: Any) -> tuple[list[str], list[str]]:
    found = page.evaluate(
        "[...document.querySelectorAll('.node')]"
        ".map(node => [node.querySelector('a').dataset.node, node.getAttribute('transform')])"
    )
    return [name for name, _ in found], [place for _, place in found]


def test_jobs_are_shown_and_an_export_can_be_downloaded(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/health", "Health")
    page.get_by_role("button", name="Reflect", exact=True).click()
    page.locator(".job.done", has_text="derived").first.wait_for()
    page.get_by_role("button", name="Check the file").click()
    page.get_by_text("The file is sound.").wait_for()
    page.locator("a[data-go=i]").click()
    page.get_by_role("button", name="Export the space").click()
    link = page.locator(".job.done a[download]").first
    link.wait_for()
    with page.expect_download() as download:
        link.click()
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    assert '"mnemic"' in lines[0]
    assert len(lines) > 469


def test_the_theme_follows_the_system_until_it_is_switched(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/search", "Search")
    switch = page.locator(".side").get_by_role("button", name="Change the theme")

    def dark() -> bool:
        return int(re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[0]) < 60

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert dark() == (scheme == "dark")
        switch.click()
        assert dark() == (scheme == "light")  # the first press changes what is seen
        if scheme == "light":
            page.reload()
            tab.arrive("Search")
            assert dark()  # it is remembered
        switch.click()
        switch.click()
        assert page.evaluate("document.documentElement.dataset.theme ?? 'system'") == "system"


def test_a_phone_shows_every_page_without_scrolling_sideways(open_tab: Open) -> None:
    tab = open_tab()
    tab.page.set_viewport_size(PHONE)
    for path in ALL:
        page = tab.follow(path) if path != ALL[0] else tab.go(path)
        page.wait_for_timeout(60)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert page.locator(".bottom nav").is_visible()
        assert not page.locator(".side").is_visible()
    page.locator(".bottom summary").click()
    page.locator(".bottom .sheet a", has_text="Health").click()
    page.locator("#main h1", has_text="Health").wait_for()


def test_keys_reach_everything(open_tab: Open) -> None:
    tab = open_tab()
    page = tab.go("/chat", "Chat")
    page.locator("body").press("?")
    assert page.locator("dialog.keys").is_visible()
    assert "Timeline" in page.locator("dialog.keys").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("dialog.keys").is_visible()
    page.keyboard.type("gt")  # in one go: two presses of a busy machine may lie seconds apart
    page.locator("#main h1", has_text="Timeline").wait_for()
    page.wait_for_function("document.activeElement.id === 'main'")  # not lost with the link that was followed
    page.keyboard.press("/")
    page.wait_for_function("document.activeElement.ariaLabel === 'Search the memory'")
    page.locator("h1").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Search the memory"
    page.keyboard.type("g s lentils")  # typing is no command
    page.keyboard.press("Enter")
    page.locator(".hit").first.wait_for()
    assert page.locator("#main h1").first.inner_text() == "Search"
    page.goto(page.url)
    page.locator(".hit").first.wait_for()
    page.keyboard.press("Shift+Tab")
    page.evaluate("document.activeElement.blur()")
    page.locator("a.skip").focus()
    assert page.locator("a.skip").is_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_new_space_begins_with_what_is_stored_in_it(open_tab: Open, website: Site) -> None:
    tab = open_tab(None)
    page = tab.page
    page.goto(website.login)  # the link that the server printed
    page.locator("#main h1", has_text="Chat").wait_for()
    assert "used already" in httpx.get(website.login).text
    page.locator(".side .switch summary").click()
    page.locator(".side").get_by_label("Name of a new space").fill("my notes")
    page.keyboard.press("Enter")
    page.locator("#main h1", has_text="Nothing is remembered yet").wait_for()
    assert "my notes" not in mnemic.spaces(website.store)
    page.get_by_role("button", name="Load the demo").click()
    page.locator(".job.done", has_text="469 turns stored").wait_for()
    page.get_by_role("link", name="Talk to it").click()
    page.get_by_text("It holds 469 turns.").wait_for()
    assert page.locator(".side .switch .name").first.inner_text() == "my notes"
