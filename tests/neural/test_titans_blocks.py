"""Blocks of memory and attention: what each sees, what the published forms leak, and what grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from promises import D, small, tokens
from references import mac, neural_memory, window_attention
from test_twelve import same, same_state, stepped
from torch import Tensor

from mnemic.errors import InputError
from mnemic.neural import registry
from mnemic.neural.blocks import LMMBlock, MACBlock, MAGBlock
from mnemic.neural.layer import MemoryLayer
from mnemic.neural.layers.attention import FullAttention, WindowAttention
from mnemic.neural.layers.neural_memory import NeuralMemory
from mnemic.neural.state import MemState

LENGTH = 11


def influence(layer: MemoryLayer, x: Tensor, state: MemState | None = None) -> Tensor:
    """[T, T]: how much output t changes with token s."""
    x = x.clone().requires_grad_()
    y, weights = layer(x, state)[0], tokens(x.shape[1], seed=3)
    rows = [torch.autograd.grad((y[:, t] * weights[:, t]).sum(), x, retain_graph=True)[0] for t in range(x.shape[1])]
    return torch.stack([row.abs().amax((0, 2)) for row in rows])


def test_mac_is_its_definition_over_several_segments() -> None:
    layer, x = small("titans-mac"), tokens(LENGTH)
    assert isinstance(layer, MACBlock)
    assert same(layer(x)[0], mac(layer, x))


def test_mac_as_published_looks_ahead_inside_its_segment_and_no_further() -> None:
    layer, x = small("titans-mac", causal=False), tokens(LENGTH)
    assert isinstance(layer, MACBlock)
    assert not layer.causal
    assert same(layer(x)[0], mac(layer, x))
    seen = influence(layer, x)
    for t in range(LENGTH):
        end = min(t // 4 * 4 + 4, LENGTH)
        assert (seen[t, :end] > 1e-9).all()
        assert not seen[t, end:].any()


def test_mac_as_published_reads_whole_segments_alone() -> None:
    layer, x = small("titans-mac", causal=False), tokens(LENGTH)
    whole, state, _ = layer(x)
    first, half, _ = layer(x[:, :8])
    second, after, _ = layer(x[:, 8:], half)
    assert same(whole, torch.cat((first, second), 1))
    assert same_state(state, after)
    with pytest.raises(InputError, match="whole segments of 4"):
        layer(x, state)


def test_the_memory_is_what_mac_has_of_earlier_segments() -> None:
    layer, x = small("titans-mac"), tokens(LENGTH)
    seen = influence(layer, x)
    assert (seen[8:, :4] > 1e-9).all()
    with torch.no_grad():
        layer.memory.to_out.weight.zero_()  # it answers nothing
    seen = influence(layer, x)
    assert not seen[8:, :8].any()


def test_a_segment_leaves_nothing_but_the_memory(tmp_path: Path) -> None:
    layer, x = small("titans-mac"), tokens(8)
    _, state, _ = layer(x)
    assert state["k"].shape[2] == state["live"].shape[1] == 0
    state.save(tmp_path / "state")
    assert same_state(MemState.load(tmp_path / "state"), state, 0.0)


def test_mac_refuses_a_memory_without_segments() -> None:
    with pytest.raises(InputError, match="writes by segments"):
        MACBlock(D, memory={"heads": 2, "net": "linear", "momentum": False, "exact": True})
    with pytest.raises(InputError, match="writes by segments"):
        MACBlock(D, memory={"heads": 2, "conv": 4})


def lmm(**settings: Any) -> LMMBlock:
    torch.manual_seed(0)
    return LMMBlock(D, chunk=4, n_persistent=3, **settings).double()


def test_the_memory_has_persistent_tokens_before_everything() -> None:
    block, x = lmm(memory={"heads": 2, "hidden": 6}), tokens(LENGTH)
    assert isinstance(block.memory, NeuralMemory)
    assert block.persistent is not None
    y, state, _ = block(x)
    assert same(y, neural_memory(block.memory, torch.cat((block.persistent.expand(2, -1, -1), x), 1))[:, 3:])
    slow, after = stepped(block, x)
    assert same(y, slow)
    assert same_state(state, after)
    (gradient,) = torch.autograd.grad(y.square().sum(), block.persistent)
    assert gradient.any()


def test_blocks_take_any_memory() -> None:
    x = tokens(LENGTH)
    for name in ("gated-deltanet", "atlas", "dot"):
        made = small(name)
        for block in (lmm(memory=made), MAGBlock(D, memory=made, heads=2, window=3).double()):
            assert block.chunk == made.chunk
            assert block.exact_chunking == made.exact_chunking
            y, state, _ = block(x)
            slow, after = stepped(block, x)
            assert same(y, slow)
            assert same_state(state, after)
    with pytest.raises(InputError, match="has 16 features and the block 8"):
        lmm(memory=registry.make("dot", 16))


def test_attention_sees_its_window_and_the_persistent_tokens() -> None:
    layer = small("window")
    seen = influence(layer, tokens(LENGTH)) > 0
    back = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)
    assert torch.equal(seen, (back >= 0) & (back < 5))


def test_windows_are_cut_into_blocks_without_a_trace() -> None:
    layer, x = small("window"), tokens(150)
    assert isinstance(layer, WindowAttention)
    assert same(layer(x)[0], window_attention(layer, x))


def test_far_down_a_stream_attention_is_what_it_was() -> None:
    layer, x = small("window"), tokens(LENGTH)
    layer.prefix = None  # type: ignore[assignment]
    _, state, _ = layer(tokens(6, seed=5))
    late = MemState(state.kind, state.chunk, state.tensors, seen=10**9)
    assert torch.equal(layer(x, state)[0], layer(x, late)[0])


@pytest.mark.parametrize(("name", "grows"), [("window", False), ("full", True), ("dot", True), ("titans-mag", False)])
def test_only_the_references_states_grow(name: str, grows: bool) -> None:
    layer = small(name)
    _, early, _ = layer(tokens(8))
    _, late, _ = layer(tokens(8, seed=5), early)
    assert (late.nbytes > early.nbytes) is grows


def test_a_window_holds_a_token_and_heads_have_an_even_width() -> None:
    with pytest.raises(InputError, match="at least the token itself"):
        WindowAttention(D, window=0)
    with pytest.raises(InputError, match="even width"):
        FullAttention(D, heads=8)
