"""What a description says, on files made here and on real ones."""

import json

import pytest

from rekur.data import Columns, describe, open_source
from rekur.errors import DataError


def csv(folder, text):
    (folder / "a.csv").write_text(text, encoding="utf-8")
    return open_source(folder / "a.csv")


REVIEWS = """text,label,note
so good,pos,
so bad,neg,
so good,neg,
not that bad at all,pos,
,pos,
so bad,neg,
fine,pos,
"""


def test_item_and_label_are_found_where_there_is_one_of_each(tmp_path):
    found = describe(csv(tmp_path, REVIEWS))
    assert (found.chosen, found.guessed, found.question) == (Columns(text="text", label="label"), True, "")
    assert found.column_table() == [
        ("text", "text", "85.7 %", "4", "so good, so bad, not that bad at all"),
        ("label", "class", "100 %", "2", "pos, neg"),
        ("note", "empty", "0 %", "0", ""),
    ]
    assert found.lengths["words"] == {"min": 0, "median": 2, "p95": 5, "max": 5}
    assert found.lengths["characters"] == {"min": 0, "median": 6, "p95": 19, "max": 19}
    assert found.class_table() == [("pos", "4", "57.1 %"), ("neg", "3", "42.9 %")]
    assert found.warnings == [
        "The column 'note' is empty.",
        "1 empty item: take them out or fill them.",
        "1 repeated item with another label than before.",
        "2 repeated items; a split keeps equal items on one side.",
    ]
    assert found.overview() == [
        ("file", f"{tmp_path}/a.csv (csv)"),
        ("rows", "7"),
        ("text", "'text' (guessed)"),
        ("label", "'label' (guessed)"),
        ("sequences", "7"),
        ("length in characters", "min 0, median 6, 95 % ≤ 19, max 19"),
        ("length in words", "min 0, median 2, 95 % ≤ 5, max 5"),
        ("classes", "2, largest to smallest 1.33 : 1"),
        ("empty items", "1"),
        ("duplicates", "2"),
        ("duplicates with different labels", "1"),
    ]


def test_a_description_is_plain_json(tmp_path):
    saved = json.loads(json.dumps(describe(csv(tmp_path, REVIEWS)).to_dict()))
    assert saved["chosen"] == {"text": "text", "label": "label"}
    assert saved["imbalance"] == pytest.approx(4 / 3)
    assert saved["columns"][1] == {
        "name": "label",
        "type": "class",
        "filled": 1.0,
        "distinct": 2,
        "examples": ["pos", "neg"],
    }


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (
            "a,b,y\nso good,so bad,1\nso fine,so so,0\nso x,so y,1\nso z,so w,0\n",
            "Which column is the item? Say one of --text 'a', --text 'b'.",
        ),
        (
            "a,y,z\nso good,1,p\nso fine,0,q\nso x,1,p\nso z,0,q\n",
            "Which column is the label? Say --label with one of 'y', 'z'.",
        ),
        (
            "t,x\n2024-01-01,1.5\n2024-01-02,2.5\n",
            "Which columns hold the sequences? The column 't' holds dates: of series in time say --time 't', "
            "--series with each column of values, and --group if one names the series of a row.",
        ),
        (
            "t,x\n1,1.5\n2,2.5\n",
            "Which columns hold the sequences? No column looks like text, symbols or whole series. "
            "Say --text, --symbols or --series with a column; "
            "in a table with one row an event, add --group and --time.",
        ),
    ],
)
def test_it_asks_where_there_is_a_choice(tmp_path, text, question):
    found = describe(csv(tmp_path, text))
    assert (found.chosen, found.guessed, found.question) == (None, False, question)
    assert [what for what, _ in found.overview()] == ["file", "rows"]


def test_types_of_columns(tmp_path):
    text = "id,day,value,dna,cell,kind\n" + "".join(
        f"s{i},2024-01-{i + 1:02},{i}.5,{'ACGTTGCAAC'[i % 3 :]}ACGT{'ACGT'[i % 4] * (i + 1)},1 2 {i},{i % 2}\n"
        for i in range(9)
    )
    types = {column.name: column.type for column in describe(csv(tmp_path, text)).columns}
    assert types == {"id": "id", "day": "date", "value": "number", "dna": "symbols", "cell": "series", "kind": "class"}


def test_a_number_is_the_label_where_nothing_else_is(tmp_path):
    found = describe(csv(tmp_path, "text,score\nso good,4.5\nso bad,1.0\nso so,2.75\n"))
    assert (found.label_type, found.numbers) == ("number", {"min": 1.0, "mean": 2.75, "max": 4.5})
    assert ("label values", "min 1, mean 2.75, max 4.5") in found.overview()


def test_missing_values_of_each_channel(tmp_path):
    text = "who,t,x,y,z,label\na,2,1,,,p\na,1,2,5,,p\nb,1,3,6,,q\nb,0,4,7,,q\n"
    found = describe(csv(tmp_path, text), Columns(series=["x..z"], group="who", time="t", label="label"))
    assert (found.rows, found.sequences, found.lengths["steps"]["median"]) == (4, 2, 2)
    assert found.missing_table() == [("x", "0 %"), ("y", "25 %"), ("z", "100 %")]
    assert found.warnings == [
        "The column 'z' is empty.",
        "Classes with one example: 2, such as 'p'; none is left to check on.",
        "The channel 'z' has no values.",
    ]


def test_other_warnings(tmp_path):
    text = (
        "text,label\n" + "".join(f"word {i},big\n" for i in range(40)) + "one more,small\nand more,small\nlast one,\n"
    )
    found = describe(csv(tmp_path, text))
    assert found.warnings == [
        "1 item without a label; training needs one for each.",
        "The largest class has 20 times the examples of the smallest; "
        "look at scores that weigh classes alike, such as macro F1.",
    ]
    found = describe(csv(tmp_path, "text,label\na b,x\nb c,x\n"))
    assert found.warnings == ["There is one class only, 'x'; a classifier needs two or more."]


def test_a_row_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(DataError) as caught:
        describe(csv(tmp_path, "x,y\n1 2,a\n1 b,a\n"), Columns(series="x", label="y"))
    assert str(caught.value) == f"{tmp_path}/a.csv, line 3: x, step 2: got 'b'; expected a number."


@pytest.mark.parametrize(
    ("name", "chosen", "sequences", "duplicates", "conflicts", "unit", "size"),
    [
        ("sms_spam/train.tsv", {"text": "text", "label": "label"}, 4466, 338, 0, "words", (1, 12, 32, 109)),
        (
            "names_by_language/train.tsv",
            {"text": "text", "label": "label"},
            16023,
            2065,
            376,
            "characters",
            (2, 7, 11, 20),
        ),
        (
            "japanese_vowels/JapaneseVowels_TRAIN.ts",
            {"series": "series", "label": "label"},
            270,
            0,
            0,
            "steps",
            (7, 15, 23, 26),
        ),
        ("splice_dna/test.tsv", {"symbols": "sequence", "label": "label"}, 320, 20, 0, "symbols", (60, 60, 60, 60)),
    ],
)
def test_real_files(real_data, name, chosen, sequences, duplicates, conflicts, unit, size):
    found = describe(open_source(real_data / name))
    assert found.chosen == Columns(**chosen)
    assert (found.sequences, found.duplicates, found.conflicts) == (sequences, duplicates, conflicts)
    assert tuple(found.lengths[unit].values()) == size


def test_a_table_without_a_header_and_labels_that_cannot_be_saved_are_told(tmp_path):
    (tmp_path / "a.csv").write_text("a really very fine film\nso bad\nquite good\n")
    name = "A column is called 'a really very fine film'; does the line with the columns' names stand on top?"
    assert name in describe(open_source(tmp_path / "a.csv")).warnings
    (tmp_path / "a.jsonl").write_text('{"t": "a b", "y": "\\udce9"}\n{"t": "a", "y": "b"}\n')
    label = r"Training refuses classes that cannot be saved as text: 1, such as '\xe9'."
    assert label in describe(open_source(tmp_path / "a.jsonl"), Columns(text="t", label="y")).warnings


CONLL = """-DOCSTART- O

Ada B-PER
left O

Oslo B-LOC
is O
fine O
"""


def test_words_and_tags_of_a_conll_file(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(CONLL, encoding="utf-8")
    description = describe(open_source(path))
    assert (description.chosen, description.guessed, description.label_type) == (
        Columns(text="1", label="2"),
        True,
        "tags",
    )
    assert description.sequences == 2
    assert description.lengths == {"words": {"min": 2, "median": 2, "p95": 3, "max": 3}}
    assert description.classes == {"O": 3, "B-PER": 1, "B-LOC": 1}
    assert description.warnings == ["Left out, as they are no words: 1 document mark."]
    assert ("scheme of tags", "BIO2: 2 of 2 spans begin with B-") in description.overview()
    assert json.loads(json.dumps(description.to_dict()))["scheme"] == description.scheme


def test_a_column_of_universal_dependencies_has_to_be_named(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text("1\tAda\tAda\tPROPN\t_\t_\t0\troot\t_\t_\n\n", encoding="utf-8")
    description = describe(open_source(path))
    assert description.chosen == Columns(text="form")
    assert description.question.startswith("Which column is the label? Say --label with one of 'lemma', 'upos', ")
    assert "sent_id" not in description.question
    assert describe(open_source(path), Columns(text="form", label="upos")).classes == {"PROPN": 1}


def test_lists_of_words_with_tags_of_several_schemes(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": ["a", "b", "c"], "y": ["B-X", "Q-X", "O"]}\n', encoding="utf-8")
    description = describe(open_source(path), Columns(text="t", label="y"), label_type="tags")
    assert description.scheme == ""
    (warning,) = description.warnings
    assert warning.startswith("Training refuses these tags: tag: got 'Q-X'; expected")
