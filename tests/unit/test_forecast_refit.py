"""What a forecaster says of channels that begin late, of steps that are left out, and once it was trained again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Forecaster
from rekur.cli.app import main
from rekur.errors import BundleError, InputError
from rekur.features.covariates import Scaler
from rekur.models import DistributionHead
from rekur.runtime import load
from rekur.tasks.base.item_stages import ItemStages
from rekur.tasks.forecast import forecaster

TINY: dict[str, Any] = {"horizon": 4, "epochs": 1, "hidden_size": 4, "lookback": 8, "verbose": False}


def _series(seed: int, steps: int = 48) -> np.ndarray:
    return 20 + np.random.default_rng(seed).normal(size=steps).cumsum()


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore::rekur.errors.DataWarning")
def test_a_channel_without_a_value_before_the_first_origin_is_no_part_of_what_is_learnt(tmp_path: Path) -> None:
    late = np.where(np.arange(48) < 44, np.nan, 3 * _series(1))
    model = Forecaster(**TINY, refit=False, baseline=False).fit([np.column_stack([late, _series(0)])])
    model.save(tmp_path / "model")
    assert model.target_.non_negative
    assert np.isfinite(model.target_.units).all()


def test_nothing_is_learnt_from_the_steps_that_are_left_out() -> None:
    series, changed = _series(0, 60), _series(0, 60)
    changed[42:] *= 7  # the last 8 steps validate, and 10 before them are left out
    how = {**TINY, "valid_fraction": 0.14, "embargo": 10, "refit": False, "baseline": False}
    one, other = (Forecaster(**how).fit([values]) for values in (series, changed))
    assert one.split.parts[0].first == 52
    assert one.features_.to_dict() == other.features_.to_dict()
    assert one.target_.to_dict() | {"offsets": None} == other.target_.to_dict() | {"offsets": None}


def test_mae_is_trained_by_logarithms_of_one_series_without_values_below_0(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = []

    def recorded(*arguments: Any, **how: Any) -> DistributionHead:
        heads.append(how["metric"])
        return DistributionHead(*arguments, **how)

    monkeypatch.setattr(forecaster, "DistributionHead", recorded)
    above, below = _series(0), _series(0) - 40
    for histories in ([above], [below], [above, _series(1)], [np.column_stack([above, _series(1)])]):
        Forecaster(**TINY, metric="mae", refit=False, baseline=False).fit(histories)
    assert heads == ["mae_of_logs", "mae", "mae", "mae"]


def test_the_rival_reads_what_was_fitted_again(tmp_path: Path) -> None:
    wave = 9 * np.sin(np.arange(48) * np.pi / 2)
    model = Forecaster(**TINY).fit([_series(number) / 9 + wave for number in range(3)])
    model.save(tmp_path / "model")
    held = [_series(number) / 9 + wave for number in range(5, 8)]
    assert "ridge" in model.rival_.name
    ours, theirs = (each.evaluate(held)["rival"] for each in (model, load(tmp_path / "model")))
    assert ours["name"] == theirs["name"]
    assert ours["mae"] == theirs["mae"]


def test_a_rival_that_is_not_fitted_again_is_not_kept(tmp_path: Path) -> None:
    series = [np.exp(_series(number) / 10) for number in range(3)]
    for values in series:
        values[-2:] = -1.0  # with values below 0 there are no ridges of logarithms
    model = Forecaster(**TINY).fit(series)
    model.save(tmp_path / "model")
    name = json.loads((tmp_path / "model" / "metrics.json").read_text())["rival"]["name"]
    kept = load(tmp_path / "model").rival()
    assert (kept is None) == (name not in {*model.features_.plain.names, "combination of plain forecasts"})
    assert kept is None or kept.name == name


def test_a_saved_rival_of_another_name_is_refused(tmp_path: Path) -> None:
    Forecaster(**TINY).fit([_series(0)]).save(tmp_path / "model")
    path = tmp_path / "model" / "rival.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "ridge of moons"}))
    with pytest.raises(BundleError, match="rival"):
        load(tmp_path / "model").rival()


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("prepare_again", InputError("items: got none; expected some.")),
        ("prepare_again", MemoryError()),
        ("make_network", MemoryError()),
        ("make_plan", RuntimeError("DefaultCPUAllocator: can't allocate memory")),
    ],
)
def test_a_model_that_cannot_be_trained_again_stays_as_it_was_chosen(
    stage: str, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    right = getattr(ItemStages, stage)
    turns = iter([stage == "prepare_again"])  # the other stages are passed once before

    def refuse(*args: object) -> Any:
        if next(turns, True):
            raise error
        return right(*args)

    monkeypatch.setattr(ItemStages, stage, refuse)
    options: dict[str, Any] = {**TINY, "verbose": True}
    model = Forecaster(**options).fit([_series(0)])
    assert "stays as it was chosen" in capsys.readouterr().err
    assert model.result_.trained_again == 0
    model.save(tmp_path / "model")
    ours, theirs = (each.evaluate([_series(1)])["mae"] for each in (model, load(tmp_path / "model")))
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_column_of_very_large_numbers_has_a_scale() -> None:
    rows = np.array([[1e308], [-1e308], [1e308], [-1e308]])
    with np.errstate(over="raise"):
        scaler = Scaler.fit(("x",), rows)
    assert scaler.scaled(rows)[:, 0].tolist() == [1.0, -1.0, 1.0, -1.0]


def test_an_evaluation_on_the_series_of_training_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = np.datetime64("2024-01-01") + np.arange(60)
    values, file = _series(0, 60), tmp_path / "sales.csv"

    def written(last: int) -> str:
        rows = [f"{day},{value:.3f}" for day, value in zip(days[:last], values, strict=False)]
        file.write_text("\n".join(["day,sales", *rows]))
        return str(file)

    out = str(tmp_path / "model")
    size = ["--horizon", "4", "--epochs", "1", "--hidden-size", "4", "--lookback", "8"]
    assert main(["fit", "forecast", written(48), "--time", "day", *size, "--out", out]) == 0
    for last, is_told in ((48, True), (50, False), (52, False), (60, False)):
        capsys.readouterr()
        assert main(["evaluate", out, written(last)]) == 0
        err = capsys.readouterr().err
        assert ("which is no test" in err) == is_told, last
        assert ("are scored behind the end of training alone" in err) != is_told, last
    assert main(["evaluate", out, written(60), "--rolling", "--stride", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 9  # from each of the origins 48 to 56
