"""Exports to C as files: what is written, what its main.c says of raw input, what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rekur import Classifier, LanguageModel, Regressor
from rekur.check import CHECKS, check_bundle, subject_of
from rekur.cli.main import app, main
from rekur.errors import InputError, NotStreamableError, RekurError
from rekur.export.c import check, export_c
from rekur.export.c.raw import unsupported
from rekur.runtime import read_bundle, write_quantised

TEXTS = ["A fine film, 1990.", "a bad film: it's so-so", "fine!", "never so bad, not in 12.5 years…", "Ärger 日本 👍🏽"]
LABELS = ["good", "bad", "good", "bad", 'odd, "?"']
SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 5, "baseline": False}

needs_compiler = pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")


def built(model: Any, folder: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    """Return the program that an export of a model builds with its own Makefile, and the report."""
    model.save(folder / "model")
    export = export_c(folder / "model", folder / "c", **options)
    done = subprocess.run(["make", "-s"], cwd=folder / "c", capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return folder / "c" / "model", export.report


def said(binary: Path, text: str, *arguments: str) -> list[str]:
    """Return the lines that a program writes for a text."""
    done = subprocess.run([str(binary), *arguments], input=text.encode(), capture_output=True, check=True)
    return done.stdout.decode().splitlines()


@needs_compiler
@pytest.mark.parametrize("options", [{"tokens": "word"}, {"tokens": "char", "max_length": 9}, {"tokens": "byte"}])
def test_texts_are_read_as_the_model_reads_them(options: dict[str, Any], tmp_path: Path) -> None:
    model = Classifier(feature_options=options, pooling="last+mean", kernel_size=2, **SMALL).fit(TEXTS * 4, LABELS * 4)
    binary, report = built(model, tmp_path)
    lines = [*TEXTS, "", "unknown мир e\u0301 ١٢", "x" * 200]
    for line, wanted in zip(said(binary, "\n".join(lines) + "\n"), model.present(lines), strict=True):
        label, probability = line.split("\t")
        assert label == wanted.label
        assert float(probability) == pytest.approx(wanted.probability, abs=1e-5)
    session = model.stream()
    ending = "\n" if options["tokens"] == "word" else ""
    for line, event in zip(said(binary, "a fi\nne fil\nm.\n", "stream"), ("a fi", "ne fil", "m."), strict=True):
        assert float(line.split("\t")[1]) == pytest.approx(session.push(event + ending).tentative.probability, abs=1e-5)
    assert report["difference"] < 1e-5
    assert report["raw_input"] == "yes"


@needs_compiler
def test_several_labels(tmp_path: Path) -> None:
    model = Classifier(multi_label=True, **SMALL).fit(TEXTS * 4, [["a"], ["a", "b"], [], ["b"], ["a"]] * 4)
    binary, _ = built(model, tmp_path)
    for line, wanted in zip(said(binary, "\n".join(TEXTS) + "\n"), model.present(TEXTS), strict=True):
        assert line.split("\t")[0] == "|".join(wanted.label)


REFUSED_ROW = "got 'a value that is missing or too large'; expected a row that the model takes"


@needs_compiler
@pytest.mark.parametrize("missing", ["hold", "zero", "error"])
def test_rows_of_numbers_are_scaled(missing: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(n, 2)).cumsum(0) * 100 + 5e6 for n in rng.integers(3, 9, size=20)]
    if missing != "error":
        walks[0][1, 0] = walks[1][0, 1] = np.nan
    more = {"num_layers": 2, "residual": True}  # the last step is kept beside the last numbers of each channel
    model = Regressor(cell="lstm", feature_options={"missing": missing}, **more, **SMALL)
    model.fit(walks, [float(np.nanmean(walk)) for walk in walks])
    binary, report = built(model, tmp_path, precision="float32")
    text = "\n\n".join("\n".join(f"{a!r}, {b!r}" for a, b in walk.tolist()) for walk in walks)
    found = iter(said(binary, text + "\n"))
    for walk in walks:
        *_, last = (float(next(found)) for _ in walk)
        assert last == pytest.approx(float(model.predict([walk])[0]), rel=1e-6)
    assert report["difference"] < 1e-5
    refused = {"1 2 3": "got 3 numbers; expected 2", "1 x": "got 'x'; expected a number, or NA for one that is missing"}
    if missing == "error":
        refused |= dict.fromkeys(("nan 1", "1,", "?,1"), REFUSED_ROW)
    for row, text in {**refused, "1 1e999": REFUSED_ROW}.items():
        done = subprocess.run([str(binary)], input=row.encode(), capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", f"line 1: {text}\n")


@needs_compiler
def test_lines_of_tokens(tmp_path: Path) -> None:
    """A line is a whole sequence; what is no token is refused, and no gap moves those behind it."""
    model = Classifier(feature_options={"tokens": "bpe"}, **SMALL).fit(TEXTS * 4, ["a", "b", "a", "b", "a"] * 4)
    binary, _ = built(model, tmp_path)
    size = model.features_.size
    lines = said(binary, "2 3 4\n2,3,4\n[2, 3, 4]\n2\t3\t4\n2 3\n\n 2;3;4\r\n2 3 4")
    assert len({*lines[:4], *lines[6:]}) == 1 < len(set(lines))
    assert len(lines) == 8
    for line in ("2,,3", "2,3,", "0x2", "2 x", "2.5", "-1", "nan", "1e99", str(size), "1_0", "[2", "[2 3]", "2, 3;4"):
        done = subprocess.run([str(binary)], input=f"2 3\n{line}\n".encode(), capture_output=True, check=False)
        assert done.returncode == 2, line
        assert done.stderr.startswith(b"line 2: got '"), done.stderr
        assert len(done.stdout.splitlines()) == 1


@needs_compiler
def test_words_of_the_program(tmp_path: Path) -> None:
    book = LanguageModel(tokens="char", hidden_size=5, embedding_size=4, epochs=1, verbose=False).fit(TEXTS)
    texts, _ = built(book, tmp_path / "texts")
    walks = [[[float(n), 1.0], [0.0, n % 3]] for n in range(20)]
    rows, _ = built(Regressor(**SMALL).fit(walks, list(range(20))), tmp_path / "rows")
    sample = "sample: expected a number of tokens"
    for binary, words, text in (
        (rows, ["data.csv"], "got 'data.csv'; expected lines on standard input, no word or stream"),
        (texts, ["streem"], "got 'streem'; expected lines on standard input, no word or stream or sample"),
        (texts, ["sample"], sample),
        (texts, ["sample", "9x"], sample),
        (texts, ["sample", "-9"], sample),
        (texts, ["sample", "9", "one"], sample),
        (texts, ["sample", "9", "1", "hot"], sample),
        (texts, ["sample", "9", "1", "nan"], sample),
    ):
        done = subprocess.run([str(binary), *words], input="", capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert done.stderr.startswith(text)


@needs_compiler
def test_symbols(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    genes = ["".join(rng.choice(list("ACGT"), size=9)) for _ in range(20)]
    model = Classifier(kind="symbols", **SMALL).fit(genes, [n % 2 for n in range(20)])
    binary, _ = built(model, tmp_path / "letters")
    for line, wanted in zip(said(binary, "acgt\nAC GTN\n"), model.present(["acgt", "AC GTN"]), strict=True):
        assert float(line.split("\t")[1]) == pytest.approx(wanted.probability, abs=1e-5)
    codes = [";".join(rng.choice(["in", "out", "buy now"], size=6)) for _ in range(20)]
    model = Classifier(kind="symbols", feature_options={"separator": ";"}, **SMALL)
    model.fit(codes, [n % 2 for n in range(20)])
    binary, _ = built(model, tmp_path / "codes")
    items = ["in; buy now ;out", ";;in;what"]
    for line, wanted in zip(said(binary, "\n".join(items) + "\n"), model.present(items), strict=True):
        assert float(line.split("\t")[1]) == pytest.approx(wanted.probability, abs=1e-5)


@needs_compiler
@pytest.mark.parametrize("options", [{"tokens": "char"}, {"tokens": "word"}, {"tokens": "byte"}])
def test_language_models_score_lines_and_write(options: dict[str, Any], tmp_path: Path) -> None:
    text = "the cat saw the dog.\nthe dog's fed the bird.\n" * 20
    model = LanguageModel(steps=3, hidden_size=6, embedding_size=6, baseline=False, **options).fit([text])
    binary, _ = built(model, tmp_path, precision="float32")
    lines = ["the cat", "the zoo saw the dog's", "d"]
    wanted = [scored.log_probability for scored in model.log_probabilities(lines)]
    np.testing.assert_allclose([float(one) for one in said(binary, "\n".join(lines) + "\n")], wanted, atol=1e-4)
    drawn = [
        subprocess.run([str(binary), "sample", "40", seed], capture_output=True, check=True).stdout for seed in "778"
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) >= 40


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a small classifier of texts was saved."""
    model = Classifier(feature_options={"tokens": "char"}, **SMALL).fit(TEXTS * 4, LABELS * 4)
    return Path(model.save(tmp_path_factory.mktemp("bundles") / "reviews"))


def test_the_command_writes_and_says_what_it_takes(saved: Path, tmp_path: Path) -> None:
    told = json.loads(
        CliRunner().invoke(app, ["export", str(saved), "--to", "c", "--out", str(tmp_path / "c"), "--json"]).output
    )
    assert told["files"] == ["Makefile", "README.md", "main.c", "manifest.json", "reviews.c", "reviews.h"]
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == told["files"]
    code = (tmp_path / "c" / "reviews.c").read_text()
    assert f"#define REVIEWS_STATE_BYTES {told['state_bytes']}\n" in (tmp_path / "c" / "reviews.h").read_text()
    assert f"static REVIEWS_THREAD float buffer[{told['buffer_bytes'] // 4}];" in code
    shown = CliRunner().invoke(app, ["export", str(saved), "--to", "c", "--out", str(tmp_path / "again")])
    assert shown.exit_code == 0
    assert f"RAM: {told['state_bytes']:,} bytes of state" in shown.output
    readme = (tmp_path / "c" / "README.md").read_text()
    assert f"| flash: constants | {told['constant_bytes']:,} bytes |" in readme


@needs_compiler
def test_memory_is_what_is_stated(saved: Path, tmp_path: Path) -> None:
    report = export_c(saved, tmp_path / "c").report
    compiled = [str(check.compiler()), "-std=c99", "-Os", "-c", "reviews.c", "-o", "model.o"]
    subprocess.run(compiled, cwd=tmp_path / "c", check=True)
    listed = subprocess.run(["size", "-A", "model.o"], cwd=tmp_path / "c", capture_output=True, text=True, check=True)
    sizes = {line.split()[0]: int(line.split()[1]) for line in listed.stdout.splitlines() if line.startswith(".")}
    assert sizes[".bss"] == report["buffer_bytes"]
    assert sizes.get(".data", 0) == 0
    constants = sum(size for name, size in sizes.items() if name.startswith(".rodata"))
    assert report["constant_bytes"] <= constants <= report["constant_bytes"] + 512


def test_a_folder_that_is_taken(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    arguments = ["export", str(saved), "--to", "c", "--out"]
    assert main([*arguments, str(other), "--overwrite"]) == 2
    with pytest.raises(InputError) as error:
        export_c(saved, other, overwrite=True)
    assert str(error.value) == (
        f"folder: got '{other}'; expected a folder that is new or empty (it holds 'notes.txt' and is no such export). "
        "Choose another folder; Rekur replaces only its own exports."
    )
    export_c(saved, tmp_path / "c")
    with pytest.raises(InputError) as error:
        export_c(saved, tmp_path / "c")
    assert str(error.value) == (
        f"folder: got '{tmp_path / 'c'}'; expected a folder that is new or empty (an export is there). "
        "Choose another folder, or say overwrite=True (--overwrite) to replace the export."
    )
    (tmp_path / "c" / "device.c").write_text("int mine;")
    export_c(saved, tmp_path / "c", overwrite=True, precision="int8")
    assert (tmp_path / "c" / "device.c").read_text() == "int mine;", "what is no part of the export stays"
    assert json.loads((tmp_path / "c" / "manifest.json").read_text())["precision"] == "int8"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@needs_compiler
def test_a_quantised_bundle_is_written_as_it_is(saved: Path, tmp_path: Path) -> None:
    small = write_quantised(read_bundle(saved), tmp_path / "small", "int8")
    made = {
        "own": export_c(small, tmp_path / "own", name="m").report,
        "rounded": export_c(saved, tmp_path / "rounded", name="m", precision="int8").report,
        "wide": export_c(small, tmp_path / "wide", name="m", precision="float32").report,
    }
    assert [one["precision"] for one in made.values()] == ["int8", "int8", "float32"]
    assert (tmp_path / "own" / "m.c").read_text() == (tmp_path / "rounded" / "m.c").read_text()
    assert [one["difference_of_rounding"] is None for one in made.values()] == [True, False, True]
    assert max(one["difference"] for one in made.values()) < 1e-5
    assert made["wide"]["constant_bytes"] > made["own"]["constant_bytes"]


@needs_compiler
def test_a_bundle_of_bfloat16_is_written_in_float32(saved: Path, tmp_path: Path) -> None:
    small = write_quantised(read_bundle(saved), tmp_path / "small", "bfloat16")
    report = export_c(small, tmp_path / "c").report
    assert (report["precision"], report["difference_of_rounding"]) == ("float32", None)
    assert report["difference"] < 1e-5
    with pytest.raises(InputError) as error:
        export_c(small, tmp_path / "d", precision="int8")
    assert str(error.value) == (
        "precision: got 'int8'; expected 'bfloat16' or 'float32'. The weights are bfloat16 already: use the original "
        "model."
    )
    with pytest.raises(InputError, match=r"Take the bundle that it was made from, with precision='int8'"):
        export_c(small, tmp_path / "d", flash=10)


def test_a_model_larger_than_the_flash(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "code_bytes", lambda sources, name: (1000, "a test"))
    whole = export_c(saved, tmp_path / "a").report["constant_bytes"] + 1000
    small = export_c(saved, tmp_path / "b", precision="int8").report["constant_bytes"] + 1000
    with pytest.raises(InputError) as error:
        export_c(saved, tmp_path / "c", flash=whole - 1)
    assert str(error.value) == (
        f"model: got {whole} bytes; expected at most {whole - 1} bytes, the flash that was stated. "
        f"With precision='int8' (--precision int8) it takes {small} bytes, which fits."
    )
    with pytest.raises(InputError, match="Train a smaller one: --hidden-size"):
        export_c(saved, tmp_path / "c", flash=10, precision="int8")
    assert not (tmp_path / "c").exists()
    export_c(saved, tmp_path / "c", flash=whole)


def test_without_a_compiler_the_source_is_written_and_said(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "compiler", lambda: None)
    shown = CliRunner().invoke(app, ["export", str(saved), "--to", "c", "--out", str(tmp_path / "c")])
    assert shown.exit_code == 0
    assert "No C compiler was found (cc, gcc, clang or $CC): the code is written, and was not run." in shown.output
    assert (tmp_path / "c" / "reviews.c").exists()
    assert "it has not been run yet" in (tmp_path / "c" / "README.md").read_text()


@needs_compiler
def test_code_that_differs_is_not_kept(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = check.outputs

    def wrong(*arguments: Any) -> Any:
        return right(*arguments) + 1e-3

    monkeypatch.setattr(check, "outputs", wrong)
    with pytest.raises(RekurError) as error:
        export_c(saved, tmp_path / "c")
    assert str(error.value) == (
        "difference of the compiled code: got 0.001; expected at most 1e-05 between its outputs and the model's. "
        "Nothing was written. Such scores depend on the last bits of their terms; "
        "a larger tolerance (--tolerance) accepts them."
    )
    monkeypatch.undo()
    with pytest.raises(RekurError, match="difference of the model with rounded numbers: got "):
        export_c(saved, tmp_path / "c", precision="int8", tolerance=1e-9)
    assert not (tmp_path / "c").exists()


def test_a_model_that_reads_from_the_end_is_refused(tmp_path: Path) -> None:
    folder = Classifier(bidirectional=True, **SMALL).fit(TEXTS * 4, LABELS * 4).save(tmp_path / "both")
    with pytest.raises(NotStreamableError, match=r"expected a causal one\. Train a model that reads forward only"):
        export_c(folder, tmp_path / "c")
    assert main(["export", str(folder), "--to", "c", "--out", str(tmp_path / "c")]) == 2


def test_options_out_of_range(saved: Path, tmp_path: Path) -> None:
    for options, text in (
        ({"precision": "int4"}, "precision: got 'int4'; expected one of 'float32', 'int8'. Did you mean 'int8'?"),
        ({"flash": 0}, "flash: got 0; expected a whole number of 1 or more."),
        ({"tolerance": -1}, "tolerance: got -1; expected a number above 0."),
        (
            {"name": "math"},
            "name: got 'math'; expected letters, digits and underscores, a letter first, 60 at most, and no name of "
            "C's own headers.",
        ),
    ):
        with pytest.raises(InputError) as error:
            export_c(saved, tmp_path / "c", **options)  # type: ignore[arg-type]
        assert str(error.value) == text


def test_what_plain_c_does_not_read_is_said(tmp_path: Path) -> None:
    model = LanguageModel(tokens="bpe", steps=3, hidden_size=6, embedding_size=6, baseline=False).fit(["ab abab " * 50])
    folder = model.save(tmp_path / "pairs")
    report = export_c(folder, tmp_path / "c").report
    assert report["raw_input"].startswith("byte pairs need tables of merges")
    assert "pairs_push" not in (tmp_path / "c" / "pairs.h").read_text()
    greek = Classifier(**SMALL).fit([f"ο λόγος {letter}" for letter in "αβγδεζηθ"], [0, 1] * 4).features_
    assert unsupported(greek) == "small letters of Greek and Turkish words depend on the letters around them"


@needs_compiler
def test_a_file_of_items_is_tried_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"item {'ab'[number % 2]} {number},{number % 2}\n" for number in range(20))
    (tmp_path / "t.csv").write_text("text,label\n" + rows)
    fit = ["fit", "classify", str(tmp_path / "t.csv"), "--text", "text", "--label", "label", "--epochs", "1"]
    assert main([*fit, "--hidden-size", "4", "--quiet", "--no-baseline", "--out", str(tmp_path / "m")]) == 0
    export = ["export", str(tmp_path / "m"), "--to", "c", "--overwrite", "--out", str(tmp_path / "c")]
    without = export_c(tmp_path / "m", tmp_path / "d").report
    (tmp_path / "many.csv").write_text("body\n" + 70 * "item\nof many\n\nb 1\n")
    capsys.readouterr()
    for file, named, count, said in (
        ("t.csv", [], 20, "all 20 items of"),
        ("many.csv", ["--text", "body"], 200, "the first 200 items of"),
    ):
        assert main([*export, "--data", str(tmp_path / file), *named]) == 0
        report = json.loads((tmp_path / "c" / "manifest.json").read_text())
        assert (report["items"], report["sequences"]) == (count, without["sequences"] + count)
        assert (
            f"{without['sequences'] + count} sequences, among them {said} {tmp_path / file}" in capsys.readouterr().out
        )
    assert without["items"] == 0
    for options, text in (
        (["--text", "body"], "--data: got none; expected a file, as it was said how to read it. Name the file."),
        (["--data", str(tmp_path / "many.csv")], "text column: got 'text'; expected one of the columns 'body'."),
    ):
        assert main([*export, *options]) == 2
        assert text in capsys.readouterr().err


@needs_compiler
def test_items_are_tried_where_plain_c_does_not_read_them(tmp_path: Path) -> None:
    model = LanguageModel(tokens="bpe", steps=3, hidden_size=6, embedding_size=6, baseline=False).fit(["ab abab " * 50])
    folder = model.save(tmp_path / "pairs")
    without = export_c(folder, tmp_path / "c").report
    report = export_c(folder, tmp_path / "d", items=["ab", "abab ab"]).report
    assert (report["items"], report["sequences"]) == (2, without["sequences"] + 2)


def test_a_compiler_that_is_named_and_is_not_there(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "nosuchcc")
    with pytest.raises(InputError) as caught:
        export_c(saved, tmp_path / "c")
    assert str(caught.value) == (
        "CC: got 'nosuchcc'; expected the name of a C compiler, without options. Set it anew, or unset it."
    )
    assert not (tmp_path / "c").exists()


def compiler_that_says(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the C compiler be one that fails with a text."""
    program = folder / "compiler"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))


NO_ROOM = "expected a folder with room to compile the export, where programs may run. Set TMPDIR to such a folder."


@needs_compiler
def test_where_nothing_can_be_compiled(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full or closed folder for temporary files is named, and no pages of a compiler are shown."""
    pages = "".join(f"note: line {number}\n" for number in range(300))
    export = ["export", str(saved), "--to", "c", "--out", str(tmp_path / "c")]

    def told() -> str:
        capsys.readouterr()
        code = main(export)
        error = capsys.readouterr().err
        assert code in (1, 2)
        assert not (tmp_path / "c").exists()
        assert len(error) < 400
        return " ".join(error.split())

    with monkeypatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path))
        compiler_that_says(tmp_path, pages + "as: fatal error: cannot write: No space left on device", patch)
        assert f"{tmp_path}: got 'No space left on device'; {NO_ROOM}" in told()
        compiler_that_says(tmp_path, pages + "model.c:3:1: error: odd\n" + pages, patch)
        assert "got 'model.c:3:1: error: odd'; expected code that compiles without a warning." in told()
    with monkeypatch.context() as patch:
        for number, reason in ((28, "No space left on device"), (13, "Permission denied")):

            def fails(*words: Any, number: int = number, reason: str = reason, **options: Any) -> Any:
                raise OSError(number, reason)

            patch.setattr(check.tempfile, "TemporaryDirectory", fails)
            assert f"got '{reason}'; {NO_ROOM}" in told()
    with monkeypatch.context() as patch:
        real = subprocess.run

        def closed(command: list[str], **options: Any) -> Any:
            if command[0].endswith(("harness", "trial")):
                raise PermissionError(13, "Permission denied")
            return real(command, **options)

        patch.setattr(check.subprocess, "run", closed)
        assert f"got 'Permission denied'; {NO_ROOM}" in told()


@needs_compiler
def test_a_check_shows_one_line_of_a_compiler(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler_that_says(tmp_path, "".join(f"model.c:{n}:1: error: odd\n" for n in range(300)), monkeypatch)
    main(["check", str(saved)])
    told = "".join("".join(capsys.readouterr()).split())  # cells of a table are wrapped
    assert "model.c:0:1:error:odd" in told
    assert told.count("error:odd") == 1
    compiler_that_says(tmp_path, "as: No space left on device", monkeypatch)
    assert main(["check", str(saved)]) == 0
    told = "".join("".join(capsys.readouterr()).split())
    assert "SetTMPDIRtosuchafolder." in told
    assert "Allofthesehold." in told


@needs_compiler
def test_what_the_header_says_of_missing_values(tmp_path: Path) -> None:
    walks = [[[float(n), 1.0], [0.0, n % 3]] for n in range(20)]
    for missing, text in (
        (
            "hold",
            "raw numbers, NaN where one is missing: channel 1, channel 2;\n   returns 0, or 1 for a row that is",
        ),
        (
            "error",
            "raw numbers: channel 1, channel 2;\n   returns 0, or 1 for a row that is refused, as one with NaN is,",
        ),
    ):
        model = Regressor(feature_options={"missing": missing}, **SMALL).fit(walks, list(range(20)))
        built(model, tmp_path / missing)
        assert text in (tmp_path / missing / "c" / "model.h").read_text(encoding="utf-8")
        readme = (tmp_path / missing / "c" / "README.md").read_text(encoding="utf-8")
        assert "`model_push` scales rows in double precision" in readme


def test_too_many_weights_are_refused_and_a_check_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Classifier(**SMALL).fit(TEXTS * 4, LABELS * 4).save(tmp_path / "model")
    monkeypatch.setattr("rekur.export.c.source.MOST_NUMBERS", 1000)
    message = r"numbers of the weights: got [\d,]+; expected at most 1,000, which .* in less than a minute"
    with pytest.raises(InputError, match=f"^{message}. Export it with --to onnx, or train a model with fewer words.$"):
        export_c(folder, tmp_path / "c")
    (c,) = check_bundle(subject_of(read_bundle(folder)), CHECKS[-1:])
    assert (c.name, c.holds) == ("C", None)
    assert re.fullmatch(message, c.where)
