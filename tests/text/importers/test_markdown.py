import os
from datetime import UTC, datetime

import pytest

from mnemic.errors import InputError
from mnemic.text import importers
from mnemic.text.importers import Tally

NOTE = """---
title: "Kitchen plan"
date: 2024-02-03
tags: [home, "#build"]
aliases:
  - x
---
Before any heading.

# Kitchen
Intro.

## Sink ##
Steel, 60 cm.

```sh
# not a heading
```

Setext
------
- item
---
## Empty

# Garden
Beans.
"""


def test_sections_front_matter_and_fences(tmp_path):
    path = tmp_path / "plan.md"
    path.write_text(NOTE)
    assert importers.detect(path) == "markdown"
    turns = list(importers.read(path))
    assert [(t.meta["headings"], t.text) for t in turns] == [
        ([], "Before any heading."),
        (["Kitchen"], "Kitchen\n\nIntro."),
        (["Kitchen", "Sink"], "Sink\n\nSteel, 60 cm.\n\n```sh\n# not a heading\n```"),
        (["Kitchen", "Setext"], "Setext\n\n- item\n---"),
        (["Garden"], "Garden\n\nBeans."),
    ]
    assert {t.at for t in turns} == {datetime(2024, 2, 3, tzinfo=UTC)}
    assert turns[0].meta == {
        "source": "markdown:plan.md", "file": "plan.md", "tags": ["home", "build"], "title": "Kitchen plan",
        "headings": [],
    }  # fmt: skip
    assert len({t.id for t in turns}) == 5
    assert turns == list(importers.read(path))


def test_folder_order_hidden_links_and_file_time(tmp_path):
    notes = tmp_path / "notes"
    (notes / "sub").mkdir(parents=True)
    (notes / ".obsidian").mkdir()
    (notes / ".obsidian" / "x.md").write_text("hidden")
    (notes / "b.md").write_text("tags: none")
    (notes / "sub" / "a.markdown").write_text("deep")
    (notes / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.md").write_text("outside")
    (notes / "link.md").symlink_to(tmp_path / "secret.md")
    os.utime(notes / "b.md", (1_700_000_000, 1_700_000_000))
    tally = Tally()
    turns = list(importers.read(notes, tally=tally))
    assert [(t.session, t.text) for t in turns] == [("b.md", "tags: none"), ("sub/a.markdown", "deep")]
    assert turns[0].at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert dict(tally.skipped) == {"link out of the folder": 1}
    (notes / "b.md").touch()
    assert [t.id for t in importers.read(notes)] == [t.id for t in turns]
    (notes / "b.md").write_text("tags: none\n# New\nsection")
    assert [t.id for t in importers.read(notes)][::2] == [t.id for t in turns]


def test_long_sections_are_cut_at_paragraphs_under_their_heading(tmp_path):
    path = tmp_path / "long.md"
    path.write_text("# H\n\n" + "\n\n".join(f"paragraph {n} " + "x" * 700 for n in range(6)))
    turns = list(importers.read(path))
    assert [t.text.count("paragraph") for t in turns] == [2, 2, 2]
    assert all(t.text.startswith("H\n\nparagraph") for t in turns)


def test_open_front_matter_is_text_and_bad_files_are_named(tmp_path):
    (tmp_path / "a.md").write_text("---\ntags: x\n\ntext")
    assert next(importers.read(tmp_path / "a.md")).text == "---\ntags: x\n\ntext"
    (tmp_path / "b.md").write_bytes(b"ok\ncaf\xe9")
    with pytest.raises(InputError, match=r"b\.md, line 2: byte 4 .*UTF-8.*iconv"):
        list(importers.read(tmp_path / "b.md"))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no Markdown file"):
        list(importers.read(tmp_path / "none", "markdown"))
