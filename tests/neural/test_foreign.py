"""A state is read by the layer that made it and by no other one: what does not fit is refused with a sentence."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from promises import SMALL, D, small, tokens

from mnemic.errors import ConflictError, InputError
from mnemic.neural.layer import MemoryLayer
from mnemic.neural.registry import LAYERS, make
from mnemic.neural.state import MemState

SEEN = 7  # chunks of 2, 3 and 4 are open


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[MemoryLayer, MemState]]:
    with torch.no_grad():
        layers = {name: small(name) for name in LAYERS}
        return {name: (layer, layer(tokens(SEEN))[1]) for name, layer in layers.items()}


def test_no_layer_takes_the_state_of_another_one(made: dict[str, tuple[MemoryLayer, MemState]]) -> None:
    """Also where the chunk is the same."""
    for giver, taker in permutations(LAYERS, 2):
        state, layer = made[giver][1], made[taker][0]
        for each in (state, replace(state, chunk=layer.state_chunk)):
            with pytest.raises(ConflictError, match=r"this state (is of|was made)"):
                layer(tokens(2, seed=5), each)


def test_what_is_told_apart_by_tensors_alone(made: dict[str, tuple[MemoryLayer, MemState]]) -> None:
    """With the kind forged too, every state is refused or has all the shapes that the layer wants."""
    alike = set()
    for giver, taker in permutations(LAYERS, 2):
        state, (layer, own) = made[giver][1], made[taker]
        forged = replace(state, kind=layer.state_kind, chunk=layer.state_chunk)
        if {name: each.shape for name, each in state.tensors.items()} == {n: t.shape for n, t in own.tensors.items()}:
            alike.add(frozenset((giver, taker)))
            continue
        with pytest.raises(ConflictError, match="is of another"):
            layer(tokens(2, seed=5), forged)
    assert frozenset(("deltanet", "gated-deltanet")) in alike  # so that these need their variants


@pytest.mark.parametrize("name", LAYERS)
def test_the_state_of_a_wider_layer_is_refused(name: str, made: dict[str, tuple[MemoryLayer, MemState]]) -> None:
    wider = make(name, 2 * D, **SMALL[name]).double()
    with torch.no_grad():
        _, state, _ = wider(torch.randn(2, SEEN, 2 * D, dtype=torch.float64))
    with pytest.raises(ConflictError, match="is of another"):
        made[name][0](tokens(2), state)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("window", {"window": 4}),
        ("titans-lmm", {"hidden": 5}),
        ("titans-lmm", {"conv": 2}),
        ("omeganet", {"window": 2}),
        ("titans-mag", {"window": 4}),
        ("ssm", {"width": 3}),
        ("memmamba", {"pool": 2}),
        ("cmr", {"carrier": "ssm"}),
        ("hmt", {"recall": 2}),
        ("rmt", {"slots": 1}),
        ("rxt", {"slots": 2}),
        ("rxt", {"writer": "competitive"}),
        ("pmi-ltm", {"collapsed": True}),
        ("dot", {"delta": False}),
    ],
)
def test_a_state_of_other_settings_is_refused(
    name: str, settings: dict[str, object], made: dict[str, tuple[MemoryLayer, MemState]]
) -> None:
    with torch.no_grad():
        _, state, _ = small(name, **settings)(tokens(SEEN))
    with pytest.raises(ConflictError, match="this state is of"):
        made[name][0](tokens(2), state)


@pytest.mark.parametrize("name", ["full", "dot", "longmem", "rxt", "hmt", "titans-mac"])
def test_what_grows_has_the_length_of_what_was_seen(name: str, made: dict[str, tuple[MemoryLayer, MemState]]) -> None:
    layer, state = made[name]
    with pytest.raises(ConflictError, match="is of another"):
        layer(tokens(2), replace(state, seen=state.seen - 1))


def test_the_sentence_names_the_tensor(made: dict[str, tuple[MemoryLayer, MemState]]) -> None:
    layer, state = made["ssm"]
    with pytest.raises(ConflictError, match=r"with nothing for conv in a sequence and not \[3, 24\]"):
        layer(tokens(2), replace(state, tensors={"h": state["h"]}))
    with pytest.raises(InputError, match="take some with select"):
        layer(tokens(2, batch=1), state)
