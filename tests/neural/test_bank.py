"""A bank of keys beside a window, and the side network that learns to read it beside a frozen model."""

import pytest

torch = pytest.importorskip("torch")

from definitions import OTHERS  # noqa: E402
from promises import small, tokens  # noqa: E402

from mnemic.errors import ConflictError, InputError  # noqa: E402
from mnemic.neural.layers.bank import KVBankMemory  # noqa: E402
from mnemic.neural.layers.sidenet import SideNet, backbone_logits, backbone_states, beside  # noqa: E402


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("chunk", "window", "top", "capacity"), [(1, 1, 1, 4), (3, 2, 2, 6), (2, 4, 9, 100)])
def test_a_bank_is_what_it_is_defined_as(chunk, window, top, capacity):
    layer = small("longmem", chunk=chunk, window=window, top=top, capacity=capacity)
    x = tokens(23)
    close(layer(x)[0], OTHERS["longmem"](layer, x))


def test_blocks_of_queries_are_joined_without_a_seam():
    layer, x = small("longmem"), tokens(150, batch=1)
    parts, state = [], None
    for piece in x.split(50, 1):
        y, state, _ = layer(piece, state)
        parts.append(y)
    close(layer(x)[0], torch.cat(parts, 1))


def test_capacity_is_never_exceeded():
    layer, state = small("longmem", capacity=6, window=3, chunk=2), None
    for n in range(40):
        _, state, _ = layer(tokens(1, seed=n), state)
        assert state["k"].shape[2] <= 6 + 3 + 2
        assert state["live"].shape[1] == state["k"].shape[2]


def test_what_left_the_bank_cannot_change_anything():
    layer, x = small("longmem", capacity=4, window=2, chunk=2), tokens(20)
    other = torch.cat((tokens(8, seed=9), x[:, 8:]), 1)
    first, second = layer(x)[0], layer(other)[0]
    assert (first[:, 8:12] - second[:, 8:12]).abs().max() > 1e-3  # still in the bank
    close(first[:, 16:], second[:, 16:])


def test_a_closed_gate_is_window_attention_exactly():
    layer, x = small("longmem", top=1, capacity=4), tokens(12)
    with torch.no_grad():
        layer.gate.fill_(100.0)
    closed = layer(x)[0]
    layer.capacity = 2
    assert torch.equal(closed, layer(x)[0])  # whatever is in the bank
    with torch.no_grad():
        layer.gate.fill_(0.0)
    assert (layer(x)[0] - closed).abs().max() > 1e-3


def test_gradients_enter_the_bank_only_when_asked_to():
    x = tokens(9).requires_grad_()
    reached = []
    for detach in (True, False):
        layer = small("longmem", detach=detach, window=1, chunk=1, capacity=4)
        (gradient,) = torch.autograd.grad(layer(x)[0][:, -1].sum(), x)
        reached.append(bool(gradient[:, :-1].any()))
    assert reached == [False, True]


def test_settings_that_make_no_bank_are_refused():
    with pytest.raises(InputError, match="capacity at least a chunk"):
        KVBankMemory(8, chunk=4, capacity=2)


# -- the side network ----------------------------------------------------------------------------------------


def states(length, layers=4, batch=2):
    return [tokens(length, batch, seed=10 + n) for n in range(layers + 1)]


def side(**settings):
    torch.manual_seed(0)
    made = SideNet(8, 4, heads=2, window=3, chunk=2, top=2, capacity=8, **settings).double()
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return made


def test_an_untrained_side_network_says_what_the_backbone_says():
    hidden = states(11)
    close(SideNet(8, 4, heads=2).double()(hidden)[0], hidden[-1], 1e-12)


def test_a_side_network_is_the_sum_that_it_is_defined_as():
    net, hidden = side(fused=1, source=3), states(11)
    x = hidden[0]
    for n, (mixer, feed) in enumerate(zip(net.mixers, net.feeds, strict=True)):
        asked = net.norms[2 * n](x)
        if n == 1:
            raw = hidden[3] / (hidden[3].square().mean(-1, keepdim=True) + 1e-6).sqrt()
            bank = [raw.reshape(2, 11, 2, 4).transpose(1, 2)] * 2
            y = joint(net.bank, asked, *bank)
        else:
            y = mixer(asked)[0]
        x = x + y
        x = x + feed(net.norms[2 * n + 1](x)) + hidden[2 * n + 2] - hidden[2 * n]
    close(net(hidden)[0], x)


def joint(bank, x, bank_k, bank_v):
    """The bank's layer, token after token, over keys and values that are given."""
    from mnemic.neural.layers.attention import rotate

    rows = []
    for b, row in enumerate(x):
        q, k, v = (to(row).reshape(len(row), 2, 4).transpose(0, 1) for to in (bank.to_q, bank.to_k, bank.to_v))
        for t in range(len(row)):
            outs = []
            for h in range(2):
                near = range(max(0, t - 2), t + 1)
                keys = rotate(k[h, list(near)], torch.tensor(list(near)))
                turned = rotate(q[h, t : t + 1], torch.tensor([t]))[0]
                out = torch.softmax(keys @ turned / 2, 0) @ v[h, list(near)]
                chunks = range(near[0] // 2)[-4:]
                if chunks:
                    match = {c: float(bank_k[b, h, 2 * c : 2 * c + 2].mean(0) @ q[h, t].detach()) for c in chunks}
                    at = [n for c in sorted(chunks, key=match.get)[-2:] for n in (2 * c, 2 * c + 1)]
                    found = torch.softmax(bank_k[b, h, at] @ q[h, t] / 2, 0) @ bank_v[b, h, at]
                    gate = torch.sigmoid(bank.gate[h])
                    out = gate * out + (1 - gate) * found
                outs.append(out)
            rows.append(bank.to_out(torch.cat(outs)))
    return torch.stack(rows).reshape(x.shape)


def test_a_side_network_reads_a_stream_in_any_pieces():
    net, hidden = side(), states(13)
    whole, state = net(hidden)
    for cut in (1, 4, 12):
        first, half = net([each[:, :cut] for each in hidden])
        second, after = net([each[:, cut:] for each in hidden], half)
        close(torch.cat((first, second), 1), whole)
        for name in state.tensors:
            close(after[name], state[name])
    assert state["1.k"].shape[2] == 2
    assert state["1.bank_k"].shape[2] <= 8 + 3 + 2


def test_a_side_network_knows_nothing_of_later_tokens():
    net, hidden = side(), states(9)
    early = net(hidden)[0][:, :5]
    changed = [torch.cat((each[:, :5], tokens(4, seed=50 + n)), 1) for n, each in enumerate(hidden)]
    close(early, net(changed)[0][:, :5], 0)


def test_other_chunks_and_numbers_of_layers_are_refused():
    net = side()
    _, state = net(states(3))
    with pytest.raises(ConflictError, match="chunks of 2"):
        SideNet(8, 4, heads=2, chunk=4).double()(states(3), state)
    with pytest.raises(InputError, match="5 hidden states, not 4"):
        net(states(3)[:-1])
    with pytest.raises(InputError, match="use a divisor"):
        SideNet(8, 5)


def test_beside_a_model_of_hugging_face_only_the_side_network_learns():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=4, num_attention_heads=2
    )
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # as it is drawn, no logits can tell tokens apart
    ids = torch.arange(24).reshape(2, 12) % 32
    net = beside(model, window=4, capacity=8, top=2)
    hidden = backbone_states(model, ids)
    assert len(hidden) == 5
    with torch.no_grad():
        close(backbone_logits(model, net(hidden)[0]), model(ids).logits, 1e-4)
    before = [each.clone() for each in model.parameters()]
    trainer = torch.optim.Adam(net.parameters(), 0.03)
    losses = []
    for _ in range(15):
        out, _ = net(hidden)
        logits = backbone_logits(model, out)
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        trainer.zero_grad()
        loss.backward()
        trainer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.5
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(each.grad is not None for each in net.parameters())
    assert all(each.grad is None for each in model.parameters())


def test_keys_and_values_may_be_made_by_the_backbones_own_maps():
    torch.manual_seed(0)
    own = torch.nn.Linear(8, 8, bias=False).double()
    hidden = states(11)
    net = side(keys=own, values=own)
    assert not any("_maps" in name for name in net.state_dict())
    assert len(list(net.parameters())) == len(list(side().parameters()))
    assert (net(hidden)[0] - side()(hidden)[0]).abs().max() > 1e-4
