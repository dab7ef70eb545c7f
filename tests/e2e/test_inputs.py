"""What every command makes of an input is the same whichever way it comes: as a file, or as what is read only once."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import BUNDLE_FILES, REVIEWS, Done, Run, environment
from tests.e2e.test_resume import interrupt_after
from tests.ways_in import PACKERS, WAYS, given

from rekur import LanguageModel
from rekur.cli.main import main
from rekur.errors import DataWarning, InputError

STREAMS = [way for way in WAYS if "file" not in way]
FIT = ("--steps", "14", "--hidden-size", "6", "--no-baseline", "--patience", "0", "--quiet")
TEXT = "the cat sat on the mat and the dog sat on the log\n" * 60


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small language model."""
    folder = tmp_path_factory.mktemp("writer")
    (folder / "text.txt").write_text(TEXT)
    words = ("--hidden-size", "6", "--steps", "5", "--quiet", "--no-baseline", "--out", str(folder / "m"))
    assert main(["fit", "language", str(folder / "text.txt"), *words]) == 0
    return folder / "m"


def plain(done: Done, name: Any) -> str:
    """Return what a command said, without the name of its input."""
    out = done.out.replace("standard input", "INPUT").replace(" - ", " INPUT ")
    out = out.replace('"item": "-"', '"item": "INPUT"') if name == "-" else out.replace(str(name), "INPUT")
    return re.sub(r'runs/[\w-]+|"step_seconds": .*?}|"data": .*?]|"fingerprint": ".*?"', "", out)


def the_same(cli: Run, tmp_path: Path, ending: str, content: bytes, *words: Any) -> None:
    """Run a command, with INPUT in its words, on one content that comes in every way."""
    answers = set()
    for number, way in enumerate(WAYS if words[0] not in ("check", "quantize") else ("file", "fifo", "-")):
        packing = [*PACKERS][number % len(PACKERS)]
        with given(way, tmp_path / "in", ending + packing, PACKERS[packing](content)) as name:
            stdin = {"stdin": PACKERS[packing](content)} if way == "-" else {}
            done = cli(*(name if word == "INPUT" else word for word in words), **stdin)
        assert done.code == 0, (way, packing, done.err)
        answers.add(plain(done, name))
        shutil.rmtree(tmp_path / "made", ignore_errors=True)
    assert len(answers) == 1, answers


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reviews", ("predict", "words", "INPUT")),
        ("reviews", ("predict", "words", "INPUT", "--json")),
        ("reviews", ("evaluate", "words", "INPUT", "--json")),
        ("walks", ("predict", "walks", "INPUT")),
        ("genes", ("predict", "genes", "INPUT", "--json")),
        ("reviews", ("data", "INPUT", "--text", "review", "--label", "stars", "--json")),
        (
            "long",
            ("data", "INPUT", "--series", "hr..temp", "--group", "who", "--time", "at", "--label", "ill", "--json"),
        ),
        ("cases", ("data", "INPUT", "--json")),
        ("reviews", ("check", "words", "INPUT", "--json", "--items", "4")),
        ("reviews", ("quantize", "words", "--data", "INPUT", "--json", "--tolerance", "100", "--out", "made")),
    ],
)
def test_answers_are_the_same_in_every_way(
    name: str, words: tuple[str, ...], cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    said = [bundles.get(word, tmp_path / word if word == "made" else word) for word in words]
    the_same(cli, tmp_path, files[name].suffix, files[name].read_bytes(), *said)


@pytest.mark.parametrize(
    "words",
    [
        ("score", "m", "INPUT"),
        ("score", "m", "INPUT", "--by", "file", "--json"),
        ("evaluate", "m", "INPUT", "--json"),
        ("generate", "m", "--prompt-file", "INPUT", "--max-tokens", "3", "--seed", "0"),
    ],
)
def test_texts_are_the_same_in_every_way(words: tuple[str, ...], cli: Run, writer: Path, tmp_path: Path) -> None:
    the_same(cli, tmp_path, ".txt", TEXT.encode(), *(writer if word == "m" else word for word in words))


@pytest.mark.parametrize("way", STREAMS)
def test_a_model_is_the_same_from_what_is_read_once(way: str, cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = (*REVIEWS, "--epochs", "1", "--hidden-size", "4", "--no-baseline", "--quiet", "--out")
    content = files["reviews"].read_bytes()
    assert cli("fit", "classify", files["reviews"], "--valid", files["reviews"], *words, tmp_path / "whole").code == 0
    out = tmp_path / "new" / "m"
    with given(way, tmp_path / "in", ".csv", content) as name:
        stdin = {"stdin": content} if way == "-" else {}
        done = cli("fit", "classify", name, "--valid", files["reviews"], *words, out, **stdin)
    assert done.code == 0, done.err
    shown = "standard input" if way == "-" else name
    place = re.escape(f"{out}/checkpoints/inputs-")
    size = f"{len(content):,}"
    said = re.compile(rf"{re.escape(shown)}: {size} bytes copied to {place}\w+/1(\.csv)?, for the time of the run\.")
    assert said.match(done.err)
    assert sorted(path.name for path in out.iterdir()) == BUNDLE_FILES
    for file in ("model.safetensors", "program.json", "features/features.json"):
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_on_a_pipe_goes_on_when_the_pipe_is_gone(
    moved: bool, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    words = ("fit", "classify", *REVIEWS, *FIT, "--checkpoint-every", "3")
    content = files["reviews"].read_bytes()
    assert cli(*words, files["reviews"], "--out", tmp_path / "whole").code == 0
    out = tmp_path / "m"
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 8)
        done = cli(*words, "-", "--out", out, stdin=content)
    assert done.code == 130, done.err
    assert [path.read_bytes() for path in out.glob("checkpoints/inputs-*/1")] == [content]
    if moved:
        out = out.rename(tmp_path / "elsewhere")
    again = cli("resume", out)
    assert again.code == 0, again.err
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert sorted(path.name for path in out.iterdir()) == BUNDLE_FILES


def test_what_was_copied_goes_with_a_run_that_cannot_begin(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("fit", "classify", "-", "--text", "review", "--label", "stars", *FIT, "--out", tmp_path / "new" / "m")
    cases = {
        b"a,b\nc,d\n": "standard input: text column: got 'review'; expected one of the columns 'a', 'b'.",
        b"review,stars\n": "standard input: rows: got 0 below the header; expected 1 or more.",
        b"review,stars\nfine,\nbad,1\n": "standard input, line 2: stars: got nothing; expected a label in every row.",
    }
    for content, text in cases.items():
        done = cli(*words, "--format", "csv", stdin=content)
        assert done.code == 2
        assert done.err.splitlines()[-1].startswith(f"rekur: {text}")
        assert not (tmp_path / "new").exists()


def test_a_failed_start_leaves_an_earlier_run_that_can_go_on(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("fit", "classify", *REVIEWS, *FIT, "--checkpoint-every", "3", "--out", tmp_path / "m")
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 8)
        assert cli(*words, "-", stdin=files["reviews"].read_bytes()).code == 130
    assert cli(*words, "-", "--overwrite", stdin=b"a,b\nc,d\n").code == 2
    assert cli("resume", tmp_path / "m").code == 0


@pytest.mark.slow
def test_a_search_on_a_pipe(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    words = ("--trials", "1", *REVIEWS, "--epochs", "1", "--hidden-size", "4", "--no-baseline", "--out")
    content = gzip.compress(files["reviews"].read_bytes())
    out = tmp_path / "search"
    done = cli("tune", "classify", "-", *words, out, stdin=content)
    assert done.code == 0, done.err
    assert not list(out.glob(".inputs-*"))
    assert f"{len(content):,} bytes copied to {out}/.inputs-" in done.err
    again = cli("tune", "classify", files["reviews"], *words, out, "--json")  # the same data: the search goes on
    assert (again.code, len(again.json["trials"])) == (0, 1)
    assert cli("tune", "classify", "-", *words, tmp_path / "other", stdin=b"a,b\n").code == 2
    assert not (tmp_path / "other").exists()


def test_texts_are_learnt_from_a_pipe(cli: Run, writer: Path, tmp_path: Path) -> None:
    words = ("fit", "language", "-", "--hidden-size", "6", "--steps", "5", "--quiet", "--no-baseline", "--out")
    assert cli(*words, tmp_path / "m", stdin=TEXT.encode()).code == 0
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == (writer / "model.safetensors").read_bytes()


def test_one_stream_for_two_is_refused(cli: Run, bundles: dict[str, Path], writer: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "m")
    for words in (
        ("fit", "classify", "-", "--valid", "-", *REVIEWS, *out),
        ("fit", "language", "-", "--valid", "-", *out),
        ("fit", "language", "-", "-", *out),
        ("evaluate", writer, "-", "-"),
    ):
        done = cli(*words, stdin=TEXT.encode())
        text = "got standard input and standard input, which are one stream; expected it once."
        assert (done.code, done.err) == (2, f"rekur: files: {text} Save it in a file to read it twice.\n"), words
        assert not (tmp_path / "m").exists()


def test_a_file_that_is_called_like_standard_input(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(files["reviews"], "-")
    done = cli("predict", bundles["words"], "./-")
    assert (done.code, done.out) == (0, cli("predict", bundles["words"], files["reviews"]).out)


def test_rows_come_while_input_still_arrives(bundles: dict[str, Path]) -> None:
    command = [sys.executable, "-m", "rekur", "predict", str(bundles["words"]), "-", "--format", "csv"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment()) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        watch = threading.Timer(60, child.kill)
        watch.start()
        child.stdin.write(b"id,review\n")
        for number in range(3):
            child.stdin.write(f"r{number},a great film\n".encode())
            child.stdin.flush()
            lines = [child.stdout.readline() for _ in range(2 if number == 0 else 1)]
            assert lines[-1].startswith(f"r{number},".encode())
        child.stdin.close()
        assert child.wait() == 0
        watch.cancel()


@pytest.mark.slow
def test_ctrl_c_while_a_pipe_is_waited_for(bundles: dict[str, Path], tmp_path: Path) -> None:
    import signal
    import time

    os.mkfifo(tmp_path / "never.csv")
    predict = ["predict", str(bundles["words"]), str(tmp_path / "never.csv")]
    fit = ["fit", "classify", str(tmp_path / "never.csv"), *REVIEWS, "--out", str(tmp_path / "new" / "m")]
    for words in (predict, fit):
        command = [sys.executable, "-m", "rekur", *words]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()) as child:
            with (tmp_path / "never.csv").open("wb", buffering=0) as out:
                out.write(b"id,review,stars\n")
                time.sleep(0.5)
                child.send_signal(signal.SIGINT)
                assert child.wait(timeout=60) == 130
            assert child.stderr is not None
            assert child.stderr.read() == b"rekur: stopped.\n"
    assert not (tmp_path / "new").exists()


def test_a_table_is_not_learnt_as_text(cli: Run, files: dict[str, Path], writer: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "m")
    fix = "Name the column with the text (--text). To read all as it stands, put it into a file that ends in .txt."
    columns = {"reviews": "'id', 'review', 'stars'", "walks": "'x', 'room', 'wear'"}
    for name, shown in columns.items():
        text = f"text: got a table with the columns {shown}; expected running text. {fix}"
        for words in (("fit", "language"), ("evaluate", writer), ("check", writer)):
            more = out if words[0] == "fit" else ()
            done = cli(*words, files[name], *more)
            assert (done.code, done.err) == (2, f"rekur: {files[name]}: {text}\n")
            done = cli(*words, "-", *more, stdin=files[name].read_bytes())
            assert (done.code, done.err.splitlines()[-1]) == (2, f"rekur: standard input: {text}")
    assert not (tmp_path / "m").exists()
    done = cli("score", writer, files["reviews"])
    text = "text: got a table (.csv); expected running text. Put the column with the text into a .txt file."
    assert (done.code, done.err) == (2, f"rekur: {files['reviews']}: {text}\n")
    assert cli("generate", writer, "--prompt-file", files["reviews"]).code == 2
    done = cli("fit", "language", files["reviews"].parent, *out)
    assert done.code == 2
    assert "a table with the columns" in done.err


def test_a_column_of_training_is_read_from_a_pipe_too(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("--text", "review", "--hidden-size", "6", "--steps", "5", "--quiet", "--no-baseline")
    assert cli("fit", "language", files["reviews"], *words, "--out", tmp_path / "m").code == 0
    scores = [
        cli("evaluate", tmp_path / "m", name, "--json", stdin=files["reviews"].read_bytes()).json
        for name in (files["reviews"], "-")
    ]
    assert scores[0].pop("file") == str(files["reviews"])
    assert scores[1].pop("file") == "standard input"
    assert scores[0] == scores[1]


def test_the_name_of_a_file_is_not_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rekur.study import search

    monkeypatch.chdir(tmp_path)
    Path("book").write_text(TEXT)
    model = LanguageModel(hidden_size=4, steps=2, baseline=False)
    fix = "Read it: rekur.data.open_texts gives what fit_corpus and evaluate_corpus take."
    for name in ("book", str(tmp_path / "book"), "book.txt", "posts.csv.gz", f"{tmp_path}"):
        for texts in (name, [name], [name, name]):
            with pytest.raises(InputError) as caught:
                model.fit(texts)
            assert str(caught.value) == f"X: got '{name}'; expected a text, not the name of a file. {fix}"
    with pytest.raises(InputError):
        search("language", "book.txt", out=tmp_path / "s", trials=1)
    model.fit([TEXT, "book"])  # a document may be the name of a file
    with pytest.raises(InputError):
        model.evaluate("book")
    with pytest.warns(DataWarning, match="the name of a file; it is read as a text"):
        assert len(model.log_probabilities("book")) == 1


def test_the_name_of_a_file_as_an_item_is_told(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], writer: Path
) -> None:
    name, folder = files["reviews"], bundles["words"]
    said = f"got '{name}', the name of a file; it is read as a text."
    done = cli("predict", folder, "--item", name)
    assert (done.code, done.err.splitlines()[0]) == (
        0,
        f"warning: --item: {said} To predict what is in it: rekur predict {folder} {name}",
    )
    done = cli("score", writer, "--text", name)
    assert done.err.splitlines()[0] == f"warning: --text: {said} To score what is in it: rekur score {writer} {name}"
    done = cli("generate", writer, "--prompt", name, "--unknown", "keep", "--max-tokens", "1")
    assert done.err.splitlines()[0] == f"warning: --prompt: {said} To begin with what is in it: --prompt-file {name}"


def test_labels_that_cannot_be_saved_are_told_before_training(cli: Run, tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"bar"):
        folder = os.fsencode(tmp_path) + b"/mail/" + name
        os.makedirs(folder)
        for number in range(8):
            Path(os.fsdecode(folder), f"{number}.txt").write_text(f"a drink of {number} in {name!r}")
    rows = [{"text": f"a {n}", "label": "\ud83d" if n % 2 else "b"} for n in range(16)]
    (tmp_path / "half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tags = [{**row, "label": [row["label"]]} for row in rows]
    (tmp_path / "tags.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tags))
    cases = {
        ("mail",): r"mail, file 9: label: got 'caf\xe9'",
        ("half.jsonl",): r"half.jsonl, line 2: label: got '\ud83d'",
        ("tags.jsonl", "--multi-label"): r"tags.jsonl, line 2: label: got '\ud83d'",
    }
    for (name, *more), text in cases.items():
        words = ("--text", "text", "--label", "label", *more, "--epochs", "1", "--hidden-size", "4")
        done = cli("fit", "classify", tmp_path / name, *words, "--out", tmp_path / "m")
        assert (done.code, (tmp_path / "m").exists()) == (2, False)
        assert done.err.startswith(f"rekur: {tmp_path}/{text}; expected text in whole characters. ")


def test_names_of_files_that_are_not_utf_8(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    shutil.copy(files["reviews"], odd)
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 8)
        done = cli("fit", "classify", odd, *REVIEWS, *FIT, "--checkpoint-every", "3", "--out", tmp_path / "m")
        assert done.code == 130, done.err
    assert cli("resume", tmp_path / "m").code == 0
    out = ("--out", tmp_path / "q")
    done = cli("quantize", bundles["words"], "--data", odd, "--tolerance", "100", *out, "--json")
    assert (done.code, done.json["data"]) == (0, [r"caf\xe9.csv"])
    folder = bundles["words"].rename(os.fsdecode(os.fsencode(tmp_path) + b"/mod\xe8le"))
    done = cli("evaluate", folder, odd, "--report", tmp_path / "r.html")
    folder.rename(bundles["words"])
    assert done.code == 0, done.err
    assert r"mod\xe8le on caf\xe9.csv" in (tmp_path / "r.html").read_text()
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/mod\xe8le"))
    assert cli("fit", "classify", odd, *REVIEWS, *FIT, "--out", out).code == 0
    assert r"mod\xe8le" in (out / "README.md").read_text()
    done = cli("fit", "classify", odd, *REVIEWS, "--label-separator", "\udce9", "--out", tmp_path / "n")
    assert (done.code, done.err) == (2, "rekur: --label-separator: got '\\xe9'; expected text in utf-8.\n")


def test_processes_that_train_together_share_no_pipe(
    cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rekur.train import world

    monkeypatch.setattr(world, "current", lambda: world.World(0, 2, 2))
    words = ("fit", "classify", "-", *REVIEWS, "--out", tmp_path / "m")
    done = cli(*words, stdin=files["reviews"].read_bytes())
    text = "file: got 'standard input'; expected files, for 2 processes that train together."
    assert (done.code, done.err) == (2, f"rekur: {text} Save it in a file that each of them can open.\n")
    assert not (tmp_path / "m").exists()
