"""Segments: the same numbers as the whole, gradients that reach as far as they should, and nothing kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from toy import Fading

from mnemic.errors import InputError
from mnemic.neural.backbone import Backbone
from mnemic.neural.runner import SegmentRunner
from mnemic.neural.tasks.base import Batch

_DRAWN = torch.Generator().manual_seed(0)
BATCH = Batch(
    torch.randint(11, (2, 12), generator=_DRAWN),
    torch.randint(11, (2, 12), generator=_DRAWN),
    torch.tensor([[False] * 8 + [True] * 4, [True, False] * 6]),
)


def gradients(segment: int | None, tbptt: int) -> tuple[float, list[Tensor]]:
    model = Backbone(11, 16, 2, Fading, conv=3).double()
    loss = SegmentRunner(model, segment, tbptt).backward(BATCH)
    return loss, [each.grad.clone() for each in model.parameters() if each.grad is not None]


def test_the_loss_is_the_mean_over_what_counts() -> None:
    logits, _ = Backbone(11, 16, 2, Fading, conv=3).double()(BATCH.tokens)
    mean = functional.cross_entropy(logits[BATCH.mask], BATCH.targets[BATCH.mask])
    assert gradients(None, 1)[0] == pytest.approx(mean.item(), abs=1e-6)


@pytest.mark.parametrize("segment", [1, 5, 12, 100])
def test_back_propagation_over_all_segments_is_that_of_the_whole(segment: int) -> None:
    loss, whole = gradients(None, 1)
    cut, pieces = gradients(segment, 12)
    assert cut == pytest.approx(loss, abs=1e-6)
    for a, b in zip(pieces, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7)


def test_truncation_changes_gradients_and_no_loss() -> None:
    loss, whole = gradients(None, 1)
    cut, pieces = gradients(3, 1)
    assert cut == pytest.approx(loss, abs=1e-6)
    assert any((a - b).abs().max() > 1e-4 for a, b in zip(pieces, whole, strict=True))


def test_gradients_reach_tbptt_segments_back_and_no_further() -> None:
    """A layer's weights get the gradient of a run from a state that is given, which is what truncation means."""
    model = Backbone(11, 16, 1, Fading).double()
    late = Batch(BATCH.tokens, BATCH.targets, torch.tensor([[False] * 8 + [True] * 4] * 2))
    SegmentRunner(model, 4, 1).backward(late)
    got = {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}
    model.zero_grad()
    _, states = model(late.tokens[:, :8])
    logits, _ = model(late.tokens[:, 8:], [state.detach() for state in states])
    functional.cross_entropy(logits.transpose(1, 2), late.targets[:, 8:]).backward()
    for name, each in model.named_parameters():
        torch.testing.assert_close(got[name], each.grad, rtol=0, atol=1e-7)


@pytest.mark.parametrize("segment", [None, 1, 5])
def test_judging_in_segments_is_judging_the_whole(segment: int | None) -> None:
    model = Backbone(11, 16, 2, Fading, conv=3).double()
    logits, _ = model(BATCH.tokens)
    nats, right = SegmentRunner(model, segment).judge(BATCH)
    picked = -logits.log_softmax(-1).gather(-1, BATCH.targets[..., None])[..., 0]
    torch.testing.assert_close(nats.double(), picked, rtol=0, atol=1e-5)
    assert torch.equal(right, logits.argmax(-1) == BATCH.targets)
    assert model.training, "judging changed the mode"


def test_a_stream_is_read_as_it_comes() -> None:
    model = Backbone(11, 16, 2, Fading, conv=3).double()
    asked = []

    def pieces() -> Iterator[Tensor]:
        for n, piece in enumerate(BATCH.tokens.split([2, 7, 3], 1)):
            asked.append(n)
            yield piece

    made = []
    for logits in SegmentRunner(model, 4).stream(pieces()):
        made.append(logits)
        if len(made) == 1:
            assert asked == [0], "the stream was read ahead"
    assert [each.shape[1] for each in made] == [2, 4, 3, 3]
    assert not any(each.requires_grad for each in made)
    torch.testing.assert_close(torch.cat(made, 1), model(BATCH.tokens)[0], rtol=0, atol=1e-12)


def test_a_batch_without_answers_gives_no_gradient() -> None:
    model = Backbone(11, 16, 1, Fading)
    assert SegmentRunner(model).backward(Batch(BATCH.tokens, BATCH.targets, torch.zeros_like(BATCH.mask))) == 0
    assert all(each.grad is None for each in model.parameters())


def test_sizes_below_one_are_refused() -> None:
    model = Backbone(11, 16, 1, Fading)
    for wrong in ({"segment": 0}, {"tbptt": 0}):
        with pytest.raises(InputError):
            SegmentRunner(model, **wrong)
