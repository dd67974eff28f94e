"""Speculative decoding: exact without transfer, whatever the drafter; and transfer moves what it should."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from models import make, text, tiny

from mnemic.attention.policies.lambda_window import LambdaWindow
from mnemic.attention.policy import FullAttention
from mnemic.attention.sample import Sampling
from mnemic.attention.session import attach
from mnemic.attention.speculate import SpeculativeDecoder, Transfer, judge, passages
from mnemic.errors import InputError

DRAWS = 20_000


def distribution(transfer: Transfer, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How often each token comes first when one token is drafted from q and judged by p: (found, p, q)."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 5, generator=g) * 1.5
    q = torch.randn(5, generator=g).mul(1.5).softmax(-1)
    counts: Counter[int] = Counter()
    drafts = torch.multinomial(q, DRAWS, replacement=True, generator=g).tolist()
    for token in drafts:
        counts[judge([token], q[None], logits, Sampling(1.0), transfer, g)[0]] += 1
    found = torch.tensor([counts[i] / DRAWS for i in range(5)])
    return found, logits[0].softmax(-1), q


def chi_square(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((DRAWS * (found - wanted).square() / wanted).sum())


@pytest.mark.parametrize("seed", range(3))
def test_without_transfer_tokens_are_distributed_as_the_target_writes_them(seed: int) -> None:
    found, p, q = distribution(Transfer(eta=0.0), seed)
    assert chi_square(found, p) < 18.5  # 0.1 % of the chi-square distribution with 4 degrees of freedom
    assert chi_square(found, q) > 18.5  # and the test would notice if they were the drafter's


def test_transfer_moves_the_output_towards_the_drafter() -> None:
    found, p, q = distribution(Transfer(eta=10.0), 0)
    kl = torch.nn.functional.kl_div
    assert chi_square(found, p) > 18.5
    assert float(kl(found.clamp_min(1e-6).log(), q, reduction="sum")) < float(kl(p.log(), q, reduction="sum"))


def test_the_transfer_is_the_gradient_of_distillation() -> None:
    z = torch.randn(6, generator=torch.Generator().manual_seed(1), requires_grad=True)
    q = torch.tensor([0.5, 0.3, 0.1, 0.06, 0.03, 0.01])
    loss = -(q * z.log_softmax(-1)).sum()
    (gradient,) = torch.autograd.grad(loss, z)
    moved = Transfer(eta=2.0, alpha=0.0).moved(z.detach(), q)
    assert torch.allclose(moved, z.detach() - 2.0 * gradient, atol=1e-6)
    kept = Transfer(eta=2.0, alpha=0.1).moved(z.detach(), q)
    assert torch.equal(kept[4:], z.detach()[4:])  # what the drafter finds implausible is not judged by it
    assert torch.allclose(kept[:4], moved[:4])


@pytest.mark.parametrize("ahead", [1, 4, 9])
def test_greedy_writing_is_the_targets_own_whoever_drafts(ahead: int) -> None:
    ids = text(30)
    other = make("llama")
    with torch.no_grad():
        other.lm_head.weight.add_(0.02 * torch.randn(other.lm_head.weight.shape, generator=torch.Generator()))
    with attach(tiny(), FullAttention()) as target, attach(other, LambdaWindow(24, 2)) as drafter:
        target.prefill(ids)
        drafter.prefill(ids[-12:])
        wanted = target.fork().generate(25, stop=[])[0]
        decoder = SpeculativeDecoder(target, drafter, ahead=ahead)
        assert decoder.generate(25) == wanted
        assert target.rows[0].ids[30:][:25] == wanted
        assert drafter.rows[0].ids[12:] == target.rows[0].ids[30:]


def test_a_model_that_drafts_for_itself_is_always_accepted() -> None:
    with attach(tiny(), FullAttention()) as target:
        target.prefill(text(30))
        decoder = SpeculativeDecoder(target, target.fork(), ahead=4)
        written = decoder.generate(24, stop=[])
        assert decoder.accepted == decoder.drafted
        assert decoder.forwards < len(written) / 3


def test_it_stops_where_it_is_told_and_streams_what_it_writes() -> None:
    with attach(tiny(), FullAttention()) as target:
        target.prefill(text(30))
        wanted = target.fork().generate(12, stop=[])[0]
        streamed: list[int] = []
        decoder = SpeculativeDecoder(target.fork(), target.fork(), ahead=3)
        end = wanted[7]
        cut = wanted[: wanted.index(end)]
        assert decoder.generate(12, stop=[end], stream=streamed.extend) == cut == streamed


def test_passages_that_share_rare_tokens_come_in_the_order_of_the_text() -> None:
    noise = [int(i) for i in torch.randint(10, 60, (400,), generator=torch.Generator().manual_seed(0))]
    noise[45], noise[333] = 99, 98
    found = passages(noise, [98, 99, 11], size=20, budget=40)
    assert found == noise[40:60] + noise[320:340]


def test_misuse_is_told() -> None:
    with attach(tiny(), FullAttention()) as target:
        with pytest.raises(InputError, match="one row"):
            SpeculativeDecoder(target, target.fork())
        target.prefill([3, 4])
        with pytest.raises(InputError, match="ahead"):
            SpeculativeDecoder(target, target.fork(), ahead=0)
