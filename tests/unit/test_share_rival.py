"""Shares of fixed convolutions as aeon has them, ridges against leaving items out in truth, and the rival of series."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as SklearnRidge
from tests.oracles.make_cases import frequency, order

import rekur
from rekur import Classifier, Regressor
from rekur._convolutions import Times
from rekur._shares import ALL, LONG, SHARE, TALLIES, Shares, dilations_of, draw_shares, in_blocks, stride_of
from rekur.data import EncodedItems, Ragged
from rekur.errors import InputError
from rekur.export.c import check
from rekur.export.c.source import Extra, Style, lower_to_c
from rekur.export.c.write import header, source
from rekur.export.onnx.models import make_models
from rekur.features import SeriesFeatures
from rekur.program import Engine, Input, Op, Program, State, Weight
from rekur.targets import LabelTarget, NumberTarget
from rekur.tasks.base.ridge import Ridge, even_folds
from rekur.tasks.base.share_rival import fit_share_rival

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "shares.json").read_text())


def of_aeon(case: dict[str, Any]) -> tuple[Shares, list[Any], Any]:
    """Return the convolutions that aeon drew, the series (T, D), and its shares."""
    X = np.array(case["series"], np.float32).transpose(0, 2, 1)
    channels = np.zeros((len(case["channel_counts"]), X.shape[2]), np.uint8)
    ends = np.cumsum(case["channel_counts"])
    for row, end, count in zip(channels, ends, case["channel_counts"], strict=True):
        row[case["channels"][end - count : end]] = 1
    biases = np.array(case["biases"], np.float32)
    shares = Shares(np.array(case["dilations"]), np.array(case["counts"]), channels, biases)
    return shares, list(X), np.array(case["shares"])


@pytest.mark.parametrize("number", range(len(ORACLE["cases"])))
def test_shares_and_dilations_are_those_of_aeon(number: int) -> None:
    case = ORACLE["cases"][number]
    shares, X, theirs = of_aeon(case)
    np.testing.assert_allclose(shares.of(X), theirs, atol=1e-6)
    dilations, counts = dilations_of(len(X[0]), case["kernels"])
    assert (dilations.tolist(), counts.tolist()) == (case["dilations"], case["counts"])


@given(st.lists(st.integers(0, 70), min_size=1, max_size=6), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_shares_are_those_of_the_definition_whatever_stands_beside(lengths: list[int], width: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    series = [draw.normal(0, 1, (length, width)).astype(np.float32) for length in [*lengths, 30]]
    shares = draw_shares(series, seed, size=2520, numbers=ALL)
    pairs, together = len(shares.biases), shares.of(series)
    for item, row in zip(series, together, strict=True):
        np.testing.assert_array_equal(shares.of([item])[0], row)
    place, kernel = 1, 17  # kernel 17 of the first dilation, its second bias
    one, item = shares.counts[0] * kernel + place, series[0].astype(np.float64)
    weights = np.full(9, -1.0)
    weights[[0, 3, 8]] = 2.0  # the 18th of three places out of nine
    summed = np.pad(item @ shares.channels[kernel], 4 * int(shares.dilations[0]))
    outputs = [
        weights @ summed[at : at + 9 * int(shares.dilations[0]) : int(shares.dilations[0])] for at in range(len(item))
    ]
    outputs = outputs[4:-4]  # an odd kernel of the first dilation has none at the ends
    above = np.array(outputs) > shares.biases[one] if outputs else np.zeros(1, bool)
    near = 1.01 / len(above)  # an output may be as near to the bias as rounding
    assert together[0, one] == pytest.approx(above.mean(), abs=near)
    weights = 2 * np.arange(len(above)) + 1
    assert together[0, one + pairs] == pytest.approx(weights @ above / len(above) ** 2, abs=2 * near)
    runs = [len(run) for run in "".join("01"[flag] for flag in above.tolist()).split("0")]
    assert together[0, one + 2 * pairs] == pytest.approx(max(runs) / len(above), abs=near)
    plain = draw_shares(series, seed, size=840)
    np.testing.assert_array_equal(plain.biases, shares.biases)
    np.testing.assert_array_equal(plain.of(series), together[:, :pairs])


@pytest.mark.parametrize("numbers", [SHARE, ALL])
def test_a_long_series_is_counted_in_pieces_as_whole(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    series = [draw.normal(0, 1, (length, 2)).cumsum(axis=0).astype(np.float32) for length in (500, 100, 260)]
    shares = draw_shares(series, size=2520, numbers=numbers)
    whole = shares.of(series)
    monkeypatch.setattr("rekur._shares._count_above", None)
    np.testing.assert_array_equal(shares.of(series), whole)
    monkeypatch.setattr("rekur._convolutions.PIECE", 64)
    np.testing.assert_array_equal(shares.of(series), whole)


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=1, max_size=5), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_kernel_counts_what_numpy_counts(parts: list[tuple[int, int, int]], width: int, seed: int) -> None:
    if rekur._shares._count_above is None:
        pytest.skip("the kernels are not built")
    draw = np.random.default_rng(seed)
    series = [draw.integers(-3, 4, (known + 40, width)).astype(np.float32) / 3 for known, _, _ in parts]
    shares = draw_shares(series, seed, size=1512, numbers=[SHARE, ALL][seed % 2])
    first = draw.integers(-30, 30, len(series))
    begin = np.maximum(first, 0) + [start for _, start, _ in parts]
    end = np.minimum(begin + [count for _, _, count in parts], first + [len(item) for item in series])
    times = Times(first, begin, end, np.maximum(end, begin) + draw.integers(0, 20, len(series)))
    before = draw.integers(0, 9, (len(series), shares.tallies))
    if shares.numbers == ALL:
        run, longest = np.split(before, 4, axis=1)[2:]
        longest += run  # a run that goes on is not longer than the longest
    counted, divided = shares.counted(series, times, before), shares.divided(series, times, before, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rekur._shares._count_above", None)
        np.testing.assert_array_equal(counted, shares.counted(series, times, before))
        np.testing.assert_array_equal(divided, shares.divided(series, times, before))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(24, 60), (24, 6)])
def test_a_ridge_and_its_errors_are_those_of_fits_without_each_item(shape: tuple[int, int], weighted: bool) -> None:
    draw = np.random.default_rng(0)
    table, targets = draw.normal(3, 2, shape), draw.normal(1, 1, (24, 2))
    table[:, 1] = 7.0
    weights = draw.uniform(0.5, 2, 24) if weighted else None
    ridge = Ridge(table, targets, weights)
    fitted = ridge.fit()
    center = np.average(table, axis=0, weights=weights)
    scale = np.sqrt(np.average((table - center) ** 2, axis=0, weights=weights))
    rows = (table - center) / np.where(scale > 0, scale, 1)
    theirs = SklearnRidge(alpha=fitted.penalty).fit(rows, targets, weights)
    np.testing.assert_allclose(table @ fitted.weights.T + fitted.bias, theirs.predict(rows), rtol=1e-6)
    alone = []
    for row in range(24):
        others = np.arange(24) != row
        weights_of_others = None if weights is None else weights[others]
        model = SklearnRidge(alpha=fitted.penalty).fit(rows[others], targets[others], weights_of_others)
        alone.append(targets[row] - model.predict(rows[row : row + 1])[0])
    np.testing.assert_allclose(fitted.errors, alone, rtol=1e-5, atol=1e-9)
    held_out = ridge.held_out(np.arange(24), fitted.penalty)
    np.testing.assert_allclose(targets - held_out, alone, rtol=1e-5, atol=1e-9)
    half = np.arange(12)
    part = ridge.fit(half)
    of_half = None if weights is None else weights[half]
    theirs = SklearnRidge(alpha=part.penalty).fit(rows[half], targets[half], of_half)
    np.testing.assert_allclose(table @ part.weights.T + part.bias, theirs.predict(rows), rtol=1e-6, atol=1e-8)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(2, 6))
def test_folds_are_even_in_all_and_in_each_class(count: int, classes: int, folds: int) -> None:
    labels = np.random.default_rng(count).integers(0, classes, count)
    numbers = even_folds(labels, folds)
    for chosen in [labels >= 0, *(labels == label for label in range(classes))]:
        sizes = np.bincount(numbers[chosen], minlength=folds)
        assert sizes.max() - sizes.min() <= 1


def encoded(items: list[Any], truth: Any, channels: int = 1) -> EncodedItems:
    features = SeriesFeatures().fit(items)
    steps = [features.transform(item) for item in items]
    return EncodedItems({"steps": Ragged.from_iter(steps)}, np.asarray(truth), np.arange(len(items)))


LABELS = LabelTarget(["a", "b"], multi_label=False)


def test_the_rival_is_as_good_as_that_of_aeon() -> None:
    X, y = order(0, 260)
    both = encoded(list(X.transpose(0, 2, 1)), y)
    rival = fit_share_rival(EncodedItems(both.inputs, both.targets, np.arange(60)), LABELS)
    guesses = np.argmax(rival.predictions(EncodedItems(both.inputs, both.targets, np.arange(60, 260))), axis=1)
    assert np.mean(guesses == y[60:]) > np.mean(ORACLE["order_accuracy"]) - 0.05
    X, z = frequency(0, 240)
    both = encoded(list(X.transpose(0, 2, 1)), z)
    rival = fit_share_rival(EncodedItems(both.inputs, both.targets, np.arange(40)), NumberTarget(0.0, 1.0))
    numbers = np.asarray(rival.predictions(EncodedItems(both.inputs, both.targets, np.arange(40, 240))))
    assert np.sqrt(np.mean((numbers - z[40:]) ** 2)) < np.mean(ORACLE["frequency_rmse"]) * 1.15


def waves(count: int, seed: int = 0, steps: int = 40) -> tuple[list[Any], Any]:
    draw = np.random.default_rng(seed)
    y = np.arange(count) % 2
    return [np.sin(np.arange(steps) * (0.5 + label) + draw.uniform(0, 6))[:, None] for label in y], y


def _two_items() -> Any:
    return waves(2)


def _one_of_a_class() -> Any:
    X, _ = waves(12)
    return X, np.where(np.arange(12) == 5, 1, 0)


def _constant_channel() -> Any:
    X, y = waves(20)
    return [np.column_stack([item, np.full(len(item), 5.0)]) for item in X], y


def _missing_channel() -> Any:
    X, y = waves(20)
    return [np.column_stack([item, np.full(len(item), np.nan)]) for item in X], y


def _one_is_long() -> Any:
    X, y = waves(20)
    return [*X[:-1], np.tile(X[-1], (1000, 1))], y


def _fewer_than_folds() -> Any:
    return waves(3)


def _high_levels() -> Any:
    X, y = waves(20)
    return [1e9 + item for item in X], y


CASES = (
    _constant_channel,
    _fewer_than_folds,
    _high_levels,
    _missing_channel,
    _one_is_long,
    _one_of_a_class,
    _two_items,
)


@pytest.mark.parametrize("case", CASES)
def test_odd_items_have_a_rival_with_finite_scores(case: Any) -> None:
    X, y = case()
    items = encoded(X, y)
    shares = np.asarray(fit_share_rival(items, LABELS).predictions(items))
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    if len(X) == 20:
        assert np.mean(np.argmax(shares, axis=1) == y) == 1.0
    numbers = encoded(X, (y - y.mean()).astype(np.float32))
    assert np.isfinite(fit_share_rival(numbers, NumberTarget(0.0, 1.0)).predictions(numbers)).all()


def test_labels_of_several_are_scored_apart_and_constant_ones_are_certain() -> None:
    X, y = waves(20)
    flags = np.column_stack([y, np.ones(20), np.zeros(20)]).astype(np.float32)
    items = encoded(X, flags)
    shares = np.asarray(fit_share_rival(items, LabelTarget(list("abc"), multi_label=True)).predictions(items))
    assert ((shares[:, 0] > 0.5) == y).all()
    np.testing.assert_allclose(shares[:, 1:], [[1.0, 0.0]] * 20, atol=1e-5)


def test_weights_of_items_count() -> None:
    X, y = waves(12)
    twice = encoded([*X, *X[:6]], np.append(y, y[:6]).astype(np.float32))
    target = NumberTarget(0.0, 1.0)
    weighted = encoded(X, y.astype(np.float32))
    weighted.weights = np.where(np.arange(12) < 6, 2.0, 1.0)
    table = np.random.default_rng(0).normal(0, 1, (12, 5))
    more = np.concatenate([table, table[:6]])
    one = Ridge(table, np.asarray(weighted.targets)[:, None], weighted.weights).fit(penalties=(1.0,))
    two = Ridge(more, np.asarray(twice.targets)[:, None]).fit(penalties=(1.0,))
    np.testing.assert_allclose(one.weights, two.weights, rtol=1e-6)
    noisy = (y + np.random.default_rng(1).normal(0, 1, 12)).astype(np.float32)  # else all fit exactly
    alike, apart = encoded(X, noisy), encoded(X, noisy)
    apart.weights = weighted.weights
    first, second = (np.asarray(fit_share_rival(each, target).predictions(alike)) for each in (alike, apart))
    assert np.abs(first - second).max() > 1e-3


def test_long_series_are_read_in_blocks() -> None:
    assert (stride_of(np.array([10, LONG])), stride_of(np.array([2 * LONG + 1]))) == (1, 3)
    X, y = waves(8, steps=3 * LONG)
    items = encoded(X, y)
    assert np.isfinite(fit_share_rival(items, LABELS).predictions(items)).all()
    assert len(in_blocks(X[0], 3)) == LONG
    assert [len(in_blocks(X[0][:length], 3)) for length in (0, 1, 3, 4)] == [0, 1, 1, 2]


def test_both_rivals_of_series_are_scored_and_the_better_one_is_kept(tmp_path: Path) -> None:
    X, y = waves(12)
    model = Classifier(epochs=1, hidden_size=4).fit(X, y, X_valid=X, y_valid=y)
    scores = model.metrics_["rival"]
    assert scores["name"] == "random convolutions + ridge classifier"
    assert [each["name"] for each in scores["others"]] == ["summary statistics + logistic regression"]
    small = rekur.load(model.save(tmp_path / "m"))
    again = small.evaluate(X, y)["rival"]
    assert {name: again[name] for name in again if name != "name"} == {
        name: scores[name] for name in again if name != "name"
    }
    number = Regressor(epochs=1, hidden_size=4).fit(X, y, X_valid=X, y_valid=y)
    rivals = [number.metrics_["rival"]["name"], *(each["name"] for each in number.metrics_["rival"]["others"])]
    assert sorted(rivals) == ["random convolutions + ridge regression", "summary statistics + ridge regression"]
    assert rekur.load(number.save(tmp_path / "n")).evaluate(X, y)["rival"]["name"] == rivals[0]


def pool(shares: Shares) -> tuple[Program, dict[str, Any]]:
    """Return a program that is one pool of shares, and its weights."""
    width, size = shares.channels.shape[1], shares.size
    weights = {"bias": shares.biases, "channels": shares.channels.astype(np.float32)}
    pairs = len(shares.biases)
    tallies = (State(role, (pairs,), "int64") for role in TALLIES[shares.numbers])
    state = (State("before", (2 * shares.reach, width)), State("count", (1,), "int64"), *tallies)
    options: dict[str, Any] = {"dilations": shares.dilations.tolist(), "counts": shares.counts.tolist()}
    if shares.numbers == ALL:
        options["numbers"] = ALL
    roles = {slot.name: slot.name for slot in state}
    op = Op("shares", ("input",), "shares", size, {name: name for name in weights}, roles, options)
    of_weights = {name: Weight(array.shape) for name, array in weights.items()}
    return Program.of("regress", Input("rows", width), of_weights, state, (op,)), weights


@given(st.lists(st.integers(0, 40), min_size=1, max_size=3), st.integers(1, 2), st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_the_pool_of_a_program_gives_the_shares_whole_and_in_any_cuts(
    lengths: list[int], width: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    series = [draw.normal(0, 1, (length, width)).astype(np.float32) for length in lengths]
    of = [*series, draw.normal(0, 1, (30, width)).astype(np.float32)]
    shares = draw_shares(of, seed, size=756, numbers=[SHARE, ALL][seed % 2])
    engine = Engine(*pool(shares))
    expected = shares.of(series)
    np.testing.assert_array_equal(engine.run(series), expected)
    state, item = engine.initial_state(), series[0]
    ends = np.unique([*draw.integers(0, len(item) + 1, 3), len(item)]).tolist()
    for first, end in zip([0, *ends], ends, strict=False):
        if first < end:
            state = engine.advance(item[first:end], state)
            np.testing.assert_array_equal(engine.read(state), shares.of([item[:end]])[0])
    restored = Program.from_json(engine.program.to_json())
    assert restored == engine.program


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dilations": [2, 1], "counts": [1, 1]}, "dilations: got [2, 1]; expected numbers that rise"),
        ({"dilations": [1], "counts": [1, 1]}, "counts: got [1, 1]; expected 1 numbers"),
        ({"dilations": [], "counts": [1]}, "dilations: got []; expected a list of whole numbers"),
        ({"dilations": [0], "counts": [1]}, "dilations: got 0; expected"),
        ({"dilations": [1, 2], "counts": [1, 1], "numbers": 2}, "numbers: got 2; expected 1 or 3"),
    ],
)
def test_a_wrong_pool_of_shares_is_refused(options: dict[str, Any], text: str) -> None:
    program, _ = pool(draw_shares([np.zeros((20, 1), np.float32)], size=168))
    op = dataclasses.replace(program.main.ops[0], options=options)
    with pytest.raises(InputError, match=re.escape(text)):
        Program.of("regress", program.input, program.weights, program.state, (op,))


@pytest.mark.parametrize("steps", [1, 5, 60])
def test_biases_are_apart_from_the_outputs_of_training_series(steps: int) -> None:
    item = np.random.default_rng(0).integers(0, 3, (steps, 1)).astype(np.float32)  # whose outputs are often equal
    shares = draw_shares([item], size=840)
    values = shares.of([item])
    for change in (1 - 2e-6, 1 + 2e-6):
        moved = dataclasses.replace(shares, biases=(shares.biases * np.float32(change)).astype(np.float32))
        np.testing.assert_array_equal(moved.of([item]), values)


def test_biases_are_apart_from_the_outputs_of_other_series_on_the_same_grid() -> None:
    draw = np.random.default_rng(0)
    flags = [draw.integers(0, 2, (40, 3)).astype(np.float32) for _ in range(12)]
    shares = draw_shares(flags[:4], size=840)
    values = shares.of(flags)
    for change in (-1e-5, 1e-5):
        moved = dataclasses.replace(shares, biases=(shares.biases + np.float32(change)).astype(np.float32))
        np.testing.assert_array_equal(moved.of(flags), values)


@pytest.mark.parametrize("numbers", [SHARE, ALL])
def test_onnx_gives_the_shares_of_the_pool(numbers: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    draw = np.random.default_rng(3)
    series = [draw.normal(0, 1, (length, 2)).astype(np.float32) for length in (40, 7, 0, 25)]
    shares = draw_shares(series, size=1008, numbers=numbers)
    models = make_models(*pool(shares))
    assert list(models) == ["sequence"]
    padded = np.full((4, 45, 2), np.nan, np.float32)
    for row, item in zip(padded, series, strict=True):
        row[: len(item)] = item
    session = onnxruntime.InferenceSession(models["sequence"].SerializeToString(), providers=["CPUExecutionProvider"])
    lengths = np.array([len(item) for item in series])
    (theirs,) = session.run(["scores"], {"input": padded, "lengths": lengths})
    np.testing.assert_array_equal(theirs, shares.of(series))


@pytest.mark.parametrize("numbers", [SHARE, ALL])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_c_code_gives_the_shares_of_the_pool(precision: str, numbers: int) -> None:
    if check.compiler() is None:
        pytest.skip("there is no C compiler")
    draw = np.random.default_rng(3)
    series = [draw.normal(0, 1, (length, 2)).astype(np.float32) for length in (40, 7, 0, 25, 1, 300)]
    shares = draw_shares(series[:4], size=1008, numbers=numbers)
    program, weights = pool(shares)
    lowered = lower_to_c(program, weights, Style("m", precision))
    sources = {"m.h": header(lowered, Extra()), "m.c": source(lowered, Extra())}
    theirs = check.outputs(sources, "m", program, series)
    np.testing.assert_array_equal(theirs.astype(np.float32), shares.of(series))


def test_fixed_point_refuses_the_pool_by_name() -> None:
    program, weights = pool(draw_shares([np.zeros((20, 1), np.float32)], size=168))
    with pytest.raises(InputError, match="op in fixed point: got 'shares'; expected one of"):
        lower_to_c(program, weights, Style("m", "int8", "fixed"))
