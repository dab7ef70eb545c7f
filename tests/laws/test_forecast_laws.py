"""A forecast knows nothing of what follows its origin: not its inputs, not what was learnt, not its scales.

Axes: T steps of a series, H steps of the horizon.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur import Forecaster
from rekur._calendar import DAY, CalendarStep, StampForm
from rekur._history import History
from rekur.data.parts import series_corpus
from rekur.features.windows import Window, WindowFeatures
from rekur.targets.distribution import DistributionTarget
from rekur.targets.gallery import Gallery
from rekur.tasks.base import retrain
from rekur.tasks.base.item_stages import ItemStages
from rekur.tasks.base.prepared import PreparedItems
from rekur.tasks.forecast.split import Split, sizes_of

H, SEASON = 6, 12
seeds = given(seed=st.integers(0, 2**31))


#: role -> numbers of columns
COLUMNS: list[dict[str, int]] = [
    {},
    {"past": 2},
    {"future": 2},
    {"static": 2},
    {"past": 1, "future": 1, "static": 1},
]


def made(seed: int, *, channels: int = 1, columns: dict[str, int] | None = None) -> list[History]:
    """Return three seasonal series of differing length with gaps, and columns beside them with other gaps."""
    random = np.random.default_rng(seed)
    histories = []
    for number, length in enumerate((90, 120, 133)):
        season = 10 + 3 * np.sin(np.arange(length) * 2 * np.pi / SEASON + number)
        values = season[:, None] * (1 + np.arange(channels)) + random.normal(0, 0.5, (length, channels))
        values[random.random(values.shape) < 0.05] = np.nan
        values[-1] = 11.0
        names = tuple(f"c{channel}" for channel in range(channels))
        history = History(f"s{number}", names, values)
        histories.append(history if columns is None else covered(history, random, columns))
    return histories


def covered(history: History, random: np.random.Generator, columns: dict[str, int]) -> History:
    """Return a daily history with columns; those that are known ahead reach a horizon behind it."""
    length = len(history)
    shapes = {"past": (length,), "future": (length + H,), "static": ()}
    arrays: dict[str, Any] = {}
    for role, count in columns.items():
        arrays[role] = random.normal(3, 2, (*shapes[role], count))
        arrays[f"{role}_names"] = tuple(f"{role}{number}" for number in range(count))
        if role != "static":
            arrays[role][:length][random.random((length, count)) < 0.05] = np.nan
    dated: dict[str, Any] = {"start": 19_000 * DAY, "step": CalendarStep("ns", DAY), "form": StampForm()}
    return dataclasses.replace(history, **arrays, **dated)


def noisy(history: History, origin: int, seed: int) -> History:
    """Return a history with other numbers from the origin on, some of them far away and below 0; what is known ahead
    differs from a horizon behind the origin on.
    """
    random = np.random.default_rng(seed)
    arrays = {}
    for name, first in (("values", origin), ("past", origin), ("future", origin + H)):
        arrays[name] = getattr(history, name).copy()
        arrays[name][first:] = random.normal(-500, 4000, arrays[name][first:].shape)
    return dataclasses.replace(history, **arrays)


def prepared(histories: list[History], options: dict[str, Any]) -> tuple[PreparedItems, Split]:
    task = Forecaster(horizon=H, **options)
    return ItemStages(task).prepare(series_corpus(histories, "X"), None, None), task.split


OPTIONS: list[dict[str, Any]] = [
    {},
    {"metric": "smape"},
    {"metric": "mae", "lookback": 20},
    {"members": 2, "embargo": 3},
    {"non_negative": "no", "stride": 5, "valid_fraction": 0.3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@draws(3)
@seeds
def test_nothing_is_learnt_from_values_behind_the_first_origin(options: dict[str, Any], seed: int) -> None:
    nothing_is_learnt(made(seed, channels=2), options, seed)


@pytest.mark.parametrize("columns", COLUMNS, ids=str)
@draws(2)
@seeds
def test_nothing_is_learnt_of_columns_behind_the_first_origin(columns: dict[str, int], seed: int) -> None:
    nothing_is_learnt(made(seed, channels=2, columns=columns), {"members": 1 + seed % 2}, seed)


def nothing_is_learnt(histories: list[History], options: dict[str, Any], seed: int) -> None:
    (ours, split), first = prepared(histories, options), dict[str, int]()
    for part in split.parts:
        first[part.history.name] = min(part.first, first.get(part.history.name, part.first))
    (theirs, _) = prepared([noisy(each, first[each.name], seed) for each in histories], options)
    assert theirs.features.to_dict() == ours.features.to_dict()
    assert theirs.target.to_dict() == ours.target.to_dict()
    assert theirs.train.fingerprint() == ours.train.fingerprint()
    for row, context in enumerate(ours.valid.contexts):
        window = context["window"]
        if window.origin <= first[window.history.name]:
            other = theirs.valid.contexts[row]
            assert (other["level"], other["scale"]) == (context["level"], context["scale"])
            for name, inputs in ours.valid.inputs.items():
                np.testing.assert_array_equal(theirs.valid.inputs[name][row], inputs[row])


@draws(20)
@given(seed=st.integers(0, 2**31), origin=st.integers(3, 88), columns=st.sampled_from([None, *COLUMNS]))
def test_inputs_and_scales_of_a_window_do_not_know_what_follows(
    seed: int, origin: int, columns: dict[str, int] | None
) -> None:
    history = made(seed, columns=columns)[0]
    features = WindowFeatures(24, H, H, (SEASON,)).fit([Window(history, 0, 60)])
    ours, theirs = (features.encode(Window(each, 0, origin)) for each in (history, noisy(history, origin, seed)))
    for name, inputs in ours.inputs.items():
        np.testing.assert_array_equal(theirs.inputs[name], inputs)
    assert (ours.context["level"], ours.context["scale"]) == (theirs.context["level"], theirs.context["scale"])
    target = DistributionTarget(H, period=SEASON)
    outputs = np.random.default_rng(seed).normal(0, 1, target.size)
    np.testing.assert_array_equal(target.decode(outputs, ours.context), target.decode(outputs, theirs.context))


class Issued(Gallery):
    """Remembers each forecast by its series and origin."""

    def __init__(self) -> None:
        super().__init__()
        self.forecasts: dict[tuple[str, int], Any] = {}

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        self.forecasts[context["window"].name, context["window"].origin] = prediction


@pytest.mark.parametrize("columns", [None, COLUMNS[-1]], ids=str)
def test_rolling_forecasts_do_not_know_what_follows_their_origin(columns: dict[str, int] | None) -> None:
    histories = made(0, columns=columns)
    model = Forecaster(horizon=H, epochs=1, hidden_size=4, baseline=False).fit(histories)
    model.stride = 1

    def issued(series: list[History]) -> dict[tuple[str, int], Any]:
        gallery = Issued()
        model.evaluate_corpus(series_corpus(series, "X"), gallery)
        return gallery.forecasts

    ours = issued(histories)
    for origin in (60, 71, 84):
        theirs = issued([noisy(each, origin, origin) for each in histories])
        before = [key for key in ours if key[1] <= origin]
        assert any(at == origin for _, at in before)
        for key in before:
            np.testing.assert_array_equal(theirs[key], ours[key])
        assert not np.array_equal(theirs["s2", origin + 1], ours["s2", origin + 1])


def test_intervals_hold_on_a_later_part() -> None:
    random = np.random.default_rng(0)
    length, ends, histories = 72, (78, 84, 90), []
    for number in range(40):
        season = 10 + 3 * np.sin(np.arange(ends[-1]) * 2 * np.pi / SEASON + number)
        values = season + 0.3 * random.choice([1.0, 8.0], len(season), p=[0.8, 0.2]) * random.normal(size=len(season))
        histories.append(History(f"s{number}", ("y",), values[:, None]))
    model = Forecaster(horizon=H, epochs=1, hidden_size=4, baseline=False, lookback=24, stride=4)
    model.fit([each.part(0, length) for each in histories])

    def coverage() -> float:
        later = [[each.part(0, end) for each in histories] for end in ends]
        return float(np.mean([model.evaluate(series)["coverage"] for series in later]))

    assert 0.92 <= coverage() <= 0.98
    model.target_.offsets = None
    assert not 0.92 <= coverage() <= 0.98


def test_training_again_reads_the_ends_and_changes_no_score() -> None:
    histories = made(3)
    small: dict[str, Any] = {"horizon": H, "epochs": 3, "hidden_size": 4, "baseline": False}
    chosen = Forecaster(**small, refit=False).fit(histories)
    again = Forecaster(**small).fit(histories)
    assert again.metrics_ == chosen.metrics_
    assert again.result_.best_score == chosen.result_.best_score
    before, after = (len(list(model.split.training())) for model in (chosen, again))
    assert (chosen.result_.trained_again, again.result_.trained_again) == (0, after)
    assert before < after
    assert not np.allclose(again.predict(histories), chosen.predict(histories))
    ends = [noisy(each, len(each) - 1, 5) for each in histories]
    ours, theirs = (Forecaster(**small, refit=refit).fit(ends) for refit in (False, True))
    assert ours.features_.to_dict() == chosen.features_.to_dict()
    assert theirs.features_.to_dict() != again.features_.to_dict()


def test_a_chosen_model_stays_where_training_again_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    small: dict[str, Any] = {"horizon": H, "epochs": 2, "hidden_size": 4, "baseline": False}
    chosen = Forecaster(**small, refit=False).fit(made(4))
    ordinary = retrain.train

    def interrupted(*given: Any, until: int = 0, **how: Any) -> Any:
        result = ordinary(*given, until=until, **how)
        return dataclasses.replace(result, stopped="interrupted") if until else result

    monkeypatch.setattr(retrain, "train", interrupted)
    model = Forecaster(**small).fit(made(4))
    assert (model.result_.stopped, model.result_.trained_again) == ("interrupted", 0)
    np.testing.assert_array_equal(model.predict(made(4)), chosen.predict(made(4)))
    assert model.features_.to_dict() == chosen.features_.to_dict()


@draws(3)
@given(st.randoms(use_true_random=False), st.booleans())
def test_forecasts_do_not_hang_on_the_order_of_rows(shuffler: Any, has_columns: bool) -> None:
    random = np.random.default_rng(3)
    rows = [
        {"id": name, "t": t, "y": 9 + t % 5 + random.random(), "wind": "NSW"[t % 3], "promo": t % 4, "area": len(name)}
        for name, end in (("S2", 40), ("S10", 43), ("x", 9))
        for t in range(end)
    ]
    mixed = shuffler.sample(rows, len(rows))
    columns: dict[str, Any] = {"group": "id", "time": "t", "series": ["y"]}
    columns |= {"past": ["wind"], "static": ["area"]} if has_columns else {}
    forecasts = []
    for one, other in ((rows, mixed), (mixed, rows)):
        model = Forecaster(horizon=3, epochs=1, hidden_size=3, verbose=False).fit(one, columns=columns)
        forecasts += [{each["series"]: each for each in model.present(read)} for read in (one, other)]
    assert [*forecasts[0]] == ["S2", "S10", "x"]
    assert all(each == forecasts[0] for each in forecasts[1:])


def test_nothing_before_an_asked_look_back_is_read() -> None:
    history = made(6)[1]
    windows = [Window(history, 0, 100)]
    features = WindowFeatures(24, H, H, (SEASON,), beyond=False).fit(windows)
    assert features.memory == 24
    other = dataclasses.replace(history, values=np.where(np.arange(len(history))[:, None] < 86, 1e4, history.values))
    ours, theirs = (features.encode(Window(each, 0, 110)) for each in (history, other))
    for name, inputs in ours.inputs.items():
        np.testing.assert_array_equal(theirs.inputs[name], inputs)
    beyond = WindowFeatures(24, H, H, (SEASON,)).fit(windows)
    changed = [beyond.encode(Window(each, 0, 110)).inputs["ahead"] for each in (history, other)]
    assert not np.array_equal(*changed)


@pytest.mark.parametrize(
    ("horizon", "lookback", "periods", "longest", "cycles", "expected"),
    [
        (48, None, (24, 168), 900, (), (336, 24)),
        (24, None, (72,), 20_000, (24, 168, 8760), (336, 24)),
        (24, None, (24,), 700, (24, 168, 8760), (48, 24)),
        (24, 96, (24,), 8000, (24, 168), (96, 24)),
        (24, 100, (24,), 8000, (24, 168), (100, 4)),
        (7, 9, (7,), 8000, (), (9, 1)),
        (7, 7, (7,), 8000, (), (7, 7)),
        (4, 9, (), 8000, (), (9, 1)),
        (24, 20, (24,), 8000, (24, 168), (20, 4)),
        (12, None, (), 40, (12,), (36, 12)),
    ],
)
def test_sizes_of_windows(
    horizon: int, lookback: int | None, periods: Any, longest: int, cycles: Any, expected: tuple[int, int]
) -> None:
    sizes = sizes_of(horizon, lookback, periods, longest, cycles)
    assert (sizes.lookback, sizes.segment) == expected


def test_training_windows_of_many_series_have_plain_forecasts_of_other_series() -> None:
    series = [each for seed in range(6) for each in made(seed)][:17]
    whole = [dataclasses.replace(each, values=np.nan_to_num(each.values, nan=9.0)) for each in series]
    changed = [noisy(each, 0, 1) if number in (4, 8, 12) else each for number, each in enumerate(whole)]
    changed = [dataclasses.replace(each, values=np.abs(each.values)) for each in changed]

    def encoded(histories: list[History], *, of_training: bool) -> list[Any]:
        features = WindowFeatures(24, H, H, (SEASON,)).fit([Window(each, 0, len(each)) for each in histories])
        windows = [Window(histories[number], 0, 70) for number in (1, 0)]
        reads = features.for_training() if of_training else features
        return [each.inputs["ahead"] for each in reads.encode_many(windows)]

    (one, none), (other, same) = (encoded(each, of_training=True) for each in (whole, changed))
    np.testing.assert_array_equal(none, same)  # of the fold of those that are changed
    assert not np.array_equal(one, other)
    for ours, theirs in zip(encoded(whole, of_training=True), encoded(whole, of_training=False), strict=True):
        assert ours.shape == theirs.shape
        assert not np.array_equal(ours, theirs)
    few = WindowFeatures(24, H, H, (SEASON,)).fit([Window(each, 0, len(each)) for each in whole[:15]])
    assert few.for_training() is few
