"""The benchmarks run, check their rivals against each other, and print what they say they print; no times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
FOLDER = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / script), *map(str, words)]
    variables = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=variables)


def page_with_marks(folder: Path, name: str) -> Path:
    page = folder / "page.md"
    page.write_text(f"before\n<!-- {name} -->\nold\n<!-- /{name} -->\nafter\n", encoding="utf-8")
    return page


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert set(printed) == {"machine", "figures", "rows", "absent", "s"}
    for figure in printed["figures"]:
        assert set(figure) == {"name", "value", "wanted", "at_least", "note", "met"}
        if figure["value"] is None:
            assert figure["met"] is None
            assert figure["note"]
        else:
            reached = figure["value"] >= figure["wanted"]
            assert figure["met"] == (reached if figure["at_least"] else figure["value"] <= figure["wanted"])
    return printed


@pytest.mark.timeout(300)
def test_training_is_timed_in_every_section(tmp_path: Path) -> None:
    page, plot = page_with_marks(tmp_path, "train_speed"), tmp_path / "roof.svg"
    options = ("--quick", "--sizes", "3x6x8", "--repeats", "1", "--product", "32", "--threads", "1", "--json")
    done = run("train_speed.py", *options, "--plot", plot, "--markdown", page)
    printed = result_of(done)
    sections = {row["section"] for row in printed["rows"]}
    assert sections == {"grid", "ragged", "custom", "bidirectional"} | (
        {"bf16"} if printed["machine"]["amx"] else set()
    )
    assert [row["cell"] for row in printed["rows"] if row["section"] == "grid"] == ["rnn", "lstm", "gru"]
    for row in printed["rows"]:
        assert row["path"]
        assert row["rounds"] == 1
        assert set(row["gflops"]) == set(row["ms"])
        assert len(row["ms"]) >= 2
        assert min(row["ms"].values()) > 0
    assert "Flax" in printed["absent"]
    assert "about" in done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- train_speed -->\n\n| what |")
    assert text.endswith("<!-- /train_speed -->\nafter\n")
    assert "old" not in text
    assert plot.read_text(encoding="utf-8").rstrip().endswith("</svg>")


@pytest.mark.timeout(300)
def test_steps_are_checked_and_timed(tmp_path: Path) -> None:
    page, plot = page_with_marks(tmp_path, "step_speed"), tmp_path / "steps.svg"
    options = ("--quick", "--sizes", "4,9", "--streams", "20", "--repeats", "1", "--product", "32", "--threads", "1")
    printed = result_of(run("step_speed.py", *options, "--json", "--plot", plot, "--markdown", page))
    one = [row for row in printed["rows"] if row["section"] == "one"]
    assert [(row["cell"], row["hidden"]) for row in one] == [("gru", 4), ("gru", 9), ("lstm", 4), ("lstm", 9)]
    for row in one:
        assert row["torch"] == min(row["us"]["torch layer"], row["us"]["torch cell"])
        assert set(row["errors"]) == set(row["us"]) >= {"rekur", "rekur bf16", "rekur int8"}
        assert row["errors"]["rekur"] < 1e-5
        assert (row["onnx"] is None) == ("ONNX Runtime" in printed["absent"])
    (many,) = [row for row in printed["rows"] if row["section"] == "many"]
    assert many["streams"] == 20
    assert "| what | measured | to reach | of |" in page.read_text(encoding="utf-8")
    assert plot.read_text(encoding="utf-8").rstrip().endswith("</svg>")


@pytest.mark.timeout(300)
def test_pushes_are_checked_and_timed(tmp_path: Path) -> None:
    page = page_with_marks(tmp_path, "push_speed")
    printed = result_of(run("push_speed.py", "--repeats", "1", "--json", "--markdown", page))
    recurrent = [(name, cell) for name in ("characters", "words", "rows", "symbols") for cell in ("LSTM", "GRU")]
    series = [("series", "5 causal nets"), ("series", "5 causal nets and ridge")]
    assert [(row["section"], row["model"]) for row in printed["rows"]] == [*recurrent, *series]
    for row in printed["rows"]:
        assert row["error"] < 1e-5
        for us in row["us"].values():
            assert 0 < us["median"] <= us["p99"]
        assert {"step", "push"} <= set(row["us"])
    assert page.read_text(encoding="utf-8").count("\n| ") == 12


def test_comparisons_of_simulated_results_are_counted(tmp_path: Path) -> None:
    page = page_with_marks(tmp_path, "compare_statistics")
    printed = result_of(run("compare_statistics.py", "--draws", "12", "--real", "1", "--json", "--markdown", page))
    kinds = [(row["section"], row["variants"]) for row in printed["rows"]]
    assert kinds[:4] == [("no records", 2), ("seeds", 2), ("examples", 2), ("both", 2)]
    assert len(printed["figures"]) == 5
    for row in printed["rows"][:-1]:
        assert 0 <= row["coverage"] <= 1
    added, bootstrap, *saved, real = printed["rows"][5:]
    assert all(row["section"].startswith("models, ") and 0 <= row["scores"] <= 1 for row in saved)
    assert len(saved) == 6
    assert 6 <= added["seeds"] <= 24
    assert "percentile bootstrap" in bootstrap["section"]
    assert (real["section"], real["draws"], real["false_alarms"] in (0, 1)) == ("real", 1, True)


def test_only_runs_what_is_asked_for() -> None:
    options = ("--only", "many", "--streams", "5", "--sizes", "4", "--repeats", "1", "--product", "32", "--json")
    printed = result_of(run("step_speed.py", *options))
    assert [row["section"] for row in printed["rows"]] == ["many"]
    assert len(printed["figures"]) == 2


@pytest.mark.parametrize("script", ["train_speed.py", "step_speed.py", "push_speed.py"])
def test_unknown_sections_are_refused_with_those_there_are(script: str) -> None:
    done = run(script, "--only", "grids")
    assert done.returncode == 2
    assert "got grids; expected some of" in done.stderr


def test_a_page_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n", encoding="utf-8")
    options = ("--only", "many", "--streams", "5", "--sizes", "4", "--repeats", "1", "--product", "32")
    done = run("step_speed.py", *options, "--markdown", page)
    assert done.returncode == 1
    assert "<!-- step_speed -->" in done.stderr
    assert page.read_text(encoding="utf-8") == "nothing here\n"


def small_data(root: Path) -> None:
    """Write a few items of a data set of each task, without a file to test on where there are three files."""
    for name in ("rt_polarity", "tiny_shakespeare", "univariate_classics", "wnut17_ner", "multi30k_en_fr"):
        (root / name).mkdir()
    lines = [f"{number % 2}\ta {('good', 'bad')[number % 2]} film {number}" for number in range(40)]
    sentences = [f"{word}\tB-{word[-1]}\nleft\tO" for word in map(hex, range(16, 64))] * 2
    for part in ("train", "valid"):
        (root / "rt_polarity" / f"{part}.tsv").write_text("\n".join(["label\ttext", *lines]), encoding="utf-8")
        (root / "wnut17_ner" / f"{part}.conll").write_text("\n\n".join(sentences), encoding="utf-8")
        (root / "tiny_shakespeare" / f"{part}.txt").write_text("to be or not to be. " * 200, encoding="utf-8")
    for part, count in (
        ("train", 40),
        ("val", 8),
        ("test_2016_flickr", 8),
        ("test_2017_flickr", 8),
        ("test_2017_mscoco", 8),
    ):
        for ending in ("en", "fr"):
            text = "".join(f"{ending} {number} is {number * 7 % 10} of them\n" for number in range(count))
            (root / "multi30k_en_fr" / f"{part}.{ending}").write_text(text, encoding="utf-8")
    days = [f'"day {day}",{day % 7 + 0.1 * (day % 3)}' for day in range(400)]
    page = "\n".join(['"Date","Temp"', *days])
    (root / "univariate_classics" / "daily-min-temperatures.csv").write_text(page, encoding="utf-8")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("task", "data", "metric", "rivals"),
    [
        ("classify", "rt_polarity", "accuracy", 2),
        ("regress", "daily_temperatures", "rmse", 3),
        ("language", "tiny_shakespeare", "loss", 1),
        ("tag", "wnut17_ner", "entity_f1", 2),
    ],
)
def test_models_and_rivals_are_scored_on_the_same_part(
    task: str, data: str, metric: str, rivals: int, tmp_path: Path
) -> None:
    small_data(tmp_path)
    options = (
        "--only",
        data,
        "--seeds",
        "2",
        "--set",
        "epochs=1",
        "--set",
        "learning_rate=1e-6",
        "--set",
        "hidden_size=8",
    )
    done = run("quality.py", task, *options, "--json", REKUR_DATA=str(tmp_path))
    rows = result_of(done)["rows"]
    assert {row["split"] for row in rows} == {"valid"}
    for row in rows:
        assert list(row) == ["data", "task", "metric", "model", "split", "seed", "value", "seconds"]
        assert (row["data"], row["task"]) == (data, task)
    deciding = [row for row in rows if row["metric"] == metric]
    assert [row["seed"] for row in deciding if row["model"] == "rekur"] == [0, 1]
    assert len({row["model"] for row in deciding if row["seed"] is None}) == rivals
    assert "rekur loses by" in done.stdout


def test_the_test_part_is_read_on_request_and_models_are_chosen_without_it(tmp_path: Path) -> None:
    small_data(tmp_path)
    words = (
        "quality.py",
        "regress",
        "--only",
        "daily_temperatures",
        "--quick",
        "--set",
        "epochs=2",
        "--set",
        "hidden_size=8",
        "--json",
    )
    valid, test = (run(*words, *more, REKUR_DATA=str(tmp_path)) for more in ((), ("--test",)))
    assert {row["split"] for row in result_of(test)["rows"]} == {"test"}
    chosen = [done.stderr.split(" after ")[0] for done in (valid, test)]
    assert chosen[0] == chosen[1]
    values = [result_of(done)["rows"][0]["value"] for done in (valid, test)]
    assert values[0] != values[1]


def write_series(root: Path) -> None:
    """Write four hourly series of 12 days with the two days behind them, and six short ones with a season."""
    (root / "m4_hourly").mkdir()
    (root / "univariate_classics").mkdir()
    days = [[100 + 10 * number + 5 * (hour % 24) + hour * 7 % 5 for hour in range(336)] for number in range(4)]
    for part, first, last in (("train", 0, 288), ("test", 288, 336)):
        rows = [f"H{number}," + ",".join(map(str, values[first:last])) for number, values in enumerate(days)]
        head = ",".join(f"V{column + 1}" for column in range(last - first + 1))
        (root / "m4_hourly" / f"Hourly-{part}.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    for name, first in (
        ("airline-passengers", "1949-01"),
        ("monthly-car-sales", "1960-01"),
        ("monthly-mean-temp", "1920-01"),
        ("monthly-sunspots", "1749-01"),
        ("daily-total-female-births", "1959-01-01"),
        ("daily-min-temperatures", "1981-01-01"),
    ):
        count = {"monthly-sunspots": 240, "daily-min-temperatures": 600}.get(name, 150)
        stamps = np.datetime64(first) + np.arange(count)
        lines = [f"{stamp},{50 + step % 12 + step % 7 + step * 5 % 3}" for step, stamp in enumerate(stamps)]
        (root / "univariate_classics" / f"{name}.csv").write_text("\n".join(["Date,Value", *lines]), encoding="utf-8")


SMALL = ("--set", "epochs=1", "--set", "hidden_size=8", "--json")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_forecasts_are_scored_on_what_follows_the_series(tmp_path: Path) -> None:
    write_series(tmp_path)
    words = ("quality.py", "forecast", "--only", "m4_hourly", *SMALL)
    done = run(*words, "--seeds", "2", "--test", REKUR_DATA=str(tmp_path))
    rows = result_of(done)["rows"]
    for row in rows:
        assert list(row) == ["data", "task", "metric", "model", "split", "seed", "value", "seconds"]
        assert (row["task"], row["split"]) == ("forecast", "test")
    ours = [row for row in rows if row["model"] == "rekur"]
    scores = [row["metric"] for row in ours if (row["seed"], row["data"]) == (1, "m4_hourly")]
    assert scores == ["owa", "smape", "mase", "coverage", "points"]
    assert {row["value"] for row in ours if row["metric"] == "points"} == {4 * 48}
    pooled = [(row["seed"], row["metric"]) for row in ours if row["data"] == "all"]
    assert pooled == [(seed, metric) for seed in (0, 1) for metric in ("coverage", "points")]
    rivals = {row["model"] for row in rows if row["seed"] is None}
    assert {"combination of plain forecasts", "seasonal naive 24", "repeat last"} <= rivals
    (tmp_path / "m4_hourly" / "Hourly-test.csv").unlink()
    assert "Hourly-test.csv is absent" in run(*words, "--test", REKUR_DATA=str(tmp_path)).stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_classic_series_are_scored_by_the_seasonal_naive(tmp_path: Path) -> None:
    write_series(tmp_path)
    words = ("quality.py", "forecast", "--only", "univariate_classics", "--quick", *SMALL)
    rows = result_of(run(*words, REKUR_DATA=str(tmp_path)))["rows"]
    ours = [row for row in rows if row["model"] == "rekur" and row["metric"] == "relative_error"]
    assert len(ours) == 7
    *each, middle = ours
    assert middle["data"] == "univariate_classics"
    assert middle["value"] == pytest.approx(np.median([row["value"] for row in each]))
    (naive,) = [
        row["value"]
        for row in rows
        if row["data"].endswith("daily-total-female-births")
        and (row["model"], row["metric"]) == ("seasonal naive 7", "relative_error")
    ]
    assert naive == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif("REKUR_DATA" not in os.environ, reason="needs the data sets in $REKUR_DATA")
def test_naive_forecasts_score_what_is_known_of_them() -> None:
    known = {
        "m4_hourly": {"smape": 13.912, "mase": 1.193},
        "etth1_96_24": {"mse": 0.424},
        "beijing_pm25": {"mae": 50.13},
    }
    done = subprocess.run([sys.executable, "-c", NAIVE], cwd=FOLDER, capture_output=True, text=True, check=True)
    for name, scores in json.loads(done.stdout).items():
        for metric, value in known[name].items():
            assert scores[metric] == pytest.approx(value, rel=2e-3), name


#: prints the scores of the value a day before, or of the last value, on the windows of the test parts
NAIVE = """
import json, os
from pathlib import Path
import numpy as np
from quality_forecasts import FORECAST, Scored, seasonal_naives
from rekur._filled_series import end_of
from rekur.targets.distribution import DistributionTarget

root, printed = Path(os.environ["REKUR_DATA"]), {}
for data, season in zip((FORECAST[0], FORECAST[1], FORECAST[3]), (24, 24, 1)):
    (cut,) = data.read(data.path(root, "test"), "test")
    if season == 1:
        naive = np.stack([np.full(cut.horizon, window.past[end_of(window.past) - 1]) for window in cut.windows])
    else:
        naive = seasonal_naives(cut.windows, season, cut.horizon)
    target = DistributionTarget(cut.horizon, period=24)
    truth = np.stack([window.truth(cut.horizon) for window in cut.windows])
    contexts = [{"window": window} for window in cut.windows]
    quantiles = np.repeat(naive[:, None], len(target.levels), axis=1)
    printed[data.name] = cut.score(Scored(quantiles, cut.windows, truth, contexts, target))
print(json.dumps(printed))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_translations_are_scored_with_each_search_on_each_part_and_parts_of_networks_are_compared(
    tmp_path: Path,
) -> None:
    small_data(tmp_path)
    options = ("--set", "epochs=1", "--set", "hidden_size=8", "--quick", "--test", "--json")
    words = ("quality.py", "translate", "--only", "multi30k_en_fr", *options)
    done = run(*words, REKUR_DATA=str(tmp_path))
    rows = [row for row in result_of(done)["rows"] if row["metric"] == "bleu"]
    assert [(row["split"], row["model"]) for row in rows if row["seed"] == 0] == [
        (split, model)
        for split in ("test", "test_2016_flickr", "test_2017_mscoco")
        for model in ("rekur", "rekur, beam 5")
    ]
    assert len({row["model"] for row in rows if row["seed"] is None}) == 2
    assert done.stdout.count("goal 47") == 1
    (tmp_path / "multi30k_en_fr" / "test_2017_mscoco.fr").unlink()
    done = run(*words, REKUR_DATA=str(tmp_path))
    assert (done.returncode, "test_2017_mscoco.fr is absent" in done.stderr) == (1, True)
    done = run("translate_parts.py", "--passes", "1", "--hidden-size", "8", "--json", REKUR_DATA=str(tmp_path))
    networks = [row["network"] for row in result_of(done)["rows"]]
    assert networks == ["all parts", "without attention", "without dropout", "without the average"]


def test_absent_data_are_named_before_anything_is_trained(tmp_path: Path) -> None:
    small_data(tmp_path)
    done = run("quality.py", "classify", "--only", "rt_polarity", "--test", REKUR_DATA=str(tmp_path))
    assert done.returncode == 1
    path = tmp_path / "rt_polarity" / "test.tsv"
    assert done.stderr == f"data: {path} is absent; set REKUR_DATA to the folder that holds the data sets.\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_searches_find_the_same_texts_and_are_timed() -> None:
    printed = result_of(run("translate_speed.py", "--quick", "--count", "6", "--threads", "1", "--json"))
    assert [(row["section"], row["beam"]) for row in printed["rows"]] == [("greedy", 1), ("beam", 5)]
    for row in printed["rows"]:
        assert set(row["seconds"]) == set(row["same"]) == {"rekur", "torch", "topk"}
        assert min(row["same"].values()) > 0.9
