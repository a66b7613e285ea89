from __future__ import annotations

import math

import numpy as np
import pytest

from alt_lite.evals import stats


def test_wilson_matches_published_values():
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    for events, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        interval = stats.wilson(events, n)
        assert interval.low == pytest.approx(low, abs=1e-4) and interval.high == pytest.approx(high, abs=1e-4)


def test_newcombe_paired_matches_published_values():
    # Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions
    # based on paired data", table III, method 10: cells 36, 12, 2, 0.
    b, a = [1] * 48 + [0] * 2, [1] * 36 + [0] * 12 + [1] * 2
    interval = stats.newcombe_paired(a, b)
    assert interval.low == pytest.approx(0.0569, abs=1e-4) and interval.high == pytest.approx(0.3404, abs=1e-4)
    mirrored = stats.newcombe_paired(b, a)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))


def test_newcombe_paired_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hits, trials = 0, 400
    for _ in range(trials):
        a = (rng.random(80) < 0.4).astype(int)
        b = np.where(rng.random(80) < 0.6, a, (rng.random(80) < 0.7).astype(int))
        truth = 0.6 * 0.4 + 0.4 * 0.7 - 0.4
        interval = stats.newcombe_paired(list(map(int, a)), list(map(int, b)))
        hits += interval.low <= truth <= interval.high
    assert 0.92 <= hits / trials <= 0.99


def test_mcnemar_is_the_binomial_on_discordant_pairs():
    a, b = [1] * 10 + [0] * 2 + [1] * 50, [0] * 10 + [1] * 2 + [1] * 50
    assert stats.mcnemar_exact(a, b) == pytest.approx(2 * sum(math.comb(12, k) for k in range(3)) / 2**12)
    assert stats.mcnemar_exact([1, 0], [1, 0]) == 1.0


def test_holm_is_monotone_and_bounded():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]


def test_cluster_bootstrap_is_wider_where_clusters_agree_within():
    values = [float(i // 10 % 2) for i in range(200)]
    grouped = stats.cluster_bootstrap(values, [str(i // 10) for i in range(200)])
    single = stats.cluster_bootstrap(values, [str(i) for i in range(200)])
    assert grouped.high - grouped.low > 2 * (single.high - single.low)


def test_degenerate_clusters_still_have_width():
    interval = stats.cluster_bootstrap([0.0] * 40, [str(i % 20) for i in range(40)])
    assert interval.low == 0.0 and interval.high == pytest.approx(stats.wilson(0, 20).high)
    paired = stats.cluster_bootstrap_paired([1] * 40, [0] * 40, [str(i % 20) for i in range(40)])
    assert paired.low == -1.0 and -1.0 < paired.high < -0.7


def test_a_mean_that_happens_to_be_of_zeros_and_ones_is_no_rate():
    some = [0.0, 1.0] + [0.0] * 38
    names = [str(i) for i in range(40)]
    assert stats.cluster_bootstrap(some, names, rate=False).method == "cluster_bootstrap"
    assert stats.cluster_bootstrap_paired(some, [0.0] * 40, names, rate=False).method == "cluster_bootstrap"
    assert stats.cluster_bootstrap(some, names).method == "wilson_on_clusters"


def test_cluster_interval_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits, trials = 0, 200
    for trial in range(trials):
        rates = rng.beta(2, 2, 60)
        values = [float(rng.random() < rate) for rate in rates for _ in range(4)]
        interval = stats.cluster_bootstrap(values, [str(i // 4) for i in range(240)], seed=trial)
        hits += interval.low <= 0.5 <= interval.high
    assert 0.88 <= hits / trials <= 0.99


def test_sign_flip_finds_a_real_difference_and_not_noise():
    clusters = [str(i // 2) for i in range(80)]
    assert stats.sign_flip([-1.0] * 80, clusters) < 0.001
    assert stats.sign_flip([1.0, -1.0] * 40, clusters) == 1.0
    assert stats.sign_flip([0.0] * 80, clusters) == 1.0
    assert stats.sign_flip([1.0] * 4, ["a", "b", "c", "d"]) == pytest.approx(2 / 16)
    # Exact for many clusters too: no floor from a number of draws.
    assert stats.sign_flip([-1.0] * 80, [str(i) for i in range(80)]) == pytest.approx(2 / 2**80)
    deltas = [1.0, 2.0, 3.0, -1.0]
    outcomes = [abs(a * 1 + b * 2 + c * 3 + d * 1) for a in (1, -1) for b in (1, -1) for c in (1, -1) for d in (1, -1)]
    assert stats.sign_flip(deltas, list("abcd")) == pytest.approx(sum(o >= 5 for o in outcomes) / 16)


def test_sign_flip_by_draws_agrees_with_the_exact_one():
    rng = np.random.default_rng(2)
    deltas = rng.normal(0.4, 1, 10)
    signs = np.array([[1 if i >> j & 1 else -1 for j in range(10)] for i in range(1024)])
    exact = float((np.abs(signs @ deltas) >= abs(deltas.sum()) - 1e-9).mean())
    assert 0.01 < exact < 0.9
    assert stats.sign_flip(list(deltas), [str(i) for i in range(10)]) == pytest.approx(exact, abs=0.015)


def test_few_clusters_with_events_do_not_make_a_narrow_interval():
    one = stats.cluster_bootstrap([1.0] + [0.0] * 59, [str(i) for i in range(60)])
    assert one.method == "wilson_on_clusters" and one.high == pytest.approx(stats.wilson(1, 60).high)
    half = stats.cluster_bootstrap([1.0, 0.0] * 20, [str(i // 2) for i in range(40)])
    assert half.high - half.low > 0


def test_sign_flip_rejects_no_more_often_than_it_says():
    rng = np.random.default_rng(1)
    rejected = sum(stats.sign_flip(list(rng.choice([-1.0, 0.0, 1.0], 60)), [str(i // 2) for i in range(60)], draws=500) < 0.05 for _ in range(200))
    assert rejected <= 20


def test_intervals_and_tests_agree_with_statsmodels():
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import proportion_confint

    rng = np.random.default_rng(1)
    for n in (5, 40, 313):
        for _ in range(20):
            a, b = rng.integers(0, 2, n), rng.integers(0, 2, n)
            interval = stats.wilson(int(a.sum()), n)
            assert (interval.low, interval.high) == pytest.approx(proportion_confint(int(a.sum()), n, method="wilson"), abs=1e-9)
            table = [[int(((a == i) & (b == j)).sum()) for j in (1, 0)] for i in (1, 0)]
            assert stats.mcnemar_exact(a.tolist(), b.tolist()) == pytest.approx(mcnemar(table, exact=True).pvalue)
        p_values = rng.random(n).tolist()
        assert stats.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_the_detectable_difference_is_found_as_often_as_it_says():
    """Simulated pairs with that difference: the exact test, which is a little cautious, finds four in five."""
    n, discordant = 300, 0.2
    delta = stats.detectable(n, discordant)
    assert 0.05 < delta < 0.1 and stats.detectable(1200, discordant) == pytest.approx(delta / 2, rel=0.05)
    rng = np.random.default_rng(0)
    kinds = rng.choice(3, (800, n), p=[(discordant + delta) / 2, (discordant - delta) / 2, 1 - discordant])
    found = sum(stats.mcnemar_exact((row == 1).astype(int).tolist(), (row == 0).astype(int).tolist()) < 0.05 for row in kinds)
    assert 0.7 < found / 800 < 0.85
    assert stats.detectable(5) == 1.0 and stats.detectable(0) == 1.0
