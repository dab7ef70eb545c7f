"""Cells, labels, channels and times at the command line: read as they are meant, or refused or told, never guessed."""

from __future__ import annotations

import itertools
import json
import random
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import SMALL, Done, Run, write_table

from rekur.cli.main import main

CODES = ("home", "search", "buy", "help", "leave")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three channels with its bundle ``log``, and clicks of codes in one cell with theirs, ``clicks``."""
    folder, rng = tmp_path_factory.mktemp("values"), random.Random(0)
    rows = [
        (device, t, *(f"{rng.gauss(device % 2, 1) * size:.3f}" for size in (1, 10, 100)), device % 2)
        for device in range(24)
        for t in range(4)
    ]
    write_table(folder / "log.csv", ("device", "t", "x", "y", "z", "ill"), rows)
    visits = [rng.choices(CODES, k=1 + number % 4) for number in range(40)]
    write_table(folder / "clicks.csv", ("clicks", "bought"), [(" ".join(v), "buy" in v) for v in visits])
    fit(folder / "log.csv", "--series", "x..z", "--group", "device", "--time", "t", "--label", "ill", out="log")
    fit(folder / "clicks.csv", "--symbols", "clicks", "--label", "bought", out="clicks")
    return folder


def fit(file: Path, *words: str, out: str, task: str = "classify") -> None:
    assert main(["fit", task, str(file), *words, "--out", str(file.parent / out), "--no-baseline", *SMALL]) == 0


def scores(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    return {name: value for name, value in done.json.items() if name not in ("file", "bundle")}


def predictions(done: Done) -> list[Any]:
    assert done.code == 0, done.err
    return [row["probabilities"] for row in map(json.loads, done.out.splitlines())]


# ── codes in one cell ────────────────────────────────────────────────────────────────────────────────────────────


def test_codes_with_blanks_between_are_codes_in_every_command(cli: Run, here: Path) -> None:
    shown = cli("data", here / "clicks.csv", "--symbols", "clicks", "--label", "bought", "--json").json
    assert ["symbols", "codes, cut at blanks"] in shown["training"]
    assert shown["lengths"]["symbols"]["max"] == 4
    features = json.loads((here / "clicks/features/features.json").read_text())
    assert sorted(features["learnt"]["vocabulary"]) == sorted(CODES)
    [several, single, tabs] = predictions(
        cli("predict", here / "clicks", "--json", "--item", "home buy", "--item", "home", "--item", "\thome \n buy ")
    )
    assert several == tabs != single
    lines = cli("stream", here / "clicks", "--json", stdin=b"home\nbuy\n\nhome\n").out.splitlines()
    first, second, _, again = map(json.loads, lines)
    assert second["probabilities"] == pytest.approx(several, abs=1e-6)
    assert first["probabilities"] == again["probabilities"] == pytest.approx(single, abs=1e-6)


def test_what_symbols_are_is_said_once(cli: Run, here: Path, tmp_path: Path) -> None:
    words = ["--symbols", "clicks", "--label", "bought", "--no-baseline", "--epochs", "1", "--hidden-size", "2"]
    done = cli("fit", "classify", here / "clicks.csv", *words, "--out", tmp_path / "a")
    assert done.err.count("symbols: codes, cut at blanks") == 1
    done = cli("fit", "classify", here / "clicks.csv", *words, "--letters", "--out", tmp_path / "b")
    assert done.err.count("symbols: single letters") == 1


@pytest.mark.parametrize(("between", "option"), [(",", "--letters"), ("; ", "--codes"), ("|", "--letters")])
def test_other_separators_of_codes_are_refused(cli: Run, tmp_path: Path, between: str, option: str) -> None:
    file = tmp_path / "a.csv"
    write_table(file, ("clicks", "bought"), [(between.join(CODES[i % 4 :]), i % 2) for i in range(20)])
    done = cli("fit", "classify", file, "--symbols", "clicks", "--label", "bought", "--out", tmp_path / "out", *SMALL)
    assert done.code == 2
    for text in ("a.csv, line ", "Write blanks only between codes", option):
        assert text in done.err


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_exported_program_reads_codes_in_one_cell(cli: Run, here: Path, tmp_path: Path) -> None:
    assert cli("export", here / "clicks", "--to", "c", "--out", tmp_path / "c").code == 0
    subprocess.run(["make", "-s"], cwd=tmp_path / "c", check=True, capture_output=True)
    told = subprocess.run([tmp_path / "c/clicks"], input=b"home buy\nhome\thelp\n", capture_output=True, check=True)
    expected = cli("predict", here / "clicks", "--item", "home buy", "--item", "home help").out.splitlines()[1:]
    for line, row in zip(told.stdout.decode().splitlines(), expected, strict=True):
        label, probability = line.split("\t")
        assert label == row.split(",")[1]
        assert float(probability) == pytest.approx(float(row.split(",")[2]), abs=1e-5)


# ── rows of a live series ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line", ["1,,3", "1;;3", "1\t\t3", "1 NA 3", "1 ? 3", "1, null ,3", '[1,"N/A",3]', "[1,null,3]", "1,nan,3"]
)
def test_a_missing_value_keeps_its_channel(cli: Run, here: Path, line: str) -> None:
    done = cli("stream", here / "log", "--json", stdin=f"{line}\n".encode())
    assert (done.code, done.json["event"]) == (0, [1.0, None, 3.0])  # and it is JSON, without NaN


def test_a_row_may_be_an_object_by_the_names_of_the_channels(cli: Run, here: Path) -> None:
    done = cli("stream", here / "log", "--json", stdin=b'{"z": 3, "x": 1, "y": null}\n1,,3\n')
    first, second = map(json.loads, done.out.splitlines())
    assert first["event"] == second["event"] == [1.0, None, 3.0]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("100,1,,3", "got 4; expected 3, one a channel (x, y, z)"),
        ("1,2,3,", "got 4; expected 3"),
        ("1 2", "got 2; expected 3"),
        ("[[1, 2, 3]]", "got 1; expected 3"),
        ("1_0,2,3", "got '1_0'; expected a number"),
        ("1,5 2,5 3", "one kind of separator between"),
        ("1.234,5;2;3", "Write decimals with a point."),
        ("1\u00a0000 2 3", "Take out what separates thousands."),
        ('{"x": 1, "y": 2}', "'z' is not among them."),
        ('{"x": 1, "y": 2, "zz": 3}', "Did you mean 'z'?"),
        ('{"x": 1, "x": 1, "y": 2, "z": 3}', "A name is there twice."),
        (f"[{'9' * 400},1,1]", "expected a finite number"),
        (f"[{'9' * 5000},1,1]", "expected numbers, or a whole list in JSON"),
        ("[" * 50_000, "expected numbers, or a whole list in JSON"),
        ("inf,1,1", "expected a finite number"),
    ],
)
def test_a_row_that_is_none_is_refused(cli: Run, here: Path, line: str, named: str) -> None:
    done = cli("stream", here / "log", stdin=f"1,2,3\n{line}\n".encode())
    assert done.code == 2
    assert done.err.startswith("rekur: standard input, line 2: row")
    assert named in done.err


# ── channels by name ─────────────────────────────────────────────────────────────────────────────────────────────


def test_channels_are_matched_by_name(cli: Run, here: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in (here / "log.csv").read_text().splitlines()]
    order = [4, 0, 3, 5, 1, 2]  # z, device, y, ill, t, x
    turned = write_table(
        tmp_path / "turned.csv", [rows[0][i] for i in order], [[r[i] for i in order] for r in rows[1:]]
    )
    expected = scores(cli("evaluate", here / "log", here / "log.csv", "--json"))
    each = [word for name in "zxy" for word in ("--series", name)]
    for file, more in (
        (turned, ()),
        (here / "log.csv", each),
        (turned, each),
        (here / "log.csv", ("--series", "x..z", "--time", "t")),
    ):
        assert scores(cli("evaluate", here / "log", file, *more, "--json")) == expected
    given = predictions(cli("predict", here / "log", here / "log.csv", "--json"))
    assert predictions(cli("predict", here / "log", turned, "--json")) == given
    assert cli("check", here / "log", turned, "--items", "3").code == 0


def test_channels_of_other_names_are_refused(cli: Run, here: Path, tmp_path: Path) -> None:
    text = (here / "log.csv").read_text()
    renamed = tmp_path / "renamed.csv"
    renamed.write_text(text.replace("x,y,z", "x,y,zz", 1))
    told = cli("predict", here / "log", renamed).err
    assert "Did you mean 'zz'? Channels are those of training, matched by name; rename the column." in told
    for more in (("--series", "x..zz"), ("--series", "x", "--series", "y", "--series", "zz")):
        done = cli("evaluate", here / "log", renamed, *more)
        assert done.code == 2
        assert "channels: got 'x', 'y', 'zz'; expected 'x', 'y', 'z', as in training. Did you mean 'z'?" in done.err
    assert "'z' is not among them" in cli("predict", here / "log", renamed, "--series", "x", "--series", "y").err


def test_steps_of_a_wide_table_are_found_by_name(cli: Run, tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [[*(round(rng.gauss(i % 2 * t, 1), 2) for t in range(4)), i % 2] for i in range(30)]
    head, order = ["t0", "t1", "t2", "t3", "y"], [0, 3, 1, 4, 2]
    wide = write_table(tmp_path / "wide.csv", head, rows)
    turned = write_table(tmp_path / "turned.csv", [head[i] for i in order], [[r[i] for i in order] for r in rows])
    fit(wide, "--values", "t0..t3", "--label", "y", out="wide")
    bundle = tmp_path / "wide"
    expected = scores(cli("evaluate", bundle, wide, "--json"))
    assert scores(cli("evaluate", bundle, turned, "--json")) == expected
    done = cli("predict", bundle, wide, "--values", "t3..t0")
    assert done.code == 2
    assert "Write 't0..t3'." in done.err


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mark", ["N/A", "NA", "null", "None", "NaN", "?", " "])
def test_missing_labels_are_missing_in_every_command(cli: Run, here: Path, tmp_path: Path, mark: str) -> None:
    lines = (here / "clicks.csv").read_text() + f"home,{mark}\n"
    file = tmp_path / "a.csv"
    file.write_text(lines)
    told = cli("data", file, "--symbols", "clicks", "--label", "bought", "--json").json
    assert (told["unlabelled"], set(told["classes"])) == (1, {"True", "False"})
    words = ("--symbols", "clicks", "--label", "bought")
    for command in (("fit", "classify", file, "--out", tmp_path / "out"), ("evaluate", here / "clicks", file)):
        done = cli(*command, *words)
        assert done.code == 2
        assert "a.csv, line 42: bought: got " in done.err
        assert "expected a label in every row" in done.err


def test_labels_that_look_alike_are_told(cli: Run, tmp_path: Path) -> None:
    labels = ("Good", "good", "1", "1.0")
    file = write_table(tmp_path / "a.csv", ("t", "y"), [(f"film {i}", labels[i % 4]) for i in range(40)])
    expected = "'Good' (10) and 'good' (10); '1' (10) and '1.0' (10)"
    assert expected in "".join(cli("data", file, "--text", "t", "--label", "y", "--json").json["warnings"])
    words = ("--text", "t", "--label", "y", "--no-baseline", *SMALL)
    done = cli("fit", "classify", file, *words, "--out", tmp_path / "out")
    assert done.err.count("warning: ") == 1
    assert expected in done.err
    other = write_table(tmp_path / "b.csv", ("t", "y"), [("film", "good"), ("film", "GOOD")])
    done = cli("evaluate", tmp_path / "out", other)
    assert f"{other}, line 3: label: got 'GOOD'; expected one of the labels seen" in done.err
    assert done.err.strip().endswith("Did you mean 'Good'?")


def test_a_table_with_several_labels_in_a_cell_is_read_without_them(
    cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    model, table = bundles["tags"], files["tags"]
    expected = predictions(cli("predict", model, table, "--json"))
    assert len(expected) == 40
    for more in (("--label", "tags"), ("--label-separator", "|"), ("--label", "tags", "--label-separator", "|")):
        assert predictions(cli("predict", model, table, "--json", *more)) == expected
    assert cli("check", model, table, "--items", "3").code == 0
    assert cli("evaluate", model, table).code == 0
    assert cli("quantize", model, "--data", table, "--out", tmp_path / "q").code == 0


def test_what_separates_labels_is_said_once_for_all_commands(cli: Run, tmp_path: Path) -> None:
    rows = [(f"film {i}", "\t".join(["up" if i % 2 else "down", *["odd"] * (i % 3 == 0)])) for i in range(30)]
    file = write_table(tmp_path / "a.csv", ("t", "y"), rows)
    words = ("--text", "t", "--label", "y")
    probabilities = []
    for number, mark in enumerate(("\t", "tab", "\\t")):
        out = tmp_path / str(number)
        done = cli("fit", "classify", file, *words, "--label-separator", mark, "--out", out, "--no-baseline", *SMALL)
        assert (done.code, done.err) == (0, "")
        probabilities.append(predictions(cli("predict", out, file, "--json")))
    assert probabilities[0] == probabilities[1] == probabilities[2]
    assert set(probabilities[0][0]) == {"up", "down", "odd"}
    done = cli("fit", "classify", file, *words, "--label-separator", "|", "--out", tmp_path / "w", *SMALL)
    assert "warning: No item has more than one label, and a label is" in done.err
    numbers = write_table(tmp_path / "b.csv", ("t", "y"), [(f"film {i}", i) for i in range(30)])
    for command in ("fit", "tune"):
        done = cli(command, "regress", numbers, *words, "--label-separator", "|", "--out", tmp_path / "n")
        assert done.code == 2
        assert done.err.startswith("rekur: --label-separator: got '|'; expected none for regress. Several labels")


def test_the_command_that_data_prints_reads_the_file_in_the_same_way(cli: Run, tmp_path: Path) -> None:
    rows = [(i, f"film {i}", "up|odd" if i % 2 else "down") for i in range(30)]
    file = write_table(tmp_path / "a", ("-n", "-t", "y"), rows, ";")
    words = ("--text=-t", "--label", "y", "--id=-n", "--label-separator", "|", "--separator", ";", "--format", "csv")
    told = cli("data", file, *words, "--encoding", "latin-1", "--json").json
    line = shlex.split(told["command"])
    assert line[:4] == ["rekur", "fit", "classify", str(file)]
    for option in (("--label-separator", "|"), ("--separator", ";"), ("--format", "csv"), ("--encoding", "latin-1")):
        assert option in itertools.pairwise(line)
    done = cli(*line[1:-1], tmp_path / "out", "--no-baseline", *SMALL)
    assert (done.code, done.err) == (0, "")
    done = cli("predict", tmp_path / "out", file, "--separator", ";", "--format", "csv", "--json")
    assert (done.json["item"], set(done.json["probabilities"])) == ("29", {"up", "down", "odd"})


# ── times, and items that say little ─────────────────────────────────────────────────────────────────────────────


def test_equal_times_are_told_once(cli: Run, here: Path, tmp_path: Path) -> None:
    lines = (here / "log.csv").read_text().splitlines()
    file = tmp_path / "a.csv"
    file.write_text("\n".join([*lines[:3], lines[2].replace("0,1,", "0,1.0,"), *lines[3:]]) + "\n")
    expected = "a.csv: 1 row has the time of a row before in the same sequence, first in line 4"
    words = ("--series", "x..z", "--group", "device", "--time", "t", "--label", "ill")
    done = cli("data", file, *words)
    assert (done.out.count(expected), done.err) == (1, "")
    for command in (("fit", "classify", file, "--out", tmp_path / "out", *SMALL), ("evaluate", here / "log", file)):
        done = cli(*command, *words)
        assert (done.code, done.err.count(expected)) == (0, 1)


def test_empty_and_unknown_items_are_answered_and_told(cli: Run, bundles: dict[str, Path], tmp_path: Path) -> None:
    file = write_table(tmp_path / "a.csv", ("id", "review"), [(1, "great film"), (2, " "), (3, "zzz"), (4, "xx yy!")])
    done = cli("predict", bundles["words"], file)
    assert len(done.out.splitlines()) == 5
    expected = "a.csv: 1 of 4 items is empty, 2 hold nothing that the model knows; what is said of them tells little."
    assert done.err == f"warning: {tmp_path}/{expected}\n"
    assert "1 of 1 items is empty" in cli("predict", bundles["words"], "--item", "").err
    assert cli("predict", bundles["words"], "--item", "a great zzz").err == ""
    labelled = write_table(
        tmp_path / "b.csv", ("id", "review", "stars"), [(1, "zzz", "good"), (2, "great film", "good")]
    )
    assert "1 of 2 items holds nothing" in cli("evaluate", bundles["words"], labelled).err
