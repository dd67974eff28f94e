"""Search: the hits with every part of their score, the confidence, and what ran and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from nicegui import ui

from mnemic.errors import InputError
from mnemic.serve.pages import kit, pieces, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.legs import totals
from mnemic.serve.pages.markup import Markup, join, tag
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.encode.lexical import tokens
from mnemic.text.memory import Memory
from mnemic.text.plan import Filter, Hit, Recall, SearchPlan
from mnemic.text.record import Kind, to_datetime

SHOWN = (10, 25, 50)
"""How many hits may be asked for."""


@dataclass
class Asked:
    """A search as the address of the page holds it: text, as it was typed."""

    q: str = ""
    speaker: str = ""
    session: str = ""
    kind: str = ""
    since: str = ""
    until: str = ""
    valid_at: str = ""
    as_of: str = ""
    k: str = "10"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        return cls(**{name: query[name] for name in NAMES if name in query})

    @property
    def filters(self) -> dict[str, str]:
        """The filters that are set."""
        return {name: getattr(self, name) for name in NAMES if name not in ("q", "k") and getattr(self, name)}

    def run(self, memory: Memory) -> Recall:
        """Raises InputError for a time that cannot be read and a number that is none."""
        if not self.k.isdecimal() or not 1 <= int(self.k) <= SHOWN[-1]:
            raise InputError(f"the number of hits is {self.k!r}: choose one of {', '.join(map(str, SHOWN))}")
        chosen = Filter(
            kinds=[Kind.parse(name) for name in self.kind.split(",") if name],
            speakers=[self.speaker] if self.speaker else [],
            sessions=[self.session] if self.session else [],
            since=to_datetime(self.since or None),
            until=to_datetime(self.until or None),
        )
        return memory.recall(
            self.q, k=int(self.k), valid_at=self.valid_at or None, as_of=self.as_of or None, filter=chosen
        )


NAMES = tuple(each.name for each in fields(Asked))


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    asked = Asked.of(query)
    speakers, kinds = await visit.use(Scope.READ, _choices)
    with kit.box("page"):
        kit.head("Search")
        with kit.box("search-bar", data_search="1"):
            kit.show(icon("search", 22), classes="search-icon")
            line = kit.field(
                "Search the memory",
                value=asked.q,
                hidden_label=True,
                placeholder="Ask anything that may have been said …",
            )
            line.props["type"] = "search"
            line.props["autofocus"] = True
        with kit.box("filters-toggle"):
            opener = kit.show(name="button", classes="chip outline", type="button")
            cleaner = kit.show("Clear", name="button", classes="chip outline", type="button")
        with kit.box("filters") as drawer:
            chosen = {
                "speaker": kit.choice(
                    "Speaker",
                    {"": "Anybody"} | {name: name for name in speakers},
                    asked.speaker if asked.speaker in speakers else "",
                ),
                "kind": kit.choice(
                    "Kind",
                    {"": "Turns and the fact that answers"} | {kind: kind.capitalize() for kind in kinds},
                    asked.kind if asked.kind in kinds else "",
                ),
                "session": kit.field("Conversation", value=asked.session, placeholder="Any"),
                "since": kit.field("Said since", value=asked.since, kind="date"),
                "until": kit.field("Said before", value=asked.until, kind="date"),
                "valid_at": kit.field("True on", value=asked.valid_at, kind="date"),
                "as_of": kit.field("As known on", value=asked.as_of, kind="date"),
                "k": kit.choice(
                    "Hits", {str(n): str(n) for n in SHOWN}, asked.k if asked.k in map(str, SHOWN) else "10"
                ),
            }
        drawer.set_visibility(bool(asked.filters))
        with kit.box("columns results"):
            found = kit.show(classes="stack", aria_live="polite")
            side = kit.show(classes="stack beside")

    def toggle() -> None:
        drawer.set_visibility(not drawer.visible)
        told()

    def told() -> None:
        count = len(asked.filters)
        kit.fill(opener, icon("filter", 16), "Filters", tag("b", str(count), class_="count") if count else None)
        opener.props["aria-expanded"] = "true" if drawer.visible else "false"
        cleaner.set_visibility(count > 0)

    async def search() -> None:
        nonlocal asked
        before = asked.q
        asked = Asked(q=(line.value or "").strip(), **{name: str(made.value or "") for name, made in chosen.items()})
        told()
        address = visit.url("/search", **{"q": asked.q, **asked.filters, "k": asked.k if asked.k != "10" else ""})
        if asked.q != before:  # every question can be gone back to
            ui.navigate.history.push(address)
        else:
            ui.navigate.history.replace(address)
        if not asked.q:
            kit.fill(found, _hints())
            kit.fill(side, "")
            return
        recall = await visit.use(Scope.READ, asked.run)
        kit.fill(found, results(recall, visit))
        kit.fill(side, beside(recall))

    def clear() -> None:
        for name, made in chosen.items():
            made.set_value("10" if name == "k" else "")

    again = visit.doing(search)
    opener.on("click", toggle, args=[])
    cleaner.on("click", clear, args=[])
    line.on("keydown.enter", again, args=[])
    for made in chosen.values():
        made.on_value_change(again)
    await again()


def _choices(memory: Memory) -> tuple[list[str], list[str]]:
    """The speakers and the kinds there are."""
    speakers = memory.space.search(SearchPlan()).speakers
    return sorted(filter(None, speakers), key=str.casefold)[:500], sorted(memory.stats()["kinds"])


def results(recall: Recall, visit: Visit) -> Markup:
    """The hits, best first."""
    if not recall.hits:
        return tag(
            "div",
            tag("div", icon("search", 28), class_="art"),
            tag("h2", "Nothing relevant is stored"),
            tag("p", "No memory matches these words and filters. Fewer filters, or other words, may find more."),
            class_="empty",
        )
    terms = set(tokens(recall.query))
    most = max(sum(totals(hit.legs).values()) for hit in recall.hits)
    return tag("ol", [hit_card(hit, visit, terms, most) for hit in recall.hits], class_="hits")


def hit_card(hit: Hit, visit: Visit, terms: set[str], most: float) -> Markup:
    """A hit with its score: the parts in a bar, each by name on demand."""
    record = hit.record
    if set(hit.legs) - {"fact"}:
        bar = tag(
            "summary",
            pieces.stack(hit.legs, most),
            tag("span", f"{hit.score:.2f}", class_="num", title="Score"),
            icon("down", 16),
            title="Parts of the score",
        )
        score = tag("details", bar, pieces.parts(hit.legs), class_="why")
    else:
        told = (
            "Answers the question itself, so it stands before the turn it was read from."
            if hit.legs
            else "What the fact above was read from."
        )
        score = tag("p", told, class_="small muted")
    return tag(
        "li",
        tag("div", str(hit.n), class_="n"),
        tag(
            "div",
            tag("a", pieces.text(record, terms), href=pieces.source(visit.url, hit.sources, hit.id), class_="hit-text"),
            tag("div", pieces.meta(record, visit.url), pieces.state(record), class_="apart"),
            score,
        ),
        class_="card hit",
    )


def beside(recall: Recall) -> Markup:
    """What can be said about the search as a whole."""
    trace = recall.trace
    groups = {group for hit in recall.hits if set(hit.legs) - {"fact"} for group in totals(hit.legs)}
    about: list[tuple[str, str]] = (
        [("Looked at", words.count(int(trace["candidates"]), "candidate"))] if "candidates" in trace else []
    )
    if "exact" in trace:
        about.append(("Scoring", "every memory" if trace["exact"] else "the best of each leg"))
    about += [("System", str(trace.get("system", "unknown")))]
    if "weights" in trace:
        about.append(("Weights", str(trace["weights"])))
    for start, end in trace.get("range", ()):
        about.append(("Time understood", f"{words.day(to_datetime(start))} to {words.day(to_datetime(end))}"))
        about.append(("Used as", "a filter" if trace.get("range_filters") else "a preference"))
    return join(
        [
            tag("section", tag("h2", "Confidence"), pieces.gauge(recall.confidence), class_="card center"),
            tag("section", tag("h2", "Score"), pieces.legend(groups), class_="card") if groups else None,
            tag(
                "section",
                tag(
                    "div",
                    tag("h2", "Trace"),
                    tag("b", f"{trace['ms']:.1f} ms", class_="num") if "ms" in trace else None,
                    class_="card-head",
                ),
                pieces.laps(trace) if trace.get("laps") else None,
                tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in about], class_="facts small"),
                class_="card",
            ),
        ]
    )


def _hints() -> Markup:
    return tag(
        "div",
        tag("div", icon("search", 28), class_="art"),
        tag("h2", "What do you want to know?"),
        tag("p", "Questions work best: they may name people and times. Each hit shows why it is there."),
        class_="empty",
    )
