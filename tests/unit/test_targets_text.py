"""Texts that a search finds: candidates, presentation, labels, and what a page shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from rekur.cli import show
from rekur.errors import InputError, NotFittedError
from rekur.features import TextFeatures
from rekur.metrics import bleu_signature, chrf_signature
from rekur.runtime import score_loss
from rekur.targets import Answer, TextTarget
from rekur.targets.gallery import Grid
from rekur.tasks.base.card import card


class _Tokens:
    """Bytes behind four reserved numbers."""

    def __init__(self) -> None:
        self._features = TextFeatures("byte")
        self.target_size = self._features.size + 2

    def transform_target(self, text: str) -> np.ndarray:
        return np.append(self._features.transform(text) + 2, 3)

    def target_decoder(self) -> Any:
        push, finish = self._features.decoder()
        return lambda ids: push([number - 2 for number in ids]), finish


class _Hypothesis(NamedTuple):
    ids: np.ndarray
    score: float


TARGET = TextTarget(_Tokens())


def found(*texts: str) -> list[_Hypothesis]:
    return [_Hypothesis(TARGET.encode(text)[:-1], -float(rank)) for rank, text in enumerate(texts, 1)]


def test_candidates_are_different_texts_and_the_first_is_the_answer() -> None:
    answer = TARGET.decode(found("é", "b", "é", ""))
    assert answer == Answer("é", -1.0, (("é", -1.0), ("b", -2.0), ("", -4.0)))
    presented = TARGET.present(answer)
    assert presented["prediction"] == "é"
    assert presented["candidates"][1] == {"prediction": "b", "score": -2.0}
    assert [row["rank"] for row in TARGET.table(presented)] == [1, 2, 3]
    single = TARGET.decode(found("é"))
    assert TARGET.present(single) == {"prediction": "é", "score": -1.0}
    assert TARGET.table(TARGET.present(single)) == [{"prediction": "é", "score": -1.0}]
    assert TARGET.present(TARGET.decode([])) == {"prediction": ""}
    assert TARGET.values([found("a", "b"), found("c")]) == ["a", "c"]


def test_reserved_numbers_have_no_text() -> None:
    assert TARGET.decode(np.array([0, 1, 2, 3, *TARGET.encode("a\u202f!")])).text == "a\u202f!"


def test_a_line_of_text_stays_a_line() -> None:
    assert TARGET.formatted(Answer("a\nb\r\nc\u2028d"), None, "txt") == "a b c\u2028d\n"


def test_a_state_within_a_character_goes_on() -> None:
    first, second = TARGET.encode("é")[:-1]
    stream, again = TARGET.stream(), TARGET.stream()
    assert stream.push(np.array([first]))[0].text == ""
    again.set_state(stream.get_state())
    assert again.push(np.array([second]))[0].text == "é"
    assert stream.finish()[0].text == "\ufffd"


def test_of_several_references_the_first_is_learnt_and_all_are_scored() -> None:
    assert TARGET.encode(("a", "b")).tolist() == TARGET.encode("a").tolist()
    record = TARGET.record(Answer("b"), ("a", "b"))
    assert TARGET.score(record[None])["exact_match"] == 1.0
    assert TARGET.report(record[None])["bleu_signature"].startswith("nrefs:2|")
    TARGET.check_labels([("a", "b"), "", ["c"]], "y")


@pytest.mark.parametrize("label", [3, None, (), ("a", 3)])
def test_a_bad_reference_is_named(label: Any) -> None:
    with pytest.raises(InputError, match=r"y\[1\]: target: got .*; expected a text, or a list of one text or more"):
        TARGET.check_labels(["a", label], "y")
    with pytest.raises(InputError, match=r"a.fr, line 2: target: got .*; expected a text"):
        TextTarget.learn(["a", label], place_of=lambda row: f"a.fr, line {row + 1}")


def test_empty_texts_teach_nothing() -> None:
    with pytest.raises(InputError, match="targets: got 2 empty texts"):
        TextTarget.learn(["", " "])
    with pytest.raises(NotFittedError, match="got no features yet"):
        _ = TextTarget.learn(["a"]).size


def test_a_gallery_has_the_best_the_median_and_the_worst_texts() -> None:
    gallery = TARGET.gallery()
    assert (list(gallery.tables()), list(gallery.plots()), gallery.worst()) == ([], [], [])
    for number in range(300):
        reference = "abcdefghij"
        text = "no" if number >= 298 else reference[: number % 10 + 1]
        gallery.add(Answer(text), (reference, "?"), {"source": f"item {number}"})
    lengths, best, middle, repeated = gallery.tables()
    assert sum(row[1] for row in lengths.rows) == 300
    assert [row[0] for row in best.rows[:2]] == [10, 20]
    assert best.rows[0][2:] == ("item 9", "abcdefghij", "abcdefghij / ?")
    assert {len(row[3]) for row in middle.rows} <= {4, 5, 6}
    assert repeated.rows[0][1] == 30
    assert ("no", 2, 2 / 300) in repeated.rows
    assert [item.number for item in gallery.worst()[:2]] == [298, 299]
    assert len(gallery.worst()) == 20
    (plot,) = gallery.plots()
    assert len(plot.x) == 300

    def attend(sources: Sequence[str], texts: Sequence[str]) -> list[Grid]:
        return [Grid("", [source], [text], np.ones((1, 1))) for source, text in zip(sources, texts, strict=True)]

    grids = list(gallery.grids(attend))
    assert [grid.columns for grid in grids[:2] + grids[4:]] == [[f"item {number}"] for number in (9, 19, 298, 299)]
    assert "item 10, chrF 100.0 (best)" in grids[0].title
    assert "(worst)" in grids[5].title


def test_a_blank_source_has_no_score() -> None:
    blank = _Hypothesis(np.zeros(0, np.int64), math.nan)
    assert TARGET.present(TARGET.decode([blank])) == {"prediction": "", "score": None}
    (row,) = TARGET.table(TARGET.present(TARGET.decode([blank, blank])))
    assert row == {"rank": 1, "prediction": "", "score": None}


class _Model:
    """A model whose answers are known."""

    target_ = TARGET

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def records_of(self, labels: list[str]) -> np.ndarray:
        return TARGET.records_of_predictions([Answer(text) for text in self._texts], labels)


def test_records_of_two_models_are_paired() -> None:
    draw = np.random.default_rng(0)
    labels = [" ".join(draw.choice(list("abcdefgh"), 8)) for _ in range(60)]
    first = [label if number % 3 else label[:7] + " z z z z" for number, label in enumerate(labels)]
    second = [text if number % 10 else "z" + text[1:] for number, text in enumerate(first)]
    loss = score_loss(_Model(first), _Model(second), labels)  # type: ignore[arg-type]
    assert (loss.score, loss.unit, loss.items) == ("bleu", "points of 100", 60)
    assert loss.lost == pytest.approx(loss.before - loss.after)
    low, high = loss.interval
    assert 0 < low < loss.lost < high
    alone = TARGET.report(_Model(second).records_of(labels))["bleu_interval"]
    assert high - low < (alone[1] - alone[0]) / 2  # what both find hard is no difference


def test_chrf_decides_what_is_lost_where_texts_are_too_short_for_bleu() -> None:
    labels = ["12", "345", "6 7"] * 4
    loss = score_loss(_Model(labels), _Model(["1", *labels[1:]]), labels)  # type: ignore[arg-type]
    assert (loss.score, loss.before) == ("chrf", pytest.approx(100))
    assert loss.lost > 0


def test_signatures_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    report = {"split": "validation", **TARGET.report(_Model(["a b c d"]).records_of(["a b c d"]))}
    signatures = bleu_signature(), chrf_signature()
    show.scores("m on a.fr", report)
    shown = capsys.readouterr().out
    assert all(signature in shown for signature in signatures)
    config = {
        "task": "translate",
        "model": {"cell": "gru", "num_layers": 1, "hidden_size": 2, "bidirectional": True},
        "training": {"parameters": 3, "stopped": "epochs", "seconds": 1.0, "best_epoch": 1, "events": []},
        "targets": {"kind": "text"},
    }
    page = card("m", config, TextFeatures("byte"), report)
    assert f"- bleu: `{signatures[0]}`\n- chrf: `{signatures[1]}`\n\n## Input" in page


def test_an_attention_is_shown_as_characters() -> None:
    shares = np.array([[1.0, 0.0, 0.0], [0.0, 0.3, 0.7]])
    grid = Grid("", ["a", " dog", "漢"], ["un", " chien"], shares)
    assert show.shades(grid).splitlines() == ["        d", "        o", "      a g 漢", "   un ██", "chien   ▒▒▓▓"]
    wide = show.shades(Grid("", ["x"] * 50, ["y", " ", "\u202e"], np.full((3, 50), 0.02)))
    assert wide.splitlines()[-3:] == ["␣", "", "(10 columns more)"]
