"""What layers share: pieces of a stream, attention that may see nothing, states in states."""

import pytest

torch = pytest.importorskip("torch")

from mnemic.errors import InputError  # noqa: E402
from mnemic.neural.layer import seen_mask  # noqa: E402
from mnemic.neural.layers.parts import (  # noqa: E402
    Attention,
    Linear,
    Norm,
    attend,
    causal_mask,
    head_width,
    inner,
    join_heads,
    nested,
    pieces,
    split_heads,
)
from mnemic.neural.state import MemState  # noqa: E402


@pytest.mark.parametrize("seen", range(5))
@pytest.mark.parametrize("tokens", [1, 3, 4, 9])
def test_pieces_cover_a_stream_and_end_where_chunks_end(seen, tokens):
    cut = list(pieces(seen, tokens, 4))
    covered = [n for piece, _ in cut for n in range(piece.start, piece.stop)]
    assert covered == list(range(tokens))
    for piece, closes in cut:
        assert len({(seen + n) // 4 for n in range(piece.start, piece.stop)}) == 1
        assert closes is ((seen + piece.stop) % 4 == 0)
    assert all(closes for _, closes in cut[:-1])


def test_attention_that_sees_nothing_finds_zeros_and_has_gradients():
    q, k, v = (torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    seen = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    found = attend(q, k, v, seen)
    assert not found[0, 0, 1].any()
    weights = torch.softmax((q[0, 0, 0] @ k[0, 0, [0, 2]].T) / 2, 0)
    torch.testing.assert_close(found[0, 0, 0], weights @ v[0, 0, [0, 2]])
    gradients = torch.autograd.grad(found.sum(), (q, k, v))
    assert all(each.isfinite().all() for each in gradients)
    assert not gradients[0][0, 0, 1].any()


def test_the_last_of_some_queries_sees_all_keys():
    assert causal_mask(2, 4, torch.device("cpu")).tolist() == [[True, True, True, False], [True] * 4]


def test_heads_are_split_and_joined_without_loss():
    x = torch.arange(24.0).reshape(1, 3, 8)
    assert torch.equal(join_heads(split_heads(x, 2)), x)
    assert split_heads(x, 2)[0, 1, 0].tolist() == [4, 5, 6, 7]
    with pytest.raises(InputError, match="a width that 2 divides"):
        Attention(6, 2)
    assert head_width(6, 2) == 3


def test_projections_and_norms_work_in_the_type_of_what_they_are_given():
    for part in (Linear(4, 4).bfloat16(), Norm(4).bfloat16()):
        for dtype in (torch.bfloat16, torch.float32, torch.float64):
            assert part(torch.randn(2, 4, dtype=dtype)).dtype == dtype
    x = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(Norm(4).double()(x), torch.nn.functional.rms_norm(x, [4], eps=1e-6))


def test_a_state_in_a_state_comes_out_as_it_went_in():
    held = MemState("small", 1, {"a": torch.ones(2, 3), "b.c": torch.zeros(2)}, 7)
    outer = MemState("large", 4, {**nested("1", held), **nested("11", held.map(lambda each: each + 5))}, 7)
    out = inner("1", "small", outer)
    assert (out.kind, out.chunk, out.seen) == ("small", 1, 7)
    assert set(out.tensors) == {"a", "b.c"}
    assert torch.equal(out["a"], held["a"])


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(InputError, match="one entry for each token"):
        seen_mask(torch.zeros(2, 3, 4), torch.ones(2, 4))
