"""How a space is doing: what it holds, what works on it, and whether its file is sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from mnemic.serve.pages import kit, words
from mnemic.serve.pages.markup import Markup, tag
from mnemic.serve.pages.progress import Progress
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text.memory import Memory

_KNOWN = ("turn", "fact", "preference", "event", "summary", "note")


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    stats = await visit.use(Scope.READ, lambda memory: memory.stats())
    with kit.box("page"):
        with kit.heading("Health", "What this space holds, and what works on it."):
            if visit.may(Scope.WRITE):

                async def reflect() -> None:
                    who = visit.who()
                    await run_in_threadpool(visit.service.jobs.start_reflect, visit.space, by=who)
                    progress.look()

                kit.button("Reflect", visit.doing(reflect), kind="primary", symbol="spark")
        numbers = kit.show(_numbers(stats), classes="numbers")
        with kit.box("columns even"):
            with kit.box("stack"):
                with kit.box("card", "section"):
                    kit.show("Jobs", name="h2")
                    progress = Progress(
                        visit, nothing="Nothing ran in the last day. Imports, exports and reflecting appear here."
                    )
                if waiting := [job for job in stats["jobs"] if job["error"]]:
                    kit.show(
                        [
                            kit.notice(
                                f"{job['kind']} failed {words.count(job['attempts'], 'time')}: {job['error']}", "bad"
                            )
                            for job in waiting
                        ],
                        classes="stack",
                    )
            with kit.box("stack"):
                kinds = kit.show(_kinds(stats["kinds"]), name="section", classes="card")
                kit.show(tag("h2", "Made with"), _made(stats, visit), name="section", classes="card")
                with kit.box("card stack tight", "section"):
                    kit.show(
                        tag("h2", "File"),
                        tag(
                            "p",
                            "Every table is held against the others, and every page of the file is read.",
                            class_="small muted",
                        ),
                    )
                    verdict = kit.show()

                    async def check() -> None:
                        wrong = await visit.use(Scope.READ, lambda memory: memory.space.check())
                        kit.fill(
                            verdict,
                            kit.notice(wrong, "bad") if wrong else kit.notice("The file is sound.", "good", "check"),
                        )

                    kit.button("Check the file", visit.doing(check), kind="small", symbol="health")

    ended: list[set[str]] = [_ended(visit)]

    async def refresh() -> None:
        """The numbers change when a job ends."""
        now = _ended(visit)
        if now != ended[0]:
            ended[0] = now
            fresh = await visit.use(Scope.READ, Memory.stats)
            kit.fill(numbers, _numbers(fresh))
            kit.fill(kinds, _kinds(fresh["kinds"]))

    progress.timer.callback = _both(progress, visit, refresh)


def _both(progress: Progress, visit: Visit, refresh: Any) -> Any:
    async def tick() -> None:
        progress.look()
        if progress.timer.active:
            await visit.doing(refresh)()

    return tick


def _ended(visit: Visit) -> set[str]:
    return {job.id for job in visit.service.jobs.of(visit.space) if job.finished}


def _numbers(stats: Mapping[str, Any]) -> Markup:
    shown = (
        ("turns", f"{stats['kinds'].get('turn', 0):,}"),
        ("conversations", f"{stats['sessions']:,}"),
        ("derived", f"{sum(count for kind, count in stats['kinds'].items() if kind != 'turn'):,}"),
        ("no longer current", f"{stats['superseded']:,}"),
        ("forgotten", f"{stats['forgotten']:,}"),
        ("links", f"{stats['links']:,}"),
        ("on disk", words.size(stats["bytes"])),
    )
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value, class_="num")) for name, value in shown])


def _kinds(kinds: Mapping[str, int]) -> Markup:
    most = max(kinds.values(), default=1)
    rows = [
        tag(
            "li",
            tag("span", kind.capitalize(), class_=f"kind k-{kind if kind in _KNOWN else 'other'}"),
            tag(
                "span",
                tag(
                    "i",
                    style=f"width:{max(100 * count / most, 1.5):.1f}%",
                    class_=f"k-{kind if kind in _KNOWN else 'other'}",
                ),
                class_="share",
            ),
            tag("span", f"{count:,}", class_="num"),
        )
        for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    ]
    return tag(
        "div",
        tag("h2", "Memories"),
        tag("ul", rows, class_="shares") if rows else tag("p", "None yet.", class_="small muted"),
    )


def _made(stats: Mapping[str, Any], visit: Visit) -> Markup:
    language = visit.service.config.language
    rows = [
        ("System", stats["system"]),
        *((f"Encoder, {leg}", name) for leg, name in stats["encoders"].items()),
        ("Language model", language.name if language is not None else "none: answers quote the memory"),
        ("Writes", f"{stats['seq']:,}"),
    ]
    pending = (
        kit.notice("An erasure waits for a reader to let go of the old state.", "warn")
        if stats["erasure_pending"]
        else None
    )
    return tag(
        "div",
        tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in rows], class_="facts"),
        pending,
        class_="stack",
    )
