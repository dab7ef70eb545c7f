"""Lists of words with lists of tags as examples: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rekur.data import Columns, examples, open_source
from rekur.errors import InputError


def table(folder: Path, *rows: dict[str, Any], name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, **columns: Any) -> list[tuple[Any, Any, int, str | None]]:
    chosen = Columns(**{"text": "tokens", "label": "tags", **columns})
    rows = examples(open_source(path), chosen, label_type="tags")
    return [(row.item, row.label, row.line, row.id) for row in rows]


def test_two_columns_with_lists(tmp_path: Path) -> None:
    first = {"tokens": ["Ada", "NA"], "tags": ["B-PER", "null"], "name": "s1"}
    path = table(tmp_path, first, {"tokens": ["all"], "tags": [0], "name": None})
    assert read(path) == [(["Ada", "NA"], ["B-PER", "null"], 1, None), (["all"], [0], 2, None)]
    assert [row[3] for row in read(path, id="name")] == ["s1", None]
    assert [row[1] for row in read(path, label=None)] == [None, None]


def test_a_conll_file_has_usual_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("Ada NNP B-PER\nleft VBD O\n\n-DOCSTART- X O\n\nOslo NNP B-LOC\n", encoding="utf-8")
    source = open_source(path)
    assert dict(source.usual_columns) == {"text": "1", "label": "3"}
    assert read(path, **source.usual_columns) == [
        (["Ada", "left"], ["B-PER", "O"], 1, None),
        (["Oslo"], ["B-LOC"], 6, None),
    ]
    assert read(path, text="1", label="2")[0][1] == ["NNP", "VBD"]
    assert read(path, text="1", label=None)[1] == (["Oslo"], None, 6, None)
    assert dict(open_source(table(tmp_path, {"tokens": []})).usual_columns) == {}


def test_a_sentence_of_universal_dependencies_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text("# sent_id = s7\n1\tAda\tAda\t_\t_\t_\t0\troot\t_\t_\n\n", encoding="utf-8")
    assert dict(open_source(path).usual_columns) == {"text": "form"}
    assert read(path, text="form", label=None) == [(["Ada"], None, 2, "s7")]
    with pytest.raises(InputError) as caught:
        read(path, text="form", label="upos")
    assert str(caught.value) == (
        f"{path}, line 2: upos: got '_', which says that it is missing; expected one for each word."
    )


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"tokens": ["a", "b", "c"], "tags": ["O", "O"]}, "tokens and tags: got 3 words and 2 tags; expected one tag"),
        ({"tokens": "Ada left", "tags": ["O"]}, "tokens: got 'Ada left'; expected a list of words. Cut it into words"),
        ({"tokens": ["a", " "], "tags": ["O", "O"]}, "tokens, word 2: got ' '; expected one character or more"),
        ({"tokens": ["a", 5], "tags": ["O", "O"]}, "tokens, word 2: got 5; expected a text."),
        ({"tokens": ["a", None], "tags": ["O", "O"]}, "tokens, word 2: got nothing; expected a text."),
        ({"tokens": [], "tags": []}, "tokens: got nothing; expected one word or more. Take the row out, or fill it."),
        ({"tokens": None, "tags": []}, "tokens: got nothing; expected one word or more."),
        ({"tokens": ["a"], "tags": "O"}, "tags: got 'O'; expected a list of tags, one a word."),
        ({"tokens": ["a"], "tags": None}, "tokens and tags: got 1 word and 0 tags; expected one tag a word."),
        ({"tokens": ["a"], "tags": [""]}, "tags, tag 1: got ''; expected a text of one character or more, or a whole"),
        ({"tokens": ["a"], "tags": [0.5]}, "tags, tag 1: got 0.5; expected a text of one character or more, or"),
    ],
)
def test_rows_that_are_refused_with_their_line(tmp_path: Path, row: dict[str, Any], text: str) -> None:
    path = table(tmp_path, {"tokens": ["a"], "tags": ["O"]}, row)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line 2: {text}")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (
            {"label": "tag"},
            "label column: got 'tag'; expected one of the columns 'tokens', 'tags'. Did you mean 'tags'?",
        ),
        ({"text": "words"}, "text column: got 'words'; expected one of the columns 'tokens', 'tags'."),
        ({"label": "tokens"}, "label column: got 'tokens'; expected another than that of the words."),
    ],
)
def test_columns_are_checked_before_a_row_is_read(tmp_path: Path, columns: dict[str, str], text: str) -> None:
    path = table(tmp_path, {"tokens": ["a"], "tags": ["O"]})
    with pytest.raises(InputError) as caught:
        examples(open_source(path), Columns(**{"text": "tokens", "label": "tags", **columns}), label_type="tags")
    assert str(caught.value) == f"{path}: {text}"


def test_tags_need_a_column_of_words(tmp_path: Path) -> None:
    path = table(tmp_path, {"x": [1, 2], "tags": ["O", "O"]})
    with pytest.raises(InputError, match=r"^item columns: got others; expected one with lists of words\."):
        examples(open_source(path), Columns(symbols="x", label="tags"), label_type="tags")
