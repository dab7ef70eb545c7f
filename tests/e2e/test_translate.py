"""From two aligned files to a model that writes: number words to digits, by the command line and in Python."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run, environment

import rekur
from rekur import Translator
from rekur._ids import END
from rekur.errors import InputError

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SMALL = ("--tokens", "char", "--hidden-size", "12", "--epochs", "3", "--learning-rate", "0.02", "--quiet")


def pairs(count: int, seed: int) -> tuple[list[str], list[str]]:
    draw = random.Random(seed)
    numbers = [[draw.randrange(10) for _ in range(draw.randint(1, 4))] for _ in range(count)]
    return [" ".join(WORDS[n] for n in number) for number in numbers], ["".join(map(str, number)) for number in numbers]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder, files = tmp_path_factory.mktemp("numbers"), {}
    for seed, (name, count) in enumerate((("train", 120), ("valid", 30), ("test", 30))):
        files[name] = [folder / f"{name}.words", folder / f"{name}.digits"]
        for path, lines in zip(files[name], pairs(count, seed), strict=True):
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "numbers"


@pytest.fixture
def bundle(data: dict[str, list[Path]], cli: Run, trained: Path) -> Path:
    """A bundle, trained by the command line once."""
    if not trained.exists():
        done = cli("fit", "translate", *data["train"], "--valid", *data["valid"], "--out", trained, *SMALL)
        assert done.code == 0, done.err
    return trained


def test_a_bundle_is_evaluated_and_its_texts_are_predicted_in_order(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    scores = cli("evaluate", bundle, *data["test"], "--json")
    assert scores.code == 0, scores.err
    assert {"bleu", "chrf", "exact_match"} < set(scores.json)
    assert scores.json["rival"]["name"] == "word-for-word lexicon"
    lines = [*pairs(5, 9)[0], "", " ", "漢 \u202f 🙂 " + "one " * 40, "one"]
    (tmp_path / "in.txt").write_text("\n".join(lines), encoding="utf-8")
    done = cli("predict", bundle, tmp_path / "in.txt", "--output-format", "txt")
    assert done.code == 0, done.err
    written = done.out.split("\n")
    assert len(written) == len(lines) + 1
    assert written[5] == written[6] == written[-1] == ""
    rows = [json.loads(line) for line in cli("predict", bundle, tmp_path / "in.txt", "--json").out.splitlines()]
    assert [row["prediction"] for row in rows] == written[:-1]
    model = rekur.load(bundle)
    assert [model.predict([line])[0] for line in lines] == written[:-1]


def test_the_best_of_several_is_the_answer(bundle: Path, cli: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one two\n\nnine nine nine\n", encoding="utf-8")

    def rows(*words: str) -> list[dict[str, Any]]:
        done = cli("predict", bundle, tmp_path / "in.txt", "--json", *words)
        assert done.code == 0, done.err
        return [json.loads(line) for line in done.out.splitlines()]

    best, several = rows("--beam", "5"), rows("--beam", "5", "--n-best", "5")
    for row, other in zip(best, several, strict=True):
        assert row["prediction"] == other["prediction"]
        texts = [each["prediction"] for each in other.get("candidates", [])]
        scores = [each["score"] for each in other.get("candidates", [])]
        assert len(set(texts)) == len(texts)
        assert scores == sorted(scores, reverse=True)
        assert texts[:1] in ([], [row["prediction"]])
    assert len(several[0]["candidates"]) > 1
    assert best[1]["prediction"] == ""
    assert rows("--beam", "1") == rows()
    scores = [rows("--beam", "5", "--alpha", alpha)[2]["score"] for alpha in ("0", "1")]
    assert scores[0] < scores[1]
    refused = cli("predict", bundle, tmp_path / "in.txt", "--n-best", "2")
    assert (refused.code, refused.out) == (2, "")
    assert "n_best: got 2" in refused.err
    refused = cli("predict", bundle, tmp_path / "in.txt", "--beam", "2", "--alpha", "-1")
    assert "alpha: got -1" in refused.err


def test_commands_refuse_what_they_cannot_do(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    commands = (
        ("quantize", bundle, "--data", data["test"][0], "--out", tmp_path / "q"),
        ("export", bundle, "--to", "c", "--out", tmp_path / "c"),
        ("stream", bundle),
        ("generate", bundle),
    )
    for words in commands:
        done = cli(*words)
        assert (done.code, done.out) == (2, ""), words
        assert "got" in done.err
        assert "expected" in done.err
    assert list(tmp_path.iterdir()) == []


def test_several_files_of_references_score_as_the_columns_of_a_table(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    source, target = data["test"]
    other, table = tmp_path / "other", tmp_path / "a.tsv"
    other.write_text("".join(f"{line}0\n" for line in target.read_text().splitlines()))
    columns = [path.read_text().splitlines() for path in (source, target, other)]
    table.write_text("\n".join("\t".join(row) for row in [("a", "b", "c"), *zip(*columns, strict=True)]))
    named = (table, "--source", "a", "--target", "b", "--target", "c")
    scores = [cli("evaluate", bundle, *words, "--json").json for words in ((source, target, other), named)]
    assert scores[0] == {**scores[1], "file": f"{source} {target} {other}"}
    assert "nrefs:2" in scores[0]["bleu_signature"]
    rows = score_rows(cli, bundle, source, target, other)
    assert [(row["item"], row["reference"]) for row in rows[:3]] == [(1, 1), (1, 2), (2, 1)]
    other.write_text("1\n")
    for words, text in (
        (("evaluate", bundle, source, target, other), f"30 lines in {target} and 1 line in {other}"),
        (("data", source, target, other), f"1 line in {other}"),
        (("data", source, "--source", "a", target), "expected no more than FILE"),
        (("fit", "translate", source, target, target, "--out", tmp_path / "m"), "SOURCE TARGET: got 3 files"),
    ):
        done = cli(*words)
        assert (done.code, done.out) == (2, "")
        assert text in done.err


def test_an_evaluation_says_what_was_empty_and_what_was_cut(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    for file, text in zip(files, ("one\n \n" + "two " * 600 + "\n\n", "1\n2\n2\n3\n"), strict=True):
        file.write_text(text)
    limits = ("--max-length", "40")
    done = cli("evaluate", bundle, *files, *limits)
    assert "2 of 4 sources are empty, and so are their texts; 1 source cut after 2,000 tokens" in done.err
    assert "1 source cut after 2,000 tokens" in cli("predict", bundle, files[0], *limits).err
    assert "the sources of 1 pair were cut after 2,000 tokens" in cli("score", bundle, *files).err
    assert "cut after 4 tokens" in cli("evaluate", bundle, *data["test"], "--max-source", "4").err
    assert rekur.load(bundle).search_.max_source == 2000


def test_a_model_that_writes_texts_says_how_it_is_used(bundle: Path, cli: Run) -> None:
    assert (
        "stream: got a model that writes texts; expected one that answers while it reads" in cli("stream", bundle).err
    )
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert f"rekur predict {bundle.name} SOURCE\nrekur evaluate {bundle.name} SOURCE TARGET\n" in card


def test_a_training_starts_from_a_bundle(bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path) -> None:
    words = ("fit", "translate", *data["train"], "--out", tmp_path / "run", *SMALL[:-1])
    done = cli(*words, "--from", bundle)
    assert done.code == 0, done.err
    assert re.search(r"features and \d+ weights taken\.", done.err)


def test_known_pairs_come_back_to_the_character() -> None:
    sources = [
        "Où est-il\u202f?",
        "«\u00a0a\u00a0»",
        "e\u0301",
        "</s> <unk>",
        "▁@@ ##",
        "l’été",
        "שלום OK",
        "a مرحبا ١٢",
    ]
    targets = ["Where is he?", "“a”", "é", "<unk> </s>", "@@▁ |||", "ﬁn… ２", "\u200fשָׁלוֹם 漢 (a)", "कि🙂"]
    options: dict[str, Any] = {"feature_options": {"tokens": "char"}, "hidden_size": 24, "batch_size": 8}
    chances = dict.fromkeys(("input_dropout", "state_dropout", "output_dropout"), 0.0)
    model = Translator(**options, **chances, epochs=25, learning_rate=1e-2, baseline=False)
    model.fit(sources * 8, targets * 8, X_valid=sources, y_valid=targets)
    assert model.predict(sources) == targets
    assert model.evaluate(sources, targets)["exact_match"] == 1


def test_weights_are_chosen_by_texts_that_are_searched(bundle: Path) -> None:
    history = [json.loads(line) for line in (bundle / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"valid_loss", "valid_bleu", "valid_chrf"} < set(history[0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"attention": "self"}, "attention: got 'self'"),
        ({"tying": "both"}, "tying: got 'both'"),
        ({"label_smoothing": 1.0}, "label_smoothing: got 1.0"),
        ({"feature_options": {"tokens": "byte"}}, "tokens: got 'byte'"),
        ({"feature_options": {"shared": False}, "tying": "all"}, "tying: got 'all' with other vocabularies"),
        ({"batch_size": 4, "batch_steps": 100}, "batch_steps: got 100; expected none without"),
        ({"decoder_layers": 0}, "decoder_layers: got 0"),
    ],
)
def test_options_are_checked_before_training(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Translator(**options).fit(["a b"] * 8, ["b a"] * 8)


def test_separate_vocabularies_and_every_kind_of_tokens() -> None:
    sources, targets = pairs(40, 3)
    for tokens in ("bpe", "word", "char"):
        features = {"tokens": tokens, "shared": False, "min_count": 1}
        model = Translator(feature_options=features, attention="additive", cell="lstm", hidden_size=6, epochs=1)
        model.fit(sources, targets)
        assert model.chosen_["tying"] == "target"
        assert model.monitor_ == ("valid_chrf", True)  # no text has four tokens, as BLEU needs
        assert len(model.predict(sources[:3])) == 3


def test_a_nan_weight_is_refused(bundle: Path, cli: Run, tmp_path: Path) -> None:
    model = rekur.tasks.load(bundle)
    model.model_.decoder.combine.bias.data[0] = np.nan
    with pytest.raises(InputError):
        model.predict(["one"])
    model.save(tmp_path / "m")
    done = cli("translate", tmp_path / "m", stdin=b"one\n")
    assert (done.code, done.out) == (2, "")
    assert "with NaN or infinite numbers" in done.err


def test_a_text_that_never_ends_is_cut_and_told(bundle: Path, cli: Run, tmp_path: Path) -> None:
    model = rekur.tasks.load(bundle)
    model.model_.decoder.head.bias.data[END - 1] = -1000.0  # padding has none
    model.save(tmp_path / "m")
    (tmp_path / "in").write_text("one\n\ntwo two\n")
    told = "2 texts cut at the limit of the length, before the model ended."
    for words in (("--beam", "1"), ("--beam", "3")):
        done = cli("translate", tmp_path / "m", *words, stdin=b"one\n\ntwo two\n")
        assert (done.code, [len(line) for line in done.out.split("\n")]) == (0, [29, 0, 41, 0])
        assert f"standard input: {told}" in done.err
        assert f"{tmp_path / 'in'}: {told}" in cli("predict", tmp_path / "m", tmp_path / "in", *words).err
    shutil.copy(tmp_path / "in", tmp_path / "out")
    scored = cli("evaluate", tmp_path / "m", tmp_path / "in", tmp_path / "out").err
    assert f"{tmp_path / 'in'}: 1 of 3 sources is empty, and so is its text; {told}" in scored


def test_targets_of_strange_characters_and_empty_references_are_scored(bundle: Path, cli: Run, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    for file, text in zip(files, ("one\ntwo\nthree\n", "漢字 漢字\n\nшум\n"), strict=True):
        file.write_text(text, encoding="utf-8")
    scores = cli("evaluate", bundle, *files, "--json").json
    assert (scores["items"], scores["bleu"], scores["exact_match"]) == (3, 0, 0)
    rows = score_rows(cli, bundle, *files)
    assert all(np.isfinite(row["log_probability"]) for row in rows)
    assert [row["tokens"] for row in rows] == [14, 1, 7]


# ── lines that arrive ────────────────────────────────────────────────────────────────────────────────────────────


def test_each_line_of_a_stream_has_a_line(bundle: Path, cli: Run, tmp_path: Path) -> None:
    lines = ["one two", "", " \t", "nine\u2028 \x85 two\r", "one " * 400, "漢🙂", "seven"]
    done = cli("translate", bundle, stdin="\r\n".join(lines).encode())
    assert (done.code, done.err) == (0, "")
    written = done.out.split("\n")
    assert (len(written), written[1], written[2], written[-1]) == (8, "", "", "")
    (tmp_path / "in").write_bytes("\n".join(lines).encode())
    assert cli("predict", bundle, tmp_path / "in", "--output-format", "txt").out == done.out
    alone = [cli("translate", bundle, stdin=f"{line}\n".encode()).out for line in lines]
    assert "".join(alone) == done.out
    assert cli("translate", bundle).out == ""


def test_lines_before_a_bad_one_are_answered(bundle: Path, cli: Run) -> None:
    first = cli("translate", bundle, stdin=b"\xef\xbb\xbfone").out
    assert first == cli("translate", bundle, stdin=b"one").out
    for bad, text in ((b"tw\xe9", "line 2: text: got 'tw\\xe9'"), (b"t\0wo", "line 2: text: got a NUL")):
        done = cli("translate", bundle, stdin=b"one\n" + bad + b"\nsix\n")
        assert (done.code, done.out) == (2, first)
        assert text in done.err


def test_limits_hold_and_cut_sources_are_counted(bundle: Path, cli: Run) -> None:
    lines = b"one two three\n\nsix\n"
    done = cli("translate", bundle, "--max-source", "4", stdin=lines)
    assert "standard input: 1 source cut after 4 tokens." in done.err
    assert done.out == cli("translate", bundle, stdin=b"one \n\nsix\n").out
    done = cli("translate", bundle, "--min-ratio", "2", "--max-ratio", "2", stdin=lines)
    assert [len(line) for line in done.out.split("\n")] == [26, 0, 6, 0]
    wide = cli("translate", bundle, "--beam", "400", "--max-length", "3", stdin=b"one\n")
    assert (wide.code, len(wide.out) <= 4) == (0, True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--max-length", "0"), "max_length: got 0"),
        (("--alpha", "-1"), "alpha: got -1"),
        (("--beam", "0"), "beam: got 0"),
        (("--max-ratio", "0"), "max_ratio: got 0"),
        (("--min-ratio", "3", "--max-ratio", "2"), "max_ratio: got 2"),
        (("--max-source", "0"), "max_source: got 0"),
        (("--no-repeat", "-1"), "no_repeat: got -1"),
    ],
)
def test_limits_out_of_range_are_refused(words: tuple[str, ...], text: str, bundle: Path, cli: Run) -> None:
    done = cli("translate", bundle, *words, stdin=b"one\n")
    assert (done.code, done.out) == (2, "")
    assert text in done.err


def test_an_attention_stands_beside_the_lines(bundle: Path, cli: Run) -> None:
    plain, done = (cli("translate", bundle, *words, stdin=b"one\n\ntwo") for words in ((), ("--attention",)))
    assert done.out == plain.out
    assert any(shade in done.err for shade in "░▒▓█")
    row = cli("predict", bundle, "--item", "one", "--json", "--attention").json
    weights = row["attention"]
    assert ("".join(weights["source"]), "".join(weights["text"])) == ("one", row["prediction"])
    assert [len(shares) for shares in weights["shares"]] == [3] * len(weights["text"])
    refused = cli("predict", bundle, "--item", "one", "--output-format", "csv", "--attention")
    assert (refused.code, refused.err.count("--attention: got it; expected a model that writes")) == (2, 1)
    assert cli("translate", bundle, "--attention", "--max-source", "2", stdin=b"one").err.count(" o n\n") == 1
    (grid,) = rekur.load(bundle).attention(["one"], ["12"])
    assert (grid.columns, grid.rows) == (["o", "n", "e"], ["1", "2"])
    np.testing.assert_allclose(grid.shares.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("name", "command"), [("words", "predict"), ("language_words", "generate")])
def test_a_model_of_another_kind_does_not_translate(name: str, command: str, cli: Run) -> None:
    folder = Path(__file__).parents[1] / "formats" / "v1" / name
    done = cli("translate", folder, stdin=b"one\n")
    assert (done.code, done.out) == (2, "")
    assert "expected a model that writes a text for a text" in done.err
    assert f"To use it: rekur {command} {folder}" in done.err


def test_an_answer_does_not_wait_for_another_line_and_an_interrupt_leaves_whole_lines(bundle: Path) -> None:
    command = [sys.executable, "-m", "rekur", "translate", str(bundle)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"one\n", b"\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().endswith(b"\n")
        process.stdin.write(b"one two three\n" * 4000)
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"rekur: stopped.\n")
    assert rest.endswith(b"\n") or not rest


def test_a_blank_line_has_no_score_and_no_warning(bundle: Path, cli: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("one\n\n")
    done = cli("predict", bundle, tmp_path / "in")
    assert done.err == ""
    assert json.loads(done.out.splitlines()[1]) == {"item": 2, "prediction": "", "score": None}
    table = cli("predict", bundle, tmp_path / "in", "--output-format", "csv", "--beam", "2", "--n-best", "2").out
    assert table.splitlines()[-1] == "2,1,,"


def test_the_page_of_an_evaluation_shows_attention(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    done = cli("evaluate", bundle, *data["test"], "--max-length", "12", "--report", tmp_path / "r.html")
    assert done.code == 0, done.err
    assert len(re.findall(r">Attention in item \d+, chrF [\d.]+ \(", (tmp_path / "r.html").read_text())) >= 3


# ── scores of pairs ──────────────────────────────────────────────────────────────────────────────────────────────


def score_rows(cli: Run, *words: Any) -> list[dict[str, Any]]:
    done = cli("score", *words, "--json")
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_the_score_of_a_prediction_is_that_of_the_pair(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    source = data["test"][0]
    rows = [json.loads(line) for line in cli("predict", bundle, source, "--json", "--alpha", "1").out.splitlines()]
    target = tmp_path / "predicted"
    target.write_text("".join(f"{row['prediction']}\n" for row in rows), encoding="utf-8")
    scores = score_rows(cli, bundle, source, target)
    assert [row["item"] for row in scores] == [row["item"] for row in rows]
    assert [row["per_token"] for row in scores] == pytest.approx([row["score"] for row in rows], abs=1e-5)


def test_the_score_of_a_pair_is_the_sum_over_its_tokens_whatever_stands_beside_it(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    sources, targets = ([*path.read_text().splitlines(), "one"] for path in data["test"])
    files = [tmp_path / name for name in ("a", "b")]
    together = None
    for rows in (slice(None), slice(3, 4)):
        for file, texts in zip(files, (sources, targets), strict=True):
            file.write_text("".join(f"{text}\n" for text in texts[rows]))
        scores = score_rows(cli, bundle, *files, "--tokens")
        together = together or scores[3]
    assert scores[0]["log_probability"] == pytest.approx(together["log_probability"], abs=1e-5)
    pieces, values = zip(*together["each"], strict=True)
    assert "".join(pieces) == targets[3]
    assert sum(values) == pytest.approx(together["log_probability"])
    assert (together["tokens"], together["characters"]) == (len(targets[3]) + 1, len(targets[3]))
    table = cli("score", bundle, *files, "--tokens").out.splitlines()
    assert table[0] == "item,position,token,log_probability"
    assert len(table) == len(targets[3]) + 2


def test_marks_in_texts_are_characters_to_the_score(bundle: Path, cli: Run, tmp_path: Path) -> None:
    targets = ["a", "a</s>", "a<unk>", "a<pad>", "a▁", "a@@", "a ||| b"]
    files = [tmp_path / name for name in ("a", "b")]
    for file, texts in zip(files, (["one"] * len(targets), targets), strict=True):
        file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    rows = score_rows(cli, bundle, *files)
    assert len({row["log_probability"] for row in rows}) == len(targets)
    assert [row["characters"] for row in rows] == list(map(len, targets))


def test_an_empty_source_has_no_score_and_each_reference_has_one(bundle: Path, cli: Run, tmp_path: Path) -> None:
    table = tmp_path / "a.jsonl"
    rows = [{"en": "one", "fr": ["1", "2"]}, {"en": " ", "fr": "3"}, {"en": "two", "fr": ""}]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli("score", bundle, table, "--source", "en", "--target", "fr", "--json")
    assert "1 pair has an empty source, and no score" in done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(row["item"], row.get("reference")) for row in rows] == [(1, 1), (1, 2), (2, None), (3, None)]
    assert [row["log_probability"] is None for row in rows] == [False, False, True, False]
    assert rows[3]["tokens"] == 1  # the end alone


def test_scores_of_what_are_no_pairs_are_refused(
    bundle: Path, data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    source, target = data["test"]
    short = tmp_path / "short"
    short.write_text("1\n")
    for words, text in (
        ((source,), "expected two aligned files"),
        ((source, short), "30 lines in"),
        ((source, "--by", "line", target), "expected no more than BUNDLE and FILE"),
        ((source, target, "--by", "file"), "--by: got it; expected SOURCE TARGET"),
        (("--text", "x"), "--text: got it; expected SOURCE TARGET"),
        ((source, target, "--source", "en"), "none for text files"),
    ):
        done = cli("score", bundle, *words)
        assert (done.code, done.out) == (2, "")
        assert text in done.err


def test_blank_lines_of_validation_files_score_as_in_an_evaluation(
    data: dict[str, list[Path]], cli: Run, tmp_path: Path
) -> None:
    files = [tmp_path / path.name for path in data["valid"]]
    for path, file, more in zip(data["valid"], files, ("\none\n", "5\n\n"), strict=True):
        file.write_text(path.read_text() + more)
    words = ("--tokens", "char", "--hidden-size", "8", "--epochs", "1", "--quiet")
    done = cli("fit", "translate", *data["train"], "--valid", *files, "--out", tmp_path / "m", *words)
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text(encoding="utf-8"))
    scores = cli("evaluate", tmp_path / "m", *files, "--json").json
    assert (scores["items"], scores["bleu"]) == (32, pytest.approx(metrics["bleu"]))
