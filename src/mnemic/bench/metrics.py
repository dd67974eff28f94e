"""Metrics as pure functions: rankings and gold in, numbers out. Each is as its source computes it, oddities included.

Rankings are sequences of ids, best first, without repeats (:func:`distinct` makes them so).
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import Stemmer
from numpy.typing import NDArray

RESAMPLES = 1000
_WORD = re.compile(r"[^\W_]+")
_ARTICLES = re.compile(r"\b(a|an|the|and)\b")


def distinct(ids: Iterable[str]) -> list[str]:
    """``ids`` without repeats, each at its first place."""
    return list(dict.fromkeys(ids))


# -- rankings --------------------------------------------------------------------------------------------------------


def recall(found: Iterable[str], gold: Sequence[str]) -> float:
    """The share of ``gold`` that was found. LoCoMo's evidence recall (task_eval/evaluation.py) is this fraction.

    Without gold it is 1.0, as LoCoMo's code counts questions without evidence; suites leave those out instead and
    report how many they are.
    """
    return len(set(gold) & set(found)) / len(set(gold)) if gold else 1.0


def hit_any(found: Iterable[str], gold: Sequence[str]) -> float:
    """LongMemEval's recall_any (eval_utils.py): 1 if anything gold was found. What vendors mostly quote."""
    return float(not set(gold).isdisjoint(found))


def hit_all(found: Iterable[str], gold: Sequence[str]) -> float:
    """LongMemEval's recall_all: 1 if everything gold was found. What the paper calls Recall@k."""
    return float(set(gold) <= set(found))


def dcg(relevance: Sequence[float]) -> float:
    """LongMemEval's DCG: rel[0] + sum over i >= 1 of rel[i] / log2(i + 1).

    Not the standard one (log2(i + 2)): here ranks 1 and 2 both have weight one.
    """
    return sum(rel if i == 0 else rel / math.log2(i + 1) for i, rel in enumerate(relevance))


def ndcg(ranking: Sequence[str], gold: Sequence[str], k: int) -> float:
    """LongMemEval's ndcg_any@k: binary relevance, :func:`dcg` over the ideal order's; 0 without gold."""
    wanted = set(gold)
    ideal = dcg([1.0] * min(k, len(wanted)))
    return dcg([float(id in wanted) for id in ranking[:k]]) / ideal if ideal else 0.0


def r_precision(ranking: Sequence[str], gold: Sequence[str]) -> float:
    """Precision after as many as there are gold: needs no k where gold is a whole session."""
    wanted = set(gold)
    return len(wanted & set(ranking[: len(wanted)])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranking: Sequence[str], gold: Sequence[str]) -> float:
    """1 / rank of the first gold id, 0 if none was found."""
    wanted = set(gold)
    return next((1 / rank for rank, id in enumerate(ranking, 1) if id in wanted), 0.0)


# -- sets ------------------------------------------------------------------------------------------------------------


def precision(found: Sequence[str], gold: Sequence[str]) -> float:
    """The share of what was found that is gold; 0 where nothing was found."""
    return len(set(found) & set(gold)) / len(set(found)) if found else 0.0


def f_beta(found: Sequence[str], gold: Sequence[str], beta: float = 1.0) -> float:
    """Weighted harmonic mean of precision and recall; ``beta`` 2 weighs recall four times as much (F2)."""
    p, r = precision(found, gold), recall(found, gold)
    return (1 + beta**2) * p * r / (beta**2 * p + r) if p and r else 0.0


# -- confidence ------------------------------------------------------------------------------------------------------


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Probability that a positive scores above a negative, ties half (Mann-Whitney). NaN without both classes."""
    x, y = np.asarray(scores, float), np.asarray(positive, bool)
    n, m = int(y.sum()), int((~y).sum())
    if not n or not m:
        return math.nan
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[inverse][y].sum() - n * (n + 1) / 2) / (n * m))


def ece(scores: Sequence[float], positive: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap of confidence and accuracy over equal-width bins."""
    x, y = np.asarray(scores, float), np.asarray(positive, float)
    which = np.minimum((x * bins).astype(int), bins - 1)
    return float(sum(abs(x[which == b].sum() - y[which == b].sum()) for b in range(bins)) / len(x)) if len(x) else 0.0


# -- answers ---------------------------------------------------------------------------------------------------------


def normalised(answer: str) -> list[str]:
    """LoCoMo's answer tokens: commas dropped, lower case, punctuation and a/an/the/and removed, Porter stems."""
    text = answer.replace(",", "").lower()
    text = "".join(c for c in text if c not in set(string.punctuation))
    stemmer = Stemmer.Stemmer("porter")
    return [str(stem) for stem in stemmer.stemWords(_ARTICLES.sub(" ", text).split())]


def token_f1(answer: str, gold: str) -> float:
    """F1 over the multisets of :func:`normalised` tokens."""
    ours, theirs = normalised(answer), normalised(gold)
    same = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * same / (len(ours) + len(theirs)) if same else 0.0


def locomo_answer(answer: str, gold: str, category: int) -> float:
    """LoCoMo's score of an answer by category (1 multi-hop, 2 temporal, 3 open, 4 single-hop, 5 adversarial).

    Multi-hop answers are split at commas and each gold part takes its best match; open ones count only what stands
    before a semicolon in the gold; an adversarial question is right when the answer says that there is none.
    """
    if category == 5:
        said = answer.lower()
        return float("no information available" in said or "not mentioned" in said)
    if category == 1:
        parts = [part.strip() for part in answer.split(",")]
        return mean([max(token_f1(part, each.strip()) for part in parts) for each in gold.split(",")])
    return token_f1(answer, gold.split(";")[0].strip() if category == 3 else gold)


def words(text: str) -> list[str]:
    """The words of ``text`` as ROUGE compares them: lower case, letters and digits of any script, no stemming."""
    return _WORD.findall(text.lower())


def rouge_n(text: str, reference: str, n: int) -> float:
    """ROUGE-N (Lin 2004) as F1 over the multisets of ``n``-grams of :func:`words`; 0 where either has none."""
    ours, theirs = (
        Counter(zip(*(found[i:] for i in range(n)), strict=False)) for found in (words(text), words(reference))
    )
    same = (ours & theirs).total()
    return 2 * same / (ours.total() + theirs.total()) if same else 0.0


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L (Lin 2004) as F1 (beta 1) of the longest common subsequence of :func:`words`."""
    ours, theirs = words(text), words(reference)
    row = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for j, other in enumerate(theirs, 1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(ours) + len(theirs)) if row[-1] else 0.0


# -- uncertainty -----------------------------------------------------------------------------------------------------


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else math.nan


def interval(
    values: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap percentile interval of the mean (Efron 1979), resampling ``clusters`` whole where they are given."""
    means = _means(np.asarray(values, float), clusters, seed, resamples)
    return _percentiles(means, level)


def paired(
    ours: Sequence[float],
    theirs: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Mean difference ``ours - theirs`` on the same items, and the bootstrap interval of it.

    Both must list the same items in the same order; the difference is resampled, so what is hard for both cancels.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"paired values must be of the same items: {len(ours)} against {len(theirs)}")
    gaps = np.asarray(ours, float) - np.asarray(theirs, float)
    return mean(gaps.tolist()), *_percentiles(_means(gaps, clusters, seed, resamples), level)


def resampled(
    of: Callable[[Sequence[float], Sequence[bool]], float],
    scores: Sequence[float],
    positive: Sequence[bool],
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap percentile interval of a statistic that is no mean, such as :func:`auroc`.

    Resamples in which the statistic is undefined (one class only) are left out.
    """
    rng = np.random.default_rng(seed)
    x, y = np.asarray(scores, float), np.asarray(positive, bool)
    members = _members(clusters, len(x))
    found = []
    for _ in range(resamples):
        picked = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        found.append(of(x[picked].tolist(), y[picked].tolist()))
    kept = np.asarray([value for value in found if not math.isnan(value)])
    return _percentiles(kept, level)


def unpaired(
    ours: Sequence[float],
    theirs: Sequence[float],
    clusters: tuple[Sequence[str], Sequence[str]] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Difference of the means of two independent samples, and its bootstrap interval (each resampled by itself).

    ``clusters`` of ours and theirs are drawn whole; a side with a single one is resampled item by item.
    """
    sides = [np.asarray(side, float) for side in (ours, theirs)]
    known = [each if len(set(each)) > 1 else None for each in clusters or ((), ())]
    first, second = (_means(sides[i], known[i], seed + i, resamples) for i in (0, 1))
    return mean(sides[0].tolist()) - mean(sides[1].tolist()), *_percentiles(first - second, level)


def permutation(
    ours: Sequence[float],
    theirs: Sequence[float],
    clusters: tuple[Sequence[str], Sequence[str]] | None = None,
    *,
    seed: int = 0,
    rounds: int = 10_000,
) -> float:
    """Two-sided p of the difference of means of two independent samples, if labels were drawn by lot (Fisher 1935).

    ``clusters`` of ours and theirs change sides whole; their numbers on each side stay. The observed order counts as
    one of the draws (Phipson and Smyth 2010), so p is never below 1 / (``rounds`` + 1); NaN if a side is empty.
    """
    sides = [np.asarray(ours, float), np.asarray(theirs, float)]
    if not all(len(side) for side in sides):
        return math.nan
    sums, sizes, counts = [], [], []
    for n, side in enumerate(sides):
        members = _members(clusters[n] if clusters else None, len(side))
        sums += [side[group].sum() for group in members]
        sizes += [float(len(group)) for group in members]
        counts.append(len(members))
    total, weight, first = np.asarray(sums), np.asarray(sizes), counts[0]
    rng = np.random.default_rng(seed)

    def gap(order: NDArray[np.int64]) -> float:
        a, b = order[:first], order[first:]
        return abs(float(total[a].sum() / weight[a].sum() - total[b].sum() / weight[b].sum()))

    observed = gap(np.arange(len(total)))
    # Equal differences must count as such, whatever the order in which they were added up.
    extreme = sum(gap(rng.permutation(len(total))) >= observed - 1e-12 for _ in range(rounds))
    return (1 + extreme) / (1 + rounds)


def flips(
    ours: Sequence[float],
    theirs: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    seed: int = 0,
    rounds: int = 10_000,
) -> float:
    """Two-sided p of the mean difference on the same items, if the signs were drawn by lot (Fisher 1935), those of a
    cluster together. Counted as by :func:`permutation`; NaN of nothing."""
    gaps = np.asarray(ours, float) - np.asarray(theirs, float)
    if not len(gaps):
        return math.nan
    sums = np.asarray([gaps[group].sum() for group in _members(clusters, len(gaps))])
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(rounds, len(sums)))
    extreme = int((abs(signs @ sums) >= abs(sums.sum()) - 1e-12).sum())
    return (1 + extreme) / (1 + rounds)


def percentile_interval(
    values: Sequence[float], q: float, *, seed: int = 0, resamples: int = RESAMPLES, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of the ``q``-th percentile."""
    if not len(values):
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    numbers = np.asarray(values, float)
    found = [np.percentile(rng.choice(numbers, len(numbers)), q) for _ in range(resamples)]
    return _percentiles(np.asarray(found), level)


def percentile(values: Sequence[float], q: float) -> float:
    """The ``q``-th percentile (0 to 100), linearly interpolated; NaN of nothing."""
    return float(np.percentile(np.asarray(values, float), q)) if len(values) else math.nan


def _members(clusters: Sequence[str] | None, n: int) -> list[NDArray[np.int64]]:
    if clusters is None:
        return [np.asarray([i]) for i in range(n)]
    groups: dict[str, list[int]] = {}
    for i, cluster in enumerate(clusters):
        groups.setdefault(cluster, []).append(i)
    return [np.asarray(group) for group in groups.values()]


def _means(
    values: NDArray[np.float64], clusters: Sequence[str] | None, seed: int, resamples: int
) -> NDArray[np.float64]:
    """The means of the resamples [resamples]."""
    if not len(values):
        return np.asarray([])
    rng = np.random.default_rng(seed)
    if clusters is None:
        sums, sizes = values, np.ones(len(values))
    else:
        members = _members(clusters, len(values))
        sums = np.asarray([values[group].sum() for group in members])
        sizes = np.asarray([float(len(group)) for group in members])
    # In blocks: one resample of n clusters at a time is slow, all of them at once is resamples x n numbers.
    means: list[NDArray[np.float64]] = []
    block = max(1, 2_000_000 // len(sums))
    for start in range(0, resamples, block):
        picked = rng.integers(len(sums), size=(min(block, resamples - start), len(sums)))
        means.append(sums[picked].sum(axis=1) / sizes[picked].sum(axis=1))
    return np.concatenate(means)


def _percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    if not len(values):
        return math.nan, math.nan
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
