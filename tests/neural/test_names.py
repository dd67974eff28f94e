"""What ``mnemic.neural`` offers by name, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mnemic import neural
from mnemic.errors import MissingExtraError
from mnemic.neural.registry import LAYERS


def test_importing_the_floor_pulls_no_torch() -> None:
    code = "import sys, mnemic.neural; print('torch' in sys.modules, 'safetensors' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_name_is_what_it_says() -> None:
    assert set(neural.__all__) == set(neural._HOMES)
    assert dir(neural) == sorted(neural.__all__)
    for name in neural.__all__:
        found = getattr(neural, name)
        assert getattr(found, "__name__", name) == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = neural.Nothing


def test_the_class_of_every_named_layer_is_there() -> None:
    assert {entry.home.split(":")[1] for entry in LAYERS.values()} <= set(neural.__all__)


def test_without_torch_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [each for each in sys.modules if each == "mnemic.neural.layer"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"mnemic\.neural needs torch: .*pip install 'mnemic\[torch\]'"):
        _ = neural.MemoryLayer
