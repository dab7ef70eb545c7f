"""Comparisons of scores against scipy and published tables; caveats; scores that are no table."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rekur.errors import InputError
from rekur.study.statistics import compare

NAN = math.nan
PAIRED = [
    [0.7759, 0.7603, 0.7925, 0.8126, 0.8341, 0.8033],
    [0.7725, 0.7571, 0.7878, 0.8070, 0.8298, 0.8005],
]
THREE = [
    [0.8404, 0.8660, 0.8520, 0.8327, 0.8492, 0.8384],
    [0.8337, 0.8351, 0.8329, 0.8455, 0.8394, 0.8341],
    [0.8241, 0.8283, 0.8036, 0.8174, 0.8102, 0.8183],
]
FAILED = [
    [0.8956, 0.8946, 0.9009, 0.8956, 0.9047, 0.9029],
    [0.9020, 0.9111, 0.9056, 0.9101, 0.9102, NAN],
]
LOSSES = [[0.41, 0.43, 0.42, 0.40, 0.44, 0.42], [0.52, 0.55, 0.50, 0.53, 0.54, 0.51]]
LUCKY = [[0.70, 0.70, 0.71, 0.69, 0.70, 0.95], [0.72, 0.72, 0.73, 0.71, 0.72, 0.72]]
ONE_POINT = [[0.81, 0.84, 0.79], [0.80, 0.83, 0.78]]


@pytest.mark.parametrize(
    "scores", [PAIRED, THREE, FAILED, LOSSES, LUCKY], ids=["paired", "three", "failed", "losses", "lucky"]
)
def test_means_intervals_and_p_are_scipys(scores: list[list[float]]) -> None:
    comparison, table = compare(scores), np.array(scores)
    for variant, row in zip(comparison.variants, table, strict=True):
        row = row[~np.isnan(row)]
        low, high = stats.t.interval(0.95, len(row) - 1, row.mean(), stats.sem(row))
        assert (variant.mean, variant.interval) == (pytest.approx(row.mean()), pytest.approx((low, high)))
        assert (variant.n, variant.failed) == (len(row), table.shape[1] - len(row))
    assert [(pair.first, pair.second) for pair in comparison.pairs] == list(
        itertools.combinations(range(len(table)), 2)
    )
    for pair in comparison.pairs:
        both = ~np.isnan(table[pair.first] + table[pair.second])
        test = stats.ttest_rel(table[pair.first, both], table[pair.second, both])
        ends = test.confidence_interval(0.95)
        assert pair.n == both.sum()
        assert pair.difference == pytest.approx((table[pair.first, both] - table[pair.second, both]).mean())
        assert pair.interval == pytest.approx((ends.low, ends.high))
        assert pair.p == pytest.approx(test.pvalue)
        flips = stats.permutation_test(
            (table[pair.first, both] - table[pair.second, both],), np.mean, permutation_type="samples", n_resamples=1e5
        )
        assert pair.p_sign_flip == pytest.approx(flips.pvalue)


def test_intervals_end_where_scores_can_be_at_most() -> None:
    scores = [[1.0, 0.9, 1.0], [0.4, 0.1, 0.2]]
    free, cut = compare(scores), compare(scores, limits=(0, 1))
    assert free.variants[0].interval is not None
    assert cut.variants[0].interval == (free.variants[0].interval[0], 1.0)
    assert free.variants[1].interval is not None
    assert cut.variants[1].interval == (0.0, free.variants[1].interval[1])
    assert free.pairs[0].interval is not None
    assert cut.pairs[0].interval == (free.pairs[0].interval[0], min(1.0, free.pairs[0].interval[1]))
    assert (cut.pairs[0].p, cut.pairs[0].verdict) == (free.pairs[0].p, free.pairs[0].verdict)
    wide = compare([[1.0, 0.0], [0.0, 1.0]], limits=(0, 1)).pairs[0]
    assert wide.interval == (-1.0, 1.0)
    with pytest.raises(InputError, match=r"score: got 1.1; expected a number in \[0, 1\]"):
        compare([[1.1, 1.0], [0.9, 0.8]], limits=(0, 1))


def test_pairs_are_those_of_statsmodels_and_rliable() -> None:
    cases = json.loads((Path(__file__).parents[1] / "oracles" / "comparisons.json").read_text(encoding="utf-8"))
    assert len(cases) == 40
    for case in cases:
        for pair, right in zip(compare(case["scores"]).pairs, case["pairs"], strict=True):
            assert pair.interval == pytest.approx(tuple(right["interval"]), rel=1e-9)
            assert (pair.p, pair.p_holm) == (pytest.approx(right["p"]), pytest.approx(right["p_holm"]))
            assert pair.improvement == pytest.approx(right["improvement"])


def test_improvement_follows_the_direction_of_the_score() -> None:
    assert compare(LOSSES).pairs[0].improvement == 0
    assert compare(LOSSES, larger_is_better=False).pairs[0].improvement == 1
    assert compare([PAIRED[0], PAIRED[0]], larger_is_better=False).pairs[0].improvement == 0.5
    assert compare([[0.9], [0.8]]).pairs[0].improvement == 1
    assert compare([[NAN, 0.9], [0.8, NAN]]).pairs[0].improvement is None


def test_students_sleep_data_as_r_prints_them() -> None:
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    pair = compare([first, second]).pairs[0]
    assert pair.difference == pytest.approx(-1.58)
    assert pair.interval == pytest.approx((-2.4598858, -0.7001142))
    assert pair.p == pytest.approx(0.002833, abs=5e-7)


def test_seeds_are_paired() -> None:
    pair = compare(PAIRED).pairs[0]
    assert pair.verdict == "better"
    assert pair.p == pytest.approx(0.000244996403147)
    assert pair.interval == pytest.approx((0.00289136673282, 0.00510863326718))
    assert stats.ttest_ind(*PAIRED).pvalue > 0.7


def test_several_pairs_are_corrected_and_decided_after_holm() -> None:
    pairs = compare(THREE).pairs
    assert [pair.p_holm for pair in pairs] == pytest.approx([0.168429292086, 0.0107686181189, 0.0108483884133])
    assert [pair.verdict for pair in pairs] == ["undecided", "better", "better"]


def test_p_below_the_level_is_undecided_if_it_is_above_after_holm() -> None:
    base = np.array(THREE[1])
    noise = np.array([0.011, 0.002, 0.008, -0.003, 0.009, 0.006])
    scores = [base + noise, base, base + np.array([1, -1, 1, -1, 1, -1.0]) / 50]
    alone, among = compare(scores[:2]).pairs[0], compare(scores).pairs[0]
    assert alone.verdict == "better"
    assert alone.p == among.p == alone.p_holm
    assert among.p_holm == pytest.approx(3 * stats.ttest_rel(*scores[:2]).pvalue)
    assert among.verdict == "undecided"


def test_a_smaller_loss_is_better() -> None:
    assert compare(LOSSES).pairs[0].verdict == "worse"
    pair = compare(LOSSES, larger_is_better=False).pairs[0]
    assert (pair.verdict, pair.difference) == ("better", pytest.approx(-0.105))


def test_one_lucky_seed_decides_nothing() -> None:
    pair = compare(LUCKY).pairs[0]
    assert (pair.verdict, pair.p_sign_flip) == ("undecided", 1.0)
    assert compare(LUCKY, margin=0.1).pairs[0].verdict == "undecided"


def test_failed_runs_are_left_out_in_pairs_and_said() -> None:
    comparison = compare(FAILED)
    assert comparison.variants[1].note == "1 of 6 runs failed"
    pair = comparison.pairs[0]
    assert (pair.n, pair.difference, pair.verdict) == (5, pytest.approx(-0.00952), "worse")
    assert pair.note == "few seeds: 5; variant 1: 1 of 6 runs failed"
    better = compare(FAILED[::-1]).pairs[0]
    assert (better.verdict, better.note) == ("better", "few seeds: 5; variant 0: 1 of 6 runs failed")


def test_identical_runs() -> None:
    comparison = compare([PAIRED[0], PAIRED[0]])
    pair = comparison.pairs[0]
    assert (pair.difference, pair.interval, pair.p, pair.p_holm, pair.p_sign_flip) == (0, (0, 0), 1, 1, 1)
    assert (pair.verdict, pair.note) == ("undecided", "identical scores in all 6 seeds")
    assert compare([PAIRED[0], PAIRED[0]], margin=0.001).pairs[0].verdict == "same"
    for n in (2, 3, 4):  # too few to tell that a difference would have been seen
        few = compare([PAIRED[0][:n], PAIRED[0][:n]], margin=0.1).pairs[0]
        assert (few.interval, few.p, few.verdict) == (None, 1, "undecided")
        assert few.note == f"few seeds: {n}; identical scores in all {n} seeds"


def test_rounding_errors_are_no_difference() -> None:
    row = np.array(PAIRED[0])
    pair = compare([row, row * (1 + 2e-16) + 1e-16]).pairs[0]
    assert (pair.difference, pair.p, pair.p_sign_flip) == (0, 1, 1)


@pytest.mark.parametrize(
    ("seeds", "p", "verdict"), [(2, 0.5, "undecided"), (3, 0.25, "undecided"), (6, 0.03125, "better")]
)
def test_the_same_difference_in_all_seeds_is_no_certainty(seeds: int, p: float, verdict: str) -> None:
    scores = [[*row, 0.5 + row[0], 0.6 + row[1], 0.4 + row[2]][:seeds] for row in ONE_POINT]
    pair = compare(scores, margin=0.5).pairs[0]
    assert pair.difference == pytest.approx(0.01)
    assert (pair.p, pair.p_sign_flip, pair.interval, pair.verdict) == (p, p, None, verdict)
    assert pair.note == f"few seeds: all {seeds} differ by the same amount"


def test_one_seed_gives_means_alone() -> None:
    comparison = compare([[0.81], [0.84]], margin=1.0)
    assert [variant.mean for variant in comparison.variants] == [0.81, 0.84]
    assert [variant.interval for variant in comparison.variants] == [None, None]
    pair = comparison.pairs[0]
    assert (pair.n, pair.difference) == (1, pytest.approx(-0.03))
    assert [pair.interval, pair.p, pair.p_holm, pair.p_sign_flip, pair.verdict] == [None] * 5
    assert pair.note == "one seed: no interval, no p, no verdict"
    assert comparison.variants[0].note == "one seed: no interval"


def test_two_seeds_have_an_interval_and_few_seeds_is_said() -> None:
    pair = compare([[0.81, 0.84], [0.80, 0.82]]).pairs[0]
    assert pair.p == pytest.approx(stats.ttest_rel([0.81, 0.84], [0.80, 0.82]).pvalue)
    assert (pair.p_sign_flip, pair.verdict, pair.note) == (0.5, "undecided", "few seeds: 2")


def test_a_variant_whose_runs_all_failed() -> None:
    comparison = compare([PAIRED[0], [None] * 6, PAIRED[1]])
    variant = comparison.variants[1]
    assert (variant.mean, variant.interval, variant.n, variant.failed) == (None, None, 0, 6)
    assert variant.note == "6 of 6 runs failed"
    assert comparison.pairs[0].difference is None
    assert comparison.pairs[0].note == "no seed that both finished; variant 1: 6 of 6 runs failed"
    assert comparison.pairs[1].p_holm == comparison.pairs[1].p == compare(PAIRED).pairs[0].p
    failed = compare([[NAN, NAN], [NAN, NAN]], np.zeros((2, 2, 5, 1)), score=np.mean)
    assert failed.pairs[0].verdict is None


def test_one_variant_has_no_pairs() -> None:
    comparison = compare(PAIRED[:1])
    assert comparison.pairs == ()
    assert str(comparison).startswith("variant 0: 0.7964 [0.7688, 0.8241], 6 runs")


def test_equal_scores_in_all_seeds_of_a_variant() -> None:
    variant = compare([[0.8] * 6]).variants[0]
    assert (variant.interval, variant.note) == ((0.8, 0.8), "no spread: the interval has no width")


@pytest.mark.parametrize("scale", [1e-250, 1e-9, 1e9, 1e299])
def test_tiny_and_huge_scores(scale: float) -> None:
    pair, scaled = compare(THREE).pairs[0], compare(np.array(THREE) * scale).pairs[0]
    assert scaled.p == pytest.approx(pair.p)
    assert np.array(scaled.interval) / scale == pytest.approx(np.array(pair.interval))


def test_p_is_never_0() -> None:
    row = np.linspace(0, 1, 400)
    pair = compare([row + 1e6 + np.resize([1, 1.001], 400), row + 1]).pairs[0]
    assert 0 < pair.p < 1e-300


def test_same_is_said_inside_a_margin_only() -> None:
    first, second = [0.80, 0.81, 0.82, 0.83, 0.84, 0.85], [0.801, 0.809, 0.82, 0.831, 0.839, 0.85]
    assert [compare([first, second], margin=m).pairs[0].verdict for m in (None, 0.0005, 0.002)] == [
        "undecided",
        "undecided",
        "same",
    ]
    low, high = compare([first, second]).pairs[0].interval
    edge = max(-low, high)
    assert compare([first, second], margin=edge).pairs[0].verdict == "undecided"
    assert compare([first, second], margin=np.nextafter(edge, 1)).pairs[0].verdict == "same"


def test_a_difference_that_is_sure_and_small_is_better_inside_the_margin() -> None:
    pair = compare(PAIRED, margin=0.01).pairs[0]
    assert (pair.verdict, pair.note) == ("better", "the interval lies inside the margin")
    assert compare(PAIRED, margin=0.005).pairs[0].note == ""


def test_the_text_has_every_number_and_caveat() -> None:
    assert str(compare(FAILED, margin=0.02)).splitlines() == [
        "variant 0: 0.8990 [0.8945, 0.9036], 6 runs",
        "variant 1: 0.9078 [0.9030, 0.9126], 5 runs (1 of 6 runs failed)",
        "0 - 1: -0.00952 [-0.0164, -0.002644], p 0.0184, after Holm 0.0184, sign flip 0.0625: worse "
        "(few seeds: 5; variant 1: 1 of 6 runs failed; the interval lies inside the margin)",
        "margin: 0.0200",
    ]


def test_the_result_is_json_without_nan() -> None:
    for scores in (THREE, FAILED, [[NAN], [0.5]], ONE_POINT):
        text = json.dumps(asdict(compare(scores)), allow_nan=False)
        assert json.loads(text)["pairs"][0]["first"] == 0


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────

TABLE = "a table (variants, seeds) of one variant and one seed or more"
NUMBER = "a number from -1e+300 to 1e+300, or NaN for a run that failed"


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (0.5, f"shape of scores: got (); expected {TABLE}."),
        ([0.5, 0.6], f"shape of scores: got (2,); expected {TABLE}."),
        ([], f"shape of scores: got (0,); expected {TABLE}."),
        ([[], []], f"shape of scores: got (2, 0); expected {TABLE}."),
        ("gru", f"shape of scores: got (); expected {TABLE}."),
        (
            [[0.5, 0.6], [0.5]],
            f"scores: got rows of different lengths; expected {TABLE}. Give NaN for a run that failed.",
        ),
        (
            [[0.5, math.inf], [0.5, 0.6]],
            f"score of variant 0, seed 1: got inf; expected {NUMBER}.",
        ),
        (
            [[0.5, 0.6], [-math.inf, 0.6]],
            f"score of variant 1, seed 0: got -inf; expected {NUMBER}.",
        ),
        (
            [[0.5, "0.6"]],
            f"score of variant 0, seed 1: got '0.6'; expected {NUMBER}.",
        ),
        (
            [[0.5, 10**400]],
            f"score of variant 0, seed 1: got 1{'0' * 79}… (401 characters); expected {NUMBER}.",
        ),
        (
            [[None, {}]],
            f"score of variant 0, seed 1: got {{}}; expected {NUMBER}.",
        ),
    ],
)
def test_scores_that_are_no_table_of_numbers(scores: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        compare(scores)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0}, "margin: got 0; expected a number above 0."),
        ({"margin": -0.1}, "margin: got -0.1; expected a number above 0."),
        ({"margin": NAN}, "margin: got nan; expected a number above 0."),
        ({"margin": math.inf}, "margin: got inf; expected a number above 0."),
        ({"seed": -1}, "seed: got -1; expected a whole number of 0 or more."),
        ({"larger_is_better": "no"}, "larger_is_better: got 'no'; expected True or False."),
        (
            {"score": np.mean},
            "records: got None; expected (variants, seeds, items, S) beside score. Leave score out.",
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        compare(PAIRED, **options)
    assert str(caught.value) == message
