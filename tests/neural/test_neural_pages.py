"""The pages about memory layers say what the layers are: tables, the picture, and the layer that one of them adds.

``python tests/neural/test_neural_pages.py`` writes the tables anew.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

import promises
import pytest
import test_twelve
import torch
from promises import EXEMPT, NAIVE, SMALL, TESTS

from mnemic.neural.registry import LAYERS, Entry, make

DOCS = Path(__file__).parents[2] / "docs"
NEW = "gated-mean"


def table_of_layers() -> str:
    rows = ["| name | class | paper | what it remembers |", "|---|---|---|---|"]
    rows += [f"| `{n}` | `{e.home.split(':')[1]}` | {e.paper} | {e.about} |" for n, e in LAYERS.items()]
    return "\n".join(rows)


def table_of_tests() -> str:
    """A row for each layer, a letter where a test does not apply, and what the letters stand for."""
    reasons = dict.fromkeys(why for name in LAYERS for why in EXEMPT.get(name, {}).values())
    letters = {why: chr(ord("a") + number) for number, why in enumerate(reasons)}
    rows = [f"| layer | {' | '.join(TESTS)} |", "|---" * (len(TESTS) + 1) + "|"]
    for name in LAYERS:
        marks = [f"({letters[EXEMPT[name][test]]})" if test in EXEMPT.get(name, {}) else "✓" for test in TESTS]
        rows.append(f"| `{name}` | {' | '.join(marks)} |")
    return "\n".join([*rows, "", *(f"- ({letter}) {why}" for why, letter in letters.items())])


TABLES = {"neural.md": ("layers", table_of_layers), "neural-tests.md": ("tests", table_of_tests)}


def place(mark: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {mark} -->\n\n).*?(?=\n\n<!-- /{mark} -->)", re.DOTALL)


@pytest.mark.parametrize("page", TABLES)
def test_tables_are_those_of_the_code(page: str) -> None:
    mark, table = TABLES[page]
    found = place(mark).search((DOCS / page).read_text("utf-8"))
    assert found
    assert found[0] == table(), f"docs/{page} is stale: run python tests/neural/test_neural_pages.py"


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "docs/index.md"])
def test_pages_count_the_layers(page: str) -> None:
    assert f"{len(LAYERS)} named" in (DOCS.parent / page).read_text("utf-8")


def test_every_test_is_told() -> None:
    page = (DOCS / "neural-tests.md").read_text("utf-8")
    for test in TESTS:
        assert f"| `{test}` |" in page


def picture() -> Any:
    spec = importlib.util.spec_from_file_location("picture", DOCS / "images" / "neural.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_picture_is_what_its_script_draws() -> None:
    drawing = picture()
    committed = drawing.TARGET.read_text("utf-8")
    assert committed == drawing.drawn(), "docs/images/neural.svg is stale: run python docs/images/neural.py"
    for name in LAYERS:
        assert f">{name}</text>" in committed, name


@pytest.mark.parametrize("name", ["titans-lmm", "rxt", "memmamba", "longmem", "dot", "titans-mag"])
def test_bytes_in_the_picture_are_those_of_states(name: str) -> None:
    drawing = picture()
    layer = make(name, drawing.D)
    with torch.no_grad():
        _, state, _ = layer(torch.randn(1, drawing.SEEN, drawing.D), read=False)
    assert drawing.state_bytes(layer) == state.nbytes


def blocks() -> list[str]:
    page = (DOCS / "neural-layer.md").read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@pytest.fixture
def added() -> Any:
    """The page's layer in the registry and in the tables of promises, as the page says; then taken out again."""
    layer, definition, entry, told, *_ = blocks()
    module = types.ModuleType("mnemic.neural.layers.gated_mean")
    sys.modules[module.__name__] = module
    try:
        exec(layer, module.__dict__)
        exec(definition.split("\n\n\n")[0], module.__dict__)
        exec(entry, {"LAYERS": LAYERS, "Entry": Entry})
        exec(told, {**module.__dict__, "SMALL": SMALL, "NAIVE": NAIVE, "EXEMPT": EXEMPT})
        yield module.GatedMean
    finally:
        del sys.modules[module.__name__]
        for each in (LAYERS, SMALL, NAIVE, EXEMPT):
            each.pop(NEW, None)


EXEMPTED = {"test_surprise_depends_on_what_was_in_earlier_chunks", "test_writing_helps_before_any_training"}
ASKED = {
    test: check
    for test, check in vars(test_twelve).items()
    if test.startswith("test_") and "name" in inspect.signature(check).parameters and test not in EXEMPTED
}


@pytest.mark.parametrize("test", ASKED)
def test_the_layer_of_the_page_keeps_what_every_layer_must(test: str, added: Any, tmp_path: Path) -> None:
    marks = ASKED[test].pytestmark
    assert isinstance(promises.small(NEW), added)
    assert set(EXEMPT[NEW]) == {"surprise", "recall"}
    given = {"name": NEW} | ({"tmp_path": tmp_path} if "tmp_path" in inspect.signature(ASKED[test]).parameters else {})
    starts = next((mark.args[1] for mark in marks if mark.args[0] == "start"), [None])
    for start in starts:
        ASKED[test](**given, **({} if start is None else {"start": start}))


def test_the_layer_of_the_page_is_small() -> None:
    assert len([line for line in blocks()[0].split("class ")[1].splitlines() if line.strip()]) <= 40


if __name__ == "__main__":
    for page, (mark, table) in TABLES.items():
        text = (DOCS / page).read_text("utf-8")
        (DOCS / page).write_text(place(mark).sub(table().replace("\\", r"\\"), text), "utf-8")
