"""The short convolution: its definition, splits, padding, and what it remembers."""

from __future__ import annotations

import pytest
import torch

from mnemic.errors import InputError
from mnemic.neural.layers.conv import ShortConv


def made(width: int = 3) -> tuple[ShortConv, torch.Tensor]:
    torch.manual_seed(0)
    return ShortConv(5, width=width).double(), torch.randn(2, 7, 5, dtype=torch.float64)


@pytest.mark.parametrize("width", [1, 2, 3, 9])
def test_it_is_the_sum_of_the_last_tokens_by_their_weights(width: int) -> None:
    layer, x = made(width)
    y, _, _ = layer(x)
    for t in range(7):
        wanted = sum(layer.taps[:, i] * x[:, t - i] for i in range(width) if t >= i)
        assert torch.allclose(y[:, t], wanted)


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_split_changes_nothing(cut: int) -> None:
    layer, x = made()
    whole, after, _ = layer(x)
    first, state, _ = layer(x[:, :cut])
    second, end, _ = layer(x[:, cut:], state)
    assert torch.allclose(torch.cat((first, second), 1), whole)
    assert torch.equal(end["tail"], after["tail"])
    assert end.seen == 7


def test_padding_is_as_if_nothing_were_there() -> None:
    layer, x = made()
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[:, :2] = False
    padded, _, aux = layer(x, mask=mask)
    assert torch.allclose(padded[:, 2:], layer(x[:, 2:])[0])
    assert aux.written is not None
    assert torch.equal(aux.written, mask)


def test_reading_alone_leaves_the_state_and_writing_alone_says_nothing() -> None:
    layer, x = made()
    _, state, _ = layer(x[:, :4])
    y, same, _ = layer(x[:, 4:], state, write=False)
    assert same is state
    assert torch.allclose(y, layer(x[:, 4:], state)[0])
    silent, after, _ = layer(x[:, 4:], state, read=False)
    assert not silent.any()
    assert torch.equal(after["tail"], x[:, -2:])


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        ShortConv(4, width=0)
