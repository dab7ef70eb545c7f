"""Taggers of texts with spans: from a file to spans with offsets, in shell and Python, whole and live."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, replaced, write_lines

import rekur
from rekur import Tagger
from rekur.errors import InputError

PEOPLE, PLACES = ("Ada", "Emile Zola", "Mary"), ("Oslo", "New York", "Köln")
SMALL = ("--epochs", "14", "--hidden-size", "12", "--projection-size", "16", "--learning-rate", "0.03", "--quiet")
SMALL += ("--average", "0", "--dropout", "0", "--input-dropout", "0", "--token-dropout", "0", "--buckets", "100")
COLUMNS = ("--text", "text", "--label", "spans")


def document(rng: random.Random) -> dict[str, Any]:
    """Return a text of one to three sentences with its spans."""
    text, spans = "", []
    for _ in range(rng.randint(1, 3)):
        for names, label, rest in ((PEOPLE, "PER", " visited "), (PLACES, "LOC", ". ")):
            name = rng.choice(names)
            spans.append([len(text), len(text) + len(name), label])
            text += name + rest
    return {"text": text.rstrip(), "spans": spans}


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    rng = random.Random(0)
    return [document(rng) for _ in range(60)]


@pytest.fixture(scope="module")
def bundle(documents: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal tagger of texts."""
    from rekur.cli.main import main

    folder = tmp_path_factory.mktemp("spans")
    file = write_lines(folder / "a.jsonl", documents)
    options = (*COLUMNS, *SMALL, "--causal", "--look-ahead", "1")
    assert main(["fit", "tag", str(file), *options, "--out", str(folder / "m")]) == 0
    return folder / "m"


def test_a_table_has_its_head_where_no_item_has_a_token(cli: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n{"text": " "}\n', encoding="utf-8")
    run = cli("predict", bundle, tmp_path / "a.jsonl", "--text", "text")
    assert (run.code, run.out) == (0, "item,start,end,token,tag,probability\n")


def test_spans_are_learned_and_come_out_with_offsets(
    cli: Run, bundle: Path, documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "b.jsonl", documents)
    assert cli("evaluate", bundle, file, "--json").json["entity_f1"] > 0.95
    rows = [json.loads(line) for line in cli("predict", bundle, file, "--json").out.splitlines()]
    model: Any = rekur.load(bundle)
    texts = [each["text"] for each in documents]
    assert [row["spans"] for row in rows] == model.predict(texts)
    assert model.evaluate(texts, model.predict(texts))["entity_f1"] == 1.0
    for row, text in zip(rows, texts, strict=True):
        assert [text[start:end] for start, end in row["offsets"]] == row["tokens"]
        for span in row["spans"]:
            assert span["text"] == text[span["start"] : span["end"]]
            assert 0 < span["probability"] <= 1


def test_running_text_gives_a_row_a_sequence(cli: Run, bundle: Path, tmp_path: Path) -> None:
    text = "Ada visited Oslo. Mary visited Köln\r\n\r\nEmile Zola visited New York."
    (tmp_path / "a.txt").write_bytes(text.encode())
    outs = [cli("predict", bundle, tmp_path / "a.txt", "--json").out]
    outs.append(cli("predict", bundle, "-", "--json", stdin=text.encode()).out)
    assert outs[0] == outs[1]
    rows = [json.loads(line) for line in outs[0].splitlines()]
    assert [row["tokens"][0] for row in rows] == ["Ada", "Mary", "Emile"]
    spans = [span for row in rows for span in row["spans"]]
    assert [text[span["start"] : span["end"]] for span in spans] == [span["text"] for span in spans]
    (whole,) = (json.loads(line) for line in cli("predict", bundle, "--item", text, "--json").out.splitlines())
    assert whole["spans"] == spans
    for args, stdin in (((tmp_path / "a.txt",), b""), (("-",), text.encode())):
        (line,) = cli("predict", bundle, *args, "--output-format", "spans", stdin=stdin).out.splitlines()
        marked = [[span["start"], span["end"], span["label"]] for span in spans]
        assert json.loads(line) == {"text": text, "spans": marked}
    done = cli("predict", bundle, tmp_path / "a.txt", "--text", "body")
    assert done.code == 2
    assert "text column: got 'body'; expected none for running text." in done.err


def test_running_text_comes_out_as_it_stands(cli: Run, bundle: Path) -> None:
    text = "\ufeff Ada visited\tOslo. \r\n\r\n"
    row = json.loads(cli("predict", bundle, "-", "--output-format", "spans", stdin=text.encode()).out)
    assert row["text"] == text.removeprefix("\ufeff")
    assert cli("predict", bundle, "--item", "Ada ", "--output-format", "spans").json["text"] == "Ada "


def test_the_worst_items_are_named_by_their_lines(
    cli: Run, bundle: Path, documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = [*documents[:3], {"text": "Oslo visited Ada. Mary", "spans": [[0, 4, "ORG"], [18, 22, "LOC"]]}]
    file = write_lines(tmp_path / "b.jsonl", rows)
    assert cli("evaluate", bundle, file, "--report", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    names = set(re.findall("<b>(line [^<]*)</b>", page))
    assert names >= {"line 4, character 1", "line 4, character 19"}


def test_live_is_whole(bundle: Path, documents: list[dict[str, Any]]) -> None:
    model: Any = rekur.load(bundle)
    rng = random.Random(1)
    odd = ['He left. "Ada" (of Oslo) left.\n\nNew York', "", "x", "A. B. C ", "王小明。😀"]
    for text in [*(each["text"] for each in documents[:4]), *odd]:
        session, start, tokens, tags, offsets = model.stream(), 0, [], [], []
        while start < len(text):
            size = rng.randint(1, 4)
            update = session.push(text[start : start + size])
            start += size
            final, rest = (
                piece or {"tokens": [], "tags": [], "offsets": []} for piece in (update.final, update.tentative)
            )
            (whole,) = model.present([text[:start]])
            tokens, tags, offsets = tokens + final["tokens"], tags + final["tags"], offsets + final["offsets"]
            assert (tokens + rest["tokens"], tags + rest["tags"]) == (whole["tokens"], whole["tags"])
            assert offsets + rest["offsets"] == whole.get("offsets", [])
            state = session.get_state()
            session = model.stream()
            session.set_state(state)


def test_typed_text_at_the_command_line(cli: Run, bundle: Path) -> None:
    done = cli("stream", bundle, "--json", stdin=b"Ada visited\nOslo.\n\nMary\n")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row.get("event") for row in rows] == ["Ada visited\n", "Oslo.\n", None, None, "Mary\n", None]
    assert [row["final"] and row["final"]["tokens"] for row in rows[:3]] == [["Ada"], ["visited", "Oslo"], ["."]]
    events = [
        json.loads(line)["event"]
        for line in cli("stream", bundle, "--by", "char", "--json", stdin=b"Ada\n").out.splitlines()[:-1]
    ]
    assert events == ["A", "d", "a", "\n"]
    with pytest.raises(InputError, match=r"^event: got a list; expected the next piece of the text\.$"):
        rekur.load(bundle).stream().push(["Ada"])  # type: ignore[union-attr]


@pytest.mark.slow
def test_check_holds(cli: Run, bundle: Path, documents: list[dict[str, Any]], tmp_path: Path) -> None:
    done = cli("check", bundle, write_lines(tmp_path / "b.jsonl", documents[:8]), "--json")
    assert done.code == 0, done.err
    failed = {check["name"]: check["holds"] for check in done.json["checks"] if check["holds"] is not True}
    assert failed in ({}, {"ONNX": None})


def test_a_file_of_words_has_columns_of_its_own(cli: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Ada B-PER\nvisited O\nOslo B-LOC\n\nMary B-PER\nleft O\n", encoding="utf-8")
    assert cli("evaluate", bundle, tmp_path / "a.conll", "--json").json["tokens"] == 5
    assert cli("predict", bundle, tmp_path / "a.conll").out.count("\n") == 6
    done = cli("check", bundle, tmp_path / "a.conll", "--json")
    assert done.code == 0
    (live,) = (check for check in done.json["checks"] if check["name"] == "stream")
    assert live["holds"] is None
    assert "lists of words" in json.dumps(live)
    wrong = cli("evaluate", bundle, tmp_path / "a.conll", "--text", "tokens")
    assert "text column: got 'tokens'; expected one of the columns '1', '2'" in wrong.err


def test_bad_spans_are_refused_or_dropped(cli: Run, documents: list[dict[str, Any]], tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [*documents, {"text": "Ada left", "spans": [[0, 2, "PER"]]}])
    done = cli("fit", "tag", file, *COLUMNS, *SMALL, "--out", tmp_path / "m")
    assert done.code == 2
    assert (
        f"{file}, line 61: span 1: got [0, 2, PER], 'Ad', which cuts the word 'Ada'; expected whole words." in done.err
    )
    options = [option for option in replaced(SMALL, "--epochs", "1") if option != "--quiet"]
    done = cli("fit", "tag", file, *COLUMNS, *options, "--bad-spans", "drop", "--out", tmp_path / "m")
    assert done.code == 0, done.err
    assert f"{file}: Left out, as they do not fit: 1 of " in done.err
    assert cli("evaluate", tmp_path / "m", file).code == 0


def test_options_of_texts_are_refused_for_lists_of_words() -> None:
    sentences, tags = [["Ada", "left"], ["Oslo", "is"]] * 4, [["B-PER", "O"], ["B-LOC", "O"]] * 4
    with pytest.raises(InputError, match=r"^cut: got 'line'; expected none for lists of words\. It is for texts\.$"):
        Tagger(cut="line", epochs=1).fit(sentences, tags)
    with pytest.raises(InputError, match=r"^bad_spans: got 'skip'; expected one of 'error', 'drop'\."):
        Tagger(bad_spans="skip").fit(sentences, tags)


def test_a_tagger_of_classes_refuses_texts_with_spans() -> None:
    model = Tagger(epochs=1, hidden_size=4, baseline=False).fit([["a", str(n)] for n in range(8)], [["N", "V"]] * 8)
    with pytest.raises(
        InputError, match=r"^X: got texts with spans; expected tags, as the model marks no spans\. Give "
    ):
        model.evaluate(["a b"], [[[0, 1, "N"]]])


def test_a_file_of_texts_is_described(cli: Run, documents: list[dict[str, Any]], tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", documents)
    done = cli("data", file, *COLUMNS)
    assert done.code == 0, done.err
    assert "cut into tokens, and into sequences by the rule 'sentence'" in done.out
    assert f"rekur fit tag {file} --text text --label spans --out runs/a" in done.out
    assert cli("data", file, *COLUMNS, "--label-type", "tags").out == done.out


def test_texts_and_lists_of_words_do_not_mix(cli: Run, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"t": ["a"], "y": ["O"]}, {"t": "a b", "y": [[0, 1, "N"]]}])
    done = cli("fit", "tag", file, "--text", "t", "--label", "y", "--out", tmp_path / "m")
    assert done.code == 2
    assert f"{file}, line 2: got a text; expected a list of words, as in the items before it." in done.err


def test_a_tagger_of_words_takes_running_text_too(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Ada B-PER\nleft O\n. O\n\nOslo B-LOC\nis O\nfine O\n\n" * 4, encoding="utf-8")
    options = (*replaced(SMALL, "--epochs", "1"), "--causal", "--no-baseline", "--out", tmp_path / "m")
    assert cli("fit", "tag", tmp_path / "a.conll", *options).code == 0
    text = "Ada left.  Oslo is\nfine"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    done = cli("predict", tmp_path / "m", tmp_path / "a.txt", "--output-format", "conll")
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["Ada", "left", ".", "", "Oslo", "is", "fine", ""]
    rows = [json.loads(line) for line in cli("predict", tmp_path / "m", tmp_path / "a.txt", "--json").out.splitlines()]
    assert [text[start:end] for row in rows for start, end in row["offsets"]] == [
        word for row in rows for word in row["tokens"]
    ]
    marked = [[span["start"], span["end"], span["label"]] for row in rows for span in row["spans"]]
    (line,) = cli("predict", tmp_path / "m", tmp_path / "a.txt", "--output-format", "spans").out.splitlines()
    assert json.loads(line) == {"text": text, "spans": marked}
    file = write_lines(tmp_path / "a.jsonl", [{"text": text, "spans": marked}])
    done = cli("evaluate", tmp_path / "m", file, *COLUMNS, "--json")
    assert (done.json["items"], done.json["accuracy"]) == (2, 1.0)
    typed = cli("stream", tmp_path / "m", "--by", "char", "--json", stdin=text.replace("\n", " ").encode())
    pieces = [json.loads(line)["final"] for line in typed.out.splitlines()]
    assert [tag for piece in pieces if piece for tag in piece["tags"]] == [tag for row in rows for tag in row["tags"]]
    with pytest.raises(InputError, match=r"^X\[0\]: got 'Ada left'; expected a list of words\."):
        rekur.load(tmp_path / "m").predict(["Ada left"])
