"""Every metric against values worked out by hand, and what must hold for any input."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemic.bench import metrics

IDS = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


def test_distinct_keeps_first_places():
    assert metrics.distinct(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]


def test_recall_is_a_fraction():
    assert metrics.recall(["a", "x", "b"], ["a", "b", "c", "d"]) == 0.5
    assert metrics.recall([], ["a"]) == 0.0


def test_recall_without_gold_counts_one_as_locomo_does():
    assert metrics.recall(["a"], []) == 1.0


def test_any_and_all():
    assert metrics.hit_any(["x", "a"], ["a", "b"]) == 1.0
    assert metrics.hit_any(["x"], ["a"]) == 0.0
    assert metrics.hit_all(["x", "a"], ["a", "b"]) == 0.0
    assert metrics.hit_all(["b", "x", "a"], ["a", "b"]) == 1.0


@given(IDS, IDS.filter(bool))
def test_all_is_at_most_the_fraction_and_the_fraction_at_most_any(found, gold):
    assert metrics.hit_all(found, gold) <= metrics.recall(found, gold) <= metrics.hit_any(found, gold)


def test_dcg_gives_ranks_one_and_two_the_same_weight():
    assert metrics.dcg([1, 0]) == metrics.dcg([0, 1]) == 1.0
    assert metrics.dcg([0, 0, 1]) == pytest.approx(1 / math.log2(3))


def test_ndcg_by_hand():
    # relevances 0 1 1: 0 + 1/log2(2) + 1/log2(3) = 1.63093 against the ideal 1 + 1/log2(2) = 2
    assert metrics.ndcg(["x", "a", "b"], ["a", "b"], 10) == pytest.approx(1.6309297535714573 / 2)
    assert metrics.ndcg(["x", "a", "b"], ["a", "b"], 2) == 0.5
    assert metrics.ndcg(["a"], [], 5) == 0.0


@given(IDS, IDS.filter(bool), st.integers(1, 10))
def test_ndcg_lies_between_zero_and_one_and_gold_first_is_ideal(ranking, gold, k):
    assert 0.0 <= metrics.ndcg(ranking, gold, k) <= 1.0 + 1e-9
    assert metrics.ndcg([*gold, "z"], gold, k) == pytest.approx(1.0)


def test_r_precision_and_reciprocal_rank():
    assert metrics.r_precision(["a", "x", "b"], ["a", "b"]) == 0.5
    assert metrics.r_precision(["x"], []) == 0.0
    assert metrics.reciprocal_rank(["x", "y", "a"], ["a", "b"]) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(["x"], ["a"]) == 0.0


def test_precision_and_f_by_hand():
    found, gold = ["a", "b", "c", "d"], ["a", "b", "e"]  # precision 1/2, recall 2/3
    assert metrics.precision(found, gold) == 0.5
    assert metrics.f_beta(found, gold) == pytest.approx(4 / 7)
    assert metrics.f_beta(found, gold, 2.0) == pytest.approx(0.625)
    assert metrics.precision([], gold) == metrics.f_beta([], gold) == metrics.f_beta(["x"], gold) == 0.0


def test_auroc_counts_pairs_and_ties_half():
    assert metrics.auroc([0.9, 0.8, 0.4, 0.3], [True, False, True, False]) == 0.75
    assert metrics.auroc([0.5, 0.5], [True, False]) == 0.5
    assert metrics.auroc([0.9, 0.5, 0.5, 0.1], [True, True, False, False]) == pytest.approx(3.5 / 4)
    assert math.isnan(metrics.auroc([0.1, 0.2], [True, True]))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auroc_is_the_share_of_pairs_in_order(rows):
    pairs = [(a, b) for a, t in rows if t for b, u in rows if not u]
    if pairs:
        assert metrics.auroc([s / 5 for s, _ in rows], [t for _, t in rows]) == pytest.approx(
            sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
        )


def test_ece_by_hand():
    # bin 0.9..1: 1.9 told, 1 true; bin 0..0.1: 0.1 told, 0 true; (0.9 + 0.1) / 4
    assert metrics.ece([0.95, 0.95, 0.05, 0.05], [True, False, False, False]) == pytest.approx(0.25)
    assert metrics.ece([1.0, 0.0], [True, False]) == 0.0


def test_answer_tokens_are_normalised_as_locomo_does():
    assert metrics.normalised("The cats, and a DOG's running!") == ["cat", "dog", "run"]


def test_token_f1_by_hand():
    assert metrics.token_f1("the cats sat", "a cat sits") == 0.5  # cat sat / cat sit
    assert metrics.token_f1("blue blue car", "blue car") == pytest.approx(4 / 5)
    assert metrics.token_f1("", "x") == 0.0


def test_locomo_answers_by_category():
    assert metrics.locomo_answer("hiking, painting", "painting, swimming", 1) == 0.5
    assert metrics.locomo_answer("yes", "Yes; she said so twice", 3) == 1.0
    assert metrics.locomo_answer("yes", "Yes; she said so twice", 4) < 1.0
    assert metrics.locomo_answer("No information available.", "", 5) == 1.0
    assert metrics.locomo_answer("In Paris", "", 5) == 0.0


def test_intervals_are_deterministic_and_hold_the_mean():
    values = [float(n % 3 == 0) for n in range(300)]
    low, high = metrics.interval(values, seed=1)
    assert (low, high) == metrics.interval(values, seed=1)
    assert low < 1 / 3 < high
    # standard error sqrt(2/9/300) = 0.0272: the interval is about 3.92 of them wide
    assert high - low == pytest.approx(3.92 * math.sqrt(2 / 9 / 300), rel=0.15)


def test_clusters_widen_the_interval():
    values = [1.0] * 50 + [0.0] * 50
    clusters = ["a"] * 50 + ["b"] * 50
    assert metrics.interval(values, clusters) == (0.0, 1.0)
    low, high = metrics.interval(values)
    assert 0.35 < low < high < 0.65


def test_clusters_of_unequal_size_weigh_by_their_items():
    values, clusters = [1.0, 0.0, 0.0, 0.0], ["a", "b", "b", "b"]
    low, high = metrics.interval(values, clusters)
    assert (low, high) == (0.0, 1.0)
    assert metrics.interval([0.5] * 4, clusters) == (0.5, 0.5)


def test_paired_differences_cancel_what_is_hard_for_both():
    hard = [0.0, 1.0] * 50
    gap, low, high = metrics.paired([h + 0.1 for h in hard], hard)
    assert gap == pytest.approx(0.1)
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.1)
    with pytest.raises(ValueError, match="same items"):
        metrics.paired([1.0], [])


def test_unpaired_differences():
    gap, low, high = metrics.unpaired([1.0] * 30, [0.0, 1.0] * 15)
    assert gap == 0.5
    assert 0.2 < low < 0.5 < high < 0.8


def test_clusters_of_two_samples_are_drawn_whole() -> None:
    ours, theirs = [0.0] * 10 + [1.0] * 10 + [0.5] * 10, [0.0, 1.0] * 15
    years = [str(i // 10) for i in range(30)]
    _, low, high = metrics.unpaired(ours, theirs)
    _, lower, higher = metrics.unpaired(ours, theirs, (years, ["one"] * 30))
    assert higher - lower > 1.5 * (high - low)
    assert metrics.unpaired(ours, theirs, (["one"] * 30, ["one"] * 30)) == metrics.unpaired(ours, theirs)


def test_resampling_a_statistic():
    scores, truth = [n / 100 for n in range(100)], [n >= 50 for n in range(100)]
    assert metrics.resampled(metrics.auroc, scores, truth, resamples=50) == (1.0, 1.0)
    low, high = metrics.resampled(metrics.auroc, scores, [n % 2 == 0 for n in range(100)], resamples=200)
    assert low < 0.5 < high


def test_percentiles():
    assert metrics.percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.5
    assert math.isnan(metrics.percentile([], 50))
    low, high = metrics.percentile_interval([5.0] * 10, 95)
    assert (low, high) == (5.0, 5.0)


def test_nothing_has_no_mean():
    assert math.isnan(metrics.mean([]))
    assert all(math.isnan(bound) for bound in metrics.interval([]))
