"""The rows of a file of errors: what each kind of target says of an item that is wrong, and how surely it is wrong."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest

from rekur._history import History
from rekur.features import TextFeatures
from rekur.features.windows import Window
from rekur.targets import (
    Answer,
    DistributionTarget,
    LabelTarget,
    NextTarget,
    NumberTarget,
    Tag,
    TagsTarget,
    Target,
    TextTarget,
)
from rekur.targets.gallery import ErrorGallery, Galleries, shortened


def rows(target: Target, prediction: Any, label: Any, context: Any = None) -> list[dict[str, Any]]:
    return [{"severity": row.severity, **row.cells()} for row in target.errors(prediction, label, context)]


def test_a_label_has_both_probabilities() -> None:
    target = LabelTarget(["bad", "fair", "good"], multi_label=False)
    shares = np.array([0.125, 0.25, 0.625])
    assert rows(target, shares, "good") == []
    assert rows(target, shares, "bad") == [
        {"severity": 0.875, "truth": "bad", "prediction": "good", "probability": 0.625, "truth_probability": 0.125}
    ]


def test_of_several_labels_the_most_surely_wrong_one_counts() -> None:
    target = LabelTarget(["a", "b", "c"], multi_label=True)
    shares = np.array([0.625, 0.125, 0.75])
    assert rows(target, shares, ["a", "c"]) == []
    (missing,) = rows(target, shares, ["b"])
    assert (missing["truth"], missing["prediction"]) == (["b"], ["a", "c"])
    assert (missing["label"], missing["probability"], missing["truth_probability"]) == ("b", 0.875, 0.125)
    (added,) = rows(target, shares, ["a"])
    assert (added["severity"], added["label"]) == (0.75, "c")


def test_a_number_is_wrong_in_standard_deviations_of_training() -> None:
    target = NumberTarget(mean=0.0, scale=4.0)
    assert rows(target, np.array(3.0), 3.0) == []
    assert rows(target, np.array(1.0), 3.0) == [{"severity": 0.5, "truth": 3.0, "prediction": 1.0, "error": -2.0}]


def test_a_sentence_has_both_taggings_and_the_tokens_that_differ() -> None:
    target = TagsTarget.learn([["N", "V"]])
    tags = [Tag("N", 0.5), Tag("N", 0.75), Tag("V", 0.875)]
    assert rows(target, tags, ["N", "N", "V"], ["we", "the", "run"]) == []
    assert rows(target, tags, ["N", "V", "N"], ["we", "the", "run"]) == [
        {
            "severity": 0.875,
            "input": "we the run",
            "truth": ["N", "V", "N"],
            "prediction": ["N", "N", "V"],
            "differences": ["the: V → N", "run: N → V"],
            "wrong_tags": 2,
            "tokens": 3,
            "token": "run",
            "probability": 0.875,
        }
    ]


def test_a_long_sentence_is_cut_around_wrong_tags() -> None:
    target = TagsTarget.learn([["N", "V"]])
    tags = [Tag("N", 0.5) for _ in range(1000)]
    (row,) = rows(target, tags, ["N"] * 500 + ["V"] + ["N"] * 499, [f"w{step}" for step in range(1000)])
    assert row["input"] == "… w496 w497 w498 w499 w500 w501 w502 w503 w504 …"
    assert row["truth"] == ["…", *["N"] * 4, "V", *["N"] * 4, "…"]
    assert (row["tokens"], row["token"], row["differences"]) == (1000, "w500", ["w500: V → N"])


def test_steps_of_a_series_are_named_by_their_numbers() -> None:
    target = TagsTarget.learn([["sit", "walk"]], plain=True)
    outputs = np.log(np.array([[0.75, 0.25], [0.75, 0.25]]))
    (row,) = rows(target, target.decode(outputs), np.array(["sit", "walk"]))
    assert (row["differences"], row["token"], row["severity"]) == (["2: walk → sit"], "2", pytest.approx(0.75))
    assert "input" not in row  # the file has it


def test_a_text_has_its_own_score() -> None:
    target = TextTarget(cast(Any, None))
    assert rows(target, Answer("a cat"), ["a dog", "a cat"]) == []
    worse, better = (rows(target, Answer(text, -1.5), "the small cat")[0] for text in ("dog", "the small cats"))
    assert worse["severity"] > better["severity"] > 0
    assert better["severity"] == pytest.approx(1 - better["chrf"] / 100)
    assert (better["truth"], better["prediction"], better["score"]) == ("the small cat", "the small cats", -1.5)
    assert rows(target, Answer("x", math.nan), "y")[0]["score"] is None


def test_a_stretch_of_text_is_shown_around_its_least_probable_token() -> None:
    target = NextTarget(258, reset=True)
    features = TextFeatures("byte")
    target.features = features
    ids = features.transform("abcdef")
    context = {"tokens": ids, "stretches": np.array([[4, 4, 4], [2, 2, 2]])}
    shares = np.array([0.5, 0.5, 0.25, 0.5, 0.25, 0.125])
    first, second = rows(target, np.log(shares), None, context)
    assert (first["item"], first["where"], first["input"]) == (1, "characters 1 to 4", "abcd")
    assert (first["truth"], first["truth_probability"]) == ("c", pytest.approx(0.25))
    assert (first["severity"], first["tokens"]) == (pytest.approx(5 / 4), 4)
    assert (second["item"], second["where"], second["input"]) == (2, "characters 5 to 6", "ef")
    assert (second["truth"], second["severity"]) == ("f", pytest.approx(5 / 2))


def test_a_window_has_series_channel_origin_and_the_worst_step() -> None:
    target = DistributionTarget(2, levels=(0.1, 0.5, 0.9))
    history = History("s", ("load", "wind"), np.array([[1.0, 2.0, 4.0, 5.0, 9.0], [0.0] * 5]).T)
    context = {"window": Window(history, 0, 3)}
    quantiles = np.array([[4.0, 4.0], [5.0, 6.0], [6.0, 8.0]])
    assert rows(target, quantiles, quantiles[1], context) == []
    assert rows(target, quantiles, [math.nan, math.nan], context) == []
    (row,) = rows(target, quantiles, [5.0, 9.0], context)
    assert row == {
        "severity": pytest.approx(1.5 / 1.5),  # the naive forecast errs by 1 and 2 before the origin
        "input": "1 2 4",
        "truth": 9.0,
        "prediction": 6.0,
        "time": history.stamp(4),
        "channel": "load",
        "origin": history.stamp(2),
        "error": 1.5,
        "0.1": 4.0,
        "0.5": 6.0,
        "0.9": 8.0,
    }
    assert rows(target, quantiles, [math.nan, 9.0], context)[0]["error"] == 3.0
    assert math.isnan(rows(target, quantiles * math.nan, [5.0, 9.0], context)[0]["severity"])


def test_galleries_forget_the_least_wrong_and_put_what_is_no_number_first() -> None:
    target = NumberTarget(mean=0.0, scale=1.0)
    errors, other = ErrorGallery(target.errors, most=2), ErrorGallery(target.errors)
    both = Galleries([errors, other])
    for guess in (1.0, math.nan, 3.0, 0.0, 3.0):
        both.add(np.array(guess), 0.0)
    assert [(error.number, error.severity) for error in errors.rows()] == [(1, math.inf), (2, 3.0)]
    assert [error.number for error in other.rows()] == [1, 2, 4, 0]
    assert (errors.wrong, other.wrong, both.count) == (4, 4, 5)


def test_a_cut_text_says_so() -> None:
    assert (shortened("a" * 400), shortened("a" * 401)) == ("a" * 400, "a" * 399 + "…")
