"""Intervals and tests for rates and paired differences: pure functions of plain values.

`value`s are numbers per prompt (0/1 for rates); `clusters` names each prompt's group, within which
prompts are not independent. All intervals are two-sided, 95 % by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 4000


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    method: str


def wilson(events: float, n: int, level: float = 0.95) -> Interval:
    """Score interval of a rate (Wilson 1927); `events` of `n`, both ends within 0 to 1."""
    if n == 0:
        return Interval(0.0, 1.0, "wilson")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rate = events / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    return Interval(max(0.0, centre - half), min(1.0, centre + half), "wilson")


def newcombe_paired(a: Sequence[int], b: Sequence[int], level: float = 0.95) -> Interval:
    """Interval of rate(b) - rate(a) on the same prompts (Newcombe 1998, method 10, square-and-add
    of Wilson limits with the correlation phi)."""
    n = len(a)
    both, only_a, only_b, neither = _table(a, b)
    rate_a, rate_b = (both + only_a) / n, (both + only_b) / n
    wa, wb = wilson(both + only_a, n, level), wilson(both + only_b, n, level)
    product = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    phi = 0.0
    if product > 0:
        numerator = both * neither - only_a * only_b
        # Newcombe's continuity correction applies to a positive numerator only.
        numerator = max(numerator - n / 2, 0.0) if numerator > 0 else numerator
        phi = numerator / product**0.5
    delta = rate_b - rate_a
    down_b, up_b, down_a, up_a = rate_b - wb.low, wb.high - rate_b, rate_a - wa.low, wa.high - rate_a
    low = delta - max(down_b**2 - 2 * phi * down_b * up_a + up_a**2, 0.0) ** 0.5
    high = delta + max(up_b**2 - 2 * phi * up_b * down_a + down_a**2, 0.0) ** 0.5
    return Interval(max(-1.0, low), min(1.0, high), "newcombe_paired")


def mcnemar_exact(a: Sequence[int], b: Sequence[int]) -> float:
    """Two-sided exact McNemar test on paired events: binomial on the discordant pairs."""
    from scipy.stats import binomtest

    _, only_a, only_b, _ = _table(a, b)
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_b, only_a + only_b, 0.5).pvalue)


def cluster_bootstrap(values: Sequence[float], clusters: Sequence[str], seed: int = 0, level: float = 0.95) -> Interval:
    """Percentile interval of a mean, whole clusters drawn with replacement (Field and Welsh 2007).

    Where all clusters agree the bootstrap has no width: Wilson on the number of clusters then.
    """
    sums, sizes = _by_cluster(values, clusters)
    means = sums / sizes
    if np.ptp(means) == 0:
        if set(np.unique(means)) <= {0.0, 1.0}:
            limits = wilson(float(means[0]) * len(means), len(means), level)
            return Interval(limits.low, limits.high, "wilson_on_clusters")
        return Interval(float(means[0]), float(means[0]), "degenerate")
    draws = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    resampled = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high), "cluster_bootstrap")


def cluster_bootstrap_paired(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[str], seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile interval of mean(b) - mean(a), whole clusters of pairs drawn with replacement.

    Where all pairs differ alike, the widest that the number of clusters allows (Newcombe on one pair
    per cluster).
    """
    deltas = [y - x for x, y in zip(a, b, strict=True)]
    if len(set(deltas)) == 1 and set(a) | set(b) <= {0, 1}:
        first = {name: (int(x), int(y)) for name, x, y in zip(clusters, a, b, strict=True)}
        limits = newcombe_paired([x for x, _ in first.values()], [y for _, y in first.values()], level)
        return Interval(limits.low, limits.high, "newcombe_on_clusters")
    sums, sizes = _by_cluster(deltas, clusters)
    draws = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    resampled = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high), "cluster_bootstrap")


def sign_flip(deltas: Sequence[float], clusters: Sequence[str], seed: int = 0, draws: int = 10_000) -> float:
    """Two-sided permutation test that the mean paired difference is zero: the sign of each cluster's
    sum is flipped at random; exact where there are at most 12 clusters that differ."""
    sums, _ = _by_cluster(deltas, clusters)
    sums = sums[sums != 0]
    if len(sums) == 0:
        return 1.0
    observed = abs(sums.sum()) - 1e-9
    if len(sums) <= 12:
        signs = np.array([[1 if i >> j & 1 else -1 for j in range(len(sums))] for i in range(2 ** len(sums))])
        return float((np.abs(signs @ sums) >= observed).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (draws, len(sums)))
    return float(((np.abs(signs @ sums) >= observed).sum() + 1) / (draws + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def _table(a: Sequence[int], b: Sequence[int]) -> tuple[int, int, int, int]:
    pairs = list(zip(a, b, strict=True))
    return pairs.count((1, 1)), pairs.count((1, 0)), pairs.count((0, 1)), pairs.count((0, 0))


def _by_cluster(values: Sequence[float], clusters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(index, weights=np.asarray(values, float)), np.bincount(index).astype(float)
