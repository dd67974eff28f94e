"""Names from where they live, and what is told of an extra that is missing."""

from __future__ import annotations

import pytest

from mnemic import lazy
from mnemic.errors import MissingExtraError


def test_a_name_comes_from_its_home_and_others_are_refused() -> None:
    found = lazy.names("mnemic.text", {"Hit": "plan"})
    assert found("Hit").__module__ == "mnemic.text.plan"
    with pytest.raises(AttributeError, match=r"module 'mnemic\.text' has no attribute 'Miss'"):
        found("Miss")


def test_only_what_the_extra_installs_is_told_as_missing() -> None:
    with (
        pytest.raises(MissingExtraError, match=r"this needs safetensors: .*pip install 'mnemic\[torch\]'"),
        lazy.torch_needed("this"),
    ):
        raise ModuleNotFoundError("no", name="safetensors")
    with pytest.raises(ModuleNotFoundError, match="no") as told, lazy.torch_needed("this"):
        raise ModuleNotFoundError("no", name="elsewhere")
    assert not isinstance(told.value, MissingExtraError)
