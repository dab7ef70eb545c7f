"""Comparisons with records: mean squares, a bootstrap and simulated truths; records that do not fit."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rekur.errors import InputError, ShapeError
from rekur.study.statistics import compare
from rekur.study.verdicts import Comparison

NAN = math.nan


def simulated(
    random: np.random.Generator,
    seeds: int,
    items: int,
    *,
    sd_seeds: float,
    sd_items: float,
    sd_both: float,
    gap: float = 0,
) -> np.ndarray:
    """Return records (2, seeds, items, 1) of two variants whose true difference is ``gap``; standard deviations are
    those of the differences."""
    shape = np.array([(seeds, 1), (1, items), (seeds, items)])
    parts = [
        random.normal(0, sd / math.sqrt(2), (2, *s)) for sd, s in zip((sd_seeds, sd_items, sd_both), shape, strict=True)
    ]
    common = random.normal(0, 3, (1, seeds, 1)) + random.normal(0, 3, (1, 1, items))
    return (common + sum(parts) + np.array([gap, 0]).reshape(2, 1, 1))[..., None]


def by_anova(records: np.ndarray) -> tuple[float, float, float]:
    """Return the difference, its variance and its degrees of freedom from the mean squares of seeds × items."""
    differences = records[0, :, :, 0] - records[1, :, :, 0]
    n, m = differences.shape
    mean = differences.mean()
    seeds, items = differences.mean(1, keepdims=True), differences.mean(0, keepdims=True)
    ms_seeds = m * ((seeds - mean) ** 2).sum() / (n - 1)
    ms_items = n * ((items - mean) ** 2).sum() / (m - 1)
    ms_both = ((differences - seeds - items + mean) ** 2).sum() / ((n - 1) * (m - 1))
    if ms_seeds <= ms_both:
        return mean, ms_items / (n * m), m - 1
    total = ms_seeds - ms_both + ms_items
    return mean, total / (n * m), 1 / (min(1, ms_seeds / total) ** 2 / (n - 1) + (ms_items / total) ** 2 / (m - 1))


@pytest.mark.parametrize(
    "sds", [(1, 0, 3), (0, 3, 1), (0.3, 3, 1), (0, 0, 1)], ids=["seeds", "items", "mixed", "noise"]
)
@pytest.mark.parametrize("items", [2, 60])
def test_records_of_a_mean_give_the_mean_squares_of_seeds_and_items(sds: tuple[float, ...], items: int) -> None:
    records = simulated(np.random.default_rng(4), 5, items, sd_seeds=sds[0], sd_items=sds[1], sd_both=sds[2], gap=0.2)
    mean, variance, freedom = by_anova(records)
    pair = compare(records.mean((2, 3)), records, score=np.mean).pairs[0]
    assert pair.difference == pytest.approx(mean)
    assert pair.p == pytest.approx(2 * stats.t.sf(abs(mean) / math.sqrt(variance), freedom))
    half = stats.t.isf(0.025, freedom) * math.sqrt(variance)
    assert pair.interval == pytest.approx((mean - half, mean + half))


def test_intervals_over_seeds_and_examples_are_those_of_mean_squares_by_statsmodels() -> None:
    cases = json.loads((Path(__file__).parents[1] / "oracles" / "crossed.json").read_text(encoding="utf-8"))
    assert len(cases) == 40
    for case in cases:
        differences = np.array(case["differences"])[..., None]
        records = np.stack([differences, np.zeros_like(differences)])
        pair = compare(records.mean((2, 3)), records, score=np.mean).pairs[0]
        assert pair.interval == pytest.approx(tuple(case["interval"]), rel=1e-7)


def test_examples_alone_give_the_paired_t_test_over_examples() -> None:
    """If every seed gives the same run, only examples vary."""
    hits = np.random.default_rng(2).random((2, 1, 80, 1)) < np.reshape([0.8, 0.6], (2, 1, 1, 1))
    records = np.repeat(hits.astype(float), 3, axis=1)
    pair = compare(records.mean((2, 3)), records, score=np.mean).pairs[0]
    assert pair.p == pytest.approx(stats.ttest_rel(*records[:, 0, :, 0]).pvalue)
    assert pair.p_sign_flip == 0.25
    variant = compare(records.mean((2, 3)), records, score=np.mean).variants[0]
    assert variant.interval == pytest.approx(stats.t.interval(0.95, 79, hits[0].mean(), stats.sem(records[0, 0, :, 0])))


def test_identical_records_are_no_difference() -> None:
    records = np.random.default_rng(0).random((1, 6, 250, 1)).repeat(2, axis=0)
    pair = compare(records.mean((2, 3)), records, score=np.mean, margin=0.01).pairs[0]
    assert (pair.difference, pair.p, pair.interval, pair.verdict) == (0, 1, (0, 0), "same")


def macro_f1(records: np.ndarray) -> float:
    """Return macro F1 of records (class, predicted class)."""
    values = []
    for label in range(3):
        true, predicted = records[:, 0] == label, records[:, 1] == label
        values.append(2 * np.sum(true & predicted) / max(1, np.sum(true) + np.sum(predicted)))
    return float(np.mean(values))


def perplexity(records: np.ndarray) -> float:
    """Return the perplexity of records (nats, tokens)."""
    nats, tokens = records.sum(0)
    return float(np.exp(nats / tokens))


def labels(random: np.random.Generator, items: int) -> np.ndarray:
    truth = random.choice(3, items, p=[0.6, 0.3, 0.1])
    predicted = np.where(random.random((2, 4, items)) < 0.7, truth, random.integers(0, 3, (2, 4, items)))
    return np.stack([np.broadcast_to(truth, predicted.shape), predicted], axis=-1).astype(float)


def stretches(random: np.random.Generator, items: int) -> np.ndarray:
    tokens = random.integers(5, 90, items)
    nats = tokens * (4 + random.normal(0, 1, items) + random.normal(0, 0.3, (2, 4, items)))
    return np.stack([nats, np.broadcast_to(tokens, nats.shape)], axis=-1)


@pytest.mark.parametrize(("score", "make"), [(macro_f1, labels), (perplexity, stretches)])
@pytest.mark.parametrize("items", [90, 430])
def test_metrics_that_are_no_means_have_the_variance_of_a_bootstrap(score: Any, make: Any, items: int) -> None:
    """The same variances, from 2,000 resamples of the examples instead of leaving groups out."""
    random = np.random.default_rng(items)
    records = make(random, items)
    table = np.array([[score(rows) for rows in seeds] for seeds in records])
    pair = compare(table, records, score=score).pairs[0]
    resampled = []
    for _ in range(2000):
        chosen = random.integers(0, items, items)
        resampled.append([score(records[0, s, chosen]) - score(records[1, s, chosen]) for s in range(4)])
    draws, differences = np.array(resampled), table[0] - table[1]
    over_items = draws.mean(1).var()
    both = (draws - draws.mean(1, keepdims=True)).var(0).sum() / (4 * 3)
    over_seeds = max(0.0, differences.var(ddof=1) / 4 - both)
    total = over_items + over_seeds
    seeds = differences.var(ddof=1) / 4 if over_seeds else 0.0
    freedom = 1 / (min(1, seeds / total) ** 2 / 3 + (over_items / total) ** 2 / (min(100, items) - 1))
    half = stats.t.isf(0.025, freedom) * math.sqrt(total)
    assert pair.interval[1] - pair.difference == pytest.approx(half, rel=0.12)


def test_the_metric_among_several_is_the_one_that_scores_hold() -> None:
    records = labels(np.random.default_rng(1), 150)

    def score(rows: np.ndarray) -> dict[str, float]:
        return {"accuracy": float(np.mean(rows[:, 0] == rows[:, 1])), "macro_f1": macro_f1(rows)}

    for name in ("accuracy", "macro_f1"):
        table = [[score(rows)[name] for rows in seeds] for seeds in records]
        alone = compare(table, records, score=lambda rows, name=name: score(rows)[name])
        assert compare(table, records, score=score) == alone
        rounded = compare(np.round(table, 4), records, score=score)
        assert rounded.pairs[0].p == pytest.approx(alone.pairs[0].p, rel=0.02)


def test_the_seed_shares_items_out_and_bytes_are_the_same_for_it() -> None:
    records = simulated(np.random.default_rng(7), 6, 333, sd_seeds=0, sd_items=1, sd_both=1)
    means = records.mean((2, 3))
    results = [compare(means, records, score=np.mean, seed=seed) for seed in (0, 0, 1)]
    assert repr(results[0]) == repr(results[1])
    assert results[0].pairs[0].p != results[2].pairs[0].p
    assert results[0].pairs[0].p == pytest.approx(results[2].pairs[0].p, rel=0.5)


def test_failed_runs_need_no_records() -> None:
    records = simulated(np.random.default_rng(3), 4, 50, sd_seeds=1, sd_items=1, sd_both=1)
    table = records.mean((2, 3))
    table[1, 2] = NAN
    lists = [[records[v, s] if not np.isnan(table[v, s]) else None for s in range(4)] for v in range(2)]
    records[1, 2] = NAN
    comparison = compare(table, lists, score=np.mean)
    assert comparison == compare(table, records, score=np.mean)
    kept = compare(table[:, [0, 1, 3]], records[:, [0, 1, 3]], score=np.mean).pairs[0]
    assert (comparison.pairs[0].p, comparison.pairs[0].interval) == (kept.p, kept.interval)


def refused(table: Any, records: Any, score: Any = np.mean) -> str:
    with pytest.raises(InputError) as caught:
        compare(table, records, score=score)
    return str(caught.value)


def test_records_that_do_not_fit() -> None:
    records = np.random.default_rng(0).random((2, 3, 10, 1))
    table, lists = records.mean((2, 3)), [list(seeds) for seeds in records]
    text = "score: got None; expected a function from records to a score. Pass the target's score."
    assert refused(table, records, None) == text
    assert refused(table, records[:1]) == "variants in records: got 1; expected 2, as in scores."
    assert refused(table, 3) == "records: got 3; expected an array or a list of 2 variants."
    assert refused(table, records[:, :2]) == "seeds in records of variant 0: got 2; expected 3, as in scores."
    unequal = [lists[0], [lists[1][0], lists[1][1][:9], lists[1][2]]]
    assert refused(table, unequal) == (
        "shape of the records of variant 1, seed 1: got (9, 1); expected (10, 1), as variant 0, seed 0 has. "
        "Score every run on the same items."
    )
    expected = "numbers (items, S) of two items or more"
    run = "records of variant 0, seed 0"
    assert refused(table, records[..., 0]) == f"shape of the {run}: got (10,); expected {expected}."
    assert refused(table, records[:, :, :1]) == f"shape of the {run}: got (1, 1); expected {expected}."
    assert refused(table, [[None] * 3] * 2).startswith(f"{run}: got ")
    assert refused(table, [[[["a"], ["b"]]] * 3] * 2) == f"{run}: got values that are no numbers; expected {expected}."
    assert refused(table, [[[[1], [1, 2]]] * 3] * 2) == f"{run}: got rows of different lengths; expected {expected}."
    with pytest.raises(ShapeError):
        compare(table, unequal, score=np.mean)


def test_scores_that_are_not_those_of_the_records() -> None:
    records = np.full((2, 3, 10, 1), 0.5)
    table = np.full((2, 3), 0.5)
    table[1, 2] = 50
    fix = "Pass the records that scores were made of, and the score in the same unit."
    assert (
        refused(table, records)
        == f"score of variant 1, seed 2: got 50.0; expected 0.5, the score of its records. {fix}"
    )
    table[1, 2] = 0.6
    text = refused(table, records, lambda rows: {"loss": 9.0, "accuracy": float(rows.mean())})
    assert text == f"score of variant 1, seed 2: got 0.6; expected 0.5, the accuracy of its records. {fix}"
    expected = "a finite number for every run, or a dict of such numbers"
    assert refused(table, records, lambda rows: NAN) == f"score: got nan; expected {expected}."
    assert refused(table, records, lambda rows: "good") == f"score: got 'good'; expected {expected}."
    assert refused(table, records, lambda rows: {}) == f"score: got {{}}; expected {expected}."


def test_a_metric_that_parts_of_the_records_make_undefined() -> None:
    records = np.ones((1, 3, 10, 1))
    records[:, :, 4] = 2

    def share(rows: np.ndarray) -> float:
        return float(np.ptp(rows)) if np.ptp(rows) else NAN

    assert refused(np.ones((1, 3)), records, share) == (
        "score: got nan; expected a finite number of any part of the records. "
        "Use a metric that few examples cannot make undefined."
    )


# ── what holds in the long run ───────────────────────────────────────────────────────────────────────────────────


def rates(comparisons: list[Comparison], gap: float = 0.0) -> tuple[float, float]:
    """Return the shares of first pairs that are decided, and whose interval holds the true difference."""
    pairs = [comparison.pairs[0] for comparison in comparisons]
    decided = np.mean([pair.verdict in ("better", "worse") for pair in pairs])
    return float(decided), float(np.mean([pair.interval[0] <= gap <= pair.interval[1] for pair in pairs]))


@pytest.mark.parametrize("sds", [None, (1, 1, 1), (0, 8, 1)], ids=["no records", "seeds", "examples"])
def test_a_few_hundred_comparisons_are_seldom_wrong(sds: tuple[float, float, float] | None) -> None:
    """The bounds are .05 and .95, each with three standard errors of so few comparisons."""
    random = np.random.default_rng(21)
    count = 400 if sds is None else 60
    null, planted = [], []
    for _ in range(count):
        if sds is None:
            scores = random.normal(0, 1, (1, 6)) * 5 + random.normal(0, math.sqrt(0.5), (2, 6))
            null.append(compare(scores))
            planted.append(compare(scores + np.array([[3.0], [0]])))
        else:
            records = simulated(random, 6, 60, sd_seeds=sds[0], sd_items=sds[1], sd_both=sds[2])
            null.append(compare(records.mean((2, 3)), records, score=np.mean))
            if sds[0]:
                records[0] += 3 * sds[0]
                planted.append(compare(records.mean((2, 3)), records, score=np.mean))
    error = 3 * math.sqrt(0.05 * 0.95 / count)
    false_alarms, coverage = rates(null)
    assert false_alarms <= 0.05 + error
    assert coverage >= 0.95 - error
    if planted:
        assert rates(planted)[0] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 6, 10])
def test_without_records_errors_and_coverage_are_the_stated_ones(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    draws = [random.normal(0, 1, (1, seeds)) * 5 + random.normal(0, 1, (2, seeds)) for _ in range(2000)]
    false_alarms, coverage = rates([compare(draw) for draw in draws])
    assert 0.035 <= false_alarms <= 0.065  # .05 ± 3 standard errors
    assert coverage == pytest.approx(1 - false_alarms)
    shifted = [compare(draw + np.array([[0.7], [0]])) for draw in draws]
    assert rates(shifted, 0.7)[1] == pytest.approx(coverage, abs=0.002)


@pytest.mark.slow
def test_after_holm_one_false_alarm_in_any_of_three_pairs_is_as_rare() -> None:
    random = np.random.default_rng(11)
    verdicts = [[pair.verdict for pair in compare(random.normal(0, 1, (3, 6))).pairs] for _ in range(2000)]
    assert 0.015 <= np.mean([set(each) & {"better", "worse"} != set() for each in verdicts]) <= 0.065


@pytest.mark.slow
@pytest.mark.parametrize("variants", [2, 3])
def test_a_difference_of_three_standard_deviations_is_seen(variants: int) -> None:
    random = np.random.default_rng(12)
    shift = np.array([3.0, *[0.0] * (variants - 1)])[:, None]
    draws = [shift + random.normal(0, math.sqrt(0.5), (variants, 6)) for _ in range(1000)]
    assert np.mean([compare(draw).pairs[0].verdict == "better" for draw in draws]) >= 0.95


@pytest.mark.slow
def test_same_is_rare_for_a_true_difference_of_the_margin() -> None:
    random = np.random.default_rng(13)
    draws = [random.normal(0, 1, (2, 10)) + np.array([[4.0], [0]]) for _ in range(2000)]
    assert np.mean([compare(draw, margin=4.0).pairs[0].verdict == "same" for draw in draws]) <= 0.025
    inside = [compare(draw - np.array([[4.0], [0]]), margin=4.0).pairs[0].verdict for draw in draws]
    assert np.mean(np.array(inside) == "same") >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "items", "least", "most"), [(3, 60, 0.013, 0.09), (6, 60, 0.02, 0.065), (6, 400, 0.02, 0.065)]
)
@pytest.mark.parametrize(
    "sds", [(1, 1, 1), (0, 8, 1), (0, 0, 8), (0.3, 5, 5)], ids=["seeds", "examples", "noise", "all"]
)
def test_with_records_intervals_have_the_stated_coverage(
    seeds: int, items: int, least: float, most: float, sds: tuple[float, float, float]
) -> None:
    """A miss of the true difference is a false alarm of the comparison that is shifted by it.

    Chi-square draws of the mean squares give rates of .03 to .056 for six seeds, and of .03 (pure noise) to .08 for
    three; one rate of 1,000 has a standard error of .005 to .009.
    """
    random = np.random.default_rng(seeds + items)
    comparisons = []
    for _ in range(1000):
        records = simulated(random, seeds, items, sd_seeds=sds[0], sd_items=sds[1], sd_both=sds[2], gap=0.5)
        comparisons.append(compare(records.mean((2, 3)), records, score=np.mean))
    assert least <= 1 - rates(comparisons, 0.5)[1] <= most


@pytest.mark.slow
def test_macro_f1_has_the_stated_coverage() -> None:
    """Two variants that are right equally often on a finite sample of examples; the true difference is 0."""
    random = np.random.default_rng(5)
    comparisons = []
    for _ in range(200):
        records = labels(random, 300)
        table = [[macro_f1(rows) for rows in seeds] for seeds in records]
        comparisons.append(compare(table, records, score=macro_f1))
    false_alarms, coverage = rates(comparisons)
    assert 0.005 <= false_alarms <= 0.097  # .05 ± 3 standard errors of 200
    assert coverage >= 0.903


def test_examples_that_all_runs_answer_alike_are_no_certainty() -> None:
    records = np.ones((2, 6, 4, 1))
    comparison = compare(np.ones((2, 6)), records, score=np.mean, limits=(0, 1), margin=0.1)
    low, high = comparison.variants[0].interval
    assert 0.4 < low < 0.6 < high == 1
    pair = comparison.pairs[0]
    assert (pair.p, pair.verdict, pair.difference) == (1, "undecided", 0)
    assert pair.interval[1] == -pair.interval[0] > 0.5
    assert pair.note == "identical scores in all 6 seeds"
    many = compare(np.ones((2, 6)), np.ones((2, 6, 1000, 1)), score=np.mean, limits=(0, 1), margin=0.1)
    assert many.pairs[0].verdict == "same"
    assert many.variants[0].interval[0] > 0.99
