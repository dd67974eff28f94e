"""The inner rules: closed forms against recurrences that make every gradient, and special cases that they contain."""

from __future__ import annotations

from typing import Any

import pytest
import test_twelve as twelve
import torch
from promises import D, small, tokens
from references import neural_memory, singular_values_near_one
from torch import Tensor
from torch.nn import functional

from mnemic.errors import InputError
from mnemic.neural import registry
from mnemic.neural.features import Poly2
from mnemic.neural.layers.neural_memory import NeuralMemory
from mnemic.neural.rule import Memory, orthogonalised
from mnemic.neural.state import MemState

LENGTH = 11


def memory(**settings: Any) -> NeuralMemory:
    """A small layer in float64; ``titans-lmm`` has NeuralMemory's own defaults."""
    shape = {"heads": 2, "hidden": 5, "chunk": 4, **settings}
    made = registry.make("titans-lmm", D, **shape).double()
    assert isinstance(made, NeuralMemory)
    return made


def near(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> bool:
    return twelve.same(a, b, tolerance)


def parts(layer: NeuralMemory, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Any]:
    q, k, v, _ = layer._project(x, layer.init_state(len(x), dtype=x.dtype))
    return q, k, v, layer.rule.gates(x, x.new_ones(x.shape[:2], dtype=torch.bool))


RULES: dict[str, dict[str, Any]] = {
    "titans": {},
    "titans at the chunk's start": {"read": "chunk_start"},
    "three matrices": {"depth": 3},
    "one matrix": {"net": "linear"},
    "gated, huber": {"net": "gated", "loss": "huber"},
    "residual": {"residual": True, "momentum": False},
    "deep dot": {"loss": "dot", "forget": False},
    "omega": {"window": 3, "features": "poly2"},
    "omega across chunks": {"window": 6, "momentum": False},
    "limited": {"limit": 0.3},
    "unlimited": {"limit": None},
    "atlas": {"window": 3, "newton_schulz": 3, "limit": 0.3},
    "atlas, twice a chunk": {"window": 3, "newton_schulz": 5, "cadence": 2},
    "atlas, each token": {"newton_schulz": 2, "cadence": 1, "read": "chunk_start"},
}


@pytest.mark.parametrize("settings", [pytest.param(s, id=n) for n, s in RULES.items()])
def test_the_closed_form_is_the_recurrence_with_gradients_at_the_chunks_start(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer, x = memory(**settings), tokens(LENGTH)
    assert not layer.exact_chunking
    y, slow = layer(x)[0], neural_memory(layer, x)
    assert near(y, slow)
    if not layer.rule.newton_schulz:  # the reference's singular values have no gradient where two are equal
        weights = list(layer.parameters())
        ours, theirs = (torch.autograd.grad(each.square().sum(), weights, retain_graph=True) for each in (y, slow))
        assert all(near(a, b, 1e-9) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("settings", [pytest.param(s, id=n) for n, s in RULES.items()])
def test_every_rule_may_be_cut_anywhere(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer, x = memory(**settings), tokens(LENGTH)
    whole, state, aux = layer(x)
    for cut in range(1, LENGTH):
        first, half, one = layer(x[:, :cut])
        second, after, two = layer(x[:, cut:], half)
        assert near(whole, torch.cat((first, second), 1)), cut
        assert near(aux.surprise, torch.cat((one.surprise, two.surprise), 1)), cut
        assert twelve.same_state(state, after), cut


@pytest.mark.parametrize("name", ["deltanet", "gated-deltanet", "linear-attention", "swla"])
def test_the_chunk_of_an_exact_rule_is_a_matter_of_speed(name: str) -> None:
    x = tokens(LENGTH)
    slow = neural_memory(small(name, chunk=1), x)
    for chunk in (1, 3, 4, 64):
        layer = small(name, chunk=chunk)
        y, state, _ = layer(x)
        assert layer.exact_chunking
        assert state.chunk == 1
        assert near(y, slow), chunk


def test_one_matrix_and_plain_steps_are_the_delta_rule() -> None:
    shape = {"net": "linear", "momentum": False, "forget": False, "max_rate": 1.0, "learned_start": False}
    torch.manual_seed(0)
    stepped, x = memory(chunk=1, **shape), tokens(LENGTH)
    exact = memory(chunk=4, exact=True, **shape)
    exact.load_state_dict(stepped.state_dict())
    one, two = stepped(x), exact(x)
    assert near(one[0], two[0])
    assert near(one[1]["w0"], two[1]["w0"])
    assert near(one[2].surprise, two[2].surprise)


def test_the_gated_delta_rule_is_that_of_its_paper() -> None:
    layer, x = small("gated-deltanet"), tokens(LENGTH)
    assert isinstance(layer, NeuralMemory)
    q, k, v, gates = parts(layer, x)
    w, outs, eye = layer.net.start(2, x.device, x.dtype)[0], [], torch.eye(k.shape[-1], dtype=x.dtype)
    for t in range(LENGTH):
        key, value = k[:, :, t, :, None], v[:, :, t, None, :]
        rate, keep = gates.rate[..., t, None, None], gates.log_keep[..., t, None, None].exp()
        w = keep * (eye - rate * key @ key.mT) @ w + rate * key @ value
        outs.append(q[:, :, t : t + 1] @ w)
    y, state, _ = layer(x)
    assert near(state["w0"], w)
    assert near(y, layer._answer(x, torch.cat(outs, 2)))


def test_one_chunk_from_zero_is_decayed_linear_attention() -> None:
    shape = {"net": "linear", "momentum": False, "learned_start": False, "chunk": 64}
    torch.manual_seed(0)
    error, x = memory(loss="l2", **shape), tokens(LENGTH)
    product = memory(loss="dot", **shape)
    product.load_state_dict(error.state_dict())
    q, k, v, gates = parts(error, x)
    kept = gates.log_keep.cumsum(-1)
    attended = (q @ k.mT * (kept[..., :, None] - kept[..., None, :]).exp() * gates.rate[..., None, :]).tril() @ v
    assert near(error(x)[0], error._answer(x, attended))
    assert near(product(x)[0], error._answer(x, attended))


def test_a_window_on_one_matrix_is_the_rank_c_transition() -> None:
    torch.manual_seed(0)
    layer, x = memory(net="linear", momentum=False, window=3, chunk=1), tokens(LENGTH)
    _, k, v, gates = parts(layer, x)
    w, eye = layer.net.start(2, x.device, x.dtype)[0], torch.eye(k.shape[-1], dtype=x.dtype)
    for t in range(LENGTH):
        near_by = slice(max(0, t - 2), t + 1)
        keys, values = k[:, :, near_by], v[:, :, near_by]
        weighed = keys * (gates.rate[..., t, None, None] * gates.gamma[..., near_by, None])
        w = (gates.log_keep[..., t, None, None].exp() * eye - weighed.mT @ keys) @ w + weighed.mT @ values
    assert near(layer(x)[1]["w0"], w)


def test_without_momentum_gates_at_zero_titans_has_no_momentum() -> None:
    torch.manual_seed(0)
    layer, x = memory(), tokens(LENGTH)
    plain = memory(momentum=False)
    plain.load_state_dict(layer.state_dict(), strict=False)
    with torch.no_grad():
        layer.rule.mom.bias.fill_(-60.0)
    assert near(layer(x)[0], plain(x)[0])


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3)])
def test_newton_schulz_works_on_singular_values(shape: tuple[int, int]) -> None:
    s = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert near(orthogonalised(s, 5), singular_values_near_one(s, 5))
    values = torch.linalg.svdvals(orthogonalised(s, 5))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3
    assert near(orthogonalised(1000 * s, 5), orthogonalised(s, 5))
    nothing = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    assert not orthogonalised(nothing, 5).any()
    orthogonalised(nothing, 5).sum().backward()
    assert bool(nothing.grad.isfinite().all())


def test_polynomial_features_multiply_to_the_polynomial() -> None:
    phi = Poly2(5).double()
    q, k = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    product, coefficients = (q * k).sum(-1), phi.roots.square()
    expected = sum(a * product**i for i, a in enumerate(coefficients)) / coefficients.sum()
    assert near((phi(q) * phi(k)).sum(-1), expected)
    assert near(coefficients, torch.tensor([1.0, 1.0, 0.5]).double(), 1e-7)
    assert phi(q).shape[-1] == phi.width == 21


def test_closed_gates_make_no_infinities() -> None:
    torch.manual_seed(0)
    layer, x = memory(chunk=64), tokens(70)
    with torch.no_grad():
        layer.rule.forget.weight.mul_(60)  # some tokens forget all but e-20 of it, others nothing
        layer.rule.mom.weight.mul_(60)
    y = layer(x)[0]
    assert near(y, neural_memory(layer, x), 1e-9)
    y.square().sum().backward()
    assert all(bool(each.grad.isfinite().all()) for each in layer.parameters())


@pytest.mark.parametrize("name", ["titans-lmm", "ttt", "omeganet", "atlas", "atlas-plus", "dla"])
def test_a_repeated_token_does_not_take_the_weights_to_infinity(name: str) -> None:
    torch.manual_seed(0)
    layer, x = registry.make(name, 32, heads=2, chunk=64, rate=0.5), torch.randn(1, 1, 32).expand(1, 1024, 32)
    y, state, aux = layer(x)
    assert max(float(each.detach().abs().max()) for each in state.tensors.values()) < 1e6
    assert aux.surprise is not None
    assert bool(aux.surprise.isfinite().all())
    y.square().mean().backward()
    assert all(bool(each.grad.isfinite().all()) for each in layer.parameters())


def test_without_a_limit_it_does() -> None:
    torch.manual_seed(0)
    layer = registry.make("titans-lmm", 32, heads=2, chunk=64, rate=0.5, limit=None)
    assert not layer(torch.randn(1, 1, 32).expand(1, 1024, 32))[0].isfinite().all()


def test_the_convolution_is_causal_and_of_each_channel() -> None:
    torch.manual_seed(0)
    layer, x = memory(conv=3), tokens(LENGTH)
    flat = functional.pad(layer.to_qkv(x).mT, (2, 0))
    mixed = functional.silu(functional.conv1d(flat, layer.taps.T[:, None], groups=flat.shape[1])).mT
    values = mixed.chunk(3, -1)[2].unflatten(-1, (2, -1)).transpose(1, 2)
    assert near(parts(layer, x)[2], values)


def test_automatic_mixed_precision_does_not_narrow_the_state() -> None:
    torch.manual_seed(0)
    layer, x = memory().float(), tokens(LENGTH).float()
    y, state, _ = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, kept, _ = layer(x)
    assert {each.dtype for each in kept.tensors.values()} == {torch.float32}
    assert near(y, rough.float(), 0.1)
    assert all(near(state[name], kept[name], 0.1) for name in state.tensors)


def test_settings_that_contradict_each_other_are_refused() -> None:
    for settings, said in (
        ({"exact": True}, "delta rule"),
        ({"newton_schulz": 5, "momentum": False}, "momentum=True"),
        ({"newton_schulz": 5, "cadence": 3}, "multiple of cadence"),
        ({"net": "mlp", "learned_start": False}, "begin at zero"),
        ({"features": "poly2", "residual": True}, "residual"),
        ({"loss": "l1"}, "l2, dot, huber"),
        ({"read": "chunk_end"}, "intra"),
        ({"net": "conv"}, "linear"),
        ({"depth": 0}, "at least one matrix"),
    ):
        with pytest.raises(InputError, match=said):
            memory(**settings)


class AtTheStart(NeuralMemory):
    """All gradients at the weights before the first token."""

    def _piece(self, memory: Memory, *args: Any, **options: Any) -> Any:
        first = self.net.start(args[0].shape[0], args[0].device, args[0].dtype)
        return super()._piece(
            Memory(memory.weights, memory.momentum, first, memory.past, memory.open), *args, **options
        )


class Shared(NeuralMemory):
    """One rate for all sequences of a batch, their mean."""

    def forward(self, x: Tensor, *args: Any, **options: Any) -> Any:
        usual = self.rule.gates

        def averaged(x: Tensor, there: Tensor) -> Any:
            gates = usual(x, there)
            return type(gates)(gates.rate.mean(0, keepdim=True).expand_as(gates.rate), *list(vars(gates).values())[1:])

        self.rule.gates = averaged  # type: ignore[method-assign]
        try:
            return super().forward(x, *args, **options)
        finally:
            del self.rule.gates


class WholeChunks(NeuralMemory):
    """Nothing is written of a chunk that is not full."""

    def run(self, x: Tensor, state: MemState, there: Tensor, **options: Any) -> Any:
        whole = x.shape[1] // self.chunk * self.chunk
        y, after, aux = super().run(x, state, there, **options)
        if options["write"]:
            after = super().run(x[:, :whole], state, there[:, :whole], **options)[1] if whole else state
            after = state.after(x.shape[1], **after.tensors)
        return y, after, aux


class Detached(NeuralMemory):
    """No gradients through what is written."""

    def _project(self, x: Tensor, state: MemState) -> Any:
        q, k, v, tail = super()._project(x, state)
        return q, k.detach(), v.detach(), tail


FAULTS: list[tuple[type[NeuralMemory], Any, tuple[Any, ...]]] = [
    (AtTheStart, twelve.test_surprise_depends_on_what_was_in_earlier_chunks, ()),
    (Shared, twelve.test_sequences_of_a_batch_know_nothing_of_each_other, ()),
    (WholeChunks, twelve.test_fewer_tokens_than_a_chunk_are_written_too, ()),
    (WholeChunks, twelve.test_token_by_token_equals_all_at_once, (0,)),
    (Detached, twelve.test_gradients_pass_through_everything_learned, ()),
]


SLOW = {Detached}  # a wrong gradient is looked at number by number


@pytest.mark.parametrize(
    ("fault", "test", "more"),
    [
        pytest.param(*each, id=f"{each[0].__name__}-{each[1].__name__}", marks=[pytest.mark.slow] * (each[0] in SLOW))
        for each in FAULTS
    ],
)
def test_the_faults_of_public_code_are_caught(
    fault: type[NeuralMemory], test: Any, more: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(name: str) -> NeuralMemory:
        made = fault(D, heads=2, chunk=4, hidden=6, conv=0).double()
        made.load_state_dict(sound.state_dict())
        return made

    torch.manual_seed(0)
    sound = NeuralMemory(D, heads=2, chunk=4, hidden=6, conv=0).double()
    monkeypatch.setattr(twelve, "small", lambda name: sound)
    test("titans-lmm", *more)
    monkeypatch.setattr(twelve, "small", faulty)
    with pytest.raises((AssertionError, RuntimeError)):
        test("titans-lmm", *more)


@pytest.mark.parametrize("name", ["deltanet", "gated-deltanet", "linear-attention", "titans-lmm"])
def test_flash_linear_attention_gives_the_same(name: str) -> None:
    pytest.importorskip("fla", reason="its plain references are the oracle: pip install flash-linear-attention")
    titans = {"net": "linear", "chunk": 1, "learned_start": False} if name == "titans-lmm" else {}
    layer, x = small(name, **titans).float(), tokens(LENGTH).float()
    assert isinstance(layer, NeuralMemory)
    q, k, v, gates = parts(layer, x)
    by_time = [each.transpose(1, 2) for each in (q, k, v)]
    rate = gates.rate.transpose(1, 2)
    if name == "deltanet":
        from fla.ops.delta_rule.naive import delta_rule_recurrence

        expected = delta_rule_recurrence(q, k, v, gates.rate)[0] * q.shape[-1] ** 0.5
    elif name == "gated-deltanet":
        from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule

        log_keep = gates.log_keep.transpose(1, 2)
        expected = naive_recurrent_gated_delta_rule(*by_time, rate, log_keep, scale=1.0)[0].transpose(1, 2)
    elif name == "linear-attention":
        from fla.ops.linear_attn.naive import naive_recurrent_linear_attn

        expected = naive_recurrent_linear_attn(*by_time, scale=1.0)[0].transpose(1, 2)
    else:
        from fla.ops.momentum_delta_rule.naive import recurrent_momentum_delta_rule_ref

        logs = gates.log_keep.transpose(1, 2), gates.log_mom.transpose(1, 2)
        steps = {"beta": torch.ones_like(rate), "eta": rate}
        expected = recurrent_momentum_delta_rule_ref(*by_time, *logs, by_time[1], **steps, scale=1.0)[0].transpose(1, 2)
    assert near(layer(x)[0], layer._answer(x, expected), 1e-4)
