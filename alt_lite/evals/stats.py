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
_FEW = 5  # clusters


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


def cluster_bootstrap(values: Sequence[float], clusters: Sequence[str], seed: int = 0, level: float = 0.95, rate: bool = True) -> Interval:
    """Percentile interval of a mean, whole clusters drawn with replacement (Field and Welsh 2007).

    For a `rate` with events, or non-events, in fewer than _FEW clusters the bootstrap is too narrow, or
    has no width at all: Wilson with the number of clusters as n then.
    """
    sums, sizes = _by_cluster(values, clusters)
    means = sums / sizes
    if rate and (min((sums > 0).sum(), (sums < sizes).sum()) < _FEW or np.ptp(means) == 0):
        limits = wilson(float(np.sum(sums) / np.sum(sizes)) * len(sums), len(sums), level)
        return Interval(limits.low, limits.high, "wilson_on_clusters")
    return _bootstrap(sums, sizes, seed, level)


def cluster_bootstrap_paired(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[str], seed: int = 0, level: float = 0.95, rate: bool = True
) -> Interval:
    """Percentile interval of mean(b) - mean(a), whole clusters of pairs drawn with replacement.

    For a `rate` that changes, or does not change, in fewer than _FEW clusters: Newcombe on one pair per
    cluster then.
    """
    deltas = [y - x for x, y in zip(a, b, strict=True)]
    sums, sizes = _by_cluster(deltas, clusters)
    _, alike = np.unique(np.round(sums / sizes, 6), return_counts=True)
    if rate and len(sums) - alike.max() < _FEW:
        first = {name: (int(x), int(y)) for name, x, y in zip(clusters, a, b, strict=True)}
        limits = newcombe_paired([x for x, _ in first.values()], [y for _, y in first.values()], level)
        # One pair per cluster may miss what all pairs say.
        delta = sum(deltas) / len(deltas)
        return Interval(min(limits.low, delta), max(limits.high, delta), "newcombe_on_clusters")
    return _bootstrap(sums, sizes, seed, level)


def sign_flip(deltas: Sequence[float], clusters: Sequence[str], seed: int = 0, draws: int = 20_000) -> float:
    """Two-sided permutation test that the mean paired difference is zero: the sign of each cluster's
    sum is flipped. Exact, by the distribution of the signed total, where sums are multiples of 0.1
    that do not grow too large; else by random draws."""
    signed, _ = _by_cluster(deltas, clusters)
    observed = abs(signed.sum())
    sums = np.abs(signed[np.abs(signed) > 1e-9])
    if len(sums) == 0:
        return 1.0
    tenths = np.round(sums * 10).astype(int)
    if np.allclose(tenths, sums * 10, atol=1e-6) and tenths.sum() <= 1_000_000:
        common = int(np.gcd.reduce(tenths))
        steps = tenths // common
        # chances[i]: that the clusters whose sign is plus sum to i
        chances = np.ones(1)
        for step in steps:
            grown = np.zeros(len(chances) + step)
            grown[: len(chances)] += chances / 2
            grown[step:] += chances / 2
            chances = grown
        totals = np.abs(2 * np.arange(len(chances)) - steps.sum()) * common / 10
        return float(min(1.0, chances[totals >= observed - 1e-6].sum()))
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (draws, len(sums)))
    return float(((np.abs(signs @ sums) >= observed - 1e-9).sum() + 1) / (draws + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def detectable(n: int, discordant: float = 0.2, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest difference of two paired rates that McNemar's test finds with the given power (Connor 1987,
    whose sample size is solved for the difference). `discordant` is the share of prompts that change
    side, which is an assumption before the data are seen; gives 1.0 where no difference can be found."""
    normal = NormalDist()
    za, zb = normal.inv_cdf(0.5 + level / 2), normal.inv_cdf(power)
    low, high = 0.0, discordant
    if n <= 0 or n * high**2 < (za * discordant**0.5 + zb * max(discordant - high**2, 0.0) ** 0.5) ** 2:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        found = n * middle**2 >= (za * discordant**0.5 + zb * (discordant - middle**2) ** 0.5) ** 2
        low, high = (low, middle) if found else (middle, high)
    return high


def _table(a: Sequence[int], b: Sequence[int]) -> tuple[int, int, int, int]:
    pairs = list(zip(a, b, strict=True))
    return pairs.count((1, 1)), pairs.count((1, 0)), pairs.count((0, 1)), pairs.count((0, 0))


def _bootstrap(sums: np.ndarray, sizes: np.ndarray, seed: int, level: float) -> Interval:
    draws = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    resampled = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high), "cluster_bootstrap")


def _by_cluster(values: Sequence[float], clusters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(index, weights=np.asarray(values, float)), np.bincount(index).astype(float)
