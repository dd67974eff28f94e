"""Policies by name, with settings as texts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mnemic import attention
from mnemic.attention.compose import Compose
from mnemic.attention.policies.block_retrieval import BlockRetrieval
from mnemic.attention.policies.lambda_window import LambdaWindow
from mnemic.attention.policies.resonance import Resonance
from mnemic.attention.policy import FullAttention
from mnemic.attention.registry import POLICIES, make
from mnemic.errors import InputError, NotFoundError


def test_every_policy_is_made_by_its_name_and_tells_its_paper() -> None:
    for name in POLICIES:
        made = make(name)
        assert name in made.name
        assert getattr(getattr(attention, POLICIES[name]), "paper", "")


def test_settings_are_read_by_their_types() -> None:
    assert make("infllm", {"window": "64", "tier": "disk"}) == BlockRetrieval(window=64, tier="disk")
    assert make("streaming", {"window": "9"}) == LambdaWindow(window=9, slots=True)
    assert make("lambda", {"ceiling": "none", "slots": "False"}) == LambdaWindow()
    both = make("lambda+resonance", {"window": "9", "strength": "0.25"})
    assert isinstance(both, Compose)
    assert (both.base, both.modifiers) == (LambdaWindow(window=9), [Resonance(strength=0.25)])
    alone = make("resonance")
    assert isinstance(alone, Compose)
    assert isinstance(alone.base, FullAttention)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("infllm", {"windows": "3"}, "no setting 'windows'"),
        ("infllm", {"window": "wide"}, "no value for window"),
        ("streaming", {"slots": "maybe"}, "no value for slots"),
        ("infllm+emllm", {}, "both decide"),
        ("resonance+resonance", {}, "given twice"),
        ("full", {"window": "3"}, "none"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, settings: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make(name, settings)


def test_an_unknown_policy_is_told_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="infllm"):
        make("infinite")


def test_importing_the_floor_pulls_no_torch() -> None:
    code = "import sys, mnemic.attention; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
