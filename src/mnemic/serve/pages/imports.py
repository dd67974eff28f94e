"""Importing files of other programs, and taking everything out again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from nicegui import ui
from nicegui.events import UploadEventArguments
from starlette.concurrency import run_in_threadpool

from mnemic import demo
from mnemic.errors import InputError, MnemicError
from mnemic.serve.jobs import EXPORT, JobKind
from mnemic.serve.pages import kit, words
from mnemic.serve.pages.icons import icon
from mnemic.serve.pages.markup import tag
from mnemic.serve.pages.progress import Progress
from mnemic.serve.pages.visit import Visit
from mnemic.serve.tokens import Scope
from mnemic.text import importers
from mnemic.text.importers import FORMATS
from mnemic.text.record import Turn
from mnemic.text.steps import render, secrets
from mnemic.text.store.transfer import read_export

SAMPLE = 3
"""Turns of a file that are shown before it is imported."""
LOOK = 1 << 16
_READS = "Reads ChatGPT, Claude, WhatsApp, Telegram, Discord, IRC, mail, Markdown, JSON lines and exports of Mnemic"
# The button is what a keyboard reaches; the browser's own field of files lies over everything for the mouse.
_DROP = """
<div class="drop-in">
  <span class="drop-cover" aria-hidden="true"><q-uploader-add-trigger /></span>
  <div class="art">__ICON__</div>
  <template v-if="props.isUploading">
    <b>Uploading {{ props.uploadProgressLabel }}</b><span>{{ props.uploadSizeLabel }}</span>
  </template>
  <template v-else>
    <b>Drop files here</b>
    <span>or <button type="button" class="as-link" @click="props.pickFiles">choose them</button></span>
  </template>
</div>
"""


@dataclass
class Arrived:
    """A file that was uploaded and waits to be imported."""

    path: Path
    held: TemporaryDirectory[str]
    size: int
    format: str | None = None
    turns: int | None = None
    sample: tuple[Turn, ...] = ()
    wrong: str = ""

    def look(self, format: str | None = None) -> None:
        """Say what it is, about how much, and what the first turns are."""
        self.wrong, self.turns, self.sample = "", None, ()
        try:
            self.format = format or (EXPORT if _is_export(self.path) else importers.detect(self.path))
            if self.format != EXPORT:
                self.turns = importers.count(self.path, self.format)
                self.sample = tuple(islice(importers.read(self.path, self.format), SAMPLE))
        except MnemicError as error:
            self.wrong = str(error).replace(f"{self.path.parent}/", "")


def _is_export(path: Path) -> bool:
    """Whether the file begins as an export does."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            next(read_export(iter([file.readline(LOOK)]), path.name))
    except (UnicodeDecodeError, InputError):
        return False
    return True


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    writes, reads = visit.may(Scope.WRITE), visit.may(Scope.READ)
    with kit.box("page narrow"):
        kit.head(
            "Import and export",
            "Bring conversations in from where they are, and take everything out whenever you like.",
        )
        if writes:
            _importing(visit)
        if reads:
            await _exporting(visit)


async def welcome(visit: Visit, query: Mapping[str, str]) -> None:
    """What is shown of a space that is not there yet."""
    with kit.box("page narrow"):
        kit.head(
            "Nothing is remembered yet",
            f"The space {visit.space!r} begins with the first thing said in it. Import what you have, or look around.",
        )

        with kit.box("card demo"):
            kit.show(
                tag("h2", "A conversation to try things on"),
                tag(
                    "p",
                    f"Two friends, eight months, {len(demo.turns())} messages: flats, jobs, a cat, a trip to a lake.",
                    class_="muted",
                ),
            )

            async def load() -> None:
                await _demo(visit)
                progress.look()

            kit.button("Load the demo", visit.doing(load), kind="primary", symbol="spark")
        progress = _importing(visit)
        kit.show(
            tag(
                "p",
                "Loaded? ",
                tag("a", "Talk to it", href=visit.url("/chat")),
                " or ",
                tag("a", "search it", href=visit.url("/search")),
                ".",
            ),
            classes="muted",
        )


async def _demo(visit: Visit) -> None:
    """Import the conversation that comes with the package."""
    who, service, space = visit.who(), visit.service, visit.space
    who.need(space, Scope.WRITE)

    def start() -> None:
        with service.jobs.scratch() as folder, as_file(files("mnemic.demo").joinpath("conversation.jsonl")) as source:
            copy = Path(folder) / "conversation.jsonl"
            shutil.copyfile(source, copy)
            service.jobs.start_import(space, copy, "jsonl", by=who)

    await run_in_threadpool(start)


def _importing(visit: Visit) -> Progress:
    """The place for files, those that arrived, and their jobs."""
    limit = visit.service.config.limits.upload
    with kit.box("card importing", "section"):
        place = (
            ui.upload(
                multiple=True,
                auto_upload=True,
                max_file_size=limit,
                on_rejected=lambda: visit.tell(f"A file may have at most {words.size(limit)}."),
            )
            .classes("drop")
            .props("flat hide-upload-btn no-thumbnails")
        )
        place.add_slot("header", _DROP.replace("__ICON__", str(icon("import", 28))))
        place.add_slot("list", "<span></span>")
        kit.show(
            f"{_READS}, up to {words.size(limit)}. The format is found by looking into the file.",
            classes="small muted center",
        )
        waiting = ui.element("div").classes("arrived")
        progress = Progress(visit, [JobKind.IMPORT])

    async def take(event: UploadEventArguments) -> None:
        who = visit.who()
        who.need(visit.space, Scope.WRITE)
        held = await run_in_threadpool(visit.service.jobs.scratch)
        path = Path(held.name) / safe_name(event.file.name)
        await event.file.save(path)
        visit.client.on_delete(held.cleanup)  # whoever leaves leaves nothing behind
        found = Arrived(path, held, path.stat().st_size)
        await run_in_threadpool(found.look)
        place.run_method("removeUploadedFiles")
        with waiting:
            _waiting(found, visit, progress)

    place.on_upload(visit.doing(take))
    return progress


def safe_name(name: str) -> str:
    """A file's name as it can be kept: no folder, nothing that a disk or a terminal would take for something else."""
    plain = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable()).strip(". ")
    while len(plain.encode()) > 200:
        plain = plain[1:]
    return plain or "upload"


def _waiting(found: Arrived, visit: Visit, progress: Progress) -> None:
    """One file: what it seems to be, how it begins, and what to do with it."""
    formats = {name: each.description for name, each in FORMATS.items()} | {
        EXPORT: "Export of Mnemic, into an empty space"
    }
    with kit.box("arrival") as row:
        kit.show(
            tag("span", icon("file", 20), class_="list-icon"),
            tag(
                "span",
                tag("b", found.path.name, class_="name"),
                tag("span", words.size(found.size), class_="small muted"),
                class_="arrival-name",
            ),
            classes="flow",
        )
        sample = kit.show()

        def shown() -> None:
            begin = [
                tag(
                    "li",
                    tag("b", f"{render.name(turn.speaker)}: ") if turn.speaker else None,
                    words.short(_masked(turn), 140),
                )
                for turn in found.sample
            ]
            about = f"About {words.count(found.turns, 'turn')}, beginning with" if found.turns else "Begins with"
            kit.fill(
                sample,
                kit.notice(found.wrong, "bad") if found.wrong else None,
                tag("p", about, class_="small muted") if begin else None,
                tag("ul", begin, class_="sample") if begin else None,
                tag(
                    "p",
                    "Everything that was exported, restored into this space, which must be empty.",
                    class_="small muted",
                )
                if found.format == EXPORT
                else None,
            )
            kit.enable(start, not found.wrong and found.format is not None)

        with kit.box("flow arrival-do"):
            chosen = kit.choice("Format, as it was recognised", formats, found.format)

            async def begin() -> None:
                who = visit.who()
                await run_in_threadpool(
                    visit.service.jobs.start_import, visit.space, found.path, found.format or "auto", by=who
                )
                row.delete()
                progress.look()

            async def drop() -> None:
                await run_in_threadpool(found.held.cleanup)
                row.delete()

            start = kit.button("Import", visit.doing(begin), kind="primary", symbol="import")
            kit.button("Discard", visit.doing(drop), kind="plain")
    chosen.props["placeholder"] = "Choose a format"

    async def changed() -> None:
        await run_in_threadpool(found.look, chosen.value)
        shown()

    chosen.on_value_change(visit.doing(changed))
    shown()


def _masked(turn: Turn) -> str:
    """The turn's text without secrets: it is not stored yet, so nobody has looked for them."""
    return render.visible(secrets.masked(turn.text, None, secrets.find_in(turn.text, None))[0])


async def _exporting(visit: Visit) -> None:
    admin = visit.may(Scope.ADMIN)
    with kit.box("card", "section"):
        kit.show(
            tag("h2", "Export"),
            tag(
                "p",
                "Every turn, fact, version and link, one JSON object a line. It can be imported into an empty space "
                "again. Secrets are masked for good, unless you ask for them.",
                class_="muted",
            ),
            classes="stack tight",
        )
        with kit.box("flow export-do"):

            async def begin() -> None:
                who = visit.who()
                plain = bool(clear.value) if clear is not None else False
                await run_in_threadpool(visit.service.jobs.start_export, visit.space, secrets=plain, by=who)
                progress.look()

            kit.button("Export the space", visit.doing(begin), symbol="export")
            clear = kit.switch("with secrets in clear", False) if admin else None
        progress = Progress(visit, [JobKind.EXPORT])
