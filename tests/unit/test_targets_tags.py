"""Tags of steps: schemes, decoding, what is told of a sentence, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from rekur._schemes import SCHEMES
from rekur._tokenizer import tokenize
from rekur.errors import DataWarning, InputError
from rekur.features import WordFeatures
from rekur.metrics import share_interval
from rekur.targets import Tag, TagsTarget

BIO2 = [["B-PER", "I-PER", "O"], ["O", "B-LOC"]]


def sure(target: TagsTarget, label: list[Any]) -> np.ndarray[Any, Any]:
    """Return outputs that say each tag of a label with certainty, (T, K)."""
    return np.eye(target.size)[target.encode(label)] * 40


@pytest.mark.parametrize(
    ("labels", "exact", "scheme", "inner"),
    [
        (BIO2, False, "BIO2", "BIO2"),
        (BIO2, True, "BIO2", "BIOES"),
        ([["I-PER", "O", "I-LOC", "B-LOC"]], True, "BIO1", "BIOES"),
        ([["I-PER", "O", "I-LOC", "I-LOC"]], False, "IO", "BIO2"),
        ([["B-PER", "L-PER", "O", "U-LOC"]], False, "BILOU", "BIOES"),
        ([["B-PER", "E-PER", "S-LOC"]], False, "BIOES", "BIOES"),
        ([["N", "V"]], True, "none", "none"),
        ([[0, 1, 5]], False, "none", "none"),
    ],
)
def test_outputs_have_a_scheme_of_their_own_and_predictions_that_of_the_labels(
    labels: list[Any], exact: bool, scheme: str, inner: str
) -> None:
    target = TagsTarget.learn(labels, exact=exact)
    assert (target.scheme.name, target.inner.name, target.exact) == (scheme, inner, exact)
    for label in labels:
        prediction = target.decode(sure(target, label))
        assert [tag.name for tag in prediction] == label
        assert all(type(tag.name) is type(labels[0][0]) for tag in prediction)
        assert [tag.probability for tag in prediction] == pytest.approx([1.0] * len(label))


def test_spans_of_labels_that_the_scheme_does_not_allow_are_learned_as_they_are_read() -> None:
    target = TagsTarget.learn([*BIO2, *BIO2, ["O", "I-PER", "O"]], exact=True)
    assert target.scheme_note == "BIO2: 4 of 5 spans begin with B-; 1 span not as the scheme has them"
    assert target.encode(["O", "I-PER"]).tolist() == target.encode(["O", "B-PER"]).tolist()


def test_what_is_told() -> None:
    assert TagsTarget.learn(BIO2).notes() == ["scheme of tags: BIO2: 2 of 2 spans begin with B-"]
    numbers = "scheme of tags: none: tags are whole numbers and are taken as classes: 0, 1, 5"
    assert TagsTarget.learn([[0, 1, 5]]).notes() == [numbers]
    assert TagsTarget.learn([["I-A", "O"]]).notes() == ["scheme of tags: BIO1 or IO: tags have I- and no B-"]


def test_the_best_tags_that_may_follow_each_other() -> None:
    target = TagsTarget.learn(BIO2, exact=True)
    number = {tag: k for k, tag in enumerate(target.tags)}
    outputs = np.zeros((2, target.size))
    outputs[0, number["O"]] = 1.0
    outputs[0, number["B-PER"]] = 0.9
    outputs[1, number["E-PER"]] = 5.0
    assert [tag.name for tag in target.decode(outputs)] == ["B-PER", "I-PER"]
    greedy = TagsTarget.learn(BIO2)
    number = {tag: k for k, tag in enumerate(greedy.tags)}
    outputs = np.zeros((2, greedy.size))
    outputs[0, number["O"]] = 1.0
    outputs[1, number["I-PER"]], outputs[1, number["B-LOC"]] = 5.0, 1.0
    assert [tag.name for tag in greedy.decode(outputs)] == ["O", "B-LOC"]


def test_the_probability_of_a_tag_is_that_of_all_outputs_that_mean_it() -> None:
    target = TagsTarget.learn(BIO2, exact=True)
    outputs = np.full((1, target.size), -50.0)
    number = {tag: k for k, tag in enumerate(target.tags)}
    outputs[0, [number["B-PER"], number["S-PER"]]] = 0.0
    assert target.decode(outputs) == [Tag("B-PER", pytest.approx(1.0))]
    one = TagsTarget.learn([["I-A", "O"]], exact=True)
    outputs = np.log(np.array([[0.2, 0.3, 0.1, 0.1, 0.3]]))
    assert one.decode(outputs) == [Tag("I-A", pytest.approx(0.8))]


def test_what_a_person_reads() -> None:
    target = TagsTarget.learn(BIO2, exact=True)
    words = ["Ada", "Byron", "left"]
    presented = target.answer(sure(target, BIO2[0]), words)
    assert list(presented) == ["tokens", "tags", "probabilities", "spans"]
    assert (presented["tokens"], presented["tags"]) == (words, BIO2[0])
    (span,) = presented["spans"]
    assert span == {"start": 0, "end": 2, "label": "PER", "text": "Ada Byron", "probability": pytest.approx(1.0)}
    assert list(target.present(target.decode(sure(target, BIO2[0])))) == ["tags", "probabilities", "spans"]
    plain = TagsTarget.learn([["N", "V"]])
    assert list(plain.answer(sure(plain, ["N"]), ["dog"])) == ["tokens", "tags", "probabilities"]
    assert target.answer(np.empty((0, target.size)), []) == {"tokens": [], "tags": [], "probabilities": [], "spans": []}


def test_contexts_wait_for_the_tags_of_their_steps() -> None:
    target = TagsTarget.learn([["B-A", "E-A", "S-A", "O"]])
    stream = target.stream()
    outputs = sure(target, ["B-A", "E-A", "O"])
    assert stream.push(outputs[:0], ["New"]) == (None, None)
    assert stream.push(outputs[:1], ["York"]) == (None, None)
    tags, words = stream.push(outputs[1:2], [])
    assert ([tag.name for tag in tags or []], words) == (["B-A", "E-A"], ["New", "York"])
    assert stream.push(outputs[2:], ["."])[1] == ["."]
    assert stream.finish() == (None, None)
    assert json.loads(json.dumps(stream.get_state())) == stream.get_state()
    exact = TagsTarget.learn(BIO2, exact=True).stream()
    assert exact.push(np.zeros((2, 9)), ["a", "b"]) == (None, None)
    assert exact.finish()[1] == ["a", "b"]


class Copies(list[Any]):
    """A list that counts the entries that are copied out of it."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        Copies.copied += len(part) if isinstance(key, slice) else 0
        return Copies(part) if isinstance(key, slice) else part

    def __add__(self, other: Any) -> Any:
        Copies.copied += len(self) + len(other)
        return Copies([*self, *other])


def test_a_book_in_one_push_takes_work_in_proportion_to_its_length() -> None:
    target = TagsTarget.learn([["B-A", "E-A", "S-A", "O"]])
    target.features = WordFeatures(cut="line")
    outputs, copied = sure(target, ["B-A", "E-A", "O"]), []
    for lines in (50, 500):
        context, stream = Copies(tokenize("New York .\n" * lines, "line")), target.stream()
        Copies.copied = 0
        tags, words = stream.push(np.tile(outputs, (lines, 1)), context)
        copied.append(Copies.copied)
        assert tags is not None
        assert [tag.name for tag in tags] == ["B-A", "E-A", "O"] * lines
        assert words == context
        assert stream.finish() == (None, None)
    assert copied[1] <= 10 * copied[0]


def test_scores_are_made_in_the_scheme_of_the_labels() -> None:
    target = TagsTarget.learn(BIO2, exact=True)
    prediction = [Tag("B-PER", 1.0), Tag("I-PER", 1.0), Tag("O", 1.0)]
    loose = target.record(prediction, ["I-PER", "I-PER", "O"])
    report = target.report(loose)
    assert (report["items"], report["tokens"]) == (1, 3)
    assert (report["entity_f1"], report["entity_f1_strict"], report["sentence_accuracy"]) == (1.0, 0.0, 0.0)
    assert report["accuracy"] == pytest.approx(2 / 3)
    assert report["accuracy_interval"][0] < 2 / 3 < report["accuracy_interval"][1]
    assert target.decides == "entity_f1"
    assert TagsTarget.learn([["N", "V"]]).decides == "accuracy"


def test_the_interval_of_accuracy_is_about_that_of_as_many_tokens() -> None:
    target, draw = TagsTarget.learn([["N", "V"]]), np.random.default_rng(0)
    labels = [draw.choice(["N", "V"], 20).tolist() for _ in range(400)]
    wrong = {"N": "V", "V": "N"}
    rows = []
    for label in labels:
        tags = [wrong[tag] if draw.random() < 0.1 else tag for tag in label]
        rows.append(target.record([Tag(tag, 1.0) for tag in tags], label))
    report = target.report(np.concatenate(rows))
    width = np.ptp(report["accuracy_interval"])
    tokens = np.ptp(share_interval(report["accuracy"] * 8000, 8000))
    assert 0.7 * tokens < width < 1.4 * tokens


def test_no_item_has_no_records() -> None:
    target = TagsTarget.learn(BIO2)
    assert target.records([], []).shape == (0, 18)
    assert target.report(target.records([], []))["entity_f1"] == 0.0


def test_a_tag_that_training_lacks_counts_as_missed() -> None:
    target = TagsTarget.learn([["B-PER", "O"], ["O", "O"]])
    labels = [["B-PER", "O"], ["O", "B-ORG"]]
    with pytest.warns(DataWarning) as caught:
        target.check_labels(labels, "y", lambda row: f"line {3 * row + 1}")
    assert str(caught[0].message) == (
        "line 4: the tag 'B-ORG' (1 time) is not among those of training, and counts as missed."
    )
    assert target.encode(labels[1]).tolist() == [0, -1]
    predictions = [[Tag("B-PER", 1.0), Tag("O", 1.0)], [Tag("O", 1.0), Tag("O", 1.0)]]
    scores = target.score(target.records_of_predictions(predictions, labels))
    assert (scores["accuracy"], scores["entity_recall"]) == (0.75, 0.5)
    plain = TagsTarget.learn([["N", "V"]])
    assert plain.encode(["X", "N"]).tolist() == [-1, 0]
    with pytest.warns(DataWarning, match=r"the tag 'X' \(2 times\).*; 1 more such tag\."):
        plain.check_labels([["X", "X"], ["Y"]], "y", lambda row: f"line {row}")


def test_outputs_of_a_model_that_diverged() -> None:
    for exact in (False, True):
        target = TagsTarget.learn(BIO2, exact=exact)
        tags = target.decode(np.full((3, target.size), np.nan, np.float32))
        assert target.scheme.spans([tag.name for tag in tags], strict=True) == target.scheme.spans(
            [tag.name for tag in tags]
        )
        assert target.decode(np.full((1, target.size), np.inf))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["O O"], "item 1: got 'O O'; expected a list of tags, one a word."),
        ([["O"], 5], "item 2: got 5; expected a list of tags, one a word."),
        ([["O", None]], "item 1, tag 2: got nothing; expected a text of one character or more, or a whole number."),
        ([["O", ""]], "item 1, tag 2: got ''; expected a text of one character or more, or a whole number."),
        ([["O", 0.5]], "item 1, tag 2: got 0.5; expected a text of one character or more, or a whole number."),
        ([["O", 1]], "item 1: got tags of the types int and str; expected tags of one type: text or whole numbers."),
        (
            [["O", "O"], ["O"]],
            "labels: got only the tag 'O' in 2 training examples; expected at least two different ones. "
            "Choose another label column, or add examples with other tags.",
        ),
        ([["O"], []], "item 2: got no tags; expected one tag or more. Take the sentence out."),
    ],
)
def test_labels_that_teach_nothing(labels: list[Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        TagsTarget.learn(labels, place_of=lambda row: f"item {row + 1}")
    assert str(caught.value) == text


def test_labels_that_do_not_fit_their_words() -> None:
    target = TagsTarget.learn(BIO2)
    text = "tokens and tags: got 3 tokens and 2 tags; expected one tag a token."
    with pytest.raises(InputError) as caught:
        target.encode(["O", "O"], ["a", "b", "c"])
    assert str(caught.value) == text
    with pytest.raises(InputError) as caught:
        target.record([Tag("O", 1.0)] * 3, ["O", "O"])
    assert str(caught.value) == text


def test_tags_of_another_scheme_are_refused_by_name() -> None:
    target = TagsTarget.learn(BIO2)
    with pytest.raises(InputError, match=r"^line 7: tag: got 'S-PER'; expected 'O' or a label behind B-, I-"):
        target.check_labels([["O"], ["S-PER"]], "y", lambda row: f"line {6 + row}")


def test_tags_without_o() -> None:
    target = TagsTarget.learn([["B-A", "I-A", "B-B"]], exact=True)
    assert "O" not in target.tags
    outputs = np.random.default_rng(0).normal(size=(9, target.size))
    tags = [tag.name for tag in target.decode(outputs)]
    assert sum(end - start for start, end, _ in SCHEMES["BIO2"].spans(tags)) == 9


def test_scores_that_few_records_have_get_weighted_intervals() -> None:
    target = TagsTarget.learn([["N", "V"]])
    target.features = WordFeatures(min_count=1).fit([["a", "b"]])
    sentences = [["a", "b"], ["c", "d"], ["b", "a"]]
    records = np.concatenate([target.record(target.decode(np.eye(2)), ["N", "V"], words) for words in sentences])
    report = target.weighted_report(records, np.array([1.0, 2.0, 1.0]))
    assert report["seen_accuracy"] == report["unseen_accuracy"] == 1.0
    assert report["unseen_accuracy_interval"][0] < 1.0


def test_spans_end_where_a_sequence_of_a_text_does() -> None:
    target = TagsTarget.learn([["I-A", "B-A", "O"]])  # BIO1: only a span behind another of its kind begins with B
    target.features = WordFeatures(cut="blank")
    context = tokenize("Ada.\n\nOslo", "blank")
    assert [token.begins for token in context] == [False, False, True]
    tags = [Tag(name, 1.0) for name in ("O", "I-A", "I-A")]
    assert [(span["start"], span["text"]) for span in target.spans(tags, context)] == [(3, "."), (6, "Oslo")]


def test_numbers_as_text_are_classes_that_are_told() -> None:
    target = TagsTarget.learn([["10", "2"], ["1", "2"]])
    assert target.tags == ["1", "2", "10"]
    assert target.notes() == ["scheme of tags: none: tags are whole numbers and are taken as classes: 1, 2, 10"]
    with pytest.raises(InputError, match=r"^item 2, step 2: label: got '0\.5'; expected a class"):
        TagsTarget.learn([["1", "2"], ["1", "0.5"]], place_of=lambda row: f"item {row + 1}")
    with pytest.raises(InputError, match="got 101 different numbers; expected at most 100"):
        TagsTarget.learn([list(range(101))])


def test_labels_that_may_be_one_are_told() -> None:
    def place(row: int) -> str:
        return f"item {row + 1}"

    told = "Labels that may be one class, and are learnt as several: 'PER' (2) and 'per' (1)."
    with pytest.warns(DataWarning, match=re.escape(told)):
        TagsTarget.learn([["B-PER", "I-PER", "O", "B-per"]], place_of=place)
    with pytest.warns(DataWarning, match=re.escape("'Noun' (1) and 'noun' (1)")):
        TagsTarget.learn([["Noun", "noun", "verb"]], place_of=place)
    with pytest.warns(DataWarning, match=re.escape("'sit' (2) and 'Sit' (1)")):
        TagsTarget.learn([["sit", "sit"], ["Sit"]], plain=True, place_of=place)
