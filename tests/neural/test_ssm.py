"""The selective state space against its recurrence."""

import pytest

torch = pytest.importorskip("torch")

from mnemic.errors import InputError  # noqa: E402
from mnemic.neural.layers.ssm import SelectiveSSM, scan, scan_chunked  # noqa: E402


def inputs(tokens: int):
    torch.manual_seed(0)
    kind = {"dtype": torch.float64}
    u, log_a = torch.randn(2, tokens, 3, 4, **kind), -torch.rand(2, tokens, 3, **kind)
    b, c = torch.randn(2, tokens, 5, **kind), torch.randn(2, tokens, 5, **kind)
    return u, log_a, b, c, torch.randn(2, 3, 4, 5, **kind)


@pytest.mark.parametrize("chunk", [1, 3, 8, 64])
def test_chunks_of_any_size_give_the_recurrence(chunk):
    given = inputs(17)
    for fast, plain in zip(scan_chunked(*given, chunk), scan(*given), strict=True):
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-12)


def test_strong_decay_over_a_long_chunk_stays_finite():
    u, log_a, b, c, h = inputs(600)
    u, log_a = u.float().requires_grad_(), (log_a * 50).float().requires_grad_()
    found, last = scan_chunked(u, log_a, b.float(), c.float(), h.float(), 600)
    (found.sum() + last.sum()).backward()
    assert all(each.isfinite().all() for each in (found, last, u.grad, log_a.grad))


def test_the_chunk_is_no_part_of_the_model():
    torch.manual_seed(0)
    layer = SelectiveSSM(8, heads=2, width=4, chunk=64).double()
    x = torch.randn(2, 21, 8, dtype=torch.float64)
    whole, state, _ = layer(x)
    layer.chunk = 4
    again, other, _ = layer(x)
    torch.testing.assert_close(again, whole, rtol=0, atol=1e-12)
    other.check("ssm", state.chunk)


def test_masked_tokens_leave_no_trace_but_their_place():
    torch.manual_seed(0)
    layer = SelectiveSSM(8, heads=2, width=4, conv=3).double()
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    mask = torch.tensor([[True] * 4 + [False] * 2 + [True] * 3])
    other = torch.where(mask[..., None], x, torch.randn_like(x))
    one, state, aux = layer(x, mask=mask)
    two, same, _ = layer(other, mask=mask)
    torch.testing.assert_close(one[mask], two[mask], rtol=0, atol=0)
    torch.testing.assert_close(state["h"], same["h"], rtol=0, atol=0)
    assert state.seen == 9
    assert aux.written.equal(mask)


def test_a_state_stays_single_in_a_half_precision_layer():
    layer = SelectiveSSM(8, heads=2, width=4).bfloat16()
    y, state, aux = layer(torch.randn(1, 5, 8).bfloat16())
    assert y.dtype == torch.bfloat16
    assert {each.dtype for each in state.tensors.values()} == {torch.float32}
    assert aux.gates["keep"].dtype == torch.float32


def test_heads_must_share_the_features():
    with pytest.raises(InputError, match="shared by 3 heads"):
        SelectiveSSM(8, heads=3, wider=1)
