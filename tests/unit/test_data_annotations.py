"""The exports of annotation tools: the spans that they hold, and the texts that are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rekur.cli.saved import corpus_of
from rekur.data import Corpus, open_source
from rekur.data.documents import passages
from rekur.errors import InputError

TEXT = "Ana lives in Oslo"
BOTH = [[0, 3, "PER"], [13, 17, "LOC"]]
TAGS = ["B-PER", "O", "O", "B-LOC"]
PAIR = [TEXT, {"entities": BOTH}]


def annotation(spans: list[list[Any]], **others: Any) -> dict[str, Any]:
    """Return an annotation as Label Studio exports it, with what is no span beside the spans."""
    values = [{"start": start, "end": end, "text": TEXT[start:end], "labels": [label]} for start, end, label in spans]
    result = [{"id": f"s{value['start']}", "type": "labels", "value": value} for value in values]
    more = [{"type": "relation", "from_id": "s0", "to_id": "s13"}, {"type": "choices", "value": {"choices": ["x"]}}]
    return {"id": 1, "was_cancelled": False, "result": [*result, *more], **others}


def task(*annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 7, "data": {"text": TEXT}, "annotations": list(annotations), "predictions": []}


def prodigy(answer: str) -> dict[str, Any]:
    spans = [{"start": start, "end": end, "label": label, "token_start": 0} for start, end, label in BOTH]
    return {"text": TEXT, "spans": spans, "answer": answer, "_input_hash": 5}


def written(path: Path, rows: list[Any]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows, indent=1))
    return path


def read(path: Path, label: str) -> Corpus:
    return passages(corpus_of(path, {"text": "text", "label": label}, {}, label_type="tags"), "sentence")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a"])
@pytest.mark.parametrize(
    ("row", "label"), [(PAIR, "entities"), (task(annotation(BOTH)), "annotations"), (prodigy("accept"), "spans")]
)
@pytest.mark.parametrize("count", [1, 3])
def test_exports_mean_the_same(tmp_path: Path, name: str, row: Any, label: str, count: int) -> None:
    corpus = read(written(tmp_path / name, [row] * count), label)
    assert [(list(example.item), example.label) for example in corpus] == [(TEXT.split(), TAGS)] * count


def test_texts_that_are_set_aside_are_counted(tmp_path: Path) -> None:
    answers = ["accept", "reject", "ignore", "accept", "ignore"]
    corpus = read(written(tmp_path / "a.jsonl", [prodigy(answer) for answer in answers]), "spans")
    assert [example.line for example in corpus] == [1, 4]
    assert corpus.notes()[-1] == "Left out, as the file says so: 3 texts (1 rejected, 2 ignored)."
    rows = [task(annotation(BOTH)), task(), task(annotation(BOTH, was_cancelled=True)), task(annotation([]))]
    corpus = read(written(tmp_path / "b.json", rows), "annotations")
    assert [example.label for example in corpus] == [TAGS, ["O"] * 4]
    assert corpus.notes()[-1] == "Left out, as the file says so: 2 texts (2 without an annotation)."


def test_an_answer_that_is_the_label_leaves_nothing_out(tmp_path: Path) -> None:
    rows = [{"text": ["a"], "answer": ["reject"]}, {"text": ["b"], "answer": ["ignore"]}]
    corpus = corpus_of(written(tmp_path / "a.jsonl", rows), {"text": "text", "label": "answer"}, {}, label_type="tags")
    assert [example.label for example in corpus] == [["reject"], ["ignore"]]


def test_two_annotations_of_a_text_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", [task(annotation(BOTH)), task(annotation(BOTH), annotation([]))])
    with pytest.raises(InputError) as caught:
        list(read(path, "annotations"))
    text = "annotations: got 2 annotations of one text; expected 1. Choose one of them, or cancel the others."
    assert str(caught.value) == f"{path}, row 2: {text}"
    cancelled = task(annotation(BOTH), annotation([], was_cancelled=True))
    assert next(iter(read(written(path, [cancelled]), "annotations"))).label == TAGS


def test_lists_that_are_no_pairs_are_refused(tmp_path: Path) -> None:
    for row in (["a", "b"], ["a", {"cats": {}}], ["a", {"entities": []}, 1]):
        with pytest.raises(InputError, match="row 1: row: got "):
            open_source(written(tmp_path / "a.jsonl", [row]))
