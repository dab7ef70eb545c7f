"""Taggers in Python: what they learn and say, messages, options left open, and their rival."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import rekur
from rekur import Tagger
from rekur._options import options_of
from rekur.cli.show import score_rows
from rekur.data import Corpus, EncodedItems, Ragged
from rekur.data.encoded import encode_all
from rekur.errors import DataError, DataWarning, InputError, NotStreamableError
from rekur.features.words import LONGEST_AFFIX
from rekur.runtime.rivals import FrequentTags
from rekur.runtime.span_rival import SpanDictionary
from rekur.study.space import make_space
from rekur.targets import TagsTarget
from rekur.tasks.base.plan import run
from rekur.tasks.tag import recipe
from rekur.tasks.tag.options import WordFeatureOptions
from rekur.tasks.tag.shifts import label_shifts

SENTENCES = [["Ada", "left", "Oslo"], ["Oslo", "is", "fine"], ["Ada", "is", "fine"], ["fine"]] * 6
TAGS = [["B-PER", "O", "B-LOC"], ["B-LOC", "O", "O"], ["B-PER", "O", "O"], ["O"]] * 6
SMALL: dict[str, Any] = {"hidden_size": 8, "projection_size": 16, "learning_rate": 0.02, "epochs": 30, "dropout": 0.0}
SMALL |= {"token_dropout": 0.0, "input_dropout": 0.0}


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger(**SMALL).fit(SENTENCES, TAGS, X_valid=SENTENCES[:4], y_valid=TAGS[:4])


def test_a_tagger_learns_and_is_scored(tagger: Tagger) -> None:
    assert tagger.predict(SENTENCES[:4]) == TAGS[:4]
    assert tagger.score(SENTENCES, TAGS) == tagger.evaluate(SENTENCES, TAGS)["accuracy"] == 1.0
    wrong = [["O"] * len(tags) for tags in TAGS[:2]]
    assert tagger.score(SENTENCES[:2], wrong) == pytest.approx(3 / 6)
    assert tagger.score(SENTENCES[:2], wrong, sample_weight=[1, 0]) == pytest.approx(1 / 3)
    (presented,) = tagger.present([["Ada", "left"]])
    assert [span["text"] for span in presented["spans"]] == ["Ada"]
    assert tagger.predict([[]]) == [[]]


def test_saved_is_loaded(tagger: Tagger, tmp_path: Path) -> None:
    folder = tagger.save(tmp_path / "m")
    for model in (rekur.load(folder), rekur.tasks.load(folder)):
        assert model.predict(SENTENCES[:4]) == TAGS[:4]
        assert model.evaluate(SENTENCES, TAGS)["entity_f1_strict"] == 1.0
    assert repr(clone(tagger)) == repr(tagger)


def test_seen_and_unseen_words_and_each_tag_are_told(tagger: Tagger, tmp_path: Path) -> None:
    model = rekur.load(tagger.save(tmp_path / "m"))
    for each in (tagger, model):
        report = each.evaluate([["Ada", "zebra"]], [["B-PER", "B-PER"]])
        assert (report["items"], report["tokens"], report["unseen_tokens"]) == (1, 2, 1)
        assert report["seen_accuracy"] == 1.0
        assert [row["label"] for row in report["per_class"]] == ["LOC", "PER"]
        assert sum(row["support"] for row in report["per_class"]) == 2
        assert "unseen_accuracy" not in each.evaluate([["Ada"]], [["B-PER"]])


def test_only_a_causal_tagger_runs_live(tagger: Tagger) -> None:
    with pytest.raises(NotStreamableError, match="rekur fit tag --causal"):
        tagger.stream()
    causal = Tagger(**SMALL | {"epochs": 1}, bidirectional=False, baseline=False).fit(SENTENCES, TAGS)
    assert causal.target_.exact is False
    assert causal.stream().push("Ada").final["tokens"] == ["Ada"]


@pytest.mark.parametrize(
    ("sentences", "tags", "text"),
    [
        (["a b"], [["O", "O"]], "X[0]: got 'a b'; expected a list of words. Cut it into words"),
        ([["a", "b"]], [["O"]], "y[0]: got 1 tag; expected 2, one for each word of X[0]."),
        ([["a"], []], [["O"], []], "y[1]: got no tags; expected one tag or more. Take the sentence out."),
        ([["a"], ["b"]], [["O"], ["O"]], "labels: got only the tag 'O' in 2 training examples; expected at least two"),
        ([["a"], ["b"]], ["O", "B"], "y[0]: got 'O'; expected a list of tags, one a word."),
        ([["a"], ["b"]], [["O"]], "y: got 1 labels; expected one for each of the 2 items in X."),
    ],
)
def test_sentences_that_cannot_be_learned_from(sentences: Any, tags: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        Tagger(epochs=1).fit(sentences, tags)
    assert str(caught.value).startswith(text)


def test_sentences_that_cannot_be_scored(tagger: Tagger) -> None:
    for score in (tagger.score, tagger.evaluate):
        with pytest.raises(InputError) as caught:
            score([["a", "b"]], [["O"]])
        assert str(caught.value) == "y[0]: got 1 tag; expected 2, one for each word of X[0]."
    with pytest.raises(
        InputError, match=r"^y\[1\]: tag: got 'Q-X'; expected 'O' or a label behind B-, I-, as in BIO2\."
    ):
        tagger.evaluate([["a"], ["b"]], [["O"], ["Q-X"]])


def test_validation_whose_tags_training_lacks(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="is not among those of training"):
        model = Tagger(**SMALL | {"epochs": 1}, baseline=False).fit(
            SENTENCES, TAGS, X_valid=[["a"]], y_valid=[["B-ORG"]]
        )
    assert model.metrics_["accuracy"] == 0.0


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("feature_options", {"prefix": 1}, "feature option: got 'prefix'; expected one of 'fold_case', "),
        ("feature_options", {"missing": "zero"}, "missing: got 'zero'; expected none for words. It is for series."),
        ("feature_options", {"prefixes": 9}, "prefixes: got 9; expected a whole number in [0, 8]."),
        ("token_dropout", 1.0, "token_dropout: got 1.0; expected a number in [0, 1)."),
        ("part_size", 0, "part_size: got 0; expected a whole number of 1 or more."),
        ("projection_size", -1, "projection_size: got -1; expected a whole number of 0 or more."),
        ("bidirectional", 1, "bidirectional: got 1; expected True or False."),
    ],
)
def test_options_out_of_range(option: str, value: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        Tagger(**{option: value}).fit(SENTENCES, TAGS)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("sentences", "words", "batch_steps", "epochs", "hidden_size"),
    [(12_544, 204_577, 1000, 16, 192), (3_394, 62_730, 627, 23, 128), (100, 900, 72, 60, 96), (1, 1, 8, 60, 96)],
)
def test_options_left_open(sentences: int, words: int, batch_steps: int, epochs: int, hidden_size: int) -> None:
    facts = recipe.Facts(sentences, words)
    chosen = recipe.fill({"batch_steps": None, "epochs": None, "hidden_size": None, "dropout": 0.1}, facts)
    assert chosen == {"batch_steps": batch_steps, "epochs": epochs, "hidden_size": hidden_size, "dropout": 0.1}


def test_the_most_is_dropped_where_words_are_soon_learned_by_heart() -> None:
    open_options = {"dropout": None, "input_dropout": None, "token_dropout": None}
    chosen = [recipe.fill(open_options, recipe.Facts(500, words)) for words in (7_999, 8_000, 99_999, 100_000)]
    assert [each["dropout"] for each in chosen] == [0.4, 0.5, 0.5, 0.2]
    assert [each["input_dropout"] for each in chosen] == [0.3, 0.4, 0.4, 0.1]
    assert [each["token_dropout"] for each in chosen] == [0.25, 0.5, 0.5, 0.25]


def test_batches_have_as_many_words_or_as_many_sentences() -> None:
    steps = EncodedItems(
        {"steps": Ragged.from_iter(np.zeros((n, 1), np.int32) for n in [1] * 30 + [6] * 5)}, None, None
    )
    steps.rows = np.arange(35)
    tagger = Tagger()
    tagger.chosen_ = {"batch_size": None, "batch_steps": 10}
    assert {int(steps.lengths[rows].sum()) for rows in tagger.make_batches(steps).epoch(0)} <= set(range(5, 16))
    tagger.chosen_ = {"batch_size": 5, "batch_steps": 10}
    assert {len(rows) for rows in tagger.make_batches(steps).epoch(0)} == {5}


def test_trained_vectors_stay_in_the_bundle_and_are_not_trained(tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("4 2\nAda 2 0\noslo 0 2\nbergen 0 2\nAda 5 5\n", encoding="utf-8")
    tagger = Tagger(**SMALL, vectors=str(file))
    with pytest.warns(DataWarning, match="got 1 vector of a word that stands there before"):
        tagger.fit(SENTENCES, TAGS, X_valid=SENTENCES[:4], y_valid=TAGS[:4])
    file.unlink()
    assert tagger.features_.transform(["Ada", "OSLO", "ada", "zz"])[:, -1].tolist() == [2, 3, 1, 1]
    assert any("3 words" in text for _, text in tagger.features_.describe())
    table = tagger.model_.encoder.embedding.vectors.weight
    assert table.tolist() == [[0, 0], [0, 0], [3, 0], [0, 3], [0, 3]]
    folder = tagger.save(tmp_path / "m")
    for model in (rekur.load(folder), rekur.tasks.load(folder)):
        assert model.features_.vector_words == ("Ada", "oslo", "bergen")
        np.testing.assert_allclose(model.scores([["in", "Bergen"]])[0], tagger.scores([["in", "Bergen"]])[0], atol=1e-5)
    bergen, other = tagger.scores([["Bergen"], ["Bergel"]])
    assert not np.allclose(bergen, other)


@pytest.mark.parametrize(("timid", "low", "high"), [(1.7, 1.5, 3.0), (0.0, 0.0, 0.0), (-1.2, -3.0, -1.0)])
def test_outside_is_lowered_where_that_finds_more_spans(timid: float, low: float, high: float) -> None:
    labels = [["O", "B-PER", "I-PER", "O"], ["B-LOC", "O", "O", "O"]] * 40
    target = TagsTarget.learn(labels)
    draw = np.random.default_rng(0)
    outputs = [
        draw.normal(scale=0.2, size=(4, target.size)) + 3 * np.eye(target.size)[target.encode(row)] for row in labels
    ]
    outside = target.tags.index("O")
    for rows in outputs:
        rows[:, outside] += timid + draw.uniform(-1, 3, size=4) * np.sign(timid)
    items = EncodedItems({}, np.empty(0), np.arange(80), labels, [])
    shifts = {"O": 0.0, "PER": 0.0, "LOC": 0.0} | label_shifts(outputs, target, items)
    assert all(low <= shifts[label] - shifts["O"] <= high for label in ("PER", "LOC"))
    for rows in outputs:
        rows += [shifts[tag[2:] or tag] for tag in target.tags]
    assert target.score(target.records(outputs, labels, items.contexts_of(items.rows)))["entity_f1"] > 0.95
    plain = TagsTarget.learn([["a", "b"]])
    assert label_shifts([np.zeros((2, 2))], plain, EncodedItems({}, np.empty(0), np.arange(1), [["a", "b"]], [])) == {}


def test_a_label_that_is_found_too_often_is_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [["O", "B-PER", "O"], ["O", "O", "B-LOC"]] * 60
    target = TagsTarget.learn(labels)
    draw = np.random.default_rng(0)
    outputs = [5 * np.eye(target.size)[target.encode(row)] for row in labels]
    for rows in outputs:
        rows[:, target.tags.index("B-LOC")] += draw.choice([0.0, 5.4], size=3)
    items = EncodedItems({}, np.empty(0), np.arange(120), labels, [])
    assert label_shifts(outputs, target, items) == {"LOC": -1.0}
    few = EncodedItems({}, np.empty(0), np.arange(20), labels, [])
    assert label_shifts(outputs[:20], target, few) == {}
    monkeypatch.setattr("rekur.tasks.tag.shifts._MOST_TOKENS", 120)  # 40 of the sentences
    assert label_shifts(outputs, target, items) == {}


def test_a_network_is_finished_by_its_validation_sentences(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    bias, outside = tagger.model_.head.bias.detach(), tagger.target_.tags.index("O")
    before = bias.clone()
    steps = Ragged.from_iter(map(tagger.features_.transform, SENTENCES))
    items = EncodedItems({"steps": steps}, np.empty(0), np.arange(24), TAGS)
    assert tagger.finish_network(tagger.model_, tagger.target_, items, items) == ""
    monkeypatch.setattr("rekur.tasks.tag.tagger.label_shifts", lambda *_: {"O": -1.5})
    assert "sentences: O -1.5." in tagger.finish_network(tagger.model_, tagger.target_, items, items)
    lowered = (before - bias).tolist()
    bias.copy_(before)
    assert lowered.pop(outside) == pytest.approx(1.5)
    assert not any(lowered)


def test_a_line_with_more_numbers_than_the_first_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 1 2\n. . 1 2\nb 1 2 3\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected a word and 2 finite numbers"):
        Tagger(vectors=str(tmp_path / "v.txt")).fit(SENTENCES, TAGS)


def test_the_rival_backs_off_to_endings_and_its_tags_may_follow_each_other() -> None:
    pairs = [(["walked", "home"], ["V", "N"]), (["Home", "talked"], ["N", "V"])]
    rival = FrequentTags.fit(pairs, TagsTarget.learn([tags for _, tags in pairs]))
    assert [tag.name for tag in rival.tags_of(["HOME", "jumped", "zz"])] == ["N", "V", "V"]
    assert all(0 < tag.probability <= 1 for tag in rival.tags_of(["HOME", "jumped", "zz"]))
    spans = [(["New", "York"], ["B-LOC", "I-LOC"]), (["York"], ["I-LOC"]), (["x"], ["O"])]
    target = TagsTarget.learn([tags for _, tags in spans])
    rival = FrequentTags.fit(spans, target)
    assert [tag.name for tag in rival.tags_of(["York", "York", "x", "York"])] == ["B-LOC", "I-LOC", "O", "B-LOC"]
    facts, arrays = rival.to_saved()
    again = FrequentTags.from_saved(json.loads(json.dumps(facts)), arrays, target)
    contexts = [["York", "zz"], []]
    steps = Ragged.from_iter([np.zeros((len(words), 1), np.int32) for words in contexts])
    items = EncodedItems({"steps": steps}, np.empty(0), np.arange(2), contexts=contexts)
    assert again.predictions(items) == rival.predictions(items)
    assert again.predictions(items)[1] == []


def test_the_dictionary_of_spans_takes_the_longest_of_training() -> None:
    sentences = [
        (["New", "York", "City", "and", "York"], ["B-LOC", "I-LOC", "I-LOC", "O", "B-PER"]),
        (["New", "York", "is", "York"], ["B-LOC", "I-LOC", "O", "B-PER"]),
        (["York"], ["B-LOC"]),
    ]
    target = TagsTarget.learn([tags for _, tags in sentences], exact=True)
    rival = SpanDictionary.fit(sentences, target)
    words = ["New", "York", "City", "New", "York", "York", "new", "New"]
    wanted = ["B-LOC", "I-LOC", "I-LOC", "B-LOC", "I-LOC", "B-PER", "O", "O"]
    assert [tag.name for tag in rival.tags_of(words)] == wanted
    assert rival.tags_of(["York"])[0].probability == pytest.approx(2 / 3, abs=1e-4)
    facts, arrays = rival.to_saved()
    assert SpanDictionary.from_saved(json.loads(json.dumps(facts)), arrays, target).tags_of(words) == rival.tags_of(
        words
    )
    # a sentence of weight 3 speaks as three
    weighted = SpanDictionary.fit(sentences, target, [1.0, 1.0, 3.0])
    assert weighted.tags_of(["York"])[0].name == "B-LOC"


def test_the_stronger_rival_stands_beside_and_both_are_in_the_table(tmp_path: Path) -> None:
    # two words that only together are a span: word by word they are none
    sentences = [["White", "House", "is", "a", "House"], ["a", "White", "day"], ["White", "paint"], ["a", "House"]] * 5
    tags = [["B-LOC", "I-LOC", "O", "O", "O"], ["O"] * 3, ["O"] * 2, ["O"] * 2] * 5
    model = Tagger(epochs=1, hidden_size=4).fit(sentences, tags, X_valid=sentences[:4], y_valid=tags[:4])
    rival = model.metrics_["rival"]
    assert (rival["name"], rival["entity_f1"]) == ("dictionary of spans", 1.0)
    (other,) = rival["others"]
    assert other["name"] == "most frequent tags"
    assert other["entity_f1"] < 1.0
    head, rows = score_rows(model.metrics_)
    assert head[-2:] == [rival["name"], other["name"]]
    assert all(len(row) == len(head) for row in rows)
    folder = model.save(tmp_path / "m")
    assert rival["name"] in (folder / "README.md").read_text(encoding="utf-8")
    scores = rekur.load(folder).evaluate(sentences, tags)
    assert (scores["rival"]["name"], scores["rival"]["entity_f1"]) == (rival["name"], 1.0)
    parts = Tagger(epochs=1, hidden_size=4).fit(sentences, [[word[0] for word in words] for words in sentences])
    assert "others" not in parts.metrics_["rival"]


@pytest.mark.parametrize("name", ["part_size", "buckets"])
def test_options_of_parts_need_parts(name: str) -> None:
    words = {"prefixes": 0, "suffixes": 0, "shape": False}
    features = {**words, **({"buckets": 50} if name == "buckets" else {})}
    options = {"feature_options": features, **({} if name == "buckets" else {"part_size": 50})}
    with pytest.raises(InputError) as caught:
        Tagger(**options).fit(SENTENCES, TAGS)
    assert str(caught.value) == f"{name}: got 50; expected none without parts of words: beginnings, ends or the shape."
    assert name not in make_space("tag", "words", {}, {"feature_options": words})
    with pytest.raises(InputError, match=r"^space part_size: got '8,16'; expected no range without parts of words"):
        make_space("tag", "words", {"part_size": "8,16"}, {"feature_options": words})
    assert "part_size" in make_space("tag", "words", {}, {"feature_options": {"prefixes": 0}})


def test_a_batch_has_one_size() -> None:
    with pytest.raises(InputError, match=r"^batch_steps: got 9; expected none without a batch size left open\.$"):
        Tagger(batch_size=2, batch_steps=9).fit(SENTENCES, TAGS)
    assert "batch_steps" in make_space("tag", "words", {}, {})
    assert "batch_steps" not in make_space("tag", "words", {}, {"batch_size": 2})


def test_the_help_of_affixes_says_the_longest() -> None:
    members = options_of(WordFeatureOptions)
    assert all(f"0 to {LONGEST_AFFIX};" in members[name].help for name in ("prefixes", "suffixes"))


def test_validation_runs_each_sequence_of_a_text_by_itself() -> None:
    texts = ["Ada visited Oslo. Ada left.", "Ada left. Ada"]  # the second has a span over a cut
    spans = [[[0, 3, "PER"], [12, 16, "LOC"]], [[4, 13, "PER"]]]
    valid = {"X_valid": texts, "y_valid": spans}
    model = Tagger(**{**SMALL, "epochs": 5}, average=0.0, baseline=False).fit(texts * 4, spans * 4, **valid)
    corpus = model.parts_of(Corpus.labelled(texts, spans, kind="words", per_step=True))
    (part,) = [example.item for example in corpus if any(token.begins for token in example.item.tokens[1:])]
    items = [["Ada"], part, ["Oslo", "."]]
    inputs, contexts = encode_all(items, model.features_)
    begins = [model.features_.begins(context) for context in contexts]
    outputs = run(model.model_, EncodedItems(inputs, np.empty(0), np.array([2, 1, 0]), begins=begins))
    whole = model.scores(["Ada left. Ada"])[0]
    assert [len(rows) for rows in outputs] == [2, 4, 1]
    np.testing.assert_allclose(outputs[1], whole, atol=1e-6)
    np.testing.assert_allclose(outputs[2], run(model.model_, _alone(inputs, 0))[0], atol=1e-6)
    joined = run(model.model_, _alone(inputs, 1))[0]
    assert not np.allclose(joined, whole, atol=1e-6)


def _alone(inputs: Any, row: int) -> EncodedItems:
    return EncodedItems(inputs, np.empty(0), np.array([row]))
