"""Laws of comparisons: order, unit and company of variants change nothing but signs and names."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rekur.study.statistics import compare
from rekur.study.verdicts import Pair

SCORES = st.one_of(st.just(math.nan), st.integers(0, 20).map(lambda hits: hits / 20), st.floats(-10, 10, width=32))
TABLES = st.tuples(st.integers(2, 4), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=SCORES)
)
HITS = st.tuples(st.integers(2, 3), st.integers(1, 4), st.integers(2, 130)).flatmap(
    lambda shape: st.tuples(st.integers(0, 2**32 - 1), st.just(shape))
)


def records_of(drawn: tuple[int, tuple[int, ...]]) -> np.ndarray:
    number, shape = drawn
    return np.random.default_rng(number).integers(0, 2, (*shape, 1)).astype(float)


def numbers(pair: Pair) -> tuple[Any, ...]:
    return pair.n, pair.difference, pair.interval, pair.p, pair.p_sign_flip


def negated(values: tuple[Any, ...]) -> tuple[Any, ...]:
    n, difference, interval, p, p_sign_flip = values
    ends = None if interval is None else (-interval[1], -interval[0])
    return n, None if difference is None else -difference, ends, p, p_sign_flip


@given(TABLES)
def test_variants_in_reverse_order_give_the_same_bits_with_other_signs(table: np.ndarray) -> None:
    last = len(table) - 1
    forward = {(pair.first, pair.second): pair for pair in compare(table).pairs}
    opposite = {"better": "worse", "worse": "better"}
    for pair in compare(table[::-1]).pairs:
        other = forward[last - pair.second, last - pair.first]
        assert numbers(pair) == negated(numbers(other))
        assert pair.p_holm == other.p_holm
        assert pair.verdict == opposite.get(str(other.verdict), other.verdict)


@given(TABLES)
def test_a_pair_does_not_depend_on_other_variants(table: np.ndarray) -> None:
    comparison = compare(table)
    for pair in comparison.pairs:
        alone = compare(table[[pair.first, pair.second]])
        assert numbers(alone.pairs[0]) == numbers(pair)
        assert alone.variants == (comparison.variants[pair.first], comparison.variants[pair.second])


@given(TABLES, st.integers(-30, 30))
def test_another_unit_scales_differences_alone(table: np.ndarray, power: int) -> None:
    scale = 2.0**power
    assume(not np.any((np.abs(table) > 0) & (np.abs(table) < 1e-30)))
    for pair, scaled in zip(compare(table).pairs, compare(table * scale).pairs, strict=True):
        assert (scaled.p, scaled.p_holm, scaled.p_sign_flip, scaled.verdict) == (
            (pair.p, pair.p_holm, pair.p_sign_flip, pair.verdict)
        )
        assert scaled.difference == (None if pair.difference is None else pair.difference * scale)


@given(TABLES, st.booleans(), st.one_of(st.none(), st.floats(1e-3, 5)))
def test_every_result_is_plain_and_consistent(table: np.ndarray, larger: bool, margin: float | None) -> None:
    comparison = compare(table, larger_is_better=larger, margin=margin)
    assert comparison == compare(table.tolist(), larger_is_better=larger, margin=margin)
    json.dumps(asdict(comparison), allow_nan=False)
    for variant, row in zip(comparison.variants, table, strict=True):
        assert variant.n + variant.failed == len(row)
        assert (variant.interval is None) == (variant.n < 2)
    for pair in comparison.pairs:
        assert (pair.verdict is None) == (pair.p is None) == (pair.n < 2)
        if pair.p is not None:
            assert 0 < pair.p <= pair.p_holm <= 1
            assert 0 < pair.p_sign_flip <= 1
        if pair.verdict == "same":
            assert margin is not None
            assert -margin < pair.interval[0] <= pair.interval[1] < margin
        if pair.verdict in ("better", "worse"):
            assert pair.p_holm <= 0.05
            assert (pair.verdict == "better") == ((pair.difference > 0) == larger)
        if pair.interval is not None and pair.p < 1:  # p and interval are one statistic
            assert (pair.p < 0.05) == (not pair.interval[0] <= 0 <= pair.interval[1]) or pair.p == pytest.approx(0.05)


@given(HITS)
def test_with_records_the_order_of_variants_changes_signs_alone(drawn: tuple[int, tuple[int, ...]]) -> None:
    records = records_of(drawn)
    table, last = records.mean((2, 3)), len(records) - 1
    forward = {(pair.first, pair.second): pair for pair in compare(table, records, score=np.mean).pairs}
    for pair in compare(table[::-1], records[::-1], score=np.mean).pairs:
        assert numbers(pair) == negated(numbers(forward[last - pair.second, last - pair.first]))


@given(HITS)
def test_with_records_an_interval_is_never_narrower_than_over_examples_alone(
    drawn: tuple[int, tuple[int, ...]],
) -> None:
    records = records_of(drawn)[:2]
    assume(records.shape[1] > 1 and records.shape[2] <= 100)
    pair = compare(records.mean((2, 3)), records, score=np.mean).pairs[0]
    over_seeds = (records[0] - records[1])[..., 0].mean(0)
    error = over_seeds.std(ddof=1) / math.sqrt(len(over_seeds))
    assume(pair.interval is not None)
    assert (pair.interval[1] - pair.interval[0]) / 2 >= 1.9 * error
