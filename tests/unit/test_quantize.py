"""``rekur quantize``: scores before and after, what is refused, what is written; no PyTorch in the process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score

import rekur
from rekur import Classifier, LanguageModel, Regressor
from rekur.cli.main import app, main
from rekur.data import Corpus
from rekur.errors import InputError
from rekur.program import Program, quantised
from rekur.runtime import read_bundle, score_loss, write_quantised

SMALL: dict[str, Any] = {"hidden_size": 24, "baseline": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a classifier, one of several labels, a regressor, a language model, and files for each."""
    root = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    words = np.array(["fine", "dull", "a", "film", "the", "plot"])
    texts = [" ".join(rng.choice(words, size=rng.integers(2, 7))) for _ in range(120)]
    labels = ["good" if text.count("fine") > text.count("dull") else "bad" for text in texts]
    Classifier(epochs=6, **SMALL).fit(texts, labels).save(root / "reviews")
    rows = [f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)]
    (root / "reviews.tsv").write_text("text\tlabel\n" + "".join(rows))
    several = [[word for word in ("fine", "plot") if word in text.split()] for text in texts]
    Classifier(epochs=3, multi_label=True, bidirectional=True, **SMALL).fit(texts, several).save(root / "several")
    walks = [rng.normal(size=int(n)).cumsum() for n in rng.integers(3, 9, size=60)]
    Regressor(epochs=3, **SMALL).fit(walks, [float(walk[-1]) for walk in walks]).save(root / "walks")
    lines = [json.dumps({"walk": walk.tolist(), "end": float(walk[-1])}) for walk in walks]
    (root / "walks.jsonl").write_text("\n".join(lines) + "\n")
    story = "the cat saw the dog. the dog fed the bird. " * 40
    (root / "story.txt").write_text(story)
    LanguageModel(steps=20, embedding_size=16, **SMALL).fit([story]).save(root / "story")
    return root


def call(*words: Any) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it printed."""
    done = CliRunner().invoke(app, ["quantize", *map(str, words)], env={"COLUMNS": "160"})
    return done.exit_code, done.output


READ = {
    "reviews": ("reviews.tsv", "--text", "text", "--label", "label"),
    "walks": ("walks.jsonl", "--series", "walk", "--label", "end"),
    "story": ("story.txt",),
}


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
@pytest.mark.parametrize("name", READ)
def test_a_bundle_of_every_task(made: Path, tmp_path: Path, name: str, precision: str) -> None:
    file, *options = READ[name]
    given = (made / name, "--data", made / file, *options, "--out", tmp_path / "small", "--tolerance", 50)
    code, printed = call(*given, "--precision", precision, "--json")
    assert code == 0, printed
    told = json.loads(printed)
    small = read_bundle(tmp_path / "small")
    assert (small.quantised, small.fingerprint) == (precision, told["fingerprint"])
    assert told["bytes"]["after"]["weights"] == (tmp_path / "small" / "program.safetensors").stat().st_size
    assert told["bytes"]["after"]["weights"] < told["bytes"]["before"]["weights"]
    assert told["step_seconds"]["before"] > 0
    low, high = told["interval"]
    assert low <= told["lost"] <= high
    kept = small.metrics["quantised"]
    assert kept == {name: told[name] for name in kept}
    assert kept["data"] == [file]
    before = rekur.load(made / name)
    after = rekur.load(tmp_path / "small")
    if name == "story":
        scores = [model.evaluate((made / file).read_text())["loss"] for model in (before, after)]
        assert told["lost"] == pytest.approx(scores[1] - scores[0], abs=1e-5)
    assert (told["score"], told["unit"]) == {
        "reviews": ("accuracy", "points"),
        "walks": ("rmse", "%"),
        "story": ("loss", "nats"),
    }[name]


def test_the_table(made: Path, tmp_path: Path) -> None:
    file, *options = READ["reviews"]
    code, printed = call(made / "reviews", "--data", made / file, *options, "--out", tmp_path / "small")
    assert code == 0, printed
    for words in ("accuracy", "points lost (", "weights, bytes", "bundle, bytes", "a step, µs", "Saved in"):
        assert words in printed


def test_several_labels_and_both_directions(made: Path, tmp_path: Path) -> None:
    before = rekur.load(made / "several")
    items, labels = ["fine film", "a plot", "the plot is fine"], [["fine"], ["plot"], ["plot"]]
    after = rekur.load(made / "several")
    loss = score_loss(before, after, Corpus.from_lists(items, labels))
    assert loss.score == "micro_f1"
    predicted, truth = before.predict(items), before.target_.encode_items(labels).astype(int)
    assert loss.before == loss.after == pytest.approx(f1_score(truth, predicted, average="micro"))
    assert (loss.lost, loss.interval) == (0, (0, 0))
    rows = "".join(f"{text}\t{','.join(names)}\n" for text, names in zip(items, labels, strict=True))
    (tmp_path / "several.tsv").write_text("text\tlabels\n" + rows)
    reading = ("--text", "text", "--label", "labels", "--label-separator", ",")
    code, printed = call(made / "several", "--data", tmp_path / "several.tsv", *reading, "--out", tmp_path / "small")
    assert code == 0, printed
    assert "none: the model reads whole sequences" in printed


@pytest.mark.parametrize("as_json", [False, True])
def test_more_lost_than_allowed_is_refused_and_nothing_is_written(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    def worse(program: Program, weights: Any) -> Any:
        small, arrays = real(program, weights)
        return small, {name: 0 * array if array.ndim > 1 else array for name, array in arrays.items()}

    real = quantised.dequantise
    old = (tmp_path / "old").resolve()
    assert call(made / "story", "--data", made / "story.txt", "--out", old)[0] == 0
    monkeypatch.setattr(
        "rekur.program.engine.dequantise",
        lambda program, weights: (real if program.precision == "float32" else worse)(program, weights),
    )
    for out, more in ((tmp_path / "new", ()), (old, ("--overwrite",))):
        given = ["quantize", str(made / "story"), "--data", str(made / "story.txt"), "--out", str(out), *more]
        before = read_bundle(old).fingerprint
        assert main([*given, "--json"] if as_json else given) == 1
        shown = capsys.readouterr()
        assert "nats lost (95 % interval" in shown.err
        assert (
            "expected at most 0.01. Nothing was written. Try --precision bfloat16, or allow more with --tolerance."
            in shown.err
        )
        if as_json:
            assert json.loads(shown.out)["exit_code"] == 1
        assert not (tmp_path / "new").exists()
        assert read_bundle(old).fingerprint == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("reviews", "--data", "reviews.tsv", "--tolerance", "-1"), "--tolerance: got -1.0; expected a number of 0"),
        (("reviews", "--data", "none.tsv", "--text", "text", "--label", "label"), "none.tsv"),
        (
            ("reviews", "--data", "reviews.tsv", "--data", "x.tsv"),
            "--data: got '2 files'; expected one, for a model of",
        ),
        (("reviews", "--data", "reviews.tsv", "--document", "line"), "--document: got a value; expected none"),
        (("story", "--data", "story.txt", "--symbols", "x"), "--symbols: got a value; expected none for a language"),
    ],
)
def test_bad_input(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], text: str
) -> None:
    words = [str(made / word) if word in READ or "." in word else word for word in given]
    assert main(["quantize", *words, "--out", str(tmp_path / "small")]) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_folder_is_looked_at_first(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    given = ["quantize", str(made / "story"), "--data", "no.txt", "--out", str(tmp_path)]
    assert main(given) == 2
    assert "it holds 'notes.txt' and is no Rekur bundle" in capsys.readouterr().err


def test_there_is_no_torch_in_the_process(made: Path, tmp_path: Path) -> None:
    file, *options = READ["reviews"]
    given = ["quantize", made / "reviews", "--data", made / file, *options, "--out", tmp_path / "small", "--json"]
    code = (
        "import sys; sys.modules['torch'] = sys.modules['sklearn'] = None\n"
        f"from rekur.cli.main import main; sys.exit(main({[str(word) for word in given]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["out"] == str(tmp_path / "small")


def test_a_bundle_is_not_quantised_onto_itself(made: Path) -> None:
    bundle = read_bundle(made / "reviews")
    with pytest.raises(InputError) as caught:
        write_quantised(bundle, made / "reviews", "int8", overwrite=True)
    assert str(caught.value).endswith(
        "expected another folder than that of the bundle. "
        "The model for PyTorch stays where it is; choose another folder."
    )
    assert read_bundle(made / "reviews").fingerprint == bundle.fingerprint
