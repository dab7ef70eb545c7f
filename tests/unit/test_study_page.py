"""The frame of reports: the answer, tables, worst items, what data may hold, and how it looks in a browser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.browser import check_in_browser

from rekur.runtime.examples import ShownItem
from rekur.study.figures import confusion, points
from rekur.study.page import Card, Head, clean, is_report, repeat_part, table_part
from rekur.study.page_items import items_part
from rekur.study.report import answer_of, gallery_plots, write_report
from rekur.targets import LabelTarget, NextTarget, NumberTarget, Tag, TagsTarget
from rekur.targets.gallery import MOST_ITEMS, Token

HOSTILE = "<script>alert('1')</script>\u202egnp.exe\u2066 \x00\x1b[31m &amp; \"'"


def written(folder: Path, text: str = "plain") -> str:
    """Return a page with a text in every slot."""
    wrong = [
        ShownItem(text, [(text, text), ("share", 0.5)], "", [Token(text, text, "O"), None, Token("b", "O", "O")]),
        ShownItem("b", [("true", text)], text),
    ]
    write_report(
        folder / "page.html",
        title=text,
        head=Head(text, text, "better", [Card(text, "0.5000", text), Card("rival", "0.2500", text, is_rival=True)]),
        tables=[
            (text, ["a", text], [(text, 1), ("b", 0.5)]),
            ("wide", ["number"] * 40, [[0.5] * 40]),
        ],
        plots=[confusion([[2, 1], [0, 3]], [text, "$x$ \\frac$"]), points("P", ("x", "y"), [1, 2], [1, 3], True)],
        wrong=wrong,
        unsure=wrong[1:],
        notes=[text],
        repeat=(text, [(text, text)]),
        details=[("Options", ["option", "value"], [("cell", text)])],
    )
    return (folder / "page.html").read_text(encoding="utf-8")


def test_what_data_hold_is_shown_and_does_nothing(tmp_path: Path) -> None:
    page = written(tmp_path, HOSTILE)
    assert is_report(page.encode()[:2000])
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+0000⟩⟨U+001B⟩[31m" in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page)
    assert "default-src 'none'" in page
    links = set(re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>\s]+)", page)) - {""}
    assert all(link.startswith(("#", "data:")) for link in links), links


def test_long_texts_and_many_marks_are_cut() -> None:
    assert len(clean("a" * 50_000, 60)) == 61
    assert clean("e" + "\u0301" * 500, 1000) == "e" + "\u0301" * 3
    assert clean("a\ud83d\nb", 10) == "a\\ud83d ⏎ b"
    assert clean(None, 5) == ""


def test_a_page_stands_by_itself_in_light_and_dark(tmp_path: Path) -> None:
    page = written(tmp_path)
    assert "prefers-color-scheme: dark" in page
    assert "color-scheme: light dark" in page
    assert "width=device-width" in page
    assert not re.search(r"https?://(?!www\.w3\.org|matplotlib|purl\.org|creativecommons)", page)
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 2
    assert all("currentColor" in plot and "#000000" not in plot for plot in plots)


@pytest.mark.parametrize(
    ("scores", "kind", "texts"),
    [
        (
            {"accuracy": 0.9, "accuracy_interval": (0.85, 0.95), "rival": {"name": "guess", "accuracy": 0.5}},
            "better",
            ["Accuracy 0.9000, against 0.5000 of the rival (guess)", "this model scores better."],
        ),
        ({"accuracy": 0.5, "rival": {"name": "guess", "accuracy": 0.75}}, "worse", ["this model scores worse."]),
        ({"accuracy": 0.5, "rival": {"name": "guess", "accuracy": 0.5}}, "", ["scores as well as the rival."]),
        ({"accuracy": 0.5}, "", ["No rival was scored on these items."]),
        (
            {"accuracy": 0.9, "accuracy_interval": (0.7, 0.95), "rival": {"name": "guess", "accuracy": 0.8}},
            "",
            ["scores better.", "may be chance"],
        ),
    ],
)
def test_the_answer_stands_at_the_head_with_the_rival(
    tmp_path: Path, scores: dict[str, Any], kind: str, texts: Sequence[str]
) -> None:
    head = answer_of(scores, "accuracy", "How good is it?")
    assert head is not None
    assert (head.question, head.kind) == ("How good is it?", kind)
    assert [text for text in texts if text not in head.sentence] == []
    assert [card.is_rival for card in head.cards] == ([False, True] if "rival" in scores else [False])
    write_report(tmp_path / "page.html", title="t", head=head)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.index("How good is it?") < page.index(head.sentence.replace("'", "&#x27;")) < page.index("<b>")


def test_the_answer_of_scores() -> None:
    worse = answer_of({"rmse": 2.0, "rmse_interval": (1.9, 2.1), "rival": {"name": "ridge", "rmse": 1.0}}, "rmse", "?")
    assert worse is not None
    assert worse.kind == "worse"
    assert [card.value for card in worse.cards] == ["2.0000", "1.0000"]
    assert answer_of({"rmse": 2.0}, "accuracy", "?") is None


def test_numbers_of_tables_stand_to_the_right() -> None:
    rows = [["a", 0.5, "0.3 s (2/3)", "12 MB", "50%", ""], ["b", None, "3.1 µs", "", "", "rival"]]
    part = table_part("T", ["name", "score", "time", "size", "share", "word"], rows, note="A note.")
    assert part.count('<th class="number">') == 4
    assert "<th>word</th>" in part
    assert "A note." in part


def test_a_page_says_how_to_repeat_it() -> None:
    part = repeat_part("rekur compare <b>", [("rekur", "1.0")])
    assert "<pre>rekur compare &lt;b&gt;</pre>" in part
    assert "<pre>" not in repeat_part("", [("rekur", "1.0")])


def test_sentences_show_both_taggings(tmp_path: Path) -> None:
    gallery = TagsTarget.learn([["B-A", "I-A", "O"]]).gallery()
    tags = [Tag("B-A", 0.9), Tag("O", 0.8), Tag("O", 0.7)]
    gallery.add(tags, ["B-A", "I-A", "O"], ["New", "York", "is"])
    gallery.add(tags, ["B-A", "O", "O"], ["New", "York", "is"])
    gallery.add([Tag("O", 0.6)] * 2, ["B-A", "I-A"], ["York", "y"])
    (first, second) = gallery.worst()
    assert (first.number, second.number) == (2, 0)  # more probability on wrong tags
    part = items_part("Wrong", [ShownItem("item 1", second.facts, "", second.tokens)])
    assert "item 1" in part
    assert "wrong tags: <bdi>1</bdi>; tokens: <bdi>3</bdi>" in part
    assert '<span class="miss"><bdi>York</bdi><i class="true">I-A ✓</i><i class="said">O ✗</i></span>' in part
    assert "<span><bdi>New</bdi><i>B-A</i></span>" in part
    confusions, words = gallery.tables()
    assert confusions.rows[0] == ("I-A", "O", 2, 1.0, "York")
    assert words.rows[0] == ("York", 2, 3)


def test_of_a_long_sentence_the_tokens_around_wrong_tags_are_shown() -> None:
    gallery = TagsTarget.learn([["N", "V"]]).gallery()
    label = ["N"] * 50_000
    tags = [Tag("V" if step in (20_000, 40_000) else "N", 0.9) for step in range(50_000)]
    gallery.add(tags, label, [f"w{step}" for step in range(50_000)])
    (item,) = gallery.worst()
    texts = [None if token is None else token.text for token in item.tokens]
    around = [f"w{step}" for step in range(19_996, 20_005)]
    assert texts == [None, *around, None, *[f"w{step}" for step in range(39_996, 40_005)], None]
    gallery.add([Tag("V", 0.9)] * 50_000, label, ["w"] * 50_000)
    assert len(gallery.worst()[0].tokens) < 100


def test_steps_without_words_have_confusions_and_numbers() -> None:
    gallery = TagsTarget.learn([["sit", "walk"]]).gallery()
    gallery.add([Tag("sit", 0.9), Tag("sit", 0.9)], ["sit", "walk"], None)
    (table,) = gallery.tables()
    assert list(table.head) == ["true tag", "predicted tag", "tokens", "share of the true tag"]
    assert list(table.rows) == [("walk", "sit", 1, 1.0)]
    assert [token.text for token in gallery.worst()[0].tokens if token is not None] == ["1", "2"]


def test_the_worst_items_of_a_classifier() -> None:
    gallery = LabelTarget(["a", "b"], multi_label=False).gallery()
    for number in range(100):
        gallery.add(np.array([number / 100, 1 - number / 100]), "b")
    worst = gallery.worst()
    assert [item.number for item in worst[:3]] == [99, 98, 97]
    assert len(worst) == MOST_ITEMS
    assert dict(worst[0].facts) == {
        "true": "b",
        "predicted": "a",
        "probability": 0.99,
        "of the true label": pytest.approx(0.01),
    }
    several = LabelTarget(["a", "b", "c"], multi_label=True).gallery()
    several.add(np.array([0.9, 0.1, 0.2]), ["a"])
    several.add(np.array([0.1, 0.9, 0.2]), ["a", "z"])
    (item,) = several.worst()
    assert (item.number, dict(item.facts)) == (1, {"true": "a", "predicted": "b"})


def test_residuals_of_a_regressor() -> None:
    gallery = NumberTarget(0.0, 1.0).gallery()
    for number in range(5000):
        gallery.add(np.float64(number + (number == 1234)), number)
    (item,) = gallery.worst()
    assert (item.number, dict(item.facts)["error"]) == (1234, 1.0)
    predictions, residuals = gallery.plots()
    assert len(predictions.x) == len(residuals.y) == 2000
    (table,) = gallery.tables()
    assert table.rows[-1] == ("100%", 1.0)
    assert len(gallery_plots(gallery)) == 2


def test_the_loss_along_a_text() -> None:
    gallery = NextTarget(5, reset=False).gallery()
    context = {"tokens": np.array([1, 2, 3]), "stretches": np.array([[2, 4, 4], [1, 1, 1]])}
    gallery.add(np.log(np.array([0.5, 0.5, 0.25])), None, context)
    (plot,) = gallery.plots()
    assert plot.y == pytest.approx([0.5, 2.0])
    assert gallery.worst() == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_browser_shows_the_page_without_a_wide_line(tmp_path: Path, width: int, scheme: str) -> None:
    check_in_browser(written(tmp_path, "a long text without an end " * 40 + "x" * 900), tmp_path, width, scheme)
