"""The parts of InfLLM and EM-LLM by hand: blocks, tiers, boundaries, the contiguity buffer; and SirLLM's evictions."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import text, tiny

from mnemic.attention.blocks import Blocks
from mnemic.attention.boundaries import MEASURES, refine, splits, splits_reference
from mnemic.attention.cache import Layer, Row
from mnemic.attention.policies.block_retrieval import BlockRetrieval
from mnemic.attention.policies.event_retrieval import EventRetrieval
from mnemic.attention.policies.surprisal_eviction import SurprisalEviction
from mnemic.attention.session import attach
from mnemic.attention.surprise import repetition, surprisals
from mnemic.attention.votes import VOTERS, VOTES, known_by, mean, peak
from mnemic.errors import InputError


def block(seed: int, n: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 8, generator=g), torch.randn(2, n, 8, generator=g), torch.randn(6, 1, 8, generator=g)


@pytest.mark.parametrize("tier", ["memory", "host", "disk"])
def test_blocks_come_back_as_they_went(tier: str) -> None:
    held = Blocks(tier, cached=2)
    made = [block(i) for i in range(5)]
    for i, (k, v, r) in enumerate(made):
        held.append(k, v, r, (4 * i, 4 * i + 4))
    k, v = held.take([1, 3], torch.device("cpu"))
    assert torch.equal(k, torch.cat([made[1][0], made[3][0]], 1))
    assert torch.equal(v, torch.cat([made[1][1], made[3][1]], 1))
    again = Blocks.restored(held.state(), tier, 2)
    assert torch.equal(again.take([4], torch.device("cpu"))[0], made[4][0])
    assert again.representative is not None
    assert torch.equal(again.representative, torch.stack([r for _, _, r in made], dim=1))


def test_retrieved_tokens_stand_at_the_edge_of_the_window() -> None:
    policy = BlockRetrieval(window=16, sinks=2, block=4, blocks=3, piece=8)
    with attach(tiny(), policy) as session, torch.inference_mode():
        session.prefill(text(80))
        row, x = session.rows[0], torch.randn(6, 1, 8)
        found = policy.segments(row.layers[0], row, x, x[:2], x[:2], torch.tensor([80]))
    far = next(segment for segment in found if segment.tag == "retrieved")
    assert (far.q_pos, far.k_pos, len(far)) == (16, 0, 12)
    assert far.at is not None
    assert far.at.tolist() == sorted(far.at.tolist())


def test_the_block_that_was_read_longest_ago_leaves_the_cache_first() -> None:
    held = Blocks("disk", cached=2)
    for i in range(4):
        held.append(*block(i), (i, i + 1))
    for i in (0, 1, 0, 2, 0, 1):
        held.take([i], torch.device("cpu"))
    assert held.loads == 4  # 0, 1, 2, and 1 again; 0 was used all the time
    assert held.resident == 8


def test_the_disk_tier_holds_files_as_long_as_somebody_reads_them() -> None:
    held = Blocks("disk")
    held.append(*block(0), (0, 4))
    assert held.folder is not None
    where = Path(held.folder._held.name)
    fork = held.fork()
    del held
    gc.collect()
    assert len(list(where.iterdir())) == 1
    del fork
    gc.collect()
    assert not where.exists()


@pytest.mark.parametrize("vote", VOTES)
def test_a_block_that_matches_is_read_and_the_others_are_not(vote: str) -> None:
    policy = BlockRetrieval(window=16, sinks=2, block=4, blocks=2, representatives=2, piece=8, vote=vote)
    with attach(tiny(), policy) as session:
        session.prefill(text(60))
        row = session.rows[0]
        layer = row.layers[1]
        held = policy.held(layer).representative
        assert held is not None
        assert held.shape[1] > 5
        row.extra.pop("votes", None)
        wanted = held[:, 3, 0].repeat_interleave(6 // len(held), dim=0)[:, None] * 10
        chosen = policy.choose(layer, policy.scores(layer, row, wanted, held))
        assert 3 in chosen
        assert len(chosen) == 2


def test_peaks_are_the_largest_shares_of_attention_that_any_head_would_give() -> None:
    g = torch.Generator().manual_seed(0)
    q, sinks = torch.randn(4, 3, 8, generator=g), torch.randn(2, 2, 8, generator=g)
    held = torch.randn(2, 5, 3, 8, generator=g)
    wanted = torch.zeros(5)
    for head in range(4):
        keys = torch.cat((sinks[head // 2], held[head // 2].flatten(0, 1)))
        for query in q[head]:
            shares = ((keys @ query) * 8**-0.5).softmax(0)[2:].view(5, 3)
            wanted = torch.maximum(wanted, shares.amax(1))
    assert torch.allclose(peak(q, held, sinks), wanted, atol=1e-6)
    assert float(peak(q, held).sum()) > float(wanted.sum())  # nothing goes to sinks
    more = torch.randn(4, VOTERS, 8, generator=g)
    assert torch.equal(peak(torch.cat((q, more), dim=1), held, sinks), peak(more, held, sinks))


def test_one_head_that_knows_outvotes_many_that_do_not_only_by_peaks() -> None:
    q, held = torch.zeros(4, 1, 8), torch.zeros(2, 3, 1, 8)
    q[0, 0, 0], held[0, 1, 0, 0] = 20.0, 1.0  # the first head seeks block 1
    q[1:, 0, 1], held[:, 2, 0, 1] = 8.0, 1.0  # the others lean towards block 2
    each = held.repeat_interleave(2, dim=0)
    assert int(mean(q, each).argmax()) == 2
    assert int(peak(q, held).argmax()) == 1


def test_heads_of_a_group_share_the_representatives_for_peaks() -> None:
    k = torch.randn(2, 3, 8)
    mass = torch.zeros(6, 3)
    mass[0, 0], mass[1, 2], mass[2, 2], mass[3:, 1], mass[5, 0] = 4.0, 3.0, 3.0, 1.0, 0.5
    found = known_by("peak", k, mass, 2)
    assert torch.equal(found, torch.stack((k[0, [2, 0]], k[1, [1, 0]])))
    assert torch.equal(known_by("peak", k, mass, 5)[:, 3:], found[:, :1].expand(-1, 2, -1))  # the block has only three


def test_votes_of_all_layers_are_pooled_and_fade() -> None:
    policy = BlockRetrieval(window=16, sinks=2, block=4, blocks=2, piece=8, fade=0.5)
    with attach(tiny(), policy) as session:
        session.prefill(text(60))
        row = session.rows[0]
        before = row.extra["votes"]
        held = policy.held(row.layers[0]).representative
        assert held is not None
        with torch.inference_mode():
            low = policy.scores(row.layers[0], row, torch.randn(6, 1, 8) * 9, held)
            high = policy.scores(row.layers[1], row, torch.zeros(6, 1, 8), held)
        assert bool((low >= torch.cat((before, before.new_zeros(len(low) - len(before))))).all())
        assert bool((high >= low).all())
        policy.after_forward(row, torch.tensor([], dtype=torch.long), torch.zeros(1, 1))
        assert torch.allclose(row.extra["votes"], high * 0.5)


def test_representatives_are_the_keys_that_got_most_attention() -> None:
    policy = BlockRetrieval(window=4, sinks=0, block=4, representatives=2, vote="mean")
    layer = Layer(0)
    k, v, _ = block(0, 8)
    layer.tape("local").append(k, v, torch.arange(8))
    score = torch.zeros(6, 8)
    score[:, 1], score[:, 3] = 5.0, 7.0
    layer.extra["score"] = score
    policy.put_away(layer, 4)
    held = policy.held(layer)
    assert held.representative is not None
    assert torch.allclose(held.representative[0, 0, 0], (k[0, 1] + k[0, 3]) / 2)
    assert torch.allclose(held.representative[5, 0, 0], (k[1, 1] + k[1, 3]) / 2)
    assert held.spans == [(0, 4)]
    assert layer.tape("local").pos.tolist() == [4, 5, 6, 7]


# -- EM-LLM ---------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 14), st.sampled_from(MEASURES))
def test_prefix_sums_are_the_formulas(seed: int, n: int, measure: str) -> None:
    g = torch.Generator().manual_seed(seed)
    keys = torch.randn(n, 4, generator=g, dtype=torch.float64).abs()
    weights = keys @ keys.T
    assert torch.allclose(splits(weights, measure), splits_reference(weights, measure), atol=1e-9)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_boundary_moves_to_where_the_keys_part(measure: str) -> None:
    a, b = torch.eye(8)[0], torch.eye(8)[1]
    keys = torch.stack([*[a] * 17, *[b] * 23])[None] + 0.05
    assert refine(keys, [20], 4, measure) == [17]


def test_boundaries_keep_their_order_and_distance() -> None:
    keys = torch.randn(3, 100, 8, generator=torch.Generator().manual_seed(1))
    moved = refine(keys, [3, 20, 22, 50, 90], 5, "modularity")
    assert len(moved) <= 4
    assert all(b - a >= 5 for a, b in zip([0, *moved], moved, strict=False))


def row_of(policy: EventRetrieval, tokens: int) -> Row:
    with attach(tiny(), policy) as session:
        found = Row.new(session.anatomy)
    k, v, _ = block(0, tokens)
    for layer in found.layers:
        layer.tape("local").append(k, v, torch.arange(tokens))
    found.ids = [1] * tokens
    return found


def test_events_begin_where_a_token_surprises() -> None:
    policy = EventRetrieval(window=30, sinks=0, refine="none", gamma=1.0, shortest=2, block=16)
    row = row_of(policy, 12)
    found = torch.ones(12)
    found[[4, 9]] = 9.0
    policy.mark(row, found)
    assert row.extra["events"] == [4, 9]
    assert policy.cuts(row, 1) == []
    short = EventRetrieval(window=2, sinks=0, refine="none", shortest=2, block=16)
    assert short.cuts(row, 1) == [4, 5]
    assert row.extra["events"] == []


def test_long_events_are_split_and_short_ones_joined() -> None:
    policy = EventRetrieval(window=2, sinks=0, refine="none", shortest=3, block=4)
    row = row_of(policy, 20)
    row.extra["events"] = [1, 11, 13]
    assert policy.cuts(row, 1) == [4, 4, 3, 4]  # 0-11 split (1 is too near), 13 joined to what follows, cut at 4


def test_neighbours_of_what_was_recalled_stay_for_a_while() -> None:
    policy = EventRetrieval(window=30, memory=20, contiguity=0.5, refine="none", block=8, shortest=1)
    layer = Layer(0)
    held = policy.held(layer)
    for i in range(6):
        k, v, r = block(i, 5)
        held.append(k, v, r, (5 * i, 5 * i + 5))
    # Ten tokens of matches (3, 0), ten of neighbours: 4, 2 and 1 came to mind in this order, and 4 has left again.
    assert policy.choose(layer, torch.tensor([0.1, 0.0, 0.0, 1.0, 0.0, 0.0])) == [0, 1, 2, 3]
    assert layer.extra["queue"] == [2, 1]
    assert policy.choose(layer, torch.tensor([0.1, 0.0, 0.0, 0.0, 0.0, 1.0])) == [0, 1, 4, 5]


@pytest.mark.parametrize(
    "bad",
    [
        {"shortest": 0},
        {"contiguity": 1.0},
        {"refine": "taste"},
        {"tier": "cloud"},
        {"window": 0},
        {"vote": "hand"},
        {"fade": 2.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        EventRetrieval(**bad)


# -- SirLLM ---------------------------------------------------------------------------------------------------------


def test_surprisal_is_what_the_formula_says_across_forwards() -> None:
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([3, 1, 6, 2])
    row = Row(None, [])  # type: ignore[arg-type]
    found = surprisals(row, ids, logits)
    wanted = [-logits[i].log_softmax(-1)[ids[i + 1]] for i in range(3)]
    assert torch.allclose(found[1:], torch.stack(wanted))
    assert found[0] == max(wanted)
    row.last = torch.randn(7)
    assert torch.allclose(surprisals(row, ids, logits)[0], -row.last.log_softmax(-1)[3])
    published = repetition(row, ids, logits)
    assert torch.allclose(published[2], -logits[1].log_softmax(-1)[1])


def test_the_surprising_and_the_first_tokens_stay_in_their_order() -> None:
    policy = SurprisalEviction(capacity=8, sinks=2)
    row = row_of(EventRetrieval(window=30), 8)
    row.extra["surprisal"] = torch.tensor([0.0, 0.0, 5.0, 1.0, 9.0, 2.0, 7.0, 2.0])
    policy.before_forward(row, 3)
    assert [layer.tape().pos.tolist() for layer in row.layers] == [[0, 1, 2, 4, 6]] * 3
    assert row.extra["surprisal"].tolist() == [0, 0, 5, 9, 7]


def test_of_equally_surprising_tokens_the_later_stays() -> None:
    policy = SurprisalEviction(capacity=6, sinks=1, recent=1)
    row = row_of(EventRetrieval(window=30), 6)
    row.extra["surprisal"] = torch.ones(6)
    policy.before_forward(row, 2)
    assert row.layers[0].tape().pos.tolist() == [0, 3, 4, 5]


def test_memories_fade_with_every_turn_that_follows() -> None:
    with attach(tiny(), SurprisalEviction(capacity=60, decay=0.5)) as session:
        session.prefill(text(10))
        first = session.rows[0].extra["surprisal"].clone()
        session.generate(2, stop=[])
        written = session.rows[0].extra["surprisal"][10:].clone()
        session.prefill(text(5))
        now = session.rows[0].extra["surprisal"]
        assert torch.allclose(now[:10], first / 2)
        assert torch.allclose(now[10:12], written / 2)  # the turn that just ended fades too
        session.prefill(text(5))
        assert torch.allclose(session.rows[0].extra["surprisal"][:10], first / 4)
