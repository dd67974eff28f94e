"""Resonance: attention with a Hebbian matrix."""

import pytest

torch = pytest.importorskip("torch")

from definitions import OTHERS  # noqa: E402
from promises import small, tokens  # noqa: E402

from mnemic.errors import InputError  # noqa: E402
from mnemic.neural.layers.resonance import HebbianResonance  # noqa: E402


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("chunk", [1, 3, 5])
@pytest.mark.parametrize("bound", [0.3, 100.0])
def test_resonance_is_what_it_is_defined_as(chunk, bound):
    layer, x = small("resonance", chunk=chunk, bound=bound), tokens(13)
    close(layer(x)[0], OTHERS["resonance"](layer, x))


@pytest.mark.parametrize("length", [3, 11, 40])
def test_without_strength_it_is_window_attention(length):
    layer, x = small("resonance", strength=0.0), tokens(length)
    close(layer(x)[0], layer.near(x)[0], 1e-14)


def test_without_strength_the_matrix_changes_nothing_at_all():
    layer, x = small("resonance", strength=0.0), tokens(11)
    usual = layer(x)[0]
    start = layer.init_state(2, dtype=x.dtype)
    other = start.after(0, matrix=torch.randn_like(start["matrix"]))
    assert torch.equal(usual, layer(x, other)[0])
    strong = small("resonance", strength=2.0)
    assert not torch.allclose(strong(x, start)[0], strong(x, other)[0])


def test_the_matrix_is_constant_in_a_chunk_and_bounded_after_it():
    layer, state, x = small("resonance", bound=0.2), None, tokens(12)
    for t in range(12):
        before = None if state is None else state["matrix"]
        _, state, _ = layer(x[:, t : t + 1], state)
        if (t + 1) % 4:
            assert before is None or torch.equal(before, state["matrix"])
        else:
            assert not torch.equal(before, state["matrix"])
        assert float(state["matrix"].flatten(2).norm(dim=-1).max()) <= 0.2 + 1e-12


def test_what_it_did_lasts_beyond_the_window():
    x = tokens(12).requires_grad_()
    layer = small("resonance")
    (gradient,) = torch.autograd.grad(layer(x)[0][:, 11].sum(), x)
    assert gradient[:, 0].any()  # window 3
    (near,) = torch.autograd.grad(layer.near(x)[0][:, 11].sum(), x)
    assert not near[:, :9].any()


def test_a_pair_that_was_used_together_resonates():
    """With a matrix grown from (q, k), that q prefers that k more than before."""
    torch.manual_seed(0)
    layer = HebbianResonance(8, heads=1, window=8, chunk=4, strength=8.0, bound=100.0).double()
    with torch.no_grad():
        for to in (layer.near.to_q, layer.near.to_k, layer.near.to_v, layer.near.to_out):
            to.weight.copy_(torch.eye(8))
        layer.relevance.weight.zero_()
    x = torch.eye(8, dtype=torch.float64)[[0, 0, 0, 0, 1, 2, 0]][None]
    start = layer.init_state(1, dtype=x.dtype)
    _, grown, _ = layer(x[:, :4], start)
    unmoved = grown.after(0, matrix=torch.zeros_like(grown["matrix"]))
    with_it, without = layer(x[:, 4:], grown)[0][0, -1], layer(x[:, 4:], unmoved)[0][0, -1]
    assert with_it[0] > without[0] + 0.02


def test_masked_tokens_neither_write_nor_let_the_matrix_fade():
    layer, x = small("resonance"), tokens(8)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[:, 4:] = False
    _, before, _ = layer(x[:, :4])
    _, after, _ = layer(x, mask=mask)
    assert torch.equal(before["matrix"], after["matrix"])


def test_settings_that_make_no_resonance_are_refused():
    with pytest.raises(InputError, match="keep between 0 and 1"):
        HebbianResonance(8, heads=2, keep=1.0)
