"""Pools of notes: MemMamba and reweaving."""

import pytest

torch = pytest.importorskip("torch")

from definitions import OTHERS  # noqa: E402
from promises import small, tokens  # noqa: E402

from mnemic.errors import InputError  # noqa: E402
from mnemic.neural.layers.pool import StatePoolMemory  # noqa: E402


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["memmamba", "cmr"])
@pytest.mark.parametrize("replace", ["fifo", "priority"])
@pytest.mark.parametrize("layers", [1, 3])
def test_pools_are_what_they_are_defined_as(name, replace, layers):
    layer, x = small(name, replace=replace, layers=layers, fade=6.0), tokens(22)
    close(layer(x)[0], OTHERS[name](layer, x))


@pytest.mark.parametrize("carrier", ["ssm", "window"])
def test_carriers_can_be_exchanged(carrier):
    layer, x = small("memmamba", carrier=carrier), tokens(13)
    close(layer(x)[0], OTHERS["memmamba"](layer, x))


def test_layers_below_are_read_in_every_nth_layer_only():
    layer = StatePoolMemory(8, layers=5, every=2, heads=2)
    assert [each.lower is not None for each in layer.inner] == [False, False, True, False, True]
    assert layer.inner[2].lower is not layer.inner[2].own
    assert layer.inner[2].lower.fuse is not layer.inner[2].own.fuse  # two maps into the stream


@pytest.mark.parametrize("replace", ["fifo", "priority"])
def test_a_pool_never_grows_and_an_empty_place_says_so(replace):
    layer, state = small("memmamba", replace=replace, threshold=0.0), None
    for n in range(8):
        _, state, _ = layer(tokens(3, seed=n), state)
        assert state["notes"].shape == (2, 2, 3, 4)
        filled = state["scores"] > 0
        assert int(filled.sum()) == 2 * 2 * min(3, 2 * (n + 1))
        assert not state["notes"][~filled].any()
        assert (state["at"][~filled] == -1).all()


def test_the_oldest_or_the_least_important_makes_room():
    x = tokens(18)
    held = {}
    for replace in ("fifo", "priority"):
        layer = small("memmamba", layers=1, replace=replace, threshold=0.0, fade=1e9)
        _, state, aux = layer(x)
        held[replace] = {int(each) for each in state["at"][0, 0]}
        scores = aux.gates["importance"][0, :, 0]
    newest = [3 * n + int(k) for n in range(6) for k in sorted(scores[3 * n : 3 * n + 3].topk(2).indices)][-3:]
    assert held["fifo"] == set(newest)
    candidates = [3 * n + int(k) for n in range(6) for k in scores[3 * n : 3 * n + 3].topk(2).indices]
    assert held["priority"] == set(sorted(candidates, key=lambda t: -scores[t].item())[:3])


def test_a_threshold_that_nothing_passes_leaves_the_pools_empty():
    layer, x = small("memmamba", threshold=1.0), tokens(9)
    y, state, aux = layer(x)
    assert not state["scores"].any()
    assert not aux.written.any()
    h = x
    for each in layer.inner:  # nothing is left but the stack of state spaces
        h = h + each.carrier(each.norm(h))[0]
    close(y, h - x)


def test_a_trigger_that_nothing_passes_reads_nothing():
    asked = small("memmamba", trigger=1.0, threshold=0.0)
    blind = small("memmamba", trigger=1.0, threshold=1.0)
    assert torch.equal(asked(tokens(9))[0], blind(tokens(9))[0])


def test_the_trigger_is_the_state_before_and_not_the_token():
    layer, x = small("memmamba", layers=1), tokens(9)
    other = torch.cat((x[:, :6], tokens(3, seed=4)), 1)
    one, two = (layer(each)[2].gates["trigger"] for each in (x, other))
    assert torch.equal(one[:, 6], two[:, 6])
    assert not torch.equal(one[:, 7], two[:, 7])


def test_reweaving_with_its_first_gates_is_the_carriers_exactly():
    torch.manual_seed(0)
    layer = StatePoolMemory(8, heads=2, carrier="window", across="all", chunk=3, window=3, threshold=0.0).double()
    x, h = tokens(14), tokens(14)
    for each in layer.inner:
        h = h + each.carrier(each.norm(h))[0]
    close(layer(x)[0], h - x, 1e-14)
    with torch.no_grad():
        layer.inner[0].gate.fill_(0.5)
    assert (layer(x)[0] - (h - x)).abs().max() > 1e-3


def test_what_is_woven_comes_from_beyond_the_window():
    x = tokens(12).requires_grad_()
    reached = []
    for gate in (0.0, 0.5):
        layer = small("cmr", layers=1, window=2, top=3, pool=9, threshold=0.0)
        with torch.no_grad():
            layer.inner[0].gate.fill_(gate)
        (gradient,) = torch.autograd.grad(layer(x)[0][:, 9].sum(), x)
        reached.append(bool(gradient[:, :3].any()))
    assert reached == [False, True]


def test_notes_can_be_cut_off_from_gradients():
    x = tokens(9).requires_grad_()
    layer = small("cmr", layers=1, window=1, threshold=0.0, pool=9, detach=True)
    (gradient,) = torch.autograd.grad(layer(x)[0][:, 7].sum(), x)
    assert not gradient[:, :6].any()


def test_a_straight_through_note_is_whole_and_still_teaches_its_scorer():
    x = tokens(9)
    weighed, whole = (small("memmamba", straight_through=each, threshold=0.0) for each in (False, True))
    assert not torch.allclose(weighed(x)[0], whole(x)[0])
    whole(x)[0].sum().backward()
    assert whole.inner[0].score[0].weight.grad.any()
    _, state, _ = whole(x[:, :3])
    notes = whole.inner[0].note(x[0, :3])
    at = state["at"][0, 0][state["scores"][0, 0] > 0]
    close(state["notes"][0, 0, : len(at)], notes[at])


def test_settings_that_make_no_pool_are_refused():
    for settings, why in (
        ({"carrier": "rnn"}, "ssm, window"),
        ({"replace": "random"}, "fifo, priority"),
        ({"across": "none"}, "lower, all"),
        ({"pool": 0}, "at least 1"),
    ):
        with pytest.raises(InputError, match=why):
            StatePoolMemory(8, **{"heads": 2, **settings})
