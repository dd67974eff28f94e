"""Memories as markup: what every page shows of a record or a hit, in the same words and at the same place.

Everything here takes text through :func:`mnemic.text.steps.render.shown` or ``visible`` first, so that secrets are
masked and no mark reorders or hides what follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from mnemic.serve.pages import words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.legs import GROUPS, legs, totals
from mnemic.serve.pages.markup import Child, Markup, join, tag
from mnemic.text.encode.lexical import tokens
from mnemic.text.plan import Hit
from mnemic.text.record import Kind, Record, State
from mnemic.text.steps import render
from mnemic.text.steps.secrets import masked

Url = Callable[..., str]
_KINDS = frozenset(["turn", "fact", "preference", "event", "summary", "note"])
_SECRET = re.compile(r"\[secret:([\w ./-]{1,40})\]")
_WORD = re.compile(r"\w+")
STATES = {
    State.SUPERSEDED: ("warn", "no longer current"),
    State.ARCHIVED: ("", "archived"),
    State.FORGOTTEN: ("bad", "forgotten"),
}


def kind(of: Kind) -> Markup:
    name = str(of)
    return tag("span", name.capitalize(), class_=f"kind k-{name if name in _KINDS else 'other'}")


def state(record: Record) -> Markup | None:
    """A chip for what is not active."""
    if record.state not in STATES:
        return None
    look, told = STATES[record.state]
    return tag("span", told, class_=f"chip {look}".strip())


def text(record: Record, terms: Collection[str] = ()) -> Markup:
    """What was said, secrets as labels, the words of the question marked; a shared picture below it."""
    body, caption = masked(record.text, record.caption, record.secrets)
    shared = tag("span", "shares an image: ", quoted(caption, terms), class_="shared") if caption else None
    return tag("div", quoted(body, terms), shared, class_="said")


def quoted(body: str, terms: Collection[str] = ()) -> Markup:
    """Text as it may be shown, with secrets as labels and the words whose stems are among ``terms`` marked."""
    parts: list[Child] = []
    body = render.visible(body)
    at = 0
    for secret in _SECRET.finditer(body):
        parts += [
            _marked(body[at : secret.start()], terms),
            tag("span", secret[1], class_="secret", title="A secret, masked"),
        ]
        at = secret.end()
    return join([*parts, _marked(body[at:], terms)])


def _marked(body: str, terms: Collection[str]) -> Markup:
    if not terms:
        return join([body])
    parts: list[Child] = []
    at = 0
    for word in _WORD.finditer(body):
        if any(stem in terms for stem in tokens(word.group())):
            parts += [body[at : word.start()], tag("mark", word.group())]
            at = word.end()
    return join([*parts, body[at:]])


def source(url: Url, sources: Sequence[str], id: str) -> str:
    """The address of the turn that something rests on, in its conversation."""
    return url("/session", turn=sources[0] if sources else id)


def meta(record: Record, url: Url, *, link: bool = True, named: bool = True) -> Markup:
    """Who said it, when, and where; times in the zone they were said in."""
    when = tag("time", words.stamp(record.at), datetime=record.at.isoformat() if record.at else None)
    place = record.session
    return tag(
        "div",
        kind(record.kind) if named else None,
        tag("b", render.name(record.speaker)) if record.speaker else None,
        when,
        tag("a", f"in {render.name(place)}", href=url("/session", turn=record.id)) if place else None,
        tag("a", "open", href=url("/memory", id=record.id)) if link else None,
        class_="meta",
    )


def stack(parts: Mapping[str, float], most: float) -> Markup:
    """A score's parts as one bar of coloured stretches; ``most`` is what fills it."""
    sums = totals(parts)
    whole = max(most, sum(sums.values()), 1e-9)
    return tag(
        "div",
        [
            tag(
                "i",
                class_=f"part g-{group}",
                style=f"width:{100 * value / whole:.2f}%",
                title=f"{GROUPS[group]} {value:.2f}",
            )
            for group, value in sums.items()
        ],
        class_="parts",
        role="img",
        aria_label="Parts of the score: " + ", ".join(f"{GROUPS[g].lower()} {v:.1f}" for g, v in sums.items()),
    )


def parts(of: Mapping[str, float]) -> Markup:
    """Every part of a score, named, with its bar; what counts against goes to the other side."""
    found = legs(of)
    most = max((abs(leg.value) for leg in found), default=1.0) or 1.0
    rows = [
        tag(
            "li",
            tag("span", leg.name, class_="leg-name"),
            tag(
                "span",
                tag(
                    "i",
                    class_=f"part g-{leg.group}{' against' if leg.value < 0 else ''}",
                    style=f"width:{100 * abs(leg.value) / most:.1f}%",
                ),
                class_="leg-bar",
            ),
            tag("span", f"{leg.value:+.2f}", class_="num"),
        )
        for leg in found
    ]
    return tag("ul", rows, class_="legs")


def legend(groups: Collection[str]) -> Markup:
    """What the colours of the bars mean."""
    return tag(
        "ul",
        [tag("li", tag("i", class_=f"dot g-{group}"), GROUPS[group]) for group in GROUPS if group in groups],
        class_="legend",
        aria_label="Colours of the bars",
    )


def gauge(confidence: float) -> Markup:
    """How likely the hits hold an answer, as a half ring."""
    share = min(max(confidence, 0.0), 1.0)
    look, told = rated(share)
    arc = "M14 72a58 58 0 0 1 116 0"
    return tag(
        "figure",
        tag(
            "svg",
            tag("path", d=arc, class_="gauge-ground", pathLength=100),
            tag("path", d=arc, class_=f"gauge-value {look}", pathLength=100, stroke_dasharray=f"{100 * share:.1f} 200")
            if share > 0.005
            else None,
            tag("text", f"{round(100 * share)}%", x=72, y=66, class_="gauge-number"),
            viewBox="0 0 144 84",
            width=144,
            height=84,
            aria_hidden="true",
        ),
        tag("figcaption", tag("b", told), tag("span", f"Confidence {share:.2f}", class_="sr")),
        class_="gauge",
    )


def rated(confidence: float) -> tuple[str, str]:
    """The look and the words for a confidence."""
    if confidence >= 0.7:
        return "good", "Very likely answered"
    if confidence >= 0.4:
        return "warn", "Perhaps answered"
    return "bad", "Probably not stored"


def laps(trace: Mapping[str, Any]) -> Markup:
    """The stages of a recall and how long each took, as bars one after the other."""
    stages: Mapping[str, float] = trace.get("laps", {})
    whole = max(sum(stages.values()), 1e-9)
    begun = 0.0
    rows = []
    for name, took in stages.items():
        rows.append(
            tag(
                "li",
                tag("span", name),
                tag(
                    "span",
                    tag("i", style=f"left:{100 * begun / whole:.2f}%;width:{max(100 * took / whole, 1):.2f}%"),
                    class_="lap-bar",
                ),
                tag("span", f"{took:.1f} ms", class_="num"),
            )
        )
        begun += took
    return tag("ol", rows, class_="laps")


def hit_line(hit: Hit, url: Url, most: float, *, cited: bool) -> Markup:
    """A hit in few words, beside an answer: leads to the turn it rests on."""
    return tag(
        "a",
        tag("span", str(hit.n), class_="n"),
        tag(
            "span",
            tag("span", words.short(render.visible(hit.text), 150), class_="quote"),
            tag("span", _by(hit.kind, hit.speaker, hit.at), class_="by"),
            tag("span", tag("i", style=f"width:{_share(hit.score, most):.1f}%"), class_="thin"),
        ),
        tag("span", f"{hit.score:.1f}", class_="num score", title="Score"),
        href=source(url, hit.sources, hit.id),
        class_=f"recalled{' cited' if cited else ''}",
        data_cite=str(hit.n),
    )


def _by(kind: Kind, speaker: str | None, at: datetime | None) -> str:
    said = " · ".join(filter(None, (render.name(speaker) if speaker else None, words.day(at))))
    return said if kind == Kind.TURN else f"{str(kind).capitalize()} · {said}"


def _share(value: float, most: float) -> float:
    return 100 * min(max(value / most if most > 0 else 0.0, 0.0), 1.0)


def go(label: str, href: str) -> Markup:
    """A quiet link onwards."""
    return tag("a", label, icon("right", 15), href=href, class_="go")
