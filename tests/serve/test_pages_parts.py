"""The parts of the pages that need no browser: markup, differences, lanes, layout, colours, and what a chat keeps."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("nicegui")

from starlette.routing import Mount
from starlette.testclient import TestClient

import mnemic
from mnemic import demo
from mnemic.serve.app import build
from mnemic.serve.config import Config
from mnemic.serve.pages import diff, exchange, lanes, layout, legs, pieces, theme, words
from mnemic.serve.pages.imports import safe_name
from mnemic.serve.pages.login import inside
from mnemic.serve.pages.markup import Markup, tag, url
from mnemic.serve.tokens import LOCAL, Principal
from mnemic.text.plan import Filter
from mnemic.text.record import Interval, Kind, Record, State

NOW = datetime(2025, 9, 15, 9, 0, tzinfo=UTC)
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=80)


# -- markup ----------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """What a browser makes of a piece of HTML: tags with their attributes, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(deadline=None)
@given(texts, texts)
def test_whatever_is_said_makes_no_element(text: str, value: str) -> None:
    read = Reader(tag("p", text, ["<b>", None, 3], title=value, hidden=False, open=True))
    assert read.tags == [("p", {"title": html.unescape(value) if "&" not in value else value, "open": None})]
    assert read.text.replace("\r", "") == f"{text}<b>3".replace("\r", "")


def test_markup_stays_and_names_of_attributes_are_told() -> None:
    inner = tag("i", "a & b")
    assert tag("div", inner, class_="x", aria_label='"', data_id=1) == Markup(
        '<div class="x" aria-label="&#34;" data-id="1"><i>a &amp; b</i></div>'
    )
    assert tag("br") == "<br>"
    assert url("/search", q="a b&c", k=None, empty="", from_=3) == "/search?q=a+b%26c&from=3"


@settings(deadline=None)
@given(texts)
def test_secrets_and_hidden_marks_never_come_through(text: str) -> None:
    shown = pieces.quoted(f"{text}[secret:pin]\u202e\u0007", {"word"})
    read = Reader(shown)
    assert ("span", {"class": "secret", "title": "A secret, masked"}) in read.tags
    assert "\u202e" not in read.text
    assert "\u0007" not in read.text


def test_the_words_of_the_question_are_marked_by_their_stems() -> None:
    assert pieces.quoted("She lived <here>, liv", {"live"}) == Markup("She <mark>lived</mark> &lt;here&gt;, liv")


# -- differences -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(texts, texts)
def test_a_difference_holds_both_texts(old: str, new: str) -> None:
    parts = diff.words(old, new)
    assert "".join(text for change, text in parts if change != "added") == old
    assert "".join(text for change, text in parts if change != "removed") == new
    assert all(text for _, text in parts)


def test_a_phrase_that_was_replaced_reads_as_a_phrase() -> None:
    assert diff.words("I live in Tanner Lane.", "I live in the harbour town.") == [
        ("same", "I live in "),
        ("removed", "Tanner Lane"),
        ("added", "the harbour town"),
        ("same", "."),
    ]
    long = "word " * (diff.MOST + 1)
    assert diff.words(long, long) == [("same", long)]


# -- the timeline ----------------------------------------------------------------------------------------------


def fact(value: str, start: datetime, end: datetime | None = None, **fields: Any) -> Record:
    told = {"subject": "Ana", "relation": "lives_in", "value": value, "functional": True, "ended": False} | fields
    return Record(value, Kind.FACT, f"Ana: {value}", at=start, valid=Interval(start, end), fields=told)


def test_values_that_follow_each_other_share_a_row() -> None:
    start = NOW - timedelta(days=200)
    old = replace(fact("Porto", start, NOW - timedelta(days=100)), superseded_by="Lisbon", state=State.SUPERSEDED)
    new = fact("Lisbon", NOW - timedelta(days=100))
    wrong = fact("Never", start, start)
    (subject,) = lanes.subjects([new, wrong, old], start, NOW)
    assert (subject.name, subject.count) == ("Ana", 2)  # what was corrected never was
    (lane,) = subject.lanes
    assert [(bar.label, bar.row, bar.current, bar.moment) for bar in lane.bars] == [
        ("Porto", 0, False, False),
        ("Lisbon", 0, True, False),
    ]
    assert lanes.lane_of(old) == "lives in"
    moment = fact("broke a cup", NOW, relation="did", functional=False)
    assert not lanes.lasts(moment)
    assert lanes.lasts(replace(moment, kind=Kind.PREFERENCE))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 200) | st.none(), st.text("ab ", min_size=1)), max_size=12)
)
def test_no_bar_covers_another(rows: list[tuple[int, int | None, str]]) -> None:
    start = NOW - timedelta(days=200)
    records = [
        replace(
            fact(text or "x", start + timedelta(days=at), None if days is None else start + timedelta(days=at + days)),
            id=str(place),
            kind=Kind.PREFERENCE if days is None else Kind.FACT,
        )
        for place, (at, days, text) in enumerate(rows)
    ]
    for subject in lanes.subjects(records, start, NOW):
        for lane in subject.lanes:
            bars = [(b.row, b.start, min(b.end or NOW, NOW)) for b in lane.bars if not b.moment]
            for place, (row, begun, _) in enumerate(bars):
                for other, _, ended in bars[:place]:
                    assert row != other or ended <= begun + timedelta(hours=8)  # within a pixel


@settings(deadline=None)
@given(st.integers(1, 400_000), st.integers(0, 40_000))
def test_the_axis_is_marked_evenly_at_every_zoom(hours: int, back: int) -> None:
    end = NOW - timedelta(days=back)
    start = end - timedelta(hours=hours)
    marks = lanes.ticks(start, end)
    assert [tick.at for tick in marks] == sorted({tick.at for tick in marks})
    for zoom in lanes.ZOOMS:
        seen = [lanes.place(tick.at, start, end) for tick in marks if tick.zoom <= zoom]
        apart = [lanes.WIDE * zoom * (b - a) / 100 for a, b in pairwise(seen)]
        assert all(gap > 0.5 * lanes.TICK for gap in apart), (zoom, apart)
        if zoom == 1 and hours > 24 * 3:
            assert len(seen) >= 1


def test_the_histogram_counts_everything_inside() -> None:
    start = NOW - timedelta(days=10)
    counts = lanes.histogram([start, NOW, NOW - timedelta(days=5), NOW + timedelta(days=1)], start, NOW, 10)
    assert sum(counts) == 3
    assert counts[0] == counts[-1] == 1


# -- the graph -------------------------------------------------------------------------------------------------

ends = st.integers(0, 19)


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(1, 20), st.lists(st.tuples(ends, ends), max_size=30)))
def test_no_node_covers_another_and_equal_graphs_look_equal(graph: tuple[int, list[tuple[int, int]]]) -> None:
    size, pairs = graph
    boxes = {str(n): (60.0 + 20 * (n % 6), 34.0) for n in range(size)}
    edges = [(str(a), str(b)) for a, b in pairs]
    places = layout.settle(boxes, edges)
    assert places == layout.settle(boxes, edges)
    assert overlaps(boxes, places) == []


def test_what_is_placed_stays_when_a_graph_grows() -> None:
    boxes = {str(n): (120.0, 34.0) for n in range(8)}
    first = layout.settle({name: boxes[name] for name in "0123"}, [("0", "1"), ("1", "2"), ("2", "3")])
    grown = layout.settle(boxes, [("0", str(n)) for n in range(1, 8)], first)
    assert {name: grown[name] for name in first} == first
    assert overlaps(boxes, grown) == []
    assert layout.settle({}, []) == {}


def overlaps(boxes: dict[str, tuple[float, float]], places: dict[str, tuple[float, float]]) -> list[tuple[str, str]]:
    names = list(boxes)
    return [
        (a, b)
        for i, a in enumerate(names)
        for b in names[:i]
        if abs(places[a][0] - places[b][0]) < (boxes[a][0] + boxes[b][0]) / 2 - 1
        and abs(places[a][1] - places[b][1]) < (boxes[a][1] + boxes[b][1]) / 2 - 1
    ]


# -- colours and words -----------------------------------------------------------------------------------------


def test_contrast_is_that_of_the_standard() -> None:
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert theme.contrast("#ffffff", "#777777") == theme.contrast("#777777", "#ffffff")


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_every_colour_can_be_read_on_its_ground(colours: dict[str, str]) -> None:
    weak = [
        (a, b, theme.contrast(colours[a], colours[b]))
        for a, b, least in theme.PAIRS
        if theme.contrast(colours[a], colours[b]) < least
    ]
    assert weak == []


def test_styles_use_only_colours_that_there_are() -> None:
    assert theme.LIGHT.keys() == theme.DARK.keys()
    folder = Path(str(files("mnemic.serve.pages") / "static"))
    css = "".join(path.read_text("utf-8") for path in sorted(folder.glob("*.css")))
    used = set(re.findall(r"var\(--([\w-]+)", css))
    own = set(re.findall(r"--([\w-]+):", css)) | {"row", "rows"}
    assert used <= own | theme.LIGHT.keys()
    assert not re.findall(r"url\((?!#)|@import|https?://", css)
    assert not re.findall(r"(?<![\w-])#[0-9a-f]{3,8}\b", css)  # colours have names


def test_every_part_of_the_ranking_has_a_name() -> None:
    known = {
        key
        for weights in json.loads(files("mnemic.text.steps").joinpath("rank.json").read_text("utf-8"))["score"].values()
        for key in weights
    }
    named = {leg.key: leg.name for leg in legs.legs(dict.fromkeys(known | {"fact"}, 1.0))}
    assert all(name != key.replace("_", " ") or key == "names" for key, name in named.items()), named
    assert legs.totals({"bm": 1.0, "bmw": 2.0, "isq": -1.0, "odd_one": 0.5}) == {"words": 3.0, "form": 0.5}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (words.stamp(datetime(2025, 7, 3, 10, 5)), "3 Jul 2025, 10:05"),
        (words.stamp(datetime(2025, 7, 3)), "3 Jul 2025"),
        (words.stamp(None), "undated"),
        (words.weekday(datetime(812, 7, 3)), "Tue 3 Jul 0812"),
        (words.span(Interval(NOW, None)), "since 15 Sep 2025"),
        (words.span(Interval(NOW, NOW)), "never: it was corrected"),
        (words.span(Interval()), "always"),
        (words.size(999), "999 bytes"),
        (words.size(442_368), "442 kB"),
        (words.size(2 << 30), "2.1 GB"),
        (words.count(1, "memory", "memories"), "1 memory"),
        (words.count(1204, "turn"), "1,204 turns"),
        (words.short("one two three", 8), "one two…"),
        (words.short("a" * 500, 8), "aaaaaaaa…"),
        (safe_name("../../etc/pass\x00wd"), "passwd"),
        (safe_name(".."), "upload"),
        (safe_name("C:\\chats\\é.txt"), "é.txt"),
        (inside("/search?q=1"), "/search?q=1"),
        (inside("//evil.example"), "/"),
        (inside("https://evil.example"), "/"),
    ],
)
def test_words(said: str, told: str) -> None:
    assert said == told


# -- what a chat keeps -----------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Any:
    with mnemic.open(":memory:", encoders="lexical", clock=lambda: NOW) as opened:
        opened.ingest(demo.turns())
        opened.reflect()
        yield opened


def exchanged(memory: mnemic.Memory, said: str) -> exchange.Exchange:
    recall, now = exchange.find(memory, said)
    told = exchange.answer(memory, said, recall, now) if exchange.is_question(said) else None
    return exchange.Exchange(said, recall, told)


def test_the_answer_is_that_of_ask(memory: mnemic.Memory) -> None:
    said = "What is the name of Nora's cat?"
    assert exchanged(memory, said).answer == memory.ask(said, k=exchange.RECALLED, budget=exchange.BUDGET)


def test_a_question_that_was_kept_changes_no_later_answer(memory: mnemic.Memory) -> None:
    for said in ("What is the name of Nora's cat?", "Where does Nora live now?"):
        before = exchanged(memory, said)
        exchange.keep(memory, "chat-1", before, LOCAL)
        after = exchanged(memory, said)
        assert [(hit.id, hit.score) for hit in after.recall] == [(hit.id, hit.score) for hit in before.recall]
        assert after.recall.confidence == before.recall.confidence
    (first, second) = exchange.again(memory, "chat-1")
    assert first.said == "What is the name of Nora's cat?"
    assert second.answer is not None
    assert [hit.id for hit in second.recall] == [hit.id for hit in after.recall]
    assert exchange.chats(memory)[0].title == first.said


def test_what_is_told_is_found_again_under_the_name_that_the_memory_knows(memory: mnemic.Memory) -> None:
    nora = Principal("x", "nora", {})
    exchange.keep(memory, "chat-1", exchanged(memory, "I bought a red bicycle."), nora)
    exchange.keep(memory, "chat-1", exchanged(memory, "My bell is golden. Where does Felix live?"), LOCAL)
    exchange.keep(memory, "chat-1", exchanged(memory, "Where does Felix live?"), LOCAL)
    found = {turn.text: turn for turn in memory.scan(Filter(sessions=["chat-1"]))[0]}
    assert set(found) == {"I bought a red bicycle.", "My bell is golden. Where does Felix live?"}
    assert found["I bought a red bicycle."].speaker == "Nora"
    assert found["My bell is golden. Where does Felix live?"].speaker == "User"


@pytest.mark.parametrize(
    "recalled", ["x", [["d01-01", "1"]], [["d01-01", 10**400]], [[{}, 1]], [1], None, [["gone", 1.0]]]
)
def test_a_reply_that_somebody_else_wrote_does_no_harm(memory: mnemic.Memory, recalled: Any) -> None:
    meta = {"recalled": recalled, "confidence": "much", "citations": ["1", None], "by": 7}
    memory.remember(
        [mnemic.Turn("Hello?", "Ana", role="user"), mnemic.Turn("Hello [1].", "Bot", role="assistant", meta=meta)],
        session="chat-2",
    )
    (found,) = exchange.again(memory, "chat-2")
    assert found.recall.hits == ()
    assert found.answer is not None
    assert found.answer.confidence == 0.0


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Where does Nora live now", True),
        ("Nora lives where?", True),
        ("tell me about the lake", True),
        ("I live in Porto.", False),
        ("However, it rained.", False),
        ("你住在哪里？", True),
    ],
)
def test_questions_are_told_from_statements(text: str, asks: bool) -> None:
    assert exchange.is_question(text) == asks


def test_examples_can_be_answered(memory: mnemic.Memory) -> None:
    asked = exchange.examples(memory)
    assert asked[0] == "Where does Nora live now?"
    assert asked[-1] == "What did we talk about in September 2025?"
    assert all(exchange.is_question(each) for each in asked)
    assert all(memory.ask(each).found for each in (asked[0], asked[-1]))


def test_an_application_that_is_started_again_has_no_route_twice(tmp_path: Path) -> None:
    for n in range(2):
        app = build(Config(tmp_path / str(n), encoders="lexical"))
        with TestClient(app):  # some routes are made when it starts
            mounted: Any = app.router.routes[-1]
            pages = mounted.app
            while not hasattr(pages, "routes"):
                pages = pages.app
            paths = [route.path for route in pages.routes if not isinstance(route, Mount)]
            assert "/favicon.ico" in paths
            assert sorted(set(paths)) == sorted(paths)
