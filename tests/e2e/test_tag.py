"""``rekur fit tag`` on every kind of file that it reads, and what its models say."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, replaced, write_lines

import rekur
from rekur.errors import InputError

SMALL = ("--epochs", "12", "--hidden-size", "12", "--projection-size", "16", "--learning-rate", "0.01", "--quiet")
PEOPLE, PLACES = ("Ada", "Emile", "Mary", "Otto"), ("Oslo", "Lyon", "Turku", "Bern")
TAGS_OF = {"Ada": "PROPN", "left": "VERB", "in": "ADP", ".": "PUNCT"}


def sentence(rng: random.Random) -> tuple[list[str], list[str], list[str]]:
    """Return words, parts of speech and entities of a random sentence."""
    words, pos, entities = [], [], []
    for label in rng.choices(["PER", "LOC", "", ""], k=rng.randint(2, 4)):
        if label == "PER":
            count = rng.randint(1, 2)
            words += rng.choices(PEOPLE, k=count)
            pos += ["PROPN"] * count
            entities += ["B-PER", "I-PER"][:count]
        elif label == "LOC":
            words.append(rng.choice(PLACES))
            pos.append("PROPN")
            entities.append("B-LOC")
        words.append(rng.choice(["left", "visited", "likes"]))
        pos.append("VERB")
        entities.append("O")
    return [*words, "."], [*pos, "PUNCT"], [*entities, "O"]


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same sentences as CoNLL-U, CoNLL and JSON lines."""
    folder, rng = tmp_path_factory.mktemp("tagged"), random.Random(0)
    sentences = [sentence(rng) for _ in range(120)]
    universal = "".join(
        "".join(
            f"{n}\t{word}\t{word}\t{pos}\t_\t_\t0\tdep\t_\t_\n"
            for n, (word, pos) in enumerate(zip(words, parts, strict=True), 1)
        )
        + "\n"
        for words, parts, _ in sentences
    )
    (folder / "a.conllu").write_text(universal, encoding="utf-8")
    columns = "".join(
        "".join(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True)) + "\n" for words, _, tags in sentences
    )
    (folder / "a.conll").write_text(columns, encoding="utf-8")
    rows = [{"tokens": words, "slots": tags} for words, _, tags in sentences]
    return {
        "conllu": folder / "a.conllu",
        "conll": folder / "a.conll",
        "jsonl": write_lines(folder / "a.jsonl", rows),
    }


OPTIONS: dict[str, tuple[str, ...]] = {
    "conllu": ("--label", "upos"),
    "conll": (),
    "jsonl": ("--text", "tokens", "--label", "slots"),
}


@pytest.fixture(scope="session")
def taggers(tagged: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small tagger of each file."""
    from rekur.cli.main import main

    folder = tmp_path_factory.mktemp("taggers")
    for name, file in tagged.items():
        assert main(["fit", "tag", str(file), *OPTIONS[name], *SMALL, "--out", str(folder / name)]) == 0
    return {name: folder / name for name in tagged}


@pytest.mark.parametrize("name", OPTIONS)
def test_fit_evaluate_and_predict(cli: Run, taggers: dict[str, Path], tagged: dict[str, Path], name: str) -> None:
    metrics = json.loads((taggers[name] / "metrics.json").read_text(encoding="utf-8"))
    decides = "accuracy" if name == "conllu" else "entity_f1"
    assert metrics[decides] > 0.8
    assert {"accuracy", "sentence_accuracy", "tokens", "accuracy_interval"} < metrics.keys()
    assert ("entity_f1_strict" in metrics) == (name != "conllu")
    scores = cli("evaluate", taggers[name], tagged[name], "--json").json
    assert scores["items"] == 120
    assert scores[decides] > 0.8
    rows = [json.loads(line) for line in cli("predict", taggers[name], tagged[name], "--json").out.splitlines()]
    assert len(rows) == 120
    for row in rows:
        assert len(row["tokens"]) == len(row["tags"]) == len(row["probabilities"])
        assert all(0 < probability <= 1 for probability in row["probabilities"])
        for span in row.get("spans", []):
            assert span["text"] == " ".join(row["tokens"][span["start"] : span["end"]])
            assert row["tags"][span["start"]] == f"B-{span['label']}"


def test_a_loaded_model_says_what_the_command_does(taggers: dict[str, Path], tagged: dict[str, Path], cli: Run) -> None:
    rows = [json.loads(line) for line in cli("predict", taggers["jsonl"], tagged["jsonl"], "--json").out.splitlines()]
    sentences = [row["tokens"] for row in rows]
    model: Any = rekur.load(taggers["jsonl"])
    assert model.predict(sentences) == [row["tags"] for row in rows]
    from rekur.tasks import load

    network = load(taggers["jsonl"])
    assert network.predict(sentences) == [row["tags"] for row in rows]
    truth = [json.loads(line)["slots"] for line in tagged["jsonl"].read_text(encoding="utf-8").splitlines()]
    assert model.evaluate(sentences, truth)["entity_f1"] == pytest.approx(
        network.evaluate(sentences, truth)["entity_f1"]
    )
    right = sum(a == b for tags, row in zip(truth, rows, strict=True) for a, b in zip(tags, row["tags"], strict=True))
    assert network.score(sentences, truth) == pytest.approx(right / sum(map(len, truth)))


def test_the_task_is_named(cli: Run) -> None:
    assert "rekur fit tag" in cli("--help").out
    assert "Learn to give every word of a sentence" in cli("fit", "--help").out


def test_a_tagger_is_checked_and_made_smaller(
    cli: Run, taggers: dict[str, Path], tagged: dict[str, Path], tmp_path: Path
) -> None:
    done = cli("check", taggers["conll"], tagged["conll"], "--json")
    assert done.code == 0, done.err
    idle = {check["name"] for check in done.json["checks"] if check["holds"] is None}
    assert (done.json["holds"], idle) == (True, {"chunks", "steps", "stream", "C"})
    data = ("--data", tagged["conll"], "--out", tmp_path / "small", "--tolerance", "100")
    done = cli("quantize", taggers["conll"], *data, "--json")
    assert done.code == 0, done.err
    assert (done.json["score"], done.json["unit"]) == ("entity_f1", "points")
    done = cli("stream", taggers["conll"], stdin=b"Ada\n")
    assert done.code == 2
    assert "(rekur fit tag --causal)" in done.err


def test_a_causal_tagger_streams_what_is_final(cli: Run, tagged: dict[str, Path], tmp_path: Path) -> None:
    options = replaced(SMALL, "--epochs", "1")
    assert cli("fit", "tag", tagged["conll"], *options, "--causal", "--out", tmp_path / "m").code == 0
    done = cli("stream", tmp_path / "m", "--json", stdin=b"Ada visited\nOslo\n\nMary\n")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row.get("steps") for row in rows] == [2, 3, 3, None, 1, 1]
    assert [row.get("event") for row in rows] == [["Ada", "visited"], ["Oslo"], None, None, ["Mary"], None]
    assert rows[3] == {"reset": True}
    assert [row.get("finished") for row in rows] == [None, None, True, None, None, True]
    for pieces, words in ((rows[:3], ["Ada", "visited", "Oslo"]), (rows[4:], ["Mary"])):
        finals = [row["final"] for row in pieces if row["final"]]
        assert [word for final in finals for word in final["tokens"]] == words
        tags = [tag for final in finals for tag in final["tags"]]
        assert tags == rekur.load(tmp_path / "m").predict([words])[0]
    shown = cli("stream", tmp_path / "m", stdin=b"Ada visited\n").out.splitlines()
    assert shown[0].startswith('Ada visited\tfinal: {"tokens": ["Ada", "visited"]')
    assert shown[-1].startswith("end")


def test_a_tagger_is_exported(cli: Run, taggers: dict[str, Path], tagged: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = cli("export", taggers["conll"], "--to", "onnx", "--out", tmp_path / "onnx", "--json")
    assert done.code == 0, done.err
    assert (done.json["causal"], done.json["checked"]["difference"] < 1e-5) == (False, True)
    features = rekur.load(taggers["conll"]).features_
    item = json.dumps(features.transform(["Ada", "visited", "Oslo", "."]).tolist())
    told = subprocess.run([sys.executable, tmp_path / "onnx" / "run.py", item], capture_output=True, check=True)
    wanted = rekur.load(taggers["conll"]).predict([["Ada", "visited", "Oslo", "."]])
    assert [json.loads(told.stdout)["tags"]] == wanted
    done = cli("export", taggers["conll"], "--to", "c", "--out", tmp_path / "never")
    assert done.code == 2
    assert done.err.startswith("rekur: program: got 'one that reads from the end'; expected a causal one.")


def test_a_tag_that_waits_for_later_words(cli: Run, tmp_path: Path) -> None:
    """Tags that depend on the next word alone are found with a look-ahead of one word; live they come one word late."""
    rng = random.Random(0)
    sentences = [rng.choices(["Ada", "Oslo", "left", "the"], k=rng.randint(2, 7)) for _ in range(160)]
    tags = [["name" if after in ("Ada", "Oslo") else "other" for after in [*words[1:], ""]] for words in sentences]
    model = rekur.Tagger(epochs=12, hidden_size=12, bidirectional=False, look_ahead=1, seed=0).fit(sentences, tags)
    model.save(tmp_path / "m")
    saved: Any = rekur.load(tmp_path / "m")
    assert saved.evaluate(sentences, tags)["accuracy"] > 0.98
    session = saved.stream()
    for words, wanted in zip(sentences[:10], saved.predict(sentences[:10]), strict=True):
        session.reset()
        finals = [session.push([word]).final for word in words]
        assert [final and final["tokens"] for final in finals] == [None, *([word] for word in words[:-1])]
        finals = [*finals[1:], session.finish().final]
        assert [tag for final in finals for tag in final["tags"]] == wanted
    with pytest.raises(InputError) as error:
        rekur.Tagger(look_ahead=1).fit(sentences, tags)
    assert str(error.value) == (
        "look_ahead: got 1; expected 0 with bidirectional=True, which sees every later step. "
        "Say bidirectional=False (--causal), or leave it out."
    )
    rows = [{"tokens": words, "tags": row} for words, row in zip(sentences, tags, strict=True)]
    data = write_lines(tmp_path / "a.jsonl", rows)
    columns = ("--text", "tokens", "--label", "tags")
    done = cli("check", tmp_path / "m", data, *columns, "--json")
    assert (done.code, done.json["holds"]) == (0, True), done.err
    options = replaced(SMALL, "--epochs", "1")
    other = ("--causal", "--look-ahead", "2", "--out", tmp_path / "other")
    done = cli("fit", "tag", data, *columns, *options, *other)
    assert done.code == 0, done.err


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_causal_tagger_is_written_as_c(cli: Run, tagged: dict[str, Path], tmp_path: Path) -> None:
    options = replaced(SMALL, "--epochs", "1")
    assert cli("fit", "tag", tagged["conll"], *options, "--causal", "--out", tmp_path / "m").code == 0
    done = cli("export", tmp_path / "m", "--to", "c", "--data", tagged["conll"], "--out", tmp_path / "c", "--json")
    assert done.code == 0, done.err
    assert (done.json["per_step"], done.json["items"]) == (True, 120)
    assert done.json["difference"] <= 1e-5
    assert done.json["raw_input"] == "words are cut into columns by rekur.features; give rows of ids"


def test_the_rival_stands_beside_the_tagger(cli: Run, taggers: dict[str, Path], tagged: dict[str, Path]) -> None:
    metrics = json.loads((taggers["conllu"] / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["rival"]["name"] == "most frequent tags"
    assert metrics["rival"]["accuracy"] == 1.0
    scores = cli("evaluate", taggers["conllu"], tagged["conllu"], "--json").json
    assert scores["rival"]["accuracy"] == 1.0


def test_a_causal_tagger_says_live_what_it_says_of_the_whole(tagged: dict[str, Path], tmp_path: Path, cli: Run) -> None:
    options = replaced(SMALL, "--epochs", "4")
    assert cli("fit", "tag", tagged["conll"], *options, "--causal", "--out", tmp_path / "m").code == 0
    model: Any = rekur.load(tmp_path / "m")
    words = ["Ada", "Mary", "visited", "Oslo", "."]
    session = model.stream()
    pieces = [session.push(word) for word in words]
    tags = [tag for piece in pieces if piece.final for tag in piece.final["tags"]]
    rest = session.finish().final
    assert [*tags, *(rest["tags"] if rest else [])] == model.predict([words])[0]


def test_options_of_words_and_their_ranges(cli: Run, tagged: dict[str, Path], tmp_path: Path) -> None:
    words = ("fit", "tag", tagged["conll"], *replaced(SMALL, "--epochs", "1"), "--out", tmp_path / "m")
    done = cli(*words, "--prefixes", "9")
    assert (done.code, done.err.strip()) == (2, "rekur: prefixes: got 9; expected a whole number in [0, 8].")
    assert cli(*words, "--prefixes", "0", "--suffixes", "2", "--no-shape", "--keep-case").code == 0
    saved = json.loads((tmp_path / "m" / "features" / "features.json").read_text(encoding="utf-8"))
    assert saved["options"] | {"prefixes": 0, "suffixes": 2, "shape": False, "fold_case": False} == saved["options"]


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        (
            "Ada B-PER\nleft\n",
            (),
            "a.conll, line 2: columns: got 1; expected 2, as in line 1. Add the missing columns.",
        ),
        ("Ada O\nleft O\n", (), "labels: got only the tag 'O' in 1 training example; expected at least two different"),
        (
            "Ada B-PER\nleft O\n",
            ("--label", "7"),
            "a.conll: label column: got '7'; expected one of the columns '1', '2'.",
        ),
        ("Ada B-PER\nleft Q-X\nin O\n", (), "a.conll, line 2: tag: got 'Q-X'; expected 'O' or a label"),
    ],
)
def test_bad_conll_files(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, options: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.conll").write_text(content, encoding="utf-8")
    done = cli("fit", "tag", "a.conll", *options, *SMALL, "--out", "m")
    assert done.code == 2
    assert f"rekur: {text}" in done.err


@pytest.mark.parametrize(
    ("rows", "options", "text"),
    [
        (
            [{"t": ["a"], "y": ["O"]}, {"t": ["a", "b"], "y": ["X"]}],
            ("--text", "t", "--label", "y"),
            "a.jsonl, line 2: t and y",
        ),
        (
            [{"t": ["a"], "y": ["O"]}, {"t": [], "y": []}],
            ("--text", "t", "--label", "y"),
            "a.jsonl, line 2: t: got nothing",
        ),
        ([{"t": "a b", "y": ["O"]}], ("--text", "t", "--label", "y"), "a.jsonl, line 1: t: got 'a b'; expected a list"),
        ([{"t": ["a"], "y": ["O"]}], ("--text", "t"), "--label: got none; expected the column with the tags."),
        ([{"t": ["a"], "y": ["O"]}], (), "--text: got none; expected the column with the words."),
    ],
)
def test_bad_lists(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Any], options: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(Path("a.jsonl"), rows)
    done = cli("fit", "tag", "a.jsonl", *options, *SMALL, "--out", "m")
    assert done.code == 2
    assert f"rekur: {text}" in done.err


RANGES = """\
1\tVamos\tir\tVERB\t_\t_\t0\tdep\t_\t_
2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_
2\ta\ta\tADP\t_\t_\t0\tdep\t_\t_
3\tel\tel\tDET\t_\t_\t0\tdep\t_\t_
3.1\tgran\t_\tADJ\t_\t_\t_\t_\t_\t_
4\tmar\tmar\tNOUN\t_\t_\t0\tdep\t_\t_

1\tAna\tAna\tPROPN\t_\t_\t0\tdep\t_\t_
2\tbebe\tbeber\tVERB\t_\t_\t0\tdep\t_\t_

"""


def test_ranges_and_empty_nodes_are_no_words_and_told(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.conllu").write_text(RANGES, encoding="utf-8")
    words = [word for word in replaced(SMALL, "--epochs", "1") if word != "--quiet"]
    done = cli("fit", "tag", "a.conllu", "--label", "upos", *words, "--valid", "a.conllu", "--out", "m")
    assert done.code == 0
    assert "a.conllu: Left out, as they are no words: 1 multi-word range and 1 empty node.\n" in done.err
    config = json.loads(Path("m/config.json").read_text(encoding="utf-8"))
    assert config["targets"]["tags"] == ["ADP", "DET", "NOUN", "PROPN", "VERB"]
    rows = [json.loads(line) for line in cli("predict", "m", "a.conllu", "--json").out.splitlines()]
    assert [row["tokens"] for row in rows] == [["Vamos", "a", "el", "mar"], ["Ana", "bebe"]]


@pytest.mark.parametrize(
    ("content", "note", "tags"),
    [
        (
            "EU NNP I-MISC\nArt NNP B-MISC\nof IN O\n\nAda NNP I-PER\nLee NNP I-PER\n\n",
            "BIO1: 3 of 3 spans begin with I-, or with B- after another of their label",
            {"I-MISC", "B-MISC", "O", "I-PER"},
        ),
        ("Lyon X I-LOC\nest X O\n\nLa X I-ORG\nBanque X I-ORG\n\n", "BIO1 or IO: tags have I- and no B-", set()),
        ("a X B-PER\nb X L-PER\nc X U-LOC\nd X O\n\na X O\n\n", "BILOU: tags have L- and U-", set()),
        ("a X B-NAME\nb X M-NAME\nc X E-NAME\nd X O\n\na X O\n\n", "BMES: tags have M- and E-", set()),
    ],
)
def test_schemes_are_told_and_tags_come_out_in_them(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, note: str, tags: set[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.conll").write_text(content, encoding="utf-8")
    words = [word for word in replaced(SMALL, "--epochs", "40") if word != "--quiet"]
    done = cli("fit", "tag", "a.conll", *words, "--valid", "a.conll", "--no-baseline", "--out", "m")
    assert done.code == 0
    assert f"scheme of tags: {note}\n" in done.err
    said = {
        tag for line in cli("predict", "m", "a.conll", "--json").out.splitlines() for tag in json.loads(line)["tags"]
    }
    read = {line.split(" ")[2] for line in content.splitlines() if line}
    assert said <= read
    assert tags <= read


def test_a_tag_that_only_validation_has_is_told_and_counts_as_missed(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.conll").write_text("Ada B-PER\nleft O\n\nOslo O\n\n" * 4, encoding="utf-8")
    Path("valid.conll").write_text("Ada B-PER\nleft O\n\nAcme B-ORG\nleft O\n\n", encoding="utf-8")
    done = cli("fit", "tag", "train.conll", *SMALL, "--valid", "valid.conll", "--no-baseline", "--out", "m")
    assert done.code == 0
    assert "valid.conll, line 4: the tag 'B-ORG' (1 time) is not among those of training" in done.err
    metrics = json.loads(Path("m/metrics.json").read_text(encoding="utf-8"))
    assert metrics["accuracy"] <= 0.75
    assert metrics["entity_recall"] <= 0.5


def test_numbers_as_tags_are_classes_and_told(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"tokens": ["Ada", "left", "Oslo"], "ner": [1, 0, 5]}, {"tokens": ["all", "fine"], "ner": [0, 0]}] * 4
    write_lines(Path("a.jsonl"), rows)
    words = [word for word in replaced(SMALL, "--epochs", "1") if word != "--quiet"]
    done = cli(
        "fit", "tag", "a.jsonl", "--text", "tokens", "--label", "ner", *words, "--valid", "a.jsonl", "--out", "m"
    )
    assert done.code == 0
    assert "scheme of tags: none: tags are whole numbers and are taken as classes: 0, 1, 5\n" in done.err
    row = json.loads(cli("predict", "m", "a.jsonl", "--json").out.splitlines()[0])
    assert set(row) == {"item", "tokens", "tags", "probabilities"}
    assert all(isinstance(tag, int) for tag in row["tags"])
