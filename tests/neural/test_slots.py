"""Slots that are rewritten after each chunk: the reactive transformer's and PMI's."""

import pytest

torch = pytest.importorskip("torch")

from definitions import OTHERS, attention, by_row  # noqa: E402
from promises import small, tokens  # noqa: E402

from mnemic.errors import InputError  # noqa: E402
from mnemic.neural.layers.slot_stages import (  # noqa: E402
    Reactive,
    joint_loss,
    memory_loss,
    train_only,
    unrolled_loss,
)
from mnemic.neural.layers.slots import SlotMemory  # noqa: E402


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("gate", ["sigmoid", "tanh"])
@pytest.mark.parametrize("gate_by", ["slot", "element", "linear"])
@pytest.mark.parametrize("variant", ["simple", "self"])
def test_gated_slots_are_what_they_are_defined_as(gate, gate_by, variant):
    layer, x = small("rxt", gate=gate, gate_by=gate_by, variant=variant), tokens(11)
    close(layer(x)[0], OTHERS["rxt"](layer, x))


@pytest.mark.parametrize("top", [1, 3, None])
def test_competing_slots_are_what_they_are_defined_as(top):
    layer, x = small("pmi-wm", top=top, local=False), tokens(11)
    close(layer(x)[0], OTHERS["pmi-wm"](layer, x))


def test_weights_outside_the_top_are_dropped_and_not_made_up_for():
    layer, x = small("pmi-wm", top=1), tokens(4)
    heard = []
    layer.writer.v.register_forward_hook(lambda _m, _i, out: heard.append(out))
    passed = []
    layer.writer.first.register_forward_pre_hook(lambda _m, args: passed.append(args[0]))
    layer(x)
    update = passed[0] - layer.start  # [B, S, d]: one value times its softmax weight
    ratios = update[0, 0] / heard[0][0]
    row = ratios.std(-1).argmin()
    close(ratios[row], ratios[row, 0].expand(8))
    assert 0 < ratios[row, 0].item() < 1


def test_a_sigmoid_gate_that_is_shut_keeps_the_slots_exactly():
    layer, x = small("rxt"), tokens(8)
    with torch.no_grad():
        layer.writer.weight.fill_(-1000.0)
    _, state, _ = layer(x)
    assert torch.equal(state["slots"], layer.start.expand(2, -1, -1))


@pytest.mark.parametrize("name", ["pmi-wm", "rxt"])
def test_the_published_order_reads_what_later_tokens_wrote_and_the_causal_one_does_not(name):
    x = tokens(8).requires_grad_()
    for causal in (True, False):
        layer = small(name, causal=causal)
        (gradient,) = torch.autograd.grad(layer(x)[0][:, 0].sum(), x)
        assert bool(gradient[:, 1:4].any()) is not causal
        assert not gradient[:, 4:].any()  # later chunks are unknown to both


@by_row
def published(layer, x):
    from definitions import competed

    slots, rows = layer.start, []
    for text in x.split(layer.chunk):
        slots = competed(layer.writer, text, slots)[1]
        rows += [attention(layer.cross, layer.query(token), layer.memory(slots)) for token in text]
    return torch.stack(rows)


def test_the_published_order_is_write_then_read():
    layer, x = small("pmi-wm", causal=False, local=False), tokens(10)
    close(layer(x)[0], published(layer, x))
    first, state, _ = layer(x[:, :4])
    close(torch.cat((first, layer(x[:, 4:], state)[0]), 1), layer(x)[0])
    _, state, _ = layer(x[:, :6])
    with pytest.raises(InputError, match="6 tokens are no whole chunks of 4"):
        layer(x[:, 6:], state)


def test_a_turn_of_padding_alone_writes_nothing():
    layer, x = small("rxt"), tokens(8)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0, 4:] = False
    _, before, _ = layer(x[:, :4])
    _, after, _ = layer(x, mask=mask)
    assert torch.equal(after["slots"][0], before["slots"][0])
    assert not torch.equal(after["slots"][1], before["slots"][1])


def test_what_one_layer_cannot_be_is_refused():
    for settings, why in (
        ({"variant": "interlayer"}, "simple or self"),
        ({"gate": "none"}, "sigmoid or tanh"),
        ({"writer": "random"}, "gated or competitive"),
        ({"slots": 0}, "at least 1"),
        ({"heads": 3}, "3 heads"),
    ):
        with pytest.raises(InputError, match=why):
            SlotMemory(8, **{"heads": 2, **settings})


# -- the stages ----------------------------------------------------------------------------------------------


def model():
    torch.manual_seed(0)
    return Reactive(12, 16, slots=4, turn=6, heads=2)


def conversation(turns, batch=16, seed=0):
    """A digit is told in the first turn and asked for, behind a sign, in all others."""
    generator = torch.Generator().manual_seed(seed)
    told = torch.randint(0, 8, (batch, 1), generator=generator)
    rest = torch.tensor([[10, 11]]).expand(batch, -1)
    return [torch.cat((rest[:, :1], told, rest), 1)] + [torch.cat((rest, told), 1) for _ in range(turns - 1)]


def trained(made, loss, parameters, steps, rate=0.01):
    trainer, losses = torch.optim.Adam(parameters, rate), []
    for step in range(steps):
        found = loss(step)
        trainer.zero_grad()
        found.backward()
        trainer.step()
        losses.append(found.item())
    return losses


def test_the_first_stage_teaches_encoder_and_decoder_and_keeps_them_apart():
    made, text = model(), torch.arange(6).repeat(8, 1)
    generator = torch.Generator().manual_seed(0)
    joint_loss(made, text, generator=generator, encoder=0.0).backward()
    grown = [name for name, each in made.writer.named_parameters() if each.grad is not None and each.grad.any()]
    assert not grown  # the decoder sends no gradient into the encoder
    losses = trained(made, lambda _: joint_loss(made, text, generator=generator), made.parameters(), 30)
    assert losses[-1] < losses[0] / 2


def test_the_second_stage_turns_the_slots_towards_the_turn():
    made = model()
    turns = conversation(3)
    parameters = list(train_only(made, write=True))
    losses = trained(made, lambda _: memory_loss(made, turns), parameters, 30)
    assert losses[-1] < losses[0] - 0.1
    assert losses[-1] >= -1


def test_the_third_stage_sends_gradients_through_the_turns():
    made, turns = model(), conversation(3)
    turns[0][:, 1] = 9  # said in the first turn only, and never predicted there
    turns[0] = turns[0][:, 1:]
    with_first = unrolled_loss(made, turns, random=False)
    (gradient,) = torch.autograd.grad(with_first, made.embed.weight)
    first = torch.nn.functional.cross_entropy(
        made.decode(turns[0], made.memory.start.expand(16, -1, -1))[:, :-1].flatten(0, 1), turns[0][:, 1:].flatten()
    )
    (own,) = torch.autograd.grad(first / 3, made.embed.weight)
    assert (gradient[9] - own[9]).abs().max() > 1e-6  # what later turns add


@pytest.mark.slow
def test_what_was_told_in_the_first_turn_is_known_in_the_third():
    made = model()
    trained(
        made, lambda n: unrolled_loss(made, conversation(3, 32, n), random=False), train_only(made, write=False), 250
    )
    turns = conversation(3, 64, seed=10_001)

    def right(slots):
        return float((made.decode(turns[2], slots)[:, 1].argmax(-1) == turns[2][:, 2]).float().mean())

    with torch.no_grad():
        start = made.memory.start.expand(64, -1, -1)
        assert right(made.remember(turns[1], made.remember(turns[0], start))) > 0.9
        assert right(start) < 0.4


def test_training_the_write_alone_leaves_the_rest_as_it_was():
    made = model()
    chosen = {id(each) for each in train_only(made, write=True)}
    names = {name.split(".")[0] for name, each in made.named_parameters() if id(each) in chosen}
    assert names == {"memory"}
    assert not any("encoder" in name for name, each in made.named_parameters() if id(each) in chosen)
    assert len(list(train_only(made, write=False))) == len(list(made.parameters()))


def test_a_conversation_without_turns_is_refused():
    with pytest.raises(InputError, match="at least one turn"):
        unrolled_loss(model(), [])
