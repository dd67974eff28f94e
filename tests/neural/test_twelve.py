"""What every layer of the registry must keep: see each test's name. ``promises.py`` says what does not apply."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from promises import EXEMPT, NAIVE, RECALL, SMALL, TESTS, D, small, tokens
from torch import Tensor

from mnemic.errors import ConflictError, MnemicError
from mnemic.neural.layer import MemoryLayer
from mnemic.neural.registry import LAYERS
from mnemic.neural.state import MemState

LENGTH = 11  # with chunks of 4: two whole ones and a part
EXACT = 1e-10


def every(test: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in LAYERS if test not in EXEMPT.get(name, {})])


def same(a: Tensor, b: Tensor, tolerance: float = EXACT) -> bool:
    return a.shape == b.shape and (a.numel() == 0 or float((a.detach() - b.detach()).abs().max()) <= tolerance)


def same_state(a: MemState, b: MemState, tolerance: float = EXACT) -> bool:
    kept = (a.kind, a.chunk, a.seen, set(a.tensors)) == (b.kind, b.chunk, b.seen, set(b.tensors))
    return kept and all(same(a[name].double(), b[name].double(), tolerance) for name in a.tensors)


def stepped(layer: MemoryLayer, x: Tensor, state: MemState | None = None) -> tuple[Tensor, MemState]:
    state = layer.init_state(x.shape[0], dtype=x.dtype) if state is None else state
    rows = []
    for t in range(x.shape[1]):
        y, state = layer.step(x[:, t], state)
        rows.append(y)
    return torch.stack(rows, 1), state


def test_exemptions_are_of_layers_and_tests_that_exist() -> None:
    for name, why in EXEMPT.items():
        assert name in LAYERS
        assert set(why) <= set(TESTS)
        assert all(len(reason) > 10 for reason in why.values())
    assert set(SMALL) | set(NAIVE) | set(RECALL) <= set(LAYERS)


@every("batch")
def test_sequences_of_a_batch_know_nothing_of_each_other(name: str) -> None:
    layer, x = small(name), tokens(LENGTH)
    other = torch.cat((x[:1], tokens(LENGTH, 1, seed=5)))
    y, state, _ = layer(x)
    changed, after, _ = layer(other)
    assert same(y[0], changed[0], 1e-13)
    assert same_state(state.select(0), after.select(0), 1e-13)
    assert not same(y[1], changed[1], 1e-4)
    alone, single, _ = layer(x[1:])
    assert same(y[1:], alone)
    assert same_state(state.select(1), single)


@every("causality")
@pytest.mark.parametrize("start", [0, 3])
def test_no_output_depends_on_a_later_token(name: str, start: int) -> None:
    layer = small(name)
    _, state, _ = layer(tokens(start, seed=7)) if start else (None, None, None)
    x = tokens(LENGTH).requires_grad_()
    y, _, aux = layer(x, state)
    weights = tokens(LENGTH, seed=3)
    for t in range(LENGTH):
        told = (y[:, t] * weights[:, t]).sum()
        if aux.surprise is not None:
            told = told + aux.surprise[:, t].sum()
        (gradient,) = torch.autograd.grad(told, x, retain_graph=True)
        assert not gradient[:, t + 1 :].any()
        assert gradient[:, : t + 1].abs().amax() > 1e-9


@every("step")
@pytest.mark.parametrize("start", [0, 3])
def test_token_by_token_equals_all_at_once(name: str, start: int) -> None:
    layer, x = small(name), tokens(LENGTH)
    _, begun, _ = layer(tokens(start, seed=7)) if start else (None, None, None)
    y, state, _ = layer(x, begun)
    slow, after = stepped(layer, x, begun)
    assert same(y, slow)
    assert same_state(state, after)
    assert state.seen == start + LENGTH


@every("split")
def test_a_sequence_may_be_cut_anywhere(name: str) -> None:
    layer, x = small(name), tokens(LENGTH)
    whole, state, aux = layer(x)
    for cut in range(1, LENGTH):
        first, half, one = layer(x[:, :cut])
        second, after, two = layer(x[:, cut:], half)
        assert same(whole, torch.cat((first, second), 1)), cut
        assert same_state(state, after), cut
        if aux.surprise is not None:
            assert same(aux.surprise, torch.cat((one.surprise, two.surprise), 1)), cut


@every("naive")
def test_chunks_of_one_token_are_the_naive_recurrence(name: str) -> None:
    assert name in NAIVE, "give its definition in promises.NAIVE, or say in EXEMPT why there is none"
    layer = small(name, **({"chunk": 1} if "chunk" in SMALL.get(name, {}) else {}))
    x = tokens(LENGTH)
    assert same(layer(x)[0], NAIVE[name](layer, x))


@every("surprise")
def test_surprise_depends_on_what_was_in_earlier_chunks(name: str) -> None:
    layer = small(name)
    length = max(LENGTH, 3 * layer.chunk)
    x, early = tokens(length), layer.chunk
    other = torch.cat((tokens(early, seed=5), x[:, early:]), 1)
    usual, unlike = layer(x)[2].surprise, layer(other)[2].surprise
    assert usual.shape == x.shape[:2]
    assert not same(usual[:, 2 * layer.chunk :], unlike[:, 2 * layer.chunk :], 1e-6)


@every("gradient")
def test_gradients_pass_through_everything_learned(name: str) -> None:
    layer, x = small(name), tokens(7).requires_grad_()
    names = [each for each, _ in layer.named_parameters()]
    values = [each.detach().requires_grad_() for each in layer.parameters()]

    def told(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        y, state, _ = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))
        kept = [state[each] for each in sorted(state.tensors) if state[each].is_floating_point()]
        return (y, *[each for each in kept if each.requires_grad])

    assert torch.autograd.gradcheck(told, (x, *values), fast_mode=True, atol=1e-5)
    gradients = torch.autograd.grad(told(x, *values)[0].square().sum(), values, allow_unused=True)
    idle = [each for each, g in zip(names, gradients, strict=True) if g is None or not g.any()]
    assert not idle, f"nothing of these reaches the output: {idle}"


@every("recall")
def test_writing_helps_before_any_training(name: str) -> None:
    assert name in RECALL, "give a builder in promises.RECALL, or say in EXEMPT why there is none"
    made = RECALL[name]()
    count, width = made.wanted.shape

    def found(layer: MemoryLayer, *, write: bool = True) -> float:
        _, state, _ = layer(made.stored, write=write, read=False)
        answer = layer.read(made.asked, state)[0, :, :width]
        return float(((answer @ made.wanted.T).argmax(-1) == torch.arange(count)).float().mean())

    with torch.no_grad():
        assert found(made.layer) >= 0.9
        assert found(made.layer, write=False) <= 0.4
        if made.off is not None:
            assert found(made.off) <= 0.4


@every("short")
def test_fewer_tokens_than_a_chunk_are_written_too(name: str) -> None:
    layer, x, q = small(name), tokens(2), tokens(3, seed=5)
    start = layer.init_state(2, dtype=x.dtype)
    _, state, _ = layer(x)
    assert state.seen == 2
    assert not same(layer.read(q, state), layer.read(q, start), 1e-6)


@every("roundtrip")
def test_a_state_on_disk_is_the_same_state(name: str, tmp_path: Path) -> None:
    layer, x = small(name), tokens(LENGTH)
    with torch.no_grad():
        _, state, _ = layer(x[:, :6])
        state.save(tmp_path / "state")
        loaded = MemState.load(tmp_path / "state")
        assert all(torch.equal(state[each], loaded[each]) for each in state.tensors)
        (one, first, _), (two, second, _) = layer(x[:, 6:], state), layer(x[:, 6:], loaded)
    assert same(one, two, 1e-13)  # products over another layout of the same numbers round differently
    assert same_state(first, second, 1e-13)
    with pytest.raises(MnemicError, match=r"is of a elsewhere layer"):
        layer(x, MemState("elsewhere", layer.state_chunk, state.tensors, state.seen))
    with pytest.raises(ConflictError, match="chunks of 7"):
        layer(x, MemState(state.kind, 7, state.tensors, state.seen))
    if not layer.exact_chunking:
        assert state.chunk == layer.chunk > 1


@every("eval")
def test_evaluation_writes_as_training_does(name: str) -> None:
    layer, x = small(name), tokens(LENGTH)
    y, state, _ = layer.train()(x)
    with torch.no_grad():
        quiet, kept, _ = layer.eval()(x)
    assert same(y, quiet, 1e-12)
    assert same_state(state, kept, 1e-12)


@every("detach")
def test_a_detached_state_stops_gradients_through_time(name: str) -> None:
    layer, x = small(name), tokens(LENGTH)
    past = tokens(6, seed=5).requires_grad_()
    _, state, _ = layer(past)
    (through,) = torch.autograd.grad(layer(x, state)[0].square().sum(), past, retain_graph=True)
    assert through.any()
    (cut,) = torch.autograd.grad(layer(x, state.detach())[0].square().sum(), past, allow_unused=True)
    assert cut is None


@every("mask")
def test_padding_is_neither_written_nor_read(name: str) -> None:
    layer, x = small(name), tokens(LENGTH)
    mask = torch.ones(2, LENGTH, dtype=torch.bool)
    mask[0, :3] = mask[1, 5] = mask[1, -2:] = False
    noise = torch.where(mask[..., None], x, 9 * tokens(LENGTH, seed=5))
    y, state, aux = layer(x, mask=mask)
    other, after, _ = layer(noise, mask=mask)
    assert same(y[mask], other[mask])
    assert same(*(layer.read(tokens(3, seed=8), each) for each in (state, after)))
    assert bool(y.isfinite().all())
    assert aux.written is None or not aux.written[~mask].any()
    assert not same(y[mask], layer(x)[0][mask], 1e-6)


@every("step")
def test_writing_and_reading_can_be_had_apart(name: str) -> None:
    layer, x = small(name), tokens(LENGTH)
    y, state, _ = layer(x)
    assert same_state(state, layer.write(x, layer.init_state(2, dtype=x.dtype)))
    before = state.clone()
    layer.read(tokens(3, seed=5), state)
    assert same_state(state, before, 0.0)
    _, kept, _ = layer(tokens(3, seed=5), state, write=False)
    assert all(torch.equal(kept[each], state[each]) for each in state.tensors)
    silent, _, _ = layer(x, read=False)
    assert silent.shape == y.shape
    assert not silent.any()


@every("step")
def test_half_precision_in_keeps_a_single_precision_state(name: str) -> None:
    layer = small(name).to(torch.bfloat16)
    y, state, _ = layer(tokens(LENGTH).to(torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert bool(y.isfinite().all())
    assert {t.dtype for t in state.tensors.values() if t.is_floating_point()} <= {torch.float32}


@every("step")
def test_everything_is_made_where_the_input_is(name: str) -> None:
    layer, x = (
        small(name).to("meta"),
        tokens(LENGTH).to("meta"),
    )  # a device without numbers: whatever is not there fails
    y, state, _ = layer(x)
    layer(x, state, mask=torch.ones(2, LENGTH, dtype=torch.bool, device="meta"))
    layer.step(x[:, 0], state)
    layer.read(x, state)
    assert {y.device.type, *(each.device.type for each in state.tensors.values())} == {"meta"}


def test_settings_of_the_registry_are_those_of_the_class() -> None:
    for name, entry in LAYERS.items():
        made: Any = type(small(name)).__init__
        assert set(entry.settings) <= set(inspect.signature(made).parameters), name
        assert entry.about
        assert small(name).d_model == D
