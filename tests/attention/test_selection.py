"""The parts of HiP and ThinK by hand: the tree search against a plain top-k, channels against their formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models import plain, text, tiny

from mnemic.attention.policies.channel_prune import ChannelPrune, best, weighted
from mnemic.attention.policies.hierarchical_topk import HierarchicalTopK, search
from mnemic.attention.session import attach
from mnemic.errors import InputError


def smooth(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Keys [1, n, d] that change slowly, as HiP expects of real ones."""
    g = torch.Generator().manual_seed(seed)
    steps = torch.randn(n, d, generator=g).cumsum(0)
    return (steps / steps.norm(dim=1, keepdim=True))[None]


def test_the_search_chooses_as_many_keys_as_it_may_and_never_the_future() -> None:
    keys, q = smooth(300, 8), torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1))
    found = search(q, keys, 200, 32, 2)
    assert found.shape == (2, 200)
    assert (found.sum(1) <= 32).all()
    assert (found.sum(1) >= 24).all()
    assert search(q, keys, 30, 32, 2).all()


def test_where_neighbours_are_alike_the_search_finds_most_of_the_best_keys_with_few_comparisons() -> None:
    hits = []
    for seed in range(8):
        keys = smooth(512, 16, seed)
        q = keys[:, 100:101] + 0.1 * torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(seed))
        wanted = (q @ keys.transpose(1, 2))[0, 0].topk(32).indices
        hits.append(float(search(q, keys, 512, 64, 2)[0, wanted].float().mean()))
    assert sum(hits) / len(hits) > 0.8


def test_where_neighbours_are_not_alike_the_search_is_little_better_than_chance() -> None:
    """The control of the claim: attention locality is what it rests on."""
    hits = []
    for seed in range(8):
        g = torch.Generator().manual_seed(seed)
        keys, q = torch.randn(1, 512, 16, generator=g), torch.randn(1, 1, 16, generator=g)
        wanted = (q @ keys.transpose(1, 2))[0, 0].topk(32).indices
        hits.append(float(search(q, keys, 512, 64, 2)[0, wanted].float().mean()))
    assert sum(hits) / len(hits) < 0.6


def test_a_search_serves_as_many_steps_as_it_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    import mnemic.attention.policies.hierarchical_topk as module

    calls = []
    monkeypatch.setattr(module, "search", lambda *a: calls.append(1) or search(*a))
    with attach(tiny(), HierarchicalTopK(keys=8, sinks=1, window=4, dense=2, refresh=4)) as session:
        session.prefill(text(40), chunk=40)
        calls.clear()
        session.generate(9, stop=[])
    assert len(calls) == 2  # one sparse layer; the prompt's last search serves three steps more, then every fourth


def test_a_dense_prefill_is_the_model_itself() -> None:
    wanted = plain(tiny(), text(60))[-1]
    with attach(tiny(), HierarchicalTopK(keys=8, sinks=1, window=4, dense=0, refresh=4, prefill="dense")) as session:
        assert torch.allclose(session.prefill(text(60), chunk=60)[0], wanted, atol=1e-4)


def test_channels_are_judged_by_what_they_can_move() -> None:
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(4, 5, 8, generator=g), torch.randn(2, 30, 8, generator=g)
    moved = torch.zeros(2, 8)
    for h in range(4):
        for c in range(8):
            moved[h // 2, c] += torch.outer(q[h, :, c], k[h // 2, :, c]).square().sum()
    wanted = moved.topk(5, dim=1).indices.sort(dim=1).values
    assert torch.equal(ChannelPrune(ratio=0.4).judge(q, k), wanted)
    pairs = ChannelPrune(ratio=0.5, pairwise=True).judge(q, k)
    assert torch.equal(pairs[:, 2:], pairs[:, :2] + 4)


def test_value_channels_are_judged_by_what_they_add() -> None:
    weights, v = torch.ones(1, 1, 2, 3) / 3, torch.zeros(1, 3, 4)
    v[0, :, 2] = 1.0
    v[0, 1, 0] = 0.5
    assert best(weighted(weights, v), 0.5).tolist() == [[0, 2]]


def test_memory_is_really_saved_and_later_keys_are_whole() -> None:
    sizes = {}
    for ratio in (0.0, 0.5):
        with attach(tiny(), ChannelPrune(ratio=ratio, recent=8)) as session:
            session.prefill(text(200), chunk=200)
            layer = session.rows[0].layers[1]
            sizes[ratio] = sum(tape.k.nbytes for tape in layer.tapes.values() if len(tape))
            session.generate(4, stop=[])
            if ratio:
                assert layer.tape("pruned").k.shape == (2, 192, 4)
                assert len(session.rows[0].layers[1].tape("local")) == 12
    assert sizes[0.5] == pytest.approx(sizes[0.0] * (192 * 0.5 + 8) / 200)


def test_pairwise_and_plain_pruning_agree_where_they_keep_the_same_channels() -> None:
    """Pairs that are cut un-rotated and turned afterwards are pairs that were turned before they were cut."""
    with attach(tiny(), ChannelPrune(ratio=0.5, recent=4, pairwise=True)) as session:
        session.prefill(text(50), chunk=50)
        kept = [layer.extra["channels"] for layer in session.rows[0].layers]
        session.forward([[7]])
        turned_later = session.logits
    with attach(tiny(), ChannelPrune(ratio=0.5, recent=4)) as session:
        session.forward([text(50)])
        for layer, channels in zip(session.rows[0].layers, kept, strict=True):
            layer.extra["channels"] = channels
        session._end_prefill()
        session.forward([[7]])
        assert torch.allclose(session.logits, turned_later, atol=1e-4)


@pytest.mark.parametrize(
    ("policy", "bad"),
    [
        (ChannelPrune, {"ratio": 1.0}),
        (ChannelPrune, {"values": -0.1}),
        (ChannelPrune, {"observed": 0}),
        (HierarchicalTopK, {"keys": 3}),
        (HierarchicalTopK, {"refresh": 999}),
        (HierarchicalTopK, {"prefill": "damp"}),
    ],
)
def test_settings_that_make_no_sense_are_refused(policy: Any, bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        policy(**bad)
