"""PMI's long-term memory: true outer products, and what the published code makes of them."""

import pytest

torch = pytest.importorskip("torch")

from definitions import OTHERS  # noqa: E402
from promises import small, tokens  # noqa: E402

from mnemic.errors import InputError  # noqa: E402
from mnemic.neural.layers.outer import OuterProductMemory  # noqa: E402


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("bound", [0.7, 100.0])
def test_outer_products_are_what_they_are_defined_as(collapsed, local, bound):
    layer, x = small("pmi-ltm", collapsed=collapsed, local=local, bound=bound), tokens(15)
    close(layer(x)[0], OTHERS["pmi-ltm"](layer, x))


def test_a_matrix_never_outgrows_its_bound():
    layer, state = small("pmi-ltm", bound=0.7), None
    for n in range(6):
        _, state, _ = layer(tokens(4, seed=n), state)
        assert float(state["long"].flatten(2).norm(dim=-1).max()) <= 0.7 + 1e-12
    assert state["long"].shape == (2, 2, 8, 4)


def test_a_collapsed_write_has_one_direction_for_each_slot_and_a_true_one_as_many_as_slots():
    x = tokens(4)
    layer = small("pmi-ltm", collapsed=True)
    old, new = layer.init_state(2, dtype=x.dtype)["long"], layer(x)[1]["long"]
    worked, _ = layer.writer(x, torch.ones(2, 4, dtype=torch.bool), layer.start.expand(2, -1, -1))
    # before the norm, what was added to a slot is a number times the slot's vector
    size = old.sum(-1, keepdim=True)
    close(layer.long_norm(old + size * worked[:, None]), new)
    true = OuterProductMemory(8, heads=2, chunk=4, slots=3, rank=4, bound=1e9).double()
    grown = true(x)[1]["long"][0, 0]
    assert int(torch.linalg.matrix_rank(grown)) == 3


def test_segments_forget_at_their_own_speed():
    layer, x = OuterProductMemory(8, heads=2, chunk=4, slots=3, segments=3, rank=4, bound=1e9).double(), tokens(8)
    _, once, _ = layer(x[:, :4])
    close(once["long"][:, 0], once["long"][:, 2])  # they are written alike
    _, twice, _ = layer(x[:, 4:], once)
    fresh = twice["long"][:, 0] - 0.5 * once["long"][:, 0]
    for j, keep in enumerate((0.5, 0.75, 0.875)):
        close(twice["long"][:, j], keep * once["long"][:, j] + fresh, 1e-6)  # the rates begin in single precision


@pytest.mark.parametrize("collapsed", [False, True])
def test_the_published_order_reads_what_later_tokens_wrote_and_the_causal_one_does_not(collapsed):
    x = tokens(8).requires_grad_()
    for causal in (True, False):
        layer = small("pmi-ltm", causal=causal, collapsed=collapsed)
        y = layer(x)[0]
        (gradient,) = torch.autograd.grad(y[:, 0].sum(), x)
        assert bool(gradient[:, 1:4].any()) is not causal
        assert not gradient[:, 4:].any()
    _, state, _ = layer(x[:, :4])
    memory = {name: state[name] for name in ("slots", "long")}
    there = torch.ones(2, 4, dtype=torch.bool)
    close(y[:, :4], layer.answer(x[:, :4], there, memory, 0))  # chunk 1 was answered with what it had written
    with pytest.raises(InputError, match="give whole chunks"):
        layer(x, layer(x[:, :3])[1])


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_chooses_between_working_and_corrected_long_term_memory(alpha):
    layer, x = small("pmi-ltm", alpha=alpha, local=False), tokens(9)
    before = layer(x)[0]
    with torch.no_grad():
        (layer.corrected if alpha else layer.working).out.weight.normal_()
    assert torch.equal(before, layer(x)[0])
    with torch.no_grad():
        (layer.working if alpha else layer.corrected).out.weight.normal_()
    assert not torch.allclose(before, layer(x)[0])


def test_settings_that_make_no_memory_are_refused():
    for settings, why in (
        ({"alpha": 1.5}, "between 0 and 1"),
        ({"segments": 0}, "at least 1"),
        ({"bound": 0}, "above 0"),
    ):
        with pytest.raises(InputError, match=why):
            OuterProductMemory(8, **{"heads": 2, **settings})
